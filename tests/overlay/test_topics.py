"""Topics together: rooms, faults, and whole networks of them."""

from __future__ import annotations

import pytest
from msgspec import structs

from servent.errors import BadMessage, UsageError
from servent.overlay.effects import Heard, Hold, Release, Send, Tell
from servent.overlay.member import Member
from servent.overlay.topics import Topics
from servent.overlay.topology import Topology
from servent.overlay.wire import Accept, Ask, Decline, Join, Leave, Prune, Shuffle, Walk
from servent.testing.cores import CoreNet
from servent.testing.cores import Send as Mail
from tests.overlay.throng import Throng, context_of, key_of, record_of


def topics_of(number: int = 0) -> Topics:
    return Topics(context_of(number))


def ask(topics: Topics, number: int, topic: str = "", now: float = 0.0) -> list[object]:
    name = topics._context.topic(topic)
    message = Ask(name, record_of(number), True)
    return list(topics.handlers()[Ask](key_of(number), message, now))


def test_topics_we_are_not_in_are_declined_and_otherwise_ignored() -> None:
    topics = topics_of()
    other = bytes(16)
    assert topics.handlers()[Join](key_of(1), Join(other, record_of(1)), 0.0) == [
        Send(key_of(1), Decline(other))
    ]
    assert topics.handlers()[Prune](key_of(1), Prune(other), 0.0) == []
    with pytest.raises(UsageError):
        topics.say("nowhere", b"", 0.0)


def test_there_are_only_so_many_rooms() -> None:
    topics = topics_of()
    for number in range(63):
        topics.enter(f"room {number}", [], 0.0)
    with pytest.raises(UsageError):
        topics.enter("one more", [], 0.0)
    topics.leave("room 1", 1.0)
    topics.enter("one more", [], 1.0)


def test_a_connection_is_held_once_for_all_topics() -> None:
    topics = topics_of()
    topics.enter("room", [], 0.0)
    assert Hold(key_of(1)) in ask(topics, 1)
    assert Hold(key_of(1)) not in ask(topics, 1, "room")
    assert topics.neighbours("room") == [key_of(1)]
    assert Release(key_of(1)) not in topics.leave("room", 1.0)
    gone = topics.failed(key_of(1), 2.0)
    assert gone.count(Release(key_of(1))) == 1


def test_news_of_others_than_neighbours_is_not_taken() -> None:
    topics = topics_of()
    topic = topics._context.topic("")
    assert topics.handlers()[Prune](key_of(1), Prune(topic), 0.0) == [Send(key_of(1), Leave(topic))]


def test_a_forger_is_parted_from_and_refused() -> None:
    member = Member(context_of(0), Topology("hybrid"))
    topic = member.context.topic("")
    member.receive(key_of(1), Ask(topic, record_of(1), True), 0.0)
    assert member.topics.neighbours() == [key_of(1)]
    forged = structs.replace(record_of(5), signature=bytes(64))
    member.receive(key_of(1), Walk(topic, forged, 3), 1.0)
    due = member.next_tick()
    assert due is not None and due <= 1.0
    assert Send(key_of(1), Leave(topic)) in member.tick(1.0)
    assert member.topics.neighbours() == [] and member.topics.refuses(key_of(1), 500.0)
    again = member.receive(key_of(1), Ask(topic, record_of(1), True), 2.0)
    assert again == [Send(key_of(1), Decline(topic))]


def test_a_supernode_has_more_neighbours() -> None:
    topics = topics_of()
    topics.grow(True, 0.0)
    assert topics._own.view.most == 8 and topics._own.view.reserve.most == 64
    assert topics.grow(True, 0.0) == []
    topics.grow(False, 0.0)
    assert topics._own.view.most == 5


def test_anchors_are_the_longest_lived_good_neighbours() -> None:
    topics = topics_of()
    for number in (1, 2, 3):
        ask(topics, number, now=float(number))
    topics.guard.scores.add(key_of(1), -40.0, 10.0)
    assert topics.anchors() == [record_of(2), record_of(3)]


def test_forged_contacts_are_passed_over() -> None:
    topics = topics_of()
    effects = topics.join([structs.replace(record_of(1), signature=bytes(64)), record_of(2)], 0.0)
    assert [one.to for one in effects if isinstance(one, Send)] == [key_of(2)]


