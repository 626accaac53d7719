"""A sky of results: each sender once, strongest first, with what its plot needs."""

from __future__ import annotations

import math
import random
from typing import Any

import msgspec
import pytest

from servent.errors import BadMessage
from servent.listen import signals, sky, units
from servent.listen.making import anywhere, make
from servent.listen.signals import KINDS, Kind
from tests.listen import heard
from tests.listen.desk import SMALL, Desk


@pytest.mark.parametrize("kind", KINDS)
def test_the_plot_of_a_signal_shows_it(desk: Desk, kind: Kind) -> None:
    dice = random.Random(31)
    truth = anywhere(SMALL, kind, dice, 6.0)
    found = desk.result(units.pack(SMALL, make(SMALL, [truth], dice), centre=1.42e9))
    strongest_one = sky.ranked([(3, found)])[0]
    assert (
        not strongest_one.near
        and strongest_one.unit == 3
        and abs(strongest_one.frequency - 1.42e9 - truth.frequency)
        < 2 * strongest_one.bandwidth + 30 * abs(truth.drift)
    )
    first = next(one for one in (strongest_one, *strongest_one.also) if one.kind == kind)
    places = [
        first.left + k * (first.right - first.left) / (len(first.plot) - 1) for k in range(len(first.plot))
    ]
    strongest = places[max(range(len(places)), key=first.plot.__getitem__)]
    if kind == "spike":
        assert strongest == pytest.approx(0.0, abs=1e-9) and max(first.plot) == pytest.approx(
            first.power, rel=1e-5
        )
        assert (first.along, len(first.plot)) == ("Hz", 64)
    elif kind == "gaussian":
        assert abs(strongest - truth.time) < 8 and len(first.model) == len(first.plot) == 64
        missed = sum((a - b) ** 2 for a, b in zip(first.plot, first.model, strict=True))
        flat = sum(first.plot) / 64
        assert missed < 0.3 * sum((a - flat) ** 2 for a in first.plot), "the curve lies on the points"
    elif kind == "pulse":
        assert 8 <= len(first.plot) <= 15
        off = abs(strongest - first.marks[0]) % first.period
        assert min(off, first.period - off) <= first.period / len(first.plot)
    else:
        for mark in first.marks:
            cell = min(range(64), key=lambda k: abs(places[k] - mark))
            assert max(first.plot[max(0, cell - 1) : cell + 2]) > 0.5 * first.power


def test_parts_of_one_recording_make_one_candidate_and_others_their_own() -> None:
    tone = heard.found("spike", 3.0, 100.0, 0.5)
    weaker = heard.found("spike", 2.0, 100.02, 0.501)
    other = heard.found("gaussian", 1.5, -900.0, -3.0)
    here = sky.Sky()
    here.take(0, heard.result([tone]))
    here.take(1, heard.result([weaker, other]))
    here.take(2, heard.result([weaker], recording=8))
    assert [(one.kind, one.unit, one.seen, one.parts) for one in here.ranked()] == [
        ("spike", 0, 2, 2), ("spike", 2, 1, 1), ("gaussian", 1, 1, 1)
    ]  # fmt: skip
    assert (here.parts, here.signals, len(here.seconds)) == (3, 4, 2)


def test_who_is_seen_by_several_detectors_is_one_candidate_named_by_the_strongest() -> None:
    def at(kind: Kind, score: float, frequency: float, drift: float) -> signals.Found:
        return msgspec.structs.replace(heard.found(kind, score, 0.0, 0.0), frequency=frequency, drift=drift, time=40.0)  # fmt: skip

    spike = at("spike", 3.0, 100.0, 0.5)  # bins of 0.07 Hz; those of a Gaussian here 0.6 Hz, 0.026 Hz/s
    here = sky.Sky()
    here.take(0, heard.result([spike, at("gaussian", 2.0, 100.5, 0.5), at("pulse", 1.2, 99.0, 0.5)]))
    here.take(1, heard.result([at("gaussian", 4.0, 100.6, 0.5)]))
    (one,) = [one for one in here.ranked() if not one.near]
    assert (one.kind, one.seen, one.parts) == ("gaussian", 4, 2)
    assert [(other.kind, other.score) for other in one.also] == [("spike", 3.0), ("pulse", 1.2)]
    assert all(other.plot for other in one.also)
    assert {one.kind for one in here.ranked() if one.near} == set()  # none of those kinds is missing
    for other in (
        at("gaussian", 2.0, 101.5, 0.5),
        at("gaussian", 2.0, 100.0, 0.6),
    ):  # beside it, or drifting away
        alone = sky.ranked([(0, heard.result([spike, other]))])
        assert [(one.kind, one.also) for one in alone] == [("spike", []), ("gaussian", [])]
    elsewhere = heard.result([at("gaussian", 2.0, 100.5, 0.5)], recording=8)
    assert len(sky.ranked([(0, heard.result([spike])), (1, elsewhere)])) == 2


