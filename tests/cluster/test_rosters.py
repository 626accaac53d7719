"""Who may do what in a cluster, as its owner signed it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.cluster import rosters
from servent.cluster.rosters import Group, Member, Roster
from servent.errors import BadMessage
from servent.identity import Identity

ANN, BOB, EVE = (Identity(bytes([number]) * 32) for number in (1, 2, 3))
LAB = b"l" * 16


def of(*members: Member, groups: tuple[Group, ...] = ()) -> Roster:
    return Roster(LAB, bytes(ANN.peer), "lab", 1, members, groups)


def test_the_owner_may_everything_and_others_what_is_written() -> None:
    roster = of(Member(bytes(BOB.peer), work=True, submit=False))
    assert all(roster.may(ANN.peer, role) for role in ("scheduler", "worker", "client"))
    assert roster.may(BOB.peer, "worker")
    assert not roster.may(BOB.peer, "client")
    assert not roster.may(BOB.peer, "scheduler")
    assert not any(roster.may(EVE.peer, role) for role in ("scheduler", "worker", "client"))


def test_hours_are_those_of_all_groups_together_and_a_group_without_hours_always_works() -> None:
    night, weekend, always = (
        Group("night", ("daily 22:00-07:00",)),
        Group("weekend", ("weekend 00:00-24:00",)),
        Group("on"),
    )
    bob, eve = bytes(BOB.peer), bytes(EVE.peer)
    roster = of(
        Member(bob, groups=("night", "weekend")),
        Member(eve, groups=("night", "on")),
        groups=(night, weekend, always),
    )
    assert roster.hours(bob) == ("daily 22:00-07:00", "weekend 00:00-24:00")
    assert roster.hours(eve) == ()
    assert roster.hours(ANN.peer) == ()


def test_a_roster_is_believed_when_its_owner_signed_it_for_this_cluster() -> None:
    signed = rosters.sign(ANN, of(Member(bytes(BOB.peer))))
    assert rosters.read(signed, ANN.peer, LAB) == of(Member(bytes(BOB.peer)))
    with pytest.raises(BadMessage):
        rosters.read(signed, BOB.peer, LAB)
    with pytest.raises(BadMessage):
        rosters.read(signed, ANN.peer, b"x" * 16)
    with pytest.raises(ValueError, match="owner"):
        rosters.sign(BOB, of())


def test_a_node_does_not_stand_twice() -> None:
    twice = of(Member(bytes(BOB.peer)), Member(bytes(BOB.peer), submit=True))
    with pytest.raises(BadMessage):
        rosters.read(rosters.sign(ANN, twice), ANN.peer, LAB)


@given(st.binary(max_size=200))
def test_what_is_no_roster_is_refused_even_when_signed(body: bytes) -> None:
    signed = rosters.Signed(body, ANN.sign(b"servent/cluster roster 1\n" + body))
    with pytest.raises(BadMessage):
        rosters.read(signed, ANN.peer, LAB)


def test_one_changed_byte_ends_the_signature() -> None:
    signed = rosters.sign(ANN, of(Member(bytes(BOB.peer))))
    other = msgspec.structs.replace(signed, body=signed.body[:-1] + bytes([signed.body[-1] ^ 1]))
    with pytest.raises(BadMessage):
        rosters.read(other, ANN.peer, LAB)
