"""A link names peers, trackers and web seeds: a stranger's choice, by which no services of this machine are reached."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from pathlib import Path

import pytest

pytest.importorskip("libtorrent")

from servent.torrent.views import Adding
from tests.net.party import until
from tests.torrent.swarm import looped, session

MAGNET = "magnet:?xt=urn:btih:" + "ab" * 20


class Service:
    """Something on loopback that notes what is said to it."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard.append(b"")
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(2):
                self.heard[-1] = await reader.read(4096)
        writer.close()


async def listening(
    service: Service, ports: range = range(1), host: str = "127.0.0.1"
) -> tuple[asyncio.Server, int]:
    for port in ports:
        with contextlib.suppress(OSError):
            server = await asyncio.start_server(service, host, port)
            return server, server.sockets[0].getsockname()[1]
    pytest.skip("no port below 1024 can be had here")


@looped
async def test_no_peer_is_tried_at_the_ports_of_services(tmp_path: Path) -> None:
    mail, peer = Service(), Service()
    low, low_port = await listening(mail, range(1023, 900, -1))
    high, high_port = await listening(peer, host="127.0.0.2")  # one connection to each address
    async with low, high, session(tmp_path / "one") as node:
        named = (f"127.0.0.1:{low_port}", f"127.0.0.2:{high_port}")
        await node.add(Adding(tmp_path / "data", magnet=MAGNET, peers=named))
        await until(lambda: peer.heard)
        await asyncio.sleep(1.5)  # both are tried within a second where both may be
        assert not mail.heard


@looped
async def test_a_tracker_and_a_web_seed_on_this_machine_are_asked_for_nothing_else(tmp_path: Path) -> None:
    """An HTTP service of this machine hears at most `/announce`, and no query of a web seed's choice."""
    router, tracker = Service(), Service()
    one, router_port = await listening(router)
    two, tracker_port = await listening(tracker)
    content = b"x" * 20_000
    info = b"d6:lengthi20000e4:name1:f12:piece lengthi32768e6:pieces20:%be" % hashlib.sha1(content).digest()
    async with one, two, session(tmp_path / "one") as node:
        adding = Adding(
            tmp_path / "data",
            torrent=b"d4:info%be" % info,
            trackers=(
                f"http://127.0.0.1:{router_port}/reboot?now=1",
                f"http://127.0.0.1:{tracker_port}/announce",
            ),
            url_seeds=(f"http://127.0.0.1:{router_port}/setup?password=none",),
        )
        handle = await node.add(adding)
        await until(lambda: tracker.heard and tracker.heard[0])
        assert tracker.heard[0].startswith(b"GET /announce?")
        handle.announce()
        await asyncio.sleep(0.5)
        assert not router.heard
