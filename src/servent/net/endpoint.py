"""`net.links` over iroh: QUIC connections dialed by public key. The only module that knows iroh.

iroh binds one IPv4 and one IPv6 socket, always. `bind` may name either or both ("0.0.0.0:4433", "[::]:4433");
a family that is not named gets any address and a free port, one whose socket cannot be had is left out.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import iroh
import psutil  # type: ignore[import-untyped]
from iroh.iroh_ffi import InternalError

from servent.errors import ConnectionLost, PeerError, Refused, Unreachable, UsageError, WorldError
from servent.identity import Identity, PeerId
from servent.net import fastffi
from servent.net.links import Path, PeerAddress

log = logging.getLogger(__name__)

ALPN = b"servent/1"
CHUNK_BYTES = 256 * 1024  # most that crosses the border to Rust in one call: Rust copies it byte by byte, at
# 3 ns each, on the loop's thread; larger chunks gain nothing and keep the other tasks waiting
AHEAD_BYTES = 64 * 1024  # small reads take this much at once and serve the next ones from it
STREAMS_MOST = 1024  # streams a peer may have open towards us at once; QUIC's default is 100
RECEIVE_WINDOW_BYTES = 16 << 20  # unread data one connection may pile up here, all its streams together
HANDSHAKES_MOST = 64  # incoming handshakes under way at once; more are refused
HANDSHAKES_CALM = 16  # above this many, a newcomer first proves its address (QUIC retry)
HANDSHAKE_TIME = 10.0  # s
ARRIVALS_MOST = 256  # connections waiting for accept(); more are closed
ADDRESS_CHECK = 0.25  # s between looks at our own address; one look costs about 20 us
CLOSE_TIME = 0.8  # s for goodbyes; iroh itself would wait 3 s for handshakes nobody answers
DATAGRAM_BYTES = (
    1162  # fits in QUIC's smallest packet on any path (RFC 9000, 14); more may fit now, not later
)
REASON_BYTES = 200
ADDRESSES_MOST = 16

_IROH_ERRORS = (iroh.IrohError, InternalError)  # InternalError: a panic in Rust


async def bind(
    identity: Identity, *, bind: Sequence[str] = (), relays: Sequence[str] = (), alpn: bytes = ALPN
) -> IrohEndpoint:
    """Open our end of the network.

    Args:
        bind: at most one IPv4 and one IPv6 "ip:port" to listen on; port 0 takes a free one.
        relays: URLs of relays; empty for none.

    Raises:
        UsageError: `bind` or `relays` do not parse.
        WorldError: an address is taken or not ours.
    """
    sockets = [parse_address(text) for text in bind]
    if len({socket.version for socket, _ in sockets}) < len(sockets):
        raise UsageError("at most one IPv4 and one IPv6 address can be bound")
    relay_map = iroh.RelayMap.empty()
    for url in relays:
        with _bad_relay(url):
            relay_map.insert(_relay_config(url))
    options = iroh.EndpointOptions(
        preset=_Preset([join_address(*socket) for socket in sockets]) if sockets else iroh.preset_minimal(),
        secret_key=identity.seed,
        alpns=[alpn],
        relay_mode=iroh.RelayMode.custom(relay_map),
    )
    try:
        opened = await iroh.Endpoint.bind(options)
    except _IROH_ERRORS as error:
        where = ", ".join(bind) or "any address"
        raise WorldError(
            f"cannot listen on {where}: {_sentence(error)}",
            advice="Is another node running there? Port 0 takes any free port.",
        ) from error
    return IrohEndpoint(opened, identity.peer, alpn, relays)


def public_relays() -> list[str]:
    """URLs of the relays that the iroh project runs for everyone."""
    return list(iroh.RelayMode.default_mode().relay_map().urls())


def _relay_config(url: str) -> iroh.RelayConfig:
    """Public relays also answer QUIC address discovery; ours do not, and iroh would wait 3 s for it."""
    return iroh.RelayMode.default_mode().relay_map().get(url) or iroh.RelayConfig(url=url, quic_port=None)


class _Preset(iroh.Preset):
    """iroh's smallest preset, and our own sockets: EndpointOptions takes only one address."""

    def __init__(self, sockets: Sequence[str]) -> None:
        self._sockets = sockets

    def apply(self, builder: iroh.EndpointBuilder) -> None:
        builder.apply_minimal()
        for socket in self._sockets:
            builder.bind_addr(socket)


