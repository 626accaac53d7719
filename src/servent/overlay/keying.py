"""Which keyed supernodes hear of which items, and when. Pure.

Items themselves are not kept here: a batch is read back from the store when its turn comes, its keys are worked out, and
slices go out in few frames for each supernode, no faster than an uplink allows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from servent.codec import canonical
from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.overlay.effects import Counts, Effect, Load, Send
from servent.overlay.moves import Change
from servent.overlay.part import Handler, Part
from servent.overlay.placement import STORED, peer_key
from servent.overlay.rates import Rates
from servent.overlay.records import HASH_BYTES, Batch, Item, PeerRecord, Slice
from servent.overlay.storing import Storing
from servent.overlay.terms import KNOWN, keys_of, words_of
from servent.overlay.wire import Posting, Store, Stored, StorePeer, WantStore

if TYPE_CHECKING:
    from servent.overlay.context import Context
    from servent.overlay.directory import Directory

RATE, BURST = 250_000.0, 2_000_000.0  # bytes a second: the least uplink of a supernode (ElectionSettings.up)
SHARE = 0.25  # of a larger one
FRAME = 48 * 1024  # bytes of a Store; one frame has 64
PARTS = 64
POSTINGS = 1024
AHEAD = 1 << 20  # bytes that wait to be sent, above which no further batch is read
READING = 8  # batches being read at a time
STEP = 0.2  # s between two rounds
POSTING_BYTES = 20  # a key and a place
BATCH_HEAD = 120  # key, signature, numbers
JOBS = 65_536
SOON, LATEST = 2.0, 120.0  # s after a change of the directory; later with many items and supernodes
WANTS = 50.0  # batches a second that keyed supernodes may ask for again
WANTS_OF_ONE = (5.0, 500.0)  # the same, of one of them, and at once: up to 60 kB each


@dataclass(slots=True)
class _Job:
    """A batch whose turn comes.

    Attributes:
        batch: when it was withdrawn and cannot be read back.
        new: hashes of the items that the keyed supernodes do not have yet; None for all.
        renew: who has the other items is told that the batch is a newer one.
        gone: items that were in the batch: who has them is told.
        only: the supernode to push to; None for all that are nearest.
        change: only those are pushed to that are new among the nearest by it.
    """

    publisher: PeerId
    slot: int
    batch: Batch | None = None
    new: set[bytes] | None = None
    renew: bool = False
    gone: list[Item] = field(default_factory=list)
    only: PeerId | None = None
    change: Change | None = None


@dataclass(slots=True)
class _Box:
    """What waits for one supernode: parts, each with about its bytes in a frame."""

    parts: list[tuple[Stored, int]] = field(default_factory=list)
    bytes: int = 0


class Keying(Part):
    """Brings items and records of our leaves, and our own, to the supernodes nearest to their keys.

    Attributes:
        items: how many items are kept here as a home; `Homes` and `Housing` say it.
        kept: called with what is new here, for standing queries.
        batches, records: what we are a home of: (publisher, slot), and the records of leaves and of ourselves.
    """

    def __init__(self, context: Context, directory: Directory, storing: Storing) -> None:
        self._context, self._directory, self._storing = context, directory, storing
        self.kept = storing.kept
        self.items = 0
        self._jobs: deque[_Job] = deque()
        self._reading = 0
        self._boxes: dict[PeerId, _Box] = {}
        self._waiting = 0  # bytes in boxes
        self._bucket: TokenBucket | None = None
        self._due: float | None = None
        self.batches: list[Callable[[], Iterable[tuple[PeerId, int]]]] = []
        self.records: list[Callable[[], Iterable[PeerRecord]]] = []
        self._watching = False
        self._sweep: float | None = None
        self._change: Change | None = None
        self._swept: Iterator[tuple[PeerId, int]] = iter(())
        self._sweeping = self._alone = False
        self._wants, self._wants_of_one = TokenBucket(WANTS, 10 * WANTS), Rates(*WANTS_OF_ONE)
        directory.changed.append(self.changed)

    def handlers(self) -> Mapping[type, Handler]:
        return {WantStore: self._wanted}

    def next_tick(self) -> float | None:
        if self._due is None or (self._sweep is not None and self._sweep < self._due):
            return self._sweep
        return self._due

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if self._sweep is not None and self._sweep <= now:
            effects += self._begin_sweep(now)
        if self._due is not None and self._due <= now:
            effects += [*self._flush(now), *self._start(now)]
            busy = self._jobs or self._boxes or self._sweeping or self._reading
            self._due = now + STEP if busy else None
        return effects

    def changed(self, now: float) -> list[Effect]:
        """Supernodes came or went. What that moves is looked for a little later, once for all that do in the meantime."""
        if self._watching and self._sweep is None:
            supernodes = len(self._directory.records(now)) if self._directory.own is not None else 0
            self._sweep = now + min(LATEST, SOON + self.items / 200 + supernodes / 100)
        return []

    def _begin_sweep(self, now: float) -> list[Effect]:
        """Look through all we are a home of for what has other nearest supernodes now."""
        if self._sweeping:
            self._sweep = now + SOON
            return []
        self._sweep = None
        own = self._directory.own
        if own is None or own.retiring:
            self._watching = False
            return []
        change = self._directory.moved()
        if self._alone and self._directory.count(now) > 1:
            self._alone, change = False, None
        self._change = change
        if change is not None and not change.joined and not change.left:
            return []
        self._swept = iter([one for source in self.batches for one in source()])
        self._sweeping = True
        self._wake(now)
        effects: list[Effect] = []
        for record in [one for source in self.records for one in source()]:
            effects += self.peer(record, now, change)
        return effects

    # -- what is to be brought

    def put(
        self,
        batch: Batch,
        now: float,
        new: set[bytes] | None = None,
        gone: Sequence[Item] = (),
        renew: bool = False,
    ) -> list[Effect]:
        """That batch, which is kept here as a home, is new or another; renewed if nothing else is said of it."""
        if not self._watching:
            self._watching = True
            self._directory.moved()
        if len(self._jobs) < JOBS:
            renew = renew or (new is not None and not new and not gone)
            withdrawn = batch if not batch.hashes else None
            new = None if new is not None and batch.hashes and len(new) == len(batch.hashes) else new
            self._jobs.append(_Job(PeerId(batch.publisher), batch.slot, withdrawn, new, renew, list(gone)))
        self._wake(now)
        return []

    def peer(self, record: PeerRecord, now: float, change: Change | None = None) -> list[Effect]:
        """Where a leaf of ours, or we ourselves, are now; with a change, for those that are new by it."""
        effects: list[Effect] = []
        context = self._context
        for target in self._nearest(peer_key(context.network, record.key), change, now):
            if target != context.me:
                effects.append(Send(target, StorePeer(record), "bulk"))
            elif record.key != context.me:
                self._storing.keep_peer(record, now)
        return effects

    # -- a batch at a time

    def _start(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if self._jobs and self._directory.count(now) <= 1:
            for old in self._jobs:  # whoever asks anybody asks us, and we find it as its home
                effects += self._storing.forget(old.publisher, old.slot)
            self._jobs.clear()
            self._alone = True
        while self._reading < READING and self._waiting < AHEAD:
            job = self._jobs.popleft() if self._jobs else self._next_swept()
            if job is None:
                break
            self._reading += 1
            token = self._context.wait(_Loaded(self, job))
            effects.append(Load(token, job.publisher, job.slot))
        return effects

    def _next_swept(self) -> _Job | None:
        following = next(self._swept, None)
        if following is None:
            self._sweeping = False
            return None
        return _Job(*following, change=self._change)

    def loaded(self, job: _Job, one: Slice | None, now: float) -> list[Effect]:
        """The store has read a batch."""
        if one is None and job.batch is not None:
            one = Slice(job.batch, {})
        if one is None:
            self._reading -= 1
            return []
        if self.items < KNOWN:
            return self.counted(job, one, {}, 0, now)
        items = [item for place, item in one.items.items() if job.renew or self._moves(job, one.batch, place)]
        words = list({word for item in [*items, *job.gone] for word in words_of(item)})
        token = self._context.wait(
            lambda counts, total, now: self.counted(
                job, one, dict(zip(words, counts, strict=True)), total, now
            )
        )
        return [Counts(token, words)]

    def counted(
        self, job: _Job, one: Slice, counts: Mapping[str, int], total: int, now: float
    ) -> list[Effect]:
        """And has counted its words."""
        self._reading -= 1
        common = self._context.settings.home.common
        network = self._context.network
        found: dict[PeerId, dict[int, list[bytes]]] = {}
        sizes: dict[int, int] = {}
        for place, item in one.items.items():
            moves = self._moves(job, one.batch, place)
            if not moves and not job.renew:
                continue
            sizes[place] = len(canonical(item)) + 2
            for key in keys_of(network, item, counts, total, common):
                for target in self._targets(key, job, now):
                    places = found.setdefault(target, {})
                    if moves:
                        places.setdefault(place, []).append(key)
        for item in job.gone:
            for key in keys_of(network, item, counts, total, common):
                for target in self._targets(key, job, now):
                    found.setdefault(target, {})
        for target, places in found.items():
            for part, size in _parts(one, places, sizes):
                self._box(target, part, size)
        self._wake(now)
        return []

    def _moves(self, job: _Job, batch: Batch, place: int) -> bool:
        return job.new is None or batch.hashes[place] in job.new

    def _targets(self, key: bytes, job: _Job, now: float) -> Iterable[PeerId]:
        nearest = self._nearest(key, job.change, now)
        return nearest if job.only is None else [one for one in nearest if one == job.only]

    def _nearest(self, key: bytes, change: Change | None, now: float) -> list[PeerId]:
        directory = self._directory
        nearest = directory.nearest(key, STORED, now, storing=True)
        if change is None or not nearest:
            return nearest
        return [PeerId(one) for one in change.new(key, nearest, directory.stands(nearest[-1]))]

    # -- boxes

    def _box(self, target: PeerId, part: Stored, size: int) -> None:
        box = self._boxes.setdefault(target, _Box())
        box.parts.append((part, size))
        box.bytes += size
        self._waiting += size

    def _flush(self, now: float) -> list[Effect]:
        if self._bucket is None:
            own = self._directory.own
            up = own.up * 125.0 if own is not None else 0.0  # kbit/s
            self._bucket = TokenBucket(max(RATE, up * SHARE), BURST)
        effects: list[Effect] = []
        for target in list(self._boxes):
            box = self._boxes[target]
            if target == self._context.me:
                for part, _ in box.parts:
                    effects += self._store_here(part, now)
            elif not self._bucket.allow(min(box.bytes, BURST), now):
                break
            else:
                effects += [Send(target, Store(parts), "bulk") for parts in _frames(box.parts)]
            self._waiting -= box.bytes
            del self._boxes[target]
        return effects

    def _store_here(self, part: Stored, now: float) -> list[Effect]:
        """We are one of the nearest ourselves."""
        effects: list[Effect] = []
        for effect in self._storing.store(self._context.me, part, now):
            if isinstance(effect, Send) and effect.to == self._context.me:
                self._again(self._context.me, part.slice.batch.publisher, part.slice.batch.slot)
            else:
                effects.append(effect)
        return effects

    def _wanted(self, peer: PeerId, message: WantStore, now: float) -> list[Effect]:
        """A keyed supernode has nothing of these batches: from the start, then."""
        if self._directory.get(peer, now) is None:
            return []
        for publisher, slot in message.batches:
            if self._wants_of_one.allow(peer, 1.0, now) and self._wants.allow(1.0, now):
                self._again(peer, publisher, slot)
        self._wake(now)
        return []

    def _again(self, target: PeerId, publisher: bytes, slot: int) -> None:
        if len(self._jobs) < JOBS:
            self._jobs.append(_Job(PeerId(publisher), slot, only=target))

    def _wake(self, now: float) -> None:
        if self._due is None:
            self._due = now + STEP


@dataclass(frozen=True, slots=True)
class _Loaded:
    """Takes a store's answer back to its job."""

    keying: Keying
    job: _Job

    def __call__(self, one: Slice | None, postings: Sequence[Posting], now: float) -> list[Effect]:
        return self.keying.loaded(self.job, one, now)


