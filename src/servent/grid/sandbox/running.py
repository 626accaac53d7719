"""One job in the sandbox, from its module to its end: input in, result out, snapshots between. Runs in the child's thread for modules."""

from __future__ import annotations

import hashlib
import io
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast, get_args

from msgspec import structs

from servent.errors import BadMessage
from servent.grid.manifests import MODULE_BYTES, PAGE, Limits
from servent.grid.pictures import PICTURE_BYTES
from servent.grid.sandbox import belts, snapshots
from servent.grid.sandbox.control import Control, Suspended
from servent.grid.sandbox.engine import Compiled, Engine, Halted, Instance
from servent.grid.sandbox.jobs import PYTHON_COMPILING, Check, Ended, Heard, Job, Moving, Pictured, Saved
from servent.grid.sandbox.modules import printable
from servent.grid.sandbox.saving import Saving
from servent.grid.sandbox.wasi import Exit, Outside, TooMuch, World
from servent.grid.sandbox.wasi2 import World as PythonWorld
from servent.grid.wire import Outcome

WORDS = 1000  # characters, as in `jobs.Ended`
SAID = 400  # characters of stderr in them
CHUNK = 1024 * 1024
PYTHON_INPUT = 256 * 1024 * 1024  # bytes; it lies in the memory of this process, too
COMPILED_ROOM = 256 * 1024 * 1024  # bytes of one file, however small results are: of compiled code


if TYPE_CHECKING:
    from servent.grid.sandbox.components_engine import Python, PythonEngine


class Sink:
    """Takes a result: in memory while it is small, in a file of the job's folder when it is not."""

    def __init__(self, path: str, inline: int, most: int) -> None:
        self._path, self._inline, self._most = path, inline, most
        self._digest = hashlib.sha256()
        self._head = bytearray()
        self._file: BinaryIO | None = None
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        """Raises TooMuch beyond what the manifest allows."""
        self.size += len(data)
        if self.size > self._most:
            raise TooMuch(f"its result has more than the {self._most} bytes that it may have")
        self._digest.update(data)
        if self._file is None and len(self._head) + len(data) > max(self._inline, CHUNK):
            self._spill()
        if self._file is None:
            self._head += data
        else:
            self._file.write(data)

    def _spill(self) -> None:
        self._file = open(self._path, "wb")  # noqa: SIM115 - `close` and `drop` close it
        self._file.write(self._head)
        self._head.clear()

    def close(self) -> tuple[bytes, bytes, str]:
        """(digest, the result or nothing, path of the result or nothing)."""
        if self._file is None and len(self._head) > self._inline:
            self._spill()
        if self._file is None:
            return self._digest.digest(), bytes(self._head), ""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._digest.digest(), b"", self._path

    def drop(self) -> None:
        if self._file is not None:
            self._file.close()
            Path(self._path).unlink(missing_ok=True)


