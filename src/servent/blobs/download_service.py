"""One download: who can give it, which piece from whom, what is on disk, and why it waits."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Iterable, Mapping
from pathlib import Path

from servent.blobs import info
from servent.blobs.asks import Ban, Cancel, Complete, Effect, Wake
from servent.blobs.contacting_service import reach_named
from servent.blobs.copying import copy_all_known, copy_here, learn_known, left_info
from servent.blobs.disk import Partial
from servent.blobs.finishing_service import as_shared
from servent.blobs.goal import Goal
from servent.blobs.hashing import Shared
from servent.blobs.info import Collection
from servent.blobs.kit_service import Kit, Watcher
from servent.blobs.lanes_intake import Checked, Intake
from servent.blobs.learning_service import get_info, get_layers
from servent.blobs.lending_service import Lending
from servent.blobs.pick import Swarm
from servent.blobs.pieces import Bits
from servent.blobs.readers import Readers
from servent.blobs.reasons import what_happens, why_nobody
from servent.blobs.rows import Row
from servent.blobs.source_service import Source
from servent.blobs.uploads_service import Holding
from servent.errors import ConnectionLost, DiskTrouble, PeerError
from servent.identity import PeerId
from servent.limits import RateMeter
from servent.net.session import Session, first

log = logging.getLogger(__name__)

BEAT = 0.25  # s between two looks at silent lanes and waiting peers
CHECKPOINT = 30.0  # s between two syncs to the disk
LARGEST_ASK = 1024 * 1024  # bytes; small enough to move what is owed to another lane
# s until a peer that had nothing is asked again: it may just begin to fetch, too
ASK_AGAIN = (1.0, 2.0, 5.0, 20.0)
PREVIEW_WHOLE = 16 * 1024 * 1024  # bytes; of a larger preview only what is looked at is fetched
ASSIST_AGAIN = 60.0  # s until a peer is asked again what it has of a collection it does not know


class _Interrupted(Exception):
    """The run ends here: complete, paused by trouble, or failed. Its state says which."""


class Download:
    """Runs one transfer until it is complete, paused or cancelled; made anew when it goes on.

    Attributes:
        row: what is remembered of it over a restart.
        collection, partial, swarm: once they are known.
        done: it is complete and where it belongs.
    """

    def __init__(self, row: Row, kit: Kit, watcher: Watcher) -> None:
        self.row, self._kit, self._watcher = row, kit, watcher
        self.infohash = row.infohash
        self.collection: Collection | None = None
        self.intake: Intake | None = None
        self.partial: Partial | None = None
        self.sources: dict[PeerId, Source] = {}
        self.meter = RateMeter()
        self.checking: float | None = None  # share of a check that is done
        self.done = False  # complete and in its place
        self.gave: set[PeerId] = set()
        self.swarm: Swarm | None = None
        self._learning = asyncio.Lock()
        self._tasks: asyncio.TaskGroup | None = None
        self._news = asyncio.Event()
        self._over = asyncio.Event()
        self._trouble: DiskTrouble | None = None
        self._banned: dict[PeerId, Source] = {}  # dropped for good, with the fault of each
        self._ask_at: dict[PeerId, float] = {}
        self._refusals: dict[PeerId, int] = {}
        self._eager: set[PeerId] = set()  # fetch the same from us, and are being asked
        self._assisted: dict[PeerId, float] = {}
        self.readers = Readers()  # who waits for which pieces
        self.goal = Goal(row, kit.aids.blocked)
        self.contact_reason = ""
        self.lending = Lending(self)
        self._verify_all = False

    # -- life

    async def run(self, *, verify: bool = False) -> None:
        """Fetch. Returns when complete, or when trouble paused it: `row.state` tells. Cancel it to pause."""
        kit = self._kit
        self._verify_all = verify
        self.row.set("connecting", "looking for peers that have it")
        kit.peers.on_session(self._session)
        ended, trouble = False, None
        try:
            try:
                await self._resume()
                async with asyncio.TaskGroup() as tasks:
                    self._tasks = tasks
                    tasks.create_task(self._gather(), name=f"sources of {self.row.name}")
                    tasks.create_task(self._beat(), name=f"beat of {self.row.name}")
                    for contact in self.row.contacts:
                        reach = reach_named(self, self._watcher, contact)
                        tasks.create_task(reach, name=f"contact for {self.row.name}")
                    if not self.row.only and not self.row.preview:
                        tasks.create_task(kit.aids.door.help(self), name=f"help for {self.row.name}")
                    await self._over.wait()
                    raise _Interrupted
            except* _Interrupted:
                ended = True
            except* DiskTrouble as group:
                trouble = first(group)
            if ended:
                await self._settle()
            if isinstance(trouble, DiskTrouble):
                await self._stop_with(trouble)
        finally:
            self._tasks = None
            self.readers.end()
            self.sources.clear()
            await asyncio.shield(self._let_go())

    async def copy(self, holding: Holding) -> bool:
        """As `copy_here`."""
        self.done = await copy_here(self.row, self.goal, holding)
        return self.done

    async def _settle(self) -> None:
        if self.intake is not None:
            await self.intake.drained()
        if self._trouble is not None:
            await self._stop_with(self._trouble)
            return
        if self.partial is not None:
            await asyncio.to_thread(self.lending.check_doubted, self.partial)
            await asyncio.to_thread(self.goal.finish, self.partial)
        self.done = True

    def to_share(self) -> Shared | None:
        """What is served on from where it lies now; None: nothing. Blocks. Raises OSError."""
        if self.collection is None or self.row.path is None:
            return None
        return as_shared(self.collection, Path(self.row.path), self.row.wanted)

    async def _stop_with(self, trouble: DiskTrouble) -> None:
        self.row.set("paused", str(trouble), error=str(trouble), advice=trouble.advice)
        self._watcher.changed(self)

    async def _let_go(self) -> None:
        """Nothing is written after this."""
        if self.intake is not None:
            await self.intake.drained()
        if self.partial is not None:
            partial, self.partial = self.partial, None
            holding = self._kit.uploads.holdings.get(self.infohash)
            if holding is not None and holding.source is partial:
                self._kit.uploads.withdraw(self.infohash)
            await asyncio.to_thread(partial.close)

    @property
    def over(self) -> bool:
        """It is coming to its end: what is chosen now is for the next run."""
        return self._over.is_set()

    @property
    def current(self) -> list[Source]:
        """Its sources now, and those it dropped."""
        return [
            *self.sources.values(),
            *(one for peer, one in self._banned.items() if peer not in self.sources),
        ]

    # -- what it is

    async def _resume(self) -> None:
        """Open what an earlier run left on disk."""
        content = self.row.info or await asyncio.to_thread(left_info, self.row)
        if content is None:
            return
        self.row.info = content
        collection = self.collection = await asyncio.to_thread(info.parse, content, self.infohash)
        self.goal.describe(collection)
        await learn_known(self._kit.aids.copies, collection)
        await self._ready(collection)

    async def learn(self, source: Source) -> None:
        """source_service.Swarming: get what is missing of the description."""
        async with self._learning:
            if self.intake is not None:
                return
            self.row.set("metadata", f"getting the list of files from {source.peer.short}")
            collection = self.collection or self._described(await get_info(source, self.infohash))
            await get_layers(source, collection)
            await self._ready(collection)
            if self.intake is None:
                raise ConnectionLost("it is here already")

    async def told(self, content: bytes, layers: Mapping[bytes, bytes]) -> None:
        """The same from somewhere else, as far as it is known there. Raises BadMessage, DiskTrouble, UsageError."""
        async with self._learning:
            if self.intake is not None or self.over:
                return
            collection = self.collection or self._described(
                await asyncio.to_thread(info.parse, content, self.infohash)
            )
            for root in collection.missing_layers():
                if root in layers:
                    await asyncio.to_thread(collection.learn, root, layers[root])
            await self._ready(collection)

    def _described(self, collection: Collection) -> Collection:
        self.collection, self.row.info = collection, collection.info
        self.goal.describe(collection)
        self._watcher.changed(self)
        return collection

    async def _ready(self, collection: Collection) -> None:
        partial = await asyncio.to_thread(self._begin, collection)
        if partial is None:
            self._over.set()
        elif collection.missing_layers():
            await asyncio.to_thread(partial.close)
        else:
            await self._open(partial)

    def _begin(self, collection: Collection) -> Partial | None:
        """In a thread. None: the folder holds all of it already."""
        holding = self._kit.uploads.holdings.get(self.infohash)
        return self.goal.begin(collection, holding.source if holding is not None else None)

    async def _open(self, partial: Partial) -> None:
        kit, collection = self._kit, partial.collection
        if partial.suspects or self._verify_all:
            await self._check(partial)
        self.partial = partial
        self.intake = Intake(collection, partial, kit.pool, kit.buffers, kit.hasher, kit.mail, self._checked)
        self.intake.foreground = self.row.foreground
        dice = random.Random()
        self.row.describe(collection)
        self.goal.count(partial)
        await copy_all_known(kit.aids, self.row, self.goal, partial)
        self.swarm = Swarm(
            collection.pieces,
            collection.piece_sizes(),
            dice,
            done=partial.have,
            chosen=self.goal.pieces(collection),
            in_order=self.row.in_order,
            largest_ask=LARGEST_ASK,
        )
        self.lending.begin()
        self.goal.count(partial)
        self.swarm.only_front = self.row.preview and collection.size > PREVIEW_WHOLE
        self.swarm.urge(self.readers.ranges())
        self._ask_at.clear()  # now they can be asked for what they have of it
        if self.infohash not in kit.uploads.holdings and not self.row.only:
            kit.uploads.offer(Holding(collection, partial, wanted_by=self._met))
        self._watcher.changed(self)
        if self.swarm.complete:
            self._over.set()

    async def _check(self, partial: Partial) -> None:
        self.row.set("checking", "reading what is there from the disk again")
        total = max(1, partial.done_bytes)

        def progress(done: int) -> None:
            self.checking = done / total

        everything = self._verify_all
        self._verify_all = False
        try:
            await asyncio.to_thread(partial.recheck, progress, None, everything=everything)
        finally:
            self.checking = None
        self.row.set("connecting", "looking for peers that have it")

    # -- sources

    def _session(self, session: Session, up: bool) -> None:
        source = self.sources.get(session.peer)
        if not up and source is not None:
            source.lost()
        if up and self._tasks is not None:
            if source is not None:
                source.renew(session)
            self._ask_at.pop(session.peer, None)
            self._news.set()

    def _met(self, peer: PeerId) -> None:
        # Somebody fetches the same from us: it will have something soon.
        if peer in self.sources:
            self._eager.add(peer)  # it may be saying no just now; then it is asked again at once
        self.found(peer)

    def found(self, peer: PeerId) -> None:
        """Ask this one at once, unless it is being asked."""
        if peer not in self.sources or peer in self._eager:
            self._ask_at.pop(peer, None)
            self._news.set()

    async def _gather(self) -> None:
        """Ask every connected peer, and again later those that had nothing."""
        kit = self._kit
        while True:
            self._news.clear()
            now = kit.clock()
            for session in kit.peers.sessions():
                peer = session.peer
                if peer in self.sources or peer in self._banned or self._ask_at.get(peer, 0.0) > now:
                    continue
                if session.verdict.guest if not self.row.only else peer not in self.row.only:
                    continue
                source = Source(session, self, kit.pace, kit.mail, kit.clock, bulk=kit.bulk)
                self.sources[peer] = source
                assert self._tasks is not None
                self._tasks.create_task(self._source(source), name=f"source {peer.short}")
            due = min(self._ask_at.values(), default=now + 5.0)
            try:
                async with asyncio.timeout(max(0.05, min(5.0, due - now))):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _source(self, source: Source) -> None:
        try:
            await source.run()
            await self._ask_for_parts(source)
        finally:
            self.sources.pop(source.peer, None)
        if source.fault is not None:
            log.info("%s is dropped: %s", source.peer.short, source.fault)
            source.state, source.reason, source.position = "dropped", str(source.fault), None
            self._banned[source.peer] = source
            return
        tries = self._refusals[source.peer] = self._refusals.get(source.peer, -1) + 1
        patient = source.retry_after or ASK_AGAIN[min(tries, len(ASK_AGAIN) - 1)]
        wait = 0.0 if source.peer in self._eager else patient
        self._eager.discard(source.peer)
        self._ask_at[source.peer] = self._kit.clock() + wait
        self._news.set()

    async def _ask_for_parts(self, source: Source) -> None:
        """Who does not know the collection may have files of it all the same."""
        now, peer = self._kit.clock(), source.peer
        if not self.row.by_content or self.collection is None or source.state != "refused":
            return
        if now < self._assisted.get(peer, -ASSIST_AGAIN) + ASSIST_AGAIN or not source.session.connected:
            return
        self._assisted[peer] = now
        if await self._kit.aids.assist(source.session, self.collection):
            self._eager.add(peer)

    # -- source_service.Swarming

    def joined(self, source: Source) -> bool:
        swarm = self.swarm
        if swarm is None or source.peer in self._banned or self._over.is_set():
            return False
        return swarm.add_source(source, source.have, self._kit.clock())

    def more(self, source: Source, first: int, count: int) -> None:
        if self.swarm is not None:
            self._apply(self.swarm.have(source, first, self._kit.clock(), count))

    def left(self, source: Source) -> None:
        if self.swarm is not None:
            self._apply(self.swarm.remove_source(source, self._kit.clock()))

    def wanted(self, source: Source) -> list[tuple[int, int]]:
        if self.swarm is None or self._over.is_set():
            return []
        return [(ask.first, ask.count) for ask in self.swarm.next(source, self._kit.clock())]

    def arrived(self, source: Source, first: int, count: int) -> None:
        assert self.swarm is not None and self.intake is not None
        now = self._kit.clock()
        for piece in range(first, first + count):
            size = self.intake.size(piece, 1)
            self._apply(self.swarm.received(source, piece, size, now))
        self.meter.add(self.intake.size(first, count), now)

    def denied(self, source: Source, first: int, count: int) -> None:
        if self.swarm is not None and count:
            self._apply(self.swarm.unable(source, first, count))

    def changed(self) -> None:
        self._explain()
        self._watcher.changed(self)

    # -- outcomes

    def _checked(self, outcome: Checked) -> None:
        swarm, intake, partial = self.swarm, self.intake, self.partial
        assert swarm is not None and intake is not None
        source = getattr(outcome.lane, "fetcher", None)
        now = self._kit.clock()
        for piece, good in enumerate(outcome.good, outcome.first):
            if not good:
                self._apply(swarm.rejected(source, piece, now))
            elif outcome.trouble is not None:
                self._apply(swarm.failed(source, piece))
            else:
                self._apply(swarm.verified(piece))
        if isinstance(source, Source):
            good_bytes = sum(
                intake.size(piece, 1) for piece, good in enumerate(outcome.good, outcome.first) if good
            )
            self._kit.uploads.slots.gave(source.peer, good_bytes)
            self.gave.add(source.peer)
        if partial is not None:
            self.goal.progress(partial)
        self.readers.came(outcome.first, outcome.good)
        if outcome.trouble is not None and self._trouble is None:
            self._trouble = outcome.trouble
            self._over.set()

    def brought(self, pieces: Iterable[int]) -> None:
        """These came from elsewhere and are recorded."""
        for piece in pieces:
            if self.swarm is not None:
                self._apply(self.swarm.verified(piece))
            self.readers.came(piece, [True])
        if self.partial is not None:
            self.goal.progress(self.partial)

    def apply_back(self, pieces: Bits) -> None:
        """These were lent, and are not any more."""
        if self.swarm is not None and not self.over:
            self._apply(self.swarm.take_back(pieces))

    def _apply(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Complete():
                    self._over.set()
                case Ban(source=source, reason=reason):
                    if isinstance(source, Source):
                        log.warning("%s sent what is not what it should be: %s", source.peer.short, reason)
                        self._banned[source.peer] = source
                        source.ban(PeerError(reason))
                case Cancel(source=source, first=first, count=count):
                    if isinstance(source, Source):
                        source.forget(first, count)
                case Wake(source=source):
                    if isinstance(source, Source):
                        source.pump()

    # -- what is wanted

    def choose(self) -> None:
        """The row's choice of files, or its order, is another now."""
        swarm, partial = self.swarm, self.partial
        if swarm is None or partial is None or self.collection is None or self._over.is_set():
            return
        swarm.in_order = self.row.in_order
        self.goal.describe(self.collection)
        self.goal.count(partial)
        chosen = self.goal.pieces(self.collection)
        self._apply(swarm.choose(chosen or Bits.full(self.collection.pieces)))
        self._watcher.changed(self)

    def prefer(self, reader: object, pieces: range) -> None:
        """`reader` waits for these, from the first on; an empty range: for nothing any more."""
        if self.readers.set(reader, pieces) and self.swarm is not None and not self._over.is_set():
            self._apply(self.swarm.urge(self.readers.ranges()))

    # -- time

    async def _beat(self) -> None:
        clock = self._kit.clock
        checkpoint = clock() + CHECKPOINT
        while True:
            await asyncio.sleep(BEAT)
            now = clock()
            for source in list(self.sources.values()):
                source.beat(now)
            swarm = self.swarm
            if swarm is not None and (due := swarm.next_tick()) is not None and due <= now:
                self._apply(swarm.tick(now))
            self._explain()
            if self.partial is not None and now >= checkpoint:
                await asyncio.to_thread(self.partial.checkpoint)
                checkpoint = clock() + CHECKPOINT

    def _explain(self) -> None:
        if self._over.is_set() or self._tasks is None or self.row.state == "checking":
            return
        sources = list(self.sources.values())
        doing = what_happens(sources, self.swarm, described=self.intake is not None)
        other = self.lending
        if other.state is not None and (doing is None or doing[0] != "active"):
            doing = other.state, other.words
        if doing is not None:
            self.row.set(*doing)
            return
        now, views = self._kit.clock(), self._kit.peers.view
        why = self.contact_reason or why_nobody(sources, views, self._ask_at.values(), now)
        self.row.set("connecting", f"{why}; {other.words}" if other.words else why)
