"""A state on its way to somebody: canonical bytes of a frame that is final, cut into pieces, vouched for by a hash. Pure.

An `Offer` says how many bytes come and what their SHA-256 is; the receiver decides by it whether it wants them, before it holds
any. Pieces may come in any order and from several places. Nothing is unpacked before the whole of it has the hash.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Annotated

from msgspec import Meta, Struct

from servent.codec import Decoder, Hash, canonical
from servent.errors import BadMessage
from servent.play.states import MOST_STATE, State, pack, unpack
from servent.play.wire import MAX_FRAME

PIECE = 16 * 1024  # bytes; a frame of a stream takes 64 KiB, and a slow line is not held for long
MOST_PIECE_FRAME = PIECE + 64  # with what stands around it

AnyFrame = Annotated[int, Meta(ge=0, lt=MAX_FRAME)]


class Offer(Struct, frozen=True, tag="offer"):
    """The state of `frame` has `size` bytes with this SHA-256; they follow as `Piece`s."""

    frame: AnyFrame
    size: Annotated[int, Meta(ge=1, le=MOST_STATE)]
    hash: Hash

    @property
    def pieces(self) -> int:
        """How many they are."""
        return (self.size + PIECE - 1) // PIECE


class Piece(Struct, frozen=True, tag="piece"):
    """The bytes from `index` times 16 KiB on: 16 KiB, the last piece what is left."""

    index: Annotated[int, Meta(ge=0, lt=MOST_STATE // PIECE)]
    data: Annotated[bytes, Meta(min_length=1, max_length=PIECE)]


_pieces: Decoder[Offer | Piece] = Decoder(Offer | Piece, MOST_PIECE_FRAME)


def read(data: bytes) -> Offer | Piece:
    """One message of a snapshot. Raises BadMessage."""
    return _pieces.decode(data)


class Snapshot:
    """The state of a final frame, to be handed on.

    Args:
        floats: whether the game's states may hold floats.
    """

    def __init__(self, state: State, frame: int, *, floats: bool = False) -> None:
        """Raises NotPlain: the state has no bytes, or more than 4 MiB of them."""
        self.data = pack(state, floats=floats)
        self.offer = Offer(frame, len(self.data), sha256(self.data).digest())

    def messages(self) -> Iterator[Offer | Piece]:
        """The offer, then all pieces."""
        yield self.offer
        for index in range(self.offer.pieces):
            yield Piece(index, self.data[index * PIECE : (index + 1) * PIECE])

    def written(self) -> list[bytes]:
        """`messages` in bytes."""
        return [canonical(one) for one in self.messages()]


class Gathering:
    """The pieces of one offer as they come. Holds never more bytes than were offered."""

    def __init__(self, offer: Offer, most: int = MOST_STATE) -> None:
        """Raises BadMessage: more than `most` bytes are offered."""
        if offer.size > most:
            raise BadMessage(f"a snapshot of {offer.size} bytes, over the limit of {most}")
        self.offer = offer
        self._pieces: dict[int, bytes] = {}

    @property
    def whole(self) -> bool:
        return len(self._pieces) == self.offer.pieces

    def add(self, piece: Piece) -> None:
        """One piece came; one that is there already is passed over.

        Raises:
            BadMessage: there is no such piece, or it has another size.
        """
        if piece.index >= self.offer.pieces:
            raise BadMessage(f"piece {piece.index} of a snapshot of {self.offer.pieces}")
        wanted = min(PIECE, self.offer.size - piece.index * PIECE)
        if len(piece.data) != wanted:
            raise BadMessage(f"a piece of a snapshot has {len(piece.data)} bytes where {wanted} belong")
        self._pieces.setdefault(piece.index, piece.data)

    def state(self, *, floats: bool = False) -> State:
        """What was sent, once it is `whole`.

        Raises:
            BadMessage: pieces are missing, the bytes are not those that were offered, or they are no state.
        """
        if not self.whole:
            raise BadMessage(f"{self.offer.pieces - len(self._pieces)} pieces of a snapshot are missing")
        data = b"".join(self._pieces[index] for index in range(self.offer.pieces))
        if sha256(data).digest() != self.offer.hash:
            raise BadMessage("a snapshot is not what was offered")
        return unpack(data, floats=floats)
