"""The API as one ASGI app: routes, events, description and docs, behind the guard."""

from __future__ import annotations

import asyncio
import logging
import mimetypes
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Self

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from servent.api import (
    routes_cluster,
    routes_codes,
    routes_credit,
    routes_feeds,
    routes_files,
    routes_grid,
    routes_grid_work,
    routes_library,
    routes_network,
    routes_node,
    routes_queue,
    routes_safety,
    routes_search,
    routes_setup,
    routes_talk,
    routes_torrent,
    routes_trust,
    routes_wishes,
    streaming,
)
from servent.api.context import Context
from servent.api.events import Bus, Listener
from servent.api.guard import API_CSP, Guard
from servent.api.keys import includes
from servent.api.lane import lane
from servent.api.looking import look
from servent.api.routing import ProblemError, openapi, problem_of, respond, routes_for
from servent.api.schema import API, PRIVATE, TOPICS, EventQuery, Problem, Scope, Topic
from servent.errors import UsageError

log = logging.getLogger("servent.api")

COLLECTIONS = (
    routes_node.routes,
    routes_trust.routes,
    routes_network.routes,
    routes_files.routes,
    routes_library.routes,
    routes_search.routes,
    routes_wishes.routes,
    routes_feeds.routes,
    routes_codes.routes,
    routes_safety.routes,
    routes_queue.routes,
    routes_setup.routes,
    routes_talk.routes,
    routes_torrent.routes,
    routes_grid.routes,
    routes_grid_work.routes,
    routes_credit.routes,
    routes_cluster.routes,
    streaming.routes,
)
OPEN_PATHS = (f"{API}/ping",)
KEEP_ALIVE = 15.0  # s; comments on an idle event stream, so that a dead client is noticed
DOCS_CSP = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
DOCS_FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png")


