"""What a supernode answers to whom, how much, and how often."""

from __future__ import annotations

from msgspec import structs

from servent.codec import encode
from servent.overlay.answering import BUSY, NO_INDEX, PER_PEER
from servent.overlay.effects import Send
from servent.overlay.placement import content_key, key_of
from servent.overlay.wire import AskProof, Cancel, Found, Proof, Question, messages
from tests.overlay.things import NETWORK, item, peer
from tests.overlay.town import Town


def question(number: int, **fields: object) -> Question:
    return Question(number.to_bytes(16, "big"), **fields)  # type: ignore[arg-type]


def answers(place: Town, at: int, asker: int, message: object, now: float = 0.0) -> list[Send]:
    return place.citizens[peer(at)].receive(peer(asker), message, now)  # type: ignore[arg-type,return-value]


def test_a_key_gives_what_is_stored_under_it() -> None:
    place = Town(3, 1, per_peer=0)
    place.share(2, [item("blue moon.mp3"), item("red moon.mp3")])
    (sent,) = answers(place, 0, 5, question(1, keys=[key_of(NETWORK, "moon")], limit=50))
    assert isinstance(sent.message, Found)
    assert {one.item.name for one in sent.message.items} == {"blue moon.mp3", "red moon.mp3"}
    assert sent.message.over and sent.message.layer == 2


def test_further_keys_must_be_true_of_it_too() -> None:
    place = Town(3, 1, per_peer=0)
    place.share(2, [item("blue moon.mp3"), item("red moon.mp3")])
    keys = [key_of(NETWORK, word) for word in ("moon", "blue")]
    (sent,) = answers(place, 0, 5, question(1, keys=keys))
    assert [one.item.name for one in sent.message.items] == ["blue moon.mp3"]  # type: ignore[union-attr]


def test_a_probe_looks_only_here() -> None:
    place = Town(20, 5, per_peer=2)
    (sent,) = answers(place, 0, 9, question(1, text="word1", probe=True))
    assert isinstance(sent.message, Found) and sent.message.layer == 3 and sent.message.over


def test_who_keeps_no_index_says_so() -> None:
    place = Town(5, 1)
    (sent,) = answers(place, 3, 4, question(1, text="word1"))
    assert isinstance(sent.message, Found) and sent.message.reason == NO_INDEX


def test_what_cannot_be_read_is_a_fault() -> None:
    place = Town(3, 1)
    for message in (question(1, text='"open'), question(2)):
        assert answers(place, 0, 2, message) == []
    assert len(place.citizens[peer(0)].faults) == 2


def test_a_flood_of_questions_is_refused_after_the_burst() -> None:
    place = Town(3, 1, per_peer=1)
    search = place.settings.search
    busy = [
        sent.message.reason == BUSY  # type: ignore[union-attr]
        for number in range(100)
        for sent in answers(place, 0, 2, question(number, keys=[key_of(NETWORK, "word1")]), now=number / 1000)
    ]
    assert not any(busy[: int(search.burst)])
    assert all(busy[int(search.burst) + 1 :])
    later = answers(place, 0, 2, question(1000, keys=[key_of(NETWORK, "word1")]), now=10.0)
    assert later[0].message.reason == ""  # type: ignore[union-attr]


def test_a_supernode_may_ask_for_its_leaves() -> None:
    place = Town(5, 2, per_peer=0)
    key = peer(1)
    place.records[key] = structs.replace(place.records[key], leaves=200)
    fine = sum(
        sent.message.reason == ""  # type: ignore[union-attr]
        for number in range(300)
        for sent in answers(place, 0, 1, question(number, keys=[key_of(NETWORK, "word1")]))
    )
    assert fine == 300


def test_probes_cost_more() -> None:
    place = Town(3, 1, per_peer=1)
    search = place.settings.search
    fine = 0
    for number in range(100):
        (sent,) = answers(place, 0, 2, question(number, text="word1", probe=True))
        fine += sent.message.reason == ""  # type: ignore[union-attr]
    assert fine == int(search.burst / search.probe_cost)


