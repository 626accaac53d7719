"""Dialing back: whoever is where they say is proven by their key, and is not harmed by it."""

from __future__ import annotations

import asyncio

import pytest

from servent.overlay.dialback_service import BURST, DialBacks
from servent.testing.light import gather_in, light, on
from servent.testing.loop import run
from servent.testing.simnet import SimNet


def test_a_peer_is_reached_at_its_address_and_at_no_other() -> None:
    async def tell() -> None:
        net = SimNet(seed=1)
        async with light(2, net) as (here, there):
            dial_backs = DialBacks(on(net))
            (address,) = there.endpoint.address().addresses
            assert await dial_backs.dial(there.peer, [address]) == address
            assert await dial_backs.dial(there.peer, ["10.9.9.9:4433"]) == ""
            assert await dial_backs.dial(here.peer, [address]) == ""  # somebody else answers there
            assert await dial_backs.dial(there.peer, []) is None

    run(tell(), limit=600.0)


def test_dial_backs_are_few_and_can_be_turned_off() -> None:
    async def tell() -> None:
        net = SimNet(seed=2)
        async with light(1, net) as (there,):
            dial_backs = DialBacks(on(net))
            addresses = list(there.endpoint.address().addresses)
            reached = [await dial_backs.dial(there.peer, addresses) for _ in range(10)]
            assert sum(map(bool, reached)) == BURST
            await asyncio.sleep(60.0)
            assert await dial_backs.dial(there.peer, addresses)
            dial_backs.on = False
            await asyncio.sleep(60.0)
            assert await dial_backs.dial(there.peer, addresses) is None
            assert await DialBacks(None).dial(there.peer, addresses) is None

    run(tell(), limit=600.0)


@pytest.mark.real
def test_on_real_sockets_the_one_that_is_dialed_back_takes_it_for_no_attack() -> None:
    async def tell() -> None:
        from servent.net import endpoint as iroh_endpoint

        async with light(2) as members:
            network = await gather_in(members, "p2p")
            dial_backs = DialBacks(iroh_endpoint.bind)
            addresses = list(members[1].endpoint.address().addresses)[:4]
            for _ in range(3):
                assert await dial_backs.dial(members[1].peer, addresses) in addresses
            assert await dial_backs.dial(members[0].peer, addresses) == ""
            assert members[0].peers.session(members[1].peer) is not None
            assert members[1].overlay.shape(network).members == 2

    asyncio.run(tell())
