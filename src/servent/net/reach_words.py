"""What a node's reachability means, in words for a person. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the way out.

    Attributes:
        nat, ipv4, ipv6: kinds, see `reach.Kind`; `nat` is the one that decides.
        mapped: the router opened a port; `mapped_inside`: one did, whose own address is not public.
        carrier: a carrier's NAT is in front.
        relay: one is connected.
        peers, outside, near: connected peers; those that reach us directly from outside, and from our own network.
        stuck: for some time nobody outside has reached us but through a relay.
        world: one of our own addresses is valid in the whole world.
        bound: over IPv4 we listen on a loopback address, because somebody said so.
    """

    nat: str
    ipv4: str
    ipv6: str
    mapped: bool = False
    mapped_inside: bool = False
    carrier: bool = False
    relay: bool = False
    peers: int = 0
    outside: int = 0
    near: int = 0
    stuck: bool = False
    world: bool = False
    bound: bool = False

    @property
    def hindered(self) -> bool:
        """Whether some peers can only be reached through a relay, because of our side."""
        return self.nat in ("symmetric", "udp-blocked") and not self.mapped


_SUMMARY = {
    "easy": "The router translates addresses in the usual way: direct connections work with nearly everyone.",
    "symmetric": "The router uses a new port for every peer (symmetric NAT): peers behind strict routers are "
    "reached through a relay.",
    "udp-blocked": "UDP does not get through this network: even peers with a public address are reached through "
    "a relay only, encrypted but slower.",
    "none": "This computer has no network address: it is offline.",
}
_BOUND = (
    "Over IPv4 this node listens on this computer's own address (127.0.0.1) alone: peers on this computer reach it, "
    "nobody else does."
)
_ALONE = "This computer has no address in any network: it reaches the peers on this computer alone."
_OPENED = "The router opened a port for this node (UPnP, PCP or NAT-PMP): everyone can reach it directly."
_DOUBLE = (
    " The router opened a port, but its own address is not public: another router, perhaps your provider's, "
    "lies in front of it."
)

_UPNP = (
    "Switch on UPnP, PCP or NAT-PMP in the router's settings: the node then opens a port by itself, and others "
    "reach it directly. (Is it on already? Then a second router lies in front, perhaps your provider's.)"
)
_FORWARD = (
    "Or forward one UDP port to this computer in the router, and start with "
    "`servent up --bind 0.0.0.0:PORT` of the same number."
)
_IPV6 = "Switch on IPv6 in the router, if your provider offers it: there is no NAT in its way."
_BIND = "To be reached by others, start without `--bind 127.0.0.1` and without the setting `net.bind`."
_NET = "Connect this computer to a network."
_UDP = "Allow outgoing UDP in the firewall of this network, or ask whoever runs it to."
_CARRIER = "Ask your provider for a public IPv4 address or IPv6: it shares one address among many customers."
_BRIDGE = "Set the inner router to bridge mode (or access point mode), so that one router is left."
_ASK = "Connect to a peer outside your own network, best to two: they tell which address they see."


def summary(facts: Facts) -> str:
    """One sentence or two."""
    if facts.nat == "public":
        return _public(facts)
    if facts.mapped and facts.nat != "none":
        return _OPENED
    if facts.nat == "none" and (facts.bound or facts.near):
        return _BOUND if facts.bound else _ALONE
    text = _unknown(facts) if facts.nat == "unknown" else _SUMMARY[facts.nat]
    if facts.mapped_inside:
        text += _DOUBLE
    if facts.ipv6 == "public" and facts.nat in ("easy", "symmetric", "udp-blocked"):
        text += (
            " Over IPv6 this computer has an address of its own: peers that have IPv6, too, need no relay."
        )
    if facts.nat == "udp-blocked" and not facts.relay:
        text += " No relay is connected, so nobody can be reached at the moment."
    return text


def cause(facts: Facts) -> str:
    """Why connections are relayed, to follow "because"."""
    if not facts.hindered:
        return ""
    if facts.nat == "udp-blocked":
        return "UDP does not get through this network"
    return "the router uses a new port for every peer (symmetric NAT)"


def remedies(facts: Facts) -> tuple[str, ...]:
    """What would help, most useful first."""
    out: list[str] = []
    if facts.nat == "none":
        out.append(_BIND if facts.bound else _NET)
    if facts.nat == "udp-blocked":
        out.append(_UDP)
    if facts.mapped_inside and not facts.mapped and facts.nat != "public":
        out.append(_CARRIER if facts.carrier else _BRIDGE)
    elif facts.nat == "symmetric" and not facts.mapped:
        out += [_CARRIER] if facts.carrier else [_UPNP, _FORWARD]
    if facts.hindered and facts.ipv6 != "public":
        out.append(_IPV6)
    if facts.nat == "unknown" and not facts.mapped:
        out.append(_ASK)
    return tuple(out)


def _public(facts: Facts) -> str:
    if facts.ipv4 != "public":
        return (
            f"Over IPv6 this computer has {'a public address' if facts.world else 'an address'} of its own: peers "
            "that have IPv6, too, reach it directly, unless a firewall forbids it."
            + ("" if facts.ipv4 == "none" else " What IPv4 does shows as soon as two peers outside use it.")
        )
    if not facts.world:
        return "No router translates this computer's address, as far as peers tell: they see the very one it has."
    text = "This computer has a public address: everyone can reach it directly, unless a firewall forbids it."
    return text if facts.outside else text + " Nobody outside is connected yet who could confirm it."


def _unknown(facts: Facts) -> str:
    if facts.stuck:
        return (
            "Peers outside are reached through a relay only. Either UDP does not get through this network, or "
            "routers on both sides are strict; the first peer with a public address will tell which."
        )
    if facts.outside:
        return "Direct connections work. One more peer outside is needed to tell the kind of router."
    if facts.near:
        return (
            "Peers on this computer or its own network are reached directly. How others reach it shows as soon "
            "as somebody outside is connected."
        )
    if facts.peers:
        return "The first peers are just connecting; they tell which address they see."
    return "Not known yet, and no fault: it shows as soon as a peer is connected and tells which address it sees."
