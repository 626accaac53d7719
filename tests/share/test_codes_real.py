"""A hand-over on real iroh: two nodes that know nothing of each other, and our own relay on loopback."""

import asyncio
from pathlib import Path

import pytest

from servent.net.relay.server import RelayServer
from servent.net.relay.settings import RelaySettings
from servent.node import Node
from servent.share.handover import HandOver
from servent.testing.nodes import quiet_config

pytestmark = pytest.mark.real


async def ended(node: Node, id: str) -> HandOver:
    while not (view := next(one for one in node.share.codes.views() if one.id == id)).ended:
        await asyncio.sleep(0.05)
    return view


def test_strangers_hand_over_a_folder_through_our_relay(tmp_path: Path) -> None:
    async def main() -> None:
        relay = RelayServer(RelaySettings(hosts=("127.0.0.1",), port=0))
        folder = tmp_path / "photos"
        (folder / "deep").mkdir(parents=True)
        (folder / "a.jpg").write_bytes(bytes(range(256)) * 2000)
        (folder / "deep" / "b.txt").write_text("hello")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(relay.run())
            await relay.ready.wait()
            try:
                configs = []
                for name in ("ann", "bob"):
                    config = quiet_config(name, tmp_path / name)
                    config.net.relays = [relay.urls[0]]
                    configs.append(config)
                async with (
                    Node(tmp_path / "ann", configs[0]) as ann,
                    Node(tmp_path / "bob", configs[1]) as bob,
                ):
                    sent = ann.share.codes.send(folder)
                    got = bob.share.codes.receive(sent.code)
                    async with asyncio.timeout(90.0):
                        over = await ended(bob, got.id)
                        assert over.state == "done", over.reason
                        assert (await ended(ann, sent.id)).state == "done"
                    there = tmp_path / "bob" / "downloads" / "photos"
                    assert (there / "deep" / "b.txt").read_text() == "hello"
                    assert (there / "a.jpg").read_bytes() == (folder / "a.jpg").read_bytes()
            finally:
                await relay.close()

    asyncio.run(main())
