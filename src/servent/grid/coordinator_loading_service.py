"""Units out of the disk: all that is under way at the start; work that is to be handed out soon; units that somebody comes back to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from servent.grid import steps
from servent.grid.coordinator_live import ACTIVE, ENDED, Live
from servent.grid.coordinator_rooms import AppRoom, Room
from servent.grid.coordinator_rows import (
    Batch,
    Spec,
    read_batch,
    read_doc,
    read_host,
    read_project_state,
    read_spec,
    read_trouble,
)
from servent.grid.coordinator_state import State
from servent.grid.manifests import Signed, open_app, open_project
from servent.grid.replication import REISSUE_FOR
from servent.grid.transition import cancelled, reopened, transition
from servent.store import Store

if TYPE_CHECKING:
    import sqlite3

LOW = 2048  # units that nobody has begun, in memory: with fewer, more are read
WINDOW = 4096  # read at a time
CHUNK = 500  # of what is worked through besides

_NEXT = (
    "SELECT q.rank, q.expires, q.unit, u.batch, u.app, u.spec FROM grid_queue q CROSS JOIN grid_units u ON u.unit = q.unit"
    " WHERE q.paused = 0 AND q.project = ? {after} ORDER BY q.rank, q.expires, q.unit LIMIT ?"
)


class Loading:
    """Reads for `State`, whose memory is a part of what the disk has."""

    def __init__(self, store: Store, state: State) -> None:
        self._store, self._state = store, state
        self._filling = asyncio.Lock()
        self._loading = asyncio.Lock()

    async def open(self, now: float) -> int:
        """Everything but what is waiting or over. The number of the last transaction."""
        state = self._state
        (
            numbers,
            projects,
            apps,
            batches,
            hosts,
            active,
            troubles,
            minutes,
            invitations,
            invited,
        ) = await self._store.read(_all)
        written, state.next_unit, state.next_order, state.next_due = numbers[0]
        for number, body, signature, kept in projects:
            signed = Signed(body, signature)
            room = Room(number, open_project(signed), signed, read_project_state.decode(kept))
            room.purse.spent = room.state.paid
            state.rooms[number] = state.by_key[room.key] = room
        for number, project, id, body, signature in apps:
            signed = Signed(body, signature)
            self.app(number, id, signed, state.rooms[project])
        for (body,) in batches:
            batch = read_batch.decode(body)
            batch.aside = 0
            state.batches[batch.batch] = batch
        for project, identity, body in hosts:
            state.rooms[project].hosts[identity] = read_host.decode(body)
        for project, app, outcome, words, body in troubles:
            state.rooms[project].troubles[app, outcome, words] = read_trouble.decode(body)
        for project, minute, done, errors in minutes:
            state.rooms[project].minutes[minute] = [done, errors]
        for project, digest, uses, expires in invitations:
            state.rooms[project].invitations[digest] = (uses, expires)
        for project, identity in invited:
            state.rooms[project].invited.add(identity)
        for place, (body,) in enumerate(active):
            doc = read_doc.decode(body)
            live = Live.of(doc, state.batches[doc.batch], ACTIVE)
            state.live[live.unit.id] = live
            state.enter(live, now)
            if place % 1000 == 999:
                await asyncio.sleep(0)
        return int(written)

    def app(self, number: int, id: bytes, signed: Signed, room: Room) -> AppRoom:
        app = AppRoom(number, id, open_app(signed), signed, room)
        room.apps[number] = self._state.apps[number] = self._state.apps_by_id[id] = app
        return app

    # -- work ahead

    def low(self, room: Room) -> bool:
        """Whether work is to be read before some can be handed out."""
        return bool(self._state.bare) or (not room.drained and room.ready.fresh < LOW)

    async def fill(self, room: Room) -> None:
        """Read what is to be handed out next, so that there is enough of it."""
        async with self._filling:
            if self._state.bare:
                await self._dress()
            if room.drained or room.ready.fresh >= LOW:
                return
            cursor, number = room.cursor, room.added
            after = "" if cursor is None else "AND (q.rank, q.expires, q.unit) > (?, ?, ?)"

            def job(connection: sqlite3.Connection) -> list[tuple[int, float, int, int, int, Spec]]:
                rows = connection.execute(
                    _NEXT.format(after=after), (room.number, *(cursor or ()), WINDOW)
                ).fetchall()
                return [(*row[:5], read_spec.decode(row[5])) for row in rows]

            self._state.reading += 1
            try:
                rows = await self._store.read(job)
                if room.cursor != cursor:
                    return  # begun anew meanwhile
                for _, _, unit, batch, app, spec in rows:
                    self._state.queued(unit, self._state.batches[batch], app, spec)
            finally:
                self.read()
            if rows:
                room.cursor = rows[-1][:3]
            if len(rows) < WINDOW and room.added == number:
                room.drained = True

    def anew(self, room: Room) -> None:
        """What is to be handed out first has changed: forget what was read ahead."""
        for live in room.ready.clear_fresh():
            self._state.unload(live)
        room.cursor = None
        room.drained = False
        room.added += 1

    def added(self, room: Room, rank: int, expires: float, unit: int) -> None:
        """There is more in the queue, `unit` the first of it."""
        room.added += 1
        if room.cursor is not None and (rank, expires, unit) < room.cursor:
            self.anew(room)
        room.drained = False

    async def _dress(self) -> None:
        """Read what volunteers need of units that are to be handed out once more."""
        units = list(self._state.bare)[:WINDOW]

        def job(connection: sqlite3.Connection) -> list[tuple[int, Spec]]:
            found = []
            for unit in units:
                row = connection.execute("SELECT spec FROM grid_units WHERE unit = ?", (unit,)).fetchone()
                if row is not None:
                    found.append((unit, read_spec.decode(row[0])))
            return found

        for unit, spec in await self._store.read(job):
            if (live := self._state.bare.pop(unit, None)) is not None:
                live.spec = spec
        for unit in units:  # what is gone from the disk is of no use here
            self._state.bare.pop(unit, None)

    # -- units that somebody comes back to

    async def load(self, units: Iterable[int]) -> None:
        """Have them in memory, as far as they were ever begun. All of them are there when it returns: what leaves while others are read is read again."""
        units, nowhere = set(units), set[int]()
        while missing := [unit for unit in units if unit not in self._state.live and unit not in nowhere]:
            async with self._loading:
                nowhere.update(await self._load(missing))

    async def _load(self, units: Sequence[int]) -> set[int]:
        """Those that are not on the disk."""
        missing = [unit for unit in units if unit not in self._state.live]

        def job(connection: sqlite3.Connection) -> list[tuple[int, int, bytes]]:
            found: list[tuple[int, int, bytes]] = []
            for unit in missing:
                for row, table in ((ENDED, "grid_ended"), (ACTIVE, "grid_active")):
                    body = connection.execute(f"SELECT body FROM {table} WHERE unit = ?", (unit,)).fetchone()
                    if body is not None:
                        found.append((unit, row, body[0]))
            return found

        there: set[int] = set()
        for unit, row, body in await self._store.read(job) if missing else ():
            doc = read_doc.decode(body)
            self._state.loaded(Live.of(doc, self._state.batches[doc.batch], row))
            there.add(unit)
        return set(missing) - there

    def unload(self, units: Iterable[int]) -> None:
        """They are not needed any more, as far as nothing else holds them."""
        for unit in units:
            if (live := self._state.live.get(unit)) is not None and live.row == ENDED:
                self._state.leave(live)

    # -- work through what is many

    async def caught(self, now: float) -> bool:
        """Hosts that were caught: what their word alone stands for is to be computed again. Whether there is more to do."""
        state = self._state
        rows = await self._store.read(
            lambda connection: connection.execute(
                "SELECT project, identity, app, since FROM grid_caught"
            ).fetchall()
        )
        more = False
        for project, identity, app, since in rows:
            for live in list(state.live.values()):
                # Also what has ended so lately that it is not on the disk: it came in while the verdict was being written.
                told = live.unit
                believed = told.need == 1 or (told.state == "done" and not told.verified)
                if live.app == app and believed and any(
                    copy.identity == identity and copy.unchecked and copy.since >= since for copy in live.copies
                ):  # fmt: skip
                    state.apply(live, reopened(told, live.copies, now), now)

            def job(
                connection: sqlite3.Connection,
                at: tuple[int, bytes, int, float] = (project, identity, app, since),
            ) -> list[tuple[float, int]]:
                return connection.execute(
                    "SELECT at, unit FROM grid_unverified WHERE project = ? AND identity = ? AND app = ? AND at >= ? LIMIT ?",
                    (*at, CHUNK),
                ).fetchall()

            suspects = await self._store.read(job)
            await self.load(unit for _, unit in suspects)
            for at, unit in suspects:
                if (suspect := state.live.get(unit)) is not None:
                    state.apply(suspect, reopened(suspect.unit, suspect.copies, now), now)
                state.changes.add("verified", (project, identity, app, at, unit))
            if len(suspects) < CHUNK:
                state.changes.add("caught_gone", (project, identity, app, since))
            else:
                more = True
        if more:
            return True
        if rows:
            state.changes.add("unverified_old", (now - REISSUE_FOR,))
        return False

    async def cancel(self, batch: Batch, now: float) -> bool:
        """Cancel some of a batch's units; those that another batch wants, too, become that one's. Whether there is more to do."""
        state = self._state
        some = await self._waiting("batch = ?", batch.batch)
        begun = [live.unit.id for live in state.live.values() if live.batch is batch and live.copies]
        await self._cancel([*some, *begun[:CHUNK]], now)
        return len(some) >= CHUNK or len(begun) > CHUNK

    async def cancel_units(self, units: Sequence[int], now: float) -> int:
        """How many of these are cancelled now."""
        await self._waiting(f"unit IN ({', '.join(str(int(unit)) for unit in units[:CHUNK])})")
        await self.load(units[:CHUNK])
        count = await self._cancel(units[:CHUNK], now)
        return count + (await self.cancel_units(units[CHUNK:], now) if len(units) > CHUNK else 0)

    async def _cancel(self, units: Sequence[int], now: float) -> int:
        state = self._state
        others = await self._store.read(lambda connection: _also(connection, units))
        count = 0
        for unit in units:
            live = state.live.get(unit)
            if live is None or live.unit.state != "open":
                continue
            wanted = [state.batches[one] for one in others.get(unit, ()) if one in state.batches]
            heir = next((one for one in wanted if not one.dropped), None)
            if heir is not None:
                self._inherit(live, heir)
                continue
            state.apply(live, cancelled(live.unit, live.copies, now), now)
            count += 1
        return count

    def _inherit(self, live: Live, heir: Batch) -> None:
        """It is that batch's from now on."""
        state, unit, fresh = self._state, live.unit.id, not live.copies
        if live.batch is heir:
            return
        for batch, by in ((live.batch, -1), (heir, 1)):
            batch.units += by
            batch.operations += by * live.operations
            state.changes.batch(batch)
        live.batch = heir
        place = (heir.batch, int(heir.paused), -heir.priority, unit)

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE grid_units SET batch = ? WHERE unit = ?", (heir.batch, unit))
            connection.execute("UPDATE grid_queue SET batch = ?, paused = ?, rank = ? WHERE unit = ?", place)
            connection.execute("DELETE FROM grid_also WHERE unit = ? AND batch = ?", (unit, heir.batch))

        state.changes.job(job)
        if fresh:
            state.unload(live)
            self.anew(state.room(live))
        else:
            state.changes.live(live)
            state.place(live)

    async def expire(self, now: float) -> bool:
        """Give up some of what waits in the queue longer than it should. Whether there is more to do."""
        some = await self._waiting("expires <= ?", now)
        for unit in some:
            if (live := self._state.live.get(unit)) is not None:
                self._state.apply(live, transition(live.unit, live.copies, now), now)
        return len(some) >= CHUNK

    async def _waiting(self, where: str, *values: float) -> Sequence[int]:
        """Bring some units out of the queue into memory."""

        def job(connection: sqlite3.Connection) -> list[tuple[int, int, int, Spec]]:
            rows = connection.execute(
                "SELECT unit, batch, app, spec FROM grid_units WHERE unit IN"
                f" (SELECT unit FROM grid_queue WHERE {where} LIMIT ?)",
                (*values, CHUNK),
            ).fetchall()
            return [(*row[:3], read_spec.decode(row[3])) for row in rows]

        self._state.reading += 1
        try:
            rows = await self._store.read(job)
            for unit, batch, app, spec in rows:
                self._state.queued(unit, self._state.batches[batch], app, spec)
            return [row[0] for row in rows]
        finally:
            self.read()

    def hurried(self, now: float) -> int:
        """At the tail of a batch, what takes long is given to somebody fast as well. How many."""
        count = 0
        for batch in self._state.batches.values():
            if not batch.open or batch.paused or batch.dropped:
                continue
            room = self._state.rooms[batch.project]
            for live in self._state.late(room, batch, now):
                self._state.apply(live, steps.hurried(live.unit, live.copies, now), now)
                count += 1
        return count

    def read(self) -> None:
        """A read is over that `State.reading` counted."""
        self._state.reading -= 1
        if not self._state.reading:
            self._state.gone.clear()


