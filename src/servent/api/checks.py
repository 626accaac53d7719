"""The doctor's local half: the machine and the data directory. Reads only, waits for no network."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

from servent.api.client import API_FILE, TOKEN_FILE
from servent.api.schema import Check

LITTLE_SPACE = 1 << 30  # bytes; less is a warning
NO_SPACE = 64 << 20  # bytes; less is a failure: the database needs room, too


def local(data_dir: Path) -> list[Check]:
    """Python, data directory, space, key, token, limits; in this order, each with a remedy if need be."""
    return [
        _python(),
        _data_dir(data_dir),
        _space(data_dir),
        _private(data_dir / "identity.key", "identity", "The node's key"),
        _private(data_dir / TOKEN_FILE, "token", "The API's token"),
        _files(data_dir),
        _descriptors(),
    ]


def _python() -> Check:
    name = f"Python {sys.version.split()[0]} on {sys.platform}"
    good = sys.version_info >= (3, 11)
    return Check(
        name="python",
        title="Python",
        outcome="pass" if good else "fail",
        detail=name,
        remedy="" if good else "Install Python 3.11 or newer.",
    )


def _data_dir(folder: Path) -> Check:
    writable = folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    return Check(
        name="data-dir",
        title="Data directory",
        outcome="pass" if writable else "fail",
        detail=f"{folder} is {'writable' if writable else 'not writable'}",
        remedy="" if writable else f"Give {folder} to the user that runs the node.",
    )


def _space(folder: Path) -> Check:
    try:
        free = shutil.disk_usage(folder).free
    except OSError as wrong:
        return Check(name="space", title="Free space", outcome="skip", detail=str(wrong))
    outcome = "fail" if free < NO_SPACE else "warn" if free < LITTLE_SPACE else "pass"
    return Check(
        name="space",
        title="Free space",
        outcome=outcome,  # type: ignore[arg-type]
        detail=f"{free / 2**30:.1f} GiB free where the node keeps its data",
        remedy="" if outcome == "pass" else "Free some space; downloads pause when the disk is full.",
    )


def _private(path: Path, name: str, title: str) -> Check:
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return Check(name=name, title=title, outcome="skip", detail=f"{path.name} is not there")
    except OSError as wrong:
        return Check(name=name, title=title, outcome="fail", detail=str(wrong))
    if os.name != "posix" or not mode & 0o077:
        return Check(name=name, title=title, outcome="pass", detail="only its owner can read it")
    return Check(
        name=name,
        title=title,
        outcome="fail",
        detail=f"others on this machine can read {path} (mode {mode:04o})",
        remedy=f"chmod 600 {path}",
    )


def _files(folder: Path) -> Check:
    there = [name for name in (API_FILE, TOKEN_FILE) if (folder / name).exists()]
    return Check(
        name="api",
        title="Local API",
        outcome="pass" if len(there) == 2 else "fail",
        detail="answers on loopback" if len(there) == 2 else f"{API_FILE} or {TOKEN_FILE} is missing",
        remedy="" if len(there) == 2 else "Restart the node: `servent down`, then `servent up`.",
    )


def _descriptors() -> Check:
    try:
        import resource
    except ImportError:
        return Check(name="files", title="Open files", outcome="skip", detail="no such limit on this system")
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    good = soft >= 1024 or soft == resource.RLIM_INFINITY
    return Check(
        name="files",
        title="Open files",
        outcome="pass" if good else "warn",
        detail=f"{soft} at once are allowed",
        remedy="" if good else "Raise it: `ulimit -n 4096` before `servent up`.",
    )
