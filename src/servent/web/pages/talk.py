"""Talk: messages of friends and of rooms. The conversations are our own component; it asks the node by itself."""

from __future__ import annotations

from servent.web.desk import Desk
from servent.web.parts import heading, tag


def draw(_: Desk, conversation: str = "") -> None:
    """`conversation` is read from the address by the component, which changes it without drawing anew."""
    with heading("Talk"), tag("div", "head-buttons"):
        for detail, sign, word, kind in (
            ("search", "search", "Search", "quiet"),
            ("rooms", "room", "Rooms", "quiet"),
            ("room", "add", "New room", "main"),
        ):
            tag(
                "sv-opener",
                data_event="servent-talk",
                data_detail=detail,
                data_sign=sign,
                data_word=word,
                data_kind=kind,
            )
    tag("sv-talk")
