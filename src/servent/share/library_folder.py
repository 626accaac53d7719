"""One shared folder as the library keeps it in memory, and what it is said to be doing. Owned by the library's task."""

from __future__ import annotations

import asyncio
import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from servent.errors import DiskTrouble, NotFound, UsageError
from servent.share.catalog import ScanState, Sums
from servent.share.folders import FolderSettings, Parts, Rules
from servent.share.library_views import FolderState, FolderView, Rate, amount, count
from servent.share.walking import bad_name
from servent.share.watching import Watcher


@dataclass(eq=False, slots=True)
class Folder:
    """A shared folder's life.

    Attributes:
        rescan: look through all of it, as soon as may be.
        dirty: paths that changed; looked at next.
        failed: why it is not served; "" while it is.
        unwatched: why changes are only noticed by looking; "" when the system tells of them.
        slow: s between two looks through all of it.
        due: when the next one is, on the loop's clock.
        opened: when its task began, on the loop's clock.
    """

    id: int
    settings: FolderSettings
    scan: ScanState = field(default_factory=ScanState)
    sums: Sums = field(default_factory=Sums)
    rescan: bool = True
    dirty: set[Parts] = field(default_factory=set)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    failed: str = ""
    unwatched: str = ""
    scanning: bool = False
    looking: bool = False
    found: int = 0
    removed: bool = False
    watcher: Watcher | None = None
    slow: float = 0.0
    due: float = 0.0
    opened: float = 0.0
    held: int = 0
    stale_sums: bool = False
    underway: int = 0  # bytes hashed, not kept yet
    rate: Rate = field(default_factory=Rate)
    rules: Rules = field(init=False)

    def __post_init__(self) -> None:
        self.rules = Rules(self.settings)

    @property
    def root(self) -> str:
        return self.settings.path

    def may_hash(self) -> bool:
        """Whether its files may be hashed now. In a second scan moved files are waited for, in the first there are none."""
        first = self.scan.scanned is None
        return not (
            self.removed
            or self.failed
            or self.settings.paused
            or (self.scanning and not first)
            or not self.sums.waiting
        )

    def state(self) -> FolderState:
        if self.failed:
            return "failed"
        if self.scanning:
            return "scanning"
        if self.settings.paused:
            return "paused"
        return "hashing" if self.sums.waiting else "watching"

    def note(self, path: str) -> None:
        """The system says that something changed there."""
        if path == self.root:
            self.rescan = True
        elif path.startswith(self.root + os.sep):
            parts = tuple(path[len(self.root) + 1 :].split(os.sep))
            if len(self.dirty) < 10_000:
                self.dirty.add(parts)
            else:
                self.rescan = True

    def view(self, now: float, trouble: list[str], restless: int, slowed: bool) -> FolderView:
        state, sums = self.state(), self.sums
        rate = self.rate.value(now) if state in ("hashing", "scanning") else 0.0
        left = max(0, sums.waiting_bytes - self.underway)
        skipped_why = (*self.scan.skipped_why, *trouble)[:20]
        return FolderView(
            self.id,
            self.settings,
            state,
            self._reason(state, trouble, restless, slowed),
            sums.files,
            sums.size,
            max(0, sums.files - sums.waiting),
            max(0, sums.size - left),
            rate,
            left / rate if rate > 0 and state == "hashing" else None,
            self.scan.skipped + self.held + len(trouble),
            skipped_why,
            self.scan.scanned,
        )

    def _reason(self, state: FolderState, trouble: list[str], restless: int, slowed: bool) -> str:
        waiting = count(self.sums.waiting, "file")
        match state:
            case "failed":
                return self.failed
            case "scanning":
                return f"looking through it, {count(self.found, 'file')} so far"
            case "paused":
                wait = "waits" if self.sums.waiting == 1 else "wait"
                return (
                    f"you paused it; {waiting} {wait} to be hashed" if self.sums.waiting else "you paused it"
                )
            case "hashing" if trouble and self.sums.waiting <= len(trouble):
                return f"{count(len(trouble), 'file')} cannot be read: {trouble[0]}"
            case "hashing" if restless and self.sums.waiting <= restless:
                one = self.sums.waiting == 1
                return f"{waiting} {'waits' if one else 'wait'} until nothing writes to {'it' if one else 'them'}"
            case "hashing":
                slow = "; slowly, since transfers come first" if slowed else ""
                return f"hashing, {waiting} and {amount(self.sums.waiting_bytes)} left{slow}"
        if self.unwatched:
            return f"changes are noticed within {max(1, round(self.slow / 60))} min, since {self.unwatched}"
        return ""


@dataclass(frozen=True, slots=True)
class Root:
    """What a folder's root is right now."""

    device: int
    inode: int
    empty: bool


def look_at_root(path: str) -> Root:
    """Raises OSError."""
    seen = os.stat(path)
    with os.scandir(path) as entries:
        empty = next(entries, None) is None
    inode = seen.st_ino if seen.st_ino < 2**63 else seen.st_ino - 2**64
    return Root(seen.st_dev, inode, empty)


def clash(path: Path, others: list[Folder]) -> tuple[str, str] | None:
    """Why `path` (resolved) cannot be shared beside the others, and what to do; None: it can."""
    for other in others:
        there = Path(other.root)
        named = f"{there} ({other.settings.name})"
        if path == there or _same(path, there):
            return (
                f"{there} is shared already, as {other.settings.name}",
                f"`servent library change {shlex.quote(other.settings.name)}` changes who may see it, and what belongs to it.",
            )
        if path.is_relative_to(there):
            return (
                f"{path} lies in {named}, which is shared already",
                "Its files are found there; give that folder another audience or patterns, or stop sharing it first.",
            )
        if there.is_relative_to(path):
            return (
                f"{path} contains {named}, which is shared already",
                "Stop sharing that one first: nothing is hashed again.",
            )
    return None


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def resolved(path: Path) -> Path:
    """The folder that is meant, without links. Raises NotFound, UsageError, DiskTrouble."""
    try:
        root = path.expanduser().resolve(strict=True)
    except FileNotFoundError as wrong:
        raise NotFound(f"{path} does not exist", advice="Check the path.") from wrong
    except (OSError, RuntimeError) as wrong:
        raise DiskTrouble(f"{path} cannot be read: {wrong}", advice="Check its permissions.") from wrong
    if not root.is_dir():
        raise UsageError(f"{root} is not a folder", advice="`servent send` shares a single file by link.")
    if bad_name(str(root)):
        raise UsageError(f"{str(root)!a} has a name that cannot be shared", advice="Rename it.")
    return root
