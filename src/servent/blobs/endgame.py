"""Who takes over what another owes: at the end of a download, and for pieces that somebody waits for. A core."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Mapping
from itertools import islice
from math import inf

from servent.blobs.asks import Ask
from servent.blobs.front import MOST_PIECES
from servent.blobs.source import Source

NUDGE = 0.5  # s; at the end a source that is silent this long, and twice what it needs, is helped
COPIES = 2  # sources that may owe one piece at the end
LOOKED_AT = 64  # pieces of another that are looked at
FASTER = 2.0  # times sooner than another before an urgent piece is asked for twice: copies cost bandwidth


class EndGame:
    """Looks at what the sources of one swarm owe; changes nothing.

    Args:
        owing: piece -> who owes it.
        received: pieces that came and are not verified yet.
        begins: where each piece begins, and where the last ends.
    """

    __slots__ = ("_begins", "_owing", "_received", "_sources")

    def __init__(
        self,
        sources: Mapping[Hashable, Source],
        owing: Mapping[int, list[Source]],
        received: Mapping[int, object],
        begins: array[int],
    ) -> None:
        self._sources, self._owing, self._received, self._begins = sources, owing, received, begins

    def _size(self, piece: int) -> int:
        return self._begins[piece + 1] - self._begins[piece]

    def repeat(self, source: Source, room: int, largest: int, now: float) -> Ask | None:
        """Nothing is left to ask for: take over what another will need longest for."""
        best: Source | None = None
        longest, last = 0.0, -1
        for other in self._sources.values():
            if other is not source and other.owed and (left := self.time_left(other, now)) > longest:
                owed = islice(reversed(other.owed), LOOKED_AT)
                piece = next((one for one in owed if self._repeatable(source, one)), None)
                if piece is not None:
                    best, longest, last = other, left, piece
        if best is None:
            return None
        first = last
        size = self._size(first)
        if self._mine(source, size) >= longest:
            return None
        count, most = 1, min(room, largest, best.owed_bytes // 2)
        while count < MOST_PIECES and first - 1 in best.owed and self._repeatable(source, first - 1):
            size += self._size(first - 1)
            if size > most:
                break
            first, count = first - 1, count + 1
        return Ask(first, count)

    def rescue(self, source: Source, urgent: Iterable[int], now: float) -> Ask | None:
        """The most urgent piece that `source` would bring much sooner than the one who owes it."""
        for piece in islice(urgent, LOOKED_AT):
            owing = self._owing.get(piece)
            if owing is None or not self._repeatable(source, piece):
                continue
            mine = self._mine(source, self._size(piece))
            if source.window.rate and self._time_to(owing[0], piece, now) > max(NUDGE, FASTER * mine):
                return Ask(piece, 1)
        return None

    def ahead_of(self, source: Source) -> float:
        """Bytes that faster sources will bring before `source` could bring one piece more."""
        if not source.window.rate:
            return 0.0
        others = sum(
            one.window.rate
            for one in self._sources.values()
            if one is not source and not one.slow and one.window.rate > source.window.rate
        )
        return others * self._mine(source, self._size(0))

    def _mine(self, source: Source, size: int) -> float:
        """Seconds until `source` would have brought `size` bytes more; 0 while nobody knows."""
        pace = source.window
        return pace.time_for(source.owed_bytes + size) + (pace.delay or 0.0) if pace.rate else 0.0

    def _time_to(self, source: Source, piece: int, now: float) -> float:
        """Seconds until a source will have brought a piece it owes: what it was asked for earlier comes first."""
        if not source.window.rate or now >= self.overdue_at(source):
            return inf
        before = 0
        for one in source.owed:
            before += self._size(one)
            if one == piece:
                break
        return source.window.time_for(before)

    def time_left(self, source: Source, now: float) -> float:
        """How long it will take for what it owes, as far as we can tell."""
        if not source.window.rate or now >= self.overdue_at(source):
            return inf
        return source.window.time_for(source.owed_bytes)

    def expected(self, source: Source) -> float:
        """Seconds a source needs for the piece it owes longest."""
        return source.window.time_for(self._size(next(iter(source.owed)))) + (source.window.delay or 0.0)

    def overdue_at(self, source: Source) -> float:
        """When a source that still sends would have sent something."""
        return source.heard + max(NUDGE, 2 * self.expected(source))

    def _repeatable(self, source: Source, piece: int) -> bool:
        owing = self._owing[piece]
        return (
            len(owing) < COPIES
            and source not in owing
            and piece not in self._received
            and (source.full or bool(source.have >> piece & 1))
        )
