"""Hashing in processes beside us: as many cores as there are, where threads would give one and a half."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import NamedTuple, Self

from servent.blobs.hash_worker import ANSWER, JOB, SHORTER

WORTH = 256 * 1024 * 1024  # bytes; starting a process costs what hashing some 50 MB does
MOST = 4  # processes, about 10 MB each


class Range(NamedTuple):
    """What a helper found: piece hashes of the range, and the file as it was afterwards."""

    layer: bytes
    size: int
    stamp: int


class HelperLost(Exception):
    """A helper ended or never began; the caller hashes by itself."""


def count_for(size: int) -> int:
    """How many helpers are worth it for `size` bytes of big files; 0 for none."""
    if size < WORTH or getattr(sys, "frozen", False) or not sys.executable:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST, cores) if cores > 1 else 0


class Helpers:
    """Up to `most` processes, each started when it is first needed. Call `hash_range` from as many threads."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = Lock()
        self._idle: list[subprocess.Popen[bytes]] = []
        self._all: list[subprocess.Popen[bytes]] = []
        self._closed = False

    def hash_range(self, path: str | Path, offset: int, size: int, piece_length: int) -> Range | None:
        """The piece hashes of a range, None when the file is shorter.

        Raises:
            OSError: the file cannot be read.
            HelperLost: there is no helper (any more).
        """
        name = os.fsencode(os.path.abspath(path))
        helper = self._take()
        assert helper.stdin is not None and helper.stdout is not None
        try:
            helper.stdin.write(JOB.pack(len(name), offset, size, piece_length) + name)
            helper.stdin.flush()
            head = helper.stdout.read(ANSWER.size)
            if len(head) < ANSWER.size:
                raise HelperLost
            number, seen, stamp, length = ANSWER.unpack(head)
            layer = helper.stdout.read(length)
            if len(layer) < length:
                raise HelperLost
        except (OSError, ValueError) as wrong:
            raise HelperLost from wrong
        with self._lock:
            self._idle.append(helper)
        if number == SHORTER:
            return None
        if number:
            raise OSError(number, os.strerror(number), str(path))
        return Range(layer, seen, stamp)

    def _take(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise HelperLost
            if self._idle:
                return self._idle.pop()
        script = Path(__file__).with_name("hash_worker.py")
        try:
            helper = subprocess.Popen(
                [sys.executable, "-E", "-s", "-S", str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=script.parent.anchor,
            )
        except OSError as wrong:
            raise HelperLost from wrong
        with self._lock:
            self._all.append(helper)
        if self._is_closed():  # meanwhile
            self.close()
            raise HelperLost
        return helper

    def _is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """End them all and wait for it. Safe twice."""
        with self._lock:
            self._closed = True
            helpers, self._all, self._idle = self._all, [], []
        for helper in helpers:
            helper.kill()
        for helper in helpers:
            helper.wait()
            for pipe in (helper.stdin, helper.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except BrokenPipeError:
                        continue

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
