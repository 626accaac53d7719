"""The door of a process: passes and versions are shown there before anything else is read, and secrets for TCP connections told."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from servent.cluster import wire
from servent.cluster.model import Pass
from servent.cluster.standing import Standing, Unfit
from servent.cluster.versions import unfit
from servent.codec import write_frame
from servent.errors import PeerError, Refused
from servent.net.quic import IrohConnection, IrohStream

LANE_REST = 600.0  # s that nobody tries TCP again after it did not reach
HEARD_TIME = 2.0  # s for a No to be heard before the connection is closed
_UNFIT = "versions: "  # how such a No begins


@dataclass(eq=False)
class Link:
    """A connection to a process that was let in.

    Attributes:
        lost: it is gone; then all of its streams are.
        lane: where the other side takes TCP connections, if it does. secret: what lets its own in here.
        on_sent_away: called when it is no longer let in, for what does not go over this connection.
    """

    connection: IrohConnection
    shown: Pass
    lane: wire.Lane | None
    secret: bytes
    lost: bool = False
    on_sent_away: set[Callable[[], None]] = field(default_factory=set)
    _lane_again: float = 0.0

    @property
    def lane_works(self) -> bool:
        """Whether a TCP connection is worth a try."""
        return time.monotonic() >= self._lane_again

    def lane_failed(self) -> None:
        self._lane_again = time.monotonic() + LANE_REST


class Door:
    """Both sides of it. Errors are PeerError, Unfit or ConnectionLost; the caller closes the connection then, and limits the time."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self._secrets: dict[bytes, Link] = {}
        self._coming: dict[bytes, asyncio.Future[None]] = {}  # told to somebody who is not let in yet
        self._lane: tuple[int, bytes] | None = None

    @property
    def tcp_port(self) -> int:
        """Where TCP connections are taken; 0 where none are."""
        return 0 if self._lane is None else self._lane[0]

    def offer(self, port: int, certificate: bytes) -> None:
        """From now on tell everybody who is let in that TCP connections are taken at `port`. `certificate`: SHA-256."""
        self._lane = port, certificate

    async def by_secret(self, secret: bytes) -> Link | None:
        """Whom a TCP connection is from that says `secret`; None for nobody who is let in.

        It may have overtaken the last frame of the door: then that is waited for.
        """
        if (coming := self._coming.get(secret)) is not None:
            await asyncio.wait([coming])
        return self._secrets.get(secret)

    def forget(self, link: Link) -> None:
        """Its secret lets nobody in any more."""
        self._secrets.pop(link.secret, None)

    async def greet(self, connection: IrohConnection, node: bytes) -> Link:
        """We dialed, a process of `node` as we believe."""
        secret = os.urandom(wire.SECRET_BYTES)
        self._coming[secret] = asyncio.get_running_loop().create_future()
        try:
            stream = await connection.open()
            await write_frame(
                stream, wire.Hello(self._standing.shown, self._standing.versions, self._told(secret))
            )
            answer = await wire.ANSWERS.read(stream)
            if isinstance(answer, wire.No):
                kind = Unfit if answer.reason.startswith(_UNFIT) else Refused
                raise kind(answer.reason.removeprefix(_UNFIT), advice=answer.advice)
            shown = await self._standing.admit(answer.shown, connection.peer)
            if shown.node != node:
                raise Refused(f"{connection.peer.short} is of another node than its address says", advice="")
            self._standing.compare(answer.versions, shown)
            await stream.finish()
            link = self._secrets[secret] = Link(connection, shown, answer.lane, secret)
            return link
        finally:
            self._coming.pop(secret).set_result(None)

    async def welcome(self, connection: IrohConnection) -> Link:
        """Somebody dialed. Nothing is read of them but one frame before they are let in."""
        stream = await connection.accept()
        hello = await wire.HELLOS.read(stream)
        try:
            shown = await self._standing.admit(hello.shown, connection.peer)
        except PeerError as error:
            told = isinstance(error, Refused) and self._standing.one_of_ours(hello.shown)
            no = wire.No(str(error)[:500], error.advice[:500]) if told else wire.No("not let in")
            await self._decline(connection, stream, no)
            raise
        try:
            self._standing.compare(hello.versions, shown)
        except Unfit as error:
            said = unfit(hello.versions, self._standing.versions, self._standing.role) or str(error)
            await self._decline(connection, stream, wire.No(f"{_UNFIT}{said}"[:500], error.advice))
            raise
        secret = os.urandom(wire.SECRET_BYTES)
        link = self._secrets[secret] = Link(connection, shown, hello.lane, secret)
        try:  # it is known before it is told: a TCP connection may overtake us
            answer = wire.Welcome(self._standing.shown, self._standing.versions, self._told(secret))
            await write_frame(stream, answer)
            await stream.finish()
        except BaseException:
            self.forget(link)
            link.lost = True
            for end in list(link.on_sent_away):  # what came by TCP before: nobody would ever send it away
                end()
            raise
        return link

    def _told(self, secret: bytes) -> wire.Lane | None:
        return None if self._lane is None else wire.Lane(*self._lane, secret)

    async def _decline(self, connection: IrohConnection, stream: IrohStream, no: wire.No) -> None:
        """Say it, and wait until it was heard: closing at once would overtake it."""
        await write_frame(stream, no)
        await stream.finish()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEARD_TIME):
                await connection.wait_closed()
