"""Leaves and their homes, as whole members in virtual time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servent.identity import PeerId
from servent.overlay import wire
from servent.overlay.effects import Find
from servent.overlay.placement import content_key, key_of, peer_key
from servent.overlay.records import Item
from servent.overlay.settings import HomeSettings, OverlaySettings
from servent.overlay.terms import keys_of
from servent.overlay.topology import Topology
from servent.testing.hosts import Host
from servent.testing.world import World
from tests.overlay.things import item


class Estate(World):
    """A hybrid network with supernodes that stay what they are, and leaves."""

    def __init__(
        self, supernodes: int, leaves: int = 0, items: int = 0, home: HomeSettings | None = None
    ) -> None:
        overlay = OverlaySettings(home=home or HomeSettings())
        super().__init__(1, Topology("hybrid"), open=False, over_the_wire=True, settings=overlay)
        self.top = [self.add(nat="public", wish="on") for _ in range(supernodes)]
        self.run(self.now + 10.0)
        self.leaves = [self.leaf(things(number, items)) for number in range(leaves)]

    def leaf(self, items: Sequence[Item] = ()) -> Host:
        return self.add(nat="public", wish="off", items=items)

    def homes(self, leaf: Host) -> list[Host]:
        return [self.by_key[home] for home in leaf.member.homes.homes()]

    def keyed(self, key: bytes) -> list[Host]:
        """The three nearest; in a crowded region of the ring there may be more."""
        some = next(host for host in self.top if host.alive and host.member.election.index)
        return [self.by_key[one] for one in some.member.directory.nearest(key, 3, self.now)]


def things(number: int, count: int) -> list[Item]:
    return [item(f"thing {number} number {one} xx{number}yy{one}") for one in range(count)]


def kept(home: Host, leaf: Host) -> list[str]:
    return sorted(one.name for one in home.shelf.of(leaf.key)) if home.shelf is not None else []


def under(host: Host, key: bytes) -> list[str]:
    if host.shelf is None:
        return []
    answer = host.shelf.do(Find(1, 500, keys=[key]))
    assert answer is not None
    return sorted(one.name for _, one in answer[0])  # type: ignore[attr-defined]


def names(leaf: Host) -> list[str]:
    return sorted(one.name for one in leaf.items)


def publish(world: World, leaf: Host, items: Sequence[Item]) -> None:
    leaf.items = items
    world.act(leaf, leaf.member.homes.publish(items, world.now))


def test_every_leaf_finds_two_homes_which_keep_all_it_has() -> None:
    world = Estate(5, leaves=20, items=15)
    world.run(world.now + 30.0)
    for leaf in world.leaves:
        assert len(world.homes(leaf)) == 2
        assert all(kept(home, leaf) == names(leaf) for home in world.homes(leaf))
        assert leaf.member.homes.published == leaf.member.homes.to_publish == 15
    housed = sum(len(host.member.housing.leaves()) for host in world.top)
    assert housed == 40 and not world.wrongs


def test_homes_bring_every_item_to_the_supernodes_nearest_to_its_keys() -> None:
    world = Estate(12, leaves=6, items=10)
    world.run(world.now + 60.0)
    for leaf in world.leaves:
        for one in leaf.items:
            for key in keys_of(world.network, one):
                assert all(one.name in under(host, key) for host in world.keyed(key))
    assert not [fault for host in world.hosts for fault in host.member.faults]


def test_a_supernode_is_its_own_home() -> None:
    world = Estate(6)
    one = world.top[0]
    publish(world, one, things(1, 10))
    world.run(world.now + 20.0)
    assert one.member.homes.homes() == () and world.sent[wire.Attach] == 0
    assert kept(one, one) == names(one) and one.member.homes.published == 10
    publish(world, one, things(1, 4))
    world.run(world.now + 20.0)
    gone = things(1, 10)[7]
    assert kept(one, one) == names(one)
    for key in keys_of(world.network, gone):
        assert all(gone.name not in under(host, key) for host in world.keyed(key))
    key = content_key(world.network, things(1, 10)[2].content)
    assert all(under(host, key) for host in world.keyed(key))


def test_p2p_works_without_any_home() -> None:
    world = World(3, Topology("p2p"), open=False, over_the_wire=True)
    hosts = [world.add(nat="public", items=things(number, 5)) for number in range(12)]
    world.run(90.0)
    assert world.sent[wire.Attach] == world.sent[wire.Publish] == 0
    one = things(4, 5)[3]
    key = key_of(world.network, "xx4yy3")
    near = hosts[0].member.directory.nearest(key, 3, world.now)
    assert all(under(world.by_key[host], key) == [one.name] for host in near)


def served_by_one() -> tuple[World, Host, list[Host]]:
    """A network in the server mode after a minute: its server, and eight leaves with five items each."""
    key = PeerId(hashlib.sha256(b"server").digest())
    world = World(3, Topology("server", frozenset([key])), open=False, over_the_wire=True)
    server = world.add(nat="public", key=key)
    leaves = [world.add(items=things(number, 5)) for number in range(8)]
    world.run(60.0)
    return world, server, leaves


def test_in_the_server_mode_one_home_keeps_all() -> None:
    _, server, leaves = served_by_one()
    for leaf in leaves:
        assert leaf.member.homes.homes() == (server.key,)
        assert kept(server, leaf) == names(leaf)
    assert server.shelf is not None and server.shelf.postings == 0  # nobody else could be asked


def test_the_first_supernode_stores_for_others_once_there_are_any() -> None:
    world = Estate(1, leaves=3, items=5)
    world.run(world.now + 20.0)
    assert world.top[0].shelf is not None and world.top[0].shelf.postings == 0
    world.top.append(world.add(nat="public", wish="on"))
    world.run(world.now + 30.0)
    for leaf in world.leaves:
        for one in leaf.items:
            for key in keys_of(world.network, one):
                assert all(one.name in under(host, key) for host in world.top)


def test_who_is_alone_after_others_keeps_nothing_that_was_withdrawn_since() -> None:
    world = World(3, Topology("p2p"), open=False, over_the_wire=True)
    hosts = [world.add(nat="public", items=things(number, 3)) for number in range(6)]
    world.run(60.0)
    server, publisher = hosts[0], hosts[1]
    gone = publisher.items[0]
    world.shape(Topology("server", frozenset([server.key])))
    world.run(world.now + 90.0)
    publish(world, publisher, publisher.items[1:])
    world.run(world.now + 5.0)
    assert kept(server, publisher) == names(publisher)
    for key in keys_of(world.network, gone):
        assert gone.name not in under(server, key)


def test_a_home_that_dies_is_replaced_within_seconds_of_its_silence() -> None:
    world = Estate(6, leaves=10, items=5)
    world.run(world.now + 30.0)
    victim = world.homes(world.leaves[0])[0]
    hit = [leaf for leaf in world.leaves if victim in world.homes(leaf)]
    world.crash(victim)
    world.run(world.now + 15.0 + 10.0)  # a dead connection is noticed after 15 s at the latest
    for leaf in hit:
        assert len(world.homes(leaf)) == 2 and victim not in world.homes(leaf)
        assert all(kept(home, leaf) == names(leaf) for home in world.homes(leaf))


def test_a_home_that_says_goodbye_is_replaced_at_once() -> None:
    world = Estate(6, leaves=10, items=5)
    world.run(world.now + 30.0)
    goes = world.homes(world.leaves[0])[0]
    world.leave(goes)
    world.run(world.now + 2.0)
    for leaf in world.leaves:
        assert len(world.homes(leaf)) == 2 and goes not in world.homes(leaf)


def test_a_new_mode_finds_everything_again_within_seconds() -> None:
    world = Estate(6, leaves=20, items=10)
    world.run(world.now + 30.0)
    server = world.top[0]
    world.shape(Topology("server", frozenset([server.key])))
    world.run(world.now + 10.0)
    for leaf in world.leaves:
        assert world.homes(leaf)[0] is server and kept(server, leaf) == names(leaf)
    world.shape(Topology("p2p"))
    world.run(world.now + 30.0)
    for leaf in world.leaves:
        leaf.member.wish = "auto"
        world.act(leaf, leaf.member.shape(world.topology, "auto", world.now))
    world.run(world.now + 60.0)
    for leaf in world.leaves:
        assert world.homes(leaf) == [] and leaf.member.homes.published == 10
        assert kept(leaf, leaf) == names(leaf)
        key = content_key(world.network, leaf.items[0].content)
        assert all(under(host, key) for host in world.keyed(key))


def served(world: World, server: Host, leaves: Sequence[Host]) -> bool:
    return all(
        leaf.member.homes.homes() == (server.key,) and kept(server, leaf) == names(leaf) for leaf in leaves
    )


@pytest.mark.parametrize("pause", [0.0, 3.0, 30.0, 57.0, 59.5, 70.0])
def test_the_only_server_that_takes_its_role_back_has_its_leaves_again(pause: float) -> None:
    key = PeerId(hashlib.sha256(b"server").digest())
    world = World(3, Topology("server", frozenset([key])), open=False, over_the_wire=True)
    server = world.add(nat="public", key=key)
    leaves = [world.add(items=things(number, 5)) for number in range(8)]
    world.run(60.0)
    world.act(server, server.member.shape(world.topology, "off", world.now))
    world.run(world.now + pause)
    world.act(server, server.member.shape(world.topology, "auto", world.now))
    world.run(world.now + 20.0)
    assert served(world, server, leaves)
    world.run(world.now + 120.0)
    assert served(world, server, leaves), "and stays"


def test_a_server_that_was_away_is_asked_again_though_it_did_not_answer() -> None:
    world, server, leaves = served_by_one()
    for leaf in leaves:
        world.act(leaf, leaf.member.homes.failed(server.key, world.now))
    assert not any(leaf.member.homes.homes() for leaf in leaves)
    world.run(world.now + 15.0)
    assert served(world, server, leaves)


def test_the_second_of_two_homes_is_asked_again_though_it_did_not_answer() -> None:
    world = Estate(2, leaves=4, items=3)
    world.run(world.now + 20.0)
    for leaf in world.leaves:
        world.act(leaf, leaf.member.homes.failed(world.homes(leaf)[1].key, world.now))
    assert all(len(world.homes(leaf)) == 1 for leaf in world.leaves)
    world.run(world.now + 15.0)
    for leaf in world.leaves:
        assert [kept(home, leaf) for home in world.homes(leaf)] == [names(leaf)] * 2


def test_standing_queries_hear_of_a_supernode_s_own_news() -> None:
    world = Estate(2)
    told: list[str] = []
    world.top[0].member.housing.kept.append(
        lambda one, postings, now: told.extend(found.name for found in one.items.values()) or []
    )
    publish(world, world.top[0], things(1, 1))
    publish(world, world.top[0], things(1, 2))
    assert told == [one.name for one in things(1, 2)]


def test_who_retires_is_still_asked_until_another_home_has_everything() -> None:
    world = Estate(5, leaves=8, items=5)
    world.run(world.now + 30.0)
    old = world.homes(world.leaves[0])[0]
    housed = [leaf for leaf in world.leaves if old in world.homes(leaf)]
    world.act(old, old.member.shape(world.topology, "off", world.now))
    for _ in range(50):
        world.run(world.now + 1.0)
        for leaf in housed:
            assert any(kept(home, leaf) == names(leaf) for home in world.homes(leaf))
            if len(world.homes(leaf)) == 3:
                assert world.homes(leaf)[-1] is old  # asked last
    world.run(world.now + 60.0)
    for leaf in housed:
        assert len(world.homes(leaf)) == 2 and old not in world.homes(leaf)
        assert all(kept(home, leaf) == names(leaf) for home in world.homes(leaf))
    assert not old.member.housing.leaves() and old.member.housing.items == 0
    assert old.shelf is None or (old.shelf.items, old.shelf.postings) == (0, 0)
    for leaf in housed:
        for one in leaf.items:
            for key in keys_of(world.network, one):
                assert all(one.name in under(host, key) for host in world.keyed(key))


def test_when_a_supernode_comes_it_gets_what_is_near_to_it_now() -> None:
    world = Estate(5, leaves=8, items=5)
    world.run(world.now + 60.0)
    before = world.sent[wire.Store]
    comes = world.add(nat="public", wish="on")
    world.top.append(comes)
    world.run(world.now + 60.0)
    for leaf in world.leaves:
        for one in leaf.items:
            for key in keys_of(world.network, one):
                assert all(one.name in under(host, key) for host in world.keyed(key))
    assert 0 < world.sent[wire.Store] - before <= 2 * 5  # each home says it once, to nobody else


def test_whoever_moves_is_found_at_the_new_address_within_two_seconds() -> None:
    world = Estate(8, leaves=3, items=2)
    world.run(world.now + 30.0)
    leaf = world.leaves[0]
    world.move(leaf, "81.2.3")
    world.run(world.now + 2.0)
    assert leaf.record.addresses == [leaf.address]
    holders = [*world.homes(leaf), *world.keyed(peer_key(world.network, leaf.key))]
    for host in holders:
        known = host.member.housing.record_of(leaf.key, world.now)
        assert known is not None and known.addresses == [leaf.address]


def test_a_full_house_names_others() -> None:
    world = Estate(4)
    for host in world.top[:3]:
        host.member.housing.room = 0
    leaves = [world.leaf(things(number, 2)) for number in range(5)]
    world.run(world.now + 30.0)
    for leaf in leaves:
        assert [world.by_key[home] for home in leaf.member.homes.homes()] == [world.top[3]]


def test_what_is_withdrawn_goes_from_homes_and_keyed_supernodes() -> None:
    world = Estate(5, leaves=1, items=40)
    world.run(world.now + 30.0)
    (leaf,) = world.leaves
    gone, stays = leaf.items[7], leaf.items[8]
    publish(world, leaf, [one for one in leaf.items if one is not gone])
    world.run(world.now + 5.0)
    assert all(kept(home, leaf) == names(leaf) for home in world.homes(leaf))
    for key in keys_of(world.network, gone)[:1]:
        assert all(gone.name not in under(host, key) for host in world.keyed(key))
    assert all(stays.name in under(host, content_key(world.network, stays.content)) for host in
               world.keyed(content_key(world.network, stays.content)))  # fmt: skip
    publish(world, leaf, [])
    world.run(world.now + 10.0)
    assert all(kept(home, leaf) == [] for home in world.homes(leaf))
    assert all(not under(host, key) for host in world.top for key in keys_of(world.network, stays)[:1])


def test_a_change_sends_what_changed_and_nothing_else() -> None:
    world = Estate(3, leaves=1, items=200)
    world.run(world.now + 30.0)
    (leaf,) = world.leaves
    before = world.bytes[wire.Publish], world.sent[wire.Publish]
    publish(world, leaf, [*leaf.items, item("one more")])
    world.run(world.now + 5.0)
    assert all(kept(home, leaf) == names(leaf) for home in world.homes(leaf))
    assert world.sent[wire.Publish] - before[1] == 2
    assert world.bytes[wire.Publish] - before[0] < 2 * 3000  # the hashes of a batch and one item


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.sets(st.integers(0, 300), max_size=200), st.sampled_from([0.0, 0.1, 0.4, 3.0])),
        min_size=1,
        max_size=6,
    )
)
def test_whatever_is_published_and_when_homes_end_with_exactly_that(
    steps: list[tuple[set[int], float]],
) -> None:
    world = Estate(3)
    leaf = world.leaf()
    world.run(world.now + 2.0)
    for numbers, wait in steps:
        publish(world, leaf, [item(f"item {number}") for number in sorted(numbers)])
        world.run(world.now + wait)
    world.run(world.now + 20.0)
    assert len(world.homes(leaf)) == 2
    for home in world.homes(leaf):
        assert kept(home, leaf) == names(leaf)
        assert home.member.housing.items == len(leaf.items)
    assert leaf.member.homes.published == len(leaf.items)
    for host in world.top:
        stored = host.shelf.of(leaf.key, keyed=True) if host.shelf is not None else []
        assert sorted(one.name for one in stored) == names(leaf)  # each of three is one of the three nearest


def test_batches_live_on_after_their_lifetime() -> None:
    world = Estate(3, leaves=1, items=10, home=HomeSettings(lease=400.0, restore=200.0))
    (leaf,) = world.leaves
    world.run(world.now + 30.0)
    brought = world.bytes[wire.Publish], world.bytes[wire.Store]
    for _ in range(12):
        world.run(world.now + 100.0)
        assert all(kept(home, leaf) == names(leaf) for home in world.homes(leaf))
        for one in leaf.items:
            for key in keys_of(world.network, one):
                assert all(one.name in under(host, key) for host in world.keyed(key))
    assert world.bytes[wire.Publish] < 4 * brought[0]  # six renewals: no item is sent again
    assert world.bytes[wire.Store] < 4 * brought[1]


def test_a_leaf_that_is_gone_is_forgotten() -> None:
    world = Estate(3, leaves=2, items=10, home=HomeSettings(lease=400.0, restore=200.0))
    world.run(world.now + 30.0)
    gone, stays = world.leaves
    homes = world.homes(gone)
    world.crash(gone)
    world.run(world.now + 200.0)
    assert all(kept(home, gone) == [] for home in homes)
    assert all(gone.key not in home.member.housing.leaves() for home in homes)
    assert all(kept(home, stays) == names(stays) for home in world.homes(stays))
    world.run(world.now + 400.0)
    assert all(not host.shelf.of(gone.key, keyed=True) for host in world.top if host.shelf is not None)
    assert all(host.shelf.of(stays.key, keyed=True) for host in world.top if host.shelf is not None)


def test_lost_messages_are_said_again() -> None:
    world = Estate(4, home=HomeSettings(renew=120.0))
    world.delays.loss = 0.05
    leaves = [world.leaf(things(number, 5)) for number in range(10)]
    world.run(world.now + 600.0)
    whole = sum(kept(home, leaf) == names(leaf) for leaf in leaves for home in world.homes(leaf))
    assert whole >= 0.9 * 20
