"""Signed packets that say where a peer is, as pkarr and iroh write them: BEP 44 items with a DNS answer as their value. Pure.

The value is a DNS message (id 0, flags 0x8000) with one TXT record each for `relay=<url>`, `addr=<ip:port>` and
`user-data=…` at `_iroh.<the key in z-base-32>`. Over HTTP an item travels as signature ‖ seq ‖ value. Ours say in their
user data when they were made, so that what different stores number differently can still be put in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from servent.errors import BadMessage
from servent.identity import SIGNATURE_BYTES, Identity, PeerId
from servent.net.book import usable, usable_relay
from servent.net.links import PeerAddress
from servent.net.rendezvous import Found

VALUE_MOST = 1000  # bytes; BEP 44
HEAD_BYTES = SIGNATURE_BYTES + 8  # before the value, over HTTP
ITEM_MOST = HEAD_BYTES + VALUE_MOST + 32  # 1104 bytes, pkarr's own limit, its key included
TTL = 30  # s; iroh's
SEQ_MOST = (1 << 63) - 1
ADDRESSES_MOST = 16  # taken of a packet; what links.PeerAddress carries
RECORDS_MOST = 64  # a packet of 1000 bytes holds fewer that say anything
JUMPS_MOST = 16  # of one compressed name
USER_DATA_MOST = 245  # bytes; iroh's
_HEADER = 12
_TXT, _IN = 16, 1
_MADE = "servent:"  # in front of the number in our user data


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What a packet says.

    Attributes:
        made: the number that a servent gave it, microseconds of its clock; None: of another program.
    """

    address: PeerAddress
    made: int | None = None


def signing_text(seq: int, value: bytes, salt: bytes = b"") -> bytes:
    """What is signed of an item (BEP 44)."""
    salted = b"4:salt%d:%b" % (len(salt), salt) if salt else b""
    return b"%b3:seqi%de1:v%d:%b" % (salted, seq, len(value), value)


def close_item(identity: Identity, seq: int, value: bytes) -> bytes:
    """An item as it travels over HTTP."""
    if not 0 <= seq <= SEQ_MOST or len(value) > VALUE_MOST:
        raise ValueError(f"an item of {len(value)} bytes with the number {seq}")
    return identity.sign(signing_text(seq, value)) + seq.to_bytes(8, "big") + value


def open_item(key: PeerId, body: bytes) -> Found:
    """What came over HTTP as the item of `key`.

    Raises:
        BadMessage: too short or too long, or not signed by `key`.
    """
    if not HEAD_BYTES <= len(body) <= HEAD_BYTES + VALUE_MOST:
        raise BadMessage(f"a signed item of {len(body)} bytes")
    seq = int.from_bytes(body[SIGNATURE_BYTES:HEAD_BYTES], "big")
    value = bytes(body[HEAD_BYTES:])
    if seq > SEQ_MOST:
        raise BadMessage("a signed item with an impossible number")
    if not key.verify(body[:SIGNATURE_BYTES], signing_text(seq, value)):
        raise BadMessage(f"an item that {key.short} did not sign")
    return Found(key, seq, value)


def pack(address: PeerAddress, made: int, most: int = VALUE_MOST) -> bytes:
    """The DNS message for `address`, at most `most` bytes: addresses that do not fit are left out, the last first."""
    texts = [f"user-data={_MADE}{made}"]
    if address.relay is not None:
        texts.insert(0, f"relay={address.relay}")
    texts += [f"addr={text}" for text in address.addresses[:ADDRESSES_MOST]]
    name = _labels("_iroh", str(address.peer))
    body, count = b"", 0
    for text in texts:
        said = text.encode("ascii")
        strings = b"".join(bytes((len(part),)) + part for part in _cut(said))
        # the name stands once; later records point at it, as in iroh's own packets
        where = name if not count else (0xC000 | _HEADER).to_bytes(2, "big")
        head = where + _TXT.to_bytes(2, "big") + _IN.to_bytes(2, "big") + TTL.to_bytes(4, "big")
        record = head + len(strings).to_bytes(2, "big") + strings
        if _HEADER + len(body) + len(record) > most:
            break
        body += record
        count += 1
    return b"\0\0\x80\0\0\0" + count.to_bytes(2, "big") + b"\0\0\0\0" + body


