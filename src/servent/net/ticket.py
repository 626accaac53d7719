"""Tickets: `servent:…`, one line that says how to reach somebody and why they should let us in. Pure.

A ticket is the letters "servent:" and z-base-32 of: version 1, MessagePack, and 4 bytes of SHA-256 over both as a check
against slips of the pen. Keys and addresses are packed, so that a contact ticket with a relay and four
addresses stays under 300 letters. Upper case means the same: `qr_text` uses it, for QR codes half as dense.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from servent.codec import Decoder, Hash, Key, Signature, Url, canonical
from servent.errors import BadMessage, UsageError
from servent.identity import Z32, Identity, PeerId, z32_decode, z32_encode
from servent.net.links import PeerAddress
from servent.trust.naming import MAX_NAME, clean_name
from servent.trust.networks import (
    MAX_SERVERS,
    Invitation,
    Mode,
    Policy,
    Seconds,
    Serial,
    Settings,
    Uses,
    Warrant,
    check_invitation,
    lock_of,
)

SCHEME = "servent:"
MAX_TICKET = 1024  # characters
MAX_ADDRESSES = 16
VERSION = 1
_CHECK_BYTES = 4
_MODES: tuple[Mode, ...] = ("p2p", "hybrid", "server")
_POLICIES: tuple[Policy, ...] = ("open", "invitation")


@dataclass(frozen=True, slots=True)
class Ticket:
    """What one person gives to another. `repr` shows no secret.

    Attributes:
        address: whom to dial, and where they may be found.
        name: what they call themselves; nothing proves it.
        secret: shows them that they gave it to us; makes us contacts.
        invitation: lets us into a network of theirs.
    """

    address: PeerAddress
    name: str | None = None
    secret: bytes | None = field(default=None, repr=False)
    invitation: Invitation | None = None


class _PackedInvitation(Struct, frozen=True, array_like=True):
    network: Key
    secret: Hash
    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]
    mode: Annotated[int, Meta(ge=0, lt=len(_MODES))]
    policy: Annotated[int, Meta(ge=0, lt=len(_POLICIES))]
    serial: Serial
    signature: Signature
    seed: Hash | None = None
    warrant_serial: Serial = 0
    uses: Uses | None = None
    expires: Seconds | None = None
    warrant_signature: Signature | None = None
    founder: Annotated[bytes, Meta(max_length=32)] | None = None  # b"": whoever gives the ticket
    servers: Annotated[bytes, Meta(max_length=32 * MAX_SERVERS)] = b""


class _PackedTicket(Struct, frozen=True, array_like=True):
    peer: Key
    addresses: Annotated[bytes, Meta(max_length=MAX_ADDRESSES * 18)] = b""  # 6 or 18 bytes each, IPv4 first
    four: Annotated[int, Meta(ge=0, le=MAX_ADDRESSES)] = 0  # how many of them are IPv4
    relay: Url | None = None
    name: Annotated[str, Meta(max_length=MAX_NAME)] | None = None
    secret: Hash | None = None
    invitation: _PackedInvitation | None = None


_decoder: Decoder[_PackedTicket] = Decoder(_PackedTicket, MAX_TICKET)


def encode(ticket: Ticket) -> str:
    """`ticket` as one line of at most 1024 characters; addresses that do not fit are left out, the last first.

    Raises:
        UsageError: an address or the relay's URL is not one.
    """
    addresses = list(ticket.address.addresses[:MAX_ADDRESSES])
    while True:
        text = _encode(ticket, addresses)
        if len(text) <= MAX_TICKET:
            return text
        if not addresses:
            raise UsageError("the ticket is too long", advice="Use a shorter relay URL or network name.")
        addresses.pop()


def decode(text: str) -> Ticket:
    """Read a ticket as a person pasted it: white space, line breaks, upper case and `servent://` do not matter.

    Raises:
        UsageError: no ticket, cut off, mistyped, of a newer version, or with a forged invitation: it says which.
    """
    if len(text) > 4 * MAX_TICKET:
        raise UsageError(
            "this is too long for a ticket", advice="A ticket is one line that starts with servent:"
        )
    letters = re.sub(r"[\s\u00ad\u200b-\u200d\u2060\ufeff]+", "", text).strip("<>\"'`").lower()
    letters = letters.replace("servent%3a", SCHEME, 1)  # as it may stand in a magnet's x.sv
    if not letters.startswith(SCHEME):
        raise UsageError("this is no ticket", advice="A ticket is one line that starts with servent:")
    letters = letters.removeprefix(SCHEME).removeprefix("//").rstrip("/.,;")
    if len(letters) > MAX_TICKET:
        raise UsageError("this is too long for a ticket", advice="Copy the ticket alone.")
    raw = _unpack_letters(letters)
    packed = _decode(raw[1:-_CHECK_BYTES])
    invitation = _unpack_invitation(packed.invitation, packed.peer) if packed.invitation is not None else None
    try:
        addresses = _unpack_addresses(packed.addresses, packed.four)
        relay = _checked_relay(packed.relay)
    except ValueError as wrong:
        raise UsageError(f"this ticket names an impossible address: {wrong}") from wrong
    name = clean_name(packed.name) or None if packed.name is not None else None
    return Ticket(PeerAddress(PeerId(packed.peer), relay, addresses), name, packed.secret, invitation)


def pack_address(address: PeerAddress) -> bytes:
    """A peer and where it may be, for other links than tickets. Raises UsageError as `encode`."""
    try:
        packed, four = _pack_addresses(list(address.addresses[:MAX_ADDRESSES]))
        relay = _checked_relay(address.relay)
    except ValueError as wrong:
        raise UsageError(f"this cannot be put into a link: {wrong}") from wrong
    return canonical(_PackedTicket(peer=bytes(address.peer), addresses=packed, four=four, relay=relay))


def unpack_address(packed: bytes) -> PeerAddress:
    """What `pack_address` made. Raises BadMessage."""
    read = _decoder.decode(packed)
    try:
        return PeerAddress(
            PeerId(read.peer), _checked_relay(read.relay), _unpack_addresses(read.addresses, read.four)
        )
    except ValueError as wrong:
        raise BadMessage(f"an impossible address: {wrong}") from wrong


def is_ticket(text: str) -> bool:
    """Whether `text` means to be a ticket, whole or not."""
    return text.lstrip().lower().startswith(SCHEME)


def qr_text(text: str) -> str:
    """The same ticket in upper case: QR codes pack it as alphanumeric, 5.5 bits a letter instead of 8."""
    return text.upper()


def _encode(ticket: Ticket, addresses: list[str]) -> str:
    try:
        packed, four = _pack_addresses(addresses)
        relay = _checked_relay(ticket.address.relay)
    except ValueError as wrong:
        raise UsageError(f"this cannot be put into a ticket: {wrong}") from wrong
    invitation = ticket.invitation
    body = canonical(
        _PackedTicket(
            peer=bytes(ticket.address.peer),
            addresses=packed,
            four=four,
            relay=relay,
            name=clean_name(ticket.name) or None if ticket.name else None,
            secret=ticket.secret,
            invitation=_pack_invitation(invitation, ticket.address.peer) if invitation is not None else None,
        )
    )
    raw = bytes((VERSION,)) + body
    return SCHEME + z32_encode(raw + _check(raw))


def _check(raw: bytes) -> bytes:
    return hashlib.sha256(b"servent/ticket" + raw).digest()[:_CHECK_BYTES]


def _unpack_letters(letters: str) -> bytes:
    damaged = "Copy the whole line again, from servent: to its end."
    stray = next((letter for letter in letters if letter not in Z32), None)
    if stray is not None:
        raise UsageError(f"a ticket has no {stray!r} in it", advice=damaged)
    try:
        raw = z32_decode(letters, len(letters) * 5 // 8)
    except ValueError as wrong:
        raise UsageError("this ticket is cut off or mistyped", advice=damaged) from wrong
    if len(raw) <= 1 + _CHECK_BYTES or _check(raw[:-_CHECK_BYTES]) != raw[-_CHECK_BYTES:]:
        raise UsageError("this ticket is cut off or mistyped", advice=damaged)
    if raw[0] != VERSION:
        raise UsageError(
            f"this ticket has version {raw[0]}, known here is {VERSION}",
            advice="Update servent, or ask for theirs.",
        )
    return raw


def _decode(body: bytes) -> _PackedTicket:
    try:
        return _decoder.decode(body)
    except BadMessage as wrong:
        raise UsageError(
            "this ticket makes no sense though it arrived whole",
            advice="It was not made by servent, or by a newer one.",
        ) from wrong


def _pack_addresses(addresses: list[str]) -> tuple[bytes, int]:
    """IPv4 first, each kind in its order; raises ValueError."""
    packed: dict[int, list[bytes]] = {4: [], 6: []}
    for address in addresses:
        host, _, port = address.rpartition(":")
        ip = ipaddress.ip_address(host.strip("[]").partition("%")[0])
        number = int(port)
        if not 0 < number < 65536:
            raise ValueError(f"{address[:64]} has no usable port")
        packed[ip.version].append(ip.packed + number.to_bytes(2, "big"))
    return b"".join(packed[4] + packed[6]), len(packed[4])


def _unpack_addresses(packed: bytes, four: int) -> tuple[str, ...]:
    split = four * 6
    if split > len(packed) or (len(packed) - split) % 18:
        raise ValueError("of a wrong length")
    if four + (len(packed) - split) // 18 > MAX_ADDRESSES:
        raise ValueError("too many")
    parts = [packed[i : i + 6] for i in range(0, split, 6)]
    parts += [packed[i : i + 18] for i in range(split, len(packed), 18)]
    found = []
    for part in parts:
        ip, port = ipaddress.ip_address(part[:-2]), int.from_bytes(part[-2:], "big")
        if port == 0 or ip.is_multicast or ip.is_unspecified:
            raise ValueError(f"{ip} port {port}")
        found.append(f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}")
    return tuple(found)


def _checked_relay(relay: str | None) -> str | None:
    if relay is None:
        return None
    parts = urlsplit(relay)
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or not relay.isascii()
        or not relay.isprintable()
    ):
        raise ValueError("the relay is no http(s) URL")
    if parts.username is not None or parts.port == 0 or not 8 <= len(relay) <= 256:
        raise ValueError("the relay's URL has a user name, no port, or is too long")
    return relay


def _pack_invitation(invitation: Invitation, giver: bytes) -> _PackedInvitation:
    settings, warrant = invitation.settings, invitation.warrant
    return _PackedInvitation(
        network=settings.network,
        secret=invitation.secret,
        name=settings.name,
        mode=_MODES.index(settings.mode),
        policy=_POLICIES.index(settings.policy),
        serial=settings.serial,
        signature=settings.signature,
        seed=invitation.seed,
        warrant_serial=warrant.serial if warrant is not None else 0,
        uses=warrant.uses if warrant is not None else None,
        expires=warrant.expires if warrant is not None else None,
        warrant_signature=warrant.signature if warrant is not None else None,
        founder=b"" if settings.founder == giver else settings.founder,
        servers=b"".join(settings.servers),
    )


def _unpack_invitation(packed: _PackedInvitation, giver: bytes) -> Invitation:
    if len(packed.founder or b"") not in (0, 32) or len(packed.servers) % 32:
        raise UsageError("the invitation in this ticket is not genuine", advice="Ask for a new one.")
    settings = Settings(
        packed.network,
        packed.name,
        _MODES[packed.mode],
        _POLICIES[packed.policy],
        lock_of(packed.secret),
        packed.serial,
        packed.signature,
        bytes(giver) if packed.founder == b"" else packed.founder,
        [packed.servers[i : i + 32] for i in range(0, len(packed.servers), 32)],
    )
    warrant = None
    if packed.seed is not None and packed.warrant_signature is not None:
        key = bytes(Identity(packed.seed).peer)
        warrant = Warrant(
            packed.network, key, packed.warrant_serial, packed.uses, packed.expires, packed.warrant_signature
        )
    invitation = Invitation(settings, packed.secret, warrant, packed.seed)
    try:
        check_invitation(invitation)
    except BadMessage as wrong:
        raise UsageError(
            f"the invitation in this ticket is not genuine: {wrong}", advice="Ask for a new one."
        ) from wrong
    return invitation
