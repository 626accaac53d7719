"""Ranges over HTTP: the words of the header, what a browser is told, and a real client that does what a player does."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import servent
from servent.api import server, streaming
from servent.api.adapter import NodeFace
from servent.api.client import read_token
from servent.api.context import Context
from servent.api.events import Bus
from servent.api.http_server import HttpServer
from servent.api.keys import Keys
from servent.api.streaming import Span, span_of, type_of
from servent.blobs.views import Limits
from servent.node import Node
from servent.testing.nodes import gather_in_network, nodes
from tests.share.stock import let_see, root_and_layer, stock
from tests.share.test_content import MB, some_bytes


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, None),
        ("bytes=0-", Span(0, 1000)),
        ("bytes=0-0", Span(0, 1)),
        ("Bytes = 10-19", Span(10, 20)),
        ("bytes=990-5000", Span(990, 1000)),
        ("bytes=-1", Span(999, 1000)),
        ("bytes=-5000", Span(0, 1000)),
        ("bytes=0-1,5-6", None),
        ("bytes=-", None),
        ("bytes=9-8", None),
        ("lines=0-1", None),
        ("bytes=１-2", None),
        ("bytes=" + "9" * 30 + "-", None),
    ],
)
def test_a_range_is_what_the_rfc_says_or_ignored(header: str | None, wanted: Span | None) -> None:
    if header == "bytes=１-2":
        wanted = Span(1, 3)  # digits of another script are digits to `\\d`; the numbers are sound
    assert span_of(header, 1000) == wanted


@pytest.mark.parametrize(("header", "size"), [("bytes=1000-", 1000), ("bytes=-0", 5), ("bytes=-1", 0)])
def test_a_range_that_is_not_there(header: str, size: int) -> None:
    with pytest.raises(ValueError, match="range"):
        span_of(header, size)


@given(
    header=st.text(max_size=40) | st.from_regex(r"bytes=\d{0,20}-\d{0,20}", fullmatch=True),
    size=st.integers(0, 2**53),
)
def test_whatever_it_says_a_range_lies_in_the_file(header: str, size: int) -> None:
    try:
        span = span_of(header, size)
    except ValueError:
        return
    assert span is None or 0 <= span.first < span.end <= size


@pytest.mark.parametrize("name", ["x.html", "x.SVG", "x.xhtml", "page.htm", "a.js", "b.xml"])
def test_nothing_that_could_be_a_page_is_called_one(name: str) -> None:
    assert type_of(name) == (streaming.PLAIN, True)
    assert (
        type_of("program.exe") == type_of("html") == type_of("x.pdf") == ("application/octet-stream", False)
    )
    assert type_of("Film.MP4") == ("video/mp4", True)


@asynccontextmanager
async def served(node: Node) -> AsyncIterator[tuple[str, int, str]]:
    """The node's API on a real socket: host, port, token."""
    keys = Keys.open(node.data_dir)
    ctx = Context(NodeFace(node), keys, Bus(0), servent.__version__)
    guard = server.build(ctx)
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    guard.port = listening.getsockname()[1]
    running = HttpServer(guard)
    task = asyncio.create_task(running.serve(sockets=[listening]))
    while not running.started:
        await asyncio.sleep(0.01)
    try:
        yield "127.0.0.1", guard.port, read_token(node.data_dir)
    finally:
        running.should_exit = True
        await task
        listening.close()


class Player:
    """Asks as a player does: one connection for each place, closed when it jumps."""

    def __init__(self, host: str, port: int, token: str, path: str) -> None:
        self._where, self._path = (host, port), path
        self._head = {"Authorization": f"Bearer {token}"}

    def ask(
        self, method: str = "GET", take: int | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes, float]:
        """Status, headers, the first `take` bytes, and how long they took."""
        began = time.monotonic()
        connection = http.client.HTTPConnection(*self._where, timeout=60)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, self._path, headers=self._head | named)
            answer = connection.getresponse()
            body = answer.read(take) if take is not None else answer.read()
            return (
                answer.status,
                {k.lower(): v for k, v in answer.headers.items()},
                body,
                time.monotonic() - began,
            )
        finally:
            connection.close()