class IrohEndpoint:
    """links.Endpoint over iroh."""

    def __init__(self, opened: iroh.Endpoint, peer: PeerId, alpn: bytes, relays: Sequence[str]) -> None:
        self._opened: iroh.Endpoint | None = opened  # None once closed: the handle keeps its sockets open
        self._peer, self._alpn = peer, alpn
        self._relays = list(relays)
        self._announced: list[str] = []
        self._callbacks: list[Callable[[], None]] = []
        self._arrivals: deque[IrohConnection] = deque()
        self._arrived = asyncio.Event()
        self._shaking = 0
        self._connections: weakref.WeakSet[IrohConnection] = weakref.WeakSet()
        self._closing = False
        self._closed = asyncio.Event()
        self.refused = 0  # connections that failed, were refused or took too long before they were accepted
        # The one task without a group above it: its owner is this object, close() ends it and waits for it.
        self._running: asyncio.Task[None] | None = asyncio.get_running_loop().create_task(
            self._run(opened), name=f"endpoint {peer.short}"
        )

    @property
    def peer(self) -> PeerId:
        return self._peer

    async def connect(self, address: PeerAddress, timeout: float) -> IrohConnection:
        endpoint = self._iroh()
        if address.peer == self._peer:
            raise UsageError("a node does not connect to itself")
        loop = asyncio.get_running_loop()
        began = loop.time()
        direct = [join_address(*known) for known in _good_addresses(address.addresses)]
        tried = ["direct"] * bool(direct) + ["relay"] * (address.relay is not None)
        try:
            target = iroh.EndpointAddr(iroh.EndpointId.from_bytes(bytes(address.peer)), address.relay, direct)
        except _IROH_ERRORS as error:
            raise UsageError(f"{address.relay!r} is no relay URL, or no such key exists") from error
        try:
            async with asyncio.timeout(timeout):
                return self._keep(await endpoint.connect(target, self._alpn), True)
        except TimeoutError:
            raise Unreachable(address.peer.short, loop.time() - began, tried) from None
        except _IROH_ERRORS as error:
            self._iroh()
            said = _sentence(error)
            if "refused" in said or "aborted by peer" in said or "closed by peer" in said:
                raise Refused(f"{address.peer.short} refused the connection: {said}") from error
            raise Unreachable(address.peer.short, loop.time() - began, tried) from error

    async def accept(self) -> IrohConnection:
        while not self._arrivals:
            self._iroh()
            if self._running is not None and self._running.done():
                self._running.result()  # our own bug, loudly
                raise ConnectionLost("this endpoint is closed")
            self._arrived.clear()
            await self._arrived.wait()
        self._iroh()
        return self._arrivals.popleft()

    def address(self) -> PeerAddress:
        if self._opened is None or self._closing:
            return PeerAddress(self._peer)
        found = self._opened.addr()
        addresses = dict.fromkeys((*found.direct_addresses(), *self.local_addresses()))
        return PeerAddress(self._peer, found.relay_url(), tuple(addresses)[:ADDRESSES_MOST])

    def local_addresses(self) -> Sequence[str]:
        if self._opened is None:
            return []
        found: list[str] = []
        hosts = _hosts()
        for socket in self._opened.bound_sockets():
            host, port = parse_address(socket)
            if not host.is_unspecified:
                found.append(socket)
                continue
            found += [join_address(known, port) for known in hosts if known.version == host.version]
        return found

    async def announce(self, addresses: Sequence[str]) -> None:
        endpoint = self._iroh()
        wanted = [join_address(*known) for known in _good_addresses(addresses)]
        try:
            for address in wanted:
                if address not in self._announced:
                    await endpoint.add_external_addr(address)
                    self._announced.append(address)
            for address in [known for known in self._announced if known not in wanted]:
                await endpoint.remove_external_addr(address)
                self._announced.remove(address)
        except _IROH_ERRORS as error:
            self._iroh()
            raise WorldError(f"cannot announce an address: {_sentence(error)}") from error

    async def use_relays(self, urls: Sequence[str]) -> None:
        endpoint = self._iroh()
        for url in urls:
            if url not in self._relays:
                with _bad_relay(url):
                    await endpoint.insert_relay(iroh.RelayConfig(url=url, quic_port=None))
                self._relays.append(url)
        for url in [known for known in self._relays if known not in urls]:
            with _bad_relay(url):
                await endpoint.remove_relay(url)
            self._relays.remove(url)

    def on_address_change(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    async def close(self) -> None:
        if self._closing or self._opened is None:
            await self._closed.wait()
            return
        self._closing = True
        try:
            if self._running is not None:
                self._running.cancel()
                await asyncio.wait([self._running])
            async with asyncio.timeout(CLOSE_TIME):
                await self._opened.close()
        except TimeoutError:
            log.debug("some peers did not say goodbye in %.1f s", CLOSE_TIME)
        except _IROH_ERRORS as error:
            log.warning("closing the endpoint: %s", _sentence(error))
        finally:
            for connection in list(self._connections):
                connection.release()
            self._arrivals.clear()
            self._arrived.set()
            self._opened = self._running = None
            self._closed.set()

    # inside

    def _iroh(self) -> iroh.Endpoint:
        if self._opened is None or self._closing:
            raise ConnectionLost("this endpoint is closed")
        return self._opened

    def _keep(self, opened: iroh.Connection, dialed: bool) -> IrohConnection:
        connection = IrohConnection(opened, dialed)
        self._connections.add(connection)
        return connection

    async def _run(self, endpoint: iroh.Endpoint) -> None:
        """Takes connections until the endpoint closes; no handshake waits for another."""
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch_address(endpoint), name="own address")
                while (incoming := await endpoint.accept_next()) is not None:
                    if self._shaking >= HANDSHAKES_MOST:
                        self.refused += 1
                        await _dismiss(incoming.refuse())
                    elif self._shaking >= HANDSHAKES_CALM and not await _proved(incoming):
                        await _dismiss(incoming.retry())
                    else:
                        self._shaking += 1
                        group.create_task(self._shake(incoming), name="incoming handshake")
                watching.cancel()
        finally:
            self._arrived.set()

    async def _shake(self, incoming: iroh.Incoming) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_TIME):
                accepting = await incoming.accept()
                connection = self._keep(await accepting.connect(), False)
        except (TimeoutError, PeerError, *_IROH_ERRORS) as error:
            self.refused += 1
            log.debug("an incoming connection failed: %s", _sentence(error))
            return
        finally:
            self._shaking -= 1
        if len(self._arrivals) >= ARRIVALS_MOST:
            self.refused += 1
            await connection.close(0, "busy")
            return
        self._arrivals.append(connection)
        self._arrived.set()

    async def _watch_address(self, endpoint: iroh.Endpoint) -> None:
        """Looks at our own address now and then.

        iroh's watch_addr would call from a thread of its own, which needs uniffi's global event loop, and
        watch_network_change keeps a core busy in iroh 1.2.0.
        """
        known = _look(endpoint)
        while True:
            await asyncio.sleep(ADDRESS_CHECK)
            now = _look(endpoint)
            if now != known:
                known = now
                for callback in self._callbacks:
                    callback()


