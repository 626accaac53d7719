"""The grid room: lending this machine, projects of one's own, and credit. Builds its parts, starts and stops them in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

from servent.blobs import wire as blobs_wire
from servent.blobs.service import Blobs
from servent.errors import NotFound, UsageError
from servent.grid import links, wire
from servent.grid import project_views as views
from servent.grid import views as lending_views
from servent.grid.batches_service import Batches
from servent.grid.contents_service import LEAVE_AFTER, Contents
from servent.grid.coordinator_service import Coordinator, Visit
from servent.grid.credit_views import Audited
from servent.grid.gates_service import Gates
from servent.grid.ledger_service import Ledger
from servent.grid.lending_service import Lending
from servent.grid.lending_show import letters
from servent.grid.lost_service import give_back_lost
from servent.grid.newest_service import look_at, newest_ledger
from servent.grid.projects_service import Projects
from servent.grid.sandbox.slots_service import Slots
from servent.grid.settings import Settings
from servent.grid.teams_service import Teams
from servent.grid.trying_service import Trying
from servent.identity import Identity
from servent.net.links import PeerAddress
from servent.net.peers import Peers
from servent.store import Damaged, Store
from servent.tasks import begin
from servent.trust.service import TrustService

log = logging.getLogger(__name__)

FILE = "grid.db"
FOLDER = "grid"
DAMAGED = (
    "Put a backup of this file in its place, or move it away: projects of yours would be gone with their keys, "
    "and what is leased; everything else of the node is in other files."
)

# lending: this machine's state. joined: projects it computes for. projects: own ones. batches. units: some changed their state.
# credit: the ledger or a leaderboard. teams.
Topic = Literal["lending", "joined", "projects", "batches", "units", "credit", "teams"]


class Grid:
    """Owns everything about computing. `open` it after `blobs`, before the network runs; `run` it in a task; `close` it first.

    Attributes:
        contents, coordinator, projects, batches, lending, ledger, teams, trying: its parts, for the faces; every method of theirs may raise a ServentError.

    Args:
        store: a database of its own (`grid.db`, durable), not open yet; closed by `close`.
        settings: the section `grid` of the configuration; asked anew each time.
        address: where this node can be reached, for links.
        engaged: why nothing may be computed now ("a match is on"), "" where nothing speaks against it.
    """

    def __init__(
        self,
        peers: Peers,
        trust: TrustService,
        blobs: Blobs,
        store: Store,
        data_dir: Path,
        identity: Identity,
        *,
        settings: Callable[[], Settings],
        my_name: Callable[[], str],
        address: Callable[[], PeerAddress],
        engaged: Callable[[], str] = lambda: "",
        wall: Callable[[], float],
    ) -> None:
        self._peers, self._trust, self._store, self._wall = peers, trust, store, wall
        self._identity, self._folder, self._my_name = identity, data_dir / FOLDER, my_name
        self._callbacks: list[Callable[[Topic], None]] = []
        self._tasks: asyncio.TaskGroup | None = None
        self._main: asyncio.Task[None] | None = None
        self._closed = self._opened = False
        folder = self._folder
        self._gates = Gates(
            trust,
            (wire.SERVICE, blobs_wire.SERVICE),
            lambda: self.projects.manifests(),
            lambda: self.lending.known(),
            lambda project, peer: self.coordinator.invited(project, peer),
            lambda: self.projects.wants_strangers(),
        )
        self.contents = Contents(
            store,
            blobs,
            peers,
            trust,
            folder / "contents",
            most_bytes=lambda: max(0, settings().disk_bytes - self.lending.offered_bytes()),
            allows=self._gates.allows,
            wall=wall,
        )
        reads, tries, work = folder / "contents", folder / "tries", folder / "work"
        self._lent = Slots(folder / "sandbox", reads=[reads], writes=[work], cores=0)
        self._own = Slots(folder / "sandbox-own", reads=[reads], writes=[tries], cores=1, gentle=False)
        self.trying = Trying(self._own, self.contents, tries)
        self.teams = Teams(store, identity, wall=wall)
        self.ledger = Ledger(store, folder / "ledgers", self.contents, identity, wall=wall)
        self.coordinator = Coordinator(
            store,
            identity.peer,
            peers=peers,
            trust=trust,
            outputs=self.contents,
            compare=self.trying.agree,
            receipts=self.ledger,
            wall=wall,
        )
        self.projects = Projects(
            store,
            identity,
            trust,
            self.contents,
            self.coordinator,
            self.ledger,
            self.trying,
            address=address,
            told=self._projects_changed,
            wall=wall,
        )
        self.batches = Batches(
            store,
            self.coordinator,
            self.contents,
            self.projects,
            told=lambda: self._told("batches"),
            wall=wall,
        )
        self.projects.names = self.batches.names
        self.lending = Lending(
            identity,
            store,
            work,
            settings,
            self._lent,
            self.contents,
            peers.open,
            local=self._visit,
            name=my_name,
            membership=self.teams.membership,
            engaged=engaged,
            keep=self.ledger.keep,
            follow=self.ledger.follow,
            against=self.ledger.solvent,
            wall=wall,
        )

    # -- life

    async def open(self) -> None:
        """Load what is remembered. Raises StoreTrouble, DiskTrouble: this node cannot compute, and says why."""
        try:
            await self._store.open()
        except Damaged as wrong:
            raise Damaged(str(wrong), advice=DAMAGED) from wrong
        self._opened = True
        await self.contents.open()
        await self.teams.open()
        await self.ledger.open()
        await self.coordinator.open()
        await self.projects.open()
        await self.batches.open()
        await self.lending.open()
        self.coordinator.on_due(self.ledger.due)
        self.coordinator.on_change(self._work_changed)
        self.ledger.on_change(self._ledger_changed)
        self.teams.on_change(lambda: self._told("teams"))
        self.lending.on_change(self._lending_changed)
        self._peers.on_session(lambda session, up: self.lending.seen(session.peer) if up else None)
        self._gates.set()

    async def run(self) -> None:
        """Until cancelled or closed."""
        if self._closed:  # before it began
            return
        async with asyncio.TaskGroup() as tasks:
            self._main = tasks.create_task(self._run(), name="grid")

    async def _run(self) -> None:
        try:
            async with self._lent, self._own, asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self.contents.run(), name="contents of the grid")
                tasks.create_task(self.coordinator.run(), name="coordinator")
                tasks.create_task(self.ledger.run(), name="ledger")
                tasks.create_task(self.projects.run(), name="own projects")
                tasks.create_task(self.batches.run(), name="results of own projects")
                await give_back_lost(self._store, self.coordinator, self._identity.peer, self._my_name())
                tasks.create_task(self.lending.run(), name="lending")
        finally:
            self._tasks = None

    async def close(self) -> None:
        """Stop computing, give nothing out any more, and close the file. Safe twice."""
        if self._closed:
            return
        self._closed = True
        if not self._opened:
            return
        await self.lending.close()
        await self.coordinator.close()
        await self.ledger.close()
        if self._main is not None:
            self._main.cancel()
            await asyncio.wait([self._main])
        await self.contents.close()
        self._gates.clear()
        await self._store.close()

    def on_change(self, callback: Callable[[Topic], None]) -> None:
        """Call `callback(topic)` on the loop when what the parts answer of that topic has changed."""
        self._callbacks.append(callback)

    def _told(self, topic: Topic) -> None:
        for callback in self._callbacks:
            callback(topic)

    def _projects_changed(self) -> None:
        self._gates.set()
        self._told("projects")

    def _work_changed(self) -> None:
        for topic in ("projects", "batches", "units"):
            self._told(topic)

    def _ledger_changed(self, project: bytes) -> None:
        self.projects.ledger_grew(project)
        self._told("credit")

    def _lending_changed(self, topic: Literal["lending", "joined"]) -> None:
        if topic == "joined":
            self._gates.set()
        self._told(topic)

    # -- who is who, for the parts

    def _visit(self, project: bytes) -> Visit | None:
        """A visit of our own volunteer to a project that is coordinated here."""
        if self.projects.manifest(project) is None:
            return None
        return self.coordinator.visit(project, self._identity.peer, local=True)

    # -- joining

    async def join(
        self, link: str, *, share: float = 100.0, team: bytes | None = None
    ) -> lending_views.JoinedProject:
        """Compute for the project that `link` leads to (or for an own one, by name or key). Raises UsageError, NotFound."""
        text = link.strip()
        if links.is_link(text):
            found = links.decode(text)
            key, name, invitation = found.key, found.name, found.invitation
            coordinators = [bytes(one.peer) for one in found.coordinators]
            for one in found.coordinators:
                if one.peer != self._peers.peer:
                    self._peers.remember(one)
        else:
            if (named := links.key_of(text)) is not None and self.projects.manifest(named) is None:
                raise UsageError(
                    "a project's key alone does not say who hands out its work", advice="Ask for its link."
                )
            key = self.projects.key_of(text)
            name, invitation, coordinators = self.projects.name_of(key), b"", [bytes(self._peers.peer)]
            text = self.projects.link(key)
        mine = self.projects.manifest(key) is not None
        made = await self.lending.join(
            key, coordinators, name=name, link=text, invitation=invitation, share=share, team=team
        )
        if mine and not self.projects.is_local(key):
            await self.projects.change(key, local=True)
        self._gates.set()
        return made

    async def look(self, link: str) -> lending_views.ProjectPreview:
        """What the project that `link` leads to says of itself, without joining it. Raises UsageError, and as `look_at`."""
        found = links.decode(link.strip())
        own = self.projects.manifest(found.key)
        if own is not None:
            now = self.projects.view(found.key)
            manifest, units, done, eta = own, now.units, now.by_state.get("done", 0), now.eta
        else:
            for one in found.coordinators:
                if one.peer != self._peers.peer:
                    self._peers.remember(one)
            contacts = [bytes(one.peer) for one in found.coordinators if one.peer != self._peers.peer]
            manifest, said = await look_at(self._peers.open, found.key, contacts)
            units, done, eta = said.units, said.done, said.eta
        return lending_views.ProjectPreview(
            key=letters(manifest.key),
            name=manifest.name,
            about=manifest.about,
            url=manifest.url,
            owner=letters(manifest.owner),
            audience=manifest.audience,
            bonus=manifest.bonus,
            closed=manifest.closed,
            units=units,
            done=done,
            eta=eta,
        )

    async def leave(self, project: bytes) -> None:
        """As `Lending.leave`; of an own project, this machine computes for it no more."""
        for joined in self.lending.known():
            if joined.project == project:
                self._gates.leave(joined, asyncio.get_running_loop().time() + LEAVE_AFTER)
        await self.lending.leave(project)
        if self.projects.is_local(project):
            await self.projects.change(project, local=False)

    async def new_project(self, name: str, *, local: bool = False, **said: object) -> views.MyProject:
        """As `Projects.create`; `local`: and compute for it here."""
        made = await self.projects.create(name, **said)  # type: ignore[arg-type]
        if local:
            await self.join(made.link)
            return self.projects.view(self.projects.key_of(made.key))
        return made

    # -- credit

    async def audit(self, project: bytes, coordinators: Sequence[PeerAddress] = ()) -> Audited:
        """Check the newest ledger of a project: one that is known here, or, of any other, the one that its coordinators name.

        Raises:
            NotFound: none is known, or there is none. ServentError: it could not be had.
        """
        if self.ledger.newest(project) is not None or self.projects.manifest(project) is not None:
            return await self.ledger.audit(project)
        for one in coordinators:
            if one.peer != self._peers.peer:
                self._peers.remember(one)
        contacts = [bytes(one.peer) for one in coordinators]
        infohash = await newest_ledger(self._peers.open, project, contacts)
        return await self.ledger.audit(infohash, contacts, project)

    async def remove_project(self, key: bytes) -> None:
        """As `Projects.remove`, with its batches and their results. Raises NotFound, UsageError."""
        manifest = self.projects.manifest(key)
        if manifest is not None and manifest.closed:
            await self.batches.forget_project(key)
        await self.projects.remove(key)

    # -- for scripts inside

    async def map(
        self,
        app: str,
        items: Iterable[bytes | str | Path],
        *,
        project: str = "",
        generations: int = 1,
    ) -> AsyncIterator[views.UnitResult]:
        """Submit `items` (texts, bytes, paths of files) as one batch and give their results as they come; leaving early cancels the rest. `generations`: see `Batches.submit`."""
        key = self.projects.key_of(project)
        given = list(items)
        paths = [one for one in given if isinstance(one, Path)]
        rest = [one.encode() if isinstance(one, str) else one for one in given if not isinstance(one, Path)]
        if paths and rest:
            raise UsageError("files and items do not go into one batch", advice="Submit two.")
        batch = await self.batches.submit(key, app, paths=paths, items=rest, generations=generations)
        ended = False
        try:
            async for one in self.batches.watch(batch.id):
                yield one
            ended = True
        finally:
            if not ended:
                begin(self._tasks, self._cancel(batch.id), "cancel what nobody waits for")

    async def _cancel(self, batch: int) -> None:
        try:
            await self.batches.cancel(batch)
        except NotFound:
            log.debug("batch %d is gone already", batch)
