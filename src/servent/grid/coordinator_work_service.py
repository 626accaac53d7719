"""What is to be done: projects, apps, units added, cancelled, changed; and what is worked through behind: units of a cancelled batch, of hosts that were caught."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from servent.errors import NotFound, UsageError, WorldError
from servent.grid.coordinator_commit_service import Committer
from servent.grid.coordinator_loading_service import Loading
from servent.grid.coordinator_looks_service import Looks
from servent.grid.coordinator_rooms import AppRoom, Room
from servent.grid.coordinator_rows import Batch, ProjectState, Spec, encode, read_doc
from servent.grid.coordinator_state import State
from servent.grid.coordinator_views import Added, Final, Piece
from servent.grid.manifests import (
    INLINE_BYTES,
    UNIT_PURPOSE,
    Project,
    Signed,
    app_id,
    open_app,
    open_project,
    unit_id,
)
from servent.store import Store

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger(__name__)

MOST_PIECES = 10_000
FORGOTTEN = 500  # units in one transaction
LOOKS_EVERY = 5.0  # s between two looks at what is worked through behind
NEVER = 1e300  # of `expires` in the queue
Along = Callable[["sqlite3.Connection", Sequence[Added]], None]


class Work:
    """Changes what is to be done; every method is durable when it returns."""

    def __init__(
        self, store: Store, state: State, loading: Loading, committer: Committer, looks: Looks
    ) -> None:
        self._store, self._state, self._loading, self._committer = store, state, loading, committer
        self._looks = looks
        self._adding = asyncio.Lock()
        self.behind = asyncio.Event()  # something is to be worked through

    # -- projects and apps

    async def add_project(self, signed: Signed) -> Project:
        manifest = open_project(signed)
        async with self._adding:
            room = self._state.by_key.get(manifest.key)
            if room is not None:
                if manifest.serial < room.manifest.serial:
                    raise UsageError("a newer manifest of this project is here already")
                if signed == room.signed:
                    return manifest
                room.manifest, room.signed = manifest, signed
                number = room.number
            else:
                number = max(self._state.rooms, default=0) + 1
                room = Room(number, manifest, signed, ProjectState())
                self._state.rooms[number] = self._state.by_key[room.key] = room
            body, signature, kept = signed.body, signed.signature, encode(room.state)
            self._state.changes.job(
                lambda connection: _do(
                    connection,
                    "INSERT INTO grid_projects VALUES (?, ?, ?, ?, ?)"
                    " ON CONFLICT (number) DO UPDATE SET body = excluded.body, signature = excluded.signature",
                    (number, manifest.key, body, signature, kept),
                )
            )
            await self._committer.durable()
        return manifest

    async def add_app(self, signed: Signed) -> bytes:
        manifest = open_app(signed)
        name = app_id(signed)
        async with self._adding:
            room = self._looks.room(manifest.project)
            if name in self._state.apps_by_id:
                return name
            number = max(self._state.apps, default=0) + 1
            self._loading.app(number, name, signed, room)
            self._state.changes.job(
                lambda connection: _do(
                    connection,
                    "INSERT INTO grid_apps VALUES (?, ?, ?, ?, ?)",
                    (number, room.number, name, signed.body, signed.signature),
                )
            )
            await self._committer.durable()
        return name

    async def pause_project(self, project: bytes, paused: bool, why: str) -> None:
        room = self._looks.room(project)
        room.state.paused, room.state.why = paused, why[:200] if paused else ""
        self._state.changes.project(room.number, room.state)
        await self._committer.durable()

    async def invite(self, project: bytes, secret: bytes, uses: int | None, expires: float | None) -> None:
        room = self._looks.room(project)
        if not 16 <= len(secret) <= 512:
            raise UsageError("an invitation has 16 to 512 bytes")
        digest = hashlib.sha256(secret).digest()
        room.invitations[digest] = (uses, expires)
        self._state.changes.job(
            lambda connection: _do(
                connection,
                "REPLACE INTO grid_invitations VALUES (?, ?, ?, ?)",
                (room.number, digest, uses, expires),
            )
        )
        await self._committer.durable()

    # -- units

    async def add_units(
        self,
        project: bytes,
        app: bytes,
        number: int,
        pieces: Sequence[Piece],
        priority: int,
        deadline: float,
        expires: float | None,
        budget: int | None,
        along: Along | None,
    ) -> list[Added]:
        room = self._looks.room(project)
        known_app = self._state.apps_by_id.get(app)
        if known_app is None or known_app.room is not room:
            raise NotFound("no such app in this project")
        if room.manifest.closed or known_app.manifest.retired:
            raise UsageError("the project is closed" if room.manifest.closed else "this app is retired")
        if len(pieces) > MOST_PIECES:
            raise UsageError(f"at most {MOST_PIECES} units at a time")
        specs = await asyncio.to_thread(_specs, known_app, pieces, expires)
        async with self._adding:
            known = await self._store.read(
                lambda connection: _known(connection, [spec.key for spec in specs])
            )
            batch = self._batch(room, known_app, number, priority, deadline, expires, budget)
            finals = await self._ended([unit for unit, _, _ in known.values()])
            added = self._take_down(room, known_app, batch, specs, known, finals)
            if along is not None:
                problem: list[BaseException] = []
                self._state.changes.job(lambda connection: _along(connection, along, added, problem))
                await self._committer.durable()
                if problem:
                    raise problem[0]
            else:
                await self._committer.durable()
            new = [one.unit for one in added if one.new]
            if new and not batch.paused:
                self._loading.added(room, -batch.priority, NEVER if expires is None else expires, new[0])
        return added

    def _batch(
        self,
        room: Room,
        app: AppRoom,
        number: int,
        priority: int,
        deadline: float,
        expires: float | None,
        budget: int | None,
    ) -> Batch:
        batch = self._state.batches.get(number)
        if batch is None:
            batch = Batch(
                number,
                room.number,
                app.number,
                priority=priority,
                deadline=deadline,
                expires=expires,
                budget=budget,
            )
            self._state.batches[number] = batch
        elif batch.project != room.number or batch.dropped:
            raise UsageError(f"batch {number} takes no more units")
        elif expires is not None and (batch.expires is None or expires < batch.expires):
            batch.expires = expires
        self._state.changes.batch(batch)
        return batch

    async def _ended(self, units: Sequence[int]) -> dict[int, Final]:
        """Those of them that have ended; what has just ended is on the disk first, so that nobody who asks now misses it."""
        state = self._state
        while True:
            state.reading += 1
            try:
                finals = await self._looks.results(units)
                missed = [
                    unit
                    for unit in units
                    if unit not in finals
                    and (unit in state.gone or ((live := state.live.get(unit)) and live.unit.state != "open"))
                ]
            finally:
                self._loading.read()
            if not missed:
                return finals
            await self._committer.durable()

    async def forget(self, units: Sequence[int]) -> int:
        """Take what is known of units that have ended off the disk. How many."""
        count = 0
        for at in range(0, len(units), FORGOTTEN):
            some = [unit for unit in units[at : at + FORGOTTEN] if unit not in self._state.live]
            count += await self._store.write(lambda connection, some=some: _forget(connection, some))  # type: ignore[misc]
        return count

    def _take_down(
        self,
        room: Room,
        app: AppRoom,
        batch: Batch,
        specs: Sequence[Spec],
        known: dict[bytes, tuple[int, int | None, int]],
        finals: dict[int, Final],
    ) -> list[Added]:
        """Note what is new; returns what became of each piece."""
        state, changes = self._state, self._state.changes
        added: list[Added] = []
        mine: dict[bytes, Added] = {}
        units: list[tuple[int, int, int, bytes]] = []
        keys: list[tuple[bytes, int, int]] = []
        queue: list[tuple[int, int, int, int, float, int]] = []
        for spec in specs:
            if (same := mine.get(spec.key)) is not None:
                added.append(Added(same.unit, False, same.known))
                continue
            found = known.get(spec.key)
            final = None if found is None else finals.get(found[0])
            live = None if found is None else state.live.get(found[0])
            ended = live.unit.state if live is not None else ("open" if final is None else final.state)
            if found is not None and found[1] is not None and ended in ("open", "done"):
                unit, owner, _ = found
                added.append(
                    Added(unit, False, final if final is not None and final.state == "done" else None)
                )
                if owner != batch.batch and ended == "open":
                    changes.add("also", (unit, batch.batch))
            else:  # new; or it came to nothing the last time, or was forgotten: by another name, since by each name one is credited once
                unit = state.next_unit
                state.next_unit += 1
                again = 0 if found is None else found[2] + 1
                named = spec if not again else replace(spec, key=_again(spec.key, again))
                units.append((unit, batch.batch, app.number, encode(named)))
                keys.append((spec.key, unit, again))
                expires = NEVER if spec.expires is None else spec.expires
                queue.append((unit, int(batch.paused), room.number, -batch.priority, expires, batch.batch))
                batch.operations += spec.operations
                added.append(Added(unit, True))
            mine[spec.key] = added[-1]
        batch.units += len(units)
        room.state.units += len(units)
        changes.batch(batch)
        changes.project(room.number, room.state)
        if units:
            changes.job(lambda connection: _put(connection, units, keys, queue))
        return added

    async def cancel(self, batch: int | None, units: Sequence[int], now: float) -> int:
        count = 0
        if batch is not None:
            known = self._state.batches.get(batch)
            if known is None:
                raise NotFound(f"there is no batch {batch}")
            count = known.open
            known.dropped = True
            self._state.changes.batch(known)
            self._off_the_shelves(known)
            self.behind.set()
        if units:
            count += await self._loading.cancel_units(units, now)
        await self._committer.durable()
        return count

    async def change(
        self,
        number: int,
        priority: int | None,
        deadline: float | None,
        paused: bool | None,
        budget: int | None,
    ) -> None:
        batch = self._state.batches.get(number)
        if batch is None:
            raise NotFound(f"there is no batch {number}")
        room = self._state.rooms[batch.project]
        async with self._adding:
            moved = (priority is not None and priority != batch.priority) or (
                paused is not None and paused != batch.paused
            )
            batch.priority = batch.priority if priority is None else priority
            batch.deadline = batch.deadline if deadline is None else deadline
            batch.paused = batch.paused if paused is None else paused
            if budget is not None and batch.budget is None:
                self._state.promise(room)
            batch.budget = batch.budget if budget is None else budget
            self._state.changes.batch(batch)
            if moved:
                self._off_the_shelves(batch)
                place = (int(batch.paused), -batch.priority, number)
                self._state.changes.job(
                    lambda connection: _do(
                        connection, "UPDATE grid_queue SET paused = ?, rank = ? WHERE batch = ?", place
                    )
                )
            await self._committer.durable()
            if moved:
                self._loading.anew(room)

    def _off_the_shelves(self, batch: Batch) -> None:
        for live in [live for live in self._state.live.values() if live.batch is batch]:
            if live.copies:
                self._state.place(live)
            else:
                self._state.unload(live)

    # -- behind

    async def run(self, wall: Callable[[], float]) -> None:
        """Work through what is many, some at a time."""
        while True:
            try:
                more = await self._behind(wall())
            except WorldError as wrong:
                log.warning("the coordinator cannot read or write: %s", wrong)
                more = False
            if not more:
                self.behind.clear()
                try:
                    async with asyncio.timeout(LOOKS_EVERY):
                        await self.behind.wait()
                except TimeoutError:
                    pass

    async def _behind(self, now: float) -> bool:
        more = False
        for batch in [one for one in self._state.batches.values() if one.open]:
            if batch.dropped:
                more |= await self._loading.cancel(batch, now)
            elif batch.expires is not None and batch.expires <= now:
                more |= await self._loading.expire(now)
        more |= await self._loading.caught(now)
        self._loading.hurried(now)
        await self._committer.durable()
        return more


def _specs(app: AppRoom, pieces: Sequence[Piece], expires: float | None) -> list[Spec]:
    specs = []
    for piece in pieces:
        if len(piece.stdin) > INLINE_BYTES:
            raise UsageError(f"an input of more than {INLINE_BYTES} bytes is to be published as a content")
        if len(piece.seed) != 32:
            raise UsageError("a seed has 32 bytes")
        stdin = piece.stdin if piece.content is None else None
        key = unit_id(app.id, piece.args, stdin, piece.content, piece.seed, piece.generation)
        operations = piece.operations or app.manifest.operations
        specs.append(
            Spec(key, piece.seed, operations, piece.args, piece.stdin, piece.content, piece.answer, expires)
        )
    return specs


def _again(key: bytes, again: int) -> bytes:
    """The name of a unit that is computed once more because nothing came of it, or what came of it was forgotten."""
    return hashlib.sha256(UNIT_PURPOSE + key + again.to_bytes(8, "big")).digest()


def _forget(connection: sqlite3.Connection, units: Sequence[int]) -> int:
    count = 0
    for unit in units:
        body = connection.execute("SELECT body FROM grid_ended WHERE unit = ?", (unit,)).fetchone()
        if body is None:
            continue
        doc = read_doc.decode(body[0])
        for copy in doc.copies:
            if copy.identity is not None and copy.unchecked:
                connection.execute(
                    "DELETE FROM grid_unverified WHERE project = (SELECT project FROM grid_apps WHERE number = ?)"
                    " AND identity = ? AND app = ? AND at = ? AND unit = ?",
                    (doc.app, copy.identity, doc.app, copy.since, unit),
                )
        for table in ("grid_ended", "grid_units", "grid_outputs", "grid_also"):
            connection.execute(f"DELETE FROM {table} WHERE unit = ?", (unit,))
        connection.execute("DELETE FROM grid_finals WHERE ord = ?", (doc.order,))
        count += 1
    return count


def _known(connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, tuple[int, int | None, int]]:
    """(unit, batch, how often it was begun again) of those that are there, or were; no batch where it was forgotten."""
    found: dict[bytes, tuple[int, int | None, int]] = {}
    for key in keys:
        row = connection.execute(
            "SELECT k.unit, u.batch, k.again FROM grid_keys k LEFT JOIN grid_units u ON u.unit = k.unit WHERE k.key = ?",
            (key,),
        ).fetchone()
        if row is not None:
            found[key] = (row[0], row[1], row[2])
    return found


def _put(connection: sqlite3.Connection, units: list[Any], keys: list[Any], queue: list[Any]) -> None:
    connection.executemany("INSERT INTO grid_units VALUES (?, ?, ?, ?)", units)
    connection.executemany("REPLACE INTO grid_keys VALUES (?, ?, ?)", keys)
    connection.executemany("INSERT INTO grid_queue VALUES (?, ?, ?, ?, ?, ?)", queue)


def _do(connection: sqlite3.Connection, statement: str, values: tuple[Any, ...]) -> None:
    connection.execute(statement, values)


def _along(
    connection: sqlite3.Connection, along: Along, added: Sequence[Added], problem: list[BaseException]
) -> None:
    """What others write in the same transaction; where they fail, the rest of it stands."""
    connection.execute("SAVEPOINT along")
    try:
        along(connection, added)
    except Exception as wrong:  # noqa: BLE001 raised again where it was asked for
        connection.execute("ROLLBACK TO along")
        problem.append(wrong)
    connection.execute("RELEASE along")
