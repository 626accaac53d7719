"""Peers that offer what we fetch and mean harm: they lie, stall, trickle, or send us to dial others."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from servent.blobs import source_service, wire
from servent.blobs.magnet import parse_magnet
from servent.codec import write_frame
from servent.net.links import Stream
from servent.net.session import Session
from servent.net.wire import Bulk
from servent.node import Node
from servent.testing.nodes import nodes

Behaviour = Callable[[Stream], Awaitable[None]]
SIZE = 3_000_000


@asynccontextmanager
async def three(tmp_path: Path, behave: Behaviour, *, bulk: bool = False) -> AsyncIterator[list[Node]]:
    """mal, who answers every stream of a fetcher with `behave`; ann, who shares honestly; bob, who fetches."""
    async with nodes(3, tmp_path, bulk=bulk) as (mal, ann, bob):

        async def handle(session: Session, stream: Stream) -> None:
            opening = await wire.read_opening.read(stream)
            if isinstance(opening, wire.Want):
                await behave(stream)

        mal.peers.withdraw(wire.SERVICE)
        mal.peers.serve(wire.SERVICE, handle, audience="network")
        await bob.join(await mal.ticket())
        yield [mal, ann, bob]


async def share(ann: Node, folder: Path) -> tuple[str, bytes]:
    content = random.Random(1).randbytes(SIZE)
    path = folder / "film.bin"
    path.write_bytes(content)
    view = await ann.blobs.add(path)
    assert view.infohash is not None
    return ann.blobs.link(view.infohash), content


async def until(true: Callable[[], bool], limit: float = 60.0) -> None:
    async with asyncio.timeout(limit):
        while not true():
            await asyncio.sleep(0.02)


async def fetched(bob: Node, transfer: str, limit: float = 60.0) -> Path:
    await until(lambda: bob.blobs.transfer(transfer).state == "complete", limit)
    path = bob.blobs.transfer(transfer).path
    assert path is not None
    return Path(path)


async def offer(stream: Stream) -> None:
    await write_frame(stream, wire.Offer(True, 200))


async def silence(stream: Stream) -> None:
    """Offers it, and never answers a question."""
    await offer(stream)
    await asyncio.sleep(60)


async def trickle(stream: Stream) -> None:
    """Offers it, and sends the description a byte at a time."""
    await offer(stream)
    while not isinstance(await wire.read_from_fetcher.read(stream), wire.GetInfo):
        pass
    await write_frame(stream, wire.Body("info", 200))
    for _ in range(600):
        await stream.write(b"d")
        await asyncio.sleep(0.1)


async def stop_inside(stream: Stream) -> None:
    await offer(stream)
    while not isinstance(await wire.read_from_fetcher.read(stream), wire.GetInfo):
        pass
    await write_frame(stream, wire.Body("info", 200))
    await stream.write(b"d8:")
    await stream.finish()


async def huge(stream: Stream) -> None:
    """Announces far more than a description may have."""
    await offer(stream)
    while not isinstance(await wire.read_from_fetcher.read(stream), wire.GetInfo):
        pass
    await write_frame(stream, wire.Body("info", wire.MOST_LAYER_BYTES))
    while True:
        await stream.write(bytes(65536))


async def another(stream: Stream) -> None:
    """Sends the description of something else."""
    await offer(stream)
    while not isinstance(await wire.read_from_fetcher.read(stream), wire.GetInfo):
        pass
    info = b"d9:file treed8:evil.exed0:d6:lengthi0eeee12:meta versioni2e4:name4:evil12:piece lengthi16384ee"
    await write_frame(stream, wire.Body("info", len(info)))
    await stream.write(info)


async def unasked(stream: Stream) -> None:
    """Sends a body nobody asked for."""
    await offer(stream)
    while True:
        await write_frame(stream, wire.Body("layers", 32))
        await stream.write(bytes(32))


async def noise(stream: Stream) -> None:
    while True:
        await stream.write(os.urandom(2000))


@pytest.mark.parametrize(
    "behave", [silence, trickle, stop_inside, huge, another, unasked, noise], ids=lambda one: one.__name__
)
def test_one_bad_source_keeps_nobody_from_the_good_one(
    tmp_path: Path, behave: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_service, "ANSWER_LIMIT", 0.5)

    async def story() -> None:
        async with three(tmp_path, behave) as (_, ann, bob):
            link, content = await share(ann, tmp_path)
            transfer = (await bob.blobs.fetch(link)).id
            await asyncio.sleep(0.3)  # mal comes first
            await bob.join(await ann.ticket())
            path = await fetched(bob, transfer)
            assert path.read_bytes() == content

    asyncio.run(story())


def test_a_source_that_gives_lies_is_dropped_and_its_bytes_are_nowhere(tmp_path: Path) -> None:
    """mal knows the description, has everything, grants slots, and sends zeros."""

    async def story() -> None:
        async with nodes(3, tmp_path, bulk=False) as (mal, ann, bob):
            link, content = await share(ann, tmp_path)
            collection = ann.blobs._uploads.holdings[parse_magnet(link).infohash].collection
            given = 0

            async def handle(session: Session, stream: Stream) -> None:
                nonlocal given
                opening = await wire.read_opening.read(stream)
                if isinstance(opening, wire.Lane):
                    while True:
                        ask = await wire.read_to_lane.read(stream)
                        if isinstance(ask, wire.Ask):
                            size = sum(
                                collection.span(piece).size
                                for piece in range(ask.first, ask.first + ask.count)
                            )
                            await write_frame(stream, wire.Give(ask.id, ask.first, ask.count, size))
                            await stream.write(bytes(size))
                            given += size
                await write_frame(stream, wire.Offer(True, len(collection.info)))
                while True:
                    match await wire.read_from_fetcher.read(stream):
                        case wire.GetInfo():
                            await write_frame(stream, wire.Body("info", len(collection.info)))
                            await stream.write(collection.info)
                        case wire.GetLayers(roots):
                            layers = b"".join(collection.layers[root] for root in roots)
                            await write_frame(stream, wire.Body("layers", len(layers)))
                            await stream.write(layers)
                        case wire.Interested():
                            await write_frame(stream, wire.Slot(b"k" * 32))

            mal.peers.withdraw(wire.SERVICE)
            mal.peers.serve(wire.SERVICE, handle, audience="network")
            await bob.join(await mal.ticket())
            transfer = (await bob.blobs.fetch(link)).id
            await until(lambda: any(one.state == "dropped" for one in bob.blobs.transfer(transfer).sources))
            assert given > 0
            assert bob.blobs.transfer(transfer).done_bytes == 0
            await bob.join(await ann.ticket())
            assert (await fetched(bob, transfer)).read_bytes() == content

    asyncio.run(story())


def test_a_layer_that_lies_is_not_learned(tmp_path: Path) -> None:
    async def story() -> None:
        async with nodes(3, tmp_path, bulk=False) as (mal, ann, bob):
            link, content = await share(ann, tmp_path)
            collection = ann.blobs._uploads.holdings[parse_magnet(link).infohash].collection

            async def behave(stream: Stream) -> None:
                await write_frame(stream, wire.Offer(True, len(collection.info)))
                while True:
                    match await wire.read_from_fetcher.read(stream):
                        case wire.GetInfo():
                            await write_frame(stream, wire.Body("info", len(collection.info)))
                            await stream.write(collection.info)
                        case wire.GetLayers(roots):
                            size = sum(len(collection.layers[root]) for root in roots)
                            await write_frame(stream, wire.Body("layers", size))
                            await stream.write(os.urandom(size))

            async def handle(session: Session, stream: Stream) -> None:
                await wire.read_opening.read(stream)
                await behave(stream)

            mal.peers.withdraw(wire.SERVICE)
            mal.peers.serve(wire.SERVICE, handle, audience="network")
            await bob.join(await mal.ticket())
            transfer = (await bob.blobs.fetch(link)).id
            await until(lambda: any(one.state == "dropped" for one in bob.blobs.transfer(transfer).sources))
            await bob.join(await ann.ticket())
            assert (await fetched(bob, transfer)).read_bytes() == content

    asyncio.run(story())


def test_a_source_cannot_make_us_dial_somebody_again_and_again(tmp_path: Path) -> None:
    """Its profile names a third party as its TCP lane, and it hands out tokens nobody asked for."""
    dials = 0

    async def story() -> None:
        nonlocal dials

        def came(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal dials
            dials += 1
            writer.close()

        victim = await asyncio.start_server(came, "127.0.0.1", 0)
        port = victim.sockets[0].getsockname()[1]
        async with nodes(3, tmp_path) as (mal, ann, bob):
            mal.blobs.bulk = lambda: Bulk([f"127.0.0.1:{port}"], b"c" * 32)  # type: ignore[method-assign]
            link, _ = await share(ann, tmp_path)
            collection = ann.blobs._uploads.holdings[parse_magnet(link).infohash].collection

            async def handle(session: Session, stream: Stream) -> None:
                if isinstance(await wire.read_opening.read(stream), wire.Lane):
                    await asyncio.sleep(60)
                await write_frame(stream, wire.Offer(True, len(collection.info)))

                async def flood() -> None:
                    while True:
                        await write_frame(stream, wire.BulkToken(b"t" * 32))
                        await asyncio.sleep(0.002)

                async with asyncio.TaskGroup() as tasks:
                    while True:
                        match await wire.read_from_fetcher.read(stream):
                            case wire.GetInfo():
                                await write_frame(stream, wire.Body("info", len(collection.info)))
                                await stream.write(collection.info)
                            case wire.GetLayers(roots):
                                layers = b"".join(collection.layers[root] for root in roots)
                                await write_frame(stream, wire.Body("layers", len(layers)))
                                await stream.write(layers)
                            case wire.Interested():
                                await write_frame(stream, wire.Slot(b"k" * 32))
                                tasks.create_task(flood())

            mal.peers.withdraw(wire.SERVICE)
            mal.peers.serve(wire.SERVICE, handle, audience="network")
            await bob.join(await mal.ticket())
            transfer = (await bob.blobs.fetch(link)).id
            await until(lambda: dials > 0)
            await asyncio.sleep(3)
            await bob.blobs.cancel(transfer)
        victim.close()

    asyncio.run(story())
    assert dials <= 3, "one at once, the next after 2 s"
