"""The coordinator of this node's projects: hands out work, takes results, decides by `transition`, and keeps all that durably before it is said."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from servent.errors import WorldError
from servent.grid import coordinator_rows as rows
from servent.grid import wire
from servent.grid.coordinator_changes import Writing
from servent.grid.coordinator_commit_service import Committer
from servent.grid.coordinator_door_service import Visit, serve, widest
from servent.grid.coordinator_files_service import Files
from servent.grid.coordinator_handing import Handing, Limits
from servent.grid.coordinator_loading_service import Loading
from servent.grid.coordinator_looks_service import Looks
from servent.grid.coordinator_parts import Parts
from servent.grid.coordinator_state import State
from servent.grid.coordinator_taking import Taking
from servent.grid.coordinator_views import (
    Added,
    BatchLook,
    Compare,
    Final,
    History,
    HostLook,
    Outputs,
    Piece,
    Problem,
    ProjectLook,
    Receipts,
    UnitLook,
)
from servent.grid.coordinator_work_service import Work
from servent.grid.manifests import App, Project, Signed
from servent.identity import PeerId
from servent.net.links import Stream
from servent.net.peers import Peers
from servent.net.session import Session
from servent.store import Store
from servent.trust.service import TrustService

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger(__name__)

__all__ = ["Coordinator", "Visit"]

TICK = 0.5  # s between two looks at the clock
STREAMS = 4  # of one volunteer: while a connection dies, the next is there


class Coordinator:
    """All own projects of a node.

    Make it before `store` (which is durable) is opened, `open` it then, and `run` it in a task of its own.

    Args:
        me: this node, the first that volunteers fetch from.
        peers, trust: for volunteers from outside; None in tests and in `bench.grid --no-network`: then only `visit` leads here.
        outputs: for what does not fit into a message; None refuses it.
        compare: runs comparers; None leaves results of apps that have one undecided.
        receipts: the ledger.
        trusting: whether hosts may earn that their word alone is enough.
    """

    def __init__(
        self,
        store: Store,
        me: PeerId,
        *,
        peers: Peers | None = None,
        trust: TrustService | None = None,
        outputs: Outputs | None = None,
        compare: Compare | None = None,
        receipts: Receipts | None = None,
        trusting: bool = True,
        limits: Limits | None = None,
        wall: Callable[[], float] = time.time,
        dice: random.Random | None = None,
    ) -> None:
        store.migrate(rows.ROOM, rows.STEPS)
        self._peers, self._trust, self._wall, self._outputs = peers, trust, wall, outputs
        self._state = state = State(trusting)
        self._committer = Committer(store, state, self._written)
        self._loading = Loading(store, state)
        handing = Handing(state, me, dice or random.SystemRandom(), limits or Limits())
        taking = Taking(state, outputs is not None)
        self._files = Files(store, state, taking, self._committer, outputs, compare, wall)
        self._looks = Looks(store, state, handing)
        self._work = Work(store, state, self._loading, self._committer, self._looks)
        self._parts = Parts(
            bytes(me), state, handing, taking, self._loading, self._committer, self._files, receipts, self._welcome,
            wall, lambda: self._stop.is_set(),
        )  # fmt: skip
        self._receipts = receipts
        self._final_callbacks: list[Callable[[Sequence[Final]], None]] = []
        self._change_callbacks: list[Callable[[], None]] = []
        self._due_callbacks: list[Callable[[], None]] = []
        self._stop, self._stopped = asyncio.Event(), asyncio.Event()
        self._running = False

    # -- life

    async def open(self) -> None:
        """Read what was under way, and serve. Raises StoreTrouble."""
        self._committer.began(await self._loading.open(self._wall()))
        self._limit()
        if self._peers is not None:
            self._peers.serve(
                wire.SERVICE, self._serve, audience=widest(self.projects()), streams=STREAMS, standing=True
            )

    async def run(self) -> None:
        """Commit, expire, fetch, compare, until `close` or cancelled."""
        self._running = True
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._committer.run(), name="commit results")
                group.create_task(self._files.run(), name="fetch and compare results")
                group.create_task(self._work.run(self._wall), name="work through what is many")
                group.create_task(self._tick(), name="leases that run out")
                self._committer.hurry()
                self._files.look()
                self._work.behind.set()
                await self._stop.wait()
                raise _Stop
        except* _Stop:
            pass
        finally:
            self._running = False
            self._stopped.set()

    async def close(self) -> None:
        """Write what is pending; answer nobody any more. Safe twice."""
        if self._peers is not None and wire.SERVICE in self._peers.services():
            self._peers.withdraw(wire.SERVICE)
        self._stop.set()
        if self._running:
            await self._stopped.wait()
        try:
            await self._committer.flush()
        except WorldError as wrong:
            log.warning("what volunteers brought last is not on the disk: %s", wrong)

    async def _tick(self) -> None:
        while True:
            self._state.tick(self._wall())
            if self._state.changes.any:
                self._committer.hurry()
            self._files.look()
            self._limit()
            await asyncio.sleep(TICK)

    def _limit(self) -> None:
        """What each project may still pay moves with what its owner earns; where nobody counts that, its budget stands."""
        for room in self._state.rooms.values():
            most = self._receipts.limit(room.key) if self._receipts is not None else None
            before, room.purse.limit = room.purse.limit, room.manifest.budget if most is None else most
            if before is None and room.purse.limit is not None:
                self._state.promise(room)

    def _written(self, writing: Writing, ended: Sequence[Final], released: Sequence[str]) -> None:
        for live in writing.lives.values():
            self._state.leave(live)
        if self._outputs is not None:
            for name in released:
                self._outputs.release(name)
        if writing.has("due"):
            for told in self._due_callbacks:
                told()
        if writing.has("caught"):
            self._work.behind.set()
        if ended:
            for tell in self._final_callbacks:
                tell(ended)
        for changed in self._change_callbacks:
            changed()

    # -- what is to be done

    async def add_project(self, signed: Signed) -> Project:
        """A new project, or a newer manifest of one. Raises BadMessage, UsageError."""
        project = await self._work.add_project(signed)
        if self._trust is not None:
            self._trust.set_default(wire.SERVICE, widest(self.projects()))
        return project

    async def pause_project(self, project: bytes, paused: bool, why: str = "") -> None:
        """Hand out nothing (what is leased may be returned), for a reason that volunteers are told. Raises NotFound."""
        await self._work.pause_project(project, paused, why)

    async def add_app(self, signed: Signed) -> bytes:
        """Its `app_id`. Raises BadMessage, NotFound (the project), UsageError."""
        return await self._work.add_app(signed)

    async def invite(
        self, project: bytes, secret: bytes, uses: int | None = None, expires: float | None = None
    ) -> None:
        """Let in whoever shows `secret` (16 to 512 bytes) in its `Join`, whatever the audience. Raises NotFound, UsageError."""
        await self._work.invite(project, secret, uses, expires)

    def invited(self, project: bytes, peer: PeerId) -> bool:
        """Whether an invitation has let this peer in. False, too, where there is no such project."""
        room = self._state.by_key.get(bytes(project))
        return room is not None and bytes(peer) in room.invited

    async def add_units(
        self,
        project: bytes,
        app: bytes,
        batch: int,
        pieces: Sequence[Piece],
        *,
        priority: int = 0,
        deadline: float = 86400.0,
        expires: float | None = None,
        budget: int | None = None,
        along: Callable[[sqlite3.Connection, Sequence[Added]], None] | None = None,
    ) -> list[Added]:
        """Take down up to 10,000 units, in order; the same work again is the same unit, unless it came to nothing before.

        Args:
            batch: a number of the caller's own; more may be added to it later. Its priority, deadline and budget are those of the first call.
            deadline: seconds a volunteer has for one; each sign of life begins them anew.
            expires: wall time at which what is not done is given up.
            budget: MFLOP that may be credited for the whole batch; beyond, nothing more of it is handed out.
            along: runs in the same transaction, in the writer's thread.

        Raises:
            NotFound: project or app. UsageError: the project is closed, the app retired, an input too long.
        """
        return await self._work.add_units(
            project, app, batch, pieces, priority, deadline, expires, budget, along
        )

    async def cancel(self, *, batch: int | None = None, units: Sequence[int] = ()) -> int:
        """How many are cancelled, or will be in a moment. Units that another batch wants, too, stay, and become that batch's. Raises NotFound."""
        return await self._work.cancel(batch, units, self._wall())

    async def change(
        self,
        batch: int,
        *,
        priority: int | None = None,
        deadline: float | None = None,
        paused: bool | None = None,
        budget: int | None = None,
    ) -> BatchLook:
        """Raises NotFound."""
        await self._work.change(batch, priority, deadline, paused, budget)
        return self.batch(batch)

    async def forget(self, units: Sequence[int]) -> int:
        """Take off the disk what is known of these units, as far as they have ended; what was credited stays credited. How many."""
        return await self._work.forget(units)

    # -- what came of it

    def on_final(self, callback: Callable[[Sequence[Final]], None]) -> None:
        """Call it on the loop, after the commit, with what ended. Whoever may be away meanwhile asks `finals` with the last `order` it has dealt with."""
        self._final_callbacks.append(callback)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call it on the loop, after each commit."""
        self._change_callbacks.append(callback)

    def on_due(self, callback: Callable[[], None]) -> None:
        """Call it on the loop, after a commit that put rows into `grid_due`."""
        self._due_callbacks.append(callback)

    async def finals(self, after: int = 0, limit: int = 1000, *, batch: int | None = None) -> list[Final]:
        """What ended after the `order` given, in order; of what was revised, only the newest."""
        return await self._looks.finals(after, limit, batch)

    async def results(self, units: Sequence[int]) -> dict[int, Final]:
        """Of those that have ended."""
        return await self._looks.results(units)

    # -- volunteers

    def visit(self, project: bytes, identity: PeerId, *, local: bool = False) -> Visit:
        """A conversation. `local`: it is this node's own volunteer, which every audience includes. Raises NotFound."""
        return Visit(self._parts, self._looks.room(project), identity, local)

    async def _serve(self, session: Session, stream: Stream) -> None:
        await serve(lambda project, peer: self.visit(project, peer), session, stream)

    def _welcome(self, project: Project, peer: PeerId) -> bool:
        if project.audience == "everyone" or self._trust is None:
            return project.audience != "invited"
        contact = self._trust.contact(peer)
        if contact is not None and contact.friend and project.audience != "invited":
            return True
        if project.audience != "network" or project.network is None:
            return False
        return self._trust.belongs(project.network, bytes(peer))

    # -- views

    @property
    def commits(self) -> int:
        """Transactions since the start."""
        return self._committer.commits

    def projects(self) -> list[Project]:
        return [room.manifest for room in self._state.rooms.values()]

    def apps(self, project: bytes) -> list[tuple[bytes, App]]:
        """Every version, oldest first. Raises NotFound."""
        return [(app.id, app.manifest) for app in self._looks.room(project).apps.values()]

    def bound(self, project: bytes) -> int:
        """MFLOP that a project has paid, or has set aside for units that are begun: no budget goes below that. Raises NotFound."""
        room = self._looks.room(project)
        self._state.promise(room)
        return room.purse.spent + room.purse.aside

    def view(self, project: bytes) -> ProjectLook:
        """Raises NotFound."""
        return self._looks.project(project, self._wall())

    def batch(self, batch: int) -> BatchLook:
        """Raises NotFound."""
        return self._looks.batch(batch, self._wall())

    def history(self, project: bytes, steps: int = 60, step: float = 60.0) -> History:
        """`step` in whole minutes. Raises NotFound."""
        return self._looks.history(project, steps, step, self._wall())

    def hosts(self, project: bytes) -> list[HostLook]:
        """Raises NotFound."""
        return self._looks.hosts(project, self._wall())

    def problems(self, project: bytes) -> list[Problem]:
        """The newest first. Raises NotFound."""
        return self._looks.problems(project)

    async def units(
        self, project: bytes, *, batch: int = 0, state: str = "", after: int = 0, limit: int = 100
    ) -> list[UnitLook]:
        """By number. `state`: as `UnitLook.shown`, "" for all. Raises NotFound."""
        return await self._looks.units(project, batch, state, after, limit)

    async def some_units(self, project: bytes, units: Sequence[int]) -> dict[int, UnitLook]:
        """By number, those that the project has. Raises NotFound."""
        return await self._looks.some(project, units)


class _Stop(Exception):
    pass
