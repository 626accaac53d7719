"""The overlay of nodes, whole: on the simulated network and in virtual time, in each of the three modes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import Raw

from servent.codec import encode, frame
from servent.errors import NotFound, UsageError
from servent.identity import PeerId
from servent.overlay import streams_service, wire
from servent.overlay.effects import Asked, Finding
from servent.overlay.records import Item
from servent.overlay.wire import SERVICE
from servent.testing.light import LightNode, gather_in, item, light, member, on
from servent.testing.loop import run
from servent.testing.simnet import SimNet
from servent.trust.networks import Mode

MODES: Sequence[Mode] = ("server", "hybrid", "p2p")
SETTLE = 40.0  # s of virtual time: an election with its wait, homes, publishing


async def until(condition: Callable[[], object], limit: float = 60.0) -> float:
    """Wait for it; returns how long it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not condition():
        assert loop.time() - began < limit, "it did not come to pass"
        await asyncio.sleep(0.1)
    return loop.time() - began


async def names(events: AsyncGenerator[Finding | Asked]) -> list[str]:
    """What a question finds, when it is over."""
    found: dict[bytes, str] = {}
    async for event in events:
        if isinstance(event, Finding):
            found |= {one.content: one.name for _, one in event.found}
    return sorted(found.values())


def song(number: int) -> str:
    return f"rare song{number} of node{number}.mp3"


async def town(members: Sequence[LightNode], mode: Mode) -> bytes:
    """A network of all, each with an item of its own, settled. Returns its key."""
    network = await gather_in(members, mode)
    for number, one in enumerate(members):
        one.publish(network, song(number))
    await asyncio.sleep(SETTLE)
    return network


async def recall(members: Sequence[LightNode], alive: Sequence[int] | None = None) -> float:
    """The share of items that some other member finds."""
    numbers = list(range(len(members))) if alive is None else list(alive)
    hits = 0
    for place, number in enumerate(numbers):
        asker = members[numbers[(place + 1) % len(numbers)]]
        hits += song(number) in await names(asker.overlay.search(f"song{number}"))
    return hits / len(numbers)


def story(tell: Callable[[], Coroutine[Any, Any, None]]) -> None:
    run(tell(), limit=7200.0)


@pytest.mark.parametrize("mode", MODES)
def test_what_one_publishes_all_find_in_every_mode(mode: Mode) -> None:
    async def tell() -> None:
        async with light(8, SimNet(seed=1)) as members:
            network = await town(members, mode)
            assert await recall(members) == 1.0
            shapes = [one.overlay.shape(network) for one in members]
            carriers = sum(shape.index for shape in shapes)
            assert carriers == {"server": 1, "p2p": 8}.get(mode, carriers) and carriers >= 1
            assert all(shape.members == 8 and shape.mode == mode for shape in shapes)
            assert all(shape.published == shape.to_publish == 1 for shape in shapes)
            holders = [
                event.found[0][0]
                async for event in members[3].overlay.who_has(item(song(7)).content)
                if isinstance(event, Finding)
            ]
            assert set(holders) == {members[7].peer}
            record = await members[2].overlay.where(members[6].peer)
            assert record is not None and record.addresses == list(members[6].endpoint.address().addresses)
            assert not await names(members[5].overlay.search("nothing is called like this"))

    story(tell)


@pytest.mark.parametrize("mode", MODES)
def test_a_standing_query_hears_of_what_is_new(mode: Mode) -> None:
    async def tell() -> None:
        heard: list[tuple[bytes, str]] = []

        def news(network: bytes, found: Sequence[tuple[PeerId, Item]]) -> None:
            heard.extend((network, one.name) for _, one in found)

        async with light(8, SimNet(seed=2)) as members:
            watch = members[5].overlay.watch("comet", news)  # before there is any network
            network = await town(members, mode)
            members[2].publish(network, song(2), "a comet over the hills.jpg")
            await until(lambda: heard, 90.0)
            assert heard == [(network, "a comet over the hills.jpg")]
            members[5].overlay.unwatch(watch)
            members[3].publish(network, song(3), "another comet.jpg")
            await asyncio.sleep(60.0)
            assert len(heard) == 1

    story(tell)


