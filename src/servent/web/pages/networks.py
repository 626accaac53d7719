"""Networks: those this node belongs to, who is in them, the invitations that are out, and the way out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from servent.api.schema_network import Network
from servent.errors import ServentError, UsageError
from servent.web.desk import Desk, lasting
from servent.web.parts import Answer, Button, Words, card, field, icon, tag

MOST_LISTED = 200  # members, and invitations


def draw_networks(desk: Desk) -> None:
    """The panel: one card for each network."""
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
                _network(desk, network, refresh)
            with card("Start a network of your own" if networks else "No network yet"):
                if not networks:
                    Words(
                        "A network is a group of people who let each other in: family, a club, a class. Start one and "
                        "invite them, or join with an invitation.",
                        "p",
                        "muted",
                    )
                _start(desk, refresh)

    ui.timer(0.0, refresh, once=True)


def _start(desk: Desk, refresh: Callable[[], Awaitable[None]]) -> None:
    answer = Answer()
    with tag("div", "form-row"):
        name = field("Its name", hint="Family")
        free = ui.switch("Any member may let others in", value=False)

        async def create() -> None:
            answer.nothing()
            try:
                wanted = (name.value or "").strip()
                if not wanted:
                    raise UsageError(
                        "the network has no name yet", advice="Give it one that its members know."
                    )
                await desk.ask(desk.client.create_network, wanted, open=bool(free.value))
            except ServentError as error:
                answer.problem(error)
                return
            await refresh()

        Button("Start it", create, doing="Starting…")
    with tag("a", "more", href="/invite"):
        Words("Join with an invitation", "span")


def _network(desk: Desk, network: Network, refresh: Callable[[], Awaitable[None]]) -> None:
    with card() as element:
        element.classes("network-card")
        with tag("div", "network-head"):
            Words(network.name, "h2").props["dir"] = "auto"
            kind = "open" if network.open else "by invitation"
            yours = ", yours" if network.admin else ""
            Words(
                f"{network.members} member{'' if network.members == 1 else 's'}, {network.online} here now · {kind}{yours}",
                "span",
                "outcome",
            )
        answer = Answer()
        members = tag("div", "endings")

    async def look() -> None:
        try:
            known = await desk.ask(desk.client.members, network.id)
            invitations = (
                await desk.ask(desk.client.invitations, network.id)
                if network.admin and not network.open
                else []
            )
        except ServentError as error:
            answer.problem(error)
            return
        if members.is_deleted:
            return
        members.clear()
        with members:
            for member in known[:MOST_LISTED]:
                about = "admin" if member.admin else "here now" if member.connected else "away"
                press = None
                if network.admin and not member.admin:
                    press = ending(desk.client.revoke_member, member.id)
                _line(member.name or member.short_id, about, "Remove", press, here=member.connected)
            if len(known) > MOST_LISTED:
                Words(f"and {len(known) - MOST_LISTED:,} more", "p", "muted")
            for one in [one for one in invitations if not one.revoked][:MOST_LISTED]:
                used = f"{one.used} of {one.uses} used" if one.uses else f"used {one.used} times"
                end = (
                    ""
                    if one.expires is None
                    else f", good for {lasting(max(0.0, one.expires - desk.wall_clock()))}"
                )
                press = ending(desk.client.revoke_invitation, one.id)
                _line(f"Invitation {one.id[:8]}", used + end, "Revoke", press)

    def ending(end: Callable[[str, str], None], which: str) -> Callable[[], Awaitable[None]]:
        async def press() -> None:
            answer.nothing()
            try:
                await desk.ask(end, network.id, which)
            except ServentError as error:
                answer.problem(error)
                return
            await look()

        return press

    asked: list[str] = []

    async def leave() -> None:
        answer.nothing()
        if not asked:
            asked.append(network.id)
            with answer, tag("div", "problem-box"):
                icon("warn")
                Words(
                    "You would not reach its members any more, nor they you, unless they are your contacts; only a new "
                    "invitation brings you back. Press Leave once more to do it."
                )
            return
        try:
            await desk.ask(desk.client.leave_network, network.id)
        except ServentError as error:
            answer.problem(error)
            return
        await refresh()

    with element, tag("div", "form-foot"):
        if network.admin or network.open:
            with tag("a", "quiet-button small-button", href="/invite"):
                icon("invite")
                Words("Invite", "span")
        Button("Leave", leave, kind="danger", doing="Leaving…").classes("small-button")
    ui.timer(0.0, look, once=True)


def _line(
    name: str, about: str, word: str, press: Callable[[], Awaitable[None]] | None, *, here: bool = False
) -> None:
    with tag("div", "ending"):
        with tag("div", "what"):
            with tag("span", "who"):
                tag("span", "dot", data_tone="direct" if here else "none")
                Words(name, "span", "name").props["dir"] = "auto"
            Words(about, "span", "why")
        if press is not None:
            Button(word, press, kind="danger", doing="Ending it…").classes("small-button")