def read(key: PeerId, value: bytes) -> Whereabouts:
    """What a packet under `key` says of where that peer is; records for other purposes are passed over.

    Raises:
        BadMessage: no DNS answer.
    """
    relay: str | None = None
    made: int | None = None
    addresses: list[str] = []
    for text in _texts(value, ("_iroh", str(key))):
        what, equals, said = text.partition("=")
        if not equals:
            continue
        if what == "relay" and relay is None:
            relay = usable_relay(said)
        elif what == "addr":  # one each today, several with spaces between them in older ones
            addresses += [one for one in said.split(" ") if len(one) <= 64]
        elif what == "user-data" and len(said) <= USER_DATA_MOST and made is None:
            made = _number(said)
    return Whereabouts(PeerAddress(key, relay, tuple(usable(addresses)[:ADDRESSES_MOST])), made)


def _number(said: str) -> int | None:
    digits = said.removeprefix(_MADE)
    if digits == said or not (digits.isascii() and digits.isdigit()) or len(digits) > 19:
        return None
    number = int(digits)
    return number if number <= SEQ_MOST else None


def _labels(*labels: str) -> bytes:
    return b"".join(bytes((len(one),)) + one.encode("ascii") for one in labels) + b"\0"


def _cut(said: bytes) -> Iterator[bytes]:
    """A TXT record's strings have at most 255 bytes each."""
    for start in range(0, len(said), 255):
        yield said[start : start + 255]


def _texts(value: bytes, name: tuple[str, str]) -> list[str]:
    """The TXT records at `name`, in order."""
    if not _HEADER <= len(value) <= VALUE_MOST:
        raise BadMessage(f"a DNS message of {len(value)} bytes")
    flags = int.from_bytes(value[2:4], "big")
    questions, answers = int.from_bytes(value[4:6], "big"), int.from_bytes(value[6:8], "big")
    if not flags & 0x8000 or questions or answers > RECORDS_MOST:
        raise BadMessage("no DNS answer")
    found, at = [], _HEADER
    for _ in range(answers):
        owner, at = _name(value, at)
        if at + 10 > len(value):
            raise BadMessage("a DNS message that is cut off")
        kind, group = int.from_bytes(value[at : at + 2], "big"), int.from_bytes(value[at + 2 : at + 4], "big")
        size = int.from_bytes(value[at + 8 : at + 10], "big")
        at += 10
        if at + size > len(value):
            raise BadMessage("a DNS message that is cut off")
        if kind == _TXT and group & 0x7FFF == _IN and owner == name:
            found.append(_text(value[at : at + size]))
        at += size
    return found


def _text(data: bytes) -> str:
    """The strings of one TXT record, put together."""
    parts, at = [], 0
    while at < len(data):
        end = at + 1 + data[at]
        if end > len(data):
            raise BadMessage("a TXT record that is cut off")
        parts.append(data[at + 1 : end])
        at = end
    try:
        return b"".join(parts).decode("ascii")
    except UnicodeDecodeError:
        return ""  # nothing that we look for


def _name(value: bytes, at: int) -> tuple[tuple[str, ...], int]:
    """The labels of the name at `at` in lower case, and where it ends. Pointers lead back only (RFC 1035, 4.1.4)."""
    labels: list[str] = []
    end, size = -1, 0
    for _ in range(JUMPS_MOST + 128):
        if at >= len(value):
            raise BadMessage("a DNS name that is cut off")
        length = value[at]
        if length >= 0xC0:
            if at + 2 > len(value):
                raise BadMessage("a DNS name that is cut off")
            target = int.from_bytes(value[at : at + 2], "big") & 0x3FFF
            if target >= at or target < _HEADER:
                raise BadMessage("a DNS name that leads in a circle")
            end = at + 2 if end < 0 else end
            at = target
        elif length > 63:
            raise BadMessage("a DNS name of an unknown kind")
        elif not length:
            return tuple(labels), at + 1 if end < 0 else end
        else:
            size += length + 1
            if size > 254 or at + 1 + length > len(value):
                raise BadMessage("a DNS name that is too long")
            labels.append(value[at + 1 : at + 1 + length].decode("latin-1").lower())
            at += 1 + length
    raise BadMessage("a DNS name that leads in a circle")
