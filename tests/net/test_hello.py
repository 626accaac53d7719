"""The hello between two peers, and everything a stranger can try at it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.codec import frame
from servent.errors import BadMessage, ConnectionLost, PeerError, Refused
from servent.net import hello, wire
from servent.net.links import Connection
from servent.testing import loop
from servent.testing.simnet import SimNet
from servent.trust.book import Verdict
from tests.net.party import befriend, identity, party, read_all, until

ANN, BOB = identity(1), identity(2)
FRIEND = Verdict(True, friend=True)
REFUSAL = frame(wire.Refused(1, hello.SOFTWARE, "not known here"))


class Papers:
    """Trust that says what it is told to say, after a while."""

    def __init__(self, verdict: Verdict = FRIEND, takes: float = 0.0) -> None:
        self.verdict, self.takes = verdict, takes
        self.judged: list[tuple[bytes, bytes, list[bytes], bytes | None]] = []

    def proofs(self, to: bytes, nonce: bytes) -> list[bytes]:
        return [b"box for " + to[:4] + nonce[:4]]

    def contact_proof(self, secret: bytes, to: bytes, nonce: bytes) -> bytes:
        return bytes(32)

    async def removed(self, records) -> None:  # type: ignore[no-untyped-def]
        self.told = list(records)

    async def judge(self, peer, nonce, boxes, contact) -> Verdict:  # type: ignore[no-untyped-def]
        self.judged.append((peer, nonce, list(boxes), contact))
        await asyncio.sleep(self.takes)
        return self.verdict


def me(papers: Papers, name: str = "", nonce: bytes = b"n" * 32, secret: bytes | None = None):  # type: ignore[no-untyped-def]
    return hello.Introduction(papers, lambda: wire.Profile(name=name), b"run-" + b"0" * 4, nonce, secret)


async def pair(net: SimNet | None = None) -> tuple[Connection, Connection]:
    net = net or SimNet(seed=3)
    ann, bob = net.endpoint(ANN), net.endpoint(BOB)
    dialed = await ann.connect(bob.address(), 5)
    return dialed, await bob.accept()


def test_both_learn_each_others_profile_and_address_in_one_round_trip() -> None:
    async def story() -> None:
        net = SimNet(seed=3, latency=0.05)
        there, here = await pair(net)
        clock = asyncio.get_running_loop().time
        began = clock()
        async with asyncio.TaskGroup() as tasks:
            greeting = tasks.create_task(hello.greet(there, me(Papers(), "ann")))
            welcoming = tasks.create_task(hello.welcome(here, me(Papers(), "bob")))
        assert clock() - began == pytest.approx(0.15)  # Hello, Welcome, Enter
        ours, theirs = greeting.result(), welcoming.result()
        assert (ours.profile.name, theirs.profile.name) == ("bob", "ann")
        assert ours.tag == theirs.tag == b"n" * 8
        assert ours.observed is not None and ours.observed.startswith("10.0.0.1:")
        assert theirs.observed is not None and theirs.observed.startswith("10.0.0.2:")

    loop.run(story())


def test_the_boxes_of_both_are_judged_under_the_dialers_nonce() -> None:
    async def story() -> None:
        there, here = await pair()
        anns, bobs = Papers(), Papers()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(hello.greet(there, me(anns, secret=b"s" * 32)))
            tasks.create_task(hello.welcome(here, me(bobs)))
        assert bobs.judged == [(ANN.peer, b"n" * 32, [b"box for " + BOB.peer[:4] + b"nnnn"], bytes(32))]
        assert anns.judged == [(BOB.peer, b"n" * 32, [b"box for " + ANN.peer[:4] + b"nnnn"], None)]

    loop.run(story())


def test_a_name_cannot_carry_terminal_escapes() -> None:
    profile = hello.clean(wire.Profile(name="\x1b[31mann\u202e\n", services=["a\tb"], roles=["x\x00"]))
    assert profile.name == "·[31mann··" and profile.services == ["a·b"] and profile.roles == ["x·"]


# -- what a stranger sees


async def everything_sent_to(dialer: Connection, say: bytes) -> tuple[bytes, float, str]:
    """Say `say` on a first stream: every byte that comes back, when it came, and how it ended."""
    clock = asyncio.get_running_loop().time
    began = clock()
    stream = await dialer.open()
    await stream.write(say)
    got = await read_all(stream)
    took = clock() - began
    await dialer.close()
    return got, took, ""


def a_hello(**changes: object) -> bytes:
    fields = {"protocol": 1, "software": "stranger/1", "nonce": b"n" * 32, "run": b"r" * 8}
    return frame(wire.Hello(**{**fields, **changes}))  # type: ignore[arg-type]


@pytest.mark.parametrize("takes", [0.0, 0.01, 0.1, 0.19])
def test_a_stranger_gets_the_same_bytes_at_the_same_time_however_long_we_thought(takes: float) -> None:
    async def story() -> tuple[bytes, float]:
        there, here = await pair(SimNet(latency=0.02))
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(everything_sent_to(there, a_hello()))
            with pytest.raises(Refused):
                await hello.welcome(here, me(Papers(Verdict(False, reason="blocked"), takes), "secret name"))
        got, took, _ = asked.result()
        return got, took

    got, took = loop.run(story())
    assert got == REFUSAL
    assert took == pytest.approx(0.24)  # the moment does not tell how long judging took


def test_blocked_unknown_banished_and_babbling_strangers_all_hear_the_same() -> None:
    """A whole node, with real trust: exact bytes and exact times, whatever the reason."""

    async def story() -> None:
        net = SimNet(seed=5, latency=0.02)
        async with party(1, net) as (node,):
            network = await node.trust.create_network("a very secret club")
            await node.trust.invite(network.key)
            blocked, removed = identity(50), identity(51)
            await node.trust.add_contact(blocked.peer, "blocked one")
            await node.trust.block(blocked.peer)
            await node.trust.add_contact(removed.peer)
            await node.trust.remove(removed.peer)
            cases: list[tuple[object, bytes]] = [
                (blocked, a_hello()),
                (identity(52), a_hello()),
                (removed, a_hello()),
                (identity(53), a_hello(contact=b"c" * 32)),
                (identity(54), a_hello(boxes=[b"x" * 512] * 16)),
                (identity(55), a_hello(protocol=2)),
                (identity(56), b"\x00\x00\x00\x05hello"),
                (identity(57), (2**31).to_bytes(4, "big")),
                (identity(58), frame(wire.Enter())),
            ]
            heard = []
            for who, say in cases:
                dialer = await net.endpoint(who).connect(node.address, 5)  # type: ignore[arg-type]
                heard.append(await everything_sent_to(dialer, say))
            assert {got for got, _, _ in heard} == {REFUSAL}
            times = {round(took, 3) for _, took, _ in heard}
            assert times == {0.24}, times
            assert node.peers.sessions() == []

    loop.run(story())


def test_a_stranger_finds_no_name_network_peer_or_address_in_what_it_gets() -> None:
    async def story() -> None:
        net = SimNet(seed=6)
        async with party(2, net) as (node, friend):
            node.name = "Margarete"
            network = await node.trust.create_network("a very secret club")
            await befriend(node, friend)
            await friend.peers.connect(node.address)
            dialer = await net.endpoint(identity(60)).connect(node.address, 5)
            got, _, _ = await everything_sent_to(dialer, a_hello())
            for secret in (b"Margarete", b"secret club", network.key, bytes(friend.peer), b"10.0."):
                assert secret not in got
            assert msgspec.msgpack.decode(got[4:]) == {
                "type": "refused",
                "protocol": 1,
                "software": hello.SOFTWARE,
                "reason": "not known here",
            }

    loop.run(story())


def test_a_stranger_who_skips_the_hello_gets_nothing_at_all() -> None:
    """Streams and datagrams before the hello are not even read."""

    async def story() -> None:
        net = SimNet(seed=7)
        async with party(1, net) as (node,):
            dialer = await net.endpoint(identity(61)).connect(node.address, 5)
            silent = await dialer.open()
            await silent.write(b"\x00")  # a first stream that never becomes a hello
            for _ in range(20):
                stream = await dialer.open()
                await stream.write(frame(wire.Open("echo/1")) + b"hello?")
                dialer.send_datagram(b"\x01hello?")
            clock = asyncio.get_running_loop().time
            began = clock()
            with pytest.raises(ConnectionLost):
                await stream.read(100)
            assert clock() - began <= hello.LIMIT + 1
            assert node.peers.sessions() == []

    loop.run(story())


def test_a_dialer_that_is_not_known_at_the_other_end_says_refused() -> None:
    async def story() -> None:
        async with party(2) as (ann, bob):
            await ann.trust.add_contact(bob.peer, friend=True)
            with pytest.raises(Refused, match="refused us: not known here"):
                await ann.peers.connect(bob.address)

    loop.run(story())


def test_a_dialer_does_not_enter_where_it_does_not_know_the_host() -> None:
    async def story() -> None:
        there, here = await pair()
        async with asyncio.TaskGroup() as tasks:
            dialing = tasks.create_task(settled(hello.greet(there, me(Papers(Verdict(False)), "ann's name"))))
            hosting = tasks.create_task(settled(hello.welcome(here, me(Papers()))))
        assert isinstance(dialing.result(), Refused)
        assert isinstance(hosting.result(), ConnectionLost)

    loop.run(story())


async def settled(work: Awaitable[object]) -> object:
    try:
        return await work
    except (PeerError, ConnectionLost) as error:
        return error


def test_the_host_waits_ten_seconds_for_a_hello_and_no_longer() -> None:
    async def story() -> None:
        _, here = await pair()
        with pytest.raises(ConnectionLost, match="10 s"):
            await hello.welcome(here, me(Papers()))
        assert asyncio.get_running_loop().time() == pytest.approx(10, abs=0.2)

    loop.run(story())


def test_the_dialer_waits_ten_seconds_for_an_answer_and_no_longer() -> None:
    async def story() -> None:
        there, _ = await pair()
        with pytest.raises(ConnectionLost, match="10 s"):
            await hello.greet(there, me(Papers()))

    loop.run(story())


def test_a_hello_made_for_one_connection_is_worthless_on_another() -> None:
    """Eve records what Ann sends her, and sends it to Bob as her own: TLS shows that she is not Ann."""

    async def story() -> None:
        net = SimNet(seed=8)
        async with party(2, net) as (ann, bob):
            network = await ann.trust.create_network("club")
            await bob.trust.accept_invitation(await ann.trust.invite(network.key))
            await bob.peers.connect(ann.address)
            nonce = b"e" * 32
            boxes = ann.trust.proofs(ann.peer, bob.peer, nonce)
            eve = net.endpoint(identity(66))
            dialer = await eve.connect(bob.address, 5)
            got, _, _ = await everything_sent_to(dialer, a_hello(nonce=nonce, boxes=boxes))
            assert got == REFUSAL

    loop.run(story())


def test_a_ticket_makes_a_friend_of_whoever_brings_it() -> None:
    async def story() -> None:
        async with party(2) as (ann, bob):
            secret = await ann.trust.issue_ticket_secret(uses=1)
            await bob.trust.add_contact(ann.peer, friend=True)
            session = await bob.peers.connect(ann.address, secret=secret)
            await until(lambda: ann.peers.session(bob.peer) is not None)
            assert session.connected
            theirs = ann.peers.session(bob.peer)
            assert theirs is not None and theirs.verdict.friend

    loop.run(story())


def test_a_ticket_shown_on_a_connection_that_is_up_counts_as_well() -> None:
    async def story() -> None:
        async with party(2) as (ann, bob):
            network = await ann.trust.create_network("club")
            await bob.trust.accept_invitation(await ann.trust.invite(network.key))
            session = await bob.peers.connect(ann.address)
            await until(lambda: ann.peers.session(bob.peer) is not None)
            assert not ann.peers.session(bob.peer).verdict.friend  # type: ignore[union-attr]
            secret = await ann.trust.issue_ticket_secret(uses=1)
            assert await bob.peers.connect(ann.address, secret=secret) is session
            assert ann.peers.session(bob.peer).verdict.friend  # type: ignore[union-attr]

    loop.run(story())


# -- garbage

MESSAGES = (
    wire.Hello(1, "x", b"n" * 32, b"r" * 8, [b"box"], b"c" * 32, b"l" * 8),
    wire.Welcome(1, "x", b"r" * 8, [b"box"], wire.Profile("ann", "x", ["relay"], ["s"]), "192.0.2.1:1"),
    wire.Enter(wire.Profile("ann", bulk=wire.Bulk(["192.0.2.1:1"], b"c" * 32)), "[2001:db8::1]:1"),
    wire.Members(b"n" * 32, [wire.Member(b"p" * 32, "https://relay.example", ["192.0.2.1:1"])]),
    wire.Records(b"n" * 32, [b"record"], 7, True),
    wire.Here("https://relay.example", ["192.0.2.1:1"]),
    wire.Channel("s", 3),
    wire.Open("s"),
    wire.Denied("no"),
)
DECODERS = (
    wire.read_hello,
    wire.read_answer,
    wire.read_enter,
    wire.read_control,
    wire.read_open,
    wire.read_denied,
)


def mutated(body: bytes, seed: int) -> bytes:
    dice = random.Random(seed)
    data = bytearray(body)
    for _ in range(dice.randint(1, 4)):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(4):
            case 0 if data:
                data[at % len(data)] = dice.randrange(256)
            case 1:
                data[at:at] = dice.randbytes(dice.randint(1, 8))
            case 2:
                del data[at : at + dice.randint(1, 8)]
            case _:
                data[at:] = data[:at]
    return bytes(data)


@given(st.binary(max_size=300))
def test_no_decoder_raises_anything_but_bad_message(body: bytes) -> None:
    for decoder in DECODERS:
        try:
            decoder.decode(body)
        except BadMessage:
            continue


@given(st.sampled_from(MESSAGES), st.integers(0, 2**32))
@settings(max_examples=500)
def test_a_mutated_message_decodes_or_is_a_bad_message(message: msgspec.Struct, seed: int) -> None:
    body = mutated(frame(message)[4:], seed)
    for decoder in DECODERS:
        try:
            decoder.decode(body)
        except BadMessage:
            continue


@given(st.one_of(st.binary(max_size=600), st.integers(0, 2**32).map(lambda n: mutated(a_hello(), n))))
@settings(max_examples=60, deadline=None)
def test_garbage_for_a_hello_is_refused_and_harms_nothing(say: bytes) -> None:
    async def story() -> None:
        there, here = await pair()
        papers = Papers(Verdict(False))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(settled(everything_sent_to(there, say)))
            result = tasks.create_task(settled(hello.welcome(here, me(papers))))
        assert isinstance(result.result(), PeerError | ConnectionLost)

    loop.run(story())


@given(
    st.one_of(st.binary(max_size=600), st.integers(0, 2**32).map(lambda n: mutated(frame(MESSAGES[1]), n)))
)
@settings(max_examples=60, deadline=None)
def test_garbage_for_an_answer_ends_the_dial_and_nothing_else(say: bytes) -> None:
    async def story() -> None:
        there, here = await pair()

        async def host() -> None:
            stream = await here.accept()
            await stream.write(say)
            await stream.finish()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(settled(host()))
            result = tasks.create_task(settled(hello.greet(there, me(Papers()))))
        assert isinstance(result.result(), hello.Greeting | PeerError | ConnectionLost)

    loop.run(story())


def test_every_message_grows_by_fields_that_older_nodes_ignore() -> None:
    for message in MESSAGES:
        fields = msgspec.msgpack.decode(frame(message)[4:]) | {"a_field_of_tomorrow": [1, {"x": b"y"}]}
        body = msgspec.msgpack.encode(fields)
        assert msgspec.msgpack.decode(body, type=type(message)) == message
