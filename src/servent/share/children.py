"""Processes beside the node that work at the lowest priority: one job at a time each, over pipes, with a time limit."""

from __future__ import annotations

import logging
import marshal
import os
import select
import subprocess
import sys
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

import psutil

from servent.share.hash_child import LENGTH

log = logging.getLogger(__name__)

MAX_ANSWER = 64 << 20  # bytes
READ = 64 * 1024  # bytes; what a pipe holds


class ChildLost(Exception):
    """The process ended, never began, or was ended since it took too long."""


class Child:
    """One process. Not for two threads at once.

    Attributes:
        warm: it has loaded what it works with; for its user to say.
    """

    def __init__(self, script: str, *, bare: bool, gentle: bool) -> None:
        path = Path(__file__).parent / script
        flags = ["-E", "-s", "-S", "-P"] if bare else ["-E", "-P"]
        try:
            self._process = subprocess.Popen(
                [sys.executable, *flags, str(path), *(["gentle"] if gentle else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=path.anchor,
                bufsize=0,
            )
        except OSError as wrong:
            raise ChildLost(str(wrong)) from wrong
        if gentle:
            _step_back(self._process.pid)
        assert self._process.stdout is not None
        self.warm = False
        self._read = bytearray()
        self._waiting = None  # pipes of Windows cannot be waited for with a limit
        if hasattr(select, "poll"):
            self._waiting = select.poll()
            self._waiting.register(self._process.stdout.fileno(), select.POLLIN)

    def send(self, job: Any) -> None:
        """Raises ChildLost."""
        body = marshal.dumps(job)
        view = memoryview(LENGTH.pack(len(body)) + body)
        assert self._process.stdin is not None
        try:
            while view:
                view = view[self._process.stdin.write(view) :]
        except (OSError, ValueError) as wrong:
            raise ChildLost(str(wrong)) from wrong

    def receive(self, limit: float) -> Any:
        """The next answer. Raises ChildLost, also after `limit` s."""
        until = monotonic() + limit
        (length,) = LENGTH.unpack(self._exactly(LENGTH.size, until))
        if length > MAX_ANSWER:
            raise ChildLost(f"an answer of {length} bytes")
        try:
            return marshal.loads(self._exactly(length, until))
        except (ValueError, EOFError, TypeError) as wrong:
            raise ChildLost(str(wrong)) from wrong

    def _exactly(self, size: int, until: float) -> bytes:
        while len(self._read) < size:
            data = self._more(until)
            if not data:
                raise ChildLost("it ended")
            self._read += data
        found = bytes(self._read[:size])
        del self._read[:size]
        return found

    def _more(self, until: float) -> bytes:
        assert self._process.stdout is not None
        if self._waiting is not None and not self._waiting.poll(max(0, int((until - monotonic()) * 1000))):
            raise ChildLost("it took too long")
        try:
            return os.read(self._process.stdout.fileno(), READ)
        except OSError as wrong:
            raise ChildLost(str(wrong)) from wrong

    def kill(self) -> None:
        """From any thread: whoever waits for an answer gets ChildLost. Safe twice."""
        self._process.kill()

    def end(self) -> None:
        """Kill, wait, and let go of the pipes."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue


class Children:
    """Up to as many processes as threads ask at once, each started when it is first needed."""

    def __init__(self, script: str, *, bare: bool, gentle: bool = True) -> None:
        self._script, self._bare, self._gentle = script, bare, gentle
        self._lock = Lock()
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._closed = False

    def take(self) -> Child:
        """One for the caller alone, until `give`. Raises ChildLost."""
        with self._lock:
            if self._closed:
                raise ChildLost("closed")
            child = self._idle.pop() if self._idle else None
        if child is None:
            child = Child(self._script, bare=self._bare, gentle=self._gentle)
        if not self._began(child):
            child.end()
            raise ChildLost("closed")
        return child

    def _began(self, child: Child) -> bool:
        with self._lock:
            if not self._closed:
                self._busy.add(child)
            return not self._closed

    def give(self, child: Child, *, well: bool) -> None:
        """Back again. One that is not well is ended."""
        with self._lock:
            self._busy.discard(child)
            keep = well and not self._closed
            if keep:
                self._idle.append(child)
        if not keep:
            child.end()

    def rest(self) -> None:
        """End those that have nothing to do."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.end()

    def close(self) -> None:
        """End all, also those at work: their threads get ChildLost. Safe twice."""
        with self._lock:
            self._closed = True
            busy = list(self._busy)
        for child in busy:
            child.kill()
        self.rest()


def can_have_children() -> bool:
    """Whether this program can start processes of itself."""
    return not getattr(sys, "frozen", False) and bool(sys.executable)


def _step_back(pid: int) -> None:
    """The disk, too, serves others first. The processor: each child says so itself, before its first job."""
    try:
        process = psutil.Process(pid)
        if sys.platform == "linux":
            process.ionice(psutil.IOPRIO_CLASS_IDLE)
        elif sys.platform == "win32":
            process.nice(psutil.IDLE_PRIORITY_CLASS)
            process.ionice(psutil.IOPRIO_VERYLOW)
    except (psutil.Error, OSError, ValueError) as wrong:
        log.debug("the priority of a helper could not be lowered: %s", wrong)
