"""Contents: published once, fetched by whoever may, kept under a cap, remembered over a restart."""

from __future__ import annotations

import functools
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from servent.blobs import wire
from servent.blobs.canonical import canon
from servent.errors import BadMessage, UsageError, WorldError
from servent.grid.contents_service import Contents
from servent.grid.manifests import Content
from servent.identity import PeerId
from servent.node import Node
from servent.store import Store
from servent.testing.loop import run
from servent.testing.nodes import nodes
from servent.testing.simnet import SimNet


def story(test: Callable[[Path], Coroutine[Any, Any, None]]) -> Callable[[Path], None]:
    """In virtual time, on the simulated network."""

    @functools.wraps(test)
    def told(tmp_path: Path) -> None:
        run(test(tmp_path))

    return told


PROJECT, OTHER = b"p" * 32, b"o" * 32


@asynccontextmanager
async def contents(
    node: Node,
    allows: Callable[[bytes, PeerId], bool] = lambda project, peer: True,
    most: int = 10**9,
) -> AsyncIterator[Contents]:
    store = Store(node.data_dir / "contents-test.db")
    made = Contents(
        store,
        node.blobs,
        node.peers,
        node.trust,
        node.data_dir / "contents-test",
        most_bytes=lambda: most,
        allows=allows,
        wall=lambda: 1e9,
    )
    async with store:
        await made.open()
        try:
            yield made
        finally:
            await made.close()


async def befriend(one: Node, other: Node) -> None:
    for a, b in ((one, other), (other, one)):
        await a.trust.add_contact(b.peer, friend=True)
        a.peers.remember(b.endpoint.address())


@story
async def test_what_one_publishes_another_fetches_and_a_third_gets_from_the_second(tmp_path: Path) -> None:
    async with nodes(3, tmp_path, SimNet(seed=3), bulk=False) as (ann, bob, cat):
        await befriend(ann, bob)
        await befriend(bob, cat)
        async with contents(ann) as ours, contents(bob) as theirs, contents(cat) as third:
            small, large = os.urandom(20_000), os.urandom(900_000)  # one piece, and several with a layer
            found = await ours.publish_many([(small, "small"), (large, "large")], project=PROJECT)
            assert [one.infohash for one in found] == [canon(one.root, one.size) for one in found]
            for content, data in zip(found, (small, large), strict=True):
                path = await theirs.fetch(content, [ann.peer], project=PROJECT)
                assert path.read_bytes() == data
                assert ours.holders(content) == [bob.peer]
                assert (await third.fetch(content, [bob.peer], project=PROJECT)).read_bytes() == data
            assert theirs.used_bytes() == 920_000
            assert set(theirs.have(PROJECT)) == {one.infohash for one in found}
            assert bob.blobs.transfers() == [] and not any(Path(bob.download_dir).glob("*"))


@story
async def test_it_is_for_the_people_of_its_project_alone(tmp_path: Path) -> None:
    async with nodes(2, tmp_path, SimNet(seed=4), bulk=False) as (ann, bob):
        await befriend(ann, bob)
        async with contents(ann, lambda project, peer: project == OTHER) as ours, contents(bob) as theirs:
            content = await ours.publish(b"secret" * 5000, project=PROJECT)
            with pytest.raises(WorldError):
                await theirs.fetch(content, [ann.peer], project=PROJECT, timeout=1.5)
            await ours.publish(b"secret" * 5000, project=OTHER)  # the same bytes for somebody else
            assert (await theirs.fetch(content, [ann.peer], project=PROJECT)).stat().st_size == 30_000


@story
async def test_a_stranger_who_is_let_in_for_blobs_gets_contents_and_nothing_else(tmp_path: Path) -> None:
    async with nodes(2, tmp_path, SimNet(seed=5), bulk=False) as (ann, bob):
        secret = tmp_path / "diary.txt"
        secret.write_bytes(b"d" * 50_000)
        share = await ann.blobs.add(secret)
        bob.peers.remember(ann.endpoint.address())
        async with contents(ann) as ours, contents(bob) as theirs:
            content = await ours.publish(b"x" * 50_000, project=PROJECT)
            with pytest.raises(WorldError):  # not let in at all
                await theirs.fetch(content, [ann.peer], timeout=1.5)
            ann.trust.admit("everybody", None, [wire.SERVICE])
            path = await theirs.fetch(content, [ann.peer], timeout=10)
            assert path.read_bytes() == b"x" * 50_000
            with pytest.raises(WorldError, match="in 2 s"):
                await bob.blobs.aside.fetch(
                    bytes.fromhex(share.infohash) if isinstance(share.infohash, str) else share.infohash,
                    tmp_path / "loot",
                    [ann.peer],
                    timeout=2,
                )


