"""Overview: what to do first, who is here, how others reach this node, what is shared, what is moving."""

from __future__ import annotations

from servent.web.desk import Desk
from servent.web.parts import Words, card, heading, tag


def draw(_: Desk) -> None:
    heading("Overview")
    tag("sv-next")
    with tag("div", "overview"):
        tag("sv-totals")
        with card("Peers", "picture-card"):
            tag("sv-picture")
        with card("How others reach you", "reach-card"):
            tag("sv-reach")
        with card("Your library", "shelf-card"):
            tag("sv-shelf")
        with card("Transfers", "recent-card"):
            tag("sv-transfers", compact="")
            with tag("a", "more", href="/transfers"):
                Words("All transfers", "span")
