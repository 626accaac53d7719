"""What a node's reachability means, in words for a person. Pure."""

from __future__ import annotations

from collections.abc import Sequence

_SUMMARY = {
    "public": "This computer has a public address: everyone can reach it directly, unless a firewall forbids it.",
    "easy": "The router translates addresses in the usual way: direct connections work with nearly everyone.",
    "symmetric": "The router uses a new port for every peer (symmetric NAT): peers behind strict routers are "
    "reached through a relay.",
    "udp-blocked": "UDP does not get out of this network: all connections go through a relay, encrypted but slower.",
    "none": "This computer has no network address: it is offline.",
    "unknown": "Not known yet: two peers have to say which address they see.",
}

_UPNP = (
    "Switch on UPnP, PCP or NAT-PMP in the router's settings: the node then opens a port by itself, "
    "and others reach it directly."
)
_IPV6 = "Switch on IPv6 in the router, if your provider offers it: with IPv6 there is no NAT in the way."
_RELAY = "Run `servent relay` on a computer that everyone can reach (a small server is enough) and set it with `--relay URL`."
_UDP = "Allow outgoing UDP in the firewall of this network, or ask whoever runs it to."
_CARRIER = "Ask your provider for a public IPv4 address or IPv6: it shares one address among many customers."
_ASK = "Connect to two or more peers, or a relay's operator's node: they tell which address they see."


def summary(nat: str, ipv6: str, mapped: bool, relay: str | None, observers: int) -> str:
    """One sentence or two."""
    text = _SUMMARY[nat]
    if nat == "unknown" and observers == 1:
        text = (
            "Half known: one peer says which address it sees; a second one is needed to tell the kind of NAT."
        )
    if mapped and nat in ("easy", "symmetric", "unknown"):
        text = "The router opened a port for this node (UPnP or PCP): everyone can reach it directly."
    if ipv6 == "public" and nat in ("easy", "symmetric", "udp-blocked"):
        text += " Over IPv6 it has an address of its own."
    if nat == "udp-blocked" and relay is None:
        text += " No relay is connected, so nobody can be reached at the moment."
    return text


def tried(direct: Sequence[bool], mapped: Sequence[str], relay: str | None) -> tuple[str, ...]:
    """What was asked and what came of it."""
    peers = "1 peer was" if len(direct) == 1 else f"{len(direct)} peers were"
    out = [
        f"{peers} asked which address they see; {sum(direct)} reached us directly",
        f"the router opened {', '.join(mapped)}"
        if mapped
        else "the router opened no port (UPnP, PCP, NAT-PMP)",
        f"connected to the relay {relay}" if relay else "no relay is connected",
    ]
    return tuple(out)


def remedies(nat: str, ipv6: str, mapped: bool, relay: bool, carrier: bool) -> tuple[str, ...]:
    """What would help, most useful first."""
    out: list[str] = []
    if nat == "udp-blocked":
        out.append(_UDP)
    if nat == "symmetric" and not mapped:
        out.append(_UPNP)
    if carrier:
        out.append(_CARRIER)
    if nat in ("symmetric", "udp-blocked") and ipv6 in ("none", "unknown"):
        out.append(_IPV6)
    if not relay and nat != "public":
        out.append(_RELAY)
    if nat == "unknown":
        out.append(_ASK)
    return tuple(out)
