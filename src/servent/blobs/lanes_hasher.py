"""SHA-256 of arriving pieces in helper processes, so that hashing and decrypting do not fight for one lock.

Two threads that call OpenSSL for 13 microseconds at a time hand Python's interpreter lock to each other at every call,
and each hand-over is a futex sleep and wake: measured, that costs more than the hashing. A helper process
reads the pieces from shared memory. It is started with the first big piece and ends after a minute without. Where
there is no memfd (not Linux) or a helper does not start, everything is hashed by the thread that asks.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

from servent.blobs import tree

log = logging.getLogger(__name__)

WORTH = 128 * 1024  # bytes from which asking a helper is cheaper than hashing
IDLE = 60.0  # s after which an unused helper ends
_REQUEST = struct.Struct("<QQ")


class Arena:
    """Memory that helper processes see, too.

    Attributes:
        view: all of it, or None where there is no such memory.
    """

    def __init__(self, size: int) -> None:
        self.handle = -1
        self.view: memoryview | None = None
        if hasattr(os, "memfd_create"):
            try:
                self.handle = os.memfd_create("servent pieces")
                os.ftruncate(self.handle, size)
                self.view = memoryview(mmap.mmap(self.handle, size))
            except OSError as wrong:
                log.debug("no shared memory: %s", wrong.strerror)

    def trim(self) -> None:
        """Give the pages back to the system; nothing in it is in use."""
        if self.view is not None:
            size = len(self.view)
            with contextlib.suppress(OSError):
                os.ftruncate(self.handle, 0)
                os.ftruncate(self.handle, size)


class _Helper:
    def __init__(self, arena: Arena) -> None:
        self.used = time.monotonic()
        child = Path(__file__).with_name("lanes_hashing_child.py")
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(child), str(arena.handle)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(arena.handle,),
            bufsize=0,
            close_fds=True,
        )

    def leaves(self, offset: int, size: int) -> bytes:
        """Raises OSError: the helper is gone."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(_REQUEST.pack(offset, size))
        wanted = tree.blocks_in(size) * tree.HASH
        answer = b""
        while len(answer) < wanted:
            part = self.process.stdout.read(wanted - len(answer))
            if not part:
                raise OSError("the helper ended")
            answer += part
        self.used = time.monotonic()
        return answer

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            self.process.wait(1.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Hasher:
    """Hands out helpers to whichever threads ask; at most as many as ask at once. Safe from any thread."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena
        self._lock = threading.Lock()
        self._idle: list[_Helper] = []
        self._broken = arena.view is None or not sys.executable
        self._closed = False

    def leaves(self, buffer: memoryview, size: int, offset: int | None) -> bytes:
        """The block hashes of the first `size` bytes of `buffer`, which lies at `offset` of the arena."""
        if offset is None or size < WORTH or self._broken:
            return tree.hash_blocks(buffer[:size])
        try:
            helper = self._take()
            try:
                answer = helper.leaves(offset, size)
            except BaseException:
                helper.close()
                raise
        except OSError as wrong:
            self._broken = True
            log.warning("hashing in this process from now on: %s", wrong)
            return tree.hash_blocks(buffer[:size])
        self._give(helper)
        return answer

    def _take(self) -> _Helper:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _Helper(self._arena)

    def _give(self, helper: _Helper) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(helper)
                return
        helper.close()

    def trim(self, *, everything: bool = False) -> int:
        """End helpers that were not used for a minute; returns how many are left."""
        with self._lock:
            now = time.monotonic()
            old = [one for one in self._idle if everything or now - one.used > IDLE]
            self._idle = [one for one in self._idle if one not in old]
            left = len(self._idle)
        for one in old:
            one.close()
        return left

    def close(self) -> None:
        """End all of them."""
        self._closed = True
        self.trim(everything=True)
