"""Contents that have to stay on the disk of a volunteer, and how many bytes that are. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from servent.grid.manifests import Content


class Reserved:
    """Each content counts once, whoever needs it.

    Attributes:
        size: bytes of all.
    """

    def __init__(self) -> None:
        self.size = 0
        self._by: dict[tuple[object, ...], list[Content]] = {}
        self._counts: dict[bytes, int] = {}

    def __contains__(self, infohash: bytes) -> bool:
        return infohash in self._counts

    def more(self, contents: Sequence[Content]) -> int:
        """Bytes of those that are not counted yet."""
        return sum({one.infohash: one.size for one in contents if one.infohash not in self._counts}.values())

    def take(self, key: tuple[object, ...], contents: Sequence[Content]) -> None:
        """Once for each key."""
        if key in self._by or not contents:
            return
        self._by[key] = list(contents)
        for one in contents:
            count = self._counts.get(one.infohash, 0)
            self._counts[one.infohash] = count + 1
            self.size += 0 if count else one.size

    def give(self, key: tuple[object, ...]) -> None:
        """It needs them no more."""
        for one in self._by.pop(key, ()):
            self._counts[one.infohash] -= 1
            if not self._counts[one.infohash]:
                del self._counts[one.infohash]
                self.size -= one.size
