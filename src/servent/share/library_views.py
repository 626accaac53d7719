"""What others see of the library: frozen values, drawn from its state at one moment. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from servent.share.folders import FolderSettings

FolderState = Literal["scanning", "hashing", "watching", "paused", "failed"]
LibraryState = Literal["empty", "scanning", "hashing", "ready", "paused"]


@dataclass(frozen=True, slots=True)
class FolderView:
    """A shared folder. `reason` is a sentence, "" while all is done and watched."""

    id: int
    settings: FolderSettings
    state: FolderState
    reason: str = ""
    files: int = 0
    size_bytes: int = 0
    hashed_files: int = 0
    hashed_bytes: int = 0
    rate_bytes_per_s: float = 0.0
    eta: float | None = None
    skipped: int = 0
    skipped_why: tuple[str, ...] = ()
    scanned: float | None = None


@dataclass(frozen=True, slots=True)
class LibraryView:
    """All folders together. `kinds`: hashed files by `query.kinds.KINDS`."""

    folders: int = 0
    files: int = 0
    size_bytes: int = 0
    hashed_files: int = 0
    hashed_bytes: int = 0
    kinds: Mapping[str, int] = field(default_factory=dict)
    state: LibraryState = "empty"
    reason: str = ""


def together(folders: list[FolderView], kinds: Mapping[str, int]) -> LibraryView:
    """The sum, and the state that says most about it."""
    state: LibraryState = "empty"
    reason = ""
    states = {folder.state for folder in folders}
    failed = [folder for folder in folders if folder.state == "failed"]
    if "scanning" in states:
        state = "scanning"
    elif "hashing" in states:
        state = "hashing"
    elif folders:
        state = "paused" if states <= {"paused", "failed"} and "paused" in states else "ready"
    if failed:
        more = f", and {len(failed) - 1} more" if len(failed) > 1 else ""
        reason = f"{failed[0].settings.name}{more}: {failed[0].reason}"
    elif state in ("scanning", "hashing"):
        reason = next(folder.reason for folder in folders if folder.state == state)
    return LibraryView(
        len(folders),
        sum(folder.files for folder in folders),
        sum(folder.size_bytes for folder in folders),
        sum(folder.hashed_files for folder in folders),
        sum(folder.hashed_bytes for folder in folders),
        kinds,
        state,
        reason,
    )


def count(number: int, what: str) -> str:
    """ "1 file", "2 files"."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def amount(size: float) -> str:
    """Bytes for people: "1.2 GB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" or size >= 10 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


class Rate:
    """Bytes per second over the last while. Times are the caller's, in seconds."""

    def __init__(self, span: float = 5.0) -> None:
        self._span = span
        self._steps: list[tuple[float, int]] = []

    def add(self, size: int, now: float) -> None:
        if self._steps and now - self._steps[-1][0] < 0.1:
            at, had = self._steps[-1]
            self._steps[-1] = (at, had + size)
        else:
            self._steps.append((now, size))
            self._trim(now)

    def value(self, now: float) -> float:
        self._trim(now)
        if not self._steps:
            return 0.0
        return sum(size for _, size in self._steps) / max(0.5, now - self._steps[0][0])

    def _trim(self, now: float) -> None:
        while self._steps and self._steps[0][0] < now - self._span:
            del self._steps[0]