def _look(endpoint: iroh.Endpoint) -> tuple[str | None, tuple[str, ...]]:
    found = endpoint.addr()
    return found.relay_url(), tuple(sorted(found.direct_addresses()))


class IrohConnection:
    """links.Connection over iroh."""

    def __init__(self, opened: iroh.Connection, dialed: bool) -> None:
        self._opened: iroh.Connection | None = opened  # None once the endpoint is closed
        self._dialed = dialed
        self._peer = PeerId(opened.remote_id().to_bytes())
        self._said: str | None = None  # why we closed it
        self._final = ""  # why it ended, once it is released
        self._accepting: fastffi.Call | None = None
        self._receiving: fastffi.Call | None = None
        opened.set_max_concurrent_bi_streams(STREAMS_MOST)
        opened.set_max_concurrent_uni_streams(0)
        opened.set_receive_window(RECEIVE_WINDOW_BYTES)

    @property
    def peer(self) -> PeerId:
        return self._peer

    @property
    def dialed(self) -> bool:
        return self._dialed

    async def open(self) -> IrohStream:
        try:
            return IrohStream(await self._iroh().open_bi(), self)
        except _IROH_ERRORS as error:
            raise self.lost(error) from error

    async def accept(self) -> IrohStream:
        if self._accepting is None:
            self._accepting = fastffi.accept_bi(self._iroh())
        call = self._accepting
        try:
            found = await call.wait()
        except _IROH_ERRORS as error:
            self._accepting = None
            raise self.lost(error) from error
        self._accepting = None
        return IrohStream(found, self)

    def send_datagram(self, data: bytes) -> None:
        if len(data) > self.max_datagram_bytes and self.gone() is None:
            raise UsageError(
                f"a datagram of {len(data)} bytes; {self.max_datagram_bytes} fit on this connection"
            )
        try:
            self._iroh().send_datagram(data)
        except _IROH_ERRORS as error:
            raise self.lost(error) from error

    async def read_datagram(self) -> bytes:
        if self._receiving is None:
            self._receiving = fastffi.read_datagram(self._iroh())
        call = self._receiving
        try:
            data: bytes = await call.wait()
        except _IROH_ERRORS as error:
            self._receiving = None
            raise self.lost(error) from error
        self._receiving = None
        return data

    @property
    def max_datagram_bytes(self) -> int:
        return min(self._iroh().max_datagram_size() or 0, DATAGRAM_BYTES)

    def paths(self) -> Sequence[Path]:
        if self._opened is None or self.gone() is not None:
            return []
        return [
            Path(
                kind="relayed" if path.is_relay else "direct",
                address=path_address(path.remote_addr),
                rtt=path.rtt_ms / 1000,
                selected=path.is_selected,
                sent_bytes=path.stats.udp_tx_bytes,
                received_bytes=path.stats.udp_rx_bytes,
            )
            for path in self._opened.paths()
        ]

    async def close(self, code: int = 0, reason: str = "") -> None:
        if self._opened is None or self.gone() is not None:
            return
        said = reason.encode(errors="replace")[:REASON_BYTES].decode(errors="ignore")
        self._said = said
        try:
            self._opened.close(code, said.encode())
        except _IROH_ERRORS as error:
            log.debug("closing a connection: %s", _sentence(error))

    async def wait_closed(self) -> str:
        if self._opened is None:
            return self._final
        try:
            return self._why(await self._opened.closed())
        except _IROH_ERRORS as error:
            return _sentence(error)

    # for streams and the endpoint

    def gone(self) -> str | None:
        """Why this connection is no more, or None."""
        if self._opened is None:
            return self._final
        reason = self._opened.close_reason()
        return None if reason is None else self._why(reason)

    def release(self) -> None:
        """The endpoint is closed: let go of the handle, which keeps the sockets open."""
        self._final = self.gone() or "this endpoint is closed"
        self._opened = None

    def _iroh(self) -> iroh.Connection:
        if self._opened is None:
            raise ConnectionLost(self._final)
        return self._opened

    def lost(self, error: BaseException) -> ConnectionLost:
        """What to raise for something that failed on this connection."""
        return ConnectionLost(self.gone() or _sentence(error))

    def _why(self, reason: str) -> str:
        if self._said is not None:
            return f"closed here: {self._said}" if self._said else "closed here"
        found = re.match(r"closed by peer: (.*) \(code (\d+)\)\Z", reason, re.DOTALL)
        if found:
            said = printable(found.group(1)) or f"code {found.group(2)}"
            return f"closed by the peer: {said}"
        return _WORDS.get(reason, printable(_without_paths(reason)))


