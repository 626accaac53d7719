"""`net.links` in memory and virtual time: seeded delay, loss, partitions, NATs, changed addresses.

Stricter than the real network on purpose where the real one promises nothing: `close` overtakes
everything in flight, and datagrams get lost as soon as `loss` is above zero.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from servent.errors import ConnectionLost, Unreachable, UsageError
from servent.identity import Identity, PeerId
from servent.net import links
from servent.net.links import Path, PathKind, PeerAddress
from servent.testing.simstream import Order, Pipe, SimStream

Nat = Literal["public", "home", "symmetric", "blocked"]

MAX_DATAGRAM_BYTES = 1162  # as the real endpoint
MAX_REASON_BYTES = 200
IDLE_LIMIT = 30.0  # s without a sign of life until a connection is given up; iroh's own limit
STALL = 0.4  # s that a connection stands still when one end's address changes; measured 0.35-0.6 with iroh
ACCEPT_QUEUE = 256  # connections waiting for accept(); more are refused
DATAGRAM_QUEUE = 1024  # datagrams waiting for read_datagram(); then the oldest goes


class SimNet:
    """A simulated internet. Same seed, same history.

    Args:
        seed: decides every delay and every loss.
        latency: one-way delay in seconds, or its shortest and longest value.
        loss: share of packets lost, 0.0 to 1.0: datagrams vanish, stream data comes a round trip later.
        bandwidth: bytes per second each endpoint can send; None means no limit.
    """

    def __init__(
        self,
        seed: int = 0,
        latency: float | tuple[float, float] = (0.01, 0.03),
        loss: float = 0.0,
        bandwidth: float | None = None,
        window_bytes: int = 1024 * 1024,
    ) -> None:
        self.dice = random.Random(seed)
        self.latency = latency if isinstance(latency, tuple) else (latency, latency)
        self.loss, self.bandwidth, self.window_bytes = loss, bandwidth, window_bytes
        self.endpoints: list[SimEndpoint] = []
        self.connections: list[SimConnection] = []  # every end that is not closed
        self._dead_relays: set[str] = set()
        self._sides: dict[PeerId, int] = {}
        self._changed = asyncio.Event()
        self._hosts = 0

    def endpoint(
        self,
        identity: Identity,
        *,
        nat: Nat = "public",
        relays: Sequence[str] = (),
        bandwidth: float | None = None,
    ) -> SimEndpoint:
        """A new endpoint on a host of its own.

        Args:
            nat: "public" takes direct connections from everyone; "home" after both sides met through a
                relay (an ordinary router); "symmetric" reaches only public peers directly; "blocked" (no UDP)
                nobody.
            bandwidth: bytes per second up, in place of the net's.
        """
        endpoint = SimEndpoint(self, identity.peer, self.new_host(), nat, relays, bandwidth or self.bandwidth)
        self.endpoints.append(endpoint)
        self.wake()
        return endpoint

    def partition(self, *sides: Iterable[SimEndpoint]) -> None:
        """Nothing passes between different sides; endpoints on no side reach everyone.

        What is on its way waits, and connections die after 30 s unless healed.
        """
        self._sides = {endpoint.peer: number for number, side in enumerate(sides) for endpoint in side}
        for connection in list(self.connections):
            connection.check_joined()

    def heal(self) -> None:
        self._sides = {}
        for connection in list(self.connections):
            connection.check_joined()
        self.wake()

    def cut(self, one: SimEndpoint, other: SimEndpoint) -> None:
        """Break the connections between two endpoints at once; they may dial again."""
        for connection in list(self.connections):
            if {connection.near.peer, connection.peer} == {one.peer, other.peer}:
                connection.end("the connection timed out")

    def crash(self, endpoint: SimEndpoint) -> None:
        """`endpoint` is gone without a word: its peers notice after 30 s, itself at once."""
        for connection in list(self.connections):
            if connection.near is endpoint:
                connection.end("this endpoint is closed")
            elif connection.far.near is endpoint:
                connection.expect_silence()
        endpoint.end()

    def change_address(self, endpoint: SimEndpoint) -> None:
        """A new IP address for `endpoint`: connections stall for a moment and go on."""
        endpoint.host = self.new_host()
        for connection in self.connections:
            if endpoint.peer in (connection.near.peer, connection.peer):
                connection.stall(STALL)
        endpoint.changed()
        self.wake()

    def relay_down(self, url: str) -> None:
        """Stop a relay; connections that go through it die after 30 s unless it is started again."""
        self._dead_relays.add(url)
        for connection in list(self.connections):
            connection.check_joined()

    def relay_up(self, url: str) -> None:
        self._dead_relays.discard(url)
        for connection in list(self.connections):
            connection.check_joined()
        self.wake()

    # for endpoints and connections

    def new_host(self) -> str:
        self._hosts += 1
        return f"10.{self._hosts >> 16 & 255}.{self._hosts >> 8 & 255}.{self._hosts & 255}"

    def delay(self) -> float:
        return self.dice.uniform(*self.latency)

    def joined(self, one: PeerId, other: PeerId) -> bool:
        a, b = self._sides.get(one), self._sides.get(other)
        return a is None or b is None or a == b

    def relay_works(self, url: str) -> bool:
        return url not in self._dead_relays

    def wake(self) -> None:
        """Whoever waits for a path looks again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def change(self) -> None:
        await self._changed.wait()


