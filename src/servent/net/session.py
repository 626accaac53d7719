"""One peer after the hello: its control stream, its streams and datagrams, and whether it still answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from servent.codec import frame
from servent.errors import ConnectionLost, PeerError
from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.net import hello, links, wire
from servent.net.channel import Channel, Channels
from servent.net.links import Connection, Path, Stream
from servent.net.opened import OpenedStream
from servent.net.pulse import Dead, Pulse, PulseSettings


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Limits of one session.

    Attributes:
        pulse: when the connection counts as dead.
        observe_every: seconds between two looks at where the peer is; `observe_busy` while somebody waits
            for bytes. A peer that knows that it moved says so at once, whatever this is.
        control_rate, control_burst: control messages per second that a peer may send us.
        queue_bytes: control messages waiting to be sent; a peer that lets more pile up is closed.
        drain: seconds without any stream before a replaced connection closes.
    """

    pulse: PulseSettings = field(default_factory=PulseSettings)
    observe_every: float = 5.0
    observe_busy: float = 1.0
    control_rate: float = 50.0
    control_burst: float = 200.0
    queue_bytes: int = 512 * 1024
    drain: float = 2.0


class TooMuch(PeerError):
    """The peer does more than its share."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A stream that was let in. `over` is called once, also when `run` never came to start."""

    run: Callable[[], Coroutine[Any, Any, None]]
    over: Callable[[], None]


class Host(Protocol):
    """What a session needs of those around it."""

    def heard(self, session: Session, message: wire.Control) -> None:
        """A control message that is not the session's own business."""
        ...

    def observed(self, session: Session, address: str | None) -> None:
        """The peer sees us at `address`, None: only through a relay."""
        ...

    def granted(self, peer: PeerId, service: str) -> bool:
        """Whether we serve `service` to `peer`."""
        ...

    def arrived(self, session: Session, stream: Stream) -> Visit | None:
        """A stream the peer opened: what to do for it, or None when it was turned away at once.

        What is done tells `session.waits` as soon as it is known that somebody waits on that stream.
        """
        ...


