"""What we publish, as signed batches. Pure.

An item stays in its batch, and a batch in its slot, so that a change signs again, and sends again, only the batches it
touches. A batch is signed when somebody asks for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

from servent.codec import canonical
from servent.overlay.records import (
    BATCH_BYTES,
    HASH_BYTES,
    ITEM_LIFETIME,
    ITEMS_IN_BATCH,
    Batch,
    Item,
    Seal,
    Slice,
    hash_of,
    next_seq,
    signed,
)

SLOTS = 1024
HEAD_BYTES = 512  # of a frame with a batch, beside its items: keys, signature, envelope
PLACE_BYTES = HASH_BYTES + 2 + 2  # of an item in its batch, beside itself: hash, number of its place
SPARSE = 2  # times as many batches as the items need, and the smallest are dissolved
RENEWED = 0.5  # of its lifetime after which a batch is signed anew


class _Slot:
    """One batch: its items in the order of their places, by hash."""

    __slots__ = ("bytes", "items", "renew", "seq", "signed", "told")

    def __init__(self) -> None:
        self.items: dict[bytes, tuple[Item, int]] = {}
        self.bytes = HEAD_BYTES
        self.seq = 0
        self.renew = 0.0
        self.signed: Batch | None = None
        self.told: dict[bytes, Item] | None = None


class Batches:
    """The items of one publisher. Times are seconds on the caller's clock.

    Args:
        wall: the wall clock, for numbers that go up over restarts.
        spread: a number from 0.9 to 1.1: how much later or sooner a batch is renewed, so that not all are at once.
    """

    def __init__(
        self,
        network: bytes,
        publisher: bytes,
        seal: Seal,
        wall: Callable[[], float],
        spread: Callable[[], float] = lambda: 1.0,
        lifetime: int = ITEM_LIFETIME,
    ) -> None:
        self._network, self._publisher, self._seal = network, bytes(publisher), seal
        self._wall, self._spread, self._lifetime = wall, spread, lifetime
        self._slots: dict[int, _Slot] = {}
        self._where: dict[bytes, int] = {}  # hash of an item: its slot
        self._seq = 0
        self._digest: bytes | None = None
        self._renewal: float | None = None

    def __len__(self) -> int:
        """Items published."""
        return len(self._where)

    def take(self, items: Iterable[Item], most: int, now: float) -> set[int]:
        """These are all we publish now, the first `most` of them. Returns the slots that changed."""
        wanted: dict[bytes, tuple[Item, int]] = {}
        for item in items:
            if len(wanted) >= most:
                break
            body = canonical(item)
            wanted[hash_of(body)] = (item, len(body) + PLACE_BYTES)
        touched = {self._remove(short) for short in [one for one in self._where if one not in wanted]}
        new = {short: one for short, one in wanted.items() if short not in self._where}
        touched |= self._dissolve(new)
        touched |= self._place(new, touched)
        for slot in touched:
            self._change(slot, now)
        if touched:
            self._changed()
        return touched

    def renew(self, now: float) -> set[int]:
        """Number again what is due; withdrawn batches are forgotten instead. Returns the slots that changed."""
        due = {slot for slot, one in self._slots.items() if one.renew <= now}
        for slot in due:
            if self._slots[slot].items:
                self._change(slot, now, renewed=True)
            else:
                del self._slots[slot]
        self._changed()
        return due

    def renewal(self) -> float | None:
        """When `renew` has something to do."""
        return self._renewal

    def listed(self) -> list[tuple[int, int]]:
        """(slot, seq) of every batch, withdrawn ones among them for as long as the one before may be remembered."""
        return sorted((slot, one.seq) for slot, one in self._slots.items())

    def digest(self) -> bytes:
        """Of that list: 16 bytes."""
        if self._digest is None:
            self._digest = digest_of(self.listed())
        return self._digest

    def seq(self, slot: int) -> int | None:
        one = self._slots.get(slot)
        return one.seq if one is not None else None

    def count(self, slot: int) -> int:
        """Items in a slot."""
        one = self._slots.get(slot)
        return len(one.items) if one is not None else 0

    def slice(self, slot: int) -> Slice | None:
        """The batch of a slot with all its items, signed; None when there is none."""
        one = self._slots.get(slot)
        if one is None:
            return None
        if one.signed is None:
            batch = Batch(self._publisher, slot, one.seq, self._lifetime, list(one.items))
            one.signed = signed(self._network, batch, self._seal)
        assert one.signed is not None
        return Slice(one.signed, {place: item for place, (item, _) in enumerate(one.items.values())})

    def slots(self) -> Iterator[int]:
        return iter(self._slots)

    def difference(self, slot: int) -> tuple[set[bytes] | None, list[Item]]:
        """What is in a slot that was not when this was asked last, as hashes, and what is there no more.

        None for all: it was never asked, or not since `retell`. Nothing of both: the batch was only renewed.
        """
        one = self._slots[slot]
        told, one.told = one.told, {short: item for short, (item, _) in one.items.items()}
        if told is None:
            return None, []
        gone = [item for short, item in told.items() if short not in one.told]
        return {short for short in one.told if short not in told}, gone

    def retell(self) -> None:
        """All of it is new to whoever asks for a difference next."""
        for one in self._slots.values():
            one.told = None

    # -- inside

    def _remove(self, short: bytes) -> int:
        slot = self._where.pop(short)
        one = self._slots[slot]
        one.bytes -= one.items.pop(short)[1]
        return slot

    def _dissolve(self, new: dict[bytes, tuple[Item, int]]) -> set[int]:
        """Batches that have become too small give their items to others."""
        left = sorted((len(one.items), slot) for slot, one in self._slots.items() if one.items)
        needed = (len(self._where) + len(new)) // ITEMS_IN_BATCH + 1
        touched: set[int] = set()
        while len(left) > SPARSE * needed:
            _, slot = left.pop(0)
            for short, one in list(self._slots[slot].items.items()):
                self._remove(short)
                new[short] = one
            touched.add(slot)
        return touched

    def _place(self, new: dict[bytes, tuple[Item, int]], touched: set[int]) -> set[int]:
        """Into batches that are signed again anyway, then into those with room, then into new ones."""
        if not new:
            return set()
        room = [slot for slot in sorted(self._slots, key=lambda one: (one not in touched, one))]
        used: set[int] = set()
        free = (slot for slot in range(SLOTS) if slot not in self._slots)
        for short, (item, size) in new.items():
            while room and not self._fits(room[0], size):
                room.pop(0)
            if not room:
                slot = next(free, None)
                if slot is None:
                    break
                self._slots[slot] = _Slot()
                room.append(slot)
            one = self._slots[room[0]]
            one.items[short] = (item, size)
            one.bytes += size
            self._where[short] = room[0]
            used.add(room[0])
        return used

    def _fits(self, slot: int, size: int) -> bool:
        one = self._slots[slot]
        return len(one.items) < ITEMS_IN_BATCH and one.bytes + size <= BATCH_BYTES

    def _change(self, slot: int, now: float, renewed: bool = False) -> None:
        """Number it anew. Only a renewal moves the next one: keyed supernodes hear of a change as far as it matters to them."""
        one = self._slots[slot]
        self._seq = one.seq = next_seq(self._seq, self._wall())
        one.signed = None
        if not one.items:
            one.renew = now + self._lifetime
        elif renewed or one.renew == 0.0 or one.renew > now + self._lifetime * RENEWED * 1.1:
            one.renew = now + RENEWED * self._lifetime * self._spread()

    def _changed(self) -> None:
        self._digest = None
        self._renewal = min((one.renew for one in self._slots.values()), default=None)


def digest_of(listed: Iterable[tuple[int, int]]) -> bytes:
    """What stands for a sorted list of (slot, seq): 16 bytes; the same at a leaf and at its home."""
    return hashlib.sha256(b"servent/batches/1\0" + canonical(list(listed))).digest()[:HASH_BYTES]
