"""Bytes of files over HTTP with ranges, for players and pictures. What a file says of itself is never believed.

A file of a stranger must not become a page of ours: its type comes from a fixed list of harmless ones by extension,
everything else is a download; browsers are told not to guess, and not to run anything in it.
"""

from __future__ import annotations

import logging
import re
from typing import NamedTuple
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from servent.api.context import Context
from servent.api.face_share import Readable
from servent.api.routes_files import find_download
from servent.api.routing import Routes
from servent.errors import NotFound, ServentError, WorldError

log = logging.getLogger("servent.api")

routes = Routes("streaming")

CHUNK_BYTES = 256 * 1024  # of one read: small enough that a player's first bytes come soon
HARMLESS = "default-src 'none'; media-src 'self'; img-src 'self'; style-src 'unsafe-inline'; sandbox"
CONTENT = re.compile("[0-9a-f]{64}")
PLAIN = "text/plain; charset=utf-8"

# What a browser may be told that bytes of a stranger are. No SVG, no HTML: those can hold scripts.
TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
    "bmp": "image/bmp", "avif": "image/avif",
    "mp3": "audio/mpeg", "m4a": "audio/mp4", "aac": "audio/aac", "ogg": "audio/ogg", "oga": "audio/ogg",
    "opus": "audio/ogg", "flac": "audio/flac", "wav": "audio/wav", "weba": "audio/webm",
    "mp4": "video/mp4", "m4v": "video/mp4", "mov": "video/mp4", "webm": "video/webm", "ogv": "video/ogg",
    "mkv": "video/x-matroska", "avi": "video/x-msvideo", "ts": "video/mp2t", "mpg": "video/mpeg", "mpeg": "video/mpeg",
} | dict.fromkeys(
    ("txt", "md", "nfo", "log", "csv", "json", "srt", "vtt", "xml", "html", "htm", "xhtml", "svg", "js", "css", "py", "c",
     "h", "rs", "go", "sh", "ini", "toml", "yaml", "yml", "tex", "m3u", "cue", "sfv"),
    PLAIN,
)  # fmt: skip


class Span(NamedTuple):
    """The bytes from `first` up to, not including, `end`."""

    first: int
    end: int


def span_of(header: str | None, size: int) -> Span | None:
    """The one range that a `Range` header asks for, None for the whole (RFC 9110, 14.2).

    What is no range of bytes, or asks for several at once, is ignored, as the RFC allows.

    Raises:
        ValueError: a range that the file does not have: 416.
    """
    found = re.fullmatch(r"\s*bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})\s*", header or "", re.IGNORECASE)
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:  # the last so many
        count = int(found[2])
        if not count or not size:
            raise ValueError("an empty range")
        return Span(max(0, size - count), size)
    first = int(found[1])
    last = int(found[2]) if found[2] else size - 1
    if found[2] and last < first:
        return None  # not a valid range at all
    if first >= size:
        raise ValueError("a range behind the end")
    return Span(first, min(last + 1, size))


def type_of(name: str) -> tuple[str, bool]:
    """The type to tell a browser, and whether it may show it."""
    _, dot, ext = name.rpartition(".")
    kind = TYPES.get(ext.lower()) if dot else None
    return (kind, True) if kind is not None else ("application/octet-stream", False)


def respond(request: Request, file: Readable) -> Response:
    """The answer to a GET or HEAD of `file`, which is closed with it."""
    size = file.size_bytes
    tag = f'"{file.content}"' if file.content else ""
    kind, shown = type_of(file.name)
    headers = {
        "accept-ranges": "bytes",
        "content-type": kind,
        "content-disposition": f"{'inline' if shown else 'attachment'}; filename*=UTF-8''{quote(file.name.encode(errors='replace'), safe='')}",
        "content-security-policy": HARMLESS,
        "x-content-type-options": "nosniff",
    }
    if tag:
        headers["etag"] = tag
    status, span = 200, Span(0, size)
    condition = request.headers.get("if-range")
    if condition is None or (tag and condition.strip() == tag):
        try:
            wanted = span_of(request.headers.get("range"), size)
        except ValueError:
            headers |= {"content-range": f"bytes */{size}", "content-length": "0"}
            return _Closing(file, Span(0, 0), 416, headers)
        if wanted is not None:
            status, span = 206, wanted
            headers["content-range"] = f"bytes {span.first}-{span.end - 1}/{size}"
    headers["content-length"] = str(span.end - span.first)
    return _Closing(file, Span(0, 0) if request.method == "HEAD" else span, status, headers)


class _Closing(StreamingResponse):
    """Sends a span of a file as it comes, and closes it however that ends: also when the player goes away."""

    def __init__(self, file: Readable, span: Span, status: int, headers: dict[str, str]) -> None:
        super().__init__(iter(()), status, headers)
        self._file, self._span = file, span

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._file.close()

    async def stream_response(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        at, end = self._span
        try:
            while at < end:
                data = await self._file.read(at, min(CHUNK_BYTES, end - at))
                if not data:
                    raise WorldError("the file ended early")
                at += len(data)
                await send({"type": "http.response.body", "body": data, "more_body": True})
        except ServentError as wrong:
            # Too late for a status: the connection ends short, and a player asks again for the rest.
            log.info("%s is read no further: %s", self._file.name, wrong)
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


@routes.add("GET", "/transfers/{transfer}/files/{index}/bytes", scope="read", problems=(404, 503))
async def transfer_bytes(ctx: Context, transfer: str, index: str, request: Request) -> Response:
    """A file of a transfer, also while it comes; with `Range`, what is asked for is fetched next."""
    if not index.isdecimal() or len(index) > 7:
        raise NotFound("no file has a number like that")
    return respond(request, await ctx.node.read_transfer(find_download(ctx, transfer).id, int(index)))


@routes.add("GET", "/library/content/{content}/bytes", scope="read", problems=(404,))
async def content_bytes(ctx: Context, content: str, request: Request) -> Response:
    """A file of the own library, or one that was fetched, by its content."""
    if not CONTENT.fullmatch(content):
        raise NotFound("no content is called that")
    return respond(request, await ctx.node.read_content(content))
