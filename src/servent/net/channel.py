"""Datagram channels of one session: one byte of channel number, bounded queues, the oldest goes first."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from servent.errors import ConnectionLost, UsageError
from servent.net import wire
from servent.net.links import Connection

QUEUE = 256  # datagrams waiting in one channel; then the oldest is dropped
EARLY = 32  # datagrams kept that overtook the announcement of their channel
MOST_CHANNELS = 32  # that a peer may announce to us in one session
LAST_NUMBER = 255


class Channel:
    """Datagrams of one service with one peer: unreliable, unordered, each at most `max_bytes`.

    Usable with `async for`; ends when the session does.
    """

    def __init__(self, service: str, send: Callable[[bytes], None], max_bytes: Callable[[], int]) -> None:
        self.service = service
        self.dropped = 0  # datagrams lost here because nobody received them in time
        self.count = 0  # datagrams sent and arrived
        self.asked_for = False  # by somebody here, not only by datagrams that came
        self._send, self._max_bytes = send, max_bytes
        self._queue: deque[bytes] = deque()
        self._ready = asyncio.Event()
        self._over: str | None = None

    @property
    def max_bytes(self) -> int:
        """Longest payload that fits now; may change with the path."""
        return self._max_bytes()

    def send(self, data: bytes) -> None:
        """Send once, never waits, may get lost.

        Raises:
            UsageError: longer than `max_bytes`.
            ConnectionLost: the session is over.
        """
        if self._over is not None:
            raise ConnectionLost(self._over)
        self.count += 1
        self._send(data)

    async def receive(self) -> bytes:
        """The next datagram. Raises ConnectionLost once the session is over and the queue is empty."""
        while not self._queue:
            if self._over is not None:
                raise ConnectionLost(self._over)
            self._ready.clear()
            await self._ready.wait()
        return self._queue.popleft()

    def __aiter__(self) -> Channel:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self.receive()
        except ConnectionLost:
            raise StopAsyncIteration from None

    def arrived(self, data: bytes) -> None:
        """For the session: queue one datagram."""
        if len(self._queue) >= QUEUE:
            self._queue.popleft()
            self.dropped += 1
        self.count += 1
        self._queue.append(data)
        self._ready.set()

    def end(self, why: str) -> None:
        """For the session: it is over."""
        self._over = why
        self._ready.set()


class Channels:
    """All channels of one session.

    Args:
        tell: sends a control message.
        granted: whether the peer may use a service.
    """

    def __init__(
        self, connection: Connection, tell: Callable[[wire.Channel], None], granted: Callable[[str], bool]
    ) -> None:
        self._connection, self._tell, self._granted = connection, tell, granted
        self._channels: dict[str, Channel] = {}
        self._ours: dict[str, int] = {}
        self._theirs: dict[int, str] = {}
        self._early: deque[bytes] = deque(maxlen=EARLY)
        self._over: str | None = None

    def channel(self, service: str) -> Channel:
        """The channel of `service`; the same one every time."""
        found = self._made(service)
        found.asked_for = True
        return found

    def _made(self, service: str) -> Channel:
        found = self._channels.get(service)
        if found is None:
            found = self._channels[service] = Channel(
                service,
                lambda data: self._send(service, data),
                lambda: self._connection.max_datagram_bytes - 1,
            )
            if self._over is not None:
                found.end(self._over)
        return found

    def counts(self) -> dict[str, int]:
        """Datagrams so far, both ways, of each service whose channel somebody here has asked for."""
        return {service: one.count for service, one in self._channels.items() if one.asked_for}

    def announced(self, message: wire.Channel) -> None:
        """The peer told us the number of one of its channels."""
        if message.number in self._theirs or len(self._theirs) >= MOST_CHANNELS:
            return
        self._theirs[message.number] = message.service
        early, self._early = self._early, deque(maxlen=EARLY)
        for data in early:
            self.arrived(data)

    def arrived(self, datagram: bytes) -> None:
        """Sort one datagram in, or drop it: empty, unknown number, not granted."""
        if not datagram:
            return
        service = self._theirs.get(datagram[0])
        if service is None:
            self._early.append(datagram)
        elif self._granted(service):
            self._made(service).arrived(datagram[1:])

    def end(self, why: str) -> None:
        self._over = why
        for channel in self._channels.values():
            channel.end(why)

    def _send(self, service: str, data: bytes) -> None:
        number = self._ours.get(service)
        if number is None:
            if len(self._ours) >= LAST_NUMBER:
                raise UsageError(f"no more than {LAST_NUMBER} datagram channels in one session")
            number = self._ours[service] = len(self._ours) + 1
            self._tell(wire.Channel(service, number))
        self._connection.send_datagram(bytes((number,)) + data)