class IrohStream:
    """links.Stream over iroh. Reads of up to CHUNK_BYTES are one call into Rust.

    A cancelled read loses nothing: what it had begun comes first in the next one. A cancelled write cannot be
    taken back, so the stream is reset. One task reads at a time; writes of several tasks do not mix.
    """

    def __init__(self, opened: iroh.BiStream, connection: IrohConnection) -> None:
        self._send, self._receive = opened.send(), opened.recv()
        self._connection = connection
        self._ahead = b""
        self._at = 0  # how much of `_ahead` is used up
        self._reading: fastffi.Call | None = None
        self._writing: fastffi.Call | None = None
        self._turn = asyncio.Lock()  # one write at a time, so that those of several tasks do not mix
        self._reset = False
        self._ended = False

    async def read(self, limit: int) -> bytes:
        if limit < 1:
            raise ValueError("a read asks for at least one byte")
        if self._at == len(self._ahead):
            self._check()
            if self._ended:
                return b""
            data = await self._fetch(max(min(limit, CHUNK_BYTES), AHEAD_BYTES))
            if len(data) <= limit:
                return data
            self._ahead, self._at = data, 0
        return self._take(limit)

    async def read_exactly(self, size: int) -> bytes:
        if len(self._ahead) - self._at >= size:
            return self._take(size)
        parts = [self._take(size)]
        missing = size - len(parts[0])
        try:
            while missing:
                self._check()
                data = b"" if self._ended else await self._fetch(max(min(missing, CHUNK_BYTES), AHEAD_BYTES))
                if not data:
                    raise ConnectionLost(f"the stream ended {missing} bytes early")
                if len(data) > missing:
                    self._ahead, self._at = data, missing
                    data = data[:missing]
                parts.append(data)
                missing -= len(data)
        except asyncio.CancelledError:
            self._ahead, self._at = b"".join(parts), 0
            raise
        return b"".join(parts)

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        async with self._turn:
            self._check()
            view = memoryview(data).cast("B")
            try:
                for at in range(0, len(view), CHUNK_BYTES):
                    self._writing = fastffi.write_all(self._send, view[at : at + CHUNK_BYTES])
                    await self._writing.wait()
            except asyncio.CancelledError:
                await self.reset()
                raise
            except _IROH_ERRORS as error:
                raise self._broken(error) from error
            finally:
                if self._writing is not None:
                    self._writing.free()
                    self._writing = None

    async def finish(self) -> None:
        self._check()
        try:
            await self._send.finish()
        except _IROH_ERRORS as error:
            raise self._broken(error) from error
        if (why := self._connection.gone()) is not None:
            raise ConnectionLost(why)

    async def reset(self, code: int = 0) -> None:
        if self._reset:
            return
        self._reset = True
        self._ahead, self._at = b"", 0
        for call in (self._reading, self._writing):
            if call is not None:
                call.free()  # it holds Rust's lock on the stream
        for give_up in (self._send.reset, self._receive.stop):
            try:
                await give_up(code)
            except _IROH_ERRORS as error:
                log.debug("resetting a stream: %s", _sentence(error))

    def _take(self, limit: int) -> bytes:
        data = self._ahead[self._at : self._at + limit]
        self._at += len(data)
        if self._at == len(self._ahead):
            self._ahead, self._at = b"", 0
        return data

    async def _fetch(self, limit: int) -> bytes:
        """Up to `limit` bytes from Rust, or what a cancelled read had asked for."""
        if self._reading is None:
            self._reading = fastffi.read(self._receive, limit)
        call = self._reading
        try:
            data: bytes = await call.wait()
        except _IROH_ERRORS as error:
            self._reading = None
            raise self._broken(error) from error
        self._reading = None
        self._ended = not data
        return data

    def _check(self) -> None:
        if self._reset:
            raise ConnectionLost("the stream was reset here")

    def _broken(self, error: BaseException) -> ConnectionLost:
        if self._reset:
            return ConnectionLost("the stream was reset here")
        if (why := self._connection.gone()) is not None:
            return ConnectionLost(why)
        said = _sentence(error)
        found = re.search(r"(?:Reset|Stopped)\((?:VarInt\()?(\d+)", said)
        return ConnectionLost(f"the peer reset the stream (code {found.group(1)})" if found else said)


