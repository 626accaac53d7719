"""From C to a module for the sandbox, on this machine and without a node: what `servent grid build` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from servent.grid.manifests import Abi
from servent.grid.sandbox import cc

SUFFIXES = cc.SUFFIXES


def guess_abi(sources: Sequence[Path]) -> Abi:
    """Sources that include `servent.h` work in slices, others are programs."""
    for source in sources:
        try:
            if b'"servent.h"' in source.read_bytes():
                return "slice"
        except OSError:
            continue
    return "command"


def build(sources: Sequence[Path], out: Path, abi: Abi | None = None, flags: Sequence[str] = ()) -> Path:
    """Compiles; `abi` None guesses it. Blocks. Raises UsageError, WorldError, see `cc.compile_c`."""
    return cc.compile_c(sources, out, abi=abi or guess_abi(sources), flags=flags)
