"""From C or Python to a module for the sandbox, on this machine and without a node: what `servent grid build` does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from servent.errors import UsageError
from servent.grid.manifests import Abi
from servent.grid.pyapps import build as python
from servent.grid.sandbox import cc, components, modules

SUFFIXES = cc.SUFFIXES
PYTHON = ".py"


def cache() -> Path:
    """Where built Python apps are kept: one that was built need not be built again before it is submitted."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("servent", appauthor=False)) / "python-apps"


def guess_abi(sources: Sequence[Path]) -> Abi:
    """Sources that include `servent.h` work in slices, Python is "python", others are programs."""
    if any(source.suffix == PYTHON for source in sources):
        return "python"
    for source in sources:
        try:
            if b'"servent.h"' in source.read_bytes():
                return "slice"
        except OSError:
            continue
    return "command"


def build(
    sources: Sequence[Path],
    out: Path,
    abi: Abi | None = None,
    flags: Sequence[str] = (),
    *,
    function: str = "",
) -> Path:
    """Compiles; `abi` None guesses it. `function`: of a Python source with several apps. Blocks. Raises UsageError, WorldError, see `cc.compile_c` and `pyapps.build`."""
    wanted = abi or guess_abi(sources)
    if wanted == "python":
        if len(sources) != 1 or flags:
            raise UsageError(
                "a Python app is built from one file, without flags",
                advice="What the file imports is taken along, also from beside it.",
            )
        python.build(sources[0], out, function, cache())
        return out
    if function:
        raise UsageError("`--function` belongs to Python")
    return cc.compile_c(sources, out, abi=wanted, flags=flags)


def about(module: Path) -> str:
    """What a Python app says of itself, for volunteers: the first line of its function's docstring. Empty where it is none."""
    import json

    try:
        said = json.loads(components.read(module.read_bytes()).about)
        return str(said.get("about", ""))[:500]
    except (OSError, ValueError, RecursionError, AttributeError, modules.Unfit):
        return ""
