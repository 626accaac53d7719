"""Dials peers: when somebody asks for one, and of our own accord those we want to stay connected to."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from secrets import token_bytes

from servent.errors import ConnectionLost, Refused, ServentError, Unreachable, UsageError
from servent.identity import PeerId
from servent.net import hello
from servent.net.links import Connection, Endpoint, PeerAddress
from servent.net.redial import Redial
from servent.net.session import Session
from servent.net.settings import PeersSettings
from servent.tasks import begin

LOOK_AFTER = 0.4  # s without an answer until others are asked where the peer is
LOOK_AGAIN = 0.8  # s until they are asked again


@dataclass(eq=False, slots=True)
class Attempt:
    """One dial under way; everybody who wants that peer waits for `done`."""

    peer: PeerId
    secret: bytes | None
    done: asyncio.Future[Session]
    task: asyncio.Task[None] | None = None
    path: asyncio.Timeout | None = None  # while a path is looked for; ending it begins the search anew
    look: bool = False  # ask others where the peer is, if it does not answer at once
    until: float = 0.0  # loop time after which nobody waits for it any more


class Dialer:
    """At most one dial per peer at a time.

    Args:
        introduce: makes our side of a hello out of (peer, nonce, secret).
        live: the session with a peer that is up, or None.
        address: where to dial a peer.
        enter: takes a connection whose hello is over; returns its session, or None when it lost to another.
        host: runs a session to its end.
        failed: a dial came to nothing, and why.
        settled: a dial is over, however it ended.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        redial: Redial,
        settings: PeersSettings,
        *,
        introduce: Callable[[PeerId, bytes, bytes | None], hello.Introduction],
        live: Callable[[PeerId], Session | None],
        address: Callable[[PeerId], PeerAddress],
        enter: Callable[[Connection, hello.Greeting], Session | None],
        host: Callable[[Session], Awaitable[None]],
        failed: Callable[[PeerId, ServentError], None],
        settled: Callable[[PeerId], None],
    ) -> None:
        self._endpoint, self._redial, self._settings = endpoint, redial, settings
        self._introduce, self._live, self._address = introduce, live, address
        self._enter, self._host, self._failed, self._settled = enter, host, failed, settled
        self._attempts: dict[PeerId, Attempt] = {}
        self._slots = asyncio.Semaphore(2 * settings.dials)
        self.tasks: asyncio.TaskGroup | None = None  # set while running
        self.locators: list[Callable[[PeerId], Awaitable[object]]] = []  # each asks others where a peer is

    def dialing(self, peer: PeerId) -> bool:
        return peer in self._attempts

    async def reach(
        self, peer: PeerId, timeout: float, secret: bytes | None = None, look: bool = True
    ) -> Session:
        """A session with `peer`: the one that is up, or a new one.

        `look`: others are asked where it is when it does not answer at once.

        Raises:
            Unreachable: none within `timeout` s.
            Refused: they do not know us, or we do not know them.
            ConnectionLost, BadMessage: the dial broke off.
        """
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(timeout):
                while True:
                    live = self._live(peer)
                    if live is not None:
                        return live
                    attempt = self._attempts.get(peer) or self._begin(peer, secret)
                    attempt.look = attempt.look or look
                    attempt.until = max(attempt.until, began + timeout)
                    await asyncio.wait([attempt.done])
                    if attempt.done.cancelled():
                        raise ConnectionLost("this node is closing")
                    error = attempt.done.exception()
                    if error is None:
                        return attempt.done.result()
                    if isinstance(error, Unreachable) and error.tried:
                        continue  # a fresh handshake, until our time is up
                    if attempt.secret == secret or secret is None:
                        raise error
        except TimeoutError:
            waited = asyncio.get_running_loop().time() - began
            raise Unreachable(peer.short, waited, _tried(self._address(peer))) from None

    def start_due(self, now: float) -> None:
        """Begin those dials of our own accord that are due."""
        free = self._settings.dials - len(self._attempts)
        for peer in self._redial.due(now, max(0, free)):
            if self._live(peer) is not None:
                self._redial.drop(peer)
            elif peer not in self._attempts:
                self._begin(peer, None).until = math.inf

    def anew(self) -> None:
        """The network changed: dials under way begin again, since what they sent before is lost.

        A handshake waits ever longer before it says its word again (RFC 9002, 6.2.4): 1 s, 2 s, 4 s.
        """
        now = asyncio.get_running_loop().time()
        for attempt in self._attempts.values():
            if attempt.path is not None and not attempt.path.expired():
                attempt.path.reschedule(now)

    def again(self, peer: PeerId) -> None:
        """`peer` is somewhere else than we thought: a dial under way begins again with what is known now."""
        attempt = self._attempts.get(peer)
        if attempt is not None and attempt.path is not None and not attempt.path.expired():
            attempt.path.reschedule(asyncio.get_running_loop().time())

    def satisfied(self, session: Session) -> None:
        """`session` is up: nobody needs to dial its peer any more."""
        self._redial.drop(session.peer)
        attempt = self._attempts.get(session.peer)
        if attempt is None:
            return
        if not attempt.done.done():
            attempt.done.set_result(session)
        if attempt.task is not None and attempt.task is not asyncio.current_task():
            attempt.task.cancel()

    def _begin(self, peer: PeerId, secret: bytes | None) -> Attempt:
        if self.tasks is None:
            raise UsageError("the network is not running: enter Peers.run() first")
        done: asyncio.Future[Session] = asyncio.get_running_loop().create_future()
        attempt = Attempt(peer, secret, done)
        attempt.task = begin(self.tasks, self._dial(attempt), f"dial {peer.short}")
        if attempt.task is None:
            raise ConnectionLost("this node is closing")
        self._attempts[peer] = attempt
        for locate in self.locators:
            begin(self.tasks, self._doubt(attempt, locate), f"look for {peer.short}")
        return attempt

    async def _doubt(self, attempt: Attempt, locate: Callable[[PeerId], Awaitable[object]]) -> None:
        """While it does not answer: it may have moved, and have told others where."""
        wait = LOOK_AFTER
        while not (await asyncio.wait([attempt.done], timeout=wait))[0]:
            if attempt.look:
                await locate(attempt.peer)
                wait = LOOK_AGAIN

    async def _locate(self, peer: PeerId) -> None:
        """Ask everywhere for a peer of which nothing is known; until something is, or all have answered."""
        asking = {begin(self.tasks, _ask(locate, peer), f"ask for {peer.short}") for locate in self.locators}
        waiting = {task for task in asking if task is not None}
        try:
            while waiting and not _known(self._address(peer)):
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    async def _dial(self, attempt: Attempt) -> None:
        """One dial, and then the life of the session it leads to."""
        try:
            session = await self._try(attempt)
        except ServentError as error:
            now = asyncio.get_running_loop().time()
            wait = self._settings.refused_wait if isinstance(error, Refused) else 0.0
            self._redial.failed(attempt.peer, now, str(error), wait)
            if not attempt.done.done():
                attempt.done.set_exception(error)
                attempt.done.exception()  # it may be that nobody waits
            self._failed(attempt.peer, error)
            return
        finally:
            attempt.done.cancel()
            if self._attempts.get(attempt.peer) is attempt:
                del self._attempts[attempt.peer]
            self._settled(attempt.peer)
        if session is not None:
            await self._host(session)

    async def _connect(self, attempt: Attempt) -> Connection:
        while True:
            address = self._address(attempt.peer)
            if not _known(address) and attempt.look:
                await self._locate(attempt.peer)
                address = self._address(attempt.peer)
            if not _known(address):
                raise Unreachable(attempt.peer.short, 0.0, [])
            try:
                async with asyncio.timeout(None) as attempt.path:
                    return await self._endpoint.connect(address, self._settings.dial)
            except TimeoutError:
                continue  # see `anew`
            finally:
                attempt.path = None

    async def _try(self, attempt: Attempt) -> Session | None:
        peer = attempt.peer
        clock = asyncio.get_running_loop().time
        begun = clock()
        async with self._slots:
            if clock() > attempt.until:  # nobody waits for it any more: it would only delay others
                raise Unreachable(peer.short, clock() - begun, [])
            connection = await self._connect(attempt)
            if self._live(peer) is not None:  # it reached us first
                await connection.close(hello.CODE_REPLACED, "")
                return None
            me = self._introduce(peer, token_bytes(32), attempt.secret)
            greeting = await hello.greet(connection, me, limit=self._settings.hello)
        session = self._enter(connection, greeting)
        if session is None:
            await connection.close(hello.CODE_REPLACED, "")
            if not attempt.done.done():
                raise ConnectionLost(f"{peer.short} was reached on two ways at once; try again")
        return session


async def _ask(locate: Callable[[PeerId], Awaitable[object]], peer: PeerId) -> None:
    await locate(peer)


def _known(address: PeerAddress) -> bool:
    return bool(address.addresses) or address.relay is not None


def _tried(address: PeerAddress) -> list[str]:
    return ["direct"] * bool(address.addresses) + ["relay"] * (address.relay is not None)
