"""A coordinator with one project and one app, and volunteers that visit it."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from servent.grid import wire
from servent.grid.coordinator_service import Coordinator, Visit
from servent.grid.coordinator_views import Added, Final, Piece
from servent.grid.manifests import App, Content, Project, Signed, sign_app, sign_project
from servent.identity import Identity, PeerId
from servent.store import Store

KEY = Identity(b"project key of the grid tests...")
ME = Identity(b"the node that coordinates, tests")
MODULE = Content(b"m" * 32, 0, b"r" * 32, 1000)


def story(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that waits."""

    @functools.wraps(test)
    def run(**fixtures: Any) -> None:
        asyncio.run(test(**fixtures))

    return run


def who(number: int) -> PeerId:
    return Identity(b"volunteer" + number.to_bytes(23, "big")).peer


def project(serial: int = 1, **values: Any) -> Signed:
    return sign_project(
        Project(
            **{
                "key": bytes(KEY.peer), "serial": serial, "name": "test", "coordinators": [bytes(ME.peer)],
                "owner": bytes(ME.peer), "audience": "everyone", **values,
            }
        ),
        KEY,
    )  # fmt: skip


def app(**values: Any) -> Signed:
    return sign_app(
        App(**{"project": bytes(KEY.peer), "name": "app", "version": 1, "module": MODULE, **values}), KEY
    )


def pieces(count: int, begin: int = 0, **values: Any) -> list[Piece]:
    return [
        Piece(**{"seed": (begin + number).to_bytes(32, "big"), "stdin": b"%d" % (begin + number), **values})
        for number in range(count)
    ]


class Clock:
    """Wall time that goes on by itself, and can be moved."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ahead = 1_700_000_000.0 - self._loop.time()

    def __call__(self) -> float:
        return self._loop.time() + self.ahead


class Volunteer:
    """Answers each task with `compute(task)`."""

    def __init__(self, visit: Visit, identity: PeerId) -> None:
        self.visit, self.identity = visit, identity
        self.welcome: wire.Answer | None = None

    async def join(self, **values: Any) -> wire.Answer:
        self.welcome = await self.visit.answer(wire.Join(bytes(KEY.peer), **values))
        return self.welcome

    async def lease(self, most: int = 64, **values: Any) -> list[wire.Task]:
        answer = await self.ask_lease(most, **values)
        return answer.tasks

    async def ask_lease(self, most: int = 64, **values: Any) -> wire.Leased:
        answer = await self.visit.answer(wire.Lease(most, **{"seconds": 1e6, **values}))
        assert isinstance(answer, wire.Leased), answer
        return answer

    async def give(self, *results: wire.Result) -> list[wire.Taken]:
        answer = await self.visit.answer(wire.Return(list(results)))
        assert isinstance(answer, wire.Returned), answer
        return answer.taken

    async def give_right(self, tasks: list[wire.Task]) -> list[wire.Taken]:
        return await self.give(*(right(task) for task in tasks))


def right(task: wire.Task) -> wire.Result:
    return done(task.lease, b"result of " + task.stdin)


def done(lease: int, output: bytes) -> wire.Result:
    return wire.Result(
        lease=lease, outcome="done", digest=hashlib.sha256(output).digest(), output=output, seconds=0.01
    )


class Hall:
    """A running coordinator, and what it told."""

    def __init__(self, coordinator: Coordinator, store: Store, clock: Clock) -> None:
        self.coordinator, self.store, self.clock = coordinator, store, clock
        self.finals: list[Final] = []
        coordinator.on_final(self.finals.extend)
        self.app = b""
        self.key = bytes(KEY.peer)

    async def volunteer(self, number: int, **values: Any) -> Volunteer:
        volunteer = Volunteer(self.coordinator.visit(self.key, who(number)), who(number))
        await volunteer.join(**values)
        return volunteer

    async def add(self, some: list[Piece], batch: int = 1, **values: Any) -> list[Added]:
        return await self.coordinator.add_units(self.key, self.app, batch, some, **values)

    async def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        return await self.store.read(lambda connection: connection.execute(statement, values).fetchall())

    async def due(self) -> list[tuple[bytes, bytes, int]]:
        """(identity, unit's name, MFLOP)"""
        return await self.rows("SELECT identity, key, mflop FROM grid_due ORDER BY seq")


@asynccontextmanager
async def hall(
    path: Path | None = None, *, signed: Signed | None = None, app_: Signed | None = None, **values: Any
) -> AsyncIterator[Hall]:
    """As it begins, or, with a `path` that is there already, as it goes on."""
    store = Store(path, durable=True)
    clock = values.pop("clock", None) or Clock()
    values.setdefault("dice", random.Random(1))
    coordinator = Coordinator(store, ME.peer, wall=clock, **values)
    await store.open()
    await coordinator.open()
    found = Hall(coordinator, store, clock)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(coordinator.run())
            await coordinator.add_project(signed or project())
            found.app = await coordinator.add_app(app_ or app())
            try:
                yield found
            finally:
                await coordinator.close()
    finally:
        await store.close()