def test_what_is_said_in_a_room_is_heard_there_once_and_nowhere_else() -> None:
    async def tell() -> None:
        async with light(10, SimNet(seed=3)) as members:
            network = await town(members, "hybrid")
            heard: dict[int, list[tuple[str, PeerId, bytes]]] = {number: [] for number in range(10)}
            for number, one in enumerate(members):
                one.overlay.on_heard(
                    lambda _, room, author, body, number=number: heard[number].append((room, author, body))  # type: ignore[misc]
                )
            for number in (0, 4, 7, 9):
                members[number].overlay.enter(network, "tea")
            await asyncio.sleep(20.0)
            members[4].overlay.say(network, "tea", b"anyone?")
            await asyncio.sleep(10.0)
            said = ("tea", members[4].peer, b"anyone?")
            assert [heard[number] for number in (0, 7, 9)] == [[said]] * 3
            assert not any(heard[number] for number in (1, 2, 3, 5, 6, 8))
            members[1].overlay.say(network, "", b"to all")
            await asyncio.sleep(10.0)
            assert all(
                heard[number][-1] == ("", members[1].peer, b"to all") for number in range(10) if number != 1
            )
            members[0].overlay.leave(network, "tea")
            members[7].overlay.say(network, "tea", b"still here")
            await asyncio.sleep(10.0)
            assert heard[9][-1][2] == b"still here" and heard[0][-1][2] == b"to all"
            with pytest.raises(UsageError):
                members[2].overlay.say(network, "tea", b"from outside")
            with pytest.raises(UsageError):
                members[0].overlay.say(network, "", bytes(5000))

    story(tell)


@pytest.mark.parametrize(("before", "after"), [("server", "hybrid"), ("hybrid", "p2p"), ("p2p", "server")])
def test_the_mode_is_switched_under_load_and_no_question_fails(before: Mode, after: Mode) -> None:
    async def tell() -> None:
        async with light(12, SimNet(seed=4)) as members:
            network = await town(members, before)
            assert await recall(members) == 1.0
            loop = asyncio.get_running_loop()
            results: list[tuple[float, bool]] = []
            over = asyncio.Event()

            async def load(asker: int) -> None:
                number = asker
                while not over.is_set():
                    number = (number + 5) % 12
                    found = await names(members[asker].overlay.search(f"song{number}"))
                    results.append((loop.time(), song(number) in found))
                    await asyncio.sleep(1.0)

            async with asyncio.TaskGroup() as tasks:
                for asker in (1, 4, 8):
                    tasks.create_task(load(asker))
                await asyncio.sleep(5.0)
                switched = loop.time()
                shape = await members[0].overlay.set_mode(network, after)
                assert shape.mode == after
                await asyncio.sleep(60.0)
                over.set()
            assert all(one.overlay.shape(network).mode == after for one in members)
            late = [found for at, found in results if at > switched + 30.0]
            early = [found for at, found in results if switched <= at <= switched + 30.0]
            assert late and all(late)
            assert sum(early) >= 0.8 * len(early)
            assert await recall(members) == 1.0

    story(tell)


def test_only_the_founder_switches_the_mode() -> None:
    async def tell() -> None:
        async with light(3, SimNet(seed=5)) as members:
            network = await gather_in(members, "hybrid")
            await asyncio.sleep(2.0)
            with pytest.raises(UsageError):
                await members[1].overlay.set_mode(network, "p2p")
            with pytest.raises(NotFound):
                await members[0].overlay.set_mode(bytes(32), "p2p")
            await members[0].overlay.set_mode(network, "server", [members[2].peer])
            await until(lambda: members[2].overlay.shape(network).index, 90.0)
            await until(lambda: not members[0].overlay.shape(network).index, 120.0)  # it hands over
            assert members[1].overlay.shape(network).servers == (members[2].peer,)

    story(tell)


