"""Transfers: everything sent and fetched, and the two ways to start one."""

from __future__ import annotations

import asyncio

from nicegui import ui
from nicegui.events import GenericEventArguments

from servent.api.schema import Share
from servent.errors import NotFound, ServentError, UsageError
from servent.web.desk import Desk, size
from servent.web.parts import Answer, Button, Words, chosen, dialog, field, heading, opens, tag, to_pass_on

LOOK_EVERY = 0.5  # s between two looks at a share that is being hashed


def draw(desk: Desk) -> None:
    with heading("Transfers"), tag("div", "head-buttons"):
        get, send = _get(desk), _send(desk)
        Button("Get", opens(get), sign="get")
        Button("Send", opens(send), sign="send", kind="main")
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


def _send(desk: Desk) -> ui.dialog:
    """A path on this machine becomes a link to pass on."""
    with dialog("Send a file or folder") as box:
        Words(
            "It stays where it is. Peers who have the link, and are let in, fetch it from this node.",
            "p",
            "muted",
        )
        path = field("Path on this machine", hint="/home/you/Pictures/Summer", first=True)
        answer = Answer()

        async def make() -> None:
            answer.nothing()
            try:
                share = await _shared(desk, path.value, answer)
            except ServentError as error:
                answer.problem(error)
                return
            answer.clear()
            with answer:
                files = f"{share.files:,} file{'' if share.files == 1 else 's'}, {size(share.size_bytes)}"
                Words(share.name, "p", "result-title")
                to_pass_on(share.link, note=files)

        with tag("div", "dialog-foot"):
            Button("Make a link", make, kind="main", doing="Working…")
    return box


async def _shared(desk: Desk, path: str | None, answer: Answer) -> Share:
    """Ask for a share and wait for its link, telling how far the hashing is."""
    path = (path or "").strip()
    if not path:
        raise UsageError("no path was given", advice="Write where the file or folder lies on this machine.")
    share = await desk.ask(desk.client.add_share, path)
    with answer:
        progress = Words("Reading it…", "p", "muted")
    while share.state == "hashing":
        progress.say(f"Reading it… {int(share.progress * 100)} % of {size(share.size_bytes)}")
        await asyncio.sleep(LOOK_EVERY)
        share = await desk.ask(_again, desk, share)
    if share.state == "failed":
        raise UsageError(share.reason or "it could not be read", advice="Check the path and its permissions.")
    return share


def _again(desk: Desk, share: Share) -> Share:
    for other in desk.client.shares():
        if share.id in (other.id, other.infohash) or other.path == share.path:
            return other
    raise NotFound("the share is gone", advice="Someone removed it meanwhile; send it again.")


def _get(desk: Desk) -> ui.dialog:
    """A link becomes a download."""
    with dialog("Get what a link names") as box:
        link = field("Link", hint="magnet:?xt=urn:btmh:…", lines=3, first=True)
        to = field("Folder on this machine (empty: your downloads)")
        answer = Answer()

        async def start() -> None:
            answer.nothing()
            try:
                wanted = (link.value or "").strip()
                if not wanted:
                    raise UsageError("no link was given", advice="Paste what the sender gave you.")
                await desk.ask(desk.client.download, wanted, (to.value or "").strip() or None)
            except ServentError as error:
                answer.problem(error)
                return
            link.value = ""
            box.close()

        with tag("div", "dialog-foot"):
            Button("Get it", start, kind="main", doing="Asking…")
    return box
