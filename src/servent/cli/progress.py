"""Progress on stderr: a bar on a terminal, one line per tenth elsewhere, so that logs stay short."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from servent.cli.base import no_color, say
from servent.cli.text import clean

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID


class Progress:
    """Use as a context; `show` as often as you like."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tenth = -1
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TaskProgressColumn(),
                TextColumn("{task.fields[detail]}", markup=False),
                console=Console(stderr=True, no_color=no_color(), highlight=False),
                transient=True,
            )
            self._task = self._bar.add_task(self._name, total=1.0, detail="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, part: float, detail: str = "", name: str = "") -> None:
        """`part` from 0 to 1."""
        self._name = name or self._name
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=part, detail=clean(detail), description=clean(self._name))
        elif int(part * 10) > self._tenth:
            self._tenth = int(part * 10)
            say(f"{self._name}: {self._tenth * 10} %{', ' + detail if detail else ''}", err=True)

    def note(self, text: str) -> None:
        """One line that stays."""
        if self._bar is not None:
            self._bar.console.print(clean(text), markup=False)
        else:
            say(f"{self._name}: {text}", err=True)

    def done(self, detail: str) -> None:
        self.note(f"{self._name}: {detail}") if self._bar is not None else self.note(detail)


class Standing:
    """One line on stderr that is written over as things go on, on a terminal only. `clear` it before other output."""

    def __init__(self, on: bool = True) -> None:
        self._on = on and sys.stderr.isatty()
        self._shown = False

    def show(self, text: str) -> None:
        """What is so now; cut to the terminal's width."""
        if self._on:
            import shutil

            wide = shutil.get_terminal_size().columns - 1
            sys.stderr.write("\r\x1b[2K" + clean(text)[:wide])
            sys.stderr.flush()
            self._shown = True

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._shown = False
