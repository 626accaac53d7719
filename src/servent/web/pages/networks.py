"""Networks: those this node belongs to, how each is organised, and what this node does for them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from servent.api.schema_network import Network
from servent.errors import ServentError, UsageError
from servent.web.desk import Desk
from servent.web.pages.modes import TITLES, ModeChoice
from servent.web.pages.roles import draw_roles
from servent.web.parts import Answer, Button, Words, card, field, heading, icon, tag


def draw(desk: Desk) -> None:
    with heading("Networks"), tag("div", "head-buttons"), tag("a", "main-button", href="/invite"):
        icon("invite")
        Words("Invite or join", "span")
    answer = Answer()
    room = tag("div", "network-cards")

    async def refresh() -> None:
        try:
            networks = await desk.ask(desk.client.networks)
        except ServentError as error:
            answer.problem(error)
            return
        if room.is_deleted:
            return
        room.clear()
        with room:
            for network in networks:
                _network(network)
            with card("Start a network of your own" if networks else "No network yet", "network-new"):
                if not networks:
                    Words(
                        "A network is a group of people who let each other in: family, a club, a class. Start one and "
                        "invite them, or join with an invitation.",
                        "p",
                        "muted",
                    )
                _start(desk, refresh, first=not networks)

    ui.timer(0.0, refresh, once=True)
    draw_roles(desk)


def _start(desk: Desk, refresh: Callable[[], Awaitable[None]], *, first: bool) -> None:
    answer = Answer()
    with tag("div", "form-row"):
        name = field("Its name", hint="Family")
        free = ui.switch("Any member may let others in", value=False)
    with tag("details", "fold") as fold:
        if first:
            fold.props["open"] = True
        Words("How it is organised", "summary")
        mode = ModeChoice("hybrid")
        Words("You can change this later, while it runs.", "p", "muted")

    async def create() -> None:
        answer.nothing()
        try:
            wanted = (name.value or "").strip()
            if not wanted:
                raise UsageError("the network has no name yet", advice="Give it one that its members know.")
            await desk.ask(desk.client.create_network, wanted, open=bool(free.value), mode=mode.value)
        except ServentError as error:
            answer.problem(error)
            return
        await refresh()

    with tag("div", "form-foot"):
        Button("Start it", create, doing="Starting…")


def _network(network: Network) -> None:
    with tag("a", "card network-card", href=f"/networks/{network.id}"):
        with tag("div", "network-head"):
            icon(f"mode-{network.mode}")
            Words(network.name, "h2").props["dir"] = "auto"
            Words(TITLES[network.mode], "span", "mark")
            if network.admin:
                Words("yours", "span", "mark")
            if network.open:
                Words("open", "span", "mark")
            if network.removed:
                Words("removed", "span", "mark")
        Words(counts(network), "p", "muted")
        with tag("p", "network-role"):
            tag("span", "dot", data_tone="direct" if network.index else "none")
            Words(role_words(network), "span").props["dir"] = "auto"


def counts(network: Network) -> str:
    """Members, who is here, supernodes: in one line."""
    size = (
        f"about {network.size:,} members"
        if network.size > network.members
        else _many(network.members, "member")
    )
    return f"{size} · {network.online} connected · {_many(network.supernodes, 'supernode')} known"


def role_words(network: Network) -> str:
    """What this node is there, and why: two sentences."""
    if network.removed:
        return f"{network.why[:1].upper()}{network.why[1:]}."
    what = "This node is a supernode" if network.index else "This node is a leaf"
    if network.retiring:
        what += " that is about to stop"
    why = network.why.strip()
    return f"{what}. {why[:1].upper()}{why[1:]}" + ("." if why and why[-1] not in ".!?" else "")


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
