"""Transfers: everything sent and fetched, what holds it back, and the ways to start more."""

from __future__ import annotations

from nicegui import ui
from nicegui.events import GenericEventArguments

from servent.api.schema import Share
from servent.errors import NotFound, ServentError
from servent.web.desk import Desk, size
from servent.web.pages.handing import get_dialog, send_dialog
from servent.web.parts import Answer, Button, Words, chosen, dialog, heading, opens, tag, to_pass_on


def draw(desk: Desk) -> None:
    with heading("Transfers"), tag("div", "head-buttons"):
        get, send = get_dialog(desk), send_dialog(desk)
        Button("Get", opens(get), sign="get")
        Button("Send", opens(send), sign="send", kind="main")
    tag("sv-limits")
    tag("sv-codes")
    tag("sv-transfers")
    with tag("div", "dialogs") as room:
        pass

    async def show(event: GenericEventArguments) -> None:
        wanted = chosen(event)
        room.clear()
        try:
            share = await desk.ask(_find, desk, wanted)
        except ServentError as error:
            with room:
                Answer().problem(error)
            return
        with room:
            _share(desk, share).open()

    tag("sv-shares").on("open", show, ["detail"])


def _find(desk: Desk, share: str) -> Share:
    for other in desk.client.shares():
        if other.id == share:
            return other
    raise NotFound("this is not offered any more")


def _share(desk: Desk, share: Share) -> ui.dialog:
    """What is offered: its link to pass on, and the end of it."""
    with dialog("Offered by you") as box:
        Words(share.name, "p", "result-title").props["dir"] = "auto"
        Words(share.path, "p", "full-id")
        sent = (
            f"{size(share.uploaded_bytes) if share.uploaded_bytes else 'nothing'} sent since the node started"
        )
        about = f"{share.files:,} file{'' if share.files == 1 else 's'}, {size(share.size_bytes)}; {sent}"
        if share.link:
            to_pass_on(share.link, note=about)
        if share.infohash:
            tag("sv-seed", data_share=share.id)
        if share.reason:
            Words(share.reason, "p", "muted")
        answer = Answer()

        async def stop() -> None:
            answer.nothing()
            try:
                await desk.ask(desk.client.remove_share, share.id)
            except ServentError as error:
                answer.problem(error)
                return
            box.close()

        with tag("div", "dialog-foot"):
            Words("The files stay where they are.", "span", "muted")
            Button("Stop offering it", stop, kind="danger", doing="Stopping…")
    return box
