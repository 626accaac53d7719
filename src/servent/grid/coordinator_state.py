"""All that the coordinator has in memory, and the one place where a decision becomes true there. Pure: time is an argument.

What changes is noted in `changes`, and nobody outside is told before those are on the disk.
"""

from __future__ import annotations

from collections.abc import Iterable

from servent.grid import credit, quota, replication, tail
from servent.grid.coordinator_changes import Changes
from servent.grid.coordinator_live import ENDED, QUEUED, REMEMBERED, Live, Wakes
from servent.grid.coordinator_rooms import AppRoom, Room
from servent.grid.coordinator_rows import WITHIN_BYTES, Batch, Host, Output, Spec
from servent.grid.coordinator_views import Final, checkpoint_name, output_name
from servent.grid.model import Copy, Decision, Unit
from servent.grid.transition import transition

HELD = frozenset(("leased", "returned"))  # copies for which the purse sets something aside
NOT_TAKEN = frozenset(("aborted", "unneeded"))  # leases that do not count against the day's allowance


class State:
    """Owned by `Coordinator`. `trusting`: whether hosts may earn that their word alone is enough."""

    def __init__(self, trusting: bool = True) -> None:
        self.trusting = trusting
        self.rooms: dict[int, Room] = {}
        self.by_key: dict[bytes, Room] = {}
        self.apps: dict[int, AppRoom] = {}
        self.apps_by_id: dict[bytes, AppRoom] = {}
        self.batches: dict[int, Batch] = {}
        self.live: dict[int, Live] = {}
        self.wakes = Wakes()
        self.changes = Changes()
        self.ended: list[Final] = []  # with the next commit
        self.released: list[str] = []  # names under which contents are kept, with the next commit
        self.check: dict[int, Live] = {}  # results to be fetched or compared
        self.bare: dict[int, Live] = {}  # ready, but for what a volunteer needs of them
        self.next_unit = 1
        self.next_order = 1
        self.next_due = 1
        self.reading = 0  # reads under way, of units
        self.gone: set[int] = set()  # that left the memory since the oldest of them began

    @property
    def nexts(self) -> tuple[int, int, int]:
        return self.next_unit, self.next_order, self.next_due

    # -- units come and go

    def queued(self, unit: int, batch: Batch, app: int, spec: Spec) -> Live | None:
        """A unit out of the queue, which nobody has begun; None where it is here, or was a moment ago."""
        if unit in self.live or unit in self.gone:
            return None
        manifest = self.apps[app].manifest
        fresh = Unit(id=unit, quorum=manifest.quorum, answer=spec.answer, expires=spec.expires)
        live = Live(fresh, app, batch, spec.key, spec.operations, QUEUED)
        live.spec = spec
        self.live[unit] = live
        self.place(live)
        return live

    def loaded(self, live: Live) -> Live:
        """A unit that was begun, as it stands on the disk; the one in memory where there is one."""
        known = self.live.get(live.unit.id)
        if known is not None:
            return known
        self.live[live.unit.id] = live
        return live

    def enter(self, live: Live, now: float) -> None:
        """At the start: count what is out, and look at it as soon as its time has come."""
        room = self.room(live)
        room.shows("waiting", live.shown)
        for copy in live.copies:
            if copy.identity is None:
                continue
            if copy.state == "leased":
                room.out[copy.identity] += 1
        self._promise(room, live)
        self.apply(live, transition(live.unit, live.copies, now), now)
        if live.pending():
            self.check[live.unit.id] = live
        self.place(live)

    def leave(self, live: Live) -> bool:
        """Out of the memory, if nothing holds it there."""
        if live.dirty or live.busy or live.row != ENDED or live.target() != ENDED:
            return False
        self._forget(live)
        return True

    def unload(self, live: Live) -> None:
        """A unit out of the queue that nobody has begun goes back."""
        if not live.copies and not live.dirty and live.row == QUEUED:
            self._forget(live)

    def _forget(self, live: Live) -> None:
        room = self.room(live)
        room.ready.take(live)
        self.wakes.set(live, None)
        self.live.pop(live.unit.id, None)
        self.check.pop(live.unit.id, None)
        self.bare.pop(live.unit.id, None)
        if self.reading:
            self.gone.add(live.unit.id)

    def room(self, live: Live) -> Room:
        return self.apps[live.app].room

    def place(self, live: Live) -> None:
        """Onto the shelf where it belongs, or off it."""
        room = self.room(live)
        batch = live.batch
        unsent = not live.copies
        if not unsent:
            for copy in live.copies:
                if copy.state == "unsent":
                    unsent = True
                    break
        if not unsent or live.unit.state != "open" or batch.paused or batch.dropped:
            if live.place is not None:
                room.ready.take(live)
            if live.copies:
                live.spec = None
                self.bare.pop(live.unit.id, None)
            return
        if live.spec is None:
            self.bare[live.unit.id] = live
        room.ready.put(live, -batch.priority)

    # -- decisions

    def apply(self, live: Live, decision: Decision, now: float) -> None:
        """Make it true, and note what is to be written."""
        before = live.unit
        unit = decision.unit
        if not (decision.copies or decision.create or decision.drop or decision.final or unit is not before):
            self.wakes.set(live, decision.wake)
            return
        room = self.room(live)
        live.unit = unit
        if decision.copies or decision.drop:
            self._copies(room, live, decision, now)
        for _ in range(decision.create):
            live.copies.append(Copy(id=live.next_lease()))
        if len(live.copies) > REMEMBERED:
            live.shorten()
        if decision.credit or decision.withdraw:
            self._credit(room, live, decision, now)
        if room.purse.limit is not None or live.batch.budget is not None or live.promised:
            self._promise(room, live)
        if decision.valid or decision.invalid or decision.expired or decision.failed:
            self._verdicts(room, live, decision, now)
        if unit.state == "done" and unit.verified and not before.verified:
            self._stands(room, live)
        if unit.state != before.state:
            if before.state != "open":
                self._counted(room, live, before.state, -1)
            if unit.state != "open":
                self._counted(room, live, unit.state, 1)
        if decision.final:
            self._final(room, live, decision, now)
        shown = live.look()
        if shown != live.shown:
            room.shows(live.shown, shown)
            live.shown = shown
        self.wakes.set(live, decision.wake)
        self.changes.live(live)
        self.place(live)

    def _copies(self, room: Room, live: Live, decision: Decision, now: float) -> None:
        if decision.drop:
            live.copies = [copy for copy in live.copies if copy.id not in decision.drop]
            for lease in decision.drop:
                live.sides.pop(lease, None)
        places = {copy.id: place for place, copy in enumerate(live.copies)}
        for new in decision.copies:
            place = places[new.id]
            copy = live.copies[place]
            live.copies[place] = new
            identity = new.identity
            if identity is None or new.state == copy.state:
                continue
            if new.state == "leased":
                room.out[identity] += 1
            elif copy.state == "leased":
                room.out[identity] -= 1
                if room.out[identity] <= 0:
                    del room.out[identity]
                self._leaves(room, live, new, now)

    def _leaves(self, room: Room, live: Live, copy: Copy, now: float) -> None:
        """A lease is over. Its last checkpoint is for whoever goes on."""
        assert copy.identity is not None
        side = live.sides.get(copy.id)
        if copy.state in NOT_TAKEN:
            standing = room.standing(copy.identity, live.app)
            standing.quota = quota.given_back(standing.quota, 1, now)
            self.changes.host(room.number, copy.identity, room.host(copy.identity))
        if (
            copy.state in ("aborted", "expired")
            and side is not None
            and side.checkpoint is not None
            and (live.resume is None or side.checkpoint.slices > live.resume[0].slices)
        ):
            live.resume = (side.checkpoint, (copy.identity, *copy.lineage))

    def promise(self, room: Room) -> None:
        """Count what all units of a project may still cost: only where there is a limit is it kept up to date."""
        for live in self.live.values():
            if live.copies and self.apps[live.app].room is room:
                self._promise(room, live)

    def _promise(self, room: Room, live: Live) -> None:
        """Set aside what the unit may still cost: copies that are out or not judged, and as many more as it needs.

        Else many units would be begun, and none could be ended, once what is left is in first copies that wait for a second.
        """
        count = aside = credited = 0
        limited = room.purse.limit is not None
        for copy in live.copies:
            if copy.credited:
                credited += 1
            elif copy.state in HELD:
                count += 1
                if limited:
                    aside += room.most(live.operations, self._price(live, copy.id))
        lacks = live.unit.need - credited - count
        if lacks > 0 and live.unit.state == "open":
            count += lacks
            if limited:
                aside += lacks * room.most(live.operations, room.price(live.batch))
        room.purse.aside += aside - live.aside
        live.batch.aside += (count - live.promised) * live.operations
        live.aside, live.promised = aside, count

    def limit(self, room: Room, most: int | None) -> None:
        """What a project may pay in all is another now. Where there was no end, nothing was set aside."""
        begins = room.purse.limit is None and most is not None
        room.purse.limit = most
        if begins:
            for live in self.live.values():
                if self.room(live) is room:
                    self._promise(room, live)

    def more_promised(self, live: Live) -> int:
        """For how many more copies something has to be set aside when another one is leased: all that the unit needs, with the first."""
        held = credited = 0
        for copy in live.copies:
            credited += copy.credited
            held += copy.state in HELD and not copy.credited
        unit = live.unit
        need = unit.need or (unit.quorum if unit.answer is None else 1)
        return max(0, max(need - credited, held + 1) - live.promised)

    def _price(self, live: Live, lease: int) -> int:
        side = live.sides.get(lease)
        return 100 if side is None else side.price

    def _credit(self, room: Room, live: Live, decision: Decision, now: float) -> None:
        manifest, app = room.manifest, self.apps[live.app]
        for sign, leases in ((1, decision.credit), (-1, decision.withdraw)):
            for lease in leases:
                copy = live.copy(lease)
                assert copy is not None and copy.identity is not None
                side = live.side(lease)
                if sign > 0:
                    took = (side.back or now) - copy.since
                    side.mflop = credit.granted(live.operations, manifest.bonus, live.batch.deadline, took)
                    room.purse.spent += credit.paid(side.mflop, side.price)
                    standing = room.standing(copy.identity, live.app)
                    standing.quota = quota.credited(standing.quota, 1)
                else:
                    room.purse.take_back(credit.paid(side.mflop, side.price))
                amount = sign * side.mflop
                host = room.host(copy.identity)
                host.credit += amount
                self.changes.host(room.number, copy.identity, host)
                live.cost += amount
                live.batch.cost += amount
                room.state.spent += amount
                room.state.paid += sign * credit.paid(side.mflop, side.price)
                self.changes.add(
                    "due",
                    (
                        self.next_due, room.key, copy.identity, live.key, app.id, live.operations, amount, side.price,
                        side.back or now,
                    ),
                )  # fmt: skip
                self.next_due += 1
        self.changes.batch(live.batch)
        self.changes.project(room.number, room.state)

    def _verdicts(self, room: Room, live: Live, decision: Decision, now: float) -> None:
        for verdict, leases in (
            ("valid", decision.valid),
            ("invalid", decision.invalid),
            ("expired", decision.expired),
            ("failed", decision.failed),
        ):
            for lease in leases:
                copy = live.copy(lease)
                if copy is None or copy.identity is None:
                    continue
                host = room.host(copy.identity)
                standing = room.standing(copy.identity, live.app)
                self.changes.host(room.number, copy.identity, host)
                if verdict == "valid":
                    host.valid += 1
                    standing.trust = replication.judged(standing.trust, "valid", now)
                    continue
                if verdict == "expired":
                    host.expired += 1
                    standing.quota = quota.blamed(standing.quota, now)
                    continue
                if verdict == "invalid" and copy.lineage:
                    # It went on from what others had computed: nobody knows whose fault it is, so nobody is blamed.
                    room.state.invalid += 1
                    self.changes.project(room.number, room.state)
                    continue
                standing.quota = quota.blamed(standing.quota, now)
                if verdict == "failed":
                    host.errors += 1
                    room.state.failed += 1
                else:
                    host.invalid += 1
                    room.state.invalid += 1
                    since = replication.reissue_since(standing.trust, now)
                    standing.trust = replication.judged(standing.trust, "invalid", now)
                    self.changes.add("caught", (room.number, copy.identity, live.app, since))
                self.changes.project(room.number, room.state)

    def _stands(self, room: Room, live: Live) -> None:
        """Something else stands behind what one trusted host said."""
        for copy in live.copies:
            if copy.identity is not None and copy.unchecked:
                self.changes.add("verified", (room.number, copy.identity, live.app, copy.since, live.unit.id))

    def _final(self, room: Room, live: Live, decision: Decision, now: float) -> None:
        unit, batch = live.unit, live.batch
        minute, counts = room.minute(now)
        if unit.state == "done":
            counts[0] += 1
        elif unit.state == "error":
            counts[1] += 1
        self.changes.minutes[room.number, minute] = counts
        if live.order:
            self.changes.add("finals_gone", (live.order,))
        live.order = self.next_order
        self.next_order += 1
        live.ended, live.revised = now, decision.revised
        self.changes.add("finals", (live.order, unit.id, batch.batch))
        digest = b""
        output: Output | None = None
        result = live.copy(unit.canonical) if unit.canonical is not None else None
        if unit.state == "done" and result is not None and result.group is not None:
            digest = result.group
            output = live.outputs.get(digest)
            if not unit.verified and unit.quorum > 1 and result.identity is not None:
                self.changes.add(
                    "unverified", (room.number, result.identity, live.app, result.since, unit.id)
                )
        for group in [group for group in live.outputs if group != digest]:
            self._drop_output(live, group)
        self._drop_checkpoints(live)
        self.ended.append(
            Final(
                order=live.order,
                unit=unit.id,
                project=room.key,
                batch=batch.batch,
                state=unit.state,
                output=None if output is None else output.inline,
                content=None if output is None else output.content,
                digest=digest,
                verified=unit.verified,
                revised=decision.revised,
                why=unit.why,
                at=now,
                cost=live.cost,
            )
        )

    def _counted(self, room: Room, live: Live, how: str, by: int) -> None:
        for counted in (room.state, live.batch):
            if how == "done":
                counted.done += by
            elif how == "error":
                counted.errors += by
            else:
                counted.cancelled += by
        self.changes.batch(live.batch)
        self.changes.project(room.number, room.state)

    # -- outputs

    def keep_output(self, live: Live, digest: bytes, output: Output, data: bytes | None) -> None:
        """Of a group, or of a result that is not compared yet. `data`: of one that is no content."""
        if digest in live.outputs:
            return
        if data is not None and len(data) > WITHIN_BYTES:
            self.changes.add("outputs", (live.unit.id, digest, data))
        live.outputs[digest] = output
        self.changes.live(live)

    def _drop_output(self, live: Live, digest: bytes) -> None:
        output = live.outputs.pop(digest)
        if output.content is not None:
            self.released.append(output_name(live.unit.id, digest))
        elif output.inline is None:
            self.changes.add("outputs_gone", (live.unit.id, digest))

    def _drop_checkpoints(self, live: Live) -> None:
        unit = live.unit.id
        if live.resume is not None:
            self.released.append(checkpoint_name(unit, live.resume[0].content))
            live.resume = None
        for side in live.sides.values():
            if side.checkpoint is not None:
                self.released.append(checkpoint_name(unit, side.checkpoint.content))
                side.checkpoint = None

    def drop_output(self, live: Live, digest: bytes) -> None:
        if digest in live.outputs:
            self._drop_output(live, digest)
            self.changes.live(live)

    # -- what time brings

    def tick(self, now: float) -> None:
        """Look at the units whose time has come."""
        for unit in self.wakes.due(now):
            live = self.live.get(unit)
            if live is not None:
                live.wake = None
                self.apply(live, transition(live.unit, live.copies, now), now)

    def late(self, room: Room, batch: Batch, now: float) -> list[Live]:
        """Open units of a batch at its tail that deserve a copy more."""
        if not tail.in_tail(batch.units, batch.done + batch.errors + batch.cancelled, 0):
            return []
        host_speed = _usual_speed(room.hosts.values())
        late: list[tail.Late] = []
        for live in self.live.values():
            if live.batch is not batch or live.unit.state != "open" or live.unit.spare:
                continue
            since = [copy.since for copy in live.copies if copy.state == "leased"]
            if not since or any(copy.state == "unsent" for copy in live.copies):
                continue
            late.append(
                tail.Late(live.unit.id, min(since), live.operations / host_speed if host_speed else 0.0)
            )
        return [self.live[unit] for unit in tail.hurry(late, room.state.turnaround or 0.0, now)]


def _usual_speed(hosts: Iterable[Host]) -> float:
    """MFLOP per second of the host in the middle, 0 where none says."""
    speeds = sorted(host.mflops for host in hosts if host.mflops > 0)
    return speeds[len(speeds) // 2] if speeds else 0.0
