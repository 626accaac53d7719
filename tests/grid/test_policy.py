"""When a machine computes for others, and what it says when it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.blobs.queueing import parse_hours
from servent.blobs.schedule import utc
from servent.errors import UsageError
from servent.grid.policy import (
    AGAIN_AFTER,
    SPARE_DISK_BYTES,
    Conditions,
    Deciding,
    Pause,
    policy_of,
)
from servent.grid.settings import Defaults

GIB = 1024**3
MONDAY = 4 * 86400.0  # 5 January 1970, midnight
QUIET_MACHINE = Conditions(cores=8, memory_bytes=16 * GIB, memory_free=12 * GIB, idle=3600.0)


def decide(settings: Defaults, machine: Conditions, *, pause=None, wall=MONDAY, now=0.0, on=True, core=None):
    return (core or Deciding(utc)).decide(on, policy_of(settings, machine.cores), machine, pause, now, wall)


def own(**values) -> Defaults:
    return Defaults(preset="own", **values)


def test_presets_lend_more_and_more() -> None:
    quiet, idle, everything = (
        policy_of(Defaults(preset=name), 8) for name in ("quiet", "when-idle", "everything")
    )
    assert (quiet.cores, idle.cores, everything.cores) == (4, 7, 8)
    assert quiet.cpu_percent < idle.cpu_percent == everything.cpu_percent == 100
    assert quiet.idle_minutes > idle.idle_minutes > everything.idle_minutes == 0
    assert not quiet.on_battery and not idle.on_battery and everything.on_battery


@pytest.mark.parametrize("preset", ["quiet", "when-idle", "everything", "own"])
def test_a_machine_with_one_core_lends_it(preset) -> None:
    assert policy_of(Defaults(preset=preset), 1).cores == 1


def test_an_idle_machine_computes() -> None:
    verdict = decide(Defaults(), QUIET_MACHINE)
    assert verdict.allowed and verdict.cores == 7 and verdict.memory_bytes == 8 * GIB and verdict.fetch == ""


def test_it_is_off_until_it_is_turned_on() -> None:
    verdict = decide(Defaults(), QUIET_MACHINE, on=False)
    assert verdict.why == "lending is off" and not verdict.on and verdict.cores == 0


@pytest.mark.parametrize(
    ("settings", "machine", "why"),
    [
        (Defaults(), {"engaged": "a match is on"}, "a match is on"),
        (own(hours=["daily 22:00-07:00"]), {}, "outside the hours you lend; again 22:00"),
        (own(hours=["weekend 10:00-12:00"]), {}, "outside the hours you lend; again Saturday 10:00"),
        (Defaults(), {"on_battery": True}, "on battery"),
        (own(exclusive=["Steam.exe"]), {"programs": frozenset({"steam"})}, "Steam.exe is running"),
        (own(exclusive=["steam"]), {"programs": frozenset({"steam.exe"})}, "steam is running"),
        (
            Defaults(),
            {"idle": 60.0},
            "somebody is at this machine; begins after 2 min without keyboard and mouse",
        ),
        (
            Defaults(),
            {"idle": 170.0},
            "somebody is at this machine; begins after 10 s without keyboard and mouse",
        ),
        (Defaults(), {"memory_free": GIB // 2}, "other programs need the memory"),
        (Defaults(), {"others": 7.9}, "other programs need the processors"),
    ],
)
def test_each_pause_says_why_in_one_line(settings, machine, why) -> None:
    verdict = decide(settings, replace(QUIET_MACHINE, **machine), wall=MONDAY + 12 * 3600)
    assert verdict.why == why and verdict.cores == 0 and "\n" not in verdict.why


def test_everything_computes_beside_people_and_programs_and_on_battery() -> None:
    busy = replace(QUIET_MACHINE, idle=0.0, others=8.0, on_battery=True)
    assert decide(Defaults(preset="everything"), busy).cores == 8


def test_hours_of_the_night_reach_into_the_next_day() -> None:
    settings = own(hours=["mon 22:00-07:00"])
    for hour, allowed in ((21, False), (22, True), (24 + 6, True), (24 + 7, False), (24 + 22, False)):
        assert decide(settings, QUIET_MACHINE, wall=MONDAY + hour * 3600).allowed is allowed


def test_a_pause_by_the_person_ends_by_itself_or_not() -> None:
    pause = Pause(MONDAY + 600.0)
    verdict = decide(Defaults(), QUIET_MACHINE, pause=pause)
    assert (verdict.why, verdict.by_person, verdict.again) == ("paused by you until 00:10", True, 600.0)
    assert decide(Defaults(), QUIET_MACHINE, pause=pause, wall=MONDAY + 600.0).allowed
    assert decide(Defaults(), QUIET_MACHINE, pause=Pause()).why == "paused by you"


def test_where_nothing_tells_whether_anybody_is_there_nobody_is() -> None:
    assert decide(Defaults(), replace(QUIET_MACHINE, idle=None)).allowed


def test_other_programs_take_cores_at_once_and_give_them_back_after_a_while() -> None:
    core = Deciding(utc)
    assert decide(Defaults(), replace(QUIET_MACHINE, others=3.0), core=core).cores == 5
    assert decide(Defaults(), replace(QUIET_MACHINE, others=6.0), core=core, now=1.0).cores == 2
    assert decide(Defaults(), QUIET_MACHINE, core=core, now=2.0).cores == 2
    assert decide(Defaults(), replace(QUIET_MACHINE, others=6.0), core=core, now=30.0).cores == 2
    calm = decide(Defaults(), QUIET_MACHINE, core=core, now=40.0)
    assert calm.cores == 2 and calm.again == AGAIN_AFTER
    assert decide(Defaults(), QUIET_MACHINE, core=core, now=40.0 + AGAIN_AFTER).cores == 7


def test_a_full_disk_or_a_used_up_transfer_stops_fetching_alone() -> None:
    full = decide(Defaults(), replace(QUIET_MACHINE, disk_free=SPARE_DISK_BYTES - 1))
    assert full.allowed and full.fetch == "the disk is nearly full"
    used = decide(own(transfer_bytes_per_day=1000), replace(QUIET_MACHINE, transferred_today=1000))
    assert used.allowed and used.fetch == "what may be transferred in a day is used up"


@pytest.mark.parametrize("text", ["nodays 10:00-11:00", "mon", "mon 25:00-26:00", "mon ten-eleven", ""])
def test_hours_that_are_none_are_refused(text) -> None:
    with pytest.raises(UsageError):
        parse_hours([text])


machines = st.builds(
    Conditions,
    cores=st.integers(1, 64),
    memory_bytes=st.integers(1, 2**40),
    idle=st.none() | st.floats(0, 1e6),
    on_battery=st.booleans(),
    others=st.floats(0, 100),
    memory_free=st.integers(0, 2**40),
    disk_free=st.integers(0, 2**40),
    transferred_today=st.integers(0, 2**40),
    engaged=st.sampled_from(["", "a call is on"]),
)
settings_of = st.builds(
    Defaults,
    preset=st.sampled_from(["quiet", "when-idle", "everything", "own"]),
    cores=st.integers(0, 4096),
    hours=st.lists(
        st.sampled_from(["daily 22:00-07:00", "sat,sun 00:00-24:00", "weekdays 09:00-17:00"]), max_size=2
    ),
)


@given(settings_of, st.lists(st.tuples(machines, st.floats(0, 1e7)), min_size=1, max_size=5))
def test_it_never_lends_more_than_there_is_and_always_says_why_not(settings, moments) -> None:
    core, now = Deciding(utc), 0.0
    for machine, passed in moments:
        now += passed
        verdict = decide(settings, machine, core=core, now=now, wall=now)
        assert 0 <= verdict.cores <= machine.cores
        assert verdict.allowed == (verdict.cores > 0)
        assert verdict.memory_bytes <= machine.memory_bytes
        assert verdict.again is None or verdict.again >= 0
