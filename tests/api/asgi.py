"""Asks an ASGI app without a network: one request, or one WebSocket handshake."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

PORT = 7700
HOST = f"127.0.0.1:{PORT}"


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def ask(
    app: Any,
    method: str = "GET",
    path: str = "/api/v1/status",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    query: str = "",
    chunks: Iterable[bytes] | None = None,
) -> Answer:
    """Headers are sent as given; a Host is added when none is there (give ("host", "") to send an empty one)."""
    given = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    if not any(name == b"host" for name, _ in given):
        given.insert(0, (b"host", HOST.encode()))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": given,
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", PORT),
    }
    pieces = list(chunks) if chunks is not None else [body]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if pieces:
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}
        await asyncio.sleep(3600)
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    start = next(message for message in sent if message["type"] == "http.response.start")
    content = b"".join(
        message.get("body", b"") for message in sent if message["type"] == "http.response.body"
    )
    return Answer(
        start["status"], {name.decode().lower(): value.decode() for name, value in start["headers"]}, content
    )


def shake(app: Any, path: str, headers: Iterable[tuple[str, str]] = ()) -> str:
    """What becomes of a WebSocket handshake: "accept", or the status it is refused with."""
    given = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    if not any(name == b"host" for name, _ in given):
        given.insert(0, (b"host", HOST.encode()))
    scope = {
        "type": "websocket",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "ws",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": given,
        "subprotocols": [],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", PORT),
        "extensions": {"websocket.http.response": {}},
        "state": {},
    }
    sent: list[dict[str, Any]] = []
    first = [{"type": "websocket.connect"}]

    async def receive() -> dict[str, Any]:
        return first.pop() if first else {"type": "websocket.disconnect", "code": 1001}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    if sent[0]["type"] == "websocket.accept":
        return "accept"
    if sent[0]["type"] == "websocket.http.response.start":
        return str(sent[0]["status"])
    return "close"
