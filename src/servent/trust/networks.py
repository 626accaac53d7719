"""The signed records of a network: settings, invitations, memberships, admissions, revocations. Pure.

Everything hangs on the network's Ed25519 key, whose public half is the network's name to machines:

    network key -> Settings, Revocation
    network key -> Warrant (an invitation's public part) -> Membership (signed by the invitation's key)
    network key -> Membership without a warrant (the founder)
    member key  -> Membership without a warrant (in a network that is open)

Each signature covers its own purpose in words, so that none can stand for another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Annotated, Literal

from msgspec import Meta, Struct, structs

from servent.codec import Decoder, Hash, Key, Name, Signature, canonical
from servent.errors import BadMessage
from servent.identity import Identity, PeerId

Mode = Literal["p2p", "hybrid", "server"]
Policy = Literal["open", "invitation"]
Seconds = Annotated[int, Meta(ge=0, le=1 << 40)]  # wall clock, seconds since 1970
Serial = Annotated[int, Meta(ge=0, le=1 << 40)]  # counts what the network key signed, and never goes back
Uses = Annotated[int, Meta(ge=1, le=10_000)]

CLOCK_SKEW = 300.0  # s two honest clocks may differ by; an invitation is good this much longer
MAX_RECORD_BYTES = 1024
MAX_SERVERS = 8


class Forged(BadMessage):
    """A record whose signature does not hold, or that belongs to something else."""


class Settings(Struct, frozen=True, array_like=True, tag="settings"):
    """What a network is. Signed by the network key; the highest serial counts.

    Attributes:
        lock: of the members' secret, so that a genuine invitation cannot be given with another secret.
        founder: whom the network key itself made a member; None in records from before it was said.
        servers: who carries the index in the server mode; kept in the others, for the way back.
    """

    network: Key
    name: Name
    mode: Mode
    policy: Policy
    lock: Hash
    serial: Serial
    signature: Signature
    founder: Key | None = None
    servers: Annotated[list[Key], Meta(max_length=MAX_SERVERS)] = []


class Warrant(Struct, frozen=True, array_like=True):
    """The public part of an invitation: whoever holds the private half of `key` may make members.

    Attributes:
        key: the invitation's own Ed25519 key, which is also its id.
        uses: how many different members it may make; None for any number.
        expires: after this wall time (plus CLOCK_SKEW) nobody new gets in by it; None for never.
    """

    network: Key
    key: Key
    serial: Serial
    uses: Uses | None
    expires: Seconds | None
    signature: Signature


class Membership(Struct, frozen=True, array_like=True):
    """That `member` belongs to `network`. See the module for who signs it.

    Attributes:
        joined: the member's own clock when it joined. Proves nothing where the member could choose it.
    """

    network: Key
    member: Key
    joined: Seconds
    warrant: Warrant | None
    signature: Signature

    @property
    def invitation(self) -> bytes:
        """The id of the invitation it rests on, b"" for none."""
        return self.warrant.key if self.warrant is not None else b""


class Stamp(Struct, frozen=True, array_like=True):
    """A witness's word that it saw a membership at a time: what keeps an expired invitation from being back-dated.

    Attributes:
        witness: a member's key, or the network key itself, whose word is final.
    """

    witness: Key
    seen: Seconds
    signature: Signature


class Admission(Struct, frozen=True, array_like=True, tag="admission"):
    """A membership with one witness. Exchanged between members, so that all count an invitation's uses alike."""

    membership: Membership
    stamp: Stamp

    @property
    def network(self) -> bytes:
        return self.membership.network


class Revocation(Struct, frozen=True, array_like=True, tag="revocation"):
    """The network key takes back an invitation or a member.

    Attributes:
        subject: the invitation's or the member's key.
        serial: a member invited again under a warrant with a higher serial is a member again.
        at: who was seen under the invitation up to this time stays a member.
    """

    network: Key
    what: Literal["member", "invitation"]
    subject: Key
    serial: Serial
    at: Seconds
    signature: Signature


Record = Settings | Admission | Revocation
records: Decoder[Record] = Decoder(Record, MAX_RECORD_BYTES)


class Invitation(Struct, frozen=True, array_like=True):
    """What one person hands to another to let them in. Whoever reads it can use it: treat it like a key.

    Attributes:
        settings: the network as the inviter knew it.
        secret: shared by all members; opens their sealed hellos.
        warrant, seed: the invitation's public part and private key; None in a network that is open.
    """

    settings: Settings
    secret: Hash
    warrant: Warrant | None = None
    seed: Hash | None = None

    @property
    def network(self) -> bytes:
        return self.settings.network

    @property
    def expires(self) -> int | None:
        return self.warrant.expires if self.warrant is not None else None

    @property
    def uses(self) -> int | None:
        return self.warrant.uses if self.warrant is not None else None

    @property
    def id(self) -> str:
        """A handle for lists and `revoke`: the first 16 hex digits of the invitation's key, "open" without one."""
        return invitation_id(self.warrant.key) if self.warrant is not None else "open"

    def __repr__(self) -> str:
        return f"Invitation({self.settings.name!r}, {self.id})"


def invitation_id(key: bytes) -> str:
    return key.hex()[:16]


def network_id(network: bytes) -> str:
    """A short name for a network in views and logs: 16 hex digits of its key's hash."""
    return hashlib.sha256(b"servent/network id/1\0" + network).hexdigest()[:16]


def _purpose(kind: str, *fields: object) -> bytes:
    plain = [bytes(one) if isinstance(one, bytes) else one for one in fields]  # msgspec knows no PeerId
    return b"servent/" + kind.encode() + b"/1\0" + canonical(plain)


