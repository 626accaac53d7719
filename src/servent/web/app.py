"""The page's ASGI app: NiceGUI, our static files, the live socket and the one narrow way to act on transfers.

The browser speaks to this process alone: same origin, one cookie, no token in any script, and the node's API
needs to trust no other origin. What the page shows comes through `/live` (the node's events, passed on by the
hub); what it does goes through NiceGUI to the API's client, or through the gate (`/node`, `/bytes`) where our own
components ask by themselves.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from nicegui import app as nicegui_app
from nicegui import ui
from nicegui.element import Element
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Mount, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from servent.api.client import Client
from servent.web.desk import Desk
from servent.web.gate import Gate
from servent.web.hub import TOPICS, Hub, Page
from servent.web.lane import Lane
from servent.web.pages import (
    browse,
    doctor,
    feeds,
    grid,
    invite,
    library,
    network,
    networks,
    overview,
    people,
    search,
    settings,
    talk,
    transfers,
    welcome,
    wishes,
)
from servent.web.parts import Words, icon, tag
from servent.web.upstream import events

log = logging.getLogger("servent.web")

STATIC = Path(__file__).with_name("static")
ACTIONS = frozenset({"pause", "resume", "cancel", "verify", "remove"})


class Screen(NamedTuple):
    """`place`: "main" and "foot" are links in the navigation, "" is reached from elsewhere. A phone shows the
    `first` ones below, the others behind More."""

    path: str
    title: str
    sign: str
    draw: Callable[..., None]  # with the desk, and the parts of the address that `path` names
    place: str = "main"
    first: bool = False
    badge: str = ""  # what live.js counts for it


SCREENS = (
    Screen("/", "Overview", "overview", overview.draw, first=True),
    Screen("/search", "Search", "search", search.draw, first=True),
    Screen("/library", "Library", "library", library.draw, first=True),
    Screen("/browse", "Browse", "browse", browse.draw),
    Screen("/transfers", "Transfers", "transfers", transfers.draw, first=True),
    Screen("/wishes", "Wish list", "wish", wishes.draw, badge="wishes"),
    Screen("/feeds", "Feeds", "feed", feeds.draw),
    Screen("/talk", "Talk", "talk", talk.draw, first=True, badge="talk"),
    Screen("/talk/{conversation}", "Talk", "talk", talk.draw, place=""),
    Screen("/grid", "Grid", "grid", grid.draw),
    Screen("/grid/{project}", "Project", "grid", grid.draw_project, place=""),
    Screen("/people", "People", "peers", people.draw, badge="people"),
    Screen("/networks", "Networks", "network", networks.draw),
    Screen("/networks/{network}", "Network", "network", network.draw, place=""),
    Screen("/settings", "Settings", "settings", settings.draw, place="foot"),
    Screen("/invite", "Invite", "invite", invite.draw, place="foot"),
    Screen("/doctor", "Doctor", "doctor", doctor.draw, place="foot"),
    Screen("/welcome", "Welcome", "overview", welcome.draw, place=""),
)
FORMER = {"/peers": "/people"}  # addresses of earlier versions
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
        links: dict[str, Element] = {}
        with tag("div", "app"):
            with tag("a", "skip", href="#content"):
                Words("Skip to the content", "span")
            with tag("aside", "side"):
                with tag("a", "brand", href="/"):
                    tag("span", "brand-mark", aria_hidden="true")
                    Words("servent", "span")
                with tag("sv-nav"), tag("nav", "links", aria_label="Screens"):
                    for place in ("main", "foot"):
                        for screen in SCREENS:
                            if screen.place == place:
                                links[screen.path] = _link(screen)
                with tag("div", "foot"):
                    tag("sv-rates")
                    tag("sv-lending")
                    tag("sv-presence")
                    tag("sv-me")
                    tag("sv-theme")
            with tag("main", "main", id="content", tabindex="-1"):
                tag("sv-banner")
                pages = {screen.path: _screen(desk, screen.draw) for screen in SCREENS}
                pages |= {old: pages[new] for old, new in FORMER.items()}
                ui.sub_pages(pages).classes("screen")

        def mark(path: str) -> None:
            here = path.partition("?")[0].partition("#")[0]
            here = FORMER.get(here, here)
            here = f"/{here.split('/')[1]}"  # what lies below a screen is marked as that screen
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


def _link(screen: Screen) -> Element:
    with tag("a", f"link in-{screen.place}{' first' if screen.first else ''}", href=screen.path) as link:
        icon(screen.sign)
        Words(screen.title, "span")
        if screen.badge:
            tag("sv-badge", data_of=screen.badge)
    return link


def _screen(desk: Desk, show: Callable[..., None]) -> Callable[..., None]:
    return partial(show, desk)


SPLASH = """<div id="splash" aria-hidden="true"><span class="brand-mark"></span><span>Opening servent…</span></div>"""


def head_and_body(static: str) -> None:
    """What every page begins with; constants of ours alone. One style sheet a screen, `tokens` before all."""
    first = ["tokens.css", "servent.css", "shell.css"]
    sheets = first + sorted(path.name for path in STATIC.glob("*.css") if path.name not in first)
    scripts = sorted(path.name for path in STATIC.glob("*.js") if path.name not in ("theme.js", "main.js"))
    ui.add_head_html(
        "".join(f'<link rel="stylesheet" href="{static}/{name}">' for name in sheets)
        + f'<script src="{static}/theme.js"></script><script type="module" src="{static}/main.js"></script>'
        + "".join(f'<link rel="modulepreload" href="{static}/{name}">' for name in scripts),
        shared=True,
    )
    ui.add_body_html(SPLASH, shared=True)


class Live:
    """The live socket, for one hub."""

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


def build(client: Client, token: str) -> Starlette:
    """The whole app, without its guard. Once per process: NiceGUI keeps its pages in globals."""
    live = Live(client, token)
    static = static_path()
    head_and_body(static)
    outer = Starlette(
        routes=[
            WebSocketRoute("/live", live.socket),
            WebSocketRoute("/lane", Lane(client.url, token).socket),
            *Gate(client, token).routes(),
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
