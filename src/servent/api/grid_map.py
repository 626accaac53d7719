"""Scripts that have a project's volunteers compute: `Grid`, and `GridExecutor`, which is one of `concurrent.futures`.

    grid = servent.Grid()
    async for result in grid.map("wordcount", ["one two", "three"]):
        print(result.item, result.output)

    with servent.GridExecutor() as pool:
        print(list(pool.map("wordcount", ["one two", "three"])))

Both talk to the node that runs on this machine. What is computed is an app of a project, in the sandbox of whoever lends a machine; `Grid` also
takes a Python function in place of an app's name, and builds it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from servent.api import grid_python
from servent.api import schema_grid as grid
from servent.api.client import Client
from servent.api.grid_friends import results
from servent.api.grid_progress import Bar
from servent.errors import ServentError, UsageError, WorldError

log = logging.getLogger(__name__)

Item = bytes | str | Path  # a unit's input: the bytes themselves, text as UTF-8, or a file

ITEM_BYTES = 12 * 1024  # of an item, in a request; longer ones go as files
REQUEST_BYTES = 500_000  # of all items, in a request, which may have 1 MiB; more of them go as files
BATCH_ITEMS = 20_000  # of one batch
BATCH_UNITS = 10_000_000  # of one batch, with all generations; as the node allows
WAIT = 20.0  # s a question for results waits
GATHER = 0.05  # s in which what is submitted becomes one batch
LOOK_EVERY = 0.2  # s between two looks for results, where several batches are open


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
                self._named = self._only_one()
            except UsageError:
                if not any(one.submit for one in self.client.clusters()):  # then only friends are meant
                    raise

    @property
    def project(self) -> str:
        """Whose volunteers compute: what was named, else the only one of this node. Raises UsageError."""
        if not self._named:
            self._named = self._only_one()
        return self._named

    def _only_one(self) -> str:
        found = self.client.my_projects()
        if len(found) != 1:
            names = ", ".join(one.name for one in found[:5])
            raise UsageError(
                f"there are several projects: {names}" if found else "there is no project on this node",
                advice=f"Say which: servent.Grid({found[0].name!r})."
                if found
                else "`servent grid new NAME` makes one.",
            )
        return found[0].id

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
        how = _How(tuple(args), priority, deadline, expires, budget, title, generations)
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
        self, app: str | Callable[..., Any], items: Iterable[Any], how: _How
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
                        yield await asyncio.to_thread(_result, self.client, id, one, given, begin, kind)
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
            how = _How(tuple(args), expires=expires, generations=generations)
            batch, kind = self._submitted(app, some, how)
            ended = False
            try:
                for one in self.client.all_results(batch.id, wait=WAIT):
                    yield _result(self.client, batch.id, one, some, 0, kind)
                ended = True
            finally:
                if not ended:
                    with contextlib.suppress(ServentError):
                        self.client.cancel_batch(batch.id)

    def _submitted(self, app: str | Callable[..., Any], some: list[Any], how: _How) -> tuple[grid.Batch, str]:
        """A batch of these items, and how its outputs travel; "" of an app that is named. Blocks."""
        if isinstance(app, str):
            return _submit(self.client, self.project, app, [_checked(item) for item in some], how), ""
        how = replace(how, args=tuple(str(one) for one in how.args))
        made = grid_python.prepare(self.client, self.project, app, some[0], how.args)
        given = [made.encoded(item) for item in some]
        return _submit(self.client, self.project, made.named, given, how), made.output

    def executor(self) -> GridExecutor:
        return GridExecutor(self.project, client=self.client)


def _most(generations: int) -> int:
    """Items of one batch."""
    return max(1, min(BATCH_ITEMS, BATCH_UNITS // max(1, generations)))


@dataclass(frozen=True, slots=True)
class _How:
    args: tuple[str, ...] = ()
    priority: int = 0
    deadline: float = 86400.0
    expires: float | None = None
    budget: float | None = None
    title: str = ""
    generations: int = 1


def _submit(client: Client, project: str, app: str, items: Sequence[Item], how: _How) -> grid.Batch:
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


def _result(
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


@dataclass(eq=False, slots=True)
class _Open:
    """A batch of which results are awaited, with a future for each number."""

    id: str
    items: list[Item]
    futures: list[Future[bytes]]
    after: int = 0
    left: set[int] = field(default_factory=set)


class GridExecutor(Executor):
    """A real `concurrent.futures.Executor`: `submit(app, item, *args)` gives a Future of the output's bytes, `map(app, items)` the outputs in order.

    What is submitted within 0.05 s for the same app and arguments travels as one batch. A failed unit raises `GridFailure` from its future.

    Args: as `Grid`. `expires`: seconds after which a unit that is not done is given up; None for never.
    """

    def __init__(
        self,
        project: str = "",
        *,
        data_dir: Path | None = None,
        client: Client | None = None,
        expires: float | None = None,
    ) -> None:
        whole = Grid(project, data_dir=data_dir, client=client)
        self._client, self._project, self._expires = whole.client, whole.project, expires
        self._lock = threading.Condition()
        self._waiting: dict[tuple[str, tuple[str, ...]], list[tuple[Item, Future[bytes]]]] = {}
        self._open: dict[str, _Open] = {}
        self._sending = 0
        self._over = False
        self._threads = [
            threading.Thread(target=self._send, name="grid submit", daemon=True),
            threading.Thread(target=self._collect, name="grid results", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have `app` compute an item: `submit("wordcount", "one two")`; further arguments are the unit's.

        Raises:
            TypeError: no name of an app, no item, or arguments by name.
            RuntimeError: after `shutdown`.
        """
        if not isinstance(fn, str):
            raise TypeError("volunteers run an app of the project: give its name, not a Python function")
        if kwargs or not args:
            raise TypeError("submit(app, item, *arguments): an item, then texts")
        item, *rest = args
        if not isinstance(item, bytes | str | Path) or not all(isinstance(one, str) for one in rest):
            raise TypeError("an item is bytes, text or a path; arguments are texts")
        future: Future[bytes] = Future()
        with self._lock:
            if self._over:
                raise RuntimeError("this executor was shut down")
            self._waiting.setdefault((fn, tuple(rest)), []).append((item, future))
            self._lock.notify_all()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take nothing more; `wait` for what was submitted, or `cancel_futures`."""
        with self._lock:
            self._over = True
            if cancel_futures:
                for some in self._waiting.values():
                    for _, future in some:
                        future.cancel()
                for batch in self._open.values():
                    for future in batch.futures:
                        future.cancel()
            self._lock.notify_all()
        if wait:
            for thread in self._threads:
                thread.join()

    # -- in threads of its own

    def _send(self) -> None:
        while True:
            with self._lock:
                while not self._waiting and not self._over:
                    self._lock.wait()
                if not self._waiting:
                    return
            time.sleep(GATHER)
            with self._lock:
                gathered, self._waiting = self._waiting, {}
                self._sending += 1
            try:
                for (app, args), some in gathered.items():
                    for at in range(0, len(some), BATCH_ITEMS):
                        self._send_one(app, args, some[at : at + BATCH_ITEMS])
            finally:
                with self._lock:
                    self._sending -= 1
                    self._lock.notify_all()

    def _send_one(self, app: str, args: tuple[str, ...], some: list[tuple[Item, Future[bytes]]]) -> None:
        wanted = [(item, future) for item, future in some if not future.cancelled()]
        if not wanted:
            return
        items = [item for item, _ in wanted]
        try:
            batch = _submit(
                self._client,
                self._project,
                app,
                items,
                _How(args, expires=self._expires, title="of a script"),
            )
        except Exception as wrong:  # noqa: BLE001 - whoever waits for a future is told
            for _, future in wanted:
                _settle(future, wrong)
            return
        made = _Open(batch.id, items, [future for _, future in wanted], left=set(range(len(wanted))))
        with self._lock:
            self._open[batch.id] = made
            self._lock.notify_all()

    def _collect(self) -> None:
        while True:
            with self._lock:
                while not self._open:
                    if self._over and not self._waiting and not self._sending:
                        return
                    self._lock.wait()
                batches = list(self._open.values())
            for batch in batches:
                self._look(batch, LOOK_EVERY if batch is batches[0] else 0.0)

    def _look(self, batch: _Open, wait: float) -> None:
        over = False
        try:
            if all(batch.futures[number].cancelled() for number in batch.left):
                self._client.cancel_batch(batch.id)
                over = True
            else:
                page = self._client.batch_results(batch.id, after=batch.after, limit=1000, wait=wait)
                for one in page.results:
                    batch.after = one.order
                    if one.number in batch.left:
                        batch.left.discard(one.number)
                        self._settle(batch, one)
                over = page.ended or not batch.left
                if page.ended:
                    for number in batch.left:
                        _settle(batch.futures[number], GridFailure("the batch was cancelled"))
        except Exception as wrong:  # noqa: BLE001 - whoever waits for a future is told
            for number in batch.left:
                _settle(batch.futures[number], wrong)
            over = True
        if over:
            with self._lock:
                self._open.pop(batch.id, None)
                self._lock.notify_all()

    def _settle(self, batch: _Open, one: grid.UnitResult) -> None:
        future = batch.futures[one.number]
        result = _result(self._client, batch.id, one, batch.items, 0)
        if result.error:
            _settle(future, GridFailure(result.error))
        elif future.set_running_or_notify_cancel():
            future.set_result(result.output)


def _settle(future: Future[bytes], wrong: BaseException) -> None:
    if future.set_running_or_notify_cancel():
        future.set_exception(wrong)
