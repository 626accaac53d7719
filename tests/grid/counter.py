"""A coordinator at whose counter volunteers stand, each saying whatever it likes; and what its tables say afterwards."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from servent.errors import NotFound
from servent.grid.coordinator_service import Coordinator, Visit
from servent.grid.coordinator_views import Final, Outputs, Piece
from servent.grid.manifests import App, Content, Limits, Project, sign_app, sign_project
from servent.grid.wire import (
    Abort,
    Checkpoint,
    Join,
    Lease,
    Leased,
    Progress,
    Renew,
    Renewed,
    Result,
    Return,
    Returned,
    Task,
    Welcome,
)
from servent.identity import Identity, PeerId
from servent.store import Store
from tests.net.party import identity, until

OWNER = identity(900)
MODULE = Content(b"m" * 32, 0, b"r" * 32, 1000)
LIMITS = Limits(output_bytes=4096, checkpoint_bytes=100_000)


def content(size: int, mark: bytes = b"c") -> Content:
    return Content(mark * 32, 0, mark * 32, size)


def done(task: Task, output: bytes) -> Result:
    return Result(lease=task.lease, outcome="done", digest=hashlib.sha256(output).digest(), output=output)


class Folder:
    """Stands for the peers from whom large outputs and checkpoints are fetched: `files` by root. Counts what is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.files = folder, dict[bytes, bytes]()
        self.asked: list[Content] = []
        self.kept: set[str] = set()

    async def fetch(
        self,
        content: Content,
        contacts: Sequence[bytes] = (),
        *,
        project: bytes = b"",
        keep: str = "",
        most_bytes: int = 2**53,
        timeout: float = 600.0,
    ) -> Path:
        self.asked.append(content)
        if content.root not in self.files or content.size > most_bytes:
            raise NotFound("nobody has it")
        path = self.folder / content.root.hex()
        await asyncio.to_thread(path.write_bytes, self.files[content.root])
        self.kept.add(keep)
        return path

    def release(self, keep: str) -> None:
        self.kept.discard(keep)


class Volunteer:
    """Says things at the counter, true or not."""

    def __init__(self, visit: Visit, who: Identity) -> None:
        self.visit, self.who = visit, who

    async def lease(self, most: int = 1, seconds: float = 1e6) -> list[Task]:
        answer = await self.visit.answer(Lease(most=most, seconds=seconds))
        assert isinstance(answer, Leased), answer
        return answer.tasks

    async def give(self, *results: Result) -> list[str]:
        answer = await self.visit.answer(Return(list(results)))
        assert isinstance(answer, Returned), answer
        return list(answer.taken)

    async def renew(self, lease: int, checkpoint: Checkpoint | None = None) -> float:
        answer = await self.visit.answer(Renew([Progress(lease, 0.5, checkpoint)]))
        assert isinstance(answer, Renewed), answer
        return answer.until[0]

    async def abort(self, lease: int, checkpoint: Checkpoint | None = None) -> None:
        saved = [] if checkpoint is None else [Progress(lease, 0.5, checkpoint)]
        await self.visit.answer(Abort([lease], saved))


class Counter:
    """One project with one app, `app`; `now` is the wall clock, which stands still."""

    def __init__(self, store: Store, outputs: Outputs | None = None) -> None:
        self.store, self.now = store, 1_700_000_000.0
        self.coordinator = Coordinator(
            store, OWNER.peer, outputs=outputs, wall=lambda: self.now, dice=random.Random(1)
        )
        self.finals: list[Final] = []
        self.coordinator.on_final(self.finals.extend)
        self.key, self.app = OWNER.peer, b""

    async def project(self, key: Identity = OWNER, **app: object) -> bytes:
        """Another project, or the first one; the id of its app."""
        said = Project(
            key=key.peer, serial=1, name="p", coordinators=[OWNER.peer], owner=OWNER.peer, audience="everyone"
        )
        await self.coordinator.add_project(sign_project(said, key))
        made = App(project=key.peer, name="a", version=1, module=MODULE, limits=LIMITS, **app)  # type: ignore[arg-type]
        return await self.coordinator.add_app(sign_app(made, key))

    async def units(self, number: int, *, answer: bytes | None = None, first: int = 0) -> list[int]:
        pieces = [
            Piece(seed=(first + one).to_bytes(32, "big"), stdin=b"%d" % (first + one), answer=answer)
            for one in range(number)
        ]
        added = await self.coordinator.add_units(self.key, self.app, 1, pieces, deadline=600.0)
        return [one.unit for one in added]

    async def volunteer(self, number: int, project: bytes | None = None) -> Volunteer:
        who = identity(number)
        visit = self.coordinator.visit(project or self.key, who.peer)
        answer = await visit.answer(Join(project=PeerId(project or self.key), name=f"v{number}"))
        assert isinstance(answer, Welcome), answer
        return Volunteer(visit, who)

    async def due(self) -> list[tuple[bytes, bytes, int]]:
        """What is to be credited: (unit's key, identity, MFLOP), in order."""
        return await self.store.read(
            lambda connection: connection.execute(
                "SELECT key, identity, mflop FROM grid_due ORDER BY seq"
            ).fetchall()
        )

    async def nobody_is_paid_twice(self) -> None:
        paid: dict[tuple[bytes, bytes], list[int]] = {}
        for key, who, mflop in await self.due():
            paid.setdefault((key, who), []).append(mflop)
        for row in paid.values():
            assert len(row) <= 2 and row[0] > 0, row
            assert len(row) == 1 or row[0] + row[1] == 0, row


@asynccontextmanager
async def counter(
    path: Path | None = None, outputs: Outputs | None = None, **app: object
) -> AsyncIterator[Counter]:
    """`path`: None keeps everything in memory."""
    store = Store(path, durable=path is not None)
    made = Counter(store, outputs)
    async with store:
        await made.coordinator.open()
        running = asyncio.create_task(made.coordinator.run(), name="coordinator")
        try:
            made.app = await made.project(**app)
            yield made
        finally:
            await made.coordinator.close()
            running.cancel()
            await asyncio.wait([running])
            if not running.cancelled() and (wrong := running.exception()) is not None:
                raise wrong


__all__ = ["LIMITS", "Counter", "Folder", "Volunteer", "content", "counter", "done", "until"]
