"""One process of a cluster, a scheduler or a worker, as its node holds it: started, heard, frozen and thawed, and ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil

from servent.cluster import orders
from servent.cluster.journal import Journal
from servent.cluster.model import Papers, Wish
from servent.codec import frame
from servent.errors import BadMessage, Refused, ServentError

log = logging.getLogger("servent.cluster")

CALM = 2.0  # s a frozen process rests at a time,
BREATH = 0.05  # s and then runs, so that its connections live: 2.4 percent of its cores
TURN = 0.2  # s in which a process that may have a part of its time gets it
END_WITHIN = 2.0  # s to end by itself when its pipe closes; then it is killed
READ = 64 * 1024
# As Dask's own nanny does (`distributed.nanny.pre-spawn-environ`): threads of libraries would multiply with those of the worker.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_TRIM_THRESHOLD_": "65536",
    "PYTHONUNBUFFERED": "1",
}

Desk = Callable[[Wish], Awaitable[Papers]]


class Process:
    """One life of a process. `live` it once, in a task.

    Args:
        begin: what it is to be.
        journal: takes what it prints.
        desk: answers when it asks for papers.
        heard: takes everything else it says, on the loop.
        gentle: at the lowest priority.
    """

    def __init__(
        self,
        begin: orders.Begin,
        journal: Journal,
        desk: Desk,
        heard: Callable[[orders.Word], None],
        *,
        gentle: bool = True,
    ) -> None:
        self._begin, self._journal, self._desk, self._heard, self._gentle = (
            begin,
            journal,
            desk,
            heard,
            gentle,
        )
        self._process: asyncio.subprocess.Process | None = None
        self._share = 1.0
        self._paced = asyncio.Event()
        self._last = ""
        self._held = False

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def live(self) -> str:
        """From start to end; why it ended, in a line. Cancelling ends it.

        Raises:
            OSError: no process can be started.
        """
        folder = Path(self._begin.folder)
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True, mode=0o700)
        arguments = ["-P", "-X", "utf8", "-m", "servent.cluster.child"]
        self._process = process = await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            *(["--gentle"] if self._gentle else []),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            cwd=folder,
            env=os.environ | ENVIRONMENT,
            start_new_session=True,  # a Ctrl-C at our terminal is for the node
            limit=READ * 2,
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                self.say(self._begin)
                if self._held:
                    self.say(orders.Hold(True))
                writing = tasks.create_task(self._write_down(process), name=f"words of {self._begin.name}")
                pacing = tasks.create_task(self._pace(process.pid), name=f"pace of {self._begin.name}")
                await self._read(process, tasks)
                pacing.cancel()
                await asyncio.wait([writing], timeout=1.0)
                writing.cancel()
        finally:
            await self._end(process)
        return self._last or _ended(process.returncode)

    def say(self, order: orders.Order) -> None:
        """Never waits; lost where it is gone, which `live` tells."""
        if (
            self._process is not None
            and self._process.stdin is not None
            and not self._process.stdin.is_closing()
        ):
            self._process.stdin.write(frame(order))

    def hold(self, on: bool) -> None:
        """Let it begin no more tasks; also said to one that is only starting."""
        if on != self._held:
            self._held = on
            self.say(orders.Hold(on))

    def pace(self, share: float) -> None:
        """The part of the time in which it may run: 1 all of it, 0 frozen but for a breath now and then."""
        if share != self._share:
            self._share = share
            self._paced.set()

    async def _pace(self, pid: int) -> None:
        try:
            its = psutil.Process(pid)
            while True:
                share = self._share
                if share >= 1.0:
                    self._paced.clear()
                    its.resume()
                    await self._paced.wait()
                    continue
                rest, run = (CALM, BREATH) if share <= 0 else (TURN * (1 - share), TURN * share)
                its.suspend()
                await self._wait(rest)
                its.resume()
                await self._wait(run)
        except psutil.Error:
            return  # it is gone; `_read` hears of it

    async def _wait(self, seconds: float) -> None:
        """So long, or until the pace is another."""
        self._paced.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._paced.wait()

    async def _read(self, process: asyncio.subprocess.Process, tasks: asyncio.TaskGroup) -> None:
        assert process.stdout is not None
        reader = _Pipe(process.stdout)
        while True:
            try:
                word = await orders.read_word.read(reader)
            except asyncio.IncompleteReadError:
                await process.wait()
                return
            except BadMessage as wrong:  # code of others runs in it: it may say anything
                self._last = f"it said what makes no sense ({wrong})"
                return
            if isinstance(word, orders.Ask):
                tasks.create_task(self._answer(word), name=f"papers for {self._begin.name}")
            elif isinstance(word, orders.Ended):
                self._last = word.why
            else:
                self._heard(word)

    async def _answer(self, ask: orders.Ask) -> None:
        try:
            answer = orders.Answer(ask.number, await self._papers(ask.wish))
        except ServentError as wrong:
            answer = orders.Answer(ask.number, None, str(wrong), wrong.advice)
        self.say(answer)

    async def _papers(self, wish: Wish) -> Papers:
        """Only as what it was begun: tasks of whoever submits run in it. Raises Refused, and as the desk."""
        if wish.role != self._begin.role:
            raise Refused(f"this process is a {self._begin.role}, and no {wish.role}", advice="")
        papers = await self._desk(wish)
        if papers.cluster.hex() != self._begin.cluster:
            raise Refused(f"this process is no {wish.role} of another cluster", advice="")
        return papers

    async def _write_down(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while data := await process.stderr.read(READ):
            try:
                await asyncio.to_thread(self._journal.add, data)
            except OSError as trouble:
                log.debug("words of %s are lost: %s", self._begin.name, trouble)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is not None:
            process.stdin.close()
        if process.returncode is None:
            with contextlib.suppress(psutil.Error):
                psutil.Process(process.pid).resume()
            try:
                async with asyncio.timeout(END_WITHIN):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()


class _Pipe:
    """A pipe as what frames are read from."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def read_exactly(self, size: int) -> bytes:
        return await self._reader.readexactly(size)


def _ended(code: int | None) -> str:
    if code is None or code == 0:
        return "it ended"
    return f"signal {-code} ended it" if code < 0 else f"it ended with status {code}"
