"""`net.links` over iroh: QUIC connections dialed by public key. The only module that knows iroh.

iroh binds one IPv4 and one IPv6 socket, always. `bind` may name either or both ("0.0.0.0:4433", "[::]:4433"),
and what is named must be free; a family that is not named gets every address and a free port, if there is one.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import iroh

from servent.errors import ConnectionLost, PeerError, Refused, Unreachable, UsageError, WorldError
from servent.identity import Identity, PeerId
from servent.net import fastffi
from servent.net.addresses import (
    ADDRESSES_MOST,
    Host,
    good_addresses,
    hosts_here,
    join_address,
    parse_address,
)
from servent.net.links import PeerAddress
from servent.net.quic import IrohConnection, sentence

log = logging.getLogger(__name__)

ALPN = b"servent/1"
HANDSHAKES_MOST = 64  # incoming handshakes under way at once; more are refused
HANDSHAKES_CALM = 16  # above this many, a newcomer first proves its address (QUIC retry)
HANDSHAKE_TIME = 10.0  # s
ARRIVALS_MOST = 256  # connections waiting for accept(); more are closed
ADDRESS_CHECK = 0.5  # s between looks at our own address; one look costs 0.06 ms, a cold one 0.5
CLOSE_TIME = 0.8  # s for goodbyes; iroh itself would wait 3 s for handshakes nobody answers


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
    except fastffi.ERRORS as error:
        where = ", ".join(bind) or "any address"
        raise WorldError(
            f"cannot listen on {where}: {sentence(error)}",
            advice="Is another node running there? Port 0 takes any free port.",
        ) from error
    return IrohEndpoint(opened, identity.peer, alpn, [normal_relay(url) for url in relays])


def public_relays() -> list[str]:
    """URLs of the relays that the iroh project runs for everyone."""
    return list(iroh.RelayMode.default_mode().relay_map().urls())


def normal_relay(url: str) -> str:
    """`url` as iroh spells it (lower case, shortest IPv6 form, no default port), to compare by.

    Raises:
        UsageError: not a URL.
    """
    alone = iroh.RelayMap.empty()
    with _bad_relay(url):
        alone.insert(_relay_config(url))
    return str(alone.urls()[0])


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
        self._taking: fastffi.Call | None = None
        self._closing = False
        self._closed = asyncio.Event()
        self.refused = 0  # connections that failed, were refused or took too long before they were accepted
        # The one task without a group above it: its owner is this object, close() ends it and waits for it.
        self._running: asyncio.Task[None] | None = asyncio.get_running_loop().create_task(
            self._run(), name=f"endpoint {peer.short}"
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
        direct = [join_address(*known) for known in good_addresses(address.addresses)]
        relay = address.relay if address.relay is not None and _is_relay(address.relay) else None
        tried = ["direct"] * bool(direct) + ["relay"] * (relay is not None)
        try:
            target = iroh.EndpointAddr(iroh.EndpointId.from_bytes(bytes(address.peer)), relay, direct)
        except fastffi.ERRORS as error:
            raise UsageError(f"{address.peer} is no key that can exist") from error
        try:
            async with asyncio.timeout(timeout):
                return self._keep(await endpoint.connect(target, self._alpn), True)
        except TimeoutError:
            raise Unreachable(address.peer.short, loop.time() - began, tried) from None
        except fastffi.ERRORS as error:
            self._iroh()
            said = sentence(error)
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
        relay = found.relay_url()  # iroh keeps naming one that was removed until it has another
        if relay is not None and relay.rstrip("/") not in [url.rstrip("/") for url in self._relays]:
            relay = None
        return PeerAddress(self._peer, relay, tuple(addresses)[:ADDRESSES_MOST])

    def local_addresses(self) -> Sequence[str]:
        if self._opened is None:
            return []
        found: list[str] = []
        hosts: list[Host] | None = None  # 0.3 ms: asked for only where a socket listens everywhere
        for socket in self._opened.bound_sockets():
            host, port = parse_address(socket)
            if not host.is_unspecified:
                found.append(socket)
                continue
            hosts = hosts_here() if hosts is None else hosts
            found += [join_address(known, port) for known in hosts if known.version == host.version]
        return found

    def ports_opened(self) -> int:
        if self._opened is None or self._closing:
            return 0
        counted = self._opened.stats().get("net_report:portmap_external_address_updated")
        return 0 if counted is None else counted.value

    async def announce(self, addresses: Sequence[str]) -> None:
        endpoint = self._iroh()
        wanted = [join_address(*known) for known in good_addresses(addresses)]
        try:
            for address in wanted:
                if address not in self._announced:
                    await endpoint.add_external_addr(address)
                    self._announced.append(address)
            for address in [known for known in self._announced if known not in wanted]:
                await endpoint.remove_external_addr(address)
                self._announced.remove(address)
        except fastffi.ERRORS as error:
            self._iroh()
            raise WorldError(f"cannot announce an address: {sentence(error)}") from error

    async def use_relays(self, urls: Sequence[str]) -> None:
        endpoint = self._iroh()
        urls = [normal_relay(url) for url in urls]
        for url in urls:
            if url not in self._relays:
                with _bad_relay(url):
                    await endpoint.insert_relay(_relay_config(url))
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
        if self._taking is not None:
            self._taking.free()
        try:
            async with asyncio.timeout(CLOSE_TIME):
                await self._opened.close()
        except TimeoutError:
            log.debug("some peers did not say goodbye in %.1f s", CLOSE_TIME)
        except fastffi.ERRORS as error:
            log.warning("closing the endpoint: %s", sentence(error))
        finally:
            await self._let_go()

    async def _let_go(self) -> None:
        if self._running is not None:
            await asyncio.wait([self._running], timeout=0.05)  # it ends by itself unless a handshake hangs
            self._running.cancel()
            await asyncio.wait([self._running])
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

    async def _run(self) -> None:
        """Takes connections until the endpoint closes; no handshake waits for another.

        It should end by itself: a cancelled TaskGroup leaves a cycle, and the handles in its frames would keep
        the sockets open until the collector comes.
        """
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch_address(), name="own address")
                while not self._closing and await self._take_next(group):
                    pass
                watching.cancel()
        finally:
            self._arrived.set()

    async def _take_next(self, group: asyncio.TaskGroup) -> bool:
        self._taking = fastffi.accept_next(self._iroh())
        try:
            incoming = await self._taking.wait()
        except fastffi.ERRORS:  # close() gave it up
            return False
        finally:
            self._taking.free()
        if incoming is None:
            return False
        if self._shaking >= HANDSHAKES_MOST:
            self.refused += 1
            await _dismiss(incoming.refuse())
        elif self._shaking >= HANDSHAKES_CALM and not await _proved(incoming):
            await _dismiss(incoming.retry())
        else:
            self._shaking += 1
            group.create_task(self._shake(incoming), name="incoming handshake")
        return True

    async def _shake(self, incoming: iroh.Incoming) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_TIME):
                accepting = await incoming.accept()
                connection = self._keep(await accepting.connect(), False)
        except (TimeoutError, PeerError, *fastffi.ERRORS) as error:
            self.refused += 1
            log.debug("an incoming connection failed: %s", sentence(error))
            return
        finally:
            self._shaking -= 1
        if len(self._arrivals) >= ARRIVALS_MOST:
            self.refused += 1
            await connection.close(0, "busy")
            return
        self._arrivals.append(connection)
        self._arrived.set()

    async def _watch_address(self) -> None:
        """Looks at our own address now and then.

        iroh's watch_addr would call from a thread of its own, which needs uniffi's global event loop, and
        watch_network_change keeps a core busy in iroh 1.2.0.
        """
        known = _look(self._iroh())
        while True:
            await asyncio.sleep(ADDRESS_CHECK)
            if self._closing:
                return
            now = _look(self._iroh())
            if now != known:
                known = now
                for callback in self._callbacks:
                    callback()


def _look(endpoint: iroh.Endpoint) -> tuple[str | None, tuple[str, ...]]:
    found = endpoint.addr()
    return found.relay_url(), tuple(sorted(found.direct_addresses()))


def _is_relay(url: str) -> bool:
    """Whether iroh can read it. Like an address, a relay from outside is a hint, never an error."""
    try:
        iroh.RelayMap.from_urls([url])
    except fastffi.ERRORS:
        return False
    return True


@contextmanager
def _bad_relay(url: str) -> Iterator[None]:
    try:
        yield
    except fastffi.ERRORS as error:
        raise UsageError(f"{url[:200]!r} is no relay URL: {sentence(error)}") from error


async def _dismiss(answer: Any) -> None:
    try:
        await answer
    except fastffi.ERRORS as error:
        log.debug("turning a connection away: %s", sentence(error))


async def _proved(incoming: iroh.Incoming) -> bool:
    """Whether the sender's address is its own. What comes through a relay has proved its key there."""
    try:
        return (await incoming.remote_addr()).is_relay() or await incoming.remote_addr_validated()
    except fastffi.ERRORS:
        return False
