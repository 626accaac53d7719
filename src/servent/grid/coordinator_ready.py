"""Which units have a copy to hand out, and to whom. Pure.

Units nobody has begun are a row in which anybody takes the first. Of those that are begun, the ones in the same hands stand together: who asks passes over
all that it has had itself at one step, however many those are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from servent.grid.coordinator_live import Live
from servent.grid.transition import HAD

LOOKED_AT = 256  # units looked through for one whose content the asker has
PASSED = 64  # units passed over in one shelf: not for this asker, for reasons that the shelf does not know


class Shelf:
    """Of one app at one rank. `begun`: by those who have had a copy."""

    __slots__ = ("begun", "fresh", "spots")

    def __init__(self) -> None:
        self.fresh: dict[int, Live] = {}
        self.spots: dict[int, Live] = {}  # fresh, and their answer is known
        self.begun: dict[tuple[bytes, ...], dict[int, Live]] = {}


class Ready:
    """All of one project. The lowest rank first; of one rank, what is begun before what is not."""

    def __init__(self) -> None:
        self._ranks: dict[int, dict[int, Shelf]] = {}
        self._order: list[int] = []

    @property
    def fresh(self) -> int:
        """Units that nobody has begun."""
        return sum(
            len(shelf.fresh) + len(shelf.spots) for apps in self._ranks.values() for shelf in apps.values()
        )

    def put(self, live: Live, rank: int) -> None:
        """It has an unsent copy, or none at all yet."""
        if live.place is not None:
            self.take(live)
        apps = self._ranks.get(rank)
        if apps is None:
            apps = self._ranks[rank] = {}
            self._order = sorted(self._ranks)
        shelf = apps.get(live.app)
        if shelf is None:
            shelf = apps[live.app] = Shelf()
        if not live.copies:
            place = shelf.fresh if live.unit.answer is None else shelf.spots
        else:
            hands = hands_of(live)
            found = shelf.begun.get(hands)
            place = shelf.begun.setdefault(hands, {}) if found is None else found
        place[live.unit.id] = live
        live.place = place

    def take(self, live: Live) -> None:
        """It has none any more."""
        place = live.place
        if place is None:
            return
        del place[live.unit.id]
        live.place = None

    def clear_fresh(self) -> list[Live]:
        """Take all out that nobody has begun."""
        out: list[Live] = []
        for apps in self._ranks.values():
            for shelf in apps.values():
                out += [*shelf.fresh.values(), *shelf.spots.values()]
        for live in out:
            self.take(live)
        return out

    def pick(
        self,
        identity: bytes,
        most: int,
        fits: Callable[[int], bool],
        may: Callable[[Live], bool],
        *,
        have: Sequence[bytes] = (),
        spots: Callable[[], bool] = lambda: False,
        fresh: bool = True,
    ) -> list[Live]:
        """Up to `most` units of which `identity` may get a copy, the most urgent first; nothing is taken out.

        Args:
            fits: whether units of an app may go to the asker at all.
            may: whether this unit may.
            have: infohashes of contents that the asker has: their units come first.
            spots: asked for each unit: whether it shall be one whose answer is known.
            fresh: whether new ones may be begun.
        """
        found: list[Live] = []
        if len(self._order) != len(self._ranks):
            self._order = sorted(self._ranks)
        wanted = frozenset(have)
        for rank in list(self._order):
            apps = self._ranks[rank]
            for app, shelf in list(apps.items()):
                if not (shelf.fresh or shelf.spots or shelf.begun):
                    del apps[app]
                    continue
                if fits(app):
                    found += self._of_shelf(shelf, identity, most - len(found), may, wanted, spots, fresh)
                if len(found) >= most:
                    return found
            if not apps:
                del self._ranks[rank]
                self._order = sorted(self._ranks)
        return found

    def _of_shelf(
        self,
        shelf: Shelf,
        identity: bytes,
        most: int,
        may: Callable[[Live], bool],
        have: frozenset[bytes],
        spots: Callable[[], bool],
        fresh: bool,
    ) -> list[Live]:
        found: list[Live] = []
        if most <= 0:
            return found
        empty: list[tuple[bytes, ...]] = []
        passed = 0
        for hands, lives in shelf.begun.items():
            if not lives:
                empty.append(hands)
                continue
            if identity in hands:
                continue
            for live in lives.values():
                if may(live):
                    found.append(live)
                    if len(found) >= most:
                        break
                else:
                    passed += 1
                    if passed >= PASSED:
                        break
            if len(found) >= most or passed >= PASSED:
                break
        for hands in empty:
            del shelf.begun[hands]
        if not fresh or len(found) >= most:
            return found
        known = iter(shelf.spots.values())
        for live in self._fresh(shelf, have):
            if spots() and (spot := next(known, None)) is not None:
                found.append(spot)
                if len(found) >= most:
                    break
            found.append(live)
            if len(found) >= most:
                break
        if len(found) < most and not shelf.fresh:
            found += [live for live, _ in zip(known, range(most - len(found)), strict=False)]
        return found

    @staticmethod
    def _fresh(shelf: Shelf, have: frozenset[bytes]) -> Iterator[Live]:
        if not have:
            yield from shelf.fresh.values()
            return
        first = {
            live.unit.id
            for live, _ in zip(shelf.fresh.values(), range(LOOKED_AT), strict=False)
            if live.spec is not None and live.spec.content is not None and live.spec.content.infohash in have
        }
        for unit in first:
            yield shelf.fresh[unit]
        for unit, live in shelf.fresh.items():
            if unit not in first:
                yield live


def hands_of(live: Live) -> tuple[bytes, ...]:
    """Who can have no other copy of it: the same tuple for all units in the same hands."""
    held: set[bytes] = set()
    for copy in live.copies:
        if copy.state in HAD and copy.identity is not None:
            held.add(copy.identity)
            held.update(copy.lineage)
    return tuple(sorted(held))
