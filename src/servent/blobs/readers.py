"""Who reads a download while it comes: which pieces each waits for, and whom to wake when they are there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence


class Readers:
    """Owns the readers of one run of a download. Everything happens on the loop."""

    def __init__(self) -> None:
        self._ranges: dict[object, range] = {}
        self._waiting: dict[int, list[asyncio.Future[bool]]] = {}
        self._over = False

    def set(self, reader: object, pieces: range) -> bool:
        """What `reader` waits for, an empty range for nothing. Whether anything is different now."""
        old = self._ranges.pop(reader, range(0))
        if pieces:
            self._ranges[reader] = pieces  # who moved last comes last: no reader is always first
        return old != pieces

    def ranges(self) -> list[range]:
        return list(self._ranges.values())

    async def wait(self, piece: int) -> bool:
        """Until the piece is there; False when this run of the download ended before."""
        if self._over:
            return False
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(piece, []).append(future)
        try:
            return await future
        finally:
            left = self._waiting.get(piece, [])
            if future in left:
                left.remove(future)
            if not left:
                self._waiting.pop(piece, None)

    def came(self, first: int, good: Sequence[bool]) -> None:
        """These pieces were checked; those that were right are written."""
        if not self._waiting:
            return
        for piece, right in enumerate(good, first):
            if right:
                self._wake(piece, True)

    def _wake(self, piece: int, there: bool) -> None:
        for future in self._waiting.pop(piece, ()):
            if not future.done():
                future.set_result(there)

    def end(self) -> None:
        """Nothing more comes in this run."""
        self._over = True
        for piece in list(self._waiting):
            self._wake(piece, False)
