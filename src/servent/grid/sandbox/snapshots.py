"""A running "slice" module as a file: its memory, its globals, and what it saw of the world. Pure.

    "servent snapshot 1\\n"    digest, 32 bytes   length of the head, 4 bytes   head: MessagePack, see `Head`   body

The body has each page that is not all zero, in order: 4 bytes of length, and so many bytes, which are zlib of it where it is shorter than a page.

The state is that of WebAssembly and names nothing of the machine, so a snapshot taken on one goes on upon any other. The digest is the SHA-256 of
the head and each page that is not all zero, before they are packed: two runs that agree have the same one.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterator
from typing import Annotated

from msgspec import Meta, Struct

from servent.codec import Decoder, Hash, canonical
from servent.errors import BadMessage
from servent.grid.manifests import MEMORY_BYTES, PAGE

MAGIC = b"servent snapshot 1\n"
HEAD_BYTES = 512 * 1024  # 10,000 globals and the map of 65,536 pages
LEVEL = 1  # of zlib: 3 to 5 times as fast as the default, for a tenth more bytes
MOST_PAGES = MEMORY_BYTES // PAGE
PAGES_A_TICK = 64  # 4 MiB: some hundredths of a second
SAMPLE, WORTH = (
    4096,
    0.9,
)  # bytes of a page that are packed to see; and what is left of them where it is worth it
_ZERO = bytes(PAGE)


class Head(Struct, frozen=True, kw_only=True):
    """`module`: SHA-256 of its bytes. `unit`: SHA-256 of seed, arguments and input. `pages` of memory, and a bit for each that is not all zero.

    `globals`: the bytes of each mutable one, in the module's order. `clock`, `rolls`: see `wasi.World`.
    """

    module: Hash
    unit: Hash
    slices: Annotated[int, Meta(ge=0, le=2**40)]
    pages: Annotated[int, Meta(ge=0, le=MOST_PAGES)]
    filled: Annotated[bytes, Meta(max_length=MOST_PAGES // 8)]
    globals: Annotated[list[Annotated[bytes, Meta(min_length=4, max_length=16)]], Meta(max_length=10_000)]
    clock: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    rolls: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    fraction: Annotated[float, Meta(ge=0, le=1)] | None = None


_heads: Decoder[Head] = Decoder(Head, HEAD_BYTES)


def unit_of(seed: bytes, args: list[str], size: int, digest: bytes) -> bytes:
    """What a snapshot belongs to. `size`, `digest`: bytes and SHA-256 of the input."""
    return hashlib.sha256(b"servent grid snapshot\0" + canonical([seed, args, size, digest])).digest()


class TooLarge(Exception):
    """A snapshot has more bytes than its app may have."""


def pack(
    memory: memoryview,
    *,
    module: bytes,
    unit: bytes,
    slices: int,
    globals: list[bytes],
    clock: int,
    rolls: int,
    fraction: float | None,
    most: int,
    tick: Callable[[], None] = lambda: None,
) -> tuple[bytes, bytes]:
    """A snapshot file, and the digest of the state in it.

    Args:
        memory: the linear memory, whole pages. most: bytes that the file may have. tick: called now and then; what it raises comes out.

    Raises:
        TooLarge: see `most`.
    """
    pages = len(memory) // PAGE
    filled = bytearray((pages + 7) // 8)
    for page in range(pages):
        if page % PAGES_A_TICK == 0:
            tick()
        if memory[page * PAGE : (page + 1) * PAGE].tobytes() != _ZERO:  # faster than comparing views
            filled[page // 8] |= 1 << (page % 8)
    head = canonical(
        Head(
            module=module,
            unit=unit,
            slices=slices,
            pages=pages,
            filled=bytes(filled),
            globals=globals,
            clock=clock,
            rolls=rolls,
            fraction=fraction,
        )
    )
    digest = hashlib.sha256(head)
    parts = [MAGIC, bytes(32), len(head).to_bytes(4, "big"), head]
    size = sum(map(len, parts))
    for page in _bits(filled, pages):
        if page % PAGES_A_TICK == 0:
            tick()
        data = memory[page * PAGE : (page + 1) * PAGE]
        digest.update(data)
        packed = _packed(data)
        parts += [len(packed).to_bytes(4, "big"), packed]
        size += 4 + len(packed)
        if size > most:
            raise TooLarge(f"a snapshot would have more than the {most} bytes that its app allows")
    parts[1] = digest.digest()
    return b"".join(parts), parts[1]


def head_of(snapshot: bytes, *, module: bytes, unit: bytes, most_pages: int) -> Head:
    """The head, after it was found to belong to this module and this unit.

    Raises:
        BadMessage: damaged, of something else, or with more memory than `most_pages`.
    """
    head = _heads.decode(_split(snapshot)[1])
    if head.module != module:
        raise BadMessage("a snapshot of another module")
    if head.unit != unit:
        raise BadMessage("a snapshot of another unit")
    if head.pages > most_pages:
        raise BadMessage(f"a snapshot with {head.pages} pages of memory, where {most_pages} are allowed")
    if len(head.filled) != (head.pages + 7) // 8:
        raise BadMessage("a snapshot whose map does not fit its memory")
    return head


def unpack(snapshot: bytes, head: Head) -> Iterator[tuple[int, bytes]]:
    """Each page that is not all zero, with its number; never more than the head says. What came is good only when all did.

    Raises:
        BadMessage: damaged, or other than the head says.
    """
    said, packed_head, body = _split(snapshot)
    digest, at = hashlib.sha256(packed_head), 0
    for page in _bits(head.filled, head.pages):
        size = int.from_bytes(body[at : at + 4], "big")
        at += 4
        if size > PAGE or at + size > len(body):
            raise BadMessage("a snapshot that ends too early")
        data = bytes(body[at : at + size])
        at += size
        if size < PAGE:
            data = _unpacked(data)
        digest.update(data)
        yield page, data
    if at != len(body):
        raise BadMessage("a snapshot with more in it than it says")
    if digest.digest() != said:
        raise BadMessage("a damaged snapshot: its state is not what its digest says")


def digest_of(snapshot: bytes) -> bytes:
    """Of the state in it, as it says itself. Raises BadMessage."""
    return bytes(_split(snapshot)[0])


def _packed(page: memoryview) -> bytes:
    """Shorter than a page, or the page itself: numbers that look like noise take long to pack, and gain nothing."""
    if len(zlib.compress(page[:SAMPLE], LEVEL)) > SAMPLE * WORTH:
        return page.tobytes()
    packed = zlib.compress(page, LEVEL)
    return packed if len(packed) < PAGE else page.tobytes()


def _unpacked(packed: bytes) -> bytes:
    """A page. Never unpacks more. Raises BadMessage."""
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(packed, PAGE)
    except zlib.error as wrong:
        raise BadMessage(f"a damaged snapshot: {wrong}") from None
    if len(data) != PAGE or unpacker.decompress(unpacker.unconsumed_tail, 1):
        raise BadMessage("a snapshot with a page that is none")
    return data


def _split(snapshot: bytes) -> tuple[memoryview, memoryview, memoryview]:
    """(digest, head, body)."""
    view, at = memoryview(snapshot), len(MAGIC)
    begin = at + 32 + 4
    if bytes(view[:at]) != MAGIC or len(view) < begin:
        raise BadMessage("not a snapshot")
    size = int.from_bytes(view[begin - 4 : begin], "big")
    if size > HEAD_BYTES or begin + size > len(view):
        raise BadMessage("a snapshot whose head is longer than it may be")
    return view[at : at + 32], view[begin : begin + size], view[begin + size :]


def _bits(filled: bytes | bytearray, pages: int) -> Iterator[int]:
    for page in range(pages):
        if filled[page // 8] >> (page % 8) & 1:
            yield page
