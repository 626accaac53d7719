"""Small parts that the screens share. Text from elsewhere goes through `clean` and into text nodes, never into markup."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement
from nicegui.events import GenericEventArguments

from servent.errors import ServentError
from servent.web.desk import clean, picture_of, qr_of, said

_numbers = count(1)

Press = Callable[[], Awaitable[None] | None]


class Words(TextElement):
    """A text element that is what it says: a paragraph, a heading, a cell. Unsafe characters become visible."""

    def __init__(self, text: object, kind: str = "p", classes: str = "") -> None:
        super().__init__(tag=kind, text=clean(text))
        if classes:
            self.classes(classes)

    def say(self, text: object) -> None:
        self.set_text(clean(text))


def prose(text: str, classes: str = "") -> None:
    """A paragraph of the node's, in which `commands` stand between backticks."""
    with tag("p", classes):
        for index, piece in enumerate(clean(text).split("`")):
            if piece:
                Words(piece, "code" if index % 2 else "span")


def tag(kind: str, classes: str = "", /, **props: Any) -> Element:
    """A plain HTML element or one of ours. Props are set as values, so that nothing in them is parsed."""
    element = ui.element(kind)
    if classes:
        element.classes(classes)
    for key, value in props.items():
        element.props[key.rstrip("_").replace("_", "-")] = value
    return element


def icon(name: str) -> Element:
    return tag("sv-icon", name=name)


def heading(title: str) -> Element:
    """The head of a screen: its name, and room for its buttons on the right."""
    with tag("header", "head") as head:
        Words(title, "h1")
    return head


@contextmanager
def card(title: str = "", classes: str = "") -> Iterator[Element]:
    with tag("section", f"card {classes}".strip()) as element:
        if title:
            Words(title, "h2")
        yield element


class Button(Element):
    """A button that says what it is doing until it is done, and cannot be pressed twice meanwhile."""

    def __init__(
        self, text: str, press: Press, *, sign: str = "", kind: str = "quiet", doing: str = ""
    ) -> None:
        super().__init__("button")
        self.classes(f"{kind}-button")
        self.props["type"] = "button"
        self.word, self._doing, self._press = text, doing or text, press
        with self:
            if sign:
                icon(sign)
            self._label = Words(text, "span")
        self.on("click", self._pressed, [])

    async def _pressed(self) -> None:
        if self.props.get("disabled"):
            return
        self._busy(True)
        try:
            answer = self._press()
            if inspect.isawaitable(answer):
                await answer
        finally:
            if not self.is_deleted:
                self._busy(False)

    def _busy(self, busy: bool) -> None:
        self._label.say(self._doing if busy else self.word)
        if busy:
            self.props["disabled"] = True
            self.props["aria-busy"] = "true"
        else:
            self.props.pop("disabled", None)
            self.props.pop("aria-busy", None)
        self.update()


def opens(box: ui.dialog) -> Press:
    """What a button does that opens `box`: open it, and not wait for its end."""

    def open_it() -> None:
        box.open()

    return open_it


class Answer(Element):
    """The place beside a form where its outcome appears: a problem with its advice, or good news."""

    def __init__(self) -> None:
        super().__init__("div")
        self.classes("answer")
        self.props["role"] = "status"

    def nothing(self) -> None:
        self.clear()

    def problem(self, error: ServentError) -> None:
        fact, advice = said(error)
        self.clear()
        with self, tag("div", "problem-box", role="alert"):
            icon("fail")
            with tag("div"):
                Words(fact, "p", "problem-title")
                if advice:
                    prose(advice)

    def good(self, text: object) -> None:
        self.clear()
        with self, tag("div", "good-box"):
            icon("check")
            Words(text)


def field(label: str, *, hint: str = "", lines: int = 1, first: bool = False) -> ui.input | ui.textarea:
    """A text field with its label above. `first`: the one a dialog opens in."""
    with tag("label", "field"):
        Words(label, "span", "field-label")
        entry = ui.textarea() if lines > 1 else ui.input()
        entry.props("outlined dense" + (f" rows={lines}" if lines > 1 else ""))
        entry.props["aria-label"] = label
        entry.props["autocomplete"] = "off"
        entry.props["spellcheck"] = "false"
        if first:
            entry.props["autofocus"] = True
        if hint:
            entry.props["placeholder"] = hint
    return entry


def choice(label: str, options: dict[Any, str], value: Any) -> ui.select:
    with tag("label", "field"):
        Words(label, "span", "field-label")
        entry = ui.select({key: clean(text) for key, text in options.items()}, value=value)
        entry.props("outlined dense options-dense")
        entry.props["aria-label"] = label
    return entry


def to_pass_on(text: str, *, svg: str = "", note: str = "") -> None:
    """A text that someone else needs: to read, to copy, and as QR code where one fits."""
    number = f"pass-on-{next(_numbers)}"
    source = picture_of(svg) if svg else qr_of(text)
    with tag("div", "pass-on"):
        if source is not None:
            tag("img", "qr", src=source, alt="QR code of the text beside it")
        with tag("div", "pass-on-text"):
            Words(text, "p", "code").props["id"] = number
            with tag("div", "pass-on-foot"):
                tag("sv-copy", data_from=number)
                if note:
                    Words(note, "span", "muted")


def chosen(event: GenericEventArguments) -> str:
    """Which row one of our elements says was chosen; "" for nonsense."""
    detail = event.args.get("detail") if isinstance(event.args, dict) else None
    return str(detail.get("id", ""))[:128] if isinstance(detail, dict) else ""


@contextmanager
def dialog(title: str) -> Iterator[ui.dialog]:
    """A dialog with its title and a way out; Escape closes it as well."""
    with ui.dialog() as box, tag("div", "dialog", role="dialog", aria_modal="true", aria_label=title):
        with tag("div", "dialog-head"):
            Words(title, "h2")
            with tag("button", "round", type="button", aria_label="Close").on("click", box.close, []):
                icon("close")
        yield box
