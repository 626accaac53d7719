"""The supernodes that are known, and where each stands on the ring. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.moves import Moves
from servent.overlay.newest import Newest
from servent.overlay.placement import Position, point, position, week_of, wide_block
from servent.overlay.reconcile import id_of
from servent.overlay.records import SupernodeRecord
from servent.overlay.ring import WHOLE, Ring
from servent.overlay.vouching import NOWHERE

SUSPENDED = 300.0  # s for which one that could not be reached is not chosen
REGION_MOST = 4  # times as many as asked for, at most, by the region rule
CACHED = 8192  # answers of `nearest` remembered until the ring changes
BURIED = 64  # that may turn out to be alive
EVER = -1.0  # an earlier time than any: what is kept, ended or not


@dataclass(slots=True)
class Entry:
    """A supernode, and where it stands."""

    record: SupernodeRecord
    place: Position


def _stand(entry: Entry | None) -> Position | None:
    """Where something may be stored; nothing new at one that retires."""
    return entry.place if entry is not None and not entry.record.retiring else None


def _same(before: Entry | None, after: Entry) -> bool:
    """Whether the ring and what is counted are the same with it: most news of a supernode is of its room and its leaves."""
    return (
        before is not None
        and before.place == after.place
        and before.record.block == after.record.block
        and before.record.retiring == after.record.retiring
    )


class Known:
    """Records of others by key, newest first seen; and a ring on which we stand as well while `own` is set.

    Attributes:
        own: our own record while we carry the role.
        moves: who stands elsewhere on the ring than before, as far as something may be stored there.
    """

    def __init__(self, context: Context) -> None:
        self.moves = Moves()
        self._context = context
        self._most = context.settings.directory
        self._leaving = 2 * context.settings.election.hand_over
        self._table: Newest[Entry] = Newest(2 * self._most.complete)
        self._ring = Ring()
        self._near: dict[tuple[bytes, int, bool], list[PeerId]] = {}
        self._blocks: dict[str, int] = {}
        self._retiring: set[bytes] = set()
        self._suspended: dict[bytes, float] = {}
        self._buried: dict[bytes, SupernodeRecord] = {}
        self._own: Entry | None = None
        self._day = 0

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, key: bytes) -> bool:
        return key in self._table

    @property
    def own(self) -> SupernodeRecord | None:
        return self._own.record if self._own is not None else None

    @property
    def keys(self) -> list[bytes]:
        """Of the others."""
        return list(self._table.keys())

    def records(self, now: float) -> list[SupernodeRecord]:
        """Our own first."""
        others = [entry.record for _, entry in self._table.items(now)]
        return [self._own.record, *others] if self._own is not None else others

    def serving(self, now: float) -> list[SupernodeRecord]:
        """Of `records` those that neither retire nor are suspended."""
        return [
            one for one in self.records(now) if not one.retiring and not self.suspended(one.peer.key, now)
        ]

    def get(self, key: bytes, now: float = EVER) -> SupernodeRecord | None:
        """The record of another, by default also one that has ended and was not swept yet."""
        entry = self._table.get(key, now)
        return entry.record if entry is not None else None

    def newer(self, key: bytes, seq: int, now: float) -> bool:
        return self._table.newer(key, seq, now)

    def seq(self, key: bytes) -> int:
        """The highest number seen of that key; 0 for none."""
        return self._table.seq(key)

    def in_block(self, block: str) -> int:
        """Supernodes in that address block."""
        return self._blocks.get(block, 0)

    def wides(self) -> set[str]:
        """The wide public blocks in which there are any."""
        return {wide_block(block) for block in self._blocks if block not in NOWHERE}

    # -- changes

    def put(self, record: SupernodeRecord, now: float) -> SupernodeRecord | None:
        """Take in a checked record that is `newer`; what it replaces is returned."""
        key = record.peer.key
        before = self._table.get(key, EVER)
        entry = Entry(record, self._place(record))
        stays = _same(before, entry)
        if before is not None and not stays:
            self._leave(key, before)
        lifetime = min(record.lifetime, self._leaving) if record.retiring else record.lifetime
        self._table.put(key, record.seq, lifetime, entry, now)
        if not stays:
            self._join(key, entry)
        if _stand(before) != _stand(entry):
            self.moves.note(key, _stand(before))
        self._suspended.pop(key, None)
        return before.record if before is not None else None

    def serve(self, record: SupernodeRecord | None) -> None:
        """Our own record; None: we carry the role no more."""
        before = self._own
        self._own = Entry(record, self._place(record)) if record is not None else None
        stays = self._own is not None and _same(before, self._own)
        if before is not None and not stays:
            self._leave(self._context.me, before)
        if self._own is not None and not stays:
            self._join(self._context.me, self._own)
        if _stand(before) != _stand(self._own):
            self.moves.note(self._context.me, _stand(before))

    def forget(self, key: bytes, now: float) -> SupernodeRecord | None:
        """It is one no more; only a newer record brings it back. What was known of it is returned."""
        entry = self._table.get(key, EVER)
        if entry is None:
            return None
        self._leave(key, entry)
        self.moves.note(key, _stand(entry))
        self._table.remove(key, now)
        self._suspended.pop(key, None)
        return entry.record

    def trim(self, most: int, now: float) -> None:
        """Keep so many at random, rather those that stay."""
        keys = self.keys
        self._context.dice.shuffle(keys)
        keys.sort(key=lambda key: key not in self._retiring)
        for key in keys[: max(0, len(keys) - most)]:
            self.forget(key, now)

    def bury(self, key: bytes, now: float) -> bool:
        """It is dead, as far as we can see. Should it be heard of, `unbury` it."""
        record = self.forget(key, now)
        if record is None:
            return False
        if len(self._buried) >= BURIED:
            del self._buried[next(iter(self._buried))]
        self._buried[key] = record
        return True

    def unbury(self, key: bytes, now: float) -> bool:
        """It was heard of."""
        record = self._buried.pop(key, None) if self._buried else None
        if record is None or key in self._table or self._table.seq(key) > record.seq:
            return False
        self._table.forgive(key)
        self.put(record, now)
        return True

    def ids(self) -> list[bytes]:
        """Of all records, our own as well, sorted: what `reconcile` compares."""
        ids = [id_of(key, self._table.seq(key)) for key in self.keys]
        if self._own is not None:
            ids.append(id_of(self._context.me, self._own.record.seq))
        ids.sort()
        return ids

    def of_ids(self, ids: Iterable[bytes]) -> list[SupernodeRecord]:
        """The records that have these ids."""
        wanted = set(ids)
        own = [self._own.record] if self._own is not None else []
        records = [*own, *[entry.record for _, entry in self._table.items(EVER)]]
        return [one for one in records if id_of(one.peer.key, one.seq) in wanted]

    def wanted(self, ids: Iterable[bytes]) -> list[bytes]:
        """Those of them that would be news."""
        seqs = {key[:8]: seq for key, seq in self._table.seqs()}
        seqs[self._context.me[:8]] = 1 << 63
        return [one for one in ids if int.from_bytes(one[8:], "big") > seqs.get(one[:8], -1)]

    def end(self, key: bytes, seq: int, now: float) -> None:
        """Whatever it said up to `seq` is over."""
        self.forget(key, now)
        self._table.end(key, seq, now)

    def expire(self, now: float) -> bool:
        """Drop what has ended; in an open network move those whose week has turned. True if the ring is another."""
        over = list(self._table.ended(now))
        for key, entry in over:
            self._leave(key, entry)
            self.moves.note(key, _stand(entry))
        self._table.expire(now)
        if self._suspended:
            self._suspended = {key: ends for key, ends in self._suspended.items() if ends > now}
        day = int(self._context.wall() // 86_400.0)
        if not self._context.open or day == self._day:
            return bool(over)
        self._day = day
        return self._turn(now) or bool(over)

    def _turn(self, now: float) -> bool:
        entries = [entry for _, entry in self._table.items(now)]
        moved = False
        for entry in [*entries, *([self._own] if self._own is not None else [])]:
            place = self._place(entry.record)
            if place != entry.place:
                self._ring.remove(entry.place, entry.record.peer.key)
                self._ring.add(place, entry.record.peer.key)
                self.moves.note(entry.record.peer.key, _stand(entry))
                entry.place, moved = place, True
        self._near.clear()
        return moved

    def stands(self, key: bytes) -> Position | None:
        """Where that supernode stands, we ourselves as well; None when nothing may be stored there."""
        return _stand(self._own if key == self._context.me else self._table.get(key, EVER))

    def _place(self, record: SupernodeRecord) -> Position:
        context = self._context
        week = week_of(record.peer.key, context.wall()) if context.open else 0
        located = context.open and record.block not in NOWHERE
        return position(context.network, record.peer.key, record.block, record.slot, week, located)

    def _join(self, key: bytes, entry: Entry) -> None:
        self._ring.add(entry.place, key)
        self._blocks[entry.record.block] = self._blocks.get(entry.record.block, 0) + 1
        if entry.record.retiring:
            self._retiring.add(key)
        self._near.clear()

    def _leave(self, key: bytes, entry: Entry) -> None:
        self._ring.remove(entry.place, key)
        left = self._blocks.get(entry.record.block, 0) - 1
        if left > 0:
            self._blocks[entry.record.block] = left
        else:
            self._blocks.pop(entry.record.block, None)
        self._retiring.discard(key)
        self._near.clear()

    # -- choosing

    def suspend(self, key: bytes, now: float) -> bool:
        """It could not be reached. True if it is known at all."""
        if key in self._table:
            self._suspended[key] = now + SUSPENDED
            return True
        return False

    def revive(self, key: bytes) -> None:
        """It was heard of."""
        if self._suspended:
            self._suspended.pop(key, None)

    def suspended(self, key: bytes, now: float) -> bool:
        """Whether it could not be reached a moment ago."""
        return bool(self._suspended) and self._suspended.get(key, EVER) > now

    def retires(self, key: bytes) -> bool:
        """Whether it is about to lay the role down."""
        return key in self._retiring

    def alive(self, now: float) -> int:
        """Those that are not suspended or about to go, ourselves included."""
        gone = sum(self.suspended(key, now) for key in self._suspended)
        leaving = sum(not self.suspended(key, now) for key in self._retiring)
        return len(self._table) + (self._own is not None) - gone - leaving

    def near_and_far(
        self, count: int, now: float, leave_out: Sequence[bytes], links: Collection[bytes]
    ) -> list[PeerId]:
        """As `random`, all but one of those we are connected with, as far as there are any.

        Connections are a random graph themselves (HyParView), so that what goes along them gets everywhere, and a
        connection that is there costs no handshake. The one that is drawn from all mends what that graph leaves out.
        """
        out = set(leave_out)
        linked = sorted(
            key for key in links if key in self._table and key not in out and not self.suspended(key, now)
        )
        near = self._context.dice.sample(linked, min(count - 1, len(linked)))
        far = self.random(count - len(near), now, [*leave_out, *near])
        return [*(PeerId(key) for key in near), *far]

    def random(self, count: int, now: float, leave_out: Sequence[bytes]) -> list[PeerId]:
        """Others at random; suspended ones when there are not enough."""
        out, dice = set(leave_out), self._context.dice
        good = [key for key in self.keys if key not in out and not self.suspended(key, now)]
        chosen = dice.sample(good, min(count, len(good)))
        if len(chosen) < count and self._suspended:
            bad = [
                key for key in self._suspended if key in self._table and key not in out and key not in chosen
            ]
            chosen += dice.sample(bad, min(count - len(chosen), len(bad)))
        return [PeerId(key) for key in chosen]

    def nearest(self, key: bytes, count: int, storing: bool) -> list[PeerId]:
        """As `Directory.nearest`."""
        found = self._near.get((key, count, storing))
        if found is None:
            if len(self._near) >= CACHED:
                self._near.clear()
            found = self._near[key, count, storing] = [
                PeerId(one) for one in self._nearest(key, count, storing)
            ]
        return found

    def _nearest(self, key: bytes, count: int, storing: bool) -> list[bytes]:
        where = point(key)
        if not storing:
            return self._ring.nearest(where, count)
        keys = self._ring.nearest(where, count + len(self._retiring))
        keys = [one for one in keys if one not in self._retiring][:count]
        last = WHOLE * count // (len(self._ring) + 1)
        region = [one for one in self._ring.within(where, last) if one not in self._retiring]
        return region[: REGION_MOST * count] if len(region) > count else keys
