"""Which service is for whom. Pure.

The four audiences contain each other: nobody, friends, network (friends and everyone in a network of mine),
everyone (every peer whose hello was accepted, today the same peers as `network`). Named peers come on top. A block beats everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

from msgspec import Meta

from servent.errors import UsageError
from servent.identity import PeerId

Audience = Literal["nobody", "friends", "network", "everyone"]
AUDIENCES: tuple[Audience, ...] = get_args(Audience)
Service = Annotated[str, Meta(min_length=1, max_length=64)]
MAX_NAMED = 1_000  # peers named in one grant
MAX_GRANTS = 10_000

DEFAULTS: Mapping[str, Audience] = {"servent.core": "network", "servent.blobs": "network"}


@dataclass(frozen=True, slots=True)
class Grant:
    """Who may use `service`: an audience, and peers by name."""

    service: str
    audience: Audience
    peers: frozenset[PeerId] = frozenset()

    def covers(self, peer: PeerId, *, friend: bool, shares_network: bool, known: bool) -> bool:
        """Whether `peer` is among them."""
        if peer in self.peers:
            return True
        match self.audience:
            case "nobody":
                return False
            case "friends":
                return friend
            case "network":
                return friend or shares_network
            case "everyone":
                return known


def make_grant(service: str, audience: str, peers: Iterable[PeerId] = ()) -> Grant:
    """A grant from what somebody typed.

    Raises:
        UsageError: no such audience, a bad service name, or too many peers.
    """
    check_service(service)
    named = frozenset(peers)
    if len(named) > MAX_NAMED:
        raise UsageError(f"a grant names at most {MAX_NAMED} peers", advice="Make a network of them.")
    return Grant(service, check_audience(audience), named)


def check_service(service: str) -> None:
    if not 1 <= len(service) <= 64 or not service.isprintable():
        raise UsageError("a service has a name of 1 to 64 printable characters")


def check_audience(text: str) -> Audience:
    for audience in AUDIENCES:
        if text == audience:
            return audience
    raise UsageError(f"there is no audience {text[:40]!r}", advice=f"Use one of {', '.join(AUDIENCES)}.")


def default_audience(service: str) -> Audience:
    """For a service nobody decided about: "servent.blobs/1" is looked up as "servent.blobs"."""
    return DEFAULTS.get(service.partition("/")[0], "friends")
