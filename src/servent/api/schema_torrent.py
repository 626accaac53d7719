"""The stable surface, what is about the BitTorrent door and the Mainline DHT. The same rules as in `schema`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from servent.api.schema import PathText

TorrentVersion = Literal["v1", "v2", "hybrid"]


class TorrentStatus(Struct, frozen=True, kw_only=True):
    """The door as a whole. `installed`: the extra is there; `door`, `dht`: switched on; `why`: why not, as a sentence.

    `dht_why`: why the DHT is off, "" while it is on. `fetching`, `seeding`: how many torrents are fetched, and seeded. `dht_nodes`: in
    the routing table; `published`: when our own record was last stored there, and `stored_on` how many nodes.
    `port`: where BitTorrent peers reach us, 0 for nowhere. `proxy`: its kind, "none", "socks5" or "i2p".
    """

    installed: bool = False
    door: bool = False
    dht: bool = False
    why: str = ""
    dht_why: str = ""
    fetching: int = 0
    seeding: int = 0
    dht_nodes: int = 0
    published: float | None = None
    stored_on: int = 0
    port: int = 0
    proxy: str = "none"
    peers: int = 0
    up_bytes_per_s: float = 0.0
    down_bytes_per_s: float = 0.0
    sent_bytes: int = 0
    received_bytes: int = 0


class Torrent(Struct, frozen=True, kw_only=True):
    """One torrent at the door. `id`: its infohash, v2 where it has one (64 hex digits), else v1 (40).

    `transfer`: the download here it belongs to, `share`: what of ours it seeds. `reason`: why it does nothing, or what is wrong.
    """

    id: str
    name: str
    version: TorrentVersion
    infohash_v1: str = ""
    infohash_v2: str = ""
    size_bytes: int = 0
    done_bytes: int = 0
    state: Literal["metadata", "downloading", "seeding", "paused", "failed"] = "metadata"
    transfer: str | None = None
    share: str | None = None
    peers: int = 0
    seeds: int = 0
    up_bytes_per_s: float = 0.0
    down_bytes_per_s: float = 0.0
    sent_bytes: int = 0
    received_bytes: int = 0
    trackers: list[str] = []
    web_seeds: list[str] = []
    reason: str = ""
    magnet: str = ""


class TorrentFetch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fetch by a .torrent file: a path on the node's machine, or its bytes in base64 (at most 16 MiB of file)."""

    path: PathText | None = None
    data: Annotated[str, Meta(max_length=22 * 1024 * 1024)] | None = None
    to: PathText | None = None


Url = Annotated[str, Meta(min_length=1, max_length=512)]


class TorrentSeed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Seed something to BitTorrent, or no more (`seed` false).

    `what`: something shared, by its id, infohash or name; or the path of a file or folder of the library. `hybrid`: as a
    torrent that clients of version 1 can fetch, too, for which every file is read once; it has another infohash and link.
    `confirm`: although not everybody was meant to see it, as nothing of the library was, nor what was
    fetched (409 says why).
    """

    what: PathText
    seed: bool = True
    hybrid: bool = False
    confirm: bool = False
    trackers: Annotated[list[Url], Meta(max_length=32)] = []
    web_seeds: Annotated[list[Url], Meta(max_length=32)] = []


class TorrentFile(Struct, frozen=True, kw_only=True):
    """A .torrent file. `name`: what to call it; `data`: its bytes in base64."""

    name: str
    data: str
    size_bytes: int


class TorrentPeer(Struct, frozen=True, kw_only=True):
    """A BitTorrent peer of one torrent. `progress`: 0 to 1. `client`: as it calls itself. `outgoing`: we connected."""

    address: str
    client: str = ""
    progress: float = 0.0
    up_bytes_per_s: float = 0.0
    down_bytes_per_s: float = 0.0
    sent_bytes: int = 0
    received_bytes: int = 0
    transport: Literal["tcp", "utp", "web", "i2p"] = "tcp"
    outgoing: bool = False
