"""The BitTorrent door, in the API's words."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from pathlib import Path

import msgspec

from servent.api import schema
from servent.api import schema_torrent as torrent
from servent.api.adapter_files import transfer_of
from servent.api.part import Part
from servent.api.ways import no_dht
from servent.blobs.names import safe_part
from servent.errors import BadMessage, Doubtful, NotFound, UsageError
from servent.query.words import shown
from servent.share.whole_service import Whole, whole
from servent.torrent import metafile
from servent.torrent.door_views import TorrentView

PUBLIC = "On BitTorrent everybody can see that it is there, fetch it, and see your address; this cannot be taken back."
AUDIENCES = {
    "nobody": "nobody",
    "friends": "your friends",
    "peers": "some peers",
    "network": "your friends and networks",
}


class TorrentPart(Part):
    """`TorrentFace` over a `Node`."""

    def torrent_status(self) -> torrent.TorrentStatus:
        status = msgspec.convert(self._node.torrents.status(), torrent.TorrentStatus, from_attributes=True)
        known = self._node.torrents.torrents()
        return msgspec.structs.replace(
            status,
            dht_why="" if status.dht else no_dht(self._node.config, self._node.torrent_session.settings),
            fetching=sum(one.state in ("metadata", "downloading") for one in known),
            seeding=sum(one.state == "seeding" for one in known),
        )

    def torrents(self) -> list[torrent.Torrent]:
        return [_torrent(view) for view in self._node.torrents.torrents()]

    async def torrent_peers(self, id: str) -> list[torrent.TorrentPeer]:
        handle = self._node.seeding.handle(id)
        if handle is None:
            return []
        return [
            torrent.TorrentPeer(
                address=one.address,
                client=shown(one.client),
                progress=round(one.progress, 4),
                up_bytes_per_s=one.up_bytes_per_s,
                down_bytes_per_s=one.down_bytes_per_s,
                sent_bytes=one.uploaded_bytes,
                received_bytes=one.downloaded_bytes,
                transport=one.transport,
                outgoing=one.outgoing,
            )
            for one in await handle.peers()
        ]

    async def fetch_torrent(self, data: bytes, to: str | None) -> schema.Transfer:
        try:
            known = await asyncio.to_thread(metafile.decode, data)
        except BadMessage as wrong:
            raise UsageError(
                f"this .torrent cannot be used: {wrong}", advice="Fetch it once more."
            ) from wrong
        view = await self._node.torrent_files.fetch(known, data, None if to is None else Path(to))
        return transfer_of(view)

    async def seed_torrent(self, wish: torrent.TorrentSeed) -> torrent.Torrent:
        infohash = self._shared(wish.what)
        if infohash is None:
            infohash = await self._from_library(wish)
        else:
            self._ask_about_fetched(infohash, wish)
        if wish.hybrid:
            infohash = await self._node.seeding.hybrid(infohash)
        tiers = [[url] for url in wish.trackers]
        return _torrent(await self._node.seeding.seed(infohash, trackers=tiers, web_seeds=wish.web_seeds))

    def _shared(self, what: str) -> bytes | None:
        """The infohash of something shared, by whatever names it alone."""
        shares = [one for one in self._node.blobs.shares() if one.infohash is not None]
        for names in (
            lambda one: what in (one.id, one.infohash.hex(), one.path),
            lambda one: one.name == what,
            lambda one: len(what) >= 6 and one.id.startswith(what),
        ):
            found = [one for one in shares if names(one)]
            if len(found) > 1:
                raise NotFound(f"several things shared are called {what[:80]!r}", advice="Give the id.")
            if found:
                return found[0].infohash
        return None

    def _ask_about_fetched(self, infohash: bytes, wish: torrent.TorrentSeed) -> None:
        """What others gave to us may not have been meant for everybody."""
        seeded = any(infohash.hex() == view.infohash_v2 for view in self._node.seeding.views())
        if wish.confirm or seeded:  # everybody can see it already
            return
        fetched = any(
            one.infohash == infohash and one.direction == "down" for one in self._node.blobs.transfers()
        )
        if fetched:
            raise Doubtful(
                f"{wish.what} was fetched from peers, who may not have meant it for everybody",
                advice=f"{PUBLIC} Say it again with --yes.",
            )
        share = next((one for one in self._node.blobs.shares() if one.infohash == infohash), None)
        if share is not None:
            self._ask_about_folder(Path(share.path), wish)

    def _ask_about_folder(self, path: Path, wish: torrent.TorrentSeed) -> None:
        """No folder of the library is for everybody."""
        if wish.confirm:
            return
        for view in self._node.share.library.folders():
            audience = view.settings.audience
            if path.is_relative_to(view.settings.path):
                raise Doubtful(
                    f"{path.name} is shared with {AUDIENCES.get(audience, audience)} only",
                    advice=f"{PUBLIC} Say it again with --yes.",
                )

    async def _from_library(self, wish: torrent.TorrentSeed) -> bytes:
        path = Path(wish.what)
        found: Whole | None = None
        if wish.what.startswith("/") or path.drive:
            share = self._node.share
            folders = [(view.id, view.settings) for view in share.library.folders()]
            found = await whole(share.library_store, folders, path, share.safety.blocks_content)
        if found is None:
            raise NotFound(
                f"nothing shared is called {wish.what[:80]!r}",
                advice="`servent shares` lists what is; `servent send PATH --torrent` shares and seeds something new.",
            )
        self._ask_about_folder(path, wish)
        await self._node.blobs.keep_share(found.shared, path)
        return found.shared.collection.infohash

    async def unseed_torrent(self, id: str) -> None:
        await self._node.seeding.unseed(id)

    async def torrent_file(self, name: str) -> torrent.TorrentFile:
        infohash = self._shared(name)
        if infohash is None:
            transfers = [one for one in self._node.blobs.transfers() if one.id == name]
            infohash = transfers[0].infohash if transfers else _hex(name)
        try:
            data = await self._node.seeding.export(infohash)
        except NotFound:
            kept = await asyncio.to_thread(self._node.torrent_files.kept, infohash.hex())
            if kept is None:
                raise
            data = kept
        known = await asyncio.to_thread(metafile.decode, data)
        return torrent.TorrentFile(
            name=f"{safe_part(known.name)[:200]}.torrent", data=b64encode(data).decode(), size_bytes=len(data)
        )


def _hex(name: str) -> bytes:
    try:
        return bytes.fromhex(name)
    except ValueError:
        raise NotFound(
            f"nothing shared or fetched is called {name[:80]!r}",
            advice="`servent torrent ls` and `servent shares` list it.",
        ) from None


def _torrent(view: TorrentView) -> torrent.Torrent:
    made = msgspec.convert(view, torrent.Torrent, from_attributes=True)
    return msgspec.structs.replace(made, name=shown(made.name))
