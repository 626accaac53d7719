"""Clusters through the API's words: whom a name means that somebody typed, and what a hostile owner says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from servent.api import schema_cluster as pool
from servent.api.adapter import NodeFace
from servent.cluster import links, rosters, visits
from servent.cluster.base_service import BLOCKED
from servent.cluster.links import ClusterLink
from servent.cluster.live import Live
from servent.cluster.model import Wish
from servent.cluster.rosters import Member, Roster
from servent.cluster.rows import Kept
from servent.errors import BadMessage, Refused, UsageError
from servent.identity import Identity, PeerId
from servent.net.links import PeerAddress
from servent.node import Node
from servent.testing.loop import run
from servent.testing.nodes import nodes
from servent.testing.simnet import SimNet

BOB, MALLORY = (Identity(bytes([number]) * 32).peer for number in (2, 3))
LAB = b"l" * 16


def lab(node: Node, called: str) -> Live:
    """A cluster of this node's own that is down. Mallory's machine may work in it, and is named by whatever it says."""
    roster = Roster(LAB, bytes(node.peer), "lab", 1, (Member(bytes(MALLORY), work=True, submit=False),))
    kept = Kept(
        id=LAB, owner=bytes(node.peer), called="lab", roster=rosters.sign(node.clusters._identity, roster)
    )
    live = node.clusters._all[LAB] = Live(kept, True, roster)
    live.machine(bytes(MALLORY)).report = visits.Report(name=called)
    return live


@pytest.mark.parametrize("called", [str(BOB), BOB.hex(), "bob"])
def test_nobody_gets_what_was_given_to_another_by_taking_their_name_or_id(
    tmp_path: Path, called: str
) -> None:
    async def story() -> None:
        async with nodes(1, tmp_path, SimNet(1)) as (node,):
            live, face = lab(node, called), NodeFace(node)
            give = pool.MemberChange(submit=True)
            if called == "bob":  # nobody is called so by us
                with pytest.raises(UsageError, match="call themselves"):
                    await face.change_member("lab", called, give)
            else:
                await face.change_member("lab", called, give)
                assert live.roster is not None and live.roster.may(bytes(BOB), "client")
            assert live.roster is not None and not live.roster.may(bytes(MALLORY), "client")
            await face.change_member("lab", str(MALLORY), give)
            assert live.roster.may(bytes(MALLORY), "client")
            if called == "bob":  # what gives nothing may be said by the name that the list shows
                await face.drop_member("lab", called)
                assert live.roster.member(bytes(MALLORY)) is None

    run(story())


def test_whoever_is_blocked_leaves_our_clusters(tmp_path: Path) -> None:
    async def story() -> None:
        async with nodes(1, tmp_path, SimNet(1)) as (node,):
            live, face = lab(node, "mallory"), NodeFace(node)
            await node.trust.block(MALLORY)
            await asyncio.sleep(1.0)
            assert live.roster is not None and live.roster.members == () and live.roster.number == 2
            assert live.kept.roster is not None
            assert rosters.read(live.kept.roster, bytes(node.peer), LAB) == live.roster, (
                "and everybody is told"
            )
            with pytest.raises(UsageError, match="blocked"):
                await face.change_member("lab", str(MALLORY), pool.MemberChange())

    run(story())


def test_nothing_of_ours_works_for_an_owner_who_is_blocked(tmp_path: Path) -> None:
    async def story() -> None:
        async with nodes(1, tmp_path, SimNet(1)) as (node,):
            roster = Roster(LAB, bytes(BOB), "lab", 1, (Member(bytes(node.peer), work=True, submit=True),))
            signed = rosters.sign(Identity(bytes([2]) * 32), roster)
            live = Live(Kept(id=LAB, owner=bytes(BOB), called="lab", roster=signed), False, roster)
            live.scheduler = "servent://somewhere"
            rooms = node.clusters
            rooms._all[LAB] = live
            wish = Wish(cluster="lab", role="client", process=bytes(MALLORY))
            assert (await rooms.papers(wish)).scheduler == "servent://somewhere"
            working = asyncio.create_task(asyncio.sleep(1e6))  # in place of processes
            rooms._running["workers", LAB] = working  # type: ignore[assignment]
            await node.trust.block(BOB)
            await asyncio.sleep(1.0)
            assert working.cancelled() and (live.scheduler, live.why) == ("", BLOCKED)
            with pytest.raises(Refused, match="blocked"):
                await rooms.papers(wish)
            await node.trust.unblock(BOB)
            await asyncio.sleep(1.0)
            assert live.why != BLOCKED and (await rooms.papers(wish)).owner == bytes(BOB)

    run(story())


def test_what_a_link_calls_its_cluster_is_no_code_here(tmp_path: Path) -> None:
    """Its address stands in a line of Python with a button that copies it."""
    pytest.importorskip("distributed")
    link = links.encode(ClusterLink(LAB, 'x");import os;os.system("sh', PeerAddress(BOB)))

    async def story() -> None:
        async with nodes(1, tmp_path, SimNet(1)) as (node,):
            made = await NodeFace(node).join_cluster(pool.JoinCluster(link=link, work=False))
            assert (made.name, made.address) == (
                "x-import-os-os.system-sh",
                "servent://x-import-os-os.system-sh",
            )

    run(story())


@pytest.mark.parametrize("size", [1, 31])
def test_a_worker_of_half_a_key_is_refused_where_it_comes_in(size: int) -> None:
    """The owner of a cluster says what its scheduler sees. One such worker, and no cluster of this node could be shown."""
    seen = {"type": "seen", "workers": [{"name": "one", "node": b"k" * size}]}
    with pytest.raises(BadMessage):
        visits.read_told.decode(msgspec.msgpack.encode(seen))
    whole = {"type": "seen", "workers": [{"name": "one", "node": bytes(BOB)}, {"name": "two", "node": b""}]}
    told = visits.read_told.decode(msgspec.msgpack.encode(whole))
    assert isinstance(told, visits.Seen)
    assert [len(one.node) for one in told.workers] == [32, 0] and PeerId(told.workers[0].node) == BOB
