"""What a network is to everything above it: four Protocols and three plain values.

Two implementations keep one suite of promises (tests/promises): `net.endpoint` over iroh, and
`testing.simnet` in memory and virtual time. All durations are seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from servent.identity import PeerId

PathKind = Literal["direct", "relayed"]


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where a peer may be found. Never trusted beyond "dial this key there": the key is proven by TLS.

    Attributes:
        peer: whom we expect to answer.
        relay: URL of its home relay, or None.
        addresses: "192.0.2.1:443" / "[2001:db8::1]:443", best first, at most 16.
    """

    peer: PeerId
    relay: str | None = None
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Path:
    """One way the packets of a connection can take.

    Attributes:
        kind: "direct", or "relayed" through a relay server.
        address: the peer's "ip:port", or the relay's URL.
        rtt: round trip in seconds, None before the first sample.
        selected: whether data flows on it now.
        sent_bytes, received_bytes: UDP payload since the path opened.
    """

    kind: PathKind
    address: str
    rtt: float | None
    selected: bool
    sent_bytes: int = 0
    received_bytes: int = 0


class Stream(Protocol):
    """A reliable byte stream in both directions, as in QUIC.

    Every method raises ConnectionLost when the stream or its connection is gone.
    """

    async def read(self, limit: int) -> bytes:
        """Up to `limit` bytes as soon as some are there; b"" once the peer finished."""
        ...

    async def read_exactly(self, size: int) -> bytes:
        """`size` bytes; ConnectionLost if the stream ends before."""
        ...

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Returns once flow control has accepted all of `data`."""
        ...

    async def finish(self) -> None:
        """No more from us; the peer reads b"" after what was sent. Reading goes on."""
        ...

    async def reset(self, code: int = 0) -> None:
        """Give up both directions at once; the peer gets ConnectionLost. Never raises."""
        ...


class Connection(Protocol):
    """A secure connection to one peer, whose key is proven."""

    @property
    def peer(self) -> PeerId: ...

    @property
    def dialed(self) -> bool:
        """True when we opened it, False when we accepted it."""
        ...

    async def open(self) -> Stream:
        """A new stream; the peer sees it with its first byte. Raises ConnectionLost."""
        ...

    async def accept(self) -> Stream:
        """The next stream the peer opened. Raises ConnectionLost."""
        ...

    def send_datagram(self, data: bytes) -> None:
        """Send it once, unreliably and unordered; dropped when the buffer is full.

        Raises:
            UsageError: longer than `max_datagram_bytes`.
            ConnectionLost: the connection is gone.
        """
        ...

    async def read_datagram(self) -> bytes:
        """The next datagram. Raises ConnectionLost."""
        ...

    @property
    def max_datagram_bytes(self) -> int: ...

    def paths(self) -> Sequence[Path]:
        """All open paths now; empty once closed."""
        ...

    async def close(self, code: int = 0, reason: str = "") -> None:
        """Close at once. `reason` (at most 200 bytes) reaches the peer. Never raises."""
        ...

    async def wait_closed(self) -> str:
        """Returns why, once it is closed by either side or lost."""
        ...


class Endpoint(Protocol):
    """Our end of the network: dials peers by key, accepts those who dial us.

    Connections handed out have completed TLS, so `connection.peer` is proven; nothing else is.
    """

    @property
    def peer(self) -> PeerId: ...

    async def connect(self, address: PeerAddress, timeout: float) -> Connection:
        """Raises Unreachable when no path opened in `timeout` s."""
        ...

    async def accept(self) -> Connection:
        """The next connection a peer opened to us. Raises ConnectionLost once the endpoint is closed."""
        ...

    def address(self) -> PeerAddress:
        """Where we believe we can be reached now: relay, local, mapped and announced addresses."""
        ...

    def local_addresses(self) -> Sequence[str]:
        """ "ip:port" of our own sockets and interfaces, without what observers told us."""
        ...

    def ports_opened(self) -> int:
        """How often a router has opened a port for us (UPnP, PCP or NAT-PMP); never falls."""
        ...

    async def announce(self, addresses: Sequence[str]) -> None:
        """Replace the set of addresses that observers saw us at; new ones are added before old go."""
        ...

    async def use_relays(self, urls: Sequence[str]) -> None:
        """Replace the set of relays; a home relay is chosen among them by latency."""
        ...

    def on_address_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the loop whenever `address()` may have changed."""
        ...

    async def close(self) -> None:
        """Close every connection and socket. Never raises; safe twice."""
        ...


THEIRS = "they said: "  # begins the words of a session that the other side ended


def ended_here(said: str) -> str:
    """Why a connection is gone that was closed at this end with these words; where they are the other side's, just those."""
    if said.startswith(THEIRS):
        return said
    return f"closed here: {said}" if said else "closed here"
