"""Reading a file of a transfer while it comes: what a player wants next is fetched next, and waited for."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from servent.blobs import info, listing, names
from servent.blobs.download_service import Download
from servent.blobs.files import read_into, trouble
from servent.blobs.rows import ENDED, Row
from servent.errors import DiskTrouble, NotFound, UsageError, WorldError

AHEAD = 16 * 1024 * 1024  # bytes behind a reader's place that are fetched before anything else; a guess
AHEAD_PIECES = 4  # at least
DESCRIBED_WITHIN = 30.0  # s for the list of files of a transfer that has just begun
READ_WITHIN = 120.0  # s for the bytes of one read; players give up much earlier
MOST_READ = 1024 * 1024  # bytes of one read
REMEMBERED = 4  # collections whose paths are kept; a player asks many times for the same

Find = Callable[[str], tuple[Row, Download | None]]


class _Known(NamedTuple):
    collection: info.Collection
    paths: list[tuple[str, ...]]


class Readings:
    """Opens readers.

    Args:
        find: a download's row, and its run while it runs. Raises NotFound.
    """

    def __init__(self, find: Find) -> None:
        self._find = find
        self._known: OrderedDict[bytes, _Known] = OrderedDict()

    async def open(self, transfer: str, index: int) -> Reading:
        """A reader of file `index`.

        Raises:
            NotFound: no such transfer, or no such file in it.
            UsageError: the file was not chosen, or the transfer was cancelled.
            WorldError: nobody could say what is in it.
        """
        known = await self.describe(transfer)
        row, _ = self._find(transfer)
        if not 0 <= index < len(known.collection.files):
            raise NotFound(f"{row.name} has no file {index}")
        if row.wanted is not None and index not in row.wanted:
            raise UsageError(
                "this file is left out of the transfer", advice="Choose it, then it can be read."
            )
        return Reading(self._find, transfer, index, known)

    async def describe(self, transfer: str) -> _Known:
        """The collection of a transfer, waited for if it has just begun. Raises NotFound, WorldError."""
        row, _ = self._find(transfer)
        try:
            async with asyncio.timeout(DESCRIBED_WITHIN):
                while row.info is None:
                    if row.state in ENDED or row.state == "paused":
                        raise WorldError(f"nobody has said yet what is in it: {row.reason or row.state}")
                    await asyncio.sleep(0.05)
                    row, _ = self._find(transfer)
        except TimeoutError:
            raise WorldError(f"nobody has said yet what is in it: {row.reason}") from None
        known = self._known.get(row.infohash)
        if known is None:
            content = row.info
            known = await asyncio.to_thread(_describe, content, row.infohash)
            self._known[row.infohash] = known
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(row.infohash)
        return known


def _describe(content: bytes, infohash: bytes) -> _Known:
    collection = listing.describe(content, infohash)
    return _Known(collection, names.safe_paths(collection))


class Reading:
    """One reader of one file. Read ahead of its place is what it asks of the download."""

    def __init__(self, find: Find, transfer: str, index: int, known: _Known) -> None:
        self._find, self._transfer, self._index = find, transfer, index
        self._collection, self._paths = known
        self._pieces = self._collection.file_pieces(index)
        self._download: Download | None = None

    @property
    def name(self) -> str:
        row, _ = self._find(self._transfer)
        return row.name if self._collection.single else self._paths[self._index][-1]

    @property
    def size_bytes(self) -> int:
        return self._collection.files[self._index].size

    @property
    def content(self) -> str:
        return (self._collection.files[self._index].root or b"").hex()

    async def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`, at least one before the end; b"" at the end.

        Raises:
            NotFound: the transfer is gone.
            WorldError: the bytes will not come as things are: it is paused, or nobody sends them.
        """
        size = min(size, self.size_bytes - offset, MOST_READ)
        if size <= 0 or offset < 0:
            return b""
        try:
            async with asyncio.timeout(READ_WITHIN):
                while True:
                    row, download = self._find(self._transfer)
                    if download is not None and download.goal.placed and self._index in download.goal.placed:
                        return await asyncio.to_thread(self._read_final, row, offset, size)
                    if download is not None:
                        data = await self._read_running(download, offset, size)
                        if data:
                            return data
                    elif row.state == "complete":
                        return await asyncio.to_thread(self._read_final, row, offset, size)
                    elif row.state in ENDED or row.state == "paused":
                        raise WorldError(
                            f"{row.name} is not being fetched: {row.reason or row.state}",
                            advice="Resume the transfer.",
                        )
                    else:  # its turn is still to come
                        await asyncio.sleep(0.05)
        except TimeoutError:
            raise WorldError(
                f"nothing came for {READ_WITHIN:.0f} s", advice="The transfer's row says what it waits for."
            ) from None

    async def _read_running(self, download: Download, offset: int, size: int) -> bytes:
        """b"": look again, something is different now."""
        length = self._collection.piece_length
        piece = self._pieces.start + offset // length
        ahead = max(AHEAD_PIECES, AHEAD // length)
        if download is not self._download:
            self._leave()
            self._download = download
        download.prefer(self, range(piece, min(piece + ahead, self._pieces.stop)))
        partial = download.partial
        if partial is None or not partial.has(piece):
            if not await download.readers.wait(piece):
                await asyncio.sleep(0.02)  # it is coming to its end: its files are being moved
            return b""
        end, last = offset + size, piece
        while (last + 1 - self._pieces.start) * length < end and partial.has(last + 1):
            last += 1
        end = min(end, (last + 1 - self._pieces.start) * length)

        def read() -> bytes:
            data = bytearray(end - offset)
            at = offset
            while at < end:
                number, inside = divmod(at, length)
                view = memoryview(data)[at - offset :]
                at += partial.read_into(self._pieces.start + number, view, inside)
            return bytes(data)

        try:
            return await asyncio.to_thread(read)
        except (DiskTrouble, LookupError):
            if download.over or download.partial is not partial:
                await asyncio.sleep(0.02)
                return b""
            raise

    def _read_final(self, row: Row, offset: int, size: int) -> bytes:
        path = Path(row.path or "")
        if not self._collection.single:
            path = path.joinpath(*self._paths[self._index][1:])
        try:
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0))
            try:
                if os.fstat(handle).st_size != self.size_bytes:
                    raise DiskTrouble(f"{path} changed since it was fetched", advice="Fetch it again.")
                data = bytearray(size)
                return bytes(data[: read_into(handle, memoryview(data), offset)])
            finally:
                os.close(handle)
        except OSError as wrong:
            raise trouble(wrong, str(path)) from wrong

    def _leave(self) -> None:
        if self._download is not None:
            self._download.prefer(self, range(0))
            self._download = None

    async def close(self) -> None:
        """Wait for nothing any more. Safe twice."""
        with contextlib.suppress(NotFound):
            self._leave()