def test_parts_that_heard_more_than_a_result_holds_are_counted() -> None:
    here, tone = sky.Sky(), heard.found("spike", 3.0, 100.0, 0.5)
    noisy = msgspec.structs.replace(heard.result([tone]), crowded=(0, 7, 0, 0))
    here.take(0, signals.read_result(heard.said(noisy)))
    here.take(1, heard.result([tone]))
    assert here.full == 1
    here.take(0, heard.result([tone]))
    assert here.full == 0


def test_a_sender_that_hops_fills_a_result_and_it_says_so(desk: Desk) -> None:
    """Another tone every 1,024 samples, and no noise at all: 32 of a kind stay, and who looks is told that there were more."""
    dice, signs = random.Random(60), bytearray()
    for _ in range(SMALL.samples // 1024):
        turn = dice.uniform(-math.pi, math.pi)
        for k in range(1024):
            signs += bytes((math.cos(turn * k) < 0, math.sin(turn * k) < 0))
    found = desk.result(units.pack(SMALL, units.pack_signs(signs)))
    kept = [sum(one.kind == kind for one in found.found) for kind in KINDS]
    assert kept[0] == signals.KEPT and found.crowded[0] > 0, (kept, found.crowded)
    here = sky.Sky()
    here.take(0, found)
    assert here.full == 1 and len(here.ranked(500)) <= sum(kept)


def test_a_part_that_is_computed_again_replaces_what_it_said() -> None:
    here = sky.Sky()
    here.take(0, heard.result([heard.found("spike", 3.0, 100.0, 0.5)]))
    near = heard.found("pulse", 0.9, 5.0, 0.1)
    here.take(0, heard.result([], near=[near]))
    (one,) = here.ranked()
    assert one.near and one.kind == "pulse" and here.signals == 0 and here.parts == 1
    here.forget(0)
    assert here.ranked() == [] and (here.parts, here.operations) == (0, 0)


def test_of_more_signals_than_fit_the_strongest_stay() -> None:
    here = sky.Sky()
    for unit in range(2 * sky.MOST // 32 + 2):
        here.take(
            unit,
            heard.result(
                [heard.found("spike", 1 + unit + k / 100, k * 50.0, 0.0) for k in range(32)], recording=unit
            ),
        )
    assert sum(map(len, here._of.values())) <= 2 * sky.MOST
    assert here.signals == 32 * (2 * sky.MOST // 32 + 2), "what is forgotten was heard all the same"
    here.forget(0)
    assert here.signals == 32 * (2 * sky.MOST // 32 + 1)
    assert here.ranked(1)[0].score == pytest.approx(1 + 2 * sky.MOST // 32 + 1 + 0.31)


def test_what_a_kernel_writes_is_what_is_read() -> None:
    what = heard.result([heard.found(kind, 1.5, 40.0 * number, 0.2) for number, kind in enumerate(KINDS)])
    read = signals.read_result(heard.said(what))
    assert (read.rate, read.centre, read.recording, read.operations) == (
        what.rate,
        what.centre,
        what.recording,
        what.operations,
    )
    assert [one.plot for one in read.found] == [one.plot for one in what.found]
    assert [one.beam for one in read.found] == pytest.approx([one.beam for one in what.found], rel=1e-3)


def test_signals_that_are_all_different_are_not_all_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A result of strangers' may have any: three thousand, each alone, took seconds at each look."""
    here, compared = sky.Sky(), 0
    for unit in range(100):
        tones = [heard.found("spike", 2 + k / 100, (32 * unit + k) * 1e3, 0.0) for k in range(32)]
        here.take(unit, heard.result(tones))

    def alike(*given: Any) -> bool:
        nonlocal compared
        compared += 1
        return signals.alike(*given)

    monkeypatch.setattr(sky, "alike", alike)
    assert [one.score for one in here.ranked(10)] == pytest.approx([2.31] * 10)
    assert here.signals == 3200 and compared <= 10 * here.signals


@pytest.mark.parametrize("field", ["frequency", "drift", "time", "period"])
def test_numbers_that_no_search_reaches_are_no_result(field: str) -> None:
    """They would be drawn and squared."""
    tone = heard.found("gaussian", 2.0, 100.0, 0.5)
    assert signals.read_result(heard.said(heard.result([tone]))).found[0].kind == "gaussian"
    for value in (3e38, -3e38):
        wrong = msgspec.structs.replace(tone, **{field: value})
        with pytest.raises(BadMessage):
            signals.read_result(heard.said(heard.result([wrong])))


@pytest.mark.parametrize("score", [1.0, 0.5, 0.0, -0.9, -1e30])
def test_what_is_below_its_threshold_was_not_found(score: float) -> None:
    """The kernel keeps none; on the map a star's size comes from it."""
    tone = heard.found("gaussian", 2.0, 100.0, 0.5)
    result = msgspec.structs.replace(
        heard.result([tone]), found=(msgspec.structs.replace(tone, score=score),)
    )
    with pytest.raises(BadMessage, match="below its threshold"):
        signals.read_result(heard.said(result))
