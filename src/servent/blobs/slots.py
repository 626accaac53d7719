"""Who may download from us now, and who waits at which place. A core: no I/O, no clock.

A few peers at full speed finish sooner than many at a crawl, so there are `count` upload slots, one for each
peer whatever it fetches. They are given in turns:

- **Earned slots**, all but a quarter: friends first, one after the other; then who has credit for what it gave us
  (`credit`), by the time it waited times its score.
- **Open slots**, the quarter, and at most half as many as earned slots are held: everybody but friends, in the order
  of waited time times score (at most 4). It is BitTorrent's optimistic unchoke (Cohen 2003) made a queue: how newcomers
  begin, and why nobody gets nothing. While nobody has earned anything, all slots are open.

A turn is 60 s, in open slots less when many wait, so that everybody has one within 8 minutes as long as turns
of 10 s allow that. At its end the peer queues again; when nobody is before it, it just goes on. Open slots are
kept few only while that helps somebody: now and then one more is tried, and stays when more is sent in all
then (givers that are slow must not leave the line idle while others wait).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Literal

from servent.blobs.credit import Credit, Credits
from servent.identity import PeerId

TURN = 60.0  # s of a slot while others wait; long enough for a pipe to fill, short enough to see the end of
SHORTEST_TURN = 10.0  # s; BitTorrent's time between two looks at whom to unchoke
WITHIN = 480.0  # s in which everybody should have a turn; 10 min is what we promise
MOST_WAITING = 500  # peers in the queue; friends and givers come in beyond
GRACE = 120.0  # s a place in the queue is kept for who went away
TELL_EVERY = 30.0  # s between two words to who waits, while its place stays the same
NEAR = 20  # places that are told of each step; who is farther back, of a tenth of its way
MOST_WEIGHT = (
    4.0  # of a score in the order of who waits: ten would let a few givers hold up fifty others too long
)
PROBE = 10.0  # s one more open slot is tried
REST = 60.0  # s between two such tries
BETTER = 1.05  # times the bytes, for one more slot to stay


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


@dataclass(frozen=True, slots=True)
class Holder:
    """A peer that has a slot until `turn_ends`, or longer if nobody waits then. `began`: this turn."""

    peer: PeerId
    friend: bool
    since: float
    turn_ends: float
    kind: Literal["earned", "open"] = "open"
    began: float = 0.0
    waited_since: float = 0.0


@dataclass(frozen=True, slots=True)
class SlotsView:
    count: int
    holders: tuple[Holder, ...]
    queue: tuple[Queued, ...]


@dataclass(slots=True)
class _Waiter:
    peer: PeerId
    friend: bool
    since: float
    told: tuple[int, float] = (0, -inf)  # place, when


class Slots:
    """Hands out `count` upload slots.

    Args:
        count: slots; at least 1.
        turn: seconds of a slot while others wait.
    """

    def __init__(self, count: int = 8, *, turn: float = TURN) -> None:
        self.count = count
        self.credits = Credits()
        self.held = ""
        self._turn = turn
        self._holders: dict[PeerId, Holder] = {}
        self._waiting: dict[PeerId, _Waiter] = {}
        self._left: dict[PeerId, tuple[float, float]] = {}  # waited since, went away at
        self._served: set[PeerId] = set()  # holders that took something
        self._last_open = True  # for a single slot, which takes turns between the two kinds
        self._extra, self._step, self._last_step, self._probe_at = 0, 0, 0, 0.0
        self._sent, self._measured_at, self._before = 0, 0.0, 0.0

    # -- what happens

    def request(self, peer: PeerId, now: float, *, friend: bool = False) -> list[Effect]:
        """`peer` wants something. Asking again while it holds a slot or waits only repeats the answer."""
        if peer in self._holders:
            return [Granted(peer)]
        waiter = self._waiting.get(peer)
        if waiter is None:
            if len(self._waiting) >= MOST_WAITING and not friend and not self.credit(peer).giver:
                return [Rejected(peer, f"{MOST_WAITING} peers are waiting already")]
            since, left = self._left.pop(peer, (now, now))
            waiter = self._waiting[peer] = _Waiter(peer, friend, since if now - left <= GRACE else now)
        waiter.friend, waiter.told = friend, (0, -inf)
        return self._advance(now)

    def release(self, peer: PeerId, now: float) -> list[Effect]:
        """`peer` wants nothing more, or is gone; whether it held a slot or waited."""
        holder, waiter = self._holders.pop(peer, None), self._waiting.pop(peer, None)
        kept = waiter.since if waiter else holder.waited_since if holder else None
        if kept is not None and peer not in self._served:  # gone before its turn, or before a byte of it
            self._left[peer] = kept, now
            while len(self._left) > MOST_WAITING:
                del self._left[next(iter(self._left))]
        self._served.discard(peer)
        return self._advance(now)

    def hold(self, why: str, now: float) -> list[Effect]:
        """Nobody has a slot as long as `why` says something; everybody keeps its place."""
        self.held = why
        over = list(self._holders.values()) if why else []
        for holder in over:
            del self._holders[holder.peer]
            self._waiting[holder.peer] = _Waiter(holder.peer, holder.friend, now)
        for waiter in self._waiting.values():
            waiter.told = (0, -inf)
        return self._advance(now, over)

    def resize(self, count: int, now: float) -> list[Effect]:
        """Change the number of slots; the turns that are under way end as they would."""
        self.count = max(1, count)
        return self._advance(now)

    def holds(self, peer: PeerId) -> bool:
        return peer in self._holders

    def gave(self, peer: PeerId, size: int) -> None:
        """It sent us `size` verified bytes."""
        self.credits.gave(peer, size)

    def took(self, peer: PeerId, size: int) -> None:
        """We sent it `size` bytes."""
        self.credits.took(peer, size)
        self._sent += size
        if peer in self._holders:
            self._served.add(peer)

    def credit(self, peer: PeerId) -> Credit:
        return self.credits.get(peer)

    def set_credit(self, peer: PeerId, credit: Credit) -> None:
        """What is remembered of `peer` from earlier days."""
        self.credits.set(peer, credit)

    def tick(self, now: float) -> list[Effect]:
        """End the turns that are over, where somebody else comes before; try whether more slots send more."""
        self._probe(now)
        effects: list[Effect] = []
        for _ in range(self.count + 1):  # who comes in may make others too many
            hurried = self._hurried(now)
            over = [one for one in self._holders.values() if one.turn_ends <= now or one.peer in hurried]
            if not over or not self._waiting:
                break
            for holder in over:
                del self._holders[holder.peer]
                self._served.discard(holder.peer)
                self._waiting[holder.peer] = _Waiter(holder.peer, holder.friend, now)
            effects += self._advance(now, over)
        return effects or self._advance(now)

    def next_tick(self) -> float | None:
        """When there is something to decide again."""
        if not self._waiting:
            return None
        ends = [holder.turn_ends for holder in self._holders.values()]
        ends += [self._holders[peer].began + SHORTEST_TURN for peer in self._hurried(inf)]
        ends += [waiter.told[1] + TELL_EVERY for waiter in self._waiting.values() if waiter.told[0]]
        if self._probes():
            ends.append(self._probe_at)
        return min(ends, default=None)

    def view(self, now: float) -> SlotsView:
        """A picture of now."""
        queue = tuple(self._queued(waiter, place, now) for place, waiter in enumerate(self._order(now)))
        return SlotsView(self.count, tuple(self._holders.values()), queue)

    # -- whose turn it is

    def _score(self, peer: PeerId) -> float:
        return self.credits.get(peer).score

    def _weight(self, peer: PeerId) -> float:
        return min(self._score(peer), MOST_WEIGHT)

    def _earners(self, now: float) -> list[_Waiter]:
        """Who waits for an earned slot, next first."""
        friends = sorted((one for one in self._waiting.values() if one.friend), key=lambda one: one.since)
        givers = [one for one in self._waiting.values() if not one.friend and self._score(one.peer) > 1.0]
        return friends + self._ranked(givers, now)

    def _openers(self, now: float) -> list[_Waiter]:
        """Who waits for an open slot, next first."""
        return self._ranked([one for one in self._waiting.values() if not one.friend], now)

    def _ranked(self, waiters: list[_Waiter], now: float) -> list[_Waiter]:
        return sorted(waiters, key=lambda one: (-(now - one.since) * self._weight(one.peer), one.since))

    def _order(self, now: float) -> list[_Waiter]:
        friends = sorted((one for one in self._waiting.values() if one.friend), key=lambda one: one.since)
        return friends + self._openers(now)

    def _held(self, kind: str) -> int:
        return sum(holder.kind == kind for holder in self._holders.values())

    @property
    def _most_earned(self) -> int:
        return self.count - max(1, self.count // 4) if self.count > 1 else 1

    def _most_open(self) -> int:
        """How many slots may be open now, given how many are held by who earned them."""
        earned = self._held("earned")
        return max(1, earned // 2) + self._extra if earned else self.count

    def _pick(self, earners: list[_Waiter], openers: list[_Waiter], now: float) -> Holder | None:
        """Who gets the next free slot, None when nobody should. The lists may name who has got one meanwhile."""
        if not self._waiting or self.held or len(self._holders) >= self.count:
            return None
        for line in (earners, openers):
            while line and line[0].peer not in self._waiting:
                del line[0]
        alone = (
            self.count == 1 and openers and not self._last_open
        )  # turns of both kinds, one after the other
        room = self._held("earned") < self._most_earned and not alone
        if earners and (room or not openers):
            return self._turn_for(earners[0], "earned", self._turn, now)
        if openers and self._held("open") < self._most_open():
            return self._turn_for(openers[0], "open", self._open_turn(), now)
        return None

    @staticmethod
    def _turn_for(waiter: _Waiter, kind: Literal["earned", "open"], turn: float, now: float) -> Holder:
        return Holder(waiter.peer, waiter.friend, now, now + turn, kind, now, waiter.since)

    def _open_turn(self) -> float:
        want = [one.peer for one in self._waiting.values() if not one.friend]
        want += [one.peer for one in self._holders.values() if one.kind == "open"]
        shares = sum(self._weight(peer) for peer in want)
        within = WITHIN * max(1, min(self._most_open(), self.count - self._held("earned"))) / max(1.0, shares)
        return min(self._turn, max(min(SHORTEST_TURN, self._turn), within))

    def _hurried(self, now: float) -> set[PeerId]:
        """Holders of open slots that had the shortest turn and are in the way of who earned one, or too many."""
        opened = [holder for holder in self._holders.values() if holder.kind == "open"]
        if not opened or not self._waiting:
            return set()
        earners = sum(one.friend or self._score(one.peer) > 1.0 for one in self._waiting.values())
        wanted = min(earners, self._most_earned - self._held("earned")) if self.count > 1 else 0
        free = max(0, self.count - len(self._holders))
        need = max(wanted - free, len(opened) - self._most_open())
        late = sorted(opened, key=lambda holder: holder.began)[: max(0, need)]
        return {holder.peer for holder in late if holder.began + SHORTEST_TURN <= now}

    def _advance(self, now: float, over: list[Holder] | None = None) -> list[Effect]:
        """Fill free slots from the queue, then tell everybody whose place changed."""
        before = {holder.peer: holder for holder in over or ()}
        effects: list[Effect] = []
        free = self._waiting and not self.held and len(self._holders) < self.count
        earners, openers = (self._earners(now), self._openers(now)) if free else ([], [])
        while (holder := self._pick(earners, openers, now)) is not None:
            del self._waiting[holder.peer]
            self._last_open = holder.kind == "open"
            goes_on = before.pop(holder.peer, None)
            self._holders[holder.peer] = replace(holder, since=goes_on.since) if goes_on else holder
            if goes_on is None:
                effects.append(Granted(holder.peer))
        effects = [*(Ended(peer) for peer in before), *effects]
        for place, waiter in enumerate(self._order(now)):
            told, at = waiter.told
            moved = abs(place + 1 - told)
            if (moved and (place < NEAR or moved * 10 >= told)) or at + TELL_EVERY <= now:
                waiter.told = place + 1, now
                effects.append(self._queued(waiter, place, now))
        return effects

    # -- whether more slots send more

    def _probes(self) -> bool:
        """Whether the number of open slots is what somebody waits for."""
        free = len(self._holders) < self.count
        return self._step != 0 or (self._held("earned") > 0 and (free or self._extra > 0))

    def _probe(self, now: float) -> None:
        if not self._held("earned"):
            self._extra = self._step = 0
        if now < self._probe_at:
            return
        if not self._probes():
            self._probe_at = now + PROBE
            return
        passed = now - self._measured_at
        rate = self._sent / passed if passed > 0 else 0.0
        self._sent, self._measured_at = 0, now
        if self._step == 0:
            if passed > 2 * PROBE:  # measure first: what was sent meanwhile says nothing about now
                self._probe_at = now + PROBE
                return
            more = len(self._holders) < self.count
            self._step = 1 if more and (self._extra == 0 or self._last_step < 0) else -1
            self._last_step = self._step
            self._before = rate
            self._extra += self._step
            self._probe_at = now + PROBE
            return
        stays = rate > self._before * BETTER if self._step > 0 else rate * BETTER >= self._before
        if not stays:
            self._extra -= self._step
        again = PROBE if stays and self._step > 0 else REST
        self._step = 0
        self._probe_at = now + again

    # -- words

    def _queued(self, waiter: _Waiter, place: int, now: float) -> Queued:
        if self.held:
            return Queued(waiter.peer, place + 1, len(self._waiting), self.held, inf)
        ahead = "you are next" if place == 0 else f"{place} before you"
        wait = self._wait(waiter, place, now)
        return Queued(waiter.peer, place + 1, len(self._waiting), f"{ahead}, {about(wait)}", wait)

    def _wait(self, waiter: _Waiter, place: int, now: float) -> float:
        """About how long: turns end one after the other, each slot again after a whole turn."""
        kind = "earned" if waiter.friend or self._score(waiter.peer) > 1.0 else "open"
        pool = [one for one in self._holders.values() if one.kind == kind] or list(self._holders.values())
        ends = sorted(max(0.0, holder.turn_ends - now) for holder in pool)
        if not ends:
            return inf
        turn = self._turn if kind == "earned" else self._open_turn()
        before = place
        if kind == "open":
            before -= sum(one.friend for one in self._waiting.values())
        rounds, slot = divmod(max(0, before), len(ends))
        return ends[slot] + rounds * turn


def about(wait: float) -> str:
    """A duration as people say it: "about 40 s", "about 2 min"."""
    if wait < 5:
        return "a moment"
    if wait < 90:
        return f"about {max(10, round(wait, -1)):.0f} s"
    return f"about {wait / 60:.0f} min" if wait < 5400 else "over an hour"
