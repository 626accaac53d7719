"""A volunteer in virtual time: a sandbox that computes by the clock, contents in memory, a coordinator that follows a script or lies."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, Self

from servent.errors import ConnectionLost, Unreachable
from servent.grid import lending_service, wire
from servent.grid.ledger import Receipt
from servent.grid.lending_service import Lending
from servent.grid.manifests import App, Content, Limits, Project, Signed, app_id, sign_app, sign_project
from servent.grid.policy import Conditions
from servent.grid.sandbox.jobs import Ended, Job, Moving, Saved
from servent.grid.settings import Defaults
from servent.identity import Identity
from servent.store import Store
from servent.testing.loop import VirtualLoop
from tests.grid.pictured import said

OWNER = Identity(b"project key of the lending tests")
HOME = Identity(b"the coordinator, in lending test")
ME = Identity(b"the volunteer, in lending tests!")
WALL = 1_700_000_000.0
GIB = 1024**3
MFLOPS = 1000.0


def virtually(story: Coroutine[Any, Any, Any]) -> Any:
    """Run `story` in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(story)


class Bench:
    """A sandbox: a unit takes `takes` seconds of the clock, in slices of `slice` seconds. What it does is in `began`, `slices` and `ended`."""

    def __init__(self) -> None:
        self.takes, self.slice = 10.0, 1.0
        self.program: Callable[[Job], Ended | None] = lambda job: None
        self.cores, self.percent = 0, 100
        self.slices = 0
        self.began: list[Job] = []
        self.running: dict[int, Job] = {}
        self.most_running = 0
        self._numbers = 0
        self._suspended: set[int] = set()
        self.watched: dict[int, Callable[[bytes], None]] = {}
        self.shows: Callable[[int], bytes] = lambda slices: said(words=b"slice %d" % slices)
        self._moved = asyncio.Event()
        self.closed = False

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    async def run(
        self,
        job: Job,
        on_moving: Callable[[Moving], None] | None = None,
        on_saved: Callable[[Saved], None] | None = None,
    ) -> Ended:
        while len(self.running) >= self.cores:
            if job.number in self._suspended:
                return Ended(job.number, "lost", suspended=True)
            await self._wake()
        self.running[job.number] = job
        self.began.append(job)
        self.most_running = max(self.most_running, len(self.running))
        try:
            return await self._compute(job, on_moving or _ignore, on_saved or _ignore)
        finally:
            del self.running[job.number]
            self.watched.pop(job.number, None)
            self._signal()

    async def _compute(
        self, job: Job, on_moving: Callable[[Moving], None], on_saved: Callable[[Saved], None]
    ) -> Ended:
        said = self.program(job)
        if said is not None:
            return said
        number, whole = job.number, max(1, round(self.takes / self.slice))
        done = int(Path(job.resume).read_text()) if job.resume else 0
        seconds = saved_at = 0.0

        def save(suspended: bool) -> None:
            path = Path(job.folder) / f"{number}-{done}.snapshot"
            path.write_text(str(done))
            digest = hashlib.sha256(str(done).encode()).digest()
            on_saved(Saved(number, str(path), done, digest, path.stat().st_size, done / whole, suspended))

        while done < whole:
            while not self.percent and job.number not in self._suspended:
                await self._wake()
            if number in self._suspended:
                if job.checkpoint_every:
                    save(True)
                return Ended(number, "lost", seconds=seconds, slices=done, suspended=True)
            await asyncio.sleep(self.slice)
            if self.closed:
                raise ConnectionLost("the sandbox is closing")
            done += 1
            self.slices += 1
            seconds += self.slice
            on_moving(Moving(number, done, seconds, done / whole, 1 << 20, pictures=True))
            if (watching := self.watched.get(number)) is not None:
                watching(self.shows(done))
            if job.checkpoint_every and seconds - saved_at >= job.checkpoint_every:
                saved_at = seconds
                save(False)
        output = result_of(job.seed, job.stdin)
        return Ended(number, "done", hashlib.sha256(output).digest(), output, seconds=seconds, slices=done)

    def watch(self, number: int, on_picture: Callable[[bytes], None] | None) -> None:
        if number in self.running and on_picture is not None:
            self.watched[number] = on_picture
        else:
            self.watched.pop(number, None)

    def suspend(self, number: int) -> None:
        self._suspended.add(number)
        self._signal()

    async def suspend_all(self) -> None:
        mine = set(self.running)
        self._suspended |= mine
        self._signal()
        while mine & set(self.running):
            await self._wake()

    def resize(self, cores: int) -> None:
        self.cores = cores
        for number in list(self.running)[cores:]:
            self._suspended.add(number)
        self._signal()

    def pace(self, percent: int) -> None:
        self.percent = percent
        self._signal()

    async def measure(self) -> float:
        return MFLOPS

    def _signal(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def _wake(self) -> None:
        await self._moved.wait()


def _ignore(said: object) -> None:
    pass


def result_of(seed: bytes, stdin: bytes) -> bytes:
    return b"result of " + seed[-4:].hex().encode() + stdin


class Shelves:
    """Contents in a folder: what anybody published is there for everybody."""

    def __init__(self, folder: Path, everybody: dict[bytes, bytes]) -> None:
        self.folder, self.everybody = folder, everybody
        folder.mkdir(parents=True, exist_ok=True)
        self.pins: dict[bytes, int] = {}
        self.fetched: list[bytes] = []
        self.dropped: list[bytes] = []
        self.forgotten: list[bytes] = []
        self.away = False

    async def publish(
        self, what: bytes | Path, name: str = "", *, project: bytes = b"", move: bool = False
    ) -> Content:
        data = what if isinstance(what, bytes) else what.read_bytes()
        content = content_of(data)
        self.everybody[content.infohash] = data
        if move and isinstance(what, Path):
            what.unlink()
        return content

    async def fetch(
        self,
        content: Content,
        contacts: Sequence[bytes] = (),
        *,
        project: bytes = b"",
        most_bytes: int = 2**53,
        timeout: float = 600.0,
    ) -> Path:
        path = self.folder / content.infohash.hex()
        if not path.exists():
            if self.away or content.infohash not in self.everybody:
                await asyncio.sleep(timeout)
                raise Unreachable("whoever has it", timeout, [])
            path.write_bytes(self.everybody[content.infohash])
            self.fetched.append(content.infohash)
        return path

    def pin(self, content: Content) -> None:
        self.pins[content.infohash] = self.pins.get(content.infohash, 0) + 1

    def unpin(self, content: Content) -> None:
        self.pins[content.infohash] -= 1
        assert self.pins[content.infohash] >= 0

    def have(self, project: bytes, most: int = 64) -> list[bytes]:
        return [bytes.fromhex(path.name) for path in self.folder.iterdir()][:most]

    async def drop(self, contents: Sequence[Content], *, project: bytes = b"") -> None:
        self.dropped += [content.infohash for content in contents]

    async def forget_project(self, project: bytes) -> None:
        self.forgotten.append(project)

    def used_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.iterdir())


