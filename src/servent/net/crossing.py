"""One connection per pair: which of two stays. Pure, and the same answer on both sides.

Two nodes often dial each other at the same moment (both heard of the other from a third). Then there
are two connections for a while; both sides must let go of the same one, in whatever order they saw them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from servent.identity import PeerId


class Line(Protocol):
    """What is compared of a session."""

    peer: PeerId
    dialed: bool
    tag: bytes
    run_tag: bytes
    last: bytes | None


@dataclass(frozen=True, slots=True)
class Decision:
    """`new` takes over or not; `dead`: the loser is known to be dead by the peer, close it at once."""

    new: bool
    dead: bool


def decide(me: PeerId, old: Line, new: Line) -> Decision:
    """Which of two connections with one peer is used from now on; `new` finished its hello later, here."""
    if new.last == old.tag:  # whoever dialed it had the old one and gave it up
        return Decision(new=True, dead=True)
    if old.last == new.tag:
        return Decision(new=False, dead=True)
    if new.run_tag != old.run_tag:  # the peer started anew
        return Decision(new=True, dead=True)
    if new.dialed == old.dialed:  # the dialer did not know that the first one had worked
        return Decision(new=True, dead=False)
    smaller_dialed_new = new.dialed == (bytes(me) < bytes(new.peer))
    return Decision(new=smaller_dialed_new, dead=False)
