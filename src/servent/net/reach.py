"""How this node can be reached, as other peers see it. A core: no I/O, no clock.

Peers tell each other the address they see (observers). From that this core decides which addresses to
announce, what kind of NAT lies between, and when to ask again. What it wants done it returns as effects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Literal

from servent.net import reach_words

Kind = Literal["public", "easy", "symmetric", "udp-blocked", "none", "unknown"]
Family = Literal[4, 6]

OBSERVERS_WANTED = 3  # two to tell NAT kinds apart, a third to outvote a liar
ADDRESSES_MOST = 12  # announced at once; iroh tries at most 32 candidates of a peer
LINGER = 30.0  # s an address stays announced after its last observer went: it may come right back
OVERLAP = 3.0  # s old addresses stay beside new ones, so that nobody dials into the gap
BLOCKED_AFTER = 3.0  # s; a direct path opens within two round trips if it ever does
MISSES = 2  # echoes in a row, from every observer, that mean the way out has changed
_CARRIER = ip_network("100.64.0.0/10")  # RFC 6598: inside a carrier's NAT


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the endpoint to offer exactly these observed addresses ("ip:port"), best first."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reobserve:
    """Ask every observer again what address it sees now."""

    why: str


@dataclass(frozen=True, slots=True)
class Redial:
    """The paths to all observers are silent: drop those connections and the relay's, and dial anew."""

    why: str


Effect = Announce | Reobserve | Redial


@dataclass(frozen=True, slots=True)
class Observation:
    """What one observer sees: `address`, or None when it tells nothing of the way out.

    That is so when it reaches us only through a relay (not `direct`), or from this very computer.
    """

    observer: str
    block: str
    address: str | None
    at: float
    direct: bool = True


