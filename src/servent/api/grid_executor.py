"""`GridExecutor`: a project's volunteers as one of `concurrent.futures`.

with servent.GridExecutor() as pool:
    print(list(pool.map("wordcount", ["one two", "three"])))
    print(list(pool.map(simulate, range(100))))
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from servent.api import grid_python
from servent.api import schema_grid as grid
from servent.api.client import Client
from servent.api.grid_items import BATCH_ITEMS, GridFailure, How, Item, only_project, result_of, submit_items

GATHER = 0.05  # s in which what is submitted becomes one batch
LOOK_EVERY = 0.2  # s between two looks for results, where several batches are open

App = str | Callable[..., Any]


@dataclass(eq=False, slots=True)
class _Open:
    """A batch of which results are awaited, with a future for each number."""

    id: str
    items: list[Item]
    futures: list[Future[Any]]
    kind: str  # how a function's outputs travel; "" of an app that is named
    after: int = 0
    left: set[int] = field(default_factory=set)


class GridExecutor(Executor):
    """A real `concurrent.futures.Executor`: `submit(app, item, *args)` gives a Future of the output's bytes, `map(app, items)` the outputs in order.

    In place of an app's name a Python function, as `Grid.map` takes it: then the future is of what it returns. It is built, and added to the project,
    when it is first needed; what is submitted meanwhile waits for that.

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
        self._client = client if client is not None else Client.from_data_dir(data_dir)
        self._project, self._expires = project or only_project(self._client), expires
        self._lock = threading.Condition()
        self._waiting: dict[tuple[App, tuple[str, ...]], list[tuple[Item, Future[Any]]]] = {}
        self._functions: dict[Callable[..., Any], grid_python.Kinds] = {}
        self._open: dict[str, _Open] = {}
        self._going: list[Future[Any]] = []  # of what is being built and submitted now
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

        Args:
            fn: an app's name, or a function that stands at the left margin of a file. Its item is taken down as it is now.

        Raises:
            TypeError: neither of them, no item, or arguments by name.
            UsageError: a function that cannot be an app, or an item that it does not take; it says why.
            RuntimeError: after `shutdown`.
        """
        if not isinstance(fn, str) and not grid_python.is_plain(fn):
            raise TypeError(
                "volunteers run an app of the project, by its name, or a plain function: "
                f"{fn!r} is neither; write `def` at the left margin of a file"
            )
        if kwargs or not args:
            raise TypeError("submit(app, item, *arguments): an item, then texts")
        item, *rest = args
        if isinstance(fn, str):
            if not isinstance(item, bytes | str | Path) or not all(isinstance(one, str) for one in rest):
                raise TypeError("an item is bytes, text or a path; arguments are texts")
        else:
            if not all(isinstance(one, str | int | float) for one in rest):
                raise TypeError("further arguments of a function are texts and numbers")
            if fn not in self._functions:
                self._functions[fn] = grid_python.kinds(fn)
            item, rest = self._functions[fn].encoded(item), [str(one) for one in rest]
        future: Future[Any] = Future()
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
                for future in self._going:
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
                self._going = [future for some in gathered.values() for _, future in some]
                self._sending += 1
            try:
                for (app, args), some in gathered.items():
                    for at in range(0, len(some), BATCH_ITEMS):
                        self._send_one(app, args, some[at : at + BATCH_ITEMS])
            finally:
                with self._lock:
                    self._going = []
                    self._sending -= 1
                    self._lock.notify_all()

    def _send_one(self, app: App, args: tuple[str, ...], some: list[tuple[Item, Future[Any]]]) -> None:
        if not (wanted := _not_cancelled(some)):
            return
        kind = ""
        try:
            if not isinstance(app, str):
                made = grid_python.prepare(self._client, self._project, app, wanted[0][0], args)
                app, kind = made.named, made.output
                if not (wanted := _not_cancelled(wanted)):  # to build one takes its time
                    return
            items = [item for item, _ in wanted]
            how = How(args, expires=self._expires, title="of a script")
            batch = submit_items(self._client, self._project, app, items, how)
        except Exception as wrong:  # noqa: BLE001 - whoever waits for a future is told
            for _, future in wanted:
                _settle(future, wrong)
            return
        futures = [future for _, future in wanted]
        with self._lock:
            self._open[batch.id] = _Open(batch.id, items, futures, kind, left=set(range(len(futures))))
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
                        self._settle(batch, one)
                        batch.left.discard(one.number)  # only now: fetching an output may fail
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
        result = result_of(self._client, batch.id, one, batch.items, 0, batch.kind)
        if result.error:
            _settle(future, GridFailure(result.error))
        elif future.set_running_or_notify_cancel():
            future.set_result(result.value if batch.kind else result.output)


def _not_cancelled(some: list[tuple[Item, Future[Any]]]) -> list[tuple[Item, Future[Any]]]:
    return [(item, future) for item, future in some if not future.cancelled()]


def _settle(future: Future[Any], wrong: BaseException) -> None:
    if future.set_running_or_notify_cancel():
        future.set_exception(wrong)