def test_the_index_is_killed_and_the_network_goes_on_as_another() -> None:
    async def tell() -> None:
        net = SimNet(seed=6)
        async with light(9, net) as members:
            network = await gather_in(members, "server")
            await members[0].overlay.set_mode(network, "server", [members[8].peer])
            for number, one in enumerate(members):
                one.publish(network, song(number))
            await asyncio.sleep(SETTLE)
            assert await recall(members) == 1.0
            await members[8].stop(kindly=False)
            began = asyncio.get_running_loop().time()
            await names(members[2].overlay.search("song3"))  # ends, whatever it finds
            assert asyncio.get_running_loop().time() - began < 30.0
            await members[0].overlay.set_mode(network, "hybrid")
            await asyncio.sleep(45.0)
            assert await recall(members, range(8)) == 1.0

    story(tell)


def test_a_node_begins_again_at_what_it_wrote_down(tmp_path: Path) -> None:
    async def tell() -> None:
        net = SimNet(seed=7)
        async with light(7, net) as members, asyncio.TaskGroup() as tasks:
            network = await gather_in(members, "hybrid")
            late = member(99, 7, net, tmp_path)
            await late.start(tasks)
            await late.join(members[0], network)
            await asyncio.sleep(SETTLE)
            await late.stop()
            await members[0].stop()  # who invited it is gone when it comes back
            await asyncio.sleep(5.0)
            again = member(99, 7, net, tmp_path)
            forgotten: list[PeerId] = []
            await again.start(tasks)
            for known in (
                *again.peers._book.peers(),
            ):  # the address book is lost, the overlay's contacts are not
                again.peers.forget(known)
                forgotten.append(known)
            assert forgotten
            await until(lambda: network in again.overlay.members.pumps)
            await until(lambda: len(again.overlay.members.pumps[network].member.topics.neighbours()) >= 3)
            again.publish(network, "back again.mp3")
            await asyncio.sleep(SETTLE)
            assert await names(members[3].overlay.search("back again")) == ["back again.mp3"]
            await again.stop()

    story(tell)


def test_a_node_leaves_a_network_and_hears_no_more_of_it() -> None:
    async def tell() -> None:
        async with light(6, SimNet(seed=8)) as members:
            network = await town(members, "hybrid")
            asked = [one async for one in members[4].overlay.search("song1") if isinstance(one, Asked)]
            assert asked[-1].over and asked[-1].network == network
            await members[4].trust.leave(network)
            await asyncio.sleep(1.0)
            assert members[4].overlay.shapes() == []
            with pytest.raises(NotFound):
                members[4].overlay.publish(network, [])
            assert [one async for one in members[4].overlay.search("song1")] == []
            await asyncio.sleep(120.0)
            left = members[4].peer
            for one in members[:4]:
                shape = one.overlay.shape(network)
                assert left not in {
                    peer.peer for peer in shape.peers if peer.link in ("neighbour", "home", "leaf")
                }
            assert await recall(members, [0, 1, 2, 3, 5]) == 1.0

    story(tell)


def test_who_is_removed_is_out_at_once() -> None:
    async def tell() -> None:
        async with light(6, SimNet(seed=9)) as members:
            network = await town(members, "p2p")
            await members[0].trust.remove_member(network, members[3].peer)
            await asyncio.sleep(10.0)
            gone = members[3].peer
            for number in (0, 1, 2, 4, 5):
                assert gone not in members[number].overlay.members.pumps[network].linked

    story(tell)


