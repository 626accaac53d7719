"""Turns what is known of a node's network into checks a person understands. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from servent.net.reach import FamilyView, ReachView, is_inside

Outcome = Literal["pass", "warn", "fail", "skip"]

CLOCK_TOLERANCE = 120.0  # s; invitations and records are judged by the clock, in hours
YOUNG = 10.0  # s after its start in which a node may still be connecting to its relay and its network
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
    """What the machine itself says; see `net.probes`.

    Attributes:
        udp: why no UDP packet can be sent, empty when one can.
        ipv4_route, ipv6_route: whether the machine knows a way to the internet.
        relays: answers of the relays asked.
        public_relays: whether the names of the public relays resolve; None where those are not used.
    """

    udp: str = ""
    ipv4_route: bool = True
    ipv6_route: bool = True
    relays: tuple[RelayProbe, ...] = ()
    public_relays: bool | None = None


@dataclass(frozen=True, slots=True)
class Lan:
    """Discovery on the local network. `working`: whether multicast does."""

    on: bool
    working: bool = False
    found: int = 0


@dataclass(frozen=True, slots=True)
class Company:
    """Peers: how many are connected how, and why those we want are away ("ann: timed out")."""

    direct: int = 0
    relayed: int = 0
    away: Sequence[str] = ()


def diagnose(reach: ReachView, probes: Probes, lan: Lan, company: Company, age: float = YOUNG) -> list[Check]:
    """All checks, most basic first. `age`: seconds since the node started."""
    return [
        _udp(probes, reach),
        _ipv4(probes, reach),
        _ipv6(probes, reach),
        _nat(reach),
        _mapping(reach),
        *_relays(reach, probes, age),
        _clock(probes.relays),
        _lan(lan, age),
        _peers(company, reach),
        _away(company),
    ]


def _udp(probes: Probes, reach: ReachView) -> Check:
    title = "UDP"
    if probes.udp:
        return Check("udp", title, "fail", f"this computer cannot send UDP packets: {probes.udp}",
                     "Allow UDP for this program in the computer's own firewall; everything here travels over it.")  # fmt: skip
    if reach.nat == "udp-blocked":
        return Check("udp", title, "skip", "packets leave this computer, and none gets through this network")
    if any(seen.address and not is_inside(seen.address) for seen in reach.observers):
        return Check("udp", title, "pass", "packets go out, and answers come back from outside")
    if any(seen.direct for seen in reach.observers):
        return Check(
            "udp",
            title,
            "pass",
            "packets travel on this computer or network; nobody outside is connected yet",
        )
    return Check("udp", title, "skip", "packets can be sent; nobody has answered directly yet")


def _ipv4(probes: Probes, reach: ReachView) -> Check:
    title, family = "IPv4", reach.ipv4
    if outside := _outside(family):
        return Check("ipv4", title, "pass", f"works; peers see {outside}")
    if not probes.ipv4_route:
        if probes.ipv6_route:
            return Check("ipv4", title, "warn", "no way out over IPv4: peers that have only IPv4 need a relay",
                         "Usual in IPv6-only networks; a relay that has both bridges the two.")  # fmt: skip
        return Check("ipv4", title, "fail", "this computer has no way out, over IPv4 or IPv6",
                     "Connect this computer to a network.")  # fmt: skip
    return Check("ipv4", title, "pass", f"there is a way out{_from(family)}; no peer outside has used it yet")


def _ipv6(probes: Probes, reach: ReachView) -> Check:
    title, family = "IPv6", reach.ipv6
    if outside := _outside(family):
        return Check("ipv6", title, "pass", f"works; peers see {outside}")
    if family.usable and probes.ipv6_route:
        return Check(
            "ipv6", title, "pass", f"there is a way out{_from(family)}; no peer outside has used it yet"
        )
    detail = "none that leads out"
    if family.local and not family.usable:
        detail = f"only inside this network{_from(family)}"
    return Check(
        "ipv6", title, "skip", detail + ("; it would avoid the relay" if reach.cause else "; IPv4 will do")
    )


def _nat(reach: ReachView) -> Check:
    outcomes: dict[str, Outcome] = {
        "public": "pass", "easy": "pass", "symmetric": "warn", "udp-blocked": "warn", "none": "fail", "unknown": "skip",
    }  # fmt: skip
    outcome = outcomes[reach.nat]
    if reach.mapped and reach.nat != "none":
        outcome = "pass"
    if reach.nat == "none" and (reach.bound or any(seen.direct for seen in reach.observers)):
        outcome = "skip" if reach.bound else "warn"  # peers on this computer are reached all the same
    remedies = reach.remedies
    if outcome == "pass":
        remedies = ()
    if reach.nat == "unknown":
        remedies = reach.remedies[:1]
    detail = reach.summary
    if outside := sum(bool(seen.address) and not is_inside(seen.address or "") for seen in reach.observers):
        detail += f" ({outside} {'peer' if outside == 1 else 'peers'} outside told.)"
    return Check("nat", "Router and firewall", outcome, detail, " ".join(remedies))


def _mapping(reach: ReachView) -> Check:
    title = "Port opened by the router"
    if reach.mapped:
        return Check("mapping", title, "pass", f"yes: {', '.join(reach.mapped)}")
    if reach.mapped_inside:
        where = ", ".join(reach.mapped_inside)
        return Check("mapping", title, "skip", f"{where}, which is not public: another router lies in front")
    if reach.nat in ("public", "easy"):
        return Check("mapping", title, "skip", "none, and none is needed")
    return Check("mapping", title, "skip", "none; the router was asked (UPnP, PCP, NAT-PMP) and opened none")


def _relays(reach: ReachView, probes: Probes, age: float) -> list[Check]:
    checks = []
    if probes.public_relays is False:
        checks.append(Check("public-relays", "Public relays", "warn", "their names cannot be looked up",
                            "Is this computer online, and does its DNS work? On an isolated network set "
                            "`net.relays` to a relay of your own, or to [] for none."))  # fmt: skip
    if not probes.relays:
        if probes.public_relays:
            checks.append(
                Check(
                    "relay", "Relay", "skip", "the public relays are there; the nearest one is being chosen"
                )
            )
        elif probes.public_relays is None:
            checks.append(_no_relay(reach))
        return checks
    home = reach.relay.rstrip("/") if reach.relay else None
    alive = [probe for probe in probes.relays if probe.took is not None]
    for number, probe in enumerate(probes.relays):
        name = "relay" if number == 0 else f"relay-{number + 1}"
        title = "Relay" if len(probes.relays) == 1 else f"Relay {number + 1}"
        used = home == probe.url.rstrip("/")
        if probe.took is None:
            checks.append(Check(name, title, "warn" if alive else "fail",
                                f"{probe.url} does not answer: {probe.error}",
                                "Is the address right, is the relay running, and does this network let TCP out to its "
                                "port? Port 443 passes most firewalls."))  # fmt: skip
            continue
        detail = f"{probe.url} answers in {_ms(probe.took)}"
        detail += ", and this node is connected to it" if used else ""
        if home is None and age < YOUNG:
            checks.append(Check(name, title, "skip", f"{detail}; this node is just connecting to it"))
        elif home is None:
            checks.append(Check(name, title, "warn", f"{detail}; but this node is not connected to it yet",
                                "Wait some seconds and look again; else a proxy may stop WebSockets, or the relay "
                                "lets only peers in that it knows."))  # fmt: skip
        elif probe.took > FAR:
            checks.append(Check(name, title, "warn", detail,
                                "A relay nearer to you makes relayed connections quicker."))  # fmt: skip
        else:
            checks.append(Check(name, title, "pass", detail))
    return checks


def _no_relay(reach: ReachView) -> Check:
    if reach.nat == "public" or reach.mapped:
        return Check(
            "relay", "Relay", "skip", "none is set; none is needed as long as no firewall keeps peers out"
        )
    if not any(seen.address and not is_inside(seen.address) for seen in reach.observers):
        return Check("relay", "Relay", "skip", "none is set; on one computer or local network none is needed",
                     "To meet peers elsewhere, set one: `servent up --relay URL`; `servent relay` runs one.")  # fmt: skip
    return Check("relay", "Relay", "warn", "none is set: peers that cannot be reached directly stay unreachable",
                 "Set one: `servent up --relay URL`; `servent relay` runs one on a public machine.")  # fmt: skip


def _clock(probes: Sequence[RelayProbe]) -> Check:
    offs = sorted((probe.clock_off for probe in probes if probe.clock_off is not None), key=abs)
    if not offs:
        return Check("clock", "Clock", "skip", "no relay to compare it with")
    if abs(offs[0]) <= CLOCK_TOLERANCE:
        return Check(
            "clock", "Clock", "pass", f"agrees with the relay's within {max(1.0, abs(offs[0])):.0f} s"
        )
    way = "behind" if offs[0] > 0 else "ahead of"
    return Check("clock", "Clock", "warn", f"{_long(abs(offs[0]))} {way} the relay's clock",
                 "Set the clock (turn on automatic time): invitations expire by it.")  # fmt: skip


def _lan(lan: Lan, age: float) -> Check:
    title = "Local network"
    if not lan.on:
        return Check(
            "lan", title, "skip", "looking for peers on the local network is switched off (`net.lan`)"
        )
    if not lan.working and age < YOUNG:
        return Check("lan", title, "skip", "discovery is just starting")
    if not lan.working:
        return Check("lan", title, "warn", "multicast does not work here, so peers on this network are not found",
                     "Some guest networks and containers forbid it; a ticket connects you all the same.")  # fmt: skip
    found = "no other node" if lan.found == 0 else "1 node" if lan.found == 1 else f"{lan.found} nodes"
    return Check("lan", title, "pass", f"discovery works; {found} found here")


def _peers(company: Company, reach: ReachView) -> Check:
    if company.direct + company.relayed == 0:
        return Check("peers", "Peers", "skip", "none is connected",
                     "Make a ticket with `servent ticket`, and have a friend `servent join` it.")  # fmt: skip
    detail = f"{company.direct} direct, {company.relayed} relayed"
    if not company.relayed:
        return Check("peers", "Peers", "pass", detail)
    return Check("peers", "Peers", "pass", f"{detail}; the reason for each is below")


def _away(company: Company) -> Check:
    title = "Peers not reached"
    if not company.away:
        return Check("away", title, "pass", "none")
    more = len(company.away) - 3
    detail = "; ".join(company.away[:3]) + (f"; and {more} more" if more > 0 else "")
    return Check("away", title, "skip", detail, "Are their computers on, online, and their nodes running?")


def _outside(family: FamilyView) -> str:
    return ", ".join(address for address in family.addresses if not is_inside(address))


def _from(family: FamilyView) -> str:
    return f" from {', '.join(family.local[:3])}" if family.local else ""


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def _long(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 600
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.0f} h"
    )
