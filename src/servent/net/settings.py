"""Every time and limit of the connection manager in one place; tests and measurements turn them."""

from __future__ import annotations

from dataclasses import dataclass, field

from servent.net.gate import GateSettings
from servent.net.redial import RedialSettings
from servent.net.router import RouterSettings
from servent.net.session import SessionSettings


@dataclass(frozen=True, slots=True)
class PeersSettings:
    """Times in seconds.

    Attributes:
        dial: for one try to find a path; `open` and `connect` try again until their own time is up. Short, since
            a handshake that began while nothing got through is repeated ever more rarely (RFC 9002, 6.2.4).
        hello: for the hello alone.
        sessions: open at once; beyond, only friends are let in. guests: beyond, nobody who comes by a pass alone.
        keep: peers we stay connected to by ourselves; friends and those the overlay holds count first and always.
        mesh: up to so many members of a network are all connected to each other. In a larger one we stay connected to
            friends and to those that the overlay holds.
        spare, most_spare: seconds without any stream after which we close a connection that we dialed and nobody
            here holds, in a larger network; and how many of these there may be at once.
        seen_for: seconds that a member that was heard of counts among those of its network.
        dials: of our own accord at once; `open` and `connect` have as many again.
        refused_wait: shortest time until we dial somebody again who did not know us.
        hearsay_failures: dials after which a peer that somebody told us of is given up.
        hearsay_rate, hearsay_burst: peers that we know by hearsay alone and begin to dial, per second in the long
            run and at once. Each costs packets to addresses that somebody else chose.
        newcomer: dials to peers somebody told us of are spread over this time; by the larger id
            over twice as much, so that few dials cross.
        members_rate, members_burst: `Members` messages per second that one peer is listened to for.
        here_every: shortest time between two `Here` to one peer.
        save_every: shortest time between two writes of the address book.
        goodbye: for telling everyone when closing.
        records_every: shortest time between two `AskRecords` for one network to one peer.
    """

    dial: float = 4.0
    hello: float = 10.0
    sessions: int = 512
    guests: int = 384
    keep: int = 128
    mesh: int = 32
    spare: float = 120.0
    most_spare: int = 256
    seen_for: float = 3600.0
    dials: int = 32
    refused_wait: float = 60.0
    hearsay_failures: int = 6
    hearsay_rate: float = 0.25
    hearsay_burst: float = 128.0
    newcomer: float = 0.3
    members_rate: float = 1.0
    members_burst: float = 32.0
    here_every: float = 1.0
    save_every: float = 5.0
    goodbye: float = 0.5
    records_every: float = 1.0
    gate: GateSettings = field(default_factory=GateSettings)
    redial: RedialSettings = field(default_factory=RedialSettings)
    router: RouterSettings = field(default_factory=RouterSettings)
    session: SessionSettings = field(default_factory=SessionSettings)
