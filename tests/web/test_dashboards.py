"""Dask's pages through the page's port: who is let in, and what they may do there."""

from __future__ import annotations

import asyncio
import http.client
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

pytest.importorskip("tornado")

import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from servent.web.__main__ import listen
from servent.web.dashboards import Dashboards

PREFIX = "/dask/s3cret/"


class Page(RequestHandler):
    def get(self) -> None:
        self.set_header("Set-Cookie", "theirs=1")
        self.set_header("Content-Security-Policy", "default-src *")
        self.write(
            f"path {self.request.path} query {self.request.query} cookie {self.request.headers.get('Cookie')}"
        )


class Socket(WebSocketHandler):
    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return "bokeh" if "bokeh" in subprotocols else None

    async def on_message(self, message: str | bytes) -> None:
        await self.write_message(message, binary=isinstance(message, bytes))


class Ported:
    port = 0


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[str]:
    """The page's port in front of something that answers at a Unix socket; gives "127.0.0.1:port"."""
    door = folder / "door"
    theirs = HTTPServer(Application([(f"{PREFIX}ws", Socket), (".*", Page)]))
    theirs.add_socket(bind_unix_socket(str(door)))

    async def rest(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(f"the page: {scope['path']}")(scope, receive, send)

    async def doors() -> dict[str, str]:
        return {PREFIX: str(door), "/dask/gone/": str(folder / "nowhere")}

    ported, listener = Ported(), listen(0)
    ported.port = listener.getsockname()[1]
    config = uvicorn.Config(
        Dashboards(rest, ported, doors), log_level="warning", lifespan="off", ws="websockets-sansio"
    )
    server = uvicorn.Server(config)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve(sockets=[listener]))
            while not server.started:
                await asyncio.sleep(0.01)
            try:
                yield f"127.0.0.1:{ported.port}"
            finally:
                server.should_exit = True
    finally:
        listener.close()
        theirs.stop()
        await theirs.close_all_connections()


async def ask(at: str, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
    """Status, headers and text of an answer."""

    def asking() -> tuple[int, dict[str, str], str]:
        line = http.client.HTTPConnection(at, timeout=60)
        try:
            line.putrequest(method, path, skip_host=True)
            for name, value in ({"Host": at, "Cookie": "servent-x=session"} | headers).items():
                line.putheader(name, value)
            line.endheaders()
            answer = line.getresponse()
            return (
                answer.status,
                {name.lower(): value for name, value in answer.getheaders()},
                answer.read().decode(),
            )
        finally:
            line.close()

    return await asyncio.to_thread(asking)


def run(folder: Path, story: Callable[[str], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with serving(folder) as at:
            await story(at)

    asyncio.run(whole())


def test_the_secret_lets_in_and_nothing_else_does(tmp_path: Path) -> None:
    async def story(at: str) -> None:
        assert (await ask(at, "/grid"))[2] == "the page: /grid"  # what does not begin so is the page's
        answer = await ask(at, f"{PREFIX}status?a=b")
        assert answer[2] == f"path {PREFIX}status query a=b cookie None"  # our cookie stays here
        assert "set-cookie" not in answer[1]  # and theirs there
        for path, status in (("/dask/another/status", 404), ("/dask/", 404), ("/dask/gone/status", 502)):
            assert (await ask(at, path))[0] == status
        assert (await ask(at, f"{PREFIX}status", "POST"))[0] == 405

    run(tmp_path, story)


def test_another_host_or_origin_is_turned_away(tmp_path: Path) -> None:
    async def story(at: str) -> None:
        assert (await ask(at, f"{PREFIX}status", Host="evil.example:7000"))[0] == 421
        assert (await ask(at, f"{PREFIX}status", Origin="http://evil.example"))[0] == 403
        assert (await ask(at, f"{PREFIX}status", Origin="null"))[0] == 200  # from within the sandbox

    run(tmp_path, story)


def test_its_pages_are_in_a_sandbox_of_their_own(tmp_path: Path) -> None:
    async def story(at: str) -> None:
        headers = (await ask(at, f"{PREFIX}status"))[1]
        policy = headers["content-security-policy"]
        assert (
            policy.startswith("sandbox allow-scripts allow-downloads;") and "allow-same-origin" not in policy
        )
        assert "default-src *" not in policy and f"frame-ancestors http://{at}" in policy
        for part in policy.split(
            "; "
        ):  # the page has the same host and port: only paths with the secret may be asked
            name, *sources = part.split()
            if name.endswith("-src"):
                named = {one for one in sources if "://" in one}
                assert named <= {f"http://{at}{PREFIX}", f"ws://{at}{PREFIX}"} and (
                    named or "'none'" in sources
                )
        assert headers["referrer-policy"] == "no-referrer" and headers["x-content-type-options"] == "nosniff"

    run(tmp_path, story)


def test_what_moves_there_moves_here(tmp_path: Path) -> None:
    async def story(at: str) -> None:
        offered = [Subprotocol("bokeh"), Subprotocol("token")]
        async with connect(
            f"ws://{at}{PREFIX}ws", subprotocols=offered, additional_headers={"Origin": "null"}
        ) as line:
            assert line.subprotocol == "bokeh"
            for message in ("hello", b"\x00\x01"):
                await line.send(message)
                assert await line.recv() == message
        for path, origin in ((f"{PREFIX}ws", "http://evil.example"), ("/dask/another/ws", "null")):
            with pytest.raises(InvalidStatus):
                async with connect(f"ws://{at}{path}", additional_headers={"Origin": origin}):
                    pass

    run(tmp_path, story)
