"""The real node behind the API's words: two whole nodes on the simulated network, in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from servent import config as configuration
from servent.api import pinging, schema
from servent.api.adapter import NodeFace, configure
from servent.api.daemon_options import Options
from servent.errors import NotFound, UsageError
from servent.testing.loop import run
from servent.testing.nodes import nodes
from servent.testing.simnet import SimNet


@contextlib.asynccontextmanager
async def pair(folder: Path) -> AsyncIterator[tuple[NodeFace, NodeFace]]:
    async with nodes(2, folder, SimNet(1, latency=0.02)) as started:
        faces = []
        for node in started:
            node.serve(pinging.SERVICE, pinging.answer, audience="everyone")
            faces.append(NodeFace(node))
        yield faces[0], faces[1]


def story(folder: Path, told: Callable[[NodeFace, NodeFace], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        async with pair(folder) as (ann, bob):
            await told(ann, bob)

    run(main())


async def acquainted(ann: NodeFace, bob: NodeFace) -> None:
    joined = await bob.join((await ann.ticket(once=True, lifetime=600.0)).ticket)
    assert (joined.kind, joined.connected, joined.peer) == ("contact", True, ann.id().id)


def test_a_ticket_makes_two_nodes_see_each_other(tmp_path: Path) -> None:
    async def told(ann: NodeFace, bob: NodeFace) -> None:
        await acquainted(ann, bob)
        [peer] = bob.peers()
        assert (peer.id, peer.name, peer.connected, peer.friend) == (ann.id().id, "node 0", True, True)
        assert peer.path in ("direct", "relayed")
        assert bob.status().peers.total == 1
        answer = await bob.ping(peer.short_id, 3)
        assert len(answer.rtts_ms) == 3
        assert all(30 < rtt < 200 for rtt in answer.rtts_ms)
        assert answer.path == peer.path
        found = await bob.doctor()
        assert {check.name for check in found.checks} >= {"ipv4", "ipv6", "nat", "relay"}
        assert found.peers[0].id == peer.id

    story(tmp_path, told)


def test_a_peer_is_named_blocked_and_forgotten(tmp_path: Path) -> None:
    async def told(ann: NodeFace, bob: NodeFace) -> None:
        await acquainted(ann, bob)
        whom = ann.id().id
        named = await bob.change_peer(whom, schema.PeerChange(petname="Ann"))
        assert (named.petname, named.friend) == ("Ann", True)
        assert (await bob.ping("Ann", 1)).id == whom
        assert (await bob.change_peer("Ann", schema.PeerChange(petname=""))).petname is None
        blocked = await bob.change_peer(whom, schema.PeerChange(blocked=True))
        assert (blocked.blocked, blocked.friend) == (True, False)
        await asyncio.sleep(2.0)
        assert not any(peer.connected for peer in bob.peers())
        assert not (await bob.change_peer(whom, schema.PeerChange(blocked=False))).blocked
        await bob.forget_peer(whom)
        assert bob._node.trust.contact(ann._node.peer) is None

    story(tmp_path, told)


def test_what_a_peer_calls_itself_is_enough_to_ping_but_not_to_befriend(tmp_path: Path) -> None:
    async def told(ann: NodeFace, bob: NodeFace) -> None:
        await acquainted(ann, bob)
        assert (await bob.ping("node 0", 1)).id == ann.id().id
        with pytest.raises(UsageError, match="only what they call themselves") as said:
            await bob.change_peer("node 0", schema.PeerChange(friend=True))
        word = said.value.advice.rpartition("servent contact ")[2]
        assert word.endswith(" --name 'node 0'"), "what to do next can be typed as it stands"
        await bob.change_peer(word.partition(" ")[0], schema.PeerChange(petname="node 0"))
        assert (await bob.change_peer("node 0", schema.PeerChange(friend=True))).friend
        with pytest.raises(NotFound):
            await bob.ping("nobody", 1)

    story(tmp_path, told)


def test_a_network_is_made_joined_listed_and_left(tmp_path: Path) -> None:
    async def told(ann: NodeFace, bob: NodeFace) -> None:
        made = await ann.create_network("club", open=False)
        assert (made.admin, made.open, made.members) == (True, False, 1)
        invitation = await ann.invite("club", uses=1, lifetime=3600.0)
        assert invitation.invitation.startswith("servent:")
        joined = await bob.join(invitation.invitation)
        assert (joined.kind, joined.network) == ("network", "club")
        await asyncio.sleep(5.0)
        assert ann.networks()[0].members == 2
        assert ann.networks()[0].online == 1
        assert ann.peers()[0].networks == ["club"]
        names = {member.id: member for member in await ann.members("club")}
        assert names[bob.id().id].connected
        [listed] = await ann.invitations("club")
        assert (listed.id, listed.invitation, listed.used) == (invitation.id, "", 1)
        await ann.revoke_invitation("club", listed.id)
        assert (await ann.invitations("club"))[0].revoked
        await ann.revoke_member("club", bob.id().id)
        removed = {member.id for member in await ann.members("club") if member.revoked}
        assert removed == {bob.id().id}
        with pytest.raises(UsageError, match="'club' already"):
            await ann.create_network("club", open=False)
        await bob.leave_network("club")
        assert bob.networks() == []
        with pytest.raises(NotFound):
            await bob.members("club")

    story(tmp_path, told)


def test_grants_and_limits_are_kept(tmp_path: Path) -> None:
    async def told(ann: NodeFace, bob: NodeFace) -> None:
        await acquainted(ann, bob)
        before = ann.grants()
        await ann.set_grant(schema.Grant(service="servent.blobs", audience="nobody", peers=[bob.id().id]))
        [grant] = [one for one in ann.grants() if one.service == "servent.blobs"]
        assert (grant.audience, grant.peers) == ("nobody", [bob.id().id])
        await ann.unset_grant("servent.blobs")
        assert ann.grants() == before
        with pytest.raises(NotFound, match="no service"):
            await ann.set_grant(schema.Grant(service="servent.blob", audience="nobody"))
        await ann.set_limits(schema.Limits(up_bytes_per_s=5_000_000, upload_slots=3))
        now = ann.limits()
        assert (now.up_bytes_per_s, now.down_bytes_per_s, now.upload_slots) == (5_000_000, None, 3)
        kept = configuration.load(ann.data_dir)
        assert (kept.blobs.up_bytes_per_s, kept.blobs.upload_slots) == (5_000_000, 3)
        with pytest.raises(UsageError):
            await ann.set_limits(schema.Limits(upload_slots=1000))

    story(tmp_path, told)


def test_our_own_ticket_is_no_use_to_us(tmp_path: Path) -> None:
    async def told(ann: NodeFace, bob: NodeFace) -> None:
        ticket = await ann.ticket(once=False, lifetime=None)
        assert ticket.expires is not None
        with pytest.raises(UsageError):
            await ann.join(ticket.ticket)

    story(tmp_path, told)


def test_flags_stand_in_the_place_of_settings_for_one_run(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[node]\nname = "file"\n[net]\nlan = true\n')
    found = configure(
        Options(
            data_dir=tmp_path, name="flag", relays=[], bind=["127.0.0.1:0"], bulk_port=7, relay_server=True
        )
    )
    assert (found.node.name, found.net.relays, found.net.bind) == ("flag", [], ["127.0.0.1:0"])
    assert (found.net.lan, found.blobs.bulk_port, found.roles.relay) == (True, 7, "on")
    assert configure(Options(data_dir=tmp_path)).node.name == "file"
    with pytest.raises(UsageError):
        configure(Options(data_dir=tmp_path, name="x" * 65))


def test_an_open_network_has_one_invitation_that_every_member_passes_on(tmp_path: Path) -> None:
    async def told(ann: NodeFace, bob: NodeFace) -> None:
        await ann.create_network("club", open=True)
        made = await ann.invite("club", uses=1, lifetime=None)
        assert (made.id, made.uses, made.expires) == ("open", None, None)
        assert (await bob.join(made.invitation)).connected
        again = await bob.invite("club", uses=None, lifetime=60.0)
        assert again.invitation.startswith("servent:")
        assert await ann.invitations("club") == []

    story(tmp_path, told)
