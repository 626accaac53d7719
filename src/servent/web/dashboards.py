"""Dask's own pages, through the page's port: `/dask/<secret>/…` leads to the socket at which a scheduler of this node answers.

The secret in the path lets in; the node tells it to whoever is logged in. Dask draws names that whoever submits work has chosen, so nothing of it may act as our page: each answer is put into a
sandbox (an origin of its own, without our cookie), which is also why a cookie could not let it in.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from servent.api.guard import LOCAL_HOSTS, local_origins
from servent.errors import ServentError

log = logging.getLogger("servent.web")

ROOT = "/dask/"
LOOK_AGAIN = 1.0  # s between two questions to the node for secrets that are not known here
ANSWER_WITHIN = 60.0  # s for a scheduler that is at work
MOST_HEAD_BYTES = 64 * 1024
MOST_MESSAGE_BYTES = 64 * 1024 * 1024
READ_BYTES = 256 * 1024
PASSED_ON = ("accept", "accept-language", "if-none-match", "if-modified-since", "user-agent")
PASSED_BACK = (
    "content-type",
    "content-length",
    "etag",
    "last-modified",
    "location",
    "cache-control",
    "content-disposition",
)
HOSTS = LOCAL_HOSTS

Doors = Callable[[], Awaitable[dict[str, str]]]


class _Ported(Protocol):
    port: int


class Dashboards:
    """In front of the page's guard: takes what begins with `/dask/`, and leaves the rest to it.

    Args:
        rest: the page; its `port` is ours.
        doors: what paths begin with, and the sockets behind: asks the node.
    """

    def __init__(self, rest: ASGIApp, ported: _Ported, doors: Doors) -> None:
        self._rest, self._ported, self._ask = rest, ported, doors
        self._doors: dict[str, str] = {}
        self._asked = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or not scope["path"].startswith(ROOT):
            await self._rest(scope, receive, send)
        elif scope["type"] == "http":
            answer = await self._http(Request(scope, receive))
            await answer(scope, receive, send)
        else:
            await self._socket(WebSocket(scope, receive, send))

    def _refused(self, headers: Any) -> int:
        """A status where Host or Origin are not as from a page of ours, or a sandboxed one; 0 where they are."""
        port = self._ported.port
        if headers.get("host", "").lower() not in {f"{host}:{port}" for host in HOSTS}:
            return 421
        origin = headers.get("origin")
        return 403 if origin is not None and origin != "null" and origin not in local_origins(port) else 0

    async def _door(self, path: str) -> str | None:
        """The socket behind a path, whose secret must be right."""
        prefix = _prefix(path)
        if prefix not in self._doors and time.monotonic() - self._asked > LOOK_AGAIN:
            self._asked = time.monotonic()
            try:
                self._doors = await self._ask()
            except ServentError as wrong:
                log.debug("no dashboards: %s", wrong)
        return self._doors.get(prefix)

    # -- pages

    async def _http(self, request: Request) -> Response:
        if status := self._refused(request.headers):
            return PlainTextResponse("not from here", status)
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("this is to look at", 405)
        path = request.scope["raw_path"].decode("latin-1")
        door = await self._door(path)
        if door is None:
            return PlainTextResponse(
                "There is no such dashboard, or its scheduler has begun anew: open it once more.", 404
            )
        query = request.scope["query_string"].decode("latin-1")
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                reader, writer = await asyncio.open_unix_connection(door, limit=MOST_HEAD_BYTES)
                kept = [f"{name}: {request.headers[name]}" for name in PASSED_ON if name in request.headers]
                lines = [
                    f"{request.method} {path}{'?' + query if query else ''} HTTP/1.0",
                    "Host: dask",
                    *kept,
                ]
                writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return PlainTextResponse("The scheduler does not answer.", 502)
        status = int(head[0].split()[1]) if len(head[0].split()) > 1 and head[0].split()[1].isdigit() else 502
        found = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:])
        }
        headers = {name: found[name] for name in PASSED_BACK if name in found}
        fences = self._fences(request.headers["host"].lower(), _prefix(path))
        return StreamingResponse(_body(reader, writer), status, headers | fences)

    def _fences(self, host: str, prefix: str) -> dict[str, str]:
        """What keeps these pages to themselves: an origin of their own, and no other place to speak with, our page no more than others."""
        own = f"http://{host}{prefix}"
        return {
            "content-security-policy": (
                f"sandbox allow-scripts allow-downloads; default-src {own}; script-src {own} 'unsafe-inline' 'unsafe-eval'; "
                f"style-src {own} 'unsafe-inline'; img-src {own} data: blob:; font-src {own} data:; connect-src {own} ws://{host}{prefix}; "
                f"object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors http://{host}"
            ),
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cross-origin-resource-policy": "cross-origin",  # to the sandbox our own address is another origin's
            "access-control-allow-origin": "null",
            "vary": "origin",
        }

    # -- what moves on them

    async def _socket(self, socket: WebSocket) -> None:
        path = socket.scope.get("raw_path", socket.scope["path"].encode()).decode("latin-1")
        door = None if self._refused(socket.headers) else await self._door(path)
        if door is None:
            await socket.close(1008)
            return
        query = socket.scope["query_string"].decode("latin-1")
        target = f"ws://dask{path}{'?' + query if query else ''}"
        offered = [Subprotocol(one) for one in socket.scope.get("subprotocols", [])]
        try:
            async with unix_connect(
                door,
                target,
                subprotocols=offered or None,
                compression=None,
                max_size=MOST_MESSAGE_BYTES,
                open_timeout=ANSWER_WITHIN,
            ) as there:
                await socket.accept(there.subprotocol)
                async with asyncio.TaskGroup() as tasks:
                    up = tasks.create_task(_up(socket, there), name="to a dashboard")
                    down = tasks.create_task(_down(socket, there), name="from a dashboard")
                    await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
                    up.cancel()
                    down.cancel()
        except (OSError, WebSocketException, TimeoutError) as wrong:
            log.debug("a dashboard's socket: %s", wrong)
        await _close(socket)


def _prefix(path: str) -> str:
    """What stands in front of a dashboard's own paths, its secret with it."""
    return f"{ROOT}{path[len(ROOT) :].partition('/')[0]}/"


async def _body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AsyncIterator[bytes]:
    try:
        while data := await reader.read(READ_BYTES):
            yield data
    except OSError:
        return  # the browser sees that it broke off
    finally:
        writer.close()


async def _up(socket: WebSocket, there: ClientConnection) -> None:
    try:
        while (message := await socket.receive())["type"] != "websocket.disconnect":
            text, data = message.get("text"), message.get("bytes")
            await there.send(text if text is not None else data or b"")
    except (WebSocketException, RuntimeError):
        return  # over, on the other side


async def _down(socket: WebSocket, there: ClientConnection) -> None:
    try:
        async for message in there:
            if isinstance(message, str):
                await socket.send_text(message)
            else:
                await socket.send_bytes(message)
    except (WebSocketException, WebSocketDisconnect, RuntimeError):
        return


async def _close(socket: WebSocket) -> None:
    try:
        await socket.close()
    except (WebSocketDisconnect, RuntimeError):
        return
