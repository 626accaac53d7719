"""Who takes the index role, when, and what everybody else is told about why not."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.overlay.demand import Grants, floor_of, free_share, lacking, wanted_of
from servent.overlay.dialback import dialled, reach_of
from servent.overlay.effects import DialBack, Send
from servent.overlay.eligible import Abilities, hindrances, score, sentence, span
from servent.overlay.settings import ElectionSettings, OverlaySettings
from servent.overlay.topology import Topology
from servent.overlay.wire import AskDialBack, DialledBack, Stand, Stood
from tests.overlay.electorate import STRONG, Crowd, One, weak
from tests.overlay.supernodes import receipt, supernode
from tests.overlay.things import peer

HYBRID = Topology("hybrid")
SETTINGS = ElectionSettings()


def gather(count: int, seed: int, seconds: float = 5.0, crowd: Crowd | None = None) -> Crowd:
    """So many peers like people's machines are; one in two can be reached."""
    dice = random.Random(seed)
    crowd = crowd or Crowd(HYBRID, seed)
    start = len(crowd.peers)
    for number in range(start, start + count):
        crowd.join(number, weak(dice), reachable=dice.random() < 0.5)
        crowd.run(crowd.now + seconds / count)
    return crowd


def homeless(crowd: Crowd) -> int:
    return sum(one.alive and not one.election.index and not one.homes for one in crowd.peers.values())


# -- many peers


@pytest.mark.parametrize("seed", [1, 2])
def test_an_election_of_three_hundred_settles_within_a_minute_and_does_not_flap(seed: int) -> None:
    crowd = gather(300, seed)
    crowd.run(60.0)
    first = {one.key for one in crowd.serving()}
    assert 3 <= len(first) <= 5, "1:64 to 1:256, and not fewer than the floor"
    assert homeless(crowd) == 0
    assert all(one.reachable for one in crowd.serving())
    crowd.run(4000.0)
    changes = [at for one in crowd.peers.values() for at, _ in one.changes if at > 180.0]
    assert len(changes) <= 1
    assert not crowd.faults


def test_a_crowd_ten_times_as_large_gets_its_supernodes_within_ten_minutes() -> None:
    """With a tenth of the places, so that four hundred peers are as many as four thousand."""
    small = replace(SETTINGS, target=10, room=51, idle_leaves=1)
    crowd = gather(40, 3, crowd=Crowd(HYBRID, 3, settings=replace(OverlaySettings(), election=small)))
    crowd.run(200.0)
    gather(360, 4, 60.0, crowd)
    crowd.run(crowd.now + 600.0)
    alive, serving = len(crowd.peers), crowd.serving()
    assert alive / 25.6 <= len(serving) <= alive / 6.4
    assert homeless(crowd) == 0
    settled = crowd.now
    crowd.run(settled + 300.0)
    assert sum(at > settled for one in crowd.peers.values() for at, _ in one.changes) <= 1
    members = serving[0].directory.members(crowd.now)
    assert 0.8 * alive < members < 1.3 * alive


def test_whoever_cannot_be_reached_is_never_elected_and_knows_why() -> None:
    crowd = Crowd(HYBRID, 5)
    for number in range(30):
        crowd.join(number, STRONG, reachable=number in (3, 9))
    crowd.run(3000.0)
    assert {one.number for one in crowd.serving()} == {3, 9}
    hidden = crowd.peers[peer(4)]
    assert "could reach it from outside" in hidden.election.why
    assert "public address or a port mapping" in hidden.election.why


def test_where_nobody_can_be_reached_one_that_others_came_to_keeps_the_index_until_a_better_one_comes() -> (
    None
):
    crowd = Crowd(HYBRID, 6)
    for number in range(5):
        crowd.join(number, replace(STRONG, inbound=number == 2), reachable=False)
    crowd.run(20.0)
    assert crowd.serving() == []
    crowd.run(90.0)
    assert [one.number for one in crowd.serving()] == [2]
    for number in range(5, 9):
        crowd.join(number, STRONG)
    crowd.run(2400.0)
    assert 2 not in {one.number for one in crowd.serving()}
    assert len(crowd.serving()) >= 3


