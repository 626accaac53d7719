"""Welcome: three steps for a new node, each of which can be skipped, with nothing shared unless it is said."""

from __future__ import annotations

from collections.abc import Callable

from nicegui import ui
from nicegui.element import Element

from servent.api.schema_getting import Setup, SetupDone
from servent.api.schema_share import NewFolder
from servent.errors import ServentError, UsageError
from servent.web.desk import Desk
from servent.web.pages.library import AUDIENCES, sent_or_asked
from servent.web.parts import Answer, Button, Words, choice, field, heading, tag, to_pass_on

STEPS = ("Your name", "A folder", "Your people")
LIFETIME = 7 * 86400.0  # s; of the ticket made here


def draw(desk: Desk) -> None:
    Wizard(desk)


class Wizard:
    """The three steps, one at a time. What a step did stays done, also when the rest is skipped."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.setup: Setup | None = None
        self.name: str | None = None
        heading("Welcome")
        with tag("section", "welcome card"):
            self.marks = tag("ol", "steps", aria_label="Steps")
            self.room = tag("div", "step")
        ui.timer(0.0, self._begin, once=True)

    async def _begin(self) -> None:
        try:
            self.setup = await self.desk.ask(self.desk.client.setup)
        except ServentError as error:
            with self.room:
                Answer().problem(error)
            return
        self._show(0)

    def _show(self, number: int) -> None:
        self.marks.clear()
        with self.marks:
            for index, title in enumerate(STEPS):
                with tag("li", "done" if index < number else "") as mark:
                    if index == number:
                        mark.props["aria-current"] = "step"
                    Words(title, "span")
        self.room.clear()
        with self.room:
            (self._name, self._folder, self._people)[number]()

    def _foot(self, number: int, word: str, press: Callable[[], object], doing: str) -> None:
        with tag("div", "step-foot"):
            if number:
                Button("Back", lambda: self._show(number - 1))
            last = number == len(STEPS) - 1
            if not last:
                Button("Skip this step", lambda: self._show(number + 1))
            Button(word, press, kind="main", doing=doing)  # type: ignore[arg-type]

    def _name(self) -> None:
        assert self.setup is not None
        Words("What should others call you?", "h2")
        Words(
            "Peers see this name beside yours and your machine's key, which is what really tells you apart. "
            "You can change it at any time.",
            "p",
            "muted",
        )
        entry = field("Your name", hint="Ada's laptop", first=True)
        entry.value = self.name or self.setup.name
        answer = Answer()

        def go_on() -> None:
            wanted = (entry.value or "").strip()
            if not wanted or len(wanted) > 64:
                answer.problem(
                    UsageError(
                        "a name has 1 to 64 characters", advice="A first name or the machine's will do."
                    )
                )
                return
            self.name = wanted
            self._show(1)

        entry.on("keydown.enter", go_on, [])
        self._foot(0, "Go on", go_on, "Going on…")

    def _folder(self) -> None:
        assert self.setup is not None
        Words("Share a folder, if you like", "h2")
        Words(
            "Nothing is shared unless you say so. What you share, the people you choose can find by name and fetch "
            "from you; files stay where they are.",
            "p",
            "muted",
        )
        path = field("Folder on this machine", hint="/home/you/Music", first=True)
        path.value = self.setup.folder
        audience = choice(
            "Who may see it", {key: text for key, text in AUDIENCES.items() if key != "peers"}, "network"
        )
        answer = Answer()

        async def send(confirm: bool) -> None:
            where = (path.value or "").strip()
            if not where:
                raise UsageError("no folder was given", advice="Write where it lies, or skip this step.")
            new = NewFolder(path=where, audience=audience.value, confirm=confirm)
            await self.desk.ask(self.desk.client.add_folder, new)

        async def share() -> None:
            await sent_or_asked(answer, send, lambda: self._show(2))

        self._foot(1, "Share it and go on", share, "Looking at it…")

    def _people(self) -> None:
        Words("Meet the first peer", "h2")
        with tag("div", "two-ways"):
            with tag("section", "way-in"):
                Words("Somebody invited you", "h3")
                self._join()
            with tag("section", "way-in"):
                Words("You invite somebody", "h3")
                self._invite()
        answer = Answer()

        async def finish() -> None:
            answer.nothing()
            try:
                await self.desk.ask(self.desk.client.finish_setup, SetupDone(name=self.name))
            except ServentError as error:
                answer.problem(error)
                return
            ui.navigate.to("/")

        self._foot(2, "Finish", finish, "Finishing…")

    def _join(self) -> Element:
        entry = field("Their ticket or invitation", hint="servent:…", lines=3)
        answer = Answer()

        async def join() -> None:
            answer.nothing()
            try:
                text = (entry.value or "").strip()
                if not text:
                    raise UsageError("nothing was pasted", advice="Paste the line that begins with servent:")
                joined = await self.desk.ask(self.desk.client.join, text)
            except ServentError as error:
                answer.problem(error)
                return
            met = "You are connected." if joined.connected else joined.reason or "They are not here just now."
            where = f"You are in the network {joined.network}. " if joined.network else ""
            answer.good(where + met)

        with tag("div", "form-foot"):
            Button("Join", join, doing="Knocking…")
        return answer

    def _invite(self) -> Element:
        Words("A ticket lets one person find and reach this node for a week.", "p", "muted")
        answer = Answer()

        async def make() -> None:
            answer.nothing()
            try:
                ticket = await self.desk.ask(self.desk.client.ticket, once=True, lifetime=LIFETIME)
            except ServentError as error:
                answer.problem(error)
                return
            with answer:
                to_pass_on(ticket.ticket, svg=ticket.qr_svg, note="good for 7 days, for one person")

        with tag("div", "form-foot"):
            Button("Make a ticket", make, doing="Making it…")
        return answer
