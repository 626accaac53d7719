"""Browse: what one peer shares with us, folder by folder."""

from __future__ import annotations

from servent.web.desk import Desk
from servent.web.parts import heading, tag


def draw(_: Desk) -> None:
    heading("Browse")
    tag("sv-browse")
