"""What the commands of `grid` share: credit, ends, states and progress in words, and which project or input is meant."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from servent.api import schema_grid as grid
from servent.cli.asking import on_this_machine
from servent.cli.people import one_line
from servent.cli.text import clean, duration, many
from servent.errors import NotFound, UsageError

if TYPE_CHECKING:
    from servent.api.client import Client

STATES = ("waiting", "running", "checking", "done", "error", "cancelled")
OVER = ("done", "cancelled")
MOST_STDIN = 1024**3  # bytes

project_option = click.option(
    "--project",
    default="",
    metavar="NAME",
    help="Which of your projects; may be left out where there is one.",
)


def credit(cobblestones: float) -> str:
    """Cobblestones as people read them: 0.004, 3.21, 41.3, 12,300."""
    if not cobblestones:
        return "0"
    size = abs(cobblestones)
    if size < 0.001:
        return f"{cobblestones:.1g}"
    return f"{cobblestones:,.{3 if size < 1 else 2 if size < 10 else 1 if size < 1000 else 0}f}"


def being_quick(k: float) -> str:
    """What a project pays for being quick: `credit.bonus` of the grid, in words; "" for nothing."""
    return f"√({k:g} × deadline / time taken) times as much for quick results, at most 10" if k else ""


def left(eta: float | None) -> str:
    """ "12 min 5 s left"; "" where nobody can tell."""
    return "" if eta is None else f"{duration(eta)} left"


def ago(at: float, now: float | None = None) -> str:
    return "never" if not at else f"{duration((now or time.time()) - at)} ago"


def share_of(done: float, of: float) -> str:
    """Never 100 % before it is."""
    if not of:
        return ""
    part = min(1.0, done / of)
    return f"{min(part, 1.0 if done >= of else 0.999):.1%}".replace(".0%", "%")


def count(number: float) -> str:
    return f"{number:,.0f}"


def states(by_state: dict[str, int]) -> str:
    """ "12 running, 3 waiting, 85 done"; the others where there are some."""
    known = [f"{count(by_state[name])} {name}" for name in STATES if by_state.get(name)]
    return ", ".join(known) or "no work yet"


def flops(operations: float) -> str:
    """3.1e12 -> "3.10 TFLOP"."""
    for unit, size in (("P", 1e15), ("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if operations >= size:
            return f"{operations / size:.3g} {unit}FLOP"
    return f"{operations:.0f} FLOP"


def my_project(client: Client, name: str = "", app: str = "") -> grid.MyProject:
    """The own project of that name; without a name, the only one that is not closed, or the only one of those that has the `app` (its name, "name/version" or id).

    Raises:
        NotFound: none. UsageError: several, and no name.
    """
    if name:
        return client.my_project(name)
    known = client.my_projects()
    open_ones = [one for one in known if not one.closed] or known
    if not open_ones:
        raise NotFound("this node has no project", advice="`servent grid new NAME` makes one.")
    if len(open_ones) > 1:
        having = [one for one in open_ones if app and any(_is(of, app) for of in one.apps)]
        if len(having) == 1:
            return having[0]
        names = ", ".join(one_line(one.name) for one in open_ones[:5])
        raise UsageError(
            f"there are several projects: {names}",
            advice=f"Say which, by its name; where it is an option: --project {shlex.quote(one_line(open_ones[0].name))}",
        )
    return open_ones[0]


def _is(app: grid.GridApp, called: str) -> bool:
    return not app.retired and called in (app.name, f"{app.name}/{app.version}", app.id)


def my_batch(client: Client, number: str | None) -> grid.Batch:
    """The batch of that number; without one, the newest. Raises NotFound."""
    if number:
        return client.batch(number)
    known = client.batches()
    if not known:
        raise NotFound("no work was submitted yet", advice="`servent grid submit APP INPUTS` does.")
    return max(known, key=lambda one: int(one.id))


def how_far(batch: grid.Batch) -> tuple[float, str]:
    """The part that is over, and the rest in words."""
    over = batch.done + batch.errors + batch.cancelled
    words = [f"{count(over)} of {count(batch.units)}"]
    if batch.generations > 1 and over < batch.units:
        now = over * batch.generations // max(1, batch.units) + 1
        words.insert(0, f"generation {count(now)} of {count(batch.generations)}")
    if batch.errors:
        words.append(many(batch.errors, "error"))
    if batch.eta is not None:
        words.append(left(batch.eta))
    elif batch.why:
        words.append(one_line(batch.why))
    return (over / batch.units if batch.units else 0.0), ", ".join(words)


def standing(state: str, why: str) -> str:
    """A state with its reason; the reason alone where it says the state itself."""
    said = one_line(why)
    if not said:
        return state
    return said if said.startswith(state) else f"{state}: {said}"


def called(name: str, key: str) -> str:
    """What somebody calls themselves, with the beginning of their key: names are anybody's to take."""
    name = one_line(name)
    return f"{name} ({key[:6]})" if name else key[:12]


def plain(output: str) -> str:
    """A result's text for a terminal or a pipe, without what a terminal would obey, and one line end less."""
    text = output.removesuffix("\n").removesuffix("\r")
    return "\n".join(clean(line) for line in text.split("\n"))


@contextlib.contextmanager
def as_file(given: str) -> Iterator[str]:
    """A path that the node can read: `given`, or what comes on stdin where it is "-". Gone after the block.

    Raises:
        UsageError: stdin is a terminal, or too much comes.
    """
    from pathlib import Path

    if given != "-":
        yield on_this_machine(Path(given))
        return
    if sys.stdin.isatty():
        raise UsageError("stdin is a terminal", advice="Pipe something in, or name a file.")
    handle, name = tempfile.mkstemp(prefix="servent-")
    try:
        with os.fdopen(handle, "wb") as file:
            taken = 0
            while piece := sys.stdin.buffer.read(1024 * 1024):
                taken += len(piece)
                if taken > MOST_STDIN:
                    raise UsageError("more than 1 GiB came on stdin", advice="Name a file.")
                file.write(piece)
        yield name
    finally:
        with contextlib.suppress(OSError):
            os.unlink(name)


def piped() -> bool:
    """Whether somebody feeds our stdin: a pipe or a file, not a terminal, /dev/null, or nothing."""
    import stat

    try:
        kind = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError, AttributeError):
        return False
    return stat.S_ISFIFO(kind) or stat.S_ISREG(kind)
