"""What a node and its reader processes say to each other: frames of MessagePack over pipes, each a list. Pure.

Both ends are this program in the same version; nothing here comes from a peer.
"""

from __future__ import annotations

from msgspec import Raw, Struct, msgpack

from servent.identity import PeerId
from servent.overlay.records import Item
from servent.query.language import Query

LENGTH_BYTES = 4
Findings = list[tuple[PeerId, Item]]


class Ask(Struct, frozen=True, array_like=True):
    """One question: `terms` to be counted, or else what `items_find.find` takes."""

    number: int
    network: bytes
    limit: int = 0
    query: Query | None = None
    keys: list[bytes] = []
    content: bytes | None = None
    terms: list[str] | None = None


class Told(Struct, frozen=True, array_like=True):
    """Its answer: rows of (publisher, item) and whether there is more; or counts and how many there are at all.

    `wrong`: it could not be answered, and why.
    """

    number: int
    rows: Raw = Raw(b"\x90")
    more: bool = False
    counts: list[int] = []
    total: int = 0
    wrong: str = ""


_encoder = msgpack.Encoder()
asks = msgpack.Decoder(list[Ask])
tolds = msgpack.Decoder(list[Told])
_rows = msgpack.Decoder(list[tuple[bytes, Item]])


def frame(some: list[Ask] | list[Told]) -> bytes:
    """A list with its length in front."""
    body = _encoder.encode(some)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def rows_of(rows: list[tuple[bytes, bytes]]) -> bytes:
    """Rows as they are told: stored items are MessagePack already."""
    return _encoder.encode([(publisher, Raw(body)) for publisher, body in rows])


def findings(rows: bytes | Raw) -> Findings:
    """What `rows_of` made."""
    return [(PeerId(publisher), item) for publisher, item in _rows.decode(rows)]


class Frames:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that are whole now."""
        self._bytes += data
        whole = []
        at, length = 0, len(self._bytes)
        while length - at >= LENGTH_BYTES:
            end = at + LENGTH_BYTES + int.from_bytes(self._bytes[at : at + LENGTH_BYTES], "big")
            if end > length:
                break
            whole.append(bytes(self._bytes[at + LENGTH_BYTES : end]))
            at = end
        del self._bytes[:at]
        return whole
