"""What a task needs before it can be computed: its app's manifest, the module, the input, the snapshot it goes on from; each fetched once and checked."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from servent.errors import BadMessage, DiskTrouble, Refused, WorldError
from servent.grid.held import Held
from servent.grid.manifests import App, Content
from servent.grid.publishing_service import Keeping, Publishing
from servent.grid.reserved import Reserved

AT_ONCE = 4  # fetches; a guess
WITHIN = 600.0  # s for one
AGAIN = (5.0, 30.0, 120.0)  # s until it is tried again, while whoever has it is away


@dataclass(frozen=True, slots=True)
class _Module:
    """`digest`: SHA-256 of the bytes at `path`."""

    app: App
    path: Path
    digest: bytes


class NoFit(WorldError):
    """The unit wants more than this machine lends: it goes back, without blame."""


class Getting:
    """Makes a `Held` ready to be computed.

    Args:
        describe: an app's manifest, and peers who have its module; asks the coordinator where it is not known.
        room: (bytes of memory, bytes of disk) that are lent.
        publishing: whose bytes take room, too.
        fetched: called with the bytes of what came over the network.
    """

    def __init__(
        self,
        contents: Keeping,
        describe: Callable[[bytes, bytes], Awaitable[tuple[App, Sequence[bytes]]]],
        room: Callable[[], tuple[int, int]],
        publishing: Publishing,
        fetched: Callable[[bytes, int], None],
    ) -> None:
        self._contents, self._describe, self._room, self._fetched = contents, describe, room, fetched
        self._publishing, self._reserved = publishing, Reserved()
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._modules: dict[bytes, _Module] = {}
        self._asking: dict[bytes, asyncio.Lock] = {}
        self._bringing: dict[bytes, asyncio.Lock] = {}

    def at_once(self, held: Held) -> bool:
        """Whether nothing needs fetching: then it is ready now, as units of an app are after its first. Raises NoFit."""
        task, known = held.task, self._modules.get(held.task.app)
        if known is None or task.content is not None or (task.resume is not None and not held.snapshot):
            return False
        held.app = known.app
        self._fits(held, known.app)
        held.module, held.module_digest = str(known.path), known.digest
        return True

    async def get(self, held: Held) -> None:
        """Fill in `app`, `module`, `input`, `snapshot`.

        Raises:
            NoFit: it wants more than is lent.
            BadMessage: what the project says of it is wrong.
            ServentError: something could not be had, after some tries.
        """
        async with self._asking.setdefault(
            held.task.app, asyncio.Lock()
        ):  # sixty-four units of a new app ask once
            app, contacts = await self._describe(held.project, held.task.app)
        held.app = app
        self._fits(held, app)
        self._reserved.take(held.key, _needs(held))
        self._reserved.take((held.task.app,), [app.module])
        await self._publishing.shrink(self.room_offered())
        held.module, held.module_digest = await self._module(held, app, contacts)
        helpers = [*held.task.contacts, *contacts]
        if held.task.content is not None:
            held.input = str(await self._fetch(held.project, held.task.content, helpers, held.pins))
        checkpoint = held.task.resume
        if checkpoint is not None and not held.snapshot:
            if checkpoint.content.size > app.limits.checkpoint_bytes:
                raise BadMessage("a checkpoint larger than its app allows")
            held.snapshot = str(await self._fetch(held.project, checkpoint.content, helpers, held.pins))
            held.slices, held.digest, held.fraction = (
                checkpoint.slices,
                checkpoint.digest,
                checkpoint.fraction,
            )

    def _fits(self, held: Held, app: App) -> None:
        """Raises NoFit."""
        memory, disk = self._room()
        if app.limits.memory_bytes > memory:
            raise NoFit(
                f"a unit of {app.name} wants {_size(app.limits.memory_bytes)} of memory, {_size(memory)} are lent"
            )
        wanted, rest = [app.module, *_needs(held)], room_of(app)
        if sum(one.size for one in wanted) + rest > disk:
            raise NoFit(
                f"a unit of {app.name} wants more room on the disk than the {_size(disk)} that are lent"
            )
        fetched = self._reserved.size + self._reserved.more(wanted)
        if fetched + rest + (self._publishing.owed.size if len(wanted) > 1 else 0) > disk:
            raise NoFit(
                f"a unit of {app.name} wants more room on the disk than is left of the {_size(disk)} that are lent"
            )

    def room_offered(self) -> int:
        """Bytes that results and checkpoints of units that are over may take, beside what is needed now."""
        return self._room()[1] - self._reserved.size

    def room_left(self) -> int:
        """Bytes of disk for what units write while they run; everything that is held now is fetched."""
        return self._room()[1] - self._reserved.size - self._publishing.owed.size

    def done(self, held: Held) -> None:
        """Nothing of it is needed any more; what was fetched may go when room is needed."""
        self._reserved.give(held.key)
        while held.pins:
            self._contents.unpin(held.pins.pop())

    @property
    def apps(self) -> int:
        """That are at hand."""
        return len(self._asking)

    def keep(self, apps: set[bytes]) -> None:
        """Forget all others."""
        for app in {*self._modules, *self._asking} - apps:
            self.forget(app)

    def forget(self, app: bytes) -> None:
        """The module's file is needed no more."""
        self._reserved.give((app,))
        self._asking.pop(app, None)
        self._bringing.pop(app, None)
        known = self._modules.pop(app, None)
        if known is not None:
            self._contents.unpin(known.app.module)

    async def _module(self, held: Held, app: App, contacts: Sequence[bytes]) -> tuple[str, bytes]:
        async with self._bringing.setdefault(held.task.app, asyncio.Lock()):
            known = self._modules.get(held.task.app)
            if known is None:
                path = await self._fetch(held.project, app.module, contacts, [])
                digest = await asyncio.to_thread(_sha256, path)
                known = self._modules[held.task.app] = _Module(app, path, digest)
            return str(known.path), known.digest

    async def _fetch(
        self, project: bytes, content: Content, contacts: Sequence[bytes], pins: list[Content]
    ) -> Path:
        """It stays until it is unpinned. Raises WorldError, UsageError, Refused."""
        self._contents.pin(content)
        try:
            for wait in (*AGAIN, None):
                try:
                    async with self._gate:
                        had = content.infohash in self._contents.have(project)
                        path = await self._contents.fetch(
                            content, contacts, project=project, most_bytes=self._room()[1], timeout=WITHIN
                        )
                    if not had:
                        self._fetched(project, content.size)
                    pins.append(content)
                    return path
                except DiskTrouble:
                    raise
                except (WorldError, Refused):
                    if wait is None:
                        raise
                    await asyncio.sleep(wait)
            raise AssertionError("unreachable")
        except BaseException:
            self._contents.unpin(content)
            raise


def room_of(app: App) -> int:
    """Bytes that a unit may write: its result, and a snapshot with the one that takes its place."""
    return app.limits.output_bytes + 2 * app.limits.checkpoint_bytes


def _needs(held: Held) -> list[Content]:
    return [one for one in (held.task.content, _snapshot(held)) if one is not None]


def _snapshot(held: Held) -> Content | None:
    """Of another volunteer, that it is to go on from; not where we have one of our own."""
    return held.task.resume.content if held.task.resume is not None else None


def _sha256(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _size(size: int) -> str:
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= one:
            return f"{size / one:.3g} {unit}"
    return f"{size} bytes"
