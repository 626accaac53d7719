"""Who this node is: its whole id, a backup of its key, and stopping it."""

from __future__ import annotations

from nicegui import ui

from servent.api.schema import NodeId
from servent.errors import ServentError, UsageError
from servent.web.desk import Desk
from servent.web.parts import Answer, Button, Words, card, dialog, field, opens, tag, to_pass_on

FILE = "servent-key.txt"
LEAST = 8  # letters of a passphrase, as the API asks


def draw_id(desk: Desk) -> None:
    """The id and the key's backup. The node's answer comes after the page."""
    with card("Who this node is"):
        Words(
            "Its id is what others know it by; it is no secret. Its key is what proves it: whoever loses it starts "
            "as somebody new.",
            "p",
            "muted",
        )
        room = tag("div", "settings")

        async def show() -> None:
            try:
                me: NodeId = await desk.ask(desk.client.id)
            except ServentError as error:
                with room:
                    Answer().problem(error)
                return
            with room:
                to_pass_on(me.id, svg=me.qr_svg)

        ui.timer(0.0, show, once=True)
        _backup(desk)


def _backup(desk: Desk) -> None:
    with dialog("Back the key up") as box:
        Words(
            "The backup is sealed with a passphrase. Keep both, apart from each other: servent id restore makes any "
            "machine this node again.",
            "p",
            "muted",
        )
        first = field("Passphrase", first=True)
        again = field("The same again")
        for entry in (first, again):
            entry.props("type=password")
            entry.props["autocomplete"] = "new-password"
        answer = Answer()

        async def make() -> None:
            answer.nothing()
            try:
                if len(first.value or "") < LEAST:
                    raise UsageError(
                        f"a passphrase has at least {LEAST} letters", advice="Five words make a good one."
                    )
                if first.value != again.value:
                    raise UsageError("the two are not the same", advice="Type them again.")
                made = await desk.ask(desk.client.backup_id, first.value)
            except ServentError as error:
                answer.problem(error)
                return
            first.value = again.value = ""
            ui.download.content(made.backup, FILE, "text/plain")
            answer.good(f"{FILE} is in your browser's downloads. Put it in a safe place.")

        with tag("div", "dialog-foot"):
            Button("Make the backup", make, kind="main", doing="Sealing…")
    with tag("div", "form-foot"):
        Button("Back the key up", opens(box)).classes("small-button")


def draw_stop(desk: Desk) -> None:
    """The way to end the node from here."""
    with dialog("Stop this node?") as box:
        Words(
            "Nothing is fetched or sent until it is started again with servent up; then all goes on where it stopped. "
            "This page goes with it.",
            "p",
        )
        answer = Answer()

        async def stop() -> None:
            try:
                await desk.ask(desk.client.shutdown)
            except ServentError as error:
                answer.problem(error)
                return
            box.close()

        with tag("div", "dialog-foot"):
            Button("Stop it", stop, kind="danger", doing="Stopping…")
    Button("Stop this node", opens(box), kind="danger").classes("small-button")
