"""Turns what is known of a node's network into checks and explanations a person understands. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from servent.net.links import PathKind
from servent.net.reach import ReachView

Outcome = Literal["pass", "warn", "fail", "skip"]

CLOCK_TOLERANCE = 120.0  # s; invitations and records are judged by the clock, in hours
PUNCHING = 10.0  # s in which a direct path usually opens, if ever
FAR = 0.4  # s of round trip to the relay that people notice


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the doctor's report. `remedy` is empty when nothing needs doing."""

    name: str
    title: str
    outcome: Outcome
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class RelayProbe:
    """What a relay answered over HTTP: `took` seconds, or `error` in words; `clock_off` = their clock - ours."""

    url: str
    took: float | None
    error: str = ""
    clock_off: float | None = None


@dataclass(frozen=True, slots=True)
class Probes:
    """What the machine itself says; see `net.probes`. `udp`: why no UDP socket can be had, empty when it can."""

    udp: str = ""
    ipv4_route: bool = True
    ipv6_route: bool = True
    relays: tuple[RelayProbe, ...] = ()


@dataclass(frozen=True, slots=True)
class Lan:
    """Discovery on the local network. `working`: whether multicast does."""

    on: bool
    working: bool = False
    found: int = 0


def diagnose(reach: ReachView, probes: Probes, lan: Lan, direct: int, relayed: int) -> list[Check]:
    """All checks, most basic first. `direct` and `relayed` count connected peers."""
    return [
        _udp(probes, reach),
        _ipv4(probes, reach),
        _ipv6(probes, reach),
        _nat(reach),
        _mapping(reach),
        _observers(reach),
        *_relays(reach, probes.relays),
        _clock(probes.relays),
        _lan(lan),
        _peers(direct, relayed),
    ]


def _udp(probes: Probes, reach: ReachView) -> Check:
    title = "UDP"
    if probes.udp:
        return Check("udp", title, "fail", f"no UDP socket can be opened: {probes.udp}",
                     "Allow UDP for this program; everything here travels over it.")  # fmt: skip
    if reach.nat == "udp-blocked":
        return Check("udp", title, "warn", "packets leave this computer, and none gets through this network",
                     "Allow outgoing UDP in the firewall of this network, or ask whoever runs it to.")  # fmt: skip
    if any(seen.address for seen in reach.observers):
        return Check("udp", title, "pass", "packets go out and answers come back")
    return Check("udp", title, "skip", "sockets open; nobody outside has answered directly yet")


def _ipv4(probes: Probes, reach: ReachView) -> Check:
    if reach.ipv4.addresses:
        return Check("ipv4", "IPv4", "pass", f"others see {', '.join(reach.ipv4.addresses)}")
    if not probes.ipv4_route:
        outcome: Outcome = "warn" if probes.ipv6_route else "fail"
        return Check("ipv4", "IPv4", outcome, "this computer has no way out over IPv4",
                     "" if probes.ipv6_route else "Connect this computer to a network.")  # fmt: skip
    return Check("ipv4", "IPv4", "skip", "there is a way out; no peer has told yet which address it sees")


def _ipv6(probes: Probes, reach: ReachView) -> Check:
    if reach.ipv6.kind == "public":
        return Check(
            "ipv6", "IPv6", "pass", "this computer has an IPv6 address of its own, and others see it"
        )
    if not probes.ipv6_route or reach.ipv6.kind == "none":
        hindered = reach.nat in ("symmetric", "udp-blocked")
        return Check("ipv6", "IPv6", "warn" if hindered else "skip", "no IPv6 here",
                     "Switch on IPv6 in the router, if your provider offers it." if hindered else "")  # fmt: skip
    return Check("ipv6", "IPv6", "skip", "there is a way out over IPv6; no peer has used it yet")


def _nat(reach: ReachView) -> Check:
    outcomes: dict[str, Outcome] = {
        "public": "pass", "easy": "pass", "symmetric": "warn", "udp-blocked": "warn", "none": "fail", "unknown": "skip",
    }  # fmt: skip
    outcome = "pass" if reach.mapped and reach.nat == "symmetric" else outcomes[reach.nat]
    return Check("nat", "Router", outcome, reach.summary, reach.remedies[0] if reach.remedies else "")


def _mapping(reach: ReachView) -> Check:
    title = "Port opened by the router"
    if reach.mapped:
        return Check("mapping", title, "pass", f"yes: {', '.join(reach.mapped)}")
    if reach.nat in ("public", "easy"):
        return Check("mapping", title, "skip", "none, and none is needed")
    return Check("mapping", title, "warn" if reach.nat == "symmetric" else "skip", "none (UPnP, PCP and NAT-PMP asked)",
                 "Switch on UPnP, PCP or NAT-PMP in the router." if reach.nat == "symmetric" else "")  # fmt: skip


