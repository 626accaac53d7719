"""A node that fetches from BitTorrent, killed with SIGKILL again and again."""

from __future__ import annotations

import random
import time
from pathlib import Path

import libtorrent as lt
import pytest

from bench.processes import Worker
from tests.scenarios.test_killed_transfers import Side, _down
from tests.torrent.test_getting_torrents import content, laid_out, link_of, some_bytes, torrent_of

pytestmark = [pytest.mark.real, pytest.mark.slow]

MB = 1024 * 1024
SIZE = 10 * MB
RATE = 5 * MB
KILLS = 3


class Door(Side):
    """The same with the BitTorrent door."""

    def start(self) -> None:
        log = self.folder.with_suffix(".log")
        self.worker = Worker(
            "tests.torrent.eager_peer",
            str(self.folder),
            "--bind",
            self.bind,
            "--log",
            "INFO",
            "--torrent",
            log=log,
        )
        self.ask = self.worker.ask


@pytest.mark.parametrize("kind", ["v1", "v2"])
def test_kills_lose_little_and_never_claim_what_is_not_there(tmp_path: Path, kind: str) -> None:
    dice = random.Random(3)
    album = laid_out(tmp_path / "with" / "album", {"film.bin": some_bytes(SIZE, 5), "note": b"n"})
    torrent = torrent_of(album, kind)
    seeder = lt.session(
        {
            "listen_interfaces": "127.0.0.1:0",
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "allow_multiple_connections_per_ip": True,  # over uTP nobody hears that a node was killed
        }
    )
    params = lt.load_torrent_buffer(torrent)
    params.save_path, params.upload_limit = str(album.parent), RATE
    params.flags = lt.torrent_flags.seed_mode
    handle = seeder.add_torrent(params)
    node = Door(tmp_path / "node")
    try:
        while not seeder.is_listening() or not seeder.listen_port():
            time.sleep(0.01)
        link = link_of(torrent, seeder.listen_port())
        transfer = node.ask("fetch", link=link, to=str(tmp_path / "to"))
        for _ in range(KILLS):
            time.sleep(dice.uniform(0.3, 1.2))
            done = _down(node)["done_bytes"]
            node.kill()
            node.start()
            began = time.monotonic()
            while _down(node)["done_bytes"] < done:
                assert time.monotonic() - began < 60.0, "what was there is forgotten"
                time.sleep(0.02)
        end = node.ask("wait", id=transfer, limit=100)
        assert end["state"] == "complete", (end["state"], end["reason"])
        assert content(tmp_path / "to" / "album") == content(album)
        assert handle.status().total_payload_upload < SIZE + KILLS * 4 * MB
    finally:
        node.stop()
        del handle, seeder