@dataclass(frozen=True, slots=True)
class FamilyView:
    """IPv4 or IPv6.

    Attributes:
        kind: "public" means that no router translates: outside, they see one of our own addresses.
        addresses: those observers saw, from outside if any did.
        local: our own, without loopback and link-local ones.
    """

    kind: Kind
    addresses: tuple[str, ...] = ()
    local: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether it may lead out: IPv6 addresses that hold only inside a network (ULA) do not."""
        return self.kind != "none"


@dataclass(frozen=True, slots=True)
class ReachView:
    """For people and programs: how this node is reached.

    Attributes:
        nat: the kind that decides: IPv4's, unless only IPv6 is there.
        summary: one sentence or two.
        cause: why connections go through a relay, as the end of a sentence; empty where they need not.
        mapped: addresses the router opened for us; `mapped_inside`: and those that are not public themselves.
        remedies: what would help, most useful first; empty when nothing is needed.
        bound: over IPv4 we listen on a loopback address, because somebody said so.
    """

    nat: Kind
    summary: str
    ipv4: FamilyView
    ipv6: FamilyView
    addresses: tuple[str, ...]
    mapped: tuple[str, ...] = ()
    mapped_inside: tuple[str, ...] = ()
    observers: tuple[Observation, ...] = ()
    relay: str | None = None
    cause: str = ""
    remedies: tuple[str, ...] = ()
    bound: bool = False

    @property
    def told(self) -> tuple[str | None, str | None]:
        """What a peer is told: the kinds over IPv4 and IPv6, "mapped" where a router opened a port."""
        ipv4 = "mapped" if self.mapped and self.ipv4.kind != "public" else self.ipv4.kind
        return _known(ipv4), _known(self.ipv6.kind)


@dataclass(slots=True)
class _Seen:
    block: str
    address: str | None
    at: float
    direct: bool
    fresh: bool = True  # False: from before our network changed
    misses: int = 0
    told: tuple[str | None, str | None] = (None, None)  # what it says of its own way out

    @property
    def near(self) -> bool:
        """On this very computer: no word on the way out."""
        return self.direct and self.address is None


@dataclass(slots=True)
class _Announced:
    until: float | None = None  # None: an observer stands behind it


@dataclass(slots=True)
class Reach:
    """Collects what observers see. Observers are named by any text, usually their peer id."""

    _seen: dict[str, _Seen] = field(default_factory=dict)
    _announced: dict[str, _Announced] = field(default_factory=dict)
    _local: tuple[str, ...] = ()
    _mapped: tuple[str, ...] = ()
    _opened: bool = False
    _relay: str | None = None
    _relayed_since: float | None = None
    _stuck: bool = False  # for some time nobody outside has reached us but through a relay
    _silent: bool = False

    def observed(
        self, observer: str, observer_address: str | None, address: str | None, now: float
    ) -> list[Effect]:
        """`observer`, reached at `observer_address` (None: through a relay), sees us at `address`.

        Addresses that nobody else could dial are ignored: `observer` sits on this computer, or makes them up.
        """
        if address is not None and not dialable(address):
            address = None
            if observer_address is None:
                return []
        if observer_address is not None and host_of(observer_address) in map(host_of, self._local):
            address = None  # it sits on this computer
        before = self._seen.get(observer)
        changed = (
            before is not None
            and before.fresh
            and before.address is not None
            and address is not None
            and host_of(before.address) != host_of(address)
        )
        direct = address is not None or observer_address is not None
        self._seen[observer] = _Seen(block(observer_address), address, now, direct)
        if before is not None:
            self._seen[observer].told = before.told
        self._silent = False
        effects = self._update(now)
        if changed and len(self._seen) > 1:
            for name, seen in self._seen.items():
                seen.fresh = seen.fresh and name == observer
            effects.append(Reobserve(f"one observer sees a new address, {host_of(address or '')}"))
        return effects

    def told(self, observer: str, ipv4: str | None, ipv6: str | None, now: float) -> list[Effect]:
        """What `observer` knows of its own way out: what "public" peers cannot reach is blocked on our side."""
        if observer in self._seen:
            self._seen[observer].told = (ipv4, ipv6)
        return self._update(now)

    def forget(self, observer: str, now: float) -> list[Effect]:
        """It is no longer connected; what it saw stays announced for a while."""
        if self._seen.pop(observer, None) is None:
            return []
        return self._update(now)

    def local(self, addresses: Iterable[str], now: float) -> list[Effect]:
        """The addresses of our own sockets and interfaces. When they change, everything is asked again."""
        new = tuple(sorted(set(addresses)))
        if new == self._local:
            return []
        first, self._local = not self._local, new
        effects = self._update(now)
        if not first:
            for seen in self._seen.values():
                seen.fresh = False
            effects.append(Reobserve("this computer's own addresses changed"))
        return effects

    def mapped(self, addresses: Iterable[str], opened: bool = False) -> None:
        """Addresses the router opened for us (UPnP, PCP, NAT-PMP); iroh asks for and announces them itself.

        `opened`: it opened one here, even if that is not among `addresses` because observers see it, too.
        """
        self._mapped, self._opened = tuple(sorted(filter(dialable, set(addresses)))), opened

    def relay(self, url: str | None) -> None:
        """The relay we are connected to, or None."""
        self._relay = url

    def missed(self, observer: str, count: int, now: float) -> list[Effect]:
        """`observer` left our last `count` echoes unanswered.

        Silence of all at once is not their doing: our way out has changed, and nobody can tell us.
        """
        if observer in self._seen:
            self._seen[observer].misses = count
        outside = [seen for seen in self._seen.values() if not seen.near]
        if self._silent or not outside or any(seen.misses < MISSES for seen in outside):
            return []
        self._silent = True
        for seen in self._seen.values():
            seen.fresh = False
        return [Redial("all observers fell silent at once")]

    def heard(self, observer: str, now: float) -> None:
        """`observer` answered an echo."""
        if observer in self._seen:
            self._seen[observer].misses = 0
            self._silent = False

    def is_near(self, observer: str) -> bool:
        """Whether it sits on this very computer, so that its answers tell nothing of our way out."""
        seen = self._seen.get(observer)
        return seen is not None and seen.near

    def tick(self, now: float) -> list[Effect]:
        """Let old addresses go."""
        return self._update(now)

    def next_tick(self) -> float | None:
        due = [entry.until for entry in self._announced.values() if entry.until is not None]
        if self._relayed_since is not None and not self._stuck:
            due.append(self._relayed_since + BLOCKED_AFTER)
        return min(due, default=None)

    def needs_observers(self) -> int:
        """How many more peers should be asked."""
        return max(0, OBSERVERS_WANTED - sum(seen.address is not None for seen in self._seen.values()))

    def view(self) -> ReachView:
        ipv4, ipv6 = self._family(4), self._family(6)
        nat = ipv4.kind
        if nat == "none" or (nat == "unknown" and ipv6.addresses):
            nat = ipv6.kind
        inside = tuple(address for address in self._mapped if is_inside(address))
        mapped = tuple(address for address in self._mapped if address not in inside)
        if self._opened and not self._mapped:
            seen_at = Counter(seen.address for seen in self._seen.values() if seen.address in ipv4.addresses)
            mapped = tuple(address for address, _ in seen_at.most_common(1) if address is not None)
        outside = [seen for seen in self._seen.values() if seen.address and not is_inside(seen.address)]
        facts = reach_words.Facts(
            nat=nat,
            ipv4=ipv4.kind,
            ipv6=ipv6.kind,
            mapped=bool(mapped),
            mapped_inside=bool(inside),
            carrier=self._behind_carrier(),
            relay=self._relay is not None,
            peers=len(self._seen),
            outside=len(outside),
            near=sum(seen.direct for seen in self._seen.values()) - len(outside),
            stuck=self._stuck,
            bound=self._bound(),
            world=any(ip_of(a).is_global for a in (ipv4 if ipv4.kind == "public" else ipv6).local),
        )
        return ReachView(
            nat=nat,
            summary=reach_words.summary(facts),
            ipv4=ipv4,
            ipv6=ipv6,
            addresses=tuple(self._announced),
            mapped=mapped,
            mapped_inside=inside,
            observers=tuple(
                Observation(name, seen.block, seen.address, seen.at, seen.direct)
                for name, seen in self._seen.items()
            ),
            relay=self._relay,
            cause=reach_words.cause(facts),
            remedies=reach_words.remedies(facts),
            bound=facts.bound,
        )

    def _bound(self) -> bool:
        """Whether somebody told us to listen on this computer alone: else loopback is not among our addresses."""
        return any(_family(address) == 4 and ip_of(address).is_loopback for address in self._local)

    def _update(self, now: float) -> list[Effect]:
        """Bring the announced set in line with what is seen."""
        trusted = self._trusted()
        trusted |= dict.fromkeys(self._forwarded(trusted))
        reached = any(seen.address and not is_inside(seen.address) for seen in self._seen.values())
        if not reached and any(not seen.direct for seen in self._seen.values()):
            self._relayed_since = now if self._relayed_since is None else self._relayed_since
        else:
            self._relayed_since = None
        self._stuck = self._relayed_since is not None and now >= self._relayed_since + BLOCKED_AFTER
        before = list(self._announced)
        for address in trusted:
            self._announced.setdefault(address, _Announced()).until = None
        fresh = any(seen.fresh and seen.address for seen in self._seen.values())
        for address, entry in list(self._announced.items()):
            if address not in trusted and entry.until is None:
                entry.until = now + (OVERLAP if fresh else LINGER)
            if entry.until is not None and entry.until <= now:
                del self._announced[address]
        while len(self._announced) > ADDRESSES_MOST:
            self._announced.pop(next(iter(self._announced)))
        after = list(self._announced)
        return [Announce(tuple(reversed(after)))] if set(after) != set(before) else []

    def _trusted(self) -> dict[str, None]:
        """Addresses to announce, in the order seen; one observer against two others is not believed."""
        out: dict[str, None] = {}
        fresh_families = {
            _family(seen.address) for seen in self._seen.values() if seen.fresh and seen.address
        }
        votes: dict[Family, dict[str, set[str]]] = {4: {}, 6: {}}
        for seen in self._seen.values():
            if seen.address is not None:
                votes[_family(seen.address)].setdefault(host_of(seen.address), set()).add(seen.block)
        for seen in self._seen.values():
            if seen.address is None or seen.address in self._local:
                continue
            family = _family(seen.address)
            if not seen.fresh and family in fresh_families:
                continue
            mine = votes[family][host_of(seen.address)]
            most = max(len(blocks) for blocks in votes[family].values())
            if len(mine) == 1 and most >= 2:
                continue
            out[seen.address] = None
        return out

    def _forwarded(self, trusted: Iterable[str]) -> list[str]:
        """Where a port forwarded by hand would be: a symmetric router never shows it to observers."""
        hosts = Counter(host_of(address) for address in trusted if _family(address) == 4)
        ports = {address.rpartition(":")[2] for address in self._local if _family(address) == 4}
        if self._family(4).kind != "symmetric" or len(ports) != 1 or not hosts:
            return []
        return [f"{hosts.most_common(1)[0][0]}:{ports.pop()}"]

    def _family(self, family: Family) -> FamilyView:
        local = tuple(
            a
            for a in self._local
            if _family(a) == family and not ip_of(a).is_loopback and not ip_of(a).is_link_local
        )
        trusted = self._trusted()
        seen = [
            (s.block, s.address)
            for s in self._seen.values()
            if s.address is not None
            and _family(s.address) == family
            and (s.address in trusted or s.address in self._local)
        ]
        outside = [pair for pair in seen if not is_inside(pair[1])]
        kind = self._kind(family, outside, local)
        return FamilyView(kind, tuple(dict.fromkeys(a for _, a in outside or seen)), local)

    def _kind(self, family: Family, seen: Sequence[tuple[str, str]], local: tuple[str, ...]) -> Kind:
        """`seen`: by whom, and where, from outside."""
        if not seen:
            if not (local if family == 4 else [a for a in local if not is_inside(a)]):
                return "none"
            if self._blocked(family):
                return "udp-blocked"
            own = family == 4 and any(ip_of(address).is_global for address in local)
            return "public" if own else "unknown"
        if any(address in self._local for _, address in seen):
            return "public"
        ports = Counter(address for _, address in seen)
        if len(seen) < 2:
            return "unknown"
        return "easy" if len(ports) < len(seen) or len({host_of(a) for a in ports}) > 1 else "symmetric"

    def _blocked(self, family: Family) -> bool:
        """Even peers without any router before them have reached us through a relay only."""
        return self._stuck and any(
            seen.told[0 if family == 4 else 1] == "public" for seen in self._seen.values() if not seen.direct
        )

    def _behind_carrier(self) -> bool:
        """A router below us has an address of a carrier's NAT (somebody inside it sees us so)."""
        addresses = [s.address for s in self._seen.values() if s.address] + list(self._mapped)
        return any(ip_of(a) in _CARRIER for a in addresses if _family(a) == 4)


