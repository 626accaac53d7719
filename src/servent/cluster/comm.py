"""Dask's comm backend `servent://`: its messages over streams between processes that were let in. Knows `distributed`.

Dask's contract, as its own backends keep it: one reader and one writer at a time; whatever fails, or is cancelled half-way, ends the comm; what
was written before `close` or `abort` still arrives, for Dask's servers abort a comm right after their last answer.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import dask
from distributed.comm.core import BaseListener, Comm, CommClosedError, Connector, FatalCommClosedError
from distributed.comm.registry import Backend, backends
from distributed.comm.utils import from_frames, to_frames
from distributed.protocol.utils import host_array, pack_frames_prelude, unpack_frames
from distributed.utils import ensure_memoryview, nbytes
from tornado.iostream import IOStream

from servent.cluster import addresses
from servent.cluster.addresses import PREFIX, Place
from servent.cluster.door import Link
from servent.cluster.lane import LaneComm, Lanes, dial
from servent.cluster.model import Desk
from servent.cluster.office import Office
from servent.cluster.people import Known, host
from servent.cluster.process import Process
from servent.cluster.rosters import Role
from servent.errors import ConnectionLost, PeerError, ServentError, UsageError, WorldError
from servent.identity import PeerId
from servent.net.quic import CHUNK_BYTES, IrohStream

log = logging.getLogger(__name__)

SMALL_BYTES = 128 * 1024  # a message up to this goes in one piece
LINGER = (
    30.0  # s that an ended comm goes on sending what was written before; as distributed's own limit for TCP
)
_SIZE = struct.Struct("<Q")
SHARD_BYTES: int = dask.utils.parse_bytes(dask.config.get("distributed.comm.shard"))


class ServentComm(Known, Comm):
    """One stream of a connection to a process that was let in.

    As Dask's own, `write` waits for nobody: two ends that both send much before they read would wait for each other for ever.
    """

    def __init__(
        self, process: Process, stream: IrohStream, link: Link, local: str, peer: str, deserialize: bool
    ) -> None:
        super().__init__(deserialize=deserialize)
        self._stream: IrohStream | None = stream
        self._process, self._link = process, link
        self._local_addr, self._peer_addr = local, peer
        self._queue: deque[Any] = deque()  # what is written and not sent yet
        self._sending: asyncio.Task[None] | None = None

    @property
    def local_address(self) -> str:
        return self._local_addr

    @property
    def peer_address(self) -> str:
        return self._peer_addr

    def closed(self) -> bool:
        return self._stream is None or self._link.lost

    async def read(self, deserializers: Any = None) -> Any:
        stream = self._open()
        try:
            (size,) = _SIZE.unpack(await stream.read_exactly(_SIZE.size))
            first = await _read(stream, size)
            frames, more = unpack_frames(first, partial=True)
            for size in more:
                frames.append(await _read(stream, size))
        except ServentError as error:
            self.abort()
            raise CommClosedError(f"in {self!r}: {error}") from error
        except BaseException:
            self.abort()  # cancelled half-way: nobody knows any more where in the stream we are
            raise
        try:
            return await from_frames(  # type: ignore[no-untyped-call]
                frames,
                deserialize=self.deserialize,
                deserializers=deserializers,
                allow_offload=self.allow_offload,
            )
        except EOFError as error:
            self.abort()
            raise CommClosedError(f"in {self!r}: a message that was cut off") from error

    async def write(self, msg: Any, serializers: Any = None, on_error: str = "message") -> int:
        self._open()
        frames = await to_frames(  # type: ignore[no-untyped-call]
            msg,
            allow_offload=self.allow_offload,
            serializers=serializers,
            on_error=on_error,
            context={"sender": self.local_info, "recipient": self.remote_info, **self.handshake_options},
            frame_split_size=SHARD_BYTES,
        )
        parts, total = _parts(frames)
        stream = self._open()
        self._queue.extend(parts)
        if self._sending is None:
            self._sending = self._process.begin(self._send(stream), "write")
            if self._sending is None:
                self.abort()
                raise CommClosedError(f"in {self!r}: this process leaves the cluster")
        return total

    async def _send(self, stream: IrohStream) -> None:
        try:
            while self._queue:
                await stream.write(self._queue.popleft())
        except ServentError as error:
            log.debug("in %r: %s", self, error)
            self._stream = None
        except BaseException:
            self._stream = None
            raise
        finally:
            self._sending = None
            if self._stream is None:
                self._queue.clear()
                stream.release("closed here")

    async def close(self) -> None:
        """What was written is sent first, for at most `LINGER` s."""
        sending = self._sending
        self.abort()
        if sending is not None:
            await asyncio.wait([sending], timeout=LINGER)

    def abort(self) -> None:
        """What was written arrives, then the other side reads the end; nothing more is read here."""
        stream, self._stream = self._stream, None
        if stream is None:
            return
        if self._sending is None:
            stream.release("closed here")
        else:
            self._sending.get_loop().call_later(LINGER, stream.release, "it took too long to send the rest")

    def _open(self) -> IrohStream:
        if self._stream is None or self._link.lost:
            raise CommClosedError(f"in {self!r}: closed")
        return self._stream


async def _read(stream: IrohStream, size: int) -> memoryview:
    """`size` bytes in memory of their own that may be written to, as what is unpickled from it expects."""
    view = memoryview(host_array(size)).cast("B") if size else memoryview(bytearray())
    at = 0
    while at < size:
        data = await stream.read(min(size - at, CHUNK_BYTES))
        if not data:
            raise ConnectionLost(f"the stream ended {size - at} bytes early")
        view[at : at + len(data)] = data
        at += len(data)
    return view


def _parts(frames: Sequence[Any]) -> tuple[list[Any], int]:
    """What goes on the stream, and its size in all: the lengths and what is small in one piece, big buffers as they are.

    The first part holds every frame up to the first buffer that lives on after it was unpickled, and that one too if what stands before it
    is little: so arrays do not keep each other's memory, nor that of the pickles (as distributed's own TCP does).
    """
    sizes: list[int] = [nbytes(frame) for frame in frames]  # type: ignore[no-untyped-call]
    first = 0
    kept: object = None
    for frame, size in zip(frames, sizes, strict=True):
        owner = frame.obj if isinstance(frame, memoryview) else frame
        if not isinstance(owner, bytes):
            if kept is None:
                if first > max(2048, size * 0.05):
                    break
                kept = owner
            elif kept is not owner:
                break
        first += size
    prelude = pack_frames_prelude(frames)
    head = _SIZE.pack(len(prelude) + first) + prelude
    total = len(head) + sum(sizes)
    if total < SMALL_BYTES or (total < 2**25 and total // (len(frames) + 1) < 2**15):
        return [b"".join([head, *frames])], total
    parts: list[Any] = []
    gathered: list[Any] = [head]
    size_gathered = len(head)
    for frame, size in zip(frames, sizes, strict=True):
        if size and size < SMALL_BYTES and size_gathered < 2 * SMALL_BYTES:
            gathered.append(frame)
            size_gathered += size
        elif size:
            if gathered:
                parts.append(b"".join(gathered))
                gathered, size_gathered = [], 0
            parts.append(ensure_memoryview(frame))
    if gathered:
        parts.append(b"".join(gathered))
    return parts, total


class ServentConnector(Connector):
    def __init__(self, office: Office) -> None:
        self._office = office

    async def connect(self, address: str, deserialize: bool = True, **_: Any) -> Comm:
        """Raises FatalCommClosedError where trying again is of no use, CommClosedError or OSError where it may be."""
        try:
            place = addresses.parse(address)
            process = await self._office.process(place)
            if isinstance(place, str):
                found = await process.scheduler()
                if not found:
                    raise OSError(f"the scheduler of {place} does not run")
                where = addresses.parse(found)
                if isinstance(where, str):
                    raise FatalCommClosedError(f"our node does not know where the scheduler of {place} is")
                place = where
            if place.process == process.standing.peer:
                process = await self._office.twin(process)
            link = await process.link(place)
            tcp = await dial(link, place.listener, place.hints)
            if tcp is not None and link.lost:  # sent away meanwhile, of which this connection did not hear
                tcp.close()
                tcp = None
            if tcp is not None:
                return LaneComm(tcp, link, str(process.here), PREFIX + address, deserialize)
            stream, link = await process.stream(place)
        except (UsageError, PeerError) as error:
            advice = f" {error.advice}" if error.advice else ""
            raise FatalCommClosedError(f"{error}.{advice}" if advice else str(error)) from error
        except WorldError as error:
            raise CommClosedError(str(error)) from error
        return ServentComm(process, stream, link, str(process.here), PREFIX + address, deserialize)


class ServentListener(BaseListener):
    """Streams that others open to us, as comms. `prefix`: Dask's Worker wants it."""

    prefix = PREFIX

    def __init__(
        self,
        office: Office,
        loc: str,
        handle_comm: Callable[[Comm], Awaitable[None] | None],
        deserialize: bool = True,
        allow_offload: bool = True,
        handshake_overrides: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        super().__init__()
        self._office, self._handle = office, handle_comm
        self._deserialize, self._allow_offload, self._overrides = (
            deserialize,
            allow_offload,
            handshake_overrides,
        )
        self._process: Process | None = None
        self._place: Place | None = None

    async def start(self) -> None:
        try:
            self._process = await self._office.process(None)
            if self._office.tcp and not self._process.door.tcp_port:
                await Lanes.open(self._process)
            self._place = await self._process.listen(self._take)
        except ServentError as error:
            raise OSError(f"cannot listen in the cluster: {error} {error.advice}".rstrip()) from error

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and self._place is not None:
            process.unlisten(self._place.listener)

    @property
    def listen_address(self) -> str:
        if self._place is None:
            raise ValueError("this listener has not started")
        return str(self._place)

    @property
    def contact_address(self) -> str:
        return self.listen_address

    async def _take(self, stream: IrohStream | IOStream, link: Link) -> None:
        process, place = self._process, self._place
        if process is None or place is None:  # stopped while it came in
            return
        peer = Place(link.connection.peer, PeerId(link.shown.node), process.standing.cluster)
        ends = str(place), str(peer)  # the other side sees them just so
        comm: ServentComm | LaneComm
        if isinstance(stream, IrohStream):
            comm = ServentComm(process, stream, link, *ends, self._deserialize)
        else:
            comm = LaneComm(stream, link, *ends, self._deserialize)
        comm.allow_offload = self._allow_offload
        try:
            await self.on_connection(comm, self._overrides)
            handling = self._handle(comm)
            if handling is not None:
                await handling
        except OSError as error:
            log.info("a comm of %s ended: %s", peer.process.short, error)
            comm.abort()
        except (
            Exception
        ):  # of whoever listens, or a handshake of nonsense: it ends this comm, not the process
            log.exception("a comm of %s ended", peer.process.short)
            comm.abort()
        except BaseException:
            comm.abort()
            raise


class ServentBackend(Backend):
    """`servent://` for Dask. `set_up` puts one in place; in a script the entry point does (see `servent.api`)."""

    def __init__(self, office: Office) -> None:
        self.office = office

    def get_connector(self) -> ServentConnector:
        return ServentConnector(self.office)

    def get_listener(
        self, loc: str, handle_comm: Any, deserialize: bool = True, **connection_args: Any
    ) -> ServentListener:
        return ServentListener(self.office, loc, handle_comm, deserialize, **connection_args)

    def get_address_host(self, loc: str) -> str:
        try:
            return host(loc)
        except UsageError as error:
            raise ValueError(str(error)) from error

    def resolve_address(self, loc: str) -> str:
        return loc

    def get_local_address_for(self, loc: str) -> str:
        """Listeners have one address for everybody: nothing need be chosen before they start."""
        return ""


def set_up(desk: Desk, *, cluster: str, role: Role, name: str = "", tcp: bool = True) -> ServentBackend:
    """This whole process is a `role` of `cluster` from now on: what Dask does with `servent://` here, it does as that.

    Args:
        desk: how to reach our node. cluster: its name or its id in hex. name: for people.
        tcp: take TCP connections where they reach, beside QUIC; comms are faster then.
    """
    backend = ServentBackend(Office(desk, cluster=cluster, role=role, name=name, tcp=tcp))
    backends["servent"] = backend
    return backend