class SimEndpoint:
    """links.Endpoint on a SimNet."""

    def __init__(
        self, net: SimNet, peer: PeerId, host: str, nat: Nat, relays: Sequence[str], bandwidth: float | None
    ) -> None:
        self.net, self.host, self.nat, self.bandwidth = net, host, nat, bandwidth
        self.busy_until = 0.0  # when the last packet handed to us has left
        self.closed = False
        self._peer = peer
        self._relays = tuple(relays)
        self._announced: tuple[str, ...] = ()
        self._arrivals: deque[SimConnection] = deque()
        self._arrived = asyncio.Event()
        self._callbacks: list[Callable[[], None]] = []

    @property
    def peer(self) -> PeerId:
        return self._peer

    async def connect(self, address: PeerAddress, timeout: float) -> SimConnection:
        if self.closed:
            raise ConnectionLost("this endpoint is closed")
        if address.peer == self._peer:
            raise UsageError("a node does not connect to itself")
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(timeout):
                while True:
                    found = self._find(address)
                    if found is None:
                        await self.net.change()
                        continue
                    await asyncio.sleep(self.net.delay() + self.net.delay())
                    other, kind, relay = found
                    if self.closed:
                        raise ConnectionLost("this endpoint is closed")
                    if self._find(address) is not None and other.has_room():
                        return self._join(other, kind, relay)
        except TimeoutError:
            tried = ["direct"] * bool(address.addresses) + ["relay"] * (address.relay is not None)
            raise Unreachable(address.peer.short, loop.time() - began, tried) from None

    def _find(self, address: PeerAddress) -> tuple[SimEndpoint, PathKind, str | None] | None:
        """Who answers at `address` and how it is reached now."""
        for other in self.net.endpoints:
            if other.peer != address.peer or other.closed or not self.net.joined(self._peer, other.peer):
                continue
            if other.nat == "public" and self.nat != "blocked" and other.listens_at(address.addresses):
                return other, "direct", None
            relay = address.relay
            if relay is not None and relay == other.home_relay() and self.net.relay_works(relay):
                return other, "relayed", relay
        return None

    def _join(self, other: SimEndpoint, kind: PathKind, relay: str | None) -> SimConnection:
        near = SimConnection(self.net, self, other.peer, True, kind, relay)
        far = SimConnection(self.net, other, self._peer, False, kind, relay)
        near.far, far.far = far, near
        self.net.connections += (near, far)
        if relay is not None and can_punch(self.nat, other.nat):
            asyncio.get_running_loop().call_later(4 * self.net.delay(), near.go_direct)
        other._arrivals.append(far)
        other._arrived.set()
        return near

    async def accept(self) -> SimConnection:
        while True:
            if self.closed:
                raise ConnectionLost("this endpoint is closed")
            if self._arrivals:
                return self._arrivals.popleft()
            self._arrived.clear()
            await self._arrived.wait()

    def address(self) -> PeerAddress:
        seen = dict.fromkeys((*self.local_addresses(), *self._announced))
        return PeerAddress(self._peer, self.home_relay(), tuple(seen)[:16])

    def local_addresses(self) -> Sequence[str]:
        return [f"{self.host}:4433"]

    def ports_opened(self) -> int:
        return 0

    async def announce(self, addresses: Sequence[str]) -> None:
        if self._announced != tuple(addresses):
            self._announced = tuple(addresses)
            self.changed()

    async def use_relays(self, urls: Sequence[str]) -> None:
        before = self.home_relay()
        self._relays = tuple(urls)
        if self.home_relay() != before:
            self.changed()
            self.net.wake()

    def on_address_change(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    async def close(self) -> None:
        for connection in list(self.net.connections):
            if connection.near is self:
                await connection.close(0, "")
        self.end()

    # for the net

    def end(self) -> None:
        self.closed = True
        if self in self.net.endpoints:
            self.net.endpoints.remove(self)
        self._arrived.set()

    def home_relay(self) -> str | None:
        return next((url for url in self._relays if self.net.relay_works(url)), None)

    def listens_at(self, addresses: Sequence[str]) -> bool:
        return any(known in addresses for known in (*self.local_addresses(), *self._announced))

    def has_room(self) -> bool:
        return len(self._arrivals) < ACCEPT_QUEUE

    def changed(self) -> None:
        for callback in self._callbacks:
            asyncio.get_running_loop().call_soon(callback)


def can_punch(one: Nat, other: Nat) -> bool:
    """Whether two peers that met through a relay find a direct path, as measured with iroh."""
    kinds = {one, other}
    return "blocked" not in kinds and (kinds <= {"public", "home"} or "public" in kinds)


class SimConnection:
    """links.Connection: one end of it; `far` is the other."""

    far: SimConnection

    def __init__(
        self, net: SimNet, near: SimEndpoint, peer: PeerId, dialed: bool, kind: PathKind, relay: str | None
    ) -> None:
        self.net, self.near = net, near
        self.window_bytes = net.window_bytes
        self._peer, self._dialed, self._kind, self._relay = peer, dialed, kind, relay
        self._gone: str | None = None
        self._ended = asyncio.Event()
        self._streams: deque[SimStream] = deque()
        self._datagrams: deque[bytes] = deque(maxlen=DATAGRAM_QUEUE)
        self._arrived = asyncio.Event()
        self._writes: list[Pipe] = []
        self._reads: list[Pipe] = []
        self._held: list[Callable[[], None]] = []
        self._stalled_until = 0.0
        self._idle: asyncio.TimerHandle | None = None
        self._sent_bytes = self._received_bytes = 0

    @property
    def peer(self) -> PeerId:
        return self._peer

    @property
    def dialed(self) -> bool:
        return self._dialed

    @property
    def gone(self) -> str | None:
        return self._gone

    @property
    def max_datagram_bytes(self) -> int:
        return MAX_DATAGRAM_BYTES

    async def open(self) -> SimStream:
        self._check()
        seen = False

        def opened() -> None:
            nonlocal seen
            if not seen:
                seen = True
                self.far._streams.append(theirs)
                self.far._arrived.set()

        there, back = Pipe(self, opened), Pipe(self.far, lambda: None)
        theirs = SimStream(back, there)
        self._keep(there, back)
        self.far._keep(back, there)
        return SimStream(there, back)

    async def accept(self) -> SimStream:
        while not self._streams:
            self._check()
            self._arrived.clear()
            await self._arrived.wait()
        self._check()
        return self._streams.popleft()

    def send_datagram(self, data: bytes) -> None:
        if len(data) > MAX_DATAGRAM_BYTES:
            raise UsageError(f"a datagram of {len(data)} bytes; {MAX_DATAGRAM_BYTES} fit on this connection")
        self._check()
        if self.net.dice.random() < self.net.loss or not self._joined():
            return
        copy = bytes(data)

        def arrive() -> None:
            self.far._datagrams.append(copy)
            self.far._arrived.set()

        loop = asyncio.get_running_loop()
        loop.call_at(self._depart(len(copy)) + self.net.delay(), self._arrive, arrive, False)

    async def read_datagram(self) -> bytes:
        while not self._datagrams:
            self._check()
            self._arrived.clear()
            await self._arrived.wait()
        return self._datagrams.popleft()

    def paths(self) -> Sequence[Path]:
        if self._gone is not None:
            return []
        address = self._relay if self._relay is not None else self.far.near.local_addresses()[0]
        rtt = sum(self.net.latency)
        return [Path(self._kind, address, rtt, True, self._sent_bytes, self._received_bytes)]

    async def close(self, code: int = 0, reason: str = "") -> None:
        if self._gone is not None:
            return
        said = clip_reason(reason) or f"code {code}"

        def tell() -> None:
            if self.far._gone is None and self._joined():
                self.far.end(f"closed by the peer: {said}")

        asyncio.get_running_loop().call_later(self.net.delay(), tell)
        self.far.expect_silence()  # in case that word never arrives
        self.end(links.ended_here(said))

    async def wait_closed(self) -> str:
        await self._ended.wait()
        return self._gone or ""

    # for pipes

    def transmit(self, size_bytes: int, order: Order) -> None:
        at = self._depart(size_bytes) + self.net.delay()
        if self.net.dice.random() < self.net.loss:
            at += 2 * self.net.delay()  # noticed and sent again
        at = max(at, order.last_at, self._stalled_until)
        order.last_at = at
        asyncio.get_running_loop().call_at(at, self._arrive, order.arrive, True)

    def later(self, act: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(self.net.delay(), self.far._arrive, act, True)

    # for the net

    def end(self, why: str) -> None:
        """This end is closed or lost; everyone who waits on it is told `why`."""
        if self._gone is not None:
            return
        self._gone = why
        if self._idle is not None:
            self._idle.cancel()
        self.net.connections.remove(self)
        for pipe in self._writes:
            pipe.break_writing(why)
        for pipe in self._reads:
            pipe.lose_reading(why)
        self._writes, self._reads, self._held = [], [], []
        self._arrived.set()
        self._ended.set()

    def check_joined(self) -> None:
        """The network changed: start or stop the idle limit, pass on what waited."""
        if not self._joined():
            self.expect_silence()
            return
        if self._idle is not None and self.far._gone is None:
            self._idle.cancel()
            self._idle = None
        held, self._held = self._held, []
        for act in held:
            asyncio.get_running_loop().call_soon(self._arrive, act, True)

    def expect_silence(self) -> None:
        if self._idle is None and self._gone is None:
            self._idle = asyncio.get_running_loop().call_later(
                IDLE_LIMIT, self.end, "the connection timed out"
            )

    def stall(self, duration: float) -> None:
        self._stalled_until = asyncio.get_running_loop().time() + duration

    def go_direct(self) -> None:
        """Hole punching worked: both ends leave the relay."""
        if self._gone is None and self.far._gone is None and self._joined():
            for connection in (self, self.far):
                connection._kind, connection._relay = "direct", None

    # inside

    def _check(self) -> None:
        if self._gone is not None:
            raise ConnectionLost(self._gone)

    def _joined(self) -> bool:
        return self.net.joined(self.near.peer, self._peer) and (
            self._relay is None or self.net.relay_works(self._relay)
        )

    def _depart(self, size_bytes: int) -> float:
        """When the last of `size_bytes` has left this host; hosts send one thing after the other."""
        now = asyncio.get_running_loop().time()
        self._sent_bytes += size_bytes
        self.far._received_bytes += size_bytes
        if self.near.bandwidth is None:
            return now
        self.near.busy_until = max(now, self.near.busy_until) + size_bytes / self.near.bandwidth
        return self.near.busy_until

    def _arrive(self, act: Callable[[], None], reliable: bool) -> None:
        """Something this end sent reaches the far end, or waits until it can."""
        if self._gone is not None or self.far._gone is not None:
            return
        if self._joined():
            act()
        elif reliable:
            self._held.append(act)

    def _keep(self, writes: Pipe, reads: Pipe) -> None:
        if len(self._writes) > 256:
            self._writes = [pipe for pipe in self._writes if not pipe.done]
            self._reads = [pipe for pipe in self._reads if not pipe.done]
        self._writes.append(writes)
        self._reads.append(reads)


def clip_reason(reason: str) -> str:
    """At most 200 bytes of UTF-8 that are safe to print."""
    short = reason.encode(errors="replace")[:MAX_REASON_BYTES].decode(errors="ignore")
    return "".join(letter if letter.isprintable() else " " for letter in short).strip()
