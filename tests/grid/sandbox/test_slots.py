"""Processes for lent cores: what they may do, how they are paced, suspended and ended, and that none outlives its node."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from msgspec.structs import replace

from servent.errors import ConnectionLost, UsageError
from servent.grid.sandbox import measuring, slots_service
from servent.grid.sandbox.control import Control
from servent.grid.sandbox.handing import AHEAD, SECONDS, Handing
from tests.grid.sandbox.rig import ECHO, LIMITS, Rig, counts, module

LOOP = module('(module (memory (export "memory") 1) (func (export "_start") (loop $l (br $l))))')
LONG = counts(500_000)  # a slice takes a millisecond or two
MEASURE = """(module (memory (export "memory") 1) (func (export "_start") (local $n i32) LOCALS (local $m v128)
  (local.set $m (v128.const f32x4 0.999 0.998 0.997 0.996))
  (local.set $n (i32.const 10000000))
  (loop $l SUMS (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
  (v128.store (i32.const 0) (f32x4.add
    (f32x4.add (f32x4.add (local.get $a) (local.get $b)) (f32x4.add (local.get $c) (local.get $d)))
    (f32x4.add (f32x4.add (local.get $e) (local.get $f)) (f32x4.add (local.get $g) (local.get $h)))))))"""


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path) as rig:
        yield rig


def until(true: Callable[[], object], limit: float = 60.0) -> None:
    end = time.monotonic() + limit
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def test_a_command_reads_its_input_and_its_output_comes_back(rig: Rig) -> None:
    ended = rig.run(module(ECHO), stdin=b"hello")
    assert (ended.outcome, ended.output, ended.digest) == (
        "done",
        b"hello",
        hashlib.sha256(b"hello").digest(),
    )
    assert (ended.size, ended.output_path, ended.words) == (5, "", "")


def test_what_is_long_comes_as_a_file_and_goes_as_one(rig: Rig) -> None:
    data = os.urandom(3_000_000)
    (rig.folder / "input").write_bytes(data)
    wide = replace(LIMITS, output_bytes=4_000_000)
    ended = rig.run(module(ECHO), stdin_path=str(rig.folder / "input"), limits=wide)
    assert (ended.outcome, ended.output, ended.size) == ("done", b"", len(data))
    assert Path(ended.output_path).read_bytes() == data and ended.digest == hashlib.sha256(data).digest()
    assert Path(ended.output_path).is_relative_to(rig.folder / "out")
    middle = data[:20_000]  # longer than what travels in a message, shorter than what is written as it comes
    ended = rig.run(module(ECHO), stdin=middle)
    assert Path(ended.output_path).read_bytes() == middle


def test_nans_have_the_same_bits_everywhere_where_an_app_asks_for_it(rig: Rig) -> None:
    """The quiet NaN that IEEE 754 and WebAssembly call canonical; without, its sign is that of the processor."""
    code = module(
        """(module (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1) (func (export "_start") (local f64)
        (f64.store (i32.const 100) (f64.div (local.get 0) (local.get 0)))
        (i32.store (i32.const 0) (i32.const 100)) (i32.store (i32.const 4) (i32.const 8))
        (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"""
    )
    assert rig.run(code, canonical_nans=True).output == bytes.fromhex("000000000000f87f")
    assert rig.run(code).output[6:] in (bytes.fromhex("f87f"), bytes.fromhex("f8ff"))


def test_many_small_units_are_handed_out_ahead_and_each_gets_its_own_answer(rig: Rig) -> None:
    async def all_of_them() -> list[bytes]:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(rig.slots.run(rig.job(module(ECHO), stdin=str(n).encode())))
                for n in range(300)
            ]
        return [task.result().output for task in tasks]

    assert rig.do(all_of_them()) == [str(n).encode() for n in range(300)]
    assert len(rig.slots.pids()) == 1


def test_two_cores_are_two_processes_and_a_long_unit_holds_up_nobody(tmp_path: Path) -> None:
    with Rig(tmp_path, cores=2) as rig:
        job, running = rig.start(LOOP, budget=600.0)
        for n in range(50):
            assert rig.run(module(ECHO), stdin=bytes([n])).output == bytes([n])
        assert len(rig.slots.pids()) == 2 and not running.done()
        view = rig.slots.view()
        assert (view.cores, view.running, view.waiting) == (2, 1, 0)
        rig.call(rig.slots.suspend, job.number)
        assert running.result(60).suspended


def test_what_waits_behind_a_unit_that_turns_out_long_goes_elsewhere(tmp_path: Path) -> None:
    """The module's units were short, so several are given ahead; then one is long. The others are called back."""
    code = module(
        """(module (memory (export "memory") 1)
        (func (export "alloc") (param i32) (result i32) (i32.const 64)) (func (export "begin") (param i32 i32) (result i32) (i32.const 0))
        (func (export "slice") (result i32) (loop $l (br_if $l (i32.load8_u (i32.const 64)))) (i32.const 0))
        (func (export "result") (result i64) (i64.const 0x4000000001)))"""
    )
    with Rig(tmp_path, cores=1) as rig:
        for _ in range(30):
            rig.run(code, "slice", stdin=b"\0")
        _, running = rig.start(code, "slice", stdin=b"\1", budget=600.0)
        others = [rig.start(code, "slice", stdin=b"\0")[1] for _ in range(5)]
        rig.call(rig.slots.resize, 2)
        assert [other.result(60).outcome for other in others] == ["done"] * 5
        assert not running.done() and len(rig.slots.pids()) == 2
        rig.call(running.cancel)


def test_suspending_a_command_breaks_it_off_and_one_that_waits_never_begins(rig: Rig) -> None:
    first, running = rig.start(LOOP, budget=600.0)
    second, waiting = rig.start(LOOP, budget=600.0)
    until(lambda: rig.slots.view().running and rig.slots.view().waiting)
    rig.call(rig.slots.suspend, second.number)
    assert waiting.result(60).suspended and not running.done()
    rig.call(rig.slots.suspend, first.number)
    ended = running.result(60)
    assert ended.suspended and ended.words == "suspended"
    rig.do(rig.slots.suspend_all())


def test_a_slice_that_does_not_end_is_killed_after_its_grace(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots_service, "GRACE", 0.2)
    code = module(
        """(module (memory (export "memory") 1)
        (func (export "alloc") (param i32) (result i32) (i32.const 64)) (func (export "begin") (param i32 i32) (result i32) (i32.const 0))
        (func (export "slice") (result i32) (loop $l (br $l)) (i32.const 0)) (func (export "result") (result i64) (i64.const 0)))"""
    )
    job, running = rig.start(code, "slice", budget=600.0)
    until(lambda: rig.moving)
    rig.call(rig.slots.suspend, job.number)
    ended = running.result(60)
    assert ended.suspended and "without a snapshot" in ended.words
    assert rig.run(module(ECHO), stdin=b"after").output == b"after"


def test_a_cancelled_job_stops_and_its_process_serves_the_next(rig: Rig) -> None:
    _, running = rig.start(LOOP, budget=600.0)
    until(lambda: rig.moving)
    pids = rig.slots.pids()
    rig.call(running.cancel)
    assert rig.run(module(ECHO), stdin=b"next").output == b"next"
    assert rig.slots.pids() == pids


def test_fewer_cores_suspend_what_is_too_much_and_none_run_nothing(tmp_path: Path) -> None:
    with Rig(tmp_path, cores=2) as rig:
        runs = [rig.start(LONG, "slice", stdin=b"\xff", budget=600.0)[1] for _ in range(2)]
        until(lambda: len({moving.number for moving in rig.moving}) == 2)
        rig.call(rig.slots.resize, 1)
        until(lambda: any(run.done() for run in runs))
        ended = next(run for run in runs if run.done()).result()
        assert ended.suspended and [one.suspended for one in rig.saved] == [True]
        rig.call(rig.slots.resize, 0)
        assert all(run.result(60).suspended for run in runs)
        until(lambda: not rig.slots.pids())
        waiting = rig.start(module(ECHO), stdin=b"later")[1]
        until(lambda: rig.slots.view().waiting)
        rig.call(rig.slots.resize, 1)
        assert waiting.result(60).output == b"later"


def test_held_still_it_computes_nothing_and_goes_on_where_it_was(rig: Rig) -> None:
    _, running = rig.start(LONG, "slice", stdin=b"\xff", budget=600.0, checkpoint_every=1e-9)
    until(lambda: rig.saved)
    rig.call(rig.slots.pace, 0)
    child = psutil.Process(rig.slots.pids()[0])

    def busy() -> float:
        before = sum(child.cpu_times()[:2])
        time.sleep(0.2)
        return float(sum(child.cpu_times()[:2]) - before)

    until(lambda: busy() < 0.05)
    slices = rig.saved[-1].slices
    assert busy() < 0.05 and rig.saved[-1].slices <= slices + 1 and not running.done()
    rig.call(rig.slots.pace, 100)
    assert running.result(60).outcome == "done"


def test_held_still_nothing_begins_either_and_nobody_takes_that_for_death(tmp_path: Path) -> None:
    with Rig(tmp_path, silence=0.05) as rig:
        rig.run(module(ECHO))
        pids = rig.slots.pids()
        rig.call(rig.slots.pace, 0)
        _, waiting = rig.start(module(ECHO), stdin=b"later")
        _, other = rig.start(LOOP, budget=0.1)
        time.sleep(1.5)  # three looks at silent processes, and thirty times the silence
        assert not waiting.done() and not other.done()
        rig.call(rig.slots.pace, 100)
        assert waiting.result(60).output == b"later" and other.result(10).outcome == "time"
        assert rig.slots.pids() == pids


def test_orders_for_a_job_that_is_over_or_was_never_begun_mean_nothing() -> None:
    """Else the pace would be forgotten: who is to end is not held back."""
    control = Control()
    control.queued(1)
    control.queued(2)
    control.begin(1)
    control.over()
    control.forget(2)
    for number in (1, 2, 3):
        control.stop(number)
        control.suspend(number)
    control.pace(50)
    control.queued(4)
    control.begin(4)
    sum(range(300_000))
    began = time.monotonic()
    control.nap()
    assert time.monotonic() - began > 0.0005


def test_after_a_unit_a_slow_process_naps_long_and_serves_the_next(rig: Rig) -> None:
    """At one percent the nap for a unit lasts seconds, in which the process would speak of a unit that is over."""
    rig.run(module(ECHO))
    rig.call(rig.slots.pace, 1)
    assert rig.run(LOOP, budget=0.005).outcome == "time"
    pids = rig.slots.pids()
    assert rig.run(module(ECHO), stdin=b"next").output == b"next"
    assert rig.slots.pids() == pids and rig.slots.view().restarts == 0


def test_a_quarter_of_a_core_is_no_more(rig: Rig) -> None:
    rig.call(rig.slots.pace, 25)
    rig.run(module(ECHO))
    began = time.monotonic()
    ended = rig.run(LOOP, budget=0.2)
    took = time.monotonic() - began
    assert ended.outcome == "time" and took > 0.2 / 0.25 * 0.8
    assert rig.slots.view().percent == 25


def test_a_process_that_is_killed_costs_one_unit_and_is_started_anew(rig: Rig) -> None:
    _, running = rig.start(LOOP, budget=600.0)
    _, next_one = rig.start(module(ECHO), stdin=b"next")
    until(lambda: rig.moving)
    before = rig.slots.pids()
    os.kill(before[0], signal.SIGKILL)
    ended = running.result(60)
    assert ended.outcome == "lost" and "killed from outside" in ended.words and not ended.suspended
    assert next_one.result(60).output == b"next"
    assert rig.slots.view().restarts == 1 and rig.slots.pids() != before


def test_a_process_that_computes_and_says_nothing_is_killed(tmp_path: Path) -> None:
    """Its process is stopped right after it has told how far it is; then it uses no core and is not to blame, so it takes ten times as long."""
    with Rig(tmp_path, silence=0.1) as rig:
        _, running = rig.start(LOOP, budget=600.0)
        until(lambda: rig.moving)
        os.kill(rig.slots.pids()[0], signal.SIGSTOP)
        ended = running.result(60)
        assert ended.outcome == "lost" and "said nothing for" in ended.words
        assert rig.run(module(ECHO), stdin=b"after").output == b"after"


def test_what_cannot_start_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "child.py"
    broken.write_text("import nothing_of_that_name")
    monkeypatch.setattr("servent.grid.sandbox.slot_process.CHILD", broken)
    with Rig(tmp_path) as rig:
        ended = rig.run(module(ECHO))
        assert ended.outcome == "lost" and "nothing_of_that_name" in ended.words
        assert "nothing_of_that_name" in rig.slots.view().trouble


def test_jobs_that_cannot_be_are_refused_at_once(rig: Rig) -> None:
    with pytest.raises(UsageError, match="write into /etc"):
        rig.run(module(ECHO), folder="/etc")
    with pytest.raises(UsageError, match="write into"):
        rig.run(module(ECHO), folder=f"{rig.folder}/../elsewhere")
    with pytest.raises(UsageError, match="comes as a file"):
        rig.run(module(ECHO), stdin=bytes(300_000))
    job, running = rig.start(LOOP, budget=600.0)
    with pytest.raises(UsageError, match="not over"):
        rig.run(module(ECHO), number=job.number)
    rig.call(running.cancel)


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ('Saved(number=job.number, path="/etc/passwd", slices=1, digest=bytes(32), size=1)', "lost"),
        ('Ended(number=job.number, outcome="done", output_path=job.folder + "/../secret")', "lost"),
        ('Ended(number=job.number + 1, outcome="done")', "lost"),
        ('Ended(number=job.number, outcome="done", digest=bytes(32), output=bytes(16385))', "lost"),
        ('Ended(number=job.number, outcome="done", output=b"no digest")', "lost"),
        ('Ended(number=job.number, outcome="done", digest=bytes(32), seconds=float("nan"))', "lost"),
        ('Ended(number=job.number, outcome="trap", seconds=-1.0)', "lost"),
        ("Moving(number=job.number, slices=0, seconds=1e300)", "lost"),
        (
            'Saved(number=job.number, path=f"{job.folder}/{job.number}-{2**60}.snapshot", slices=2**60, digest=bytes(32), size=1)',
            "lost",
        ),
        ('Ended(number=job.number, outcome="done", digest=bytes(32), output=b"fine")', "done"),
    ],
)
def test_a_process_that_was_taken_over_is_believed_nothing_that_could_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, outcome: str
) -> None:
    """It names files that would then be sent to others; or talks of other jobs."""
    child = tmp_path / "child.py"
    child.write_text(TAKEN_OVER.format(source=str(Path(measuring.__file__).parents[3]), said=said))
    monkeypatch.setattr("servent.grid.sandbox.slot_process.CHILD", child)
    with Rig(tmp_path) as rig:
        ended = rig.run(module(ECHO))
        assert ended.outcome == outcome and not rig.saved and not ended.output_path
        assert ended.words == ("its process said what none of ours would" if outcome == "lost" else "")


def test_bytes_that_are_no_message_cost_the_process_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = tmp_path / "child.py"
    said = "os.write(1, bytes([255] * 100)) and Moving(number=job.number, slices=0, seconds=0.0)"
    child.write_text(TAKEN_OVER.format(source=str(Path(measuring.__file__).parents[3]), said=said))
    monkeypatch.setattr("servent.grid.sandbox.slot_process.CHILD", child)
    with Rig(tmp_path) as rig:
        ended = rig.run(module(ECHO))
        assert (ended.outcome, ended.words) == ("lost", "its process said what none of ours would")
        assert rig.run(module(ECHO)).outcome == "lost", "the slots themselves go on"


def test_an_idle_process_ends_and_is_back_for_the_next_unit(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots_service, "IDLE", 0.2)
    for n in range(2):
        assert rig.run(module(ECHO), stdin=bytes([n])).output == bytes([n])
        until(lambda: not rig.slots.pids())
    assert rig.slots.view().restarts == 0


def test_closing_ends_what_runs_and_who_waits_hears_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Rig(tmp_path) as rig:
        running = rig.start(LOOP, budget=600.0)[1]
        until(lambda: rig.moving)
        pids = rig.slots.pids()
    with pytest.raises(ConnectionLost):
        running.result(60)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert not caplog.records, "asyncio itself sees how its child ended"


def test_compiled_code_is_kept_for_the_next_process_and_damage_is_noticed(tmp_path: Path) -> None:
    with Rig(tmp_path) as rig:
        assert rig.run(module(ECHO), stdin=b"1").output == b"1"
    kept = list((tmp_path / "compiled").glob("*.compiled"))
    assert len(kept) == 1
    if os.name != "nt":
        assert not (kept[0].stat().st_mode | (tmp_path / "compiled").stat().st_mode) & 0o077
    whole = kept[0].read_bytes()
    kept[0].write_bytes(whole[:5000] + bytes([whole[5000] ^ 255]) + whole[5001:])
    with Rig(tmp_path) as rig:
        assert rig.run(module(ECHO), stdin=b"2").output == b"2"
    assert hashlib.sha256(kept[0].read_bytes()[32:]).digest() == kept[0].read_bytes()[:32]


def test_a_module_is_checked_in_a_process_too(rig: Rig) -> None:
    def checked(code: bytes, abi: str) -> str:
        job = rig.job(code)
        return rig.do(rig.slots.check(Path(job.module), job.digest, abi, LIMITS))  # type: ignore[arg-type]

    assert checked(module(ECHO), "command") == "" and checked(counts(), "slice") == ""
    assert checked(module(ECHO), "slice") == "it must export alloc(i32) -> i32"
    nothing = module('(module (memory (export "memory") 1) (func (export "_start") nop))')
    assert checked(nothing, "command") == ""
    assert "does not compile" in checked(nothing.replace(b"\x01\x0b", b"\x6a\x0b"), "command")


def test_the_speed_of_a_core_is_measured_with_the_module_that_is_written_here(rig: Rig) -> None:
    sums = "".join(
        f"(local.set ${v} (f32x4.add (f32x4.mul (local.get ${v}) (local.get $m)) (local.get $m)))"
        for v in "abcdefgh"
    )
    locals_ = " ".join(f"(local ${v} v128)" for v in "abcdefgh")
    assert module(MEASURE.replace("LOCALS", locals_).replace("SUMS", sums)) == measuring.MODULE
    assert rig.do(rig.slots.measure()) > 100.0


TAKEN_OVER = """
import os, sys
sys.path.insert(0, {source!r})
from servent.codec import frame
from servent.grid.sandbox.child import _told
from servent.grid.sandbox.jobs import Ended, Job, Moving, Ready, Saved
def say(heard):
    os.write(1, frame(heard))
say(Ready())
kept = b""
while True:
    kept += os.read(0, 65536)
    while len(kept) >= 4 and len(kept) >= 4 + int.from_bytes(kept[:4], "big"):
        size = int.from_bytes(kept[:4], "big")
        job, kept = _told.decode(kept[4 : 4 + size]), kept[4 + size :]
        if isinstance(job, Job):
            say({said})
"""
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="belts of Linux")
PROBE = """
import os, sys, socket, subprocess, ctypes, threading
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from servent.grid.sandbox import belts
print(*belts.put_on([Path(sys.argv[2])], [Path(sys.argv[3])]), sep=", ")
def tries(name, does):
    try:
        does(); print(name, "works")
    except OSError as wrong:
        print(name, "refused", wrong.errno)
tries("read passwd", lambda: open("/etc/passwd").read())
tries("list home", lambda: os.listdir(os.path.expanduser("~")))
tries("read given", lambda: open(sys.argv[2] + "/given").read())
tries("write given", lambda: open(sys.argv[2] + "/new", "w"))
tries("write own", lambda: open(sys.argv[3] + "/new", "w").close())
tries("replace own", lambda: os.replace(sys.argv[3] + "/new", sys.argv[3] + "/newer"))
tries("link own", lambda: os.symlink("/etc/passwd", sys.argv[3] + "/link"))
tries("socket", lambda: socket.socket())
tries("unix socket", lambda: socket.socket(socket.AF_UNIX))
tries("fork", lambda: os.fork() or os._exit(0))
tries("program", lambda: os.execv("/bin/true", ["true"]))
tries("kill parent", lambda: os.kill(os.getppid(), 0))
thread = threading.Thread(target=lambda: tries("socket in a thread", lambda: socket.socket())); thread.start(); thread.join()
import resource
belts.limit_job(1 << 20, 2.0, 1 << 20)
try:
    bytearray(3 << 29); print("memory works")
except MemoryError:
    print("memory refused 12")
tries("long file", lambda: open(sys.argv[3] + "/long", "wb", 0).write(bytes(2 << 20)) == 2 << 20 or open(sys.argv[3] + "/long", "ab", 0).write(bytes(1)))
print("core", resource.getrlimit(resource.RLIMIT_CORE)[1], "nice", os.getpriority(os.PRIO_PROCESS, 0))
"""


@LINUX
def test_the_process_itself_can_reach_nothing(tmp_path: Path) -> None:
    """What lies behind the sandbox, should it ever have a hole: asked of a process that has put on the same belts."""
    reads, writes = tmp_path / "reads", tmp_path / "writes"
    for place in (reads, writes):
        place.mkdir()
    (reads / "given").write_text("given")
    source = Path(measuring.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-I", "-c", PROBE, str(source), str(reads), str(writes)],
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    held, *said = done.stdout.splitlines()
    assert "no new privileges" in held and "no network" in held and "no other programs" in held
    answers = dict(line.rsplit(" refused ", 1) if " refused " in line else (line, "") for line in said)
    for name in ("socket", "unix socket", "socket in a thread", "fork", "program", "kill parent", "link own"):
        assert answers.get(name) == "1", (name, said)
    assert "core 0 nice 19" in said and "write own works" in said and "replace own works" in said
    assert "read given works" in said
    assert answers["memory"] == "12" and answers["long file"] == "27"
    if "no files but its own" in held:  # Landlock: not in every kernel
        for name in ("read passwd", "list home", "write given"):
            assert answers.get(name) == "13", (name, said)


ATTACK = """
import ctypes, errno, os, platform, resource, signal, sys, threading
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from servent.grid.sandbox import belts
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
column = 0 if platform.machine() == "x86_64" else 1
parent, victim = os.getppid(), sys.argv[3].encode()
belts.put_on([], [Path(sys.argv[2])])
def tries(name, numbers, *arguments):
    ctypes.set_errno(0)
    answer = libc.syscall(numbers[column], *arguments)
    print(name, "works" if answer >= 0 else ctypes.get_errno())
none = (ctypes.c_ulong * 2)(0, 0)
tries("tgkill", (234, 131), parent, parent, 0)
tries("sigqueue", (129, 138), parent, 0, ctypes.create_string_buffer(128))
tries("limits of the node", (302, 261), parent, resource.RLIMIT_CORE, ctypes.byref(none), None)
tries("priority of the node", (141, 140), 0, parent, os.getpriority(os.PRIO_PROCESS, parent))
tries("scheduler of the node", (144, 119), parent, 0, ctypes.byref(ctypes.c_int(0)))
tries("own scheduler", (144, 119), 0, 0, ctypes.byref(ctypes.c_int(0)))
tries("outlive the node", (157, 167), 1, 0, 0, 0, 0)
tries("shared memory", (29, 194), 0, 4096, 0o1600)
tries("queue", (68, 186), 0, 0o1600)
tries("watch", (294, 26), 0)
tries("truncate", (76, 45), victim, 0)
tries("chmod", (452, 452), -100, victim, 0o777, 0)
tries("attribute", (188, 5), victim, b"user.x", b"y", 1, 0)
tries("own thread", (234, 131), os.getpid(), threading.get_native_id(), 0)
tries("own limit", (302, 261), 0, resource.RLIMIT_CORE, ctypes.byref(none), None)
os.abort()
"""


@LINUX
def test_a_process_that_was_taken_over_reaches_neither_its_node_nor_what_others_share(tmp_path: Path) -> None:
    """The ways around files, sockets and `kill`, by the numbers of the system calls: signals, limits and priorities of others, memory that programs share."""
    if platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("no filter for this processor")
    writes, victim = tmp_path / "writes", tmp_path / "victim"
    writes.mkdir()
    victim.write_text("mine")
    source = Path(measuring.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-I", "-u", "-c", ATTACK, str(source), str(writes), str(victim)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    answers = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())
    assert answers.pop("own thread") == "works" and answers.pop("own limit") == "works"
    assert set(answers.values()) == {str(errno.EPERM)} and len(answers) == 13, done.stdout + done.stderr
    assert done.returncode == -signal.SIGABRT, "a failed assertion of the engine ends it as always"
    assert victim.read_text() == "mine"


@LINUX
def test_the_processes_say_what_holds_them(rig: Rig) -> None:
    rig.run(module(ECHO))
    assert {"ends with its node", "no network", "no other programs"} <= set(rig.slots.view().belts)


NODE = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.grid.sandbox.rig import Rig, module
LOOP = module('(module (memory (export "memory") 1) (func (export "_start") (loop $l (br $l))))')
with Rig(Path(sys.argv[2])) as rig:
    rig.start(LOOP, budget=600.0)
    while not rig.moving:
        pass
    print(rig.slots.pids()[0], flush=True)
    if sys.argv[3] == "held":
        rig.call(rig.slots.pace, 0)
    asyncio.run(asyncio.sleep(600))
"""


@pytest.mark.parametrize("how", ["running", "held"])
def test_when_the_node_is_killed_its_sandboxes_go_too(tmp_path: Path, how: str) -> None:
    node = subprocess.Popen(
        [sys.executable, "-c", NODE, str(Path(__file__).parents[3]), str(tmp_path), how],
        stdout=subprocess.PIPE,
        text=True,
    )
    with node:
        try:
            assert node.stdout is not None
            child = psutil.Process(int(node.stdout.readline()))
            assert child.is_running()
        finally:
            node.kill()
    with contextlib.suppress(psutil.NoSuchProcess):
        child.wait(60)
    assert not child.is_running()


def test_short_jobs_are_given_ahead_and_long_ones_never() -> None:
    handing = Handing()
    short, long = b"short", b"long"
    assert not handing.room(1, handing.expected(short), short), "nothing is known of it yet"
    handing.took(short, 0.0005)
    handing.took(long, 2.0)
    assert handing.room(10, 10 * handing.expected(short), short)
    assert not handing.room(1, handing.expected(long), short)
    assert not handing.room(1, handing.expected(short), long)
    for _ in range(60):
        handing.took(short, 0.00001)
    most = AHEAD - 1
    assert handing.room(most, most * handing.expected(short), short)
    assert not handing.room(AHEAD, AHEAD * handing.expected(short), short)
    handing.took(short, 1.0)
    assert not handing.room(1, handing.expected(short), short), "one long one is enough"
    for _ in range(60):
        handing.took(short, 0.0001)
    assert handing.room(1, handing.expected(short), short), "and is forgotten in time"
    assert SECONDS < 0.1
