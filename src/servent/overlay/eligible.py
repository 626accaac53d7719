"""Who can carry the index role, how well, and what is missing, in words. Pure.

What is asked for follows gtk-gnutella's ultrapeers: not behind a firewall, up for long, on average too, memory, files, uplink.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

from servent.overlay.settings import ElectionSettings

FULL_UPTIME = 5.0  # log2(1 + hours) that count fully: 31 h
FULL_UP = 6_250_000.0  # bytes per second that count fully: 50 Mbit/s
FULL_MEMORY = 4 << 30  # free bytes that count fully


@dataclass(frozen=True, slots=True)
class Abilities:
    """What this machine can do, as its shell measured it.

    Attributes:
        addresses: "ip:port" others may reach us at, best first.
        mapped: these are there by a port mapping.
        session, average_session: seconds this one lasts, and earlier ones lasted.
        up: bytes per second; 0 not known yet, which is no hindrance, but others with a known line come first.
        memory: free bytes. files: descriptors allowed. load: 0.0 to 1.0.
        metered, battery: reasons not to.
        clock_off: seconds our clock differs from that of others; None not known.
        inbound: peers that we had not dialled have reached us.
    """

    addresses: tuple[str, ...] = ()
    mapped: bool = False
    session: float = 0.0
    average_session: float = 0.0
    up: float = 0.0
    memory: int = 0
    files: int = 0
    load: float = 0.0
    metered: bool = False
    battery: bool = False
    clock_off: float | None = None
    inbound: bool = False


def score(abilities: Abilities) -> float:
    """How well a peer would do in the role: 0.0 to 1.0. The best wait the shortest time."""
    uptime = min(1.0, log2(1.0 + abilities.average_session / 3600.0) / FULL_UPTIME)
    reached = 0.5 if abilities.mapped else 1.0
    return (
        0.35 * uptime
        + 0.25 * min(1.0, abilities.up / FULL_UP)
        + 0.15 * min(1.0, abilities.memory / FULL_MEMORY)
        + 0.15 * reached
        + 0.10 * (1.0 - min(1.0, max(0.0, abilities.load)))
    )


def hindrances(
    abilities: Abilities, settings: ElectionSettings, *, relaxed: bool = False, urgent: bool = False
) -> list[str]:
    """What speaks against the role, whether we can be reached apart; each a sentence's half about "it", this node.

    Args:
        relaxed: there are too few supernodes: short sessions count.
        urgent: there is none at all: anything that can be reached will do.
    """
    if urgent:
        return []
    found = lasting(abilities)
    wanted = settings.relaxed_session if relaxed else settings.session
    if abilities.session < wanted:
        found.append(f"it has not been on for {span(wanted)} yet")
    elif not relaxed and abilities.average_session < settings.average_session:
        found.append(
            f"it usually is on for {span(abilities.average_session)} at a time, which should be "
            f"{span(settings.average_session)}"
        )
    if 0.0 < abilities.up < settings.up:
        found.append(
            f"it uploads {abilities.up * 8e-6:.1f} Mbit/s, which should be {settings.up * 8e-6:.0f} Mbit/s"
        )
    if abilities.memory < settings.memory:
        found.append(
            f"it has {abilities.memory >> 20} MB of memory free, which should be {settings.memory >> 20} MB"
        )
    if abilities.files < settings.files:
        found.append(f"it may open {abilities.files} files at a time, which should be {settings.files}")
    if abilities.clock_off is not None and abs(abilities.clock_off) > settings.clock:
        found.append(f"its clock is {span(abs(abilities.clock_off))} off")
    return found


def lasting(abilities: Abilities) -> list[str]:
    """What speaks against keeping the role, even for one that has it."""
    found = []
    if abilities.metered:
        found.append("its connection is paid by volume")
    if abilities.battery:
        found.append("it runs on battery")
    return found


def keeping(mode: str, wished: bool) -> str:
    """Why one keeps the index that kept it before already: under another mode, or another wish."""
    if mode == "server":
        return "This node is a server of this network, and keeps its index."
    if mode == "p2p":
        return "In this network every peer keeps a part of the index."
    if wished:
        return "You have said that this node shall keep the index."
    return "This node kept the index before, and goes on while it is needed."


def span(seconds: float) -> str:
    """A time for people: "45 seconds", "12 minutes", "2 hours"."""
    for size, unit in ((3600.0, "hour"), (60.0, "minute")):
        if seconds >= size:
            number = int(seconds / size)
            return f"{number} {unit}{'' if number == 1 else 's'}"
    return f"{int(seconds)} second{'' if int(seconds) == 1 else 's'}"


def sentence(start: str, reasons: list[str]) -> str:
    """ "This node does not keep the index: it runs on battery, and its clock is 2 minutes off." """
    if not reasons:
        return f"{start}."
    return f"{start}: {', '.join(reasons[:-1])}{', and ' if len(reasons) > 1 else ''}{reasons[-1]}."
