"""Who came to stand where on the ring, and who left, since somebody asked last. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from servent.overlay.placement import Position, point

MOST = 512  # moves that are told apart; after more, all may be another


@dataclass(frozen=True, slots=True)
class Change:
    """Supernodes at which something may be stored: who is new at its place, and the places that were left."""

    joined: Mapping[bytes, Position]
    left: Sequence[Position]

    def new(self, key: bytes, nearest: Sequence[bytes], last: Position | None) -> list[bytes]:
        """Which of the supernodes nearest to a key were not so before.

        Args:
            last: where the last of `nearest` stands; None: not known.
        """
        if not self.left or last is None or not nearest:
            return [one for one in nearest if one in self.joined]
        where = point(key)
        farthest = last ^ where
        gone = sum(place ^ where < farthest for place in self.left)  # each made room for one
        settled = len(nearest) - gone
        return [one for at, one in enumerate(nearest) if at >= settled or one in self.joined]


class Moves:
    """Where each stood when `take` was called last, of those that have moved since. Nothing is noted before it is called first."""

    __slots__ = ("_many", "_stood")

    def __init__(self) -> None:
        self._stood: dict[bytes, Position | None] | None = None
        self._many = False

    def note(self, key: bytes, before: Position | None) -> None:
        """`key` stood at `before` until now; None: it did not stand anywhere."""
        if self._stood is None or self._many or key in self._stood:
            return
        if len(self._stood) >= MOST:
            self._stood, self._many = {}, True
        else:
            self._stood[key] = before

    def take(self, place_of: Callable[[bytes], Position | None]) -> Change | None:
        """What is another since the last call; None for everything.

        Args:
            place_of: where each stands now, None for nowhere.
        """
        stood, many = self._stood, self._many
        self._stood, self._many = {}, False
        if stood is None or many:
            return None
        joined: dict[bytes, Position] = {}
        left: list[Position] = []
        for key, before in stood.items():
            now = place_of(key)
            if now != before:
                if now is not None:
                    joined[key] = now
                if before is not None:
                    left.append(before)
        return Change(joined, left)
