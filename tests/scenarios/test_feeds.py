"""Feeds between whole nodes: versions, what travels, who passes news on, and what stays a person's own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from servent.errors import NotFound, UsageError
from servent.node import Node
from servent.share.feeds_service import FeedView
from servent.testing.nodes import gather_in_network, nodes

pytestmark = pytest.mark.real


async def until(condition: Callable[[], object], limit: float = 60.0) -> None:
    async with asyncio.timeout(limit):
        while not condition():
            await asyncio.sleep(0.02)


def only(node: Node) -> FeedView:
    return node.share.feeds.feeds()[0]


def write(path: Path, size: int, seed: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(random.Random(seed).randbytes(size))


@pytest.mark.slow
def test_one_percent_changed_costs_less_than_three(tmp_path: Path) -> None:
    source, to = tmp_path / "source", tmp_path / "to"
    for number in range(16):
        write(source / f"{number}.bin", 8 << 20, number)

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes") as (ann, bob):
            await gather_in_network([ann, bob])
            feed = await ann.share.feeds.publish("data", source, watch=False)
            await until(lambda: only(ann).state == "published")
            await bob.share.feeds.follow(feed.link, to)
            await until(lambda: only(bob).have == 1)
            before = bob.blobs.total("down")
            with open(source / "3.bin", "r+b") as file:
                file.seek(1 << 20)
                file.write(random.Random(99).randbytes(128 * 1024 * 1024 // 100))
            (source / "5.bin").rename(source / "renamed.bin")  # costs nothing
            await ann.share.feeds.publish_again(feed.id)
            await until(lambda: only(bob).have == 2)
            assert bob.blobs.total("down") - before < 0.03 * 128 * 1024 * 1024
        for path in source.iterdir():
            assert (to / "data" / path.name).read_bytes() == path.read_bytes()
        assert not (to / "data" / "5.bin").exists()
        assert {one.name for one in to.iterdir()} == {"data"}

    asyncio.run(main())


@pytest.mark.slow
def test_a_change_is_noticed_and_who_follows_passes_it_on_while_the_publisher_is_away(tmp_path: Path) -> None:
    source = tmp_path / "list.txt"
    source.write_text("one")

    async def main() -> None:
        async with nodes(3, tmp_path / "nodes") as (ann, bob, cat):
            await gather_in_network([ann, bob, cat])
            feed = await ann.share.feeds.publish("list", source)
            await until(lambda: only(ann).state == "published")
            await bob.share.feeds.follow(feed.link, tmp_path / "bob")
            await until(lambda: only(bob).have == 1)
            await asyncio.sleep(0.5)  # the watcher is there
            source.write_text("two, and longer")
            await until(lambda: only(bob).have == 2)
            assert (tmp_path / "bob" / "list").read_text() == "two, and longer"
            assert only(ann).followers == 1
            await ann.peers.close()
            await cat.share.feeds.follow(feed.link, tmp_path / "cat", keep=1)
            await until(lambda: only(cat).have == 2)
            assert (tmp_path / "cat" / "list").read_text() == "two, and longer"

    asyncio.run(main())


@pytest.mark.slow
def test_what_the_follower_changed_is_kept_and_old_versions_as_many_as_wanted(tmp_path: Path) -> None:
    source, to = tmp_path / "source", tmp_path / "to"
    write(source / "a.bin", 300_000, 1)

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes") as (ann, bob):
            await gather_in_network([ann, bob])
            feed = await ann.share.feeds.publish("notes", source, watch=False)
            await until(lambda: only(ann).state == "published")
            await bob.share.feeds.follow(feed.link, to, keep=1)
            await until(lambda: only(bob).have == 1)
            write(source / "a.bin", 300_000, 2)
            await ann.share.feeds.publish_again(feed.id)
            await until(lambda: only(bob).have == 2)
            old = list((to / ".servent-feeds" / feed.id / "versions").iterdir())
            assert [one.name for one in old] == ["1"]
            (to / "notes" / "mine.txt").write_text("my own words")
            write(source / "a.bin", 300_000, 3)
            await ann.share.feeds.publish_again(feed.id)
            await until(lambda: only(bob).have == 3)
            kept = [one for one in to.iterdir() if one.name.startswith("notes (changed here")]
            assert len(kept) == 1 and (kept[0] / "mine.txt").read_text() == "my own words"
            assert not (to / "notes" / "mine.txt").exists()
            again = await ann.share.feeds.publish_again(feed.id)
            assert again.newest is not None and again.newest.sequence == 3, "nothing changed: no new version"

    asyncio.run(main())


@pytest.mark.slow
def test_a_follower_that_was_away_gets_the_newest_after_a_restart(tmp_path: Path) -> None:
    source, to = tmp_path / "source", tmp_path / "to"
    write(source / "a.bin", 100_000, 1)

    async def main() -> None:
        async with nodes(2, tmp_path / "nodes") as (ann, bob):
            await gather_in_network([ann, bob])
            feed = await ann.share.feeds.publish("notes", source, watch=False)
            await until(lambda: only(ann).state == "published")
            await bob.share.feeds.follow(feed.link, to, auto=False)
            await until(lambda: only(bob).newest is not None)
            assert only(bob).state == "waiting" and "not fetched by itself" in only(bob).reason
            data, config = bob.data_dir, bob.config
        async with nodes(1, tmp_path / "more") as (ann2,):
            assert ann2.share.feeds.feeds() == []
        async with Node(data, config) as bob, Node(ann.data_dir, ann.config) as ann3:
            await bob.join(await ann3.ticket())
            assert only(ann3).state in ("publishing", "published")
            await bob.share.feeds.change(only(bob).id, auto=True)
            await until(lambda: only(bob).have == 1)
            assert (to / "notes" / "a.bin").read_bytes() == (source / "a.bin").read_bytes()

    asyncio.run(main())


def test_what_cannot_be_is_refused_with_words(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(1, tmp_path / "nodes") as (ann,):
            feeds = ann.share.feeds
            (tmp_path / "x").write_text("x")
            with pytest.raises(NotFound):
                await feeds.publish("a", tmp_path / "nothing")
            feed = await feeds.publish("a", tmp_path / "x")
            with pytest.raises(UsageError, match="already"):
                await feeds.publish("a", tmp_path / "x")
            with pytest.raises(UsageError, match="your own"):
                await feeds.follow(feed.link)
            with pytest.raises(UsageError):
                await feeds.follow("magnet:?xt=urn:btmh:1220" + "00" * 32)
            await feeds.remove(feed.id)
            assert feeds.feeds() == []
            with pytest.raises(NotFound):
                await feeds.remove(feed.id)

    asyncio.run(main())
