"""Frames: how one msgspec Struct becomes bytes on a stream, and back.

A frame is a 4-byte big-endian length and that many bytes of MessagePack. The length is checked before
anything is read or allocated, and the bytes are decoded once, strictly, into a Struct whose types carry
every other limit.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Generic, Protocol, TypeVar

import msgspec
from msgspec import Meta

from servent.errors import BadMessage

T = TypeVar("T")

HEADER_BYTES = 4
MAX_FRAME_BYTES = 64 * 1024  # default; a room that needs more says so where it reads

Key = Annotated[bytes, Meta(min_length=32, max_length=32)]  # an Ed25519 public key
Hash = Annotated[bytes, Meta(min_length=32, max_length=32)]  # SHA-256
Signature = Annotated[bytes, Meta(min_length=64, max_length=64)]  # Ed25519, RFC 8032
Name = Annotated[str, Meta(min_length=1, max_length=64)]  # what a person typed
Address = Annotated[str, Meta(min_length=3, max_length=64)]  # "192.0.2.1:443" or "[2001:db8::1]:443"
Url = Annotated[str, Meta(min_length=8, max_length=256)]


def _plain(value: Any) -> bytes:
    """msgspec encodes no subclass of bytes, such as a `PeerId`, by itself."""
    if isinstance(value, bytes):
        return bytes(value)
    raise TypeError(f"{type(value).__name__} cannot be encoded")


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_canonical = msgspec.msgpack.Encoder(enc_hook=_plain, order="deterministic")


class ReadableStream(Protocol):
    async def read_exactly(self, size: int) -> bytes: ...


class WritableStream(Protocol):
    async def write(self, data: bytes | bytearray | memoryview) -> None: ...


def encode(message: msgspec.Struct) -> bytes:
    """MessagePack without the length."""
    return _encoder.encode(message)


def canonical(value: Any) -> bytes:
    """Deterministic MessagePack, for bytes that are signed or hashed."""
    return _canonical.encode(value)


def frame(message: msgspec.Struct) -> bytes:
    """`message` with its length in front, ready for a stream."""
    body = _encoder.encode(message)
    return len(body).to_bytes(HEADER_BYTES, "big") + body


class Decoder(Generic[T]):
    """Decodes bytes from outside into `kind`, or raises BadMessage; never anything else.

    Args:
        kind: a Struct, or a union of tagged Structs.
        limit_bytes: longest accepted body.
    """

    def __init__(self, kind: Any, limit_bytes: int = MAX_FRAME_BYTES) -> None:
        self._decoder = msgspec.msgpack.Decoder(kind)
        self.limit_bytes = limit_bytes
        self._what = getattr(kind, "__name__", "message")

    def decode(self, body: bytes | memoryview) -> T:
        """One body, without its length.

        Raises:
            BadMessage: too long, malformed, or outside the limits of its type.
        """
        if len(body) > self.limit_bytes:
            raise BadMessage(f"{self._what} of {len(body)} bytes, over the limit of {self.limit_bytes}")
        try:
            return self._decoder.decode(body)  # type: ignore[no-any-return]
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError, OverflowError) as wrong:
            raise BadMessage(f"{self._what} does not decode: {str(wrong)[:200]}") from wrong

    async def read(self, stream: ReadableStream) -> T:
        """The next frame of `stream`.

        Raises:
            BadMessage: as `decode`; the length is checked before the body is read.
            ConnectionLost: the stream ended or broke, also between two frames.
        """
        size = int.from_bytes(await stream.read_exactly(HEADER_BYTES), "big")
        if size > self.limit_bytes:
            raise BadMessage(f"{self._what} of {size} bytes, over the limit of {self.limit_bytes}")
        return self.decode(await stream.read_exactly(size))


def plainly(wrong: Exception) -> str:
    """What a decoding error of msgspec says of a value that a person typed: "link is empty"."""
    said, _, place = str(wrong).partition(" - at `$")
    name = place.strip(".`") or "it"
    expected = re.fullmatch(
        r"Expected `(?P<type>\w+)`(?: of length)?(?: (?P<sign><=|>=) (?P<limit>-?[\d.]+))?(?:, got `.*`)?",
        said,
    )
    if expected is None:
        return f"{name}: {said}" if place else said
    type_, sign, limit = expected.group("type", "sign", "limit")
    if type_ == "str" and sign:
        few = "is empty" if limit == "1" else f"has fewer than {limit} characters"
        return f"{name} {few if sign == '>=' else f'has more than {limit} characters'}"
    if sign:
        return f"{name} is {'below' if sign == '>=' else 'above'} {limit}"
    wanted = {
        "bool": "true or false",
        "int": "a whole number",
        "float": "a number",
        "str": "text",
        "array": "a list",
    }
    return f"{name} wants {wanted.get(type_, type_)}"


async def write_frame(stream: WritableStream, message: msgspec.Struct) -> None:
    """Send one frame; returns when flow control took it."""
    await stream.write(frame(message))
