"""A game or a voice between two nodes: background transfers give way at once, and say so; the user's word counts."""

from __future__ import annotations

import asyncio
from pathlib import Path

from servent.api.adapter_queue import QueuePart
from servent.api.schema_getting import TransferChange
from servent.blobs.magnet import Magnet
from servent.testing.loop import run
from servent.testing.nodes import gather_in_network, nodes
from servent.testing.simnet import SimNet
from tests.share.finding import met

GAME = "example.game/1"
MOVE = b"left" * 16


def test_background_gives_way_within_a_second_and_goes_on_when_the_game_is_over(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(2, tmp_path, SimNet(7)) as (ann, bob):
            await gather_in_network([ann, bob])
            await met([ann, bob])
            there = ann.peers.session(bob.peer)
            assert there is not None
            queue = QueuePart(ann)
            polite = ann.blobs.polite
            await asyncio.sleep(2.0)
            assert not polite.view().realtime and "real-time" not in queue.queue().now
            before = polite.view().up.rate
            game = there.channel(GAME)
            for _ in range(20):  # one second, as any game sends
                game.send(MOVE)
                await asyncio.sleep(0.05)
            assert polite.view().realtime
            assert polite.view().up.rate <= before / 2
            assert "something real-time uses the line" in queue.queue().now
            await asyncio.sleep(5.0)
            assert not polite.view().realtime and "real-time" not in queue.queue().now

    run(main())


def test_the_users_word_puts_a_transfer_in_the_foreground_and_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(1, tmp_path, SimNet(8)) as (ann,):
            id = (await ann.blobs.fetch(Magnet(bytes(32), "film", ()))).id
            queue = QueuePart(ann)
            assert (await queue.change_transfer(id, TransferChange(foreground=True))).foreground
            assert ann.blobs.transfer(id).foreground
            assert not (await queue.change_transfer(id, TransferChange(foreground=False))).foreground

    run(main())
