"""Frozen pictures of the BitTorrent door, field for field as the API shows them, and what it hands to who seeds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Version = Literal["v1", "v2", "hybrid"]
TorrentState = Literal["metadata", "downloading", "seeding", "paused", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorStatus:
    """The door as a whole; see `api.schema_torrent.TorrentStatus`."""

    installed: bool = False
    door: bool = False
    dht: bool = False
    why: str = ""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TorrentView:
    """One torrent at the door; see `api.schema_torrent.Torrent`."""

    id: str
    name: str
    version: Version
    infohash_v1: str = ""
    infohash_v2: str = ""
    size_bytes: int = 0
    done_bytes: int = 0
    state: TorrentState = "metadata"
    transfer: str | None = None
    share: str | None = None
    peers: int = 0
    seeds: int = 0
    up_bytes_per_s: float = 0.0
    down_bytes_per_s: float = 0.0
    sent_bytes: int = 0
    received_bytes: int = 0
    trackers: tuple[str, ...] = ()
    web_seeds: tuple[str, ...] = ()
    reason: str = ""
    magnet: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a download through the door left when it was complete: enough to seed it, without hashing it again.

    Attributes:
        torrent: the bytes of its .torrent: info dictionary and, for v2 and hybrid, all piece layers.
        infohash_v1, infohash_v2: None where it has none.
        share: infohash of the collection that is shared here; for v1 another one than the torrent's.
        paths: where each file of the collection lies now, by its number; None: not chosen. For v1: files that are no padding.
        uploaded_bytes, downloaded_bytes: over BitTorrent, until now.
    """

    transfer: str
    name: str
    torrent: bytes
    infohash_v1: bytes | None
    infohash_v2: bytes | None
    share: bytes | None
    paths: tuple[Path | None, ...]
    trackers: tuple[str, ...] = ()
    web_seeds: tuple[str, ...] = ()
    uploaded_bytes: int = 0
    downloaded_bytes: int = 0
