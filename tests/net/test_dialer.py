"""Dialing, with an endpoint whose handshakes hang as those do that began while nothing got through."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from servent.errors import ConnectionLost, Unreachable
from servent.net.links import PeerAddress
from servent.net.settings import PeersSettings
from servent.testing import loop
from servent.testing.simnet import SimConnection, SimEndpoint, SimNet
from tests.net.party import Node, befriend, identity, until

SLOW = PeersSettings(dial=4.0)


class Deaf:
    """A SimEndpoint whose dials hear nothing to their end when they began while `cut`."""

    def __init__(self, inner: SimEndpoint) -> None:
        self.inner, self.cut, self.dials = inner, False, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    async def connect(self, address: PeerAddress, timeout: float) -> SimConnection:
        self.dials += 1
        if self.cut:
            await asyncio.sleep(timeout)
            raise Unreachable(address.peer.short, timeout, ["direct"])
        return await self.inner.connect(address, timeout)


@asynccontextmanager
async def hard_of_hearing() -> AsyncIterator[tuple[SimNet, Deaf, Node, Node]]:
    """Ann and Bob are friends and not connected; Ann's dials hear nothing."""
    net = SimNet(seed=1)
    deaf = Deaf(net.endpoint(identity(1)))
    ann = await Node(identity(1), deaf, SLOW).start()  # type: ignore[arg-type]
    bob = await Node(identity(2), net.endpoint(identity(2)), SLOW).start()
    try:
        await befriend(ann, bob)
        deaf.cut = True
        yield net, deaf, ann, bob
    finally:
        await ann.stop()
        await bob.stop()


def test_a_dial_under_way_begins_anew_when_the_network_is_back() -> None:
    async def story() -> None:
        async with hard_of_hearing() as (net, deaf, ann, bob):
            began = asyncio.get_running_loop().time()
            ann.peers.remember(bob.address)
            await until(lambda: deaf.dials == 1)
            await asyncio.sleep(0.5)
            deaf.cut = False
            net.change_address(deaf.inner)
            await until(lambda: ann.peers.session(bob.peer) is not None)
            assert asyncio.get_running_loop().time() - began < 1.5
            assert deaf.dials == 2

    loop.run(story())


def test_a_dial_under_way_begins_anew_with_the_address_of_a_ticket() -> None:
    async def story() -> None:
        async with hard_of_hearing() as (_, deaf, ann, bob):
            ann.peers.remember(PeerAddress(bob.peer, None, ("192.0.2.77:1",)))  # where it was once
            await until(lambda: deaf.dials == 1)
            deaf.cut = False
            async with asyncio.timeout(1.0):
                await ann.peers.connect(bob.address)
            assert deaf.dials == 2

    loop.run(story())


def test_a_dial_that_begins_while_the_node_closes_fails_at_once_and_leaves_nothing_behind() -> None:
    async def story() -> None:
        net = SimNet(seed=1)
        ann = await Node(identity(1), net.endpoint(identity(1)), SLOW).start()
        bob = net.endpoint(identity(2))
        try:
            async with asyncio.TaskGroup() as over:
                pass
            ann.peers._dialer.tasks = over
            for _ in range(2):  # nobody waits for the first, which never was
                with pytest.raises(ConnectionLost, match="closing"):
                    async with asyncio.timeout(1.0):
                        await ann.peers.connect(bob.address())
        finally:
            await ann.stop()
            await bob.close()
        gc.collect()

    loop.run(story())


def test_changes_while_nobody_answers_do_not_lengthen_a_call() -> None:
    async def story() -> None:
        net = SimNet(seed=1)
        deaf = Deaf(net.endpoint(identity(1)))
        ann = await Node(identity(1), deaf, SLOW).start()  # type: ignore[arg-type]
        bob = net.endpoint(identity(2))
        deaf.cut = True

        async def flap() -> None:
            while True:
                await asyncio.sleep(0.5)
                net.change_address(deaf.inner)

        flapping = asyncio.create_task(flap(), name="flap")
        try:
            began = asyncio.get_running_loop().time()
            try:
                await ann.peers.connect(bob.address(), timeout=6.0)
            except Unreachable:
                assert 6.0 <= asyncio.get_running_loop().time() - began < 6.5
            else:
                raise AssertionError("nobody was there")
        finally:
            flapping.cancel()
            await ann.stop()
            await bob.close()

    loop.run(story())