class Runner:
    """Runs jobs, one after the other.

    Args:
        folder: of compiled modules.
        tell: takes what the node is to hear.
        compiling: s of a core that compiling a module may take.
    """

    def __init__(
        self, folder: Path, control: Control, tell: Callable[[Heard], None], compiling: float
    ) -> None:
        self._folder, self._control, self._tell = folder, control, tell
        self._compiling = compiling
        self._limited: tuple[int, float, int] = (0, 0.0, 0)
        self._limited_at = 0.0
        self._engines: dict[bool, Engine] = {}
        self._pythons: dict[bool, PythonEngine] = {}
        self._world: World | None = None
        self._sliced = False

    def tick(self) -> None:
        """From another thread, every few hundredths of a second."""
        for engine in tuple(self._engines.values()):
            engine.tick()
        for python in tuple(self._pythons.values()):
            python.tick()

    def run(self, job: Job | Check) -> Ended:
        """Never raises for what a module does."""
        run = _Run(job) if isinstance(job, Job) else None
        try:
            self._control.begin(job.number)
            compiled = self._load(job)
            if run is None:
                return Ended(number=job.number, outcome="done")
            return self._job(cast(Job, job), compiled, run)
        except Suspended:
            ended = Ended(number=job.number, outcome="lost", words="suspended", suspended=True)
        except Halted as why:
            ended = Ended(number=job.number, outcome=_outcome(why.outcome), words=why.words)
        except Exit as exit:
            ended = Ended(number=job.number, outcome="exit", words=f"it ended itself with code {exit.code}")
        except TooMuch as why_much:
            ended = Ended(number=job.number, outcome="output", words=str(why_much))
        except Outside:
            ended = Ended(
                number=job.number, outcome="trap", words="it named a place that is not in its memory"
            )
        except BadMessage as damaged:
            ended = Ended(number=job.number, outcome="checkpoint", words=str(damaged))
        except MemoryError:
            ended = Ended(number=job.number, outcome="memory", words="this machine has no room for it")
        except OSError as trouble:
            ended = Ended(
                number=job.number,
                outcome="input" if trouble.filename in _inputs(job) else "lost",
                words=f"a file cannot be used here: {trouble.strerror}",
            )
        finally:
            self._control.over()
        if run is not None:
            run.done = False
        return self._finished(ended, run)

    # -- parts

    def _limit(self, limits: Limits, seconds: float) -> None:
        """The kernel's limits; left as they are for one short job after the other."""
        files = max(limits.output_bytes, limits.checkpoint_bytes) + COMPILED_ROOM
        wanted, now = (limits.memory_bytes, seconds, files), time.process_time()
        if wanted != self._limited or now - self._limited_at > 1.0:
            belts.limit_job(*wanted)
            self._limited, self._limited_at = wanted, now

    def _engine(self, canonical: bool) -> Engine:
        engine = self._engines.get(canonical)
        if engine is None:
            engine = self._engines[canonical] = Engine(
                self._folder, self._on_tick, self._on_call, canonical_nans=canonical
            )
        return engine

    def _on_tick(self) -> None:
        if self._sliced:
            self._control.tick()
        else:
            self._control.command_tick()

    def _on_call(self, name: str, arguments: list[int]) -> int:
        assert self._world is not None
        return self._world.call(name, arguments)

    def _python(self, canonical: bool) -> PythonEngine:
        engine = self._pythons.get(canonical)
        if engine is None:
            from servent.grid.sandbox.components_engine import PythonEngine

            engine = PythonEngine(self._folder, self._on_tick, canonical_nans=canonical)
            self._pythons[canonical] = engine
        return engine

    def _load(self, job: Job | Check) -> Compiled | Python:
        def read() -> bytes:
            return _file(job.module, MODULE_BYTES)

        compiled: Compiled | Python
        if job.abi == "python":
            python = self._python(job.canonical_nans)
            if not (known := python.has(job.digest)):
                self._limit(job.limits, self._compiling * PYTHON_COMPILING)
            compiled = python.load(job.digest, read)
        else:
            engine = self._engine(job.canonical_nans)
            if not (known := engine.has(job.digest, job.abi)):
                self._limit(job.limits, self._compiling)
            compiled = engine.load(job.digest, job.abi, job.limits, read)
        if not known and isinstance(job, Job):
            self._tell(Moving(number=job.number, slices=job.resume_slices, seconds=0.0))
        return compiled

    def _job(self, job: Job, compiled: Compiled | Python, run: _Run) -> Ended:
        run.open()
        self._limit(job.limits, job.budget * 1.25 + belts.SLACK)
        self._sliced = job.abi == "slice"
        run.slices = job.resume_slices
        self._control.budget(job.budget, lambda: self._say(run))
        if not isinstance(compiled, Compiled):
            return self._python_job(job, compiled, run)
        world = World(job.args, job.seed, run.source.read, run.sink.write, job.limits.output_bytes)
        self._world = run.world = world
        run.instance = instance = Instance(self._engine(job.canonical_nans), compiled, job.limits)
        world.memory = instance
        try:
            if job.abi == "command":
                instance.call("_start")
            else:
                self._slices(job, run)
        except Exit as exit:
            if exit.code or job.abi != "command":
                raise
        if self._sliced and run.suspended:
            raise Suspended
        run.done = True
        return self._finished(Ended(number=job.number, outcome="done"), run)

    def _python_job(self, job: Job, app: Python, run: _Run) -> Ended:
        given = run.source.read(PYTHON_INPUT + 1)
        if len(given) > PYTHON_INPUT:
            raise Halted("input", f"its input has more than the {PYTHON_INPUT} bytes that a Python app takes")
        run.printing = world = PythonWorld(job.seed)
        run.sink.write(self._python(job.canonical_nans).run(app, job.limits, job.args, given, world))
        run.done = True
        return self._finished(Ended(number=job.number, outcome="done"), run)

    def _slices(self, job: Job, run: _Run) -> None:
        instance, control = run.instance, self._control
        assert instance is not None
        if job.resume:
            self._resume(job, run)
        else:
            if instance.exports("_initialize"):
                instance.call("_initialize")
            size = run.size
            at = instance.call("alloc", (size,), "i32") & 0xFFFFFFFF
            if at == 0 and size:
                raise Halted("memory", f"it has no room for its input of {size} bytes")
            _pour(run.source, instance, at, size, control.tick)
            if code := instance.call("begin", (at, size), "i32"):
                raise Exit(code)
        saving = Saving(job.checkpoint_every, instance.size, time.monotonic())
        while (more := instance.call("slice", (), "i32")) > 0:
            run.slices += 1
            if run.slices >= job.most_slices:
                raise Halted("time", f"it is not done after the {job.most_slices} slices that it may have")
            run.fraction = self._fraction(instance)
            self._picture(instance, run)
            if control.wants_end():
                run.suspended = True
                self._save(job, run)
                return
            if saving.due(began := time.monotonic()):
                size = self._save(job, run)
                saving.saved(began, time.monotonic(), size)
        run.slices += 1
        if more < 0:
            raise Exit(more)
        packed = instance.call("result", (), "i64") & 0xFFFFFFFFFFFFFFFF
        at, size = packed >> 32, packed & 0xFFFFFFFF
        if size > job.limits.output_bytes:
            raise TooMuch(
                f"its result has {size} bytes, more than the {job.limits.output_bytes} that it may have"
            )
        run.sink.write(instance.view(at, size))

    def _fraction(self, instance: Instance) -> float | None:
        if not instance.exports("fraction"):
            return None
        said = float(instance.call("fraction", (), "f64"))
        return None if math.isnan(said) else min(1.0, max(0.0, said))

    def _picture(self, instance: Instance, run: _Run) -> None:
        """It is asked for always and copied only where somebody looks, so that looking changes nothing of the unit."""
        if not instance.exports("picture"):
            return
        packed = instance.call("picture", (), "i64") & 0xFFFFFFFFFFFFFFFF
        if not self._control.shows():
            return
        at, size = packed >> 32, packed & 0xFFFFFFFF
        try:
            said = bytes(instance.view(at, size)) if size <= PICTURE_BYTES else b""
        except Outside:
            said = b""
        self._tell(Pictured(number=run.job.number, slices=run.slices, picture=said))

    def _resume(self, job: Job, run: _Run) -> None:
        instance, world = run.instance, run.world
        assert instance is not None and world is not None
        most = max(job.limits.checkpoint_bytes, 1)
        kept = _file(job.resume, most, "checkpoint")
        head = snapshots.head_of(
            kept, module=job.digest, unit=run.unit, most_pages=job.limits.memory_bytes // PAGE
        )
        if job.resume_digest and snapshots.digest_of(kept) != job.resume_digest:
            raise BadMessage("a snapshot of another state than was told of")
        if head.slices != job.resume_slices:
            raise BadMessage(f"a snapshot after {head.slices} slices, not {job.resume_slices}")
        instance.grow_to(head.pages)
        # What the fresh instance holds there, data segments above all, gives way to what the snapshot has: also to zeros.
        full = instance.view(0, instance.size)
        for page in range(head.pages):
            if not head.filled[page // 8] >> (page % 8) & 1:
                full[page * PAGE : (page + 1) * PAGE] = _ZEROS
        for page, data in snapshots.unpack(kept, head):
            if page % snapshots.PAGES_A_TICK == 0:
                self._control.tick()
            full[page * PAGE : (page + 1) * PAGE] = data
        full.release()
        instance.set_globals(head.globals)
        world.clock, world.rolls = head.clock, head.rolls
        run.slices, run.fraction = head.slices, head.fraction

    def _save(self, job: Job, run: _Run) -> int:
        """A snapshot in the job's folder, of so many bytes; none, and 0, where it would be too large for its app, and the job goes on."""
        instance, world = run.instance, run.world
        assert instance is not None and world is not None
        if not job.limits.checkpoint_bytes:
            return 0
        memory = instance.view(0, instance.size)
        try:
            packed, digest = snapshots.pack(
                memory,
                module=job.digest,
                unit=run.unit,
                slices=run.slices,
                globals=instance.globals(),
                clock=world.clock,
                rolls=world.rolls,
                fraction=run.fraction,
                most=job.limits.checkpoint_bytes,
                tick=self._control.tick,
            )
        except snapshots.TooLarge as why:
            run.note = str(why)
            return 0
        finally:
            memory.release()
        path = Path(job.folder) / f"{job.number}-{run.slices}.snapshot"
        waiting = path.with_suffix(".part")
        with waiting.open("wb") as file:
            file.write(packed)
            file.flush()
            os.fsync(file.fileno())
        waiting.replace(path)
        self._tell(
            Saved(
                number=job.number,
                path=str(path),
                slices=run.slices,
                digest=digest,
                size=len(packed),
                fraction=run.fraction,
                suspended=run.suspended,
            )
        )
        return len(packed)

    def _say(self, run: _Run) -> None:
        self._tell(
            Moving(
                number=run.job.number,
                slices=run.slices,
                seconds=self._control.seconds,
                fraction=run.fraction,
                memory_bytes=run.instance.size if run.instance else 0,
                pictures=self._sliced and run.instance is not None and run.instance.exports("picture"),
            )
        )

    def _finished(self, ended: Ended, run: _Run | None) -> Ended:
        """With what there is to say of the run; everything of it is let go."""
        self._world = None
        if run is None:
            return structs.replace(ended, words=printable(ended.words)[:WORDS])
        memory = run.instance.size if run.instance else 0
        if run.instance:
            run.instance.close()
        run.close()
        digest, output, path = run.sink.close() if run.done else (b"", b"", "")
        if not run.done:
            run.sink.drop()
        outcome, words = ended.outcome, ended.words
        if outcome in ("trap", "exit") and memory * 2 > run.job.limits.memory_bytes:
            outcome = "memory"
            words += f"; it held {memory >> 20} of the {run.job.limits.memory_bytes >> 20} MiB of memory that it may have"
        if words and run.note:
            words += f"; {run.note}"
        printed = run.world.stderr if run.world else run.printing.printed if run.printing else b""
        said = printed.decode(errors="replace").strip() if words else ""
        if said and not ended.suspended:
            words += "; it said: " + " ".join(said[-SAID:].split())
        return Ended(
            number=ended.number,
            outcome=outcome,
            digest=digest,
            output=output,
            output_path=path,
            size=run.sink.size if run.done else 0,
            seconds=self._control.seconds if run.instance or run.printing else 0.0,
            slices=run.slices,
            memory_bytes=memory,
            words=printable(words)[:WORDS],
            suspended=ended.suspended,
        )


class _Run:
    """What belongs to one job while it runs."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.instance: Instance | None = None
        self.world: World | None = None
        self.printing: PythonWorld | None = None  # what a Python app sees, in place of `instance` and `world`
        self.sink = Sink(f"{job.folder}/{job.number}.output", job.inline_bytes, job.limits.output_bytes)
        self.slices = 0
        self.fraction: float | None = None
        self.suspended = False
        self.done = False
        self.note = ""
        self.source: BinaryIO = io.BytesIO()
        self.size = 0
        self._unit = b""

    def open(self) -> None:
        if self.job.stdin_path:
            self.source = open(self.job.stdin_path, "rb")  # noqa: SIM115 - `close` closes it
            self.size = os.fstat(self.source.fileno()).st_size
            if self.size >= 2**32:
                raise Halted("input", "its input is larger than what a module can hold")
        else:
            self.source = io.BytesIO(self.job.stdin)
            self.size = len(self.job.stdin)

    @property
    def unit(self) -> bytes:
        """What snapshots of it belong to; see `snapshots.unit_of`."""
        if not self._unit:
            if self.job.stdin_path:
                with open(self.job.stdin_path, "rb") as file:
                    digest = hashlib.file_digest(file, "sha256").digest()
            else:
                digest = hashlib.sha256(self.job.stdin).digest()
            self._unit = snapshots.unit_of(self.job.seed, self.job.args, self.size, digest)
        return self._unit

    def close(self) -> None:
        self.source.close()


_ZEROS = bytes(PAGE)
_OUTCOMES = frozenset(get_args(Outcome))


def _outcome(said: str) -> Outcome:
    return cast(Outcome, said if said in _OUTCOMES else "trap")


def _inputs(job: Job | Check) -> tuple[str, ...]:
    return (job.module, job.stdin_path, job.resume) if isinstance(job, Job) else (job.module,)


def _file(path: str, most: int, outcome: str = "input") -> bytes:
    """Raises Halted where it is longer."""
    with open(path, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise Halted(outcome, f"a file has more than the {most} bytes that it may have")
    return data


def _pour(source: BinaryIO, instance: Instance, at: int, size: int, tick: Callable[[], None]) -> None:
    """The whole input into memory. Raises Outside where it does not fit, which `alloc` has promised."""
    end = at + size
    while at < end:
        data = source.read(min(CHUNK, end - at))
        if not data:
            raise Halted("input", "its input became shorter while it was read")
        instance.write(at, data)
        at += len(data)
        tick()
