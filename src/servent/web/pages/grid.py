"""Grid: what this machine lends, the projects it joined, own projects, leaderboards, and the check of a ledger.

What moves is drawn by our own elements, which ask the node by themselves; the tabs' keys stand in the address.
"""

from __future__ import annotations

from servent.web.desk import Desk
from servent.web.pages.tabbed import tabs
from servent.web.parts import heading, tag


def draw(_: Desk) -> None:
    with heading("Grid"), tag("div", "head-buttons"):
        _opens("join", "get", "Join a project", "quiet")
        _opens("new", "add", "New project", "main")
    tabs(
        "grid",
        "Grid",
        (
            ("lend", "Lend", _lend),
            ("projects", "Projects", lambda: _only("sv-grid-joined")),
            ("mine", "My projects", lambda: _only("sv-grid-mine")),
            ("cluster", "Cluster", lambda: _only("sv-cluster")),
            ("leaderboard", "Leaderboard", _leaderboard),
            ("ledger", "Ledger check", lambda: _only("sv-grid-audit")),
        ),
    )


def draw_project(_: Desk, project: str) -> None:
    """One own project, by its key or its name."""
    tag("sv-grid-project", data_project=project)


def _opens(detail: str, sign: str, word: str, kind: str) -> None:
    tag(
        "sv-opener", data_event="servent-grid", data_detail=detail, data_sign=sign, data_word=word, data_kind=kind
    )  # fmt: skip


def _only(name: str) -> None:
    tag(name)


def _lend() -> None:
    tag("sv-grid-lend")
    tag("sv-grid-log")


def _leaderboard() -> None:
    tag("sv-grid-board")
    tag("sv-grid-teams")
    tag("sv-grid-balance")
