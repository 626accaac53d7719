"""What this machine did, for whom: lines of the log, and counts of the day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial

from servent.grid import lending_rows as rows
from servent.grid.held import Held
from servent.grid.lending_rows import Kept, LogRow
from servent.grid.lending_shelf import Shelf
from servent.grid.manifests import App
from servent.grid.views import LogKind

SAME_AFTER = 3600.0  # s until the same trouble of a project is written down again
TROUBLES = 1000  # remembered, so that they are not repeated


class Log:
    """Writes through the shelf; counts in memory.

    Args:
        local: wall clock to the time here: a day ends at midnight.
    """

    def __init__(self, shelf: Shelf, wall: Callable[[], float], local: Callable[[float], datetime]) -> None:
        self._shelf, self._wall, self._local = shelf, wall, local
        self._today = 0
        self._counts: dict[bytes, list[int]] = {}  # project -> units, MFLOP, bytes
        self._unwritten: dict[bytes, int] = {}
        self._troubles: dict[tuple[bytes, str], float] = {}

    def day(self) -> int:
        """The number of today."""
        return self._local(self._wall()).toordinal()

    def load(self, counts: dict[bytes, tuple[int, int, int]]) -> None:
        """What was counted today before the start."""
        self._today = self.day()
        self._counts = {project: list(count) for project, count in counts.items()}

    def did(self, project: bytes, *, units: int = 0, credit: int = 0, transferred: int = 0) -> None:
        """Count it for today. `transferred` is written down by `flush`, the others by whoever writes what they are of."""
        if (day := self.day()) != self._today:
            self.flush()
            self._today, self._counts = day, {}
        mine = self._counts.setdefault(project, [0, 0, 0])
        for index, more in enumerate((units, credit, transferred)):
            mine[index] += more
        if transferred:
            self._unwritten[project] = self._unwritten.get(project, 0) + transferred

    def flush(self) -> None:
        """Write down what was transferred."""
        unwritten, self._unwritten = self._unwritten, {}
        for project, size in unwritten.items():
            self._shelf.later(partial(rows.add_day, day=self._today, project=project, transferred=size))

    def today(self, project: bytes | None = None) -> tuple[int, int, int]:
        """Units, MFLOP credited and bytes of today: of one project, or of all."""
        if self.day() != self._today:
            return 0, 0, 0
        if project is not None:
            units, credit, transferred = self._counts.get(project, (0, 0, 0))
        else:
            units, credit, transferred = (
                sum(count[index] for count in self._counts.values()) for index in range(3)
            )
        return units, credit, transferred

    def unit(self, kept: Kept, held: Held, app: App | None, outcome: str, words: str = "") -> LogRow:
        """The line about a unit; whoever ends it writes it."""
        result = held.result
        return LogRow(
            at=self._wall(),
            kind="unit",
            project=kept.project,
            name=kept.name,
            app="" if app is None else f"{app.name}/{app.version}",
            unit=held.task.unit.hex()[:16],
            outcome=outcome,
            seconds=result.seconds if result is not None else held.seconds,
            words=words or (result.words if result is not None else ""),
        )

    def add(self, kind: LogKind, words: str, kept: Kept | None = None, credit: int = 0) -> None:
        row = LogRow(
            at=self._wall(),
            kind=kind,
            project=kept.project if kept is not None else b"",
            name=kept.name if kept is not None else "",
            credit=credit,
            words=words,
        )
        self._shelf.later(partial(rows.add_log, rows=[row]))

    def error(self, kept: Kept, words: str) -> None:
        """Trouble with a project; the same again only after an hour."""
        now, key = self._wall(), (kept.project, words)
        if now - self._troubles.get(key, float("-inf")) < SAME_AFTER:
            return
        if len(self._troubles) >= TROUBLES:
            del self._troubles[next(iter(self._troubles))]
        self._troubles[key] = now
        self.add("error", words, kept)
