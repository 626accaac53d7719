"""The blobs room: what this node shares, what it fetches, and the limits of both."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

from servent.blobs import rows, wire
from servent.blobs.aside_service import Aside
from servent.blobs.door import Door
from servent.blobs.download_service import Download
from servent.blobs.governor_service import Governor
from servent.blobs.hashing import Shared
from servent.blobs.history import Entry
from servent.blobs.hook_service import Hook
from servent.blobs.info import Collection
from servent.blobs.kit_service import Aids, Ancestry, Assistant, Finder, Kit
from servent.blobs.lanes_hasher import Arena, Hasher
from servent.blobs.lanes_intake import Mailbox, workers
from servent.blobs.lanes_listen import Listener
from servent.blobs.lanes_pace import Buffers, Pace, Rates
from servent.blobs.lanes_tls import Certificate
from servent.blobs.ledger_service import Ledger
from servent.blobs.listing import is_v1
from servent.blobs.magnet import Magnet, magnet
from servent.blobs.many_service import Action, act, move
from servent.blobs.moving_service import Mover
from servent.blobs.places import Place
from servent.blobs.polite_service import Polite
from servent.blobs.queueing import Queue
from servent.blobs.resolving_service import Resolver
from servent.blobs.rows import How, Row
from servent.blobs.shares_service import Shares
from servent.blobs.slots import Slots
from servent.blobs.transfers_service import PLAIN, Transfers
from servent.blobs.uploads_service import Holding, Uploads
from servent.blobs.views import Limits, Settings, ShareView, Sums, TransferView
from servent.blobs.who_service import Who
from servent.errors import NotFound, WorldError
from servent.identity import PeerId
from servent.net.peers import Peers
from servent.net.wire import Bulk
from servent.store import Store
from servent.trust.service import TrustService

log = logging.getLogger(__name__)

MEMORY_BYTES = 32 * 1024 * 1024  # of pieces that came and are not written yet, all downloads together
TIDY_EVERY = 30.0  # s

PLAIN_QUEUE = Queue()


class Blobs:
    """Owns the shares and the transfers of a node.

    `open` it before the network runs, `run` it in a task, `close` it before the network closes.

    Args:
        store: not open yet; the tables are declared here.
        download_dir: where things go when nobody says where.
        wall: the wall clock, for what a person is shown.
    """

    def __init__(
        self,
        peers: Peers,
        trust: TrustService,
        store: Store,
        settings: Settings,
        download_dir: Path,
        *,
        queue: Queue = PLAIN_QUEUE,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._peers, self._trust, self._store, self._settings = peers, trust, store, settings
        self.download_dir = download_dir
        self._wall = wall
        loop = asyncio.get_running_loop()
        self._clock = loop.time
        self._mail = Mailbox(loop)
        self._first_limits, self._first_queue = Limits.of(settings), queue
        self._pace = Pace(self._clock, self._first_limits.rates())
        self.polite = Polite(peers, self._pace, enabled=settings.polite, target=settings.target_ms / 1000)
        self._arena = Arena(MEMORY_BYTES)
        self._buffers = Buffers(MEMORY_BYTES, self._arena.view)
        self._hasher = Hasher(self._arena)
        self._checking = ThreadPoolExecutor(workers(), thread_name_prefix="check")
        self._reading = ThreadPoolExecutor(2, thread_name_prefix="serve")
        self._listener: Listener | None = None
        self._aids = Aids()
        self._uploads: Uploads
        self._shares: Shares
        self._transfers: Transfers
        self._ledger: Ledger
        self._governor: Governor
        self._hook: Hook
        self._mover: Mover
        self._callbacks: list[Callable[[], None]] = []
        self._closing = False
        store.migrate(rows.ROOM, rows.STEPS)

    # -- life

    async def open(self) -> None:
        """Load what is remembered, and listen for TCP lanes. The store is open already.

        Raises:
            DiskTrouble, StoreTrouble: it cannot be read.
        """
        slots = Slots(self._first_limits.upload_slots)
        if self._settings.bulk:
            try:
                certificate = await asyncio.to_thread(Certificate)
                self._listener = Listener(
                    self._pace, self._mail, port=self._settings.bulk_port, certificate=certificate
                )
            except WorldError as wrong:
                log.warning("%s; transfers use QUIC only", wrong)
        self._uploads = Uploads(self._trust, slots, self._pace, self._mail, self._reading, self._listener)
        self._shares = Shares(self._store, self._uploads, self._wall, self._told)
        kit = Kit(
            self._peers,
            self._uploads,
            self._pace,
            self._buffers,
            self._hasher,
            self._mail,
            self._checking,
            self._clock,
            self._settings.bulk,
            self._aids,
        )
        who = Who(self._trust, self._peers)
        self._transfers = Transfers(
            kit, self._shares, who, self._store, self.download_dir, self._wall, self._told
        )
        self._ledger = Ledger(self._store, self._uploads, self._wall, who.name)
        self._transfers.note = self._ledger.add
        limits, queue = self._first_limits, self._first_queue
        self._governor = Governor(
            self._pace, self._uploads, self._transfers, limits, queue, self._wall, self._told
        )
        self._hook = Hook(lambda: self._governor.queue.on_complete, self._transfers.remark)
        self._transfers.completed = self._hook.completed
        self._mover = Mover(self._shares)
        self.aside = Aside(kit)
        await self._ledger.load()
        await self._shares.load()
        await self._transfers.load()
        self._governor.apply()
        self._peers.serve(wire.SERVICE, self._uploads.handle, audience="network")

    async def run(self) -> None:
        """Serve and fetch until cancelled or closed."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._uploads.run(), name="uploads")
                tasks.create_task(self._transfers.run(), name="transfers")
                tasks.create_task(self._ledger.run(), name="write down what moved")
                tasks.create_task(self._governor.run(), name="the schedule")
                tasks.create_task(self._hook.run(), name="commands after downloads")
                tasks.create_task(self._tidy(), name="give memory back")
                tasks.create_task(self.polite.run(), name="a good neighbour")
                if self._listener is not None:
                    tasks.create_task(self._listener.run(), name="TCP lanes")
                self._shares.tasks = tasks
        finally:
            self._shares.tasks = None

    async def close(self) -> None:
        """Stop everything; what is on disk is whole, and unfinished transfers go on at the next start."""
        if self._closing:
            return
        self._closing = True
        self._peers.withdraw(wire.SERVICE)
        self._shares.stop()
        await self._transfers.close()
        await self._ledger.close()
        if self._listener is not None:
            self._listener.close()
            await asyncio.to_thread(self._listener.join, 1.0)
        await asyncio.to_thread(self._checking.shutdown)
        await asyncio.to_thread(self._reading.shutdown)
        await asyncio.to_thread(self._hasher.close)
        self._shares.close()
        self._uploads.resolved.clear()

    def bulk(self) -> Bulk | None:
        """For the profile in our hello: where the TCP lane listens, None while it does not."""
        return self._listener.describe() if self._listener is not None else None

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the loop when shares or transfers changed in more than their numbers."""
        self._callbacks.append(callback)

    def _told(self) -> None:
        for callback in self._callbacks:
            callback()

    # -- sharing

    async def add(self, path: Path, progress: Callable[[int, int], None] | None = None) -> ShareView:
        """Hash a file or folder and serve it from then on.

        Args:
            progress: called on the loop with (bytes hashed, bytes in all).

        Raises:
            UsageError, NotFound, DiskTrouble: see `hashing.collect`.
        """
        return await self._shares.add(path, progress)

    def begin_add(self, path: Path) -> ShareView:
        """The same in the background: `shares` shows how far it is."""
        return self._shares.begin(path)

    def shares(self) -> list[ShareView]:
        """All that is shared or being hashed."""
        return self._shares.views()

    async def remove_share(self, share: str) -> None:
        """Serve it no longer; the files stay. Raises NotFound."""
        await self._shares.remove(share)

    async def shared(self, infohash: bytes) -> tuple[Shared, Path] | None:
        """What is shared under this hash with its layers and places; None: nothing is, or its files changed."""
        return await self._shares.shared(infohash)

    def has_share(self, infohash: bytes) -> bool:
        """Whether something is shared under this hash, as it was hashed."""
        return self._shares.collection(infohash) is not None

    async def keep_share(self, shared: Shared, path: Path) -> None:
        """Share what is hashed already. Raises StoreTrouble."""
        await self._shares.keep(shared, path)

    async def share_fetched(self, id: str, shared: Shared) -> None:
        """Serve what a transfer of version 1 brought, under an infohash of its own. Raises NotFound, StoreTrouble."""
        row, infohash = self._transfers.row(id), shared.collection.infohash
        if row.path is not None and not self.has_share(infohash):
            await self._shares.keep(shared, Path(row.path))
        row.shared = infohash
        self.remark(id, f"served here as {magnet(shared.collection)}")
        await self._transfers.save([id])

    def remark(self, id: str, words: str) -> None:
        """To say of a complete transfer. Raises NotFound."""
        self._transfers.remark(self._transfers.row(id), words)

    def fetched_unshared(self) -> list[Row]:
        """Complete transfers of version 1 that are not served yet: the node ended while they were hashed."""
        complete = [row for row in self._transfers.rows.values() if row.state == "complete"]
        return [row for row in complete if is_v1(row.infohash) and not row.shared]

    def places(self, roots: set[bytes]) -> dict[bytes, list[Place]]:
        """Where these contents lie, as far as they are shared by themselves or were fetched. Blocks."""
        return self._shares.places(roots)

    def link(self, infohash: bytes, contacts: Iterable[str] = ()) -> str:
        """The magnet link of something we have. Raises NotFound."""
        holding = self._uploads.holdings.get(infohash)
        if holding is None:
            raise NotFound("nothing with this hash is shared here")
        return magnet(holding.collection, contacts)

    # -- on demand

    def refuse_with(self, refuses: Callable[[Collection], bool]) -> None:
        """Serve nothing for which this is true. After `open`; `check_rights` when its answers changed."""
        self._uploads.refuses = refuses

    def resolve_with(self, resolver: Resolver, *, guests: bool = False) -> None:
        """Ask `resolver(peer, infohash)`, too, for what nothing is offered under yet. `guests`: also for them. After `open`."""
        self._uploads.resolved.resolvers.append((resolver, guests))

    def find_copies_with(self, finder: Finder) -> None:
        """Ask `finder(roots)` which contents this machine has before they are fetched. After `open`."""
        self._aids.copies = finder

    def alike_with(self, ancestry: Ancestry) -> None:
        """Ask `ancestry` for older versions of what is fetched: pieces that did not change are not fetched again."""
        self._aids.alike = ancestry

    def assist_with(self, assistant: Assistant) -> None:
        """Have `assistant(session, collection)` ask peers who know nothing of a collection for what they have of it."""
        self._aids.assist = assistant

    def open_door(self, door: Door) -> None:
        """Have downloads come from another network, too, or from there alone. After `open`."""
        self._aids.door = door

    def moved_elsewhere(self, way: Literal["up", "down"], size: int) -> None:
        """Bytes moved over another network now: they count against the limits, and into the speeds and totals."""
        if size > 0:
            self._pace.take(way, None, size)

    def is_blocked(self, root: bytes) -> bool:
        return self._aids.blocked(root)

    def leave_out(self, blocked: Callable[[bytes], bool]) -> None:
        """Never fetch contents for which this is true. After `open`."""
        self._aids.blocked = blocked

    def offer_on_demand(self, holding: Holding, peer: PeerId | None = None, *, pinned: bool = False) -> None:
        """Serve this until nobody has fetched it for a minute (`pinned`: until it is withdrawn).

        Args:
            peer: to whom alone; None: to all whom it allows.
        """
        self._uploads.offer_on_demand(holding, peer, pinned=pinned)

    def sent(self, peer: PeerId, infohash: bytes) -> int | None:
        """Bytes that `peer` has got of it in its present visit; None while it does not fetch it."""
        return self._uploads.sent(peer, infohash)

    def withdraw_on_demand(self, infohash: bytes, peer: PeerId | None = None) -> None:
        """Serve it no more; whoever fetches it is told."""
        self._uploads.resolved.drop(infohash, peer)

    def on_demand(self) -> list[Holding]:
        """All that is served on demand now."""
        return self._uploads.resolved.all()

    def withdraw_holding(self, holding: Holding) -> None:
        """Serve this one no more; whoever fetches it is told."""
        self._uploads.resolved.withdraw(holding)

    def offered_to(self, peer: PeerId) -> list[bytes]:
        """Infohashes of what is offered on demand to this peer alone, least used first."""
        return self._uploads.resolved.of(peer)

    def check_rights(self) -> None:
        """Somebody may have less than before: end what they fetch of it."""
        self._uploads.check_rights()

    # -- fetching

    async def fetch(self, link: str | Magnet, to: Path | None = None, how: How = PLAIN) -> TransferView:
        """Begin to fetch; returns at once. Asking for the same into the same folder finds the same transfer.

        Raises:
            UsageError: no link that we understand.
        """
        return await self._transfers.fetch(link, to, how)

    def transfers(self) -> list[TransferView]:
        """Everything that moves, waits, or has ended lately: downloads, then uploads."""
        return self._transfers.views()

    def transfer_ids(self) -> list[str]:
        """Of all of them. Cheap, however many there are."""
        return self._transfers.ids()

    def some_transfers(self, ids: Sequence[str]) -> list[TransferView]:
        """Those of `ids` that there are, in that order."""
        return self._transfers.some(ids)

    def sums(self) -> Sums:
        """All transfers in five numbers."""
        return self._transfers.sums()

    def transfer(self, id: str) -> TransferView:
        """One of them. Raises NotFound."""
        return self._transfers.view(id)

    async def pause(self, id: str) -> None:
        """Stop moving bytes for now; what is there stays. Raises NotFound."""
        await self._transfers.pause(id)

    async def resume(self, id: str) -> None:
        """Go on where it stopped. Raises NotFound."""
        await self._transfers.resume(id)

    async def verify(self, id: str) -> None:
        """Read everything that is there again and fetch afresh what is wrong. Raises NotFound."""
        await self._transfers.verify(id)

    async def cancel(self, id: str) -> None:
        """End it and delete what was fetched; a complete one stays as it is. Raises NotFound."""
        await self._transfers.cancel(id)

    async def remove(self, id: str) -> None:
        """Take it off the list, cancelled first when it is not complete; complete files stay. Raises NotFound."""
        await self._transfers.remove(id)

    async def choose(self, id: str, wanted: Sequence[int] | None) -> None:
        """Which files of a download to fetch. Raises as `Transfers.choose`."""
        await self._transfers.choose(id, wanted)

    async def choose_later(self, id: str, patterns: Sequence[str]) -> None:
        """Files by name, while nobody has said yet what is there. Raises NotFound."""
        row = self._transfers.row(id)
        row.wanted, row.patterns = None, list(patterns)
        await self._transfers.save([id])
        self._transfers.say()

    def download_of(self, id: str) -> tuple[Row, Download | None]:
        """For who reads a download while it comes: its row, and its run while it runs. Raises NotFound."""
        return self._transfers.download_of(id)

    def previews(self) -> list[Row]:
        """Transfers that are to leave by themselves."""
        return self._transfers.previews()

    # -- limits

    def limits(self) -> Limits:
        return self._governor.limits

    async def set_limits(self, limits: Limits) -> None:
        """Replace all limits, at once, and for the next start.

        Raises:
            UsageError: a rate that is not above zero, or fewer than one slot.
        """
        self._governor.set_limits(limits)

    def queue(self) -> Queue:
        """How transfers share this machine and its line."""
        return self._governor.queue

    def set_queue(self, queue: Queue) -> None:
        """Replace all of it, at once. Raises UsageError."""
        self._governor.set_queue(queue)

    def in_force(self) -> tuple[Rates, str]:
        """The rates that hold at this moment, and why nothing may move; "" when it may. `on_change` tells."""
        return self._governor.rates, self._governor.held

    @property
    def queue_words(self) -> str:
        """What holds at this moment, as a sentence."""
        return self._governor.words

    # -- many, and moving

    async def order(
        self,
        id: str,
        *,
        priority: rows.Priority | None = None,
        place: int | None = None,
        foreground: bool | None = None,
        in_order: bool | None = None,
    ) -> None:
        """Change how a download is fetched. `place`: 0 is the front of its priority. Raises NotFound."""
        await self._transfers.order(
            id, priority=priority, place=place, foreground=foreground, in_order=in_order
        )

    async def act(self, action: Action, ids: Sequence[str] = ()) -> tuple[int, list[str]]:
        """One action for many downloads, all that it fits when `ids` is empty. Returns how many, and those it failed for."""
        return await act(self._transfers, action, ids)

    async def move(self, id: str, to: Path | None = None, name: str | None = None) -> None:
        """Move or rename a download; what is complete is served meanwhile. Raises as `Mover.move`, NotFound."""
        await move(self._transfers, self._mover, id, to, name)

    async def history(self, text: str, direction: str, offset: int, limit: int) -> tuple[list[Entry], int]:
        """What ended, newest first, and how many there are. Raises StoreTrouble."""
        return await self._ledger.find(text, direction, offset, limit)

    async def clear_history(self) -> None:
        """Forget what was moved."""
        await self._ledger.clear()

    def upload_room(self) -> tuple[bool, int]:
        """Whether an upload slot is free now, and how many peers wait for one."""
        view = self._uploads.slots.view(self._clock())
        return len(view.holders) < view.count and not view.queue, len(view.queue)

    def speeds(self) -> tuple[float, float]:
        """Bytes per second up and down now."""
        return self._pace.speed("up"), self._pace.speed("down")

    def total(self, way: Literal["up", "down"]) -> int:
        """Bytes of pieces moved since the start, over all lanes."""
        return self._pace.total(way)

    # -- keeping

    async def _tidy(self) -> None:
        """Memory and helper processes that nothing has needed for a while are given back."""
        while True:
            await asyncio.sleep(TIDY_EVERY)
            if (
                not self._transfers.busy
                and not await asyncio.to_thread(self._hasher.trim)
                and self._buffers.trim()
            ):
                self._arena.trim()
