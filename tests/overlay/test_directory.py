"""What the directory takes in, where it says that things live, and how long it believes it."""

from __future__ import annotations

import pytest
from msgspec import structs

from servent.overlay.directory import Directory
from servent.overlay.effects import Send
from servent.overlay.placement import block_of, nearest, point, position, week_of
from servent.overlay.records import signed
from servent.overlay.topology import Topology
from servent.overlay.wire import AskSupernodes, Goodbye, Supernodes
from servent.trust.networks import Forged
from tests.overlay.supernodes import address, context, supernode
from tests.overlay.things import NETWORK, CheapSeal, peer

P2P, HYBRID = Topology("p2p"), Topology("hybrid")


def key16(number: int) -> bytes:
    return bytes(peer(1000 + number))[:16]


def serving(number: int, topology: Topology = P2P, **how: object) -> Directory:
    one = Directory(context(number, **how), topology)  # type: ignore[arg-type]
    one.serve(supernode(number), 0.0)
    return one


def goodbye(number: int, seq: int) -> Goodbye:
    bye = Goodbye(bytes(peer(number)), seq)
    return signed(NETWORK, bye, CheapSeal(peer(number)))  # type: ignore[no-any-return]


def test_a_newer_record_replaces_an_older_one_and_never_the_other_way() -> None:
    one = serving(0)
    assert one.put(supernode(1, 5, leaves=3), 1.0)
    assert not one.put(supernode(1, 4, leaves=9), 2.0)
    assert not one.put(supernode(1, 5, leaves=9), 2.0)
    assert one.put(supernode(1, 6, leaves=7), 2.0)
    known = one.get(peer(1), 3.0)
    assert known is not None and known.leaves == 7
    assert len(one.records(3.0)) == 2


def test_a_record_that_its_key_did_not_sign_is_forged() -> None:
    one = serving(0)
    with pytest.raises(Forged):
        one.put(structs.replace(supernode(1), leaves=99), 0.0)
    with pytest.raises(Forged):
        one.put(structs.replace(supernode(1), peer=supernode(2).peer), 0.0)


def test_who_does_not_belong_here_is_no_supernode_here() -> None:
    one = serving(0, belongs=lambda key: key != peer(1))
    assert not one.put(supernode(1), 0.0)
    assert one.get(peer(1), 0.0) is None


def test_a_record_lives_from_when_it_was_first_seen_whatever_its_clock_says_and_no_replay_revives_it() -> (
    None
):
    one = serving(0)
    future = supernode(1, 1 << 60, lifetime=60)
    one.put(future, 100.0)
    assert not one.put(future, 150.0)
    assert one.get(peer(1), 159.0) is not None
    assert one.get(peer(1), 161.0) is None
    one.tick(230.0)
    assert peer(1) not in one.nearest(key16(1), 3, 230.0)
    assert not one.put(future, 231.0)


def test_a_signed_goodbye_ends_it_and_only_a_newer_record_undoes_it() -> None:
    one = serving(0)
    one.put(supernode(1, 5), 0.0)
    with pytest.raises(Forged):
        one.handlers()[Goodbye](peer(3), structs.replace(goodbye(1, 6), seq=7), 1.0)
    one.handlers()[Goodbye](peer(3), goodbye(1, 4), 1.0)
    assert one.get(peer(1), 1.0) is not None, "an old goodbye says nothing of a newer record"
    one.handlers()[Goodbye](peer(3), goodbye(1, 6), 1.0)
    assert one.get(peer(1), 1.0) is None
    assert not one.put(supernode(1, 6), 2.0)
    assert one.put(supernode(1, 7), 2.0)


@pytest.mark.parametrize("open", [False, True])
def test_nearest_is_what_the_rule_of_placement_says(open: bool) -> None:
    one = serving(0, open=open)
    for number in range(1, 60):
        one.put(supernode(number), 0.0)
    ring = [
        (
            position(
                NETWORK,
                key,
                block_of(address(number)),
                0,
                week_of(key, 1e9) if open else 0,
                open,
            ),
            bytes(key),
        )
        for number in range(60)
        for key in [peer(number)]
    ]
    for number in range(50):
        assert one.nearest(key16(number), 3, 0.0) == nearest(point(key16(number)), ring, 3)


def test_who_crowds_around_a_key_is_not_alone_with_it() -> None:
    one = serving(0)
    for number in range(1, 200):
        one.put(supernode(number), 0.0)
    stored = [len(one.nearest(key16(number), 3, 0.0, storing=True)) for number in range(300)]
    assert min(stored) >= 3 and max(stored) <= 12
    assert sum(stored) / len(stored) < 4.5, "half as many again at most"
    for number in range(300):
        assert set(one.nearest(key16(number), 3, 0.0)) <= set(
            one.nearest(key16(number), 3, 0.0, storing=True)
        )


