"""What a relay keeps of those who want to be found."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from servent.identity import Identity
from servent.net import pkarr
from servent.net.relay import pkarr_store
from servent.net.relay.pkarr_store import PkarrStore, block_of
from servent.net.relay.requests import BODY_MOST, HEAD_MOST, PkarrRequest, begins

ANN, BOB, EVE = (Identity(bytes([n]) * 32) for n in (1, 2, 3))
HOME = "192.0.2.1"
many = [Identity(n.to_bytes(32, "little")) for n in range(1, 60)]


def item(who: Identity, seq: int = 1, value: bytes = b"here") -> bytes:
    return pkarr.close_item(who, seq, value)


def test_the_newest_word_of_a_key_is_kept() -> None:
    store = PkarrStore()
    assert store.get(ANN.peer, HOME, 0.0) is None
    assert store.put(ANN.peer, item(ANN, 5), HOME, 0.0) == "stored"
    assert store.put(ANN.peer, item(ANN, 4, b"a replay"), HOME, 1.0) == "older"
    assert store.put(ANN.peer, item(ANN, 5, b"another value"), HOME, 1.0) == "older"
    assert store.get(ANN.peer, HOME, 2.0) == item(ANN, 5)
    assert store.put(ANN.peer, item(ANN, 6, b"moved"), HOME, 3.0) == "stored"
    assert store.get(ANN.peer, HOME, 4.0) == item(ANN, 6, b"moved")
    assert len(store) == 1


def test_nothing_is_kept_that_the_key_did_not_sign() -> None:
    store = PkarrStore()
    forged = bytearray(item(ANN))
    forged[-1] ^= 1
    assert store.put(ANN.peer, bytes(forged), HOME, 0.0) == "forged"
    assert store.put(ANN.peer, item(EVE), HOME, 0.0) == "forged"
    assert store.put(ANN.peer, bytes(10), HOME, 0.0) == "malformed"
    assert store.put(ANN.peer, item(ANN) + bytes(1000), HOME, 0.0) == "too large"
    assert len(store) == 0 and store.bytes_kept == 0


def test_a_word_that_is_not_said_again_is_forgotten() -> None:
    store = PkarrStore()
    store.put(ANN.peer, item(ANN), HOME, 0.0)
    store.put(BOB.peer, item(BOB), HOME, 0.0)
    assert store.put(ANN.peer, item(ANN), HOME, 3600.0) == "stored"  # the same again: still there
    late = pkarr_store.KEEP + 1.0
    assert store.get(ANN.peer, HOME, late) is not None
    assert store.get(BOB.peer, HOME, late) is None
    assert len(store) == 1


def test_a_flood_from_one_place_does_not_drive_out_others() -> None:
    store = PkarrStore(records=20)
    store.put(ANN.peer, item(ANN), "198.51.100.9", 0.0)
    store.put(BOB.peer, item(BOB), "2001:db8:1::5", 0.0)
    for number, who in enumerate(many):
        assert store.put(who.peer, item(who), f"192.0.2.{number + 1}", number + 1.0) == "stored"
    assert len(store) == 20
    assert store.get(ANN.peer, HOME, 60.0) and store.get(BOB.peer, HOME, 60.0)
    assert store.get(many[-1].peer, HOME, 60.0) and not store.get(many[0].peer, HOME, 60.0)


def test_the_bytes_are_bounded_as_well() -> None:
    store = PkarrStore(size=10 * (pkarr_store.RECORD_COST + 72 + 1000))
    for number, who in enumerate(many):
        store.put(who.peer, item(who, 1, bytes(1000)), f"198.{number}.0.1", float(number))
    assert len(store) == 10


def test_one_part_of_the_internet_is_heard_so_often() -> None:
    store = PkarrStore()
    said = [store.put(ANN.peer, bytes(100), f"192.0.2.{n % 200}", 0.0) for n in range(100)]
    assert said.count("forged") == pkarr_store.PUT_BURST and said[-1] == "too many"
    assert store.put(BOB.peer, item(BOB), "192.0.3.1", 0.0) == "stored"
    assert store.put(ANN.peer, item(ANN), "192.0.2.77", 10.0) == "stored"
    asked = [store.get(BOB.peer, HOME, 0.0) for _ in range(400)]
    assert asked.count("too many") == 400 - pkarr_store.GET_BURST


def test_one_key_is_heard_so_often_and_nobody_else_uses_that_up() -> None:
    store = PkarrStore()
    for number in range(50):  # somebody else knocks under her key
        assert store.put(ANN.peer, item(EVE), "203.0.113.1", float(number)) == "forged"
    said = [store.put(ANN.peer, item(ANN, n), f"198.{n}.0.1", 50.0) for n in range(1, 15)]
    assert said.count("stored") == pkarr_store.KEY_BURST and said[-1] == "too many"


def test_a_relay_for_friends_keeps_the_words_of_friends() -> None:
    store = PkarrStore(allow=lambda key: key == ANN.peer)
    assert store.put(ANN.peer, item(ANN), HOME, 0.0) == "stored"
    assert store.put(EVE.peer, item(EVE), HOME, 0.0) == "not allowed"


def test_what_counts_as_one_part_of_the_internet() -> None:
    assert block_of("192.0.2.1") == block_of("192.0.2.254") == block_of("::ffff:192.0.2.3")
    assert block_of("192.0.3.1") != block_of("192.0.2.1")
    assert block_of("2001:db8::1") == block_of("2001:db8:0:ff::1") != block_of("2001:db8:0:100::1")
    assert block_of("fe80::1%eth0") == block_of("fe80::2")
    assert block_of("") == ""


steps = st.lists(
    st.tuples(st.integers(0, 11), st.integers(1, 4), st.integers(0, 3), st.sampled_from([0.0, 1.0, 4000.0])),
    max_size=60,
)


@settings(max_examples=60)
@given(steps)
def test_its_books_are_right_whatever_comes(steps: list[tuple[int, int, int, float]]) -> None:
    """Against a plain dict with the same rule, and its own counts against what is there."""
    store, newest, now = PkarrStore(records=6), {}, 0.0
    for who, seq, block, wait in steps:
        now += wait
        one = many[who]
        if store.put(one.peer, item(one, seq), f"10.{block}.0.1", now) == "stored":
            assert seq >= newest.get(one.peer, (0, 0.0))[0] or newest[one.peer][1] <= now
            newest[one.peer] = (seq, now + pkarr_store.KEEP)
        assert len(store) <= 6
        kept = store._kept
        for gone in newest.keys() - kept.keys():  # driven out, or too old: any number may come now
            del newest[gone]
        assert {key: kept[key].seq for key in kept} == {key: newest[key][0] for key in newest}
        assert store.bytes_kept == sum(len(one.body) + pkarr_store.RECORD_COST for one in kept.values())
        assert {key for block in store._blocks.values() for key in block} == set(kept)
        assert store._top == max((len(block) for block in store._blocks.values()), default=0)
        assert {name: level for level, names in store._levels.items() for name in names} == {
            name: len(block) for name, block in store._blocks.items()
        }


# -- requests

DATE = "Tue, 15 Nov 1994 08:12:31 GMT"


def ask(request: bytes, store: PkarrStore | None = None) -> bytes | None:
    return PkarrRequest(PkarrStore() if store is None else store, HOME).receive(request, 0.0, DATE)


def put(who: Identity, body: bytes, extra: str = "") -> bytes:
    head = f"PUT /pkarr/{who.peer} HTTP/1.1\r\nHost: x\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def status(answer: bytes | None) -> int:
    assert answer is not None and answer.startswith(b"HTTP/1.1 ")
    return int(answer[9:12])


def test_a_record_is_put_and_got() -> None:
    store = PkarrStore()
    whole = put(ANN, item(ANN))
    request = PkarrRequest(store, HOME)
    for at in range(len(whole) - 1):  # byte by byte
        assert request.receive(whole[at : at + 1], 0.0, DATE) is None
    assert status(request.receive(whole[-1:], 0.0, DATE)) == 204
    got = ask(f"GET /pkarr/{ANN.peer} HTTP/1.1\r\n\r\n".encode(), store)
    assert got is not None and status(got) == 200
    head, _, body = got.partition(b"\r\n\r\n")
    assert (
        body == item(ANN) and f"Content-Length: {len(body)}".encode() in head and b"Connection: close" in head
    )
    assert status(ask(f"GET /pkarr/{BOB.peer} HTTP/1.0\r\n\r\n".encode(), store)) == 404


def test_every_wrong_request_has_its_answer() -> None:
    store = PkarrStore()
    assert status(ask(put(ANN, item(ANN, 5)), store)) == 204
    assert status(ask(put(ANN, item(ANN, 4)), store)) == 409
    assert status(ask(put(ANN, item(EVE)), store)) == 400
    assert status(ask(put(ANN, bytes(BODY_MOST + 1)), store)) == 413
    assert status(ask(put(ANN, b"", "Transfer-Encoding: chunked\r\n"), store)) == 411
    assert status(ask(put(ANN, b"", "Content-Length: 3\r\n"), store)) == 411  # which of the two?
    assert status(ask(put(ANN, b"").replace(b"Length: 0", b"Length: -1"), store)) == 400
    assert status(ask(b"GET /pkarr/ HTTP/1.1\r\n\r\n")) == 404
    assert status(ask(b"GET /pkarr/" + b"a" * 52 + b"/../.. HTTP/1.1\r\n\r\n")) == 404
    assert status(ask(b"PUT /pkarr/" + str(ANN.peer).encode() + b"\r\n\r\n")) == 400
    assert status(ask(b"GET /pkarr/" + bytes(HEAD_MOST))) == 431


def test_only_requests_for_records_are_taken_from_the_websocket() -> None:
    assert begins(b"PUT /pkarr/x") is True and begins(b"GET /pkarr/") is True
    assert begins(b"GET /relay HTTP/1.1") is False and begins(b"\x16\x03\x01") is False
    assert begins(b"GET /p") is None and begins(b"") is None and begins(b"PUT /ping") is False


@given(st.binary(max_size=300), st.integers(1, 40))
def test_whatever_is_asked_is_answered_or_waited_for(rest: bytes, cut: int) -> None:
    request = PkarrRequest(PkarrStore(), HOME)
    whole = b"PUT /pkarr/" + rest + b"\r\n\r\n"
    for at in range(0, len(whole), cut):
        answer = request.receive(whole[at : at + cut], 0.0, DATE)
        if answer is not None:
            assert status(answer) in range(200, 500)
            return