def _parts(
    one: Slice, places: Mapping[int, Sequence[bytes]], sizes: Mapping[int, int]
) -> list[tuple[Stored, int]]:
    """The items at `places` with their keys, in parts that fit a frame each, with their sizes."""
    head = BATCH_HEAD + (HASH_BYTES + 2) * len(one.batch.hashes)
    if not places:
        return [(Stored(Slice(one.batch, {}), []), head)]
    parts: list[tuple[Stored, int]] = []
    items: dict[int, Item] = {}
    postings: list[Posting] = []
    size = head
    for place, keys in places.items():
        more = sizes[place] + POSTING_BYTES * len(keys)
        if items and (size + more > FRAME or len(postings) + len(keys) > POSTINGS):
            parts.append((Stored(Slice(one.batch, items), postings), size))
            items, postings, size = {}, [], head
        items[place] = one.items[place]
        postings += [Posting(key, place) for key in keys]
        size += more
    parts.append((Stored(Slice(one.batch, items), postings), size))
    return parts


def _frames(parts: Sequence[tuple[Stored, int]]) -> list[list[Stored]]:
    """Parts in the order given, as many together as a frame takes."""
    frames: list[list[Stored]] = [[]]
    size = 0
    for part, more in parts:
        if frames[-1] and (size + more > FRAME or len(frames[-1]) >= PARTS):
            frames.append([])
            size = 0
        frames[-1].append(part)
        size += more
    return frames
