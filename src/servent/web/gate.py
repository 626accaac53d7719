"""The browser's narrow way to the node: what the page's own scripts may ask, passed on with the token they never see.

`/node/…` is a part of the API, answers passed on as they come (a search streams its hits). `/bytes/…` is the
content of files, for players and pictures: under a type from a fixed list of harmless ones, whatever the file
says of itself, so that nothing of a peer's is ever run or drawn as a page.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from servent.api.client import Client
from servent.api.schema import Problem
from servent.errors import ServentError
from servent.web.desk import said
from servent.web.exchange import Exchange, exchange

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Never through here: keys, tokens, backups, shutting down, changes of networks. Those go through NiceGUI's forms.
OPEN = frozenset(
    ("library", "search", "browse", "recommendations", "gets", "transfers", "downloads", "shares", "history", "queue",
     "limits", "wishes", "feeds", "codes", "blocks", "reports", "filters", "setup", "peers",
     "friends", "presence", "conversations", "talk", "notices", "rooms", "torrents", "grid")
)  # fmt: skip
LOOKED_AT = frozenset(("networks", "roles", "who-has", "where"))  # to GET, and no more
PASSED_BACK = (
    "content-type", "content-range", "accept-ranges", "content-length", "content-disposition", "content-security-policy",
    "x-content-type-options",
)  # fmt: skip
ANSWER_WITHIN = 3600.0  # s; checking 100 GB on request takes minutes, and the browser has limits of its own
RESULT = re.compile("/grid/batches/[^/]+/results/[^/]+")
CONTENT = re.compile("[0-9a-f]{64}")
PATH = re.compile(r"(/[A-Za-z0-9._~%@!$&'()*+,;=:-]+)+")
DOTS = ("", ".", "..")

# What a browser may be told that bytes of a stranger are. No SVG, no HTML, no PDF: those can hold scripts.
TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
    "bmp": "image/bmp", "avif": "image/avif",
    "mp3": "audio/mpeg", "m4a": "audio/mp4", "aac": "audio/aac", "ogg": "audio/ogg", "oga": "audio/ogg",
    "opus": "audio/ogg", "flac": "audio/flac", "wav": "audio/wav", "weba": "audio/webm",
    "mp4": "video/mp4", "m4v": "video/mp4", "mov": "video/mp4", "webm": "video/webm", "ogv": "video/ogg",
    "mkv": "video/x-matroska",
    "txt": "text/plain; charset=utf-8",
}  # fmt: skip
HARMLESS = "default-src 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'; sandbox"


class Gate:
    """Routes for one node's client."""

    def __init__(self, client: Client, token: str) -> None:
        self._url, self._token = client.url, token

    def routes(self) -> list[Route]:
        return [
            Route("/node/{path:path}", self.node, methods=list(METHODS)),
            Route("/bytes/transfers/{transfer}/{index:int}", self.of_transfer, methods=["GET"]),
            Route("/bytes/content/{content}", self.of_content, methods=["GET"]),
            Route("/bytes/results/{batch:int}/{number:int}", self.of_result, methods=["GET"]),
        ]

    async def node(self, request: Request) -> Response:
        """One request of the API, if it is one that the page's scripts may make."""
        path = request.scope["raw_path"].decode("latin-1").removeprefix("/node")  # as sent: names stay quoted
        parts = path.split("/")[1:]
        allowed = OPEN | LOOKED_AT if request.method == "GET" else OPEN
        if (
            parts[0] not in allowed
            or not PATH.fullmatch(path)
            or any(unquote(part) in DOTS for part in parts)
        ):
            return refusal(Problem(type="urn:servent:usage", title="no such request", status=404))
        if (parts[0] in ("library", "transfers") and unquote(path).endswith("/bytes")) or RESULT.fullmatch(
            unquote(path)
        ):
            return refusal(Problem(type="urn:servent:usage", title="files are below /bytes", status=404))
        query = request.scope["query_string"].decode("latin-1")
        return await self._pass(request, f"{path}?{query}" if query else path, {"Accept": "application/json"})

    async def of_transfer(self, request: Request) -> Response:
        transfer = request.path_params["transfer"]
        if not transfer.isalnum() or len(transfer) > 128:
            return refusal(Problem(type="urn:servent:not-found", title="no such transfer", status=404))
        return await self._bytes(request, f"/transfers/{transfer}/files/{request.path_params['index']}/bytes")

    async def of_content(self, request: Request) -> Response:
        content = request.path_params["content"]
        if not CONTENT.fullmatch(content):
            return refusal(Problem(type="urn:servent:not-found", title="no such content", status=404))
        return await self._bytes(request, f"/library/content/{content}/bytes")

    async def of_result(self, request: Request) -> Response:
        """What a stranger's machine computed."""
        batch, number = request.path_params["batch"], request.path_params["number"]
        return await self._bytes(request, f"/grid/batches/{batch}/results/{number}")

    async def _bytes(self, request: Request, path: str) -> Response:
        wanted = request.headers.get("range")
        answer = await self._pass(request, path, {"Range": wanted} if wanted else {})
        if answer.status_code in (200, 206):
            kind = TYPES.get(request.query_params.get("as", "").lower())
            answer.headers["content-type"] = kind or "application/octet-stream"
            answer.headers["content-security-policy"] = HARMLESS
            answer.headers["content-disposition"] = "inline" if kind else "attachment"
        return answer

    async def _pass(self, request: Request, path: str, headers: dict[str, str]) -> Response:
        body = await request.body()
        block = AsyncExitStack()
        try:
            answer = await block.enter_async_context(
                exchange(self._url, self._token, request.method, path, headers, body, ANSWER_WITHIN)
            )
        except ServentError as error:
            return _away(error)
        passed = {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
        return _Passed(answer, block, passed)


class _Passed(StreamingResponse):
    """Ends the request to the node when the browser has gone: a search that nobody reads must not go on."""

    def __init__(self, answer: Exchange, block: AsyncExitStack, headers: dict[str, str]) -> None:
        super().__init__(_body(answer), answer.status, headers)
        self._block = block

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._block:
            await super().__call__(scope, receive, send)


async def _body(answer: Exchange) -> AsyncIterator[bytes]:
    """What comes, also where it breaks off: the browser sees that and asks again."""
    with contextlib.suppress(ServentError):
        async for piece in answer.pieces(silence=None):
            yield piece


def _away(error: ServentError) -> Response:
    fact, advice = said(error)
    return refusal(Problem(type="urn:servent:world", title=fact, status=503, detail=fact, advice=advice))


def refusal(problem: Problem) -> Response:
    return Response(msgspec.json.encode(problem), problem.status, media_type="application/problem+json")
