"""Where arriving pieces go: checked against their hashes and written, in threads, before anybody counts them."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

from servent.blobs import tree
from servent.blobs.info import Collection
from servent.blobs.lanes_hasher import Hasher
from servent.blobs.lanes_pace import Buffers
from servent.errors import DiskTrouble

log = logging.getLogger(__name__)

UNIT = 1024 * 1024  # bytes that are checked and written in one go: one big piece, or many small ones


def workers() -> int:
    """Threads that check and write, for the whole node: one writes while the other waits for its hashes."""
    return 2


class Mailbox:
    """Calls from any thread that the loop carries out in order; many at once cost one wake-up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._lock = threading.Lock()
        self._due = False

    def post(self, call: Callable[..., None], *arguments: Any) -> None:
        """Have the loop run `call(*arguments)` soon. After the loop closed: nothing."""
        with self._lock:
            self._calls.append((call, arguments))
            if self._due:
                return
            self._due = True
        try:
            self._loop.call_soon_threadsafe(self._run)
        except RuntimeError:  # the loop is closed: nobody is left to care
            with self._lock:
                self._calls.clear()

    def _run(self) -> None:
        with self._lock:
            self._due = False
            calls, self._calls = self._calls, deque()
        for call, arguments in calls:
            call(*arguments)


class Sink(Protocol):
    """What is written to: disk.Partial."""

    def write_pieces(self, first: int, datas: Sequence[memoryview]) -> None: ...


class Checked(NamedTuple):
    """Pieces from `first` on: which were right and are written. `trouble`: the disk took none of the others."""

    lane: object
    first: int
    good: list[bool]
    trouble: DiskTrouble | None


class Intake:
    """Checks and writes what lanes of one download deliver.

    Args:
        pool: the node's checking threads.
        done: called on the loop with every outcome.
    """

    def __init__(
        self,
        collection: Collection,
        sink: Sink,
        pool: ThreadPoolExecutor,
        buffers: Buffers,
        hasher: Hasher,
        mail: Mailbox,
        done: Callable[[Checked], None],
    ) -> None:
        self.collection = collection
        self.buffers = buffers
        self.foreground = False  # a person waits for it: not held back for others on the line
        self._hasher = hasher
        self._sink, self._pool, self._mail, self._done = sink, pool, mail, done
        self._sizes = collection.piece_sizes()
        self._lock = threading.Lock()
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def size(self, first: int, count: int) -> int:
        """Bytes of `count` pieces from `first`."""
        return sum(self._sizes[first : first + count])

    def unit(self, first: int, count: int) -> tuple[int, int]:
        """(pieces, bytes) of what to take together, of `count` pieces from `first`: at least one piece."""
        sizes = self._sizes
        total = sizes[first]
        taken = 1
        while taken < count and total + sizes[first + taken] <= UNIT:
            total += sizes[first + taken]
            taken += 1
        return taken, total

    def submit(self, lane: object, first: int, count: int, buffer: memoryview) -> None:
        """Check the pieces that lie one after the other in `buffer`, which is given back afterwards. Any thread."""
        with self._lock:
            self._busy += 1
        try:
            self._pool.submit(self._job, lane, first, count, buffer)
        except RuntimeError:  # the node is closing
            self.buffers.give(buffer)
            self._mail.post(self._over, Checked(lane, first, [], None))

    async def drained(self) -> None:
        """Wait until nothing is being checked or written."""
        while self._busy:
            self._idle.clear()
            await self._idle.wait()

    def _job(self, lane: object, first: int, count: int, buffer: memoryview) -> None:
        try:
            outcome = self._check(lane, first, count, buffer)
        except BaseException as error:
            log.exception("a bug while pieces were checked")
            outcome = Checked(lane, first, [False] * count, DiskTrouble(f"a bug: {error!r}"))
        finally:
            self.buffers.give(buffer)
        self._mail.post(self._over, outcome)

    def _check(self, lane: object, first: int, count: int, buffer: memoryview) -> Checked:
        at = 0
        views: list[memoryview] = []
        good: list[bool] = []
        for piece in range(first, first + count):
            size = self._sizes[piece]
            view = buffer[at : at + size]
            at += size
            views.append(view)
            if count == 1:
                leaves = self._hasher.leaves(buffer, size, self.buffers.offset(buffer))
                root = tree.root_of_layer(leaves, self.collection.piece_width(piece))
                good.append(root == self.collection.expected(piece))
            else:
                good.append(self.collection.verify(piece, view))
        try:
            start = 0
            while start < count:
                if not good[start]:
                    start += 1
                    continue
                stop = start
                while stop < count and good[stop]:
                    stop += 1
                self._sink.write_pieces(first + start, views[start:stop])
                start = stop
        except DiskTrouble as trouble:
            return Checked(lane, first, good, trouble)
        return Checked(lane, first, good, None)

    def _over(self, outcome: Checked) -> None:
        with self._lock:
            self._busy -= 1
            idle = not self._busy
        if idle:
            self._idle.set()
        if outcome.good:
            self._done(outcome)