def _observers(reach: ReachView) -> Check:
    seen = sum(observation.address is not None for observation in reach.observers)
    blocks = len({o.block for o in reach.observers if o.address is not None})
    detail = f"{seen} of {len(reach.observers)} connected peers see our address, from {blocks} parts of the internet"
    if seen >= 2:
        return Check("observers", "Peers that see our address", "pass", detail)
    return Check("observers", "Peers that see our address", "warn" if reach.observers else "skip", detail,
                 "Two are needed to know the kind of router; connect to more peers.")  # fmt: skip


def _relays(reach: ReachView, probes: Sequence[RelayProbe]) -> list[Check]:
    if not probes:
        if reach.nat == "public":
            return [Check("relay", "Relay", "skip", "none is set; with a public address none is needed")]
        return [Check("relay", "Relay", "warn", "none is set: peers that cannot be reached directly stay unreachable",
                      "Set one with `--relay URL`; `servent relay` runs one.")]  # fmt: skip
    checks = []
    for number, probe in enumerate(probes):
        name = "relay" if number == 0 else f"relay-{number + 1}"
        home = " (in use)" if reach.relay and reach.relay.rstrip("/") == probe.url.rstrip("/") else ""
        if probe.took is None:
            checks.append(Check(name, "Relay", "fail" if len(probes) == 1 else "warn",
                                f"{probe.url} does not answer: {probe.error}",
                                "Is the address right, and does this network let TCP out to that port?"))  # fmt: skip
        else:
            slow = probe.took > FAR
            checks.append(Check(name, "Relay", "warn" if slow else "pass",
                                f"{probe.url}{home} answers in {probe.took * 1000:.0f} ms",
                                "A relay nearer to you makes relayed connections quicker." if slow else ""))  # fmt: skip
    return checks


def _clock(probes: Sequence[RelayProbe]) -> Check:
    offs = sorted((probe.clock_off for probe in probes if probe.clock_off is not None), key=abs)
    if not offs:
        return Check("clock", "Clock", "skip", "no relay to compare it with")
    if abs(offs[0]) <= CLOCK_TOLERANCE:
        return Check("clock", "Clock", "pass", f"within {max(1.0, abs(offs[0])):.0f} s of the relay's")
    way = "behind" if offs[0] > 0 else "ahead of"
    return Check("clock", "Clock", "warn", f"{abs(offs[0]):.0f} s {way} the relay's clock",
                 "Set the clock (turn on automatic time): invitations expire by it.")  # fmt: skip


def _lan(lan: Lan) -> Check:
    title = "Local network"
    if not lan.on:
        return Check("lan", title, "skip", "looking for peers on the local network is switched off")
    if not lan.working:
        return Check("lan", title, "warn", "multicast does not work here, so peers on this network are not found",
                     "Some guest networks forbid it; a ticket connects you all the same.")  # fmt: skip
    return Check("lan", title, "pass", f"{lan.found} {'peer' if lan.found == 1 else 'peers'} found here")


def _peers(direct: int, relayed: int) -> Check:
    if direct + relayed == 0:
        return Check("peers", "Peers", "skip", "none is connected", "Pass a ticket on: `servent ticket`.")
    return Check("peers", "Peers", "pass", f"{direct} direct, {relayed} relayed")


def why_path(
    path: PathKind | None, mine: ReachView, *, theirs: str | None, address: str | None, age: float
) -> str:
    """Why a connected peer is direct or relayed, in a sentence.

    Args:
        theirs: the peer's own NAT kind ("public", "easy", "symmetric", "udp-blocked"), None when it did not tell.
        address: "ip:port" the peer is announced at, to notice that both sit behind one carrier's NAT.
        age: seconds since it connected.
    """
    if path == "direct":
        return "direct"
    if path is None:
        return "connected; no path is in use at this moment"
    if mine.nat == "udp-blocked":
        return "relayed: UDP does not get out of your network"
    if theirs == "udp-blocked":
        return "relayed: UDP does not get out of the peer's network"
    if age < PUNCHING:
        return "relayed for now: still looking for a direct path"
    if address is not None and any(_same_host(address, own) for own in mine.addresses):
        return (
            "relayed: you both sit behind the same public address, and that router does not loop packets back"
        )
    if mine.nat == "symmetric" and theirs == "symmetric":
        return (
            "relayed: both routers use a new port for every peer (symmetric NAT); UPnP on one of them helps"
        )
    if mine.nat == "symmetric":
        return "relayed: your router uses a new port for every peer (symmetric NAT), and theirs admits no unknown one"
    if theirs == "symmetric":
        return "relayed: their router uses a new port for every peer (symmetric NAT), and yours admits no unknown one"
    if not mine.addresses and mine.nat == "unknown":
        return "relayed: nobody has told yet which address you have; more peers help"
    return "relayed: a router or firewall on one side lets no direct packets through"


def _same_host(one: str, other: str) -> bool:
    return one.rpartition(":")[0] == other.rpartition(":")[0]
