"""Questions over the network: whole, in few messages, whatever fails or lies."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.overlay.effects import Asked, Effect, Finding
from servent.overlay.goal import PER_CONTENT, Goal, Report
from servent.overlay.placement import key_of
from servent.overlay.question import LeafQuestion
from servent.overlay.records import Item, Slice
from servent.overlay.settings import HomeSettings, OverlaySettings, SearchSettings
from servent.overlay.standing import Standing
from servent.overlay.wire import Found, FoundItem, Posting, Question
from servent.query.language import QueryError, parse
from tests.overlay.lies import LIES
from tests.overlay.things import NETWORK, item, peer, sliced
from tests.overlay.town import Town

MODES = {"server": (40, 1), "hybrid": (70, 20), "p2p": (30, 30)}
MOST_MESSAGES = 10
TOTAL = SearchSettings().total


def town(mode: str, seed: int = 1, **more: object) -> Town:
    members, supernodes = MODES[mode]
    return Town(members, supernodes, seed, **more)  # type: ignore[arg-type]


def words(one: Item) -> str:
    """Words that only this item has."""
    return one.name.removesuffix(".mp3")


def asked_and_wanted(place: Town, mode: str, count: int, seed: int = 5) -> Iterator[tuple[int, str]]:
    """Who asks, and for which item of somebody else."""
    dice = random.Random(seed)
    members, supernodes = MODES[mode]
    askers = range(0 if mode == "p2p" else supernodes, members)
    for _ in range(count):
        asker = dice.choice([number for number in askers if peer(number) in place.net.cores])
        owner = dice.choice([number for number in range(1, members) if number != asker])
        yield asker, words(dice.choice(place.items[peer(owner)]))


@pytest.mark.parametrize(("mode", "typical"), [("server", 2.0), ("hybrid", 8.0), ("p2p", 6.0)])
def test_everything_is_found_without_faults(mode: str, typical: float) -> None:
    place = town(mode)
    costs = []
    for asker, text in asked_and_wanted(place, mode, 40):
        found, end = place.ask(asker, text)
        assert found == place.truth(text)
        costs.append(end.messages)
    assert sum(costs) / len(costs) <= typical
    assert max(costs) <= MOST_MESSAGES


@pytest.mark.parametrize("mode", MODES)
def test_a_common_word_finds_all_that_have_it(mode: str) -> None:
    place = town(mode)
    for asker in (2, 7, 25):
        for word in ("word2", "word3", "word11"):
            found, end = place.ask(asker, word, limit=500)
            mine = {one for one in place.truth(word) if one[0] == peer(asker)}
            assert found | mine == place.truth(word) | mine
            assert end.messages <= MOST_MESSAGES


@pytest.mark.parametrize("mode", ["hybrid", "p2p"])
def test_a_tenth_of_the_supernodes_may_be_dead(mode: str) -> None:
    place = town(mode)
    for number in range(0, MODES[mode][1], 10):
        place.kill(number)
    missed = 0
    for asker, text in asked_and_wanted(place, mode, 40):
        found, _ = place.ask(asker, text)
        missed += found != place.truth(text)
    assert missed == 0


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("mode", ["hybrid", "p2p"])
def test_a_tenth_of_the_supernodes_may_lie(mode: str, lie: str) -> None:
    place = town(mode)
    liars = {number for number in range(3, MODES[mode][1], 10)}
    for number in liars:
        place.citizens[peer(number)].lie = LIES[lie]
    for citizen in place.citizens.values():
        for home in citizen.homes.at:
            citizen.canaries.up(home, 0.0)
    place.net.run(200.0)  # canaries have been asked for
    found_all, invented, asked = 0, 0, 0
    for asker, text in asked_and_wanted(place, mode, 45):
        if asker in liars:
            continue
        found, _ = place.ask(asker, text)
        asked += 1
        found_all += place.truth(text) <= found
        invented += bool(found - place.truth(text))
    assert found_all / asked >= 0.95
    assert invented <= 1  # by somebody who was not known yet


@pytest.mark.parametrize("after", [0.01, 0.12, 0.25, 0.4])
def test_a_home_that_dies_over_a_question_costs_no_find(after: float) -> None:
    place = town("hybrid")
    for asker, text in list(asked_and_wanted(place, "hybrid", 3)):
        search = place.search(asker, text)
        home = place.citizens[peer(asker)].homes.at[0]
        place.net.run(place.net.now + after)
        core = place.net.cores.pop(home)
        place.net.run(place.net.now + 6.0)
        assert place.found(asker, search) == place.truth(text)
        assert len(place.ends(asker, search)) == 1
        place.net.cores[home] = core


@pytest.mark.parametrize("after", [0.01, 0.12, 0.25, 0.4])
def test_a_broken_connection_to_a_home_is_not_waited_out(after: float) -> None:
    place = town("hybrid")
    asker, text = next(asked_and_wanted(place, "hybrid", 1))
    search = place.search(asker, text)
    citizen = place.citizens[peer(asker)]
    home = citizen.homes.at[0]
    place.net.run(after)
    del place.net.cores[home]
    place.net.do(citizen.key, citizen.lost(home, place.net.now))
    place.net.run(after + 0.8)
    assert place.found(asker, search) == place.truth(text)


@pytest.mark.parametrize("after", [0.0, 0.12, 0.3])
@pytest.mark.parametrize(
    ("before", "then"), [("hybrid", "p2p"), ("hybrid", "server"), ("p2p", "server"), ("server", "p2p")]
)
def test_no_running_question_is_lost_when_the_mode_is_switched(before: str, then: str, after: float) -> None:
    place = town(before)
    members = len(place.keys)
    questions = [
        (asker, text, place.search(asker, text)) for asker, text in asked_and_wanted(place, before, 8)
    ]
    place.net.run(after)
    was = [number for number in range(members) if peer(number) in place.records]
    now = range(members) if then == "p2p" else range(1)
    for number in now:
        place.elect(number)
    for number in was:
        if number not in now:
            place.dismiss(number)
    for number in range(members):
        place.settle(number, 2)
    for number in range(members):
        place.share(number, place.items[peer(number)])
    place.net.run(after + 6.0)
    for asker, text, search in questions:
        assert place.found(asker, search) == place.truth(text)
        (end,) = place.ends(asker, search)
        assert not end.reason


def test_a_leaf_without_any_home_waits_for_one() -> None:
    place = town("hybrid")
    citizen = place.citizens[peer(50)]
    homes, citizen.homes.at = citizen.homes.at, ()
    records, place.records = place.records, {}
    text = words(place.items[peer(60)][0])
    search = place.search(50, text)
    place.net.run(1.0)
    assert not place.ends(50, search)
    citizen.homes.at, place.records = homes, records
    place.net.run(6.0)
    assert place.found(50, search) == place.truth(text)


def test_a_leaf_that_becomes_a_supernode_takes_its_question_over() -> None:
    place = town("hybrid")
    citizen = place.citizens[peer(50)]
    citizen.homes.at = ()
    records, place.records = place.records, {}
    text = words(place.items[peer(60)][0])
    search = place.search(50, text)
    place.net.run(0.5)
    place.records = records
    place.elect(50)
    place.net.run(6.0)
    assert place.found(50, search) == place.truth(text)


def test_the_third_is_asked_when_two_disagree() -> None:
    """Neither of two has all of it: one has just come, another has lost something."""
    place = Town(40, 20, per_peer=0)
    key = key_of(NETWORK, "moonlight")
    near = place.nearest(key, 3)
    owner = next(number for number in range(20, 40) if number != 30)
    things = [item(f"moonlight {name}.mp3") for name in ("one", "two", "three")]
    whole = sliced(owner, things)
    place.items[peer(owner)] = things
    for at, places in zip(near, ((0,), (1,), (0, 1, 2)), strict=True):
        part = Slice(whole.batch, {place: things[place] for place in places})
        place.keep(at, part, [Posting(key, place) for place in places])
    asker = next(
        number for number in range(20, 40) if not set(place.citizens[peer(number)].homes.at) & set(near)
    )
    found, end = place.ask(asker, "moonlight", budget=0)
    assert found == place.truth("moonlight")
    assert end.messages <= MOST_MESSAGES


def test_where_the_first_word_is_too_hot_the_second_is_asked_for() -> None:
    """Both words are in more items than one supernode keeps of a key."""
    settings = OverlaySettings(home=HomeSettings(per_key=15, per_publisher_key=15))
    place = Town(60, 20, per_peer=0, settings=settings)
    for number in range(20, 60):
        place.share(number, [item(f"summertime {number}.mp3"), item(f"lovely {number}.mp3")])
    both = [item(f"lovely summertime number{n}.mp3") for n in range(3)]
    place.share(25, both, slot=1)
    found, end = place.ask(45, "lovely summertime", budget=0)
    place.items[peer(25)] += both
    assert end.sampled
    assert end.messages <= MOST_MESSAGES
    asked = [peer_ for peer_ in place.keys[:20] if Question in place.citizens[peer_].received]
    near = {one for word in ("lovely", "summertime") for one in place.nearest(key_of(NETWORK, word), 3)}
    assert len(near & set(asked)) >= 3
    assert found <= place.truth("lovely summertime")


@pytest.mark.parametrize(("has_both", "probed"), [(12, False), (3, True)])
def test_hot_words_are_probed_for_only_where_little_was_found(has_both: int, probed: bool) -> None:
    """15 supernodes more cost 45 messages, and found hardly anything that was not there before."""
    settings = OverlaySettings(home=HomeSettings(per_key=10, per_publisher_key=15))
    place = Town(60, 40, per_peer=0, settings=settings)
    place.share(49, [item(f"lovely summertime number{n}.mp3") for n in range(has_both)])
    for number in range(50, 60):
        place.share(number, [item(f"summertime {number}.mp3"), item(f"lovely {number}.mp3")])
    found, end = place.ask(45, "lovely summertime")
    assert end.sampled
    assert found <= place.truth("lovely summertime")
    assert len(found) >= min(has_both, 10)
    assert (end.messages > MOST_MESSAGES) == probed
    assert end.messages <= 2 * (MOST_MESSAGES + 2 * 15)


def test_one_that_tells_the_truth_beside_two_liars_shows_it_before_others_are_probed() -> None:
    place = Town(60, 40, per_peer=0)
    place.share(50, [item("moonlight serenade.mp3")])
    near = place.nearest(key_of(NETWORK, "moonlight"), 3)
    for liar in near[:2]:
        place.citizens[liar].lie = LIES["invent"]
    apart = set(near) | set(place.citizens[peer(50)].homes.at)
    asker = next(n for n in range(40, 60) if not set(place.citizens[peer(n)].homes.at) & apart)
    found, end = place.ask(asker, "moonlight")
    assert found == place.truth("moonlight")
    assert end.messages <= MOST_MESSAGES + 2 * 3


def test_what_those_that_are_known_to_be_honest_do_not_have_is_hardly_looked_for() -> None:
    place = Town(60, 40, per_peer=1)
    asker, key = 50, key_of(NETWORK, "neverheardof")
    home = place.citizens[place.citizens[peer(asker)].homes.at[0]]
    place.citizens[peer(asker)].asking.standing.showed(home.key, 0.0)
    costs = []
    for _ in range(2):
        _, end = place.ask(asker, "neverheardof")
        costs.append(end.messages)
        for one in place.nearest(key, 3):
            home.asking.standing.showed(one, place.net.now)
    assert costs[0] > 2 * 15
    assert costs[1] <= MOST_MESSAGES + 2 * 3


def test_without_any_supernode_a_question_ends_and_says_why() -> None:
    place = Town(3, 0)
    found, end = place.ask(1, "anything")
    assert not found
    assert end.over and end.reason


def test_who_has_a_content_is_asked_by_its_hash() -> None:
    place = town("hybrid")
    same = item("the very same thing.mp3")
    for number in (30, 40, 50):
        place.share(number, [same], slot=1)
    search = place.who_has(60, same.content)
    place.net.run(5.0)
    assert {one for one, _ in place.found(60, search)} == {peer(30), peer(40), peer(50)}
    (end,) = place.ends(60, search)
    assert end.messages <= MOST_MESSAGES


def test_beginnings_of_words_are_found_by_probes() -> None:
    place = town("hybrid")
    found, end = place.ask(50, "song33x*", limit=500)
    assert found == place.truth("song33x*")
    assert len(found) == 3
    assert end.messages > MOST_MESSAGES


def test_a_question_without_budget_probes_nobody() -> None:
    place = town("hybrid")
    _, end = place.ask(50, "song33x*", budget=0)
    assert end.messages <= 4 * 2


def test_what_is_nowhere_is_asked_for_in_a_few_probes_only() -> None:
    place = Town(60, 40, 1, per_peer=1)
    found, end = place.ask(50, "neverheardof")
    assert not found
    assert end.messages <= 2 * (MOST_MESSAGES + 2 * 15)


def test_a_cancelled_question_says_nothing_more() -> None:
    place = town("hybrid")
    asker, text = next(asked_and_wanted(place, "hybrid", 1))
    search = place.search(asker, text)
    place.net.run(0.05)
    citizen = place.citizens[peer(asker)]
    place.net.do(citizen.key, citizen.carry_out(citizen.asking.cancel(search, 0.05), 0.05))
    citizen.events.clear()
    place.net.run(6.0)
    assert citizen.events == []
    home = place.citizens[citizen.homes.at[0]]
    assert not home.asking._ids and not home.asking._asked  # nothing is left of it there, either


def test_nothing_is_left_of_questions_that_are_over() -> None:
    place = town("hybrid")
    for asker, text in asked_and_wanted(place, "hybrid", 20):
        place.ask(asker, text)
    place.net.run(place.net.now + 10.0)
    for citizen in place.citizens.values():
        asking, answering = citizen.asking, citizen.answering
        assert not asking._own and not asking._at_homes and not asking._asked and not asking._ids
        assert not answering._running and not answering._per_peer
        assert asking.next_tick() is None or asking.next_tick() >= place.net.now - TOTAL


def test_what_cannot_be_read_is_refused_to_the_person() -> None:
    place = town("hybrid")
    with pytest.raises(QueryError):
        place.search(50, '"never closed')


def test_first_finds_come_before_the_last_word() -> None:
    place = town("hybrid")
    asker = 50
    home = place.citizens[peer(asker)].homes.at[0]
    housed = next(
        one for one in place.keys[30:] if home in place.citizens[one].homes.at and one != peer(asker)
    )
    name = words(place.items[housed][0])
    place.search(asker, name)
    place.net.run(0.31)  # there and back, without the keyed supernodes
    events = place.citizens[peer(asker)].events
    assert any(isinstance(one, Finding) and one.layer == 1 for one in events)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    loss=st.floats(0.0, 0.6),
    lying=st.sampled_from([None, "drop", "bias", "mute"]),
    mode=st.sampled_from(["hybrid", "p2p"]),
)
def test_a_question_always_ends_in_time_whatever_is_lost(
    seed: int, loss: float, lying: str | None, mode: str
) -> None:
    supernodes = 12 if mode == "p2p" else 5
    place = Town(12, supernodes, seed, loss=loss)
    if lying:
        for number in range(0, supernodes, 2):
            place.citizens[peer(number)].lie = LIES[lying]
    asker = 11
    text = words(place.items[peer(3)][0]) if seed % 3 else "word1"
    search = place.search(asker, text)
    place.net.run(TOTAL + 0.001)
    assert len(place.ends(asker, search)) == 1
    assert place.found(asker, search) <= place.truth(text)
    after = len(place.citizens[peer(asker)].events)
    place.net.run(30.0)
    assert len(place.citizens[peer(asker)].events) == after
    assert not any(citizen.faults for citizen in place.citizens.values())


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_answers_in_any_order_twice_or_never(data: st.DataObject) -> None:
    """A supernode's own question, its messages answered by hand."""
    place = Town(10, 10, data.draw(st.integers(0, 50)), per_peer=2)
    citizen = place.citizens[peer(0)]
    text = words(place.items[peer(7)][0])
    search, effects = citizen.asking.search(text, 0.0)
    sent = list(citizen.carry_out(effects, 0.0))
    now, seen = 0.0, []
    for _ in range(data.draw(st.integers(0, 30))):
        now += data.draw(st.floats(0.0, 0.5))
        if citizen.next_tick() is not None and citizen.next_tick() <= now:  # type: ignore[operator]
            sent += citizen.tick(now)
        if not sent:
            break
        one = sent[data.draw(st.integers(0, len(sent) - 1))]
        seen.append(one)
        match data.draw(st.sampled_from(["answer", "stranger", "empty", "fail"])):
            case "answer":
                back = place.citizens[one.to].receive(citizen.key, one.message, now)
                for reply in back:
                    if reply.to == citizen.key:
                        sent += citizen.receive(one.to, reply.message, now)
            case "stranger" if isinstance(one.message, Question):
                sent += citizen.receive(peer(99), Found(one.message.id, over=True), now)
            case "empty" if isinstance(one.message, Question):
                sent += citizen.receive(one.to, Found(one.message.id, over=True), now)
            case "fail":
                sent += citizen.lost(one.to, now)
    while (due := citizen.asking.next_tick()) is not None and due <= TOTAL + 1:
        citizen.tick(due)
    ends = [one for one in citizen.events if isinstance(one, Asked) and one.over]
    assert len(ends) == 1 and isinstance(citizen.events[-1], Asked)
    assert place.found(0, search) <= place.truth(text)


