"""What the pages work with: the API's client on an event loop, and words that are safe to show."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from servent.api import qr
from servent.api.client import Client
from servent.errors import ServentError

P = ParamSpec("P")
T = TypeVar("T")

# Control characters, zero-width ones and direction overrides could reorder or hide the text around a name.
_UNSAFE = re.compile("[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
MOST_IN_A_CODE = 1200  # characters; denser codes are beyond a phone held before a screen
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


class Desk:
    """The pages' way to the node. Calls run in threads; errors arrive as they are."""

    def __init__(self, client: Client, wall_clock: Callable[[], float] = time.time) -> None:
        self.client = client
        self.wall_clock = wall_clock

    async def ask(self, question: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run one method of the client in a thread.

        Raises:
            ServentError: the node said no, or is away.
        """
        return await asyncio.to_thread(question, *args, **kwargs)


def clean(text: object) -> str:
    """Text from elsewhere with each unsafe character made visible as one mark."""
    return _UNSAFE.sub("\ufffd", str(text))


def size(count: float) -> str:
    unit = 0
    while count >= 999.5 and unit < len(_UNITS) - 1:
        count /= 1000
        unit += 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 or count >= 99.95 else f"{count:.1f} {_UNITS[unit]}"


def lasting(seconds: float) -> str:
    """A span of time in the two words that matter: "6 days", "3 h", "20 minutes"."""
    for length, word in ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute")):
        if seconds >= length - 30:
            count = max(1, round(seconds / length))
            return f"{count} {word}{'' if count == 1 else 's'}"
    return "less than a minute"


def said(error: ServentError) -> tuple[str, str]:
    """The fact and the next step of an error, safe to show."""
    return clean(error), clean(error.advice)


def picture_of(svg: str) -> str:
    """An SVG as the source of an <img>: there no script of it runs and nothing of it enters the page."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def qr_of(text: str) -> str | None:
    """A QR code as the source of an <img>, or None where `text` is too long for one."""
    if len(text) > MOST_IN_A_CODE:
        return None
    return picture_of(qr.svg(text))
