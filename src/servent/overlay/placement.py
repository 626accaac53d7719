"""Where a record lives: which supernodes are nearest to a term. Pure. One rule for all modes.

Positions lie on a ring of 256 bits and are compared by XOR, as in Kademlia (Maymounkov and Mazieres 2002). In a network that
is open a supernode cannot choose its position: it follows from its address block and the week. Where an
invitation is needed keys are not free, and the position follows from the key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from heapq import nsmallest
from ipaddress import IPv4Address, IPv6Address, ip_address

STORED = 3  # supernodes a posting is stored at
ASKED = 2  # of these asked; the third on a timeout or when they disagree
MOST_TERMS = 8  # of one item that are keyed
KEY_BYTES = 16
WEEK = 7 * 86_400.0
CACHED = 16_384  # terms and keys remembered: 4 MB; a miss costs a microsecond

Position = int


@lru_cache(CACHED)
def key_of(network: bytes, term: str) -> bytes:
    """Under what a term is stored. Only this leaves a peer, never the term."""
    return hashlib.sha256(b"servent/term/1\0" + network + term.encode()).digest()[:KEY_BYTES]


def content_key(network: bytes, content: bytes) -> bytes:
    """Under what those who have a content are stored."""
    return hashlib.sha256(b"servent/content/1\0" + network + content).digest()[:KEY_BYTES]


def peer_key(network: bytes, peer: bytes) -> bytes:
    """Under what a peer's record is stored."""
    return hashlib.sha256(b"servent/peer/1\0" + network + peer).digest()[:KEY_BYTES]


@lru_cache(CACHED)
def point(key: bytes) -> Position:
    """The ring position of a 16-byte key."""
    return int.from_bytes(hashlib.sha256(b"servent/point/1\0" + key).digest(), "big")


@lru_cache(65_536)
def position(network: bytes, key: bytes, block: str, slot: int, week: int, open: bool) -> Position:
    """Where a supernode stands on the ring of `network`.

    Args:
        block: its address block (`block_of`); counts in an open network only.
        week: number of the week, `week_of`; counts in an open network only.
    """
    what = f"{week} {block} {slot}".encode() if open else bytes(key)
    return int.from_bytes(hashlib.sha256(b"servent/position/1\0" + network + what).digest(), "big")


def week_of(key: bytes, wall: float) -> int:
    """The number of the week for this key: weeks begin on a day that follows from it, so that not all move at once."""
    return int((wall + key[0] % 7 * 86_400.0) // WEEK)


def block_of(address: str) -> str:
    """The address block of "ip:port" or an IP: a /24, a /48, "private" for what is not routed, "" for no address."""
    text = address.rpartition(":")[0].strip("[]") if address.count(":") != 0 else address
    try:
        host: IPv4Address | IPv6Address = ip_address(text or address)
    except ValueError:
        return ""
    if isinstance(host, IPv6Address) and host.ipv4_mapped is not None:
        host = host.ipv4_mapped
    if not host.is_global:
        return "private"
    parts = host.packed[:3] if host.version == 4 else host.packed[:6]
    return f"{host.version}:{parts.hex()}"


def wide_block(block: str) -> str:
    """The /16 or /32 that a block of `block_of` lies in."""
    version, _, parts = block.partition(":")
    return f"{version}:{parts[:4] if version == '4' else parts[:8]}" if parts else block


def nearest(where: Position, ring: Iterable[tuple[Position, bytes]], count: int) -> list[bytes]:
    """The `count` keys of `ring` whose positions are XOR-nearest to `where`, nearest first."""
    return [key for _, key in nsmallest(count, ((place ^ where, key) for place, key in ring))]
