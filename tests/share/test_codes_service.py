"""Hand-overs between whole nodes: at relays, at common peers, with guessers, blips and two at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from servent.blobs import wire as blobs_wire
from servent.codec import frame, write_frame
from servent.errors import ServentError
from servent.identity import Identity
from servent.net.links import Endpoint
from servent.node import Node
from servent.share import codes, codes_wire
from servent.share.code_words import FIRST, parse
from servent.share.handover import HandOver
from servent.testing.loop import run
from servent.testing.nodes import gather_in_network, nodes, quiet_config
from servent.testing.simnet import SimEndpoint, SimNet

RELAY = "http://relay.lab:7443"


@asynccontextmanager
async def strangers(
    count: int, folder: Path, net: SimNet, relays: tuple[str, ...] = (RELAY,)
) -> AsyncIterator[list[Node]]:
    """Nodes that have nothing in common but a relay, each behind a home router."""

    async def opened(identity: Identity, *, relays: Any = (), **_: Any) -> Endpoint:
        return net.endpoint(identity, nat="home", relays=relays)

    async with asyncio.TaskGroup() as group:
        started: list[Node] = []
        stop = asyncio.Event()

        async def host(number: int) -> None:
            config = quiet_config(f"node {number}", folder / f"node-{number}")
            config.net.relays, config.blobs.bulk = list(relays), False
            async with Node(folder / f"node-{number}", config, open_endpoint=opened) as node:
                started.append(node)
                await stop.wait()

        for number in range(count):
            group.create_task(host(number))
        while len(started) < count:
            await asyncio.sleep(0.01)
        try:
            yield sorted(started, key=lambda node: node.name)
        finally:
            stop.set()


def content(folder: Path, size: int = 300_000, name: str = "gift.bin") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(bytes(i * 7 % 251 for i in range(size)))
    return path


def view(node: Node, id: str) -> HandOver:
    return next(one for one in node.share.codes.views() if one.id == id)


async def ended(node: Node, id: str, limit: float = 120.0) -> HandOver:
    async with asyncio.timeout(limit):
        while not view(node, id).ended:
            await asyncio.sleep(0.05)
    return view(node, id)


def test_two_strangers_meet_at_a_relay_and_hand_over_a_file(tmp_path: Path) -> None:
    async def main() -> None:
        net = SimNet()
        async with strangers(2, tmp_path, net) as (ann, bob):
            path = content(tmp_path / "ann")
            sent = ann.share.codes.send(path)
            assert parse(sent.code) and sent.state in ("preparing", "waiting")
            got = bob.share.codes.receive(sent.code.upper().replace("-", "  "))
            over = await ended(bob, got.id)
            assert over.state == "done", over.reason
            assert over.path is not None and Path(over.path).read_bytes() == path.read_bytes()
            assert over.peer == ann.peer and over.peer_name == "node 0" and over.name == "gift.bin"
            theirs = await ended(ann, sent.id)
            assert theirs.state == "done" and theirs.peer == bob.peer, theirs.reason
            # Nothing is left of it: no contact, no right, no place, nothing shared.
            await asyncio.sleep(5.0)
            assert ann.trust.contacts() == bob.trust.contacts() == []
            assert not ann.trust.verdict(bob.peer).known and not bob.trust.verdict(ann.peer).known
            assert ann.peers.sessions() == [] and len(net.endpoints) == 2
            assert ann.peers.view() == bob.peers.view() == []  # nor does anybody dial anybody
            assert ann.blobs.shares() == [] and bob.blobs.shares() == []

    run(main())


def test_a_guest_sees_what_is_meant_for_it_and_nothing_else(tmp_path: Path) -> None:
    async def main() -> None:
        net = SimNet(bandwidth=100_000)
        async with strangers(2, tmp_path, net) as (ann, bob):
            other = await ann.blobs.add(content(tmp_path / "ann", 1000, "private.bin"))
            ann.serve("everyone/1", lambda session, stream: stream.write(b"x"), audience="everyone")
            sent = ann.share.codes.send(content(tmp_path / "ann", 2_000_000))
            got = bob.share.codes.receive(sent.code)
            while view(bob, got.id).state != "moving" or bob.peers.session(ann.peer) is None:
                await asyncio.sleep(0.1)
            assert ann.trust.verdict(bob.peer).guest
            for service in ("everyone/1", "servent.share/1", codes_wire.MEET, "servent.reports/1"):
                stream = await bob.open(ann.peer, service)
                with pytest.raises(ServentError):
                    await stream.read_exactly(1)
            stream = await bob.open(ann.peer, blobs_wire.SERVICE)
            assert other.infohash is not None
            await write_frame(stream, blobs_wire.Want(other.infohash))
            assert isinstance(await blobs_wire.read_from_server.read(stream), blobs_wire.Refuse)
            with pytest.raises(ServentError):  # the receiver gave no right at all
                await (await ann.open(bob.peer, blobs_wire.SERVICE)).read_exactly(1)
            assert (await ended(bob, got.id)).state == "done"

    run(main())


def test_wrong_words_burn_the_code_for_everybody(tmp_path: Path) -> None:
    async def main() -> None:
        async with strangers(3, tmp_path, SimNet()) as (ann, bob, eve):
            sent = ann.share.codes.send(content(tmp_path / "ann"))
            right = parse(sent.code)
            first = FIRST[(FIRST.index(right.words[0]) + 1) % 256]
            guess = eve.share.codes.receive(f"{right.number}-{first}-{right.words[1]}")
            over = await ended(eve, guess.id)
            assert over.state == "failed" and "burnt" in over.reason and "new code" in over.reason
            theirs = await ended(ann, sent.id)
            assert theirs.state == "failed" and "burnt" in theirs.reason and "make a new one" in theirs.reason
            late = bob.share.codes.receive(sent.code)
            assert (await ended(bob, late.id)).state == "failed"
            assert ann.peers.sessions() == []

    run(main())


def test_two_who_share_a_friend_meet_at_the_friend_without_any_relay(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(3, tmp_path, SimNet()) as (ann, bob, cat):
            for node in (ann, bob):
                await node.join(await cat.ticket())
            await asyncio.sleep(1.0)
            sent = ann.share.codes.send(content(tmp_path / "ann"))
            await asyncio.sleep(2.0)
            assert view(ann, sent.id).state == "waiting"
            got = bob.share.codes.receive(sent.code, tmp_path / "there", contact=True)
            over = await ended(bob, got.id)
            assert over.state == "done" and over.path == str(tmp_path / "there" / "gift.bin"), over.reason
            assert (await ended(ann, sent.id)).state == "done"
            assert ann.trust.contact(bob.peer) is None

    run(main())


def test_two_peers_who_are_connected_need_nobody_else(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path, SimNet()) as (ann, bob):
            await ann.join(await bob.ticket())
            await asyncio.sleep(1.0)
            for sender, receiver in ((ann, bob), (bob, ann)):
                there = tmp_path / f"at {receiver.name}"
                sent = sender.share.codes.send(content(tmp_path / sender.name))
                got = receiver.share.codes.receive(sent.code, there)
                over = await ended(receiver, got.id)
                assert over.state == "done" and over.path == str(there / "gift.bin"), over.reason
                assert (await ended(sender, sent.id)).state == "done"

    run(main())


def test_with_contact_both_are_friends_afterwards(tmp_path: Path) -> None:
    async def main() -> None:
        async with strangers(2, tmp_path, SimNet()) as (ann, bob):
            sent = ann.share.codes.send(content(tmp_path / "ann"), contact=True)
            got = bob.share.codes.receive(sent.code)
            assert (await ended(bob, got.id)).state == "done"
            await ended(ann, sent.id)
            await asyncio.sleep(5.0)
            assert ann.trust.verdict(bob.peer).friend and bob.trust.verdict(ann.peer).friend
            assert ann.peers.session(bob.peer) is not None

    run(main())


def test_two_codes_at_once_of_the_same_and_of_two_senders(tmp_path: Path) -> None:
    async def main() -> None:
        async with strangers(3, tmp_path, SimNet()) as (ann, bob, cat):
            one = ann.share.codes.send(content(tmp_path / "ann", 50_000, "one.bin"))
            two = ann.share.codes.send(content(tmp_path / "ann", 60_000, "two.bin"))
            three = bob.share.codes.send(content(tmp_path / "bob", 70_000, "three.bin"))
            got = [cat.share.codes.receive(code.code) for code in (three, two, one)]
            names = []
            for each in got:
                over = await ended(cat, each.id)
                assert over.state == "done", over.reason
                names.append(over.name)
            assert names == ["three.bin", "two.bin", "one.bin"]

    run(main())


def test_the_network_breaks_in_the_middle_and_it_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        net = SimNet(bandwidth=200_000)
        async with strangers(2, tmp_path, net) as (ann, bob):
            path = content(tmp_path / "ann", 3_000_000)
            sent = ann.share.codes.send(path)
            got = bob.share.codes.receive(sent.code)
            while (now := view(bob, got.id)).state != "moving" or "0 bytes" in now.reason[:8]:
                await asyncio.sleep(0.2)
            for connection in list(net.connections):  # everything at once: the transfer and the talk
                connection.end("the connection timed out")
            await asyncio.sleep(3.0)
            over = await ended(bob, got.id, 600.0)
            assert over.state == "done" and over.path, over.reason
            assert Path(over.path).read_bytes() == path.read_bytes()
            assert (await ended(ann, sent.id)).state == "done"

    run(main())


def test_cancelling_on_either_side_ends_it_on_both(tmp_path: Path) -> None:
    async def main() -> None:
        async with strangers(2, tmp_path, SimNet(bandwidth=50_000)) as (ann, bob):
            for who in (ann, bob):
                sent = ann.share.codes.send(content(tmp_path / "ann", 2_000_000))
                got = bob.share.codes.receive(sent.code)
                while view(bob, got.id).state != "moving":
                    await asyncio.sleep(0.1)
                await who.share.codes.cancel(sent.id if who is ann else got.id)
                states = {(await ended(ann, sent.id)).state, (await ended(bob, got.id)).state}
                assert states == {"cancelled", "failed"}
                await asyncio.sleep(3.0)
                assert not ann.trust.verdict(bob.peer).known
                assert bob.blobs.transfers()[-1].state == "cancelled"
            waiting = ann.share.codes.send(content(tmp_path / "ann"))
            await ann.share.codes.cancel(waiting.id)
            assert (await ended(ann, waiting.id)).state == "cancelled"
            await ann.share.codes.cancel(waiting.id)  # and off the list
            assert all(one.id != waiting.id for one in ann.share.codes.views())

    run(main())


def test_a_code_ends_with_its_time_and_nobody_waits_under_one_that_is_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with strangers(2, tmp_path, SimNet()) as (ann, bob):
            sent = ann.share.codes.send(content(tmp_path / "ann"), lifetime=30.0)
            got = bob.share.codes.receive(
                "1-walnut-octopus" if not sent.code.startswith("1-") else "2-walnut-octopus"
            )
            over = await ended(bob, got.id)
            assert over.state == "failed" and "nobody waits" in over.reason
            theirs = await ended(ann, sent.id)
            assert theirs.state == "failed" and "in time" in theirs.reason

    run(main())


def test_noise_oversize_and_silence_at_the_place_cost_the_code_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        net = SimNet()
        async with strangers(2, tmp_path, net) as (ann, bob):
            sent = ann.share.codes.send(content(tmp_path / "ann"))
            await asyncio.sleep(1.0)
            place = codes.place(parse(sent.code).number).peer
            attacker = net.endpoint(Identity(b"\x66" * 32), nat="home", relays=[RELAY])
            silent = []
            for body in (
                b"",
                b"\xff" * 100,
                (1 << 30).to_bytes(4, "big"),
                frame(codes_wire.Denied("used")),
                b"\0\0\0\5abc",
            ):
                for _ in range(4):
                    connection = await attacker.connect(_at(place), 5.0)
                    stream = await connection.open()
                    await stream.write(body or b"\0")
                    silent.append(connection)
            await asyncio.sleep(codes.TALK_LIMIT + 5.0)
            got = bob.share.codes.receive(sent.code)
            assert (await ended(bob, got.id)).state == "done"
            await attacker.close()

    run(main())


def test_the_relay_sees_neither_words_nor_names_nor_who_they_are(tmp_path: Path) -> None:
    """Everything that goes through the relay on the place's connections, beside what TLS hides already."""

    async def main() -> None:
        net = SimNet()
        seen = bytearray()
        async with strangers(2, tmp_path, net) as (ann, bob):
            sent = ann.share.codes.send(content(tmp_path / "ann", name="secret-name.bin"))
            code = parse(sent.code)
            place = codes.place(code.number).peer
            _spy(net, place, seen)
            got = bob.share.codes.receive(sent.code)
            over = await ended(bob, got.id)
            assert over.state == "done"
            assert len(seen) > 500  # it did go there
            for secret in (*code.words, "secret-name", "node 0", "node 1"):
                assert secret.encode() not in seen
            assert bytes(ann.peer) not in seen and bytes(bob.peer) not in seen

    run(main())


