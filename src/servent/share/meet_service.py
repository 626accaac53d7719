"""`servent.meet/1`: two peers of ours who name the same place get a pipe through us, small and slow, and nothing else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from servent.codec import write_frame
from servent.errors import BadMessage, ConnectionLost
from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.net.links import Stream
from servent.net.peers import Peers
from servent.net.session import Session
from servent.share import codes_wire as wire
from servent.share.meet import PLACES_PER_PEER, Meetings

log = logging.getLogger(__name__)

READ_LIMIT = 5.0  # s for the first frame
PIPE_BYTES = 1024 * 1024  # one way; a talk takes about 1 KiB, and 100 bytes a second while files are hashed
PIPE_RATE, PIPE_BURST = 16 * 1024.0, 64 * 1024.0  # bytes per second, one way
PIPE_IDLE = 600.0  # s without a byte either way
CHUNK = 4096


class _Guest:
    """Who waits: its stream, and who comes for it."""

    def __init__(self, peer: PeerId, stream: Stream) -> None:
        self.peer, self.stream = peer, stream
        self.called = asyncio.Event()  # somebody seeks it
        self.over = asyncio.Event()  # and is gone again
        self.first: asyncio.Task[bytes] | None = None  # the read that noticed whether it left


class _Taken:
    """A guest's stream in the hands of us who seek it: begins with what the guest said while it waited."""

    def __init__(self, guest: _Guest, parted: Callable[[], None]) -> None:
        self._guest, self._stream, self._parted = guest, guest.stream, parted
        self._first, self._rest, self._open = guest.first, b"", True

    async def read(self, limit: int) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            self._rest = await asyncio.shield(first)
        if self._rest:
            data, self._rest = self._rest[:limit], self._rest[limit:]
            return data
        return await self._stream.read(limit)

    async def read_exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            more = await self.read(size - len(data))
            if not more:
                raise ConnectionLost("the stream ended too soon")
            data += more
        return bytes(data)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.write(data)

    async def finish(self) -> None:
        await self._stream.finish()

    async def reset(self, code: int = 0) -> None:
        await self._stream.reset(code)
        if self._open:
            self._open = False
            self._parted()
            self._guest.over.set()


class MeetService:
    """Owns the places and the pipes."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._meetings = Meetings()
        self._guests: dict[int, _Guest] = {}

    def open(self) -> None:
        """Serve it: to friends and members of our networks."""
        self._peers.serve(wire.MEET, self._handle, audience="network", streams=2 * PLACES_PER_PEER)

    def close(self) -> None:
        """Serve it no more; pipes end with their sessions."""
        self._peers.withdraw(wire.MEET)

    async def _handle(self, session: Session, stream: Stream) -> None:
        try:
            async with asyncio.timeout(READ_LIMIT):
                asking = await wire.read_asking.read(stream)
        except TimeoutError:
            raise BadMessage("a stream that says nothing") from None
        now = asyncio.get_running_loop().time()
        place = PeerId(asking.place)
        if isinstance(asking, wire.Wait):
            held = self._meetings.wait(session.peer, place, asking.lifetime, now)
            if held is None:
                await write_frame(stream, wire.Nobody())
            else:
                await self._hold(_Guest(session.peer, stream), *held)
            return
        ticket = self._meetings.seek(session.peer, place, now)
        if ticket is None:
            await write_frame(stream, wire.Nobody())
            return
        await self._join(self._guests.pop(ticket), session.peer, stream)

    async def take(self, place: PeerId, me: PeerId) -> Stream | None:
        """The way to whoever waits at `place` with us, when we ourselves seek it. None: nobody does.

        Raises ConnectionLost: they have just left. Reset the stream when done.
        """
        ticket = self._meetings.seek(me, place, asyncio.get_running_loop().time())
        if ticket is None:
            return None
        guest = self._guests.pop(ticket)
        guest.called.set()
        way = _Taken(guest, lambda: self._meetings.parted(me, guest.peer))
        try:
            await write_frame(guest.stream, wire.Met())
        except BaseException:
            await way.reset(0)
            raise
        return way

    async def _hold(self, guest: _Guest, ticket: int, lifetime: float) -> None:
        """Until somebody came and went, it left, or its time is up."""
        self._guests[ticket] = guest
        try:
            async with asyncio.TaskGroup() as tasks:
                guest.first = tasks.create_task(guest.stream.read(CHUNK), name="who waits")
                called = tasks.create_task(guest.called.wait(), name="who comes")
                await write_frame(guest.stream, wire.Held(lifetime))
                await asyncio.wait(
                    {guest.first, called}, timeout=lifetime, return_when=asyncio.FIRST_COMPLETED
                )
                if guest.called.is_set():
                    await guest.over.wait()
                called.cancel()
                guest.first.cancel()
        except* ConnectionLost:
            log.debug("%s waits no more", guest.peer.short)
        finally:
            self._guests.pop(ticket, None)
            self._meetings.leave(ticket)

    async def _join(self, guest: _Guest, peer: PeerId, stream: Stream) -> None:
        assert guest.first is not None
        guest.called.set()
        idle = asyncio.timeout(PIPE_IDLE)
        try:
            await write_frame(guest.stream, wire.Met())
            await write_frame(stream, wire.Met())
            async with idle, asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pass(stream, guest.stream, idle), name="meeting there")
                tasks.create_task(self._pass(guest.stream, stream, idle, guest.first), name="meeting back")
        except* (ConnectionLost, TimeoutError):
            log.debug("%s and %s met through us", peer.short, guest.peer.short)
        finally:
            self._meetings.parted(peer, guest.peer)
            await guest.stream.reset(0)
            await stream.reset(0)
            guest.over.set()

    async def _pass(
        self, source: Stream, sink: Stream, idle: asyncio.Timeout, first: asyncio.Task[bytes] | None = None
    ) -> None:
        clock = asyncio.get_running_loop().time
        bucket, left = TokenBucket(PIPE_RATE, PIPE_BURST), PIPE_BYTES
        while True:
            data = await (asyncio.shield(first) if first is not None else source.read(CHUNK))
            first = None
            left -= len(data)
            if not data:
                await sink.finish()
                return
            if left < 0:
                raise ConnectionLost("more than a talk of two who meet takes")
            idle.reschedule(clock() + PIPE_IDLE)
            await asyncio.sleep(bucket.take(len(data), clock()))
            await sink.write(data)
