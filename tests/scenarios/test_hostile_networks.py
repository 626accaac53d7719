"""Whole overlays of nodes among members who mean harm: they go on answering, nothing ends by a bug, floods are bounded.

Runs a short while, or as long as SERVENT_FUZZ_SECONDS says.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import tracemalloc
from collections.abc import Callable, Sequence

import pytest
from msgspec import Raw

from servent.codec import encode, frame
from servent.errors import ServentError
from servent.overlay import wire
from servent.overlay.members_service import Members
from servent.overlay.records import NatKind, PeerRecord, signed
from servent.overlay.records_service import NodeSeal, host_of
from servent.share import possession
from servent.testing.light import LightNode, gather_in, light
from servent.testing.loop import run
from servent.testing.simnet import SimNet
from tests.overlay.bent import Bent
from tests.overlay.test_service import names, song, town

SECONDS = float(os.environ.get("SERVENT_FUZZ_SECONDS", "8"))  # of virtual time
BUGS = ("met a bug", "ended by a bug", "failed")
MOST_GROWN = 40 << 20  # bytes that eight nodes may grow by while one of them floods all others


class Mal:
    """What `bent.Bent` wants to know of a member that lends its key."""

    def __init__(self, node: LightNode, network: bytes) -> None:
        self.key, self.seal = node.peer, NodeSeal(node.identity)
        plain = PeerRecord(bytes(node.peer), 1, 3600, addresses=["20.0.0.9:4000"])
        self.record: PeerRecord = signed(network, plain, self.seal)
        self.nat: NatKind = "public"


def story(tell: Callable[[], object]) -> None:
    run(tell(), limit=7200.0)  # type: ignore[arg-type]


async def speak(
    mal: LightNode, to: LightNode, network: bytes, said: Sequence[object], lane: str = "now"
) -> None:
    """These messages, on a stream of their own."""
    try:
        stream = await mal.peers.open(to.peer, wire.SERVICE)
        await stream.write(frame(wire.Lane(lane)))  # type: ignore[arg-type]
        for one in said:
            body = one if isinstance(one, bytes) else encode(one)  # type: ignore[arg-type]
            await stream.write(frame(wire.Envelope(network, Raw(body))))
        await stream.finish()
    except ServentError:
        await asyncio.sleep(1.0)


def bugs(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        one.getMessage()
        for one in caplog.records
        if one.levelno >= logging.ERROR or one.exc_info or any(bug in one.getMessage() for bug in BUGS[:2])
    ]


@pytest.mark.parametrize("mode", ["server", "hybrid", "p2p"])
def test_nodes_go_on_while_members_say_whatever_can_be_said(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Three of eight members bend every message; the others find each other's things all the time, and afterwards."""

    async def tell() -> None:
        dice = random.Random(7)
        async with light(8, SimNet(seed=21)) as members:
            network = await town(members, mode)  # type: ignore[arg-type]
            good, bad = members[:5], members[5:]
            topic = good[0].overlay.members.pumps[network].member.context.topic("")
            make = Bent(dice, network, [Mal(one, network) for one in bad], topic)  # type: ignore[list-item]
            loop = asyncio.get_running_loop()
            ends, said = loop.time() + SECONDS, 0
            while loop.time() < ends:
                mal, to = dice.choice(bad), dice.choice(good)
                some = [make.message() for _ in range(dice.randint(1, 40))]
                said += len(some)
                await speak(mal, to, network, some, dice.choice(("now", "bulk")))
                await asyncio.sleep(0.05)
            assert said > 500
            await asyncio.sleep(30.0)
            for number, one in enumerate(good):
                place = (number + 1) % len(good)
                assert song(number) in await names(good[place].overlay.search(f"song{number}")), one.peer

    with caplog.at_level(logging.INFO):
        story(tell)
    assert not bugs(caplog)


