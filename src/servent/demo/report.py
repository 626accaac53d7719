"""What the demo prints: one line per thing that happened, with the time it took, and a verdict."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TextIO, TypeVar

from servent.errors import ServentError

T = TypeVar("T")


class Failed(Exception):
    """Something the demo promised did not happen."""


def size(count: float) -> str:
    """Bytes for people: 12.3 MB, powers of ten."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


class Report:
    """Collects steps; `failed` counts those that did not hold."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._colour = out.isatty() and "NO_COLOR" not in os.environ
        self._began = time.monotonic()
        self.steps = 0
        self.failed = 0

    def title(self, text: str) -> None:
        self._print(f"\n{self._paint('1', text)}")

    def note(self, text: str) -> None:
        self._print(f"      {self._paint('2', text)}")

    def step(self, what: str, job: Callable[[], tuple[T, str]]) -> T:
        """Run `job`, which returns its result and what to say of it.

        Raises:
            Failed: the job did not hold; the line printed says why.
        """
        began = time.monotonic()
        self.steps += 1
        try:
            result, detail = job()
        except (Failed, ServentError, OSError) as wrong:
            self.failed += 1
            self._line("31", "✗", what, f"{wrong}", began)
            advice = getattr(wrong, "advice", "")
            if advice:
                self.note(advice)
            raise Failed(what) from wrong
        self._line("32", "✓", what, detail, began)
        return result

    def verdict(self) -> None:
        passed = self.steps - self.failed
        took = time.monotonic() - self._began
        colour = "32" if not self.failed else "31"
        self._print(f"\n{self._paint(colour, f'{passed} of {self.steps} steps held')} in {took:.0f} s\n")

    def _line(self, colour: str, mark: str, what: str, detail: str, began: float) -> None:
        took = f"{time.monotonic() - began:5.1f} s"
        self._print(f"  {self._paint(colour, mark)} {what:<44} {self._paint('2', took)}  {detail}")

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _print(self, text: str) -> None:
        print(text, file=self._out, flush=True)
