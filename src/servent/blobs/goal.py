"""What one download is to bring, where to, and how much of it is there: its row's choice of files, on the disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from servent.blobs.disk import Partial
from servent.blobs.info import Collection
from servent.blobs.pieces import Bits
from servent.blobs.places import Placed
from servent.blobs.rows import Row
from servent.blobs.seed import PieceSource, already_there
from servent.blobs.selection import bytes_in, choice, pieces_of


class Goal:
    """Makes and reads the row's choice, and writes its `done_bytes` and `path`. One method at a time.

    Args:
        blocked: contents that are never fetched here.

    Attributes:
        placed: files that are wanted and were put into their place when a smaller choice was complete.
        counted: bytes of each file that are there, where no record of pieces says so.
    """

    def __init__(self, row: Row, blocked: Callable[[bytes], bool] = lambda root: False) -> None:
        self._row, self._blocked = row, blocked
        self.placed: frozenset[int] = frozenset()
        self.counted: list[int] = []
        self._aside_bytes = 0  # of the partial: pieces that nobody wants now, less what is in its place

    def describe(self, collection: Collection) -> None:
        """It is known now what there is: what is not wanted, or blocked here, is left out. Raises as `choice`."""
        row = self._row
        row.wanted, row.patterns = choice(collection, row.wanted, row.patterns, self._blocked), []
        row.describe(collection)

    def begin(self, collection: Collection, offered: PieceSource | None) -> Partial | None:
        """Open what is there, or begin. None: the folder holds all of it already. Blocks.

        Args:
            offered: what this node serves of the collection already.

        Raises:
            DiskTrouble, UsageError: see `Partial.open`.
        """
        row = self._row
        self.placed = self._in_place(offered)
        size = row.size_bytes - sum(collection.files[index].size for index in self.placed)
        partial = Partial.open(Path(row.to), collection, size=size)
        try:
            partial.save_layers()
            if not partial.resumed and not self.placed and not collection.missing_layers():
                there = already_there(collection, Path(row.to), row.called, row.wanted)
                if there is not None:
                    row.path = str(there)
                    partial.discard()
                    return None
        except BaseException:
            partial.close()
            raise
        return partial

    def _in_place(self, offered: PieceSource | None) -> frozenset[int]:
        if self._row.wanted is None or self._row.path is None or not isinstance(offered, Placed):
            return frozenset()
        return frozenset(index for index in self._row.wanted if offered.holds(index))

    def files(self, collection: Collection) -> list[int]:
        """Files that are still to be brought, there or not."""
        wanted = self._row.wanted
        return [
            one
            for one in (range(len(collection.files)) if wanted is None else wanted)
            if one not in self.placed
        ]

    def pieces(self, collection: Collection) -> Bits | None:
        """Their pieces; None: all."""
        return None if self._row.wanted is None else pieces_of(collection, self.files(collection))

    def count(self, partial: Partial) -> None:
        """How much of it is there, from scratch."""
        collection, chosen, have = partial.collection, self.pieces(partial.collection), partial.have
        self._aside_bytes = 0
        if chosen is not None:
            have.remove(chosen)
            in_place = sum(collection.files[index].size for index in self.placed)
            self._aside_bytes = bytes_in(collection, have) - in_place
        self.progress(partial)

    def progress(self, partial: Partial) -> None:
        """The same, since the last count."""
        self._row.done_bytes = min(partial.done_bytes - self._aside_bytes, self._row.size_bytes)

    def finish(self, partial: Partial) -> None:
        """Put it into its place. Blocks. Raises DiskTrouble, UsageError: see `Partial.finish`."""
        row = self._row
        into = Path(row.path) if row.path is not None else None
        if into is not None and not self.placed and (partial.collection.single or not into.is_dir()):
            into = None  # what was chosen before is gone
        files = None if row.wanted is None else self.files(partial.collection)
        row.path = str(partial.finish(called=row.called, files=files, into=into))
