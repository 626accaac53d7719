"""Behind a SOCKS5 proxy: peers, trackers and web seeds are reached through it, and nothing goes beside it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from servent.blobs.hashing import collect
from servent.torrent import metafile
from servent.torrent.session import Session
from servent.torrent.views import Adding, Proxy
from tests.net.party import until
from tests.torrent.socks import OUT, Socks, socks
from tests.torrent.swarm import FETCH_TIME, LOOPBACK, Done, looped, session
from tests.torrent.test_seeding import album, files_of
from tests.torrent.tracker import Tracker


@asynccontextmanager
async def behind(proxy: Socks, folder: Path, password: str = "", **more: object) -> AsyncIterator[Session]:
    folder.mkdir()
    hidden = Proxy("socks5", "127.0.0.1", proxy.port, "me" if password else "", password)
    made = Session(folder, replace(LOOPBACK, proxy=hidden, **more))
    running = asyncio.create_task(made.run())
    try:
        await made.open()
        yield made
    finally:
        running.cancel()
        await asyncio.wait([running])


class Witness(asyncio.DatagramProtocol):
    """Notes who sends to it."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, object]] = []

    def datagram_received(self, data: bytes, address: object) -> None:
        self.heard.append((data, address))


@asynccontextmanager
async def witness() -> AsyncIterator[tuple[Witness, int]]:
    loop = asyncio.get_running_loop()
    transport, made = await loop.create_datagram_endpoint(Witness, ("127.0.0.8", 0))
    try:
        yield made, transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


@looped
async def test_peers_and_trackers_are_reached_through_the_proxy_and_nothing_goes_beside_it(
    tmp_path: Path,
) -> None:
    shared = collect(album(tmp_path / "album"))
    plain = metafile.encode(shared.collection.info, shared.collection.layers)
    with Tracker("127.0.0.1") as tracker:
        port = tracker.url.rpartition(":")[2].partition("/")[0]
        hidden = f"http://tracker.invalid:{port}/announce"  # a name that only the proxy can resolve
        torrent = metafile.encode(shared.collection.info, shared.collection.layers, trackers=[[hidden]])
        async with (
            witness() as (heard, udp),
            session(tmp_path / "theirs") as other,
            socks({"tracker.invalid": "127.0.0.1"}) as proxy,
            behind(
                proxy, tmp_path / "ours", dht=True, dht_nodes=(f"127.0.0.8:{udp}",), dht_private=True
            ) as own,
        ):
            seeding = await other.add(Adding(tmp_path, torrent=plain, seed=True, upload=True))
            seeder = f"127.0.0.1:{other.view().port}"
            done = Done()
            # One peer that has all, and one whose port is our witness's: uTP would be tried there.
            handle = await own.add(
                Adding(tmp_path / "got", torrent=torrent, peers=(seeder, f"127.0.0.8:{udp}")), done
            )
            async with asyncio.timeout(FETCH_TIME):
                await done.done.wait()
                await handle.flush()
            assert files_of(tmp_path / "got" / "album") == files_of(tmp_path / "album")
            await until(lambda: tracker.asked > 0)
            assert tracker.from_hosts == {OUT}
            assert f"tracker.invalid:{port}" in proxy.asked and seeder in proxy.asked
            assert all(one.address.startswith(f"{OUT}:") for one in await seeding.peers())
            assert not await own.ready(limit=1.0)  # the DHT: this proxy carries no UDP, so there is none
            assert heard.heard == []
            with pytest.raises(OSError):  # nobody gets in beside the proxy
                socket.create_connection(("127.0.0.1", own.view().port or 1), 0.5).close()


@looped
async def test_a_proxy_that_wants_a_password_gets_it_and_a_wrong_one_reaches_nobody(tmp_path: Path) -> None:
    shared = collect(album(tmp_path / "album"))
    torrent = metafile.encode(shared.collection.info, shared.collection.layers)
    async with session(tmp_path / "theirs") as other, socks(password=("me", "open sesame")) as proxy:
        await other.add(Adding(tmp_path, torrent=torrent, seed=True, upload=True))
        peers = (f"127.0.0.1:{other.view().port}",)
        async with behind(proxy, tmp_path / "wrong", "sesame") as own:
            done = Done()
            await own.add(Adding(tmp_path / "got", torrent=torrent, peers=peers), done)
            await until(lambda: proxy.refused >= 3)  # what carries UDP is tried first
            assert not done.done.is_set() and proxy.asked == []
        async with behind(proxy, tmp_path / "right", "open sesame") as own:
            done = Done()
            await own.add(Adding(tmp_path / "got", torrent=torrent, peers=peers), done)
            async with asyncio.timeout(FETCH_TIME):
                await done.done.wait()
            assert proxy.asked == list(peers)


@looped
async def test_a_proxy_that_is_gone_is_not_gone_around(tmp_path: Path) -> None:
    shared = collect(album(tmp_path / "album"))
    torrent = metafile.encode(shared.collection.info, shared.collection.layers)
    async with session(tmp_path / "theirs") as other, socks() as proxy:
        gone = Socks({}, None)
        gone.port = proxy.port
        seeding = await other.add(Adding(tmp_path, torrent=torrent, seed=True, upload=True))
        gone.port = 9  # nobody listens there
        async with behind(gone, tmp_path / "ours") as own:
            done = Done()
            await own.add(
                Adding(tmp_path / "got", torrent=torrent, peers=(f"127.0.0.1:{other.view().port}",)), done
            )
            await asyncio.sleep(1.5)
            assert not done.done.is_set() and await seeding.peers() == []