_WORDS = {
    "closed": "this endpoint is closed",
    "timed out": "the connection timed out",
    "reset by peer": "the peer forgot the connection",
}


def _message(error: BaseException) -> str:
    if isinstance(error, iroh.IrohError):
        return str(error.message())
    return str(error) or type(error).__name__


def _without_paths(text: str) -> str:
    """iroh's words without where in its source they were said."""
    text = re.sub(r"\s*\(/[^()]*:\d+:\d+\)", "", text)
    return re.sub(r"\s*Caused by:\s*", ": ", text).strip()


def _sentence(error: BaseException) -> str:
    """One line that names the last cause."""
    return printable(_without_paths(_message(error)).rsplit("\n", 1)[-1])


def printable(text: str) -> str:
    """What a peer or a library said, safe for a terminal and a log: one line, 200 characters."""
    return "".join(c if c.isprintable() else " " for c in text[:REASON_BYTES]).strip()


Host = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_address(text: str) -> tuple[Host, int]:
    """ "192.0.2.1:443" or "[2001:db8::1]:443".

    Raises:
        UsageError: neither.
    """
    host, _, port = text.rpartition(":")
    try:
        if not (port.isascii() and port.isdigit() and int(port) < 65536):
            raise ValueError(port)
        if host.startswith("[") and host.endswith("]"):
            return ipaddress.IPv6Address(host[1:-1]), int(port)
        return ipaddress.IPv4Address(host), int(port)
    except ValueError:
        raise UsageError(f"{text[:70]!r} is no address like 192.0.2.1:443 or [2001:db8::1]:443") from None


