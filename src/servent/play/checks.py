"""Whether all players' games are the same: checksums of states that are final, compared. Pure."""

from __future__ import annotations

from servent.play.model import Desync

KEPT = 32  # checksums of each player
TELL_EVERY = 4  # packets; at 60 fps each checksum goes out 15 times


class Checks:
    """Compares our checksums with those that the others tell."""

    def __init__(self, players: int, every: int) -> None:
        self.newest: tuple[int, int] | None = None  # ours: frame and checksum
        self.agreed = [0] * players  # the last frame whose checksum was the same, for each player
        self._every = every
        self._mine: dict[int, int] = {}
        self._theirs: list[dict[int, int]] = [{} for _ in range(players)]
        self._apart: set[int] = set()
        self._told: dict[int, dict[int, int]] = {}  # by frame, whose checksums were compared

    def ours(self, frame: int, checksum: int) -> list[Desync]:
        """We computed one."""
        self._mine[frame] = checksum
        self.newest = (frame, checksum)
        if len(self._mine) > KEPT:
            del self._mine[min(self._mine)]
        oldest, found = min(self._mine), []
        for player, told in enumerate(self._theirs):
            if frame in told:
                found += self._compare(player, frame, told.pop(frame))
            for late in [one for one in told if one < oldest]:
                del told[late]
        return found

    def theirs(self, player: int, frame: int, checksum: int) -> list[Desync]:
        """A player told one; each may come several times."""
        told = self._theirs[player]
        newest = self.newest[0] if self.newest else 0
        if frame <= 0 or frame % self._every or frame in told:
            return []
        if frame in self._mine:
            return self._compare(player, frame, checksum)
        if newest < frame <= newest + KEPT * self._every and len(told) < KEPT:
            told[frame] = checksum
        return []

    def all_of(self, players: set[int], since: int) -> dict[int, int] | None:
        """What these players told for the newest frame, not before `since`, for which all of them did; None: there is none."""
        for frame in sorted(self._told, reverse=True):
            if frame >= since and players <= self._told[frame].keys() and frame in self._mine:
                return {player: self._told[frame][player] for player in players} | {-1: self._mine[frame]}
        return None

    def forget(self, player: int) -> None:
        """`player` is another one now."""
        self.agreed[player] = 0
        self._theirs[player].clear()
        self._apart.discard(player)

    def _compare(self, player: int, frame: int, checksum: int) -> list[Desync]:
        mine = self._mine[frame]
        self._told.setdefault(frame, {})[player] = checksum
        if len(self._told) > KEPT:
            del self._told[min(self._told)]
        if mine == checksum:
            self.agreed[player] = max(self.agreed[player], frame)
            self._apart.discard(player)
            return []
        if player in self._apart:
            return []
        self._apart.add(player)
        return [Desync(player, frame, mine, checksum)]
