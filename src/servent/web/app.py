"""The page's ASGI app: NiceGUI, our static files, the live socket and the one narrow way to act on transfers.

The browser speaks to this process alone: same origin, one cookie, no token in any script, and the node's API
needs to trust no other origin. What the page shows comes through `/live` (the node's events, passed on by the
hub); what it does goes through NiceGUI to the API's client, or through `/act` for the buttons of the table.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from nicegui import app as nicegui_app
from nicegui import ui
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from servent.api.client import ApiError, Client
from servent.api.schema import API, Problem
from servent.errors import ServentError
from servent.web.desk import Desk, said
from servent.web.hub import TOPICS, Hub, Page
from servent.web.pages import doctor, invite, overview, peers, transfers
from servent.web.parts import Words, icon, tag
from servent.web.upstream import events

log = logging.getLogger("servent.web")

STATIC = Path(__file__).with_name("static")
ACTIONS = frozenset({"pause", "resume", "cancel", "verify", "remove"})
SCREENS: tuple[tuple[str, str, str, Callable[[Desk], None]], ...] = (
    ("/", "Overview", "overview", overview.draw),
    ("/transfers", "Transfers", "transfers", transfers.draw),
    ("/peers", "Peers", "peers", peers.draw),
    ("/invite", "Invite", "invite", invite.draw),
    ("/doctor", "Doctor", "doctor", doctor.draw),
)
CHECKING = 3600.0  # s for reading a finished download again; 100 GB take some minutes
MESSAGE_BYTES = 64 * 1024  # NiceGUI's events: clicks and form fields


class _Files(StaticFiles):
    """Our files under a name that changes with their content: a browser keeps them for good."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response


def static_path() -> str:
    """Where the static files of exactly this version are served."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return f"/static/{digest.hexdigest()[:12]}"


def root(desk: Desk) -> Callable[[], None]:
    """What NiceGUI draws for every address: the frame, and inside it the screen that the address names."""

    def draw() -> None:
        links = {}
        with tag("div", "app"):
            with tag("a", "skip", href="#content"):
                Words("Skip to the content", "span")
            with tag("aside", "side"):
                with tag("div", "brand"):
                    tag("span", "brand-mark", aria_hidden="true")
                    Words("servent", "span")
                with tag("nav", "links", aria_label="Screens"):
                    for path, title, sign, _ in SCREENS:
                        with tag("a", "link", href=path) as link:
                            icon(sign)
                            Words(title, "span")
                        links[path] = link
                with tag("div", "foot"):
                    tag("sv-rates")
                    tag("sv-me")
                    tag("sv-theme")
            with tag("main", "main", id="content", tabindex="-1"):
                tag("sv-banner")
                ui.sub_pages({path: _screen(desk, show) for path, _, _, show in SCREENS}).classes("screen")

        def mark(path: str) -> None:
            here = path.partition("?")[0].partition("#")[0]
            for target, link in links.items():
                if target == here:
                    link.props["aria-current"] = "page"
                else:
                    link.props.pop("aria-current", None)
                link.update()

        router = ui.context.client.sub_pages_router
        router.on_path_changed(mark)
        mark(router.current_path)

    return draw


def _screen(desk: Desk, show: Callable[[Desk], None]) -> Callable[[], None]:
    return lambda: show(desk)


SPLASH = """<div id="splash" aria-hidden="true"><span class="brand-mark"></span><span>Opening servent…</span></div>"""


def head_and_body(static: str) -> None:
    """What every page begins with; constants of ours alone."""
    ui.add_head_html(
        f'<link rel="stylesheet" href="{static}/tokens.css"><link rel="stylesheet" href="{static}/servent.css">'
        f'<script src="{static}/theme.js"></script><script type="module" src="{static}/main.js"></script>',
        shared=True,
    )
    ui.add_body_html(SPLASH, shared=True)


class Live:
    """The live socket and the buttons of the table, for one hub and one client."""

    def __init__(self, client: Client, token: str) -> None:
        self.client = client
        self.hub = Hub(lambda: events(client.url, token, TOPICS))

    @asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.hub.run(), name="web: hub")
            yield
            running.cancel()

    async def socket(self, socket: WebSocket) -> None:
        await socket.accept()
        page = self.hub.join()
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(_send(socket, page), name="send events to a page")
                await _until_closed(socket)
                sending.cancel()
        finally:
            self.hub.leave(page)

    async def act(self, request: Request) -> Response:
        transfer, action = request.path_params["transfer"], request.path_params["action"]
        if action not in ACTIONS or not transfer.isalnum() or len(transfer) > 128:
            return _refusal(Problem(type="urn:servent:usage", title="no such action", status=404))
        try:
            if action == "remove":
                answer = await asyncio.to_thread(self.client.request, "DELETE", f"{API}/transfers/{transfer}")
            else:
                limit = CHECKING if action == "verify" else self.client.timeout
                answer = await asyncio.to_thread(
                    self.client.request, "POST", f"{API}/transfers/{transfer}/{action}", timeout=limit
                )
        except ApiError as error:
            return _refusal(error.problem)
        except ServentError as error:
            fact, advice = said(error)
            return _refusal(Problem(type="urn:servent:world", title=fact, status=503, advice=advice))
        return Response(answer.body, media_type="application/json")


async def _send(socket: WebSocket, page: Page) -> None:
    try:
        while True:
            await socket.send_text(await page.messages.get())
            await asyncio.sleep(0)  # a full queue must not keep the loop from seeing that the browser left
    except (WebSocketDisconnect, RuntimeError):
        return  # gone in the middle of a message; `_until_closed` ends the rest


async def _until_closed(socket: WebSocket) -> None:
    """Pages say nothing on this socket; whatever comes is dropped."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


def _refusal(problem: Problem) -> Response:
    return Response(msgspec.json.encode(problem), problem.status, media_type="application/problem+json")


def build(client: Client, token: str) -> Starlette:
    """The whole app, without its guard. Once per process: NiceGUI keeps its pages in globals."""
    live = Live(client, token)
    static = static_path()
    head_and_body(static)
    outer = Starlette(
        routes=[
            WebSocketRoute("/live", live.socket),
            Route("/act/transfers/{transfer}/{action}", live.act, methods=["POST"]),
            Mount(static, _Files(directory=STATIC)),
        ],
        lifespan=live.lifespan,
    )
    ui.run_with(
        outer,  # type: ignore[arg-type]  # it needs no more of FastAPI than Starlette has
        root=root(Desk(client)),
        title="servent",
        favicon=STATIC / "servent.svg",
        tailwind=False,
        binding_refresh_interval=None,  # nothing here is polled
        reconnect_timeout=5.0,
        show_welcome_message=False,
    )
    nicegui_app.on_exception(lambda error: log.error("a page failed", exc_info=error))
    return outer