def join_address(host: Host, port: int) -> str:
    return f"{host}:{port}" if host.version == 4 else f"[{host}]:{port}"


def _good_addresses(addresses: Iterable[str]) -> Iterator[tuple[Host, int]]:
    """Those that parse and can be dialed; an address from outside is a hint, never an error."""
    for text in list(addresses)[:ADDRESSES_MOST]:
        try:
            host, port = parse_address(text)
        except UsageError:
            continue
        if port and not host.is_unspecified and not host.is_multicast:
            yield host, port


def path_address(text: str) -> str:
    """iroh writes "Ip(192.0.2.1:443)" and "Relay(https://relay.example/, <key>)"."""
    found = re.match(r"(Ip|Relay)\((.*)\)\Z", text)
    if found is None:
        return text
    return found.group(2).split(",")[0].strip() if found.group(1) == "Relay" else found.group(2)


def _hosts() -> list[Host]:
    """This machine's addresses, those of the wider world first, the loopback only where there is no other."""
    found: list[Host] = []
    states = psutil.net_if_stats()
    for name, addresses in psutil.net_if_addrs().items():
        if name in states and not states[name].isup:
            continue
        for known in addresses:
            try:
                host = ipaddress.ip_address(known.address)
            except ValueError:
                continue
            if not host.is_link_local:
                found.append(host)
    outer = [host for host in found if not host.is_loopback]
    return sorted(outer, key=lambda host: not host.is_global) or found


@contextmanager
def _bad_relay(url: str) -> Iterator[None]:
    try:
        yield
    except _IROH_ERRORS as error:
        raise UsageError(f"{url[:200]!r} is no relay URL: {_sentence(error)}") from error


async def _dismiss(answer: Any) -> None:
    try:
        await answer
    except _IROH_ERRORS as error:
        log.debug("turning a connection away: %s", _sentence(error))


async def _proved(incoming: iroh.Incoming) -> bool:
    """Whether the sender's address is its own. What comes through a relay has proved its key there."""
    try:
        return (await incoming.remote_addr()).is_relay() or await incoming.remote_addr_validated()
    except _IROH_ERRORS:
        return False
