"""Datagrams that measure delays."""

from hypothesis import given
from hypothesis import strategies as st

from servent.blobs import delay


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_what_is_asked_is_answered(number: int, sent: int, received: int) -> None:
    asked = delay.parse(delay.ask(number, sent))
    assert asked == delay.Ask(number, sent)
    assert isinstance(asked, delay.Ask)
    assert delay.parse(delay.answer(asked, received)) == delay.Answer(number, sent, received)


@given(st.binary(max_size=64))
def test_anything_else_is_nothing_or_whole(data: bytes) -> None:
    found = delay.parse(data)
    if isinstance(found, delay.Ask):
        assert delay.ask(found.number, found.sent_us) == data
    elif found is not None:
        assert delay.answer(delay.Ask(found.number, found.sent_us), found.received_us) == data


def test_clocks_that_run_over_still_fit() -> None:
    assert isinstance(delay.parse(delay.ask(2**40, 2**70)), delay.Ask)
