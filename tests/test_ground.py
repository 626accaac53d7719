"""The ground floor: ids, frames, rates."""

import asyncio
import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.codec import Decoder, Key, canonical, encode, frame
from servent.errors import BadMessage, UsageError
from servent.identity import Identity, PeerId, z32_decode, z32_encode
from servent.limits import Budget, RateMeter, TokenBucket


class Ping(msgspec.Struct, frozen=True, tag="ping"):
    key: Key
    count: int = 0


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self.asked: list[int] = []

    async def read_exactly(self, size: int) -> bytes:
        self.asked.append(size)
        head, self.data = self.data[:size], self.data[size:]
        return head


@given(st.binary(min_size=1, max_size=80))
def test_z32_is_reversible(data: bytes) -> None:
    assert z32_decode(z32_encode(data), len(data)) == data


@given(st.text(max_size=60))
def test_no_text_but_one_names_a_key(text: str) -> None:
    try:
        key = z32_decode(text, 32)
    except ValueError:
        return
    assert z32_encode(key) == text


def test_z32_agrees_with_pkarr() -> None:
    # The example of the z-base-32 specification, section 5.
    assert z32_encode(bytes([0xF0, 0xBF, 0xC7])) == "6n9hq"


def test_a_peer_id_reads_back_in_both_forms() -> None:
    peer = Identity(bytes(range(32))).peer
    assert (
        PeerId.parse(str(peer)) == peer == PeerId.parse(peer.hex()) == PeerId.parse(f" {str(peer).upper()}\n")
    )
    assert len(str(peer)) == 52 and str(peer).startswith(peer.short)
    assert peer == bytes(peer) and hash(peer) == hash(bytes(peer))


@pytest.mark.parametrize("text", ["", "abc", "l" * 52, "ä" * 52, "g" * 64, "y" * 51 + "b", "y" * 5000])
def test_what_is_no_peer_id_is_said_so_shortly(text: str) -> None:
    with pytest.raises(UsageError, match="no peer id") as wrong:
        PeerId.parse(text)
    assert len(str(wrong.value)) < 300 and wrong.value.advice


def test_a_signature_holds_for_its_key_and_message_alone() -> None:
    ann, bob = Identity(bytes(32)), Identity(bytes([1]) * 32)
    signature = ann.sign(b"hello")
    assert ann.peer.verify(signature, b"hello")
    assert not ann.peer.verify(signature, b"hello!")
    assert not bob.peer.verify(signature, b"hello")
    assert not ann.peer.verify(signature[:-1], b"hello")
    assert not PeerId(b"\xff" * 32).verify(signature, b"hello")


def test_a_seed_never_shows() -> None:
    identity = Identity(bytes(range(32)))
    assert bytes(range(32)).hex() not in repr(identity) and "Identity(" in repr(identity)


def test_a_frame_is_read_back_and_an_unknown_field_is_ignored() -> None:
    decoder: Decoder[Ping] = Decoder(Ping)
    message = Ping(b"k" * 32, 3)
    assert asyncio.run(decoder.read(Bytes(frame(message)))) == message
    newer = msgspec.msgpack.encode({"type": "ping", "key": b"k" * 32, "mood": "good"})
    assert decoder.decode(newer) == Ping(b"k" * 32)


def test_a_long_frame_is_refused_before_its_body_is_read() -> None:
    source = Bytes((1 << 31).to_bytes(4, "big") + b"x" * 100)
    with pytest.raises(BadMessage, match="over the limit"):
        asyncio.run(Decoder(Ping).read(source))
    assert source.asked == [4]


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_raise_bad_message(body: bytes) -> None:
    decoder: Decoder[Ping] = Decoder(Ping)
    try:
        assert isinstance(decoder.decode(body), Ping)
    except BadMessage as wrong:
        assert len(str(wrong)) < 300


@given(st.data())
def test_a_damaged_frame_decodes_or_raises_bad_message(data: st.DataObject) -> None:
    body = bytearray(encode(Ping(b"k" * 32, 2**40)))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(BadMessage):
        Decoder(Ping).decode(bytes(body))


def test_deep_nesting_is_bad_message_not_a_crash() -> None:
    with pytest.raises(BadMessage):
        Decoder(Ping).decode(b"\x91" * 50_000)


def test_canonical_bytes_do_not_depend_on_order() -> None:
    assert canonical({"b": 1, "a": [2, {"d": 3, "c": 4}]}) == canonical({"a": [2, {"c": 4, "d": 3}], "b": 1})


@given(st.lists(st.floats(1, 5000), min_size=10, max_size=50))
def test_a_bucket_never_gives_more_than_its_rate_and_burst(amounts: list[float]) -> None:
    bucket, now, given_out = TokenBucket(1000.0, 500.0), 0.0, 0.0
    for amount in amounts:
        now += bucket.take(amount, now)
        given_out += amount
        assert given_out <= 500.0 + 1000.0 * now + 1e-6


def test_a_bucket_without_rate_never_waits_and_a_lowered_rate_holds_at_once() -> None:
    bucket = TokenBucket(None)
    assert bucket.take(1e12, 0.0) == 0.0 and bucket.allow(1e12, 0.0)
    bucket.set_rate(10.0, burst=10.0)
    assert not bucket.allow(10.1, 1.0)
    assert bucket.take(100.0, 1.0) == pytest.approx(10.0)


def test_a_meter_settles_on_the_rate() -> None:
    meter = RateMeter()
    for step in range(200):
        meter.add(100.0, step * 0.1)
    assert meter.rate(20.0) == pytest.approx(1000.0, rel=0.05)
    assert meter.rate(60.0) < 10.0 and meter.total == 20_000


def test_a_budget_is_all_or_nothing() -> None:
    budget = Budget(10)
    assert budget.take(8) and not budget.take(3) and budget.take(2)
    budget.give(10)
    assert budget.used == 0
