"""Many messages in few bytes: runs of one author's chain under the signature of the last, in a page that is compressed. Pure.

What the receiver can work out is left out: digests of what came before, and the author and chain where it knows them by a
message before the run. A page is unpacked with a strict limit, decoded into columns, put together and checked run by run: a
run whose signature does not hold is worth nothing, and says who sent it.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta, Struct, structs

from servent.codec import Decoder, encode
from servent.errors import BadMessage
from servent.talk.log import Chain
from servent.talk.records import (
    MOST_LINKS,
    NONE,
    TEXT_BYTES,
    Body,
    Count,
    Digest,
    Message,
    MessageId,
    Seal,
    digest_of,
    link_of,
    signed_text,
    size_of,
)  # fmt: skip
from servent.trust.networks import Forged

MOST_MESSAGES = 1000  # of one page
PLAIN_BYTES = 256 * 1024  # of a page, unpacked; 80 of the longest messages
PACKED_BYTES = 224 * 1024  # of a page as it travels, and its signatures: a frame has 256 kB
TEXTS_BYTES = 192 * 1024  # after which a page is full
TAG_BYTES = 6  # of a chain: 2^47 tries for two of a room to look alike, which costs a second question

Tag = Annotated[bytes, Meta(min_length=TAG_BYTES, max_length=TAG_BYTES)]
Head = Annotated[
    bytes, Meta(min_length=TAG_BYTES, max_length=56)
]  # a tag; or author, epoch, digest of what is before
Small = Annotated[int, Meta(ge=-(1 << 48), le=1 << 48)]


class Page(Struct, frozen=True, array_like=True):
    """`packed`: zlib of `Columns`. `signatures`: 64 bytes for each run, in their order; they cannot be compressed."""

    packed: Annotated[bytes, Meta(max_length=PACKED_BYTES)]
    signatures: Annotated[bytes, Meta(max_length=64 * MOST_MESSAGES)]


class Columns(Struct, frozen=True, array_like=True):
    """A page by columns, messages in the order of their numbers.

    Attributes:
        runs: the tag (6 bytes) of a chain that the receiver knows; or the chain spelled out (56 bytes): author, epoch, and digest
            of the message before the run.
        places: of the first message of each run in its chain.
        whose: the run of each message.
        numbers: of each message, less that of the one before it.
        skews: its time less its number.
        texts: what it says.
        gone: by place: the hash of what was taken back.
        extras: by place: links, message answered, message taken back.
    """

    runs: Annotated[list[Head], Meta(max_length=MOST_MESSAGES)]
    places: Annotated[list[Count], Meta(max_length=MOST_MESSAGES)]
    whose: Annotated[list[Annotated[int, Meta(ge=0, lt=MOST_MESSAGES)]], Meta(max_length=MOST_MESSAGES)]
    numbers: Annotated[list[Small], Meta(max_length=MOST_MESSAGES)]
    skews: Annotated[list[Small], Meta(max_length=MOST_MESSAGES)]
    texts: Annotated[list[Annotated[str, Meta(max_length=TEXT_BYTES)]], Meta(max_length=MOST_MESSAGES)]
    gone: Annotated[dict[int, Digest], Meta(max_length=MOST_MESSAGES)] = {}
    extras: Annotated[
        dict[int, tuple[list[str], MessageId | None, MessageId | None]], Meta(max_length=MOST_MESSAGES)
    ] = {}


_columns: Decoder[Columns] = Decoder(Columns, PLAIN_BYTES)


def tag_of(chain: Chain) -> bytes:
    """Six bytes that stand for a chain."""
    return hashlib.sha256(b"servent/talk chain/1\0" + chain[0] + chain[1]).digest()[:TAG_BYTES]


def pack(runs: Sequence[Sequence[Message]], known: Callable[[Chain, int], bool]) -> Page:
    """Runs, each ending with a signed message.

    Args:
        known: whether the receiver has what comes before that place in that chain.
    """
    heads: list[bytes] = []
    ordered = sorted(
        ((message.number, at, message) for at, run in enumerate(runs) for message in run),
        key=lambda one: one[:2],
    )
    for run in runs:
        first = run[0]
        chain = first.author, first.epoch
        short = first.seq > 1 and known(chain, first.seq)
        heads.append(tag_of(chain) if short else b"".join((*chain, first.before)))
    numbers, skews, texts = [], [], []
    extras: dict[int, tuple[list[str], bytes | None, bytes | None]] = {}
    gone: dict[int, bytes] = {}
    before = 0
    for place, (number, _, message) in enumerate(ordered):
        numbers.append(number - before)
        skews.append(message.time - number)
        before, body = number, message.body
        texts.append(body.text if isinstance(body, Body) else "")
        if not isinstance(body, Body):
            gone[place] = body
        links, reply = (body.links, body.reply_to) if isinstance(body, Body) else ([], None)
        if links or reply is not None or message.takes is not None:
            extras[place] = (links, reply, message.takes)
    places = [run[0].seq for run in runs]
    columns = Columns(heads, places, [at for _, at, _ in ordered], numbers, skews, texts, gone, extras)
    return Page(zlib.compress(encode(columns), 9), b"".join(run[-1].signature for run in runs))


@dataclass(slots=True)
class Unpacked:
    """What a page held.

    Attributes:
        runs: checked, each with the digests of its messages.
        strange: tags of chains that are not known here, to be spelled out the next time.
    """

    runs: list[list[tuple[Message, bytes]]] = field(default_factory=list)
    strange: list[bytes] = field(default_factory=list)


def unpack(page: Page, room: bytes, chains: Mapping[bytes, Chain], link: Callable[[Chain, int], bytes | None], seal: Seal) -> Unpacked:  # fmt: skip
    """Args:
    chains: known ones, by tag.
    link: of the message before that place in that chain, where it is known.

    Raises:
        BadMessage: it does not unpack into what it should be. Forged: a run that its author did not sign.
    """
    columns = _columns.decode(_inflated(page.packed))
    count = len(columns.whose)
    if not count == len(columns.numbers) == len(columns.skews) == len(columns.texts):
        raise BadMessage("a page whose columns differ in length")
    if not len(page.signatures) == 64 * len(columns.runs) == 64 * len(columns.places):
        raise BadMessage("a page with other signatures than runs")
    if any(not 0 <= place < count for place in (*columns.extras, *columns.gone)):
        raise BadMessage("a page with more extras than messages")
    parts: list[list[tuple[int, int]]] = [[] for _ in columns.runs]
    number = 0
    for place, (whose, delta) in enumerate(zip(columns.whose, columns.numbers, strict=True)):
        number += delta
        if whose >= len(parts) or not 0 < number < 1 << 48:
            raise BadMessage("a page with a message of no run, or no time")
        parts[whose].append((place, number))
    found = Unpacked()
    here: dict[bytes, Chain] = {}
    links: dict[tuple[Chain, int], bytes] = {}  # of what stood in this page already
    for at, (head, seq, part) in enumerate(zip(columns.runs, columns.places, parts, strict=True)):
        if not part:
            raise BadMessage("a page with an empty run")
        if len(head) == TAG_BYTES:
            chain = here.get(head) or chains.get(head)
            before = (links.get((chain, seq)) or link(chain, seq)) if chain is not None else None
            if chain is None or before is None:
                found.strange.append(head)
                continue
        elif len(head) != 56:
            raise BadMessage("a page with half of a chain's name")
        else:
            chain, before = (head[:32], head[32:40]), head[40:]
            if seq == 1 and before != NONE:
                raise BadMessage("a first message that follows another")
        run = _rebuilt(room, chain, seq, before, part, columns)
        message, digest = run[-1]
        signature = page.signatures[64 * at : 64 * at + 64]
        if not seal.holds(chain[0], signature, signed_text(digest)):
            raise Forged("messages that their author did not sign")
        run[-1] = structs.replace(message, signature=signature), digest
        here[tag_of(chain)] = chain
        links[chain, message.seq + 1] = link_of(digest)
        found.runs.append(run)
    return found


def _rebuilt(
    room: bytes, chain: Chain, seq: int, before: bytes, part: Iterable[tuple[int, int]], columns: Columns
) -> list[tuple[Message, bytes]]:
    run = []
    for place, number in part:
        text, time = columns.texts[place], number + columns.skews[place]
        links, reply, takes = columns.extras.get(place, ([], None, None))
        body: Body | bytes = columns.gone[place] if place in columns.gone else Body(text, links, reply)
        if time < 0 or len(links) > MOST_LINKS or (isinstance(body, Body) and size_of(body) > TEXT_BYTES):
            raise BadMessage("a message beyond its limits")
        message = Message(room, chain[0], chain[1], seq, before, number, time, body, takes)
        digest = digest_of(message)
        run.append((message, digest))
        seq, before = seq + 1, link_of(digest)
    return run


def _inflated(packed: bytes) -> bytes:
    """Never more than `PLAIN_BYTES`, however small it came."""
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(packed, PLAIN_BYTES + 1)
    except zlib.error as wrong:
        raise BadMessage(f"a page that cannot be unpacked: {wrong}") from wrong
    if len(plain) > PLAIN_BYTES:
        raise BadMessage(f"a page that unpacks to more than {PLAIN_BYTES} bytes")
    if not inflate.eof or inflate.unused_data:
        raise BadMessage("a page that ends too soon, or goes on after its end")
    return plain
