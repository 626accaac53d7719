"""What the doctor says of the ways in which peers find each other."""

from __future__ import annotations

from msgspec import Struct


class Way(Struct, frozen=True, kw_only=True):
    """One way in which this node finds peers, and they find it.

    `detail`: how it does; `tells`: whom it tells what; `off`: how to switch it off. `published`: when our own word went there last,
    `found`: when somebody was found by it last, since the start; seconds of the wall clock.
    """

    name: str
    title: str
    on: bool
    detail: str = ""
    tells: str = ""
    off: str = ""
    published: float | None = None
    found: float | None = None
