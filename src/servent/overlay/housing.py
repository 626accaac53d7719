"""The supernode's side: leaves, what is kept for them, and what is passed on to keyed supernodes. Pure.

Of a leaf's items only the hashes are kept here, packed; the items are in the store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from servent.errors import BadMessage
from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.overlay.batches import digest_of
from servent.overlay.effects import Discard, Effect, Keep, Learn, Load, Prove, Send
from servent.overlay.keying import Keying
from servent.overlay.part import Handler, Part
from servent.overlay.publishers import FORGED, GREEDY, UNPROVEN, Publishers
from servent.overlay.rates import Rates
from servent.overlay.records import (
    HASH_BYTES,
    Item,
    PeerRecord,
    Slice,
    SupernodeRecord,
    check,
    check_slice,
)
from servent.overlay.storing import Kept, Storing
from servent.overlay.wire import Attach, Attached, Batches, Detach, Publish, WantBatches
from servent.trust.networks import Forged

if TYPE_CHECKING:
    from servent.overlay.context import Context
    from servent.overlay.directory import Directory
    from servent.overlay.election import Election
    from servent.overlay.homes import Homes

SWEEP = 15.0  # s between two looks for leases that have ended
LINGER = 120.0  # s for which a leaf whose link is gone is kept
OTHERS = 4  # supernodes named to whom we refuse
CHANGES = 6  # times its whole list that a leaf may bring within an hour
ATTACHES = (0.5, 30.0)  # a second of one peer, and at once: each may cost three messages to others


@dataclass(slots=True)
class _Kept:
    """A batch of a leaf: what of it is in the store."""

    seq: int
    hashes: bytes  # 16 each
    told: float  # when all keyed supernodes heard of it

    def items(self) -> int:
        return len(self.hashes) // HASH_BYTES


@dataclass(slots=True)
class _Leaf:
    """A peer that we are a home of."""

    record: PeerRecord
    until: float
    rate: TokenBucket
    batches: dict[int, _Kept] = field(default_factory=dict)
    listed: dict[int, int] = field(default_factory=dict)  # slot: seq, as it said last
    asked: set[tuple[int, int]] = field(default_factory=set)  # (slot, seq) that were asked for a second time
    items: int = 0
    told: int = 0  # the number of the record that keyed supernodes heard of last


def _unpacked(hashes: bytes) -> set[bytes]:
    return {hashes[i : i + HASH_BYTES] for i in range(0, len(hashes), HASH_BYTES)}


class Housing(Part):
    """Leaves of ours.

    Attributes:
        kept: called with what is new of them, and of what is stored here as a keyed supernode.
        room: the most leaves that we take.
    """

    def __init__(
        self,
        context: Context,
        directory: Directory,
        election: Election,
        homes: Homes,
        storing: Storing,
        keying: Keying,
        publishers: Publishers,
    ) -> None:
        self._context, self._directory, self._election, self._homes = context, directory, election, homes
        self._storing, self._keying, self._publishers = storing, keying, publishers
        self.kept: list[Kept] = storing.kept
        self.room = context.settings.election.room
        self._leaves: dict[PeerId, _Leaf] = {}
        self._items = 0
        self._sweep: float | None = None
        self._attaches = Rates(*ATTACHES)
        self._retired = False
        directory.changed.append(self.role)
        keying.batches.append(self._housed)
        keying.records.append(lambda: (leaf.record for leaf in self._leaves.values()))

    def handlers(self) -> Mapping[type, Handler]:
        return {
            Attach: self._attach,
            Batches: self._batches,
            Publish: self._publish,
            Detach: self._detach,
        }

    # -- for other parts

    def leaves(self) -> Mapping[PeerId, PeerRecord]:
        """Our leaves and where they are."""
        return {peer: leaf.record for peer, leaf in self._leaves.items()}

    @property
    def items(self) -> int:
        """Items kept for leaves."""
        return self._items

    def record_of(self, peer: bytes, now: float) -> PeerRecord | None:
        """The newest record of a peer: of a leaf, or as it was stored here, or as we happen to know it."""
        leaf = self._leaves.get(peer)  # type: ignore[call-overload]
        if leaf is not None:
            return leaf.record  # type: ignore[no-any-return]
        stored = self._storing.record_of(peer, now)
        known = self._context.peers.get(peer, now)
        if stored is None or (known is not None and known.seq > stored.seq):
            return known
        return stored

    def _housed(self) -> Iterator[tuple[PeerId, int]]:
        return ((peer, slot) for peer, leaf in self._leaves.items() for slot in leaf.batches)

    def role(self, now: float) -> list[Effect]:
        """Called when our own role may be another."""
        election = self._election
        self._storing.serving = election.index
        if election.index and not election.retiring:
            self._retired = False
            return []
        if election.retiring:
            return self.retire(now)
        return self._over(now) if self._leaves or self._storing.batches() else []

    def retire(self, now: float) -> list[Effect]:
        """We are about to lay the role down: leaves find other homes while we still answer."""
        if self._retired:
            return []
        self._retired = True
        return [Send(peer, Detach(self._others(now, peer), retiring=True)) for peer in self._leaves]

    def close(self, now: float) -> list[Effect]:
        """We leave: our leaves need not wait until they notice."""
        return [Send(peer, Detach(self._others(now, peer))) for peer in self._leaves]

    def _over(self, now: float) -> list[Effect]:
        """We carry the role no more."""
        effects: list[Effect] = []
        for peer in list(self._leaves):
            effects.append(Send(peer, Detach(self._others(now, peer))))
            effects += self._drop(peer)
        self._retired = False
        return [*effects, *self._storing.clear(), *self._election.leaves_are(0, now)]

    # -- leaves come and go

    def _attach(self, peer: PeerId, message: Attach, now: float) -> list[Effect]:
        context, election = self._context, self._election
        if message.record.key != peer:
            raise Forged("a record of somebody else")
        if not self._attaches.allow(peer, 1.0, now):
            return []
        new = context.know(message.record, now)
        if not new and context.peers.get(peer, now) != message.record:
            check(context.network, message.record, context.seal)  # it goes to others under our name
        leaf = self._leaves.get(peer)
        free = self.room - len(self._leaves)
        reason = ""
        if not election.index:
            reason = "no supernode"
        elif election.retiring:
            reason = "about to lay the role down"
        elif self._publishers.refused(peer, now):
            reason = "published what it does not have"
        elif leaf is None and free <= 0:
            reason = "full"
        if reason:
            return [Send(peer, Attached(False, others=self._others(now, peer), reason=reason))]
        lifetime = context.settings.home.lifetime
        effects: list[Effect] = []
        if leaf is None:
            most = self._most()
            bucket = TokenBucket(CHANGES * most / 3600, CHANGES * most)
            leaf = self._leaves[peer] = _Leaf(message.record, now + lifetime, bucket)
            effects += election.leaves_are(len(self._leaves), now)
            if self._sweep is None:
                self._sweep = now + SWEEP
        if message.record.seq >= leaf.record.seq:
            leaf.record = message.record
        leaf.until = now + lifetime
        want = message.digest != digest_of(sorted((slot, kept.seq) for slot, kept in leaf.batches.items()))
        effects.append(
            Send(
                peer,
                Attached(True, want, max(0, self.room - len(self._leaves)), lifetime=lifetime),
            )
        )
        if new:
            effects.append(Learn(message.record))
        if leaf.record.seq > leaf.told:
            leaf.told = leaf.record.seq
            effects += self._keying.peer(leaf.record, now)
        return effects

    def _detach(self, peer: PeerId, message: Detach, now: float) -> list[Effect]:
        """A leaf, or a home of ours, says goodbye."""
        return [*self._drop(peer, now), *self._homes.detached(peer, message, now)]

    def down(self, peer: PeerId, now: float) -> list[Effect]:
        leaf = self._leaves.get(peer)
        if leaf is not None:
            leaf.until = min(leaf.until, now + LINGER)
        return []

    def tick(self, now: float) -> list[Effect]:
        if self._sweep is None or now < self._sweep:
            return []
        effects: list[Effect] = []
        for peer in [
            peer
            for peer, leaf in self._leaves.items()
            if leaf.until <= now or not self._context.belongs(peer)
        ]:
            effects += self._drop(peer, now)
        self._sweep = now + SWEEP if self._leaves else None
        return effects

    def next_tick(self) -> float | None:
        return self._sweep

    def _drop(self, peer: PeerId, now: float | None = None) -> list[Effect]:
        leaf = self._leaves.pop(peer, None)
        if leaf is None:
            return []
        self._count(-leaf.items)
        effects: list[Effect] = [Discard(peer, keyed=False)] if leaf.batches else []
        if now is not None:
            effects += self._election.leaves_are(len(self._leaves), now)
        return effects

    def _others(self, now: float, peer: PeerId) -> list[SupernodeRecord]:
        chosen = self._directory.random(2 * OTHERS, now, (peer,))
        records = [record for key in chosen if (record := self._directory.get(key, now)) is not None]
        return sorted((one for one in records if not one.retiring), key=lambda one: one.room <= one.leaves)[
            :OTHERS
        ]

    # -- what they publish

    def _batches(self, peer: PeerId, message: Batches, now: float) -> list[Effect]:
        leaf = self._leaves.get(peer)
        if leaf is None:
            return [Send(peer, Detach(self._others(now, peer)))]
        if not leaf.rate.allow(1.0, now):
            self._publishers.wrong(peer, GREEDY, now)
            raise BadMessage("tells of its batches too often")
        leaf.listed = dict(message.batches)
        leaf.asked.clear()
        effects: list[Effect] = []
        for slot in [slot for slot in leaf.batches if slot not in leaf.listed]:
            self._take_back(leaf, slot)
            effects.append(Discard(peer, slot, keyed=False))
        want = [
            slot
            for slot, seq in leaf.listed.items()
            if slot not in leaf.batches or leaf.batches[slot].seq != seq
        ]
        return [*effects, Send(peer, WantBatches(want))]

    def _publish(self, peer: PeerId, message: Publish, now: float) -> list[Effect]:
        leaf = self._leaves.get(peer)
        if leaf is None:
            return [Send(peer, Detach(self._others(now, peer)))]
        one, batch = message.slice, message.slice.batch
        if batch.publisher != peer:
            return self._forged(peer, Forged("publishes for somebody else"), now)
        before = leaf.batches.get(batch.slot)
        if leaf.listed.get(batch.slot) != batch.seq or (before is not None and before.seq == batch.seq):
            return []  # another has been said since, or it came already
        if not leaf.rate.allow(1.0 + len(one.items), now):
            self._publishers.wrong(peer, GREEDY, now)
            raise BadMessage("publishes more than it may")
        try:
            check_slice(self._context.network, one, self._context.seal)
        except Forged as wrong:
            return self._forged(peer, wrong, now)
        had = before.items() if before is not None else 0
        if leaf.items - had + len(batch.hashes) > self._most():
            self._publishers.wrong(peer, GREEDY, now)
            raise BadMessage("publishes more items than are kept of one peer")
        old = _unpacked(before.hashes) if before is not None else set()
        given = {batch.hashes[place] for place in one.items}
        if missing := set(batch.hashes) - old - given:
            if (batch.slot, batch.seq) in leaf.asked:
                raise BadMessage(f"{len(missing)} items of a batch are missing")
            leaf.asked.add((batch.slot, batch.seq))
            return [Send(peer, WantBatches([batch.slot]))]
        return self._take(peer, leaf, one, before, old, now)

    def _take(
        self, peer: PeerId, leaf: _Leaf, one: Slice, before: _Kept | None, old: set[bytes], now: float
    ) -> list[Effect]:
        """All of it is good."""
        batch = one.batch
        renew = set(batch.hashes) == old or (
            before is not None and now - before.told > 0.8 * self._context.settings.home.restore
        )
        told = now if renew or before is None else before.told
        self._take_back(leaf, batch.slot)
        leaf.batches[batch.slot] = _Kept(batch.seq, b"".join(batch.hashes), told)
        leaf.items += len(batch.hashes)
        self._count(len(batch.hashes))
        hashes = set(batch.hashes)
        new = hashes - old
        gone = old - hashes
        fresh = {place: item for place, item in one.items.items() if batch.hashes[place] in new}
        effects: list[Effect] = []
        if gone:
            token = self._context.wait(
                lambda loaded, _, now: self._change(leaf, one, loaded, new, gone, renew, now)
            )
            effects.append(Load(token, peer, batch.slot))
        else:
            effects += [Keep(one), *self._keying.put(batch, now, new, renew=renew)]
        for item in self._publishers.sample(list(fresh.values()), now):
            token = self._context.wait(lambda ok, now: self._proven(peer, ok, now))
            effects.append(Prove(token, peer, item))
        if fresh:
            for tell in self.kept:
                effects += tell(Slice(batch, fresh), (), now)
        return effects

    def _change(
        self,
        leaf: _Leaf,
        one: Slice,
        before: Slice | None,
        new: set[bytes],
        gone: set[bytes],
        renew: bool,
        now: float,
    ) -> list[Effect]:
        """What was in that slot has been read back: who keeps what is gone will be told."""
        batch = one.batch
        kept = leaf.batches.get(batch.slot)
        publisher = PeerId(batch.publisher)
        if kept is None or kept.seq != batch.seq or self._leaves.get(publisher) is not leaf:
            return []
        items: list[Item] = []
        if before is not None:
            items = [item for place, item in before.items.items() if before.batch.hashes[place] in gone]
        return [Keep(one), *self._keying.put(batch, now, new, items, renew)]

    def _take_back(self, leaf: _Leaf, slot: int) -> None:
        kept = leaf.batches.pop(slot, None)
        if kept is not None:
            leaf.items -= kept.items()
            self._count(-kept.items())

    def _proven(self, peer: PeerId, ok: bool | None, now: float) -> list[Effect]:
        if ok is not False:
            return []
        self._context.faults.append((peer, "published what it cannot show"))
        return self._bad(peer, UNPROVEN, now)

    def _forged(self, peer: PeerId, wrong: Forged, now: float) -> list[Effect]:
        self._context.faults.append((peer, str(wrong)))
        return self._bad(peer, FORGED, now)

    def _bad(self, peer: PeerId, weight: float, now: float) -> list[Effect]:
        """It cost `peer` something. Once too often, and all we keep of it goes."""
        if not self._publishers.wrong(peer, weight, now):
            return []
        leaf = self._leaves.get(peer)
        told: list[Effect] = []
        if leaf is not None:
            told = [Send(peer, Detach()), *self._drop(peer, now)]
        return [*told, *self._storing.drop(peer), Discard(peer)]

    def _most(self) -> int:
        """Items that one publisher may have here."""
        return self._directory.topology.most_items(self._context.settings.home)

    def _count(self, change: int) -> None:
        self._items += change
        self._keying.items += change
