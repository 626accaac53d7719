"""Processes that read the store of items beside the node: started when the load calls for it, ended when it is over."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import deque
from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path

from msgspec import MsgspecError, structs

from servent.overlay.items_wire import Ask, Frames, Told, frame, tolds

log = logging.getLogger(__name__)

FRAMES = 2  # of questions that a process has at a time: one at work, one that waits
DEPTH = 16  # questions in one frame
IDLE = 60.0  # s without a question, after which a process is ended
DEATHS, DEATHS_WITHIN = 5, 60.0  # so many in so short a time, and none is started for as long again
PATIENCE = 2.0  # s for a process to end by itself
SLOW = 30.0  # s without an answer to what it was asked: it hangs


class ReaderLost(Exception):
    """No process answered this question: ask the store itself."""


def can_start() -> bool:
    """Whether this program can start processes of itself."""
    return not getattr(sys, "frozen", False) and bool(sys.executable)


def cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Reader(asyncio.SubprocessProtocol):
    """One process, and the questions that it has."""

    def __init__(self, told: Callable[[_Reader, list[Told]], None], lost: Callable[[_Reader], None]) -> None:
        self._told, self._lost = told, lost
        self._frames = Frames()
        self._process: asyncio.SubprocessTransport | None = None
        self._input: asyncio.WriteTransport | None = None
        self.asked: dict[int, Ask] = {}
        self._last: deque[int] = deque()  # the last question of each frame
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        pipe = transport.get_pipe_transport(0)
        assert isinstance(pipe, asyncio.WriteTransport)
        self._process, self._input = transport, pipe

    @property
    def pid(self) -> int | None:
        """None before it began."""
        return self._process.get_pid() if self._process is not None else None

    @property
    def frames(self) -> int:
        """That it has not answered yet."""
        return len(self._last)

    def ask(self, some: list[Ask]) -> None:
        assert self._input is not None
        self._last.append(some[-1].number)
        for one in some:
            self.asked[one.number] = one
        self._input.write(frame(some))

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        try:
            found = [told for body in self._frames.feed(data) for told in tolds.decode(body)]
        except MsgspecError:
            log.exception("a reader of the store of items said what nobody understands")
            self.end()
            return
        for told in found:
            self.asked.pop(told.number, None)
            if self._last and told.number == self._last[0]:
                self._last.popleft()
        self._told(self, found)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.end()

    def process_exited(self) -> None:
        if self._process is not None:
            self._process.close()
        if not self.ended.done():
            self.ended.set_result(None)
            self._lost(self)

    def end(self) -> None:
        """It ends when its input does, after what it is at. Safe twice. `lost` is told when it has ended."""
        if self._input is not None:
            self._input.close()

    def kill(self) -> None:
        """It does not end by itself."""
        if self._process is not None and not self.ended.done():
            try:
                self._process.kill()
            except ProcessLookupError:
                return


class Readers:
    """Up to `most` processes that read the file at `path`. On one loop; `close` it there.

    Attributes:
        wanted: how many there should be; more are started with the next question.
    """

    def __init__(self, path: Path, per_key: int, most: int) -> None:
        self._path, self._per_key, self.most = path, per_key, most if can_start() else 0
        self.wanted = 0
        self._all: list[_Reader] = []
        self._starting: asyncio.Task[None] | None = None
        self._waiting: deque[Ask] = deque()
        self._answers: dict[int, asyncio.Future[Told]] = {}
        self._again: set[int] = set()  # questions whose process died once
        self._numbers = count(1)
        self._deaths: deque[float] = deque(maxlen=DEATHS)
        self._timer: asyncio.TimerHandle | None = None
        self._soon = False
        self._last = 0.0
        self._progress = 0.0
        self._closed = False

    def __len__(self) -> int:
        """How many answer now."""
        return len(self._all)

    @property
    def pids(self) -> list[int]:
        """Of those that answer now."""
        return [one.pid for one in self._all if one.pid is not None]

    @property
    def outstanding(self) -> int:
        """Questions without an answer."""
        return len(self._answers)

    def want(self, number: int) -> None:
        """There is work for so many; never fewer than before until they are idle."""
        self.wanted = max(self.wanted, min(number, self.most))
        loop = asyncio.get_running_loop()
        troubled = len(self._deaths) == DEATHS and loop.time() - self._deaths[0] < DEATHS_WITHIN
        if len(self._all) < self.wanted and self._starting is None and not self._closed and not troubled:
            self._starting = loop.create_task(self._start(), name="start a reader of the store of items")

    async def _start(self) -> None:
        loop = asyncio.get_running_loop()
        flags = ["-E", "-P", "-m", "servent.overlay.items_reader"]
        try:
            _, reader = await loop.subprocess_exec(
                lambda: _Reader(self._told, self._lost),
                sys.executable,
                *flags,
                str(self._path),
                str(self._per_key),
                stderr=None,
            )
            if self._closed or reader.ended.done():
                reader.end()
                return
            self._all.append(reader)
            self._last = self._progress = loop.time()
            self._watch()
            self._dispatch_soon()
        except (OSError, NotImplementedError) as wrong:
            log.warning("no process to read the store of items could be started: %s", wrong)
            self.most = self.wanted = 0
        finally:
            self._starting = None

    async def ask(self, ask: Ask) -> Told:
        """The answer to a question; its number is given here.

        Raises:
            ReaderLost: no process answered, or it could not.
        """
        if not self._all:
            raise ReaderLost
        loop = asyncio.get_running_loop()
        self._last = loop.time()
        if not self._answers:
            self._progress = self._last
        number = next(self._numbers)
        answer: asyncio.Future[Told] = loop.create_future()
        self._answers[number] = answer
        self._waiting.append(structs.replace(ask, number=number))
        self._dispatch_soon()
        try:
            told = await answer
        finally:
            self._answers.pop(number, None)
            self._again.discard(number)
        if told.wrong:
            raise ReaderLost(told.wrong)
        return told

    def _dispatch_soon(self) -> None:
        """With all that is asked in this round of the loop."""
        if not self._soon:
            self._soon = True
            asyncio.get_running_loop().call_soon(self._dispatch)

    def _dispatch(self) -> None:
        """The more wait, the more go in one frame: each wakes a process, which costs as much as an answer."""
        self._soon = False
        free = [reader for reader in self._all if reader.frames < FRAMES]
        while self._waiting and free:
            share = min(DEPTH, -(-len(self._waiting) // len(free)))
            reader = min(free, key=lambda one: len(one.asked))
            free.remove(reader)
            some = [self._waiting.popleft() for _ in range(share)]
            some = [ask for ask in some if ask.number in self._answers]  # else nobody waits any more
            if some:
                reader.ask(some)

    def _told(self, reader: _Reader, found: Sequence[Told]) -> None:
        self._progress = asyncio.get_running_loop().time()
        for told in found:
            answer = self._answers.get(told.number)
            if answer is not None and not answer.done():
                answer.set_result(told)
        if self._waiting:
            self._dispatch()

    def _lost(self, reader: _Reader) -> None:
        """What it was asked is asked another one, once; a question that ended two is left to whoever asked it."""
        if reader in self._all:
            self._all.remove(reader)
        if not self._closed and self.wanted:
            log.warning("a reader of the store of items ended")
            self._deaths.append(asyncio.get_running_loop().time())
        for number, ask in reader.asked.items():
            answer = self._answers.get(number)
            if answer is None or answer.done():
                continue
            if number in self._again or not self._all:
                answer.set_exception(ReaderLost("its process ended"))
            else:
                self._again.add(number)
                self._waiting.appendleft(ask)
        if not self._all:
            self._refuse_waiting()
        elif self._waiting:
            self._dispatch_soon()

    def _refuse_waiting(self) -> None:
        while self._waiting:
            answer = self._answers.get(self._waiting.popleft().number)
            if answer is not None and not answer.done():
                answer.set_exception(ReaderLost("there is no process any more"))

    def _watch(self) -> None:
        """End them when nobody asks, and one that hangs."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = loop.time()
        if self._answers and now - self._progress >= SLOW:
            for reader in list(self._all):
                reader.kill()
        elif not self._answers and now - self._last >= IDLE:
            self.rest()
            return
        if self._all:
            self._timer = loop.call_later(
                SLOW if self._answers else max(0.1, self._last + IDLE - now), self._watch
            )

    def rest(self) -> None:
        """End all; the next load starts them again."""
        self.wanted = 0
        for reader in list(self._all):
            reader.end()

    async def close(self) -> None:
        """End all and wait for it. Who waits for an answer gets `ReaderLost`."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._starting is not None:
            await asyncio.wait([self._starting])
        ending = list(self._all)
        for reader in ending:
            reader.end()
        if ending:
            _, late = await asyncio.wait([reader.ended for reader in ending], timeout=PATIENCE)
            for reader in ending:
                reader.kill()
            if late:
                await asyncio.wait(late)
        self._refuse_waiting()