def build(ctx: Context) -> Guard:
    """The guarded app. `guard.port` is to be set once the port is known."""

    async def not_found(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        kind = {404: "not-found", 405: "usage"}.get(error.status_code, "usage")
        title = {404: "there is nothing at this path", 405: "this path takes other methods"}.get(
            error.status_code, error.detail
        )
        answer = respond(
            Problem(
                type=f"urn:servent:{kind}",
                title=title,
                status=error.status_code,
                detail=title,
                advice="/docs lists what there is.",
            )
        )
        answer.headers.update(error.headers or {})
        return answer

    app = Starlette(
        routes=[
            *routes_for(COLLECTIONS, ctx),
            Route(f"{API}/events", _sse(ctx), methods=["GET"]),
            WebSocketRoute(f"{API}/events", _socket(ctx)),
            WebSocketRoute(f"{API}/transfers/lane", lane(ctx)),
            Route(f"{API}/openapi.json", _description(ctx), methods=["GET"]),
            Route("/docs", _docs, methods=["GET"]),
            Route("/docs/{name}", _docs_file, methods=["GET"]),
            Route("/", _front(ctx), methods=["GET"]),
        ],
        exception_handlers={HTTPException: not_found},
    )

    def login_target() -> str:
        return ctx.web_url or "/"

    ctx.node.hear(partial(_say, ctx.bus, "messages"), partial(_say, ctx.bus, "notices"))
    guard = Guard(app, ctx.keys, ctx.node.id().id, open_paths=OPEN_PATHS, login_target=login_target)
    ctx.guard = guard
    return guard


# events


def _say(bus: Bus, topic: Topic, what: msgspec.Struct) -> None:
    bus.publish(topic, msgspec.to_builtins(what))


class _Ears:
    """A listener with an asyncio event, as a context."""

    def __init__(self, bus: Bus, listener: Listener, ready: asyncio.Event) -> None:
        self._bus, self._listener, self._ready = bus, listener, ready

    @classmethod
    async def open(cls, ctx: Context, query: EventQuery, scope: Scope | None) -> Self:
        """Hears everything from now on; the first messages are what is known already.

        Raises:
            UsageError: no such topic. ProblemError: not with this token, or too many listen already.
        """
        topics = frozenset(part.strip() for part in query.topics.split(",") if part.strip())
        unknown = topics - set(TOPICS)
        if unknown:
            raise UsageError(
                f"no such topic: {', '.join(sorted(unknown))}", advice=f"There are {', '.join(TOPICS)}."
            )
        if scope is None or not includes(
            scope, "control"
        ):  # whoever reads a code can use it; letters are private
            if kept := topics & PRIVATE:
                raise ProblemError(
                    Problem(
                        type="urn:servent:refused",
                        title="this token may not do that",
                        status=403,
                        detail=f"{', '.join(sorted(kept))}: that needs a token for control",
                    )
                )
            topics = topics or frozenset(TOPICS) - PRIVATE
        topics = topics or frozenset(TOPICS)
        await look(ctx, topics)
        ready = asyncio.Event()
        listener = ctx.bus.listen(topics, ready.set, query.since)
        if listener is None:
            raise ProblemError(
                Problem(
                    type="urn:servent:refused",
                    title="too many listeners",
                    status=503,
                    detail="64 others listen to events already",
                )
            )
        return cls(ctx.bus, listener, ready)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bus.leave(self._listener)

    async def take(self, timeout: float) -> list[tuple[int, bytes]]:
        """What is new; empty after `timeout` s of silence."""
        try:
            async with asyncio.timeout(timeout):
                await self._ready.wait()
        except TimeoutError:
            return []
        self._ready.clear()
        # What waits already is given without waiting. But who listens to the log, and is gone, would have us write of that
        # for ever: others run in between, and the connection's end is noticed.
        await asyncio.sleep(0)
        return self._listener.take()


def _query(params: dict[str, str], last_event_id: str | None) -> EventQuery:
    if last_event_id and "since" not in params:
        params["since"] = last_event_id
    try:
        return msgspec.convert(params, EventQuery, strict=False)
    except msgspec.ValidationError as wrong:
        raise UsageError(f"the query: {wrong}") from wrong


def _sse(ctx: Context) -> Any:
    async def stream(request: Request) -> Response:
        try:
            query = _query(dict(request.query_params), request.headers.get("last-event-id"))
            ears = await _Ears.open(ctx, query, request.scope.get("servent_scope"))
        except (UsageError, ProblemError) as wrong:
            return respond(problem_of(wrong))

        async def body() -> AsyncIterator[bytes]:
            with ears:
                yield b"retry: 1000\n\n"
                while not ctx.stopping:
                    events = await ears.take(KEEP_ALIVE)
                    if not events:
                        yield b": here\n\n"
                    for seq, encoded in events:
                        yield b"id: %d\ndata: %b\n\n" % (seq, encoded)

        return StreamingResponse(body(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    return stream


def _socket(ctx: Context) -> Any:
    async def stream(socket: WebSocket) -> None:
        try:
            query = _query(dict(socket.query_params), None)
            ears = await _Ears.open(ctx, query, socket.scope.get("servent_scope"))
        except (UsageError, ProblemError) as wrong:
            await socket.accept()
            await socket.close(1008, problem_of(wrong).detail[:100])
            return
        with ears:
            await socket.accept()
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(_until_closed(socket), name="events: listen for the end")
                    while not ctx.stopping:
                        for _, encoded in await ears.take(KEEP_ALIVE):
                            await socket.send_text(encoded.decode("utf-8"))
                    raise WebSocketDisconnect(1001)
            except* (WebSocketDisconnect, RuntimeError):  # RuntimeError: Starlette's "already closed"
                pass

    async def _until_closed(socket: WebSocket) -> None:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1005))

    return stream


# description, docs, front page


def _description(ctx: Context) -> Any:
    async def described(request: Request) -> Response:
        return Response(msgspec.json.encode(openapi(COLLECTIONS, ctx.version)), media_type="application/json")

    return described


async def _docs(request: Request) -> Response:
    """Swagger UI from fastapi-offline's files; nothing of it is loaded before somebody opens it."""
    page = (
        "<!doctype html><meta charset=utf-8><title>servent API</title>"
        "<link rel=icon href=docs/favicon.png><link rel=stylesheet href=docs/swagger-ui.css>"
        "<div id=ui></div><script src=docs/swagger-ui-bundle.js></script>"
        f"<script>SwaggerUIBundle({{url:'{API}/openapi.json',dom_id:'#ui',deepLinking:true}})</script>"
    )
    return Response(page, media_type="text/html", headers={"Content-Security-Policy": DOCS_CSP})


async def _docs_file(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in DOCS_FILES:
        raise HTTPException(404)
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec("fastapi_offline")  # found, not imported: it would bring FastAPI
    if spec is None or not spec.submodule_search_locations:
        raise HTTPException(404)
    path = Path(next(iter(spec.submodule_search_locations))) / "static" / name
    content = await asyncio.to_thread(path.read_bytes)
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(content, media_type=kind, headers={"Content-Security-Policy": API_CSP})


def _front(ctx: Context) -> Any:
    async def front(request: Request) -> Response:
        if ctx.web_url:
            return RedirectResponse(ctx.web_url, 303)
        return Response(
            "<!doctype html><meta charset=utf-8><title>servent</title><h1>servent</h1>"
            "<p>This node runs without its page. <a href=/docs>The API</a> is here.</p>",
            media_type="text/html",
            headers={"Content-Security-Policy": DOCS_CSP},
        )

    return front