def test_two_networks_do_not_leak_into_each_other() -> None:
    async def tell() -> None:
        async with light(9, SimNet(seed=10)) as members:
            one = await gather_in(members[:5], "p2p", "one")  # 4 is in both
            two = await gather_in([members[8], *members[4:8]], "hybrid", "two")
            members[1].publish(one, "secret of one.txt")
            members[6].publish(two, "secret of two.txt")
            await asyncio.sleep(SETTLE)
            assert await names(members[3].overlay.search("secret")) == ["secret of one.txt"]
            assert await names(members[7].overlay.search("secret")) == ["secret of two.txt"]
            assert await names(members[4].overlay.search("secret")) == [
                "secret of one.txt",
                "secret of two.txt",
            ]
            only = members[4].overlay.search("secret", networks=[two])
            assert await names(only) == ["secret of two.txt"]
            assert await members[7].overlay.where(members[1].peer) is None
            for number in (0, 1, 2, 3):
                known = members[number].overlay.members.pumps[one].member.context.peers
                assert not {bytes(other.peer) for other in members[5:]} & {
                    bytes(record.key) for record in known.values(asyncio.get_running_loop().time())
                }

    story(tell)


HOSTILE: Sequence[Callable[[bytes], bytes]] = (
    lambda network: b"\xff\xff\xff\xff" + bytes(64),  # an opener of 4 GiB
    lambda network: b"\x00\x00\x00\x05junk!",  # an opener that is none
    lambda network: frame(wire.Lane("now")) + b"\x00\x02\x00\x00" + bytes(100),  # a message of 128 KiB
    lambda network: frame(wire.Lane("now")) + b"\x00\x00\x00\x03abc",
    lambda network: frame(wire.Lane("bulk")) + frame(wire.Envelope(network, Raw(b"\x93\x01\x02\x03"))),
    lambda network: (
        frame(wire.Lane("now")) + frame(wire.Envelope(bytes(32), Raw(encode(wire.AskSupernodes()))))
    ),
    lambda network: (
        frame(wire.Lane("now")) + 50 * frame(wire.Envelope(network, Raw(encode(wire.Decline(bytes(16))))))
    ),
)


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_frames_end_their_stream_and_nothing_else(number: int) -> None:
    async def tell() -> None:
        async with light(4, SimNet(seed=11)) as members:
            network = await town(members, "p2p")
            body = HOSTILE[number](network)
            for _ in range(3):
                stream = await members[3].peers.open(members[0].peer, SERVICE)
                await stream.write(body)
                await asyncio.sleep(1.0)
                await stream.reset()
            await asyncio.sleep(5.0)
            assert await recall(members, [0, 1, 2]) == 1.0

    story(tell)


def test_who_is_in_one_network_alone_cannot_speak_in_another() -> None:
    async def tell() -> None:
        async with light(4, SimNet(seed=12)) as members:
            inner = await gather_in(members[:2], "p2p", "inner")
            outer = await gather_in(members, "p2p", "outer")
            await asyncio.sleep(SETTLE)
            before = members[0].overlay.members.pumps[inner].questions
            asked = wire.Envelope(inner, Raw(encode(wire.Question(bytes(16), "anything", limit=5))))
            stream = await members[3].peers.open(members[0].peer, SERVICE)
            await stream.write(frame(wire.Lane("now")) + frame(asked))
            await asyncio.sleep(5.0)
            assert members[0].overlay.members.pumps[inner].questions == before
            assert members[3].peer not in members[0].overlay.members.pumps[inner].linked
            assert members[3].peer in members[0].overlay.members.pumps[outer].linked

    story(tell)


