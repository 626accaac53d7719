"""Batches: work that is submitted at once, and its results, each collected exactly once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from servent.errors import DiskTrouble, NotFound, ServentError, UsageError
from servent.grid import batches_rows as rows
from servent.grid import project_views as views
from servent.grid import submitting
from servent.grid.batches_rows import Batch, Came, Counts, Line
from servent.grid.batches_seams import Apps, Coordinating, Keeping
from servent.grid.chains_service import Chains
from servent.grid.coordinator_views import Added, BatchLook, Piece, output_name
from servent.grid.credit import cobblestones, from_cobblestones
from servent.grid.generations_service import Generations
from servent.grid.outcomes import Outcomes, lines_before, writable
from servent.grid.sky_service import Skies
from servent.grid.submitting import Input
from servent.store import Store

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger(__name__)

AT_ONCE = 5_000  # units in one transaction; the coordinator takes up to 10,000
FINALS_AT_ONCE = 1_000
EVERYTHING = 2**53  # more than any unit's number
WORK_AT_ONCE = 1_000  # results that are written to a folder between two marks
DOUBTED = 5.0  # s between two looks at results that were doubted when somebody's input was to be made of them


class Batches:
    """Owns the batches of all own projects; their numbers are unique in this node.

    Args:
        store: grid.db, not open yet.
        told: called when something that `all` or `view` answers has changed.
    """

    def __init__(
        self,
        store: Store,
        coordinator: Coordinating,
        contents: Keeping,
        projects: Apps,
        *,
        told: Callable[[], None],
        wall: Callable[[], float],
        dice: Random | None = None,
    ) -> None:
        self._store, self._coordinator, self._contents, self._projects = (
            store,
            coordinator,
            contents,
            projects,
        )
        self._told, self._wall, self._dice = told, wall, dice or Random()
        self._batches: dict[int, tuple[bytes, Batch, Counts]] = {}
        self._mark = 0
        self._outcomes = Outcomes(contents.path)
        self._news = asyncio.Event()
        self._came = asyncio.Event()  # replaced with each that comes: who waits on an older one is woken
        self._generations = Generations(
            store, coordinator, self._batches.get, give_up=self._give_up, came=self._something_came
        )
        self.chains = Chains(store, coordinator, self._row, contents.path)
        self.skies = Skies(store, coordinator, self._row, self._outcomes)
        store.migrate(rows.ROOM, rows.STEPS)

    # -- life

    async def open(self) -> None:
        """What is remembered. The coordinator is open already."""
        found, self._mark = await self._store.read(rows.load)
        self._batches.update(found)
        self._generations.some = any(batch.generations > 1 for _, batch, _ in found.values())
        self._coordinator.on_final(lambda finals: self._news.set())
        for id, (_, batch, _) in self._batches.items():
            if not batch.whole and not batch.cancelled:  # the node ended while it was submitted
                batch.cancelled, batch.why = True, "the node ended while it was submitted"
                await self._save(id)

    async def run(self) -> None:
        """Take what came, write it where it belongs, until cancelled."""
        for id, (_, batch, _) in list(self._batches.items()):
            if batch.cancelled and not batch.whole:
                with contextlib.suppress(ServentError):
                    await self._coordinator.cancel(batch=id)
        self._news.set()
        doubted = False
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DOUBTED if doubted else None):
                    await self._news.wait()
            self._news.clear()
            await self._take()
            doubted = await self._generations.go_on()
            await self._write_folders()

    async def _take(self) -> None:
        while True:
            finals = await self._coordinator.finals(self._mark, FINALS_AT_ONCE)
            if not finals:
                return
            mark = finals[-1].order
            came = [Came(one.unit, one.state, one.revised) for one in finals if one.state != "open"]
            made = await self._store.write(rows.take(came, mark))
            self._mark = mark
            first: dict[int, int] = {}
            for line, before in made:
                if (found := self._batches.get(line.batch)) is None:
                    continue
                if line.state == "done" and found[1].shows is None:
                    first.setdefault(line.batch, line.unit)
                if before is not None:
                    found[2].tell(found[1], line.number, before, -1)
                found[2].tell(found[1], line.number, line.state, 1)
            if made:
                for id, unit in first.items():
                    await self._look_at(id, unit)
                self._something_came()
                self._told()

    async def _look_at(self, id: int, unit: int) -> None:
        """What kind of results a batch has, by the first of them."""
        final = (await self._coordinator.results([unit])).get(unit)
        if final is None or final.state != "done" or id not in self._batches:
            return
        with contextlib.suppress(DiskTrouble):
            self._batches[id][1].shows = await asyncio.to_thread(self._outcomes.shows, final)
            await self._save(id)

    def _something_came(self) -> None:
        came, self._came = self._came, asyncio.Event()
        came.set()

    # -- submitting

    async def submit(
        self,
        project: bytes,
        app: str,
        *,
        paths: Sequence[Path] = (),
        items: Sequence[bytes] = (),
        lines: Path | None = None,
        args: Sequence[str] = (),
        title: str = "",
        priority: int = 0,
        deadline: float = 86400.0,
        expires: float | None = None,
        operations: float | None = None,
        repeat: int = 1,
        again: bool = False,
        budget: float | None = None,
        checks: Sequence[tuple[bytes, bytes]] = (),
        to: Path | None = None,
        generations: int = 1,
    ) -> views.Batch:
        """Returns once everything is stored, and inputs are hashed. See `api.schema_grid.NewBatch`; `operations` in FLOP, `budget` in cobblestones.

        Raises:
            NotFound: no such app, or path. UsageError: nothing to compute, or more than may be.
        """
        app_id, manifest = self._projects.app_manifest(project, app)
        files = await asyncio.to_thread(submitting.files_of, paths)
        texts = [*items, *(await asyncio.to_thread(submitting.lines_of, lines) if lines is not None else ())]
        count = submitting.check(len(files), len(texts), repeat, args, generations)
        line_bytes = await asyncio.to_thread(lines_before, to) if to is not None else 0
        now = self._wall()
        batch = Batch(
            app_id,
            f"{manifest.name}/{manifest.version}",
            title or submitting.title_of(files, texts, count),
            now,
            priority,
            deadline,
            None if expires is None else now + expires,
            budget,
            str(to) if to is not None else "",
            EVERYTHING if files and generations > 1 else len(files) * repeat,
            line_bytes=line_bytes,
            generations=generations,
            chains=count,
            repeat=repeat,
            args=list(args),
            operations=None if operations is None else max(1, round(operations / 1e6)),
            again=int(now * 1000) if again else 0,
        )
        self._generations.some |= generations > 1
        id = await self._store.write(rows.begin(project, batch))
        self._batches[id] = (project, batch, Counts())
        self._told()
        work = submitting.work(files, texts, args, repeat)
        known_answers = submitting.answers(checks, args, self._dice)
        try:
            while chunk := await asyncio.to_thread(lambda: list(islice(work, AT_ONCE))):
                some = known_answers.among(len(chunk), count)
                await self._add(id, chunk, some)
        except BaseException as wrong:
            batch.why = str(wrong) if isinstance(wrong, ServentError) else "it was not submitted whole"
            with contextlib.suppress(ServentError):
                await self.cancel(id)
            raise
        batch.whole = True
        await self._save(id)
        self._something_came()  # all of it may have been known
        self._news.set()
        self._told()
        return self.view(id)

    async def _add(self, id: int, chunk: Sequence[Input], checks: Sequence[tuple[int, Piece]]) -> None:
        """Some units in one transaction, with those whose answer is known (`checks`: place, unit) between them."""
        project, batch, counts = self._batches[id]
        large = [one for one in chunk if one.large]
        contents = await self._contents.publish_many(
            [(one.source, one.name) for one in large], project=project
        )
        if contents:
            await self._store.write(rows.keep_inputs(id, contents))
        by_number = {one.number: content for one, content in zip(large, contents, strict=True)}
        pieces = [one.piece(by_number.get(one.number), batch.operations, batch.again) for one in chunk]
        numbers: list[int | None] = [one.number for one in chunk]
        for place, piece in checks:
            pieces.insert(place, piece)
            numbers.insert(place, None)
        names = {one.number: one.name for one in chunk}
        known: list[tuple[int, int, rows.Ended]] = []

        def along(db: sqlite3.Connection, added: Sequence[Added]) -> None:
            ours = [(number, one) for number, one in zip(numbers, added, strict=True) if number is not None]
            known.clear()
            for number, one in ours:
                if one.known is not None and one.known.state != "open":
                    known.append((number, one.unit, one.known.state))
            rows.put_units(db, id, [(number, one.unit, names[number]) for number, one in ours], known)

        await self._coordinator.add_units(
            project,
            batch.app,
            id,
            pieces,
            priority=batch.priority,
            deadline=batch.deadline,
            expires=batch.expires,
            budget=None if batch.budget is None else from_cobblestones(batch.budget),
            along=along,
        )
        counts.units += len(chunk) * batch.generations
        for number, _, state in known:
            counts.tell(batch, number, state, 1)
        done = next((unit for _, unit, state in known if state == "done"), None)
        if done is not None and batch.shows is None:
            await self._look_at(id, done)
        if known:
            self._something_came()
            self._news.set()

    # -- what there is

    def all(self, project: bytes | None = None) -> list[views.Batch]:
        """The newest first."""
        return [
            self.view(id)
            for id in sorted(self._batches, reverse=True)
            if project is None or self._batches[id][0] == project
        ]

    def view(self, batch: int) -> views.Batch:
        """Raises NotFound."""
        project, row, counts = self._row(batch)
        try:
            look = self._coordinator.batch(batch)
        except NotFound:  # none of its units is its own
            look = BatchLook(batch=batch, project=project)
        state: views.BatchState = "running"
        if row.cancelled:
            state = "cancelled"
        elif not row.whole:
            state = "preparing"
        elif counts.open == 0:
            state = "done"
        elif look.paused:
            state = "paused"
        return views.Batch(
            id=batch,
            project=views.letters(project),
            project_name=self._projects.name_of(project),
            app=row.app_name,
            title=row.title,
            state=state,
            created=row.created,
            units=counts.units,
            done=counts.done,
            errors=counts.errors,
            cancelled=counts.units - counts.done - counts.errors
            if row.cancelled and row.generations > 1
            else counts.cancelled,
            priority=row.priority,
            deadline=row.deadline,
            expires=row.expires,
            eta=None
            if state != "running" or look.eta is None
            else look.eta * (max(1.0, counts.open / max(1, look.open)) if row.generations > 1 else 1.0),
            cost=cobblestones(look.cost),
            budget=row.budget,
            to=row.to,
            why=row.why or ("you paused it" if state == "paused" else ""),
            generations=row.generations,
            shows=row.shows or "",
        )

    def _row(self, batch: int) -> tuple[bytes, Batch, Counts]:
        found = self._batches.get(batch)
        if found is None:
            raise NotFound(f"there is no batch {batch}", advice="`servent grid batches` lists them.")
        return found

    async def _save(self, id: int) -> None:
        await self._store.write(rows.save(id, self._batches[id][1]))

    # -- changing

    async def change(
        self,
        batch: int,
        *,
        priority: int | None = None,
        deadline: float | None = None,
        paused: bool | None = None,
    ) -> views.Batch:
        """Only what is given. Raises NotFound."""
        _, row, _ = self._row(batch)
        await self._coordinator.change(batch, priority=priority, deadline=deadline, paused=paused)
        row.priority = row.priority if priority is None else priority
        row.deadline = row.deadline if deadline is None else deadline
        await self._save(batch)
        self._told()
        return self.view(batch)

    async def cancel(self, batch: int) -> views.Batch:
        """What is done stays; nothing more of it is computed. Raises NotFound."""
        _, row, counts = self._row(batch)
        if row.whole and counts.open == 0:
            return self.view(batch)
        row.cancelled = True
        await self._save(batch)
        async with self._generations.still:
            with contextlib.suppress(NotFound):  # nothing of it is the coordinator's
                await self._coordinator.cancel(batch=batch)
        self._something_came()
        self._told()
        return self.view(batch)

    async def _give_up(self, batch: int, why: str) -> None:
        if batch in self._batches:
            self._batches[batch][1].why = why
            await self.cancel(batch)

    async def forget(self, batch: int) -> None:
        """A batch that is over, with its results that lie in the node. Raises NotFound; UsageError: it is not over."""
        project, row, counts = self._row(batch)
        if counts.open and not row.cancelled:
            raise UsageError("this batch is not over", advice="Cancel it first.")
        async with self._generations.still:
            units = await self._store.read(rows.alone(batch))
            for at in range(0, len(units), WORK_AT_ONCE):
                for final in (await self._coordinator.results(units[at : at + WORK_AT_ONCE])).values():
                    if final.content is not None:
                        self._contents.release(output_name(final.unit, final.digest))
            inputs = await self._store.write(rows.forget(batch))
            del self._batches[batch]
        await self._coordinator.forget(units)
        await self._contents.drop(inputs, project=project)
        self._told()

    async def forget_project(self, project: bytes) -> None:
        """All of its batches."""
        for id in [id for id, found in self._batches.items() if found[0] == project]:
            self._batches[id][1].cancelled = True
            await self.forget(id)

    # -- results

    async def results(self, batch: int, after: int = 0, limit: int = 100, wait: float = 0.0) -> views.Results:
        """In the order in which they came; `wait`: seconds to wait for one more where there is none. Raises NotFound."""
        limit, until = max(1, min(limit, 1000)), asyncio.get_running_loop().time() + wait
        while True:
            self._row(batch)
            news, over = self._came, self._ended(batch)  # asked before: what comes while we read is news
            lines = await self._store.read(rows.after(batch, after, limit))
            ended = over and len(lines) < limit
            left = until - asyncio.get_running_loop().time()
            if lines or ended or left <= 0:
                return views.Results(results=tuple(await self._shown(lines)), ended=ended)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await news.wait()

    def _ended(self, batch: int) -> bool:
        _, row, counts = self._row(batch)
        return row.cancelled or (row.whole and counts.open == 0)

    async def _shown(self, lines: Sequence[Line]) -> list[views.UnitResult]:
        finals = await self._coordinator.results([line.unit for line in lines])
        shown = []
        for line in lines:
            _, row, _ = self._row(line.batch)
            shown.append(self._outcomes.view(line, finals.get(line.unit), row.to, line.number < row.files))
        return shown

    async def output(self, batch: int, number: int) -> bytes:
        """The result of a unit. Raises NotFound: there is none (yet)."""
        self._row(batch)
        line = await self._store.read(rows.newest(batch, number))
        told = line is not None and line.state == "done"
        final = (await self._coordinator.results([line.unit])).get(line.unit) if told and line else None
        if final is None or final.state != "done":
            raise NotFound(f"unit {number} of batch {batch} has no result yet")
        return await asyncio.to_thread(self._outcomes.output, final)

    async def watch(self, batch: int) -> AsyncIterator[views.UnitResult]:
        """Results as they come, until the batch is over."""
        after = 0
        while True:
            page = await self.results(batch, after, 500, 60.0)
            for one in page.results:
                after = one.order
                yield one
            if page.ended:
                return

    async def collect(self, batch: int, to: Path) -> list[Path]:
        """Write all results that are there as files into a folder, with `results.jsonl`. The files. Raises DiskTrouble."""
        if (folder := self._row(batch)[1].to) and Path(folder) == to:
            raise UsageError(
                f"the results of batch {batch} go to {to} by themselves",
                advice="Those that are there lie in it already; name another folder to have them twice.",
            )
        await asyncio.to_thread(writable, to)
        found: dict[int, Line] = {}
        after = 0
        while lines := await self._store.read(rows.after(batch, after, WORK_AT_ONCE)):
            found.update((line.number, line) for line in lines)
            after = lines[-1].order
        written: list[Path] = []
        newest = [found[number] for number in sorted(found)]
        line_bytes = 0
        for begin in range(0, max(1, len(newest)), WORK_AT_ONCE):
            some = newest[begin : begin + WORK_AT_ONCE]
            finals = await self._coordinator.results([line.unit for line in some])
            paths, line_bytes = await asyncio.to_thread(
                self._outcomes.write, some, finals, to, line_bytes, EVERYTHING
            )
            written += paths
        return written

    async def _write_folders(self) -> None:
        """What came for batches that have a folder, exactly once: a file of lines that is longer than was noted is cut back first."""
        for id, (_, batch, _) in list(self._batches.items()):
            if not batch.to:
                continue
            try:
                while lines := await self._store.read(rows.after(id, batch.written, WORK_AT_ONCE)):
                    finals = await self._coordinator.results([line.unit for line in lines])
                    where, so_far, files = Path(batch.to), batch.line_bytes, batch.files
                    _, batch.line_bytes = await asyncio.to_thread(
                        self._outcomes.write, lines, finals, where, so_far, files
                    )
                    batch.written, batch.why = lines[-1].order, ""
                    if id not in self._batches:
                        break
                    await self._save(id)
            except DiskTrouble as wrong:
                if batch.why != str(wrong):
                    log.warning("results of batch %d wait: %s", id, wrong)
                batch.why = str(wrong)

    async def names(self, units: Sequence[int]) -> dict[int, tuple[int, int, str]]:
        """Batch, number and input's name of units."""
        return await self._store.read(rows.named(units))
