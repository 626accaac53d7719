"""Two whole nodes in virtual time: their networks, modes, roles and holders as the API tells of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from servent import config
from servent.api import schema_network as network
from servent.api.adapter import NodeFace
from servent.errors import NotFound, UsageError
from servent.testing.loop import run
from servent.testing.nodes import nodes
from servent.testing.simnet import SimNet

LINK = "magnet:?xt=urn:btmh:1220" + "ab" * 32


@asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[tuple[NodeFace, NodeFace]]:
    """Ann has founded `club`, and bob is in it and connected."""
    async with nodes(2, folder, SimNet(1, latency=0.02)) as started:
        ann, bob = (NodeFace(node) for node in started)
        await ann.create_network("club", open=False, mode="hybrid")
        made = await ann.invite("club", uses=1, lifetime=None)
        await bob.join(made.invitation)
        await asyncio.sleep(30.0)
        yield ann, bob


def play(folder: Path, story: Callable[[NodeFace, NodeFace], Awaitable[None]]) -> None:
    async def main() -> None:
        async with pair(folder) as (ann, bob):
            await story(ann, bob)

    run(main())


def test_a_network_tells_its_mode_who_is_here_and_what_this_node_is_in_it(tmp_path: Path) -> None:
    async def story(ann: NodeFace, bob: NodeFace) -> None:
        for face in (ann, bob):
            [row] = face.networks()
            assert (row.mode, row.members, row.online, row.size >= 2) == ("hybrid", 2, 1, True)
            assert row.why and row.servers == []
            shape = face.shape("club")
            assert shape.network == row
            other = {ann.id().id, bob.id().id} - {face.id().id}
            assert other & {peer.id for peer in shape.peers}
            for peer in shape.peers:
                assert peer.link == "supernode" or peer.path == "direct"
        assert any(face.networks()[0].index for face in (ann, bob)), "somebody keeps the index"
        with pytest.raises(NotFound):
            ann.shape("nowhere")

    play(tmp_path, story)


def test_the_founder_switches_the_mode_for_all_and_nobody_else_does(tmp_path: Path) -> None:
    async def story(ann: NodeFace, bob: NodeFace) -> None:
        with pytest.raises(UsageError):
            await bob.set_mode("club", network.ModeChange(mode="p2p"))
        with pytest.raises(UsageError):
            await ann.set_mode("club", network.ModeChange(mode="p2p", servers=["me"]))
        row = await ann.set_mode("club", network.ModeChange(mode="server", servers=[bob.id().id]))
        assert (row.mode, row.servers) == ("server", [bob.id().id])
        await asyncio.sleep(150.0)  # who lays the role down hands over for a minute
        assert bob.networks()[0].mode == "server" and bob.networks()[0].index
        assert not ann.networks()[0].index and ann.networks()[0].why
        assert {one.id for one in await ann.members("club") if one.supernode} == {bob.id().id}
        row = await ann.set_mode("club", network.ModeChange(mode="server", servers=["me"]))
        assert row.servers == [ann.id().id]
        await ann.set_mode("club", network.ModeChange(mode="p2p"))
        await asyncio.sleep(150.0)
        assert [face.networks()[0].index for face in (ann, bob)] == [True, True]

    play(tmp_path, story)


def test_the_mark_of_a_shape_changes_with_the_shape_and_with_nothing_else(tmp_path: Path) -> None:
    async def story(ann: NodeFace, bob: NodeFace) -> None:
        await asyncio.sleep(60.0)
        before = bob.shaping()
        assert set(before.networks) == {bob.networks()[0].id} and before.roles == bob.roles()
        for _ in range(10):
            await asyncio.sleep(3.0)
            assert bob.shaping().networks == before.networks
        await ann.set_mode("club", network.ModeChange(mode="server", servers=["me"]))
        await asyncio.sleep(5.0)
        assert bob.shaping().networks != before.networks

    play(tmp_path, story)


def test_who_was_removed_reads_so(tmp_path: Path) -> None:
    async def story(ann: NodeFace, bob: NodeFace) -> None:
        assert not bob.networks()[0].removed
        await ann.revoke_member("club", bob.id().id)
        await asyncio.sleep(5.0)
        [row] = bob.networks()
        assert row.removed and not row.index and "removed" in row.why and row.online == 0
        assert bob.shape("club").network == row and not bob.shape("club").peers
        assert [(one.me, one.revoked) for one in await bob.members("club") if one.id == bob.id().id] == [
            (False, True)
        ]
        assert not ann.networks()[0].removed
        await bob.leave_network("club")
        assert bob.networks() == []

    play(tmp_path, story)


def test_a_wish_for_a_role_holds_at_once_and_at_the_next_start(tmp_path: Path) -> None:
    async def story(ann: NodeFace, bob: NodeFace) -> None:
        assert [role.name for role in ann.roles()] == ["index", "relay", "observer", "store", "compute"]
        assert all(role.why for role in ann.roles())
        assert "`servent roles relay on` starts it" in ann.roles()[1].why
        await ann.set_role(network.RoleChange(name="index", wish="off"))
        await asyncio.sleep(120.0)
        role = ann.roles()[0]
        assert (role.wish, role.active) == ("off", False)
        assert not ann.networks()[0].index
        assert config.load(ann.data_dir).roles.index == "off"

    play(tmp_path, story)


def test_the_doctor_says_what_this_node_is_in_each_network(tmp_path: Path) -> None:
    async def story(ann: NodeFace, bob: NodeFace) -> None:
        report = await ann.doctor()
        assert [(one.network, one.mode) for one in report.networks] == [("club", "hybrid")]
        assert report.networks[0].why and len(report.roles) == 5

    play(tmp_path, story)


def test_who_has_what_nobody_has_ends_and_where_finds_the_other(tmp_path: Path) -> None:
    async def story(ann: NodeFace, bob: NodeFace) -> None:
        events = [event async for event in ann.who_has(network.HolderQuery(link=LINK))]
        assert [event.kind for event in events][-1] == "done" and events[-1].found == 0
        with pytest.raises(UsageError):
            await anext(ann.who_has(network.HolderQuery(link="http://example.com")))
        with pytest.raises(NotFound):
            await anext(ann.who_has(network.HolderQuery(link=LINK, network="nowhere")))
        (tmp_path / "gift.txt").write_bytes(b"for you")
        link = (await ann.add_share(str(tmp_path / "gift.txt"), wait=True)).link
        held = [event.holder async for event in ann.who_has(network.HolderQuery(link=link))]
        assert [one.peer for one in held if one is not None and one.mine] == [ann.id().id]
        found = await ann.where(bob.id().id)
        assert found.peer == bob.id().id and found.connected

    play(tmp_path, story)