def test_two_friends_alone_have_an_index_after_seconds() -> None:
    crowd = Crowd(HYBRID, 7)
    young = Abilities(session=2.0, memory=1 << 28)
    crowd.join(0, young)
    crowd.run(5.0)
    assert crowd.serving() == [] and "nobody else is here" in crowd.peers[peer(0)].election.why
    crowd.join(1, young)
    crowd.run(25.0)
    assert len(crowd.serving()) >= 1 and homeless(crowd) == 0


def test_when_supernodes_die_others_take_their_place() -> None:
    crowd = gather(150, 8)
    crowd.run(300.0)
    for one in crowd.serving():
        crowd.kill(one)
    crowd.run(crowd.now + 240.0)
    assert 1 <= len(crowd.serving()) <= 8
    assert homeless(crowd) <= 3
    crowd.run(crowd.now + 600.0)
    assert 3 <= len(crowd.serving()) <= 8 and homeless(crowd) == 0


def test_one_with_nothing_to_do_lays_the_role_down_after_half_an_hour_and_never_below_the_floor() -> None:
    crowd = Crowd(HYBRID, 9)
    for number in range(40):
        crowd.join(number)
    crowd.run(800.0)
    extra = [one for one in crowd.peers.values() if not one.election.index][:4]
    for one in extra:
        crowd.do(one, one.election._take(crowd.now, "a test wants it"))
        assert one.directory.own is not None
    took = crowd.now
    crowd.run(took + SETTINGS.dwell - 10.0)
    assert all(one.election.index and not one.election.retiring for one in extra), "not before half an hour"
    crowd.run(took + SETTINGS.dwell + 1200.0)
    assert 3 <= len(crowd.serving()) <= 4
    assert homeless(crowd) == 0


def test_clocks_years_off_change_nothing() -> None:
    crowd = Crowd(HYBRID, 10)
    dice = random.Random(1)
    for number in range(40):
        crowd.join(number, replace(STRONG, clock_off=None), skew=dice.choice((-9e8, 0.0, 9e8)))
    crowd.run(3000.0)
    assert len(crowd.serving()) == 3 and homeless(crowd) == 0
    agreed = {frozenset(r.key for r in one.directory.records(crowd.now)) for one in crowd.serving()}
    assert agreed == {frozenset(one.key for one in crowd.serving())}


def test_what_goes_over_the_wire_is_what_every_peer_accepts() -> None:
    crowd = Crowd(HYBRID, 11, wire=True, open=True)
    for number in range(60):
        crowd.join(number * 201)
    crowd.run(1500.0)
    assert len(crowd.serving()) >= 3 and not crowd.faults
    assert all(len(one.directory.records(crowd.now)) == len(crowd.serving()) for one in crowd.serving())


# -- one peer


def alone(wish: str = "auto", topology: Topology = HYBRID) -> tuple[Crowd, One]:
    crowd = Crowd(topology, 1)
    one = crowd.join(0, STRONG, wish=wish)  # type: ignore[arg-type]
    crowd.run(1.0)
    return crowd, one


def test_the_wish_of_the_person_counts_and_the_mode_of_the_network() -> None:
    assert alone("on")[1].election.index
    assert not alone("off")[1].election.index
    p2p = alone(topology=Topology("p2p"))[1]
    assert p2p.election.index and "every peer" in p2p.election.why
    server = alone(topology=Topology("server", frozenset({bytes(peer(0))})))[1]
    assert server.election.index and "server" in server.election.why
    other = alone(topology=Topology("server", frozenset({bytes(peer(5))})))[1]
    assert not other.election.index and "Only the servers" in other.election.why


