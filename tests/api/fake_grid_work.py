"""The fake node's own projects: apps, batches whose units go through all their states with the wall clock, volunteers, and results."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from servent.api import schema_chains as chains
from servent.api import schema_credit as credit
from servent.api import schema_grid as grid
from servent.api import schema_sky as sky
from servent.errors import NotFound, UsageError
from servent.identity import Identity
from tests.api import fake_chains, fake_sky

PRIMES = str(Identity(b"\x61" * 32).peer)
FOLDING = str(Identity(b"\x51" * 32).peer)
SECOND = str(Identity(b"\x62" * 32).peer)
HOSTS = [str(Identity(bytes([0x70 + number]) * 32).peer) for number in range(6)]
NAMES = ["ann", "bob", "carl", "dora", "emil", "a very long name that nobody would want to read in a table"]
A_RESULT_TAKES = 0.4  # s of wall clock at pace 1 for each unit of a batch that was submitted


class Named(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)


def named(rows: Iterable[N], text: str, advice: str) -> N:
    rows = list(rows)
    found = [one for one in rows if text == one.id] or [one for one in rows if text == one.name]
    found = found or [one for one in rows if len(text) >= 6 and one.id.startswith(text)]
    if len(found) != 1:
        raise NotFound(f"no project here is called {text[:80]!r}", advice=advice)
    return found[0]


class _Run:
    """A batch that goes on by itself: unit n is done `takes * n` seconds after it began."""

    def __init__(self, batch: grid.Batch, inputs: list[str], takes: float, done_before: int = 0) -> None:
        self.batch, self.inputs, self.takes = batch, inputs, takes
        self._began = time.time()
        self._moved = float(done_before)  # units, until `_began`

    def done(self) -> int:
        if self.batch.state == "running":
            moved = self._moved + (time.time() - self._began) / self.takes
        else:
            moved = self._moved
        return min(int(moved), self.batch.units)

    def turn(self, **changes: object) -> None:
        self._moved, self._began = float(self.done()), time.time()
        self.batch = msgspec.structs.replace(self.batch, **changes)

    def view(self) -> grid.Batch:
        done = self.done()
        over = done == self.batch.units
        state = "done" if over and self.batch.state == "running" else self.batch.state
        errors = sum(_fails(number) for number in range(done))
        running = state == "running"
        return msgspec.structs.replace(
            self.batch,
            state=state,
            done=done - errors,
            errors=errors,
            cancelled=self.batch.units - done if state == "cancelled" else 0,
            eta=(self.batch.units - done) * self.takes if running else None,
            cost=round(done * 0.21, 2),
        )

    def result(self, number: int) -> grid.UnitResult:
        text = f"{self.inputs[number]}: {number * 7919 % 104729}\n"
        failed = _fails(number)
        return grid.UnitResult(
            order=number + 1,
            unit=int(self.batch.id) * 100_000 + number,
            number=number,
            input=self.inputs[number],
            state="error" if failed else "done",
            output=None if failed else text,
            file=str(Path(self.batch.to) / f"{number:06d}.out") if self.batch.to and not failed else "",
            size_bytes=0 if failed else len(text),
            digest="" if failed else hashlib.sha256(text.encode()).hexdigest(),
            verified=not failed,
            why="4 volunteers tried, and each took longer than the 1 h it may" if failed else "",
            generation=number * self.batch.generations // self.batch.units,
        )


def _fails(number: int) -> bool:
    return number % 97 == 13


class FakeGridWork:
    """Two projects: "primes" with a batch that runs, and "wind", which is closed. What is submitted is computed at `pace`."""

    def __init__(self, pace: float, *, fresh: bool = False) -> None:
        self._grid_pace = pace
        self._my_projects: dict[str, grid.MyProject] = {}
        self._runs: dict[int, _Run] = {}
        self._teams = {} if fresh else {one.key: one for one in _some_teams()}
        if fresh:
            return
        apps = [_app("trial", 2), _app("trial", 1, retired=True), _app("tile", 1, abi="command")]
        self._my_projects[PRIMES] = grid.MyProject(
            id=PRIMES,
            name="primes",
            link=f"servent-project:{PRIMES}",
            about="Factors of Mersenne numbers",
            audience="everyone",
            created=time.time() - 9 * 86400,
            apps=apps,
            budget=10_000.0,
            bonus=0.0,
            ledger="magnet:?xt=urn:btmh:1220" + "66" * 32,
            ledger_entries=812,
            ledger_open=3,
            local=True,
        )
        self._my_projects[SECOND] = grid.MyProject(
            id=SECOND,
            name="wind",
            link=f"servent-project:{SECOND}",
            audience="network",
            network="home",
            created=time.time() - 90 * 86400,
            closed=True,
            apps=[_app("tile", 4)],
        )
        old = _batch(1, "tile/1", "first try", 40)
        self._runs[1] = _Run(msgspec.structs.replace(old, state="cancelled"), _inputs(40), 1.0, 12)
        self._runs[2] = _Run(
            _batch(2, "trial/2", "exponents 4000000 to 4002400", 2400), _inputs(2400), 1.5, 900
        )
        self._runs[3] = _Run(
            msgspec.structs.replace(
                _batch(3, "trial/2", "later", 300), state="paused", why="you paused it", budget=50.0
            ),
            _inputs(300),
            1.0,
        )
        melting = _batch(fake_chains.MOLECULES, "molecules/1", "argon melts", 3 * fake_chains.GENERATIONS)
        melting = msgspec.structs.replace(
            melting, generations=fake_chains.GENERATIONS, shows="trajectory", deadline=3600.0
        )
        inputs = [*fake_chains.CHAINS] * fake_chains.GENERATIONS
        self._runs[fake_chains.MOLECULES] = _Run(melting, inputs, 40.0, 13)
        listening = _batch(fake_sky.LISTEN, "listen/1", "three hours of the sky", fake_sky.PARTS)
        listening = msgspec.structs.replace(listening, shows="signals")
        parts = [f"part-{number:03}" for number in range(fake_sky.PARTS)]
        self._runs[fake_sky.LISTEN] = _Run(listening, parts, 30.0, 95)

    # -- projects

    def _project(self, text: str) -> grid.MyProject:
        return named(self._my_projects.values(), text, "`servent grid list` lists them.")

    def my_projects(self) -> list[grid.MyProject]:
        return [self.my_project(one) for one in self._my_projects]

    def my_project(self, project: str) -> grid.MyProject:
        found = self._project(project)
        runs = [run.view() for run in self._runs.values() if run.batch.project == found.id]
        done = sum(run.done for run in runs)
        errors = sum(run.errors for run in runs)
        cancelled = sum(run.cancelled for run in runs)
        units = sum(run.units for run in runs)
        moving = any(run.state == "running" for run in runs) and not (found.paused or found.closed)
        left = units - done - errors - cancelled
        running = min(left, 24) if moving else 0
        checking = min(left - running, 9) if moving else 0
        return msgspec.structs.replace(
            found,
            units=units,
            by_state={
                "waiting": left - running - checking,
                "running": running,
                "checking": checking,
                "done": done,
                "error": errors,
                "cancelled": cancelled,
            },
            throughput=40.0 if moving else 0.0,
            eta=max((run.eta or 0.0 for run in runs), default=0.0) if moving else None,
            hosts=len(HOSTS) if units else 0,
            hosts_now=4 if moving else 0,
            redundancy=1.18 if done else 0.0,
            errors=errors,
            invalid=2 if done else 0,
            spent=round(done * 0.21, 2),
            promised=round(left * 0.21, 2),
            why="closed: nothing is handed out any more"
            if found.closed
            else "paused by you"
            if found.paused
            else "",
        )

    async def create_project(self, new: grid.NewProject) -> grid.MyProject:
        if new.audience == "network" and not new.network:
            raise UsageError("it is for a network, and names none", advice="Give `--network NAME`.")
        key = str(Identity(hashlib.sha256(f"{new.name} {len(self._my_projects)}".encode()).digest()).peer)
        self._my_projects[key] = grid.MyProject(
            id=key,
            link=f"servent-project:{key}",
            created=time.time(),
            **{
                name: getattr(new, name)
                for name in ("name", "about", "url", "audience", "network", "bonus", "budget", "local")
            },
        )
        return self.my_project(key)

    async def change_project(self, project: str, change: grid.ProjectChange) -> grid.MyProject:
        found = self._project(project)
        given = {key: value for key, value in msgspec.to_builtins(change).items() if value is not None}
        if found.closed and given:
            raise UsageError(f"{found.name} is closed for good", advice="Make another.")
        if change.budget == 0:
            given["budget"] = None
        self._my_projects[found.id] = msgspec.structs.replace(found, **given)
        return self.my_project(found.id)

    async def remove_project(self, project: str) -> None:
        found = self._project(project)
        if not found.closed:
            raise UsageError(f"{found.name} is not closed", advice="Close it first: `servent grid close`.")
        del self._my_projects[found.id]

    async def invite_volunteer(self, project: str, uses: int) -> grid.GridInvite:
        return grid.GridInvite(link=f"{self._project(project).link}?invitation=for-{uses}")

    async def add_app(self, project: str, new: grid.NewApp) -> grid.GridApp:
        found = self._project(project)
        data = await asyncio.to_thread(Path(new.module).read_bytes)
        if data[:4] != b"\0asm":
            raise UsageError(
                f"{Path(new.module).name} is no WebAssembly module: it does not begin with \\0asm",
                advice="`servent grid build FILE.c` makes one.",
            )
        version = 1 + max((one.version for one in found.apps if one.name == new.name), default=0)
        made = _app(
            new.name, version, abi=new.abi, quorum=new.quorum, about=new.about, compare=new.compare,
            operations=new.operations or 2.4e9, seconds=new.seconds, memory_bytes=new.memory_bytes,
            output_bytes=new.output_bytes, module_bytes=len(data), created=time.time(),
        )  # fmt: skip
        self._my_projects[found.id] = msgspec.structs.replace(found, apps=[made, *found.apps])
        return made

    def _app_of(self, found: grid.MyProject, text: str) -> grid.GridApp:
        rows = [
            one for one in found.apps if text in (one.id, f"{one.name}/{one.version}")
        ] or [one for one in found.apps if text == one.name and not one.retired]  # fmt: skip
        if not rows:
            raise NotFound(
                f"{found.name} has no app {text[:80]!r}", advice="`servent grid app list` lists them."
            )
        return max(rows, key=lambda one: one.version)

    async def retire_app(self, project: str, app: str) -> None:
        found = self._project(project)
        gone = self._app_of(found, app)
        now = [msgspec.structs.replace(one, retired=True) if one is gone else one for one in found.apps]
        self._my_projects[found.id] = msgspec.structs.replace(found, apps=now)

    # -- batches

    async def submit(self, project: str, batch: grid.NewBatch) -> grid.Batch:
        found = self._project(project)
        if found.closed:
            raise UsageError(f"{found.name} is closed for good", advice="Make another.")
        app = self._app_of(found, batch.app)
        inputs = [*batch.items]
        for path in map(Path, batch.paths):
            inputs += [path.name] if path.is_file() else sorted(one.name for one in path.iterdir())
        if batch.lines:
            inputs += await asyncio.to_thread(lambda: Path(batch.lines).read_text().splitlines())
        inputs = (inputs or [""]) * min(batch.repeat, 100_000) * min(batch.generations, 100_000)
        number = 1 + max(self._runs, default=0)
        made = msgspec.structs.replace(
            _batch(number, f"{app.name}/{app.version}", batch.title, len(inputs), found),
            priority=batch.priority,
            deadline=batch.deadline,
            budget=batch.budget,
            to=batch.to,
            generations=batch.generations,
        )
        self._runs[number] = _Run(made, inputs, A_RESULT_TAKES * self._grid_pace)
        return self._runs[number].view()

    def _run(self, batch: int) -> _Run:
        if batch not in self._runs:
            raise NotFound(f"there is no batch {batch}", advice="`servent grid batches` lists them.")
        return self._runs[batch]

    def batches(self, project: str = "") -> list[grid.Batch]:
        wanted = self._project(project).id if project else ""
        runs = [run for run in self._runs.values() if wanted in ("", run.batch.project)]
        return [run.view() for run in reversed(runs)]

    def batch(self, batch: int) -> grid.Batch:
        return self._run(batch).view()

    async def change_batch(self, batch: int, change: grid.BatchChange) -> grid.Batch:
        run = self._run(batch)
        given = {key: value for key, value in msgspec.to_builtins(change).items() if value is not None}
        if (paused := given.pop("paused", None)) is not None:
            given |= {"state": "paused" if paused else "running", "why": "paused by you" if paused else ""}
        run.turn(**given)
        return run.view()

    async def cancel_batch(self, batch: int) -> grid.Batch:
        run = self._run(batch)
        if run.view().state in ("running", "paused"):
            run.turn(state="cancelled")
        return run.view()

    async def forget_batch(self, batch: int) -> None:
        if self._run(batch).view().state in ("running", "paused"):
            raise UsageError(f"batch {batch} is not over", advice="Cancel it first.")
        del self._runs[batch]

    async def batch_results(self, batch: int, query: grid.ResultsQuery) -> grid.Results:
        run = self._run(batch)
        until = time.monotonic() + query.wait
        while run.done() <= query.after and time.monotonic() < until and run.view().state == "running":
            await asyncio.sleep(0.02)
        last = min(run.done(), query.after + query.limit)
        rows = [run.result(number) for number in range(query.after, last)]
        return grid.Results(
            results=rows, ended=run.view().state in ("done", "cancelled") and last == run.done()
        )

    async def result_file(self, batch: int, number: int) -> bytes:
        run = self._run(batch)
        if number >= run.done() or _fails(number):
            raise NotFound(f"unit {number} of batch {batch} has no result")
        return (run.result(number).output or "").encode()

    async def batch_chains(self, batch: int, query: chains.ChainsQuery) -> chains.ChainPage:
        return fake_chains.page(self, batch, query, HOSTS, NAMES)

    async def trajectory(self, batch: int, chain: int) -> chains.Trajectory:
        return fake_chains.trajectory(self, batch, chain)

    async def frames(self, batch: int, unit: int, query: chains.FramesQuery) -> bytes:
        return fake_chains.frames(self, batch, unit, query)

    async def sky(self, batch: int, query: sky.SkyQuery) -> sky.Sky:
        return fake_sky.found(self.batch(batch), query)

    async def collect_results(self, batch: int, to: str) -> credit.Exported:
        run = self._run(batch)
        Path(to).mkdir(parents=True, exist_ok=True)
        files = []
        for number in range(run.done()):
            if not _fails(number):
                target = Path(to) / f"{number:06d}.out"
                target.write_bytes(await self.result_file(batch, number))
                files.append(str(target))
        return credit.Exported(files=files)

    # -- looks

    async def units(self, project: str, query: grid.UnitsQuery) -> grid.UnitPage:
        found = self._project(project)
        rows: list[grid.UnitView] = []
        for number, run in sorted(self._runs.items()):
            if run.batch.project != found.id or query.batch not in (0, number):
                continue
            done = run.done()
            rows += [self._unit(number, run, at, done) for at in range(run.batch.units)]
        rows = [one for one in rows if one.id > query.after and query.state in ("", one.state)]
        return grid.UnitPage(units=rows[: query.limit], more=len(rows) > query.limit)

    def _unit(self, number: int, run: _Run, at: int, done: int) -> grid.UnitView:
        now = time.time()
        moving = run.view().state == "running"
        state: grid.UnitState = (
            ("error" if _fails(at) else "done") if at < done
            else "cancelled" if run.batch.state == "cancelled"
            else "running" if moving and at < done + 24
            else "checking" if moving and at < done + 33
            else "waiting"
        )  # fmt: skip
        who = at % len(HOSTS)
        part = round((now / 20 + at * 0.13) % 1.0, 3)
        copies = {
            "running": [grid.CopyView(peer=HOSTS[who], peer_name=NAMES[who], state="leased", leased=now - 60, until=now + 3600, fraction=part)],
            "done": [grid.CopyView(peer=HOSTS[who], peer_name=NAMES[who], state="valid", seconds=31.5, credit=0.21)],
            "checking": [
                grid.CopyView(peer=HOSTS[who], peer_name=NAMES[who], state="returned", seconds=30.2),
                grid.CopyView(peer=HOSTS[who - 1], peer_name=NAMES[who - 1], state="leased", until=now + 3600, fraction=part),
            ],
            "error": [grid.CopyView(peer=HOSTS[who], peer_name=NAMES[who], state="failed", words="it took longer than the 1 h it may")] * 4,
        }.get(state, [])  # fmt: skip
        return grid.UnitView(
            id=number * 100_000 + at,
            name=f"{number:04x}{at:08x}ab9c",
            batch=number,
            number=at,
            input=run.inputs[at],
            state=state,
            copies=copies,
            fraction=part if state == "running" else None,
            operations=9.1e10,
            why={
                "error": "4 volunteers failed with it",
                "checking": "waits for a second result to agree",
            }.get(state, ""),
        )

    async def volunteers(self, project: str) -> list[grid.Volunteer]:
        if not self.my_project(project).hosts:
            return []
        now = time.time()
        return [
            grid.Volunteer(
                peer=peer,
                name=NAMES[at],
                team="night owls" if at % 2 else "",
                connected=at < 4,
                seen=now - 30 - 4000 * max(0, at - 3),
                cores=2 + at,
                mflops=1800.0 + 350 * at,
                leased=3 if at < 4 else 0,
                valid=410 - 60 * at,
                invalid=2 if at == 5 else 0,
                errors=at,
                expired=1 if at == 4 else 0,
                trusted=["trial/2"] if at < 3 else [],
                left=1000 - 190 * at,
                credit=86.1 - 12 * at,
                recent=9.4 - at,
            )
            for at, peer in enumerate(HOSTS)
        ]

    def throughput(self, project: str) -> grid.Throughput:
        if not self.my_project(project).units:
            return grid.Throughput(step=60.0)
        minute = int(time.time() // 60)
        done = [
            38 + (minute - ago) * 7 % 11 - (20 if (minute - ago) % 37 < 4 else 0)
            for ago in range(119, -1, -1)
        ]
        return grid.Throughput(
            step=60.0, done=done, errors=[int((minute - ago) % 29 == 3) for ago in range(119, -1, -1)]
        )

    async def grid_problems(self, project: str) -> list[grid.ProblemCount]:
        if not self.my_project(project).errors:
            return []
        now = time.time()
        return [
            grid.ProblemCount(outcome="time", words="it took longer than the 1 h it may", count=36, last=now - 400, app="trial/2", hosts=5),
            grid.ProblemCount(outcome="trap", words="it read memory it does not have: line 1 \x1b[31mof stderr", count=4, last=now - 9000, app="tile/1", hosts=2),
        ]  # fmt: skip

    # -- credit

    async def leaderboard(self, project: str, query: credit.BoardQuery) -> credit.Leaderboard:
        known = {"primes": PRIMES, "folding": FOLDING, PRIMES: PRIMES, FOLDING: FOLDING}
        if project not in known and not any(
            project in (one.id, one.name) for one in self._my_projects.values()
        ):
            raise NotFound(
                f"no project here is called {project[:80]!r}", advice="`servent grid projects` lists them."
            )
        part = {"day": 0.02, "week": 0.13, "all": 1.0}[query.span]
        names = NAMES if query.board == "people" else ["night owls", "early birds"]
        rows = [
            credit.Standing(
                rank=at + 1,
                key=HOSTS[at],
                name=name,
                team="night owls" if query.board == "people" and at % 2 else "",
                credit=round((4200.0 - 633 * at) * part, 2),
                recent=round(63.0 - 9 * at, 1),
                results=int((900 - 130 * at) * part),
                me=query.board == "people" and at == 2,
            )
            for at, name in enumerate(names)
        ]
        return credit.Leaderboard(
            project=known.get(project) or project,
            project_name=project if project in ("primes", "folding") else "primes",
            board=query.board,
            span=query.span,
            standings=rows[query.offset : query.offset + query.limit],
            rows=len(rows),
            as_of=time.time() - 240,
        )

    async def audit(self, request: credit.AuditRequest) -> credit.Audit:
        if "none" in request.link:
            raise NotFound("nobody who is reached has this ledger")
        bad = "bad" in request.link
        board = await self.leaderboard("primes", credit.BoardQuery())
        checks = [
            credit.AuditCheck(what="the chain of entries", ok=True, words="812 entries, each names the one before"),
            credit.AuditCheck(what="signatures of the project", ok=True, words="812 of 812"),
            credit.AuditCheck(what="signatures of the workers", ok=not bad, words="entry 401: signed by nobody it names" if bad else "809 of 812; 3 wait"),
            credit.AuditCheck(what="sums", ok=True, words="each entry adds up"),
            credit.AuditCheck(what="no unit credited twice", ok=True, words="9,744 results"),
        ]  # fmt: skip
        return credit.Audit(
            ok=not bad,
            project=PRIMES,
            project_name="primes",
            entries=812,
            countersigned=809,
            open=3,
            results=9744,
            credit=2046.2,
            workers=6,
            first=time.time() - 9 * 86400,
            last=time.time() - 240,
            head="9f" * 32,
            checks=checks,
            standings=board.standings,
            seconds=0.41,
        )

    async def export_statistics(self, project: str, request: credit.ExportRequest) -> credit.Exported:
        self._project(project)
        folder = Path(request.to)
        folder.mkdir(parents=True, exist_ok=True)
        files = []
        for name in ("tables.xml", "user.gz", "team.gz", "host.gz"):
            (folder / name).write_bytes(b'<?xml version="1.0"?>\n')
            files.append(str(folder / name))
        return credit.Exported(files=files)

    def teams(self) -> list[credit.Team]:
        return list(self._teams.values())

    def _team(self, text: str) -> credit.Team:
        for one in self._teams.values():
            if text in (one.key, one.name):
                return one
        raise NotFound(f"no team here is called {text[:64]!r}", advice="`servent grid team list` lists them.")

    async def create_team(self, new: credit.NewTeam) -> credit.Team:
        key = str(Identity(hashlib.sha256(new.name.encode()).digest()).peer)
        self._teams[key] = credit.Team(key=key, name=new.name, mine=True, member=True, members=1)
        return self._teams[key]

    async def invite_to_team(self, team: str, peer: str) -> grid.GridInvite:
        found = self._team(team)
        if not found.mine:
            raise UsageError(f"the key of {found.name} is not here", advice="Ask who founded it.")
        return grid.GridInvite(link=f"servent:team-{found.key[:8]}-{peer[:8]}")

    async def join_team(self, request: credit.TeamJoin) -> credit.Team:
        if not request.ticket.startswith("servent:team-"):
            raise UsageError("this is no ticket of a team", advice="It begins with servent:")
        made = credit.Team(
            key=HOSTS[4], name="early birds", member=True, members=12, expires=time.time() + 3e7
        )
        self._teams[made.key] = made
        return made

    async def leave_team(self, team: str) -> None:
        del self._teams[self._team(team).key]

    async def balances(self, network: str) -> list[credit.Balance]:
        if network not in ("", "home", "ab" * 16):
            raise NotFound(
                f"this node is in no network {network[:64]!r}", advice="`servent network ls` lists them."
            )
        return [
            credit.Balance(peer=HOSTS[0], name="ann", network="home", earned=812.4, spent=40.0, balance=772.4),
            credit.Balance(peer=HOSTS[1], name="me", network="home", earned=180.6, spent=150.0, balance=30.6, me=True),
            credit.Balance(peer=HOSTS[2], name="carl", network="home", earned=2.0, spent=805.0, balance=-803.0),
        ]  # fmt: skip


def _app(name: str, version: int, **more: object) -> grid.GridApp:
    digest = hashlib.sha256(f"{name}/{version}".encode()).hexdigest()
    base = grid.GridApp(
        id=digest,
        name=name,
        version=version,
        abi="slice",
        operations=9.1e10,
        seconds=3600.0,
        memory_bytes=256 * 1024**2,
        output_bytes=1024**2,
        checkpoint_bytes=64 * 1024**2,
        module_bytes=21_400,
        module="magnet:?xt=urn:btmh:1220" + digest,
        created=time.time() - 86400.0 * version,
    )
    return msgspec.structs.replace(base, **more)


def _batch(
    number: int, app: str, title: str, units: int, project: grid.MyProject | None = None
) -> grid.Batch:
    return grid.Batch(
        id=str(number),
        project=project.id if project else PRIMES,
        project_name=project.name if project else "primes",
        app=app,
        title=title,
        created=time.time() - 3600.0,
        units=units,
        deadline=86400.0,
    )


def _inputs(count: int) -> list[str]:
    return [f"exponent-{4_000_000 + number}.txt" for number in range(count)]


def _some_teams() -> list[credit.Team]:
    return [
        credit.Team(key=HOSTS[3], name="night owls", member=True, members=5, expires=time.time() + 2e7),
        credit.Team(key=HOSTS[5], name="founders", mine=True, member=True, members=1),
    ]
