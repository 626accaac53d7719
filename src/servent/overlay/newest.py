"""The newest of what each key has said, for as long as it lives. Pure.

The sequence number orders what one key says; it is no time. How long a record lives counts from when it was first
seen here, so that neither a wrong clock of its author nor a replay makes it live longer.
"""

from __future__ import annotations

from collections.abc import Iterator, KeysView
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")


class Newest(Generic[T]):
    """At most `most` values; when full, one of the oldest goes, which may come again. Times are seconds on the caller's clock.

    What has ended is remembered by its number for as long again, so that its replay is not taken for new.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[bytes, tuple[int, float, T]] = {}  # in the order in which they came
        self._gone: dict[bytes, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: bytes) -> bool:
        return key in self._kept

    def keys(self) -> KeysView[bytes]:
        """Whose values are kept, ended or not."""
        return self._kept.keys()

    def items(self, now: float) -> Iterator[tuple[bytes, T]]:
        return ((key, value) for key, (_, ends, value) in self._kept.items() if ends > now)

    def ended(self, now: float) -> Iterator[tuple[bytes, T]]:
        """What `expire` is about to drop."""
        return ((key, value) for key, (_, ends, value) in self._kept.items() if ends <= now)

    def newer(self, key: bytes, seq: int, now: float) -> bool:
        """Whether `put` would take it: ask before a signature is checked."""
        kept = self._kept.get(key)
        if kept is not None:
            return seq > kept[0]
        gone = self._gone.get(key)
        return gone is None or seq > gone[0]

    def put(self, key: bytes, seq: int, lifetime: float, value: T, now: float) -> bool:
        """True if it is new."""
        if not self.newer(key, seq, now):
            return False
        self._kept.pop(key, None)
        self._gone.pop(key, None)
        if len(self._kept) >= self._most:
            self._evict()
        self._kept[key] = (seq, now + lifetime, value)
        return True

    def get(self, key: bytes, now: float) -> T | None:
        kept = self._kept.get(key)
        return kept[2] if kept is not None and kept[1] > now else None

    def ends(self, key: bytes) -> float:
        """When what is kept of `key` ends; 0 when nothing is."""
        kept = self._kept.get(key)
        return kept[1] if kept is not None else 0.0

    def seq(self, key: bytes) -> int:
        """The highest number seen of `key`; 0 for none."""
        kept = self._kept.get(key)
        return kept[0] if kept is not None else self._gone.get(key, (0, 0.0))[0]

    def remove(self, key: bytes, now: float) -> None:
        """It is over; only a higher number brings it back."""
        if key in self._kept:
            self._drop(key, now)

    def end(self, key: bytes, seq: int, now: float) -> bool:
        """Whatever `key` said up to `seq` is over, known here or not. True if that is news."""
        if seq < self.seq(key):
            return False
        known = self._kept.pop(key, None) is not None
        if not known and seq <= self._gone.get(key, (-1, 0.0))[0]:
            return False
        self._remember(key, seq, now)
        return True

    def forgive(self, key: bytes) -> None:
        """It was taken for over by mistake: its last value may come again."""
        self._gone.pop(key, None)

    def seqs(self) -> Iterator[tuple[bytes, int]]:
        """The highest number seen of every key, of those that are over as well."""
        yield from ((key, gone[0]) for key, gone in self._gone.items())
        yield from ((key, kept[0]) for key, kept in self._kept.items())

    def values(self, now: float) -> Iterator[T]:
        return (value for _, ends, value in self._kept.values() if ends > now)

    def expire(self, now: float) -> list[bytes]:
        """Drop what has ended; call it now and then. Returns whose it was."""
        over = [key for key, (_, ends, _) in self._kept.items() if ends <= now]
        for key in over:
            self._drop(key, now)
        self._gone = {key: gone for key, gone in self._gone.items() if gone[1] > now}
        return over

    def _evict(self) -> None:
        key = min(islice(self._kept, 16), key=lambda one: self._kept[one][1])
        seq, ends, _ = self._kept.pop(key)
        self._remember(key, seq - 1, ends)

    def _drop(self, key: bytes, now: float) -> None:
        seq, ends, _ = self._kept.pop(key)
        self._remember(key, seq, max(now, ends))

    def _remember(self, key: bytes, seq: int, ended: float) -> None:
        if len(self._gone) >= 2 * self._most:
            del self._gone[next(iter(self._gone))]
        self._gone[key] = (seq, ended + 3600.0)
