"""Feeds: names that point to the newest version of something, ours and those we follow."""

from __future__ import annotations

from servent.web.desk import Desk
from servent.web.parts import heading, tag


def draw(_: Desk) -> None:
    with heading("Feeds"), tag("div", "head-buttons"):
        tag(
            "sv-opener",
            data_event="servent-feed",
            data_detail="follow",
            data_sign="get",
            data_word="Follow",
            data_kind="quiet",
        )
        tag(
            "sv-opener",
            data_event="servent-feed",
            data_detail="publish",
            data_sign="feed",
            data_word="Publish",
            data_kind="main",
        )
    tag("sv-feeds")
