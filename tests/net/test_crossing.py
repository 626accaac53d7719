"""Of two connections, both sides keep the same one."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from servent.identity import PeerId
from servent.net.crossing import Decision, decide

SMALL, LARGE = PeerId(b"\x01" * 32), PeerId(b"\x02" * 32)


@dataclass
class Line:
    peer: PeerId
    dialed: bool
    tag: bytes
    run_tag: bytes = b"run"
    last: bytes | None = None


def both(first: tuple[PeerId, bytes, bytes | None], second: tuple[PeerId, bytes, bytes | None]):  # type: ignore[no-untyped-def]
    """Connections (dialer, tag, last) as either side sees them."""
    sides = {}
    for me, other in ((SMALL, LARGE), (LARGE, SMALL)):
        sides[me] = [Line(other, dialer == me, tag, last=last) for dialer, tag, last in (first, second)]
    return sides


@given(st.booleans(), st.booleans())
def test_dials_that_crossed_leave_the_one_of_the_smaller_id_in_whatever_order_they_came(
    small_sees_first: bool, large_sees_first: bool
) -> None:
    sides = both((SMALL, b"one", None), (LARGE, b"two", None))
    for me, order in ((SMALL, small_sees_first), (LARGE, large_sees_first)):
        old, new = sides[me] if order else sides[me][::-1]
        choice = decide(me, old, new)
        winner = new if choice.new else old
        assert winner.tag == b"one" and not choice.dead


def test_a_redial_replaces_the_connection_its_dialer_gave_up() -> None:
    for me, (old, new) in both((SMALL, b"one", None), (LARGE, b"two", b"one")).items():
        assert decide(me, old, new) == Decision(new=True, dead=True)
        assert decide(me, new, old) == Decision(new=False, dead=True)


def test_two_redials_that_cross_are_decided_like_two_first_dials() -> None:
    for me, (one, two) in both((SMALL, b"one", b"old"), (LARGE, b"two", b"old")).items():
        assert decide(me, one, two) == Decision(new=False, dead=False)
        assert decide(me, two, one) == Decision(new=True, dead=False)


def test_a_peer_that_started_anew_is_believed() -> None:
    old, new = Line(LARGE, True, b"one"), Line(LARGE, False, b"two", run_tag=b"new run")
    assert decide(SMALL, old, new) == Decision(new=True, dead=True)


def test_who_dials_twice_did_not_hear_that_the_first_one_worked() -> None:
    assert decide(SMALL, Line(LARGE, False, b"one"), Line(LARGE, False, b"two")) == Decision(True, False)
