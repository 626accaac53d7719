"""The kernel in the sandbox: what numpy finds, the same bits however it is cut and interrupted, and damaged units."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.listen_reference import Reference
from servent.listen import units
from servent.listen.making import Injected, make
from servent.listen.signals import read_result
from tests.grid.sandbox.rig import Rig
from tests.listen.desk import SMALL, TINY, Desk

OFTEN = 1e-9
SIGNALS = [
    Injected("spike", 30.0, 0.004, 0.1),
    Injected("gaussian", -20.0, 0.01, 0.5, time=50.0, width=12.0),
    Injected("pulse", 10.0, 0.0, 1.5, time=1.0, width=0.5, period=7.0),
    Injected("triplet", -40.0, 0.0, 1.8, time=20.0, width=1.2, period=19.0),
]


@pytest.mark.parametrize("signal", [None, *SIGNALS], ids=lambda one: one.kind if one else "noise")
def test_it_finds_what_numpy_finds(desk: Desk, signal: Injected | None) -> None:
    samples = make(TINY, [signal] if signal else [], random.Random(11))
    result = desk.result(units.pack(TINY, samples))
    reference = Reference(TINY, samples)
    reference.run(TINY.first, TINY.last)
    assert {one.kind for one in result.best} == set(reference.best)
    for one in result.best:
        seen = reference.best[one.kind]
        assert (one.length, one.step, one.bin, one.spectrum) == seen[2:], one.kind
        assert (one.score, one.power) == pytest.approx(seen[:2], rel=1e-3)
    assert {one.kind for one in result.found} == {kind for kind, all_ in reference.found.items() if all_}


def test_the_kernel_counts_the_operations_that_the_plan_says(desk: Desk) -> None:
    samples = make(SMALL, [], random.Random(1))
    for steps in [(SMALL.first, SMALL.first + 3), (-1, 2), (7, 7)]:
        result = desk.result(units.pack(SMALL, samples, steps))
        assert result.operations == SMALL.operations(*steps)


def test_parts_find_together_what_the_whole_finds(desk: Desk) -> None:
    samples = make(SMALL, [Injected("spike", -77.0, 0.02, 0.12)], random.Random(2))
    whole = desk.result(units.pack(SMALL, samples))
    parts = [desk.result(units.pack(SMALL, samples, steps)) for steps in SMALL.split(4)]
    for one in whole.best:
        rivals = [other for part in parts for other in part.best if other.kind == one.kind]
        assert max(rivals, key=lambda other: other.score) == one
    assert sum(part.operations for part in parts) == whole.operations


def test_the_same_bits_from_every_snapshot_and_on_another_machine(desk: Desk, tmp_path: Path) -> None:
    samples = make(
        SMALL, [Injected("pulse", 99.0, 0.0, 1.2, time=2.0, width=0.2, period=3.0)], random.Random(3)
    )
    unit = units.pack(SMALL, samples)
    desk.rig.saved.clear()
    once = desk.ended(unit, checkpoint_every=OFTEN)
    saved = list(desk.rig.saved)
    assert once.outcome == "done" and len(saved) == once.slices - 1 >= 1
    assert read_result(once.output).found
    assert max(one.size for one in saved) < 100_000  # a page that does not compress: samples. Scratch is zero
    with Rig(tmp_path, cores=2) as other:
        elsewhere = Desk.__new__(Desk)
        elsewhere.rig, elsewhere.code = other, desk.code
        for one in saved:
            path = shutil.copy(one.path, other.folder)
            ended = elsewhere.ended(unit, resume=str(path), resume_slices=one.slices)
            assert (ended.outcome, ended.digest) == ("done", once.digest)
        assert elsewhere.ended(unit).digest == once.digest


def test_damaged_units_end_with_a_code(desk: Desk) -> None:
    unit = units.pack(TINY, bytes(TINY.samples // 4), (0, 1))
    for damaged in (unit[:100], unit[:-1], b"x" + unit[1:], unit[:48] + b"\xff" * 4 + unit[52:], unit + b"x"):
        assert desk.ended(damaged).outcome == "exit"


@given(where=st.integers(16, 367), what=st.binary(min_size=1, max_size=8))
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_the_head_says_it_ends_or_works(desk: Desk, where: int, what: bytes) -> None:
    unit = bytearray(units.pack(TINY, bytes(TINY.samples // 4), (0, 1)))
    unit[where : where + len(what)] = what
    ended = desk.ended(bytes(unit), most_slices=2)
    assert ended.outcome in ("done", "exit", "time"), ended.words
    if ended.outcome == "done":
        assert len(ended.output) >= 320
