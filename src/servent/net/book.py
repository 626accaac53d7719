"""Where peers were found and may be found again. A core: no I/O, no clock of its own.

Bounded in every direction, since much of it is hearsay. Times are wall-clock seconds: the book
outlives the process.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field

from servent.identity import PeerId
from servent.net.links import PeerAddress

MOST_PEERS = 4096
MOST_ADDRESSES = 16  # per peer; what links.PeerAddress carries
GOOD_FOR = 30 * 86400.0  # s that an address which worked is kept
HEARSAY_FOR = 2 * 86400.0  # s that an address somebody told us is kept
MOST_HEARSAY = 512  # peers that one teller may add


def parse_address(text: str) -> tuple[str, int] | None:
    """(ip, port) of an address somebody may be dialed at; None for names, port 0, multicast and the like."""
    host, _, port = text.rpartition(":")
    try:
        ip = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
        number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else 0
    except ValueError:
        return None
    if (
        not 0 < number < 65536
        or ip.is_multicast
        or ip.is_unspecified
        or (ip.version == 6) != (host[:1] == "[")
    ):
        return None
    if ip.version == 4 and int(ip) >> 24 in (0, 255):
        return None
    return str(ip), number


def usable(addresses: Iterable[str]) -> list[str]:
    """Those of `addresses` that may be dialed, in order, once each."""
    return list(dict.fromkeys(text for text in addresses if parse_address(text)))


def usable_relay(url: str | None) -> str | None:
    """`url` when it is an http(s) URL of a host and nothing more, else None."""
    if url is None or not url.isascii() or not url.isprintable() or len(url) > 256:
        return None
    scheme, slashes, rest = url.partition("://")
    host = rest.removesuffix("/")
    if scheme not in ("http", "https") or not slashes or not host or set(host) & set("/@?# \\"):
        return None
    return url


def credible(told: PeerAddress, ways: Iterable[str]) -> PeerAddress:
    """`told` without what only means something on the teller's machine, unless that is ours.

    Somebody far away must not have us knock at our own loopback.

    Args:
        ways: "ip:port"s and relays by which the teller is connected to us.
    """
    if any(_loopback(_host_of(way)) for way in ways):
        return told
    addresses = tuple(text for text in told.addresses if not _loopback(_host_of(text)))
    relay = told.relay if told.relay is None or not _loopback(_host_of(told.relay)) else None
    return PeerAddress(told.peer, relay, addresses)


def _host_of(text: str) -> str:
    """The host of "ip:port" or of a URL."""
    place = text.rpartition("://")[2].partition("/")[0]
    host, colon, port = place.rpartition(":")
    return host if colon and port.isdigit() and not (place.startswith("[") and place.endswith("]")) else place


def _loopback(host: str) -> bool:
    host = host.removeprefix("[").removesuffix("]").rstrip(".").lower()
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    mapped = ip.ipv4_mapped if ip.version == 6 else None
    return (mapped or ip).is_loopback


@dataclass(slots=True)
class Entry:
    """What is known of one peer's whereabouts.

    Attributes:
        relay: its home relay, newest word.
        addresses: address -> wall time it worked last, 0.0 when it never did.
        heard: wall time of the newest word about it.
        met: wall time of the last hello it completed, 0.0 for hearsay.
        teller: who told us of it, for hearsay.
        kept: whether we want to be connected to it (friend, or member of a network of ours).
        given: addresses that the person here gave since it was met last. Not saved.
        signed: number of the newest signed word of its own that others passed on; 0 for none. Not saved.
    """

    relay: str | None = None
    addresses: dict[str, float] = field(default_factory=dict)
    heard: float = 0.0
    met: float = 0.0
    teller: PeerId | None = None
    kept: bool = False
    given: tuple[str, ...] = ()
    signed: int = 0


class Book:
    """The address book. `dirty` names the entries that changed since they were saved."""

    def __init__(self, me: PeerId) -> None:
        self._me = me
        self._entries: dict[PeerId, Entry] = {}
        self._told: dict[PeerId, int] = {}  # how many entries are hearsay of whom
        self.dirty: set[PeerId] = set()
        self.urgent = (
            False  # of what is dirty, something was not known at all before: where somebody is that we met
        )

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, peer: PeerId) -> bool:
        return peer in self._entries

    def get(self, peer: PeerId) -> Entry | None:
        return self._entries.get(peer)

    def peers(self) -> list[PeerId]:
        return list(self._entries)

    def load(self, peer: PeerId, entry: Entry, now: float) -> None:
        """Take over what was saved, unless it has expired."""
        self.forget(peer)
        self._entries[peer] = entry
        self._count(entry.teller, 1)
        self._expire(peer, now)

    def told(self, address: PeerAddress, now: float, teller: PeerId | None = None) -> bool:
        """Remember where somebody may be. `teller` None: the peer itself, or the person here, said so.

        Returns whether this is news. Never more than MOST_HEARSAY peers from one teller.
        """
        if address.peer == self._me:
            return False
        entry = self._entries.get(address.peer)
        if entry is None:
            if teller is not None and self._told.get(teller, 0) >= MOST_HEARSAY:
                return False
            if len(self._entries) >= MOST_PEERS and not self._make_room():
                return False
            entry = self._entries[address.peer] = Entry(teller=teller)
            self._count(teller, 1)
        news = False
        relay = usable_relay(address.relay)
        if (
            relay is not None
            and relay != entry.relay
            and (teller is None or not entry.met or not entry.relay)
        ):
            entry.relay, news = relay, True
        for text in usable(address.addresses)[:MOST_ADDRESSES]:
            if text not in entry.addresses:
                entry.addresses[text] = 0.0
                news = True
        entry.heard = now
        self._shorten(entry, fresh=address.addresses)
        self.dirty.add(address.peer)
        return news

    def given(self, address: PeerAddress, now: float) -> bool:
        """The person here says where a peer is, by a ticket or a link. Whether this is news."""
        news = self.told(address, now)
        entry = self._entries.get(address.peer)
        if entry is not None:
            given = dict.fromkeys((*usable(address.addresses), *entry.given))
            entry.given = tuple(given)[: MOST_ADDRESSES // 2]
        return news

    def moved(self, address: PeerAddress, now: float, signed: int = 0) -> bool:
        """The peer itself said where it is now: replaces all that never worked. Whether this is news.

        Args:
            signed: the number of its word, when others passed that on; 0: it said so to us. One that is not newer than
                those before says nothing. One that is newer may still be older than a ticket, which has no number: what
                the person here gave stays until the peer was met.
        """
        entry = self._entries.get(address.peer)
        before = (entry.relay, set(entry.addresses)) if entry else (None, set())
        if entry is not None:
            if 0 < signed <= entry.signed:
                return False
            if entry.met and not entry.addresses and entry.relay is None:
                self.urgent = True
            stays = entry.given if signed else ()
            entry.addresses = {text: good for text, good in entry.addresses.items() if good or text in stays}
            if address.relay is not None or not stays:
                entry.relay = usable_relay(address.relay)
        self.told(address, now)
        entry = self._entries.get(address.peer)
        if entry is None:
            return False
        entry.signed = max(entry.signed, signed)
        return before != (entry.relay, set(entry.addresses))

    def worked(self, peer: PeerId, text: str | None, relay: str | None, now: float, kept: bool) -> None:
        """A hello with `peer` succeeded at this address or through this relay."""
        if peer not in self._entries and len(self._entries) >= MOST_PEERS and not self._make_room():
            return
        entry = self._entries.setdefault(peer, Entry())
        entry.met = entry.heard = now
        self._count(entry.teller, -1)
        entry.teller, entry.kept, entry.given = None, kept, ()
        if text is not None and parse_address(text):
            entry.addresses[text] = now
        if entry.relay is None:
            entry.relay = usable_relay(relay)
        self._shorten(entry, fresh=())
        self.dirty.add(peer)

    def wanted(self, peer: PeerId, kept: bool) -> None:
        """Whether we want to stay connected to `peer`."""
        entry = self._entries.get(peer)
        if entry is not None and entry.kept != kept:
            entry.kept = kept
            self.dirty.add(peer)

    def forget(self, peer: PeerId) -> None:
        entry = self._entries.pop(peer, None)
        if entry is not None:
            self._count(entry.teller, -1)
            self.dirty.add(peer)

    def _count(self, teller: PeerId | None, change: int) -> None:
        if teller is not None:
            self._told[teller] = self._told.get(teller, 0) + change
            if not self._told[teller]:
                del self._told[teller]

    def address(self, peer: PeerId, now: float) -> PeerAddress:
        """Where to dial: what worked last comes first, expired things are left out."""
        self._expire(peer, now)
        entry = self._entries.get(peer)
        if entry is None:
            return PeerAddress(peer)
        best = sorted(entry.addresses, key=lambda text: -entry.addresses[text])
        return PeerAddress(peer, entry.relay, tuple(best[:MOST_ADDRESSES]))

    def _expire(self, peer: PeerId, now: float) -> None:
        entry = self._entries.get(peer)
        if entry is None:
            return
        fresh = now - entry.heard < HEARSAY_FOR
        kept = {
            text: good for text, good in entry.addresses.items() if fresh or (good and now - good < GOOD_FOR)
        }
        if len(kept) != len(entry.addresses):
            entry.addresses = kept
            self.dirty.add(peer)
        if not fresh and (not entry.met or now - entry.met >= GOOD_FOR):
            self.forget(peer)

    @staticmethod
    def _shorten(entry: Entry, fresh: Iterable[str]) -> None:
        """Keep the newest good ones, then what was heard just now."""
        if len(entry.addresses) > MOST_ADDRESSES:
            new = set(fresh)
            order = sorted(entry.addresses, key=lambda text: (-entry.addresses[text], text not in new))
            # at least half the room is for fresh words, or a peer that moved could never be found
            good = [text for text in order if entry.addresses[text]][: MOST_ADDRESSES // 2]
            rest = [text for text in order if text not in good]
            rest.sort(key=lambda text: (text not in new, -entry.addresses[text]))
            kept = [*good, *rest][:MOST_ADDRESSES]
            entry.addresses = {text: entry.addresses[text] for text in kept}

    def _make_room(self) -> bool:
        """Drop the oldest hearsay, else the oldest acquaintance we do not keep."""
        spare = [(e.met, e.heard, peer) for peer, e in self._entries.items() if not e.kept]
        if not spare:
            return False
        self.forget(min(spare)[2])
        return True