def test_what_everybody_has_leaves_room_for_other_finds() -> None:
    place = Town(60, 20, per_peer=0)
    same = item("moonlight everywhere.mp3")
    for number in range(20, 60):
        place.share(number, [same, item("moonlight rare.mp3", 1)] if number == 33 else [same])
    found, _ = place.ask(50, "moonlight", limit=10)
    assert (peer(33), "moonlight rare.mp3") in found
    assert sum(name == same.name for _, name in found) == PER_CONTENT


def test_a_home_is_to_show_what_it_said_itself_and_any_of_it() -> None:
    """One of two homes found something, the other nothing: only the first has anything to show, early finds too."""
    place = town("hybrid")
    citizen = place.citizens[peer(50)]
    one, other = citizen.homes.at
    said: list[Report] = []

    def sink(report: Report, now: float) -> list[Effect]:
        said.append(report)
        return []

    goal = Goal(parse("moonlight"), None, 50, 200, 4.0)
    things = [FoundItem(bytes(peer(n)), item(f"moonlight {n}.mp3")) for n in range(20, 26)]
    asked = set()
    for _ in range(40):
        question = LeafQuestion(citizen.context, Standing(), bytes(16), goal, lambda: [one, other], sink, 0.0)
        question.start(0.0)
        question.tick(1.0)  # the first is silent, so that the second is asked, too
        question.found(one, Found(bytes(16), things[:5]), 1.1)
        question.found(other, Found(bytes(16), over=True), 1.2)
        assert question.audit is None
        assert said[-1].over
        question = LeafQuestion(citizen.context, Standing(), bytes(16), goal, lambda: [one], sink, 0.0)
        question.start(0.0)
        question.found(one, Found(bytes(16), things[:5]), 0.1)
        question.found(one, Found(bytes(16), things[5:], over=True), 0.2)
        assert question.audit is not None and question.audit[0] == one
        asked.add(question.audit[1])
    assert asked == {(one.publisher, one.item.content) for one in things}
