"""Peers that fetch from us and mean harm: what they may not have, more than their share, after they were shut out."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from servent.blobs import wire
from servent.blobs.info import Collection
from servent.blobs.lanes_tls import TlsPipe, connect_any
from servent.blobs.magnet import parse_magnet
from servent.blobs.uploads_service import QUIC_LANES_MOST, REFUSAL, Upload
from servent.codec import frame, write_frame
from servent.errors import ConnectionLost, Refused
from servent.net.links import Stream
from servent.node import Node
from servent.testing.nodes import nodes

SIZE = 12_000_000


class Fetcher:
    """A program that speaks `servent.blobs/1` by hand."""

    def __init__(self, node: Node, victim: Node, infohash: bytes) -> None:
        self.node, self.victim, self.infohash = node, victim, infohash
        self.control: Stream
        self.pipes: list[TlsPipe] = []

    async def want(self) -> wire.FromServer:
        self.control = await self.node.open(self.victim.peer, wire.SERVICE)
        await write_frame(self.control, wire.Want(self.infohash))
        return await self.hear()

    async def hear(self) -> wire.FromServer:
        async with asyncio.timeout(60):
            return await wire.read_from_server.read(self.control)

    async def slot(self) -> bytes:
        """Ask for a slot; its key."""
        await write_frame(self.control, wire.Interested(True))
        while not isinstance(message := await self.hear(), wire.Slot):
            pass
        return message.key

    async def token(self) -> bytes:
        await write_frame(self.control, wire.GetToken())
        while not isinstance(message := await self.hear(), wire.BulkToken):
            pass
        return message.token

    async def lane(self, key: bytes) -> Stream:
        stream = await self.node.open(self.victim.peer, wire.SERVICE)
        await write_frame(stream, wire.Lane(key))
        return stream

    async def pipe(self, token: bytes) -> TlsPipe:
        listener = self.victim.blobs._listener
        assert listener is not None

        def dial() -> TlsPipe:
            sock = connect_any([("127.0.0.1", listener.port)], 60.0)
            pipe = TlsPipe.dial(sock, listener.certificate.digest, 60.0)
            pipe.write(frame(wire.Lane(token)))
            return pipe

        self.pipes.append(await asyncio.to_thread(dial))
        return self.pipes[-1]


@asynccontextmanager
async def scene(
    tmp_path: Path, fetchers: int = 1, size: int = SIZE
) -> AsyncIterator[tuple[Node, Collection, list[Fetcher]]]:
    """A node that shares one file with its friends, and those who come for it."""
    async with nodes(1 + fetchers, tmp_path) as (victim, *others):
        path = tmp_path / "film.bin"
        path.write_bytes(random.Random(1).randbytes(size))
        view = await victim.blobs.add(path)
        assert view.infohash is not None
        for other in others:
            await other.join(await victim.ticket())
        collection = victim.blobs._uploads.holdings[view.infohash].collection
        came = [Fetcher(other, victim, view.infohash) for other in others]
        yield victim, collection, came
        for fetcher in came:
            for pipe in fetcher.pipes:
                pipe.close()


async def until(true: Callable[[], bool], limit: float = 60.0) -> None:
    async with asyncio.timeout(limit):
        while not true():
            await asyncio.sleep(0.02)


async def ends(stream: Stream, limit: float = 60.0) -> bool:
    """Whether the other side ends it, read to the last byte."""
    try:
        async with asyncio.timeout(limit):
            while await stream.read(1 << 20):
                pass
    except (ConnectionLost, Refused):
        return True
    except TimeoutError:
        return False
    return True


def only(victim: Node) -> Upload:
    [upload] = victim.blobs._uploads.uploads.values()
    return upload


def test_what_is_not_for_you_and_what_is_not_there_are_refused_alike(tmp_path: Path) -> None:
    async def story() -> None:
        async with scene(tmp_path) as (victim, _, [mal]):
            assert isinstance(await mal.want(), wire.Offer)
            await victim.trust.grant(wire.GRANT, "nobody", [])
            with pytest.raises((Refused, ConnectionLost)):
                await mal.want()
            await victim.trust.grant(wire.GRANT, "everyone", [])
            there = Fetcher(mal.node, victim, b"?" * 32)
            assert await there.want() == REFUSAL

    asyncio.run(story())


def test_a_grant_taken_back_ends_every_lane_at_once(tmp_path: Path) -> None:
    """Over QUIC and over TCP, in the middle of what was asked for, whatever the fetcher does."""

    async def story() -> None:
        async with scene(tmp_path) as (victim, collection, [mal]):
            await mal.want()
            key, token = await mal.slot(), await mal.token()
            lane, pipe = await mal.lane(key), await mal.pipe(token)
            ask = frame(wire.Ask(1, 0, collection.pieces))
            await lane.write(ask)
            await asyncio.to_thread(pipe.write, ask)
            assert await lane.read_exactly(100_000)
            assert await asyncio.to_thread(pipe.read_exactly, 100_000)
            await victim.trust.grant(wire.GRANT, "nobody", [])
            await until(lambda: not victim.blobs._uploads.uploads)
            sent = victim.blobs._pace.total("up")
            async with asyncio.timeout(60.0):
                with pytest.raises(ConnectionLost):
                    while await lane.read(1 << 20):
                        pass

            def drain() -> None:
                while True:
                    pipe.read_exactly(65536)

            with pytest.raises(ConnectionLost):
                await asyncio.to_thread(drain)
            assert mal.node.peers.session(victim.peer) is not None, "the friendship is another matter"
            # and what is asked over the old control stream is not answered any more
            await mal.control.write(frame(wire.GetInfo()) + frame(wire.Interested(True)))
            assert await ends(mal.control)
            assert not victim.blobs._uploads.slots.holds(mal.node.peer)
            assert victim.blobs._pace.total("up") - sent < 1 << 20

    asyncio.run(story())


@pytest.mark.parametrize("how", ["block", "remove", "expel"])
def test_who_is_shut_out_in_mid_transfer_gets_nothing_more_on_either_lane(tmp_path: Path, how: str) -> None:
    async def story() -> None:
        async with nodes(2, tmp_path) as (victim, other):
            path = tmp_path / "film.bin"
            path.write_bytes(random.Random(1).randbytes(SIZE))
            view = await victim.blobs.add(path)
            assert view.infohash is not None
            if how == "expel":
                await victim.trust.create_network("club")
                await other.join(await victim.invite("club"))
            else:
                await other.join(await victim.ticket())
            mal = Fetcher(other, victim, view.infohash)
            await mal.want()
            key, token = await mal.slot(), await mal.token()
            spare = await mal.token()
            lane, pipe = await mal.lane(key), await mal.pipe(token)
            await lane.write(frame(wire.Ask(1, 0, 40)))
            await asyncio.to_thread(pipe.write, frame(wire.Ask(1, 0, 40)))
            await asyncio.to_thread(pipe.read_exactly, 100_000)
            if how == "block":
                await victim.trust.block(other.peer)
            elif how == "remove":
                await victim.trust.remove(other.peer)
            else:
                await victim.trust.remove_member("club", other.peer)
            await until(lambda: not victim.blobs._uploads.uploads)
            await until(lambda: victim.peers.session(other.peer) is None)
            assert await ends(lane)
            late = await mal.pipe(spare)
            with pytest.raises(ConnectionLost):
                await asyncio.to_thread(late.read_exactly, 1)
            late.close()
            pipe.close()
            with pytest.raises((Refused, ConnectionLost)):
                await mal.want()

    asyncio.run(story())


def test_without_a_slot_nothing_is_given_and_keys_are_for_one_peer_only(tmp_path: Path) -> None:
    async def story() -> None:
        async with scene(tmp_path, 2) as (victim, _, [ann, mal]):
            await ann.want()
            key = await ann.slot()
            await mal.want()
            for stolen in (key, b"?" * 32):
                assert await ends(await mal.lane(stolen))
            own = await mal.slot()
            lane = await mal.lane(own)
            await write_frame(mal.control, wire.Interested(False))
            await until(lambda: not victim.blobs._uploads.uploads[mal.node.peer, mal.infohash].slot)
            await write_frame(lane, wire.Ask(1, 0, 10))
            assert await wire.read_from_lane.read(lane) == wire.Deny(1, 0, 10, "queued")
            await write_frame(mal.control, wire.GetToken())  # comes with the next slot, not before
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await wire.read_from_server.read(mal.control)

    asyncio.run(story())


@pytest.mark.parametrize("which", ["outside", "flood", "again", "garbage", "long"])
def test_an_impossible_ask_ends_its_lane_alone(tmp_path: Path, which: str) -> None:
    async def story() -> None:
        async with scene(tmp_path) as (victim, collection, [mal]):
            await mal.want()
            key, token = await mal.slot(), await mal.token()
            bad = {
                "outside": frame(wire.Ask(1, collection.pieces - 1, 2)),
                "flood": b"".join(frame(wire.Ask(n, 0, 40)) for n in range(2 * wire.MOST_ASKS)),
                "again": frame(wire.Ask(1, 0, 40)) * 2,
                "garbage": b"\x00\x00\x00\x05hello",
                "long": (1 << 31).to_bytes(4, "big") + bytes(1000),
            }[which]
            lane, pipe = await mal.lane(key), await mal.pipe(token)
            good = await mal.lane(key)
            await lane.write(bad)
            await asyncio.to_thread(pipe.write, bad)
            assert await ends(lane)

            def drain() -> None:
                while True:
                    pipe.read_exactly(1)

            with pytest.raises(ConnectionLost):
                await asyncio.to_thread(drain)
            pipe.close()
            await write_frame(good, wire.Ask(7, 0, 1))
            give = await wire.read_from_lane.read(good)
            assert isinstance(give, wire.Give)
            assert collection.verify(0, await good.read_exactly(give.size))
            assert mal.node.peers.session(victim.peer) is not None

    asyncio.run(story())


def test_lanes_and_control_streams_are_few(tmp_path: Path) -> None:
    async def story() -> None:
        async with scene(tmp_path) as (victim, _, [mal]):
            await mal.want()
            first = mal.control
            key = await mal.slot()
            lanes = [await mal.lane(key) for _ in range(QUIC_LANES_MOST + 4)]
            await until(lambda: len(only(victim).lanes) == QUIC_LANES_MOST)
            assert all([await ends(lane) for lane in lanes[QUIC_LANES_MOST:]])
            for _ in range(20):
                await mal.want()
            assert await ends(first), "the newest control stream is the only one"
            session = victim.peers.session(mal.node.peer)
            assert session is not None
            await until(lambda: session.serving <= QUIC_LANES_MOST + 1)

    asyncio.run(story())


def test_who_asks_for_layers_and_reads_none_costs_no_memory(tmp_path: Path) -> None:
    """The largest answer is 64 MiB; it is sent from what is there, never put together."""

    async def story() -> None:
        async with scene(tmp_path, size=40_000_000) as (victim, collection, [mal]):
            [root] = collection.layers
            holding = victim.blobs._uploads.holdings[mal.infohash]
            layer = bytes(collection.layer_bytes(root)) * 1000
            holding.collection.layers[root] = layer  # as of a very large file
            times = min(wire.MOST_ROOTS, wire.MOST_LAYER_BYTES // len(layer))
            import tracemalloc

            tracemalloc.start()
            try:
                await mal.want()
                for _ in range(4):
                    await write_frame(mal.control, wire.GetLayers([root] * times))
                await asyncio.sleep(0.5)
                _, most = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            assert times * len(layer) > 30_000_000
            assert most < 2 * len(layer) + 20_000_000

    asyncio.run(story())


def test_a_share_that_ends_ends_for_everybody_and_a_slot_cannot_be_kept(tmp_path: Path) -> None:
    async def story() -> None:
        async with scene(tmp_path) as (victim, _, [mal]):
            await mal.want()
            key = await mal.slot()
            lane = await mal.lane(key)
            await write_frame(lane, wire.Ask(1, 0, 40))
            await victim.blobs.remove_share(victim.blobs.shares()[0].id)
            assert await ends(lane)
            assert not victim.blobs._uploads.slots.holds(mal.node.peer)
            await mal.control.write(frame(wire.Interested(True)))
            assert await ends(mal.control)
            assert not victim.blobs._uploads.slots.holds(mal.node.peer)
            assert await mal.want() == REFUSAL

    asyncio.run(story())


def test_a_link_gives_no_right(tmp_path: Path) -> None:
    """Who has the link and not the grant gets nothing, also not the list of files."""

    async def story() -> None:
        async with scene(tmp_path) as (victim, _, [mal]):
            link = victim.blobs.link(mal.infohash, [str(victim.peer)])
            await victim.trust.grant(wire.GRANT, "nobody", [])
            transfer = (await mal.node.blobs.fetch(link)).id
            await asyncio.sleep(1.0)
            view = mal.node.blobs.transfer(transfer)
            assert view.state == "connecting" and not view.files
            assert parse_magnet(link).infohash == mal.infohash
            await mal.node.blobs.cancel(transfer)

    asyncio.run(story())