def test_a_common_peer_holds_a_few_places_and_passes_little(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(3, tmp_path, SimNet()) as (ann, bob, cat):
            await gather_in_network([cat, ann, bob])
            await asyncio.sleep(1.0)

            async def wait(node: Node, number: int) -> tuple[Any, Any]:
                stream = await node.open(cat.peer, codes_wire.MEET)
                await write_frame(stream, codes_wire.Wait(bytes(codes.place(number).peer), 60.0))
                return stream, await codes_wire.read_asked.read(stream)

            held = [(await wait(ann, number)) for number in range(1, 12)]
            assert [isinstance(word, codes_wire.Held) for _, word in held] == [True] * 8 + [False] * 3
            _, word = await wait(bob, 1)
            assert isinstance(word, codes_wire.Nobody)  # taken
            seeking = await bob.open(cat.peer, codes_wire.MEET)
            await write_frame(seeking, codes_wire.Seek(bytes(codes.place(1).peer)))
            assert isinstance(await codes_wire.read_asked.read(seeking), codes_wire.Met)
            waiting = held[0][0]
            assert isinstance(await codes_wire.read_asked.read(waiting), codes_wire.Met)
            await seeking.write(b"hello")
            assert await waiting.read_exactly(5) == b"hello"
            await waiting.write(b"you")
            assert await seeking.read_exactly(3) == b"you"
            with pytest.raises(ServentError):  # 2 MiB are no talk
                for _ in range(512):
                    await seeking.write(bytes(4096))
                    await asyncio.sleep(1.0)
            # Who asks for number after number is told nothing more.
            found = 0
            for number in range(2, 60):
                stream = await bob.open(cat.peer, codes_wire.MEET)
                await write_frame(stream, codes_wire.Seek(bytes(codes.place(1000 + number).peer)))
                found += isinstance(await codes_wire.read_asked.read(stream), codes_wire.Met)
            stream = await bob.open(cat.peer, codes_wire.MEET)
            await write_frame(stream, codes_wire.Seek(bytes(codes.place(2).peer)))
            assert found == 0 and isinstance(await codes_wire.read_asked.read(stream), codes_wire.Nobody)

    run(main())


def test_a_receiver_that_starts_again_goes_on_where_it_was(tmp_path: Path) -> None:
    async def main() -> None:
        net = SimNet(bandwidth=200_000)

        async def opened(identity: Identity, *, relays: Any = (), **_: Any) -> Endpoint:
            return net.endpoint(identity, nat="home", relays=relays)

        async with strangers(1, tmp_path, net) as (ann,):
            path = content(tmp_path / "ann", 3_000_000)
            sent = ann.share.codes.send(path)
            config = quiet_config("bob", tmp_path / "bob")
            config.net.relays, config.blobs.bulk = [RELAY], False
            async with Node(tmp_path / "bob", config, open_endpoint=opened) as bob:
                got = bob.share.codes.receive(sent.code)
                while (now := view(bob, got.id)).state != "moving" or "0 bytes" in now.reason[:8]:
                    await asyncio.sleep(0.2)
                await asyncio.sleep(2.0)
            async with Node(tmp_path / "bob", config, open_endpoint=opened) as bob:
                async with asyncio.timeout(300.0):
                    while bob.blobs.transfers()[-1].state != "complete":
                        await asyncio.sleep(0.5)
                assert (tmp_path / "bob" / "downloads" / "gift.bin").read_bytes() == path.read_bytes()
                assert (await ended(ann, sent.id)).state == "done"
                await asyncio.sleep(10.0)
                assert not bob.trust.verdict(ann.peer).known

    run(main())


def test_a_sender_that_starts_again_is_told_that_its_code_is_lost(tmp_path: Path) -> None:
    async def main() -> None:
        net = SimNet()

        async def opened(identity: Identity, *, relays: Any = (), **_: Any) -> Endpoint:
            return net.endpoint(identity, nat="home", relays=relays)

        path = content(tmp_path / "ann", 1000)
        config = quiet_config("ann", tmp_path / "ann")
        config.net.relays, config.blobs.bulk = [RELAY], False
        async with Node(tmp_path / "ann", config, open_endpoint=opened) as ann:
            sent, cancelled = ann.share.codes.send(path), ann.share.codes.send(path)
            await asyncio.sleep(10.0)
            await ann.share.codes.cancel(cancelled.id)
            await asyncio.sleep(1.0)
        await asyncio.sleep(5.0)
        async with Node(tmp_path / "ann", config, open_endpoint=opened) as ann:
            (lost,) = ann.share.codes.views()
            assert (lost.id, lost.state, lost.name) == (sent.id, "failed", "gift.bin")
            assert "make a new one" in lost.reason and not lost.code
            assert sent.code not in str(lost)
        async with Node(tmp_path / "ann", config, open_endpoint=opened) as ann:
            assert ann.share.codes.views() == []

    run(main())


def _at(place: Any) -> Any:
    from servent.net.links import PeerAddress

    return PeerAddress(place, RELAY)


def _spy(net: SimNet, place: Any, seen: bytearray) -> None:
    """Note what both ends write on connections with `place`."""
    join = SimEndpoint._join

    def spied(self: SimEndpoint, other: SimEndpoint, kind: Any, relay: Any) -> Any:
        near = join(self, other, kind, relay)
        if other.peer == place:
            for end in (near, near.far):
                _spy_on(end, seen)
        return near

    pytest.MonkeyPatch().setattr(SimEndpoint, "_join", spied)


def _spy_on(end: Any, seen: bytearray) -> None:
    for name in ("open", "accept"):
        original = getattr(end, name)

        async def wrapped(original: Any = original) -> Any:
            stream = await original()
            write = stream.write

            async def noting(data: Any) -> None:
                seen.extend(bytes(data))
                await write(data)

            stream.write = noting
            return stream

        setattr(end, name, wrapped)


def test_friends_may_use_codes_too_and_a_blocked_one_gets_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with strangers(2, tmp_path, SimNet()) as (ann, bob):
            await bob.join(await ann.ticket())
            sent = ann.share.codes.send(content(tmp_path / "ann"))
            got = bob.share.codes.receive(sent.code)
            assert (await ended(bob, got.id)).state == "done"
            assert (await ended(ann, sent.id)).state == "done"
            await asyncio.sleep(3.0)
            assert ann.trust.verdict(bob.peer).friend and ann.peers.session(bob.peer) is not None
            await ann.trust.block(bob.peer)
            sent = ann.share.codes.send(content(tmp_path / "ann"))
            got = bob.share.codes.receive(sent.code)
            assert (await ended(bob, got.id)).state == "failed"
            assert "blocked" in (await ended(ann, sent.id)).reason

    run(main())
