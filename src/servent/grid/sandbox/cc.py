"""C to WebAssembly, with the compiler that comes with the Python package `ziglang`, where it is installed. For owners of projects, on their own sources."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from servent.errors import UsageError, WorldError
from servent.grid.manifests import Abi

INCLUDE = Path(__file__).parent  # of servent.h
STACK = 1024 * 1024  # bytes; a compiler's own default of 16 MiB would be in every snapshot's map
PATIENCE = 600.0  # s; the first build with the C library makes that library, half a minute on a quiet core
SUFFIXES = (".c", ".cc", ".cpp", ".cxx")


class NoCompiler(UsageError):
    """Nothing here turns C into WebAssembly."""

    advice = (
        f"python3 -m pip --python '{sys.executable}' install 'servent[apps]' brings one; "
        "any compiler with a wasm32-wasi target does as well."
    )


class DoesNotCompile(UsageError):
    """The compiler refuses the sources; it says why."""


def zig() -> Path | None:
    """The compiler, or None where there is none."""
    spec = find_spec("ziglang")
    for place in (spec.submodule_search_locations or []) if spec else []:
        program = Path(place) / ("zig.exe" if os.name == "nt" else "zig")
        if program.is_file():
            return program
    found = shutil.which("zig")
    return Path(found) if found else None


def compile_c(
    sources: Sequence[Path],
    out: Path,
    *,
    abi: Abi = "command",
    library: bool | None = None,
    flags: Sequence[str] = (),
) -> Path:
    """Compiles C or C++ to a module for the sandbox: optimised, with 128-bit vectors, without names. Blocks; takes a tenth of a second.

    Args:
        out: written, and given back. library: with the C library of WASI; None for "where the ABI is command".
        flags: more for the compiler, such as "-DSIDE=256".

    Raises:
        NoCompiler, DoesNotCompile: see there.
        WorldError: the compiler itself does not run.
    """
    program = zig()
    if program is None:
        raise NoCompiler("there is no C compiler for WebAssembly here")
    for source in sources:
        if not source.is_file():
            raise UsageError(f"{source} is no file")
        if source.suffix not in SUFFIXES:
            raise UsageError(f"{source} is no C or C++ source")
    with_library = abi == "command" if library is None else library
    target = ["-target", "wasm32-wasi" if with_library else "wasm32-freestanding"]
    if abi == "slice":
        target += ["-mexec-model=reactor"] if with_library else ["-Wl,--no-entry"]
    language = "cc" if all(source.suffix == ".c" for source in sources) else "c++"
    command = [
        str(program),
        language,
        *target,
        "-O3",
        "-msimd128",
        "-s",
        f"-Wl,-z,stack-size={STACK}",
        "-I",
        str(INCLUDE),
        *flags,
        "-o",
        str(out),
        *map(str, sources),
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as trouble:
        raise WorldError(f"the compiler does not run: {trouble}") from trouble
    if done.returncode != 0 or not out.is_file():
        said = done.stderr.decode(errors="replace").strip()
        raise DoesNotCompile(said[-2000:] or f"the compiler ended with {done.returncode}")
    return out
