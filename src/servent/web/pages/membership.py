"""Members and invitations of one network, each with the way to end it: for every screen that lists them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from servent.api.schema_network import Invitation, Member, Network
from servent.errors import ServentError
from servent.web.desk import Desk, lasting
from servent.web.parts import Answer, Button, Press, Words, dialog, tag

MOST_LISTED = 200  # members, and invitations


def good_for(desk: Desk, expires: float | None) -> str:
    """How long an invitation or a ticket can be used."""
    if expires is None:
        return "good until you take it back"
    return f"good for {lasting(max(0.0, expires - desk.wall_clock()))}"


class Lists:
    """Draws itself where it is made, once `refresh` was called.

    Args:
        removed: list those, too, who were taken out.
    """

    def __init__(self, desk: Desk, network: Network, *, removed: bool = False) -> None:
        self._desk, self._network, self._removed = desk, network, removed
        self._answer = Answer()
        self._room = tag("div", "endings")
        self._dialogs = tag("div", "dialogs")

    async def refresh(self) -> None:
        """Ask the node, and draw anew."""
        desk, network = self._desk, self._network
        try:
            members = await desk.ask(desk.client.members, network.id)
            invitations: list[Invitation] = []
            if network.admin and not network.open:
                invitations = await desk.ask(desk.client.invitations, network.id)
        except ServentError as error:
            self._answer.problem(error)
            return
        if self._room.is_deleted:
            return
        self._room.clear()
        present = [member for member in members if not member.revoked]
        gone = [member for member in members if member.revoked] if self._removed else []
        with self._room:
            for member in present[:MOST_LISTED]:
                self._member(member)
            if len(present) > MOST_LISTED:
                Words(f"and {len(present) - MOST_LISTED:,} more", "p", "muted")
            for one in [one for one in invitations if not one.revoked][:MOST_LISTED]:
                used = (
                    f"{one.used} of {one.uses} used" if one.uses else f"used {one.used} times, for any number"
                )
                press = self._ending(desk.client.revoke_invitation, one.id)
                line(f"Invitation {one.id[:8]}", f"{used}; {good_for(desk, one.expires)}", "Revoke", press)
            for member in gone[:MOST_LISTED]:
                line(
                    member.name or member.short_id,
                    "removed; a new invitation brings them back",
                    "",
                    None,
                    mark="removed",
                )

    def _member(self, member: Member) -> None:
        about = "you" if member.me else "connected" if member.connected else "away"
        press = None
        if self._network.admin and not member.admin and not member.me:
            press = self._asking(member)
        marks = [word for word, true in (("founder", member.admin), ("supernode", member.supernode)) if true]
        line(
            member.name or member.short_id,
            about,
            "Remove",
            press,
            here=member.connected,
            mark=", ".join(marks),
        )

    def _asking(self, member: Member) -> Press:
        """Opens the question whether somebody is to be taken out."""

        def ask() -> None:
            self._dialogs.clear()
            name = member.name or member.short_id
            with self._dialogs, dialog(f"Remove {name}?") as box:
                Words(
                    f"{name} is no member of {self._network.name} any more, here and for everybody who hears of it: "
                    "it cannot search there, and fetches nothing that is for members. The invitation it came by ends, "
                    "too. A new invitation brings it back."
                )
                with tag("div", "dialog-foot"):
                    Button("Not now", box.close)

                    async def yes() -> None:
                        box.close()
                        await self._ending(self._desk.client.revoke_member, member.id)()

                    Button("Remove them", yes, kind="danger", doing="Removing…")
            box.open()

        return ask

    def _ending(self, end: Callable[[str, str], None], which: str) -> Callable[[], Awaitable[None]]:
        async def press() -> None:
            self._answer.nothing()
            try:
                await self._desk.ask(end, self._network.id, which)
            except ServentError as error:
                self._answer.problem(error)
                return
            await self.refresh()

        return press


def line(
    name: str, about: str, word: str, press: Press | None, *, here: bool | None = None, mark: str = ""
) -> None:
    """One line of a list: who or what, how it stands, and the button that ends it."""
    with tag("div", "ending"):
        with tag("div", "what"):
            with tag("span", "who"):
                if here is not None:
                    tag("span", "dot", data_tone="direct" if here else "none")
                Words(name, "span", "name").props["dir"] = "auto"
                if mark:
                    Words(mark, "span", "mark")
            Words(about, "span", "why")
        if press is not None:
            Button(word, press, kind="danger", doing="Ending it…").classes("small-button")
