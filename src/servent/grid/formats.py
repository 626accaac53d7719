"""What kind of result an app makes, by how its results begin: a page has a way of its own for each kind. Pure."""

from __future__ import annotations

from typing import Literal

Shows = Literal["", "trajectory", "signals"]

HEAD_BYTES = 32  # of a result, and its kind is known
BEGINS: dict[bytes, Shows] = {
    b"servent molecules 1\n": "trajectory",  # see `trajectories`
    b"listen found 2  ": "signals",
}


def shows(head: bytes) -> Shows:
    """`head`: the first bytes of a result, as many as there are or `HEAD_BYTES`. "" for what nobody knows."""
    return next((kind for begin, kind in BEGINS.items() if head.startswith(begin)), "")
