"""Who is stayed connected to: everybody in a small network, friends and those the overlay holds in a large one."""

from __future__ import annotations

from servent.identity import PeerId
from servent.net.crowd import Crowd

HOME, PLAZA = b"h" * 32, b"p" * 32


def peer(number: int) -> PeerId:
    return PeerId(number.to_bytes(32, "big"))


def test_a_small_network_is_a_full_mesh() -> None:
    crowd = Crowd(mesh=32, seen_for=3600.0)
    for number in range(31):
        crowd.heard(peer(number), [HOME], 0.0)
    assert not crowd.large(HOME, 1.0)
    assert all(crowd.wants(peer(number), 1.0) for number in range(31))


def test_in_a_large_one_only_those_are_wanted_whom_the_overlay_holds() -> None:
    crowd = Crowd(mesh=32, seen_for=3600.0)
    for number in range(200):
        crowd.heard(peer(number), [HOME], 0.0)
    crowd.hold(peer(199), True, "overlay")
    assert crowd.large(HOME, 1.0)
    assert crowd.wants(peer(199), 1.0) and not crowd.wants(peer(198), 1.0)
    crowd.hold(peer(199), False, "overlay")
    assert not crowd.wants(peer(199), 1.0)


def test_a_peer_is_held_until_nobody_needs_it_any_more() -> None:
    crowd = Crowd(mesh=32, seen_for=3600.0)
    crowd.hold(peer(1), True, "overlay")
    crowd.hold(peer(1), True, "talk")
    crowd.hold(peer(1), False, "overlay")
    assert crowd.holds(peer(1))
    crowd.hold(peer(1), False, "talk")
    assert not crowd.holds(peer(1))


def test_a_member_of_a_small_network_is_wanted_though_a_large_one_is_shared_as_well() -> None:
    crowd = Crowd(mesh=4, seen_for=3600.0)
    for number in range(20):
        crowd.heard(peer(number), [PLAZA], 0.0)
    crowd.heard(peer(19), [HOME], 0.0)
    assert crowd.wants(peer(19), 1.0) and not crowd.wants(peer(18), 1.0)


def test_somebody_of_whom_no_network_is_known_may_be_dialed() -> None:
    crowd = Crowd(mesh=4, seen_for=3600.0)
    assert crowd.wants(peer(1), 0.0)


def test_what_others_count_makes_a_network_large() -> None:
    crowd = Crowd(mesh=32, seen_for=3600.0)
    crowd.heard(peer(1), [HOME], 0.0)
    crowd.counted(HOME, 200, "overlay")
    crowd.counted(HOME, 2, "records")
    assert crowd.large(HOME, 0.0) and not crowd.wants(peer(1), 0.0)
    crowd.counted(HOME, 2, "overlay")
    assert not crowd.large(HOME, 0.0)


def test_members_that_were_not_heard_of_for_long_count_no_more() -> None:
    crowd = Crowd(mesh=4, seen_for=3600.0)
    for number in range(8):
        crowd.heard(peer(number), [HOME], 0.0)
    assert crowd.large(HOME, 3599.0) and not crowd.large(HOME, 3601.0)


def test_a_network_that_was_left_is_forgotten_and_none_grows_without_end() -> None:
    crowd = Crowd(mesh=4, seen_for=3600.0)
    for number in range(10_000):
        crowd.heard(peer(number), [HOME], 0.0)
    assert len(crowd._heard[HOME]) <= 16
    crowd.left([HOME])
    assert not crowd.large(HOME, 0.0)
