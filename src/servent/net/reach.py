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
BLOCKED_AFTER = 6.0  # s of nothing but relayed observers before we call UDP blocked
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
    """What one observer sees: `address`, or None when it reaches us only through a relay."""

    observer: str
    block: str
    address: str | None
    at: float


@dataclass(frozen=True, slots=True)
class FamilyView:
    """IPv4 or IPv6. `addresses`: those observers saw."""

    kind: Kind
    addresses: tuple[str, ...] = ()
    local: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReachView:
    """For people and programs: how this node is reached.

    Attributes:
        nat: the kind that decides: IPv4's, unless only IPv6 is there.
        summary: one sentence.
        tried: what was asked, in words.
        remedies: what would help, most useful first; empty when nothing is needed.
    """

    nat: Kind
    summary: str
    ipv4: FamilyView
    ipv6: FamilyView
    addresses: tuple[str, ...]
    mapped: tuple[str, ...] = ()
    observers: tuple[Observation, ...] = ()
    relay: str | None = None
    tried: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()


@dataclass(slots=True)
class _Seen:
    block: str
    address: str | None
    at: float
    fresh: bool = True  # False: from before our network changed
    misses: int = 0


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
    _relay: str | None = None
    _relayed_since: float | None = None
    _blocked: bool = False
    _silent: bool = False

    def observed(
        self, observer: str, observer_address: str | None, address: str | None, now: float
    ) -> list[Effect]:
        """`observer`, reached at `observer_address` (None: through a relay), sees us at `address`.

        Addresses that cannot be dialed by anybody are ignored.
        """
        if address is not None and not dialable(address):
            return []
        before = self._seen.get(observer)
        changed = (
            before is not None
            and before.fresh
            and before.address is not None
            and address is not None
            and _host(before.address) != _host(address)
        )
        self._seen[observer] = _Seen(block(observer_address), address, now)
        self._silent = False
        effects = self._update(now)
        if changed and len(self._seen) > 1:
            for name, seen in self._seen.items():
                seen.fresh = seen.fresh and name == observer
            effects.append(Reobserve(f"one observer sees a new address, {_host(address or '')}"))
        return effects

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

    def mapped(self, addresses: Iterable[str]) -> None:
        """Addresses the router opened for us (UPnP, PCP, NAT-PMP); iroh asks for and announces them itself."""
        self._mapped = tuple(sorted(set(addresses)))

    def relay(self, url: str | None) -> None:
        """The relay we are connected to, or None."""
        self._relay = url

    def missed(self, observer: str, count: int, now: float) -> list[Effect]:
        """`observer` left our last `count` echoes unanswered.

        Silence of all at once is not their doing: our way out has changed, and nobody can tell us.
        """
        if observer in self._seen:
            self._seen[observer].misses = count
        if self._silent or not self._seen or any(seen.misses < MISSES for seen in self._seen.values()):
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

    def tick(self, now: float) -> list[Effect]:
        """Let old addresses go."""
        return self._update(now)

    def next_tick(self) -> float | None:
        due = [entry.until for entry in self._announced.values() if entry.until is not None]
        if self._relayed_since is not None and not self._blocked:
            due.append(self._relayed_since + BLOCKED_AFTER)
        return min(due, default=None)

    def needs_observers(self) -> int:
        """How many more peers should be asked."""
        return max(0, OBSERVERS_WANTED - sum(seen.address is not None for seen in self._seen.values()))

    def view(self) -> ReachView:
        ipv4, ipv6 = self._family(4), self._family(6)
        nat = ipv4.kind if ipv4.kind != "none" else ipv6.kind
        return ReachView(
            nat=nat,
            summary=reach_words.summary(nat, ipv6.kind, bool(self._mapped), self._relay, len(self._seen)),
            ipv4=ipv4,
            ipv6=ipv6,
            addresses=tuple(self._announced),
            mapped=self._mapped,
            observers=tuple(
                Observation(name, seen.block, seen.address, seen.at) for name, seen in self._seen.items()
            ),
            relay=self._relay,
            tried=reach_words.tried(
                [(seen.address is not None) for seen in self._seen.values()], self._mapped, self._relay
            ),
            remedies=reach_words.remedies(
                nat, ipv6.kind, bool(self._mapped), self._relay is not None, self._behind_carrier()
            ),
        )

    def _update(self, now: float) -> list[Effect]:
        """Bring the announced set in line with what is seen."""
        trusted = self._trusted()
        if self._seen and not trusted:
            self._relayed_since = now if self._relayed_since is None else self._relayed_since
        else:
            self._relayed_since = None
        self._blocked = self._relayed_since is not None and now >= self._relayed_since + BLOCKED_AFTER
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
                votes[_family(seen.address)].setdefault(_host(seen.address), set()).add(seen.block)
        for seen in self._seen.values():
            if seen.address is None or seen.address in self._local:
                continue
            family = _family(seen.address)
            if not seen.fresh and family in fresh_families:
                continue
            mine = votes[family][_host(seen.address)]
            most = max(len(blocks) for blocks in votes[family].values())
            if len(mine) == 1 and most >= 2:
                continue
            out[seen.address] = None
        return out

    def _family(self, family: Family) -> FamilyView:
        local = tuple(
            a
            for a in self._local
            if _family(a) == family and not _ip(a).is_loopback and not _ip(a).is_link_local
        )
        trusted = self._trusted()
        seen = [
            (s.block, s.address)
            for s in self._seen.values()
            if s.address is not None
            and _family(s.address) == family
            and (s.address in trusted or s.address in self._local)
        ]
        outside = [pair for pair in seen if not _inside(pair[1])] or seen
        return FamilyView(
            self._kind(family, outside, local), tuple(dict.fromkeys(a for _, a in outside)), local
        )

    def _kind(self, family: Family, seen: Sequence[tuple[str, str]], local: tuple[str, ...]) -> Kind:
        if not seen:
            if not local:
                return "none"
            return "udp-blocked" if self._blocked else "unknown"
        if any(address in self._local for _, address in seen):
            return "public"
        ports = Counter(address for _, address in seen)
        if len(seen) < 2:
            return "unknown"
        return "easy" if len(ports) < len(seen) or len({_host(a) for a in ports}) > 1 else "symmetric"

    def _behind_carrier(self) -> bool:
        """A router below us has an address of a carrier's NAT (somebody inside it sees us so)."""
        addresses = [s.address for s in self._seen.values() if s.address] + list(self._mapped)
        return any(_ip(a) in _CARRIER for a in addresses if _family(a) == 4)


def block(address: str | None) -> str:
    """What one owner usually has as a whole: IPv4 /16, IPv6 /32. All behind relays count as one."""
    if address is None:
        return "relayed"
    try:
        ip = _ip(address)
    except ValueError:
        return "relayed"
    return str(ip_network((ip, 16 if ip.version == 4 else 32), strict=False))


def dialable(address: str) -> bool:
    """Whether "ip:port" names a place packets could be sent to from elsewhere."""
    try:
        ip, port = _ip(address), int(address.rpartition(":")[2])
    except ValueError:
        return False
    bad = ip.is_unspecified or ip.is_multicast or ip.is_loopback or ip.is_link_local
    return 0 < port < 65536 and not bad


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def _ip(address: str) -> IPv4Address | IPv6Address:
    return ip_address(_host(address))


def _family(address: str) -> Family:
    return 6 if address.startswith("[") else 4


def _inside(address: str) -> bool:
    """A private or carrier address: seen by someone on our side of a NAT; says nothing of the outer one.

    Documentation ranges (RFC 5737, 3849) count as outside: laboratories use them for the internet.
    """
    ip = _ip(address)
    private = [ip_network(n) for n in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")]
    return ip in _CARRIER or any(ip in network for network in private)
