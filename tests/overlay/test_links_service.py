"""Lanes: order, what is dropped first, what is told when it does not arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from servent.identity import Identity, PeerId
from servent.net.links import PeerAddress
from servent.net.peers import Peers
from servent.net.session import Session
from servent.net.wire import Profile
from servent.overlay import wire
from servent.overlay.links_service import Links, LinkSettings
from servent.store import Store
from servent.testing.loop import run
from servent.testing.simnet import SimNet
from servent.trust.service import TrustService
from tests.net.party import until


class Party:
    """Connections and links, and nothing above: what arrives and what does not is written down."""

    def __init__(self, net: SimNet, number: int, tasks: asyncio.TaskGroup, settings: LinkSettings) -> None:
        self.identity, self.tasks = Identity(number.to_bytes(32, "big")), tasks
        self.store = Store(None)
        self.trust = TrustService(self.store, self.identity)
        self.endpoint = net.endpoint(self.identity)
        self.peers = Peers(self.endpoint, self.trust, lambda: Profile("p", ""))
        self.links = Links(self.peers, self, self.spawn, settings)
        self.got: list[wire.Message] = []
        self.lost: list[PeerId] = []

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        self.tasks.create_task(work, name=name)

    def take(self, session: Session, network: bytes, message: wire.Message) -> None:
        self.got.append(message)

    def undelivered(self, peer: PeerId, networks: frozenset[bytes]) -> None:
        self.lost.append(peer)

    def crowded(self) -> bool:
        return False

    def ours(self, network: bytes) -> bool:
        return any(view.key == network for view in self.trust.networks())

    def introduce(self, peer: PeerId, network: bytes) -> None:
        pass


async def pair(tasks: asyncio.TaskGroup, settings: LinkSettings | None = None) -> tuple[Party, Party, bytes]:
    net = SimNet(seed=1)
    ann, bob = (Party(net, number, tasks, settings or LinkSettings()) for number in (1, 2))
    for one in (ann, bob):
        await one.store.open()
        await one.trust.open()
        tasks.create_task(one.peers.run())
        await one.peers.ready.wait()
    network = (await ann.trust.create_network("lab")).key
    await bob.trust.accept_invitation(await ann.trust.invite("lab"))
    await bob.peers.connect(ann.endpoint.address())
    await asyncio.sleep(1.0)
    return ann, bob, network


class Done(Exception):
    """The story is told."""


def story(tell: Any) -> None:
    async def whole() -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                await tell(tasks)
                raise Done
        except* Done:
            pass

    run(whole(), limit=3600.0)


def test_a_lane_keeps_its_order_and_is_finished_when_idle() -> None:
    async def tell(tasks: asyncio.TaskGroup) -> None:
        ann, bob, network = await pair(tasks)
        for number in range(300):
            ann.links.send(network, bob.identity.peer, wire.Probe(number), "now")
        await asyncio.sleep(2.0)
        assert bob.got == [wire.Probe(number) for number in range(300)]
        session = ann.peers.session(bob.identity.peer)
        assert session is not None and session.using == 1
        await asyncio.sleep(10.0)
        assert session.using == 0 and session.idle_since is not None
        ann.links.send(network, bob.identity.peer, wire.Probe(300), "now")
        await asyncio.sleep(1.0)
        assert bob.got[-1] == wire.Probe(300) and not ann.lost

    story(tell)


def test_a_lane_makes_no_session_busy_and_a_question_has_the_peer_looked_after() -> None:
    async def tell(tasks: asyncio.TaskGroup) -> None:
        ann, bob, network = await pair(tasks)
        ours, theirs = ann.peers.session(bob.identity.peer), bob.peers.session(ann.identity.peer)
        assert ours is not None and theirs is not None
        clock = asyncio.get_running_loop().time
        for number in range(40):  # said so often that the lane stays open
            ann.links.send(network, bob.identity.peer, wire.Probe(number), "now")
            await asyncio.sleep(1.0)
            assert ours.using == theirs.serving == 1 and not (ours.busy or theirs.busy)
        assert ours._pulse._number + theirs._pulse._number < 20
        question = wire.Question(bytes(16), "song")
        for message, soon in ((wire.Probe(1), False), (question, True)):
            await until(lambda: (ours._pulse.next_tick() or 0.0) > clock() + 4.0, 20.0)
            ann.links.send(network, bob.identity.peer, message, "now")
            await asyncio.sleep(0.2)
            due = ours._pulse.next_tick()
            assert due is not None and (due < clock() + 1.0) == soon

    story(tell)


def test_gossip_is_dropped_first_and_the_oldest_of_it() -> None:
    async def tell(tasks: asyncio.TaskGroup) -> None:
        ann, bob, network = await pair(tasks)
        topic = bytes(16)
        for number in range(200):  # at once: nothing has left yet
            ann.links.send(network, bob.identity.peer, wire.Have(topic, [(bytes(16), number % 20)]), "now")
            if number % 10 == 0:
                ann.links.send(network, bob.identity.peer, wire.Probe(number), "now")
        assert ann.links.waiting(bob.identity.peer) == 64 + 20
        await asyncio.sleep(3.0)
        assert [one for one in bob.got if isinstance(one, wire.Probe)] == [
            wire.Probe(number) for number in range(0, 200, 10)
        ]
        assert sum(isinstance(one, wire.Have) for one in bob.got) == 64 and ann.links.dropped == 136

    story(tell)


def test_what_cannot_be_delivered_is_told() -> None:
    async def tell(tasks: asyncio.TaskGroup) -> None:
        ann, bob, network = await pair(tasks, LinkSettings(waiting=50))
        nobody = Identity(bytes(31) + b"\x09").peer
        ann.links.send(network, nobody, wire.Probe(1), "now")
        await asyncio.sleep(30.0)
        assert ann.lost == [nobody]
        ann.peers.remember(PeerAddress(nobody, None, ("10.7.7.7:1",)))
        ann.links.send(network, nobody, wire.Probe(1), "now")
        await asyncio.sleep(30.0)
        assert ann.lost == [nobody, nobody]
        for number in range(60):
            ann.links.send(network, bob.identity.peer, wire.Probe(number), "now")
        await asyncio.sleep(3.0)
        assert len(bob.got) == 50 and ann.lost[2:] == [bob.identity.peer] * 10

    story(tell)


def test_a_peer_that_does_not_offer_the_overlay_is_told_of_as_failed() -> None:
    async def tell(tasks: asyncio.TaskGroup) -> None:
        ann, bob, network = await pair(tasks)
        bob.links.close()
        ann.links.send(network, bob.identity.peer, wire.Probe(1), "now")
        await asyncio.sleep(10.0)
        assert ann.lost == [bob.identity.peer] and not bob.got

    story(tell)


def test_who_talks_too_much_is_read_more_slowly_and_nothing_is_lost() -> None:
    async def tell(tasks: asyncio.TaskGroup) -> None:
        ann, bob, network = await pair(tasks, LinkSettings(rate=10.0, burst=20.0))
        for number in range(100):
            ann.links.send(network, bob.identity.peer, wire.Probe(number), "now")
        await asyncio.sleep(2.0)
        assert 20 <= len(bob.got) <= 60
        await asyncio.sleep(20.0)
        assert len(bob.got) == 100

    story(tell)
