"""Scripts that have a project's volunteers compute; `grid_executor` is the same as one of `concurrent.futures`.

    grid = servent.Grid()
    async for result in grid.map("wordcount", ["one two", "three"]):
        print(result.item, result.output)

It talks to the node that runs on this machine. What is computed is an app of a project, in the sandbox of whoever lends a machine, or a Python
function, which is built and becomes one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from servent.api import grid_python
from servent.api import schema_grid as grid
from servent.api.client import Client
from servent.api.grid_executor import GridExecutor
from servent.api.grid_friends import results
from servent.api.grid_items import (
    BATCH_ITEMS,
    BATCH_UNITS,
    WAIT,
    GridResult,
    How,
    Item,
    only_project,
    result_of,
    submit_items,
)
from servent.api.grid_progress import Bar
from servent.errors import ServentError, UsageError

log = logging.getLogger(__name__)


class Grid:
    """A project's volunteers, from a script.

    Args:
        project: of this node, by name, key or link; "" where it has only one.
        data_dir: of the node; None for the usual place.
        client: another way to the node, in place of `data_dir`.

    Raises:
        NodeDown: no node runs there.
    """

    def __init__(
        self, project: str = "", *, data_dir: Path | None = None, client: Client | None = None
    ) -> None:
        self.client = client if client is not None else Client.from_data_dir(data_dir)
        self._named = project
        if not project:
            try:
                self._named = only_project(self.client)
            except UsageError:
                if not any(one.submit for one in self.client.clusters()):  # then only friends are meant
                    raise

    @property
    def project(self) -> str:
        """Whose volunteers compute: what was named, else the only one of this node. Raises UsageError."""
        if not self._named:
            self._named = only_project(self.client)
        return self._named

    async def map(
        self,
        app: str | Callable[..., Any],
        items: Iterable[Any],
        *,
        trust: Literal["strangers", "friends"] = "strangers",
        cluster: str = "",
        group: str = "",
        progress: bool = False,
        args: Sequence[Any] = (),
        priority: int = 0,
        deadline: float = 86400.0,
        expires: float | None = None,
        budget: float | None = None,
        title: str = "",
        generations: int = 1,
    ) -> AsyncIterator[GridResult]:
        """Submit the items and give what comes of them, in the order in which it comes. Leaving early cancels what is open.

        Args:
            app: its name, or "name/version"; or a Python function of a file (see `servent.grid.app`), which is built, and added where the project does not have it. Its items are what the
                function takes: values that JSON has, `bytes` or `str` by its annotations, or paths of files that hold them. With friends any Python function, which takes an item and `args`.
            trust: "strangers" compute apps in a sandbox, and are checked; "friends" run Python itself, on the Dask `cluster` (the only one, where it is not named) and
                there on the machines of `group`. Then an item is anything that pickles, and each result has a `value`.
            progress: draw how far it is on stderr.
            args: of every unit; "{name}" and "{number}" stand for the item's.
            deadline: seconds a volunteer has for one. expires: seconds after which what is not done is given up. budget: cobblestones that each batch of 20,000 items may cost.
            generations: so many units one after the other for each item, the result of one is the input of the next; each generation's result is given.

        Raises:
            ApiError, NodeDown: the node says why. What fails on others' machines is a result with `error`.
        """
        how = How(tuple(args), priority, deadline, expires, budget, title, generations)
        given = list(items) if trust == "friends" or progress else items
        total = len(given) * generations if isinstance(given, list) else None
        with Bar(
            progress, total, title or (app if isinstance(app, str) else getattr(app, "__name__", "map"))
        ) as bar:
            if trust == "friends":
                if isinstance(app, str):
                    raise UsageError(
                        "friends compute Python functions",
                        advice='Give the function itself, or trust="strangers".',
                    )
                found = results(self.client, app, given, args=args, cluster=cluster, group=group)
                async with contextlib.aclosing(found):
                    async for number, item, value, error in found:
                        bar.one(error)
                        yield GridResult(number, item, error=error, value=value)
                return
            async with contextlib.aclosing(self._strangers(app, given, how)) as coming:
                async for one in coming:
                    if not one.revised:
                        bar.one(one.error)
                    yield one

    async def _strangers(
        self, app: str | Callable[..., Any], items: Iterable[Any], how: How
    ) -> AsyncGenerator[GridResult, None]:
        submitted: list[tuple[str, Sequence[Any], int, str]] = []
        open_batches: list[str] = []
        first = 0
        try:
            for some in _chunks(items, _most(how.generations)):
                batch, kind = await asyncio.to_thread(self._submitted, app, some, how)
                submitted.append((batch.id, some, first, kind))
                open_batches.append(batch.id)
                first += len(some)
            for id, given, begin, kind in submitted:
                after, ended = 0, False
                while not ended:
                    page = await asyncio.to_thread(
                        self.client.batch_results, id, after=after, limit=1000, wait=WAIT
                    )
                    ended = page.ended
                    for one in page.results:
                        after = one.order
                        yield await asyncio.to_thread(result_of, self.client, id, one, given, begin, kind)
                open_batches.remove(id)
        finally:
            for id in open_batches:
                with contextlib.suppress(ServentError):
                    self.client.cancel_batch(id)

    def compute(
        self,
        app: str | Callable[..., Any],
        items: Iterable[Any],
        *,
        args: Sequence[Any] = (),
        expires: float | None = None,
        generations: int = 1,
    ) -> Iterator[GridResult]:
        """The same without an event loop."""
        for some in _chunks(items, _most(generations)):
            how = How(tuple(args), expires=expires, generations=generations)
            batch, kind = self._submitted(app, some, how)
            ended = False
            try:
                for one in self.client.all_results(batch.id, wait=WAIT):
                    yield result_of(self.client, batch.id, one, some, 0, kind)
                ended = True
            finally:
                if not ended:
                    with contextlib.suppress(ServentError):
                        self.client.cancel_batch(batch.id)

    def _submitted(self, app: str | Callable[..., Any], some: list[Any], how: How) -> tuple[grid.Batch, str]:
        """A batch of these items, and how its outputs travel; "" of an app that is named. Blocks."""
        if isinstance(app, str):
            return submit_items(self.client, self.project, app, [_checked(item) for item in some], how), ""
        how = replace(how, args=tuple(str(one) for one in how.args))
        made = grid_python.prepare(self.client, self.project, app, some[0], how.args)
        given = [made.encoded(item) for item in some]
        return submit_items(self.client, self.project, made.named, given, how), made.output

    def executor(self) -> GridExecutor:
        return GridExecutor(self.project, client=self.client)


def _most(generations: int) -> int:
    """Items of one batch."""
    return max(1, min(BATCH_ITEMS, BATCH_UNITS // max(1, generations)))


def _checked(item: Any) -> Item:
    if not isinstance(item, bytes | str | Path):
        raise UsageError(f"an item is bytes, text or a path, not {type(item).__name__}")
    return item


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    some: list[Any] = []
    for item in items:
        some.append(item)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some
