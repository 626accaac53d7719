"""The connection manager on the simulated network, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

import pytest

from servent.errors import ConnectionLost, Refused, Unreachable, UsageError
from servent.net.links import PeerAddress
from servent.net.session import SessionSettings
from servent.net.settings import PeersSettings
from servent.store import Store
from servent.testing import loop
from servent.testing.simnet import SimNet
from tests.net.party import Node, befriend, everybody_reaches_everybody, identity, party, read_all, until


async def club(nodes: list[Node], *, via: int = 0) -> bytes:
    """A network of all `nodes`; everybody knows only the inviter."""
    inviter = nodes[via]
    network = await inviter.trust.create_network("club")
    invitation = await inviter.trust.invite(network.key, uses=None)
    for node in nodes:
        if node is not inviter:
            await node.trust.accept_invitation(invitation)
            await node.peers.connect(inviter.address)
    return network.key


def test_two_friends_meet_and_use_a_service() -> None:
    async def story() -> None:
        async with party(2) as (ann, bob):
            await befriend(ann, bob)
            session = await ann.peers.connect(bob.address)
            assert session.peer == bob.peer and session.verdict.friend
            assert session.profile.name == bob.name
            assert await ann.asks(bob) == b"hello"
            assert await bob.asks(ann, b"back") == b"back"
            assert len(ann.peers.sessions()) == len(bob.peers.sessions()) == 1
            assert [up for up, _ in ann.events] == [True]
            assert await ann.peers.connect(bob.address) is session

    loop.run(story())


def test_a_peer_without_an_address_is_unreachable_at_once() -> None:
    async def story() -> None:
        async with party(1) as (ann,):
            stranger = identity(99).peer
            with pytest.raises(Unreachable, match="no address known"):
                await ann.peers.open(stranger, "echo/1")
            with pytest.raises(Unreachable):
                await ann.peers.connect(PeerAddress(stranger, None, ("10.99.99.99:1",)), timeout=3)
            assert asyncio.get_running_loop().time() == pytest.approx(3, abs=0.2)
            with pytest.raises(UsageError):
                await ann.peers.connect(ann.address)

    loop.run(story())


def test_many_who_want_the_same_peer_share_one_dial() -> None:
    async def story() -> None:
        async with party(2) as (ann, bob):
            await befriend(ann, bob)
            ann.peers.remember(bob.address)
            async with asyncio.TaskGroup() as tasks:
                asking = [tasks.create_task(ann.asks(bob, b"%d" % n)) for n in range(20)]
            assert [task.result() for task in asking] == [b"%d" % n for n in range(20)]
            assert len(ann.endpoint.net.connections) == 2  # both ends of one

    loop.run(story())


# -- two dials that cross


@pytest.mark.parametrize("seed", range(50))
def test_two_who_dial_each_other_at_once_end_with_one_connection_and_lose_no_stream(seed: int) -> None:
    async def story() -> None:
        dice = random.Random(seed)
        net = SimNet(seed=seed, latency=(0.005, 0.12))
        async with party(2, net, first=1 + 2 * seed) as (ann, bob):
            await befriend(ann, bob)
            ann.peers.remember(bob.address)
            bob.peers.remember(ann.address)

            async def ask(one: Node, other: Node, number: int) -> None:
                await asyncio.sleep(dice.random() * 0.5)
                stream = await one.peers.open(other.peer, "echo/1")
                for part in range(10):
                    await stream.write(b"%d-%d." % (number, part))
                    await asyncio.sleep(dice.random() * 0.4)
                await stream.finish()
                assert await read_all(stream) == b"".join(b"%d-%d." % (number, n) for n in range(10))

            async with asyncio.TaskGroup() as tasks:
                for number in range(10):
                    tasks.create_task(ask(ann, bob, number))
                    tasks.create_task(ask(bob, ann, number))
            await asyncio.sleep(8)
            ours, theirs = ann.peers.session(bob.peer), bob.peers.session(ann.peer)
            assert ours is not None and theirs is not None
            assert ours.tag == theirs.tag
            assert len(net.connections) == 2, "one connection, two ends"
            ups = sum(up for up, _ in ann.events)
            assert ups <= 2, "it flaps"
            await asyncio.sleep(600)
            assert ann.peers.session(bob.peer) is ours, "it flaps"

    loop.run(story())


def test_a_node_that_started_anew_replaces_its_old_connection_at_once() -> None:
    async def story() -> None:
        net = SimNet(seed=2)
        async with party(1, net) as (ann,):
            await ann.trust.add_contact(identity(2).peer, friend=True)
            first = await Node(identity(2), net.endpoint(identity(2))).start()
            await first.trust.add_contact(ann.peer, friend=True)
            await first.peers.connect(ann.address)
            await until(lambda: ann.peers.session(first.peer) is not None)
            old = ann.peers.session(first.peer)
            net.crash(first.endpoint)  # without a word: ann still believes in the old one
            again = await Node(identity(2), net.endpoint(identity(2))).start()
            await again.trust.add_contact(ann.peer, friend=True)
            await again.peers.connect(ann.address)
            assert await again.asks(ann) == b"hello"
            assert ann.peers.session(again.peer) is not old
            assert await ann.asks(again) == b"hello"
            await until(lambda: old is not None and not old.connected, 1)
            await again.stop()
            await first.stop()

    loop.run(story())


# -- networks


def test_twenty_nodes_that_joined_through_one_inviter_all_reach_all() -> None:
    async def story() -> None:
        async with party(20) as nodes:
            await club(nodes)
            assert await until(lambda: everybody_reaches_everybody(nodes)) < 10
            for node in nodes:
                for other in nodes:
                    if node is not other:
                        assert await node.asks(other) == b"hello"
            await asyncio.sleep(10)
            assert all(len(node.peers.sessions()) == 19 for node in nodes)
            assert len(nodes[0].endpoint.net.connections) == 20 * 19

    loop.run(story())


def test_members_stay_together_when_the_inviter_is_gone() -> None:
    async def story() -> None:
        net = SimNet(seed=4)
        async with party(5, net) as nodes:
            await club(nodes)
            await until(lambda: everybody_reaches_everybody(nodes))
            net.crash(nodes[0].endpoint)
            await asyncio.sleep(120)
            rest = nodes[1:]
            assert everybody_reaches_everybody(rest)
            net.cut(rest[0].endpoint, rest[1].endpoint)
            await asyncio.sleep(5)
            assert everybody_reaches_everybody(rest)

    loop.run(story())


def test_nobody_outside_a_network_is_told_who_is_in_it() -> None:
    async def story() -> None:
        async with party(4) as nodes:
            ann, bob, friend, _ = nodes
            await club([ann, bob])
            await befriend(ann, friend)
            await friend.peers.connect(ann.address)
            await asyncio.sleep(60)
            assert friend.peers.addresses(bob.peer) == PeerAddress(bob.peer)
            assert bob.peers.addresses(friend.peer) == PeerAddress(friend.peer)
            assert [session.peer for session in friend.peers.sessions()] == [ann.peer]

    loop.run(story())


def test_who_joins_a_network_while_connected_is_a_member_at_once() -> None:
    async def story() -> None:
        async with party(2) as (ann, bob):
            await befriend(ann, bob)
            session = await bob.peers.connect(ann.address)
            network = await ann.trust.create_network("club")
            await bob.trust.accept_invitation(await ann.trust.invite(network.key))
            await until(lambda: ann.peers.session(bob.peer) is not None)
            theirs = ann.peers.session(bob.peer)
            assert theirs is not None
            await until(lambda: network.key in session.verdict.networks, 3)
            await until(lambda: network.key in theirs.verdict.networks, 3)
            assert bob.peers.session(ann.peer) is session

    loop.run(story())


def test_a_removed_member_is_out_everywhere_within_seconds() -> None:
    """The revocation travels from member to member, also to those the admin is not connected to."""

    async def story() -> None:
        net = SimNet(seed=9)
        async with party(5, net) as nodes:
            network = await club(nodes)
            await until(lambda: everybody_reaches_everybody(nodes))
            await asyncio.sleep(5)
            bad = nodes[4]
            net.partition([nodes[0].endpoint, nodes[1].endpoint], [n.endpoint for n in nodes[2:]])
            await nodes[0].trust.remove_member(network, bad.peer)
            await asyncio.sleep(60)
            assert nodes[2].peers.session(bad.peer) is not None  # they cannot know yet
            net.heal()
            good = nodes[:4]
            await until(lambda: everybody_reaches_everybody(good), 400)
            await until(lambda: all(node.peers.session(bad.peer) is None for node in good), 30)
            await asyncio.sleep(1)
            with pytest.raises((Refused, ConnectionLost)):
                await bad.peers.connect(nodes[2].address)

    loop.run(story())


# -- things that break


@pytest.mark.parametrize("away", [300.0, 1500.0])
def test_who_was_alone_for_long_finds_the_others_within_seconds(away: float) -> None:
    async def story() -> None:
        net = SimNet(seed=14)
        async with party(4, net) as nodes:
            await club(nodes)
            await until(lambda: everybody_reaches_everybody(nodes))
            net.partition(*([node.endpoint] for node in nodes))
            await asyncio.sleep(away)
            assert not any(node.peers.sessions() for node in nodes)
            net.partition([node.endpoint for node in nodes[:2]], *([node.endpoint] for node in nodes[2:]))
            assert await until(lambda: nodes[0].peers.session(nodes[1].peer) is not None, 300) < 20.0
            net.heal()
            assert await until(lambda: everybody_reaches_everybody(nodes), 300) < 20.0

    loop.run(story())


def test_a_partition_heals_by_itself() -> None:
    async def story() -> None:
        net = SimNet(seed=10)
        async with party(6, net) as nodes:
            await club(nodes)
            await until(lambda: everybody_reaches_everybody(nodes))
            for _ in range(3):
                left, right = nodes[:3], nodes[3:]
                net.partition([n.endpoint for n in left], [n.endpoint for n in right])
                await until(lambda: nodes[0].peers.session(nodes[3].peer) is None, 60)
                assert everybody_reaches_everybody(left) and everybody_reaches_everybody(right)
                await asyncio.sleep(100)
                net.heal()
                await until(lambda: everybody_reaches_everybody(nodes), 200)

    loop.run(story())


def test_a_silent_path_is_noticed_within_four_seconds_while_streams_are_open() -> None:
    async def story() -> None:
        net = SimNet(seed=11)
        async with party(2, net) as (ann, bob):
            await befriend(ann, bob)
            session = await ann.peers.connect(bob.address)
            stream = await session.open("echo/1")
            await stream.write(b"x")
            assert await stream.read(1) == b"x"
            await asyncio.sleep(7)
            net.partition([ann.endpoint], [bob.endpoint])
            began = asyncio.get_running_loop().time()
            with pytest.raises(ConnectionLost):
                await stream.read(1)
            assert asyncio.get_running_loop().time() - began < 4.0

    loop.run(story())


def test_an_idle_connection_that_fell_silent_is_noticed_within_ten_seconds() -> None:
    async def story() -> None:
        net = SimNet(seed=12)
        async with party(2, net) as (ann, bob):
            await befriend(ann, bob)
            await ann.peers.connect(bob.address)
            await asyncio.sleep(33)
            net.partition([ann.endpoint], [bob.endpoint])
            assert await until(lambda: ann.peers.session(bob.peer) is None) < 10

    loop.run(story())


def test_a_changed_address_is_told_to_everyone_and_outlives_a_lost_connection() -> None:
    async def story() -> None:
        net = SimNet(seed=13)
        async with party(3, net) as nodes:
            ann, bob, cat = nodes
            await club(nodes)
            await until(lambda: everybody_reaches_everybody(nodes))
            session = ann.peers.session(bob.peer)
            net.change_address(bob.endpoint)
            await until(lambda: bob.address.addresses[0] in ann.peers.addresses(bob.peer).addresses, 3)
            assert ann.peers.session(bob.peer) is session, "the connection survives"
            net.cut(ann.endpoint, bob.endpoint)
            net.cut(cat.endpoint, bob.endpoint)
            assert await until(lambda: everybody_reaches_everybody(nodes)) < 3

    loop.run(story())


def test_a_peer_says_where_it_sees_us_and_again_when_that_changes() -> None:
    async def story() -> None:
        net = SimNet(seed=14)
        async with party(2, net) as (ann, bob):
            seen: list[str | None] = []
            ann.peers.on_observed(lambda session, address: seen.append(address))
            await befriend(ann, bob)
            session = await ann.peers.connect(bob.address)
            assert seen == list(ann.endpoint.local_addresses())
            net.change_address(ann.endpoint)
            await until(lambda: seen[-1] == ann.endpoint.local_addresses()[0], 2)
            session.ask_observed()
            count = len(seen)
            await until(lambda: len(seen) > count, 1)

    loop.run(story())


def test_friends_find_each_other_again_after_an_hour_of_churn() -> None:
    async def story() -> None:
        dice = random.Random(15)
        net = SimNet(seed=15, loss=0.02)
        settings = PeersSettings(session=SessionSettings(observe_every=5.0))  # cheaper to simulate
        async with party(8, net, settings) as nodes:
            await club(nodes)
            for _ in range(60):
                one, other = dice.sample(nodes, 2)
                match dice.randrange(4):
                    case 0:
                        net.cut(one.endpoint, other.endpoint)
                    case 1:
                        net.change_address(one.endpoint)
                    case 2:
                        net.partition([one.endpoint], [n.endpoint for n in nodes if n is not one])
                    case _:
                        net.heal()
                await asyncio.sleep(dice.random() * 120)
            net.heal()
            await until(lambda: everybody_reaches_everybody(nodes), 320)
            await asyncio.sleep(30)
            assert len(net.connections) == 8 * 7
            assert all(len(node.peers.sessions()) == 7 for node in nodes)

    loop.run(story())


def test_a_node_that_is_refused_asks_only_once_a_minute() -> None:
    async def story() -> None:
        net = SimNet(seed=16)
        async with party(2, net) as (ann, bob):
            await ann.trust.add_contact(bob.peer, friend=True)
            dials = 0
            connect = ann.endpoint.connect

            async def counting(address: PeerAddress, timeout: float):  # type: ignore[no-untyped-def]
                nonlocal dials
                dials += 1
                return await connect(address, timeout)

            ann.endpoint.connect = counting  # type: ignore[method-assign]
            ann.peers.remember(bob.address)
            await asyncio.sleep(600)
            assert 3 <= dials <= 11
            view = ann.peers.view()[0]
            assert "refused us" in view.reason and "next try in" in view.reason
            await bob.trust.add_contact(ann.peer, friend=True)
            await until(lambda: ann.peers.session(bob.peer) is not None, 310)

    loop.run(story())


# -- the address book


def test_the_address_book_brings_friends_together_after_a_restart() -> None:
    async def story() -> None:
        net = SimNet(seed=17)
        async with party(1, net) as (ann,):
            who = identity(2)
            await ann.trust.add_contact(who.peer, friend=True)
            bob = await Node(who, net.endpoint(who)).start()
            await bob.trust.add_contact(ann.peer, friend=True)
            await bob.peers.connect(ann.address)
            await asyncio.sleep(10)
            rows = await bob.store.read(lambda db: list(db.execute("SELECT * FROM net_peers")))
            await bob.stop()
            assert await until(lambda: ann.peers.session(bob.peer) is None) < 1, "they said goodbye"

            again = Node(who, net.endpoint(who))
            await again.store.open()
            await again.store.write(
                lambda db: db.executemany("INSERT INTO net_peers VALUES (?, ?)", [tuple(row) for row in rows])
            )
            again.store.open = nothing  # type: ignore[method-assign]
            await again.start()
            await again.trust.add_contact(ann.peer, friend=True)
            assert await until(lambda: again.peers.session(ann.peer) is not None) < 8
            await again.stop()

    async def nothing() -> None:
        return None

    loop.run(story())


def test_a_damaged_row_of_the_address_book_is_passed_over() -> None:
    async def story() -> None:
        net = SimNet(seed=18)
        node = Node(identity(1), net.endpoint(identity(1)))
        await node.store.open()
        await node.store.write(lambda db: db.execute("INSERT INTO net_peers VALUES (x'00', x'ff')") and None)
        node.store.open = Store(None).open  # type: ignore[method-assign]
        await node.start()
        assert node.peers.view() == []
        await node.stop()

    loop.run(story())


# -- strangers


def test_a_flood_of_strangers_locks_out_no_friend() -> None:
    async def story() -> None:
        net = SimNet(seed=19)
        async with party(3, net) as (ann, bob, cat):
            await befriend(ann, bob)
            await befriend(ann, cat)
            await bob.peers.connect(ann.address)
            busiest = 0

            async def pester(number: int) -> None:
                nonlocal busiest
                endpoint = net.endpoint(identity(10_000 + number))
                endpoint.host = f"10.200.0.{number % 3}"  # three machines
                for _ in range(3):
                    try:
                        connection = await endpoint.connect(ann.address, 5)
                        stream = await connection.open()
                        await stream.write(b"\x00")
                        busiest = max(busiest, ann.peers._gate.pending)
                        await connection.wait_closed()
                    except (Unreachable, ConnectionLost):
                        continue

            async with asyncio.TaskGroup() as tasks:
                for number in range(400):
                    tasks.create_task(pester(number))
                await asyncio.sleep(1)
                clock = asyncio.get_running_loop().time
                began = clock()
                await cat.peers.connect(ann.address)
                assert await cat.asks(ann) == b"hello"
                assert clock() - began < 1
            assert busiest <= 65
            assert await bob.asks(ann) == b"hello"
            assert len(ann.peers.sessions()) == 2

    loop.run(story())


def test_the_number_of_sessions_is_bounded_and_friends_still_come_in() -> None:
    settings = PeersSettings(sessions=4, keep=4)

    async def story() -> None:
        net = SimNet(seed=20)
        who = identity(500)
        async with party(8, net) as nodes:
            hub = await Node(who, net.endpoint(who), settings).start()
            network = await hub.trust.create_network("club")
            invitation = await hub.trust.invite(network.key, uses=None)
            inside = 0
            for node in nodes[:7]:
                await node.trust.accept_invitation(invitation)
                try:
                    await node.peers.connect(hub.address)
                    inside += 1
                except (ConnectionLost, Unreachable):
                    continue
            assert inside == 4
            await befriend(hub, nodes[7])
            await nodes[7].peers.connect(hub.address)
            assert await nodes[7].asks(hub) == b"hello"
            await hub.stop()

    loop.run(story())


def test_guests_leave_places_for_those_we_know() -> None:
    settings = PeersSettings(sessions=4, keep=4, guests=2)

    async def story() -> None:
        net = SimNet(seed=20)
        who = identity(500)
        async with party(6, net) as nodes:
            hub = await Node(who, net.endpoint(who), settings).start()
            hub.trust.admit("a public project", None, [])
            network = await hub.trust.create_network("club")
            invitation = await hub.trust.invite(network.key, uses=None)
            for node in nodes[:4]:
                node.trust.admit("its coordinator", hub.peer, [])
                with contextlib.suppress(ConnectionLost, Unreachable):
                    await node.peers.connect(hub.address)
            assert len(hub.peers.sessions()) == 2
            for node in nodes[4:]:
                await node.trust.accept_invitation(invitation)
                await node.peers.connect(hub.address)
                assert await node.asks(hub) == b"hello"
            assert len(hub.peers.sessions()) == 4
            await hub.stop()

    loop.run(story())


# -- what people see, and the end


def test_the_view_says_in_words_how_each_peer_is_reached_or_why_not() -> None:
    async def story() -> None:
        net = SimNet(seed=21)
        relays = ("https://relay.example",)
        async with party(4, net, nat="symmetric", relays=relays) as (ann, bob, cat, dan):
            for other in (bob, cat, dan):
                await befriend(ann, other)
            await ann.trust.set_petname(bob.peer, "bobby")
            await ann.trust.add_contact(identity(77).peer, "nowhere", friend=True)
            await ann.peers.connect(bob.address)
            await ann.trust.block(dan.peer)
            ann.peers.remember(PeerAddress(cat.peer, None, ("10.77.0.1:1",)))
            await asyncio.sleep(40)
            views = {view.id: view for view in ann.peers.view()}
            one = views[bob.peer]
            assert (one.petname, one.name, one.friend, one.path) == ("bobby", bob.name, True, "relayed")
            assert one.address == "https://relay.example" and one.rtt is not None
            assert "no direct path opened" in one.reason and one.software.startswith("servent/")
            assert "no path to" in views[cat.peer].reason
            assert "no address is known" in views[identity(77).peer].reason
            assert views[dan.peer].reason == "blocked by you"

    loop.run(story())


def test_closing_twenty_nodes_takes_less_than_three_seconds_and_leaves_no_task() -> None:
    async def story() -> None:
        before = asyncio.all_tasks()
        async with party(20) as nodes:
            await club(nodes)
            await until(lambda: everybody_reaches_everybody(nodes))
            began = asyncio.get_running_loop().time()
            async with asyncio.TaskGroup() as closing:
                for node in nodes:
                    closing.create_task(node.peers.close())
            assert asyncio.get_running_loop().time() - began < 3
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == before

    loop.run(story())


def test_cancelling_run_ends_everything_too() -> None:
    async def story() -> None:
        before = asyncio.all_tasks()
        async with party(2) as (ann, bob):
            await befriend(ann, bob)
            session = await ann.peers.connect(bob.address)
            assert ann._task is not None
            ann._task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await ann._task
            assert not session.connected
            assert ann.peers.sessions() == []
            ann._task = asyncio.create_task(asyncio.sleep(0))
            with pytest.raises(UsageError):
                await ann.peers.connect(bob.address)
        assert asyncio.all_tasks() == before

    loop.run(story())


async def _met_before_it_knew_its_own_address(ann: Node, bob: Node) -> None:
    """`bob`, whom `ann` dials, knows of `ann` only what that tells it; a node that has just started knows nothing yet."""
    ann.peers._talk._here = lambda: PeerAddress(ann.peer)
    await ann.peers.connect(bob.address)
    await asyncio.sleep(0.5)
    assert not bob.peers.addresses(ann.peer).addresses
    ann.peers._talk._here = ann.endpoint.address
    ann.peers.hurry()


def test_what_was_learned_last_is_on_the_disk_when_closing_is_over(tmp_path: Path) -> None:
    async def story() -> None:
        net = SimNet(seed=1)
        ann, bob = Node(identity(1), net.endpoint(identity(1))), Node(identity(2), net.endpoint(identity(2)))
        bob.store.path = tmp_path / "node.db"
        for node in (ann, bob):
            await node.start()
        await befriend(ann, bob)
        await _met_before_it_knew_its_own_address(ann, bob)
        await until(lambda: bool(bob.peers.addresses(ann.peer).addresses), limit=2.0)
        save = bob.peers._keeper.close

        async def slow() -> None:
            await asyncio.sleep(0.5)
            await save()

        bob.peers._keeper.close = slow  # type: ignore[method-assign]
        await bob.peers.close()
        bob._task.cancel()  # as a node does next
        await bob.store.close()
        again = Node(identity(2), net.endpoint(identity(2)))
        again.store.path = tmp_path / "node.db"
        await again.start()
        assert again.peers.addresses(ann.peer).addresses
        await again.stop()
        await ann.stop()

    loop.run(story())


def test_where_a_new_friend_is_survives_a_kill_a_moment_later(tmp_path: Path) -> None:
    async def story() -> None:
        net = SimNet(seed=1)
        ann, bob = Node(identity(1), net.endpoint(identity(1))), Node(identity(2), net.endpoint(identity(2)))
        bob.store.path = tmp_path / "node.db"
        for node in (ann, bob):
            await node.start()
        await befriend(ann, bob)
        await _met_before_it_knew_its_own_address(ann, bob)
        await until(lambda: bool(bob.peers.addresses(ann.peer).addresses), limit=2.0)
        await asyncio.sleep(0.2)
        (tmp_path / "killed.db").write_bytes((tmp_path / "node.db").read_bytes())
        (tmp_path / "killed.db-wal").write_bytes((tmp_path / "node.db-wal").read_bytes())
        again = Node(identity(3), net.endpoint(identity(3)))
        again.store.path = tmp_path / "killed.db"
        await again.start()
        assert again.peers.addresses(ann.peer).addresses
        for node in (again, bob, ann):
            await node.stop()

    loop.run(story())