def content_of(data: bytes) -> Content:
    digest = hashlib.sha256(data).digest()
    return Content(digest, 0, digest, len(data))


class Office:
    """A coordinator of one project, by script. `questions`: everything asked; `returned`: results taken, by unit; `twist` changes an answer, or raises."""

    def __init__(self, key: Identity = OWNER, **manifest: Any) -> None:
        self.key = key
        self.everybody: dict[bytes, bytes] = {}
        self.manifest = sign_project(
            Project(
                **{
                    "key": bytes(key.peer), "serial": 1, "name": "primes", "about": "finds some",
                    "coordinators": [bytes(HOME.peer)], "owner": bytes(HOME.peer), "audience": "everyone", **manifest,
                }
            ),
            key,
        )  # fmt: skip
        self.apps: dict[bytes, Signed] = {}
        self.waiting: list[wire.Task] = []
        self.leased: dict[int, wire.Task] = {}
        self.returned: dict[bytes, wire.Result] = {}
        self.checkpoints: dict[bytes, wire.Checkpoint] = {}
        self.aborted: list[int] = []
        self.renewed: list[int] = []
        self.receipts: list[Receipt] = []
        self.countersigned: list[tuple[int, bytes]] = []
        self.questions: list[wire.Question] = []
        self.unwanted: set[int] = set()
        self.lasts = 600.0
        self.greedy = False  # hands out more than was asked for
        self.wait = 30.0
        self.twist: Callable[[wire.Question, wire.Answer], wire.Answer] = lambda question, answer: answer
        self.open = True
        self.now: Callable[[], float] = lambda: WALL
        self._leases = 0

    def app(self, module: bytes = b"\0asm module", **values: Any) -> bytes:
        self.everybody[content_of(module).infohash] = module
        values = {
            "project": bytes(self.key.peer), "name": "sieve", "version": 1, "module": content_of(module),
            "operations": 10 * int(MFLOPS), **values,
        }  # fmt: skip
        signed = sign_app(App(**values), self.key)
        self.apps[app_id(signed)] = signed
        return app_id(signed)

    def slices(self, **values: Any) -> bytes:
        return self.app(abi="slice", limits=Limits(checkpoint_bytes=1 << 20), **values)

    def add(self, app: bytes, count: int = 1, **values: Any) -> list[bytes]:
        units = []
        for _ in range(count):
            self._leases += 1
            number = self._leases.to_bytes(32, "big")
            task = wire.Task(
                **{
                    "lease": self._leases, "unit": hashlib.sha256(number + self.key.peer).digest(), "app": app,
                    "seed": number, "until": 0.0, "operations": 10 * int(MFLOPS), "stdin": b"", **values,
                }
            )  # fmt: skip
            self.waiting.append(task)
            units.append(task.unit)
        return units

    def asked(self, kind: type) -> list[Any]:
        return [one for one in self.questions if isinstance(one, kind)]

    # -- as `line_service.Visit`

    async def answer(self, question: wire.Question) -> wire.Answer:
        self.questions.append(question)
        await asyncio.sleep(0.01)
        return self.twist(question, self._answer(question))

    def close(self) -> None:
        pass

    def _answer(self, question: wire.Question) -> wire.Answer:
        match question:
            case wire.Join(serial=serial):
                return wire.Welcome(self.manifest if serial < 1 else None, units=100, done=7, eta=60.0)
            case wire.Lease(most=most, seconds=seconds):
                tasks = []
                if not self.greedy:
                    most = min(most, max(1, math.ceil(seconds * MFLOPS / 10_000)))
                for task in self.waiting[:most]:
                    tasks.append(_until(task, self.now() + self.lasts))
                    self.leased[task.lease] = task
                del self.waiting[:most]
                return wire.Leased(tasks, 0.0 if tasks else self.wait, "" if tasks else "nothing to do")
            case wire.Describe(apps):
                return wire.Described(
                    [self.apps.get(app) for app in apps], [[bytes(HOME.peer)] for _ in apps]
                )
            case wire.Return(results):
                words: list[wire.Taken] = []
                for result in results:
                    task = self.leased.pop(result.lease, None)
                    words.append("unknown" if task is None else "taken")
                    if task is not None:
                        self.returned[task.unit] = result
                return wire.Returned(words, self._waiting_receipts())
            case wire.Renew(progress):
                until = []
                for one in progress:
                    task = self.leased.get(one.lease)
                    wanted = task is not None and one.lease not in self.unwanted
                    until.append(self.now() + self.lasts if wanted else 0.0)
                    self.renewed.append(one.lease)
                    if one.checkpoint is not None and task is not None:
                        self.checkpoints[task.unit] = one.checkpoint
                return wire.Renewed(until, self._waiting_receipts())
            case wire.Abort(leases, checkpoints):
                for one in checkpoints:
                    if one.checkpoint is not None and one.lease in self.leased:
                        self.checkpoints[self.leased[one.lease].unit] = one.checkpoint
                for lease in leases:
                    self.aborted.append(lease)
                    self.leased.pop(lease, None)
                return wire.Aborted()
            case wire.Countersign(signatures):
                self.countersigned += signatures
                return wire.Countersigned([True] * len(signatures))
            case wire.Look():
                return wire.Looked(wire.Welcome(units=100, done=8), self._waiting_receipts())
        raise AssertionError(question)

    def _waiting_receipts(self) -> list[Receipt]:
        receipts, self.receipts = self.receipts[:8], self.receipts[8:]
        return receipts