def test_the_reason_follows_the_mode_and_the_wish() -> None:
    crowd, one = alone("on")
    own = Topology("server", frozenset({bytes(peer(0))}))
    for topology, wish, said in (
        (Topology("p2p"), "on", "every peer keeps"),
        (HYBRID, "on", "You have said"),
        (own, "auto", "is a server"),
        (Topology("p2p"), "auto", "every peer keeps"),
        (HYBRID, "auto", "goes on while it is needed"),
    ):
        crowd.do(one, one.election.shape(topology, wish, crowd.now))  # type: ignore[arg-type]
        assert one.election.index and said in one.election.why
        crowd.run(crowd.now + 20.0)
        assert said in one.election.why


def test_wanting_the_role_does_not_make_a_peer_that_cannot_be_reached_a_supernode() -> None:
    crowd = Crowd(HYBRID, 2)
    for number in range(10):
        crowd.join(number)
    crowd.run(120.0)
    hidden = crowd.join(50, STRONG, wish="on", reachable=False)
    crowd.run(400.0)
    assert not hidden.election.index
    assert hidden.election.why.startswith("You want this node to keep the index, which it does not yet")


def test_who_was_not_reached_does_not_take_the_role_again_and_again_where_supernodes_are_few() -> None:
    crowd = Crowd(HYBRID, 2)
    for number in range(3):
        crowd.join(number, STRONG, wish="on", reachable=number > 0)
    for number in range(3, 30):
        crowd.join(number, wish="off")
    crowd.run(900.0)
    hidden = crowd.peers[peer(0)]
    assert len(hidden.changes) <= 4
    assert len(crowd.serving()) >= 2 and homeless(crowd) == 0


def test_a_supernode_that_is_unplugged_lays_the_role_down_in_a_minute() -> None:
    crowd = Crowd(HYBRID, 3)
    for number in range(30):
        crowd.join(number)
    crowd.run(800.0)
    extra = next(one for one in crowd.peers.values() if not one.election.index)
    crowd.do(extra, extra.election._take(crowd.now, "a test wants it"))
    crowd.run(crowd.now + 60.0)
    crowd.do(extra, extra.election.measured(replace(STRONG, battery=True), crowd.now))
    crowd.run(crowd.now + 5.0)
    assert extra.election.retiring and extra.election.index, "it still answers"
    assert "battery" in extra.election.why
    crowd.run(crowd.now + SETTINGS.hand_over + 5.0)
    assert not extra.election.index
    assert all(one.directory.get(extra.key, crowd.now) is None for one in crowd.serving())


@pytest.mark.parametrize(
    ("lack", "said"),
    [
        ({"session": 720.0}, "it has not been on for 30 minutes yet"),
        ({"average_session": 2400.0}, "it usually is on for 40 minutes at a time, which should be 2 hours"),
        ({"up": 100_000.0}, "it uploads 0.8 Mbit/s, which should be 2 Mbit/s"),
        ({"memory": 100 << 20}, "it has 100 MB of memory free, which should be 512 MB"),
        ({"files": 1024}, "it may open 1024 files at a time, which should be 4096"),
        ({"clock_off": -90.0}, "its clock is 1 minute off"),
        ({"metered": True}, "paid by volume"),
        ({"battery": True}, "runs on battery"),
    ],
)
def test_each_thing_that_is_missing_is_said_in_words(lack: dict[str, object], said: str) -> None:
    assert hindrances(STRONG, SETTINGS) == []
    [reason] = hindrances(replace(STRONG, **lack), SETTINGS)  # type: ignore[arg-type]
    assert said in reason
    assert sentence("No", [reason, "b", "c"]) == f"No: {reason}, b, and c."


