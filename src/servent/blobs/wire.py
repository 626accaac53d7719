"""Every message of the service `servent.blobs/1`. Sizes and ranges stand in the types.

A stream of this service begins with one `Opening`: `Want` makes it the control stream of one collection
between two peers, `Lane` makes it a data lane. The same lane messages run over the TLS socket of the bulk
lane. Whoever fetches is D, whoever serves is S; each side may be both, on streams of its own.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from servent.codec import Decoder, Hash

SERVICE = "servent.blobs/1"
GRANT = "servent.blobs"

CONTROL_BYTES = 16 * 1024  # limit for a frame of a control stream
LANE_BYTES = 256  # limit for a frame of a lane
MOST_ROOTS = 256  # piece layers in one request
MOST_RUNS = 512  # runs of new pieces in one Has
MOST_ASKS = 512  # asks one lane may owe; more is a fault
MOST_LAYER_BYTES = 64 * 1024 * 1024  # of all layers in one answer
MOST_ASK_PIECES = 4096

Piece = Annotated[int, Meta(ge=0, le=1 << 24)]
Count = Annotated[int, Meta(ge=1, le=1 << 24)]
AskId = Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]
AskCount = Annotated[int, Meta(ge=1, le=MOST_ASK_PIECES)]
Text = Annotated[str, Meta(max_length=200)]
Token = Annotated[bytes, Meta(min_length=32, max_length=32)]
Kind = Literal["info", "layers", "have"]


class Want(Struct, frozen=True, tag="want"):
    """D, first on a control stream: I fetch this collection. Answered by `Offer` or `Refuse`."""

    infohash: Hash


class Lane(Struct, frozen=True, tag="lane"):
    """D, first on a data lane. `token` came over the control stream; a wrong one closes the lane.

    On a QUIC stream it is the key of `Slot`, on the TLS socket a `Token`, which is good for one use.
    """

    token: Token


class Offer(Struct, frozen=True, tag="offer"):
    """S: I serve it to you. `complete`: I have every piece; else ask with `GetHave`, and `Has` will follow."""

    complete: bool
    info_bytes: Annotated[int, Meta(ge=0, le=1 << 25)]


class Refuse(Struct, frozen=True, tag="refuse"):
    """S, instead of `Offer`, in the same words whether it does not have it or does not give it to you.

    `retry_after`: seconds; None: no use. The stream ends.
    """

    reason: Text
    retry_after: Annotated[float, Meta(ge=0, le=86400)] | None = None


class GetInfo(Struct, frozen=True, tag="get-info"):
    """D: send the info dictionary. Answered by `Body` or `Missing`."""


class GetLayers(Struct, frozen=True, tag="get-layers"):
    """D: send these piece layers, one after the other in this order. Answered by `Body` or `Missing`."""

    roots: Annotated[list[Hash], Meta(min_length=1, max_length=MOST_ROOTS)]


class GetHave(Struct, frozen=True, tag="get-have"):
    """D, once it knows how many pieces there are. Answered by `Body`: a bit field as in BEP 3."""


class Body(Struct, frozen=True, tag="body"):
    """S: `size` raw bytes follow this frame. D checks `size` against what it may be before it reads them."""

    kind: Kind
    size: Annotated[int, Meta(ge=0, le=MOST_LAYER_BYTES)]


class Missing(Struct, frozen=True, tag="missing"):
    """S: I do not have that (yet)."""

    kind: Kind


class Has(Struct, frozen=True, tag="has"):
    """S, a few times a second while it fetches itself: (first, how many) of pieces it has got. Not answered."""

    runs: Annotated[list[tuple[Piece, Count]], Meta(max_length=MOST_RUNS)]


class Interested(Struct, frozen=True, tag="interested"):
    """D: I want a slot (true), or no longer (false). Answered by `Slot` or `Queued`, sooner or later by `Slot`."""

    yes: bool


class Slot(Struct, frozen=True, tag="slot"):
    """S: ask now. `key` opens QUIC lanes of this peer for this collection until `Queued` takes it back."""

    key: Token


class Queued(Struct, frozen=True, tag="queued"):
    """S: wait. Sent again whenever the place changes. `reason` is a sentence."""

    position: Annotated[int, Meta(ge=1, le=1 << 20)]
    length: Annotated[int, Meta(ge=1, le=1 << 20)]
    reason: Text


class GetToken(Struct, frozen=True, tag="get-token"):
    """D: I want to open a bulk lane. Answered by `BulkToken`; without a slot, once there is one."""


class BulkToken(Struct, frozen=True, tag="bulk-token"):
    """S: good for one `Lane` on the TLS socket, for 30 s."""

    token: Token


class Bye(Struct, frozen=True, tag="bye"):
    """Either side: this collection is over between us. The stream ends."""

    reason: Text = ""


class Ask(Struct, frozen=True, tag="ask"):
    """D: send `count` pieces from `first`. Answered by `Give`s and `Deny`s that cover it, in any order."""

    id: AskId
    first: Piece
    count: AskCount


class Forget(Struct, frozen=True, tag="forget"):
    """D: what is left of this ask need not be sent. Answered by `Deny` unless it was all sent."""

    id: AskId


class Give(Struct, frozen=True, tag="give"):
    """S: `size` raw bytes follow, `count` whole pieces of ask `id` from `first` on."""

    id: AskId
    first: Piece
    count: AskCount
    size: Annotated[int, Meta(ge=1, le=1 << 32)]


class Deny(Struct, frozen=True, tag="deny"):
    """S: these pieces of ask `id` will not come. "gone": nor later; "queued": no slot; "forgotten": you said so."""

    id: AskId
    first: Piece
    count: AskCount
    why: Literal["gone", "queued", "forgotten"]


Opening = Want | Lane
FromServer = Offer | Refuse | Body | Missing | Has | Slot | Queued | BulkToken | Bye
FromFetcher = GetInfo | GetLayers | GetHave | Interested | GetToken | Bye
ToLane = Ask | Forget
FromLane = Give | Deny

read_opening: Decoder[Opening] = Decoder(Opening, LANE_BYTES)
read_from_server: Decoder[FromServer] = Decoder(FromServer, CONTROL_BYTES)
read_from_fetcher: Decoder[FromFetcher] = Decoder(FromFetcher, CONTROL_BYTES)
read_to_lane: Decoder[ToLane] = Decoder(ToLane, LANE_BYTES)
read_from_lane: Decoder[FromLane] = Decoder(FromLane, LANE_BYTES)
read_lane: Decoder[Lane] = Decoder(Lane, LANE_BYTES)
