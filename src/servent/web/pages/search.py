"""Search: a query whose hits stream in. The list is our own component; it asks the node by itself."""

from __future__ import annotations

from servent.web.desk import Desk
from servent.web.parts import heading, tag


def draw(_: Desk) -> None:
    heading("Search")
    tag("sv-search")
