"""Invite: a ticket for a friend, an invitation into a network, and the way in with someone else's."""

from __future__ import annotations

from nicegui import ui
from nicegui.element import Element

from servent.api.schema_network import Network
from servent.errors import ServentError, UsageError
from servent.web.desk import Desk
from servent.web.pages.membership import Lists, good_for
from servent.web.parts import Answer, Button, Words, card, choice, field, heading, tag, to_pass_on

LIFETIMES: dict[float, str] = {
    3600.0: "an hour",
    86400.0: "a day",
    7 * 86400.0: "a week",
    30 * 86400.0: "a month",
}
USES: dict[int, str] = {1: "one person", 5: "five people", 0: "any number of people"}


def draw(desk: Desk) -> None:
    heading("Invite")
    with tag("div", "invite"):
        with card("Invite a friend"):
            _ticket(desk)
        with card("Join someone"):
            _join(desk)
        with card("Invite into a network", "wide"):
            _network(desk)


def _ticket(desk: Desk) -> None:
    Words(
        "A ticket lets whoever holds it find and reach this node. Pass it on as you would a key.",
        "p",
        "muted",
    )
    with tag("div", "form-row"):
        lifetime = choice("Good for", dict(LIFETIMES), 86400.0)
        once = ui.switch("Only once", value=True)
    answer = Answer()

    async def make() -> None:
        answer.nothing()
        try:
            ticket = await desk.ask(desk.client.ticket, once=bool(once.value), lifetime=float(lifetime.value))
        except ServentError as error:
            answer.problem(error)
            return
        with answer:
            note = good_for(desk, ticket.expires) + (", for one person" if once.value else "")
            to_pass_on(ticket.ticket, svg=ticket.qr_svg, note=note)

    with tag("div", "form-foot"):
        Button("Make a ticket", make, kind="main", doing="Making it…")


def _join(desk: Desk) -> None:
    Words("Paste the ticket or invitation that someone gave you.", "p", "muted")
    ticket = field("Ticket or invitation", hint="servent:…", lines=4)
    answer = Answer()

    async def join() -> None:
        answer.nothing()
        try:
            text = (ticket.value or "").strip()
            if not text:
                raise UsageError(
                    "nothing was pasted", advice="A ticket is one line that begins with servent:"
                )
            joined = await desk.ask(desk.client.join, text)
        except ServentError as error:
            answer.problem(error)
            return
        ticket.value = ""
        whom = f"the network {joined.network}" if joined.kind == "network" else f"{(joined.peer or '')[:8]}"
        if joined.connected:
            answer.good(f"You joined {whom} and are connected.")
        else:
            why = joined.reason or "They could not be reached yet; the node keeps trying."
            answer.good(f"You joined {whom}. {why}")

    with tag("div", "form-foot"):
        Button("Join", join, kind="main", doing="Looking for them…")


def _network(desk: Desk) -> None:
    Words("A network is a group of people who let each other in. Its admins invite.", "p", "muted")
    room = tag("div")
    answer = Answer()

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
            _invitation(
                desk,
                [network for network in networks if (network.admin or network.open) and not network.removed],
                answer,
            )
            for network in networks:
                if network.admin and not network.open:
                    _who_is_in(desk, network)
            _new_network(desk, refresh, answer, first=not networks)

    ui.timer(0.0, refresh, once=True)


def _invitation(desk: Desk, networks: list[Network], answer: Answer) -> None:
    if not networks:
        return
    with tag("div", "form-row"):
        network = choice("Network", {each.id: each.name for each in networks}, networks[0].id)
        uses = choice("For", dict(USES), 1)
        lifetime = choice("Good for", dict(LIFETIMES), 7 * 86400.0)

    async def make() -> None:
        answer.nothing()
        try:
            invitation = await desk.ask(
                desk.client.invite, network.value, uses=uses.value or None, lifetime=float(lifetime.value)
            )
        except ServentError as error:
            answer.problem(error)
            return
        with answer:
            to_pass_on(
                invitation.invitation,
                svg=invitation.qr_svg,
                note=f"{good_for(desk, invitation.expires)}, for {USES.get(invitation.uses or 0, f'{invitation.uses} people')}",
            )

    with tag("div", "form-foot"):
        Button("Make an invitation", make, kind="main", doing="Making it…")


def _who_is_in(desk: Desk, network: Network) -> None:
    """Its members and the invitations that still let somebody in, each with the way to end it. Read when opened."""
    with tag("details", "fold") as fold:
        Words(f"Members and invitations of {network.name}", "summary")
        lists = Lists(desk, network)
    fold.on("toggle", lists.refresh, [])


def _new_network(desk: Desk, refresh: object, answer: Answer, *, first: bool) -> Element:
    with tag("details", "fold") as fold:
        if first:
            fold.props["open"] = True
        Words("Start a network of your own", "summary")
        with tag("div", "form-row"):
            name = field("Its name", hint="Family")

            async def create() -> None:
                answer.nothing()
                try:
                    wanted = (name.value or "").strip()
                    if not wanted:
                        raise UsageError(
                            "the network has no name yet", advice="Give it one that its members know."
                        )
                    await desk.ask(desk.client.create_network, wanted)
                except ServentError as error:
                    answer.problem(error)
                    return
                answer.good(f"{wanted} is there. Invite its first members.")
                assert callable(refresh)
                await refresh()

            Button("Start it", create, doing="Starting…")
    return fold
