"""What of the clusters runs here: schedulers of ours, visits to the owners of others, workers in either; and what is known of all of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from servent.cluster import hardware, links, rows, showing, visits
from servent.cluster.live import Live
from servent.cluster.member_service import Visit
from servent.cluster.model import Papers, Wish
from servent.cluster.scheduler_service import SchedulerRun
from servent.cluster.settings import Settings
from servent.cluster.views import ClusterView
from servent.cluster.visitors_service import STREAMS, Visitors
from servent.cluster.visits import Hardware, Report, Seen
from servent.cluster.workers_service import Workers
from servent.cluster.working import Allowed
from servent.errors import NotFound, Refused, ServentError, UsageError
from servent.identity import Identity, PeerId
from servent.net import ticket
from servent.net.links import PeerAddress, Stream
from servent.net.peers import Peers
from servent.net.session import Session
from servent.store import Store
from servent.tasks import begin
from servent.trust.service import TrustService

log = logging.getLogger("servent.cluster")

HARDWARE_EVERY = 300.0  # s between two looks at what this machine has
BLOCKED = "its owner is blocked here"


class ClustersBase:
    """Owns everything about Dask among friends. Make it before `store` is opened; `open`, `run` in a task, `close` before the network.

    Args:
        store: the node's database, opened and closed by others.
        folder: for the processes: logs, what leaves the memory, sockets.
        address: where this node can be reached, for links.
        allowed: what lending says now. lent: cores that are lent when it allows; lends: whether it is on.
        reached: (sockets to bind, relays) for the processes.
        settings: the section `cluster` of the configuration.
    """

    def __init__(
        self,
        peers: Peers,
        trust: TrustService,
        store: Store,
        identity: Identity,
        folder: Path,
        *,
        my_name: Callable[[], str],
        address: Callable[[], PeerAddress],
        allowed: Callable[[], Allowed],
        lent: Callable[[], int],
        lends: Callable[[], bool],
        reached: Callable[[], tuple[list[str], list[str]]],
        settings: Callable[[], Settings],
        wall: Callable[[], float],
        local_time: Callable[[float], datetime] = datetime.fromtimestamp,
    ) -> None:
        store.migrate(rows.ROOM, rows.STEPS)
        self._peers, self._trust, self._store, self._identity = peers, trust, store, identity
        self._folder, self._my_name, self._address = folder, my_name, address
        self._allowed, self._lent, self._lends, self._reached = allowed, lent, lends, reached
        self._settings, self._wall, self._local = settings, wall, local_time
        self._me = bytes(identity.peer)
        self._all: dict[bytes, Live] = {}
        self._schedulers: dict[bytes, SchedulerRun] = {}
        self._workers: dict[bytes, Workers] = {}
        self._visits: dict[bytes, Visit] = {}
        self._running: dict[tuple[str, bytes], asyncio.Task[None]] = {}
        self._admitted: set[str] = set()
        self._callbacks: list[Callable[[], None]] = []
        self._tasks: asyncio.TaskGroup | None = None
        self._stop = asyncio.Event()
        self._over = asyncio.Event()
        self._hardware = Hardware()
        self._versions = hardware.versions()
        self._visitors = Visitors(self._ours_by_id, self._member_left, self._changed, wall)

    # -- life

    async def open(self) -> None:
        """Load what is remembered."""
        for kept in await self._store.read(rows.load):
            self._all[kept.id] = Live.of(kept, self._me)
        self._peers.serve(
            visits.SERVICE, self._visitors.serve, audience="friends", streams=STREAMS, standing=True
        )
        self._peers.on_session(self._session)
        self._trust.on_change(self._trust_changed)
        self._set_passes()

    async def run(self) -> None:
        """Until closed or cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                looking = tasks.create_task(self._look_at_machine(), name="the machine's inventory")
                for live in self._all.values():
                    self._set(live)
                self._trust_changed()
                await self._stop.wait()
                looking.cancel()
                for task in self._running.values():
                    task.cancel()
        finally:
            self._tasks = None
            self._over.set()

    async def close(self) -> None:
        """End every process. Safe twice."""
        self._stop.set()
        if self._tasks is not None:
            await self._over.wait()
        self._peers.withdraw(visits.SERVICE)
        for name in self._admitted:
            self._trust.dismiss(name)
        self._admitted.clear()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback()` on the loop when what is shown may be another."""
        self._callbacks.append(callback)

    def lending_changed(self) -> None:
        """What `allowed` says may be another: at once, not at the next look."""
        for workers in self._workers.values():
            workers.soon()

    def _changed(self) -> None:
        for visit in self._visits.values():
            visit.changed()
        for callback in self._callbacks:
            callback()

    async def _look_at_machine(self) -> None:
        while True:
            self._hardware = await asyncio.to_thread(hardware.look, self._folder)
            self._versions = await asyncio.to_thread(hardware.versions)
            self._changed()
            await asyncio.sleep(HARDWARE_EVERY)

    # -- which tasks run

    def _set(self, live: Live) -> None:
        """Begin and end what this cluster needs here, by what is kept of it."""
        kept, roster, blocked = live.kept, live.roster, self._blocked(live.kept.owner)
        working = kept.work and roster is not None and roster.may(self._me, "worker") and not blocked
        self._want("scheduler", live, live.mine and kept.up, self._schedule)
        self._want("visit", live, not live.mine and not blocked, self._visit)
        workers = self._workers.get(live.id)
        if workers is not None and not working and live.scheduler and self._all.get(live.id) is live:
            workers.leave()  # what they hold moves to others first
        else:
            self._want("workers", live, working, self._work)

    def _want(
        self, what: str, live: Live, on: bool, run: Callable[[Live], Coroutine[Any, Any, None]]
    ) -> None:
        key = what, live.id
        task = self._running.get(key)
        if task is not None and task.done():
            task = None
        if on and task is None and not self._stop.is_set():
            made = begin(self._tasks, run(live), f"{what} of {live.kept.called}")
            if made is not None:
                self._running[key] = made
        elif not on and task is not None:
            task.cancel()
            del self._running[key]

    def _place(self, live: Live) -> Path:
        return self._folder / live.id.hex()[:12]

    async def _schedule(self, live: Live) -> None:
        run = self._schedulers[live.id] = SchedulerRun(
            live, self._place(live), self._me, self.papers, partial(self._scheduler_moved, live)
        )
        try:
            await run.run()
        finally:
            self._schedulers.pop(live.id, None)

    def _visit(self, live: Live) -> Coroutine[Any, Any, None]:
        visit = self._visits[live.id] = Visit(
            live, self._open_stream, partial(self._report, live), self._keep, partial(self._heard, live)
        )
        return self._visiting(live, visit)

    async def _visiting(self, live: Live, visit: Visit) -> None:
        try:
            await visit.run()
        finally:
            self._visits.pop(live.id, None)

    async def _work(self, live: Live) -> None:
        workers = self._workers[live.id] = Workers(
            live,
            self._place(live),
            self._me,
            self._my_name,
            self.papers,
            self._allowed,
            self._lent,
            lambda: self._settings().retire_minutes * 60,
            changed=self._changed,
            wall=self._wall,
            local_time=self._local,
        )
        try:
            await workers.run()
        finally:
            self._workers.pop(live.id, None)
            self._changed()
        self._running.pop(("workers", live.id), None)
        self._set(live)  # it may be wanted again by now

    async def _open_stream(self, peer: PeerId) -> Stream:
        return await self._peers.open(peer, visits.SERVICE, standing=True)

    def _scheduler_moved(self, live: Live) -> None:
        self._visitors.changed(live.id)
        if live.id in self._workers:
            self._workers[live.id].soon()
        self._changed()

    def _heard(self, live: Live) -> None:
        """The owner said something: the list, or where the scheduler is."""
        self._set(live)
        if live.id in self._workers:
            self._workers[live.id].soon()
        self._changed()

    def _session(self, session: Session, up: bool) -> None:
        if up:
            for id, visit in self._visits.items():
                if self._all[id].kept.owner == bytes(session.peer):
                    visit.again()

    # -- who may come

    def _blocked(self, node: bytes) -> bool:
        contact = self._trust.contact(PeerId(node))
        return contact is not None and contact.blocked

    def _trust_changed(self) -> None:
        """Who is blocked has no part in our clusters, and none of our processes in theirs."""
        for live in self._all.values():
            if live.mine:
                if self._blocked_members(live):
                    begin(self._tasks, self._drop_blocked(live), f"blocked members of {live.kept.called}")
            elif self._blocked(live.kept.owner):
                live.scheduler, live.why, live.seen = "", BLOCKED, Seen()  # first: nothing is handed over
                self._set(live)
                self._changed()
            elif live.why == BLOCKED:
                live.why = "its owner was not met yet"
                self._set(live)
                self._changed()

    def _blocked_members(self, live: Live) -> list[bytes]:
        return [one.node for one in live.roster.members if self._blocked(one.node)] if live.roster else []

    async def _drop_blocked(self, live: Live) -> None:
        try:
            while some := self._blocked_members(live):
                await self._member_left(live, some[0])
        except ServentError as wrong:
            log.warning("a blocked member stays on the list of %s: %s", live.kept.called, wrong)

    def _set_passes(self) -> None:
        """Members come in for this alone, also where they are no friends; and so does the owner of what we joined."""
        wanted: dict[str, PeerId] = {}
        for live in self._all.values():
            others = [live.kept.owner] if live.roster is None else [one.node for one in live.roster.members]
            for node in others:
                if node != self._me and (live.mine or node == live.kept.owner):
                    wanted[f"cluster {live.id.hex()} {PeerId(node)}"] = PeerId(node)
            if not live.mine:
                wanted[f"cluster {live.id.hex()} {PeerId(live.kept.owner)}"] = PeerId(live.kept.owner)
        for name in self._admitted - set(wanted):
            self._trust.dismiss(name)
        for name in set(wanted) - self._admitted:
            self._trust.admit(name, wanted[name], [visits.SERVICE])
        self._admitted = set(wanted)

    # -- what is there

    def all(self) -> list[ClusterView]:
        """Every cluster, the oldest first."""
        return [self._view(one) for one in self._all.values()]

    def view(self, name: str) -> ClusterView:
        """One, by its name here, its id or the beginning of it. Raises NotFound, UsageError."""
        live = self.find(name)
        if live.id in self._visits:
            self._visits[live.id].watched()
        return self._view(live)

    def _view(self, live: Live) -> ClusterView:
        called = {}
        for member in () if live.roster is None else live.roster.members:
            contact = self._trust.contact(PeerId(member.node))
            if contact is not None and contact.petname:
                called[member.node] = contact.petname
        owner = self._trust.contact(PeerId(live.kept.owner))
        if owner is not None and owner.petname:
            called[live.kept.owner] = owner.petname
        called[self._me] = self._my_name()
        scheduler = self._schedulers.get(live.id)
        return showing.view(
            live,
            self._me,
            self._report(live),
            link=self.link(live),
            dashboard=scheduler is not None and bool(scheduler.door) and bool(live.scheduler),
            logs=[*(["scheduler"] if scheduler is not None else []), *self._journals(live)],
            called=called,
        )

    def find(self, name: str) -> Live:
        """By its name here, its id in hex or the beginning of it, or its link. Raises NotFound, UsageError."""
        text = name.strip().removeprefix("servent://")
        if links.is_link(text):
            text = links.decode(text).cluster.hex()
        # An id comes first: somebody may have called their cluster by the id of another one.
        found = [one for one in self._all.values() if one.id.hex() == text]
        found = found or [one for one in self._all.values() if one.kept.called == text]
        found = found or [
            one for one in self._all.values() if len(text) >= 6 and one.id.hex().startswith(text)
        ]
        if len(found) == 1:
            return found[0]
        if not text and len(self._all) == 1:
            return next(iter(self._all.values()))
        if found:
            raise UsageError(
                f"several clusters are called {text[:80]!r}", advice="Give the beginning of an id."
            )
        said = f"no cluster here is called {text[:80]!r}" if text else "which cluster?"
        raise NotFound(said, advice="`servent grid cluster ls` shows those that this node knows.")

    def _ours(self, name: str) -> Live:
        live = self.find(name)
        if not live.mine:
            raise Refused(f"{live.kept.called} is somebody else's", advice="Its owner can do that.")
        return live

    def _ours_by_id(self, id: bytes) -> Live | None:
        live = self._all.get(id)
        return live if live is not None and live.mine else None

    def link(self, live: Live) -> str:
        """What others join with."""
        kept = live.kept
        if live.mine:
            return links.encode(links.ClusterLink(kept.id, kept.called, self._address()))
        try:
            owner = ticket.unpack_address(kept.owner_at)
        except (ValueError, UsageError):
            owner = PeerAddress(PeerId(kept.owner))
        return links.encode(links.ClusterLink(kept.id, kept.called, owner))

    def _report(self, live: Live) -> Report:
        """What this machine is and lends to one cluster."""
        allowed, workers = self._allowed(), self._workers.get(live.id)
        if not live.kept.work:
            why = "it does not work in this cluster"
        else:
            why = allowed.why if workers is None else workers.why
        cores = self._lent()
        return Report(
            name=self._my_name()[:64],
            hardware=self._hardware,
            versions=self._versions,
            parts=[] if workers is None else workers.parts()[: visits.MOST_WORKERS],
            lends=live.kept.work and self._lends(),
            cores=min(live.kept.cores or cores, cores) if live.kept.work else 0,
            memory_bytes=allowed.memory_bytes if live.kept.work else 0,
            why=why[:200],
        )

    def _journals(self, live: Live) -> dict[str, Any]:
        workers = self._workers.get(live.id)
        return {} if workers is None else dict(workers.journals())

    async def log(self, name: str, process: str, lines: int) -> list[str]:
        """The last lines that a process of this machine wrote. Raises NotFound."""
        live = self.find(name)
        journals = self._journals(live)
        scheduler = self._schedulers.get(live.id)
        if scheduler is not None:
            journals["scheduler"] = scheduler.journal
        if process not in journals:
            there = ", ".join(sorted(journals)) or "none"
            raise NotFound(
                f"no process of {live.kept.called} here is called {process[:40]!r}",
                advice=f"There are: {there}.",
            )
        return list(await asyncio.to_thread(journals[process].tail, lines))

    def door(self, name: str) -> tuple[str, str]:
        """(path of the socket at which the dashboard of a scheduler of ours answers, what its pages' paths begin with). Raises NotFound."""
        live = self.find(name)
        scheduler = self._schedulers.get(live.id)
        if scheduler is None or not scheduler.door or not live.scheduler:
            raise NotFound(
                f"{live.kept.called} has no dashboard here now",
                advice="It is where its scheduler runs, while that runs.",
            )
        return scheduler.door, scheduler.prefix

    def doors(self) -> dict[str, str]:
        """Of all dashboards here: what the paths of their pages begin with, and their sockets."""
        return {one.prefix: one.door for one in self._schedulers.values() if one.door}

    async def _keep(self, live: Live) -> None:
        if live.id in self._all:
            await self._store.write(rows.save(live.kept, self._wall()))

    # -- what the room on top does

    async def papers(self, wish: Wish) -> Papers:
        raise NotImplementedError

    async def _member_left(self, live: Live, node: bytes) -> None:
        raise NotImplementedError
