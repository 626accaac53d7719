"""What others may do here: for each service of this node, who may use it."""

from __future__ import annotations

from nicegui import ui

from servent.api.schema import Audience, Grant, Peer
from servent.errors import ServentError
from servent.web.desk import Desk
from servent.web.parts import Answer, Words, card, choice, tag

# What people call the services that every node has; an app's services are shown under their own names.
WORDS: dict[str, tuple[str, str]] = {
    "servent.blobs": ("Fetch what you share", "Files whose link they have, or which they found here."),
    "servent.content": ("Fetch files of your library by content", "Only from folders that they may see."),
    "servent.share": ("Search and browse your library", "Only folders that they may see, see Library."),
    "servent.feeds": ("Follow your feeds", "Those whose link they have."),
    "servent.meet": ("Meet by a spoken code", "Two who say the same code find each other through you."),
    "servent.reports": ("Send you reports", "As the admin of a network you share."),
    "servent.core": ("Keep in touch", "Who is here, and how to reach them."),
    "servent.core/ping": ("Measure the way to you", "What Ping does."),
    "servent.delay": ("Measure the queue of the line", "So that transfers do not slow down everything else."),
}
AUDIENCES: dict[Audience, str] = {
    "nobody": "Nobody",
    "friends": "Friends",
    "network": "Networks and friends",
    "everyone": "Everyone who may connect",
}


def called(service: str) -> str:
    return _words(service)[0] or service


def _words(service: str) -> tuple[str, str]:
    return WORDS.get(service) or WORDS.get(service.partition("/")[0], ("", ""))


def in_use(grants: list[Grant]) -> list[Grant]:
    """By name; without those that no service goes by any more since it says its version."""
    versioned = {grant.service.rpartition("/")[0] for grant in grants}
    kept = [grant for grant in grants if grant.service not in versioned]
    return sorted(kept, key=lambda grant: (called(grant.service) == grant.service, called(grant.service)))


def allowed(grant: Grant, peer: Peer) -> tuple[bool, str]:
    """Whether `peer` may use the service, and because of what."""
    if peer.blocked:
        return False, "blocked"
    if peer.id in grant.peers:
        return True, "named"
    match grant.audience:
        case "everyone":
            return True, "everyone may"
        case "network":
            if peer.networks:
                return True, "by network"
            return peer.friend, "as a friend" if peer.friend else "for networks and friends"
        case "friends":
            return peer.friend, "as a friend" if peer.friend else "for friends"
        case _:
            return False, "nobody may"


def draw_grants(desk: Desk) -> None:
    """The panel. Each choice holds at once."""
    with card():
        Words(
            "Who may use what this node offers. A block beats everything here; shared folders have audiences of their own.",
            "p",
            "muted",
        )
        answer = Answer()
        room = tag("div", "grants")

    async def refresh() -> None:
        try:
            grants = await desk.ask(desk.client.grants)
            peers = await desk.ask(desk.client.peers)
        except ServentError as error:
            answer.problem(error)
            return
        if room.is_deleted:
            return
        room.clear()
        names = {peer.id: peer.petname or peer.name or peer.short_id for peer in peers}
        with room:
            for grant in in_use(grants):
                _row(desk, grant, names, answer)
            if not grants:
                Words("This node offers nothing yet.", "p", "muted")

    ui.timer(0.0, refresh, once=True)


def _row(desk: Desk, grant: Grant, names: dict[str, str], answer: Answer) -> None:
    about = _words(grant.service)[1]
    with tag("div", "grant"):
        with tag("div", "what"):
            Words(called(grant.service), "span", "name")
            Words(" ".join(each for each in (about, grant.service) if each), "span", "why")
        audience = choice("For", dict(AUDIENCES), grant.audience)
        chosen = [each for each in grant.peers if each in names]
        with tag("label", "field"):
            Words("And by name", "span", "field-label")
            also = ui.select(names, value=chosen, multiple=True)
            also.props("outlined dense options-dense use-chips")
            also.props["aria-label"] = f"And by name: {called(grant.service)}"
        audience.props["aria-label"] = f"For: {called(grant.service)}"

    async def save() -> None:
        answer.nothing()
        unknown = [each for each in grant.peers if each not in names]  # named once, not known now: they stay
        try:
            await desk.ask(
                desk.client.set_grant, grant.service, audience.value, [*(also.value or []), *unknown]
            )
        except ServentError as error:
            answer.problem(error)
            return
        answer.good(f"{called(grant.service)}: saved, and in force.")

    audience.on_value_change(save)
    also.on_value_change(save)
