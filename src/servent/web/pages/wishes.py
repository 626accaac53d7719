"""Wish list: queries that keep watching, and may fetch what they find by themselves."""

from __future__ import annotations

from servent.web.desk import Desk
from servent.web.parts import heading, tag


def draw(_: Desk) -> None:
    with heading("Wish list"), tag("div", "head-buttons"):
        tag(
            "sv-opener", data_event="servent-wish", data_sign="wish", data_word="Add a wish", data_kind="main"
        )
    tag("sv-wishes")
