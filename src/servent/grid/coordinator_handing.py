"""What a volunteer that asks for work gets, and why not more. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence

from msgspec import Struct

from servent.grid import quota, replication, steps, tail
from servent.grid.coordinator_live import Live
from servent.grid.coordinator_rooms import Room
from servent.grid.coordinator_rows import Host
from servent.grid.coordinator_state import State
from servent.grid.fetching import REFERENCE
from servent.grid.model import Copy
from servent.grid.transition import eligible
from servent.grid.wire import BATCH, Lease, Leased, Task

SOON = 1.0  # s; work is being read from the disk
OTHERS = 2.0  # s; all that is open is with others
NOTHING = 4.0  # s; there is no work; more where many volunteers wait
LATELY = 1.5  # s; there is none, but there was some in the last minutes: more may follow what came of it
PAUSED = 60.0  # s
OFTEN = 100.0  # volunteers that ask in vain, in a second, at most
AHEAD = (
    20.0  # s of work for each core that anybody may hold, also where little is left for the others; a guess
)
MOST_OUT = 10_000  # leases of one identity at once


class Limits(Struct, frozen=True):
    """`active`: units that are begun and not over, at most: what the memory holds."""

    active: int = 200_000


class Handing:
    """Hands out copies. `me`: where contents are fetched first. `dice`: not to be foreseen by volunteers."""

    def __init__(self, state: State, me: bytes, dice: random.Random, limits: Limits) -> None:
        self._state, self._me, self._dice, self._limits = state, bytes(me), dice, limits

    def refusal(self, room: Room) -> str:
        """Why the project hands out nothing now, "" where it does."""
        if room.manifest.closed:
            return "the project is closed"
        if room.state.paused:
            return room.state.why or "the project is paused"
        return ""

    def hand(self, room: Room, identity: bytes, asked: Lease, now: float, local: bool = False) -> Leased:
        """Lease up to `asked.most` copies; what is new is in `State.changes`."""
        if why := self.refusal(room):
            return Leased(wait=self._in_turn(room, PAUSED), why=why)
        host = room.host(identity)
        open_leases = MOST_OUT - room.out[identity]
        if open_leases <= 0:
            return Leased(wait=self._in_turn(room, OTHERS), why=f"{MOST_OUT} of its units are with you")
        round_ = _Round(self._state, room, identity, host, asked, now, local)
        active = len(self._state.live) - room.ready.fresh
        spots = (lambda: replication.spot_check(self._dice.random())) if not local else (lambda: False)
        picked = room.ready.pick(
            identity,
            min(asked.most, BATCH, open_leases),
            round_.fits,
            round_.may,
            have=asked.have,
            spots=spots,
            fresh=active < self._limits.active,
        )
        tasks: list[Task] = []
        for live in picked:
            if round_.busy >= asked.seconds * asked.cores and tasks:
                break
            if round_.has_its_share(live):
                round_.enough = True
                break
            if (task := self._lease(round_, live)) is not None:
                tasks.append(task)
        if tasks:
            self._state.changes.host(room.number, identity, host)
            return Leased(tasks)
        wait, why = self._why(room, identity, round_, active)
        return Leased(wait=self._in_turn(room, wait), why=why)

    def _lease(self, round_: _Round, live: Live) -> Task | None:
        room, identity, now, state = round_.room, round_.identity, round_.now, self._state
        standing = room.standing(identity, live.app)
        if not round_.local and quota.left(standing.quota, now) <= 0:
            round_.used_up = True
            return None
        price = room.price(live.batch)
        batch, left = live.batch, room.purse.left
        if left is not None or batch.budget is not None:
            more = state.more_promised(live)
            if left is not None and more * room.most(live.operations, price) > left:
                round_.too_dear = (
                    "what its owner has earned is spent" if room.mutual else "its budget is spent"
                )
                return None
            if batch.budget is not None and batch.cost + batch.aside + more * live.operations > batch.budget:
                round_.too_dear = "the budget of this work is spent"
                return None
        if not live.copies:
            room.ready.take(live)
            live.copies.append(Copy(id=live.next_lease()))
        copy = next((one for one in live.copies if one.state == "unsent"), None)
        if copy is None or live.spec is None:
            return None
        lineage: Sequence[bytes] = ()
        resume = live.resume
        if resume is not None:
            lineage = resume[1]
            if not eligible(live.unit, live.copies, identity, lineage):
                resume, lineage = None, ()
        alone = state.trusting and replication.alone(standing.trust, self._dice.random())
        until = now + batch.deadline
        if price != 100:
            live.side(copy.id).price = price
        decision = steps.leased(
            live.unit, live.copies, copy, steps.Bid(identity, until, alone, tuple(lineage)), now
        )
        spec = live.spec
        if resume is not None:
            live.resume = None
            live.side(copy.id).checkpoint = resume[0]  # until it has one of its own
        standing.quota = quota.leased(standing.quota, 1, now)
        state.apply(live, decision, now)
        round_.busy += round_.seconds(live)
        contacts: list[bytes] = []
        if spec.content is not None:
            contacts = [self._me, *room.holders(spec.content.infohash, identity)]
            room.holds(spec.content.infohash, identity)
        elif resume is not None:
            contacts = [self._me]
        return Task(
            lease=copy.id,
            unit=live.key,
            app=state.apps[live.app].id,
            seed=spec.seed,
            until=until,
            operations=live.operations,
            args=spec.args,
            stdin=spec.stdin,
            content=spec.content,
            resume=None if resume is None else resume[0],
            contacts=contacts,
            price=price,
        )

    def _why(self, room: Room, identity: bytes, round_: _Round, active: int) -> tuple[float, str]:
        now = round_.now
        if round_.used_up:
            if room.out[identity]:
                return (
                    OTHERS,
                    "your allowance for today is used up; it grows when what you returned is found right",
                )
            return min(
                quota.wait(now), 600.0
            ), "your allowance for today is used up; a new one begins at midnight UTC"
        if round_.too_dear:
            return PAUSED, round_.too_dear
        if not room.open:
            return LATELY if room.throughput(now) else NOTHING, "there is no work now"
        if round_.too_large:
            return PAUSED, "its units need more memory than you lend"
        if active >= self._limits.active:
            return OTHERS, "as many units are out as can be"
        if round_.enough:
            return OTHERS, "what is not handed out yet is for others, too"
        if not room.drained or self._state.bare:
            return SOON, "work is being made ready"
        return OTHERS, "all that is open is with others"

    @staticmethod
    def _in_turn(room: Room, wait: float) -> float:
        """Longer where many wait."""
        return max(wait, len(room.here) / OFTEN)


class _Round:
    """One question for work, while it is answered."""

    def __init__(
        self, state: State, room: Room, identity: bytes, host: Host, asked: Lease, now: float, local: bool
    ) -> None:
        self.state, self.room, self.identity, self.host = state, room, identity, host
        self.asked, self.now, self.local = asked, now, local
        self.busy = 0.0  # seconds of a core that are handed out
        self.used_up = self.too_large = self.enough = False
        self.too_dear = ""
        self._fast: dict[int, bool] = {}

    def fits(self, app: int) -> bool:
        manifest = self.state.apps[app].manifest
        if manifest.limits.memory_bytes > self.asked.memory_bytes:
            self.too_large = True
            return False
        if not self.local and quota.left(self.room.standing(self.identity, app).quota, self.now) <= 0:
            self.used_up = True
            return False
        return True

    def has_its_share(self, live: Live) -> bool:
        """Whether what it holds is enough for now: half of an equal part of what is open, so that no machine has weeks in store while others have nothing to do."""
        here = len(self.room.here)
        held = self.room.out[self.identity]
        if here < 2 or held * 2 * here < self.room.open:
            return False
        cores = max(1, self.asked.cores, self.host.cores)
        return held >= 2 * cores and held * self.seconds(live) >= AHEAD * cores

    def may(self, live: Live) -> bool:
        if live.spec is None or live.hold > self.now or live.next_lease() >= live.end:
            return False
        if (
            live.unit.spare
            and any(copy.state == "leased" for copy in live.copies)
            and not self.fast(live.app)
        ):
            return False
        return eligible(live.unit, live.copies, self.identity) and self._vouches(live)

    def _vouches(self, live: Live) -> bool:
        """Whether its word may be added to those of others: two strangers do not vouch for each other where trusted hosts are around."""
        around = self.room.around(live.app, self.now)
        if around < replication.ENOUGH or not live.copies or not self.state.trusting:
            return True
        trust = self.room.standing(self.identity, live.app).trust
        if replication.trusted(trust):
            return True
        whose, disputed = replication.words(live.copies)
        others = [self.room.standing(one, live.app).trust for one in whose]
        return not whose or replication.fits(trust, others, disputed=disputed, around=around)

    def fast(self, app: int) -> bool:
        """Whether a copy that is made so that the last units end sooner may go to this host."""
        found = self._fast.get(app)
        if found is None:
            trusted = replication.trusted(self.room.standing(self.identity, app).trust)
            known = [host.turnaround for host in self.room.hosts.values() if host.turnaround is not None]
            found = self._fast[app] = tail.fast(
                trusted or not self.state.trusting, self.host.turnaround, known
            )
        return found

    def seconds(self, live: Live) -> float:
        """That a unit takes on a core of this host, as far as one can tell."""
        limit = self.state.apps[live.app].manifest.limits.seconds
        return min(limit, live.operations / (self.host.mflops or REFERENCE))