# -- many of them: seconds of computing each, more on a busy machine


class Seat:
    """`Topics` as a core of `CoreNet`, which knows no connections."""

    def __init__(self, number: int) -> None:
        self.topics = topics_of(number)

    def receive(self, peer, message, now):
        try:
            return self.topics.handlers()[type(message)](peer, message, now)
        except BadMessage:
            return []

    def tick(self, now):
        return self.topics.tick(now)

    def next_tick(self):
        return self.topics.next_tick()


def views_are_sound(seat: Seat) -> None:
    view = seat.topics._own.view
    assert len(view.active) <= view.most
    assert not view.active.keys() & view.reserve.entries.keys()
    assert view._context.me not in {*view.active, *view.reserve.entries}


@pytest.mark.parametrize("loss", [0.0, 0.05])
def test_a_hundred_and_twenty_find_together_by_one_contact_though_messages_are_late_and_lost(
    loss: float,
) -> None:
    seats = {key_of(number): Seat(number) for number in range(120)}
    net = CoreNet(
        seats,
        seed=4,
        loss=loss,
        sending=lambda effect: Mail(effect.to, effect.message) if isinstance(effect, Send) else None,
        check=views_are_sound,
    )
    for number in range(1, 120):
        net.do(key_of(number), seats[key_of(number)].topics.join([record_of(0)], net.now))
        net.run(net.now + 0.2)
    net.loss = 0.0
    net.run(net.now + 400.0)
    edges = {key: set(seat.topics.neighbours()) for key, seat in seats.items()}
    assert all(key in edges[other] for key, view in edges.items() for other in view), "symmetric at rest"
    left, stack = set(edges), [key_of(0)]
    while stack:
        one = stack.pop()
        if one in left:
            left.discard(one)
            stack += edges[one]
    assert not left
    assert sum(map(len, edges.values())) / 120 > 4.3


def test_half_of_two_hundred_crash_and_the_rest_is_one_soon_after_it_is_noticed() -> None:
    net = Throng(seed=7)
    peers = net.grown(200, until=180.0)
    assert net.largest() == 1.0
    net.crash(net.dice.sample(peers, 100))
    net.run(net.now + 20.0)
    assert net.largest() >= 0.99
    net.run(net.now + 10.0)
    assert net.largest() == 1.0
    net.run(net.now + 60.0)
    assert sum(map(len, net.edges().values())) / 100 > 4.3


def test_news_reaches_all_with_hardly_more_than_one_copy_each_once_the_tree_stands() -> None:
    net = Throng(seed=8)
    peers = net.grown(150, until=420.0)
    author = peers[17]
    for number in range(6):
        before = net.sent.get("Gossip", 0)
        body = b"%d" % number
        net.do(author, net.peers[author].say("", body, net.now))
        start = net.now
        net.run(net.now + 10.0)
        assert len(net.heard[body]) == 149
        copies = (net.sent["Gossip"] - before) / 150
        assert number == 0 or copies < 1.4
        assert max(net.heard[body].values()) - start < 3.0
    net.crash(net.dice.sample([one for one in peers if one != author], 50))
    net.run(net.now + 30.0)
    net.do(author, net.peers[author].say("", b"still", net.now))
    net.run(net.now + 10.0)
    assert len(net.heard[b"still"]) == 99


def test_what_was_cut_in_two_is_one_again() -> None:
    net = Throng(seed=9)
    peers = net.grown(80)
    one, other = peers[:40], peers[40:]
    net.cut(one, other)
    net.run(net.now + 600.0)
    assert net.largest(only=set(one)) == 1.0 and net.largest(only=set(other)) == 1.0
    assert not any(set(net.peers[peer].neighbours()) & set(other) for peer in one)
    net.heal()
    net.run(net.now + 900.0)
    assert net.largest() == 1.0


def test_ten_times_as_many_come_within_a_minute() -> None:
    net = Throng(seed=10)
    peers = net.grown(30)
    crowd = [net.add(number) for number in range(30, 330)]
    for place, peer in enumerate(crowd):
        net.at(net.now + place * 0.2, net.join, peer, net.dice.choice(peers[:5]))
    net.run(net.now + 120.0)
    assert net.largest() == 1.0
    assert sum(map(len, net.edges().values())) / 330 > 4.0


