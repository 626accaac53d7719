"""What hashing carries from one step to the next: a folder's page of files, a round over all that waits, and its sum."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from servent.share.catalog import Found, Pending
from servent.share.folders import Parts
from servent.share.hash_jobs import Batch, Range
from servent.share.hash_jobs import Parts as Ranges


@dataclass(slots=True)
class Place:
    """What the queue has to know of a folder.

    Attributes:
        secrets: share private keys, too; the person was asked.
    """

    id: int
    root: str
    name: str
    secrets: bool


@dataclass(slots=True)
class Done:
    """What a page came to, for progress and for looking again. By folder."""

    files: dict[int, int] = field(default_factory=dict)
    size: dict[int, int] = field(default_factory=dict)
    kinds: list[int] = field(default_factory=list)
    again: dict[int, list[Parts]] = field(default_factory=dict)
    held: dict[int, list[str]] = field(default_factory=dict)

    def count(self, found: Iterable[Found]) -> None:
        for one in found:
            folder = one.file.folder
            self.files[folder] = self.files.get(folder, 0) + 1
            self.size[folder] = self.size.get(folder, 0) + one.file.size
            self.kinds.append(one.kind)


@dataclass(eq=False, slots=True)
class Page:
    """Files that were looked up together: what came of them and is not written yet, and what went wrong.

    Attributes:
        known: where their directories lie.
        inside: too little to trouble another process with.
    """

    place: Place
    known: dict[int, Parts]
    inside: bool
    ranges: Ranges = field(default_factory=Ranges)
    found: list[Found] = field(default_factory=list)
    keys: list[tuple[Pending, Parts]] = field(default_factory=list)
    again: list[Parts] = field(default_factory=list)
    lost: set[int] = field(default_factory=set)


class Round:
    """One pass over all that waits: a bounded queue of jobs between who finds them, the lanes, and who writes."""

    def __init__(self, lanes: int) -> None:
        self.jobs: asyncio.Queue[tuple[Page, Batch | Range] | None] = asyncio.Queue(2 * lanes)
        self.pages: list[Page] = []  # with results
        self.ready = asyncio.Event()
        self.waits: set[int] = set()
        self.soon: list[float] = []
        self.over = False
        self._lanes = lanes

    def lane_ended(self) -> None:
        """It met the end of the jobs, and passes it on."""
        self._lanes -= 1
        if self._lanes:
            self.jobs.put_nowait(None)
        else:
            self.over = True
            self.ready.set()
