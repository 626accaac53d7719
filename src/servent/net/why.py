"""Why a peer is direct, relayed or away, and what would help, from what both sides know. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from servent.net.links import Path
from servent.net.reach import ReachView, host_of, ip_of, is_inside

SETTLING = 2.0  # s; where a direct path can open it does so within two round trips
PUNCHING = 10.0  # s after which a direct path that nothing seems to hinder is late

_OPEN_UDP = "Allow outgoing UDP in the firewall of {whose} network"
_OPEN_PORT = "UPnP, PCP or NAT-PMP switched on in {which} router makes it direct; so does IPv6 on both sides"


@dataclass(frozen=True, slots=True)
class Why:
    """A sentence, and what would help; `remedy` is empty when nothing needs doing."""

    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Theirs:
    """What is known of the peer's side: what it told of its way out, and where it may be found."""

    ipv4: str | None = None
    ipv6: str | None = None
    addresses: Sequence[str] = ()


def why_path(path: Path | None, mine: ReachView, theirs: Theirs, *, age: float, silent: int = 0) -> Why:
    """Of a connected peer. `age`: seconds since it connected; `silent`: echoes overdue."""
    if path is None:
        return Why("connected; no path is in use at this moment")
    if silent:
        return Why(f"connected, but {silent} of our last echoes came back too late or not at all")
    return Why(_direct(path.address, mine)) if path.kind == "direct" else _relayed(mine, theirs, age)


def why_away(reason: str, known: bool) -> Why:
    """Of a peer that is not connected. `known`: some address or relay of it is."""
    if not known:
        return Why(reason, "Ask them for a ticket (`servent ticket` there), and `servent join` it here.")
    if reason.startswith(("connecting", "blocked")):
        return Why(reason)
    return Why(reason, "Is their computer on, online, and their node running?")


def _direct(address: str, mine: ReachView) -> str:
    try:
        there = ip_of(address)
    except ValueError:
        return "direct"
    own = (*mine.ipv4.local, *mine.ipv6.local)
    if there.is_loopback or host_of(address) in map(host_of, own):
        return "direct, on this computer"
    if is_inside(address) or there.is_link_local:
        return "direct, inside the local network or a VPN"
    return f"direct, over IPv{there.version}"


def _relayed(mine: ReachView, theirs: Theirs, age: float) -> Why:
    ours4, ours6 = mine.told
    if mine.nat == "udp-blocked":
        return Why(
            "relayed because UDP does not get through your network", _OPEN_UDP.format(whose="your") + "."
        )
    if theirs.ipv4 == "udp-blocked" and theirs.ipv6 in ("none", "udp-blocked", None):
        return Why(
            "relayed because UDP does not get through their network",
            _OPEN_UDP.format(whose="their") + "; they have to do that.",
        )
    if (ours4 == "none" and theirs.ipv6 == "none") or (ours6 == "none" and theirs.ipv4 == "none"):
        one, other = ("IPv6", "IPv4") if ours4 == "none" else ("IPv4", "IPv6")
        return Why(
            f"relayed because you have {one} only, and they have {other} only",
            "IPv6 on both sides makes it direct; the provider or the router has a switch for it.",
        )
    if age < SETTLING:
        return Why("relayed for now: still looking for a direct path")
    if shared := _shared(mine, theirs):
        return Why(
            f"relayed because you both share the public address {shared}, and the router there, a provider's "
            "or your own, does not lead packets back inside",
            "IPv6 on both sides makes it direct; or ask the provider for a public IPv4 address; in one building, "
            "use the same network (a guest network may keep its devices apart).",
        )
    return _routers(mine, ours4, theirs.ipv4) or _unknown(mine, theirs, age)


def _routers(mine: ReachView, ours: str | None, theirs: str | None) -> Why | None:
    """When a router that uses new ports is the cause."""
    if ours == "symmetric" and theirs == "symmetric":
        return Why(
            "relayed because both routers use a new port for every connection (symmetric NAT), so that neither "
            "side can tell where the other will be",
            _OPEN_PORT.format(which="one") + ".",
        )
    if ours == "symmetric" and theirs in ("easy", "public", "mapped"):
        guard = "their router lets in" if theirs == "easy" else "a firewall on their side lets in"
        return Why(
            "relayed because your router uses a new port for every connection (symmetric NAT), and "
            f"{guard} only what it expects",
            _OPEN_PORT.format(which="your") + ".",
        )
    if theirs == "symmetric" and ours in ("easy", "public", "mapped"):
        guard = "your router lets in" if ours == "easy" else "a firewall on your side lets in"
        return Why(
            "relayed because their router uses a new port for every connection (symmetric NAT), and "
            f"{guard} only what it expects",
            _OPEN_PORT.format(which="either") + ".",
        )
    return None


def _unknown(mine: ReachView, theirs: Theirs, age: float) -> Why:
    if age < PUNCHING:
        return Why("relayed for now: still looking for a direct path")
    if not mine.addresses and mine.nat == "unknown":
        return Why(
            "relayed because nobody has told yet which address you have, so they cannot aim at it",
            "Connect to a peer outside your own network; it will tell.",
        )
    if theirs.ipv4 is None and theirs.ipv6 in (None, "none"):
        ours = "; your router uses a new port for every connection" if mine.nat == "symmetric" else ""
        return Why(
            f"relayed; their node does not know yet what kind of router it is behind{ours}",
            "It learns that when two more peers are connected to it.",
        )
    return Why(
        f"relayed: no direct path opened in {age:.0f} s, though neither router should be in the way; perhaps "
        "a firewall on one of the computers is",
        "Allow UDP for this program in the computer's own firewall, on both sides; the node goes on trying.",
    )


def _shared(mine: ReachView, theirs: Theirs) -> str:
    """The public IPv4 address that both have, if there is one."""
    ours = {host_of(address) for address in (*mine.ipv4.addresses, *mine.addresses) if not is_inside(address)}
    there = {host_of(address) for address in theirs.addresses if not is_inside(address)}
    shared = sorted(one for one in ours & there if ":" not in one)
    local = {host_of(address) for address in mine.ipv4.local}
    return next((one for one in shared if one not in local), "")
