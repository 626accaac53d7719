"""Finding people again: whoever we want and cannot reach is asked for in the networks, where they said where they are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from servent.identity import PeerId
from servent.net.peers import Peers
from servent.net.session import Session
from servent.overlay.records import PeerRecord

log = logging.getLogger(__name__)

FIRST, LONGEST = 0.25, 60.0  # s between two questions about one peer; doubled each time
LISTEN_EVERY = 0.4  # s between looks at who has fallen silent
MOST = 256  # peers looked for at once


class FoundAgain:
    """Looks for friends and for those somebody here dials.

    Args:
        where: asks all networks; what they say has been given to the address book when it returns.
        wanted: whether a connection with a peer is wanted beyond this moment.
    """

    def __init__(
        self,
        peers: Peers,
        where: Callable[[PeerId], Awaitable[PeerRecord | None]],
        wanted: Callable[[PeerId], bool],
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
    ) -> None:
        self._peers, self._where, self._wanted, self._spawn = peers, where, wanted, spawn
        self._looking: dict[PeerId, asyncio.Future[None]] = {}
        peers.on_session(self._session)
        peers.on_missed(self._missed)

    def _session(self, session: Session, up: bool) -> None:
        if not up and self._peers.session(session.peer) is None and self._wanted(session.peer):
            self._look(session.peer)

    async def run(self) -> None:
        """Those who are wanted and have fallen silent may have moved: they are looked for before the silence is long."""
        while True:
            await asyncio.sleep(LISTEN_EVERY)
            for session in self._peers.sessions():
                if session.silent and self._wanted(session.peer):
                    self._look(session.peer)

    def _missed(self, peer: PeerId) -> None:
        if self._wanted(peer):
            self._look(peer)

    def _look(self, peer: PeerId) -> None:
        if peer not in self._looking and len(self._looking) < MOST:
            self._looking[peer] = asyncio.get_running_loop().create_future()
            self._spawn(self._search(peer), f"look for {peer.short}")

    async def locate(self, peer: PeerId) -> None:
        """Once, now: for somebody who does not answer. Returns when others have said what they know."""
        self._look(peer)
        under_way = self._looking.get(peer)
        if under_way is not None:
            await asyncio.wait([under_way], timeout=LONGEST)

    async def _search(self, peer: PeerId) -> None:
        """Ask until it is connected, ever more rarely; once only for somebody who is not wanted."""
        wait = FIRST
        try:
            while (session := self._peers.session(peer)) is None or session.silent:
                found = await self._where(peer)
                done = self._looking.get(peer)
                if done is not None and not done.done():
                    done.set_result(None)
                if found is not None:
                    log.debug(
                        "%s is said to be at %s", peer.short, ", ".join(found.addresses) or found.relays
                    )
                if not self._wanted(peer):
                    return
                await asyncio.sleep(wait)
                wait = min(LONGEST, 2 * wait)
        finally:
            done = self._looking.pop(peer, None)
            if done is not None and not done.done():
                done.set_result(None)
