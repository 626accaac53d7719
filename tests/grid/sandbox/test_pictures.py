"""Pictures of units: what a module says is read strictly, nobody pays who does not look, and looking changes nothing."""

import asyncio
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.errors import BadMessage
from servent.grid.pictures import PICTURE_BYTES, PICTURES_EVERY, POINTS, Axis, read_picture
from servent.grid.sandbox.jobs import Ended, Job
from tests.grid.pictured import AXES, said
from tests.grid.sandbox.rig import COUNTS, Rig, module


def with_picture(calls: str) -> bytes:
    """The module that counts slices; its `picture` counts its calls in the one byte of its data, and gives what `calls` says."""
    picture = """(func (export "picture") (result i64)
      (i32.store (i32.const 100256) (i32.add (i32.const 1) (i32.load (i32.const 100256))))
      (i64.store8 (i32.const 100248) (i64.load8_u (i32.const 100256)))
      %s)"""
    head = "".join(f"\\{byte:02x}" for byte in said(width=1, height=1, data=b"\0"))
    text = COUNTS.replace("ROUNDS", "400000").replace("2)\n", "3)\n", 1)
    return module(text.rstrip()[:-1] + f'(data (i32.const 100024) "{head}")' + picture % calls + ")")


GOOD = f"(i64.const {100024 << 32 | 225})"


async def watched(rig: Rig, job: Job, pictures: list[bytes], *then: object) -> Ended:
    """Runs it, and somebody looks as soon as it waits for a process."""
    loop = asyncio.get_running_loop()
    loop.call_soon(rig.slots.watch, job.number, pictures.append)
    for other in then:
        loop.call_soon(rig.slots.watch, job.number, other)
    return await rig.slots.run(job, on_saved=rig.saved.append)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("pictures")) as made:
        yield made


def test_a_picture_is_read_as_it_was_said() -> None:
    heat = read_picture(said())
    assert (heat.kind, heat.width, heat.height, heat.words) == ("heat", 3, 2, "drift 1.5 Hz/s")
    assert (heat.x, heat.y, heat.z) == AXES
    assert heat.data == bytes(range(6))
    places = struct.pack("<6H", 0, 1, 2, 65535, 65534, 65533)
    points = read_picture(said(POINTS, 2, 1, data=places + b"\x00\x0f"))
    assert (points.kind, points.width, points.data) == ("points", 2, places + b"\x00\x0f")


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        said()[:-1],
        said() + b"\0",
        said(b"servent heat 2\0\0"),
        said(width=0, data=b""),
        said(width=2**31, height=2**31),
        said(data=bytes(PICTURE_BYTES), width=PICTURE_BYTES, height=1),
        said(words=b"\xff\xfe"),
        said(words=b"a\x1b[2Jb"),
        said(axes=(Axis("x", 1.0, 1.0), *AXES[1:])),
        said(axes=(Axis("x", float("nan"), 1.0), *AXES[1:])),
        said(axes=(Axis("x", 0.0, float("inf")), *AXES[1:])),
        said(axes=(Axis("\u202ex", 0.0, 1.0), *AXES[1:])),
        said(POINTS, 1, 1, data=bytes(6) + b"\x10"),
        said(POINTS, 1, 2, data=bytes(14)),
    ],
)
def test_what_is_no_picture_is_not_read(wrong: bytes) -> None:
    with pytest.raises(BadMessage) as why:
        read_picture(wrong)
    assert str(why.value).isprintable()


@given(st.binary(max_size=400), st.integers(0, 230), st.binary(max_size=8))
def test_no_bytes_make_more_of_it_than_a_picture_or_a_word(any_bytes: bytes, at: int, over: bytes) -> None:
    for data in (any_bytes, said()[:at] + over + said()[at + len(over) :]):
        try:
            picture = read_picture(data)
        except BadMessage:
            continue
        assert picture.width * picture.height == len(picture.data) or picture.kind == "points"
        assert (picture.words + picture.x.label + picture.y.label + picture.z.label).isprintable()


def test_looking_changes_nothing_and_shows_what_is_there(rig: Rig) -> None:
    code, slices = with_picture(GOOD), 40
    pictures: list[bytes] = []

    def run(*nobody: None) -> tuple[bytes, list[bytes], float]:
        rig.saved.clear()
        began = time.monotonic()
        job = rig.job(code, "slice", stdin=bytes([slices]), checkpoint_every=1e-9, budget=1e3)
        ended = rig.do(watched(rig, job, pictures, *nobody), 60)
        assert ended.outcome == "done", ended.words
        for one in rig.saved:
            Path(one.path).unlink()
        return ended.digest, [one.digest for one in rig.saved], time.monotonic() - began

    unseen = run(None)
    assert pictures == []
    seen = run()
    assert seen[:2] == unseen[:2] and len(seen[1]) == slices - 1
    assert 1 <= len(pictures) <= seen[2] / PICTURES_EVERY + 1
    shown = [read_picture(one).data[0] for one in pictures]
    assert shown == sorted(set(shown)) and shown[0] >= 1 and shown[-1] < slices


def test_a_job_that_waits_is_shown_when_it_runs_and_no_more_when_nobody_looks(rig: Rig) -> None:
    code = with_picture(GOOD)
    first, second = (rig.job(code, "slice", stdin=bytes([20]), budget=1e3) for _ in range(2))
    of_first: list[bytes] = []
    of_second: list[bytes] = []
    running = rig.begin(watched(rig, first, of_first, None))
    waiting = rig.begin(watched(rig, second, of_second))
    assert running.result(60).outcome == waiting.result(60).outcome == "done"
    assert of_second and not of_first


@pytest.mark.parametrize("names", [0xFFFFFF00 << 32 | 225, 1024 << 32 | 0x7FFFFFFF, 0])
def test_a_picture_that_is_nowhere_is_none_and_the_unit_goes_on(rig: Rig, names: int) -> None:
    pictures: list[bytes] = []
    job = rig.job(with_picture(f"(i64.const {names})"), "slice", stdin=bytes([10]), budget=1e3)
    assert rig.do(watched(rig, job, pictures), 60).outcome == "done"
    assert set(pictures) == {b""}


def test_a_picture_with_another_signature_is_refused(rig: Rig) -> None:
    code = with_picture(GOOD).replace(b"picture", b"pictura")
    assert rig.run(code, "slice", stdin=b"\x02").outcome == "done"
    wrong = module(
        COUNTS.replace("ROUNDS", "1").rstrip()[:-1] + '(func (export "picture") (result i32) (i32.const 0)))'
    )
    assert "picture() -> i64" in rig.run(wrong, "slice", stdin=b"\x02").words
