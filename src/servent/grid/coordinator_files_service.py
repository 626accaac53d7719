"""What of results does not come in a message, or has to be compared: fetched from the volunteer, checked, and put into its group. And checkpoints."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from servent.errors import ServentError
from servent.grid import steps
from servent.grid.coordinator_commit_service import Committer
from servent.grid.coordinator_live import Live, unit_of
from servent.grid.coordinator_rooms import AppRoom
from servent.grid.coordinator_rows import Output
from servent.grid.coordinator_state import State
from servent.grid.coordinator_taking import Taking
from servent.grid.coordinator_views import Compare, ComparerFailed, Outputs, checkpoint_name, output_name
from servent.grid.model import Copy
from servent.grid.wire import Checkpoint
from servent.store import Store
from servent.tasks import begin

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger(__name__)

AT_ONCE = 8  # units whose results are fetched or compared
CHECKPOINTS = 4  # that are fetched at once
FETCH = 300.0  # s for one file
AGAIN = 30.0  # s until an output that could not be had is tried again
TRIES = 20  # a volunteer that is away for ten minutes, with `AGAIN`, still gets its result taken


class Files:
    """Works off `State.check`. `wall`: the clock that leases run by."""

    def __init__(
        self,
        store: Store,
        state: State,
        taking: Taking,
        committer: Committer,
        outputs: Outputs | None,
        compare: Compare | None,
        wall: Callable[[], float],
    ) -> None:
        self._store, self._state, self._taking, self._committer = store, state, taking, committer
        self._outputs, self._compare, self._wall = outputs, compare, wall
        self._group: asyncio.TaskGroup | None = None
        self._units = asyncio.Semaphore(AT_ONCE)
        self._checkpoints = asyncio.Semaphore(CHECKPOINTS)
        self._coming: set[int] = set()  # leases whose checkpoint is on its way
        self._tries: dict[int, int] = {}
        self._more = asyncio.Event()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                while True:
                    self._more.clear()
                    for unit, live in list(self._state.check.items()):
                        if not live.busy:
                            del self._state.check[unit]
                            live.busy += 1
                            begin(group, self._judge(live), f"results of unit {unit}")
                    await self._more.wait()
            finally:
                self._group = None

    def look(self) -> None:
        """There may be results to be fetched or compared."""
        if self._state.check:
            self._more.set()

    # -- results

    async def _judge(self, live: Live) -> None:
        again = False
        try:
            async with self._units:
                for lease in [copy.id for copy in live.pending()]:
                    again |= not await self._one(live, lease)
        finally:
            live.busy -= 1
            if live.pending():
                if again and self._group is not None:
                    asyncio.get_running_loop().call_later(AGAIN, self._put_back, live)
                else:
                    self._put_back(live)
            elif not live.dirty:
                self._state.leave(live)
            self._committer.hurry()

    def _put_back(self, live: Live) -> None:
        if self._state.live.get(live.unit.id) is live:
            self._state.check[live.unit.id] = live
            self._more.set()

    async def _one(self, live: Live, lease: int) -> bool:
        """Give one result its group. False: to be tried again."""
        side = live.sides.get(lease)
        settled = await self._settle(live, lease)
        if settled and side is not None and side.content is not None and side.digest not in live.outputs:
            assert self._outputs is not None
            self._outputs.release(output_name(live.unit.id, side.digest))
        return settled

    async def _settle(self, live: Live, lease: int) -> bool:
        copy = live.copy(lease)
        if copy is None:
            return True
        app = self._state.apps[live.app]
        digest = live.side(lease).digest
        try:
            data = await self._data(live, copy, app)
            if isinstance(data, Path) and await asyncio.to_thread(_digest, data) != digest:
                self._fails(live, lease, "the output is not what its digest says")
                return True
            group = (
                digest if app.manifest.compare == "bits" else await self._group_of(live, app, digest, data)
            )
        except ComparerFailed as wrong:
            self._fails(live, lease, f"its output cannot be compared: {wrong}")
            return True
        except (ServentError, OSError) as wrong:
            tries = self._tries[lease] = self._tries.get(lease, 0) + 1
            if tries < TRIES:
                return False
            self._fails(live, lease, f"its output could not be had or compared: {wrong}")
            return True
        self._tries.pop(lease, None)
        content = live.side(lease).content
        copy = live.copy(lease)
        if copy is None or copy.state != "returned" or copy.group is not None:
            return True
        if content is not None and group == digest:
            self._state.keep_output(live, digest, Output(None, content, content.size), None)
        now = self._wall()
        self._state.apply(live, steps.grouped(live.unit, live.copies, {lease: group}, now), now)
        self._tidy(live)
        return True

    def _fails(self, live: Live, lease: int, words: str) -> None:
        self._tries.pop(lease, None)
        copy = live.copy(lease)
        if copy is None or copy.state != "returned" or copy.group is not None:
            return
        side = live.side(lease)
        side.outcome, side.words = "output", words[:200]
        now = self._wall()
        self._state.apply(live, steps.failed(live.unit, live.copies, copy, now), now)
        self._tidy(live)

    def _tidy(self, live: Live) -> None:
        """Outputs that no result stands for any more."""
        wanted = {copy.group for copy in live.copies if copy.group is not None}
        wanted |= {live.side(copy.id).digest for copy in live.pending()}
        for digest in [digest for digest in live.outputs if digest not in wanted]:
            self._state.drop_output(live, digest)

    async def _group_of(self, live: Live, app: AppRoom, digest: bytes, data: bytes | Path) -> bytes:
        """Raises ComparerFailed: the comparer cannot read this one."""
        if self._compare is None:
            raise ServentError("comparers are not run here")
        groups = list(dict.fromkeys(copy.group for copy in live.copies if copy.group is not None))
        if digest in groups:
            return digest
        for group in groups:
            other = await self._output(live, group, app, ())
            if other is None:
                continue
            try:
                alike = await self._compare(app.manifest, other, data)
            except (
                ComparerFailed
            ):  # one of the two was made so: the new one, where it is not even like itself
                await self._compare(app.manifest, data, data)
                alike = False
            if alike:
                return group
        return digest

    async def _data(self, live: Live, copy: Copy, app: AppRoom) -> bytes | Path:
        side = live.side(copy.id)
        if side.content is None:
            data = await self._output(live, side.digest, app, ())
            if data is None:
                raise ServentError("the output is not here")
            return data
        if self._outputs is None:
            raise ServentError("outputs of this size are not taken here")
        return await self._outputs.fetch(
            side.content,
            [] if copy.identity is None else [copy.identity],
            project=app.room.key,
            keep=output_name(live.unit.id, side.digest),
            most_bytes=app.manifest.limits.output_bytes,
            timeout=FETCH,
        )

    async def _output(
        self, live: Live, digest: bytes, app: AppRoom, contacts: tuple[bytes, ...]
    ) -> bytes | Path | None:
        output = live.outputs.get(digest)
        if output is None:
            return None
        if output.inline is not None:
            return output.inline
        if output.content is not None:
            assert self._outputs is not None
            return await self._outputs.fetch(
                output.content,
                contacts,
                project=app.room.key,
                keep=output_name(live.unit.id, digest),
                timeout=FETCH,
            )
        await self._committer.durable()

        def job(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute(
                "SELECT output FROM grid_outputs WHERE unit = ? AND digest = ?", (live.unit.id, digest)
            ).fetchone()
            return None if row is None else bytes(row[0])

        return await self._store.read(job)

    # -- checkpoints

    def checkpoint(self, lease: int, identity: bytes, checkpoint: Checkpoint) -> None:
        """Fetch it from whoever took it, so that it outlives them. One at a time for each lease; others come with the next sign of life."""
        if self._outputs is None or self._group is None or lease in self._coming:
            return
        self._coming.add(lease)
        begin(self._group, self._bring(lease, identity, checkpoint), f"checkpoint of lease {lease}")

    async def _bring(self, lease: int, identity: bytes, checkpoint: Checkpoint) -> None:
        unit = unit_of(lease)
        try:
            async with self._checkpoints:
                live = self._state.live.get(unit)
                if live is None or self._outputs is None:
                    return
                app = self._state.apps[live.app]
                name = checkpoint_name(unit, checkpoint.content)
                await self._outputs.fetch(
                    checkpoint.content,
                    [identity],
                    project=app.room.key,
                    keep=name,
                    most_bytes=app.manifest.limits.checkpoint_bytes,
                    timeout=FETCH,
                )
            old = self._taking.saved(unit, lease, checkpoint)
            if old is not None and (old is checkpoint or old.content != checkpoint.content):
                self._outputs.release(checkpoint_name(unit, old.content))
            self._committer.hurry()
        except ServentError as wrong:
            log.info("a checkpoint of unit %d could not be had: %s", unit, wrong)
            if (live := self._state.live.get(unit)) is not None:
                live.hold = 0.0
        finally:
            self._coming.discard(lease)


def _digest(path: Path) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
