"""Entries that wait for their workers' agreement: those at hand, and when each may be sent again. Pure; times are seconds on the caller's clock.

Only those of workers that joined lately are held, `AT_HAND` for each; the others lie in the database, and come when there is room.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from servent.grid.wire import Receipt

AT_HAND = 8  # of one worker; as many as a message holds
WORKERS = 512  # with entries at hand: 200 MB at most, where all entries are full
AGAIN_AFTER = 60.0  # s until an entry is sent once more, each time twice as long
TIMES = 5


class _Sent:
    __slots__ = ("due", "pause", "receipt", "times")

    def __init__(self, receipt: Receipt) -> None:
        self.receipt, self.due, self.pause, self.times = receipt, 0.0, AGAIN_AFTER, 0


class _Place:
    """Of one worker. `after`: the newest that was ever brought here; `more`: newer ones lie in the database."""

    __slots__ = ("after", "held", "more")

    def __init__(self) -> None:
        self.held: dict[int, _Sent] = {}
        self.after = 0
        self.more = True


class Desk:
    """By (project, worker). A worker has a place from `begin` until it is pushed out by others."""

    def __init__(self) -> None:
        self._places: OrderedDict[tuple[bytes, bytes], _Place] = OrderedDict()

    def begin(self, project: bytes, worker: bytes) -> None:
        """It is here: what waits for it is brought, all from the first on (see `wanted`)."""
        key = (project, worker)
        self._places[key] = _Place()
        self._places.move_to_end(key)
        while len(self._places) > WORKERS:
            self._places.popitem(last=False)

    def wanted(self) -> list[tuple[bytes, bytes, int]]:
        """Whose entries are to be read from the database: (project, worker, after which number)."""
        return [
            (*key, place.after)
            for key, place in self._places.items()
            if place.more and len(place.held) < AT_HAND // 2
        ]

    def bring(self, project: bytes, worker: bytes, found: Sequence[tuple[int, Receipt]], limit: int) -> None:
        """Up to `limit` were looked for, after what `wanted` said, and these were found."""
        place = self._places.get((project, worker))
        if place is None:
            return
        place.more = len(found) >= limit
        for number, receipt in found:
            if number > place.after:
                place.held[number] = _Sent(receipt)
                place.after = number

    def made(self, project: bytes, worker: bytes, number: int, receipt: Receipt) -> None:
        """A new entry."""
        place = self._places.get((project, worker))
        if place is None or place.more:
            return
        if len(place.held) >= AT_HAND:
            place.more = True
        elif number > place.after:
            place.held[number] = _Sent(receipt)
            place.after = number

    def agreed(self, project: bytes, worker: bytes, numbers: Iterable[int]) -> None:
        """These wait no more."""
        place = self._places.get((project, worker))
        if place is not None:
            for number in numbers:
                place.held.pop(number, None)

    def waiting(self, project: bytes, worker: bytes, most: int, now: float) -> list[Receipt]:
        """What is to be sent now. One that was sent `TIMES` in vain makes room for others until the worker joins again."""
        place = self._places.get((project, worker))
        if place is None:
            return []
        chosen: list[Receipt] = []
        for number, sent in list(place.held.items()):
            if len(chosen) >= most:
                break
            if sent.due > now:
                continue
            if sent.times >= TIMES:
                del place.held[number]
                continue
            chosen.append(sent.receipt)
            sent.times += 1
            sent.due, sent.pause = now + sent.pause, 2 * sent.pause
        return chosen

    def forget(self, project: bytes) -> None:
        for key in [key for key in self._places if key[0] == project]:
            del self._places[key]
