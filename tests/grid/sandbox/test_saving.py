"""When a snapshot is taken."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from servent.grid.sandbox.saving import COST, OFTEN, SMALL_BYTES, WEAR, Saving


def count(saving: Saving, slices: int, each: float, took: float, size: int) -> int:
    """How many of `slices` slices of `each` seconds are followed by a snapshot."""
    now, saved = 0.0, 0
    for _ in range(slices):
        now += each
        if saving.due(now):
            saved += 1
            saving.saved(now, now + took, size)
            now += took
    return saved


def test_a_small_state_is_saved_after_every_slice_of_some_seconds() -> None:
    assert count(Saving(60.0, 65536, 0.0), 100, 3.0, 0.01, 50_000) == 100


def test_short_slices_share_a_snapshot() -> None:
    assert count(Saving(60.0, 65536, 0.0), 1000, 0.1, 0.001, 5_000) in range(45, 51)


def test_what_takes_long_or_much_is_saved_once_a_minute() -> None:
    assert count(Saving(60.0, 65536, 0.0), 100, 3.0, 2.0, 50_000) in (5, 6)
    assert count(Saving(60.0, 65536, 0.0), 100, 3.0, 0.01, 50_000_000) in (5, 6)
    assert count(Saving(60.0, SMALL_BYTES + 1, 0.0), 10, 3.0, 0.01, 5_000) == 0
    assert count(Saving(60.0, SMALL_BYTES + 1, 0.0), 100, 3.0, 0.01, 5_000) == 81


def test_what_is_too_large_to_be_kept_is_not_tried_at_every_slice() -> None:
    assert count(Saving(60.0, 65536, 0.0), 100, 3.0, 0.01, 0) in (5, 6)


def test_an_app_without_checkpoints_has_none() -> None:
    assert count(Saving(0.0, 65536, 0.0), 100, 100.0, 0.0, 1) == 0


@given(
    st.floats(0.01, 600), st.floats(0.001, 30), st.floats(0, 10), st.integers(0, 10**9), st.integers(1, 200)
)
def test_neither_time_nor_disk_are_worn_more_than_is_said_beyond_what_the_job_asks_for(
    every: float, each: float, took: float, size: int, slices: int
) -> None:
    saved = count(Saving(every, 65536, 0.0), slices, each, took, size)
    time = slices * each + saved * took
    least = time / every + 1
    early = max(0.0, saved - least - 1)  # the first is a guess
    assert early * took <= COST * time + 1e-6
    assert early * size <= WEAR * time + 1e-3
    assert early <= time / OFTEN
