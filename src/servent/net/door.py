"""The door: takes connections that come in, and lets those in whose hello shows that they belong here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from servent.errors import BadMessage, ConnectionLost, PeerError
from servent.identity import PeerId
from servent.net import hello
from servent.net.gate import Gate, source_of
from servent.net.links import Connection, Endpoint
from servent.net.roster import Roster
from servent.net.session import Session
from servent.net.settings import PeersSettings


class House(Protocol):
    """What the door asks of those inside."""

    def introduce(self, peer: PeerId, nonce: bytes, secret: bytes | None) -> hello.Introduction: ...

    def is_friend(self, peer: PeerId) -> bool: ...

    def is_known(self, peer: PeerId) -> bool:
        """Whether there was a reason, before its hello, to believe that `peer` belongs here."""
        ...

    def note(self, kind: str, detail: str) -> None:
        """Log it, by rate."""
        ...

    def fault(self, peer: PeerId, what: str, weight: float) -> None:
        """Count something a peer did wrong. Never raises."""
        ...

    def settle(self, peer: PeerId) -> None:
        """A hello with `peer` is over, however it ended."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None: ...


class Door:
    """Accepts connections for a Roster."""

    def __init__(
        self, endpoint: Endpoint, gate: Gate, roster: Roster, house: House, settings: PeersSettings
    ) -> None:
        self._endpoint, self._gate, self._roster = endpoint, gate, roster
        self._house, self._settings = house, settings
        self._guests: dict[PeerId, int] = {}  # helloes under way

    def greeting(self, peer: PeerId) -> bool:
        """Whether a hello of `peer` is under way here."""
        return peer in self._guests

    async def run(self, closed: Callable[[], None]) -> None:
        """Until cancelled; calls `closed` and returns when the endpoint is closed."""
        while True:
            try:
                connection = await self._endpoint.accept()
            except ConnectionLost:
                closed()
                return
            peer, now = connection.peer, asyncio.get_running_loop().time()
            path = next(iter(connection.paths()), None)
            source = source_of(path.address) if path else "nowhere"
            known = self._house.is_known(peer)
            full = len(self._roster) >= self._settings.sessions and not self._house.is_friend(peer)
            if full or not self._gate.admit(peer, source, known, now):
                self._house.note("turned away at the door", source)
                await connection.close(hello.CODE_BUSY, "")
                continue
            self._house.spawn(self._welcome(connection, source, known), f"hello of {peer.short}")

    async def _welcome(self, connection: Connection, source: str, known: bool) -> None:
        session = await self._let_in(connection, source, known)
        if session is not None:
            await self._roster.host(session)

    async def _let_in(self, connection: Connection, source: str, known: bool) -> Session | None:
        """The hello; the session when it went well and this connection is one to keep."""
        peer = connection.peer
        self._guests[peer] = self._guests.get(peer, 0) + 1
        me = self._house.introduce(peer, b"", None)
        try:
            greeting = await hello.welcome(connection, me, limit=self._settings.hello)
            if greeting.verdict.guest and len(self._roster) >= self._settings.guests:
                self._house.note("turned away at the door", "a guest: the other places are for those we know")
                await connection.close(hello.CODE_BUSY, "")
                return None
            session = self._roster.enter(connection, greeting)
        except PeerError as mistake:
            self._house.note("refused", str(mistake))
            self._house.fault(peer, "is refused", 5.0 if isinstance(mistake, BadMessage) else 1.0)
            return None
        except ConnectionLost as lost:
            self._house.note("left during its hello", str(lost))
            return None
        finally:
            self._gate.done(source, known)
            self._guests[peer] -= 1
            if not self._guests[peer]:
                del self._guests[peer]
            self._house.settle(peer)
        if session is None:
            await connection.close(hello.CODE_REPLACED, "")
        return session
