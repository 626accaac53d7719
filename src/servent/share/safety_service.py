"""Safety with a disk and peers: blocks and filters that hold at once, reports made and received."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace

import msgspec

from servent.codec import write_frame
from servent.errors import BadMessage, NotFound, ServentError, UsageError
from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.net.links import Stream
from servent.net.peers import Peers
from servent.net.session import Session
from servent.net.wire import printable
from servent.share import safety_rows as rows
from servent.share import safety_wire as wire
from servent.share.safety import Block, Filters, Reason, Report, Safety, outdated
from servent.store import Store, StoreTrouble
from servent.trust.service import TrustService

log = logging.getLogger(__name__)

TELL_LIMIT = 10.0  # s to reach one admin
READ_LIMIT = 5.0  # s for a report to arrive once its stream is open
REPORT_RATE, REPORT_BURST = (
    1 / 360,
    10.0,
)  # reports per second that one peer is heard for: ten, then ten an hour
REPORTERS_MOST = 1024  # whose rate is remembered


class SafetyService:
    """Owns the block list, the filters and the reports.

    Nothing happens by itself because of a report that was received: it is shown to the person.

    Args:
        store: the node's, not open yet.
    """

    def __init__(self, peers: Peers, trust: TrustService, store: Store, *, wall: Callable[[], float]) -> None:
        self._peers, self._trust, self._store, self._wall = peers, trust, store, wall
        self._safety = Safety()
        self._peer_blocks: dict[PeerId, Block] = {}  # what was noted; whether it holds, trust knows
        self._reports: dict[str, Report] = {}
        self._buckets: dict[PeerId, TokenBucket] = {}
        self._callbacks: list[Callable[[], None]] = []
        store.migrate(rows.ROOM, rows.STEPS)

    async def open(self) -> None:
        """Load what is remembered. The store is open. Raises StoreTrouble when it makes no sense."""
        try:
            blocks, filters, reports = await self._store.read(rows.load)
            for block in blocks:
                if block.peer is not None:
                    self._peer_blocks[block.peer] = block
                else:
                    self._safety.block(block)
            self._safety.set_filters(filters)
        except (msgspec.MsgspecError, ValueError, UsageError) as wrong:
            raise StoreTrouble(
                f"blocks and filters in {self._store.path} cannot be read: {wrong}",
                advice="Put a backup of this file in its place. Nothing was changed.",
            ) from wrong
        self._reports = {report.id: report for report in reports}
        self._peers.serve(wire.SERVICE, self._hear, audience="network", streams=2)

    def close(self) -> None:
        """Hear no more reports."""
        self._peers.withdraw(wire.SERVICE)

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the loop when blocks, filters or reports changed."""
        self._callbacks.append(callback)

    # -- asked by the other parts

    def hides(self, content: bytes, name: str, kind: str, size: int) -> str:
        """Why a find is not to be shown, as a sentence; "" when nothing speaks against it."""
        return self._safety.hides(content, name, kind, size)

    def blocks_content(self, root: bytes) -> bool:
        """Whether it is never to be shown, fetched or served."""
        return self._safety.blocks_content(root)

    def blocks_any(self, roots: Iterable[bytes | None]) -> bool:
        """Whether one of these contents is blocked."""
        return self._safety.blocks_any(roots)

    # -- blocks

    def blocks(self) -> list[Block]:
        """Contents, then peers."""
        found = []
        for contact in self._trust.contacts():
            if contact.blocked:
                noted = self._peer_blocks.get(contact.peer)
                found.append(
                    noted or Block(peer=contact.peer, name=contact.petname or "", since=contact.since)
                )
        return [*self._safety.blocks(), *found]

    async def block_content(self, content: bytes, name: str = "", note: str = "") -> Block:
        """Never show, fetch or serve it from now on. Raises UsageError: the list is full."""
        block = Block(content, None, printable(name)[:255], printable(note)[:500], self._wall())
        self._safety.block(block)
        await self._store.write(rows.save_block(block))
        self._changed()
        return block

    async def block_peer(self, peer: PeerId, name: str = "", note: str = "") -> Block:
        """Nothing with this peer from now on."""
        if peer == self._peers.peer:
            raise UsageError("that is this node itself")
        block = Block(b"", peer, printable(name)[:255], printable(note)[:500], self._wall())
        await self._trust.block(peer)
        self._peer_blocks[peer] = block
        await self._store.write(rows.save_block(block))
        self._changed()
        return block

    async def unblock(self, id: str) -> None:
        """Lift a block by its id. Raises NotFound."""
        block = next((one for one in self.blocks() if one.id == id), None)
        if block is None:
            raise NotFound(f"no block is called {id[:80]!r}", advice="`servent blocks` lists them.")
        if block.peer is not None:
            await self._trust.unblock(block.peer)
            self._peer_blocks.pop(block.peer, None)
        else:
            self._safety.unblock(block.content)
        await self._store.write(rows.drop_block(id))
        self._changed()

    # -- filters

    @property
    def filters(self) -> Filters:
        return self._safety.filters

    async def set_filters(self, filters: Filters) -> None:
        """In force at once. Raises UsageError, see `Safety.set_filters`."""
        self._safety.set_filters(filters)
        await self._store.write(rows.save_filters(filters))
        self._changed()

    # -- reports

    def reports(self) -> list[Report]:
        """Ours and those received, newest first."""
        return sorted(self._reports.values(), key=lambda one: -one.time)

    async def report(
        self,
        reason: Reason,
        *,
        content: bytes = b"",
        peer: PeerId | None = None,
        name: str = "",
        note: str = "",
    ) -> Report:
        """Block it here, keep the report, and tell the founders of the networks that we share with `peer`.

        Raises:
            UsageError: neither a content nor a peer, or one that cannot be blocked.
        """
        if not content and peer is None:
            raise UsageError("a report is about a content or a peer", advice="Name one of them.")
        admins = self._admins(peer) if peer is not None else []  # before a block ends what we share
        if content:
            await self.block_content(content, name, note)
        elif peer is not None:
            await self.block_peer(peer, name, note)
        made = Report(
            secrets.token_hex(6),
            reason,
            self._wall(),
            content,
            peer,
            printable(name)[:255],
            printable(note)[:500],
        )
        self._reports[made.id] = made
        await self._store.write(rows.save_report(made))
        told = 0
        if peer is not None and admins:
            word = wire.Report(bytes(peer), reason, content or None, made.name, made.note)
            async with asyncio.TaskGroup() as tasks:
                telling = [tasks.create_task(self._tell(admin, word), name="report") for admin in admins]
            told = sum(task.result() for task in telling)
        if told:
            made = self._reports[made.id] = replace(made, told=told)
            await self._store.write(rows.save_report(made))
        self._changed()
        return made

    def _admins(self, peer: PeerId) -> list[PeerId]:
        """Founders of the networks in which both `peer` and we are, without the two of us.

        Of an open network nobody can say who its founder is, so nobody is told.
        """
        found: dict[PeerId, None] = {}
        for network in self._trust.networks():
            members = self._trust.members(network.key)
            if network.policy == "open" or not any(member.peer == peer for member in members):
                continue
            for member in members:
                if member.invitation is None and not member.me and member.peer != peer:
                    found[member.peer] = None
        return list(found)[:16]

    async def _tell(self, admin: PeerId, word: wire.Report) -> bool:
        try:
            async with asyncio.timeout(TELL_LIMIT):
                stream = await self._peers.open(admin, wire.SERVICE, TELL_LIMIT)
                await write_frame(stream, word)
                return (await wire.read_heard.read(stream)).kept
        except (ServentError, TimeoutError) as wrong:
            log.info("a report did not reach %s: %s", admin.short, wrong)
            return False

    async def _hear(self, session: Session, stream: Stream) -> None:
        try:
            async with asyncio.timeout(READ_LIMIT):
                word = await wire.read_report.read(stream)
        except TimeoutError:
            raise BadMessage("a report that does not come") from None
        kept = self._may_report(session.peer, PeerId(word.peer)) and await self._keep(session.peer, word)
        await write_frame(stream, wire.Heard(kept))

    def _may_report(self, by: PeerId, peer: PeerId) -> bool:
        """Whether both are in a network of which the person here is the admin, and `by` is not too loud."""
        bucket = self._buckets.get(by)
        if bucket is None:
            if len(self._buckets) >= REPORTERS_MOST:
                del self._buckets[next(iter(self._buckets))]
            bucket = self._buckets[by] = TokenBucket(REPORT_RATE, REPORT_BURST)
        if not bucket.allow(1, asyncio.get_running_loop().time()):
            return False
        shared = self._trust.verdict(by).networks
        return any(
            network.admin and network.key in shared
            and any(member.peer == peer for member in self._trust.members(network.key))
            for network in self._trust.networks()
        )  # fmt: skip

    async def _keep(self, by: PeerId, word: wire.Report) -> bool:
        content, peer = word.content or b"", PeerId(word.peer)
        same = next(
            (r.id for r in self._reports.values() if (r.by, r.content, r.peer) == (by, content, peer)), None
        )
        id = same or secrets.token_hex(6)
        name, note = printable(word.name), printable(word.note)
        kept = Report(id, word.reason, self._wall(), content, peer, name, note, by)
        self._reports[id] = kept
        gone = outdated(self._reports.values())
        for old in gone:
            del self._reports[old]
        await self._store.write(rows.save_report(kept, gone))
        self._changed()
        return id not in gone

    def _changed(self) -> None:
        for callback in self._callbacks:
            callback()
