"""Which service gets a stream, and how many of them one peer may have."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from servent.codec import frame
from servent.errors import BadMessage, ConnectionLost, PeerError, ServentError, UsageError
from servent.identity import PeerId
from servent.limits import Budget, TokenBucket
from servent.net import wire
from servent.net.gate import Gate
from servent.net.links import Stream
from servent.net.quiet import Quiet, others
from servent.net.session import Session, TooMuch, Visit, first

log = logging.getLogger("servent.net")

Handler = Callable[[Session, Stream], Awaitable[None]]

UNKNOWN = "not offered to you"  # the same words for what does not exist and for what is not granted
BUSY = "too many at once; try again later"
DRAIN_BYTES = 256 * 1024  # read from a denied opener, so that it comes to read our answer


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """Limits per peer.

    Attributes:
        streams: open at once, of all services together.
        share: of these, for one service that names no number of its own.
        stream_rate, stream_burst: new streams per second.
        open_within: seconds in which a new stream must name its service.
        guests: peers whose counts are remembered.
    """

    streams: int = 64
    share: int = 48
    stream_rate: float = 500.0
    stream_burst: float = 1000.0
    open_within: float = 5.0
    guests: int = 2048


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    handler: Handler
    streams: int
    standing: bool


class Guest:
    """What one peer takes up of us."""

    def __init__(self, settings: RouterSettings) -> None:
        self.streams = Budget(settings.streams)
        self.rate = TokenBucket(settings.stream_rate, settings.stream_burst)
        self.by_service: dict[str, int] = {}


class Router:
    """The registry of services and the door of every stream.

    Args:
        granted: whether trust lets a peer use a service.
        gate: counts faults.
    """

    def __init__(
        self, granted: Callable[[PeerId, str], bool], gate: Gate, quiet: Quiet, settings: RouterSettings
    ) -> None:
        self._granted, self._gate, self._quiet, self._settings = granted, gate, quiet, settings
        self._services: dict[str, Service] = {}
        self._guests: dict[PeerId, Guest] = {}

    def serve(self, name: str, handler: Handler, streams: int | None, *, standing: bool = False) -> None:
        """Give streams that ask for `name` to `handler`. `standing`: nobody waits on them, see `Session.open`.

        Raises:
            UsageError: the name is taken, empty or too long.
        """
        if not 0 < len(name) <= 64 or name in self._services:
            raise UsageError(f"cannot serve {name!r}: taken, empty, or longer than 64 characters")
        self._services[name] = Service(name, handler, streams or self._settings.share, standing)

    def withdraw(self, name: str) -> None:
        """Serve `name` no more; streams that are open go on."""
        self._services.pop(name, None)

    def names(self) -> list[str]:
        return sorted(self._services)

    def allows(self, peer: PeerId, name: str) -> bool:
        """Whether `peer` may use `name` now."""
        return name in self._services and self._granted(peer, name)

    def arrived(self, session: Session, stream: Stream) -> Visit | None:
        """What to do for a stream that `session`'s peer opened, or None to reset it.

        Raises:
            TooMuch: the peer was told no too often; close it.
        """
        now = asyncio.get_running_loop().time()
        guest = self._guest(session.peer)
        if not guest.rate.allow(1, now):
            self.fault(session.peer, "opens streams too fast")
            return None
        if not guest.streams.take():
            self.fault(session.peer, "has too many streams open")
            return None
        return Visit(partial(self._host, session, stream, guest), guest.streams.give)

    def fault(self, peer: PeerId, what: str, weight: float = 1.0) -> None:
        """Note something a peer did wrong.

        Raises:
            TooMuch: that was one too many.
        """
        now = asyncio.get_running_loop().time()
        if times := self._quiet.note(what.partition(":")[0][:40], now):
            log.info("%s %s%s", peer.short, what, others(times))
        if self._gate.strike(peer, now, weight):
            raise TooMuch(f"{peer.short} {what}, again and again")

    async def _host(self, session: Session, stream: Stream, guest: Guest) -> None:
        """One stream from its first frame to its end. Raises nothing but TooMuch."""
        well = False
        try:
            service = await self._named(session, stream)
            if service is None:
                well = True
                return
            held = guest.by_service.get(service.name, 0)
            if held >= service.streams:
                await self._deny(stream, BUSY)
                well = True
                return
            guest.by_service[service.name] = held + 1
            if not service.standing:
                session.waits(stream)
            try:
                await stream.write(wire.GRANTED)
                await service.handler(session, stream)
                await stream.finish()
                well = True
            finally:
                guest.by_service[service.name] -= 1
                if not guest.by_service[service.name]:
                    del guest.by_service[service.name]
        except TooMuch:
            raise
        except ConnectionLost:
            well = True  # nothing is left to reset
        except Exception as error:  # noqa: BLE001 whatever a handler raises ends its stream only
            self._ended(session, error)
        except BaseExceptionGroup as group:  # what is cancelled in an `except*` block comes out wrapped
            if group.split(asyncio.CancelledError)[1] is not None:
                raise
            raise asyncio.CancelledError from group
        finally:
            if not well:
                await stream.reset(1)

    async def _named(self, session: Session, stream: Stream) -> Service | None:
        """Read what the stream is for; None once it has been turned away and ended."""
        try:
            async with asyncio.timeout(self._settings.open_within):
                wanted = (await wire.read_open.read(stream)).service
        except TimeoutError:
            await stream.reset(1)
            self.fault(session.peer, "opened a stream and did not say what for")
            return None
        except BadMessage:
            await stream.reset(1)
            self.fault(session.peer, "opened a stream with garbage", 2.0)
            return None
        service = self._services.get(wanted)
        if service is None or not self._granted(session.peer, wanted):
            self.fault(session.peer, "asked for what it is not offered", 0.05)
            await self._deny(stream, UNKNOWN)
            return None
        return service

    async def _deny(self, stream: Stream, reason: str) -> None:
        """Say no and why, and end the stream without overtaking that word by a reset."""
        await stream.write(wire.DENIED + frame(wire.Denied(reason)))
        await stream.finish()
        left = DRAIN_BYTES
        try:
            async with asyncio.timeout(self._settings.open_within):
                while data := await stream.read(65536):
                    left -= len(data)
                    if left < 0:
                        break
                else:
                    return
        except TimeoutError:
            pass
        await stream.reset(1)

    def _ended(self, session: Session, error: Exception) -> None:
        cause = first(error) if isinstance(error, ExceptionGroup) else error
        if isinstance(error, ExceptionGroup) and error.split(ServentError)[1] is not None:
            cause = error  # something in it is our own bug
        if not isinstance(cause, ServentError):
            log.error("a stream of %s ended by a bug here", session.peer.short, exc_info=error)
            return
        now = asyncio.get_running_loop().time()
        level = logging.INFO if isinstance(cause, PeerError) else logging.WARNING
        if times := self._quiet.note(f"{session.peer.short} {type(cause).__name__}", now):
            log.log(level, "a stream of %s ended: %s%s", session.peer.short, cause, others(times))

    def _guest(self, peer: PeerId) -> Guest:
        guest = self._guests.get(peer)
        if guest is None:
            if len(self._guests) >= self._settings.guests:
                self._guests = {p: g for p, g in self._guests.items() if g.streams.used}
            guest = self._guests[peer] = Guest(self._settings)
        return guest
