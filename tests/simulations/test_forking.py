"""What children of a process find comes back, and what they change does not."""

import os

import pytest

from simulations.forking import apart


def test_numbers_come_back_in_their_order_and_changes_do_not() -> None:
    shared = [0.0]

    def work(number: float) -> dict[str, float]:
        shared[0] += number
        return {"it": shared[0]}

    works = [lambda number=number: work(number) for number in (1.0, 2.0, 3.0)]  # type: ignore[misc]
    if not hasattr(os, "fork"):
        pytest.skip("no processes are forked here")
    for at_once in (1, 2, 3):
        assert [one["it"] for one in apart(works, at_once=at_once)] == [1.0, 2.0, 3.0]
    assert shared == [0.0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked here")
def test_a_child_that_breaks_is_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    def broken() -> dict[str, float]:
        raise ValueError("it broke")

    with pytest.raises(RuntimeError):
        apart([dict, broken], at_once=2)
    assert "it broke" in capfd.readouterr().err


def test_nothing_at_all_is_fine() -> None:
    assert apart([]) == []
