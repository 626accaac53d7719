"""The ledgers that this node writes: entries of what is due, agreements, publishing."""

from __future__ import annotations

import asyncio
import logging
from array import array
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

from servent.errors import NotFound, ServentError
from servent.grid import ledger, ledger_files, ledger_rows, ledger_scores
from servent.grid.ledger import Earned, Head
from servent.grid.ledger_rows import Known, Made
from servent.grid.manifests import Project, Signed, open_project
from servent.grid.receipts import AT_HAND, Desk
from servent.grid.wire import Membership
from servent.identity import Identity
from servent.store import Store

log = logging.getLogger(__name__)

SETTLE_AFTER = 600.0  # s that a result may wait for others of its worker, to share an entry with them
SETTLE_SOON = 10.0  # s of the same where few workers wait: one more for each, so that no more than one entry a second is made before its time
SETTLE_ROWS = 4000  # results in one transaction: 40 ms of the writer's thread
DUE_ROWS = 20_000  # read at once
DUE_MOST = 500_000  # results that wait: beyond, entries are made early
PUBLISH_EVERY = 600.0  # s; every volunteer fetches the end of it, up to 1 MiB
PUBLISH_SMALL = 60.0  # while there are few entries
SMALL = 1000
LOOK_EVERY = 2.0  # s


class Shelf(Protocol):
    """What is asked of `contents_service.Contents`."""

    async def publish_folder(self, folder: Path, *, project: bytes = b"") -> bytes: ...

    async def fetch_folder(
        self,
        infohash: bytes,
        contacts: Sequence[bytes] = (),
        *,
        project: bytes = b"",
        timeout: float = 600.0,
        most_bytes: int = 2**40,
    ) -> Path: ...


class _Queue:
    """What is due to one worker: `seqs` of rows, and since when."""

    __slots__ = ("seqs", "since")

    def __init__(self, since: float) -> None:
        self.seqs = array("q")
        self.since = since


