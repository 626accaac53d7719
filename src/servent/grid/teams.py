"""Teams: a key, and memberships that both sides have signed. Pure.

A team is an Ed25519 key that somebody keeps. It signs that a key is its member, that key signs the same words; both together go with each entry of a ledger, so that anyone can count a team's
credit without asking anybody. A ticket is the team's half, made for one member; nobody else can use it.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from servent.codec import Decoder, Key, Name, Signature, canonical
from servent.errors import BadMessage, UsageError
from servent.grid.manifests import Wall
from servent.grid.wire import Membership
from servent.identity import Identity, PeerId, z32_decode, z32_encode

PURPOSE = b"servent grid team\0"
LIFETIME = 365 * 86400.0  # s; of a membership that nobody renews
TICKET_PREFIX = "servent-team:"
TICKET_CHARACTERS = 1024


class Ticket(Struct, frozen=True, array_like=True):
    """The team's half of a `Membership`."""

    team: Key
    member: Key
    name: Name
    serial: Annotated[int, Meta(ge=1, le=2**53)]
    expires: Wall
    by_team: Signature


_tickets: Decoder[Ticket] = Decoder(Ticket, TICKET_CHARACTERS)


def words(team: bytes, member: bytes, name: str, serial: int, expires: float) -> bytes:
    """What both sides sign."""
    return PURPOSE + canonical([team, member, name, serial, expires])


def invite(team: Identity, member: bytes, name: str, now: float, lifetime: float = LIFETIME) -> Ticket:
    """Let `member` in: what it signs in its turn. A later one replaces an earlier one."""
    serial, expires = max(1, int(now * 1000)), now + lifetime
    signature = team.sign(words(team.peer, member, name, serial, expires))
    return Ticket(bytes(team.peer), bytes(member), name, serial, expires, signature)


def accept(ticket: Ticket, member: Identity, now: float) -> Membership:
    """Sign the other half.

    Raises:
        UsageError: made for another key, or its time is over.
        BadMessage: the team has not signed it.
    """
    if ticket.member != member.peer:
        raise UsageError(
            "this ticket was made for another node",
            advice="A ticket of a team is good for one node alone: ask for one that names yours (`servent id`).",
        )
    if ticket.expires <= now:
        raise UsageError("the time of this ticket is over", advice="Ask the team for a new one.")
    said = words(ticket.team, ticket.member, ticket.name, ticket.serial, ticket.expires)
    if not PeerId(ticket.team).verify(ticket.by_team, said):
        raise BadMessage("a ticket that its team has not signed")
    return Membership(
        ticket.team,
        ticket.member,
        ticket.name,
        ticket.serial,
        ticket.expires,
        ticket.by_team,
        member.sign(said),
    )


def check(membership: Membership, member: bytes, now: float) -> None:
    """Raises BadMessage: of another member, over, or not signed by both."""
    if membership.member != member:
        raise BadMessage("the membership of somebody else")
    if membership.expires <= now:
        raise BadMessage("a membership whose time is over")
    said = words(membership.team, membership.member, membership.name, membership.serial, membership.expires)
    if not PeerId(membership.team).verify(membership.by_team, said):
        raise BadMessage("a membership that its team has not signed")
    if not PeerId(membership.member).verify(membership.by_member, said):
        raise BadMessage("a membership that its member has not signed")


def ticket_text(ticket: Ticket) -> str:
    """One word, to be handed over by any way."""
    return TICKET_PREFIX + z32_encode(canonical(ticket))


def read_ticket(text: str) -> Ticket:
    """Raises UsageError: no ticket of a team."""
    text = text.strip()
    letters = text.removeprefix(TICKET_PREFIX)
    if letters == text or len(letters) > TICKET_CHARACTERS:
        raise UsageError(
            "no ticket of a team",
            advice="It begins with `servent-team:`; `servent grid team invite` makes one.",
        )
    try:
        return _tickets.decode(z32_decode(letters.lower(), len(letters) * 5 // 8))
    except (ValueError, BadMessage) as wrong:
        raise UsageError("this ticket of a team is not whole", advice="Copy all of it.") from wrong
