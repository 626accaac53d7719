"""What a download lends to another network: pieces that are brought from there into the download's own files."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable
from typing import TYPE_CHECKING

from servent.blobs.front import lowest, run_around
from servent.blobs.pieces import Bits, runs_of
from servent.blobs.rows import State
from servent.errors import DiskTrouble

if TYPE_CHECKING:
    from servent.blobs.disk import Partial
    from servent.blobs.download_service import Download

HORIZON = (
    8.0  # s of the other network's rate that are lent while sources of ours want something, too; a guess
)
LEAST = 16 * 1024 * 1024  # bytes lent at least, since its peers share the pieces among themselves


class Lending:
    """Owns which pieces of one download are lent. Everything happens on the loop.

    Who borrows writes the bytes into the files below `Partial.folder` itself, and only of pieces that it has: what it was asked
    for may be written there before anybody has checked it. So no piece is asked of it and of a source of ours at one time; one
    that came from elsewhere while it was lent is doubted, and read again at the end.

    Attributes:
        state, words: what the other network does for this download, for its row; no words: nothing.
        peers: of it that are connected now.
        received_bytes: that came from it; brought_bytes: of the pieces among them that are recorded.
        doubted: pieces that may have been written over.
        pending: pieces that are being brought before the download could lend any, since it did not know their hashes.
    """

    def __init__(self, download: Download) -> None:
        self._download = download
        self._dice = random.Random()
        self.lent: set[int] = set()
        self.doubted: set[int] = set()
        self.state: State | None = None
        self.words = ""
        self.peers = 0
        self.received_bytes = self.brought_bytes = 0
        self.pending: set[int] = set()

    def say(self, state: State | None, words: str, peers: int = 0) -> None:
        """What it does now. `state`: None while it brings nothing."""
        if (state, words, peers) != (self.state, self.words, self.peers):
            self.state, self.words, self.peers = state, words, peers
            self._download.changed()

    def moved(self, size: int, now: float) -> None:
        """Bytes came, of whatever piece."""
        if size > 0:
            self.received_bytes += size
            self._download.meter.add(size, now)

    # -- lending

    def begin(self) -> None:
        """The download knows now what it wants: what is pending of it is lent, the rest stays in `pending`."""
        swarm = self._download.swarm
        if swarm is not None and self.pending:
            wanted = swarm.wanted
            taken = {piece for piece in self.pending if piece in wanted}
            self.pending -= taken
            self._lend(taken)

    def more(self, rate: float, able: Bits | None = None) -> list[int]:
        """Lend as much as the other network should have now; what is new of it.

        Args:
            rate: bytes per second that it brings.
            able: pieces that somebody there has; None: all.
        """
        swarm, collection = self._download.swarm, self._download.collection
        if swarm is None or collection is None or self._download.over:
            return []
        free = swarm.wanted
        if able is not None:
            free.value &= able.value
        if not swarm.rivals:
            new = set(free)
            self._lend(new)
            return sorted(new)
        new = set()
        room = self.share(rate) - self._bytes(self.lent)
        begins = swarm.begins
        while free and room > 0:
            at = self._start(free)
            run = run_around(begins, free.value, free.value, at, room)
            free.clear_run(run.first, run.count)
            new.update(range(run.first, run.first + run.count))
            room -= begins[run.first + run.count] - begins[run.first]
        self._lend(new)
        return sorted(new)

    def too_many(self, rate: float) -> list[int]:
        """Lent pieces that it should give back, if it has not begun with them: sources of ours want something to do."""
        swarm = self._download.swarm
        if swarm is None or not swarm.rivals:
            return []
        most = self.share(rate)
        if not swarm.wanted:  # the end: what is left is shared
            most = min(most, self._bytes(self.lent) // 2)
        kept, back = 0, []
        for piece in sorted(self.lent):
            kept += self._bytes((piece,))
            if kept > most:
                back.append(piece)
        return back

    def share(self, rate: float) -> int:
        """Bytes that are lent while there are sources of ours."""
        collection = self._download.collection
        assert collection is not None
        return max(min(LEAST, collection.size // 4), int(rate * HORIZON), 2 * collection.piece_length)

    def take_back(self, pieces: Iterable[int], *, begun: bool = False) -> None:
        """It will not bring these. `begun`: it may have written something of them."""
        gone = self.lent.intersection(pieces)
        if not gone:
            return
        self.lent -= gone
        if begun:
            self.doubted |= gone
        self._download.apply_back(self._bits(gone))

    def not_wanted(self) -> list[int]:
        """Lent pieces that came from elsewhere, or are not chosen any more: no longer lent."""
        download = self._download
        partial, swarm = download.partial, download.swarm
        if partial is None or swarm is None or not self.lent:
            return []
        have, chosen = partial.have, swarm.chosen
        gone = [piece for piece in self.lent if piece in have or piece not in chosen]
        if gone:
            self.take_back(gone, begun=True)
        return gone

    async def came(self, pieces: Iterable[int]) -> None:
        """These are verified and in their files: whoever brought them vouches for it. Raises DiskTrouble."""
        partial = self._download.partial
        found = [piece for piece in pieces if partial is not None and not partial.has(piece)]
        if partial is None or not found:
            return
        runs = runs_of(found)

        def record() -> None:
            for first, count in runs:
                partial.record(first, count)

        await asyncio.to_thread(record)
        self.brought_bytes += sum(partial.collection.span(piece).size for piece in found)
        self.lent.difference_update(found)
        self.doubted.difference_update(found)
        self._download.brought(found)

    def check_doubted(self, partial: Partial) -> None:
        """Read again what may have been written over. Blocks.

        Raises:
            DiskTrouble: some of it was; it is wanted again at the next run.
        """
        if not self.doubted:
            return
        partial.doubt(self._bits(self.doubted))
        lost = partial.recheck()
        self.doubted.clear()
        if lost:
            raise DiskTrouble(
                f"{lost} pieces were overwritten by what a BitTorrent peer sent",
                advice="`servent resume` fetches them again.",
            )

    # -- inside

    def _lend(self, pieces: set[int]) -> None:
        if pieces and self._download.swarm is not None:
            self._download.swarm.lend(self._bits(pieces))
            self.lent |= pieces

    def _start(self, free: Bits) -> int:
        if self._download.row.in_order:
            return lowest(free.value)
        rest = free.value >> (skip := self._dice.randrange(free.count))
        return skip + lowest(rest) if rest else lowest(free.value)

    def _bits(self, pieces: Iterable[int]) -> Bits:
        collection = self._download.collection
        assert collection is not None
        bits = Bits(collection.pieces)
        for first, count in runs_of(pieces):
            bits.set_run(first, count)
        return bits

    def _bytes(self, pieces: Iterable[int]) -> int:
        swarm = self._download.swarm
        assert swarm is not None
        return sum(swarm.begins[piece + 1] - swarm.begins[piece] for piece in pieces)
