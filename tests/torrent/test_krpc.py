"""The search for the nodes that are to keep a record: among nodes that are gone, lie or flood."""

from __future__ import annotations

import contextlib
import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.blobs import bencode
from servent.errors import BadMessage
from servent.identity import Identity
from servent.net.pkarr import signing_text
from servent.torrent import krpc
from servent.torrent.krpc import NEAREST, Place, Reply, Search

ANN = Identity(b"\x01" * 32)


def place(number: int) -> Place:
    return Place(f"{20 + number % 50}.{number >> 8}.{number & 255}.7", 6881)


def far(identity: bytes, target: bytes) -> int:
    return int.from_bytes(identity, "big") ^ int.from_bytes(target, "big")


class Town:
    """Nodes that each know some neighbours and their own nearest; a third of those that are known are gone."""

    def __init__(self, dice: random.Random, count: int, gone: float) -> None:
        self.ids = {place(number): dice.randbytes(20) for number in range(count)}
        self.gone = {one for one in self.ids if dice.random() < gone}
        self.known = {one: dice.sample(list(self.ids), min(count, 60)) for one in self.ids}
        everybody = list(self.ids)
        for one, identity in self.ids.items():
            near = sorted(everybody, key=lambda other: far(self.ids[other], identity))
            self.known[one] += near[1:12]
        self.asked = 0

    def answer(self, who: Place, target: bytes) -> Reply | None:
        self.asked += 1
        if who in self.gone:
            return None
        near = sorted(set(self.known[who]), key=lambda other: far(self.ids[other], target))[:8]
        return Reply(self.ids[who], tuple((self.ids[one], one) for one in near), b"token")

    def search(self, target: bytes, start: list[Place]) -> tuple[Search, float]:
        now = 0.0
        search = Search(target, start, now)
        while not search.done(now):
            asked = search.ask(now)
            for one in asked:
                reply = self.answer(one, target)
                if reply is not None:
                    search.answered(one, reply)
            if not asked or all(one in self.gone for one in asked):
                now = max(now, search.next_tick())
        return search, now


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("gone", [0.0, 0.3])
def test_the_nearest_who_answer_are_found_soon_whoever_is_gone(seed: int, gone: float) -> None:
    dice = random.Random(seed)
    town = Town(dice, 200, gone)
    target = dice.randbytes(20)
    alive = [one for one in town.ids if one not in town.gone]
    search, took = town.search(target, dice.sample(alive, 5))
    nearest = sorted(alive, key=lambda one: far(town.ids[one], target))[:NEAREST]
    found = [one for one, _, _ in search.nearest()]
    assert len(set(found) & set(nearest)) >= NEAREST - 1
    assert took <= 4.0 and town.asked <= krpc.ASKED_MOST


def test_nobody_else_is_waited_for_when_eight_have_answered_and_the_rest_is_farther() -> None:
    dice = random.Random(7)
    target = bytes(20)
    search = Search(target, [place(1)], 0.0)
    near = [(bytes((0,)) * 19 + bytes((n + 1,)), place(n + 10)) for n in range(NEAREST)]
    distant = (b"\xff" * 20, place(99))
    assert search.ask(0.0) == [place(1)]
    search.answered(place(1), Reply(b"\xf0" * 20, (*near, distant), b"t"))
    for one in search.ask(0.0):
        search.answered(one, Reply(next(i for i, p in near if p == one), (), dice.randbytes(4)))
    assert search.done(0.0)
    assert [one for one, _, _ in search.nearest()] == [one for _, one in near]


def test_a_liar_that_names_ever_more_nodes_ends_nothing_and_costs_a_bounded_number_of_packets() -> None:
    dice = random.Random(3)
    search, now, asked, sent = Search(bytes(20), [place(1)], 0.0), 0.0, 0, 0
    while not search.done(now):
        for one in search.ask(now):
            asked += 1
            fake = tuple(
                (bytes(8) + dice.randbytes(12), Place(f"{dice.randrange(11, 99)}.{dice.randrange(256)}.{sent % 256}.9", 1 + sent % 999))
                for sent in range(sent, sent + 16)
            )  # fmt: skip
            sent += 16
            search.answered(one, Reply(bytes(20), fake))
        now += 0.05
    assert asked <= krpc.ASKED_MOST
    assert now <= krpc.SEARCH_TIME + 0.1
    assert search.nearest() == []  # nobody gave a token


def test_answers_that_nobody_asked_for_count_for_nothing() -> None:
    search = Search(bytes(20), [place(1)], 0.0)
    search.answered(place(1), Reply(bytes(20), (), b"token", 9, b"x"))
    search.answered(place(2), Reply(bytes(20), (), b"token", 9, b"x"))
    assert search.seq == 0 and search.nearest() == []


