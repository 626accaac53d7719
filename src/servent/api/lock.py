"""One node per data directory: two with one key and one database would tear both."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from servent.errors import UsageError, WorldError

LOCK_FILE = "node.lock"
TRIES, BETWEEN = 4, 0.05  # a command that only looks holds the lock for a moment


class DirLock:
    """Holds the data directory; the system lets go of it when the process ends, however it ends.

    Raises:
        UsageError: another node holds it. WorldError: the directory cannot be made or written.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / LOCK_FILE
        self._handle: int | None = None

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as wrong:
            raise WorldError(
                f"{self._path.parent} cannot be used as a data directory: {wrong.strerror}",
                advice="Choose another with `--data-dir DIR`, or fix its permissions.",
            ) from wrong
        for left in reversed(range(TRIES)):
            try:
                _lock(handle)
                break
            except OSError:
                if left:
                    time.sleep(BETWEEN)
        else:
            holder = os.read(handle, 20).decode("ascii", "replace").strip()
            os.close(handle)
            raise UsageError(
                f"a node is already running on {self._path.parent}"
                + (f" (process {holder})" if holder else ""),
                advice="`servent status` shows it, `servent down` stops it; a second node needs its own `--data-dir`.",
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        self._handle = handle
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def is_held(data_dir: Path) -> bool:
    """Whether a node runs on `data_dir` now.

    Its `api.json` alone does not say so: after a crash the port in it may belong to somebody else, who must
    not be sent the token.
    """
    try:
        handle = os.open(data_dir / LOCK_FILE, os.O_RDWR)
    except OSError:
        return False
    try:
        _lock(handle)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False


if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int) -> None:
        os.lseek(handle, 1024, os.SEEK_SET)  # beyond the number, so that others may read it
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        os.lseek(handle, 0, os.SEEK_SET)
else:
    import fcntl

    def _lock(handle: int) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
