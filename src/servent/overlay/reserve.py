"""Peers kept in mind: HyParView's passive view, and neighbours that went away and may come back. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.guard import Entry, Guard, place_of
from servent.overlay.records import PeerRecord, check

Reason = Literal["fill", "walk", "stir"]

DIVERSE = 8  # wide blocks among the peers known
UNTRIED = 60.0  # s; who declined is not asked again before


@dataclass(slots=True)
class Dial:
    """Somebody was asked to be a neighbour.

    Attributes:
        until: for the answer.
        why: to fill the view; at the end of a newcomer's walk; or to stir it: an island of peers with full views finds out only
            so, through neighbours of before or by chance, that there are others.
    """

    entry: Entry
    until: float
    why: Reason


class Reserve:
    """The passive view of one topic. Records in it were checked.

    Attributes:
        entries: by peer, never one that is a neighbour.
        diverse: whether peers of so many wide blocks are known that one neighbour of each is enough.
        most: so many are kept; beyond, a newcomer replaces one at random, those that were just passed on first.
    """

    __slots__ = ("_context", "_guard", "_lost", "_sent", "diverse", "entries", "most")

    def __init__(self, context: Context, guard: Guard, most: int) -> None:
        self._context, self._guard, self.most = context, guard, most
        self.entries: dict[PeerId, Entry] = {}
        self.diverse = False
        self._sent: tuple[PeerId, ...] = ()
        self._lost: dict[PeerId, tuple[Entry, int, float]] = {}  # tries, when next

    def take(self, record: PeerRecord, now: float, itself: bool = False) -> PeerRecord | None:
        """The newest record of that peer that still holds, checked; None for an old, foreign or unwanted one.

        `itself`: the peer gave it to us. Then it holds even where its time is over; it is not passed on.

        Raises:
            Forged: the signature does not hold.
        """
        if record.key == self._context.me or self._guard.refuses(record, now):
            return None
        if not self._context.belongs(record.key):
            return None  # whoever told us may not know yet
        if self._context.know(record, now):
            return record
        kept = self._context.peers.get(record.key, now)
        if kept is None and itself:
            check(self._context.network, record, self._context.seal)
            return record
        return kept

    def vouch(self, record: PeerRecord, now: float) -> bool:
        """Whether a record is worth passing on: checked like in `take`, but not kept.

        Raises:
            Forged: the signature does not hold.
        """
        context = self._context
        if context.peers.newer(record.key, record.seq, now):
            check(context.network, record, context.seal)
            return context.belongs(record.key)
        return context.peers.get(record.key, now) == record

    def remember(
        self,
        record: PeerRecord,
        source: bytes,
        now: float,
        neighbours: Collection[PeerId],
        tried: float = -1e9,
    ) -> bool:
        """Keep a checked record in mind; False when it is not wanted. `source` empty: nobody told us, and no rate holds."""
        peer = PeerId(record.key)
        kept = self.entries.get(peer)
        if kept is not None:
            kept.record, kept.place = record, place_of(record)
            return False
        told = self._context.settings.view.told_per_minute
        if peer == self._context.me or peer in neighbours or self._guard.refuses(record, now):
            return False
        if source and not self._guard.may("told", self._guard.teller(PeerId(source), now), told, now):
            return False
        place = place_of(record)
        crowd = self._guard.crowding(self.entries.items(), place, self.diverse, passive=True)
        if crowd:
            del self.entries[self._context.dice.choice(crowd)]
        elif len(self.entries) >= self.most:
            del self.entries[self._least()]
        self._lost.pop(peer, None)
        self.entries[peer] = Entry(record, place, source, now, tried=tried)
        return True

    def forget(self, peer: PeerId) -> Entry | None:
        return self.entries.pop(peer, None)

    def compare(self, active: Mapping[PeerId, Entry]) -> None:
        """See how diverse those are whom we know; after some came."""
        wides = {entry.place.wide for entry in self.entries.values()}
        wides.update(entry.place.wide for entry in active.values())
        self.diverse = len(wides - {""}) >= DIVERSE

    def shrink(self, most: int) -> None:
        """Another size."""
        self.most = most
        while len(self.entries) > most:
            del self.entries[self._least()]

    def choose(
        self, now: float, active: Mapping[PeerId, Entry], pending: Mapping[PeerId, Entry], alone: bool
    ) -> Entry | None:
        """Whom to ask to be a neighbour; None when there is nobody.

        At random; those that have failed, or come from the one source that all our own choices come from, only when there is no
        other. `alone`: without neighbours; then nothing else counts.
        """
        keys = list(self.entries)
        if not keys:
            return None
        around = [*active.items(), *pending.items()]
        sources = {one.source for _, one in around if one.mine}
        start = int(self._context.dice.random() * len(keys))
        best: Entry | None = None
        best_rank = 1e12
        for step in range(len(keys)):
            peer = keys[(start + step) % len(keys)]
            entry = self.entries[peer]
            if peer in pending:
                continue
            if alone:
                rank = entry.failures * 1e6 + max(0.0, UNTRIED - (now - entry.tried))
            elif now - entry.tried < UNTRIED or self._guard.crowding(around, entry.place, self.diverse):
                continue
            else:
                rank = 2.0 * entry.failures + (len(sources) == 1 and entry.source in sources)
            if rank < best_rank:
                best, best_rank = entry, rank
            if rank <= 0:
                break
        return best

    def failed(self, peer: PeerId, alone: bool) -> None:
        """It could not be reached. Without any neighbour that may be our own fault, and counts half."""
        entry = self.entries.get(peer)
        if entry is None:
            return
        entry.failures += 1
        if not alone or entry.failures >= 2:
            del self.entries[peer]

    def pass_on(self, count: int, now: float, leave_out: Collection[PeerId]) -> list[PeerRecord]:
        """Up to `count` records for a shuffle; they are the first to be replaced."""
        fresh = [peer for peer in self.entries if peer not in leave_out]
        chosen = self._context.dice.sample(fresh, min(count, len(fresh)))
        self._sent = tuple(chosen)
        return self.live(((peer, self.entries[peer]) for peer in chosen), now)

    def live(self, entries: Iterable[tuple[PeerId, Entry]], now: float) -> list[PeerRecord]:
        """Their newest records, without those that have ended."""
        found = (self._context.peers.get(peer, now) or entry.record for peer, entry in entries)
        return [record for record in found if not self._ended(record, now)]

    def sweep(self, now: float) -> None:
        """Drop what has ended; now and then."""
        for peer in [
            peer for peer, entry in self.entries.items() if now - entry.since > entry.record.lifetime
        ]:
            record = self._context.peers.get(peer, now)
            if record is None:
                del self.entries[peer]
            else:
                self.entries[peer].record, self.entries[peer].since = record, now

    # -- neighbours that went away

    def lose(self, entry: Entry, now: float, tries: int = 0) -> None:
        """A neighbour went without a word: perhaps the network between us did. It is tried again, ever more rarely."""
        settings = self._context.settings.view
        if tries >= settings.lost_tries:
            return
        while len(self._lost) >= settings.lost:
            del self._lost[next(iter(self._lost))]
        self._lost[entry.key] = (entry, tries, now + settings.shuffle_every * 2**tries)

    def retry(self, now: float, neighbours: Collection[PeerId], alone: bool) -> Entry | None:
        """The one of these to try now. Two halves of a network that was cut find together by it."""
        for peer, (entry, tries, due) in list(self._lost.items()):
            if peer in neighbours or self._guard.refuses(entry.record, now):
                del self._lost[peer]
            elif due <= now or alone:
                del self._lost[peer]
                self.lose(entry, now, tries + 1)
                return entry
        return None

    def found(self, peer: PeerId) -> None:
        """It is there again, or it said that it is gone."""
        self._lost.pop(peer, None)

    @property
    def losing(self) -> bool:
        return bool(self._lost)

    def _least(self) -> PeerId:
        """Who goes when there is no room."""
        for peer in self._sent:
            if peer in self.entries:
                return peer
        return self._context.dice.choice(list(self.entries))

    def _ended(self, record: PeerRecord, now: float) -> bool:
        ends = self._context.peers.ends(record.key)
        return 0.0 < ends <= now