FLOODS: dict[str, Callable[[int, random.Random], wire.Message]] = {
    "question": lambda n, dice: wire.Question(dice.randbytes(16), "type:audio", budget=200, limit=500),
    "watch": lambda n, dice: wire.Watch(n, f"word{n} more{n}"),
    "gossip": lambda n, dice: wire.Have(dice.randbytes(16), [(dice.randbytes(16), 1)] * 128),
    "supernodes": lambda n, dice: wire.AskSupernodes(64),
    "proof": lambda n, dice: wire.AskProof(n, dice.randbytes(32), dice.randbytes(32)),
    "peer": lambda n, dice: wire.AskPeer(n, dice.randbytes(32)),
    "found": lambda n, dice: wire.Found(dice.randbytes(16), over=True),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_takes_neither_memory_nor_answers_from_others(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def tell() -> None:
        dice = random.Random(3)
        async with light(5, SimNet(seed=22)) as members:
            network = await town(members, "p2p")
            mal, to = members[4], members[0]
            tracemalloc.start()
            began, _ = tracemalloc.get_traced_memory()
            for part in range(10):
                await speak(mal, to, network, [FLOODS[kind](300 * part + n, dice) for n in range(300)])
                await asyncio.sleep(0.5)
            now, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert now - began < MOST_GROWN
            assert song(0) in await names(members[1].overlay.search("song0"))
            assert song(1) in await names(to.overlay.search("song1"))

    with caplog.at_level(logging.INFO):
        story(tell)
    assert not bugs(caplog)


def test_nobody_has_a_node_knock_at_somebody_elses_door() -> None:
    """Addresses at other hosts than the one a peer is seen at are not dialed, whatever it names."""

    async def tell() -> None:
        async with light(2, SimNet(seed=23)) as members:
            await gather_in(members, "hybrid")
            await asyncio.sleep(10.0)
            asked: list[Sequence[str]] = []

            async def dial(peer: object, addresses: Sequence[str]) -> str:
                asked.append(addresses)
                return ""

            house: Members = members[0].overlay.members
            house.dial_backs.dial = dial  # type: ignore[method-assign]
            session = members[0].peers.session(members[1].peer)
            assert session is not None
            (seen,) = [path.address for path in session.paths() if path.kind == "direct"]
            host = seen.rpartition(":")[0]
            named = [seen, f"{host}:443", "203.0.113.9:443", "127.0.0.1:8080", "[::1]:443", "nonsense"]
            await house.dial_back(members[1].peer, named)
            assert asked == [[seen, f"{host}:443"]]
            await house.dial_back(bytes(32), named)  # type: ignore[arg-type]  # nobody who is here
            assert asked[1] == []

    story(tell)


def test_a_host_is_one_however_it_is_written() -> None:
    assert host_of("[::ffff:20.0.0.1]:5") == host_of("20.0.0.1:443") == "20.0.0.1"
    assert host_of("[2001:db8::1]:5") == host_of("[2001:0db8:0::1]:6")
    assert host_of("x:1") is None and host_of("") is None


def test_what_a_network_keeps_is_not_told_to_a_member_of_another(caplog: pytest.LogCaptureFixture) -> None:
    """Every message for a network that the sender is not in, well formed, is passed over."""

    async def tell() -> None:
        async with light(4, SimNet(seed=24)) as members:
            inner = await gather_in(members[:3], "p2p", "inner")
            outer = await gather_in(members, "p2p", "outer")
            await asyncio.sleep(40.0)
            mal, to = members[3], members[0]
            pump = to.overlay.members.pumps[inner]
            before = pump.questions, len(pump.member.context.peers)
            make = Bent(random.Random(5), inner, [Mal(mal, inner)], pump.member.context.topic(""))  # type: ignore[list-item]
            for kind in (wire.Join, wire.Attach, wire.Question, wire.AskPeer, wire.Store, wire.Supernodes):
                await speak(mal, to, inner, [make.message(kind)])
                await asyncio.sleep(2.0)
            assert (pump.questions, len(pump.member.context.peers)) == before
            assert mal.peer not in pump.linked
            assert outer in to.overlay.members.pumps

    with caplog.at_level(logging.INFO):
        story(tell)
    assert not bugs(caplog)


@pytest.mark.parametrize("seed", range(3))
def test_bent_messages_of_possession_are_refused_or_read(seed: int) -> None:
    dice = random.Random(seed)
    good = [
        encode(possession.ShowBlock(bytes(32), 5)),
        encode(possession.Block(b"x" * 16384, [bytes(32)] * 48)),
    ]
    for _ in range(3000):
        body = bytearray(dice.choice(good))
        for _ in range(dice.randint(0, 4)):
            body[dice.randrange(min(len(body), 80))] = dice.randrange(256)
        for decoder in (possession.read_question, possession.read_answer):
            try:
                decoder.decode(bytes(body[: dice.choice((len(body), dice.randrange(len(body))))]))
            except ServentError:
                continue
    for size in (0, 1, -5, 2**53, 2**63, 16385):
        for block in (-1, 0, 1, 2**40):
            assert not possession.holds(
                bytes(32), size, block, b"x" * 16384, [bytes(32)] * dice.randrange(60)
            )
