"""The relay's shell: TCP, TLS, HTTP and WebSocket around `RelayCore`.

No task and no queue per client: what one read from a socket brings goes through the core at once, and every
client it was for gets one write. WebSocket itself is the sans-IO half of `websockets`.
"""

from __future__ import annotations

import asyncio
import email.utils
import logging
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterable

from websockets.datastructures import Headers
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from servent.errors import BadMessage, UsageError, WorldError
from servent.identity import PeerId
from servent.net.relay import frames
from servent.net.relay.core import Link, RelayCore
from servent.net.relay.pkarr_store import PkarrStore
from servent.net.relay.requests import PkarrRequest, begins
from servent.net.relay.settings import RelaySettings, RelayView

log = logging.getLogger("servent.net.relay")

_WRITE_BUFFER_BYTES = 256 * 1024  # per client, before packets wait (and are dropped) in its queue
_LOG_EVERY = 30.0  # s; refusals are logged by number, not one by one
_GRACE = 0.5  # s for what was written last to leave when the relay closes
_quiet = logging.getLogger("servent.net.relay.websocket")
_quiet.setLevel(logging.WARNING)  # it would format every frame


class RelayServer:
    """Serves iroh clients on every address of `settings`.

    `run` serves until `close` is called or it is cancelled. `ready` is set once all sockets listen.

    Args:
        allow: whether a peer that has proven its key may use this relay.
        keeps: whether signed records are kept for a key; None: as `allow` says.
    """

    def __init__(
        self,
        settings: RelaySettings | None = None,
        *,
        allow: Callable[[PeerId], bool] = lambda peer: True,
        keeps: Callable[[PeerId], bool] | None = None,
    ) -> None:
        self.settings = settings or RelaySettings()
        self.ready = asyncio.Event()
        self._core = RelayCore(self.settings, allow, os.urandom)
        self.records = PkarrStore(self.settings.records, allow=keeps or allow)
        self._connections: dict[Link, _Connection] = {}
        self._servers: list[asyncio.Server] = []
        self._stop = asyncio.Event()
        self._left = asyncio.Event()
        self._port = self.settings.port

    @property
    def port(self) -> int:
        """The port it listens on, once `ready`."""
        return self._port

    @property
    def urls(self) -> list[str]:
        """Where clients reach it: what the operator said, otherwise the addresses it is bound to."""
        if self.settings.public_urls:
            return list(self.settings.public_urls)
        scheme = "https" if self.settings.certificate else "http"
        hosts = dict.fromkeys(sock.getsockname()[0] for server in self._servers for sock in server.sockets)
        return [f"{scheme}://{f'[{host}]' if ':' in host else host}:{self._port}" for host in hosts]

    def view(self) -> RelayView:
        return self._core.view(asyncio.get_running_loop().time())

    async def run(self) -> None:
        """Serve until closed.

        Raises:
            WorldError: an address cannot be bound.
            UsageError: the certificate cannot be read.
        """
        context = _tls(self.settings)
        try:
            await self._listen(context)
            self.ready.set()
            log.info("relay listens on %s", " ".join(self.urls))
            async with asyncio.TaskGroup() as tasks:
                ticking = tasks.create_task(self._tick(), name="relay timers")
                reporting = tasks.create_task(self._report(), name="relay log")
                await self._stop.wait()
                ticking.cancel()
                reporting.cancel()
        finally:
            self._shut()

    async def close(self) -> None:
        """Say goodbye to all clients and close every socket; returns in under a second."""
        self._stop.set()
        self._shut()
        try:
            async with asyncio.timeout(_GRACE):
                while self._connections:
                    self._left.clear()
                    await self._left.wait()
        except TimeoutError:
            log.debug("relay: %d clients did not take their goodbye", len(self._connections))
        for connection in list(self._connections.values()):
            connection.abort()

    async def _listen(self, context: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        for host in self.settings.hosts:
            try:
                sock = socket.create_server(
                    (host, self._port),
                    family=socket.AF_INET6 if ":" in host else socket.AF_INET,
                    dualstack_ipv6=False,
                )
            except OSError as wrong:
                if host == "::" and self._servers:
                    log.warning("relay: no IPv6 on this machine (%s)", wrong)
                    continue
                raise WorldError(
                    f"the relay cannot listen on {host} port {self._port}: {wrong.strerror}",
                    advice="Choose another port; ports under 1024 need rights from the system.",
                ) from wrong
            sock.setblocking(False)
            self._port = sock.getsockname()[1]
            self._servers.append(
                await loop.create_server(
                    lambda: _Connection(self._core, self.records, self._connections, self._left),
                    sock=sock,
                    ssl=context,
                    backlog=512,
                )
            )

    def _shut(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        self._core.shut()
        _flush(self._core, self._connections)

    async def _tick(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due = self._core.next_tick()
            await asyncio.sleep(1.0 if due is None else min(1.0, max(0.05, due - clock())))
            self._core.tick(clock())
            _flush(self._core, self._connections)

    async def _report(self) -> None:
        told = RelayView()
        while True:
            await asyncio.sleep(_LOG_EVERY)
            now = self.view()
            new = {why: n - told.refused.get(why, 0) for why, n in now.refused.items()}
            new |= {"queue full": now.dropped_full - told.dropped_full}
            if any(new.values()):
                log.warning(
                    "relay refused in %.0f s: %s", _LOG_EVERY, {why: n for why, n in new.items() if n}
                )
            told = now


class _Connection(asyncio.Protocol):
    """One TCP connection: bytes to frames to the core, and what the core has for it back to bytes."""

    def __init__(
        self, core: RelayCore, records: PkarrStore, connections: dict[Link, _Connection], left: asyncio.Event
    ) -> None:
        self._core, self._connections, self._left = core, connections, left
        self._records: PkarrStore | None = records  # None once this is known to be for the WebSocket
        self._begun = b""  # what came until then
        self._request: PkarrRequest | None = None
        self._address = ""
        self._loop = asyncio.get_running_loop()
        self._websocket = ServerProtocol(
            subprotocols=[Subprotocol(name) for name in frames.PROTOCOLS],
            max_size=frames.MAX_FRAME_BYTES,
            logger=_quiet,
        )
        self._transport: asyncio.Transport | None = None
        self._link: Link | None = None
        self._partial = b""
        self._writable = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._address = (transport.get_extra_info("peername") or ("",))[0]
        self._link = self._core.opened(self._address, self._loop.time())
        if self._link is None:
            transport.abort()
            return
        transport.set_write_buffer_limits(_WRITE_BUFFER_BYTES)
        self._connections[self._link] = self

    def connection_lost(self, exc: Exception | None) -> None:
        self._writable = False
        self._forget()

    def pause_writing(self) -> None:
        self._writable = False
        if self._link is not None:
            self._core.stuck(self._link, self._loop.time())

    def resume_writing(self) -> None:
        self._writable = True
        if self._link is not None:
            self._core.stuck(self._link, None)
            self.flush()

    def eof_received(self) -> bool:
        return False  # nothing more to come: close

    def data_received(self, data: bytes) -> None:
        link, websocket = self._link, self._websocket
        if link is None or link.ending:
            return
        now = self._loop.time()
        if self._records is not None:
            whole = self._sorted_out(link, self._records, data, now)
            if whole is None:
                return
            data = whole
        websocket.receive_data(data)
        try:
            for event in websocket.events_received():
                if isinstance(event, Request):
                    self._answer(link, event)
                elif isinstance(event, Frame):
                    message = self._message(event)
                    if message is not None:
                        self._core.received(link, message, now)
        except BadMessage as wrong:
            log.debug("relay client %s: %s", link.peer.short if link.peer else link.address, wrong)
            self._core.end(link, "bad frame")
            websocket.fail(CloseCode.PROTOCOL_ERROR, "bad relay frame")
        self._transmit(websocket.data_to_send())
        _flush(self._core, self._connections)
        if link.read_after > now and self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()
            self._loop.call_at(link.read_after, self._read_on)

    def _sorted_out(self, link: Link, records: PkarrStore, data: bytes, now: float) -> bytes | None:
        """What goes to the WebSocket; None: nothing of it, or not yet. It reads no bodies, so records come in here."""
        if self._request is None:
            self._begun += data
            ours = begins(self._begun)
            if ours is None:
                return None
            if not ours:
                self._records = None
                return self._begun
            data, self._request = self._begun, PkarrRequest(records, self._address)
        answer = self._request.receive(data, now, email.utils.formatdate(usegmt=True))
        if answer is not None:
            if self._transport is not None:
                self._transport.write(answer)
            self._core.leave(link)
            _flush(self._core, self._connections)
        return None

    def flush(self) -> None:
        """Write what the core holds for this client; end the connection if the core says so."""
        link = self._link
        if link is None or self._transport is None:
            return
        if self._writable and link.queue and self._websocket.state is OPEN:
            out: list[bytes] = []
            for frame in self._core.take(link):
                size = len(frame)
                if size < 126:
                    out += (bytes((0x82, size)), frame)
                elif size < 65536:
                    out += (b"\x82\x7e" + size.to_bytes(2, "big"), frame)
                else:
                    out += (b"\x82\x7f" + size.to_bytes(8, "big"), frame)
            self._transport.write(b"".join(out))
        if link.ending:
            self._finish()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _answer(self, link: Link, request: Request) -> None:
        if self._websocket.eof_sent:  # what came behind the request was so wrong that this is over already
            self._core.end(link, "bad frame")
            return
        response = _http(request) or self._websocket.accept(request)
        self._websocket.send_response(response)
        if response.status_code == 101:
            self._core.greet(link, self._websocket.subprotocol or frames.V1)
        else:
            self._core.leave(link)

    def _message(self, frame: Frame) -> bytes | None:
        """A whole message, None while parts are missing or for a control frame."""
        if frame.opcode is Opcode.BINARY and frame.fin:
            return bytes(frame.data)
        if frame.opcode is Opcode.TEXT:
            raise BadMessage("text where relay frames belong")
        if frame.opcode is Opcode.BINARY or frame.opcode is Opcode.CONT:
            self._partial += frame.data
            if frame.fin:
                whole, self._partial = self._partial, b""
                return whole
        return None

    def _transmit(self, chunks: Iterable[bytes]) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        for chunk in chunks:
            if chunk:
                self._transport.write(chunk)
            else:  # websockets' sign for "close after this"
                self._finish()

    def _read_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _finish(self) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        stuck = self._link is not None and self._link.stuck_since is not None
        if stuck:
            transport.abort()
            return
        transport.close()
        self._loop.call_later(_GRACE, transport.abort)

    def _forget(self) -> None:
        link, self._link = self._link, None
        if link is None:
            return
        self._connections.pop(link, None)
        self._left.set()
        self._core.closed(link)
        _flush(self._core, self._connections)


def _flush(core: RelayCore, connections: dict[Link, _Connection]) -> None:
    """Send what the last call to the core left to be sent."""
    for link in core.awake():
        if link in connections:
            connections[link].flush()


_CHALLENGE = re.compile(r"[A-Za-z0-9.\-_]{1,64}")  # iroh's probe for captive portals sends one of these


def _http(request: Request) -> Response | None:
    """The answer to a plain request; None for one that wants to become a WebSocket."""
    path = request.path.partition("?")[0]
    if path == "/relay" and "Upgrade" in request.headers:
        return None
    status, body = (200, b"") if path == "/ping" else (404, b"not found\n")
    headers = Headers(
        {"Connection": "close", "Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
    )
    headers["Date"] = email.utils.formatdate(usegmt=True)  # `servent doctor` compares clocks by it
    if path == "/generate_204":
        status, body = 204, b""
        asked = request.headers.get("X-Iroh-Challenge", "")
        if _CHALLENGE.fullmatch(asked):
            headers["X-Iroh-Response"] = f"response {asked}"
    elif path == "/":
        status, body = 200, b"A relay for servent and iroh. It passes on encrypted packets only.\n"
    elif path == "/relay":
        status, body = 426, b"this is a WebSocket\n"
    if status != 204:
        headers["Content-Type"] = "text/plain; charset=utf-8"
        headers["Content-Length"] = str(len(body))
    reasons = {200: "OK", 204: "No Content", 404: "Not Found", 426: "Upgrade Required"}
    return Response(status, reasons[status], headers, body)


def _tls(settings: RelaySettings) -> ssl.SSLContext | None:
    if settings.certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(settings.certificate, settings.certificate_key)
    except (OSError, ssl.SSLError) as wrong:
        raise UsageError(
            f"the relay's certificate {settings.certificate} cannot be used: {wrong}",
            advice="Set `certificate` and `certificate_key` to the two PEM files of your domain.",
        ) from wrong
    return context