class OwnLedgers:
    """Owns the entries of own projects. `known` is shared with `KnownLedgers`; only this one changes those that are ours.

    Args:
        changed: called with a project whose ledger has new entries.
        earned: what the owner of a project shows of its earnings in its network.
        recount: balances have moved.
    """

    def __init__(
        self,
        store: Store,
        folder: Path,
        shelf: Shelf | None,
        known: dict[bytes, Known],
        *,
        wall: Callable[[], float],
        changed: Callable[[bytes, Sequence[Made]], None],
        earned: Callable[[bytes], Awaitable[list[Earned]]],
        recount: Callable[[], Awaitable[None]],
    ) -> None:
        self.desk = Desk()
        self._store, self._folder, self._shelf, self._known, self._wall = store, folder, shelf, known, wall
        self._changed, self._earned, self._recount = changed, earned, recount
        self._keys: dict[bytes, Identity] = {}
        self._manifests: dict[bytes, Project] = {}
        self._queues: dict[bytes, dict[bytes, _Queue]] = defaultdict(dict)
        self._credits: dict[bytes, dict[bytes, int]] = defaultdict(dict)
        self._seen = 0
        self._introduced: dict[tuple[bytes, bytes], tuple[str, Membership | None]] = {}
        self._writing = asyncio.Lock()
        self._publishing = asyncio.Lock()
        self._published_at: dict[bytes, float] = {}
        self._wake = asyncio.Event()

    # -- life

    async def open(self) -> None:
        """What was due before the last stop is still due."""
        await self._look()

    async def close(self) -> None:
        """What was said of workers is written; what is due stays due."""
        await self._introduce()

    async def run(self) -> None:
        """Make entries of what is due, and publish, until cancelled."""
        while True:
            try:
                await self._look()
                await self._introduce()
                await self._bring()
                for project in list(self._keys):
                    await self._settle_ripe(project)
                    await self._publish_ripe(project)
            except ServentError as trouble:
                log.warning("the ledger: %s", trouble)
            self._wake.clear()
            try:
                async with asyncio.timeout(LOOK_EVERY if self._queued() or self._unpublished() else None):
                    await self._wake.wait()
                await asyncio.sleep(LOOK_EVERY / 4)  # more will come at once: one look for all of it
            except TimeoutError:
                pass

    async def add_project(self, signed: Signed, key: Identity, apps: Sequence[Signed]) -> None:
        """See `Ledger.add_project`."""
        project = open_project(signed, key.peer)
        async with self._writing:
            known = self._copy(project.key) or Known(mine=True)
            known.mine = True
            if known.manifest is not None and known.manifest != signed:
                before = open_project(known.manifest, key.peer)
                if _money(before) != _money(project):
                    known.earlier = [known.manifest, *known.earlier][: ledger.EARLIER]
            known.manifest = signed
            known.apps = ([one for one in known.apps if one not in apps] + list(apps))[-ledger.APPS :]
            await self._store.write(lambda c: ledger_rows.write_known(c, project.key, known))
            self._known[project.key] = known
        self._credits[project.key] = await self._store.read(
            lambda c: ledger_scores.read_credits(c, project.key)
        )
        self._keys[project.key], self._manifests[project.key] = key, project
        self._wake.set()

    def forget(self, project: bytes) -> None:
        """Write no more entries; the ledger stays."""
        self._keys.pop(project, None)
        self.desk.forget(project)

    def due(self) -> None:
        """Rows have come into `grid_due`."""
        self._wake.set()

    # -- entries

    async def settle(self, project: bytes) -> int:
        """Make entries of all that is due. How many. Raises NotFound."""
        self._key(project)
        await self._look()
        await self._introduce()
        return await self._settle(project, list(self._queues[project]))

    async def _look(self) -> None:
        """Read what has become due since the last look."""
        while True:
            after = self._seen
            rows = await self._store.read(partial(ledger_rows.read_due, after=after, limit=DUE_ROWS))
            if self._seen != after:
                continue  # somebody else looked meanwhile
            for row in rows:
                queues = self._queues[row.project]
                queue = queues.get(row.identity)
                if queue is None:
                    queue = queues[row.identity] = _Queue(row.at)
                queue.seqs.append(row.seq)
            if rows:
                self._seen = rows[-1].seq
            if len(rows) < DUE_ROWS:
                return

    async def _settle_ripe(self, project: bytes) -> None:
        queues = self._queues[project]
        now = self._wall()
        full = self._queued() > DUE_MOST
        wait = min(SETTLE_AFTER, SETTLE_SOON + len(queues))
        ripe = [
            worker
            for worker, queue in queues.items()
            if full or len(queue.seqs) >= ledger.ENTRY_UNITS or not now - wait < queue.since <= now + wait
        ]
        if ripe:
            await self._settle(project, ripe)

    async def _settle(self, project: bytes, workers: list[bytes]) -> int:
        count = 0
        workers = workers[::-1]  # from the end, the first one first
        mutual = self._manifests[project].mutual if project in self._manifests else False
        while workers:
            async with self._writing:
                batch: dict[bytes, Sequence[int]] = {}
                room = SETTLE_ROWS
                while workers and room:
                    queue = self._queues[project].get(workers[-1])
                    if queue is None:
                        workers.pop()
                        continue
                    seqs = queue.seqs[:room].tolist()
                    batch[workers[-1]] = seqs
                    room -= len(seqs)
                    if len(seqs) < len(queue.seqs):
                        break
                    workers.pop()
                if batch:
                    count += await self._write(project, batch)
        if count and mutual:
            await self._recount()
        return count

    async def _write(self, project: bytes, batch: dict[bytes, Sequence[int]]) -> int:
        key, manifest, now = self._key(project), self._manifests[project], self._wall()
        known = self._copy(project)
        assert known is not None
        network = manifest.network if manifest.mutual else None
        made = await self._store.write(
            lambda c: ledger_rows.settle(c, project, key, known, network, batch, now)
        )
        self._known[project] = known
        queues, credits = self._queues[project], self._credits[project]
        for worker, seqs in batch.items():
            queue = queues[worker]
            del queue.seqs[: len(seqs)]
            if queue.seqs:
                queue.since = now  # what is left came later
            else:
                del queues[worker]
        for one in made:
            entry = one.entry
            change = entry.total if entry.kind == "credit" else -entry.total
            credits[entry.worker] = credits.get(entry.worker, 0) + change
            self.desk.made(project, entry.worker, entry.number, one.receipt)
        if made:
            self._changed(project, made)
        return len(made)

    def credited(self, project: bytes, worker: bytes) -> int:
        return self._credits[project].get(worker, 0)

    def _queued(self) -> int:
        return sum(len(queue.seqs) for queues in self._queues.values() for queue in queues.values())

    # -- workers

    def joined(self, project: bytes, worker: bytes, name: str, team: Membership | None) -> None:
        """See `Ledger.joined`."""
        self._introduced[(project, worker)] = (name, team)
        self.desk.begin(project, worker)
        self._wake.set()

    async def countersigned(
        self, project: bytes, worker: bytes, signatures: Sequence[tuple[int, bytes]]
    ) -> list[bool]:
        """See `Ledger.countersigned`."""
        async with self._writing:
            known = self._copy(project)
            if known is None:
                return [False] * len(signatures)
            taken = await self._store.write(
                lambda c: ledger_rows.take_agreements(c, project, worker, signatures, known)
            )
            self._known[project] = known
        self.desk.agreed(
            project, worker, [number for (number, _), yes in zip(signatures, taken, strict=True) if yes]
        )
        self._wake.set()
        if any(taken):
            self._changed(project, ())
        return taken

    async def _introduce(self) -> None:
        if not self._introduced:
            return
        new = dict(self._introduced)
        await self._store.write(lambda c: ledger_rows.introduce(c, new))
        self._introduced = {who: said for who, said in self._introduced.items() if new.get(who) != said}

    async def _bring(self) -> None:
        for project, worker, after in self.desk.wanted():
            find = partial(ledger_rows.read_open, project=project, worker=worker, after=after, limit=AT_HAND)
            self.desk.bring(project, worker, await self._store.read(find), AT_HAND)

    # -- publishing

    async def publish(self, project: bytes) -> bytes:
        """See `Ledger.publish`."""
        await self.settle(project)
        async with self._publishing:
            return await self._publish(project)

    async def write_files(self, project: bytes) -> Path:
        """The folder with the ledger as it is now, its head signed. What is in it is what is served: so it is published, if it changes."""
        await self.settle(project)
        folder = self._folder / project.hex()
        async with self._publishing:
            known = self._known[project]
            there = await asyncio.to_thread((folder / ledger.HEAD_NAME).is_file)
            if self._shelf is None:
                await self._files(project)
            elif not there or known.entries + known.countersigned != known.published_lines:
                await self._publish(project)
        return folder

    async def _publish(self, project: bytes) -> bytes:
        folder = await self._files(project)
        if self._shelf is None:
            raise NotFound("this node publishes nothing")
        infohash = await self._shelf.publish_folder(folder, project=project)
        async with self._writing:
            known = self._copy(project)
            assert known is not None
            known.infohash, known.published = infohash, known.entries
            known.published_lines = known.entries + known.countersigned
            await self._store.write(lambda c: ledger_rows.write_known(c, project, known))
            self._known[project] = known
        self._published_at[project] = self._wall()
        self._changed(project, ())
        return infohash

    async def _files(self, project: bytes) -> Path:
        key, folder = self._key(project), self._folder / project.hex()
        shown = await self._earned(project)
        async with self._writing:
            known = self._copy(project)
            assert known is not None and known.manifest is not None
            known.serial += 1
            sealed, tail = await self._store.read(
                lambda c: (ledger_rows.read_segments(c, project), ledger_rows.read_tail(c, project))
            )
            before = known.sealed_entries
            segments, full = await asyncio.to_thread(ledger_files.write_tail, folder, sealed, before, tail)
            head = Head(
                key=project,
                serial=known.serial,
                at=max(self._wall(), known.last),
                entries=known.entries,
                newest=known.newest or ledger.first(project),
                segments=segments,
                project=known.manifest,
                earlier=known.earlier,
                apps=known.apps,
            )
            await asyncio.to_thread(ledger_files.write_head, folder, ledger.sign_head(head, key), shown)
            if full:
                known.sealed_entries = full[-1].entries

            await self._store.write(lambda c: ledger_rows.seal(c, project, full, known))
            self._known[project] = known
        return folder

    async def _publish_ripe(self, project: bytes) -> None:
        if project not in self._unpublished():
            return
        every = PUBLISH_SMALL if self._known[project].entries < SMALL else PUBLISH_EVERY
        if self._wall() - self._published_at.get(project, 0.0) < every:
            return
        self._published_at[project] = self._wall()  # also where it fails: not again at once
        async with self._publishing:
            await self._publish(project)

    def _unpublished(self) -> list[bytes]:
        if self._shelf is None:
            return []
        return [
            project
            for project in self._keys
            if (known := self._known[project]).entries + known.countersigned != known.published_lines
        ]

    def _key(self, project: bytes) -> Identity:
        if project not in self._keys:
            raise NotFound("no own project of that key")
        return self._keys[project]

    def _copy(self, project: bytes) -> Known | None:
        known = self._known.get(project)
        return msgspec.structs.replace(known) if known is not None else None


def _money(project: Project) -> tuple[object, ...]:
    """What an auditor judges earlier entries by."""
    return (project.bonus, project.budget, project.network, project.owner, project.audience)
