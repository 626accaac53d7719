"""Compiled code on the disk: native code that nothing checks when it is read, so it lies in a private folder only, under a name of our own,
behind a hash that tells damage, and never comes from anywhere else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

LOOK = 0.2  # s between two looks at whether another process has done compiling
MOST_BYTES = 1024**3  # of all; the longest unused go first


class CompiledCode:
    """Args: `folder`: private. `flags`: of the engine: its version, the machine, the settings. Failures of the disk mean that code is compiled again."""

    def __init__(self, folder: Path, flags: str) -> None:
        self._folder, self._flags = folder, flags

    def _path(self, digest: bytes, abi: str) -> Path:
        said = f"servent sandbox\0{digest.hex()} {abi} {self._flags}"
        return self._folder / f"{hashlib.sha256(said.encode()).hexdigest()}.compiled"

    def get(self, digest: bytes, abi: str) -> bytes | None:
        """What was kept of the module with this SHA-256, undamaged."""
        path = self._path(digest, abi)
        try:
            kept = path.read_bytes()
            if len(kept) <= 32 or hashlib.sha256(memoryview(kept)[32:]).digest() != kept[:32]:
                return None
            os.utime(path)
            return kept[32:]
        except OSError:
            return None

    def keep(self, digest: bytes, abi: str, code: bytes) -> None:
        path = self._path(digest, abi)
        try:
            waiting = path.with_suffix(f".{os.getpid()}")
            waiting.write_bytes(hashlib.sha256(code).digest() + code)
            waiting.replace(path)
            self._prune()
        except OSError:
            pass  # a full disk: compiled again next time

    @contextlib.contextmanager
    def alone(self, waiting: Callable[[], None]) -> Iterator[None]:
        """While no other process of this folder is in here: what one compiles the others need not, and each would take 370 MB for CPython. `waiting` is called meanwhile, and may raise.

        Where the system has no such locks, nobody waits.
        """
        try:
            import fcntl

            file = os.open(self._folder / "compiling.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except (ImportError, OSError):
            yield
            return
        try:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    waiting()
                    time.sleep(LOOK)
                except OSError:
                    break
            yield
        finally:
            os.close(file)

    def _prune(self) -> None:
        kept = sorted(
            ((s.st_mtime, s.st_size, p) for p in self._folder.iterdir() for s in [p.stat()]), reverse=True
        )
        total = 0
        for _, size, path in kept:
            total += size
            if total > MOST_BYTES:
                path.unlink(missing_ok=True)
