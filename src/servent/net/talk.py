"""What connected peers tell each other about themselves, about other members, and about who is one.

A shell around the cores `Gossip` (who is told about whom) and `Book` (where peers are): it takes control
messages from sessions and sends them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from secrets import token_bytes
from typing import Any

from servent.errors import BadMessage, NotFound
from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.net import wire
from servent.net.book import Book, credible
from servent.net.gossip import Gossip
from servent.net.hello import Papers
from servent.net.links import PeerAddress
from servent.net.session import Session
from servent.net.settings import PeersSettings
from servent.trust.book import Verdict
from servent.trust.networks import records
from servent.trust.service import TrustService

log = logging.getLogger("servent.net")

MARKS = 4096  # (peer, network) pairs for which we remember how far we read their records
WAYS_OUT = ("public", "mapped", "easy", "symmetric", "udp-blocked", "none")  # words of `Here`
PROVE_WAIT = 5.0  # s for `Proven`


@dataclass(slots=True)
class _Line:
    """What we keep per session."""

    members: TokenBucket
    answers: TokenBucket
    asked: dict[bytes, bool] = field(default_factory=dict)  # network -> whether its answer is still to come
    stale: set[bytes] = field(default_factory=set)  # networks to ask about again, once the answer is here
    here_at: float = float("-inf")  # the last `Here`
    here_due: bool = False  # another waits until it may go
    judging: bool = False
    proving: dict[bytes, asyncio.Future[None]] = field(default_factory=dict)


class Talk:
    """Handles the control messages that are not a session's own business.

    Args:
        here: where we can be reached now.
        wish: somebody worth connecting to was named.
        heard_of: somebody is in these networks.
        large: whether a network is too large for a full mesh, and an overlay looks after it.
        judged: the verdict on a session's peer may have changed.
        told: a session's peer says something new of its way out.
        spawn: runs a coroutine under the manager's TaskGroup.
    """

    def __init__(
        self,
        papers: Papers,
        rolls: TrustService,
        book: Book,
        settings: PeersSettings,
        *,
        sessions: Callable[[], list[Session]],
        session: Callable[[PeerId], Session | None],
        here: Callable[[], PeerAddress],
        wish: Callable[[PeerId], None],
        heard_of: Callable[[PeerId, Iterable[bytes]], None],
        large: Callable[[bytes], bool],
        judged: Callable[[Session, Verdict], None],
        told: Callable[[Session], None],
        fault: Callable[[PeerId, str, float], None],
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
        wall: Callable[[], float],
    ) -> None:
        self._papers, self._rolls, self._book, self._settings = papers, rolls, book, settings
        self._sessions, self._session, self._here = sessions, session, here
        self._wish, self._judged, self._fault, self._spawn = wish, judged, fault, spawn
        self._told, self._heard_of, self._large = told, heard_of, large
        self._wall = wall
        self._clock = asyncio.get_running_loop().time
        self._gossip = Gossip()
        self._lines: dict[Session, _Line] = {}
        self._way_out: tuple[str | None, str | None] = (None, None)
        self._marks: dict[tuple[PeerId, bytes, bytes], int] = {}

    def opened(self, session: Session) -> None:
        """A session is up and the one to use."""
        settings = self._settings
        self._lines[session] = _Line(
            TokenBucket(settings.members_rate, settings.members_burst), TokenBucket(2.0, 64.0)
        )
        self._say_here(session)
        self.acquainted(session)
        self.removed(session)

    def acquainted(self, session: Session) -> None:
        """`session`'s peer has proved its networks, perhaps more than before."""
        # In a network too large for a full mesh the overlay finds members: naming all to all would cost n x n words.
        small = frozenset(one for one in session.verdict.networks if not self._large(one))
        self._gossip.arrived(session.peer, small)
        for network in sorted(session.verdict.networks):
            self._ask(session, network)

    def closed(self, session: Session, gone: bool) -> None:
        """A session is over; `gone`: and its peer has no other."""
        self._lines.pop(session, None)
        if gone:
            self._gossip.left(session.peer)

    def moved(self) -> None:
        """Our own addresses changed: everybody is told, and shows whether it still answers."""
        for session in self._sessions():
            self._say_here(session)
            session.hurry()

    def way_out(self, ipv4: str | None, ipv6: str | None) -> None:
        """What lies between us and the world: everybody is told."""
        if self._way_out != (ipv4, ipv6):
            self._way_out = (ipv4, ipv6)
            for session in self._sessions():
                self._say_here(session)

    def tick(self, now: float) -> None:
        """Send what gossip has to say."""
        for tell in self._gossip.tick(now):
            session = self._session(tell.to)
            if session is None:
                continue
            members = []
            for peer in tell.about:
                found = self._book.address(peer, self._wall())
                if found.addresses or found.relay:
                    members.append(wire.Member(bytes(peer), found.relay, list(found.addresses[:8])))
            if members:
                session.tell(wire.Members(tell.network, members))

    def next_tick(self) -> float | None:
        return self._gossip.next_tick()

    def changed(self, network: bytes) -> None:
        """There are new records of `network` here: its members are told to ask for them."""
        for session in self._sessions():
            if network in session.verdict.networks:
                session.tell(wire.Fresh(network))

    def removed(self, session: Session) -> None:
        """`session`'s peer is shown of which networks it is no member any more."""
        for record in session.verdict.removed:
            session.tell(wire.Fresh(records.decode(record).network, record))

    async def prove(self, session: Session, contact: Callable[[bytes], bytes] | None = None) -> None:
        """Show our memberships (and a ticket) on a session that is up; returns once the peer has answered.

        Raises:
            TimeoutError: it did not answer in time.
        """
        line = self._lines.get(session)
        if line is None:
            return
        nonce = token_bytes(32)
        boxes = list(self._papers.proofs(session.peer, nonce))
        answered = line.proving[nonce] = asyncio.get_running_loop().create_future()
        session.tell(wire.Prove(nonce, boxes, None if contact is None else contact(nonce)))
        try:
            async with asyncio.timeout(PROVE_WAIT):
                await answered
        finally:
            line.proving.pop(nonce, None)

    def heard(self, session: Session, message: wire.Control) -> None:
        """Take one message.

        Raises:
            PeerError: the peer broke the rules once too often.
        """
        line = self._lines.get(session)
        if line is None:  # a replaced session: what it has to say comes again on the other
            return
        match message:
            case wire.Here(relay, addresses, ipv4, ipv6):
                self._take_told(session, ipv4, ipv6)
                address = PeerAddress(session.peer, relay, tuple(addresses))
                if self._book.moved(address, self._wall()):
                    self._gossip.moved(session.peer)
            case wire.Members(network, members):
                self._hear_of(session, line, network, members)
            case wire.Prove():
                if line.judging:
                    self._fault(session.peer, "proves itself too often", 1.0)
                else:
                    line.judging = True
                    self._spawn(self._judge(session, line, message), f"judge {session.peer.short}")
            case wire.Proven(nonce, boxes):
                if nonce in line.proving:
                    self._spawn(self._judge_back(session, line, nonce, boxes), f"judge {session.peer.short}")
            case wire.AskRecords(network, after):
                self._give_records(session, line, network, after)
            case wire.Records():
                if line.asked.get(message.network):
                    line.asked[message.network] = False
                    self._spawn(
                        self._take_records(session, line, message), f"records of {session.peer.short}"
                    )
            case wire.Fresh(network, None):
                self._ask(session, network)
            case wire.Fresh(network, bytes() as removed):
                if network not in session.verdict.networks or not line.answers.allow(1, self._clock()):
                    self._fault(session.peer, "tells of a removal out of turn", 1.0)
                else:
                    self._spawn(self._papers.removed([removed]), f"removal told by {session.peer.short}")
            case _:
                raise BadMessage(f"a {type(message).__name__} out of place")

    # inside

    def _say_here(self, session: Session) -> None:
        line = self._lines.get(session)
        if line is None or line.here_due:  # one later word covers everything until then
            return
        wait = line.here_at + self._settings.here_every - self._clock()
        if wait > 0:
            line.here_due = True
            self._spawn(self._say_here_later(session, line, wait), f"here to {session.peer.short}")
        else:
            line.here_at = self._clock()
            session.tell(self._here_now())

    async def _say_here_later(self, session: Session, line: _Line, wait: float) -> None:
        await asyncio.sleep(wait)
        line.here_due, line.here_at = False, self._clock()
        session.tell(self._here_now())

    def _here_now(self) -> wire.Here:
        mine = self._here()
        return wire.Here(mine.relay, list(mine.addresses), *self._way_out)

    def _take_told(self, session: Session, *told: str | None) -> None:
        ipv4, ipv6 = (kind if kind in WAYS_OUT else None for kind in told)
        if session.told != (ipv4, ipv6):
            session.told = (ipv4, ipv6)
            self._told(session)

    def _hear_of(self, session: Session, line: _Line, network: bytes, members: Sequence[wire.Member]) -> None:
        if network not in session.verdict.networks or not line.members.allow(1, self._clock()):
            self._fault(session.peer, "names members out of turn", 1.0)
            return
        ways = _ways(session)
        for member in members:  # all of them first: how many they are decides whether any is dialed
            self._heard_of(PeerId(member.peer), (network,))
        for member in members:
            peer = PeerId(member.peer)
            if peer == session.peer:
                continue
            address = credible(PeerAddress(peer, member.relay, tuple(member.addresses)), ways)
            if self._book.told(address, self._wall(), teller=session.peer) or self._session(peer) is None:
                self._wish(peer)

    async def _judge(self, session: Session, line: _Line, message: wire.Prove) -> None:
        try:
            verdict = await self._papers.judge(session.peer, message.nonce, message.boxes, message.contact)
            boxes = list(self._papers.proofs(session.peer, message.nonce))
            session.tell(wire.Proven(message.nonce, boxes))
            self._judged(session, verdict)
        finally:
            line.judging = False

    async def _judge_back(self, session: Session, line: _Line, nonce: bytes, boxes: Sequence[bytes]) -> None:
        answered = line.proving.pop(nonce, None)
        if answered is None:
            return
        self._judged(session, await self._papers.judge(session.peer, nonce, boxes, None))
        if not answered.done():
            answered.set_result(None)

    def _ask(self, session: Session, network: bytes) -> None:
        line = self._lines.get(session)
        if line is None or network not in session.verdict.networks:
            return
        if network in line.asked:
            line.stale.add(network)
            return
        line.asked[network] = True
        after = self._marks.get((session.peer, session.run_tag, network), 0)
        session.tell(wire.AskRecords(network, after))

    def _give_records(self, session: Session, line: _Line, network: bytes, after: int) -> None:
        if network not in session.verdict.networks or not line.answers.allow(1, self._clock()):
            self._fault(session.peer, "asks for records out of turn", 1.0)
            return
        try:
            page = self._rolls.records_since(network, after)
        except NotFound:  # we left that network since
            return
        session.tell(wire.Records(network, list(page.records), page.mark, page.more))

    async def _take_records(self, session: Session, line: _Line, message: wire.Records) -> None:
        network = message.network
        try:
            if message.records:
                await self._rolls.merge_records(network, session.peer, message.records)
        except (BadMessage, NotFound) as wrong:
            log.info("records of %s: %s", session.peer.short, wrong)
            line.asked.pop(network, None)
            return
        if len(self._marks) >= MARKS:
            del self._marks[next(iter(self._marks))]
        self._marks[session.peer, session.run_tag, network] = message.mark
        await asyncio.sleep(self._settings.records_every)
        line.asked.pop(network, None)
        if message.more or network in line.stale:
            line.stale.discard(network)
            self._ask(session, network)


def _ways(session: Session) -> list[str]:
    """The addresses and relays this session runs over."""
    return [path.address for path in session.paths()] + ([session.seen] if session.seen else [])
