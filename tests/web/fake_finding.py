"""What the fake API answers about sharing: enough of it for the gate, the library's forms and the first steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from servent.api import schema, schema_getting, schema_share

CONTENT = "ab" * 32
BYTES = bytes(range(256)) * 40  # of CONTENT
Call = Callable[[Request], Awaitable[Response]]


class FakeFinding:
    """One shared folder, one content, one search that goes on until somebody hangs up."""

    def __init__(self) -> None:
        self.searches = 0  # that run now
        self.asked: list[str] = []  # paths with their queries, as they came
        self.wanted: list[str] = []
        self.folders = {
            "f1": schema_share.Folder(
                id="f1", path="/home/you/Music", name="Music", audience="network", state="watching", files=2,
                skipped=1, skipped_why=["cover.tmp: left out by *.tmp"], exclude=["*.tmp"],
            )
        }  # fmt: skip
        self.setup = schema_getting.Setup(done=True, name="kitchen", folder="/home/you/Music", downloads="/d")

    def routes(self) -> dict[tuple[str, str], Call]:
        return {
            ("GET", "/search"): self._search,
            ("GET", "/browse/{peer:path}"): self._browse,
            ("GET", "/library"): self._library,
            ("GET", "/library/folders"): self._folders,
            ("POST", "/library/folders"): self._add,
            ("PATCH", "/library/folders/{folder}"): self._change,
            ("DELETE", "/library/folders/{folder}"): self._remove,
            ("GET", "/library/content/{content}/bytes"): self._bytes,
            ("GET", "/transfers/{transfer}/files/{index}/bytes"): self._bytes,
            ("GET", "/grid/batches/{batch}/results/{unit}"): self._bytes,
            ("GET", "/setup"): self._setup,
            ("POST", "/setup"): self._finish,
            **{("GET", f"/{name}"): self._nothing for name in ("blocks", "reports", "recommendations")},
            ("GET", "/filters"): self._filters,
        }

    async def _search(self, request: Request) -> Response:
        self.asked.append(f"{request.url.path}?{request.url.query}")
        return StreamingResponse(self._hits(), media_type="application/x-ndjson")

    async def _hits(self) -> AsyncIterator[bytes]:
        self.searches += 1
        try:
            for number in range(10_000):
                yield b'{"kind":"peer","peer":"p%d"}\n' % number
                await asyncio.sleep(0.02)
        finally:
            self.searches -= 1

    async def _browse(self, request: Request) -> Response:
        self.asked.append(request.scope["raw_path"].decode())
        return _json(schema_share.Listing(peer=request.path_params["peer"]))

    async def _library(self, _: Request) -> Response:
        return _json(schema_share.Library(folders=1, files=2, kinds={"audio": 2}, state="ready"))

    async def _folders(self, _: Request) -> Response:
        return _json(list(self.folders.values()))

    async def _add(self, request: Request) -> Response:
        new = msgspec.json.decode(await request.body(), type=schema_share.NewFolder)
        self.wanted.append(f"share {new.path} {new.audience} {','.join(new.exclude)} {new.confirm}")
        if new.path == "/home/you" and not new.confirm:
            return _problem(409, "confirm", "this is a home directory", "Share a folder inside it instead.")
        folder = schema_share.Folder(
            id=f"f{len(self.folders) + 1}",
            path=new.path,
            name=new.name,
            audience=new.audience,
            state="scanning",
        )
        self.folders[folder.id] = folder
        return _json(folder)

    async def _change(self, request: Request) -> Response:
        change = msgspec.json.decode(await request.body(), type=schema_share.FolderChange)
        self.wanted.append(
            f"change {request.path_params['folder']} {change.audience} {','.join(change.peers or [])}"
        )
        return _json(self.folders[request.path_params["folder"]])

    async def _remove(self, request: Request) -> Response:
        self.wanted.append(f"unshare {request.path_params['folder']}")
        del self.folders[request.path_params["folder"]]
        return _json(schema.Done())

    async def _bytes(self, request: Request) -> Response:
        if request.path_params.get("content", CONTENT) != CONTENT:
            return _problem(404, "not-found", "there is no such content here", "Search for it again.")
        wanted = request.headers.get("range")
        headers = {"accept-ranges": "bytes"}
        if wanted is None:
            return Response(BYTES, headers=headers, media_type="text/html")  # whatever it says: not believed
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        begin, end = int(first), min(int(last or len(BYTES) - 1), len(BYTES) - 1)
        headers["content-range"] = f"bytes {begin}-{end}/{len(BYTES)}"
        return Response(BYTES[begin : end + 1], 206, headers, media_type="image/svg+xml")

    async def _nothing(self, _: Request) -> Response:
        return _json([])

    async def _filters(self, _: Request) -> Response:
        return _json(schema_share.Filters())

    async def _setup(self, _: Request) -> Response:
        return _json(self.setup)

    async def _finish(self, request: Request) -> Response:
        done = msgspec.json.decode(await request.body(), type=schema_getting.SetupDone)
        self.wanted.append(f"setup {done.name}")
        self.setup = msgspec.structs.replace(self.setup, done=True, name=done.name or self.setup.name)
        return _json(self.setup)


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _problem(status: int, kind: str, detail: str, advice: str) -> Response:
    problem = schema.Problem(
        type=f"urn:servent:{kind}", title=kind, status=status, detail=detail, advice=advice
    )
    return Response(msgspec.json.encode(problem), status, media_type="application/problem+json")
