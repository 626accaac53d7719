"""What goes into the libtorrent session and comes out of it, as plain values: no other module knows libtorrent's own types."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["checking", "metadata", "downloading", "finished", "seeding"]
ProxyKind = Literal["none", "socks5", "i2p"]
Serve = Literal["auto", "on", "off"]

BOOTSTRAP = (  # where Mainline is entered: libtorrent's own default, and the two that nearly all clients ask
    "dht.libtorrent.org:25401",
    "router.bittorrent.com:6881",
    "dht.transmissionbt.com:6881",
)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A SOCKS5 proxy (TCP, and UDP for the DHT where it offers it), or the SAM bridge of an I2P router (no DHT, no UDP)."""

    kind: ProxyKind
    host: str
    port: int
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Proxy({self.kind}, {self.host}:{self.port})"  # never the password


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """How the session behaves.

    Attributes:
        listen: addresses of interfaces to listen on; empty for all of them.
        port: TCP and UDP; 0 for any free one.
        dht: take part in the DHT.
        dht_nodes: "host:port" where it is entered.
        dht_private: its nodes may share a block of addresses; on the open DHT that is what attackers do.
        dht_serve: answer others there, too. "auto": once we have stayed a while and are reached from outside (BEP 43). A node
            that answers and then leaves stays in others' tables, and every look-up that meets it waits 15 s (measured).
        door: torrents may be added; then peers may connect. Without it the session is there for the DHT alone.
        local: tell the local network which torrents we have, and listen to it (BEP 14).
        map_ports: ask the router to open our port (UPnP, NAT-PMP).
        up_bytes_per_s, down_bytes_per_s: of all torrents together; 0 for no limit.
        connections: most peers of all torrents together.
        upload_slots: peers served at once.
    """

    listen: tuple[str, ...] = ()
    port: int = 0
    dht: bool = True
    dht_nodes: tuple[str, ...] = BOOTSTRAP
    dht_private: bool = False
    dht_serve: Serve = "auto"
    door: bool = True
    local: bool = True
    map_ports: bool = True
    proxy: Proxy | None = None
    up_bytes_per_s: int = 0
    down_bytes_per_s: int = 0
    connections: int = 200
    upload_slots: int = 8

    @property
    def uses_dht(self) -> bool:
        """I2P carries no UDP, and beside it the DHT would say where we are."""
        return self.dht and (self.proxy is None or self.proxy.kind != "i2p")


@dataclass(frozen=True, slots=True)
class Item:
    """A mutable item of the DHT, as a node gave it (BEP 44).

    Attributes:
        authoritative: the look-up has ended, and no node had a newer one.
    """

    seq: int
    value: bytes
    signature: bytes
    authoritative: bool


@dataclass(frozen=True, slots=True)
class Adding:
    """A torrent for the session: named by one of `magnet`, `torrent` and `resume`.

    Attributes:
        folder: where its files are, or will be.
        magnet: a magnet link; its trackers, web seeds and peers are used.
        torrent: the bytes of a `.torrent` file.
        resume: what `Handle.resume_data` gave, so that nothing is checked again.
        seed: all files are there: no look at them before serving (a piece that does not fit its hash is not served).
        paused: neither peers nor trackers before `Handle.start`.
        upload: never ask peers for pieces.
        upload_slots: None for the session's rule.
        public: whether DHT, local network and peer exchange may be used; a private torrent never uses them.
        have: pieces that are there, as a bit field (the first in the highest bit), taken on trust; with `torrent` alone.
        renamed: file number -> its path, absolute or below `folder`.
        file_priorities: 0 (not wanted) to 7, by file number.
        piece_priorities: the same by piece.
        peers: "ip:port" to connect to.
    """

    folder: Path
    magnet: str | None = None
    torrent: bytes | None = None
    resume: bytes | None = None
    seed: bool = False
    paused: bool = False
    upload: bool = False
    sequential: bool = False
    public: bool = True
    have: bytes = b""
    trackers: tuple[str, ...] = ()
    url_seeds: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    renamed: tuple[tuple[int, str], ...] = ()
    file_priorities: tuple[int, ...] = ()
    piece_priorities: tuple[int, ...] = ()
    up_bytes_per_s: int = 0
    down_bytes_per_s: int = 0
    connections: int | None = None
    upload_slots: int | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """A torrent, as of the last time the session told: once a second where something changed.

    Attributes:
        done_bytes: verified and on disk, of `wanted_bytes`; 0 of 0 before the metadata is there.
        uploaded_bytes, downloaded_bytes: payload, also of earlier runs where `resume` data said so.
        peers: connected; `seeds` of them have everything; `known`: heard of, ourselves left out once that is plain (see
            `Handle`); `tried`: of these, those that a connection is tried to, or will be.
        error: why it stopped, "" where it has not.
    """

    state: State
    paused: bool
    name: str
    has_metadata: bool
    done_bytes: int
    wanted_bytes: int
    total_bytes: int
    down_bytes_per_s: int
    up_bytes_per_s: int
    downloaded_bytes: int
    uploaded_bytes: int
    wasted_bytes: int
    peers: int
    seeds: int
    known: int
    tried: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Tracker:
    """`trouble`: what it or the way to it said last, "" when it answered."""

    url: str
    tier: int
    trouble: str


@dataclass(frozen=True, slots=True)
class TorrentPeer:
    """A BitTorrent peer of one torrent. `progress`: 0 to 1 of the torrent. `client`: as it calls itself, cut to 64 characters."""

    address: str
    client: str
    progress: float
    down_bytes_per_s: int
    up_bytes_per_s: int
    downloaded_bytes: int
    uploaded_bytes: int
    transport: Literal["tcp", "utp", "web", "i2p"]
    outgoing: bool


@dataclass(frozen=True, slots=True)
class SessionView:
    """The session now.

    Attributes:
        port: TCP and UDP that it listens on; 0 while it does not.
        dht_nodes: in our routing table.
        why: in words, what keeps it from working as asked; "" for nothing.
    """

    open: bool
    port: int
    dht: bool
    dht_nodes: int
    torrents: int
    peers: int
    why: str = ""


class Watcher:
    """What happens to one torrent. Called on the event loop; each must return at once, and does nothing unless overridden."""

    def on_metadata(self) -> None:
        """The info dictionary of a magnet link is there and fits its infohash."""

    def on_checked(self) -> None:
        """What was on disk has been looked at; `Status` says what of it is good."""

    def on_piece(self, index: int) -> None:
        """A piece fits its hash and is kept."""

    def on_hash_failed(self, index: int) -> None:
        """A piece did not fit its hash and is fetched again."""

    def on_state(self, status: Status) -> None:
        """Something of the status changed; at most once a second."""

    def on_finished(self) -> None:
        """Every wanted piece is there."""

    def on_error(self, text: str) -> None:
        """The torrent stopped: disk full, file not writable, …; `Handle.clear_error` tries again."""

    def on_trouble(self, text: str) -> None:
        """A tracker or web seed does not answer as it should; the torrent goes on."""
