"""One project that this machine computes for: leases, returns, renewals, receipts. What its coordinator says is checked before it is believed."""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Sequence
from functools import partial

from servent.errors import BadMessage, ConnectionLost, ServentError
from servent.grid import lending_rows as rows
from servent.grid import wire
from servent.grid.contact_service import Around, Contact, Stays, odd
from servent.grid.fetching import Ask
from servent.grid.held import Held
from servent.grid.lending_rows import Kept
from servent.grid.manifests import App, app_id, open_app
from servent.grid.wire import RENEW_EVERY

log = logging.getLogger("servent.grid")

LOOK_EVERY = 600.0  # s between two looks at how the project is doing
LOOK_SOON = 15.0  # s after the last result was taken
GATHER = 0.02  # s in which results that end together are put into one message
MOST_APPS = 256  # versions of apps of one project that are remembered; a hostile one could name another with each unit
LINES = 2  # returns under way at once: while one is committed there, the next is on its way
RENEW_AT_LEAST = 2.0  # s between two renewals, however short the leases are


class Joined:
    """A project and what passes between us.

    Attributes:
        apps: manifests known here, `contacts` who has their modules.
        outbox: results on the disk that wait to be taken.
    """

    def __init__(self, kept: Kept, around: Around) -> None:
        self.kept, self._a = kept, around
        self.contact = Contact(
            kept,
            around,
            lambda: [*(self._returning() for _ in range(LINES)), self._renewing(), self._looking()],
            self._known_leases,
        )
        self.apps: dict[bytes, App] = {}
        self.contacts: dict[bytes, Sequence[bytes]] = {}
        self.outbox: deque[Held] = deque()
        self._some, self._leased = asyncio.Event(), asyncio.Event()
        self._leasing = 0  # questions for work that are not answered, or whose answers are being written down
        self._clock = asyncio.get_running_loop().time

    @property
    def key(self) -> bytes:
        return self.kept.project

    def held(self) -> list[Held]:
        """Everything of it that is here."""
        return self._a.work.store.of(self.key)

    def _known_leases(self) -> list[int] | None:
        """None while some may be on their way to the disk, or where there are too many to name."""
        held = self.held()
        if self._leasing or len(held) > wire.MOST_HELD:
            return None
        return [one.task.lease for one in held]

    # -- work

    async def lease(self, ask: Ask) -> None:
        """Ask for work; what comes is on the disk before it is begun. Never raises ServentError."""
        units, wait = 0, 10.0
        self._leasing += 1
        try:
            cores, memory, _ = self._a.machine()
            answer = await self.contact.ask(
                wire.Lease(
                    ask.most, min(ask.seconds, 86400.0 * 30), max(1, cores), memory, self._a.have(self.key)
                )
            )
            match answer:
                case wire.Leased(tasks, wait, why):
                    self._check_tasks(ask, tasks)
                    units = len(tasks)
                    if tasks:
                        await self._take(tasks)
                        self.contact.why = ""
                    else:
                        self.contact.why = why or "it has no work for us now"
                case wire.Sorry(reason, retry):
                    wait = 600.0 if retry is None else retry
                    self.contact.why = reason
                case _:
                    raise odd(answer, "Lease")
        except BadMessage as wrong:
            self.contact.fault(wrong)
        except ServentError as trouble:
            log.info("no work of %s: %s", self.kept.name, trouble)
        finally:
            self._leasing -= 1
            self._a.fetching.answered(self.key, units, wait, self._clock())
            self._a.changed()
            self._a.plan()

    def _check_tasks(self, ask: Ask, tasks: Sequence[wire.Task]) -> None:
        """Raises BadMessage."""
        if len(tasks) > ask.most:
            raise BadMessage(f"{len(tasks)} units where {ask.most} were asked for")
        held = self._a.work.store.of(self.key)
        leases, units = {one.task.lease for one in held}, {one.task.unit for one in held}
        for task in tasks:
            if task.lease in leases or task.unit in units:
                raise BadMessage("a unit or a lease handed out twice")
            leases.add(task.lease)
            units.add(task.unit)

    async def _take(self, tasks: Sequence[wire.Task]) -> None:
        now = self._a.wall()
        await self._a.shelf.keep(
            partial(rows.add_held, rows=[rows.HeldRow(self.key, task, now) for task in tasks])
        )
        self.kept.leased += len(tasks)
        self._a.work.take(self.key, tasks)
        self._leased.set()

    async def describe(self, app: bytes) -> tuple[App, Sequence[bytes]]:
        """An app's manifest, signed by the project, and who has its module. Raises BadMessage, ConnectionLost."""
        known = self.apps.get(app)
        if known is None:
            answer = await self.contact.ask(wire.Describe([app]))
            if not isinstance(answer, wire.Described) or len(answer.apps) != 1:
                self.contact.fault(wrong := odd(answer, "Describe"))
                raise ConnectionLost(str(wrong))
            signed = answer.apps[0]
            if signed is None:
                raise BadMessage("units of an app that its project does not know")
            if app_id(signed) != app:
                raise BadMessage("another app than the one that was asked for")
            known = self.apps[app] = open_app(signed, self.key)
            self.contacts[app] = answer.contacts[0] if answer.contacts else []
            self._a.shelf.later(partial(rows.save_app, app=app, project=self.key, signed=signed))
            while (
                len(self.apps) > MOST_APPS
            ):  # the one that was met first: it is asked for again where it is wanted
                self.forget_app(next(iter(self.apps)))
        return known, self.contacts.get(app) or self.kept.coordinators

    def forget_app(self, app: bytes) -> None:
        self.apps.pop(app, None)
        self.contacts.pop(app, None)
        self._a.shelf.later(partial(rows.forget_app, app=app))

    # -- results

    def came(self, held: Held) -> None:
        """A result is on the disk, to be returned."""
        self.outbox.append(held)
        self._some.set()

    async def _returning(self) -> None:
        while True:
            while not self.outbox:
                self._some.clear()
                await self._some.wait()
            if len(self.outbox) < wire.BATCH:
                await asyncio.sleep(GATHER)
            batch = [self.outbox.popleft() for _ in range(min(wire.BATCH, len(self.outbox)))]
            batch = [held for held in batch if held.state == "done" and held.result is not None]
            if not batch:
                continue
            try:
                results = [held.result for held in batch if held.result is not None]
                answer = await self.contact.ask(wire.Return(results))
                if isinstance(answer, wire.Sorry):
                    raise Stays(answer.reason, answer.retry if answer.retry is not None else 60.0)
                if not isinstance(answer, wire.Returned) or len(answer.taken) != len(batch):
                    raise odd(answer, "Return")
            except BaseException:
                self.outbox.extendleft(reversed(batch))
                self._some.set()
                raise
            self._returned(batch, answer.taken)
            await self._receipts(answer.receipts)

    def _returned(self, batch: Sequence[Held], taken: Sequence[wire.Taken]) -> None:
        kept, day = self.kept, self._a.log.day()
        lines, done = [], 0
        for held, word in zip(batch, taken, strict=True):
            result, app = held.result, held.app or self.apps.get(held.task.app)
            assert result is not None
            outcome = result.outcome if word == "taken" else word
            kept.returned += 1
            well = result.outcome == "done" and word == "taken"
            done += well
            kept.errors += result.outcome != "done"
            kept.invalid += word == "bad"
            mflops = self._a.machine()[2]
            why = self._a.fetching.finished(
                self.key,
                held.task.app,
                held.task.operations,
                mflops,
                result.seconds,
                result.outcome == "done",
                self._clock(),
            )
            if why:
                self.contact.why = why
                self._a.log.error(kept, why)
            lines.append(self._a.log.unit(kept, held, app, outcome))
            self._a.work.drop(held)
        leases = [held.task.lease for held in batch]
        saved = rows.copy_of(kept)

        def write(db: rows.Connection) -> None:
            rows.drop_held(db, self.key, leases)
            rows.add_log(db, lines)
            rows.save_project(db, saved)
            rows.add_day(db, day, self.key, units=done)

        self._a.shelf.later(write)
        self._a.log.did(self.key, units=done)
        self._a.changed()
        self._a.plan()

    async def _receipts(self, receipts: Sequence[wire.Receipt]) -> None:
        """Countersign what is as our own log says."""
        if not receipts:
            return
        signatures = await self._a.receiving.take(self.kept, self.contact.manifest, receipts)
        if signatures:
            answer = await self.contact.ask(wire.Countersign(signatures))
            if not isinstance(answer, wire.Countersigned | wire.Sorry):
                raise odd(answer, "Countersign")
        self._a.changed()

    # -- renewals

    async def _renewing(self) -> None:
        while True:
            await self.renew()
            await self._due(self._clock())

    async def _due(self, renewed: float) -> None:
        """Returns half-way to the end of the lease that ends first, which may be one that comes meanwhile; after a minute at the latest."""
        while True:
            self._leased.clear()
            ends = [held.until for held in self._unfinished()]
            left = min(RENEW_EVERY, (min(ends, default=math.inf) - self._a.wall()) / 2)
            left = min(left, renewed + RENEW_EVERY - self._clock())
            try:
                async with asyncio.timeout(max(renewed + RENEW_AT_LEAST - self._clock(), left)):
                    await self._leased.wait()
            except TimeoutError:
                return

    def _unfinished(self) -> list[Held]:
        return [held for held in self._a.work.store.of(self.key) if held.state not in ("done", "over")]

    async def renew(self) -> None:
        """Say of every lease that we are still at it, with the newest checkpoints."""
        mine = self._unfinished()
        for at in range(0, len(mine), wire.BATCH):
            batch = mine[at : at + wire.BATCH]
            for held in batch:
                await self._a.publishing.checkpoint(held)
            batch = [held for held in batch if held.state not in ("done", "over")]
            if not batch:
                continue
            answer = await self.contact.ask(wire.Renew([held.progress() for held in batch]))
            if isinstance(answer, wire.Sorry):
                raise Stays(answer.reason, answer.retry if answer.retry is not None else 60.0)
            if not isinstance(answer, wire.Renewed) or len(answer.until) != len(batch):
                raise odd(answer, "Renew")
            for held, until in zip(batch, answer.until, strict=True):
                if until > 0:
                    held.until = until
                elif held.state not in ("done", "over"):
                    self._unwanted(held)
            await self._receipts(answer.receipts)

    def _unwanted(self, held: Held) -> None:
        """Nobody waits for it any more."""
        line = self._a.log.unit(self.kept, held, held.app, "unneeded")
        self._a.work.drop(held)

        def write(db: rows.Connection) -> None:
            rows.drop_held(db, self.key, [held.task.lease])
            rows.add_log(db, [line])

        self._a.shelf.later(write)
        self._a.plan()

    async def give_back(self, some: Sequence[Held], why: str) -> None:
        """Undone, without blame; whoever goes on has our checkpoints. Never raises ServentError."""
        some = [held for held in some if held.state not in ("done", "over") and not held.going]
        for held in some:
            held.going = True
        await self._a.work.save(some)
        some = [held for held in some if held.state not in ("done", "over")]  # its last slice was that one
        for at in range(0, len(some), wire.BATCH):
            batch = some[at : at + wire.BATCH]
            try:
                for held in batch:
                    await self._a.publishing.checkpoint(held)
                leases = [held.task.lease for held in batch]
                checkpoints = [held.progress() for held in batch if held.sent is not None]
                answer = await self.contact.ask(wire.Abort(leases, checkpoints))
                if not isinstance(answer, wire.Aborted | wire.Sorry):
                    self.contact.fault(odd(answer, "Abort"))
            except ServentError as trouble:  # then the leases run out by themselves
                log.info("units of %s cannot be given back: %s", self.kept.name, trouble)
            lines = [self._a.log.unit(self.kept, held, held.app, "given back", why) for held in batch]
            for held in batch:
                self._a.work.drop(held)

            def write(
                db: rows.Connection,
                leases: Sequence[int] = tuple(held.task.lease for held in batch),
                lines: Sequence[rows.LogRow] = lines,
            ) -> None:
                rows.drop_held(db, self.key, leases)
                rows.add_log(db, lines)

            self._a.shelf.later(write)

    # -- looks

    async def _looking(self) -> None:
        """Now and then; soon after the last result was taken, since receipts for it may wait, and then less and less often."""
        seen, wait = (self.kept.returned, self.kept.valid), LOOK_SOON
        due = self._clock() + wait
        while True:
            await asyncio.sleep(LOOK_SOON)
            counts, now = (self.kept.returned, self.kept.valid), self._clock()
            if counts != seen:  # what was answered then brought receipts, too
                seen, wait, due = counts, LOOK_SOON, now + LOOK_SOON
            elif now >= due:
                wait = min(LOOK_EVERY, 2 * wait)
                due = now + wait
                await self.look()

    async def look(self) -> None:
        """How is it doing? Raises ServentError."""
        answer = await self.contact.ask(wire.Look())
        if isinstance(answer, wire.Sorry):
            return
        if not isinstance(answer, wire.Looked):
            raise odd(answer, "Look")
        self.contact.welcomed(answer.welcome)
        self._a.fetching.ready(self.key, self.contact.open and self.contact.in_contact)
        await self._receipts(answer.receipts)