def test_one_leaf_runs_few_questions_at_once_and_never_the_same_twice() -> None:
    place = Town(30, 10)
    home = place.citizens[peer(0)]
    for number in range(PER_PEER):
        home.receive(peer(20), question(number, text=f"song2{number}x0 word1"), 0.0)
    refused = home.receive(peer(20), question(99, text="song33x0"), 0.0)
    assert [sent.message.reason for sent in refused] == [BUSY]  # type: ignore[union-attr]
    running = next(iter(home.answering._running))
    home.receive(peer(20), Question(running[1], text="word1"), 0.0)
    assert len(home.faults) <= 1


def test_a_cancelled_question_leaves_nothing() -> None:
    place = Town(30, 10)
    home = place.citizens[peer(0)]
    home.receive(peer(20), question(1, text="nothing like this"), 0.0)
    assert home.answering._running
    assert home.receive(peer(20), Cancel(question(1).id), 0.01) == []
    assert not home.answering._running and not home.answering._per_peer and not home.asking._asked


def test_who_is_gone_is_not_searched_for() -> None:
    place = Town(30, 10)
    home = place.citizens[peer(0)]
    for number in range(5):
        home.receive(peer(20), question(number, text="nothing like this"), 0.0)
    home.answering.down(peer(20), 0.1)
    assert not home.answering._running and not home.answering._per_peer and not home.asking._asked


def test_no_answer_is_longer_than_a_frame() -> None:
    place = Town(3, 1, per_peer=0)
    long = "wörd " * 35
    for slot in range(4):
        place.share(2, [item(f"{long}{slot} {n}", n, where="ä" * 190) for n in range(100)], slot=slot)
    for message in (
        question(1, keys=[key_of(NETWORK, "word")], limit=500),
        question(2, text="word", limit=500),
    ):
        sent = answers(place, 0, 2, message)
        assert sent
        total = 0
        for one in sent:
            body = encode(one.message)  # type: ignore[arg-type]
            assert len(body) <= place.settings.search.answer_bytes + 1024
            assert messages.decode(body) == one.message
            total += len(one.message.items)  # type: ignore[union-attr]
        assert total >= 30


def test_who_said_it_shows_the_publishers_signature() -> None:
    place = Town(3, 1, per_peer=0)
    one = item("blue moon.mp3")
    place.share(2, [one, item("red moon.mp3")])
    (sent,) = answers(place, 0, 1, AskProof(7, bytes(peer(2)), one.content))
    assert isinstance(sent.message, Proof) and sent.message.slice is not None
    assert list(sent.message.slice.items.values()) == [one]
    (sent,) = answers(place, 0, 1, AskProof(8, bytes(peer(2)), bytes(32)))
    assert sent.message == Proof(8)


def test_a_home_has_its_source_show_what_it_passed_on() -> None:
    place = Town(60, 20, per_peer=1)
    asker = 50
    text = place.items[peer(30)][0].name.removesuffix(".mp3")
    place.ask(asker, text)
    citizen = place.citizens[peer(asker)]
    home = next(one for one in citizen.homes.at if Question in place.citizens[one].received)
    assert citizen.asking.standing.proven(home, place.net.now)


def test_tables_are_bounded() -> None:
    place = Town(3, 1, per_peer=0)
    home = place.citizens[peer(0)]
    for number in range(5000):
        home.receive(peer(10_000 + number), question(number, keys=[content_key(NETWORK, bytes(32))]), 0.0)
    assert len(home.answering._rates) <= 4096
    for number in range(3000):
        home.asking.told_by(
            [(bytes(peer(1)), number.to_bytes(32, "big") + bytes([k])) for k in range(10)], peer(2)
        )
    assert len(home.asking._sources) <= 16_384
    for number in range(6000):
        home.asking.standing.silent(peer(number), 0.0)
    assert len(home.asking.standing) <= 4096
