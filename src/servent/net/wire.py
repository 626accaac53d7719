"""Every message of the network floor. Sizes and ranges stand in the types, so decoding is validation.

A connection (ALPN `servent/1`) begins with one stream that the dialer opens: the hello. When both sides
have judged each other, that stream stays open as the control stream. Every later stream begins with
`Open`. A datagram is one byte of channel number and the payload.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from servent.codec import Address, Decoder, Hash, Key, Url

ALPN = b"servent/1"
PROTOCOL = 1

HELLO_BYTES = 16 * 1024  # limit for any frame of the hello: 16 boxes of 512 bytes and room for the rest
CONTROL_BYTES = 64 * 1024  # limit for any frame of the control stream
OPEN_BYTES = 256  # limit for the frame that opens a stream
DENIED_BYTES = 1024

Nonce = Annotated[bytes, Meta(min_length=32, max_length=32)]
Tag = Annotated[bytes, Meta(min_length=8, max_length=8)]  # names a run of a node, or one connection
Box = Annotated[bytes, Meta(max_length=512)]  # a sealed proof of membership
Software = Annotated[str, Meta(max_length=64)]
Text = Annotated[str, Meta(max_length=200)]
Word = Annotated[str, Meta(min_length=1, max_length=64)]  # a service, as "servent.blobs/1"
Relay = Url | None
WayOut = Annotated[str, Meta(max_length=16)] | None  # a kind of `net.reach`; unknown words are ignored
NetworkId = Annotated[bytes, Meta(min_length=1, max_length=64)]
Record = Annotated[bytes, Meta(max_length=4096)]  # a signed record of `trust`


class Bulk(Struct, frozen=True):
    """Where the TCP lane listens, and the SHA-256 of the certificate it will show."""

    addresses: Annotated[list[Address], Meta(max_length=8)]
    certificate: Hash


class Profile(Struct, frozen=True):
    """What a node tells those it has let in, inside `Welcome` and `Enter`. Strangers never see it."""

    name: Annotated[str, Meta(max_length=64)] = ""
    software: Software = ""
    roles: Annotated[list[Annotated[str, Meta(max_length=16)]], Meta(max_length=8)] = []
    services: Annotated[list[Word], Meta(max_length=32)] = []
    bulk: Bulk | None = None


class Hello(Struct, frozen=True, tag="hello"):
    """Dialer, first thing on the first stream. Answered by `Welcome` or `Refused` within 10 s.

    `boxes` prove membership and `contact` proves a ticket; both hold only for this nonce between these two keys. `run`
    is drawn anew when a node starts; `last` names the newest connection the dialer has had with this
    peer in this run: it tells a redial, which replaces, from a dial that crossed with ours.
    """

    protocol: Annotated[int, Meta(ge=0, le=65535)]
    software: Software
    nonce: Nonce
    run: Tag
    boxes: Annotated[list[Box], Meta(max_length=16)] = []
    contact: Hash | None = None
    last: Tag | None = None


class Refused(Struct, frozen=True, tag="refused", omit_defaults=True):
    """Acceptor, instead of `Welcome`; then it closes. The same bytes, after the same time, for every reason.

    `removed`: only to somebody who has just proved a membership that was taken back since: the network key's word on it.
    """

    protocol: Annotated[int, Meta(ge=0, le=65535)]
    software: Software
    reason: Text
    removed: Annotated[list[Record], Meta(max_length=16)] = []


class Welcome(Struct, frozen=True, tag="welcome"):
    """Acceptor, once it has judged the dialer and knows it. Answered by `Enter`, or by closing.

    `boxes` are sealed for the dialer under its nonce. `observed` is the address the dialer is seen at,
    None when it came through a relay.
    """

    protocol: Annotated[int, Meta(ge=0, le=65535)]
    software: Software
    run: Tag
    boxes: Annotated[list[Box], Meta(max_length=16)] = []
    profile: Profile = Profile()
    observed: Address | None = None


class Enter(Struct, frozen=True, tag="enter"):
    """Dialer, once it has judged the acceptor. The hello is complete; not answered."""

    profile: Profile = Profile()
    observed: Address | None = None


class Observed(Struct, frozen=True, tag="observed"):
    """Either side, whenever the address it sees the other at has changed, and as the answer to `Look`.

    `address` is None while the peer is only seen through a relay. Not answered.
    """

    address: Address | None = None


class Look(Struct, frozen=True, tag="look"):
    """Either side, when its own network changed: where do you see me now? Answered by `Observed`."""


class Echo(Struct, frozen=True, tag="echo"):
    """Either side, every few seconds. Answered at once by `EchoReply` with the same number."""

    number: Annotated[int, Meta(ge=0, le=2**32)]


class EchoReply(Struct, frozen=True, tag="echo-reply"):
    """The answer to `Echo`. A number nobody asked for is ignored."""

    number: Annotated[int, Meta(ge=0, le=2**32)]


class Here(Struct, frozen=True, tag="here"):
    """Either side after the hello and when its own addresses change (at most one a second). Not answered.

    `ipv4` and `ipv6` say what lies between the sender and the world, as far as it knows: "public" (no router
    translates), "mapped" (a router opened a port), "easy", "symmetric", "udp-blocked", or "none" (no address
    of that family). The other side tells with it why a path is relayed; nothing else hangs on it.
    """

    relay: Relay = None
    addresses: Annotated[list[Address], Meta(max_length=16)] = []
    ipv4: WayOut = None
    ipv6: WayOut = None


class Member(Struct, frozen=True):
    """Where one member of a network may be found. Hearsay: the key is proven when it is dialed."""

    peer: Key
    relay: Relay = None
    addresses: Annotated[list[Address], Meta(max_length=8)] = []


class Members(Struct, frozen=True, tag="members"):
    """To a member of a shared network: where other connected members are. Not answered.

    After the hello, and when one arrives or moves; at most one message a second.
    """

    network: NetworkId
    members: Annotated[list[Member], Meta(max_length=64)]


class Channel(Struct, frozen=True, tag="channel"):
    """Before the first datagram of a service: what number the sender's datagrams of it carry. Not answered.

    Numbers run from 1 to 255 and are never used again; each side numbers what it sends. Where the
    service is unknown or not granted the datagrams are dropped.
    """

    service: Word
    number: Annotated[int, Meta(ge=1, le=255)]


class Prove(Struct, frozen=True, tag="prove"):
    """Either side, when it has joined a network or holds a new ticket. Answered by `Proven`."""

    nonce: Nonce
    boxes: Annotated[list[Box], Meta(max_length=16)] = []
    contact: Hash | None = None


class Proven(Struct, frozen=True, tag="proven"):
    """The answer to `Prove`: boxes sealed under the same nonce. Ignored when the nonce is not ours."""

    nonce: Nonce
    boxes: Annotated[list[Box], Meta(max_length=16)] = []


class AskRecords(Struct, frozen=True, tag="ask-records"):
    """To a member of a shared network, after the hello and after `Fresh`. Answered by `Records`.

    `after` is the mark of the newest `Records` the asker had from this peer, 0 for all.
    """

    network: NetworkId
    after: Annotated[int, Meta(ge=0, le=2**62)] = 0


class Records(Struct, frozen=True, tag="records"):
    """The answer to `AskRecords`: what trust signs and hands on (admissions, revocations, settings).

    `more`: ask again with `mark`. Ignored when not asked for.
    """

    network: NetworkId
    records: Annotated[list[Record], Meta(max_length=1024)]
    mark: Annotated[int, Meta(ge=0, le=2**62)]
    more: bool = False


class Fresh(Struct, frozen=True, tag="fresh", omit_defaults=True):
    """To the connected members of a network, when there is a new record. Answered by `AskRecords`.

    With `removed` it is for somebody who is no member any more: the network key's word on that, the last it hears. Not answered.
    """

    network: NetworkId
    removed: Record | None = None


class Bye(Struct, frozen=True, tag="bye"):
    """Either side, before it closes. Not answered."""

    reason: Text


class Open(Struct, frozen=True, tag="open"):
    """Opener of every stream after the first. Answered by the byte 0x00, then the service's bytes;

    or by the byte 0x01, a `Denied`, and the end. The opener need not wait before it sends.
    """

    service: Word


class Denied(Struct, frozen=True, tag="denied"):
    """Acceptor of a stream that it will not serve: unknown, not granted (the same words), or over a limit."""

    reason: Text


Control = (
    Observed
    | Look
    | Echo
    | EchoReply
    | Here
    | Members
    | Channel
    | Prove
    | Proven
    | AskRecords
    | Records
    | Fresh
    | Bye
)

GRANTED = b"\x00"
DENIED = b"\x01"

read_hello: Decoder[Hello] = Decoder(Hello, HELLO_BYTES)
read_answer: Decoder[Welcome | Refused] = Decoder(Welcome | Refused, HELLO_BYTES)
read_enter: Decoder[Enter] = Decoder(Enter, HELLO_BYTES)
read_control: Decoder[Control] = Decoder(Control, CONTROL_BYTES)
read_open: Decoder[Open] = Decoder(Open, OPEN_BYTES)
read_denied: Decoder[Denied] = Decoder(Denied, DENIED_BYTES)


def printable(text: str) -> str:
    """`text` without control characters, escapes and direction marks, for terminals and pages."""
    return "".join(letter if letter.isprintable() else "\N{MIDDLE DOT}" for letter in text)
