"""Work in slices: snapshots between them, an end at any moment, and the same bits in the end, here or elsewhere."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import signal
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from servent.errors import BadMessage
from servent.grid.sandbox import snapshots
from servent.grid.sandbox.jobs import Ended, Saved
from tests.grid.sandbox.rig import LIMITS, SEED, Rig, counts, module

SLICES = 40
OFTEN = 1e-9  # s between snapshots: one after each slice

# As the example, and it looks at clock and dice in each slice; the result holds what it saw.
LOOKS = """(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global $n (mut i32) (i32.const 0))
  (func (export "alloc") (param i32) (result i32) (i32.const 4096))
  (func (export "begin") (param i32 i32) (result i32) (i32.const 0))
  (func (export "slice") (result i32)
    (drop (call $clock (i32.const 0) (i64.const 0) (i32.mul (global.get $n) (i32.const 16))))
    (drop (call $random (i32.add (i32.const 8) (i32.mul (global.get $n) (i32.const 16))) (i32.const 8)))
    (global.set $n (i32.add (global.get $n) (i32.const 1)))
    (i32.lt_u (global.get $n) (i32.const 10)))
  (func (export "result") (result i64) (i64.const 160)))"""

# Memory that grows with each slice, and globals of every kind; the result is made of them all.
GROWS = """(module
  (memory (export "memory") 1)
  (global $n (mut i32) (i32.const 0)) (global $a (mut i64) (i64.const 3)) (global $b (mut f32) (f32.const 1.5))
  (global $c (mut f64) (f64.const 0.1)) (global $d (mut v128) (v128.const i32x4 1 2 3 4)) (global $e i32 (i32.const 5))
  (func (export "alloc") (param i32) (result i32) (i32.const 4096))
  (func (export "begin") (param i32 i32) (result i32) (i32.const 0))
  (func (export "slice") (result i32)
    (drop (memory.grow (i32.const 1)))
    (i32.store (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 4)) (global.get $n))
    (global.set $n (i32.add (global.get $n) (i32.const 1)))
    (global.set $a (i64.mul (global.get $a) (i64.const 0x5851F42D4C957F2D)))
    (global.set $b (f32.mul (global.get $b) (f32.const 1.1)))
    (global.set $c (f64.add (global.get $c) (global.get $c)))
    (global.set $d (i32x4.mul (global.get $d) (v128.const i32x4 7 11 13 17)))
    (i32.lt_u (global.get $n) (i32.const 20)))
  (func (export "result") (result i64)
    (i32.store (i32.const 0) (memory.size)) (i64.store (i32.const 8) (global.get $a)) (f32.store (i32.const 16) (global.get $b))
    (f64.store (i32.const 24) (global.get $c)) (v128.store (i32.const 32) (global.get $d))
    (i32.store (i32.const 48) (i32.load (i32.const 131068)))
    (i64.const 64)))"""


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("sandbox")) as rig:
        yield rig


@pytest.fixture(autouse=True)
def clean(rig: Rig) -> None:
    rig.saved.clear()
    rig.moving.clear()


@pytest.fixture(scope="module")
def whole(rig: Rig) -> Ended:
    """The result of the counting module, in one go, without a snapshot."""
    ended = rig.run(counts(), "slice", stdin=bytes([SLICES]))
    assert (ended.outcome, ended.slices, len(ended.output)) == ("done", SLICES, 2048)
    return ended


@pytest.mark.parametrize("code", [counts(), module(LOOKS), module(GROWS)], ids=["counts", "looks", "grows"])
def test_from_every_single_snapshot_it_ends_with_the_same_bits(rig: Rig, code: bytes) -> None:
    once = rig.run(code, "slice", stdin=bytes([9]), checkpoint_every=OFTEN)
    assert once.outcome == "done" and len(rig.saved) == once.slices - 1
    for saved in list(rig.saved):
        again = rig.run(code, "slice", stdin=bytes([9]), resume=saved.path, resume_slices=saved.slices)
        assert (again.output, again.slices, again.outcome) == (once.output, once.slices, "done")
        assert saved.size == Path(saved.path).stat().st_size
    assert [saved.slices for saved in rig.saved] == list(range(1, once.slices))


def test_a_snapshot_has_a_digest_that_two_runs_agree_on(rig: Rig) -> None:
    first = rig.run(counts(), "slice", stdin=bytes([5]), checkpoint_every=OFTEN)
    digests = [saved.digest for saved in rig.saved]
    rig.saved.clear()
    second = rig.run(counts(), "slice", stdin=bytes([5]), checkpoint_every=OFTEN)
    assert [saved.digest for saved in rig.saved] == digests
    assert len(set(digests)) == 4 and first.digest == second.digest
    last = rig.saved[-1]
    kept = Path(last.path).read_bytes()
    unit = snapshots.unit_of(SEED, [], 1, hashlib.sha256(bytes([5])).digest())
    head = snapshots.head_of(kept, module=hashlib.sha256(counts()).digest(), unit=unit, most_pages=64)
    assert snapshots.digest_of(kept) == last.digest and head.fraction == last.fraction == 0.8


def test_after_kill_9_one_slice_at_most_is_computed_again(rig: Rig, whole: Ended) -> None:
    """The process is killed right after a snapshot was told of; the last one is good, whatever was being written."""
    at_twelve = threading.Event()

    def saved(one: Saved) -> None:
        rig.saved.append(one)
        if one.slices >= 12 and not at_twelve.is_set():
            at_twelve.set()
            os.kill(rig.slots.pids()[0], signal.SIGKILL)

    job = rig.job(counts(), "slice", stdin=bytes([SLICES]), checkpoint_every=OFTEN)
    lost = rig.do(rig.slots.run(job, None, saved))
    assert (lost.outcome, lost.output) == ("lost", b"") and "killed from outside" in lost.words
    last = rig.saved[-1]
    rig.saved.clear()
    resumed = rig.run(
        counts(),
        "slice",
        stdin=bytes([SLICES]),
        resume=last.path,
        resume_slices=last.slices,
        checkpoint_every=OFTEN,
    )
    assert (resumed.outcome, resumed.digest, resumed.output) == ("done", whole.digest, whole.output)
    assert resumed.slices == SLICES and rig.saved[0].slices == last.slices + 1
    begun = {int(path.stem.split("-")[1]) for path in (rig.folder / "out").glob(f"{job.number}-*")}
    assert max(begun) <= last.slices + 1, (
        "no more than one slice was done beyond the snapshot that was told of"
    )


def test_killed_again_and_again_at_any_moment_it_still_ends_with_the_same_bits(rig: Rig) -> None:
    """Also in the middle of a slice, and of writing a snapshot; each time it goes on from the last one that was told of."""
    code, dice = counts(400_000), random.Random(7)
    once = rig.run(code, "slice", stdin=bytes([60]))
    last, kills, behind = None, 0, []
    while True:
        rig.saved.clear()
        resume = {} if last is None else {"resume": last.path, "resume_slices": last.slices}
        job, running = rig.start(code, "slice", stdin=bytes([60]), checkpoint_every=OFTEN, **resume)
        first = last.slices if last else 0
        while not rig.saved and not running.done():
            pass
        if kills < 12:
            time.sleep(dice.random() * 0.03)
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(rig.slots.pids()[0], signal.SIGKILL)
        ended = running.result(60)
        if ended.outcome == "done":
            assert (ended.digest, ended.slices) == (once.digest, 60)
            if kills >= 3:
                break
            last = None  # it was over before it could be killed: from the beginning
            continue
        kills += 1
        assert ended.outcome == "lost" and rig.saved
        assert [saved.slices for saved in rig.saved] == list(range(first + 1, rig.saved[-1].slices + 1))
        written = max(int(path.stem.split("-")[1]) for path in (rig.folder / "out").glob(f"{job.number}-*"))
        behind.append(written - rig.saved[-1].slices)
        last = rig.saved[-1]
    assert all(0 <= more <= 1 for more in behind), "one slice at most is computed again"


def test_what_was_saved_here_goes_on_elsewhere(rig: Rig, whole: Ended, tmp_path: Path) -> None:
    """Another folder, another process, nothing compiled yet: all that travels is the snapshot."""
    rig.run(counts(), "slice", stdin=bytes([SLICES]), checkpoint_every=OFTEN)
    middle = rig.saved[SLICES // 2]
    with Rig(tmp_path) as other:
        path = other.folder / "travelled.snapshot"
        shutil.copy(middle.path, path)
        ended = other.run(
            counts(), "slice", stdin=bytes([SLICES]), resume=str(path), resume_slices=middle.slices
        )
    assert (ended.outcome, ended.digest, ended.slices) == ("done", whole.digest, SLICES)


def test_suspended_it_ends_after_its_slice_with_a_snapshot(rig: Rig, whole: Ended) -> None:
    slow = counts(3_000_000)  # some milliseconds each
    job, running = rig.start(slow, "slice", stdin=bytes([200]), checkpoint_every=OFTEN, budget=60.0)
    while not rig.saved:
        assert not running.done()
    rig.call(rig.slots.suspend, job.number)
    ended = running.result(60)
    assert ended.suspended and ended.output == b"" and 0 < ended.slices < 200
    last = rig.saved[-1]
    assert last.suspended and last.slices == ended.slices
    assert rig.run(counts(), "slice", stdin=bytes([SLICES])).digest == whole.digest


def damaged(kind: str, kept: bytes) -> bytes:
    match kind:
        case "cut":
            return kept[: len(kept) * 3 // 4]
        case "changed":
            return kept[:-200] + bytes(byte ^ 255 for byte in kept[-200:-100]) + kept[-100:]
        case "changed in its head":
            return kept[:80] + bytes([kept[80] ^ 1]) + kept[81:]
        case "changed in its digest":
            return kept[:30] + bytes([kept[30] ^ 1]) + kept[31:]
        case "empty":
            return b""
        case "something else":
            return b"\x89PNG\r\n" + kept
        case _:
            raise ValueError(kind)


@pytest.mark.parametrize(
    "kind", ["cut", "changed", "changed in its head", "changed in its digest", "empty", "something else"]
)
def test_a_damaged_snapshot_is_told_of_and_nothing_comes_of_it(rig: Rig, kind: str) -> None:
    rig.run(counts(), "slice", stdin=bytes([9]), checkpoint_every=OFTEN)
    path = rig.folder / "damaged"
    path.write_bytes(damaged(kind, Path(rig.saved[3].path).read_bytes()))
    ended = rig.run(counts(), "slice", stdin=bytes([9]), resume=str(path), resume_slices=4)
    assert (ended.outcome, ended.output) == ("checkpoint", b"")
    assert "snapshot" in ended.words


def test_a_snapshot_of_other_work_is_refused(rig: Rig) -> None:
    rig.run(counts(), "slice", stdin=bytes([9]), checkpoint_every=OFTEN)
    saved = rig.saved[3]
    wanted = {"stdin": bytes([9]), "resume": saved.path, "resume_slices": 4}
    other = rig.run(counts(2000), "slice", **wanted)
    assert (other.outcome, other.words) == ("checkpoint", "a snapshot of another module")
    for changed in ({"stdin": bytes([8])}, {"seed": bytes(32)}, {"args": ["more"]}):
        ended = rig.run(counts(), "slice", **{**wanted, **changed})
        assert (ended.outcome, ended.words) == ("checkpoint", "a snapshot of another unit")
    ended = rig.run(counts(), "slice", **{**wanted, "resume_slices": 5})
    assert (ended.outcome, ended.words) == ("checkpoint", "a snapshot after 4 slices, not 5")
    ended = rig.run(counts(), "slice", **{**wanted, "resume": str(rig.folder / "nowhere")})
    assert ended.outcome == "input"
    ended = rig.run(counts(), "slice", **{**wanted, "resume_digest": bytes(32)})
    assert (ended.outcome, ended.words) == ("checkpoint", "a snapshot of another state than was told of")
    assert rig.run(counts(), "slice", **{**wanted, "resume_digest": saved.digest}).outcome == "done"


def test_a_snapshot_with_more_memory_than_allowed_is_refused(rig: Rig) -> None:
    rig.run(module(GROWS), "slice", checkpoint_every=OFTEN)
    saved = rig.saved[-1]
    small = replace(LIMITS, memory_bytes=5 * 65536)
    ended = rig.run(module(GROWS), "slice", resume=saved.path, resume_slices=saved.slices, limits=small)
    assert ended.outcome == "checkpoint" and "20 pages of memory, where 5 are allowed" in ended.words


def test_snapshots_larger_than_the_app_allows_are_not_taken_and_the_unit_goes_on(
    rig: Rig, whole: Ended
) -> None:
    small = replace(LIMITS, checkpoint_bytes=3000)
    ended = rig.run(counts(), "slice", stdin=bytes([SLICES]), checkpoint_every=OFTEN, limits=small)
    assert (ended.outcome, ended.digest, rig.saved) == ("done", whole.digest, [])
    none = replace(LIMITS, checkpoint_bytes=0)
    ended = rig.run(counts(), "slice", stdin=bytes([SLICES]), checkpoint_every=OFTEN, limits=none)
    assert (ended.outcome, ended.digest, rig.saved) == ("done", whole.digest, [])


def test_a_snapshot_is_not_taken_for_more_than_it_says() -> None:
    """A body with more pages than its map says, or fewer, is refused; so is a page that unpacks to more than a page."""
    memory = memoryview(bytes(range(256)) * 256 * 3)
    made = {
        "module": bytes(32),
        "unit": bytes(32),
        "slices": 1,
        "globals": [],
        "clock": 0,
        "rolls": 0,
        "fraction": None,
        "most": 10**6,
    }
    three, _ = snapshots.pack(memory, **made)  # type: ignore[arg-type]
    one, _ = snapshots.pack(memory[:65536], **made)  # type: ignore[arg-type]
    head_of_one, body_of_three = one[: len(one) - _body(one)], three[len(three) - _body(three) :]
    head = snapshots.head_of(one, module=bytes(32), unit=bytes(32), most_pages=10)
    with pytest.raises(BadMessage, match="more in it than it says"):
        list(snapshots.unpack(head_of_one + body_of_three, head))
    for bomb in (zlib.compress(bytes(10**7)), zlib.compress(bytes(65535)), b"\0"):
        with pytest.raises(BadMessage, match=r"page that is none|damaged"):
            list(snapshots.unpack(head_of_one + len(bomb).to_bytes(4, "big") + bomb, head))
    head = snapshots.head_of(three, module=bytes(32), unit=bytes(32), most_pages=10)
    with pytest.raises(BadMessage, match="too early"):
        list(snapshots.unpack(one, head))


@pytest.mark.parametrize("kind", ["noise", "text", "zeros", "mixed"])
def test_memory_of_any_kind_comes_back_as_it_was(kind: str) -> None:
    noise, text = random.Random(1).randbytes(65536), b"the same again " * 4370
    text = text[:65536]
    memory = {
        "noise": noise * 3,
        "text": text * 3,
        "zeros": bytes(3 * 65536),
        "mixed": text + bytes(65536) + noise,
    }[kind]
    packed, digest = snapshots.pack(
        memoryview(memory),
        module=bytes(32),
        unit=bytes(32),
        slices=3,
        globals=[b"1234", bytes(16)],
        clock=5,
        rolls=6,
        fraction=0.5,
        most=10**6,
    )
    head = snapshots.head_of(packed, module=bytes(32), unit=bytes(32), most_pages=3)
    again = bytearray(3 * 65536)
    for page, data in snapshots.unpack(packed, head):
        again[page * 65536 : page * 65536 + 65536] = data
    assert again == memory and snapshots.digest_of(packed) == digest
    assert (head.slices, head.globals, head.clock, head.rolls, head.fraction) == (
        3,
        [b"1234", bytes(16)],
        5,
        6,
        0.5,
    )
    assert len(packed) < {"noise": 200_000, "text": 5000, "zeros": 300, "mixed": 70_000}[kind]


def _body(snapshot: bytes) -> int:
    at = len(snapshots.MAGIC) + 32
    return len(snapshot) - at - 4 - int.from_bytes(snapshot[at : at + 4], "big")
