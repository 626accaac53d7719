"""Every message of a hand-over by spoken code, and of the service `servent.meet/1` that lets two meet. Pure.

R, the receiver, says the code; S, the sender, made it. The talk runs over one stream: of a connection to the place that
the number stands for (ALPN `servent-code/1`), or through a peer that both are connected to.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from servent.codec import Address, Decoder, Hash, Key, Url
from servent.share.pake import MESSAGE_BYTES

ALPN = b"servent-code/1"
MEET = "servent.meet/1"
FRAME_BYTES = 8 * 1024
SEALED_BYTES = 6 * 1024
MEET_BYTES = 256

Tag = Annotated[bytes, Meta(min_length=16, max_length=16)]
Proof = Annotated[bytes, Meta(min_length=32, max_length=32)]
Pake = Annotated[bytes, Meta(min_length=MESSAGE_BYTES, max_length=MESSAGE_BYTES)]
Text = Annotated[str, Meta(max_length=255)]
Size = Annotated[int, Meta(ge=0, le=2**63 - 1)]
No = Literal["wrong", "used", "busy"]


class Begin(Struct, frozen=True, tag="begin"):
    """R, first on a talk: my half of the key agreement. Answered by `Answer` or `Denied`. `session` names this run."""

    session: Tag
    nonce: Tag
    pake: Pake


class Answer(Struct, frozen=True, tag="answer"):
    """S: my half. Answered by `Confirm`."""

    nonce: Tag
    pake: Pake


class Confirm(Struct, frozen=True, tag="confirm"):
    """R, then S: we have the same key. R goes first: until then S has shown nothing that a guess could be tried on."""

    proof: Proof


class Again(Struct, frozen=True, tag="again"):
    """R, first on a new stream after the old one broke: we have a key already. Answered by `Welcome` or `Denied`."""

    session: Tag
    nonce: Tag
    proof: Proof


class Welcome(Struct, frozen=True, tag="welcome"):
    """S: so we have; the keys of this stream come from both nonces."""

    nonce: Tag
    proof: Proof


class Denied(Struct, frozen=True, tag="denied"):
    """S: "wrong": other words, the code is burnt; "used": by somebody else; "busy": try again. The talk ends."""

    why: No


class Sealed(Struct, frozen=True, tag="sealed"):
    """Either: one of the messages below, for the other side alone."""

    box: Annotated[bytes, Meta(min_length=17, max_length=SEALED_BYTES + 16)]


class Me(Struct, frozen=True, tag="me"):
    """Sealed, either, first: who I am and where I may be reached. Each lets the other in for this hand-over alone."""

    peer: Key
    name: Annotated[str, Meta(max_length=64)] = ""
    relay: Url | None = None
    addresses: Annotated[list[Address], Meta(max_length=16)] = []


class Preparing(Struct, frozen=True, tag="preparing"):
    """Sealed, S, about once a second: how much is hashed so far."""

    name: Text
    done_bytes: Size = 0
    size_bytes: Size = 0


class Offer(Struct, frozen=True, tag="offer"):
    """Sealed, S: fetch this collection from me by `servent.blobs/1`. `contact`: I keep you as a contact; keep me."""

    infohash: Hash
    name: Text
    size_bytes: Size
    files: Size
    contact: bool = False


class Done(Struct, frozen=True, tag="done"):
    """Sealed, R: all of it is here. S takes the right back."""


class Sorry(Struct, frozen=True, tag="sorry"):
    """Sealed, either: it ends without being complete, and why."""

    reason: Annotated[str, Meta(max_length=500)] = ""


class Wait(Struct, frozen=True, tag="wait"):
    """S to a peer (`servent.meet/1`): whoever seeks this place is for me. Answered by `Held` or `Nobody`, then by `Met`."""

    place: Key
    lifetime: Annotated[float, Meta(ge=1, le=86400)]


class Seek(Struct, frozen=True, tag="seek"):
    """R to a peer (`servent.meet/1`): does anybody wait at this place? Answered by `Met` or `Nobody`."""

    place: Key


class Held(Struct, frozen=True, tag="held"):
    """The peer: you wait, for `lifetime` seconds at most."""

    lifetime: float


class Met(Struct, frozen=True, tag="met"):
    """The peer: from here on this stream leads to the other one."""


class Nobody(Struct, frozen=True, tag="nobody"):
    """The peer: nobody is there, or (to `Wait`) the place is taken, or you have too many. The stream ends."""


ToSender = Begin | Confirm | Again | Sealed
ToReceiver = Answer | Confirm | Welcome | Denied | Sealed
InnerToSender = Me | Done | Sorry
InnerToReceiver = Me | Preparing | Offer | Sorry

read_to_sender: Decoder[ToSender] = Decoder(ToSender, FRAME_BYTES)
read_to_receiver: Decoder[ToReceiver] = Decoder(ToReceiver, FRAME_BYTES)
inner_to_sender: Decoder[InnerToSender] = Decoder(InnerToSender, SEALED_BYTES)
inner_to_receiver: Decoder[InnerToReceiver] = Decoder(InnerToReceiver, SEALED_BYTES)
read_asking: Decoder[Wait | Seek] = Decoder(Wait | Seek, MEET_BYTES)
read_asked: Decoder[Held | Met | Nobody] = Decoder(Held | Met | Nobody, MEET_BYTES)
