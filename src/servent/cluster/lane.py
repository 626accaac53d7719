"""A comm's own TCP connection with TLS 1.3, where one reaches: several times as fast as a QUIC stream in Python. Knows `distributed`, tornado.

It is Dask's own TLS comm, with our way of knowing each other: at the door of the QUIC connection (`process`) both sides say where they take such
connections, the digest of the certificate they show there, and a secret that lets the other in. Who dials checks the digest, then says the
secret and the listener; only then is a byte of Dask's read. Where none reaches, comms are streams.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from distributed.comm.tcp import MAX_BUFFER_SIZE, TLS
from tornado.iostream import IOStream, StreamClosedError
from tornado.netutil import bind_sockets
from tornado.tcpclient import TCPClient
from tornado.tcpserver import TCPServer

from servent.blobs.lanes_tls import Certificate
from servent.cluster import wire
from servent.cluster.people import Known
from servent.errors import BadMessage
from servent.net.addresses import good_addresses, parse_address
from servent.net.quiet import Quiet, others

if TYPE_CHECKING:
    from servent.cluster.door import Link
    from servent.cluster.process import Process

log = logging.getLogger(__name__)

DIAL_TIME = (
    3.0  # s for a TCP connection and its handshake; after that the comm is a stream, and so are the next
)
DOOR_TIME = 20.0  # s for a secret to arrive
WAITING_MOST = (
    256  # TCP connections that have not said a secret yet; one more, and who waits longest is closed
)
HOSTS_MOST = 3  # that are tried, one after the other
_EVERY = {4: "0.0.0.0", 6: "::"}  # as iroh does: a family that is not named gets every address
BACKLOG = 2048  # as distributed's own
_BUFFER_BYTES = int(MAX_BUFFER_SIZE)


class LaneComm(Known, TLS):
    """Dask's TLS comm, of somebody who was let in."""

    def __init__(self, stream: IOStream, link: Link, local: str, peer: str, deserialize: bool) -> None:
        super().__init__(stream, local, peer, deserialize)
        self._link = link
        link.on_sent_away.add(self.abort)
        stream.set_close_callback(self._ended)

    def _ended(self) -> None:
        self._closed = True
        self._link.on_sent_away.discard(self.abort)

    def _read_extra(self) -> None:
        """Dask would name a certificate here; `extra_info` names the node."""


class Lanes:
    """Takes TCP connections for one process. `open` before others are told of it."""

    def __init__(self, process: Process, certificate: Certificate) -> None:
        self._process = process
        self._server = TCPServer(ssl_options=certificate.context, max_buffer_size=_BUFFER_BYTES)
        self._server.handle_stream = self._take  # type: ignore[method-assign]
        self._waiting: dict[IOStream, None] = {}  # the one that came first stands first
        self.turned_away = 0  # connections that said no secret of ours
        self._quiet = Quiet()

    @classmethod
    async def open(cls, process: Process) -> Lanes | None:
        """Listen where the process does, and have it tell everybody whom it meets from now on. None where no port can be had."""
        named = [parse_address(address)[0] for address in process.bind]
        families = {host.version for host in named}
        hosts = [str(host) for host in named] + [
            every for version, every in _EVERY.items() if version not in families
        ]
        certificate = await asyncio.to_thread(Certificate)
        lanes = cls(process, certificate)
        port = 0
        for host in hosts:
            try:
                sockets = bind_sockets(port, address=host, backlog=BACKLOG)
            except OSError as error:  # a machine without IPv6, as a rule
                log.info("no TCP connections to %s: %s", host, error)
                continue
            port = sockets[0].getsockname()[1]
            lanes._server.add_sockets(sockets)
        if not port:
            log.warning("no TCP connections here: comms will be slower")
            return None
        process.door.offer(port, certificate.digest)
        process.at_end(lanes.close)
        return lanes

    def close(self) -> None:
        self._server.stop()

    async def _take(self, stream: IOStream, address: Any) -> None:
        if len(self._waiting) >= WAITING_MOST:  # else the silent would keep out everybody
            longest = next(iter(self._waiting))
            del self._waiting[longest]
            longest.close()
        self._waiting[stream] = None
        try:
            async with asyncio.timeout(DOOR_TIME):
                await stream.wait_for_handshake()  # type: ignore[attr-defined]
                said = await stream.read_bytes(wire.SECRET_BYTES + wire.LISTENER_BYTES)
        except (TimeoutError, OSError, StreamClosedError) as error:
            self.turned_away += 1
            log.debug("a TCP connection from %s ended at the door: %s", address[0], error)
            stream.close()
            return
        finally:
            self._waiting.pop(stream, None)
        link = await self._process.door.by_secret(bytes(said[: wire.SECRET_BYTES]))
        take = self._process.listener(int.from_bytes(said[wire.SECRET_BYTES :], "big"))
        if link is None or take is None:
            self.turned_away += 1
            if times := self._quiet.note("tcp", asyncio.get_running_loop().time()):
                log.warning("a TCP connection from %s is not let in%s", address[0], others(times))
            stream.close()
            return
        await take(stream, link)


async def dial(link: Link, listener: int, hints: Sequence[str]) -> IOStream | None:
    """A TCP connection to a listener of the process at the other end of `link`; None where none can be had now.

    Whoever shows another certificate than was named at the door is told nothing.
    """
    offer = link.lane
    if offer is None or not link.lane_works:
        return None
    paths = sorted(link.connection.paths(), key=lambda one: not one.selected)
    where = [path.address for path in paths if path.kind == "direct"]
    hosts = dict.fromkeys(str(found) for found, _ in good_addresses([*where, *hints]))
    try:
        async with asyncio.timeout(DIAL_TIME):
            for known in list(hosts)[:HOSTS_MOST]:
                try:
                    return await _reach(known, offer, listener)
                except (
                    OSError,
                    StreamClosedError,
                    BadMessage,
                ) as error:  # a hint may lead to somebody else's machine
                    log.debug("no TCP connection to %s port %d: %s", known, offer.port, error)
    except TimeoutError:
        log.debug("no TCP connection to port %d in %.0f s", offer.port, DIAL_TIME)
    link.lane_failed()
    return None


async def _reach(known: str, offer: wire.Lane, listener: int) -> IOStream:
    stream: IOStream = await TCPClient().connect(
        known, offer.port, ssl_options=_trusting_nobody(), max_buffer_size=_BUFFER_BYTES
    )
    try:
        sock = stream.socket
        shown = sock.getpeercert(binary_form=True) if isinstance(sock, ssl.SSLSocket) else None
        if shown is None or sha256(shown).digest() != offer.certificate:
            raise BadMessage("another certificate is shown on TCP than was named at the door")
        await stream.write(offer.secret + listener.to_bytes(wire.LISTENER_BYTES, "big"))
    except BaseException:
        stream.close()
        raise
    return stream


_context: ssl.SSLContext | None = None


def _trusting_nobody() -> ssl.SSLContext:
    """No name and no authority is believed: the certificate itself is compared, before anything is said."""
    global _context
    if _context is None:
        _context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _context.minimum_version = ssl.TLSVersion.TLSv1_3
        _context.check_hostname = False
        _context.verify_mode = ssl.CERT_NONE
    return _context