def test_those_who_lose_everyone_come_back_by_their_providers() -> None:
    net = Throng(seed=11)
    peers = net.grown(40)
    lonely = peers[3]
    net.cut([lonely], [one for one in peers if one != lonely])
    net.run(net.now + 120.0)
    assert not net.peers[lonely].neighbours() and net.alarms >= 2
    net.heal()
    net.providers = lambda: [net.contexts[peers[0]].record]
    net.run(net.now + 400.0)
    assert net.peers[lonely].neighbours()


def test_the_members_of_a_room_find_each_other_through_the_network() -> None:
    net = Throng(seed=12)
    peers = net.grown(80)
    members = peers[::5]
    for peer in members:
        net.do(peer, net.peers[peer].enter("birds", [], net.now))
        net.run(net.now + 3.0)
    net.run(net.now + 120.0)
    inside = net.edges("birds")
    assert all(inside[peer] for peer in members)
    assert net.largest("birds", only=set(members)) == 1.0
    speaker = members[4]
    net.do(speaker, net.peers[speaker].say("birds", b"a heron", net.now))
    net.run(net.now + 10.0)
    assert set(net.heard[b"a heron"]) == set(members) - {speaker}


class Sybil:
    """Says yes to everyone, and asks, joins, shuffles and walks at one victim without end."""

    def __init__(self, net: Throng, number: int, address: str, victim, mates) -> None:
        self.victim, self.mates = victim, mates
        self.record = record_of(number, address)
        self.topic = context_of(0).topic("")
        self.dice, self.due = net.dice, net.now
        self.kinds = dict.fromkeys(topics_of().handlers(), self.take)

    def handlers(self):
        return self.kinds

    def take(self, peer, message, now):
        if isinstance(message, Join | Ask):
            return [Hold(peer), Send(peer, Accept(self.topic, self.record))]
        return [Hold(peer)] if isinstance(message, Accept) else []

    def nothing(self, *_: object) -> list[object]:
        return []

    up = down = failed = neighbours = nothing

    def next_tick(self):
        return self.due

    def tick(self, now):
        self.due = now + self.dice.uniform(3.0, 9.0)
        flood = (
            self.dice.choice([Join(self.topic, self.record), Ask(self.topic, self.record, True)]),
            Shuffle(self.topic, self.record, self.dice.sample(self.mates, 7), 0),
            Walk(self.topic, self.dice.choice(self.mates), 0),
        )
        return [Send(self.victim, message) for message in flood]


def test_two_hundred_keys_of_a_few_blocks_do_not_take_the_view_of_an_honest_peer() -> None:
    net = Throng(seed=5)
    peers = net.grown(50, until=200.0)
    victim = peers[0]
    numbers = range(100_000, 100_200)
    where = {number: f"200.{number % 2}.{number // 2 % 2}.{number // 4 % 250}:1" for number in numbers}
    bad = {key_of(number) for number in numbers}
    mates = [record_of(number, where[number]) for number in numbers]
    for number in numbers:
        peer = key_of(number)
        net.peers[peer] = Sybil(net, number, where[number], victim, mates)  # type: ignore[assignment]
        net._holds[peer], net._links[peer] = set(), set()
        net._wake(peer)
    view = net.peers[victim]._own.view
    for _ in range(16):
        net.run(net.now + 15.0)
        taken = [peer for peer in view.active if peer in bad]
        assert len(taken) <= 2 < len(view.active)
        assert sum(peer in bad for peer in view.reserve.entries) <= 12
    assert net.largest(only=set(peers)) > 0.95


def test_heard_is_told_with_topic_and_author() -> None:
    net = Throng(seed=13)
    first, _ = net.grown(2, until=20.0)
    told: list[object] = []
    plain = net.do
    net.do = lambda peer, effects: plain(peer, [told.append(one) or one for one in effects])  # type: ignore[method-assign]
    net.do(first, net.peers[first].say("", b"hello", net.now))
    net.run(net.now + 5.0)
    assert Tell(Heard(net.contexts[first].topic(""), first, b"hello")) in told