def test_too_few_supernodes_make_less_enough_and_none_at_all_makes_anything_enough() -> None:
    young = replace(STRONG, session=400.0, average_session=100.0)
    assert hindrances(young, SETTINGS) and not hindrances(young, SETTINGS, relaxed=True)
    assert hindrances(replace(young, session=200.0), SETTINGS, relaxed=True)
    assert not hindrances(Abilities(battery=True), SETTINGS, urgent=True)
    assert [span(s) for s in (1.0, 59.0, 60.0, 7199.0, 7200.0)] == [
        "1 second",
        "59 seconds",
        "1 minute",
        "1 hour",
        "2 hours",
    ]


@given(
    st.builds(
        Abilities,
        average_session=st.floats(0, 1e7),
        up=st.floats(0, 1e9),
        memory=st.integers(0, 1 << 40),
        load=st.floats(-1, 5),
        mapped=st.booleans(),
    )
)
def test_a_score_lies_between_none_and_all(abilities: Abilities) -> None:
    assert 0.0 <= score(abilities) <= 1.0 + 1e-9
    better = replace(abilities, average_session=abilities.average_session + 3600.0, mapped=False)
    assert score(better) >= score(abilities)


# -- how many are needed


def test_nothing_is_lacking_within_the_band() -> None:
    def some(count: int, leaves: int) -> list[object]:
        return [supernode(n, leaves=leaves) for n in range(count)]

    assert lacking(some(10, 300), 1500, SETTINGS) == 0  # type: ignore[arg-type]
    assert lacking(some(10, 420), 2100, SETTINGS) == 4  # type: ignore[arg-type]
    assert lacking(some(2, 10), 20, SETTINGS) == 1  # type: ignore[arg-type]
    assert lacking(some(3, 300), 3000, SETTINGS) == 3  # type: ignore[arg-type]
    assert lacking([], 4, SETTINGS) == 3
    assert floor_of(1, SETTINGS) == 1 and floor_of(5000, SETTINGS) == 10
    assert wanted_of(1000, SETTINGS) == 10
    assert free_share([]) == 1.0


@given(st.integers(1, 300), st.integers(0, 300), st.randoms(use_true_random=False))
def test_supernodes_together_let_about_as_many_stand_up_as_are_lacking(
    supernodes: int, lack: int, dice: random.Random
) -> None:
    given_ = sum(Grants().allow(lack, supernodes, dice.random(), 0.0) for _ in range(supernodes))
    assert given_ <= max(lack, supernodes)
    if lack >= supernodes:
        assert given_ == supernodes
    one = Grants()
    allowed = sum(one.allow(lack, supernodes, 0.0, 1.0) for _ in range(1000))
    assert allowed <= -(-lack // supernodes)


def test_who_is_no_supernode_lets_nobody_stand_up() -> None:
    crowd = Crowd(HYBRID, 1)
    leaf = crowd.join(0, Abilities())
    assert leaf.handlers[Stand](peer(1), Stand(5), 0.0) == [Send(peer(1), Stood(5, False))]


# -- dial-backs


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("8.8.8.8:4000", "public"),
        ("[2600::1]:4000", "public"),
        ("192.168.1.2:4000", "private"),
        ("127.0.0.1:4000", "loopback"),
        ("[::1]:4000", "loopback"),
        ("8.8.8.8:22", ""),
        ("8.8.8.8:443", "public"),
        ("224.0.0.1:4000", ""),
        ("169.254.1.1:4000", ""),
        ("0.0.0.0:4000", ""),
        ("example.org:4000", ""),
        ("8.8.8.8", ""),
        ("8.8.8.8:99999", ""),
    ],
)
def test_only_addresses_that_a_peer_may_have_are_dialled(address: str, reach: str) -> None:
    assert reach_of(address) == reach


