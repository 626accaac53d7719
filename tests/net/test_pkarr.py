"""Signed packets as pkarr and iroh write them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.errors import BadMessage
from servent.identity import Identity, PeerId
from servent.net import pkarr
from servent.net.links import PeerAddress

ANN = Identity(bytes(range(32)))
EVE = Identity(bytes([7]) * 32)
HERE = PeerAddress(ANN.peer, "https://relay.example./", ("192.0.2.7:4433", "[2001:db8::1]:443"))

# what dnspython writes for the same four records, byte for byte
OF_DNSPYTHON = bytes.fromhex(
    "000080000000000400000000055f69726f683479716f6f787839753361656d68386d6f3577637171313679756675366a69746f7571316f"
    "347a613735316467657231696767687900001000010000001e001e1d72656c61793d68747470733a2f2f72656c61792e6578616d706c65"
    "2e2fc00c001000010000001e002322757365722d646174613d73657276656e743a31373030303030303030303030303030c00c00100001"
    "0000001e001413616464723d3139322e302e322e373a34343333c00c001000010000001e001716616464723d5b323030313a6462383a3a"
    "315d3a343433"
)
# and a packet of its own, in which an address record of somebody's web site comes first
WITH_A_SITE = bytes.fromhex(
    "000080000000000400000000067061636b6564076578616d706c6500000100010000012c0004c0000201055f69726f683479716f6f7878"
    "39753361656d68386d6f3577637171313679756675366a69746f7571316f347a613735316467657231696767687900001000010000001e"
    "001413616464723d3139322e302e322e373a34343333c02a001000010000001e001d1c72656c61793d68747470733a2f2f72656c61792e"
    "6578616d706c652fc02a001000010000001e001716616464723d5b323030313a6462383a3a315d3a343433"
)


def with_texts(*texts: bytes, name: bytes | None = None) -> bytes:
    """A packet by hand, uncompressed."""
    owner = name or b"\5_IROH\x34" + str(ANN.peer).encode() + b"\0"
    body = b"".join(
        owner + b"\0\x10\0\1\0\0\0\x1e" + (len(text) + 1).to_bytes(2, "big") + bytes((len(text),)) + text
        for text in texts
    )
    return b"\0\0\x84\0\0\0" + len(texts).to_bytes(2, "big") + b"\0\0\0\0" + body


def test_a_packet_is_what_another_library_writes() -> None:
    assert pkarr.pack(HERE, 1_700_000_000_000_000) == OF_DNSPYTHON
    assert pkarr.read(ANN.peer, OF_DNSPYTHON) == pkarr.Whereabouts(HERE, 1_700_000_000_000_000)


def test_records_for_other_purposes_are_passed_over() -> None:
    said = pkarr.read(ANN.peer, WITH_A_SITE)
    assert said.address == PeerAddress(
        ANN.peer, "https://relay.example/", ("192.0.2.7:4433", "[2001:db8::1]:443")
    )
    assert said.made is None
    assert pkarr.read(EVE.peer, WITH_A_SITE).address == PeerAddress(EVE.peer)


def test_several_addresses_in_one_record_and_upper_case_names_are_read() -> None:
    said = pkarr.read(ANN.peer, with_texts(b"addr=192.0.2.1:1 192.0.2.2:2", b"user-data=anything", b"else"))
    assert said == pkarr.Whereabouts(PeerAddress(ANN.peer, None, ("192.0.2.1:1", "192.0.2.2:2")))


def test_what_nobody_may_be_dialed_at_is_left_out() -> None:
    said = pkarr.read(
        ANN.peer,
        with_texts(
            b"relay=ftp://relay.example/",
            b"relay=http://user@relay.example/",
            b"addr=224.0.0.1:1",
            b"addr=0.0.0.0:1",
            b"addr=host.example:1",
            b"addr=192.0.2.1:0",
            b"user-data=servent:99999999999999999999",
        ),
    )
    assert said == pkarr.Whereabouts(PeerAddress(ANN.peer))


def test_at_most_sixteen_addresses_are_taken() -> None:
    many = with_texts(
        *(f"addr=192.0.2.{n}:1".encode() for n in range(1, 10)),
        name=b"\5_iroh\x34" + str(ANN.peer).encode() + b"\0",
    )
    packed = pkarr.pack(PeerAddress(ANN.peer, None, tuple(f"192.0.2.{n}:1" for n in range(1, 30))), 1)
    assert len(pkarr.read(ANN.peer, many).address.addresses) == 9
    assert len(pkarr.read(ANN.peer, packed).address.addresses) == 16


def test_what_does_not_fit_is_left_out_and_the_packet_stays_whole() -> None:
    long = PeerAddress(
        ANN.peer,
        "https://" + "r" * 238 + ".example/",
        tuple(f"[2001:db8::{n:x}]:50000" for n in range(1, 17)),
    )
    packet = pkarr.pack(long, 5, most=500)
    said = pkarr.read(ANN.peer, packet)
    assert len(packet) <= 500 and said.made == 5 and said.address.relay == long.relay
    assert 0 < len(said.address.addresses) < 16
    assert said.address.addresses == long.addresses[: len(said.address.addresses)]


@pytest.mark.parametrize(
    "value",
    [
        b"",
        bytes(12),  # a question
        b"\0\0\x80\0\0\1" + bytes(6),  # with a question
        b"\0\0\x80\0\0\0\xff\xff" + bytes(4),  # of 65,535 answers
        b"\0\0\x80\0\0\0\0\1" + bytes(4),  # cut off
        b"\0\0\x80\0\0\0\0\1" + bytes(4) + b"\xc0\x0c" + bytes(10),  # a name that points at itself
        b"\0\0\x80\0\0\0\0\1" + bytes(4) + b"\xc0\x00" + bytes(10),  # into the header
        b"\0\0\x80\0\0\0\0\1" + bytes(4) + b"\x40" + bytes(10),  # a label of an unknown kind
        with_texts(b"addr=192.0.2.1:1")[:-1],
        with_texts(b"addr=192.0.2.1:1")[:-17] + b"\xff" + b"a" * 16,  # a string longer than its record
        with_texts(*[b"x" * 250] * 4),  # over 1000 bytes
    ],
)
def test_what_is_no_dns_answer_is_refused(value: bytes) -> None:
    with pytest.raises(BadMessage):
        pkarr.read(ANN.peer, value)


@given(st.binary(max_size=1100))
def test_whatever_comes_is_read_or_refused(value: bytes) -> None:
    for whole in (value, b"\0\0\x80\0\0\0\0\3\0\0\0\0" + value):
        try:
            said = pkarr.read(ANN.peer, whole)
        except BadMessage:
            continue
        assert said.address.peer == ANN.peer and len(said.address.addresses) <= 16


@given(st.integers(0, len(OF_DNSPYTHON) - 1), st.integers(0, 255))
def test_a_packet_with_one_wrong_byte_is_read_or_refused(at: int, byte: int) -> None:
    bent = OF_DNSPYTHON[:at] + bytes((byte,)) + OF_DNSPYTHON[at + 1 :]
    with contextlib.suppress(BadMessage):
        pkarr.read(ANN.peer, bent)


hosts = st.one_of(st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(lambda ip: f"[{ip}]"))
places = st.lists(st.builds("{}:{}".format, hosts, st.integers(1, 65535)), max_size=16, unique=True)


@given(
    places,
    st.sampled_from([None, "https://relay.example./", "http://[2001:db8::5]:7443/"]),
    st.integers(0, pkarr.SEQ_MOST),
)
def test_what_was_packed_is_what_is_read(addresses: list[str], relay: str | None, made: int) -> None:
    from servent.net.book import usable

    packed = pkarr.pack(PeerAddress(ANN.peer, relay, tuple(usable(addresses))), made)
    assert len(packed) <= pkarr.VALUE_MOST
    said = pkarr.read(ANN.peer, packed)
    assert said.made == made and said.address.relay == relay
    assert said.address.addresses == tuple(usable(addresses))


def test_an_item_is_signed_as_bep_44_says() -> None:
    # the two examples of BEP 44, "test vectors", with their own key and signatures
    key = PeerId(bytes.fromhex("77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548"))
    value = b"12:Hello World!"
    plain = bytes.fromhex(
        "305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff"
        "1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01"
    )
    salted = bytes.fromhex(
        "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17d"
        "df9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08"
    )
    # there the value is signed as it stands in the bencoded dictionary, so its own length is part of it
    assert pkarr.signing_text(1, b"Hello World!") == b"3:seqi1e1:v" + value
    assert pkarr.signing_text(1, b"Hello World!", b"foobar") == b"4:salt6:foobar3:seqi1e1:v" + value
    assert key.verify(plain, pkarr.signing_text(1, b"Hello World!"))
    assert key.verify(salted, pkarr.signing_text(1, b"Hello World!", b"foobar"))


def test_an_item_travels_as_signature_number_and_value() -> None:
    body = pkarr.close_item(ANN, 1_700_000_000_000_000, OF_DNSPYTHON)
    assert len(body) == 64 + 8 + len(OF_DNSPYTHON) and body[72:] == OF_DNSPYTHON
    found = pkarr.open_item(ANN.peer, body)
    assert (found.key, found.seq, found.value) == (ANN.peer, 1_700_000_000_000_000, OF_DNSPYTHON)
    with pytest.raises(BadMessage):
        pkarr.open_item(EVE.peer, body)
    with pytest.raises(ValueError):
        pkarr.close_item(ANN, 1, bytes(1001))


@given(st.binary(max_size=1200))
def test_no_body_is_believed_without_its_signature(body: bytes) -> None:
    with pytest.raises(BadMessage):
        pkarr.open_item(ANN.peer, body)


@given(st.integers(0, 71 + len(OF_DNSPYTHON)), st.integers(1, 255))
def test_an_item_with_one_wrong_byte_is_refused(at: int, change: int) -> None:
    body = bytearray(pkarr.close_item(ANN, 9, OF_DNSPYTHON))
    body[at] ^= change
    with pytest.raises(BadMessage):
        pkarr.open_item(ANN.peer, bytes(body))
