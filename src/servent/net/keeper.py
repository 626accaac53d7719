"""Whom we want to be connected to: dials them, follows what trust decides, and keeps the address book."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

from servent.errors import ServentError, WorldError
from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.net import hello
from servent.net.book import Book
from servent.net.crowd import Crowd
from servent.net.dialer import Dialer
from servent.net.links import PeerAddress
from servent.net.redial import Redial
from servent.net.roster import Roster
from servent.net.session import Session
from servent.net.settings import PeersSettings
from servent.net.shelf import Shelf
from servent.net.talk import Talk
from servent.trust.book import Verdict
from servent.trust.service import TrustService

NEARBY = PeerId(bytes(32))  # stands for the local network among those who tell us of peers
LAST_WORDS = 0.5  # s for a network that we left to hear it from us, before we are not in it for our peers
ALONE_EVERY = 10.0  # s between two tries of those met last while nobody at all is connected; a guess
ALONE_MOST = 8  # of them
TRIM_EVERY = 10.0  # s between two looks at which connections nobody needs


class House(Protocol):
    """What the keeper asks of those around it."""

    async def prove(self, session: Session) -> None: ...

    def note(self, kind: str, detail: str) -> None:
        """Log it, by rate."""
        ...

    def judged(self, session: Session) -> None:
        """What is true of `session`'s peer has changed."""
        ...

    def missed(self, peer: PeerId) -> None:
        """A dial came to nothing."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None: ...


class Keeper:
    """The standing wishes of a node: friends and members of its networks, as long as there is room."""

    def __init__(
        self,
        me: PeerId,
        trust: TrustService,
        book: Book,
        shelf: Shelf,
        redial: Redial,
        dialer: Dialer,
        talk: Talk,
        roster: Roster,
        house: House,
        settings: PeersSettings,
        wall: Callable[[], float],
    ) -> None:
        self._me, self._trust, self._book, self._shelf, self._redial = me, trust, book, shelf, redial
        self._dialer, self._talk, self._roster, self._house = dialer, talk, roster, house
        self._settings, self._wall = settings, wall
        self._clock = asyncio.get_running_loop().time
        self._woken = asyncio.Event()
        self._trust_changed = False
        self._digests: dict[bytes, bytes] = {}
        self._save_at = 0.0
        self._hearsay = TokenBucket(settings.hearsay_rate, settings.hearsay_burst)
        self._crowd = Crowd(settings.mesh, settings.seen_for)
        self._trim_at = self._alone_at = 0.0
        self.governed = False  # an overlay says whom it needs in networks too large for a full mesh

    async def open(self) -> None:
        """Load the address book and begin to follow trust."""
        await self._shelf.load(self._book, self._wall())
        self._trust.on_change(self._note_trust)
        self._digests = self._records()
        kept = [
            (entry.met, peer) for peer in self._book.peers() if (entry := self._book.get(peer)) and entry.kept
        ]
        kept.sort(reverse=True)
        friends = [contact.peer for contact in self._trust.contacts() if contact.friend]
        for peer in (*friends, *(peer for _, peer in kept[: self._settings.mesh if self.governed else None])):
            self.wish(peer)

    async def close(self) -> None:
        await self._shelf.save(self._book)

    def wake(self) -> None:
        """Something happened that may have to be acted on."""
        self._woken.set()

    def remember(self, address: PeerAddress) -> None:
        """Where a peer may be. Dialed soon if we want that peer; a dial under way begins again with it."""
        if self._book.given(address, self._wall()):
            self._dialer.again(address.peer)
        if self.is_known(address.peer):
            self.wish(address.peer)
            self._redial.news(address.peer, self._clock())
            self.wake()

    def nearby(self, address: PeerAddress) -> None:
        """Somebody on the local network says that this peer is there: hearsay, all of it of one teller."""
        self._book.told(address, self._wall(), teller=NEARBY)
        if self.is_known(address.peer):
            self.wish(address.peer)
            self._redial.news(address.peer, self._clock())
            self.wake()

    def hold(self, peer: PeerId, wanted: bool, by: str, within: float | None = None) -> bool:
        """Whether `by` needs a connection with `peer`. False: it is wanted, and nothing is known to dial it at."""
        self._crowd.hold(peer, wanted, by)
        if wanted:
            self.wish(peer)
            if within is not None:
                self._redial.sooner(peer, self._clock(), within)
                self.wake()
            return self._roster.session(peer) is not None or self._redial.next_try(peer) is not None
        if self._roster.session(peer) is None and not self._wanted(peer):
            self._redial.drop(peer)
        return True

    def learn(self, address: PeerAddress, number: int) -> bool:
        """A peer's own signed word on where it is. Whether that is news."""
        if not self._book.moved(address, self._wall(), number):
            return False
        if self.is_friend(address.peer):
            self.wish(address.peer)  # nothing may have been known to dial it at
        session = self._roster.session(address.peer)
        if session is not None and session.silent:
            session.give_up("it is somewhere else now")
        self._redial.news(address.peer, self._clock(), within=0.05)
        self._dialer.again(address.peer)
        self.wake()
        return True

    def awaits(self, peer: PeerId) -> bool:
        """Whether we go on looking for `peer`: a friend, one that the person here led us to, or one the overlay holds."""
        entry = self._book.get(peer)
        given = entry is not None and bool(entry.given) and self._redial.next_try(peer) is not None
        return self.is_friend(peer) or given or self._crowd.holds(peer)

    def hear(self, address: PeerAddress, teller: PeerId) -> None:
        """`teller` says where `address.peer` may be."""
        peer, contact = address.peer, self._trust.contact(address.peer)
        if peer == self._me or self._roster.session(peer) is not None or (contact and contact.blocked):
            return
        self._book.told(address, self._wall(), teller)
        known, now = self._book.address(peer, self._wall()), self._clock()
        if (known.addresses or known.relay) and self._redial.next_try(peer) is None:
            if not self._hearsay.allow(1, now):
                self._house.note("too many peers known by hearsay alone", f"{peer.short} is not dialed")
                return
            self._redial.want(peer, now, self._settings.newcomer)
        self._redial.news(peer, now)
        self.wake()

    def counted(self, network: bytes, members: int) -> None:
        """How many members a network has, as the overlay counts them."""
        self._crowd.counted(network, members, "overlay")

    def seek(self, most: int) -> int:
        """Dial some of those we know and are not connected to, the ones met last first. Returns how many."""
        known = [
            (entry.met, entry.heard, peer)
            for peer in self._book.peers()
            if (entry := self._book.get(peer)) and self._roster.session(peer) is None
        ]
        now, begun = self._clock(), 0
        for *_, peer in sorted(known, reverse=True):
            contact = self._trust.contact(peer)
            if begun < most and self._redial.next_try(peer) is None and not (contact and contact.blocked):
                self._redial.want(peer, now, self._settings.newcomer)
                begun += 1
        self.wake()
        return begun

    def _wanted(self, peer: PeerId) -> bool:
        """Whether we stay connected to `peer` by ourselves."""
        return self.is_friend(peer) or not self.governed or self._crowd.wants(peer, self._clock())

    def is_large(self, network: bytes) -> bool:
        """Whether the overlay, and not we, says to whom in `network` we are connected."""
        return self.governed and self._crowd.large(network, self._clock())

    def heard_of(self, peer: PeerId, networks: Iterable[bytes]) -> None:
        """`peer` showed, or somebody says, that it is in these networks of ours."""
        self._crowd.heard(peer, networks, self._clock())

    def _trim(self, now: float) -> None:
        """Close connections that we made, that nobody here needs, and that were idle for long enough."""
        spare = [
            (since, session)
            for session in self._roster.sessions()
            if session.dialed
            and session.verdict.networks
            and (since := session.idle_since) is not None
            and not self._wanted(session.peer)
        ]
        spare.sort(key=lambda one: one[0])
        for place, (since, session) in enumerate(spare):
            if now - since >= self._settings.spare or place < len(spare) - self._settings.most_spare:
                self._house.spawn(session.close("not needed now"), f"close {session.peer.short}")

    def _look_around(self, now: float) -> None:
        """Nobody is connected: whoever comes back to where it was is to be found in seconds, however long that took."""
        met = [(entry.met, peer) for peer in self._redial.wanted() if (entry := self._book.get(peer))]
        for _, peer in sorted(met, reverse=True)[:ALONE_MOST]:
            self._redial.sooner(peer, now, ALONE_EVERY)

    def forget(self, peer: PeerId) -> None:
        self._redial.drop(peer)
        self._book.forget(peer)

    def save_soon(self) -> None:
        """Somebody is here for the first time: a kill in the next seconds must not lose where."""
        self._save_at = 0.0
        self.wake()

    async def run(self) -> None:
        """Dial whom we miss, tell members of each other, follow changes of trust, save the book."""
        while True:
            self._woken.clear()
            now = self._clock()
            if self._trust_changed:
                self._trust_changed = False
                await self._follow_trust()
            if now >= self._alone_at and not self._roster.sessions():
                self._alone_at = now + ALONE_EVERY
                self._look_around(now)
            self._dialer.start_due(now)
            self._talk.tick(now)
            if self.governed and now >= self._trim_at:
                self._trim_at = now + TRIM_EVERY
                self._trim(now)
            if self._book.dirty and (now >= self._save_at or self._book.urgent):
                self._save_at, self._book.urgent = now + self._settings.save_every, False
                try:
                    await self._shelf.save(self._book)
                except WorldError as trouble:
                    self._house.note("the address book is not saved", str(trouble))
            due = [self._redial.next_tick(), self._talk.next_tick(), now + self._settings.save_every]
            soonest = min(at for at in due if at is not None)
            try:
                async with asyncio.timeout_at(max(soonest, now + 0.05)):
                    await self._woken.wait()
            except TimeoutError:
                continue
            await asyncio.sleep(0.01)  # news come in bunches

    async def _follow_trust(self) -> None:
        """Contacts, blocks or memberships changed: who may stay, who is told what."""
        records, before = self._records(), self._digests
        self._digests = records
        left = set(before) - set(records)
        if left:
            self._let_go(self._crowd.left(left) | self._removed_from(left))
        for session in self._roster.sessions():
            if left & session.verdict.networks:
                self._house.spawn(self._part(session), f"leave a network of {session.peer.short}")
            else:
                self.judged(session, self._trust.verdict(session.peer))
        for network, digest in records.items():
            if before.get(network) != digest:
                self._talk.changed(network)
        if set(records) - set(before):  # we joined one: those we are connected to may be in it
            for session in self._roster.sessions():
                self._house.spawn(self._house.prove(session), f"prove to {session.peer.short}")
        for contact in self._trust.contacts():
            if contact.friend and not contact.blocked:
                self.wish(contact.peer)
        self.wake()

    def _removed_from(self, networks: set[bytes]) -> set[PeerId]:
        """Whom we knew by those of the networks that we did not leave by ourselves."""
        gone = [view.key for view in self._trust.networks() if view.removed and view.key in networks]
        return {peer for network in gone for peer in self._trust.everybody(network)}

    def _let_go(self, peers: set[PeerId]) -> None:
        """Dial those no more with whom we share nothing now."""
        others = {peer for network in self._digests for peer in self._trust.everybody(network)}
        for peer in peers - others:
            if self._roster.session(peer) is None and not self.is_friend(peer):
                self._redial.drop(peer)
                self._book.wanted(peer, False)

    async def _part(self, session: Session) -> None:
        """We left a network that we shared with it: it is told when our last words there have reached it."""
        await asyncio.sleep(LAST_WORDS)
        verdict = self._trust.verdict(session.peer)
        self.judged(session, verdict)
        if verdict.known and session.connected:
            await self._house.prove(session)

    def judged(self, session: Session, verdict: Verdict) -> None:
        if not verdict.known:
            self._redial.drop(session.peer)
            self._book.wanted(session.peer, False)
            if verdict != session.verdict:
                self._judged(session, verdict)
            self._house.spawn(self._dismiss(session), f"close {session.peer.short}")
        elif verdict != session.verdict:
            self._judged(session, verdict)

    def _judged(self, session: Session, verdict: Verdict) -> None:
        session.verdict = verdict
        self._crowd.heard(session.peer, verdict.networks, self._clock())
        self._house.judged(session)
        if self._roster.session(session.peer) is session:
            self._talk.acquainted(session)
            self._talk.removed(session)
            self.wake()

    async def _dismiss(self, session: Session) -> None:
        """Close a session with somebody who is not known here any more; who was removed is told so first."""
        if session.verdict.removed and session.connected:
            await asyncio.sleep(LAST_WORDS)
        await session.close("not known here", hello.CODE_REFUSED)

    def wish(self, peer: PeerId, within: float | None = None, after: float = 0.0) -> None:
        """Connect to `peer` soon (`after` so many seconds) and stay connected, if there is room for it."""
        if peer == self._me or self._roster.session(peer) is not None:
            return
        contact = self._trust.contact(peer)
        if contact is not None and contact.blocked:
            return
        first = (contact is not None and contact.friend) or self._crowd.holds(peer)
        if not first and len(self._roster) + len(self._redial.wanted()) >= self._settings.keep:
            return
        if not first and not self._wanted(peer):
            return
        if within is None:
            within = self._settings.newcomer * (1.0 if self._me < peer else 2.0)
        now = self._clock()
        known = self._book.address(peer, self._wall())
        if (not known.addresses and known.relay is None) or self._redial.next_try(peer) is not None:
            return
        entry = self._book.get(peer)
        hearsay = not first and (entry is None or not entry.met)
        if hearsay and not self._hearsay.allow(1, now):
            self._house.note("too many peers known by hearsay alone", f"{peer.short} is not dialed")
            return
        self._redial.want(peer, now + after, within)
        self.wake()

    def dial_failed(self, peer: PeerId, error: ServentError) -> None:
        self._house.note("a dial failed", f"{peer.short}: {error}")
        entry = self._book.get(peer)
        hearsay = entry is None or (not entry.met and not self.is_friend(peer))
        if hearsay and self._redial.failures(peer) >= self._settings.hearsay_failures:
            self.forget(peer)
        self._house.missed(peer)
        self.wake()

    def is_friend(self, peer: PeerId) -> bool:
        contact = self._trust.contact(peer)
        return contact is not None and contact.friend and not contact.blocked

    def is_known(self, peer: PeerId) -> bool:
        """Whether there was a reason, before its hello, to believe that `peer` belongs here."""
        entry = self._book.get(peer)
        return self.is_friend(peer) or (entry is not None and entry.kept)

    def _records(self) -> dict[bytes, bytes]:
        views = self._trust.networks()
        for view in views:
            self._crowd.counted(view.key, view.members, "records")
        return {view.key: self._trust.records_digest(view.key) for view in views if not view.removed}

    def moved(self) -> None:
        """The network around us is another one, or is back."""
        self._talk.moved()
        self._dialer.anew()
        now = self._clock()
        for peer in self._redial.wanted():
            self._redial.news(peer, now)
        self.wake()

    def _note_trust(self) -> None:
        self._trust_changed = True
        self.wake()
