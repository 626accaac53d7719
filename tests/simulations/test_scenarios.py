"""Every scenario with few peers: the marks that do not need many hold, and the same seed has the same numbers."""

import pytest
from msgspec import structs

from servent.overlay.topology import Topology
from servent.testing.measures import components
from servent.testing.world import World
from simulations.corpus import RARE, Corpus
from simulations.rivals import Rivals
from simulations.run import Numbers, run
from simulations.scenario import read_all

SCENARIOS = read_all()
pytestmark = [pytest.mark.slow]


def numbers(name: str, peers: int, **more: object) -> Numbers:
    scenario = SCENARIOS[name].at(peers)
    return run(structs.replace(scenario, **more))


def test_rare_items_are_found_with_few_messages_also_where_one_in_ten_died() -> None:
    found = numbers("rare-items", 300, questions=200, rivals=20)
    assert found["recall"] >= 0.98
    assert found["messages"] <= 10.0
    assert found["first_p50"] <= 0.4
    assert found["first_p95"] <= 0.8
    assert found["unended"] == 0
    assert found["flood_messages"] > 20 * found["messages"]


def test_lying_supernodes_do_not_hide_what_is_there() -> None:
    found = numbers("lying-supernodes", 300, questions=200)
    assert found["recall"] >= 0.95
    assert found["unended"] == 0


def test_half_and_four_in_five_may_crash() -> None:
    found = numbers("crash", 300)
    assert found["whole_after_50"] <= 20.0
    assert found["whole_after_80"] <= 30.0


def test_nearly_everybody_is_connected_while_peers_come_and_go() -> None:
    assert numbers("churn", 200, seconds=300.0)["connected_least"] >= 0.98  # two of 200 are one percent


def test_a_crowd_gets_supernodes_by_election() -> None:
    found = numbers("flash-crowd", 300, settle=400.0, seconds=60.0)
    assert found["ratio"] <= 256.0
    assert found["homeless"] <= 0.02


def test_a_leaf_says_little() -> None:
    assert numbers("cost", 100, seconds=300.0)["leaf_control"] <= 10.0


def test_what_was_cut_off_comes_back() -> None:
    found = numbers("partition", 200, questions=40, seconds=180.0)
    assert found["each_side"] >= 0.99
    assert found["cut_off"] > 0.2
    assert found["whole_after"] <= 120.0


def test_few_address_blocks_do_not_eclipse_a_peer() -> None:
    found = numbers("eclipse", 120, questions=20, seconds=180.0)
    assert found["end_share"] <= 0.5
    assert found["victim_recall"] >= 0.9


def test_a_hot_term_is_answered() -> None:
    found = numbers("hot-term", 200, questions=120)
    assert found["answered"] >= 0.99
    assert found["messages"] <= 10.0


def test_the_mode_is_switched_and_nothing_fails() -> None:
    found = numbers("mode-switch", 100, questions=10)
    assert found["failed"] == 0
    assert found["back_after"] <= 30.0


def test_who_is_in_a_room_gets_every_message_and_who_was_away_catches_up() -> None:
    found = numbers("rooms", 100, seconds=20.0)
    assert found["delivered_60s"] == 1.0
    assert found["beyond"] <= 2000.0
    assert found["caught_up"] == 1.0


def test_the_same_seed_has_the_same_numbers() -> None:
    one, other = (numbers("rare-items", 60, questions=40, rivals=0) for _ in range(2))
    assert one == other


def test_what_members_say_is_understood_on_the_wire_and_nobody_is_dialled_without_a_record() -> None:
    world = World(5, Topology("hybrid"), over_the_wire=True, books=True)
    corpus = Corpus(5, 60)
    for number in range(60):
        world.add(items=corpus.items_of(number), uptime=36_000.0, nat="public" if number < 6 else None)
        world.run(world.now + 0.5)
    world.run(400.0)
    content = corpus.targets(1)[0]
    search = world.ask(world.hosts[-1], " ".join(corpus.question(content)), want=corpus.item(content).content)
    world.run(world.now + 10.0)
    assert search.found[corpus.item(content).content]
    assert components(world) == [60]
    assert not world.faults
    assert not world.wrongs, world.wrongs


def test_the_corpus_is_skewed_and_half_of_what_is_asked_for_is_rare() -> None:
    corpus = Corpus(1, 500)
    copies = sorted(len(holders) for holders in corpus.holders.values())
    assert copies[len(copies) // 2] <= RARE < copies[-1]
    targets = corpus.targets(100)
    assert sum(map(corpus.rare, targets)) == 50


def test_the_other_ways_find_what_they_should() -> None:
    corpus = Corpus(1, 200)
    rivals = Rivals(corpus, 200, 10, frozenset(), lambda one, other: 0.05, 1)
    content = corpus.targets(1)[0]
    asker = next(peer for peer in range(200) if peer not in corpus.holders[content])
    for way in (rivals.flood, rivals.dynamic, rivals.walkers):
        assert way(asker, corpus.question(content), content).got < 10.0
