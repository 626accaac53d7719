"""What others see of networks and their members. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from servent.identity import PeerId
from servent.trust.networks import Mode, Policy


@dataclass(frozen=True, slots=True)
class NetworkView:
    """A network I am in.

    Attributes:
        key: its public key: proof of nothing by itself, but do not show it to strangers.
        id: 16 hex digits, short for the key.
        name: what I call it; `full_name` is what its founder called it.
        admin: whether I hold its key and can invite and remove.
        member: False when I was removed, as far as I have heard.
        members: how many members I know of, me included.
        joined: wall clock.
        servers: who carries the index in the server mode; where none is named, its founder.
        removed: its founder took me out of it, and I have heard so.
    """

    key: bytes
    id: str
    name: str
    full_name: str
    mode: Mode
    policy: Policy
    admin: bool
    member: bool
    members: int
    joined: float
    servers: tuple[PeerId, ...] = ()
    removed: bool = False


@dataclass(frozen=True, slots=True)
class MemberView:
    """Somebody in a network of mine, as far as its records tell.

    Attributes:
        seen: wall clock, when a member first saw them; None where the network is open and no record is kept.
        invitation: id of the invitation they came by, None for the founder and in open networks.
    """

    peer: PeerId
    petname: str | None
    seen: float | None
    invitation: str | None
    me: bool