def _until(task: wire.Task, until: float) -> wire.Task:
    import msgspec

    return msgspec.structs.replace(task, until=until)


class Volunteer:
    """A `Lending` over fakes. `async with`: it runs; leaving stops it as a node does, `kill` as a power cut does.

    `offices`: coordinators by project key; one that is not `open` is not there.
    """

    def __init__(self, folder: Path, *offices: Office, store: Path | None = None, **settings: Any) -> None:
        self.settings = Defaults(
            **{
                "lend": True,
                "preset": "own",
                "cores": 2,
                "idle_minutes": 0.0,
                "fetch_ahead_minutes": 1.0,
                **settings,
            }
        )
        self.offices = {bytes(office.key.peer): office for office in offices}
        everybody = offices[0].everybody if offices else {}
        for office in offices[1:]:
            everybody.update(office.everybody)
            office.everybody = everybody
        self.machine = Conditions(cores=4, memory_bytes=16 * GIB, memory_free=12 * GIB, idle=1e6)
        self.engaged = ""
        self.bench = Bench()
        self.contents = Shelves(folder / "contents", everybody)
        self.store = Store(store)
        self.kept: list[tuple[Receipt, bytes]] = []
        self.followed: list[bytes] = []
        self.poor = ""
        self.later = 0.0  # s that the wall clock is ahead
        self.lending = Lending(
            ME,
            self.store,
            folder / "work",
            lambda: self.settings,
            self.bench,
            self.contents,
            self._no_network,
            local=self._local,
            name=lambda: "ann",
            engaged=lambda: self.engaged,
            keep=self._keep,
            follow=self._follow,
            against=lambda project: self.poor,
            wall=self.wall,
            look=self._look,
            local_time=lending_service.datetime.utcfromtimestamp,
        )
        self._task: asyncio.Task[None] | None = None
        for office in offices:
            office.now = self.wall

    def wall(self) -> float:
        return WALL + self.later + asyncio.get_running_loop().time()

    async def __aenter__(self) -> Self:
        await self.store.open()
        await self.lending.open()
        self._task = asyncio.create_task(self.lending.run())
        for office in self.offices.values():
            known = {one.key for one in self.lending.joined()}
            if str(office.key.peer) not in known:
                await self.lending.join(bytes(office.key.peer), [bytes(HOME.peer)], name="as the link says")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None and not self._task.done():
            await self.lending.close()
            self.bench.closed = True
        await self.kill()

    async def kill(self) -> None:
        """Everything stops where it is; only what is on the disk stays."""
        if self._task is not None:
            if self._task.done() and not self._task.cancelled():
                self._task.result()
            self._task.cancel()
            await asyncio.wait([self._task])
        await self.store.close()

    @property
    def project(self):
        return self.lending.joined()[0]

    async def lines(self, kind: str = "") -> list[Any]:
        return [one for one in await self.lending.log(limit=500) if not kind or one.kind == kind]

    async def until(self, true: Callable[[], object], limit: float = 3600.0) -> None:
        """Let virtual time pass until it is so. The longer it takes, the more seldom it is asked, so that days cost hundreds of turns, not millions."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not true():
            waited = loop.time() - began
            assert waited < limit, f"not so within {limit} s"
            assert self._task is None or not self._task.done(), self._task
            await asyncio.sleep(max(0.1, waited / 200))

    def _local(self, project: bytes) -> Office | None:
        office = self.offices.get(project)
        return office if office is not None and office.open else None

    async def _no_network(self, peer: Any, service: str) -> Any:
        raise Unreachable("the coordinator", 15.0, [])

    async def _look(self, programs: bool) -> Conditions:
        return self.machine

    async def _keep(self, manifest: Signed, receipt: Receipt, signature: bytes) -> None:
        self.kept.append((receipt, signature))

    async def _follow(self, manifest: Signed, infohash: bytes, contacts: Sequence[bytes]) -> None:
        self.followed.append(infohash)
