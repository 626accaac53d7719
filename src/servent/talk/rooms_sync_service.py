"""Streams between members of rooms: catching up, keys, lists of rooms. Asks others and answers them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from servent.codec import write_frame
from servent.errors import BadMessage, PeerError, ServentError
from servent.identity import PeerId
from servent.net.links import Stream
from servent.net.peers import Peers
from servent.net.session import Session
from servent.overlay.rates import Rates
from servent.talk import exchange, rooms_wire
from servent.talk.catchup import MOST_GIVEN, ROUNDS, Ask, Reply
from servent.talk.joined import Joined
from servent.talk.records import Announce, Message
from servent.talk.room import Effect
from servent.talk.rooms_wire import AskKeys, AskRooms, Keys, RoomsAre, Sorry

log = logging.getLogger(__name__)

REACH = 8.0  # s to reach a member
ANSWER = 20.0  # s for an answer: its disk may be asleep
IDLE = 30.0  # s that an asker may say nothing
ASKS = (2.0, 80.0)  # questions a second of one peer, and at once: a long absence takes a dozen
BYTES = (100_000.0, 4_000_000.0)  # a second that one peer may have of us, and at once
LISTS = (1 / 30, 4.0)  # lists of rooms
RUNS = (
    100.0,
    12_000.0,
)  # signatures a second that one peer may have us check, and at once: 0.15 s for 1,000 (measured)


class House(Protocol):
    """What streams need of `Rooms`."""

    def joined(self, room: bytes) -> Joined | None: ...

    async def carry_out(self, joined: Joined, effects: Iterable[Effect]) -> None:
        """Called with the room's lock held."""
        ...

    async def load(self, joined: Joined, ids: Iterable[bytes]) -> Mapping[bytes, Message]: ...

    def rooms_of(self, network: bytes) -> list[Announce] | None:
        """To be told to a member of that network; None when we are not in it."""
        ...


