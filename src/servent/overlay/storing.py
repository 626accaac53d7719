"""A keyed supernode: what homes of others store here, under keys near to us. Pure.

Everything is checked here, once: the batch's signature, that the items are in it, and that each key is the key of the
content or of a word of its item. A batch lives here for its lifetime from when we first saw it; a newer one takes its place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from servent.codec import canonical
from servent.errors import BadMessage
from servent.identity import PeerId
from servent.overlay.effects import Discard, Effect, Keep, Send
from servent.overlay.newest import Newest
from servent.overlay.part import Handler, Part
from servent.overlay.publishers import FALSE_KEY, FORGED, GREEDY, Publishers
from servent.overlay.rates import Rates
from servent.overlay.records import Batch, Item, PeerRecord, Slice, check, check_slice
from servent.overlay.terms import all_keys
from servent.overlay.wire import Posting, Store, Stored, StorePeer, WantStore

if TYPE_CHECKING:
    from servent.overlay.context import Context
    from servent.overlay.directory import Directory

Kept = Callable[[Slice, Sequence[Posting], float], list[Effect]]

BATCHES = 65_536  # kept; about 250 bytes each here, their items are on disk
RATE, BURST = (
    200.0,
    20_000.0,
)  # items a second of one home; a home with 500 leaves of 20 items brings 10,000 at once
PEER_ITEMS = 1.0  # what a record of a peer counts as
SWEEP = 60.0
BATCHES_OF_ONE = 64  # kept of one publisher: its 2000 items fill a quarter of it


class Storing(Part):
    """What is kept for homes of others. `kept` is called with what is new, for standing queries.

    Attributes:
        serving: whether we are a supernode now; `Housing` says it.
    """

    def __init__(self, context: Context, directory: Directory, publishers: Publishers) -> None:
        self._context, self._directory, self._publishers = context, directory, publishers
        self.kept: list[Kept] = []
        self.serving = False
        self._batches: dict[bytes, dict[int, tuple[int, float, bytes]]] = {}  # seq, ends, mark
        self._count = 0
        self._peers: Newest[PeerRecord] | None = None
        self._rates = Rates(RATE, BURST)
        self._sweep: float | None = None

    def handlers(self) -> Mapping[type, Handler]:
        return {Store: self._stored, StorePeer: self._stored_peer}

    def tick(self, now: float) -> list[Effect]:
        if self._sweep is None or now < self._sweep:
            return []
        effects: list[Effect] = []
        for publisher, slots in list(self._batches.items()):
            if not self._context.belongs(publisher):  # it was expelled since
                effects += self.drop(publisher)
                continue
            for slot in [slot for slot, (_, ends, _) in slots.items() if ends <= now]:
                effects += self._forget(publisher, slot)
        if self._peers is not None:
            self._peers.expire(now)
        self._sweep = now + SWEEP if self._count or self._peers else None
        return effects

    def next_tick(self) -> float | None:
        return self._sweep

    # -- for other parts

    def record_of(self, peer: bytes, now: float) -> PeerRecord | None:
        """The newest record of a peer that somebody stored here."""
        return self._peers.get(peer, now) if self._peers is not None else None

    def batches(self) -> list[tuple[PeerId, int]]:
        """Whose batches are kept, and their slots."""
        return [(PeerId(publisher), slot) for publisher, slots in self._batches.items() for slot in slots]

    def drop(self, publisher: bytes) -> list[Effect]:
        """Nothing of that publisher is kept any more."""
        slots = self._batches.pop(publisher, {})
        self._count -= len(slots)
        return [Discard(PeerId(publisher), keyed=True)] if slots else []

    def forget(self, publisher: PeerId, slot: int) -> list[Effect]:
        """What was stored here of that batch is out of date; also what an earlier run of this node stored."""
        return self._forget(publisher, slot) or [Discard(publisher, slot, keyed=True)]

    def clear(self) -> list[Effect]:
        """We are no supernode any more."""
        effects = [effect for publisher in list(self._batches) for effect in self.drop(publisher)]
        self._peers, self._sweep = None, None
        return effects

    def keep_peer(self, record: PeerRecord, now: float) -> bool:
        """Take in a record. True if it is new.

        Raises:
            Forged: its signature does not hold.
        """
        context = self._context
        if self._peers is None:
            self._peers = Newest(context.settings.home.peers)
        if not self._peers.newer(record.key, record.seq, now) or not context.belongs(record.key):
            return False
        check(context.network, record, context.seal)
        self._wake(now)
        return self._peers.put(record.key, record.seq, record.lifetime, record, now)

    def store(self, peer: PeerId, part: Stored, now: float) -> list[Effect]:
        """Keep one part of what `peer`, or we ourselves, have to store here.

        Raises:
            BadMessage: it is forged, or a key belongs to none of the words of its item.
        """
        batch = part.slice.batch
        publisher = PeerId(batch.publisher)
        known = self._batches.get(publisher, {}).get(batch.slot)
        if self._publishers.refused(publisher, now) or not self._context.belongs(publisher):
            return []
        if known is not None and batch.seq < known[0]:
            return []  # somebody has an older one
        mark = hashlib.sha256(canonical(batch)).digest()[:8]
        if known is not None and known[0] == batch.seq and known[2] == mark:
            self._check_places(part)  # its signature was checked
        else:
            check_slice(self._context.network, part.slice, self._context.seal)
            if known is not None and known[0] == batch.seq:
                self._publishers.wrong(publisher, FORGED, now)  # its own doing: homes see one of them each
                self._context.faults.append((publisher, "signs two batches with one number"))
                return []
        postings = self._true_keys(part)
        if known is None and not part.slice.items:
            return (
                [] if not batch.hashes else [Send(peer, WantStore([(batch.publisher, batch.slot)]), "bulk")]
            )
        if not batch.hashes:
            return self._forget(publisher, batch.slot)
        crowded = self._count >= BATCHES or len(self._batches.get(publisher, ())) >= BATCHES_OF_ONE
        if known is None and crowded:
            return []
        return self._keep(part, postings, known, mark, now)

    # -- inside

    def _keep(
        self,
        part: Stored,
        postings: Sequence[Posting],
        known: tuple[int, float, bytes] | None,
        mark: bytes,
        now: float,
    ) -> list[Effect]:
        batch = part.slice.batch
        ends = now + min(float(batch.lifetime), self._context.settings.home.lease)
        if known is not None and known[0] == batch.seq:
            ends = known[1]  # first sight counts
        self._count += known is None
        self._batches.setdefault(batch.publisher, {})[batch.slot] = (batch.seq, ends, mark)
        self._wake(now)
        effects: list[Effect] = [Keep(part.slice, postings, keyed=True)]
        if part.slice.items:
            for told in self.kept:
                effects += told(part.slice, postings, now)
        return effects

    def _stored(self, peer: PeerId, message: Store, now: float) -> list[Effect]:
        if not self.serving:
            return []
        if self._publishers.refused(peer, now):
            return []
        if not self._allow(peer, sum(max(1, len(part.slice.items)) for part in message.parts), now):
            self._publishers.wrong(peer, GREEDY, now)
            raise BadMessage("stores more than it may")
        effects: list[Effect] = []
        for part in message.parts:
            try:
                effects += self.store(peer, part, now)
            except BadMessage as wrong:  # one bad slice costs; the others are as good as they were
                self._context.faults.append((peer, str(wrong)))
                cost = FALSE_KEY if isinstance(wrong, FalseKey) else FORGED
                if self._publishers.wrong(peer, cost, now):
                    return effects
        return effects

    def _stored_peer(self, peer: PeerId, message: StorePeer, now: float) -> list[Effect]:
        if self.serving and self._allow(peer, PEER_ITEMS, now):
            self.keep_peer(message.record, now)
        return []

    def _true_keys(self, part: Stored) -> list[Posting]:
        """Its postings, at most so many of one key.

        Raises:
            FalseKey: a key that belongs to no word of its item, or an item that is not there.
        """
        keys: dict[int, set[bytes]] = {}
        under: dict[bytes, int] = {}
        good: list[Posting] = []
        most = self._context.settings.home.per_publisher_key
        for posting in part.postings:
            item: Item | None = part.slice.items.get(posting.place)
            if item is None:
                raise FalseKey("a key without its item")
            true = keys.get(posting.place)
            if true is None:
                true = keys[posting.place] = all_keys(self._context.network, item)
            if posting.key not in true:
                raise FalseKey("an item under a word that it does not have")
            under[posting.key] = under.get(posting.key, 0) + 1
            if under[posting.key] <= most:
                good.append(posting)
        return good

    def _check_places(self, part: Stored) -> None:
        check_slice(self._context.network, part.slice, _Trusting())

    def _allow(self, peer: bytes, amount: float, now: float) -> bool:
        self._wake(now)
        return self._rates.allow(peer, amount, now)

    def _forget(self, publisher: bytes, slot: int) -> list[Effect]:
        slots = self._batches.get(publisher, {})
        if slots.pop(slot, None) is None:
            return []
        self._count -= 1
        if not slots:
            del self._batches[publisher]
        return [Discard(PeerId(publisher), slot, keyed=True)]

    def _wake(self, now: float) -> None:
        if self._sweep is None:
            self._sweep = now + SWEEP


class FalseKey(BadMessage):
    """Somebody stores an item under a key that is not its."""


class _Trusting:
    """Signatures that were checked before."""

    def sign(self, text: bytes) -> bytes:
        raise NotImplementedError

    def holds(self, key: bytes, signature: bytes, text: bytes) -> bool:
        return True


def empty(batch: Batch) -> Stored:
    """A part that says only that the batch is this one now."""
    return Stored(Slice(batch, {}), [])
