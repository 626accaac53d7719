"""Scripts that have a project's volunteers compute: `Grid`, and `GridExecutor`, which is one of `concurrent.futures`.

    grid = servent.Grid()
    async for result in grid.map("wordcount", ["one two", "three"]):
        print(result.item, result.output)

    with servent.GridExecutor() as pool:
        print(list(pool.map("wordcount", ["one two", "three"])))

Both talk to the node that runs on this machine. What is computed is an app of a project, in the sandbox of whoever lends a machine.
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
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servent.api import schema_grid as grid
from servent.api.client import Client
from servent.errors import ServentError, UsageError, WorldError

log = logging.getLogger(__name__)

Item = bytes | str | Path  # a unit's input: the bytes themselves, text as UTF-8, or a file

ITEM_BYTES = 12 * 1024  # of an item, in a request; longer ones go as files
REQUEST_BYTES = 500_000  # of all items, in a request, which may have 1 MiB; more of them go as files
BATCH_ITEMS = 20_000  # of one batch
WAIT = 20.0  # s a question for results waits
GATHER = 0.05  # s in which what is submitted becomes one batch
LOOK_EVERY = 0.2  # s between two looks for results, where several batches are open


class GridFailure(WorldError):
    """A unit came to nothing: it failed on several machines, ran out of time, or was cancelled."""

    advice = "`servent grid errors` shows what went wrong where."


@dataclass(frozen=True, slots=True)
class GridResult:
    """What came of an item. `number`: its place among the items. `output`: b"" where `error` says why there is none.

    `verified`: more than one trusted machine's word stands behind it. `revised`: it replaces an earlier result of the same item.
    """

    number: int
    item: Item
    output: bytes = b""
    error: str = ""
    verified: bool = False
    revised: bool = False

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
        self.project = project or self._only_one()

    def _only_one(self) -> str:
        found = self.client.my_projects()
        if len(found) != 1:
            raise UsageError(
                "which project?" if found else "there is no project on this node",
                advice="Name it." if found else "`servent grid new NAME` makes one.",
            )
        return found[0].id

    async def map(
        self,
        app: str,
        items: Iterable[Item],
        *,
        args: Sequence[str] = (),
        priority: int = 0,
        deadline: float = 86400.0,
        expires: float | None = None,
        budget: float | None = None,
        title: str = "",
    ) -> AsyncIterator[GridResult]:
        """Submit the items and give what comes of them, in the order in which it comes. Leaving early cancels what is open.

        Args:
            app: its name, or "name/version".
            args: of every unit; "{name}" and "{number}" stand for the item's.
            deadline: seconds a volunteer has for one. expires: seconds after which what is not done is given up. budget: cobblestones that each batch of 20,000 items may cost.

        Raises:
            ApiError, NodeDown: the node says why. What fails on volunteers' machines is a result with `error`.
        """
        submitted: list[tuple[str, Sequence[Item], int]] = []
        open_batches: list[str] = []
        first = 0
        try:
            for some in _chunks(items, BATCH_ITEMS):
                how = _How(tuple(args), priority, deadline, expires, budget, title)
                batch = await asyncio.to_thread(_submit, self.client, self.project, app, some, how)
                submitted.append((batch.id, some, first))
                open_batches.append(batch.id)
                first += len(some)
            for id, given, begin in submitted:
                after, ended = 0, False
                while not ended:
                    page = await asyncio.to_thread(
                        self.client.batch_results, id, after=after, limit=1000, wait=WAIT
                    )
                    ended = page.ended
                    for one in page.results:
                        after = one.order
                        yield await asyncio.to_thread(_result, self.client, id, one, given, begin)
                open_batches.remove(id)
        finally:
            for id in open_batches:
                with contextlib.suppress(ServentError):
                    self.client.cancel_batch(id)

    def compute(
        self, app: str, items: Iterable[Item], *, args: Sequence[str] = (), expires: float | None = None
    ) -> Iterator[GridResult]:
        """The same without an event loop."""
        for some in _chunks(items, BATCH_ITEMS):
            batch = _submit(self.client, self.project, app, some, _How(tuple(args), expires=expires))
            ended = False
            try:
                for one in self.client.all_results(batch.id, wait=WAIT):
                    yield _result(self.client, batch.id, one, some, 0)
                ended = True
            finally:
                if not ended:
                    with contextlib.suppress(ServentError):
                        self.client.cancel_batch(batch.id)

    def executor(self) -> GridExecutor:
        return GridExecutor(self.project, client=self.client)


@dataclass(frozen=True, slots=True)
class _How:
    args: tuple[str, ...] = ()
    priority: int = 0
    deadline: float = 86400.0
    expires: float | None = None
    budget: float | None = None
    title: str = ""


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
    client: Client, batch: str, one: grid.UnitResult, items: Sequence[Item], first: int
) -> GridResult:
    item = items[one.number]
    if one.state != "done":
        words = one.why or one.state
        return GridResult(first + one.number, item, error=words, revised=one.revised)
    if one.output is None:
        output = client.result_file(batch, one.number)
    else:
        output = base64.b64decode(one.output) if one.base64 else one.output.encode()
    return GridResult(first + one.number, item, output, "", one.verified, one.revised)


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    some: list[Item] = []
    for item in items:
        if not isinstance(item, bytes | str | Path):
            raise UsageError(f"an item is bytes, text or a path, not {type(item).__name__}")
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
