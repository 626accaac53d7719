"""What a relay keeps for those who want to be found: signed items by key, the newest of each. A core: no I/O, no clock.

Nothing is stored before its signature holds. Bounded in number and bytes; when it is full, the oldest item of that part of
the internet goes which has the most here, so that nobody with many keys drives out the others.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Literal

from servent.errors import BadMessage
from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.net import pkarr

KEEP = 3 * 3600.0  # s; owners publish again at least hourly, so who is kept is there
RECORDS = 20_000
RECORD_COST = 450  # bytes of Python beside each item (measured: 442, each from another block)
BYTES = 16 * 1024 * 1024
KEY_RATE, KEY_BURST = 1 / 10, 10.0  # PUTs of one key per second: who moves often may say so
PUT_RATE, PUT_BURST = 2.0, 60.0  # of one /24 or /56, wrong ones included
GET_RATE, GET_BURST = 20.0, 300.0
BUCKETS = 8192  # blocks and keys whose rates are remembered

PutAnswer = Literal["stored", "older", "forged", "malformed", "too large", "too many", "not allowed"]


@dataclass(slots=True)
class _Kept:
    seq: int
    body: bytes
    block: str
    until: float


class PkarrStore:
    """`put` and `get`; times are seconds on the caller's monotonic clock.

    Args:
        records, size: most items, and most bytes with what they cost beside themselves.
        allow: whether something may be kept for a key.
    """

    def __init__(
        self,
        records: int = RECORDS,
        size: int = BYTES,
        *,
        allow: Callable[[PeerId], bool] = lambda key: True,
    ) -> None:
        self._most, self._most_bytes, self._allow = records, size, allow
        self._kept: OrderedDict[PeerId, _Kept] = OrderedDict()  # the one stored longest ago first
        self._blocks: dict[str, OrderedDict[PeerId, None]] = {}
        self._levels: dict[int, dict[str, None]] = {}  # blocks by how many items they have
        self._top = 0  # the most that any block has
        self._bytes = 0
        self._puts: OrderedDict[str, TokenBucket] = OrderedDict()
        self._gets: OrderedDict[str, TokenBucket] = OrderedDict()
        self._keys: OrderedDict[str, TokenBucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes_kept(self) -> int:
        """What the items take, roughly."""
        return self._bytes

    def put(self, key: PeerId, body: bytes, address: str, now: float) -> PutAnswer:
        """Keep `body` (64 bytes of signature, 8 of seq, the value) under `key`, if it is newer than what is here."""
        block = block_of(address)
        if not _allowed(self._puts, block, PUT_RATE, PUT_BURST, now):
            return "too many"
        if len(body) > pkarr.HEAD_BYTES + pkarr.VALUE_MOST:
            return "too large"
        if len(body) < pkarr.HEAD_BYTES:
            return "malformed"
        try:
            found = pkarr.open_item(key, body)
        except BadMessage:
            return "forged"
        if not self._allow(key):
            return "not allowed"
        kept = self._fresh(key, now)
        if kept is not None and found.seq < kept.seq:
            return "older"
        if kept is not None and found.seq == kept.seq and kept.body != body:
            return "older"  # two values under one number: the first stays
        # only now, or anybody could use up what belongs to this key
        if not _allowed(self._keys, str(key), KEY_RATE, KEY_BURST, now):
            return "too many"
        self._drop(key)
        self._keep(key, _Kept(found.seq, bytes(body), block, now + KEEP))
        while len(self._kept) > self._most or self._bytes > self._most_bytes:
            self._evict(now)
        return "stored"

    def get(self, key: PeerId, address: str, now: float) -> bytes | Literal["too many"] | None:
        """The item of `key` as it was put; None: there is none."""
        if not _allowed(self._gets, block_of(address), GET_RATE, GET_BURST, now):
            return "too many"
        kept = self._fresh(key, now)
        return None if kept is None else kept.body

    def _fresh(self, key: PeerId, now: float) -> _Kept | None:
        kept = self._kept.get(key)
        if kept is not None and kept.until <= now:
            self._drop(key)
            return None
        return kept

    def _keep(self, key: PeerId, kept: _Kept) -> None:
        self._kept[key] = kept
        self._blocks.setdefault(kept.block, OrderedDict())[key] = None
        self._bytes += len(kept.body) + RECORD_COST
        self._moved(kept.block, -1)

    def _drop(self, key: PeerId) -> None:
        kept = self._kept.pop(key, None)
        if kept is None:
            return
        block = self._blocks[kept.block]
        del block[key]
        self._bytes -= len(kept.body) + RECORD_COST
        self._moved(kept.block, 1)
        if not block:
            del self._blocks[kept.block]

    def _moved(self, block: str, before: int) -> None:
        """`block` has one item more or less; it had `before` more than now."""
        count = len(self._blocks[block])
        level = self._levels.get(count + before)
        if level is not None:
            level.pop(block, None)
            if not level:
                del self._levels[count + before]
        if count:
            self._levels.setdefault(count, {})[block] = None
        self._top = max(self._top, count)
        if self._top and self._top not in self._levels:
            self._top -= 1  # counts move by one, so the next level is the one below

    def _evict(self, now: float) -> None:
        oldest = next(iter(self._kept))
        if self._kept[oldest].until > now:
            oldest = next(iter(self._blocks[next(iter(self._levels[self._top]))]))
        self._drop(oldest)


def block_of(address: str) -> str:
    """The part of the internet that is counted as one: an IPv4 /24, an IPv6 /56."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is None:
            return f"{IPv6Address(int(ip) >> 72 << 72)}/56"
        ip = ip.ipv4_mapped
    return ".".join(str(ip).split(".")[:3])


def _allowed(
    buckets: OrderedDict[str, TokenBucket], name: str, rate: float, burst: float, now: float
) -> bool:
    """At the most BUCKETS are remembered, those used last."""
    bucket = buckets.pop(name, None) or TokenBucket(rate, burst)
    buckets[name] = bucket
    if len(buckets) > BUCKETS:
        buckets.popitem(last=False)
    return bucket.allow(1, now)
