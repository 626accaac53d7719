"""A shared folder, read only: pieces to serve, as long as the files are what was hashed."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from servent.blobs import info, names
from servent.blobs.files import Folder, Handles, Parts, open_below, open_inside, read_into, trouble
from servent.blobs.hashing import verify_file_pieces
from servent.blobs.pieces import Bits
from servent.blobs.places import Place
from servent.blobs.scan import Changed


class PieceSource(Protocol):
    """Where pieces to serve come from. Methods may be called from several threads."""

    collection: info.Collection

    def has(self, piece: int) -> bool: ...
    def bitfield(self) -> bytes: ...
    def read_piece(self, piece: int) -> bytes: ...
    def read_into(self, piece: int, view: memoryview, offset: int = 0) -> int: ...


class Seed:
    """Read-only access to the pieces of a shared folder, as long as it is what was hashed.

    Args:
        root: the folder that `paths` are in.
        paths: of every file of the collection, in its order.
        stamps: their modification times in ns when hashed, or None not to look at them.
    """

    def __init__(
        self,
        collection: info.Collection,
        root: Path,
        paths: Sequence[Parts],
        stamps: Sequence[int] | None = None,
    ) -> None:
        self.collection = collection
        self.root = root
        self._paths = paths
        self._stamps = stamps
        self._handles = Handles(self._open)

    def has(self, piece: int) -> bool:
        return 0 <= piece < self.collection.pieces

    def bitfield(self) -> bytes:
        return Bits.full(self.collection.pieces).to_bytes()

    def _open(self, index: int) -> int:
        parts = self._paths[index]
        if (
            not self.collection.single and parts == self.collection.files[index].path
        ):  # all of `root` is shared
            return open_inside(self.root, parts)
        return open_below(self.root.resolve(), parts)

    def read_piece(self, piece: int) -> bytes:
        """The bytes of `piece`. Raises Changed, DiskTrouble, IndexError."""
        data = bytearray(self.collection.span(piece).size)
        self.read_into(piece, memoryview(data))
        return bytes(data)

    def read_into(self, piece: int, view: memoryview, offset: int = 0) -> int:
        """Fill `view` with the piece's bytes from `offset` on; returns how many there were.

        Raises:
            Changed: the file is not what was shared: it would not verify, so it is not sent.
            DiskTrouble: the file cannot be read.
            IndexError: no such piece.
        """
        index, start, size = self.collection.span(piece)
        want = min(len(view), size - offset)
        try:
            with self._handles.use(index) as handle:
                self._unchanged(index, os.fstat(handle))
                got = read_into(handle, view[:want], start + offset)
        except OSError as wrong:
            raise trouble(wrong, str(self.root.joinpath(*self._paths[index]))) from wrong
        if got < want:
            raise self._changed(index)
        return got

    def _unchanged(self, index: int, seen: os.stat_result) -> None:
        stamp = self._stamps[index] if self._stamps is not None else seen.st_mtime_ns
        if (
            seen.st_size != self.collection.files[index].size
            or seen.st_mtime_ns != stamp
            or not stat.S_ISREG(seen.st_mode)
        ):
            self._handles.drop(index)
            raise self._changed(index)

    def _changed(self, index: int) -> Changed:
        return Changed(
            f"{self.root.joinpath(*self._paths[index])} changed since it was shared", advice="Share it again."
        )

    def place(self, index: int) -> Place | None:
        """Where this file is read from."""
        if self._stamps is None:
            return None
        path = self.root.joinpath(*self._paths[index])
        return Place(path, self.collection.files[index].size, self._stamps[index])

    def close(self) -> None:
        """Let go of all files. Safe twice."""
        self._handles.close()


def holds(
    collection: info.Collection, to: Path, paths: Sequence[Parts], files: Sequence[int] | None = None
) -> bool:
    """Whether `to` holds these files of `collection` (None: all) under `paths`, byte for byte. Blocks: it hashes them.

    Other files beside them do not matter. Links are not followed below `to`.
    """
    try:
        folder = Folder(to)
    except OSError:
        return False
    try:
        for looked in (True, False):  # sizes first: a difference there is cheap to see
            for index in range(len(collection.files)) if files is None else files:
                file = collection.files[index]
                handle = folder.open(paths[index], os.O_RDONLY)
                try:
                    if os.fstat(handle).st_size != file.size:
                        return False
                    pieces = collection.file_pieces(index)
                    if not looked and len(verify_file_pieces(handle, collection, pieces)) != len(pieces):
                        return False
                finally:
                    os.close(handle)
    except (OSError, LookupError):
        return False
    finally:
        folder.close()
    return True


def already_there(
    collection: info.Collection, to: Path, called: str = "", files: Sequence[int] | None = None
) -> Path | None:
    """Where `to` holds `collection` (or these files of it) already, under its own name or as `called`, or None.

    Needs the layers; blocks.
    """
    paths = names.safe_paths(collection)
    top = names.safe_part(called) if called else paths[0][0]
    renamed = [(top, *path[1:]) for path in paths]
    return to / top if holds(collection, to, renamed, files) else None
