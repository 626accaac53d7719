"""Our own record in each network: where we are and what we do for others, signed anew at once when that changes."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from servent.identity import Identity, PeerId
from servent.net.addresses import best_addresses
from servent.net.links import Endpoint, PeerAddress
from servent.net.reach_service import ReachService
from servent.overlay.records import NatKind, PeerRecord, next_seq, signed
from servent.overlay.settings import OverlaySettings
from servent.store import Store

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger(__name__)

ROOM = "overlay"
STEPS = (
    """
    CREATE TABLE overlay_facts (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE overlay_contacts (
        network BLOB NOT NULL, peer BLOB NOT NULL, rank INTEGER NOT NULL, record BLOB NOT NULL,
        PRIMARY KEY (network, peer)
    ) WITHOUT ROWID;
    CREATE TABLE overlay_sessions (began REAL PRIMARY KEY, lasted REAL NOT NULL) WITHOUT ROWID;
    """,
)
NAT_KINDS: dict[str, NatKind] = {
    "public": "public",
    "mapped": "mapped",
    "easy": "easy",
    "symmetric": "symmetric",
    "udp-blocked": "udp-blocked",
    "none": "none",
}
AHEAD = 300.0  # s that a clock which was set back is taken to have gone on; it is written every five minutes


class NodeSeal:
    """Signs as this node, and checks signatures of others (0.1 ms each)."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def sign(self, text: bytes) -> bytes:
        return self._identity.sign(text)

    def holds(self, key: bytes, signature: bytes, text: bytes) -> bool:
        return PeerId(key).verify(signature, text)


class Wall:
    """The wall clock, as far as numbers that must only grow follow from it: one that was set back goes on here."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall, self._floor = wall, 0.0
        self._mono = asyncio.get_running_loop().time
        self._since = self._mono()

    def __call__(self) -> float:
        return max(self._wall(), self._floor + self._mono() - self._since) if self._floor else self._wall()

    def load(self, saved: float) -> None:
        """What was saved last: nothing below it is said again."""
        if self._wall() < saved:
            log.warning("this computer's clock went back; records are numbered on from where they were")
            self._floor, self._since = saved + AHEAD, self._mono()


class OwnRecords:
    """Makes our records. `changed` says when they have to be made anew."""

    def __init__(
        self,
        identity: Identity,
        endpoint: Endpoint,
        reach: ReachService | None,
        store: Store,
        wall: Callable[[], float],
        roles: Callable[[bytes], Sequence[str]],
        settings: OverlaySettings,
    ) -> None:
        self._identity, self._endpoint, self._reach, self._store = identity, endpoint, reach, store
        self._roles, self._settings = roles, settings
        self.seal = NodeSeal(identity)
        self.wall = Wall(wall)
        self._seqs: dict[bytes, int] = {}
        self._said: dict[bytes, tuple[object, float]] = {}
        self._mono = asyncio.get_running_loop().time

    async def open(self) -> None:
        """Take up the numbers where the last run left them."""

        def job(connection: sqlite3.Connection) -> list[tuple[str, bytes]]:
            return connection.execute("SELECT name, value FROM overlay_facts").fetchall()

        for name, value in await self._store.read(job):
            if name == "wall" and len(value) == 8:
                self.wall.load(struct.unpack("<d", value)[0])

    async def save(self) -> None:
        """Write down how far the clock is."""
        value = struct.pack("<d", self.wall())

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("REPLACE INTO overlay_facts VALUES ('wall', ?)", (value,))

        await self._store.write(job)

    def make(self, network: bytes) -> PeerRecord:
        """Our record as things are now, signed, newer than any before."""
        self._seqs[network] = seq = next_seq(self._seqs.get(network, 0), self.wall())
        relays, addresses, nat, roles = self._now(network)
        self._said[network] = self._now(network), self._mono()
        plain = PeerRecord(
            key=bytes(self._identity.peer),
            seq=seq,
            lifetime=self._settings.record_lifetime,
            relays=list(relays),
            addresses=list(addresses),
            nat=nat,
            roles=list(roles),
        )
        record: PeerRecord = signed(network, plain, self.seal)
        return record

    def changed(self, network: bytes) -> bool:
        """Whether the record that was made last says what is no longer so, or grows old."""
        said = self._said.get(network)
        if said is None:
            return True
        return said[0] != self._now(network) or self._mono() - said[1] > self._settings.record_lifetime / 3

    def _now(self, network: bytes) -> tuple[tuple[str, ...], tuple[str, ...], NatKind, tuple[str, ...]]:
        here = self._endpoint.address()
        relays = (here.relay,) if here.relay is not None and 8 <= len(here.relay) <= 256 else ()
        return relays, best_addresses(here.addresses), self.nat(), tuple(sorted(self._roles(network)))[:8]

    def nat(self) -> NatKind:
        """What lies between us and the world, as far as it is known."""
        if self._reach is None:
            return ""
        view = self._reach.view()
        return "mapped" if view.mapped and view.nat != "public" else NAT_KINDS.get(view.nat, "")


def host_of(address: str) -> str | None:
    """The host of an "ip:port", in one way of writing; None of what is none."""
    try:
        ip = ipaddress.ip_address(address.rpartition(":")[0].strip("[]"))
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return str(mapped or ip)


def address_of(record: PeerRecord, loopback: bool) -> PeerAddress:
    """What the address book takes from a record. `loopback`: addresses of this very computer as well."""
    addresses = [
        text for text in record.addresses if loopback or not text.startswith(("127.", "[::1]", "localhost"))
    ]
    return PeerAddress(PeerId(record.key), record.relays[0] if record.relays else None, tuple(addresses))
