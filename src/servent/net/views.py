"""What a person is shown about each peer, with a reason in words. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from servent.identity import PeerId
from servent.net.links import Path, PathKind
from servent.net.session import Session
from servent.trust.contacts import Contact

COARSE = 0.002  # s; below it, whole milliseconds tell too little
MILLISECOND = 0.001  # s
PUNCHING = 10.0  # s in which a direct path usually opens, if ever; two round trips in the lab


@dataclass(frozen=True, slots=True)
class PeerView:
    """One peer, connected or not.

    Attributes:
        name: what it calls itself, "" before we ever met.
        petname: what you call it.
        path, address, rtt: of the path in use; None while not connected.
        since: loop time of the hello; None while not connected.
        networks: ids of the networks it proved to be in.
        sent_bytes, received_bytes: on the present connection.
        reason: why relayed, or why not connected and when the next try is.
    """

    id: PeerId
    name: str
    petname: str | None
    path: PathKind | None
    address: str | None
    rtt: float | None
    since: float | None
    friend: bool
    networks: frozenset[bytes]
    sent_bytes: int
    received_bytes: int
    software: str
    reason: str
    streams: int = 0


@dataclass(frozen=True, slots=True)
class Attempts:
    """What is being done to reach a peer that is not connected."""

    addresses: int
    relay: bool
    why: str
    next_in: float | None
    dialing: bool


def everybody(
    connected: Mapping[PeerId, Session],
    contacts: Mapping[PeerId, Contact],
    wanted: Iterable[PeerId],
    met: Mapping[PeerId, tuple[str, str]],
    attempts: Callable[[PeerId], Attempts],
    now: float,
) -> list[PeerView]:
    """All of these. `met`: the name and software of those who were here. `attempts`: asked of who is not connected."""
    return [
        of_session(connected[peer], contacts.get(peer), now)
        if peer in connected
        else of_absent(peer, met.get(peer), contacts.get(peer), attempts(peer))
        for peer in dict.fromkeys((*connected, *contacts, *wanted))
    ]


def of_session(session: Session, contact: Contact | None, now: float) -> PeerView:
    """A connected peer."""
    paths = session.paths()
    path = next((p for p in paths if p.selected), paths[0] if paths else None)
    return PeerView(
        id=session.peer,
        name=session.profile.name,
        petname=contact.petname if contact else None,
        path=path.kind if path else None,
        address=path.address if path else None,
        rtt=finest(path.rtt if path else None, session.rtt),
        since=session.since,
        friend=session.verdict.friend,
        networks=session.verdict.networks,
        sent_bytes=sum(p.sent_bytes for p in paths),
        received_bytes=sum(p.received_bytes for p in paths),
        software=session.software,
        reason=why_path(path, now - session.since, session.silent),
        streams=session.serving + session.using,
    )


def of_absent(
    peer: PeerId, met: tuple[str, str] | None, contact: Contact | None, attempts: Attempts
) -> PeerView:
    """A peer that is not connected. `met`: the name and software it had."""
    name, software = met or ("", "")
    blocked = contact is not None and contact.blocked
    return PeerView(
        id=peer,
        name=name,
        petname=contact.petname if contact else None,
        path=None,
        address=None,
        rtt=None,
        since=None,
        friend=contact is not None and contact.friend and not blocked,
        networks=frozenset(),
        sent_bytes=0,
        received_bytes=0,
        software=software,
        reason="blocked by you" if blocked else why_not(attempts),
    )


def finest(path: float | None, echoes: float | None) -> float | None:
    """The round trip as exact as it is known: iroh cuts a path's to whole milliseconds, echoes go through our loop.

    So below COARSE the echoes' figure counts, unless the path's says that a busy loop answered late.
    """
    if path is None or echoes is None:
        return echoes if path is None else path
    return path if path >= COARSE else min(echoes, path + MILLISECOND)


def why_path(path: Path | None, age: float, silent: int) -> str:
    """In words, what kind of path a connected peer has, and why it is not a better one."""
    if path is None:
        return "connected; no path is in use at this moment"
    if silent:
        return f"connected, but {silent} of our last echoes came back too late or not at all"
    if path.kind == "direct":
        return "direct"
    if age < PUNCHING:
        return f"relayed through {path.address}; looking for a direct path"
    return (
        f"relayed through {path.address}: no direct path opened in {age:.0f} s, so a router or firewall on "
        "one side lets none through; `servent doctor` says which and what helps"
    )


def why_not(attempts: Attempts) -> str:
    """In words, why a peer is not connected."""
    if attempts.dialing:
        return "connecting now" + (f"; before: {attempts.why}" if attempts.why else "")
    if not attempts.addresses and not attempts.relay:
        return "no address is known; a ticket from them, or a common peer, brings one"
    last = f"not connected: {attempts.why}" if attempts.why else "not connected"
    if attempts.next_in is None:
        return f"{last}; it is dialed when it is needed"
    return f"{last}; next try " + (f"in {attempts.next_in:.0f} s" if attempts.next_in >= 1 else "now")
