"""What a supernode takes of its leaves and of other homes, and what it does not. Each peer here says what it likes."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from servent.overlay import wire
from servent.overlay.effects import Discard, Effect, Find, Keep, Prove, Send
from servent.overlay.placement import content_key, key_of
from servent.overlay.publishers import REFUSED
from servent.overlay.records import Batch, Item, PeerRecord, Slice, item_hash, signed
from servent.overlay.settings import HomeSettings, OverlaySettings
from servent.overlay.topology import Topology
from servent.testing.hosts import Host
from servent.testing.world import World
from tests.overlay.things import item

START = 1_000_000


class Stage:
    """One supernode and peers whose messages the test writes."""

    def __init__(self, peers: int = 1, **home: int) -> None:
        settings = OverlaySettings(home=HomeSettings(**home))  # type: ignore[arg-type]
        self.world = World(1, Topology("hybrid"), open=False, settings=settings)
        self.home = self.world.add(nat="public", wish="on")
        self.world.run(5.0)
        assert self.home.member.election.index
        self.peers = [self.world.add(nat="public", wish="off") for _ in range(peers)]
        self.asked: list[Prove] = []

    @property
    def now(self) -> float:
        return self.world.now

    def say(self, peer: Host, message: wire.Message) -> list[Effect]:
        """What the supernode does on that message; its store does it, too."""
        effects = self.home.member.receive(peer.key, message, self.now)
        self.carry(effects)
        return effects

    def carry(self, effects: Sequence[Effect]) -> None:
        self.asked += [one for one in effects if isinstance(one, Prove)]
        self.world.act(self.home, [one for one in effects if not isinstance(one, Send | Prove)])

    def attach(self, peer: Host, record: PeerRecord | None = None) -> wire.Attached:
        effects = self.say(peer, wire.Attach(record or peer.record, bytes(16), 1))
        (answer,) = [one.message for one in effects if isinstance(one, Send) and one.to == peer.key]
        assert isinstance(answer, wire.Attached)
        return answer

    def batch(self, by: Host, items: Sequence[Item], slot: int = 0, seq: int = START) -> Slice:
        batch = Batch(by.key, slot, seq, 86_400, [item_hash(one) for one in items])
        return Slice(signed(self.world.network, batch, by.seal), dict(enumerate(items)))

    def publish(self, peer: Host, *slices: Slice) -> list[Effect]:
        """Tell of these and bring them."""
        self.say(peer, wire.Batches([(one.batch.slot, one.batch.seq) for one in slices]))
        return [effect for one in slices for effect in self.say(peer, wire.Publish(one))]

    def stored(self, one: Slice, *words: str) -> wire.Stored:
        keys = [key_of(self.world.network, word) for word in words]
        return wire.Stored(one, [wire.Posting(key, place) for place in one.items for key in keys])

    def names(self, peer: Host, keyed: bool = False) -> list[str]:
        return sorted(one.name for one in self.home.shelf.of(peer.key, keyed)) if self.home.shelf else []

    def faults(self, peer: Host) -> list[str]:
        return [what for who, what in self.home.member.faults if who == peer.key]


def sent(effects: Sequence[Effect], kind: type) -> list[object]:
    return [one.message for one in effects if isinstance(one, Send) and isinstance(one.message, kind)]


# -- homes


def test_a_leaf_is_taken_and_its_list_is_asked_for() -> None:
    stage = Stage()
    (leaf,) = stage.peers
    answer = stage.attach(leaf)
    assert answer.accepted and answer.want
    stage.publish(leaf, stage.batch(leaf, [item("Blue Moon")]))
    assert stage.names(leaf) == ["Blue Moon"]
    assert stage.home.member.housing.leaves() == {leaf.key: leaf.record}


def test_only_one_that_says_where_it_is_itself_is_taken() -> None:
    stage = Stage(2)
    one, other = stage.peers
    assert stage.say(one, wire.Attach(other.record, bytes(16), 0)) == []
    assert stage.faults(one)
    forged = structs.replace(one.record, seq=one.record.seq + 1)
    assert stage.say(one, wire.Attach(forged, bytes(16), 0)) == []
    assert not stage.home.member.housing.leaves()


def test_an_old_record_does_not_take_the_place_of_a_newer_one() -> None:
    stage = Stage()
    (leaf,) = stage.peers
    old = leaf.record
    fields = structs.replace(old, seq=old.seq + 10, addresses=["81.2.3.4:5"])
    stage.attach(leaf, signed(stage.world.network, fields, leaf.seal))
    stage.attach(leaf, old)
    known = stage.home.member.housing.record_of(leaf.key, stage.now)
    assert known is not None and known.addresses == ["81.2.3.4:5"]


def test_who_is_no_leaf_is_told_so() -> None:
    stage = Stage()
    (peer,) = stage.peers
    assert sent(stage.say(peer, wire.Batches([(0, 1)])), wire.Detach)
    assert sent(stage.say(peer, wire.Publish(stage.batch(peer, [item("x")]))), wire.Detach)
    assert stage.names(peer) == []


def test_what_somebody_else_signed_is_not_published() -> None:
    stage = Stage(2)
    leaf, other = stage.peers
    stage.attach(leaf)
    stage.publish(leaf, stage.batch(other, [item("x")]))
    assert stage.names(leaf) == stage.names(other) == [] and stage.faults(leaf)


def test_a_forged_batch_costs_and_loses_nothing_else() -> None:
    stage = Stage()
    (leaf,) = stage.peers
    stage.attach(leaf)
    good, bad = stage.batch(leaf, [item("good")]), stage.batch(leaf, [item("bad")], slot=1)
    forged = Slice(structs.replace(bad.batch, signature=bytes(64)), bad.items)
    changed = Slice(bad.batch, {0: item("something else")})
    stage.publish(leaf, good, forged)
    stage.say(leaf, wire.Publish(changed))
    assert stage.names(leaf) == ["good"] and len(stage.faults(leaf)) == 2
    stage.say(leaf, wire.Publish(bad))
    assert stage.names(leaf) == ["bad", "good"]


def test_who_goes_on_forging_is_refused_for_a_day() -> None:
    stage = Stage()
    (leaf,) = stage.peers
    stage.attach(leaf)
    stage.publish(leaf, stage.batch(leaf, [item("good")]))
    bad = stage.batch(leaf, [item("bad")], slot=1, seq=START + 1)
    forged = Slice(structs.replace(bad.batch, signature=bytes(64)), bad.items)
    for _ in range(4):
        stage.publish(leaf, stage.batch(leaf, [item("good")]), forged)
    assert stage.names(leaf) == [] and not stage.home.member.housing.leaves()
    answer = stage.attach(leaf)
    assert not answer.accepted and answer.reason
    stage.world.crash(leaf)
    stage.world.run(stage.now + REFUSED + 1)
    assert stage.attach(leaf).accepted


def test_who_cannot_show_what_it_publishes_is_refused_and_its_items_go() -> None:
    stage = Stage(spot_check=1)
    (leaf,) = stage.peers
    stage.attach(leaf)
    stage.publish(leaf, stage.batch(leaf, [item(f"lie {n}") for n in range(5)]))
    assert len(stage.asked) == 5 and len(stage.names(leaf)) == 5
    for one, ok in zip(stage.asked, [None, True, False, False, False], strict=True):
        stage.carry(stage.home.member.answered(one.token, ok, now=stage.now))
    assert stage.names(leaf) == [] and not stage.attach(leaf).accepted


def test_one_in_twenty_is_asked_for() -> None:
    stage = Stage()
    (leaf,) = stage.peers
    stage.attach(leaf)
    stage.publish(leaf, stage.batch(leaf, [item(f"thing {n}") for n in range(100)]))
    assert len(stage.asked) == 5


def test_nobody_has_more_items_than_it_may() -> None:
    stage = Stage(items=100)
    (leaf,) = stage.peers
    stage.attach(leaf)
    first = stage.batch(leaf, [item(f"first {n}") for n in range(60)])
    second = stage.batch(leaf, [item(f"second {n}") for n in range(60)], slot=1)
    stage.publish(leaf, first, second)
    assert len(stage.names(leaf)) == 60 and stage.faults(leaf)
    smaller = stage.batch(leaf, [item(f"second {n}") for n in range(40)], slot=1)
    stage.publish(leaf, first, smaller)
    assert len(stage.names(leaf)) == 100


def test_a_flood_of_batches_ends_at_the_rate() -> None:
    stage = Stage(items=100)
    (leaf,) = stage.peers
    stage.attach(leaf)
    kept = 0
    for seq in range(START, START + 50):
        one = stage.batch(leaf, [item(f"{seq} {n}") for n in range(100)], seq=seq)
        kept += any(isinstance(effect, Keep) for effect in stage.publish(leaf, one))
    assert kept <= 7 and stage.faults(leaf)


def test_a_batch_that_lacks_items_is_asked_for_once_more() -> None:
    stage = Stage()
    (leaf,) = stage.peers
    stage.attach(leaf)
    whole = stage.batch(leaf, [item("one"), item("two")])
    part = Slice(whole.batch, {0: whole.items[0]})
    asked = stage.publish(leaf, part)
    assert sent(asked, wire.WantBatches) == [wire.WantBatches([0])] and stage.names(leaf) == []
    assert stage.say(leaf, wire.Publish(part)) == [] and stage.faults(leaf)
    stage.say(leaf, wire.Publish(whole))
    assert stage.names(leaf) == ["one", "two"]


def test_what_the_home_has_need_not_be_said_again() -> None:
    stage = Stage()
    (leaf,) = stage.peers
    stage.attach(leaf)
    stays, goes, comes = item("stays"), item("goes"), item("comes")
    stage.publish(leaf, stage.batch(leaf, [stays, goes]))
    newer = stage.batch(leaf, [stays, comes], seq=START + 1)
    stage.publish(leaf, Slice(newer.batch, {1: comes}))
    assert stage.names(leaf) == ["comes", "stays"]
    assert stage.home.member.housing.items == 2


def test_what_is_listed_no_more_is_discarded() -> None:
    stage = Stage()
    (leaf,) = stage.peers
    stage.attach(leaf)
    one, two = stage.batch(leaf, [item("one")]), stage.batch(leaf, [item("two")], slot=1)
    stage.publish(leaf, one, two)
    effects = stage.say(leaf, wire.Batches([(1, START)]))
    assert stage.names(leaf) == ["two"]
    assert sent(effects, wire.WantBatches) == [wire.WantBatches([])]
    assert stage.home.member.housing.items == 1


def test_news_is_told_once() -> None:
    stage = Stage()
    (leaf,) = stage.peers
    told: list[str] = []

    def tell(one: Slice, postings: Sequence[wire.Posting], now: float) -> list[Effect]:
        told.extend(found.name for found in one.items.values())
        return []

    stage.home.member.housing.kept.append(tell)
    stage.attach(leaf)
    stage.publish(leaf, stage.batch(leaf, [item("one")]))
    stage.publish(leaf, stage.batch(leaf, [item("one"), item("two")], seq=START + 1))
    assert told == ["one", "two"]


# -- keyed supernodes


def found(stage: Stage, word: str) -> list[str]:
    if stage.home.shelf is None:
        return []
    answer = stage.home.shelf.do(Find(1, 500, keys=[key_of(stage.world.network, word)]))
    assert answer is not None
    return sorted(one.name for _, one in answer[0])  # type: ignore[attr-defined]


def test_what_others_bring_is_found_under_its_keys() -> None:
    stage = Stage(2)
    home, leaf = stage.peers
    one = stage.batch(leaf, [item("Blue Moon"), item("Blue Sun")])
    stage.say(home, wire.Store([stage.stored(one, "blue")]))
    assert found(stage, "blue") == ["Blue Moon", "Blue Sun"]
    assert stage.home.shelf is not None and stage.home.shelf.of(leaf.key) == []  # not as a home
    assert not stage.faults(home)


def test_one_bad_slice_costs_who_brought_it_and_nothing_else() -> None:
    stage = Stage(2)
    home, leaf = stage.peers
    good, false, forged = (stage.batch(leaf, [item(f"Blue {n}")], slot=n) for n in range(3))
    forged = Slice(structs.replace(forged.batch, seq=5), forged.items)
    parts = [stage.stored(false, "green"), stage.stored(forged, "blue"), stage.stored(good, "blue")]
    stage.say(home, wire.Store(parts))
    assert found(stage, "blue") == ["Blue 0"] and found(stage, "green") == []
    assert len(stage.faults(home)) == 2 and not stage.faults(leaf)


def test_a_key_must_belong_to_the_item_it_is_said_of() -> None:
    stage = Stage(2)
    home, leaf = stage.peers
    one = stage.batch(leaf, [item("Blue Moon"), item("Red Sun")])
    key = key_of(stage.world.network, "blue")
    stage.say(home, wire.Store([wire.Stored(one, [wire.Posting(key, 1)])]))
    stage.say(home, wire.Store([wire.Stored(Slice(one.batch, {}), [wire.Posting(key, 0)])]))
    assert found(stage, "blue") == [] and len(stage.faults(home)) == 2
    content = content_key(stage.world.network, one.items[1].content)
    stage.say(home, wire.Store([wire.Stored(one, [wire.Posting(content, 1), wire.Posting(key, 0)])]))
    assert found(stage, "blue") == ["Blue Moon"]


def test_who_goes_on_with_false_keys_stores_nothing_any_more() -> None:
    stage = Stage(2)
    home, leaf = stage.peers
    for n in range(12):
        stage.say(home, wire.Store([stage.stored(stage.batch(leaf, [item("Blue")], slot=n), "green")]))
    stage.say(home, wire.Store([stage.stored(stage.batch(leaf, [item("Blue")]), "blue")]))
    assert found(stage, "blue") == []


def test_the_newest_batch_counts_whoever_brings_it() -> None:
    stage = Stage(3)
    one, two, leaf = stage.peers
    old = stage.batch(leaf, [item("Blue old"), item("Blue both")])
    new = stage.batch(leaf, [item("Blue both"), item("Blue new")], seq=START + 1)
    stage.say(one, wire.Store([stage.stored(old, "blue")]))
    stage.say(two, wire.Store([wire.Stored(Slice(new.batch, {}), [])]))
    assert found(stage, "blue") == ["Blue both"]
    stage.say(one, wire.Store([stage.stored(old, "blue")]))  # it has not heard yet
    assert found(stage, "blue") == ["Blue both"] and not stage.faults(one)
    stage.say(one, wire.Store([stage.stored(new, "blue")]))
    assert found(stage, "blue") == ["Blue both", "Blue new"]
    gone = stage.batch(leaf, [], seq=START + 2)
    stage.say(one, wire.Store([wire.Stored(gone, [])]))
    assert found(stage, "blue") == []


def test_two_batches_with_one_number_are_a_fault_of_who_signed_them() -> None:
    stage = Stage(2)
    home, leaf = stage.peers
    stage.say(home, wire.Store([stage.stored(stage.batch(leaf, [item("Blue one")]), "blue")]))
    stage.say(home, wire.Store([stage.stored(stage.batch(leaf, [item("Blue two")]), "blue")]))
    assert found(stage, "blue") == ["Blue one"]
    assert stage.faults(leaf) and not stage.faults(home), "each home has seen one of them"


def test_a_renewal_of_what_is_not_here_is_asked_for_in_full() -> None:
    stage = Stage(2)
    home, leaf = stage.peers
    one = stage.batch(leaf, [item("Blue")])
    effects = stage.say(home, wire.Store([wire.Stored(Slice(one.batch, {}), [])]))
    assert sent(effects, wire.WantStore) == [wire.WantStore([(leaf.key, 0)])]


def test_a_lifetime_counts_from_first_sight_and_a_replay_does_not_prolong_it() -> None:
    stage = Stage(2)
    home, leaf = stage.peers
    for peer in stage.peers:
        stage.world.crash(peer)
    early = stage.batch(leaf, [item("Blue")], seq=1 << 61)  # a clock centuries ahead
    stage.say(home, wire.Store([stage.stored(early, "blue")]))
    stage.world.run(stage.now + 80_000.0)
    assert found(stage, "blue") == ["Blue"]
    stage.say(home, wire.Store([stage.stored(early, "blue")]))
    stage.world.run(stage.now + 7_000.0)
    assert found(stage, "blue") == []


def test_a_short_lifetime_is_kept_to() -> None:
    stage = Stage(2)
    home, leaf = stage.peers
    fields = structs.replace(stage.batch(leaf, [item("Blue")]).batch, lifetime=60)
    batch = signed(stage.world.network, fields, leaf.seal)
    stage.say(home, wire.Store([stage.stored(Slice(batch, {0: item("Blue")}), "blue")]))
    assert found(stage, "blue")
    stage.world.run(stage.now + 130.0)
    assert not found(stage, "blue")


def test_a_publisher_has_its_share_of_a_key() -> None:
    stage = Stage(2)
    home, leaf = stage.peers
    one = stage.batch(leaf, [item(f"Blue {n}") for n in range(128)])
    stage.say(home, wire.Store([stage.stored(one, "blue")]))
    assert len(found(stage, "blue")) == 50


def test_a_flood_of_stores_ends_at_the_rate() -> None:
    stage = Stage(2)
    home, leaf = stage.peers
    one = stage.batch(leaf, [item(f"Blue {n}") for n in range(128)])
    message = wire.Store([stage.stored(one, "blue")] * 16)
    taken = sum(any(isinstance(one, Keep) for one in stage.say(home, message)) for _ in range(50))
    assert taken <= 10 and stage.faults(home)


def test_records_of_peers_are_kept_if_they_hold() -> None:
    stage = Stage(2)
    home, leaf = stage.peers
    forged = structs.replace(leaf.record, seq=leaf.record.seq + 1)
    stage.say(home, wire.StorePeer(forged))
    assert stage.home.member.housing.record_of(leaf.key, stage.now) is None and stage.faults(home)
    stage.say(home, wire.StorePeer(leaf.record))
    assert stage.home.member.housing.record_of(leaf.key, stage.now) == leaf.record
    stage.world.crash(leaf)
    stage.world.run(stage.now + 3700.0)
    assert stage.home.member.housing.record_of(leaf.key, stage.now) is None


def test_who_is_no_supernode_stores_nothing() -> None:
    stage = Stage(2)
    home, leaf = stage.peers
    one = stage.stored(stage.batch(home, [item("Blue")]), "blue")
    assert leaf.member.receive(home.key, wire.Store([one]), stage.now) == []
    assert leaf.member.receive(home.key, wire.StorePeer(home.record), stage.now) == []
    effects = leaf.member.receive(home.key, wire.Attach(home.record, bytes(16), 0), stage.now)
    (answer,) = sent(effects, wire.Attached)
    assert isinstance(answer, wire.Attached) and not answer.accepted
    assert not [one for one in effects if isinstance(one, Discard | Keep)]
