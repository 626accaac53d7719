"""The fake node's door to BitTorrent: torrents in every state, and shares that become seeded."""

from __future__ import annotations

from base64 import b64encode

import msgspec

from servent.api import schema
from servent.api import schema_torrent as torrent
from servent.errors import BadMessage, Doubtful, NotFound, UsageError
from servent.torrent import metafile

V2, V1, HYBRID = "c1" * 32, "a7" * 20, "e3" * 32
MB = 1_000_000


class FakeTorrents:
    """Seeds what is shared; whatever is called "private" asks first."""

    _shares: dict[str, schema.Share]

    def __init__(self, *, fresh: bool = False) -> None:
        self._torrents = {} if fresh else {one.id: one for one in _some()}

    def torrent_status(self) -> torrent.TorrentStatus:
        known = self._torrents.values()
        return torrent.TorrentStatus(
            installed=True,
            door=True,
            dht=True,
            dht_nodes=312,
            published=1_790_000_000.0,
            stored_on=8,
            port=40123,
            fetching=sum(one.state in ("metadata", "downloading") for one in known),
            seeding=sum(one.state == "seeding" for one in known),
            peers=sum(one.peers for one in known),
            up_bytes_per_s=sum(one.up_bytes_per_s for one in known),
            down_bytes_per_s=sum(one.down_bytes_per_s for one in known),
        )

    def torrents(self) -> list[torrent.Torrent]:
        return list(self._torrents.values())

    async def torrent_peers(self, id: str) -> list[torrent.TorrentPeer]:
        return [
            torrent.TorrentPeer(address="192.0.2.44:6881", client="qBittorrent/4.5.2", progress=0.5),
            torrent.TorrentPeer(
                address="[2001:db8::9]:51413", client="Transmission 3.00", progress=1.0, outgoing=True
            ),
        ]

    async def fetch_torrent(self, data: bytes, to: str | None) -> schema.Transfer:
        try:
            known = metafile.decode(data)
        except BadMessage as wrong:
            raise UsageError(f"this .torrent cannot be used: {wrong}") from wrong
        return schema.Transfer(
            id=known.id,
            direction="down",
            name=known.name,
            state="metadata",
            size_bytes=known.size,
            path=to,
            infohash=known.id,
        )

    async def seed_torrent(self, wish: torrent.TorrentSeed) -> torrent.Torrent:
        share = next(
            (one for one in self._shares.values() if wish.what in (one.id, one.path, one.name)), None
        )
        if share is None:
            raise NotFound(f"nothing shared is called {wish.what[:80]!r}")
        if "private" in share.name and not wish.confirm:
            raise Doubtful(
                f"{share.name} is shared with your friends only", advice="Say it again with --yes."
            )
        made = torrent.Torrent(
            id=share.infohash,
            name=share.name,
            version="hybrid" if wish.hybrid else "v2",
            infohash_v2=share.infohash,
            infohash_v1=V1 if wish.hybrid else "",
            state="seeding",
            share=share.id,
            trackers=list(wish.trackers),
            web_seeds=list(wish.web_seeds),
            magnet=f"magnet:?xt=urn:btmh:1220{share.infohash}",
        )
        self._torrents[made.id] = made
        return made

    async def unseed_torrent(self, id: str) -> None:
        del self._torrents[id]

    async def torrent_file(self, name: str) -> torrent.TorrentFile:
        if name not in self._torrents and name not in self._shares:
            raise NotFound(f"nothing shared or fetched is called {name[:80]!r}")
        data = b"d4:infod6:lengthi1e4:name1:a12:piece lengthi16384e6:pieces20:" + bytes(20) + b"ee"
        return torrent.TorrentFile(name="a.torrent", data=b64encode(data).decode(), size_bytes=len(data))


def _some() -> list[torrent.Torrent]:
    seeded = torrent.Torrent(
        id=V2,
        name="Field recordings",
        version="v2",
        infohash_v2=V2,
        size_bytes=812 * MB,
        done_bytes=812 * MB,
        state="seeding",
        share=V2,
        peers=3,
        up_bytes_per_s=420_000.0,
        sent_bytes=1200 * MB,
        trackers=["udp://tracker.example:6969"],
        magnet=f"magnet:?xt=urn:btmh:1220{V2}",
    )
    replace = msgspec.structs.replace
    return [
        seeded,
        replace(
            seeded,
            id=V1,
            name="An old release",
            version="v1",
            infohash_v2="",
            infohash_v1=V1,
            state="downloading",
            share=None,
            done_bytes=100 * MB,
            seeds=2,
            down_bytes_per_s=2_500_000.0,
            up_bytes_per_s=0.0,
        ),
        replace(
            seeded,
            id=HYBRID,
            name="Lectures",
            version="hybrid",
            infohash_v2=HYBRID,
            infohash_v1="b4" * 20,
            state="failed",
            peers=0,
            up_bytes_per_s=0.0,
            reason="its files changed since they were shared; share them again",
        ),
    ]
