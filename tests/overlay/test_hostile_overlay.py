"""Members and supernodes that mean harm, against one member: nothing grows without end, no flood costs others more than the

sender, nobody is blamed for what somebody else has made up.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Callable

import pytest
from msgspec import structs

from servent.codec import encode
from servent.errors import BadMessage
from servent.overlay import wire
from servent.overlay.effects import Counts, DialBack, Effect, Find, Load, Prove, Send
from servent.overlay.placement import block_of
from servent.overlay.rates import MOST, Rates
from servent.overlay.records import PeerRecord, SupernodeRecord, signed
from servent.overlay.storing import BATCHES_OF_ONE
from servent.overlay.watching import WATCHES
from servent.overlay.wire import messages
from servent.testing.hosts import Host
from servent.trust.networks import Forged
from tests.overlay.bent import Bent
from tests.overlay.supernodes import peer_record, supernode
from tests.overlay.test_directory import HYBRID, serving
from tests.overlay.test_housing import START, Stage, sent
from tests.overlay.things import NETWORK, CheapSeal, item, peer

FLOOD = 1500  # messages in five seconds: more than links read of one peer


def flood(stage: Stage, by: Host, make: Callable[[int], wire.Message]) -> list[Effect]:
    """The effects of very many messages within five seconds."""
    return [
        effect
        for number in range(FLOOD)
        for effect in stage.home.member.receive(by.key, make(number), stage.now + 5.0 * number / FLOOD)
    ]


def others(effects: list[Effect], by: Host) -> int:
    """Messages to peers other than the one that floods."""
    return sum(isinstance(one, Send) and one.to != by.key for one in effects)


def sizes(stage: Stage) -> dict[str, int]:
    """How many entries every table of the member has, by its path."""
    found: dict[str, int] = {}
    seen: set[int] = set()

    def look(name: str, value: object, depth: int) -> None:
        if id(value) in seen or depth > 5:
            return
        seen.add(id(value))
        if isinstance(value, dict | list | set):
            found[name] = len(value)
            return
        if not type(value).__module__.startswith(("servent.overlay", "collections")):
            return
        if hasattr(value, "__len__") and not isinstance(value, bytes):
            found[name] = len(value)
        slots = [slot for kind in type(value).__mro__ for slot in getattr(kind, "__slots__", ())]
        for field in [*slots, *getattr(value, "__dict__", {})]:
            look(f"{name}.{field}", getattr(value, field, None), depth + 1)

    look("member", stage.home.member, 0)
    return found


# -- tables and floods


def test_a_standing_query_that_is_said_anew_with_other_words_leaves_nothing_behind() -> None:
    stage = Stage()
    (mal,) = stage.peers
    watching = stage.home.member.watching
    for number in range(300):
        stage.say(mal, wire.Watch(1, f"word{number}"))
    assert watching.kept == 1
    assert len(watching._out) == len(watching._keys) == 1
    stage.say(mal, wire.Watch(1, keys=[bytes(16)]))
    assert not watching._out and not watching._keys


@pytest.mark.parametrize("text", ["one{}", "one{} two{}"])
def test_standing_queries_are_limited_and_cost_who_floods(text: str) -> None:
    stage = Stage()
    (mal,) = stage.peers
    effects = flood(stage, mal, lambda n: wire.Watch(n, text.format(n, n)))
    looked = sum(isinstance(one, Counts) for one in effects)
    assert looked + others(effects, mal) // 3 <= WATCHES[1] + 5 * WATCHES[0] + 1
    assert len(stage.faults(mal)) > 1000


FLOODS: dict[str, Callable[[Host, int], wire.Message]] = {
    "ask-supernodes": lambda mal, n: wire.AskSupernodes(64),
    "ranges": lambda mal, n: wire.Ranges([(bytes(16), b"\xff" * 16, 9, bytes(16))]),
    "probe": lambda mal, n: wire.Probe(n, bytes(peer(n))),
    "suspect": lambda mal, n: wire.Suspect(bytes(peer(n)), n),
    "stand": lambda mal, n: wire.Stand(n),
    "dial-back": lambda mal, n: wire.AskDialBack(n, ["20.0.0.1:4000"]),
    "attach": lambda mal, n: wire.Attach(renewed(mal, n), n.to_bytes(16, "big")),
    "question": lambda mal, n: wire.Question(n.to_bytes(16, "big"), "anything", budget=200),
    "probes": lambda mal, n: wire.Question(n.to_bytes(16, "big"), "anything", probe=True),
    "keyed": lambda mal, n: wire.Question(n.to_bytes(16, "big"), keys=[bytes(16)]),
    "wide": lambda mal, n: wire.Question(n.to_bytes(16, "big"), "type:audio", budget=200),
    "proof": lambda mal, n: wire.AskProof(n, bytes(peer(n)), bytes(32)),
    "ask-peer": lambda mal, n: wire.AskPeer(n, bytes(peer(n))),
    "want-store": lambda mal, n: wire.WantStore([(bytes(peer(n)), slot) for slot in range(64)]),
    "unwatch": lambda mal, n: wire.Unwatch(n),
    "found": lambda mal, n: wire.Found(n.to_bytes(16, "big"), over=True),
    "fresh": lambda mal, n: wire.Fresh(n, [wire.FoundItem(bytes(peer(n)), item("x"))]),
}
MOST_LOOKS = 400  # at the store, for one flood
MOST_BYTES = 30  # out for each in, when a burst is spent; `AskSupernodes` asks for all in 30 bytes


def renewed(by: Host, n: int) -> PeerRecord:
    return signed(stage_network(), structs.replace(by.record, seq=by.record.seq + n + 1), by.seal)  # type: ignore[no-any-return]


_network = b""


def stage_network() -> bytes:
    return _network


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_of_one_peer_costs_others_little(kind: str) -> None:
    global _network
    stage = Stage(6)
    mal = stage.peers[0]
    _network = stage.world.network
    for one in stage.peers[1:]:
        stage.home.member.directory.put(supernode_of(stage, one), stage.now)
    before = sizes(stage)
    make = FLOODS[kind]
    effects = flood(stage, mal, lambda n: make(mal, n))
    incoming = sum(len(encode(make(mal, n))) + 36 for n in range(FLOOD))
    outgoing = sum(len(encode(one.message)) + 36 for one in effects if isinstance(one, Send))
    assert outgoing <= 2 * incoming, (outgoing, incoming)
    assert others(effects, mal) <= 0.25 * FLOOD
    assert sum(isinstance(one, Find | Load | Counts) for one in effects) <= MOST_LOOKS
    grown = {name: size for name, size in sizes(stage).items() if size - before.get(name, 0) > 600}
    assert not grown


def supernode_of(stage: Stage, one: Host) -> SupernodeRecord:
    record = SupernodeRecord(one.record, 1, 3600, room=512, block=block(one))
    return signed(stage.world.network, record, one.seal)  # type: ignore[no-any-return]


def block(one: Host) -> str:
    return block_of(one.record.addresses[0])


@pytest.mark.parametrize("kind", ["probe", "ask-supernodes", "ranges"])
def test_a_flood_of_one_peer_silences_the_supernode_for_nobody_else(kind: str) -> None:
    """Who floods cannot have others think that it is dead."""
    stage = Stage(2)
    mal, ann = stage.peers
    for one in stage.peers:
        stage.home.member.directory.put(supernode_of(stage, one), stage.now)
    make = FLOODS[kind]
    flood(stage, mal, lambda n: make(mal, n))
    answered = stage.home.member.receive(ann.key, make(ann, 1), stage.now + 5.0)
    assert [one for one in answered if isinstance(one, Send) and one.to == ann.key]


def test_records_of_supernodes_that_one_peer_brings_are_limited() -> None:
    """Each costs three signatures to check."""
    one = serving(0)
    checks = Counter[bytes]()
    holds = one._context.seal.holds

    def counted(key: bytes, signature: bytes, text: bytes) -> bool:
        checks[key] += 1
        return holds(key, signature, text)

    one._context.seal.holds = counted  # type: ignore[method-assign]
    for number in range(300):
        records = [supernode(1, 64 * number + k + 1) for k in range(64)]
        one.handlers()[wire.Supernodes](peer(1), wire.Supernodes(records), number / 100)
    assert sum(checks.values()) <= 2 * 10_400
    assert one._context.faults


def test_what_one_peer_may_do_does_not_depend_on_how_many_there_are() -> None:
    rates = Rates(1.0, 5.0)
    assert sum(rates.allow(b"a", 1.0, 0.0) for _ in range(100)) == 5
    for n in range(3 * MOST):
        rates.allow(b"%d" % n, 1.0, 0.0)
        assert len(rates) <= MOST
    assert sum(rates.allow(b"b", 1.0, 10.0 + n / 10) for n in range(100)) in (14, 15)


# -- nobody is blamed for what another has made up


def test_a_leaf_cannot_have_its_home_pass_on_a_record_that_was_not_checked() -> None:
    """Its number is one that is known, so that nobody looks at the signature; others would blame the home."""
    stage = Stage(2)
    mal, ann = stage.peers
    stage.home.member.directory.put(supernode_of(stage, ann), stage.now)
    stage.home.member.context.know(mal.record, stage.now)
    for wrong in (
        structs.replace(mal.record, signature=bytes(64)),
        structs.replace(mal.record, addresses=["203.0.113.9:443"]),
    ):
        effects = stage.say(mal, wire.Attach(wrong, bytes(16)))
        assert effects == [] and stage.faults(mal)
        assert mal.key not in stage.home.member.housing.leaves()


@pytest.mark.parametrize("known", [False, True])
def test_a_record_of_a_supernode_around_a_forged_one_goes_nowhere(known: bool) -> None:
    """The inner one travels alone later, and whoever passed it on would be blamed."""
    one = serving(0)
    if known:
        one._context.know(peer_record(1, seq=50), 0.0)
    good = supernode(1, 2)
    inner = structs.replace(good.peer, addresses=[*good.peer.addresses, "203.0.113.9:443"])
    bad = signed(NETWORK, structs.replace(good, peer=inner), CheapSeal(peer(1)))
    with pytest.raises(Forged):
        one.put(bad, 1.0, peer(1))
    assert one.get(peer(1), 1.0) is None
    assert one.put(good, 1.0, peer(2))


def test_who_passes_on_a_supernode_with_false_dial_backs_may_not_have_looked_at_them() -> None:
    one = serving(0, HYBRID)
    for number in range(1, 5):
        one.put(supernode(number, witnesses=[0]), 0.0)
    record = supernode(7, witnesses=[1])
    forged = [structs.replace(record.receipts[0], signature=bytes(64))]
    bad = signed(NETWORK, structs.replace(record, receipts=forged), CheapSeal(peer(7)))
    assert not one.put(bad, 1.0, peer(2))
    with pytest.raises(Forged):
        one.put(bad, 1.0, peer(7))


def test_who_has_not_heard_yet_that_somebody_was_expelled_is_not_to_blame() -> None:
    stage = Stage(2)
    ann, mal = stage.peers
    member = stage.home.member
    record = supernode_of(stage, mal)
    member.context.belongs = lambda key: key != mal.key
    stage.say(ann, wire.Supernodes([record]))
    assert not stage.faults(ann) and member.directory.get(mal.key, stage.now) is None
    number = 0
    for effect in member.whereabouts.where(mal.key, stage.now):
        if isinstance(effect, Send) and isinstance(effect.message, wire.AskPeer):
            number = effect.message.number
            stage.home.member.receive(effect.to, wire.PeerIs(number, bytes(mal.key), mal.record), stage.now)
            assert not member.topics.refuses(effect.to, stage.now)


def test_what_is_kept_of_somebody_who_is_expelled_goes() -> None:
    stage = Stage(3)
    mal, ann, bob = stage.peers
    member = stage.home.member
    stage.attach(mal)
    for one in (mal, ann):
        member.directory.put(supernode_of(stage, one), stage.now)
    stage.say(bob, wire.Store([stage.stored(stage.batch(mal, [item("Blue")]), "blue")]))
    stage.say(bob, wire.StorePeer(mal.record))
    assert member.storing.batches() and mal.key in member.housing.leaves()
    member.context.belongs = lambda key: key != mal.key
    stage.world.run(stage.now + 130.0)
    assert member.directory.get(mal.key, stage.now) is None
    assert not member.storing.batches() and mal.key not in member.housing.leaves()
    (answer,) = sent(stage.say(ann, wire.AskPeer(7, bytes(mal.key), final=True)), wire.PeerIs)
    assert answer == wire.PeerIs(7, bytes(mal.key))


def test_a_leaf_whose_questions_need_probes_is_soon_answered_without() -> None:
    stage = Stage(4)
    mal = stage.peers[0]
    for one in stage.peers[1:]:
        stage.home.member.directory.put(supernode_of(stage, one), stage.now)
    probes, now = 0, stage.now
    for n in range(40):
        now += 0.3
        todo = deque(stage.home.member.receive(mal.key, wire.Question(b"%16d" % n, "blu*", budget=200), now))
        while todo:
            effect = todo.popleft()
            probes += isinstance(effect, Send) and isinstance(effect.message, wire.Question)
            todo += answered(stage, effect, now)
        now += 4.5
        stage.home.member.tick(now)
        now -= 4.5
    assert 3 <= probes <= 3 * (3 + 2 + 12)


def test_a_walk_takes_nobody_along_who_was_not_checked() -> None:
    """An older number than the one known here is not looked at; the next one on the way may know none."""
    stage = Stage(3)
    ann, bob, cyd = stage.peers
    member = stage.home.member
    view = member.topics._own.view
    for one in (ann, bob):
        stage.say(one, wire.Ask(view.topic, one.record, True))
    member.context.know(renewed_of(stage, cyd, 10), stage.now)
    false = structs.replace(cyd.record, addresses=["203.0.113.9:443"], signature=bytes(64))
    for hops in range(21):
        for effect in member.receive(ann.key, wire.Walk(view.topic, false, hops), stage.now):
            if isinstance(effect, Send) and isinstance(effect.message, wire.Walk):
                assert effect.message.record != false
                assert effect.message.hops < member.context.settings.view.join_hops


def renewed_of(stage: Stage, one: Host, more: int) -> PeerRecord:
    fields = structs.replace(one.record, seq=one.record.seq + more)
    return signed(stage.world.network, fields, one.seal)  # type: ignore[no-any-return]


def test_two_batches_with_one_number_cost_who_signed_them_alone() -> None:
    stage = Stage(3)
    mal, ann, bob = stage.peers
    for n, home in enumerate((ann, bob)):
        stage.say(home, wire.Store([stage.stored(stage.batch(mal, [item(f"Blue {n}")]), "blue")]))
    assert not stage.faults(ann) and not stage.faults(bob) and stage.faults(mal)


# -- disk


def test_one_publisher_has_so_many_batches_here_whoever_brings_them() -> None:
    stage = Stage(3)
    mal, ann, bob = stage.peers
    for slot in range(300):
        one = stage.batch(mal, [item(f"Blue {slot}")], slot)
        stage.say((ann, bob)[slot % 2], wire.Store([stage.stored(one, "blue")]))
    assert len(stage.home.member.storing.batches()) == BATCHES_OF_ONE


def test_a_flood_of_stores_is_limited_over_minutes() -> None:
    stage = Stage(2)
    mal, _ = stage.peers
    kept = 0
    for second in range(0, 180, 10):
        for n in range(40):
            one = stage.batch(
                mal, [item(f"Blue {n} {k}") for k in range(128)], n % 64, START + second * 99 + n
            )
            message = wire.Store([stage.stored(one, "blue")])
            effects = stage.home.member.receive(mal.key, message, stage.now + second)
            kept += 128 * bool(effects)
    assert kept <= 20_000 + 180 * 200 + 128


# -- questions


def test_a_supernode_is_believed_to_have_leaves_only_within_reason() -> None:
    stage = Stage()
    (mal,) = stage.peers
    record = structs.replace(supernode_of(stage, mal), leaves=100_000)
    stage.home.member.directory.put(signed(stage.world.network, record, mal.seal), stage.now)
    asked = [wire.Question(n.to_bytes(16, "big"), keys=[bytes(16)]) for n in range(8000)]
    looked = [stage.home.member.receive(mal.key, one, stage.now) for one in asked]
    assert sum(any(isinstance(one, Find) for one in effects) for effects in looked) < 5000


def test_proofs_are_not_passed_on_in_circles() -> None:
    stage = Stage(3)
    leaf, ann, bob = stage.peers
    member = stage.home.member
    member.directory.put(supernode_of(stage, ann), stage.now)
    pair = bytes(bob.key), item("Blue").content
    member.asking.told_by([pair], bob.key)
    for who, passed in ((leaf, True), (ann, False)):
        effects = member.receive(who.key, wire.AskProof(1, *pair), stage.now)
        (load,) = [one for one in effects if isinstance(one, Load)]
        answer = member.answered(load.token, None, (), now=stage.now)
        assert bool(sent(answer, wire.AskProof)) is passed


# -- whatever there is to say, bent


@pytest.mark.parametrize("seed", range(2))
def test_no_message_is_met_by_a_bug_and_no_table_grows_without_end(seed: int) -> None:
    """Every message with every field at its ends, from a leaf, a neighbour and supernodes: `receive` raises nothing."""
    stage = Stage(5)
    member, dice = stage.home.member, random.Random(seed)
    topic = member.topics._own.view.topic
    for one in stage.peers[:2]:
        member.directory.put(supernode_of(stage, one), stage.now)
    stage.attach(stage.peers[2])
    stage.say(stage.peers[1], wire.Ask(topic, stage.peers[1].record, True))
    make = Bent(dice, stage.world.network, [*stage.peers, stage.home], topic)
    now, came = stage.now, Counter[str]()
    for number in range(6000):
        now += dice.choice((0.001, 0.01, 0.1))
        try:
            message = messages.decode(encode(make.message()))
        except BadMessage:
            continue
        came[type(message).__name__] += 1
        effects = deque(member.receive(dice.choice(stage.peers).key, message, now))
        if number % 10 == 0:
            effects += member.tick(now)
        if number % 50 == 0:
            effects += member.asking.search("blue", now)[1]
            effects += member.whereabouts.where(dice.choice(stage.peers).key, now)
        for _ in range(200):
            if not effects:
                break
            effects += answered(stage, effects.popleft(), now)
        member.topics.guard.scores.__init__()  # type: ignore[misc]  # nobody is shut out
        member.housing._publishers._of.clear()
        del member.faults[:]
    assert len(came) > 35 and min(came.values()) > 5, came
    assert all(size <= 3000 for size in sizes(stage).values()), sizes(stage)


def answered(stage: Stage, effect: Effect, now: float) -> list[Effect]:
    member = stage.home.member
    match effect:
        case Find():
            return member.answered(effect.token, [], False, now=now)
        case Counts():
            return member.answered(effect.token, [0] * len(effect.terms), 0, now=now)
        case Load():
            return member.answered(effect.token, None, (), now=now)
        case Prove():
            return member.answered(effect.token, None, now=now)
        case DialBack():
            return member.answered(effect.token, "", now=now)
    return []
