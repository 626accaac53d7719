"""A coordinator that is killed at random moments, some hundred times: nothing that was acknowledged is lost, nothing is credited twice."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from servent.codec import HEADER_BYTES, encode
from servent.grid import wire
from servent.grid.coordinator_rows import read_doc
from servent.store import Store
from tests.grid.coordinating import KEY, right, story, who
from tests.grid.mortal import OWNER

KILLS = 200
VOLUNTEERS = 6
ANSWERS = 40  # of one life, on average
DEADLINE = 3.0  # s; leases that were taken down, and died on the way to whoever asked, run out
ROOT = Path(__file__).resolve().parents[2]


class Gone(Exception):
    """The coordinator died."""


class Line:
    """A connection to the coordinator's present life."""

    def __init__(self, life: Life, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._life, self._reader, self._writer = life, reader, writer

    @classmethod
    async def to(cls, life: Life, number: int) -> Line:
        try:
            reader, writer = await asyncio.open_unix_connection(life.folder / "socket")
            writer.write(bytes([number]))
        except OSError:
            raise Gone from None
        return cls(life, reader, writer)

    async def raw(self, body: bytes) -> bytes:
        try:
            self._writer.write(len(body).to_bytes(HEADER_BYTES, "big") + body)
            await self._writer.drain()
            size = int.from_bytes(await self._reader.readexactly(HEADER_BYTES), "big")
            said = await self._reader.readexactly(size)
        except (OSError, asyncio.IncompleteReadError):
            raise Gone from None
        self._life.answered()
        return said

    async def ask(self, question: wire.Question) -> Any:
        return wire.read_answer.decode(await self.raw(encode(question)))

    async def owner(self, *asked: Any) -> Any:
        return msgspec.msgpack.decode(await self.raw(msgspec.msgpack.encode(list(asked))))

    def close(self) -> None:
        self._writer.close()


class Volunteer:
    """Keeps what it leased until somebody says that its result was taken."""

    def __init__(self, number: int, dice: random.Random) -> None:
        self.number, self._dice = number, dice
        self.held: dict[int, wire.Task] = {}
        self.taken: set[int] = set()
        self.words: Counter[str] = Counter()

    async def live(self, line: Line) -> None:
        assert isinstance(await line.ask(wire.Join(bytes(KEY.peer))), wire.Welcome)
        while True:
            if self.held:
                some = self._dice.sample(list(self.held), min(len(self.held), self._dice.randint(1, 8)))
                if self._dice.random() < 0.1:
                    await line.ask(wire.Abort(some))
                    for lease in some:
                        del self.held[lease]
                    continue
                answer = await line.ask(wire.Return([right(self.held[lease]) for lease in some]))
                assert isinstance(answer, wire.Returned), answer
                for lease, word in zip(some, answer.taken, strict=True):
                    self.words[word] += 1
                    if word == "taken":
                        self.taken.add(lease)
                    del self.held[lease]
            leased = await line.ask(wire.Lease(self._dice.randint(1, 16), seconds=1e6))
            assert isinstance(leased, wire.Leased), leased
            for task in leased.tasks:
                self.held[task.lease] = task
            if not leased.tasks:
                await asyncio.sleep(0.005)


class Owner:
    """Adds work, and reads what ended as an outbox: from the last order it has seen."""

    def __init__(self) -> None:
        self.added: dict[int, int] = {}  # number of the piece -> unit
        self.next = 0
        self.seen = 0
        self.ended: dict[int, Any] = {}
        self.again: list[int] = []

    async def live(self, line: Line) -> None:
        while True:
            if len(self.added) - len(self.ended) < 60:
                units = await line.owner("add", 1 + self.next // 500, self.next, 20, DEADLINE)
                self.added.update(enumerate(units, self.next))
                self.next += 20
            await self.collect(line)
            await asyncio.sleep(0.005)

    async def collect(self, line: Line) -> None:
        for order, unit, state, output in await line.owner("finals", self.seen):
            assert order > self.seen
            if unit in self.ended:
                self.again.append(unit)
            self.seen, self.ended[unit] = order, (state, output)


class Life:
    """The process that forks coordinators."""

    def __init__(self, folder: Path, *kind: str) -> None:
        self.folder, self.pid = folder, 0
        self._answers, self._enough = 0, asyncio.Event()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.grid.mortal", str(folder), *kind],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )  # fmt: skip

    async def begin(self) -> int:
        (self.folder / "socket").unlink(missing_ok=True)
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.pid = int(await asyncio.to_thread(self.process.stdout.readline))
        while not (self.folder / "socket").exists():
            await asyncio.sleep(0.002)
        return self.pid

    def answered(self) -> None:
        self._answers -= 1
        if self._answers <= 0:
            self._enough.set()

    async def lasts(self, dice: random.Random, answers: float) -> None:
        """For about so many answers, so that a life gets as far on a slow machine as on a fast one, and then to any point between two of them."""
        self._answers = round(dice.expovariate(1 / answers))
        self._enough.clear()
        if self._answers:
            await self._enough.wait()
        await asyncio.sleep(dice.expovariate(1 / 0.005))

    async def kill(self, pid: int) -> None:
        assert self.process.stdout is not None
        os.kill(pid, signal.SIGKILL)
        assert (await asyncio.to_thread(self.process.stdout.readline)).strip() == "dead"
        self.pid = 0

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(10)


async def while_it_lives(life: Life, people: list[Volunteer], owner: Owner, stop: asyncio.Event) -> None:
    """Everybody talks to it until it dies, or `stop`."""

    async def one(number: int, person: Volunteer | Owner) -> None:
        with contextlib.suppress(Gone):
            line = await Line.to(life, number)
            try:
                await person.live(line)
            finally:
                line.close()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(person.number, person)) for person in people]
        tasks.append(group.create_task(one(OWNER, owner)))
        await stop.wait()
        for task in tasks:
            task.cancel()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@story
