"""Every message of the service `servent.wishes/1`: queries that stay, and what comes up for them. Pure.

One stream for each pair of peers, open as long as somebody has wishes. What lies in folders that the asker may not
see does not exist here either.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from servent.codec import Decoder
from servent.share.wire import MOST_BATCH, Hit

SERVICE = "servent.wishes/1"
MOST_KEPT = 50  # queries a peer keeps for one other
ASK_BYTES = 4 * 1024
TELL_BYTES = 64 * 1024

WishId = Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]


class Watch(Struct, frozen=True, tag="watch"):
    """Asker: tell me what answers this query, now and whenever something new does. Answered by `Watching`, then `Matches`."""

    id: WishId
    text: Annotated[str, Meta(min_length=1, max_length=500)]


class Unwatch(Struct, frozen=True, tag="unwatch"):
    """Asker: not any more. Not answered."""

    id: WishId


class Watching(Struct, frozen=True, tag="watching"):
    """Answerer: it is kept, or (`kept` false) not: too many, or a query that is none here."""

    id: WishId
    kept: bool


class Matches(Struct, frozen=True, tag="matches"):
    """Answerer, whenever there is something that it did not tell on this stream before."""

    id: WishId
    hits: Annotated[list[Hit], Meta(min_length=1, max_length=MOST_BATCH)]


read_ask: Decoder[Watch | Unwatch] = Decoder(Watch | Unwatch, ASK_BYTES)
read_told: Decoder[Watching | Matches] = Decoder(Watching | Matches, TELL_BYTES)
