"""What others see of a coordinator: counts out of its memory, single units out of its tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from servent.errors import NotFound
from servent.grid import quota, replication
from servent.grid.coordinator_commit_service import whole
from servent.grid.coordinator_handing import Handing
from servent.grid.coordinator_live import ACTIVE, Live
from servent.grid.coordinator_rooms import Room
from servent.grid.coordinator_rows import Batch, Doc, Side, Spec, read_doc, read_spec
from servent.grid.coordinator_state import State
from servent.grid.coordinator_views import (
    BatchLook,
    CopyLook,
    Final,
    History,
    HostLook,
    Problem,
    ProjectLook,
    UnitLook,
)
from servent.grid.model import UnitState
from servent.store import Store

if TYPE_CHECKING:
    import sqlite3

MOST_LOOKED_THROUGH = 20_000  # units, for a page of those in one state


class Looks:
    def __init__(self, store: Store, state: State, handing: Handing) -> None:
        self._store, self._state, self._handing = store, state, handing

    def room(self, project: bytes) -> Room:
        room = self._state.by_key.get(bytes(project))
        if room is None:
            raise NotFound("no such project here")
        return room

    def project(self, project: bytes, now: float) -> ProjectLook:
        room = self.room(project)
        state = room.state
        waiting = max(0, room.open - room.running - room.checking)
        promised = sum(
            _promised(room, batch, self._state)
            for batch in self._state.batches.values()
            if batch.project == room.number
        )
        return ProjectLook(
            key=room.key,
            units=state.units,
            by_state={
                "waiting": waiting,
                "running": room.running,
                "checking": room.checking,
                "done": state.done,
                "error": state.errors,
                "cancelled": state.cancelled,
            },
            throughput=room.throughput(now),
            eta=room.eta(now),
            hosts=len(room.hosts),
            hosts_now=len(room.here),
            redundancy=state.computed / state.done if state.done else 0.0,
            errors=state.failed,
            invalid=state.invalid,
            spent=state.spent,
            promised=promised,
            paused=state.paused,
            closed=room.manifest.closed,
            why=self._handing.refusal(room),
        )

    def batch(self, number: int, now: float) -> BatchLook:
        batch = self._state.batches.get(number)
        if batch is None:
            raise NotFound(f"there is no batch {number}")
        room = self._state.rooms[batch.project]
        return BatchLook(
            batch=batch.batch,
            project=room.key,
            units=batch.units,
            done=batch.done,
            errors=batch.errors,
            cancelled=batch.cancelled,
            priority=batch.priority,
            deadline=batch.deadline,
            expires=batch.expires,
            paused=batch.paused,
            cost=batch.cost,
            promised=_promised(room, batch, self._state),
            eta=None if batch.paused else room.eta(now, batch.open),
        )

    def history(self, project: bytes, steps: int, step: float, now: float) -> History:
        room = self.room(project)
        minutes = max(1, round(step / 60.0))
        done, errors = [0] * steps, [0] * steps
        last = int(now // 60)
        for minute, counts in room.minutes.items():
            place = steps - 1 - (last - minute) // minutes
            if 0 <= place < steps:
                done[place] += counts[0]
                errors[place] += counts[1]
        return History(step=minutes * 60.0, done=done, errors=errors)

    def hosts(self, project: bytes, now: float) -> list[HostLook]:
        room = self.room(project)
        found: list[HostLook] = []
        for identity, host in room.hosts.items():
            left = max((quota.left(one.quota, now) for one in host.apps.values()), default=quota.FIRST)
            found.append(
                HostLook(
                    identity=identity,
                    name=host.name,
                    team=host.team,
                    connected=room.here[identity] > 0,
                    seen=host.seen,
                    cores=host.cores,
                    mflops=host.mflops,
                    leased=room.out[identity],
                    valid=host.valid,
                    invalid=host.invalid,
                    errors=host.errors,
                    expired=host.expired,
                    trusted=[
                        self._state.apps[app].id
                        for app, one in host.apps.items()
                        if replication.trusted(one.trust)
                    ],
                    left=left,
                    credit=host.credit,
                )
            )
        return found

    def problems(self, project: bytes) -> list[Problem]:
        """The newest first."""
        room = self.room(project)
        found = [
            Problem(
                app=self._state.apps[app].id,
                outcome=outcome,  # type: ignore[arg-type]
                words=words,
                count=trouble.count,
                last=trouble.last,
                hosts=len(trouble.hosts),
            )
            for (app, outcome, words), trouble in room.troubles.items()
        ]
        return sorted(found, key=lambda one: -one.last)

    async def units(self, project: bytes, batch: int, state: str, after: int, limit: int) -> list[UnitLook]:
        room = self.room(project)
        numbers = (
            [batch]
            if batch
            else [one.batch for one in self._state.batches.values() if one.project == room.number]
        )
        found: list[UnitLook] = []
        looked = 0
        while len(found) < limit and looked < MOST_LOOKED_THROUGH:
            rows = await self._store.read(lambda connection: _page(connection, numbers, after, 500))  # noqa: B023
            if not rows:
                break
            for unit, number, app, spec, doc in rows:
                look = self._unit(room, unit, number, app, spec, doc)
                if not state or look.shown == state:
                    found.append(look)
                if len(found) >= limit:
                    break
            looked += len(rows)
            after = rows[-1][0]
        return found

    async def some(self, project: bytes, units: Sequence[int]) -> dict[int, UnitLook]:
        room = self.room(project)

        def job(connection: sqlite3.Connection) -> list[tuple[int, int, int, bytes, bytes | None]]:
            found = []
            for unit in units:
                row = connection.execute(
                    "SELECT u.unit, u.batch, u.app, u.spec, coalesce(a.body, e.body) FROM grid_units u"
                    " LEFT JOIN grid_active a ON a.unit = u.unit LEFT JOIN grid_ended e ON e.unit = u.unit WHERE u.unit = ?",
                    (unit,),
                ).fetchone()
                if row is not None:
                    found.append(row)
            return found

        found: dict[int, UnitLook] = {}
        for unit, batch, app, spec, body in await self._store.read(job):
            if batch in self._state.batches and self._state.batches[batch].project == room.number:
                doc = None if body is None else read_doc.decode(body)
                found[unit] = self._unit(room, unit, batch, app, read_spec.decode(spec), doc)
        return found

    def _unit(self, room: Room, unit: int, batch: int, app: int, spec: Spec, doc: Doc | None) -> UnitLook:
        shown, copies, fraction = "waiting", list[CopyLook](), None
        state, why = "open", ""
        if doc is not None:
            live = Live.of(doc, self._state.batches[doc.batch], ACTIVE)
            shown, state, why = live.shown, doc.unit.state, doc.unit.why
            for copy in doc.copies:
                side = doc.sides.get(copy.id) or Side()
                copies.append(
                    CopyLook(
                        lease=copy.id,
                        state=copy.state,
                        identity=copy.identity,
                        leased=copy.since or None,
                        until=copy.until or None,
                        seconds=side.seconds,
                        fraction=side.fraction,
                        outcome=side.outcome,
                        words=side.words,
                        mflop=side.mflop,
                    )
                )
            known = [one.fraction for one in copies if one.fraction is not None and one.state == "leased"]
            fraction = 1.0 if state == "done" else max(known, default=None)
        elif self._state.batches[batch].dropped:
            shown, state = "cancelled", "cancelled"
        return UnitLook(
            id=unit,
            key=spec.key,
            project=room.key,
            app=self._state.apps[app].id,
            batch=batch,
            state=state,  # type: ignore[arg-type]
            shown=shown,
            operations=spec.operations,
            args=spec.args,
            copies=copies,
            fraction=fraction,
            why=why,
        )

    async def finals(self, after: int, limit: int, batch: int | None) -> list[Final]:
        where = "" if batch is None else "AND batch = ?"

        def job(connection: sqlite3.Connection) -> list[tuple[int, bytes]]:
            return connection.execute(
                "SELECT f.ord, e.body FROM grid_finals f JOIN"
                " (SELECT unit, body FROM grid_ended UNION ALL SELECT unit, body FROM grid_active) e ON e.unit = f.unit"
                f" WHERE f.ord > ? {where} ORDER BY f.ord LIMIT ?",
                (after, *(() if batch is None else (batch,)), limit),
            ).fetchall()

        rows = await self._store.read(job)
        return await whole(self._store, [self.final(read_doc.decode(body)) for _, body in rows])

    async def results(self, units: Sequence[int]) -> dict[int, Final]:
        def job(connection: sqlite3.Connection) -> list[bytes]:
            found = []
            for unit in units:
                row = connection.execute("SELECT body FROM grid_ended WHERE unit = ?", (unit,)).fetchone()
                if row is not None:
                    found.append(row[0])
            return found

        ended = [self.final(read_doc.decode(body)) for body in await self._store.read(job)]
        return {one.unit: one for one in await whole(self._store, ended)}

    def final(self, doc: Doc) -> Final:
        """As it stands on the disk. Of a unit that is open again, its old result stands as long as nothing else is known."""
        unit = doc.unit
        state: UnitState = "done" if unit.state == "open" else unit.state
        digest = next((copy.group for copy in doc.copies if copy.id == unit.canonical), None) or b""
        output = doc.outputs.get(digest) if state == "done" else None
        return Final(
            order=doc.order,
            unit=unit.id,
            project=self._state.apps[doc.app].room.key,
            batch=doc.batch,
            state=state,
            output=None if output is None else output.inline,
            content=None if output is None else output.content,
            digest=digest if state == "done" else b"",
            verified=unit.verified,
            revised=doc.revised,
            why=unit.why,
            at=doc.ended,
            cost=doc.cost,
        )


def _promised(room: Room, batch: Batch, state: State) -> int:
    """What the open units of a batch would still cost, as far as one knows."""
    if not batch.open or not batch.units:
        return 0
    quorum = state.apps[batch.app].manifest.quorum
    return max(0, batch.operations * batch.open // batch.units * quorum)


def _page(
    connection: sqlite3.Connection, batches: Sequence[int], after: int, limit: int
) -> list[tuple[int, int, int, Spec, Doc | None]]:
    wanted = set(batches)
    rows = connection.execute(
        "SELECT u.unit, u.batch, u.app, u.spec, coalesce(a.body, e.body) FROM grid_units u"
        " LEFT JOIN grid_active a ON a.unit = u.unit LEFT JOIN grid_ended e ON e.unit = u.unit"
        " WHERE u.unit > ? ORDER BY u.unit",
        (after,),
    )
    found: list[tuple[int, int, int, Spec, Doc | None]] = []
    for unit, batch, app, spec, body in rows:
        if batch in wanted:
            found.append(
                (unit, batch, app, read_spec.decode(spec), None if body is None else read_doc.decode(body))
            )
            if len(found) >= limit:
                break
    return found
