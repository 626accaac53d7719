"""What this node does for others: each role with the reason why or why not, and what the person wishes."""

from __future__ import annotations

from nicegui import ui

from servent.api.schema import Role, RoleName, RoleWish
from servent.errors import ServentError
from servent.web.desk import Desk
from servent.web.parts import Answer, Words, card, choice, tag

WORDS: dict[RoleName, tuple[str, str]] = {
    "index": ("Keep the index", "Keep what others offer in your networks, and answer their searches."),
    "relay": ("Relay", "Carry the encrypted packets of two who reach each other no other way."),
    "observer": ("Observe", "Tell others from which address they are seen, so that they can be reached."),
    "store": ("Store", "Keep content for others."),
    "compute": ("Compute", "Work on tasks of others."),
}
WISHES: dict[RoleWish, str] = {"auto": "When it helps", "on": "Always", "off": "Never"}


def draw_roles(desk: Desk) -> None:
    """The card. Each choice holds at once."""
    with card("What this node does for others"):
        Words(
            "A network needs peers that do a little for the others. This node helps where it can and is needed; here you "
            "say whether it may.",
            "p",
            "muted",
        )
        answer = Answer()
        room = tag("div", "roles")

    async def refresh() -> None:
        try:
            roles = await desk.ask(desk.client.roles)
        except ServentError as error:
            answer.problem(error)
            return
        if not room.is_deleted:
            show(roles)

    def show(roles: list[Role]) -> None:
        room.clear()
        with room:
            for role in roles:
                _role(role)

    def _role(role: Role) -> None:
        title, meaning = WORDS[role.name]
        with tag("div", "role", data_role=role.name):
            with tag("div", "what"):
                with tag("span", "who"):
                    tag("span", "dot", data_tone="direct" if role.active else "none")
                    Words(title, "span", "name")
                    Words("active" if role.active else "not active", "span", "outcome")
                Words(meaning, "span", "why")
                if role.why:
                    Words(role.why, "span", "role-why").props["dir"] = "auto"
            pick = choice(f"May it {title.lower()}?", dict(WISHES), role.wish)

            async def wish() -> None:
                answer.nothing()
                try:
                    show(await desk.ask(desk.client.set_role, role.name, pick.value))
                except ServentError as error:
                    answer.problem(error)
                    await refresh()

            pick.on_value_change(wish)

    ui.timer(0.0, refresh, once=True)
