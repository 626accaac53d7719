"""What this machine has, for the inventory of a cluster. Looks at files of the system and asks its drivers; takes some milliseconds, in a thread."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

import servent
from servent.cluster.visits import Hardware, Versions

NEEDED = ("distributed", "dask", "cloudpickle")
NOT_INSTALLED = "Dask is not installed here"
HOW_TO_INSTALL = f"python3 -m pip --python '{sys.executable}' install 'servent[dask]' brings it; the node need not be started again."
ASKING = 5.0  # s for a driver's own program


def installed() -> bool:
    """Whether this Python has what a scheduler or a worker needs."""
    try:
        return all(importlib.metadata.version(one) for one in NEEDED)
    except importlib.metadata.PackageNotFoundError:
        return False


def versions() -> Versions:
    """Of what is installed here; "" for what is not."""
    return Versions(
        python=platform.python_version(),
        dask=_version("dask"),
        distributed=_version("distributed"),
        servent=servent.__version__,
    )


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)[:64]
    except importlib.metadata.PackageNotFoundError:
        return ""


def look(folder: Path) -> Hardware:
    """`folder`: on the disk whose room counts."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    return Hardware(
        system=_system()[:200],
        processor=_processor()[:200],
        cores=psutil.cpu_count() or 1,
        memory_bytes=int(psutil.virtual_memory().total),
        disk_free_bytes=shutil.disk_usage(there).free,
        gpus=[name[:200] for name in _gpus()[:16]],
    )


def _system() -> str:
    machine = platform.machine()
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {machine}"
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}, {machine}"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model", "Hardware"):
                return " ".join(value.split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    found = []
    for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        try:
            lines = path.read_text("utf-8", "replace").splitlines()
        except OSError:
            continue
        found += [line.partition(":")[2].strip() for line in lines if line.startswith("Model:")]
    program = None if found else shutil.which("nvidia-smi")
    if program is None:
        return found
    try:
        said = subprocess.run(
            [program, "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=ASKING,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return found
    return (
        [line.strip() for line in said.stdout.splitlines() if line.strip()] if said.returncode == 0 else found
    )
