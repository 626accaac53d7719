"""A source's window: grows while that helps, stays within its bounds whatever is measured."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from servent.blobs.window import LARGEST_WINDOW, SMALLEST_WINDOW, START_WINDOW, MiB, Window


def fed(window: Window, rate: float, delay: float, seconds: float, begin: float = 0.0) -> float:
    """Deliver pieces of 256 KiB as a pipe of that rate and delay would, the window always owed."""
    now = begin
    window.began(now)
    now += delay + MiB / 4 / rate
    window.arrived(MiB // 4, delay + MiB / 4 / rate, True, now)  # the first one waits for nobody
    while now < begin + seconds:
        now += max(MiB / 4 / rate, MiB / 4 * delay / window.size)
        window.arrived(MiB // 4, max(delay, window.size / rate), True, now)
    return now


def test_a_long_fast_path_gets_twice_what_it_holds() -> None:
    window = Window()
    fed(window, 50e6, 0.2, 5.0)
    assert 2 * 50e6 * 0.2 <= window.size <= 60e6
    assert 40e6 < window.rate < 60e6


def test_a_slow_source_owes_little() -> None:
    window = Window()
    fed(window, 200e3, 0.02, 60.0)
    assert window.size <= 2 * START_WINDOW


def test_a_source_that_fell_silent_begins_small() -> None:
    window = Window()
    fed(window, 50e6, 0.2, 5.0)
    window.stalled()
    assert window.size == SMALLEST_WINDOW and window.rate == 0.0 and window.time_for(MiB) == 0.0


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**8), st.floats(0, 100), st.booleans(), st.sampled_from([0.0, 1e-9, 0.01, 20.0])
        ),
        max_size=60,
    )
)
def test_whatever_is_measured_the_window_has_its_bounds(events: list[tuple[int, float, bool, float]]) -> None:
    window, now = Window(), 0.0
    for size, waited, more, passed in events:
        now += passed
        window.arrived(size, waited, more, now)
        assert SMALLEST_WINDOW <= window.size <= LARGEST_WINDOW
