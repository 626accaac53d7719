"""The messages of `servent.content/1`: serve me what you have of a collection. One question, one answer a stream."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from servent.codec import Decoder, Hash

SERVICE = "servent.content/1"
MOST_BYTES = 1024 * 1024  # of a question
MOST_PARTS = 20_000  # files of one question; 42 bytes each

Size = Annotated[int, Meta(ge=1, le=2**53)]


class Assemble(Struct, frozen=True, tag="assemble"):
    """Fetcher: of the collection `infohash`, these are the files that are not empty, in order, as (pieces root, size).

    No names: who is asked learns no more than the hashes. Answered by `Assembled`.
    """

    infohash: Hash
    piece_length: Annotated[int, Meta(ge=16 * 1024, le=64 * 1024 * 1024)]
    parts: Annotated[list[tuple[Hash, Size]], Meta(min_length=1, max_length=MOST_PARTS)]


class Assembled(Struct, frozen=True, tag="assembled"):
    """I serve you so many pieces of it through `servent.blobs/1`, for a while. 0 in the same words for "I have none"
    and "none for you".
    """

    pieces: Annotated[int, Meta(ge=0, le=1 << 24)]


read_assemble: Decoder[Assemble] = Decoder(Assemble, MOST_BYTES)
read_assembled: Decoder[Assembled] = Decoder(Assembled, 256)
