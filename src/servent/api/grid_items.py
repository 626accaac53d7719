"""What `Grid` and `GridExecutor` have in common: items that become a batch, and results that come of it."""

from __future__ import annotations

import base64
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from servent.api import grid_python
from servent.api import schema_grid as grid
from servent.api.client import Client
from servent.errors import UsageError, WorldError

Item = bytes | str | Path  # a unit's input: the bytes themselves, text as UTF-8, or a file

ITEM_BYTES = 12 * 1024  # of an item, in a request; longer ones go as files
REQUEST_BYTES = 500_000  # of all items, in a request, which may have 1 MiB; more of them go as files
BATCH_ITEMS = 20_000  # of one batch
BATCH_UNITS = 10_000_000  # of one batch, with all generations; as the node allows
WAIT = 20.0  # s a question for results waits


class GridFailure(WorldError):
    """A unit came to nothing: it failed on several machines, ran out of time, or was cancelled."""

    advice = "`servent grid errors` shows what went wrong where."


@dataclass(frozen=True, slots=True)
class GridResult:
    """What came of an item. `number`: its place among the items. `output`: b"" where `error` says why there is none.

    `value`: what a Python function gave; of an app that is named there are only the bytes. `verified`: more than one trusted machine's word stands behind it. `revised`: it replaces an earlier result of the same item (and generation); with `error`, that one
    does not hold, and another comes. `generation`: which of the item's it is, from 0.
    """

    number: int
    item: Any
    output: bytes = b""
    error: str = ""
    verified: bool = False
    revised: bool = False
    generation: int = 0
    value: Any = None

    @property
    def text(self) -> str:
        """The output as text. Raises UnicodeDecodeError."""
        return self.output.decode()


@dataclass(frozen=True, slots=True)
class How:
    args: tuple[str, ...] = ()
    priority: int = 0
    deadline: float = 86400.0
    expires: float | None = None
    budget: float | None = None
    title: str = ""
    generations: int = 1


def only_project(client: Client) -> str:
    """The only project of a node. Raises UsageError: there are several, or none."""
    found = client.my_projects()
    if len(found) != 1:
        names = ", ".join(one.name for one in found[:5])
        raise UsageError(
            f"there are several projects: {names}" if found else "there is no project on this node",
            advice=f"Say which: servent.Grid({found[0].name!r})."
            if found
            else "`servent grid new NAME` makes one.",
        )
    return found[0].id


def submit_items(client: Client, project: str, app: str, items: Sequence[Item], how: How) -> grid.Batch:
    """One batch whose numbers are places in `items`."""
    named: dict[str, Any] = {
        "app": app,
        "args": list(how.args),
        "priority": how.priority,
        "deadline": how.deadline,
        "expires": how.expires,
        "budget": how.budget,
        "title": how.title,
        "generations": how.generations,
    }
    data = [one.encode() if isinstance(one, str) else one for one in items]
    small = [one for one in data if isinstance(one, bytes) and len(one) <= ITEM_BYTES]
    if len(small) == len(data) and sum(map(len, small)) + 8 * len(small) <= REQUEST_BYTES:
        said = [base64.b64encode(one).decode() for one in small]
        return client.submit(project, grid.NewBatch(items=said, items_base64=True, **named))
    with tempfile.TemporaryDirectory(prefix="servent-items-") as folder:
        for number, one in enumerate(data):  # in a folder files are taken by name
            path = Path(folder, f"{number:09d}")
            if isinstance(one, Path):
                shutil.copyfile(one, path)
            else:
                path.write_bytes(one)
        return client.submit(project, grid.NewBatch(paths=[folder], **named))  # stored when it returns


def result_of(
    client: Client, batch: str, one: grid.UnitResult, items: Sequence[Any], first: int, kind: str = ""
) -> GridResult:
    place = one.number % len(items)  # later generations have the numbers behind those of all items
    item, number, turn = items[place], first + place, one.generation
    if one.state != "done":
        words = one.why or one.state
        return GridResult(number, item, error=words, revised=one.revised, generation=turn)
    if one.output is None:
        output = client.result_file(batch, one.number)
    else:
        output = base64.b64decode(one.output) if one.base64 else one.output.encode()
    value, error = grid_python.value(output, kind) if kind else (None, "")
    return GridResult(number, item, output, error, one.verified, one.revised, turn, value)
