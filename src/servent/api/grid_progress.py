"""How far a script's map is, on stderr: the same line for strangers and for friends."""

from __future__ import annotations

import sys
import time
from typing import Any, Self

EVERY = 0.1  # s between two drawings


class Bar:
    """A context; `one(error)` counts a result. Nothing is drawn unless `on`.

    Args:
        total: how many there will be, None while nobody knows.
        what: a word in front.
    """

    def __init__(self, on: bool, total: int | None, what: str) -> None:
        self._on, self._total, self._what = on, total, what
        self._done = self._failed = 0
        self._drawn = 0.0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if self._on:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[failed]}"),
                console=Console(file=sys.stderr),
                transient=False,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=self._total, failed="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._draw()
            self._bar.stop()

    def of(self, total: int) -> None:
        """So many there will be."""
        self._total = total
        if self._bar is not None:
            self._bar.update(self._task, total=total)

    def one(self, error: str) -> None:
        """A result is there; "" for a good one."""
        self._done += 1
        self._failed += bool(error)
        if self._bar is not None and time.monotonic() - self._drawn > EVERY:
            self._draw()

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        self._bar.update(
            self._task, completed=self._done, failed=f"{self._failed} failed" if self._failed else ""
        )
