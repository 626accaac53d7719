"""Handing something over: a path becomes a link or a code to say; a link or a code becomes a download."""

from __future__ import annotations

import asyncio

from nicegui import ui

from servent.api.schema import Share
from servent.api.schema_share import NewCode, ReceiveRequest
from servent.errors import NotFound, ServentError, UsageError
from servent.web.desk import Desk, lasting, size
from servent.web.parts import Answer, Button, Words, choice, dialog, field, tag, to_pass_on

LOOK_EVERY = 0.5  # s between two looks at a share that is being hashed
LIFETIMES: dict[float, str] = {600.0: "10 minutes", 3600.0: "an hour", 86400.0: "a day"}


def send_dialog(desk: Desk) -> ui.dialog:
    """A path on this machine becomes a link to pass on, or a code to say."""
    with dialog("Send a file or folder") as box:
        Words("It stays where it is, and peers fetch it from this node.", "p", "muted")
        path = field("Path on this machine", hint="/home/you/Pictures/Summer", first=True)
        with tag("details", "fold"):
            Words("For a spoken code", "summary")
            with tag("div", "form-row"):
                lifetime = choice("Good for", dict(LIFETIMES), 3600.0)
                contact = ui.switch("Become contacts of each other", value=False)
        answer = Answer()

        async def link() -> None:
            answer.nothing()
            try:
                share = await _shared(desk, path.value, answer)
            except ServentError as error:
                answer.problem(error)
                return
            answer.clear()
            with answer:
                files = f"{share.files:,} file{'' if share.files == 1 else 's'}, {size(share.size_bytes)}"
                Words(share.name, "p", "result-title").props["dir"] = "auto"
                to_pass_on(share.link, note=f"{files}. For peers who may reach you already.")

        async def code() -> None:
            answer.nothing()
            try:
                wish = NewCode(
                    path=_given(path.value), contact=bool(contact.value), lifetime=float(lifetime.value)
                )
                made = await desk.ask(desk.client.make_code, wish)
            except ServentError as error:
                answer.problem(error)
                return
            with answer:
                Words(made.code, "p", "spoken")
                left = "" if made.expires is None else lasting(max(0.0, made.expires - desk.wall_clock()))
                Words(
                    f"Say this to the one who should get it: they press Get and type it. Good once, for {left or 'a while'}.",
                    "p",
                    "muted",
                )
                Words("You may close this: the code stays on the page until it was used.", "p", "muted")

        with tag("div", "dialog-foot"):
            Button("Make a code to say", code, doing="Making it…")
            Button("Make a link", link, kind="main", doing="Working…")
    return box


def _given(path: str | None) -> str:
    path = (path or "").strip()
    if not path:
        raise UsageError("no path was given", advice="Write where the file or folder lies on this machine.")
    return path


async def _shared(desk: Desk, path: str | None, answer: Answer) -> Share:
    """Ask for a share and wait for its link, telling how far the hashing is."""
    share = await desk.ask(desk.client.add_share, _given(path))
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


def get_dialog(desk: Desk) -> ui.dialog:
    """A link, or a code that was said, becomes a download."""
    with dialog("Get what somebody sent you") as box:
        link = field(
            "Link or spoken code", hint="magnet:?xt=urn:btmh:…  or  7-guitar-sunset", lines=3, first=True
        )
        tag("sv-torrent-file")
        to = field("Folder on this machine (empty: your downloads)")
        only = field("Of a link, only files that match (empty: all of them)", hint="*.flac, cover.jpg")
        contact = ui.switch("Of a code, keep them as a contact, if they keep you", value=True)
        answer = Answer()

        async def start() -> None:
            answer.nothing()
            folder = (to.value or "").strip() or None
            try:
                wanted = (link.value or "").strip()
                if not wanted:
                    raise UsageError(
                        "no link and no code was given", advice="Paste or type what the sender gave you."
                    )
                if ":" in wanted:
                    files = [one.strip() for one in (only.value or "").split(",") if one.strip()]
                    await desk.ask(desk.client.download, wanted, folder, files)
                else:
                    request = ReceiveRequest(code=wanted, to=folder, contact=bool(contact.value))
                    await desk.ask(desk.client.receive, request)
            except ServentError as error:
                answer.problem(error)
                return
            link.value = only.value = ""
            box.close()

        with tag("div", "dialog-foot"):
            Button("Get it", start, kind="main", doing="Asking…")
    return box
