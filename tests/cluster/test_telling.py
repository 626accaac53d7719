"""What a scheduler tells of workers that say what they like. The scheduler goes on, and its node can read it."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.cluster import orders, telling
from servent.cluster.addresses import Place
from servent.cluster.visits import Seen
from servent.codec import encode
from tests.cluster.desks import ANN, BOB, LAB

ADDRESS = str(Place(BOB.peer, ANN.peer, LAB))
WRONG = [math.nan, math.inf, -math.inf, -1, 2**70, "much", None, [], {"disk": 1}, b"x"]


def state(**wrong: Any) -> Any:
    good = {
        "name": "bob-1", "address": ADDRESS, "status": SimpleNamespace(name="running"), "nthreads": 2, "memory_limit": 4000,
        "metrics": {"memory": 300, "cpu": 98.04, "spilled_bytes": {"disk": 7, "memory": 9}}, "executing": {"x"},
        "processing": {"x", "y", "z"}, "has_what": {"w": None}, "resources": {"group-lab": 1e9, "gpu": 1},
    }  # fmt: skip
    return SimpleNamespace(**good | wrong)


def told(one: Any) -> Any:
    """As its node reads it."""
    seen = orders.read_word.decode(encode(Seen(workers=[telling.worker(one)])))
    assert isinstance(seen, Seen)
    return seen.workers[0]


def test_what_a_worker_says_is_told() -> None:
    one = told(state())
    assert (one.name, one.address, one.node, one.status) == ("bob-1", ADDRESS, bytes(ANN.peer), "running")
    assert (one.threads, one.memory_limit_bytes, one.memory_bytes, one.spilled_bytes) == (2, 4000, 300, 7)
    assert (one.cpu, one.running, one.waiting, one.kept, one.groups) == (98.0, 1, 2, 1, ["lab"])


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_one_that_says_nonsense_ends_nobody(wrong: Any) -> None:
    for metrics in (
        wrong,
        {"memory": wrong, "cpu": wrong, "spilled_bytes": {"disk": wrong}},
        {"spilled_bytes": wrong},
    ):
        told(state(metrics=metrics, nthreads=wrong, memory_limit=wrong, name=wrong))
    told(state(resources=wrong))
    told(state(resources={wrong if isinstance(wrong, str | bytes | float) else 1: 1, "group-\ud800": 1}))
    prefix = SimpleNamespace(
        name=wrong, states={"waiting": wrong, "processing": wrong}, state_counts={"memory": wrong}, duration_average=wrong
    )  # fmt: skip
    orders.read_word.decode(encode(Seen(kinds=[telling.kind(prefix)])))


@given(st.text(st.characters(exclude_categories=[]), max_size=300))
def test_whatever_it_is_called(name: str) -> None:
    assert len(told(state(name=name, address=name)).name) <= 200
