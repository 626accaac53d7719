"""When the machines of a cluster work, as its roster says."""

from __future__ import annotations

from servent.cluster.model import Group, Member, Roster

BOB, EVE, ANN = (bytes([number]) * 32 for number in (1, 2, 3))


def test_hours_are_those_of_all_groups_together_and_a_group_without_hours_always_works() -> None:
    roster = Roster(
        cluster=b"c" * 32,
        serial=1,
        name="lab",
        owner=ANN,
        members=[Member(BOB, ["worker"], ["night", "weekend"]), Member(EVE, ["worker"], ["night", "on"])],
        groups=[
            Group("night", ["daily 22:00-07:00"]),
            Group("weekend", ["weekend 00:00-24:00"]),
            Group("on"),
        ],
    )
    assert roster.hours(BOB) == ["daily 22:00-07:00", "weekend 00:00-24:00"]
    assert roster.hours(EVE) == ()
    assert not roster.hours(ANN)