def test_a_witness_dials_only_what_is_like_its_own_addresses() -> None:
    named = ["127.0.0.1:4000", "192.168.1.2:4000", "8.8.8.8:4000"]
    assert dialled(named, ["20.1.1.1:4000", "192.168.1.1:4000"]) == ["8.8.8.8:4000"]
    assert dialled(named, ["192.168.1.1:4000", "127.0.0.1:4000"]) == ["192.168.1.2:4000"]
    assert dialled(named, ["127.0.0.1:4000"]) == ["127.0.0.1:4000"]
    assert dialled(named, []) == ["8.8.8.8:4000"]


def test_a_witness_is_no_scanner() -> None:
    _, one = alone()
    ask = one.handlers[AskDialBack]

    def dials(number: int, address: str, now: float) -> bool:
        [effect] = ask(peer(number), AskDialBack(1, [address]), now)
        if isinstance(effect, DialBack):
            return True
        assert isinstance(effect, Send) and isinstance(effect.message, DialledBack)
        assert effect.message.receipt is None and effect.message.reason
        return False

    assert dials(1, "9.9.9.9:4000", 100.0)
    assert not dials(1, "9.9.8.9:4000", 110.0), "asked a moment ago"
    assert not dials(2, "9.9.9.10:4000", 105.0), "the same block"
    assert dials(1, "9.9.9.9:4000", 200.0)
    spread = [dials(100 + n, f"11.{n}.1.1:4000", 300.0) for n in range(100)]
    assert sum(spread) <= 20
    [effect] = ask(peer(3), AskDialBack(1, ["11.1.1.1:4000", "12.1.1.1:4000", "13.1.1.1:4000"]), 900.0)
    assert isinstance(effect, Send), "nobody has addresses in three networks"


def test_a_witness_that_did_not_try_says_nothing_about_us() -> None:
    """One that is connected with us through a relay, or at another address, does not knock at those that we name."""
    _, one = alone()
    seeker = one.election._seeker
    for number, (reason, unreached) in enumerate(
        (("not tried", 0), ("busy", 0), ("nobody answered there", 1))
    ):
        [asked] = seeker.ask([peer(50 + number)], ["8.8.8.8:4000"], 100.0)
        assert isinstance(asked, Send) and isinstance(asked.message, AskDialBack)
        seeker.answered(peer(50 + number), DialledBack(asked.message.number, None, reason), 100.0)
        assert seeker.unreached == unreached


def test_a_crowd_that_wants_to_be_seen_costs_no_supernode_its_receipts() -> None:
    """Each of hundreds of candidates asks every witness; a supernode whose receipts run out was told "busy" until it retired."""
    crowd, one = alone()
    other = crowd.join(1)
    crowd.run(60.0)
    assert one.election.index or other.election.index
    keeper, witness = (other, one) if other.election.index else (one, other)
    ask = witness.handlers[AskDialBack]
    now = crowd.now + 100.0
    for n in range(100):
        ask(peer(100 + n), AskDialBack(1, [f"11.{n}.1.1:4000"]), now)
    [effect] = ask(peer(300), AskDialBack(1, ["12.1.1.1:4000"]), now)
    assert isinstance(effect, Send), "the crowd has used up its share"
    [effect] = ask(keeper.key, AskDialBack(1, ["13.1.1.1:4000"]), now)
    assert isinstance(effect, DialBack)


def test_receipts_of_somebody_else_or_for_another_place_do_not_count() -> None:
    crowd = Crowd(HYBRID, 4)
    one, friend = crowd.join(0), crowd.join(1)
    crowd.run(0.05)
    seeker = one.election._seeker
    asked = next(iter(seeker._pending.items()), None)
    assert asked is not None and asked[1][0] == friend.key
    number = asked[0]
    assert not seeker.answered(peer(2), DialledBack(number, receipt(2, 0)), 0.1)
    assert not seeker.answered(peer(1), DialledBack(number + 7, receipt(1, 0)), 0.1)
    assert not seeker.answered(peer(1), DialledBack(number, receipt(1, 0, "4:090909")), 0.1)
    assert seeker.fresh("4:090909", 0.1) == 0
