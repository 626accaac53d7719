"""Standing queries: what is new is told once, wherever it was published and whatever changes in between."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.overlay.effects import Wished
from servent.overlay.placement import key_of
from servent.overlay.terms import all_keys
from servent.overlay.watches import PAUSE, UNKEYED_PER_PEER, Watches
from servent.overlay.wire import FoundItem, Fresh, Unwatch, Watch
from servent.query.language import parse
from tests.overlay.lies import invent
from tests.overlay.things import NETWORK, item, peer
from tests.overlay.town import Town

MODES = {"server": (30, 1), "hybrid": (40, 12), "p2p": (25, 25)}


def town(mode: str, seed: int = 1) -> Town:
    return Town(*MODES[mode], seed, per_peer=0)


def watch(place: Town, number: int, text: str) -> int:
    citizen = place.citizens[peer(number)]
    watch, effects = citizen.watching.watch(text, place.net.now)
    place.net.do(citizen.key, citizen.carry_out(effects, place.net.now))
    place.net.run(place.net.now + 2.0)
    return watch


def wished(place: Town, number: int, watch: int) -> list[str]:
    """Names, in the order in which they were told."""
    return [
        one.name
        for event in place.citizens[peer(number)].events
        if isinstance(event, Wished) and event.watch == watch
        for _, one in event.found
    ]


@pytest.mark.parametrize("mode", MODES)
def test_what_is_new_is_told_once(mode: str) -> None:
    place = town(mode)
    number = watch(place, 15, "nina simone")
    for owner in (17, 20, 23):
        place.share(owner, [item(f"nina simone live {owner}.mp3"), item("something else.mp3")])
    place.net.run(place.net.now + 20.0)
    assert sorted(wished(place, 15, number)) == [f"nina simone live {owner}.mp3" for owner in (17, 20, 23)]


@pytest.mark.parametrize("mode", MODES)
def test_what_is_published_again_is_not_new(mode: str) -> None:
    place = town(mode)
    number = watch(place, 15, "nina simone")
    things = [item("nina simone live.mp3")]
    place.share(20, things)
    place.net.run(place.net.now + 10.0)
    things.append(item("nina simone at home.mp3"))
    place.share(20, things, seq=2)
    place.net.run(place.net.now + 20.0)
    assert wished(place, 15, number) == ["nina simone live.mp3", "nina simone at home.mp3"]


def test_filters_hold_and_a_query_without_words_is_held_to_what_homes_get() -> None:
    place = town("server")
    audio = watch(place, 15, "simone -remix")
    large = watch(place, 15, "size:>500")
    place.share(20, [item("simone remix.mp3"), item("simone.mp3")])
    place.net.run(place.net.now + 10.0)
    assert wished(place, 15, audio) == ["simone.mp3"]
    assert sorted(wished(place, 15, large)) == ["simone remix.mp3", "simone.mp3"]


def test_own_items_are_no_news() -> None:
    place = town("hybrid")
    number = watch(place, 15, "nina simone")
    place.share(15, [item("nina simone.mp3")])
    place.net.run(place.net.now + 10.0)
    assert wished(place, 15, number) == []


def test_nothing_is_told_after_unwatch() -> None:
    place = town("hybrid")
    number = watch(place, 15, "nina simone")
    citizen = place.citizens[peer(15)]
    place.net.do(
        citizen.key, citizen.carry_out(citizen.watching.unwatch(number, place.net.now), place.net.now)
    )
    place.net.run(place.net.now + 2.0)
    place.share(20, [item("nina simone.mp3")])
    place.net.run(place.net.now + 10.0)
    assert wished(place, 15, number) == []
    assert sum(one.watching.kept for one in place.citizens.values()) == 0


def test_a_standing_query_moves_with_its_homes() -> None:
    place = town("hybrid")
    number = watch(place, 15, "nina simone")
    citizen = place.citizens[peer(15)]
    citizen.homes.at = tuple(key for key in place.records if key not in citizen.homes.at)[:2]
    place.net.run(place.net.now + 10.0)
    place.share(20, [item("nina simone.mp3")])
    place.net.run(place.net.now + 10.0)
    assert wished(place, 15, number) == ["nina simone.mp3"]
    assert all((citizen.key, number) in place.citizens[home].watching._kept for home in citizen.homes.at)  # type: ignore[operator]


@pytest.mark.parametrize("then", ["p2p", "server"])
def test_a_standing_query_survives_a_switch_of_the_mode(then: str) -> None:
    place = town("hybrid")
    number = watch(place, 15, "nina simone")
    members = len(place.keys)
    for one in range(members):
        if then == "p2p":
            place.elect(one)
        elif one:
            place.dismiss(one)
    for one in range(members):
        place.settle(one, 2)
        citizen = place.citizens[peer(one)]
        for moved in citizen.directory.changed:
            place.net.do(citizen.key, citizen.carry_out(moved(place.net.now), place.net.now))
    place.net.run(place.net.now + 15.0)
    place.share(20, [item("nina simone.mp3")])
    place.net.run(place.net.now + 15.0)
    assert wished(place, 15, number) == ["nina simone.mp3"]


def test_it_is_renewed_before_it_ends() -> None:
    place = town("hybrid")
    number = watch(place, 15, "nina simone")
    place.net.run(4000.0)  # longer than two lifetimes
    place.share(20, [item("nina simone.mp3")])
    place.net.run(place.net.now + 10.0)
    assert wished(place, 15, number) == ["nina simone.mp3"]


def test_what_nobody_renews_is_forgotten() -> None:
    place = town("hybrid")
    watch(place, 15, "nina simone")
    place.kill(15)
    place.net.run(2100.0)
    assert (
        sum(citizen.watching.kept for citizen in place.citizens.values()) <= 3
    )  # homes let go of their keys at once
    place.net.run(4200.0)
    assert sum(citizen.watching.kept for citizen in place.citizens.values()) == 0


def test_many_new_items_come_in_few_messages() -> None:
    place = town("server")
    number = watch(place, 15, "simone")
    for n in range(40):
        place.share(20 + n % 5, [item(f"simone {n}.mp3")], slot=n)
        place.net.run(place.net.now + 0.1)
    place.net.run(place.net.now + 20.0)
    assert len(wished(place, 15, number)) == 40
    assert place.citizens[peer(15)].received[Fresh] <= 4.0 / PAUSE + 3


def test_what_nobody_published_is_not_told() -> None:
    place = town("hybrid")
    number = watch(place, 15, "nina simone")
    for citizen in place.citizens.values():
        if citizen.election.index:
            citizen.lie = invent
    home = place.citizens[peer(15)].homes.at[0]
    made = item("nina simone never.mp3")
    told = Fresh(number, [FoundItem(bytes(peer(20)), made)])
    citizen = place.citizens[peer(15)]
    place.net.do(citizen.key, citizen.receive(home, told, place.net.now))
    place.net.run(place.net.now + 5.0)
    assert wished(place, 15, number) == []


def test_strangers_cannot_tell_us_of_anything() -> None:
    place = town("hybrid")
    number = watch(place, 15, "nina simone")
    citizen = place.citizens[peer(15)]
    assert (
        citizen.receive(peer(20), Fresh(number, [FoundItem(bytes(peer(21)), item("nina simone.mp3"))]), 3.0)
        == []
    )


def test_tables_of_others_are_bounded() -> None:
    place = town("server")
    home = place.citizens[peer(0)]
    settings = place.settings.search
    for number in range(settings.watches_per_peer + 50):
        home.receive(peer(5), Watch(number, f"word{number}"), 0.0)
        home.receive(peer(6), Watch(number, f"size:>{number + 1}"), 0.0)
        home.receive(peer(7), Watch(number, keys=[key_of(NETWORK, f"word{number}")]), 0.0)
    assert home.watching._kept is not None
    assert home.watching._kept.of(peer(5)) == settings.watches_per_peer
    assert home.watching._kept.of(peer(6)) == UNKEYED_PER_PEER
    assert home.watching._kept.of(peer(7)) == settings.watches_per_peer
    for number in range(settings.watches_per_peer + 50):
        home.receive(peer(5), Unwatch(number), 0.0)
    assert home.watching._kept.of(peer(5)) == 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("prennnt"), st.integers(0, 3), st.integers(0, 4), st.integers(0, 1)),
        max_size=60,
    )
)
def test_each_item_is_told_at_most_once_to_each(steps: list[tuple[str, int, int, int]]) -> None:
    table = Watches(12)
    now = 0.0
    told: set[tuple[object, bytes]] = set()
    gone: set[object] = set()
    for what, who, number, word in steps:
        now += 0.5
        name = peer(who), number
        if what == "p":
            if table.put(name, parse(f"word{word}"), key_of(NETWORK, f"word{word}"), now + 20.0, 3):
                gone.discard(name)
        elif what == "r":
            table.remove(name)
            gone.add(name)
        elif what == "e":
            table.expire(now)
        else:
            one = item(f"word{word} word{number}")
            table.new(bytes(peer(50)), one, all_keys(NETWORK, one), all_keys(NETWORK, one), True, now)
        for reader, found in table.take(now):
            assert reader not in gone
            for publisher, one in found:
                mark = (reader, bytes(publisher) + one.content)
                assert mark not in told
                told.add(mark)
        assert len(table) <= 12
        assert all(table.of(peer(one)) <= 3 for one in range(7))
