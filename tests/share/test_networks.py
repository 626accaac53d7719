"""Sharing and the networks: what comes back as finds, what is told, who is met for a transfer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from servent.identity import Identity, PeerId
from servent.node import Node
from servent.overlay.effects import Asked, Finding, News, Prover
from servent.overlay.records import Item, PeerRecord
from servent.overlay.views import NetworkShape
from servent.query import language
from servent.share import network_items
from servent.share.folding import Found, Standing
from servent.share.network_finder_service import NetworkFinder
from servent.share.network_publishing_service import NetworkPublishing
from servent.share.search_service import Networked, Only
from servent.share.sourcing_service import Sourcing
from servent.testing.loop import run
from servent.testing.nodes import nodes
from servent.testing.simnet import SimNet
from tests.share.finding import shares

ME, ANN, BOB = (Identity(bytes([n]) * 32).peer for n in (1, 2, 3))
CLUB = bytes(32)
SHAPE = NetworkShape(CLUB, "club", "hybrid", (), False, False, "", 3, 1)


def item(name: str, content: bytes = b"", size: int = 1000, **more: Any) -> Item:
    return Item((content or name.encode()).ljust(32, b".")[:32], size, 1, name, "music", **more)


class FakeNetworks:
    """`share.networks.Networks`, which answers every question with the same events."""

    async def where(self, peer: PeerId) -> PeerRecord | None:
        return None

    def watch(self, text: str, callback: News) -> int:
        return 0

    def unwatch(self, watch: int) -> None: ...

    def on_change(self, callback: Callable[[], None]) -> None: ...

    def use_prover(self, prover: Prover) -> None: ...

    def __init__(self, *events: Finding | Asked, shapes: Sequence[NetworkShape] = (SHAPE,)) -> None:
        self.events, self._shapes = events, list(shapes)
        self.published: list[tuple[bytes, Sequence[Item]]] = []
        self.asked: list[Any] = []
        self.callbacks: list[Callable[[], None]] = []

    def shapes(self) -> list[NetworkShape]:
        return self._shapes

    async def search(self, *args: object, **more: object) -> AsyncGenerator[Finding | Asked]:
        self.asked.append((args, more))
        for event in self.events:
            yield event

    who_has = search

    def publish(self, network: bytes, items: Sequence[Item]) -> None:
        self.published.append((network, items))


class Heard:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.finds: list[tuple[Standing, list[Found]]] = []
        self.progress: list[Networked] = []

    def asked(self, peer: PeerId, name: str = "") -> None: ...

    def found(self, at: Standing, found: Sequence[Found]) -> None:
        self.finds.append((at, list(found)))

    def answered(self, peer: PeerId, more: bool = False, reason: str = "") -> None: ...

    def networked(self, how: Networked) -> None:
        self.progress.append(how)


def finder(networks: FakeNetworks, **more: Any) -> NetworkFinder:
    given: dict[str, Any] = {
        "blocked": lambda peer: False,
        "friend": lambda peer: False,
        "name": lambda peer: "",
        "here": lambda peer: False,
    }
    return NetworkFinder(ME, networks, **(given | more))


async def heard(networks: FakeNetworks, text: str, only: PeerId | None = None, **more: Any) -> Heard:
    sink = Heard()
    await finder(networks, **more).find(language.parse(text), 100, sink, Only(only))
    return sink


def test_finds_come_with_who_said_so_and_whether_they_are_there() -> None:
    record = PeerRecord(bytes(ANN), 1, 60)
    event = Finding(1, 1, [(ANN, item("nina.flac")), (BOB, item("nina live.flac"))], {ANN: record})
    sink = asyncio.run(heard(FakeNetworks(event, Asked(1, 2, 2, 6, True)), "nina"))
    assert [(at.peer, at.network, at.reachable) for at, _ in sink.finds] == [
        (ANN, "club", True),
        (BOB, "club", None),
    ]
    assert [one.path for _, found in sink.finds for one in found] == [
        "music/nina.flac",
        "music/nina live.flac",
    ]
    assert sink.progress == [Networked("club", 2, 2, 6, True)]


def test_what_was_not_asked_for_what_is_ours_and_what_is_blocked_is_passed_over() -> None:
    found = [
        (ME, item("nina.flac")),
        (ANN, item("bach.flac")),
        (BOB, item("nina.ogg")),
        (ANN, item("nina", size=0)),
    ]
    sink = asyncio.run(heard(FakeNetworks(Finding(1, 1, found)), "nina", blocked=lambda peer: peer == BOB))
    assert sink.finds == []


def test_a_network_is_not_asked_when_one_peer_is_meant() -> None:
    networks = FakeNetworks()
    asyncio.run(heard(networks, "nina", only=ANN))
    assert networks.asked == []


def test_every_network_is_told_newest_first_and_only_what_is_for_networks(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(1, tmp_path, SimNet()) as (ann,):
            await shares(ann, tmp_path / "music", {"old.flac": b"1", "new.flac": b"2", "empty.flac": b""})
            await shares(ann, tmp_path / "private", {"secret.flac": b"3"}, audience="friends")
            networks = FakeNetworks(shapes=[SHAPE, replace(SHAPE, network=b"s" * 32, mode="server")])
            await told(ann, networks)
            assert [key for key, _ in networks.published] == [CLUB, b"s" * 32]
            for _, items in networks.published:
                assert {one.name for one in items} == {"old.flac", "new.flac"}
                assert {one.where for one in items} == {"music"}

    run(main())


async def told(node: Node, networks: FakeNetworks, times: int = 1) -> None:
    share = node.share
    publishing = NetworkPublishing(
        share.library_store, networks, share._for_networks, share._links, share.safety.blocks_content
    )
    task = asyncio.get_running_loop().create_task(publishing.run())
    for _ in range(times):
        publishing.changed()
        await asyncio.sleep(10.0)
    task.cancel()


def test_what_is_the_same_is_told_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(1, tmp_path, SimNet()) as (ann,):
            await shares(ann, tmp_path / "music", {"one.flac": b"1"})
            networks = FakeNetworks()
            await told(ann, networks, times=3)
            assert len(networks.published) == 1

    run(main())


@pytest.mark.parametrize("limit", [0, 1, 2])
def test_of_a_large_library_the_newest_are_told(tmp_path: Path, limit: int) -> None:
    async def main() -> list[Item]:
        async with nodes(1, tmp_path, SimNet()) as (ann,):
            await shares(ann, tmp_path / "a", {"one.flac": b"1"})
            await shares(ann, tmp_path / "b", {"two.flac": b"2", "same as one.flac": b"1"})
            job = network_items.newest(ann.share._for_networks(), limit, lambda root: False)
            return await ann.share.library_store.read(job)

    assert len(run(main())) == limit


def test_a_transfer_without_enough_sources_is_looked_for_again_ever_more_rarely() -> None:
    async def main() -> list[float]:
        view = SimpleNamespace(
            id="t", direction="down", state="connecting", name="x", sources=(), infohash=CLUB, content=""
        )
        networks = FakeNetworks()
        times: list[float] = []
        clock = asyncio.get_running_loop().time

        async def who_has(*_: object, **__: object) -> AsyncGenerator[Finding | Asked]:
            times.append(clock())
            return
            yield

        networks.who_has = who_has  # type: ignore[method-assign,assignment]
        peers: Any = SimpleNamespace(peer=ME)
        sourcing = Sourcing(peers, networks, lambda: [view], lambda peer: False)  # type: ignore[list-item]
        task = asyncio.get_running_loop().create_task(sourcing.run())
        await asyncio.sleep(1000.0)
        task.cancel()
        return times

    times = run(main())
    gaps = [round(after - before) for before, after in pairwise(times)]
    assert times[0] <= 3.0 and gaps[0] >= 20 and gaps == sorted(gaps) and len(times) < 8


def test_a_find_is_shown_without_what_controls_a_screen_or_turns_its_direction() -> None:
    bad = Item(bytes(32), 5, 1, "nina\x1b[2J\u202egpj.exe", "a\x00/../..", {"artist": "x\x07\u202e"}, 2**40)
    one = network_items.found(bad, 1.0)
    text = one.path + str(one.tags["artist"])
    assert not {"\x1b", "\u202e", "\x00", "\x07"} & set(text)


def test_what_is_sent_by_link_is_told_by_a_hash_of_the_link_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(1, tmp_path, SimNet()) as (ann,):
            (tmp_path / "a secret.txt").write_text("for whom I give the link")
            share = await ann.blobs.add(tmp_path / "a secret.txt")
            assert share.infohash is not None
            networks = FakeNetworks()
            await told(ann, networks)
            ((_, items),) = networks.published
            assert [one.content for one in items] == [network_items.linked(share.infohash)]
            said = repr(items)
            assert "secret" not in said and share.infohash.hex() not in said
            assert await ann.share._proves(ANN, items[0]) is None
            await ann.trust.grant("servent.blobs", "friends")
            assert ann.share._links() == []

    run(main())
