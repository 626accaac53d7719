"""People: who this node knows, how they are reached, and what they may do."""

from __future__ import annotations

from nicegui.events import GenericEventArguments

from servent.api.schema import Peer
from servent.errors import NotFound, ServentError
from servent.web.desk import Desk
from servent.web.pages.grants import draw_grants
from servent.web.pages.person import person
from servent.web.pages.tabbed import tabs
from servent.web.parts import Answer, Words, chosen, heading, icon, tag


def draw(desk: Desk) -> None:
    with heading("People"), tag("div", "head-buttons"), tag("a", "main-button", href="/invite"):
        icon("invite")
        Words("Invite", "span")
    tabs(
        "people",
        "People",
        (
            ("friends", "Friends", _friends),
            ("everyone", "Everyone", lambda: _everyone(desk)),
            ("grants", "What they may do", lambda: draw_grants(desk)),
            ("safety", "Blocked and reported", lambda: _safety()),
        ),
    )


def _friends() -> None:
    tag("sv-friends")


def _safety() -> None:
    tag("sv-safety")


def _everyone(desk: Desk) -> None:
    with tag("div", "dialogs") as room:
        pass

    async def edit(event: GenericEventArguments) -> None:
        peer_id = chosen(event)
        room.clear()
        try:
            peer = await desk.ask(_find, desk, peer_id)
            grants = await desk.ask(desk.client.grants)
        except ServentError as error:
            with room:
                Answer().problem(error)
            return
        with room:
            person(desk, peer, grants).open()

    tag("sv-peers").on("edit", edit, ["detail"])


def _find(desk: Desk, peer_id: str) -> Peer:
    for peer in desk.client.peers():
        if peer.id == peer_id:
            return peer
    raise NotFound("this peer is not known any more")