@story
async def test_what_was_used_longest_ago_goes_when_room_is_needed_but_not_what_is_pinned_or_ours(
    tmp_path: Path,
) -> None:
    async with nodes(2, tmp_path, SimNet(seed=6), bulk=False) as (ann, bob):
        await befriend(ann, bob)
        async with contents(ann) as ours, contents(bob, most=50_000) as theirs:
            found = await ours.publish_many(
                [(bytes([n]) * 20_000, str(n)) for n in range(1, 5)], project=PROJECT
            )
            own = await theirs.publish(b"o" * 40_000)
            await theirs.fetch(found[0], [ann.peer])
            theirs.pin(found[0])
            for content in found[1:]:
                await theirs.fetch(content, [ann.peer])
            here = [theirs.path(one) is not None for one in found]
            assert here == [True, False, False, True]
            assert theirs.path(own) is not None
            too_large = await ours.publish(b"L" * 60_000, project=PROJECT)
            with pytest.raises(UsageError):
                await theirs.fetch(too_large, [ann.peer])
            path = await theirs.fetch(too_large, [ann.peer], keep="unit 7")
            assert path.exists()
            theirs.release("unit 7")
            await theirs._sweep()
            assert theirs.path(too_large) is None and not path.exists()


@story
async def test_what_is_pinned_before_it_is_fetched_stays_until_it_is_unpinned(tmp_path: Path) -> None:
    """As lending does it: else large inputs of one project push those of another out before they are computed."""
    async with nodes(2, tmp_path, SimNet(seed=6), bulk=False) as (ann, bob):
        await befriend(ann, bob)
        async with contents(ann) as ours, contents(bob, most=50_000) as theirs:
            small, large, other = await ours.publish_many(
                [(bytes([n]) * 30_000, str(n)) for n in range(1, 4)], project=PROJECT
            )
            theirs.pin(small)
            for content in (small, large):
                await theirs.fetch(content, [ann.peer], project=PROJECT)
            assert theirs.path(small) is not None
            await theirs.forget_project(PROJECT, at_once=True)
            assert theirs.path(small) is not None and theirs.path(large) is None
            theirs.unpin(small)
            await theirs._sweep()
            assert theirs.path(small) is None and theirs.used_bytes() == 0
            theirs.pin(other)
            theirs.unpin(other)
            for content in (other, large):
                await theirs.fetch(content, [ann.peer], project=PROJECT)
            assert theirs.path(other) is None and theirs.path(large) is not None


@story
async def test_it_is_there_after_a_restart_and_served_on(tmp_path: Path) -> None:
    async with nodes(2, tmp_path, SimNet(seed=7), bulk=False) as (ann, bob):
        await befriend(ann, bob)
        async with contents(ann) as ours:
            content = await ours.publish(b"again" * 9000, project=PROJECT)
        async with contents(ann) as ours, contents(bob) as theirs:
            assert ours.path(content) is not None and ours.used_bytes() == 45_000
            await theirs.fetch(content, [ann.peer])
            await ours.drop([content], project=PROJECT)
            assert ours.path(content) is None


@story
async def test_a_content_whose_names_do_not_belong_together_is_refused(tmp_path: Path) -> None:
    async with nodes(1, tmp_path, SimNet(seed=8), bulk=False) as (ann,), contents(ann) as ours:
        good = await ours.publish(b"good" * 100)
        for bad in (
            Content(good.infohash, 1, good.root, good.size),
            Content(good.infohash, 0, good.root, good.size + 1),
            Content(good.infohash, 0, b"r" * 32, good.size),
            Content(good.infohash, 0, good.root, 0),
        ):
            with pytest.raises(BadMessage):
                await ours.fetch(bad, [b"k" * 32])
        with pytest.raises(UsageError, match="empty"):
            await ours.publish(b"")


@story
async def test_a_folder_grows_by_files_and_only_those_are_fetched(tmp_path: Path) -> None:
    async with nodes(2, tmp_path, SimNet(seed=9), bulk=False) as (ann, bob):
        await befriend(ann, bob)
        ledger = tmp_path / "ledger"
        ledger.mkdir()
        old = os.urandom(700_000)
        (ledger / "0001").write_bytes(old)
        (ledger / "0002").write_bytes(b"two")
        async with contents(ann) as ours, contents(bob) as theirs:
            first = await ours.publish_folder(ledger, project=PROJECT)
            got = await theirs.fetch_folder(first, [ann.peer], project=PROJECT)
            assert {one.name: one.read_bytes() for one in got.iterdir()} == {"0001": old, "0002": b"two"}
            (ledger / "0002").write_bytes(b"two and more")
            (ledger / "0003").write_bytes(b"three")
            second = await ours.publish_folder(ledger, project=PROJECT)
            moved = bob.blobs.total("down")
            newer = await theirs.fetch_folder(second, [ann.peer], project=PROJECT)
            assert sorted(one.name for one in newer.iterdir()) == ["0001", "0002", "0003"]
            assert (newer / "0001").read_bytes() == old and (newer / "0002").read_bytes() == b"two and more"
            assert bob.blobs.total("down") - moved < 1000
            assert not got.exists()
            with pytest.raises(UsageError, match="more than may be"):
                (ledger / "0004").write_bytes(b"4" * 5000)
                third = await ours.publish_folder(ledger, project=PROJECT)
                await theirs.fetch_folder(third, [ann.peer], project=PROJECT, most_bytes=10_000)
        async with contents(bob) as theirs, contents(ann) as ours:
            assert await theirs.fetch_folder(second, []) == newer  # after a restart, too
