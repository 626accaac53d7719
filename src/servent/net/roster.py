"""Who is connected: one session to use per peer, and those that a newer one replaced until they are over."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from servent.errors import PeerError
from servent.identity import PeerId
from servent.net import hello
from servent.net.crossing import decide
from servent.net.links import Connection
from servent.net.session import Host, Session, SessionSettings

log = logging.getLogger("servent.net")

REMEMBERED = 4096  # peers whose newest connection is remembered, for Hello.last


class Watcher(Protocol):
    """Is told what becomes of sessions."""

    def came(self, session: Session) -> None:
        """It is now the one to use for its peer; it may have been before."""
        ...

    def went(self, session: Session, gone: bool) -> None:
        """It is over; `gone`: and its peer has no other."""
        ...

    def wronged(self, session: Session, mistake: PeerError) -> None:
        """It ended because the peer broke the protocol."""
        ...


class Roster:
    """The sessions of one node.

    Args:
        host: what each session needs of us.
        watcher: is told who came and went, on the loop, in order.
    """

    def __init__(self, me: PeerId, host: Host, watcher: Watcher, settings: SessionSettings) -> None:
        self._me, self._host, self._watcher, self._settings = me, host, watcher, settings
        self._used: dict[PeerId, Session] = {}
        self._all: dict[Session, None] = {}
        self._last: dict[PeerId, bytes] = {}

    def sessions(self) -> list[Session]:
        return [session for session in self._used.values() if session.connected]

    def session(self, peer: PeerId) -> Session | None:
        session = self._used.get(peer)
        return session if session is not None and session.connected else None

    def has(self, peer: PeerId) -> bool:
        """Whether any connection with `peer` is left, also one that is replaced."""
        return any(session.peer == peer for session in self._all)

    def last(self, peer: PeerId) -> bytes | None:
        """The tag of the newest connection with `peer` in this run."""
        return self._last.get(peer)

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, connection: Connection, greeting: hello.Greeting) -> Session | None:
        """A hello is over: the new session, or None when an older connection is the one to keep; close this then.

        Both sides come to the same choice between two connections (see `crossing`). The loser goes on
        until its last stream ends.
        """
        session = Session(connection, greeting, self._host, self._settings)
        old = self.session(session.peer)
        if old is None:
            self._take(session)
            return session
        choice = decide(self._me, old, session)
        if not choice.new and choice.dead:
            return None
        self._all[session] = None
        if not choice.new:
            session.retire()
            return session
        self._take(session)
        if choice.dead:
            old.give_up("replaced by a newer connection")
        else:
            old.retire()
        return session

    async def host(self, session: Session) -> None:
        """Run `session` to its end. A bug that shows ends this session alone, with a traceback in the log."""
        try:
            await session.run()
        except PeerError as mistake:
            self._watcher.wronged(session, mistake)
        except Exception:
            log.exception("the session with %s ended by a bug here", session.peer.short)
        finally:
            self._leave(session)

    async def close(self, limit: float) -> None:
        """Say goodbye to everyone, `limit` seconds at most."""
        try:
            async with asyncio.timeout(limit), asyncio.TaskGroup() as tasks:
                for session in list(self._all):
                    tasks.create_task(session.close("this node is closing"), name=f"bye {session.peer.short}")
        except TimeoutError:
            return

    def _take(self, session: Session) -> None:
        self._all[session] = None
        self._used[session.peer] = session
        session.replaced = False
        self._last.pop(session.peer, None)
        if len(self._last) >= REMEMBERED:
            del self._last[next(iter(self._last))]
        self._last[session.peer] = session.tag
        self._watcher.came(session)

    def _leave(self, session: Session) -> None:
        self._all.pop(session, None)
        peer = session.peer
        if self._used.get(peer) is session:
            del self._used[peer]
            other = next((s for s in self._all if s.peer == peer and s.connected), None)
            if other is not None:  # the one that lost outlived the winner
                self._take(other)
        self._watcher.went(session, gone=not self.has(peer))