@pytest.mark.real
def test_a_player_jumps_about_in_a_film_that_comes(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path / "nodes") as (ann, bob):
            await gather_in_network([ann, bob])
            film = some_bytes(100 * MB)
            (tmp_path / "films").mkdir()
            (tmp_path / "films" / "f.mp4").write_bytes(film)
            await stock(ann, 1, tmp_path / "films")
            let_see(ann, {bob.peer: {1}})
            await ann.blobs.set_limits(Limits(up_bytes_per_s=10 * MB))
            root, _ = root_and_layer(film)
            async with served(bob) as where:
                view = await bob.share.getting.content(root, len(film), "Ä film.mp4", to=tmp_path / "bob")
                player = Player(*where, f"/api/v1/transfers/{view.id}/files/0/bytes")
                status, headers, body, waited = await asyncio.to_thread(player.ask, "HEAD")
                assert (status, body, headers["content-length"]) == (200, b"", str(len(film)))
                assert headers["content-type"] == "video/mp4" and headers["accept-ranges"] == "bytes"
                assert (
                    headers["x-content-type-options"] == "nosniff"
                    and "sandbox" in headers["content-security-policy"]
                )
                assert (
                    headers["etag"] == f'"{root.hex()}"'
                    and "%C3%84%20film.mp4" in headers["content-disposition"]
                )
                waits, ahead = {"head": waited}, {}
                jumps = {"moov": 200_000, "start": 0, "middle": 60 * MB, "back": 30 * MB, "on": 61 * MB}
                for name, at in jumps.items():
                    if name == "moov":  # at the end of the file, as cameras write it
                        status, headers, body, waits[name] = await asyncio.to_thread(
                            player.ask, take=200_000, Range=f"bytes=-{at}"
                        )
                        at = len(film) - at
                    else:
                        status, headers, body, waits[name] = await asyncio.to_thread(
                            player.ask, take=100_000, Range=f"bytes={at}-"
                        )
                    assert status == 206 and body == film[at : at + len(body)] and body
                    assert headers["content-range"] == f"bytes {at}-{len(film) - 1}/{len(film)}"
                    ahead[name] = at - bob.blobs.transfer(view.id).done_bytes
                    await asyncio.sleep(0.2)  # it plays
                # What it jumped to was there before what lies before it; how soon is the bench's to say.
                assert ahead["moov"] > 0 and ahead["middle"] > 0, (ahead, waits)
                assert bob.blobs.transfer(view.id).done_bytes < len(film), "the rest was still to come"
                played = await asyncio.to_thread(player.ask, take=15 * MB, Range=f"bytes={30 * MB}-")
                assert hashlib.sha256(played[2]).digest() == hashlib.sha256(film[30 * MB : 45 * MB]).digest()
                await ann.blobs.set_limits(Limits())  # all was seen that the speed is for
                while bob.blobs.transfer(view.id).state != "complete":
                    await asyncio.sleep(0.05)
                status, _, body, _ = await asyncio.to_thread(player.ask, Range="bytes=7-16")
                assert (status, body) == (206, film[7:17])
                mine = Player(*where, f"/api/v1/library/content/{root.hex()}/bytes")
                status, headers, body, _ = await asyncio.to_thread(mine.ask, Range="bytes=-10")
                assert (status, body) == (206, film[-10:]) and headers["etag"] == f'"{root.hex()}"'
                status, headers, body, _ = await asyncio.to_thread(mine.ask, Range=f"bytes={len(film)}-")
                assert (status, body) == (416, b"") and headers["content-range"] == f"bytes */{len(film)}"
                status, _, body, _ = await asyncio.to_thread(
                    mine.ask, take=5, Range="bytes=3-", If_Range='"other"'
                )
                assert (status, body) == (200, film[:5])
                tag = headers["etag"]
                status, _, body, _ = await asyncio.to_thread(mine.ask, take=5, Range="bytes=3-", If_Range=tag)
                assert (status, body) == (206, film[3:8])
                nowhere = Player(*where, f"/api/v1/library/content/{'0' * 64}/bytes")
                assert (await asyncio.to_thread(nowhere.ask))[0] == 404
                stranger = Player(*where[:2], "no token", f"/api/v1/library/content/{root.hex()}/bytes")
                assert (await asyncio.to_thread(stranger.ask))[0] == 401
                print({name: (round(wait, 3), ahead.get(name)) for name, wait in waits.items()})

    asyncio.run(main())


@pytest.mark.real
def test_who_leaves_while_waiting_is_waited_for_no_longer(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path / "nodes") as (ann, bob):
            await gather_in_network([ann, bob])
            data = some_bytes(3 * MB)
            (tmp_path / "a").mkdir()
            (tmp_path / "a" / "page.html").write_bytes(data)
            await stock(ann, 1, tmp_path / "a")
            let_see(ann, {bob.peer: {1}})
            await ann.blobs.set_limits(Limits(up_bytes_per_s=50_000))
            root, _ = root_and_layer(data)
            async with served(bob) as where:
                view = await bob.share.getting.content(root, len(data), "page.html", preview=True)
                reader, writer = await asyncio.open_connection(*where[:2])
                writer.write(
                    f"GET /api/v1/transfers/{view.id}/files/0/bytes HTTP/1.1\r\nHost: {where[0]}:{where[1]}\r\n"
                    f"Authorization: Bearer {where[2]}\r\nRange: bytes=2000000-\r\n\r\n".encode()
                )
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                assert b"text/plain" in head and b"206" in head.split(b"\r\n")[0]
                _, download = bob.blobs.download_of(view.id)
                while download is None or not download.readers.ranges():
                    await asyncio.sleep(0.02)
                    _, download = bob.blobs.download_of(view.id)
                writer.close()
                async with asyncio.timeout(60):
                    while download.readers.ranges():
                        await asyncio.sleep(0.02)
                # paused: the answer says so instead of hanging
                await bob.blobs.pause(view.id)
                reader, writer = await asyncio.open_connection(*where[:2])
                writer.write(
                    f"GET /api/v1/transfers/{view.id}/files/0/bytes HTTP/1.1\r\nHost: {where[0]}:{where[1]}\r\n"
                    f"Authorization: Bearer {where[2]}\r\nConnection: close\r\n\r\n".encode()
                )
                async with asyncio.timeout(60):
                    await reader.read()
                writer.close()

    asyncio.run(main())