def lock_of(secret: bytes) -> bytes:
    """What Settings say of a network's secret."""
    return hashlib.sha256(b"servent/network secret/1\0" + secret).digest()


def make_settings(
    key: Identity,
    name: str,
    mode: Mode,
    policy: Policy,
    lock: bytes,
    serial: int,
    founder: bytes | None = None,
    servers: Sequence[bytes] = (),
) -> Settings:
    plain = Settings(
        bytes(key.peer),
        name,
        mode,
        policy,
        lock,
        serial,
        bytes(64),
        None if founder is None else bytes(founder),
        [bytes(server) for server in servers],
    )
    return structs.replace(plain, signature=key.sign(_settings_text(plain)))


def _settings_text(settings: Settings) -> bytes:
    """Who founded it and which servers it has is part of the text where it is said at all: older records stay good."""
    said = (settings.network, settings.name, settings.mode, settings.policy, settings.lock, settings.serial)
    if settings.founder is None and not settings.servers:
        return _purpose("settings", *said)
    return _purpose("settings", *said, settings.founder, settings.servers)


def make_warrant(
    key: Identity, invitation: bytes, serial: int, uses: int | None, expires: int | None
) -> Warrant:
    text = _purpose("warrant", key.peer, invitation, serial, uses, expires)
    return Warrant(bytes(key.peer), bytes(invitation), serial, uses, expires, key.sign(text))


def make_membership(
    signer: Identity, network: bytes, member: bytes, joined: int, warrant: Warrant | None = None
) -> Membership:
    """`signer` is the invitation's key with a warrant, else the network key or (open network) the member."""
    text = _membership_text(network, member, joined, warrant)
    return Membership(bytes(network), bytes(member), joined, warrant, signer.sign(text))


def make_stamp(witness: Identity, membership: Membership, seen: int) -> Stamp:
    return Stamp(bytes(witness.peer), seen, witness.sign(_stamp_text(membership, witness.peer, seen)))


def make_revocation(
    key: Identity, what: Literal["member", "invitation"], subject: bytes, serial: int, at: int
) -> Revocation:
    text = _purpose("revocation", key.peer, what, subject, serial, at)
    return Revocation(bytes(key.peer), what, bytes(subject), serial, at, key.sign(text))


def _membership_text(network: bytes, member: bytes, joined: int, warrant: Warrant | None) -> bytes:
    return _purpose("membership", network, member, joined, warrant.key if warrant else b"")


def _stamp_text(membership: Membership, witness: bytes, seen: int) -> bytes:
    return _purpose("stamp", membership.network, membership.member, membership.invitation, witness, seen)


def check_settings(settings: Settings) -> None:
    """Raises Forged unless the network key signed it."""
    _check(settings.network, settings.signature, _settings_text(settings), "settings")


@lru_cache(maxsize=4096)  # one warrant stands behind many members
def check_warrant(warrant: Warrant) -> None:
    """Raises Forged unless the network key signed it."""
    text = _purpose("warrant", warrant.network, warrant.key, warrant.serial, warrant.uses, warrant.expires)
    _check(warrant.network, warrant.signature, text, "invitation")


def check_membership(membership: Membership, settings: Settings) -> None:
    """Raises Forged unless the chain up to the network key holds. Says nothing of expiry, uses, revocation."""
    if membership.network != settings.network:
        raise Forged("a membership of another network")
    warrant = membership.warrant
    text = _membership_text(membership.network, membership.member, membership.joined, warrant)
    if warrant is not None:
        if warrant.network != membership.network:
            raise Forged("an invitation to another network")
        check_warrant(warrant)
        _check(warrant.key, membership.signature, text, "membership")
    elif not is_founder(membership):
        if settings.policy != "open":
            raise Forged("a membership without an invitation, in a network that wants one")
        _check(membership.member, membership.signature, text, "membership")


@lru_cache(maxsize=1024)  # asked for every stream
def is_founder(membership: Membership) -> bool:
    """Whether the network key itself vouches for this member."""
    text = _membership_text(membership.network, membership.member, membership.joined, None)
    return membership.warrant is None and PeerId(membership.network).verify(membership.signature, text)


def check_stamp(membership: Membership, stamp: Stamp) -> None:
    """Raises Forged unless the witness signed it for this very membership."""
    _check(stamp.witness, stamp.signature, _stamp_text(membership, stamp.witness, stamp.seen), "admission")


def check_revocation(revocation: Revocation) -> None:
    """Raises Forged unless the network key signed it."""
    text = _purpose(
        "revocation",
        revocation.network,
        revocation.what,
        revocation.subject,
        revocation.serial,
        revocation.at,
    )
    _check(revocation.network, revocation.signature, text, "revocation")


def check_invitation(invitation: Invitation) -> None:
    """Raises Forged unless settings and warrant are signed and the seed belongs to the warrant."""
    check_settings(invitation.settings)
    if lock_of(invitation.secret) != invitation.settings.lock:
        raise Forged("an invitation with a secret that is not the network's")
    warrant, seed = invitation.warrant, invitation.seed
    if warrant is None or seed is None:
        if invitation.settings.policy != "open" or warrant is not None or seed is not None:
            raise Forged("an invitation without its key")
        return
    if warrant.network != invitation.network:
        raise Forged("an invitation to another network")
    check_warrant(warrant)
    if Identity(seed).peer != warrant.key:
        raise Forged("an invitation with a key that is not its own")


def _check(key: bytes, signature: bytes, text: bytes, what: str) -> None:
    if not PeerId(key).verify(signature, text):
        raise Forged(f"a forged {what}")
