"""What a node decides for its rooms."""

from __future__ import annotations

import asyncio
from pathlib import Path

from servent.identity import Identity
from servent.node import Node
from servent.testing.loop import run
from servent.testing.nodes import nodes
from servent.testing.simnet import SimNet


def test_a_relay_for_those_we_know_is_not_for_those_we_blocked(tmp_path: Path) -> None:
    async def story() -> None:
        async with nodes(2, tmp_path, SimNet(seed=1)) as (ann, bob):
            stranger = Identity(b"s" * 32).peer
            assert not ann._is_known(stranger)
            await bob.join(await ann.ticket())
            assert ann._is_known(bob.peer)
            await ann.trust.block(bob.peer)
            assert not ann._is_known(bob.peer)
            await asyncio.sleep(1)
            assert not ann._is_known(bob.peer)
            assert isinstance(ann, Node)

    run(story())
