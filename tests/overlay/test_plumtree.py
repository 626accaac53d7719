"""The tree of one topic, from the seat of one peer."""

from __future__ import annotations

import pytest
from msgspec import structs

from servent.errors import UsageError
from servent.overlay.effects import Effect, Heard, Send, Tell
from servent.overlay.guard import Guard
from servent.overlay.plumtree import Plumtree, id_of, text_of_news
from servent.overlay.wire import Gossip, Graft, Have, Prune
from servent.trust.networks import Forged
from tests.overlay.throng import NETWORK, CheapSeal, context_of, key_of

TOPIC = bytes(16)
A, B, C, D = (key_of(number) for number in (1, 2, 3, 4))


def tree_of(*neighbours: bytes) -> Plumtree:
    context = context_of(0)
    return Plumtree(context, Guard(context), TOPIC, list(neighbours))


def news(number: int = 9, seq: int = 1, body: bytes = b"hello", hops: int = 3, lifetime: int = 300) -> Gossip:
    key = key_of(number)
    bare = Gossip(TOPIC, bytes(key), seq, lifetime, hops, body)
    return structs.replace(bare, signature=CheapSeal(key).sign(text_of_news(NETWORK, bare)))


def name(message: Gossip) -> bytes:
    return id_of(message.author, message.seq)


def heard(effects: list[Effect]) -> list[bytes]:
    return [one.event.body for one in effects if isinstance(one, Tell) and isinstance(one.event, Heard)]


def test_news_goes_to_the_eager_at_once_and_its_id_to_the_lazy_soon() -> None:
    tree = tree_of(A, B, C, D)
    tree.on_prune(C)
    effects = tree.on_gossip(A, news(), 0.0)
    assert heard(effects) == [b"hello"]
    assert [(one.to, one.message.hops) for one in effects if isinstance(one, Send)] == [(B, 4), (D, 4)]
    tree.on_gossip(A, news(seq=2), 0.01)
    assert tree.next_tick() == 0.05
    assert tree.tick(0.05) == [Send(C, Have(TOPIC, [(name(news()), 3), (name(news(seq=2)), 3)]))]
    assert tree.next_tick() is None


def test_what_comes_twice_prunes_whom_it_came_from() -> None:
    tree = tree_of(A, B)
    tree.on_gossip(A, news(), 0.0)
    assert tree.on_gossip(B, news(), 0.1) == [Send(B, Prune(TOPIC))]
    assert tree.lazy == {B}
    assert heard(tree.on_gossip(B, news(seq=2), 1.0)) == [b"hello"]
    assert not tree.lazy, "it was first"


def test_what_was_announced_and_does_not_come_is_asked_for_from_one_after_the_other() -> None:
    tree = tree_of(A, B, C)
    id = name(news())
    for peer in (A, B, C):
        tree.on_prune(peer)
    tree.on_have(A, Have(TOPIC, [(id, 2)]), 0.0)
    tree.on_have(B, Have(TOPIC, [(id, 2)]), 0.1)
    assert tree.next_tick() == pytest.approx(0.4)
    assert tree.tick(0.4) == [Send(A, Graft(TOPIC, id))]
    assert tree.tick(0.6001) == [Send(B, Graft(TOPIC, id))] and tree.lazy == {C}
    effects = tree.on_gossip(B, news(), 0.7)
    assert heard(effects) == [b"hello"]
    assert not [one for one in tree.tick(30.0) if isinstance(one, Send) and isinstance(one.message, Graft)]
    assert tree._guard.scores.of(A, 30.0) >= 0


def test_promises_that_are_not_kept_cost() -> None:
    tree = tree_of(A, B)
    for number in range(5):
        tree.on_have(A, Have(TOPIC, [(bytes([number]) * 16, 1)]), 10.0 * number)
        while (due := tree.next_tick()) is not None:
            tree.tick(due)
    assert tree._guard.scores.of(A, 50.0) < -20
    assert tree.on_gossip(A, news(), 50.0) == [], "no news of such a peer"


def test_who_grafts_is_sent_what_it_lacks_once() -> None:
    tree = tree_of(A, B)
    tree.on_prune(B)
    tree.on_gossip(A, news(hops=4), 0.0)
    [sent] = tree.on_graft(B, Graft(TOPIC, name(news())), 1.0)
    assert isinstance(sent, Send) and sent.message == news(hops=5) and B not in tree.lazy
    assert tree.on_graft(B, Graft(TOPIC, name(news())), 1.1) == []
    assert tree.on_graft(A, Graft(TOPIC, bytes(16)), 1.1) == []
    assert tree.on_graft(A, Graft(TOPIC, name(news())), 31.0) == [], "too late"


def test_a_much_shorter_way_becomes_the_parent() -> None:
    for announced_first in (True, False):
        tree = tree_of(A, B)
        tree.on_prune(B)
        told = Have(TOPIC, [(name(news()), 2)])
        effects = tree.on_have(B, told, 0.0) if announced_first else []
        effects += tree.on_gossip(A, news(hops=10), 0.1)
        effects += [] if announced_first else tree.on_have(B, told, 0.2)
        assert Send(B, Graft(TOPIC, None)) in effects and Send(A, Prune(TOPIC)) in effects
        assert tree.lazy == {A}


def test_forged_news_is_no_news_and_replays_find_no_ear() -> None:
    tree = tree_of(A, B)
    with pytest.raises(Forged):
        tree.on_gossip(A, structs.replace(news(), body=b"other"), 0.0)
    assert heard(tree.on_gossip(A, news(seq=5), 0.0)) == [b"hello"]
    tree.sweep(200.0)
    assert not tree._seen and tree.on_gossip(B, news(seq=5), 200.0) == []
    assert tree.on_gossip(B, news(seq=4), 200.0) == []
    assert heard(tree.on_gossip(B, news(seq=6), 200.0)) == [b"hello"]


def test_hops_end() -> None:
    tree = tree_of(A, B)
    effects = tree.on_gossip(A, news(hops=20), 0.0)
    assert heard(effects) and not [one for one in effects if isinstance(one, Send)]


def test_an_author_has_a_rate_here_and_there() -> None:
    tree = tree_of(A, B)
    taken = sum(len(heard(tree.on_gossip(A, news(seq=seq), 0.0))) for seq in range(1, 60))
    assert taken == 20
    for _ in range(20):
        assert tree.say(b"mine", 60, 0.0)
    with pytest.raises(UsageError):
        tree.say(b"mine", 60, 0.0)
    with pytest.raises(UsageError):
        tree.say(bytes(4097), 60, 100.0)


def test_tables_are_bounded() -> None:
    tree = tree_of(A, B)
    tree.on_prune(B)
    for seq in range(1, 3000):
        tree.on_gossip(A, news(number=seq % 300, seq=seq), seq * 0.1)
        tree.on_have(B, Have(TOPIC, [(seq.to_bytes(16, "big"), 1)]), seq * 0.1)
    tree.sweep(300.0)
    assert len(tree._kept) <= 512 and len(tree._seen) <= 1300 and len(tree._missing) <= 4096
    for seq in range(20_000):
        tree.on_have(A, Have(TOPIC, [(seq.to_bytes(16, "little"), 1)]), 400.0)
    assert len(tree._missing) <= 4096
