"""Settings: everything that can be set, said in words, with what holds now and where it comes from."""

from __future__ import annotations

from servent.web.desk import Desk
from servent.web.pages.settings_file import draw_section
from servent.web.pages.settings_id import draw_id, draw_stop
from servent.web.pages.settings_tokens import draw_tokens
from servent.web.pages.tabbed import tabs
from servent.web.parts import Words, card, heading, tag


def draw(desk: Desk) -> None:
    heading("Settings")
    tabs(
        "settings",
        "Settings",
        (
            ("node", "This node", lambda: _node(desk)),
            ("transfers", "Transfers and limits", lambda: _transfers(desk)),
            ("times", "Times of the week", _times),
            ("filters", "Filters and blocks", _filters),
            ("network", "Network", lambda: draw_section(desk, ("net", "relay"))),
            ("torrents", "BitTorrent", lambda: _torrents(desk)),
            ("access", "Access", lambda: _access(desk)),
        ),
    )


def _node(desk: Desk) -> None:
    with card("Colours"):
        tag("sv-colours")
    draw_section(desk, ("node", "web"))
    with card("This page and the command line"):
        Words(
            "Whatever is set here, `servent config set KEY VALUE` sets too; both write the same file.".replace(
                "`", ""
            ),
            "p",
            "muted",
        )
        with tag("p", "more-links"):
            with tag("a", "more", href="/doctor"):
                Words("Look for trouble", "span")
            with tag("a", "more", href="/welcome"):
                Words("The first steps again", "span")
        with tag("div", "form-foot"):
            draw_stop(desk)


def _transfers(desk: Desk) -> None:
    tag("sv-limits")
    with card("Being a good neighbour on the line"):
        tag("sv-polite")
    with card("Limits for single peers"):
        tag("sv-peer-limits")
    with card("When a download is complete"):
        tag("sv-hook")
    draw_section(desk, ("blobs",))


def _times() -> None:
    with card("Limits for times of the week"):
        tag("sv-schedule")


def _filters() -> None:
    with card("What is never shown to you"):
        tag("sv-filters")
    tag("sv-safety", blocks="")


def _torrents(desk: Desk) -> None:
    tag("sv-torrents")
    draw_section(desk, ("torrent",))


def _access(desk: Desk) -> None:
    draw_id(desk)
    with card("Tokens for programs"):
        draw_tokens(desk)
    draw_section(desk, ("api",))
