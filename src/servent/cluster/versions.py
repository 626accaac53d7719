"""Which versions two processes of a cluster run, whether they fit, and what to install where they do not. A core.

Dask's messages are pickles of its own classes, and cloudpickle sends functions as bytecode: another Python or another Dask at the other end
fails late and strangely, so it is said at the door.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from servent.cluster.rosters import Role

EXACT = ("dask", "distributed")  # the same to the last figure
CLOSE = (
    "cloudpickle",
    "msgpack",
    "numpy",
    "pandas",
    "pyarrow",
)  # the same major version, or a word in the log
# What PEP 440 makes of a version: others' stand in a command that people copy.
_Version = Annotated[str, Meta(max_length=40, pattern=r"^[0-9A-Za-z.!+_-]*\Z")]


class Versions(Struct, frozen=True, array_like=True):
    """`python`: "3.11.7". `packages`: of `EXACT` and `CLOSE`, what is installed."""

    python: _Version
    packages: Annotated[dict[Annotated[str, Meta(max_length=40)], _Version], Meta(max_length=16)] = {}


def unfit(here: Versions, there: Versions, them: Role) -> str | None:
    """Why `here` and `there` cannot work together, and what to install here, in one sentence; None when they can.

    Args:
        them: what the other process is.
    """
    wrong = [] if _minor(here.python) == _minor(there.python) else [f"Python {_minor(there.python)}"]
    wrong_packages = {
        name: there.packages.get(name, "")
        for name in EXACT
        if here.packages.get(name, "") != there.packages.get(name, "")
    }
    wrong += [f"{name} {version or 'missing'}" for name, version in wrong_packages.items()]
    if not wrong:
        return None
    mine = [] if _minor(here.python) == _minor(there.python) else [f"Python {_minor(here.python)}"]
    mine += [f"{name} {here.packages.get(name) or 'missing'}" for name in wrong_packages]
    wanted = " ".join(f"'{name}=={version}'" for name, version in wrong_packages.items() if version)
    steps = []
    if mine and mine[0].startswith("Python"):
        steps.append(f"run Python {_minor(there.python)}")
    if wanted:
        steps.append(f"`python -m pip install {wanted}`")
    said = f"the {them} has {', '.join(wrong)}; here it is {', '.join(mine)}"
    return f"{said}: {' and '.join(steps)}" if steps else said


def doubts(here: Versions, there: Versions) -> list[str]:
    """Packages whose versions differ so that some pickles may not load: "numpy 1.26.4 there, 2.4.6 here"."""
    return [
        f"{name} {there.packages[name]} there, {here.packages[name]} here"
        for name in CLOSE
        if name in here.packages and name in there.packages
        if here.packages[name].partition(".")[0] != there.packages[name].partition(".")[0]
    ]


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
