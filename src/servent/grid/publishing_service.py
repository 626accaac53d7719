"""What others fetch from a volunteer: long outputs, and checkpoints that another machine could go on from."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from servent.errors import ServentError
from servent.grid import lending_rows as rows
from servent.grid.getting_service import Keeping
from servent.grid.held import Held
from servent.grid.lending_shelf import Shelf
from servent.grid.manifests import Content
from servent.grid.wire import Checkpoint

log = logging.getLogger("servent.grid")

SEND_RATE = 200_000  # bytes/s at which a checkpoint is thought to travel: a newer one is offered only once the last can be there
CHECKPOINT_FOR = 86400.0  # s that one is served at least
OUTPUT_FOR = 7 * 86400.0  # s: until its coordinator has it, which may be away meanwhile


class Publishing:
    """Offers through `contents`, and remembers until when."""

    def __init__(self, contents: Keeping, shelf: Shelf, wall: Callable[[], float]) -> None:
        self._contents, self._shelf, self._wall = contents, shelf, wall
        self._clock = asyncio.get_running_loop().time

    async def output(self, held: Held, path: Path) -> Content:
        """The file is taken from its place. Raises ServentError."""
        content = await self._contents.publish(path, "result", project=held.project, move=True)
        self._remember(held.project, content, OUTPUT_FOR)
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
        self._remember(held.project, content, CHECKPOINT_FOR)
        if before is not None and before.content.infohash != content.infohash:
            await self._contents.drop([before.content], project=held.project)

    def _remember(self, project: bytes, content: Content, seconds: float) -> None:
        until = self._wall() + seconds
        self._shelf.later(partial(rows.add_published, project=project, content=content, until=until))
