"""One network: how it looks from here, who is in it, how it is organised, and the way out."""

from __future__ import annotations

from nicegui import ui

from servent.api.schema import NetworkMode
from servent.api.schema_network import MOST_SERVERS, Member, Network
from servent.errors import ServentError, UsageError
from servent.web.desk import Desk
from servent.web.pages.membership import Lists
from servent.web.pages.modes import MEANINGS, TITLES, ModeChoice
from servent.web.parts import Answer, Button, Words, card, dialog, icon, tag

HAPPENS: dict[NetworkMode, str] = {
    "hybrid": "Able peers take the role within seconds, and everybody tells them what they have.",
    "server": "Everybody tells the servers what they have, and asks them alone from now on.",
    "p2p": "Everybody keeps the index of what is theirs, also machines that are small or on battery.",
}


def draw(desk: Desk, network: str) -> None:
    with tag("header", "head") as head:
        with tag("div", "crumb-head"):
            with tag("a", "crumb-back", href="/networks"):
                Words("Networks", "span")
            title = Words(" ", "h1")
            title.props["dir"] = "auto"
        buttons = tag("div", "head-buttons")
    answer = Answer()
    room = tag("div", "network-page")

    async def refresh() -> None:
        try:
            found = await _find(desk, network)
            members = await desk.ask(desk.client.members, found.id) if found.admin else []
        except ServentError as error:
            title.say("No such network")
            answer.problem(error)
            return
        if room.is_deleted:
            return
        title.say(found.name)
        buttons.clear()
        room.clear()
        if (found.admin or found.open) and not found.removed:
            with head, buttons, tag("a", "main-button", href="/invite"):
                icon("invite")
                Words("Invite", "span")
        with room:
            tag("sv-network", data_network=found.id)
            with tag("div", "network-admin"):
                _people(desk, found)
                with tag("div", "network-side"):
                    if found.admin:
                        _Switch(desk, found, members, refresh)
                    else:
                        _organised(found)
                    _leave(desk, found)

    ui.timer(0.0, refresh, once=True)


async def _find(desk: Desk, wanted: str) -> Network:
    for one in await desk.ask(desk.client.networks):
        if wanted in (one.id, one.name):
            return one
    raise UsageError("this node is in no such network", advice="Networks lists those it is in.")


def _people(desk: Desk, network: Network) -> None:
    with card("Members and invitations" if network.admin and not network.open else "Members"):
        lists = Lists(desk, network, removed=True)
    ui.timer(0.0, lists.refresh, once=True)


def _organised(network: Network) -> None:
    with card("How it is organised"):
        Words(TITLES[network.mode], "strong")
        Words(MEANINGS[network.mode], "p", "muted")
        Words("Its founder can change this.", "p", "muted")


class _Switch:
    """The founder's card: another mode for everybody, with what it means and a question before it is done."""

    def __init__(self, desk: Desk, network: Network, members: list[Member], refresh: object) -> None:
        self._desk, self._network, self._refresh = desk, network, refresh
        self._named = set(network.servers)
        self._names = {one.id: one.name or one.short_id for one in members}
        with card("How it is organised"):
            self._answer = Answer()
            self._mode = ModeChoice(network.mode, self._chosen)
            with tag("fieldset", "servers") as self._servers:
                Words("Who keeps the index", "legend")
                for member in self._candidates(members):
                    self._server(member)
            with tag("div", "form-foot"):
                self._button = Button("Switch", self._ask, doing="Switching…")
            self._dialogs = tag("div", "dialogs")
        self._chosen(network.mode)

    def _candidates(self, members: list[Member]) -> list[Member]:
        """Those named already, this node, who is here now; the rest by name."""
        here = [member for member in members if not member.revoked]
        here.sort(key=lambda one: (one.id not in self._named, not one.me, not one.connected, one.name))
        if not self._named:
            self._named.update(one.id for one in here if one.me)
        return here[:24]

    def _server(self, member: Member) -> None:
        words = f"{member.name or member.short_id}{' (this node)' if member.me else ''}"
        box = ui.checkbox(value=member.id in self._named)
        box.props["aria-label"] = words
        with box:
            tag("span", "dot", data_tone="direct" if member.connected else "none")
            Words(words, "span").props["dir"] = "auto"

        def change() -> None:
            (self._named.add if box.value else self._named.discard)(member.id)
            self._chosen(self._mode.value)

        box.on_value_change(change)

    def _chosen(self, mode: NetworkMode) -> None:
        same = mode == self._network.mode and (mode != "server" or self._named == set(self._network.servers))
        self._servers.set_visibility(mode == "server")
        self._button.set_visibility(not same)

    def _ask(self) -> None:
        mode = self._mode.value
        self._answer.nothing()
        if mode == "server" and not self._named:
            self._answer.problem(UsageError("nobody keeps the index", advice="Choose at least one member."))
            return
        if mode == "server" and len(self._named) > MOST_SERVERS:
            self._answer.problem(
                UsageError(f"{len(self._named)} are too many", advice=f"Choose at most {MOST_SERVERS}.")
            )
            return
        self._dialogs.clear()
        with self._dialogs, dialog(f"Switch {self._network.name} to {TITLES[mode].lower()}?") as box:
            Words(MEANINGS[mode], "p")
            if mode == "server":
                names = sorted(self._names.get(one, one[:8]) for one in self._named)
                Words(f"The index is kept by {', '.join(names)}.", "p").props["dir"] = "auto"
            Words(
                f"{HAPPENS[mode]} Searches that run now end as they began, and nothing that is shared is lost. Members who "
                "are away follow once they are back.",
                "p",
                "muted",
            )
            with tag("div", "dialog-foot"):
                Button("Not now", box.close)

                async def yes() -> None:
                    box.close()
                    await self._switch(mode)

                Button("Switch it", yes, kind="main", doing="Switching…")
        box.open()

    async def _switch(self, mode: NetworkMode) -> None:
        servers = sorted(self._named) if mode == "server" else []
        try:
            await self._desk.ask(self._desk.client.set_mode, self._network.id, mode, servers)
        except ServentError as error:
            self._answer.problem(error)
            return
        assert callable(self._refresh)
        await self._refresh()


def _leave(desk: Desk, network: Network) -> None:
    with card("Leave"):
        Words(
            "You would not reach its members any more, nor they you, unless they are your contacts; only a new "
            "invitation brings you back."
            + (
                " With this node goes the network's key: nobody can invite or change it then."
                if network.admin
                else ""
            ),
            "p",
            "muted",
        )
        answer = Answer()
        asked: list[str] = []

        async def leave() -> None:
            answer.nothing()
            if not asked:
                asked.append(network.id)
                with answer, tag("div", "problem-box"):
                    icon("warn")
                    Words("Press Leave once more to do it.")
                return
            try:
                await desk.ask(desk.client.leave_network, network.id)
            except ServentError as error:
                answer.problem(error)
                return
            ui.navigate.to("/networks")

        with tag("div", "form-foot"):
            Button("Leave", leave, kind="danger", doing="Leaving…").classes("small-button")
