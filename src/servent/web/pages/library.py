"""Library: the folders that are shared, with whom, how far they are read, and what is in them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui
from nicegui.events import GenericEventArguments

from servent.api.client import ApiError
from servent.api.schema_share import Audience, Folder, FolderChange, NewFolder
from servent.errors import NotFound, ServentError, UsageError
from servent.web.desk import Desk
from servent.web.parts import Answer, Button, Words, choice, chosen, dialog, field, heading, opens, tag

AUDIENCES: dict[Audience, str] = {
    "nobody": "Nobody: only you, to search it",
    "friends": "Your friends",
    "network": "Your networks, and friends",
    "peers": "Only those named below",
}


def draw(desk: Desk) -> None:
    with heading("Library"), tag("div", "head-buttons"):
        Button("Share a folder", opens(_new(desk)), sign="add", kind="main")
    with tag("div", "dialogs") as room:
        pass

    async def edit(event: GenericEventArguments) -> None:
        wanted = chosen(event)
        room.clear()
        try:
            folder = await desk.ask(_find, desk, wanted)
        except ServentError as error:
            with room:
                Answer().problem(error)
            return
        with room:
            _edit(desk, folder).open()

    tag("sv-library").on("edit", edit, ["detail"])
    tag("sv-browse", me="")


def _find(desk: Desk, wanted: str) -> Folder:
    for folder in desk.client.folders():
        if folder.id == wanted:
            return folder
    raise NotFound("this folder is not shared any more")


class Fields:
    """What can be said of a shared folder, in fields."""

    def __init__(self, folder: Folder | None = None) -> None:
        self.name = field("What others call it", hint="the folder's own name")
        self.audience = choice("Who may see it", dict(AUDIENCES), folder.audience if folder else "network")
        self.peers = field("Only these, by name or id, with commas between", hint="Ada, Grace")
        with tag("details", "fold"):
            Words("Which files belong to it", "summary")
            with tag("div", "fold-fields"):
                self.include = field("Only files like these, with commas between", hint="*.flac, *.mp3")
                self.exclude = field("Not these", hint="*.tmp, drafts/*")
                self.hidden = ui.switch("Hidden files, too", value=bool(folder and folder.hidden))
        if folder is not None:
            self.name.value = folder.name
            self.peers.value = ", ".join(folder.peers)
            self.include.value = ", ".join(folder.include)
            self.exclude.value = ", ".join(folder.exclude)
        self.audience.on_value_change(lambda _: self._fit())
        self._fit()

    def _fit(self) -> None:
        slot = self.peers.parent_slot
        if slot is not None:
            slot.parent.set_visibility(self.audience.value == "peers")

    def new(self, path: str, *, confirm: bool) -> NewFolder:
        return NewFolder(
            path=path,
            name=(self.name.value or "").strip(),
            audience=self.audience.value,
            peers=_words(self.peers.value),
            include=_words(self.include.value),
            exclude=_words(self.exclude.value),
            hidden=bool(self.hidden.value),
            confirm=confirm,
        )

    def change(self, *, confirm: bool) -> FolderChange:
        return FolderChange(
            name=(self.name.value or "").strip() or None,
            audience=self.audience.value,
            peers=_words(self.peers.value),
            include=_words(self.include.value),
            exclude=_words(self.exclude.value),
            hidden=bool(self.hidden.value),
            confirm=confirm,
        )


def _words(text: str | None) -> list[str]:
    return [word.strip() for word in (text or "").split(",") if word.strip()]


Send = Callable[[bool], Awaitable[object]]  # told whether the doubt was seen and put aside


async def sent_or_asked(answer: Answer, send: Send, then: Callable[[], None]) -> None:
    """Do it; where the node doubts, say what it found, and offer to do it all the same."""
    answer.nothing()
    try:
        await send(False)
    except ApiError as error:
        answer.problem(error)
        if error.kind == "confirm":
            with answer:
                _all_the_same(answer, send, then)
        return
    except ServentError as error:
        answer.problem(error)
        return
    then()


def _all_the_same(answer: Answer, send: Send, then: Callable[[], None]) -> None:
    async def sure() -> None:
        try:
            await send(True)
        except ServentError as error:
            answer.problem(error)
            return
        then()

    with tag("div", "form-foot"):
        Button("I looked at it: share it all the same", sure, kind="danger", doing="Sharing it…")


def _new(desk: Desk) -> ui.dialog:
    with dialog("Share a folder") as box:
        Words(
            "Files stay where they are. Peers you let in can find them by name and fetch them from this node; "
            "hidden files are left out.",
            "p",
            "muted",
        )
        path = field("Folder on this machine", hint="/home/you/Music", first=True)
        fields = Fields()
        answer = Answer()

        async def send(confirm: bool) -> None:
            where = (path.value or "").strip()
            if not where:
                raise UsageError(
                    "no folder was given", advice="Write where it lies on the machine that runs the node."
                )
            await desk.ask(desk.client.add_folder, fields.new(where, confirm=confirm))

        async def share() -> None:
            await sent_or_asked(answer, send, done)

        def done() -> None:
            path.value = ""
            answer.nothing()
            box.close()

        with tag("div", "dialog-foot"):
            Button("Share it", share, kind="main", doing="Looking at it…")
    return box


def _edit(desk: Desk, folder: Folder) -> ui.dialog:
    with dialog("A shared folder") as box:
        Words(folder.name, "p", "result-title").props["dir"] = "auto"
        Words(folder.path, "p", "full-id")
        fields = Fields(folder)
        if folder.skipped:
            with tag("details", "fold"):
                Words(f"{folder.skipped:,} files are left out", "summary")
                with tag("ul", "skipped"):
                    for why in folder.skipped_why[:100]:
                        Words(why, "li").props["dir"] = "auto"
        answer = Answer()

        async def send(confirm: bool) -> None:
            await desk.ask(desk.client.change_folder, folder.id, fields.change(confirm=confirm))

        def done() -> None:
            box.close()

        async def save() -> None:
            await sent_or_asked(answer, send, done)

        async def stop() -> None:
            answer.nothing()
            try:
                await desk.ask(desk.client.remove_folder, folder.id)
            except ServentError as error:
                answer.problem(error)
                return
            box.close()

        with tag("div", "dialog-foot"):
            Words("The files stay where they are.", "span", "muted")
            Button("Stop sharing it", stop, kind="danger", doing="Stopping…")
            Button("Save", save, kind="main", doing="Saving…")
    return box
