"""Pieces to serve out of files that lie anywhere on this machine, under any names: some files of a collection, or all.

Each file of the collection may lie in several places; a place that is not what was hashed is left, and told of.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from servent.blobs import info
from servent.blobs.files import Handles, open_below, read_into, trouble
from servent.blobs.pieces import Bits
from servent.blobs.scan import Changed

OPEN_FILES = 8  # held open of one holding; there may be hundreds of holdings
MOST_PLACES = 16  # of one file that are looked at


class Place(NamedTuple):
    """A file on this machine whose content is known: its size, and its modification time in ns when hashed.

    `below`: a folder above it, from which on no link is followed, so that nobody who may write there leads out of it.
    """

    path: Path
    size: int
    stamp: int
    below: Path | None = None

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`. Raises Changed: it is not what was hashed; DiskTrouble. Blocks."""
        try:
            handle = open_place(self)
            try:
                data = bytearray(max(0, min(size, self.size - offset)))
                return bytes(data[: read_into(handle, memoryview(data), offset)])
            finally:
                os.close(handle)
        except OSError as wrong:
            raise trouble(wrong, str(self.path)) from wrong


class Copy(NamedTuple):
    """A content of which this machine has a copy. `layer`: its piece layer at `info.piece_length_for(size)`, or b"".

    `alike`: it is an older version; some of its pieces may be the same, in the same place.
    """

    place: Place
    layer: bytes
    alike: bool = False


class Placed:
    """Read-only access to pieces of `collection` whose files lie where `places` says. Safe from several threads.

    Args:
        places: by index of the file in the collection; files that are not there are not offered.
        lost: told of a place that is gone or is not what was hashed any more. Any thread.
    """

    def __init__(
        self,
        collection: info.Collection,
        places: Mapping[int, Sequence[Place]],
        lost: Callable[[Place], None] = lambda place: None,
    ) -> None:
        self.collection = collection
        self._places = {index: tuple(found[:MOST_PLACES]) for index, found in places.items() if found}
        self._turn: dict[int, int] = {}  # which place of a file is read, if not the first
        self._lost = lost
        self._handles = Handles(self._open, OPEN_FILES)
        self._lock = Lock()
        have = Bits(collection.pieces)
        for index in self._places:
            pieces = collection.file_pieces(index)
            if pieces:
                have.set_run(pieces.start, len(pieces))
        self._have = have

    def has(self, piece: int) -> bool:
        return piece in self._have

    def bitfield(self) -> bytes:
        return self._have.to_bytes()

    def _open(self, number: int) -> int:
        index, turn = divmod(number, MOST_PLACES)
        return _opened(self._places[index][turn])

    def read_piece(self, piece: int) -> bytes:
        """The bytes of `piece`. Raises as `read_into`."""
        data = bytearray(self.collection.span(piece).size)
        self.read_into(piece, memoryview(data))
        return bytes(data)

    def read_into(self, piece: int, view: memoryview, offset: int = 0) -> int:
        """Fill `view` with the piece's bytes from `offset` on; returns how many there were.

        Raises:
            LookupError: the piece is not offered, or its file is gone or changed in every place.
            IndexError: no such piece.
        """
        index, start, size = self.collection.span(piece)
        want = min(len(view), size - offset)
        places = self._places.get(index, ())
        while (turn := self._turn.get(index, 0)) < len(places):
            place = places[turn]
            try:
                with self._handles.use(index * MOST_PLACES + turn) as handle:
                    if (
                        _is_it(os.fstat(handle), place)
                        and read_into(handle, view[:want], start + offset) == want
                    ):
                        return want
            except OSError as wrong:
                if self._handles.closed:
                    raise trouble(wrong, str(place.path)) from wrong
            self._leave(index, turn)
        raise LookupError(f"piece {piece} is not here any more")

    def _leave(self, index: int, turn: int) -> None:
        """This place is no good: the next is read from now on."""
        with self._lock:
            if self._turn.get(index, 0) != turn:
                return  # another thread saw it first
            self._turn[index] = turn + 1
            if turn + 1 == len(self._places[index]):
                pieces = self.collection.file_pieces(index)
                have = Bits(self._have.count, self._have.value)
                have.clear_run(pieces.start, len(pieces))
                self._have = have
        self._handles.drop(index * MOST_PLACES + turn)
        self._lost(self._places[index][turn])

    def place(self, index: int) -> Place | None:
        """Where this file is read from."""
        return next(iter(self._places.get(index, ())[self._turn.get(index, 0) :]), None)

    def holds(self, index: int) -> bool:
        """Whether this file is here as it was hashed, as far as `stat` tells. Blocks."""
        for place in self._places.get(index, ())[self._turn.get(index, 0) :]:
            try:
                if _is_it(os.stat(place.path, follow_symlinks=False), place):
                    return True
            except OSError:
                continue
        return False

    def close(self) -> None:
        """Let go of all files. Safe twice."""
        self._handles.close()


def _opened(place: Place) -> int:
    """Raises OSError."""
    if place.below is not None:
        return open_below(place.below, place.path.relative_to(place.below).parts)
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    return os.open(place.path, flags | getattr(os, "O_CLOEXEC", 0))


def _is_it(seen: os.stat_result, place: Place) -> bool:
    same = seen.st_size == place.size and seen.st_mtime_ns == place.stamp
    return same and stat.S_ISREG(seen.st_mode) and seen.st_nlink > 0


def open_place(place: Place) -> int:
    """A descriptor of the file at `place`, for reading. Raises Changed when it is not what was hashed; OSError."""
    handle = _opened(place)
    if not _is_it(os.fstat(handle), place):
        os.close(handle)
        raise Changed(f"{place.path} changed since it was hashed", advice="It is looked at again soon.")
    return handle
