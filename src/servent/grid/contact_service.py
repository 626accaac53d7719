"""The contact with one project's coordinator: sought while it is wanted, kept up, given up when what it says makes no sense."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any

from servent.errors import BadMessage, ConnectionLost, PeerError, Refused, ServentError, WorldError
from servent.grid import lending_rows as rows
from servent.grid import wire
from servent.grid.credit import PRICE_MOST
from servent.grid.fetching import Fetching
from servent.grid.lending_log import Log
from servent.grid.lending_rows import Kept
from servent.grid.lending_shelf import Shelf
from servent.grid.line_service import Line, LocalLine, StreamLine, Visit
from servent.grid.manifests import Project, open_project
from servent.grid.publishing_service import Publishing
from servent.grid.receiving_service import Receiving
from servent.grid.views import JoinedState
from servent.grid.wire import Answer, Membership, Question
from servent.grid.work_service import Work
from servent.identity import PeerId
from servent.net.links import Stream

log = logging.getLogger("servent.grid")


class Stays(ServentError):
    """The coordinator said no. `retry`: seconds, None for never."""

    def __init__(self, reason: str, retry: float | None) -> None:
        super().__init__(reason or "no reason was given")
        self.retry = retry


class _Enough(Exception):
    """Ends a contact that is not wanted any more."""


@dataclass(slots=True)
class Around:
    """What a joined project has to do with. `machine`: (cores that may compute, bytes of memory, MFLOP/s of one core); `against`: why one should not compute for a project, "" for nothing."""

    shelf: Shelf
    fetching: Fetching
    work: Work
    log: Log
    publishing: Publishing
    receiving: Receiving
    open_stream: Callable[[PeerId, str], Awaitable[Stream]]
    local: Callable[[bytes], Visit | None]
    name: Callable[[], str]
    membership: Callable[[bytes], Membership | None]
    have: Callable[[bytes], list[bytes]]
    machine: Callable[[], tuple[int, int, float]]
    count: Callable[[bytes, int], None]
    follow: Callable[[Kept, bytes], None]
    against: Callable[[bytes], str]
    wall: Callable[[], float]
    changed: Callable[[], None]
    plan: Callable[[], None]


class Contact:
    """With the first coordinator of one project that answers.

    Attributes:
        kept: what is remembered of the project; `save` after a change.
        manifest: None until its coordinator was met.
        state, why: for people.
        leaving: no work is wanted any more.

    Args:
        talk: what is said while the contact is up, each in a task of its own; they end with it.
        held: leases that are known here, as `wire.Join` says them.
    """

    def __init__(
        self,
        kept: Kept,
        around: Around,
        talk: Callable[[], list[Coroutine[Any, Any, None]]],
        held: Callable[[], list[int] | None],
    ) -> None:
        self.kept, self._a, self._talk, self._held = kept, around, talk, held
        self.manifest: Project | None = None
        if kept.manifest is not None:
            with contextlib.suppress(BadMessage):  # of a version that said it otherwise: they show it again
                self.manifest = open_project(kept.manifest, kept.project)
        self.state: JoinedState = "waiting"
        self.why = ""
        self.leaving = False
        self._wanted = asyncio.Event()
        self._stop = asyncio.Event()
        self._line: Line | None = None
        self._first = 0  # which coordinator is tried first
        self._wrong: ServentError | None = None
        self._clock = asyncio.get_running_loop().time

    @property
    def project(self) -> bytes:
        """Its key."""
        return self.kept.project

    @property
    def coordinators(self) -> list[bytes]:
        return self.kept.coordinators

    @property
    def name(self) -> str:
        return self.kept.name

    @property
    def in_contact(self) -> bool:
        return self._line is not None

    @property
    def open(self) -> bool:
        """Whether it may be asked for work at all."""
        closed = self.manifest is not None and self.manifest.closed
        return not (self.kept.paused or self.leaving or closed or self._a.against(self.project))

    def want(self, wanted: bool) -> None:
        """Whether there is something to say."""
        if wanted == self._wanted.is_set():
            return
        if wanted:
            self._wanted.set()
        else:
            self._wanted.clear()
            self._stop.set()

    async def run(self) -> None:
        """Be in contact while that is wanted, until cancelled."""
        while True:
            await self._wanted.wait()
            wrong: ServentError | None = None
            self._wrong = None
            self._stop.clear()
            try:
                await self._contact()
            except* _Enough:
                pass
            except* ServentError as wrongs:
                wrong = _first(wrongs)
            except* Exception:
                log.exception("our contact with project %s failed", self.name)
                wrong = WorldError("something went wrong here; the node's log says what")
            self._a.fetching.ready(self.project, False)
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise asyncio.CancelledError  # a group that fails while it is cancelled raises only its failure
            wrong = self._wrong or wrong
            if wrong is not None:
                await self._stay_away(wrong)
            self._a.changed()

    async def _stay_away(self, wrong: ServentError) -> None:
        retry = None
        if isinstance(wrong, Stays):
            retry = max(5.0, wrong.retry) if wrong.retry is not None else 6 * 3600.0
            self.state = "waiting" if wrong.retry is not None else "refused"
        elif isinstance(wrong, Refused):
            self.state = "refused"
        elif isinstance(wrong, PeerError):
            self.state = "refused"
            self._a.log.error(self.kept, f"what its coordinator says is wrong: {wrong}")
        else:
            self.state = "unreachable"
        self.why = str(wrong)
        now = self._clock()
        again = self._a.fetching.contact_failed(self.project, now, retry)
        self._a.changed()
        log.info("project %s: %s", self.name, wrong)
        self._stop.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, again - now)):
                await self._stop.wait()

    def again(self) -> None:
        """Say who we are once more: that has changed."""
        self._stop.set()

    def hurry(self) -> None:
        """Try again now: the person wants it."""
        if self._line is None:
            self._stop.set()

    async def _contact(self) -> None:
        line = await self._open()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(line.run(), name=f"answers of {self.name}")
                await self._join(line)
                self._line = line
                self._a.fetching.contact_worked(self.project)
                for number, said in enumerate(self._talk()):
                    group.create_task(said, name=f"talk {number} with {self.name}")
                self.state, self.why = "waiting", ""
                self._a.fetching.ready(self.project, self.open)
                self._a.changed()
                self._a.plan()
                await self._stop.wait()
                raise _Enough
        finally:
            self._line = None
            await line.close()

    async def _open(self) -> Line:
        visit = self._a.local(self.project)
        if visit is not None:
            return LocalLine(visit)
        peers = self.kept.coordinators
        wrong: ServentError | None = None
        for turn in range(len(peers)):
            peer = PeerId(peers[(self._first + turn) % len(peers)])
            try:
                stream = await self._a.open_stream(peer, wire.SERVICE)
            except ServentError as trouble:
                wrong = wrong or trouble
                continue
            self._first = (self._first + turn) % len(peers)
            return StreamLine(stream, partial(self._a.count, self.project))
        self._first = 0
        raise wrong or WorldError("no coordinator of it is known")

    async def _join(self, line: Line) -> None:
        cores, memory, mflops = self._a.machine()
        answer = await line.ask(
            wire.Join(
                project=self.project,
                serial=self.manifest.serial if self.manifest is not None else 0,
                name=self._a.name()[:64],
                team=self._a.membership(self.kept.team) if self.kept.team else None,
                invitation=self.kept.invitation,
                cores=cores,
                memory_bytes=memory,
                mflops=mflops,
                system=f"{platform.system()} {platform.machine()}"[:64],
                held=self._held(),
            )
        )
        if isinstance(answer, wire.Sorry):
            raise Stays(answer.reason, answer.retry)
        if not isinstance(answer, wire.Welcome):
            raise odd(answer, "Join")
        self.welcomed(answer)

    def welcomed(self, welcome: wire.Welcome) -> None:
        kept = self.kept
        if welcome.manifest is not None:
            project = open_project(welcome.manifest, self.project)
            if self.manifest is None or project.serial > self.manifest.serial:
                self.manifest, kept.manifest = project, welcome.manifest
                kept.name, kept.coordinators = project.name, list(project.coordinators)
                self._first = 0
        if self.manifest is None:
            raise BadMessage("a coordinator that does not show its project's manifest")
        kept.units, kept.done, kept.eta = welcome.units, welcome.done, welcome.eta
        self._a.fetching.bids(self.project, min(welcome.price, PRICE_MOST) if self.manifest.mutual else 100)
        ledger = welcome.ledger or b""
        if ledger and ledger != kept.ledger:
            kept.ledger = ledger
            self._a.follow(kept, ledger)
        self.save()
        self._a.changed()

    async def ask(self, question: Question) -> Answer:
        """Raises ConnectionLost: we are not in contact. Stays: refused. BadMessage, which ends the contact."""
        line = self._line
        if line is None:
            raise ConnectionLost(f"not in contact with {self.name}")
        try:
            return await line.ask(question)
        except ConnectionLost:
            raise
        except ServentError as wrong:
            self.fault(wrong)
            raise

    def fault(self, wrong: ServentError) -> None:
        """What they said makes no sense: the contact ends, and is not sought for a while."""
        self._wrong = self._wrong or wrong
        self._stop.set()

    def save(self) -> None:
        """What is remembered goes to the disk soon."""
        self._a.shelf.later(partial(rows.save_project, kept=rows.copy_of(self.kept)))


def odd(answer: Answer, asked: str) -> BadMessage:
    """An answer of another kind than the question wants."""
    return BadMessage(f"{type(answer).__name__} is no answer to {asked}")


def _first(group: BaseExceptionGroup[ServentError]) -> ServentError:
    """What went wrong first; a line that was lost because of it says less."""
    found: list[ServentError] = []

    def collect(some: BaseExceptionGroup[ServentError]) -> None:
        for one in some.exceptions:
            if isinstance(one, BaseExceptionGroup):
                collect(one)
            else:
                found.append(one)

    collect(group)
    return next((one for one in found if not isinstance(one, ConnectionLost)), found[0])
