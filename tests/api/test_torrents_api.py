"""The routes of BitTorrent through our client: what is seeded, fetched by a .torrent, exported; what is refused and asked."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from servent.api import schema
from servent.api import schema_torrent as bt
from servent.api.client import ApiError, Client
from servent.torrent import metafile
from tests.api.fake_torrent import V1, V2
from tests.api.running import client, fake_daemon


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data_dir = tmp_path_factory.mktemp("node")
    with fake_daemon(data_dir):
        yield data_dir


@pytest.fixture
def node(folder: Path) -> Client:
    return client(folder)


def test_the_door_and_its_torrents_are_shown(node: Client) -> None:
    status = node.torrent_status()
    assert status.installed and status.door and status.dht_nodes == 312
    assert {one.version for one in node.torrents()} == {"v1", "v2", "hybrid"}
    assert node.torrent(V1[:8]).name == "An old release"
    assert [one.client for one in node.torrent_peers(V2)] == ["qBittorrent/4.5.2", "Transmission 3.00"]
    event = next(event for event in node.events("torrents") if event.topic == "torrents")
    assert {one["id"] for one in event.data["items"]} >= {V1, V2}  # type: ignore[attr-defined]


def test_a_share_is_seeded_asked_about_and_no_longer_seeded(node: Client, tmp_path: Path) -> None:
    (tmp_path / "private").mkdir()
    share = node.add_share(str(tmp_path / "private"), wait=True)
    wish = bt.TorrentSeed(what=share.id, hybrid=True, trackers=["udp://t.example:1"])
    with pytest.raises(ApiError) as asked:
        node.seed_torrent(wish)
    assert (asked.value.status, asked.value.kind) == (409, "confirm")
    made = node.seed_torrent(msgspec.structs.replace(wish, confirm=True))
    assert (made.share, made.version, made.trackers) == (share.id, "hybrid", ["udp://t.example:1"])
    assert node.unseed_torrent(made.id).id == made.id
    with pytest.raises(ApiError) as gone:
        node.torrent(made.id)
    assert gone.value.kind == "not-found"


def test_a_torrent_goes_out_as_a_file_and_comes_in_again(node: Client, tmp_path: Path) -> None:
    file = node.torrent_file(V1)
    data = b64decode(file.data)
    assert metafile.decode(data).version == "v1" and file.size_bytes == len(data)
    assert node.fetch_torrent(data, str(tmp_path)).path == str(tmp_path)
    (tmp_path / "one.torrent").write_bytes(data)
    wish = bt.TorrentFetch(path=str(tmp_path / "one.torrent"))
    made = node._send("POST", "/torrents", schema.Transfer, wish)
    assert made.name == "a"


def test_what_is_no_torrent_is_refused_in_words(node: Client, tmp_path: Path) -> None:
    def said(wish: bt.TorrentFetch) -> str:
        with pytest.raises(ApiError) as wrong:
            node._send("POST", "/torrents", bt.Torrent, wish)
        assert wrong.value.kind in ("usage", "not-found"), wrong.value
        return str(wrong.value)

    assert "cannot be used" in said(bt.TorrentFetch(data="aGVsbG8="))
    assert "no base64" in said(bt.TorrentFetch(data="%%%"))
    assert "either" in said(bt.TorrentFetch()) or "named by" in said(bt.TorrentFetch())
    assert "there is no" in said(bt.TorrentFetch(path=str(tmp_path / "none.torrent")))
    with (tmp_path / "huge.torrent").open("wb") as file:
        file.truncate(metafile.MAX_TORRENT_BYTES + 1)
    assert "larger" in said(bt.TorrentFetch(path=str(tmp_path / "huge.torrent")))