def _also(connection: sqlite3.Connection, units: Sequence[int]) -> dict[int, list[int]]:
    """Other batches that want them."""
    found: dict[int, list[int]] = {}
    for unit in units:
        rows = connection.execute("SELECT batch FROM grid_also WHERE unit = ?", (unit,)).fetchall()
        if rows:
            found[unit] = [row[0] for row in rows]
    return found


def _all(connection: sqlite3.Connection) -> tuple[list[tuple[Any, ...]], ...]:
    def rows(statement: str) -> list[tuple[Any, ...]]:
        return connection.execute(statement).fetchall()

    return (
        rows("SELECT written, next_unit, next_order, next_due FROM grid_numbers"),
        rows("SELECT number, body, signature, state FROM grid_projects ORDER BY number"),
        rows("SELECT number, project, id, body, signature FROM grid_apps ORDER BY number"),
        rows("SELECT body FROM grid_batches ORDER BY batch"),
        rows("SELECT project, identity, body FROM grid_hosts"),
        rows("SELECT body FROM grid_active"),
        rows("SELECT project, app, outcome, words, body FROM grid_problems"),
        rows("SELECT project, minute, done, errors FROM grid_minutes ORDER BY minute"),
        rows("SELECT project, digest, uses, expires FROM grid_invitations"),
        rows("SELECT project, identity FROM grid_invited"),
    )  # fmt: skip