def test_a_late_answer_still_counts_while_others_are_waited_for() -> None:
    search = Search(bytes(20), [place(1), place(2)], 0.0)
    assert set(search.ask(0.0)) == {place(1), place(2)}
    search.ask(krpc.ANSWER_TIME)
    search.answered(place(1), Reply(bytes(20), (), b"token"))
    assert [one for one, _, _ in search.nearest()] == [place(1)]


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "192.168.1.1", "10.0.0.1", "169.254.1.1", "224.0.0.1", "0.0.0.0"]
)
def test_on_the_open_dht_nobody_makes_us_send_into_private_networks(host: str) -> None:
    search = Search(bytes(20), [place(1)], 0.0)
    search.ask(0.0)
    search.answered(place(1), Reply(bytes(20), ((b"\x01" * 20, Place(host, 53)),), b"token"))
    assert search.ask(0.0) == []


def test_on_the_open_dht_one_block_of_addresses_counts_once() -> None:
    search = Search(bytes(20), [place(1)], 0.0)
    search.ask(0.0)
    crowd = tuple((bytes(19) + bytes((n,)), Place(f"30.1.1.{n}", 6881)) for n in range(1, 17))
    search.answered(place(1), Reply(bytes(20), crowd, b"token"))
    assert len(search.ask(0.0)) == 1


def answer(seq: int, value: bytes, signature: bytes, **more: bencode.Value) -> bytes:
    said: dict[bytes, bencode.Value] = {
        b"id": bytes(20),
        b"seq": seq,
        b"v": value,
        b"sig": signature,
        b"token": b"t",
    }
    said |= {name.encode(): what for name, what in more.items()}
    return bencode.encode({b"r": said, b"t": b"abcd", b"y": b"r"})


def test_a_record_on_the_way_is_believed_only_when_its_owner_signed_it() -> None:
    good = ANN.sign(signing_text(5, b"here", b"salt"))
    _, reply = krpc.read(answer(5, b"here", good), ANN.peer, b"salt")
    assert reply is not None and (reply.seq, reply.value) == (5, b"here")
    for forged in (
        answer(6, b"here", good),
        answer(5, b"there", good),
        answer(5, b"here", bytes(64)),
        answer(-1, b"here", ANN.sign(signing_text(-1, b"here", b"salt"))),
        answer(1 << 62, b"here", ANN.sign(signing_text(1 << 62, b"here", b"salt"))),
    ):
        _, reply = krpc.read(forged, ANN.peer, b"salt")
        assert reply is not None and (reply.seq, reply.value) == (0, b"")
        assert reply.token == b"t"  # the node itself may still keep ours
    _, reply = krpc.read(answer(5, b"here", good), ANN.peer, b"other salt")
    assert reply is not None and reply.seq == 0


def test_what_is_asked_reads_as_the_standard_has_it() -> None:
    asked = bencode.decode(krpc.question(b"abcd", b"m" * 20, b"t" * 20), 1000)
    assert asked == {
        b"a": {b"id": b"m" * 20, b"target": b"t" * 20},
        b"q": b"get",
        b"ro": 1,
        b"t": b"abcd",
        b"y": b"q",
    }
    assert krpc.target_of(b"k" * 32, b"salt") == hashlib.sha1(b"k" * 32 + b"salt").digest()
    told = bencode.decode(krpc.order(b"abcd", b"n" * 20, b"tok", b"k" * 32, b"", 7, b"s" * 64, b"v"), 1000)
    assert isinstance(told, dict) and isinstance(said := told[b"a"], dict)
    assert said[b"seq"] == 7 and said[b"v"] == b"v" and b"salt" not in said


def test_a_no_is_a_no_and_nodes_of_port_zero_are_none() -> None:
    assert krpc.read(b"d1:eli302e3:olde1:t4:abcd1:y1:ee", ANN.peer, b"") == (b"abcd", None)
    nodes = b"i" * 20 + bytes((8, 8, 8, 8, 0, 0)) + b"j" * 20 + bytes((8, 8, 4, 4, 0, 53)) + b"short"
    _, reply = krpc.read(answer(0, b"", b"", nodes=nodes), ANN.peer, b"")
    assert reply is not None and reply.nodes == ((b"j" * 20, Place("8.8.4.4", 53)),)


@given(st.binary(max_size=krpc.PACKET_MOST + 10))
def test_any_packet_reads_or_is_refused(data: bytes) -> None:
    with contextlib.suppress(BadMessage):
        krpc.read(data, ANN.peer, b"")


values = st.recursive(
    st.integers(-(2**70), 2**70) | st.binary(max_size=80),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from([b"id", b"token", b"nodes", b"seq", b"v", b"sig", b"k"]), values))
def test_any_answer_reads_or_is_refused(said: dict[bytes, bencode.Value]) -> None:
    try:
        _, reply = krpc.read(bencode.encode({b"r": said, b"t": b"abcd", b"y": b"r"}), ANN.peer, b"")
    except BadMessage:
        return
    assert reply is not None and reply.seq == 0 and len(reply.nodes) <= krpc.NODES_TAKEN
