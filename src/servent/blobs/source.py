"""What the swarm core remembers of one source."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from servent.blobs.asks import SourceView
from servent.blobs.window import Window


@dataclass(eq=False, slots=True)
class Source:
    """`have` is a bit field as an integer; `full`: all of them, and not counted in the rarity."""

    name: Hashable
    have: int
    full: bool
    window: Window
    owed: dict[int, float] = field(default_factory=dict)  # piece -> when it was asked, oldest first
    owed_bytes: int = 0
    heard: float = 0.0  # when bytes last came, or when something was asked of an idle one
    done_bytes: int = 0
    next_piece: int = -1
    idle: bool = False  # `next` found nothing; wake it when something comes back
    starved: bool = False  # it had to wait for memory; wake it when something is written
    slow: bool = False  # it kept us waiting: one request at a time until it delivers
    late: set[int] = field(default_factory=set)  # asked of others meanwhile, still welcome
    nudge: float = 0.0  # no help for it before that time

    def view(self) -> SourceView:
        """A picture of now."""
        return SourceView(
            self.name,
            "slow" if self.slow else "active" if self.owed else "idle",
            self.have.bit_count(),
            self.owed_bytes,
            int(self.window.size),
            self.window.rate,
            self.window.delay,
            self.done_bytes,
        )