class Sync:
    """Serves `rooms_wire.SERVICE`, and asks it."""

    def __init__(self, peers: Peers, house: House, belongs: Callable[[bytes, bytes], bool]) -> None:
        self._peers, self._house, self._belongs = peers, house, belongs
        self._clock = asyncio.get_running_loop().time
        self._asks, self._bytes, self._lists = Rates(*ASKS), Rates(*BYTES), Rates(*LISTS)
        self._runs = Rates(*RUNS)

    def open(self) -> None:
        self._peers.serve(rooms_wire.SERVICE, self._serve, audience="network", streams=4)

    def close(self) -> None:
        self._peers.withdraw(rooms_wire.SERVICE)

    # -- asking

    async def look(self, joined: Joined, peer: PeerId) -> bool:
        """Compare with `peer` until both have the same. Whether anything differed.

        Raises:
            ServentError, TimeoutError: it broke off; what came until then was kept.
        """
        stream = await self._peers.open(peer, rooms_wire.SERVICE, REACH)
        try:
            async with joined.lock:
                asking = exchange.Asking(joined.core)
            while not asking.over:
                # Who may not hear what is said here is asked all the same: it may show us that it is let in. Until then it gets nothing.
                giving = joined.core.may_hear(peer) and self._bytes.has(peer, 1.0, self._clock())
                loaded = await self._house.load(joined, asking.load.ids) if giving else {}
                question = asking.frame(loaded, giving)
                self._bytes.charge(peer, _size(question), self._clock())
                async with asyncio.timeout(ANSWER):
                    await write_frame(stream, question)
                    answer = await rooms_wire.answers.read(stream)
                if isinstance(answer, Sorry):
                    raise PeerError(f"{peer.short} does not speak of this room")
                if not isinstance(answer, Reply):
                    raise BadMessage("another answer than was asked for")
                if not self._may_have_checked(peer, answer):
                    raise PeerError(f"{peer.short} sends more than there can be")
                async with joined.lock:
                    await self._house.carry_out(joined, asking.took(answer, self._clock()))
            await stream.finish()
            return asking.differed
        finally:
            await stream.reset()

    async def ask_keys(self, joined: Joined, peer: PeerId) -> list[tuple[int, bytes]]:
        """The newest keys that `peer` has. Raises ServentError, TimeoutError."""
        answer = await self._asked(peer, AskKeys(joined.id))
        return list(answer.keys) if isinstance(answer, Keys) else []

    async def ask_rooms(self, network: bytes, peer: PeerId) -> list[Announce]:
        """Open rooms that `peer` knows of. Raises ServentError, TimeoutError."""
        answer = await self._asked(peer, AskRooms(network))
        return list(answer.rooms) if isinstance(answer, RoomsAre) else []

    async def _asked(self, peer: PeerId, question: AskKeys | AskRooms) -> rooms_wire.Answer:
        stream = await self._peers.open(peer, rooms_wire.SERVICE, REACH)
        try:
            async with asyncio.timeout(ANSWER):
                await write_frame(stream, question)
                return await rooms_wire.answers.read(stream)
        finally:
            await stream.reset()

    # -- answering

    async def _serve(self, session: Session, stream: Stream) -> None:
        peer = session.peer
        for _ in range(ROUNDS):
            try:
                async with asyncio.timeout(IDLE):
                    question = await rooms_wire.questions.read(stream)
            except (TimeoutError, ServentError) as over:
                if isinstance(over, PeerError):
                    raise
                return
            now = self._clock()
            fits = self._asks.allow(peer, 1.0, now) and self._bytes.has(peer, 1.0, now)
            if not fits or (isinstance(question, Ask) and not self._may_have_checked(peer, question)):
                await write_frame(stream, Sorry(True))
                return
            answer = await self._answer(peer, question)
            self._bytes.charge(peer, _size(answer), now)
            await write_frame(stream, answer)

    def _may_have_checked(self, peer: PeerId, told: Ask | Reply) -> bool:
        """Signatures of pages cost the most of all that a peer can send."""
        runs = 0 if told.page is None else len(told.page.signatures) // 64
        return not runs or self._runs.allow(peer, float(runs), self._clock())

    async def _answer(self, peer: PeerId, question: rooms_wire.Question) -> rooms_wire.Answer:
        match question:
            case Ask(room):
                joined = self._open_to(peer, room)
                return (
                    await self._reply(joined, question) if joined is not None else self._farewell(peer, room)
                )
            case AskKeys(room):
                joined = self._open_to(peer, room)
                if joined is None or not joined.invite:
                    return Sorry()
                return Keys(joined.ring.all()[-4:])
            case AskRooms(network):
                rooms = self._house.rooms_of(network) if self._belongs(network, peer) else None
                if rooms is None or not self._lists.allow(peer, 1.0, self._clock()):
                    return Sorry()
                return RoomsAre(rooms)

    async def _reply(self, joined: Joined, ask: Ask) -> rooms_wire.Answer:
        async with joined.lock:
            effects, said = exchange.heard(joined.core, ask, self._clock())
            await self._house.carry_out(joined, effects)
            loaded = await self._house.load(joined, said.load.ids)
            return exchange.answered(joined.core, said, loaded, self._clock())

    def _farewell(self, peer: PeerId, room: bytes) -> rooms_wire.Answer:
        """To one who was put out and may not have heard of it: the acts up to that one, and nothing of what came after."""
        joined = self._house.joined(room)
        if joined is None or joined.out or not self._belongs(joined.network, peer):
            return Sorry()
        acts = joined.core.acts.until_out(peer)
        return Reply(joined.core.log.floor, given=acts[-MOST_GIVEN:]) if acts else Sorry()

    def _open_to(self, peer: PeerId, room: bytes) -> Joined | None:
        """Where that peer may hear what is said; the same silence for a room that is not here."""
        joined = self._house.joined(room)
        if (
            joined is None
            or joined.out
            or not self._belongs(joined.network, peer)
            or not joined.core.may_hear(peer)
        ):
            return None
        return joined


def _size(said: rooms_wire.Answer | Ask) -> int:
    match said:
        case Reply(page=page) | Ask(page=page) if page is not None:
            return 500 + len(page.packed) + len(page.signatures)
        case RoomsAre(rooms):
            return 1000 * len(rooms)
    return 500
