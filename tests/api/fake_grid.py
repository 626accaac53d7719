"""The fake node's computing, the volunteer's side: a machine that lends, projects it joined, and what it did. Moves with the wall clock."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec

from servent.api import schema_credit as credit
from servent.api import schema_grid as grid
from servent.api import schema_pictures as pictures
from servent.api import schema_wasm as wasm
from servent.errors import NotFound, Refused, Unreachable, UsageError
from servent.identity import Identity
from tests.api import fake_pictures
from tests.api.fake_grid_work import FOLDING, PRIMES, FakeGridWork, named

SKY = str(Identity(b"\x52" * 32).peer)
FAR = str(Identity(b"\x53" * 32).peer)
MACHINE = 8  # cores
PRESETS = {
    "quiet": grid.Policy(cores=2, cpu_percent=50, idle_minutes=5.0, memory_percent=25),
    "when-idle": grid.Policy(cores=7),
    "everything": grid.Policy(cores=8, idle_minutes=0.0, memory_percent=80, on_battery=True),
}


class FakeGrid(FakeGridWork):
    """A machine of 8 cores that lends, joined to three projects: one works, one waits, one cannot be reached.

    Links that hold "refused" or "far" meet trouble. `fresh`: nothing is lent or joined.
    """

    def __init__(self, pace: float, *, fresh: bool = False) -> None:
        FakeGridWork.__init__(self, pace, fresh=fresh)
        self._lent_since = time.time()
        self._on = not fresh
        self._preset: grid.Preset = "when-idle"
        self._own = PRESETS["when-idle"]
        self._paused_until: float | None = 0.0  # None: until resumed
        self._joined = {} if fresh else {one.id: one for one in _some_joined()}
        self._log = [] if fresh else _some_log()

    # -- lending

    def _policy(self) -> grid.Policy:
        return self._own if self._preset == "own" else PRESETS[self._preset]

    def lending(self) -> grid.Lending:
        now = time.time()
        policy = self._policy()
        paused = self._paused_until is None or self._paused_until > now
        base = grid.Lending(
            on=self._on,
            preset=self._preset,
            policy=policy,
            machine_cores=MACHINE,
            machine_memory_bytes=16_000_000_000,
            mflops=2450.0,
            disk_used_bytes=213_000_000,
            today=round(41.3 + (now - self._lent_since) / 600, 2) if self._joined else 0.0,
            recent=63.2 if self._joined else 0.0,
            total=4182.6 if self._joined else 0.0,
            units_today=112 if self._joined else 0,
        )
        replace = msgspec.structs.replace
        if not self._on:
            return replace(base, why="lending is off")
        if paused:
            until = self._paused_until
            return replace(
                base, state="paused", by_person=True, paused_until=until,
                why="paused by you" + ("" if until is None else f" until {time.strftime('%H:%M', time.localtime(until))}"),
                slots=[replace(one, state="paused") for one in self._slots(policy.cores, now)],
                queued=9, queued_seconds=4100.0,
            )  # fmt: skip
        if not self._joined:
            return replace(
                base, state="idle", why="no project was joined yet; `servent grid join LINK` joins one"
            )
        slots = self._slots(policy.cores, now)
        why = f"lending {len(slots)} of {MACHINE} cores, because nobody used this machine for 12 min"
        return replace(
            base, state="working", why=why, slots=slots, queued=9, queued_seconds=4100.0, to_return=2
        )

    def _slots(self, cores: int, now: float) -> list[grid.Slot]:
        names = ["folding", "sky survey", "folding"]
        made = []
        for number in range(min(cores, 3)):
            lasts = 240.0 + 60 * number
            seconds = (now - self._lent_since + 90 * number) % lasts
            made.append(
                grid.Slot(
                    number=number,
                    state="running",
                    project=FOLDING if number != 1 else SKY,
                    project_name=names[number],
                    app="dynamics/3" if number != 1 else "chirps/1",
                    unit=f"{number + 1:02d}ab9c41f0de77",
                    fraction=round(seconds / lasts, 4),
                    slices=int(seconds * 4),
                    seconds=round(seconds, 1),
                    eta=round(lasts - seconds, 1),
                    memory_bytes=48_000_000,
                    checkpoint_age=round(seconds % 60, 1),
                    pictures=number == 1,
                )
            )
        return made

    def slot_picture(self, number: int, query: pictures.PictureQuery) -> pictures.SlotPicture:
        slot = next((one for one in self.lending().slots if one.number == number), None)
        if slot is not None and slot.state != "running":
            return pictures.SlotPicture(number=number)
        if slot is None:
            raise NotFound(
                f"nothing runs on core {number} now", advice="`servent grid status` shows what does."
            )
        serial = int((time.time() - self._lent_since) * 2) + 1
        fresh = serial != query.after and slot.pictures
        return pictures.SlotPicture(
            number=number,
            unit=slot.unit,
            serial=serial,
            picture=fake_pictures.picture(serial) if fresh else None,
        )

    async def change_lending(self, change: grid.LendChange) -> grid.Lending:
        given = {key: value for key, value in msgspec.to_builtins(change).items() if value is not None}
        own = {key: value for key, value in given.items() if key not in ("on", "preset")}
        if "hours" in own and any(not text.strip() for text in own["hours"]):
            raise UsageError("these hours are empty", advice="Write weekdays 22:00-07:00.")
        if change.on is not None:
            self._on = change.on
        if change.preset is not None:
            self._preset = change.preset
        if own:
            own["cores"] = own.get("cores", self._policy().cores) or MACHINE - 1
            self._own, self._preset = msgspec.structs.replace(self._policy(), **own), "own"
        return self.lending()

    async def pause_lending(self, pause: grid.GridPause) -> grid.Lending:
        self._paused_until = None if pause.seconds is None else time.time() + pause.seconds
        return self.lending()

    async def resume_lending(self) -> grid.Lending:
        self._paused_until = 0.0
        return self.lending()

    async def grid_log(self, query: grid.GridLogQuery) -> list[grid.GridLogEntry]:
        rows = [one for one in self._log if not query.before or one.seq < query.before]
        if query.project:
            rows = [one for one in rows if query.project in (one.project, one.project_name)]
        return rows[: query.limit]

    # -- joined

    def joined_projects(self) -> list[grid.JoinedProject]:
        return list(self._joined.values())

    async def look_at_project(self, request: credit.ProjectLink) -> credit.ProjectPreview:
        _meet(request.link)
        return credit.ProjectPreview(
            id=SKY, name="sky survey", about="Signals from far away", owner=SKY, owner_name="carl",
            audience="everyone", bonus=0.75, units=70_000, done=21_000,
        )  # fmt: skip

    async def join_project(self, request: grid.JoinProject) -> grid.JoinedProject:
        _meet(request.link)
        made = grid.JoinedProject(
            id=SKY,
            name="sky survey",
            about="Signals from far away",
            link=request.link,
            owner_name="carl",
            state="waiting",
            why="asks its coordinator for work",
            share=request.share,
            bonus=0.75,
            team=request.team,
            units=70_000,
            done=21_000,
        )
        self._joined[made.id] = made
        self._on = self._on or request.lend
        return made

    async def change_joined(self, project: str, change: grid.JoinedChange) -> grid.JoinedProject:
        found = named(self._joined.values(), project, "`servent grid projects` lists them.")
        given = {key: value for key, value in msgspec.to_builtins(change).items() if value is not None}
        paused = given.pop("paused", None)
        found = msgspec.structs.replace(found, **given)
        if paused is not None:
            found = msgspec.structs.replace(
                found, state="paused" if paused else "working", why="paused by you" if paused else ""
            )
        self._joined[found.id] = found
        return found

    async def leave_project(self, project: str) -> None:
        del self._joined[named(self._joined.values(), project, "`servent grid projects` lists them.").id]

    async def try_module(self, request: wasm.BuildRequest) -> wasm.TryOut:
        with Path(request.module).open("rb") as file:
            head = file.read(4)
        if head != b"\0asm" and not request.module.endswith(".wat"):
            return wasm.TryOut(outcome="module", words="it is no WebAssembly: it does not begin with \\0asm")
        if request.args == ["long"]:
            return wasm.TryOut(outcome="done", output="4" * 65536, size_bytes=74_400, digest="b5" * 32)
        return wasm.TryOut(
            outcome="done", output="42\n", size_bytes=3, digest="b5" * 32, seconds=0.004, memory_bytes=131_072
        )


def _some_joined() -> list[grid.JoinedProject]:
    now = time.time()
    working = grid.JoinedProject(
        id=FOLDING,
        name="folding",
        about="How small proteins fold",
        url="https://folding.example",
        link=f"servent-project:{FOLDING}",
        owner=FOLDING,
        owner_name="ann",
        state="working",
        share=100.0,
        team="night owls",
        units=12_000,
        done=8_310,
        eta=86_400.0 * 2.2,
        leased=7,
        returned=931,
        valid=902,
        invalid=1,
        errors=2,
        today=38.1,
        recent=60.0,
        total=4002.0,
        ledger="magnet:?xt=urn:btmh:1220" + "77" * 32,
    )
    replace = msgspec.structs.replace
    waits = replace(
        working, id=PRIMES, name="primes", about="", url="", owner_name="me", mine=True, state="waiting", team="",
        why="it has no work just now; asks again in 4 min", leased=0, valid=40, returned=40, today=3.2, recent=3.2,
        total=180.6, eta=None, units=2_400, done=2_400, invalid=0, errors=0, share=25.0,
    )  # fmt: skip
    away = replace(
        waits, id=FAR, name="weather \u202eevil", mine=False, owner_name="", state="unreachable", total=0.0, today=0.0, recent=0.0, valid=0,
        returned=3, done=0, units=0, ledger="", why=f"its coordinator was not reached since {time.strftime('%H:%M', time.localtime(now - 7200))}; tries again in 8 min",
    )  # fmt: skip
    return [working, waits, away]


def _some_log() -> list[grid.GridLogEntry]:
    now = time.time()
    rows = []
    kinds = [("unit", "done", 812.0, 0.0, ""), ("credit", "", 0.0, 4.1, "granted for 12 results"),
             ("pause", "", 0.0, 0.0, "somebody is at the keyboard"), ("resume", "", 0.0, 0.0, "nobody used this machine for 3 min"),
             ("unit", "memory", 31.0, 0.0, "it wanted more than the 256 MB it may have"), ("unit", "done", 790.5, 0.0, "")]  # fmt: skip
    for number in range(240):
        kind, outcome, seconds, granted, words = kinds[number % len(kinds)]
        about = kind in ("unit", "credit")
        rows.append(
            grid.GridLogEntry(
                seq=240 - number,
                at=now - 97 * number - 5,
                kind=kind,
                project=FOLDING if about else "",
                project_name="folding" if about else "",
                app="dynamics/3" if kind == "unit" else "",
                unit=f"{number:04x}ab9c41f0" if kind == "unit" else "",
                outcome=outcome,
                seconds=seconds,
                credit=granted,
                words=words,
            )
        )
    return rows


def _meet(link: str) -> None:
    if "refused" in link:
        raise Refused("this project takes only those it invited")
    if "far" in link:
        raise Unreachable("its coordinator", 15.0, ["direct", "relay"])
    if not link.startswith("servent-project:"):
        raise UsageError("this is no link of a project", advice="It begins with servent-project:")
