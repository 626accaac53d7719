"""The shell of `Reach`: brings it what observers say, and carries out what it wants announced."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from servent.net.fresh import break_relay_links
from servent.net.links import Endpoint
from servent.net.peers import Peers
from servent.net.reach import OBSERVERS_WANTED, Announce, Effect, Reach, ReachView, Redial, Reobserve
from servent.net.session import Session

log = logging.getLogger("servent.net")

LISTEN_EVERY = 0.5  # s between looks at which observers have fallen silent
NEWS_EVERY = 1.5  # s without an echo of anybody outside, after which one of them is asked
REDIAL_SPACING = 5.0  # s between two times that all connections are given up


class ReachService:
    """How this node can be reached. Every connected peer is an observer.

    Make it before `Peers.run`, so that it hears of the first session.

    Args:
        break_relays: drops the TCP connections to these relays, which may be as dead as everything else.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        peers: Peers,
        break_relays: Callable[[list[str]], object] = break_relay_links,
    ) -> None:
        self._endpoint, self._peers, self._break_relays = endpoint, peers, break_relays
        self._clock = asyncio.get_running_loop().time
        self._reach = Reach()
        self._announced: Sequence[str] = ()
        self._local: Sequence[str] = ()
        self._opened_before = 0  # ports opened for us in networks we have left
        self._wanted: Sequence[str] = ()
        self._woken = asyncio.Event()
        self._redial_at = self._break_at = self._anew_at = 0.0
        peers.on_observed(self._observed)
        peers.on_told(self._told)
        peers.on_session(self._session)
        endpoint.on_address_change(self._look)
        self._look()

    def view(self) -> ReachView:
        """NAT kind, addresses, observers, and in words what would help."""
        return self._reach.view()

    async def run(self) -> None:
        """Until cancelled, or the endpoint is closed."""
        while True:
            self._woken.clear()
            if self._wanted != self._announced:
                self._announced = self._wanted
                await self._endpoint.announce(self._announced)
            now = self._clock()
            self._listen(now)
            self._do(self._reach.tick(now))
            self._peers.way_out(*self._reach.view().told)
            due = min(self._reach.next_tick() or now + LISTEN_EVERY, now + LISTEN_EVERY)
            try:
                async with asyncio.timeout_at(max(due, now + 0.02)):
                    await self._woken.wait()
            except TimeoutError:
                continue

    def _observed(self, session: Session, address: str | None) -> None:
        self._do(self._reach.observed(str(session.peer), session.seen, address, self._clock()))
        self._woken.set()

    def _told(self, session: Session) -> None:
        self._do(self._reach.told(str(session.peer), *session.told, self._clock()))
        self._woken.set()

    def _session(self, session: Session, up: bool) -> None:
        if not up and self._peers.session(session.peer) is None:
            self._do(self._reach.forget(str(session.peer), self._clock()))
            if session.silent:
                if not self._relay_in_use():
                    self._break()
                self._ask_anew()

    def _ask_anew(self) -> None:
        """Have fresh connections say where we are seen.

        iroh goes on naming the address a path began with, so an old connection that survived a router's new
        address never shows it. Only those are dialed anew on which nobody waits, those without any stream first; the
        rest follow as they end.
        """
        now = self._clock()
        if now < self._anew_at:
            return
        self._anew_at = now + REDIAL_SPACING
        idle = [
            session
            for session in self._peers.sessions()
            if not session.busy and any(path.kind == "direct" for path in session.paths())
        ]
        idle.sort(key=lambda session: session.idle_since is None)
        for session in idle[:OBSERVERS_WANTED]:
            session.give_up("asking anew where we are seen")

    def _break(self) -> None:
        """The relay's connection may be as dead as those of the peers, and iroh takes up to 20 s to see that."""
        now = self._clock()
        if now >= self._break_at:
            self._break_at = now + REDIAL_SPACING
            self._break_relays(self._relays())

    def _relay_in_use(self) -> bool:
        """Whether a live session goes through a relay, which proves that connection good."""
        return any(
            path.kind == "relayed" and path.selected and not session.silent
            for session in self._peers.sessions()
            for path in session.paths()
        )

    def _look(self) -> None:
        """Our own addresses may have changed."""
        mine, local = self._endpoint.address(), self._endpoint.local_addresses()
        opened = self._endpoint.ports_opened()
        if local != self._local:
            self._local, self._opened_before = local, opened
        # Where no router opened one, addresses from elsewhere are what public relays see.
        known = {*local, *self._announced, *self._wanted} if opened else {*mine.addresses}
        self._reach.mapped(
            [address for address in mine.addresses if address not in known], opened > self._opened_before
        )
        self._reach.relay(mine.relay)
        self._do(self._reach.local(local, self._clock()))

    def _listen(self, now: float) -> None:
        """Which observers leave our echoes unanswered. Is one silent, the others are asked at once.

        Nobody can tell us that our way out changed without a word, so somebody is heard of all the time: of many
        observers one always is, of few one is asked.
        """
        sessions = self._peers.sessions()
        outside = [session for session in sessions if not self._reach.is_near(str(session.peer))]
        if outside and now - max(session.heard_at for session in outside) >= NEWS_EVERY:
            min(outside, key=lambda session: session.heard_at).hurry()
        doubt = any(session.silent for session in sessions)
        for session in sessions:
            name = str(session.peer)
            if doubt and not session.silent:
                session.hurry()
            if session.silent:
                self._do(self._reach.missed(name, session.silent, now))
            else:
                self._reach.heard(name, now)

    def _relays(self) -> list[str]:
        """Our home relay, and those our connections go through."""
        used = [self._endpoint.address().relay]
        for session in self._peers.sessions():
            used += [path.address for path in session.paths() if path.kind == "relayed"]
        return list(dict.fromkeys(url for url in used if url is not None))

    def _do(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            match effect:
                case Announce(addresses):
                    self._wanted = addresses
                    self._woken.set()
                case Reobserve(why):
                    log.debug("asking where we are seen: %s", why)
                    for session in self._peers.sessions():
                        session.ask_observed()
                case Redial(why):
                    now = self._clock()
                    if now >= self._redial_at:
                        self._redial_at = now + REDIAL_SPACING
                        log.info("dialing everybody anew: %s", why)
                        self._break()
                        self._peers.start_over(why)
