"""What this machine computes for others: the projects it joined, work fetched ahead, run in the sandbox, returned, credited."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from random import random
from typing import Literal

from servent.errors import BadMessage, NotFound, ServentError, UsageError
from servent.grid import lending_rows as rows
from servent.grid import lending_show as show
from servent.grid import views
from servent.grid.allowing_service import Allowing
from servent.grid.conditions_service import Machine
from servent.grid.contact_service import Around, Contact
from servent.grid.fetching import Fetching
from servent.grid.getting_service import Getting
from servent.grid.held import Held
from servent.grid.joined_service import Joined
from servent.grid.lending_log import Log
from servent.grid.lending_shelf import Shelf
from servent.grid.line_service import Visit
from servent.grid.manifests import App, Signed, open_app
from servent.grid.pictures_service import Pictures
from servent.grid.planning_service import Planning
from servent.grid.policy import Conditions, Verdict
from servent.grid.publishing_service import Keeping, Publishing
from servent.grid.receiving_service import Keep, Receiving
from servent.grid.sandbox.seam import Sandbox
from servent.grid.settings import Settings
from servent.grid.wire import RENEW_EVERY, Membership
from servent.grid.work_service import Work
from servent.identity import Identity, PeerId
from servent.net.links import Stream
from servent.store import Store
from servent.tasks import begin

log = logging.getLogger("servent.grid")

ROOM = "grid lending"
Topic = Literal["lending", "joined"]  # the state of this machine; what is known of joined projects
Follow = Callable[[Signed, bytes, Sequence[bytes]], Awaitable[object]]

SHOW_EVERY = 0.5  # s between two words to faces
NEARLY = 60.0  # s: a unit that is done so soon is finished although its project is left
PRUNE_EVERY = 3600.0


class Lending:
    """The volunteer's side of every project this node joined. Make it before the store is opened, and on the running loop.

    Args:
        store: `grid.db`, durable, not open yet; its tables are declared here.
        folder: snapshots, and outputs that are not published yet; made when missing.
        settings: the section `grid` of the configuration, read again each time.
        open_stream: a stream to `wire.SERVICE` of a peer: `Peers.open`.
        local: a visit to a project that this very node coordinates, or None.
        membership: our signed membership in a team, by its key.
        engaged: why nothing may run now ("a match is on", "a call is on"), "" where nothing speaks against it.
        keep: takes each receipt we agreed to, with our signature. follow: a newer ledger of a project is there: (its manifest, infohash, who has it).
        against: why one should not compute for a project, by its key: its ledger does not hold, or nobody pays; "" for nothing.
        look: what the machine is like, for tests.
        local_time: wall clock to the time here.
    """

    def __init__(
        self,
        identity: Identity,
        store: Store,
        folder: Path,
        settings: Callable[[], Settings],
        slots: Sandbox,
        contents: Keeping,
        open_stream: Callable[[PeerId, str], Awaitable[Stream]],
        *,
        local: Callable[[bytes], Visit | None],
        name: Callable[[], str] = lambda: "",
        membership: Callable[[bytes], Membership | None] = lambda team: None,
        engaged: Callable[[], str] = lambda: "",
        keep: Keep | None = None,
        follow: Follow | None = None,
        against: Callable[[bytes], str] = lambda project: "",
        wall: Callable[[], float],
        look: Callable[[bool], Awaitable[Conditions]] | None = None,
        local_time: Callable[[float], datetime] = datetime.fromtimestamp,
        checkpoint_every: float = RENEW_EVERY,
    ) -> None:
        store.migrate(ROOM, rows.STEPS)
        self._me = identity.peer
        self._settings, self._contents, self._follow, self._wall = settings, contents, follow, wall
        machine = Machine(folder, wall=wall)
        self._clock = asyncio.get_running_loop().time
        self._shelf = Shelf(store)
        self._log = Log(self._shelf, wall, local_time)
        self._fetching = Fetching(random)
        self._allowing = Allowing(
            settings,
            Conditions(cores=machine.cores, memory_bytes=machine.memory_bytes),
            look or (lambda programs: machine.look(programs=programs)),
            engaged,
            slots.measure,
            lambda: bool(self._joined),
            self._shelf,
            self._log,
            changed=self._allowed,
            wall=wall,
            local_time=local_time,
        )
        self._publishing = publishing = Publishing(
            contents, self._shelf, wall, lambda: getting.room_offered()
        )
        getting = Getting(contents, self._describe, self._allowing.room, publishing, self._transferred)
        self._work = Work(
            slots,
            publishing,
            getting,
            self._shelf,
            self._fetching,
            folder,
            mflops=self._allowing.speed,
            came=self._came,
            back=self._back,
            changed=self._changed,
            wall=wall,
            checkpoint_every=checkpoint_every,
        )
        self._around = Around(
            shelf=self._shelf,
            fetching=self._fetching,
            work=self._work,
            log=self._log,
            publishing=publishing,
            receiving=Receiving(identity, self._shelf, self._log, keep, wall),
            open_stream=open_stream,
            local=local,
            name=name,
            membership=membership,
            have=contents.have,
            machine=self._lent,
            count=self._transferred,
            follow=self._newer_ledger,
            against=against,
            wall=wall,
            changed=self._changed,
            plan=lambda: self._planning.soon(),
        )
        self.pictures = Pictures(slots, self._work.running)
        self._joined: dict[bytes, Joined] = {}
        self._tasks: dict[bytes, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._planning = Planning(self._joined, self._work, self._fetching, self._allowing, self._left)
        self._show_now = asyncio.Event()
        self._callbacks: list[Callable[[Topic], None]] = []

    # -- life

    async def open(self) -> None:
        """Read what was leased and how far it is. Before `run`; the store is open."""
        read = self._shelf.store.read
        for kept in await read(rows.projects):
            self._add(Joined(kept, self._around))
        for app, project, signed in await read(rows.apps):
            if (joined := self._joined.get(project)) is not None:
                with contextlib.suppress(
                    BadMessage
                ):  # of a version that said it otherwise: it is asked for again
                    joined.apps[app] = open_app(signed, project)
        self._allowing.load(await read(rows.facts))
        self._log.load(await read(partial(rows.days, day=self._log.day())))
        self._publishing.load(await read(partial(rows.published, before=float("inf"))))
        for row in await read(rows.held):
            joined = self._joined.get(row.project)
            if joined is not None:
                held = self._work.restore(row)
                if row.result is not None and row.result.content is not None:
                    self._publishing.owes(held, "result", row.result.content)
                if held.state == "done":
                    joined.came(held)
        await asyncio.to_thread(self._work.tidy)

    async def run(self) -> None:
        """Contact, compute and return, until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._shelf.run(), name="lending: writes")
            group.create_task(self._work.run(), name="lending: work")
            for joined in self._joined.values():
                self._start(joined)
            group.create_task(self._allowing.run(), name="lending: conditions")
            group.create_task(self._planning.run(), name="lending: plans")
            group.create_task(self._showing(), name="lending: changes")
            group.create_task(self._tidying(), name="lending: tidying")

    async def close(self) -> None:
        """Stop computing: what runs is saved where it can be and stays leased, so that the next start goes on; what was not begun goes back.

        While `run` still runs, and the store and the slots are open. Safe twice.
        """
        if self._group is None:
            return
        await self._work.stop()
        try:
            async with asyncio.timeout(3.0):
                for joined in self._joined.values():
                    waiting = [held for held in self._work.store.of(joined.key) if not held.begun]
                    if joined.contact.in_contact and waiting:
                        await joined.give_back(waiting, "the node stops")
        except TimeoutError:
            pass  # they run out by themselves
        self._log.flush()
        await self._shelf.drain()
        self._group = None

    def on_change(self, callback: Callable[[Topic], None]) -> None:
        """Call `callback(topic)` on the loop, at most twice a second, when something shown has changed."""
        self._callbacks.append(callback)

    # -- what faces ask for

    def view(self) -> views.Lending:
        allowing = self._allowing
        return show.lending(
            allowing.policy(),
            self._settings().preset,
            allowing.machine,
            allowing.verdict,
            allowing.pause,
            list(self._joined.values()),
            self._work,
            self._log,
            disk_used=self._contents.used_bytes(),
            mflops=allowing.mflops,
            now=self._clock(),
            wall=self._wall(),
        )

    def verdict(self) -> Verdict:
        """What may be done now, as it was decided last: others here go by the same rules."""
        return self._allowing.verdict

    def policy(self) -> views.Policy:
        """What is lent where it may be."""
        return self._allowing.policy()

    def offered_bytes(self) -> int:
        """Of results and checkpoints that lie here for coordinators."""
        return self._publishing.size

    def known(self) -> list[Contact]:
        """Of each project: `project`, `coordinators`, `manifest` (None before its coordinator was met)."""
        return [joined.contact for joined in self._joined.values()]

    def joined(self) -> list[views.JoinedProject]:
        return [self._show(joined) for joined in self._joined.values()]

    async def log(
        self, before: int = 0, limit: int = 100, project: bytes | None = None
    ) -> list[views.GridLogEntry]:
        """Newest first; `before`: a `seq`, 0 for the newest."""
        await self._shelf.drain()
        found = await self._shelf.store.read(partial(rows.log, before=before, limit=limit, project=project))
        return [show.entry(row) for row in found]

    async def join(
        self,
        project: bytes,
        coordinators: Sequence[bytes],
        *,
        name: str = "",
        link: str = "",
        invitation: bytes = b"",
        share: float = 100.0,
        team: bytes | None = None,
    ) -> views.JoinedProject:
        """Compute for a project from now on; again: changes what is given. Returns at once, the contact is made behind.

        Whoever calls has told `Peers` where the coordinators are.
        """
        if not coordinators:
            raise UsageError("a project without a coordinator cannot be joined")
        joined = self._joined.get(project)
        if joined is None:
            kept = rows.Kept(project, name or "a project", self._wall(), list(coordinators))
            joined = Joined(kept, self._around)
            self._add(joined)
            self._log.add("join", "joined", kept)
        kept = joined.kept
        kept.share = share
        kept.coordinators = list(dict.fromkeys([*coordinators, *kept.coordinators]))[:8]
        kept.link, kept.invitation = link or kept.link, invitation or kept.invitation
        kept.team = team if team is not None else kept.team
        kept.paused = joined.contact.leaving = False
        self._fetching.join(project, share)
        await self._shelf.keep(partial(rows.save_project, kept=rows.copy_of(kept)))
        self._start(joined)
        joined.contact.hurry()
        self._allowing.soon()
        self._changed()
        return self._show(joined)

    async def change(
        self,
        project: bytes,
        *,
        share: float | None = None,
        team: bytes | None = None,
        paused: bool | None = None,
    ) -> views.JoinedProject:
        """Only what is given; `team` b"" leaves it. Raises NotFound."""
        joined = self._known(project)
        kept = joined.kept
        if share is not None:
            kept.share = share
            self._fetching.join(project, share)
        if team is not None and team != kept.team:
            kept.team = team
            joined.contact.again()
        if paused is not None and paused != kept.paused:
            kept.paused = paused
            self._log.add("pause" if paused else "resume", "by you", kept)
            if paused:
                await joined.give_back(
                    [held for held in self._work.store.of(project) if not held.begun], "paused by you"
                )
        await self._shelf.keep(partial(rows.save_project, kept=rows.copy_of(kept)))
        self._fetching.ready(project, joined.contact.in_contact and joined.contact.open)
        self._planning.soon()
        self._changed()
        return self._show(joined)

    async def leave(self, project: bytes) -> None:
        """What was leased goes back, but for what is nearly done. Raises NotFound."""
        joined = self._known(project)
        joined.contact.leaving = True
        self._fetching.ready(project, False)
        soon = [held for held in self._work.running() if held.project == project and _nearly(held)]
        await joined.give_back([held for held in self._work.store.of(project) if held not in soon], "left")
        if not soon:
            await self._forget(joined)
        self._changed()

    async def pause(self, seconds: float | None = None) -> None:
        """By the person: None until `resume`. Kept over a restart."""
        await self._allowing.set_pause(seconds)

    async def resume(self) -> None:
        await self._allowing.end_pause()

    def seen(self, peer: bytes) -> None:
        """`peer` is connected: projects it coordinates need not wait until their next try."""
        for joined in self._joined.values():
            if joined.contact.state == "unreachable" and peer in joined.kept.coordinators:
                joined.contact.hurry()

    def settings_changed(self) -> None:
        """Somebody changed the section `grid`: it holds at once."""
        self._allowing.soon()

    # -- projects

    def _add(self, joined: Joined) -> None:
        self._joined[joined.key] = joined
        self._fetching.join(joined.key, joined.kept.share)

    def _start(self, joined: Joined) -> None:
        if joined.key not in self._tasks:
            task = begin(self._group, joined.contact.run(), f"project {joined.kept.name}")
            if task is not None:
                self._tasks[joined.key] = task

    def _known(self, project: bytes) -> Joined:
        joined = self._joined.get(project)
        if joined is None or joined.contact.leaving:
            raise NotFound(
                "that project was not joined", advice="`servent grid projects` lists those that were."
            )
        return joined

    def _left(self, joined: Joined) -> None:
        begin(self._group, self._forget(joined), f"leave {joined.kept.name}")

    async def _forget(self, joined: Joined) -> None:
        project = joined.key
        if self._joined.pop(project, None) is None:
            return
        if (task := self._tasks.pop(project, None)) is not None:
            task.cancel()
        for held in self._work.store.of(project):
            self._work.drop(held)
        self._fetching.leave(project)
        self._log.add("leave", "left", joined.kept)
        await self._shelf.keep(partial(rows.forget_project, project=project))
        self._publishing.forget(project)
        await self._contents.forget_project(project)
        self._changed()

    def _show(self, joined: Joined) -> views.JoinedProject:
        return show.joined(
            joined,
            self._log,
            running=any(held.project == joined.key for held in self._work.running()),
            mine=self._me in joined.kept.coordinators,
            allowed=self._allowing.verdict,
            again=self._fetching.not_before(joined.key) - self._clock(),
            wall=self._wall(),
            against=self._around.against(joined.key),
        )

    def _newer_ledger(self, kept: rows.Kept, infohash: bytes) -> None:
        if self._follow is not None and kept.manifest is not None:
            begin(self._group, self._following(kept, kept.manifest, infohash), f"ledger of {kept.name}")

    async def _following(self, kept: rows.Kept, manifest: Signed, infohash: bytes) -> None:
        assert self._follow is not None
        try:
            await self._follow(manifest, infohash, kept.coordinators)
        except ServentError as trouble:
            log.info("the ledger of %s cannot be had: %s", kept.name, trouble)

    # -- what the work asks of us

    async def _describe(self, project: bytes, app: bytes) -> tuple[App, Sequence[bytes]]:
        return await self._known(project).describe(app)

    def _came(self, held: Held) -> None:
        if (joined := self._joined.get(held.project)) is not None:
            joined.came(held)
            self._planning.reach(joined)

    def _back(self, project: bytes, some: Sequence[Held], why: str) -> None:
        joined = self._joined.get(project)
        if joined is not None:
            self._log.error(joined.kept, why)
            joined.contact.why = why
            self._fetching.answered(project, 0, 300.0, self._clock())
            begin(self._group, joined.give_back(some, why), f"give back to {joined.kept.name}")

    def _lent(self) -> tuple[int, int, float]:
        """Cores that may compute, bytes of memory, MFLOP/s of one core."""
        return max(1, self._allowing.verdict.cores), self._allowing.room()[0], self._allowing.speed()

    def _transferred(self, project: bytes, size: int) -> None:
        self._log.did(project, transferred=size)

    # -- what may be done

    async def _allowed(self, before: Verdict) -> None:
        """The verdict is another, or the speed of this machine is known now."""
        verdict = self._allowing.verdict
        if verdict.allowed != before.allowed and self._joined:
            self._log.add("resume" if verdict.allowed else "pause", verdict.why or "computing again")
        await self._work.allow(verdict)
        self._changed()
        self._planning.soon()

    # -- words to others

    def _changed(self) -> None:
        self._show_now.set()

    async def _showing(self) -> None:
        while True:
            await self._show_now.wait()
            self._show_now.clear()
            for callback in self._callbacks:
                callback("lending")
                callback("joined")
            await asyncio.sleep(SHOW_EVERY)

    async def _tidying(self) -> None:
        while True:
            self._log.flush()
            self._work.forget_unused()
            now, day = self._wall(), self._log.day()
            self._shelf.later(partial(rows.prune, now=now, day=day))
            old = await self._shelf.store.read(partial(rows.published, before=now))
            for project, content in old:
                self._publishing.gone(project, content)
                await self._contents.drop([content], project=project)
                self._shelf.later(partial(rows.drop_published, project=project, content=content))
            await asyncio.sleep(PRUNE_EVERY)


def _nearly(held: Held) -> bool:
    left = held.left(100)
    return bool(held.fraction_now) and left is not None and left < NEARLY
