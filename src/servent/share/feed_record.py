"""What a publisher signs: the newest version of a feed, and the link by which it is followed. Pure.

A record is a mutable item of BEP 44: the publisher's Ed25519 key, the feed's name as salt, a sequence number and a
value, signed as that BEP says, so that later the very same bytes can lie in the Mainline DHT. The value is a
dictionary with the infohash as in BEP 46 (`ih`, 20 bytes: BEP 52 infohashes are cut to 20 there) and ours beside it.
A link is a magnet link as in BEP 46: `magnet:?xs=urn:btpk:<key>&s=<salt>`, both in hexadecimal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, quote

from servent.blobs import bencode
from servent.errors import BadMessage, UsageError
from servent.identity import Identity, PeerId

MOST_SALT = 64  # bytes, BEP 44
MOST_VALUE = 1000  # bytes, bencoded, BEP 44
MOST_RECORD = 1400  # bytes of a whole record
MOST_SEQUENCE = 2**53
MOST_LINK = 16384
MOST_CONTACTS = 8
_ADVICE = (
    "A feed's link looks like magnet:?xs=urn:btpk:<64 hex digits>&s=<name>; `servent feeds` shows yours."
)


class Record(NamedTuple):
    """One version of a feed. `published` is Unix time by the publisher's clock; `files`, `size`: what it says it is."""

    publisher: PeerId
    name: str
    sequence: int
    infohash: bytes
    size: int
    files: int
    published: int
    signature: bytes

    @property
    def key(self) -> tuple[PeerId, str]:
        """Which feed this is a version of."""
        return self.publisher, self.name


class FeedLink(NamedTuple):
    """`contacts`: servent tickets of peers who may know more, unread."""

    publisher: PeerId
    name: str
    contacts: tuple[str, ...] = ()


def salt_of(name: str) -> bytes:
    """A feed's name as bytes. Raises UsageError: empty, too long, or with control characters."""
    salt = name.encode()
    if not 0 < len(salt) <= MOST_SALT or not name.isprintable():
        raise UsageError(
            f"{name[:70]!r} cannot be the name of a feed",
            advice=f"1 to {MOST_SALT} bytes of UTF-8 without control characters.",
        )
    return salt


def _value(infohash: bytes, size: int, files: int, published: int) -> bytes:
    return bencode.encode({b"i2": infohash, b"ih": infohash[:20], b"n": files, b"s": size, b"t": published})


def _signed(salt: bytes, sequence: int, value: bytes) -> bytes:
    """What the signature covers, exactly as in BEP 44."""
    return b"4:salt" + bencode.string(salt) + b"3:seqi%de1:v" % sequence + value


def sign(
    identity: Identity, name: str, sequence: int, infohash: bytes, *, size: int, files: int, published: int
) -> Record:
    """A new version of our own feed."""
    value = _value(infohash, size, files, published)
    signature = identity.sign(_signed(salt_of(name), sequence, value))
    return Record(identity.peer, name, sequence, infohash, size, files, published, signature)


def encode(record: Record) -> bytes:
    """The whole item, bencoded: k, salt, seq, sig, v."""
    value = _value(record.infohash, record.size, record.files, record.published)
    return (
        b"d1:k"
        + bencode.string(bytes(record.publisher))
        + b"4:salt"
        + bencode.string(salt_of(record.name))
        + b"3:seqi%de3:sig" % record.sequence
        + bencode.string(record.signature)
        + b"1:v"
        + value
        + b"e"
    )


def decode(data: bytes) -> Record:
    """A record from outside, its signature checked.

    Raises:
        BadMessage: anything about it is not as `encode` makes it.
    """
    if len(data) > MOST_RECORD:
        raise BadMessage(f"a feed's record of {len(data)} bytes")
    item = bencode.decode(data, MOST_RECORD)
    if not isinstance(item, dict) or set(item) != {b"k", b"salt", b"seq", b"sig", b"v"}:
        raise BadMessage("a feed's record without its fields")
    key, salt, sequence, signature, value = item[b"k"], item[b"salt"], item[b"seq"], item[b"sig"], item[b"v"]
    if not isinstance(value, dict) or set(value) != {b"i2", b"ih", b"n", b"s", b"t"}:
        raise BadMessage("a feed's record without its value")
    infohash = value[b"i2"]
    if (
        not isinstance(key, bytes)
        or len(key) != 32
        or not isinstance(salt, bytes)
        or not isinstance(signature, bytes)
        or len(signature) != 64
        or not isinstance(infohash, bytes)
        or len(infohash) != 32
        or value[b"ih"] != infohash[:20]
    ):
        raise BadMessage("a feed's record with fields of the wrong kind")
    numbers = [sequence, value[b"s"], value[b"n"], value[b"t"]]
    for number in numbers:
        if not isinstance(number, int) or not 0 <= number <= MOST_SEQUENCE:
            raise BadMessage("a feed's record with a number out of range")
    try:
        name = salt.decode()
        salt_of(name)
        publisher = PeerId(key)
    except (UnicodeDecodeError, UsageError, ValueError) as wrong:
        raise BadMessage("a feed's record with a name or key that cannot be") from wrong
    sequence, size, files, published = (int(number) for number in numbers if isinstance(number, int))
    record = Record(publisher, name, sequence, infohash, size, files, published, signature)
    content = _value(infohash, size, files, published)
    if sequence < 1 or len(content) > MOST_VALUE:
        raise BadMessage("a feed's record with a number out of range")
    if encode(record) != data:
        raise BadMessage("a feed's record that is not in its one form")
    if not publisher.verify(signature, _signed(salt, sequence, content)):
        raise BadMessage("a feed's record with a false signature")
    return record


def link(publisher: PeerId, name: str, contacts: Sequence[str] = ()) -> str:
    """One line of ASCII to follow a feed by."""
    parts = [
        f"magnet:?xs=urn:btpk:{bytes(publisher).hex()}",
        f"s={salt_of(name).hex()}",
        f"dn={quote(name, safe='')}",
    ]
    parts += [f"x.sv={quote(contact, safe=':')}" for contact in contacts[:MOST_CONTACTS]]
    return "&".join(parts)


def parse_link(text: str) -> FeedLink:
    """Read a feed's link. Raises UsageError."""
    text = text.strip()
    scheme, _, query = text.partition("?")
    if len(text) > MOST_LINK or scheme.lower() != "magnet:":
        raise UsageError(f"{text[:70]!r} is no link of a feed", advice=_ADVICE)
    try:
        fields = parse_qsl(query, max_num_fields=100, errors="strict")
        keys = [value.lower().removeprefix("urn:btpk:") for key, value in fields if key.lower() == "xs"]
        salts = [value for key, value in fields if key.lower() == "s"]
        if len(keys) != 1 or len(salts) != 1:
            raise UsageError("this link names no feed", advice=_ADVICE)
        publisher, name = PeerId(bytes.fromhex(keys[0])), bytes.fromhex(salts[0]).decode()
        salt_of(name)
    except (ValueError, UnicodeDecodeError) as wrong:
        raise UsageError(f"a damaged link of a feed: {wrong}", advice=_ADVICE) from wrong
    contacts = [value for key, value in fields if key.lower() == "x.sv" and len(value) <= 2048]
    return FeedLink(publisher, name, tuple(contacts[:MOST_CONTACTS]))