class Session:
    """One peer we know, over one connection. When that dies the session is over; `Peers` makes a new one."""

    def __init__(
        self, connection: Connection, greeting: hello.Greeting, host: Host, settings: SessionSettings
    ) -> None:
        self._clock = asyncio.get_running_loop().time
        self._connection, self._host, self._settings = connection, host, settings
        self._control = greeting.control
        self.peer = connection.peer
        self.dialed = connection.dialed
        self.tag, self.run_tag, self.last = greeting.tag, greeting.run, greeting.last
        self.profile = greeting.profile
        self.software = greeting.software
        self.verdict = greeting.verdict
        self.observed = greeting.observed  # where the peer sees us
        self.seen = greeting.seen  # where we saw the peer last
        self.told: tuple[str | None, str | None] = (None, None)  # its own way out over IPv4 and IPv6, it says
        self._seen_direct = self.seen  # and where we see it now, None: only through a relay
        self.since = self._clock()
        self.over: str | None = None  # why, once it is
        self.replaced = False  # a newer connection took over; this one ends with its last stream
        self.serving = 0  # streams of theirs that are open
        self.using = 0  # streams of ours that are open
        self.heard_at = self.since  # loop time of its last echo or answer to ours
        self.said_bye = False  # the peer meant to end it
        self._idle_since = self._looked_at = self.since
        self._standing: set[Stream] = set()  # of all that are open, those on which nobody waits
        self._pulse = Pulse(settings.pulse, self.since)
        self._bucket = TokenBucket(settings.control_rate, settings.control_burst)
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()  # bounded by `queue_bytes`, see tell()
        self._queued_bytes = 0
        self._nudge = asyncio.Event()
        self._channels = Channels(connection, self.tell, lambda service: host.granted(self.peer, service))

    @property
    def connected(self) -> bool:
        return self.over is None

    @property
    def rtt(self) -> float | None:
        """Round trip of the echoes, None before the first; `paths()` has that of each path."""
        return self._pulse.rtt

    @property
    def silent(self) -> int:
        """Echoes in a row that are overdue now; above zero the path may be dying."""
        return self._pulse.silent

    @property
    def max_datagram_bytes(self) -> int:
        return self._connection.max_datagram_bytes - 1

    @property
    def idle_since(self) -> float | None:
        """Loop time of the end of its last stream; None while one is open."""
        return None if self._open else self._idle_since

    @property
    def busy(self) -> bool:
        """Whether somebody waits for bytes: a stream is open that does not just stand there for what may come."""
        return self._open > len(self._standing)

    def paths(self) -> Sequence[Path]:
        return self._connection.paths() if self.over is None else []

    async def open(self, service: str, *, standing: bool = False) -> Stream:
        """A new stream to a service of the peer. What it denies shows as Refused at the first read.

        Args:
            standing: it stays open for what may come, and nobody waits on it: the peer is not asked all the time
                whether it still answers. `expects` has it asked while an answer is wanted all the same.

        Raises:
            ConnectionLost: the session is over.
        """
        if self.over is not None:
            raise ConnectionLost(f"{self.peer.short}: {self.over}")
        try:
            raw = await self._connection.open()
            self.using += 1
            if standing:
                self._standing.add(raw)
            else:
                self._busier()
            stream = OpenedStream(raw, self.peer.short, service, partial(self._unused, raw))
            await raw.write(frame(wire.Open(service)))
        except ConnectionLost as lost:
            self._finish(str(lost))  # known here before `run` hears of it: the next `open` dials anew
            raise
        return stream

    def channel(self, service: str) -> Channel:
        """The datagram channel of `service` with this peer."""
        return self._channels.channel(service)

    def datagrams(self) -> dict[str, int]:
        """How many datagrams each service has sent and received whose channel somebody here has asked for."""
        return self._channels.counts()

    def tell(self, message: wire.Control) -> None:
        """Queue a control message. A peer that reads none is closed, never waited for."""
        if self.over is not None:
            return
        body = frame(message)
        self._queued_bytes += len(body)
        self._queue.put_nowait(body)
        if self._queued_bytes > self._settings.queue_bytes:
            self._finish("does not read its control stream")

    def ask_observed(self) -> None:
        """Ask the peer where it sees us now; the answer comes as an observation."""
        self.tell(wire.Look())

    def hurry(self) -> None:
        """Something about the paths changed: see at once whether the peer still answers."""
        self._pulse.hurry(self._clock())
        self._nudge.set()

    def expects(self) -> None:
        """An answer is to come over a stream that stands: look soon whether the peer is there at all."""
        self._busier()

    def waits(self, stream: Stream) -> None:
        """A stream of theirs has said what it is for, and it is something that somebody waits for."""
        if stream in self._standing:
            self._standing.discard(stream)
            self._busier()

    def retire(self) -> None:
        """A newer connection took over: close as soon as no stream has been open for `drain` s."""
        self.replaced = True
        self._nudge.set()

    def give_up(self, why: str) -> None:
        """It is known to be dead: `run` ends at once, its streams with it."""
        self._finish(why)

    async def run(self) -> None:
        """Serve the connection until it ends; `over` then says why. Closes it when cancelled.

        Raises:
            PeerError: the peer broke the protocol; the connection is closed.
        """
        mistake: BaseException | None = None
        name = self.peer.short
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._read_control(), name=f"control of {name}")
                tasks.create_task(self._write_control(), name=f"control to {name}")
                tasks.create_task(self._watch(), name=f"pulse of {name}")
                tasks.create_task(self._take_streams(tasks), name=f"streams of {name}")
                tasks.create_task(self._take_datagrams(), name=f"datagrams of {name}")
                why = await self._connection.wait_closed()
                self._finish(why)
                raise ConnectionLost(why)
        except* ConnectionLost as lost:
            self._finish(str(first(lost)))
        except* PeerError as wrong:
            mistake = first(wrong)
            self._finish(str(mistake))
        finally:
            self._finish("closed")
            code, why = (hello.CODE_OK, "") if mistake is None else (hello.CODE_BROKEN, "protocol")
            await self._connection.close(code, why)
        if mistake is not None:
            raise mistake

    async def close(self, reason: str = "", code: int = hello.CODE_OK) -> None:
        """Say goodbye and close. Never raises."""
        if self.over is None:
            self._finish(reason or "closed here")
            try:
                async with asyncio.timeout(0.2):
                    await self._control.write(frame(wire.Bye(reason[:200])))
            except (ConnectionLost, TimeoutError):
                pass
        await self._connection.close(code, reason[:200])

    # inside

    def _finish(self, why: str) -> None:
        if self.over is None:
            self.over = why
            self._channels.end(f"{self.peer.short}: {why}")
            self._nudge.set()

    @property
    def _open(self) -> int:
        return self.serving + self.using

    def _busier(self) -> None:
        self._pulse.busier(self._clock())
        self._nudge.set()

    def _unused(self, stream: Stream) -> None:
        self.using -= 1
        self._standing.discard(stream)
        self._idle_since = self._clock()

    async def _read_control(self) -> None:
        while True:
            message = await wire.read_control.read(self._control)
            now = self._clock()
            if not self._bucket.allow(1, now):
                raise TooMuch("too many control messages")
            match message:
                case wire.Echo(number):
                    self.heard_at = now
                    self.tell(wire.EchoReply(number))
                    self._look()
                    if not self.busy:
                        self._pulse.heard(now)
                case wire.EchoReply(number):
                    self.heard_at = now
                    self._pulse.reply(number, now, self.busy)
                case wire.Look():
                    self._look()
                    self.tell(wire.Observed(self._seen_direct))
                case wire.Observed(address):
                    self.observed = address
                    self._host.observed(self, address)
                case wire.Channel():
                    self._channels.announced(message)
                case wire.Bye(reason):
                    self.said_bye = True
                    self._finish(f"{links.THEIRS}{wire.printable(reason)}")
                    raise ConnectionLost(self.over or "")
                case _:
                    self._host.heard(self, message)

    async def _write_control(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while not self._queue.empty() and len(batch) < 16:
                batch.append(self._queue.get_nowait())
            await self._control.write(b"".join(batch))
            self._queued_bytes -= sum(map(len, batch))

    async def _watch(self) -> None:
        """Echoes, where the peer is, and the end of a replaced connection."""
        while self.over is None:
            now = self._clock()
            # A look at the paths is most of what a resting session costs: not for every stream that opens or ends.
            wanted = min(self._pulse.next_tick() or now, self._next_look()) <= now
            for wish in self._pulse.tick(now, self._look()) if wanted else ():
                if isinstance(wish, Dead):
                    self._finish("its path fell silent")
                    await self._connection.close(hello.CODE_SILENT, "silent")
                    raise ConnectionLost(self.over or "")
                self.tell(wish)
            if self._open:
                self._idle_since = now
            elif self.replaced and now - self._idle_since >= max(self._settings.drain, 4 * (self.rtt or 0.0)):
                await self.close("replaced by a newer connection", hello.CODE_REPLACED)
                raise ConnectionLost("replaced by a newer connection")
            self._nudge.clear()
            due = min(self._pulse.next_tick() or now, self._next_look())
            try:
                async with asyncio.timeout_at(max(due, now + 0.01)):
                    await self._nudge.wait()
            except TimeoutError:
                continue
        await self._connection.close(hello.CODE_OK, self.over)
        raise ConnectionLost(self.over)  # ends the session here and now, whatever the closing waits for

    def _next_look(self) -> float:
        settings = self._settings
        often = self.busy or self.replaced
        return self._looked_at + (settings.observe_busy if often else settings.observe_every)

    def _look(self) -> int:
        """Tell the peer when it moved; returns the bytes received so far."""
        self._looked_at = self._clock()
        received, selected, other = 0, None, None
        for path in self._connection.paths():
            received += path.received_bytes
            if path.kind == "direct":
                if path.selected:
                    selected = path.address
                other = other or path.address
        address = self._seen_direct = selected or other
        if address is not None and address != self.seen:
            self.seen = address
            self.tell(wire.Observed(address))
        return received

    async def _take_streams(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            stream = await self._connection.accept()
            visit = self._host.arrived(self, stream)
            if visit is None:
                await stream.reset(hello.CODE_BUSY)
                continue
            self.serving += 1
            self._standing.add(stream)  # until it has said what it is for
            task = tasks.create_task(visit.run(), name=f"stream of {self.peer.short}")
            task.add_done_callback(partial(self._served, visit, stream))

    def _served(self, visit: Visit, stream: Stream, _: asyncio.Task[None]) -> None:
        self.serving -= 1
        self._standing.discard(stream)
        self._idle_since = self._clock()
        visit.over()

    async def _take_datagrams(self) -> None:
        while True:
            self._channels.arrived(await self._connection.read_datagram())


def first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first exception in `group` that is not a group itself."""
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