async def test_a_coordinator_that_is_killed_two_hundred_times_loses_nothing_and_pays_once(
    tmp_path: Path,
) -> None:
    dice = random.Random(6)
    people, owner = [Volunteer(number, random.Random(number)) for number in range(VOLUNTEERS)], Owner()
    life = Life(tmp_path)
    try:
        for _ in range(KILLS):
            pid = await life.begin()
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(while_it_lives(life, people, owner, stop))
                await life.lasts(dice, ANSWERS)
                await life.kill(pid)
                stop.set()
        # the last life lasts: nothing more is added, all that there is comes to its end
        pid = await life.begin()
        stop = asyncio.Event()
        owner_line = await Line.to(life, OWNER)
        quiet = Owner()
        quiet.live = lambda line: asyncio.sleep(3600)  # type: ignore[method-assign]
        async with asyncio.TaskGroup() as group:
            group.create_task(while_it_lives(life, people, quiet, stop))
            while True:
                left = await owner_line.owner("view")
                if not left["waiting"] + left["running"] + left["checking"]:
                    break
                await asyncio.sleep(0.05)
            before = -1
            while owner.seen != before:
                before = owner.seen
                await owner.collect(owner_line)
            stop.set()
        owner_line.close()
        await life.kill(pid)
    finally:
        life.close()
    await check(tmp_path / "grid.db", people, owner)


async def check(path: Path, people: list[Volunteer], owner: Owner) -> None:
    store = Store(path)
    await store.open()
    try:
        ended = await store.read(lambda c: c.execute("SELECT unit, body FROM grid_ended").fetchall())
        others = await store.read(
            lambda c: c.execute(
                "SELECT (SELECT count(*) FROM grid_queue), (SELECT count(*) FROM grid_active), (SELECT count(*) FROM grid_units)"
            ).fetchone()
        )
        due = await store.read(lambda c: c.execute("SELECT identity, key, mflop FROM grid_due").fetchall())
        keys = dict(await store.read(lambda c: c.execute("SELECT key, unit FROM grid_keys").fetchall()))
        finals = await store.read(lambda c: c.execute("SELECT unit FROM grid_finals").fetchall())
    finally:
        await store.close()
    docs = {unit: read_doc.decode(body) for unit, body in ended}
    assert others == (0, 0, len(docs))
    assert len(owner.added) > KILLS, "it hardly lived"
    # what was added and acknowledged is done, once each, and right; and the owner was told of each of them exactly once
    assert set(owner.added.values()) <= set(docs) and len(set(owner.added.values())) == len(owner.added)
    assert all(doc.unit.state == "done" for doc in docs.values())
    assert sorted(unit for (unit,) in finals) == sorted(docs)
    assert set(owner.ended) == set(docs) and not owner.again
    for number, unit in owner.added.items():
        assert owner.ended[unit] == ("done", b"result of %d" % number)
    # what was acknowledged as taken is there, and is paid
    copies = {copy.id: copy for doc in docs.values() for copy in doc.copies}
    taken = {lease: person for person in people for lease in person.taken}
    assert len(taken) > KILLS
    for lease, person in taken.items():
        assert copies[lease].identity == who(person.number)
        assert copies[lease].state == "valid" and copies[lease].credited
    assert not sum((person.words for person in people), Counter())["unknown"], (
        "a lease that was told is not known"
    )
    # each credit is there once, for each copy that was found right, and for nothing else
    paid = Counter((identity, keys[key]) for identity, key, _ in due)
    assert set(paid.values()) == {1}
    assert set(paid) == {(copy.identity, copy.id >> 20) for copy in copies.values() if copy.credited}
    assert all(mflop == 1000 for _, _, mflop in due)