def block(address: str | None) -> str:
    """What one owner usually has as a whole: IPv4 /16, IPv6 /32. All behind relays count as one."""
    if address is None:
        return "relayed"
    try:
        ip = ip_of(address)
    except ValueError:
        return "relayed"
    return str(ip_network((ip, 16 if ip.version == 4 else 32), strict=False))


def dialable(address: str) -> bool:
    """Whether "ip:port" names a place packets could be sent to from elsewhere."""
    try:
        ip, port = ip_of(address), int(address.rpartition(":")[2])
    except ValueError:
        return False
    bad = ip.is_unspecified or ip.is_multicast or ip.is_loopback or ip.is_link_local
    return 0 < port < 65536 and not bad


def _known(kind: str) -> str | None:
    return None if kind == "unknown" else kind


def host_of(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def ip_of(address: str) -> IPv4Address | IPv6Address:
    return ip_address(host_of(address))


def _family(address: str) -> Family:
    return 6 if address.startswith("[") else 4


def is_inside(address: str) -> bool:
    """A private or carrier address: seen by someone on our side of a NAT; says nothing of the outer one.

    Documentation ranges (RFC 5737, 3849) count as outside: laboratories use them for the internet.
    """
    ip = ip_of(address)
    private = [ip_network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")]
    return ip in _CARRIER or any(ip in network for network in private)