def test_roles_are_wished_and_said_in_words() -> None:
    async def tell() -> None:
        async with light(3, SimNet(seed=13)) as members:
            network = await town(members, "hybrid")
            here = next(one for one in members if one.overlay.shape(network).index)
            roles = {role.name: role for role in here.overlay.roles()}
            assert set(roles) == {"index", "relay", "observer", "store", "compute"}
            assert roles["index"].active and roles["observer"].active and not roles["relay"].active
            assert all(role.why for role in roles.values())
            await here.overlay.set_role("index", "off")
            await until(lambda: not here.overlay.shape(network).index, 120.0)
            await until(
                lambda: any(one.overlay.shape(network).index for one in members if one is not here), 300.0
            )
            assert not {role.name: role for role in here.overlay.roles()}["index"].active
            for wrong in (("index", "maybe"), ("king", "on")):
                with pytest.raises(UsageError):
                    await here.overlay.set_role(*wrong)  # type: ignore[arg-type]

    story(tell)


def test_a_change_of_address_is_told_at_once_and_everybody_finds_the_new_one() -> None:
    async def tell() -> None:
        net = SimNet(seed=14)
        async with light(12, net) as members:
            network = await town(members, "hybrid")
            moved = members[7]
            before = moved.overlay.members.pumps[network].member.context.record
            net.change_address(moved.endpoint)  # type: ignore[arg-type]
            await asyncio.sleep(3.0)
            after = moved.overlay.members.pumps[network].member.context.record
            assert after.seq > before.seq and after.addresses != before.addresses
            found = await members[2].overlay.where(moved.peer)
            assert found is not None and found.addresses == after.addresses

    story(tell)


def test_listeners_hear_of_changes_and_one_that_fails_harms_nobody() -> None:
    async def tell() -> None:
        async with light(2, SimNet(seed=15)) as members:
            heard = 0

            def listen() -> None:
                nonlocal heard
                heard += 1

            members[0].overlay.on_change(listen)
            await gather_in(members, "p2p")
            await asyncio.sleep(5.0)
            assert 1 <= heard <= 50
            assert [shape.name for shape in members[0].overlay.shapes()] == ["lab"]

    story(tell)


def test_a_question_that_is_closed_early_is_cancelled_everywhere() -> None:
    async def tell() -> None:
        async with light(6, SimNet(seed=16)) as members:
            await town(members, "p2p")
            events = members[2].overlay.search("song")
            await anext(events)
            await events.aclose()
            assert len(members[2].overlay._streams) == 0
            assert await recall(members) == 1.0

    story(tell)


def test_a_question_that_nobody_reads_ends_with_a_reason_and_is_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def tell() -> None:
        async with light(8, SimNet(seed=18)) as members:
            network = await town(members, "p2p")
            monkeypatch.setattr(streams_service, "MOST_WAITING", 1)
            asker = members[2].overlay
            asking = asker.members.pumps[network].member.asking
            cancelled: list[int] = []
            cancel = asking.cancel
            monkeypatch.setattr(
                asking, "cancel", lambda number, now: cancelled.append(number) or cancel(number, now)
            )
            events = asker.search("rare")
            first = await anext(events)
            await until(lambda: not asker._streams)  # nobody reads
            assert cancelled == [first.search] and not asking._own
            rest = [event async for event in events]
            last = rest[-1]
            assert isinstance(last, Asked) and last.over and last.reason == streams_service.NOT_READ
            assert sum(isinstance(event, Asked) and event.over for event in rest) == 1
            assert cancelled == [first.search]

    story(tell)


def test_the_nearest_supernode_becomes_the_first_home_by_what_connections_measure() -> None:
    async def tell() -> None:
        async with light(4, SimNet(seed=19)) as members:
            network = await town(members, "server")
            homes = members[1].overlay.members.pumps[network].member.homes
            session = members[1].peers.session(members[0].peer)
            assert session is not None and session.rtt is not None
            assert homes.rtt(members[0].peer) == session.rtt
            assert homes.rtt(PeerId(bytes(32))) is None

    story(tell)


def test_an_endpoint_opens_as_the_light_nodes_want_it() -> None:
    async def tell() -> None:
        net = SimNet(seed=17)
        one = member(1, 1, net)
        endpoint = await on(net)(one.identity, bind=[], relays=[])
        assert endpoint.peer == one.peer
        await endpoint.close()

    story(tell)
