"""What a process of a cluster wrote, kept in a file that cannot fill the disk."""

from __future__ import annotations

import os
from pathlib import Path

MOST_BYTES = 1_000_000  # of a file; there are two, the former and the present one


class Journal:
    """One process's words over its lives. Its methods touch the disk: call them in a thread, one at a time.

    Args:
        path: of the file; made when something is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._former = path.with_suffix(path.suffix + ".1")

    def add(self, data: bytes) -> None:
        """Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self.path.open("ab") as file:
            file.write(data[-MOST_BYTES:])
            full = file.tell() >= MOST_BYTES
        if full:
            os.replace(self.path, self._former)

    def tail(self, lines: int) -> list[str]:
        """The last ones, the oldest first; empty where nothing was written."""
        found: list[str] = []
        for path in (self.path, self._former):
            try:
                found = path.read_bytes().decode("utf-8", "replace").splitlines() + found
            except OSError:
                continue
            if len(found) >= lines:
                break
        return found[-lines:]
