"""What stands at a network's meeting point: up to twelve of its supernodes, and where they are. Pure.

Members write it in turns, so that one of them does so about every 17 minutes however many they are. Nobody vouches for what
is in it but that a member wrote it: entries are places to knock at, and the key that answers is proven there.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from servent.codec import Decoder, Key, Url, canonical
from servent.errors import BadMessage
from servent.identity import PeerId
from servent.net.book import usable, usable_relay
from servent.net.links import PeerAddress

if TYPE_CHECKING:
    import random

STANDS_MOST = 12
ADDRESSES_MOST = 3  # of each
LIFETIME = 7200.0  # s that an entry of ourselves counts; Mainline nodes forget as soon
OTHERS_LIFETIME = 3600.0  # s, of a supernode that we know to be there
SKEW = 300.0  # s by which clocks may differ
WRITE_EVERY = 1050.0  # s between two writes to one network, on average over all its writers
FEW = 3  # entries below which anybody who finds it so writes
_EPOCH = 1_700_000_000  # times are counted from here, which saves a byte


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a supernode may be, until `expires` (seconds of the wall clock)."""

    address: PeerAddress
    expires: float

    @property
    def peer(self) -> PeerId:
        return self.address.peer


class _Entry(Struct, frozen=True, array_like=True):
    key: Key
    expires: Annotated[int, Meta(ge=0, le=1 << 40)]  # s since _EPOCH
    relay: Annotated[int, Meta(ge=0, le=STANDS_MOST)]  # number in `relays` from 1 on; 0: none
    four: Annotated[bytes, Meta(max_length=6 * ADDRESSES_MOST)] = b""  # IPv4, 6 bytes each
    six: Annotated[bytes, Meta(max_length=18 * ADDRESSES_MOST)] = b""


class _Board(Struct, frozen=True, array_like=True):
    """Relays stand once, since many share them."""

    entries: Annotated[list[_Entry], Meta(max_length=STANDS_MOST)]
    relays: Annotated[list[Url], Meta(max_length=STANDS_MOST)] = []


_boards: Decoder[_Board] = Decoder(_Board, 1000)


def encode(stands: Sequence[Stand], most: int) -> bytes:
    """As many of `stands`, from the first on, as fit into `most` bytes."""
    entries: list[_Entry] = []
    relays: list[str] = []
    body = canonical(_Board([], []))
    for stand in stands[:STANDS_MOST]:
        relay = usable_relay(stand.address.relay)
        known = list(relays)
        if relay is not None and relay not in known:
            known.append(relay)
        addresses = usable(stand.address.addresses)[:ADDRESSES_MOST]
        entry = _Entry(
            bytes(stand.peer),
            max(0, int(stand.expires) - _EPOCH),
            0 if relay is None else known.index(relay) + 1,
            b"".join(_packed(text) for text in addresses if text[:1] != "["),
            b"".join(_packed(text) for text in addresses if text[:1] == "["),
        )
        longer = canonical(_Board([*entries, entry], known))
        if len(longer) <= most:
            entries.append(entry)
            relays, body = known, longer
    return body


def decode(plain: bytes, wall: float) -> list[Stand]:
    """What a member wrote, without what has expired, or claims to live far too long.

    Raises:
        BadMessage: it makes no sense.
    """
    board = _boards.decode(plain)
    found: dict[PeerId, Stand] = {}
    for entry in board.entries:
        if len(entry.four) % 6 or len(entry.six) % 18 or entry.relay > len(board.relays):
            raise BadMessage("a meeting point with broken addresses")
        expires = float(entry.expires + _EPOCH)
        if not wall - SKEW < expires < wall + LIFETIME + SKEW:
            continue
        texts = [_text(entry.four[at : at + 6]) for at in range(0, len(entry.four), 6)]
        texts += [_text(entry.six[at : at + 18]) for at in range(0, len(entry.six), 18)]
        relay = usable_relay(board.relays[entry.relay - 1]) if entry.relay else None
        address = PeerAddress(PeerId(entry.key), relay, tuple(usable(texts)))
        if relay is not None or address.addresses:
            found[address.peer] = Stand(address, expires)
    return list(found.values())


def merge(
    mine: Stand | None, known: Iterable[Stand], there: Iterable[Stand], dice: random.Random
) -> list[Stand]:
    """What is to stand there: ourselves, and of the others those that live longest; who is known to us beats hearsay."""
    others: dict[PeerId, Stand] = {}
    for stand in (*there, *known):
        others[stand.peer] = stand
    if mine is not None:
        others.pop(mine.peer, None)
    chosen = list(others.values())
    dice.shuffle(chosen)
    chosen.sort(key=lambda stand: -stand.expires // 600)  # within ten minutes all are alike
    return ([mine] if mine is not None else []) + chosen[: STANDS_MOST - (mine is not None)]


def turn(writers: int, since: float, dice: random.Random) -> bool:
    """Whether, after `since` more seconds, it is the turn of one out of `writers`, who all ask so and know nothing of each other."""
    return dice.random() < min(1.0, since / (WRITE_EVERY * max(1, writers)))


def wanting(there: Sequence[Stand], mine: Stand, writers: int) -> bool:
    """Whether what stands there is to be written anew though it is nobody's turn: too little, or ourselves at a place we left."""
    ours = next((stand for stand in there if stand.peer == mine.peer), None)
    if ours is not None:
        return not set(mine.address.addresses) & set(ours.address.addresses) and (
            ours.address.relay != mine.address.relay or mine.address.relay is None
        )
    return len(there) < min(FEW, max(1, writers))


def _packed(text: str) -> bytes:
    host, _, port = text.rpartition(":")
    return ipaddress.ip_address(host.strip("[]")).packed + int(port).to_bytes(2, "big")


def _text(packed: bytes) -> str:
    ip, port = ipaddress.ip_address(packed[:-2]), int.from_bytes(packed[-2:], "big")
    return f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"
