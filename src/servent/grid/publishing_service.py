"""What others fetch from a volunteer: long outputs, and checkpoints that another machine could go on from."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, Protocol

from servent.errors import ServentError
from servent.grid import lending_rows as rows
from servent.grid.held import Held
from servent.grid.lending_shelf import Shelf
from servent.grid.manifests import Content
from servent.grid.reserved import Reserved
from servent.grid.wire import Checkpoint

log = logging.getLogger("servent.grid")

SEND_RATE = 200_000  # bytes/s at which a checkpoint is thought to travel: a newer one is offered only once the last can be there
CHECKPOINT_FOR = 86400.0  # s that one is served at least
OUTPUT_FOR = 7 * 86400.0  # s: until its coordinator has it, which may be away meanwhile


class Keeping(Protocol):
    """What is asked of `contents_service.Contents`."""

    async def publish(
        self, what: bytes | Path, name: str = "", *, project: bytes = b"", move: bool = False
    ) -> Content: ...

    async def fetch(
        self,
        content: Content,
        contacts: Sequence[bytes] = (),
        *,
        project: bytes = b"",
        most_bytes: int = 2**53,
        timeout: float = 600.0,
    ) -> Path: ...

    def pin(self, content: Content) -> None: ...

    def unpin(self, content: Content) -> None: ...

    def have(self, project: bytes, most: int = 64) -> list[bytes]: ...

    async def drop(self, contents: Sequence[Content], *, project: bytes = b"") -> None: ...

    async def forget_project(self, project: bytes) -> None: ...

    def used_bytes(self) -> int: ...


class Publishing:
    """Offers through `contents`, and remembers until when. What its coordinator was told of may go before that, where room is needed.

    Attributes:
        owed: results and checkpoints of leases that are still held: they stay.

    Args:
        most: bytes that all of it may take now.
    """

    def __init__(
        self, contents: Keeping, shelf: Shelf, wall: Callable[[], float], most: Callable[[], int]
    ) -> None:
        self._contents, self._shelf, self._wall, self._most = contents, shelf, wall, most
        self._clock = asyncio.get_running_loop().time
        self._offered: dict[tuple[bytes, bytes], Content] = {}  # the oldest first
        self._size = 0
        self.owed = Reserved()

    @property
    def size(self) -> int:
        """Bytes of all that is offered."""
        return self._size

    def load(self, found: Iterable[tuple[bytes, Content]]) -> None:
        """What was offered before the start."""
        for project, content in found:
            self._add(project, content)

    def owes(self, held: Held, what: Literal["result", "checkpoint"], content: Content) -> None:
        """It stays until `settled`, or until there is a newer one."""
        self.owed.give((*held.key, what))
        self.owed.take((*held.key, what), [content])

    def settled(self, held: Held) -> None:
        """That lease is over: its result was taken, it was given back, or nobody wants it."""
        self.owed.give((*held.key, "result"))
        self.owed.give((*held.key, "checkpoint"))

    async def shrink(self, most: int) -> None:
        """The oldest goes until so many bytes are left, or only what is owed."""
        gone = []
        for (project, infohash), content in list(self._offered.items()):
            if self._size <= most:
                break
            if infohash not in self.owed:
                self.gone(project, content)
                gone.append((project, content))
        for project, content in gone:
            await self._contents.drop([content], project=project)
            self._shelf.later(partial(rows.drop_published, project=project, content=content))

    def gone(self, project: bytes, content: Content) -> None:
        """It is offered no more."""
        if self._offered.pop((project, content.infohash), None) is not None:
            self._size -= content.size

    def forget(self, project: bytes) -> None:
        """It was left."""
        for content in [one for key, one in self._offered.items() if key[0] == project]:
            self.gone(project, content)

    def _add(self, project: bytes, content: Content) -> None:
        self.gone(project, content)
        self._offered[project, content.infohash] = content
        self._size += content.size

    async def output(self, held: Held, path: Path) -> Content:
        """The file is taken from its place. Raises ServentError."""
        content = await self._contents.publish(path, "result", project=held.project, move=True)
        self._remember(held, "result", content, OUTPUT_FOR)
        await self.shrink(self._most())
        return content

    async def checkpoint(self, held: Held) -> None:
        """The newest snapshot, where there is one worth it. Sets `held.sent`; never raises ServentError."""
        app = held.app
        if not held.snapshot or held.state == "over" or app is None or not app.limits.checkpoint_bytes:
            return
        if held.sent is not None and held.sent.slices >= held.slices:
            return
        if held.task.resume is not None and held.task.resume.slices >= held.slices:
            return  # they have that one
        now = self._clock()
        if held.sent is not None and now - held.sent_at < held.sent.content.size / SEND_RATE:
            return
        slices, digest, fraction, path = held.slices, held.digest, held.fraction, Path(held.snapshot)
        try:
            content = await self._contents.publish(path, f"checkpoint-{slices}", project=held.project)
        except ServentError as trouble:  # a newer one may have taken its place just now
            log.info("a checkpoint cannot be offered: %s", trouble)
            return
        before, held.sent_at = held.sent, now
        held.sent = Checkpoint(content, slices, digest, min(1.0, max(0.0, fraction)))
        self._remember(held, "checkpoint", content, CHECKPOINT_FOR)
        if before is not None and before.content.infohash != content.infohash:
            self.gone(held.project, before.content)
            await self._contents.drop([before.content], project=held.project)
        await self.shrink(self._most())

    def _remember(
        self, held: Held, what: Literal["result", "checkpoint"], content: Content, seconds: float
    ) -> None:
        self._add(held.project, content)
        if held.state != "over":
            self.owes(held, what, content)
        until = self._wall() + seconds
        self._shelf.later(partial(rows.add_published, project=held.project, content=content, until=until))
