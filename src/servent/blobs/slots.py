"""Who may download from us now, and who waits at which place. A core: no I/O, no clock.

A few peers at full speed finish sooner than many at a crawl, so there are `count` upload slots, one for each
peer whatever it fetches. Who waits is ordered by one number, the time it began to wait less a head start:
friends get 2 minutes, peers who gave us more than they took up to 1 minute. So friends come first, and
because a head start is bounded nobody starves: who has waited 3 minutes is before everybody who comes later.
A turn ends after 60 s when others wait; then the peer queues again. That is round-robin among equals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf, log2
from typing import NamedTuple

from servent.identity import PeerId

TURN = 60.0  # s of a slot while others wait; long enough for a pipe to fill, short enough to see the end of
FRIEND_HEAD_START = 120.0  # s
CREDIT_HEAD_START = 60.0  # s, for who gave us 8 times what it took or more
MOST_CREDITS = 10_000  # peers whose giving and taking is remembered; then the oldest is forgotten
MOST_WAITING = 500  # peers in the queue
CREDIT_UNIT = 16 * 1024 * 1024  # bytes that count as nothing, in either direction


@dataclass(frozen=True, slots=True)
class Granted:
    """`peer` has a slot from now on."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class Queued:
    """`peer` waits at `position` (1 is next) of `waiting`; tell it. Sent again when that changes.

    `reason` is a sentence for a person; `wait` what it will probably take, in seconds.
    """

    peer: PeerId
    position: int
    waiting: int
    reason: str
    wait: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The turn of `peer` is over: stop after the request under way. A `Queued` follows."""

    peer: PeerId


@dataclass(frozen=True, slots=True)
class Rejected:
    """`peer` is not even queued; it may ask again later."""

    peer: PeerId
    reason: str


Effect = Granted | Queued | Ended | Rejected


class Credit(NamedTuple):
    gave_bytes: int = 0  # it sent us
    took_bytes: int = 0  # we sent it


@dataclass(frozen=True, slots=True)
class Holder:
    """A peer that has a slot until `turn_ends`, or longer if nobody waits then."""

    peer: PeerId
    friend: bool
    since: float
    turn_ends: float


@dataclass(frozen=True, slots=True)
class SlotsView:
    count: int
    holders: tuple[Holder, ...]
    queue: tuple[Queued, ...]


@dataclass(slots=True)
class _Waiter:
    peer: PeerId
    friend: bool
    rank: float
    since: float


class Slots:
    """Hands out `count` upload slots.

    Args:
        count: slots; at least 1.
        turn: seconds of a slot while others wait.
    """

    def __init__(self, count: int = 8, *, turn: float = TURN) -> None:
        self.count = count
        self._turn = turn
        self._holders: dict[PeerId, Holder] = {}
        self._waiting: dict[PeerId, _Waiter] = {}
        self._told: dict[PeerId, tuple[int, int]] = {}
        self._credit: dict[PeerId, Credit] = {}

    def request(self, peer: PeerId, now: float, *, friend: bool = False) -> list[Effect]:
        """`peer` wants something. Asking again while it holds a slot or waits only repeats the answer."""
        if peer in self._holders:
            return [Granted(peer)]
        if peer not in self._waiting:
            if len(self._waiting) >= MOST_WAITING:
                return [Rejected(peer, f"{MOST_WAITING} peers are waiting already")]
            self._enqueue(peer, friend, now)
        self._told.pop(peer, None)
        return self._advance(now)

    def release(self, peer: PeerId, now: float) -> list[Effect]:
        """`peer` wants nothing more, or is gone; whether it held a slot or waited."""
        self._holders.pop(peer, None)
        self._waiting.pop(peer, None)
        self._told.pop(peer, None)
        return self._advance(now)

    def resize(self, count: int, now: float) -> list[Effect]:
        """Change the number of slots; the turns that are under way end as they would."""
        self.count = max(1, count)
        return self._advance(now)

    def holds(self, peer: PeerId) -> bool:
        return peer in self._holders

    def gave(self, peer: PeerId, size: int) -> None:
        """It sent us `size` verified bytes."""
        credit = self._credit.get(peer, Credit())
        self.set_credit(peer, credit._replace(gave_bytes=credit.gave_bytes + size))

    def took(self, peer: PeerId, size: int) -> None:
        """We sent it `size` bytes."""
        credit = self._credit.get(peer, Credit())
        self.set_credit(peer, credit._replace(took_bytes=credit.took_bytes + size))

    def credit(self, peer: PeerId) -> Credit:
        return self._credit.get(peer, Credit())

    def set_credit(self, peer: PeerId, credit: Credit) -> None:
        """What is remembered of `peer` from earlier days."""
        if peer not in self._credit and len(self._credit) >= MOST_CREDITS:
            del self._credit[next(iter(self._credit))]
        self._credit[peer] = credit

    def tick(self, now: float) -> list[Effect]:
        """End the turns that are over, as long as somebody waits for them."""
        effects: list[Effect] = []
        over = sorted(
            (holder for holder in self._holders.values() if holder.turn_ends <= now),
            key=lambda holder: (holder.turn_ends, holder.since),
        )
        ended, kept = over[: len(self._waiting)], over[len(self._waiting) :]
        for holder in kept if ended else ():
            self._holders[holder.peer] = replace(holder, turn_ends=now + self._turn)
        for holder in ended:
            del self._holders[holder.peer]
            self._told.pop(holder.peer, None)
            effects.append(Ended(holder.peer))
        return effects + self._advance(now, requeue=ended)

    def next_tick(self) -> float | None:
        """When the next turn ends that somebody waits for."""
        if not self._waiting:
            return None
        return min((holder.turn_ends for holder in self._holders.values()), default=None)

    def view(self, now: float) -> SlotsView:
        """A picture of now."""
        queue = tuple(self._queued(waiter, place, now) for place, waiter in enumerate(self._order()))
        return SlotsView(self.count, tuple(self._holders.values()), queue)

    # -- inside

    def _enqueue(self, peer: PeerId, friend: bool, now: float) -> None:
        head_start = (FRIEND_HEAD_START if friend else 0.0) + self._credit_head_start(peer)
        self._waiting[peer] = _Waiter(peer, friend, now - head_start, now)

    def _credit_head_start(self, peer: PeerId) -> float:
        credit = self._credit.get(peer, Credit())
        ratio = (credit.gave_bytes + CREDIT_UNIT) / (credit.took_bytes + CREDIT_UNIT)
        return CREDIT_HEAD_START * min(1.0, max(0.0, log2(ratio) / 3))

    def _order(self) -> list[_Waiter]:
        return sorted(self._waiting.values(), key=lambda waiter: waiter.rank)  # stable: first come first

    def _advance(self, now: float, requeue: list[Holder] | None = None) -> list[Effect]:
        """Fill free slots from the queue, then tell everybody whose place changed."""
        effects: list[Effect] = []
        order = self._order()
        free = max(0, self.count - len(self._holders))
        for waiter in order[:free]:
            del self._waiting[waiter.peer]
            self._told.pop(waiter.peer, None)
            self._holders[waiter.peer] = Holder(waiter.peer, waiter.friend, now, now + self._turn)
            effects.append(Granted(waiter.peer))
        for holder in requeue or ():  # behind those who waited, however big its head start
            self._enqueue(holder.peer, holder.friend, now)
        if requeue:
            effects += self._advance(now)
            return effects
        waiting = len(self._waiting)
        for place, waiter in enumerate(self._order()):
            if self._told.get(waiter.peer, (0, 0))[0] != place + 1:
                self._told[waiter.peer] = place + 1, waiting
                effects.append(self._queued(waiter, place, now))
        return effects

    def _queued(self, waiter: _Waiter, place: int, now: float) -> Queued:
        busy = len(self._holders)
        peers = "1 peer is" if busy == 1 else f"{busy} peers are"
        ahead = "you are next" if place == 0 else f"{place} before you"
        return Queued(
            waiter.peer,
            place + 1,
            len(self._waiting),
            f"{peers} downloading, {ahead}",
            self._wait(place, now),
        )

    def _wait(self, place: int, now: float) -> float:
        """At most how long: turns end one after the other, each slot again after a whole turn."""
        ends = sorted(max(0.0, holder.turn_ends - now) for holder in self._holders.values())
        if not ends:
            return inf
        rounds, slot = divmod(place, len(ends))
        return ends[slot] + rounds * self._turn