def test_who_retires_is_asked_still_but_stores_nothing_new() -> None:
    one = serving(0)
    for number in range(1, 5):
        one.put(supernode(number, retiring=number == 1), 0.0)
    assert peer(1) in one.nearest(key16(0), 5, 0.0)
    assert peer(1) not in one.nearest(key16(0), 5, 0.0, storing=True)


def test_of_one_address_block_two_in_an_open_network() -> None:
    one = serving(0, open=True)
    home = "20.9.9.%d:4000"
    taken = [
        one.put(supernode(number, where=[home % number], slot=number % 4), 0.0) for number in range(1, 6)
    ]
    assert taken == [True, True, False, False, False]
    assert one.put(supernode(1, 2, where=[home % 1]), 0.0), "it is known, and moves nowhere"
    invited = serving(0)
    assert all(invited.put(supernode(number, where=[home % number]), 0.0) for number in range(1, 6))


def test_a_block_without_an_address_in_it_is_a_lie() -> None:
    one = serving(0, open=True)
    with pytest.raises(Forged):
        one.put(supernode(1, block="4:080808"), 0.0)
    assert not one.put(supernode(2, where=["192.168.1.2:4000"]), 0.0), "we are in public, it is not"
    within = serving(0, open=True, where=["192.168.1.9:4000"])
    assert all(within.put(supernode(n, where=[f"192.168.1.{n}:4000"]), 0.0) for n in range(1, 20))


def test_only_its_servers_serve_a_network_in_server_mode() -> None:
    one = Directory(context(0), Topology("server", frozenset({bytes(peer(1))})))
    assert not one.put(supernode(2), 0.0)
    assert one.put(supernode(1), 0.0)
    assert one.nearest(key16(1), 3, 0.0) == [peer(1)]


def test_a_mode_switch_keeps_who_is_known_until_a_server_is() -> None:
    one = serving(0)
    for number in range(1, 9):
        one.put(supernode(number), 0.0)
    one.shape(Topology("server", frozenset({bytes(peer(20))})), 1.0)
    assert one.get(peer(3), 1.0) is not None
    one.put(supernode(20), 2.0)
    one.retire(60.0)
    one.tick(80.0)
    assert one.nearest(key16(1), 3, 80.0)[0] == peer(20)
    assert one.get(peer(3), 80.0) is None


def test_receipts_that_lie_are_forged_and_those_of_strangers_do_not_count() -> None:
    one = serving(0, HYBRID, open=True)
    for number in (1, 201):
        assert one.put(supernode(number), 0.0), "there are fewer than the floor"
    assert not one.put(supernode(5), 0.0), "no receipts"
    assert not one.put(supernode(5, witnesses=[77, 78]), 0.0), "nobody knows these witnesses"
    assert one.put(supernode(5, witnesses=[1, 77]), 0.0), "one that is known is enough while there are few"
    assert not one.put(supernode(7, witnesses=[8, 9]), 0.0), "nobody knows these witnesses yet"
    assert one.put(supernode(8, witnesses=[1]), 0.0)
    assert one.get(peer(7), 0.0) is not None, "one of them is known now"
    lie = supernode(6, witnesses=[1, 201])
    other = signed(
        NETWORK, structs.replace(lie, receipts=supernode(5, witnesses=[1]).receipts), CheapSeal(peer(6))
    )
    with pytest.raises(Forged):
        one.put(other, 0.0)
    own = signed(
        NETWORK, structs.replace(lie, receipts=[supernode(6, witnesses=[6]).receipts[0]]), CheapSeal(peer(6))
    )
    with pytest.raises(Forged):
        one.put(own, 0.0)


def test_a_leaf_keeps_a_few_and_a_supernode_tells_its_own_record_first() -> None:
    leaf = Directory(context(50), HYBRID)
    home = serving(0)
    for number in range(1, 200):
        home.put(supernode(number, witnesses=[0]), 0.0)
    [*answers] = home.handlers()[AskSupernodes](peer(50), AskSupernodes(), 0.0)
    records = []
    for effect in answers:
        assert isinstance(effect, Send) and isinstance(effect.message, Supernodes)
        records += effect.message.records
        leaf.handlers()[Supernodes](peer(0), effect.message, 0.0)
    assert records[0].key == peer(0) and len(records) == 33
    assert len(leaf.records(0.0)) == leaf.settings.leaf
    assert leaf.count(0.0) == 200
