"""A process of its own that runs foreign modules, and can do nothing else. Its parent is `slots_service`.

Jobs come as frames (`jobs.Told`) on stdin, what there is to say goes out on stdout (`jobs.Heard`). Three threads: the first reads, one runs modules, one
ticks, so that no module runs unwatched. When stdin ends, the node is gone, and so is this process. Arguments: the folder of compiled modules,
then "--read FOLDER" and "--write FOLDER" as often as wanted, "--compiling SECONDS" of a core for one module, "--hasty" for
ordinary priority.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

if __name__ == "__main__":  # as a script we are nobody's package; ours lies three folders above
    sys.path[:] = [*(p for p in sys.path if Path(p) != Path(__file__).resolve().parent)]
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from servent.codec import Decoder, frame
from servent.errors import BadMessage
from servent.grid.sandbox import belts
from servent.grid.sandbox.control import Control
from servent.grid.sandbox.jobs import (
    TOLD_BYTES,
    Check,
    Ended,
    Heard,
    Job,
    Pace,
    Ready,
    Stop,
    Suspend,
    Told,
    Watch,
)
from servent.grid.sandbox.running import Runner

TICK = 0.01  # s between looks at a running module
STACK = 16 * 1024 * 1024  # bytes of the thread that runs modules: theirs, and ours above it
TOGETHER = 0.005  # s that answers may wait to be sent together, while there is more to do

_told: Decoder[Told] = Decoder(Told, TOLD_BYTES)


class Mouth:
    """Says things to the node; several at once where they come quickly."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._waiting = bytearray()
        self._since = 0.0
        self._lock = threading.Lock()

    def say(self, heard: Heard, *, wait: bool = False) -> None:
        """`wait`: more is to come at once."""
        with self._lock:
            if not self._waiting:
                self._since = time.monotonic()
            self._waiting += frame(heard)
            if not wait or time.monotonic() - self._since > TOGETHER:
                self._flush()

    def _flush(self) -> None:
        data = memoryview(bytes(self._waiting))
        self._waiting.clear()
        while data:
            data = data[self._out.write(data) :]


class Child:
    """The three threads and what they share."""

    def __init__(self, folder: Path, mouth: Mouth, compiling: float) -> None:
        self._mouth = mouth
        self._control = Control()
        self._jobs: deque[Job | Check] = deque()
        self._more = threading.Semaphore(0)  # one for each that was ever put into `_jobs`
        self._runner = Runner(folder, self._control, mouth.say, compiling)
        self._busy = threading.Event()

    def start(self) -> None:
        threading.stack_size(STACK)
        threading.Thread(target=self.guarded, args=(self._run,), name="modules", daemon=True).start()
        threading.stack_size(0)
        threading.Thread(target=self.guarded, args=(self._tick,), name="ticks", daemon=True).start()

    def guarded(self, work: Callable[..., None], *arguments: int) -> None:
        """A mistake of ours ends the process, loudly: its parent tells whose job it was, and starts another."""
        try:
            work(*arguments)
        except BaseException:  # noqa: BLE001
            import traceback

            traceback.print_exc()
            os._exit(70)

    def _run(self) -> None:
        while True:
            self._more.acquire()
            try:
                job = self._jobs.popleft()
            except IndexError:  # it was called back while it waited
                continue
            self._busy.set()
            if self._control.percent < 100:
                self._control.nap()  # for the one before; and where all is held, before it begins
            ended: Ended = self._runner.run(job)
            more = bool(self._jobs)
            self._mouth.say(ended, wait=more)
            if not more:
                self._busy.clear()

    def _tick(self) -> None:
        while True:
            self._busy.wait()
            time.sleep(TICK)
            self._runner.tick()

    def read(self, source: int) -> None:
        """Until the node says no more."""
        kept = bytearray()
        while data := os.read(source, 1 << 18):
            kept += data
            at = 0
            while len(kept) - at >= 4:
                size = int.from_bytes(kept[at : at + 4], "big")
                if size > TOLD_BYTES:
                    raise BadMessage("a message of our own node that is too long")
                if len(kept) - at - 4 < size:
                    break
                self._told(_told.decode(bytes(kept[at + 4 : at + 4 + size])))
                at += 4 + size
            del kept[:at]

    def _told(self, told: Told) -> None:
        match told:
            case Job() | Check():
                self._control.queued(told.number)
                self._jobs.append(told)
                self._more.release()
            case Suspend() | Stop() if self._called_back(told.number):
                words = "suspended before it began"
                self._mouth.say(Ended(number=told.number, outcome="lost", words=words, suspended=True))
            case Suspend():
                self._control.suspend(told.number)
            case Stop():
                self._control.stop(told.number)
            case Watch():
                self._control.watch(told.number, told.on)
            case Pace():
                self._control.pace(told.percent)

    def _called_back(self, number: int) -> bool:
        """A job that waits is taken away, unless the other thread is quicker."""
        for job in tuple(self._jobs):
            if job.number == number:
                try:
                    self._jobs.remove(job)
                except ValueError:
                    return False
                self._control.forget(number)
                return True
        return False


def main(arguments: list[str]) -> None:
    folder, *rest = arguments
    reads, writes, gentle, compiling = list[Path](), [Path(folder)], True, 60.0
    while rest:
        match rest.pop(0):
            case "--read":
                reads.append(Path(rest.pop(0)))
            case "--write":
                writes.append(Path(rest.pop(0)))
            case "--compiling":
                compiling = float(rest.pop(0))
            case "--hasty":
                gentle = False
    os.umask(0o077)  # what it writes is for the node alone
    held = belts.put_on(reads, writes, gentle)
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # what a library prints is no answer
    gc.set_threshold(20_000, 20, 100)
    mouth = Mouth(out)
    child = Child(Path(folder), mouth, compiling)
    child.start()
    mouth.say(Ready(belts=held))
    child.guarded(child.read, 0)
    os._exit(0)  # not `sys.exit`: the other threads may be anywhere


if __name__ == "__main__":
    main(sys.argv[1:])
