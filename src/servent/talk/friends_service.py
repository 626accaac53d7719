"""Friends and their presence, with trust, sessions and a disk: who may be asked, who has said yes, who is here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct

from servent.errors import NotFound, ServentError, UsageError
from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.net.peers import Peers
from servent.net.session import Session
from servent.store import Store
from servent.talk import bonds, people, views, wire
from servent.talk.bonds import Bond, Bonds
from servent.talk.names import Known, Names
from servent.talk.presence import Chosen, Mine, Others
from servent.talk.texts import cleaned
from servent.tasks import begin
from servent.trust.service import TrustService

log = logging.getLogger(__name__)

TOGETHER = 0.3  # s that changes of our presence are let gather
BETWEEN = 1.0  # s at least between two rounds of telling friends
QUIET = 10.0  # s after our own start in which nobody is news: they were here before us
GOODBYE = 2.0  # s for a friend who is connected to hear that it is over
ASKS_RATE, ASKS_BURST = 1 / 60, 20.0  # questions per second out of one network, however many members put them
MOST_SOURCES = 1024
DOING_CHARACTERS = 100

Notify = Callable[[views.NoticeKind, PeerId, str], None]


class _Chosen(Struct, frozen=True):
    """As it is kept in `people.keep`."""

    presence: Chosen = "available"
    note: str = ""
    idle_away: float = 600.0


class Friends:
    """Owns bonds and presence. `open` it when trust and its store are open, `run` it in a task.

    Args:
        store: `talk.db`, not open yet.
        my_name: what others see.
        shares: whether a peer that is connected has something to browse.
        stand_again, wake: of `Mail`.
        unread: messages of a peer that were not read.
        notify: (kind, whom it is about, words).
        told: called with the topic that changed.
    """

    def __init__(
        self,
        peers: Peers,
        trust: TrustService,
        store: Store,
        *,
        my_name: Callable[[], str],
        shares: Callable[[Session], bool],
        stand_again: Callable[[PeerId], None],
        wake: Callable[[PeerId], None],
        unread: Callable[[PeerId], int],
        notify: Notify,
        told: Callable[[views.Topic], None],
        wall: Callable[[], float],
        linger: float,
    ) -> None:
        self._peers, self._trust, self._store, self._wall = peers, trust, store, wall
        self._shares, self._stand_again, self._wake, self._unread = shares, stand_again, wake, unread
        self._notify, self._told = notify, told
        self._clock = asyncio.get_running_loop().time
        self._bonds = Bonds()
        self._mine: frozenset[PeerId] = frozenset()  # to whom we said yes
        self._met: dict[PeerId, str] = {}
        self._goodbyes: dict[PeerId, asyncio.Event] = {}  # set when they have heard that it is over
        self._said: dict[
            PeerId, tuple[Session, wire.Stand]
        ] = {}  # who has which word of ours in this session
        self._sources: dict[bytes, TokenBucket] = {}
        self._me, self._others = Mine(self._clock()), Others(linger)
        self._changed, self._due = asyncio.Event(), asyncio.Event()
        self._quiet_until = self._clock() + QUIET
        self._shown: views.Presence = "available"
        self._tasks: asyncio.TaskGroup | None = None
        self.names = Names(peers.peer, my_name, self._known, trust.looks_like, self._protected)
        for room, steps in ((bonds.ROOM, bonds.STEPS), (people.ROOM, people.STEPS)):
            store.migrate(room, steps)

    async def open(self) -> None:
        self._bonds = Bonds(await self._store.read(bonds.load))
        self._met = await self._store.read(people.load)
        kept = await self._store.read(lambda db: people.kept(db, "presence"))
        if kept is not None:
            try:
                chosen = msgspec.msgpack.decode(kept, type=_Chosen)
                self._me = Mine(self._clock(), chosen.presence, chosen.note, chosen.idle_away)
            except msgspec.MsgspecError as wrong:
                log.warning("the presence that was chosen cannot be read: %s", wrong)
        self._shown = self._me.shown(self._clock())
        await self._follow_trust()
        self._trust.on_change(self._trust_changed)
        self._peers.on_session(self._session)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self._quiet_until = self._clock() + QUIET
                self._trust_changed()
                tasks.create_task(self._tell_friends(), name="tell friends how we are")
                tasks.create_task(self._watch_time(), name="who is away")
                for session in self._peers.sessions():
                    self._session(session, True)
        finally:
            self._tasks = None

    # -- people

    def person(self, peer: PeerId) -> views.Person:
        return self.names.person(peer)

    def _known(self, peer: PeerId) -> Known:
        session, contact = self._peers.session(peer), self._trust.contact(peer)
        name = session.profile.name if session is not None else self._met.get(peer, "")
        return Known(peer, name, contact.petname if contact is not None else None, peer in self._mine)

    def _protected(self) -> list[Known]:
        return [self._known(peer) for peer in sorted(self._mine)]

    def named(self, name: str) -> list[PeerId]:
        """Friends, and who is connected, that call themselves so or have a name that looks so."""
        from servent.trust.lookalikes import skeleton

        wanted = skeleton(name)
        near = {session.peer for session in self._peers.sessions()} | self._mine
        return sorted(peer for peer in near if (own := self._known(peer).name) and skeleton(own) == wanted)

    # -- friends

    def friend(self, peer: PeerId) -> views.Friend:
        mine = peer in self._mine
        bond = self._bonds[peer]
        name = bond.name(mine)
        here = self._others.of(peer) if name == "friend" else wire.Here("offline")
        session = self._peers.session(peer)
        asked, note = (bond.heard, bond.note) if name == "asking" else (bond.my_question, bond.my_note)
        return views.Friend(
            peer, self.person(peer), name, here.presence, here.note, here.doing, bond.since,
            self._wall() if session is not None else bond.seen, self._unread(peer), bond.silent,
            (asked or None) if name in ("asking", "asked") else None, note if name in ("asking", "asked") else "",
            session is not None and self._shares(session),
        )  # fmt: skip

    def friends(self) -> list[views.Friend]:
        """Those who ask first, then friends who are there, then the others, each by name."""
        asking = {bond.peer for bond in self._bonds.asking(self._mine)}
        return sorted(
            map(self.friend, asking | self._mine),
            key=lambda one: (
                one.bond != "asking", one.presence == "offline", one.bond != "friend",
                one.person.shown.casefold(), str(one.id),
            ),
        )  # fmt: skip

    def asking(self) -> int:
        return len(self._bonds.asking(self._mine))

    def bond(self, peer: PeerId) -> views.Bond:
        return self._bonds[peer].name(peer in self._mine)

    def presence(self, peer: PeerId) -> views.Presence:
        return self._others.of(peer).presence if self.bond(peer) == "friend" else "offline"

    def trusted(self, peer: PeerId) -> bool:
        return peer in self._mine

    async def ask(self, peer: PeerId, note: str = "", petname: str = "") -> views.Friend:
        """Our yes. Raises UsageError for ourselves, somebody blocked, or a petname that cannot be."""
        if peer == self._peers.peer:
            raise UsageError("that is you")
        contact = self._trust.contact(peer)
        if contact is not None and contact.blocked:
            raise UsageError(f"{peer.short} is blocked here", advice="Unblock them first.")
        if len(note) > bonds.NOTE_CHARACTERS:
            raise UsageError(f"a note has at most {bonds.NOTE_CHARACTERS} characters")
        before = self._bonds[peer]
        bond = self._bonds.ask(peer, note, self._wall())  # with its note, before the peer can hear of it
        try:
            await self._trust.add_contact(peer, petname or None, friend=True)
        except ServentError:
            self._bonds.put(before)
            raise
        await self._save(bond)
        await self._follow_trust()
        self._stand_again(peer)
        self._told("friends")
        return self.friend(peer)

    async def answer(self, peer: PeerId, yes: bool, *, block: bool = False) -> None:
        """Raises NotFound when they do not ask. Yes to who is a friend already changes nothing."""
        if yes and self.bond(peer) == "friend":
            return
        if self.bond(peer) != "asking" and not (block and not yes):
            raise NotFound(
                f"{peer.short} does not ask to be a friend", advice="`servent friends` lists who does."
            )
        if yes:
            await self.ask(peer)
            return
        await self._save(self._bonds.refuse(peer, self._wall()))
        if block:
            await self._trust.block(peer)
            await self._follow_trust()
        self._told("friends")

    async def end(self, peer: PeerId) -> None:
        """Raises NotFound when there is nothing to end.

        Who is connected hears it first: whom trust has let go, and who shares no network with us, is spoken to no more.
        """
        if peer not in self._mine:
            raise NotFound(f"{peer.short} is no friend", advice="`servent friends` lists them.")
        if self._peers.session(peer) is not None:
            self._mine -= {peer}
            self._others.forget(peer)
            await self._save(self._bonds.end(peer, self._wall()))
            heard = self._goodbyes[peer] = asyncio.Event()
            self._stand_again(peer)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GOODBYE):
                    await heard.wait()
            self._goodbyes.pop(peer, None)
        await self._trust.set_friend(peer, False)
        await self._follow_trust()
        self._told("friends")

    async def silence(self, peer: PeerId, silent: bool) -> None:
        if peer not in self._mine:
            raise NotFound(f"{peer.short} is no friend", advice="`servent friends` lists them.")
        await self._save(self._bonds.silence(peer, silent))
        self._told("friends")

    def _trust_changed(self) -> None:
        self._spawn(self._follow_trust(), "follow trust")

    async def _follow_trust(self) -> None:
        """Whoever changed our word, by whatever way: the bond follows, and the peer hears of it."""
        self.names.changed()
        contacts = [one for one in self._trust.contacts() if one.friend and not one.blocked]
        contacts = [one for one in contacts if one.peer not in self._goodbyes]
        before, self._mine = self._mine, frozenset(one.peer for one in contacts)
        now = self._wall()
        for contact in contacts:
            if contact.peer in before:
                continue
            bond = self._bonds[contact.peer]
            if contact.source == "ticket" and not bond.theirs:
                await self._save(self._bonds.assume(contact.peer, now))
            if not bond.my_question:  # befriended in another way than by `ask`
                await self._save(self._bonds.ask(contact.peer, "", now))
            self._stand_again(contact.peer)
        for peer in before - self._mine:
            await self._save(self._bonds.end(peer, now))
            self._others.forget(peer)
            self._stand_again(peer)
        if before != self._mine:
            self._told("friends")

    # -- what is said (mail_service.Words)

    def stand(self, peer: PeerId) -> bool:
        mine = peer in self._mine
        if mine != self._bonds[peer].told:
            return True
        return mine and self._said.get(peer) != (self._peers.session(peer), self.word(peer))

    def word(self, peer: PeerId) -> wire.Stand:
        return self._bonds.stand(peer, peer in self._mine)

    async def stood(self, session: Session, stand: wire.Stand) -> None:
        self._said[session.peer] = session, stand
        if self._bonds[session.peer].told != stand.friend:
            await self._save(self._bonds.told(session.peer, stand.friend))
        if not stand.friend and (heard := self._goodbyes.get(session.peer)) is not None:
            heard.set()

    def here(self, peer: PeerId) -> wire.Here | None:
        return self._me.here(self._clock()) if self.bond(peer) == "friend" else None

    async def heard_stand(self, session: Session, stand: wire.Stand) -> None:
        """Their word, by their own session: nobody else can give it."""
        peer = session.peer
        if session.verdict.guest or not self._trust.verdict(peer).known:
            return
        before = self._bonds[peer]
        mine = peer in self._mine
        room = len(self._bonds.asking(self._mine)) < bonds.MOST_ASKING
        if stand.friend and not mine and before.name(mine) != "asking":
            room = room and self._may_ask(session)
        bond, came = self._bonds.heard(peer, stand, mine, self._wall(), room)
        if bond != before:
            await self._save(bond)
            self._told("friends")
        match came:
            case "asks":
                self._notify("friend-asks", peer, bond.note)
            case "accepted":
                self._notify("friend-accepted", peer, "")
                self._wake(peer)  # they may see us now
            case "renewed":
                self._stand_again(peer)
            case "ended":
                self._others.forget(peer)
                if self._trust.contact(peer) is not None:
                    await self._trust.set_friend(peer, False)
                await self._follow_trust()

    def _may_ask(self, session: Session) -> bool:
        source = min(session.verdict.networks, default=b"")
        bucket = self._sources.get(source)
        if bucket is None:
            while len(self._sources) >= MOST_SOURCES:
                del self._sources[next(iter(self._sources))]
            bucket = self._sources[source] = TokenBucket(ASKS_RATE, ASKS_BURST)
        return bucket.allow(1, self._clock())

    def heard_here(self, session: Session, here: wire.Here) -> None:
        """How a friend is, by its own session. Of anybody else it is nobody's business here."""
        peer = session.peer
        if self.bond(peer) != "friend" or self._peers.session(peer) is None:
            return
        safe = wire.Here(here.presence, _line(here.note), _line(here.doing))
        change = self._others.heard(peer, safe, self._clock())
        if change is None:
            return
        before, now = change
        if (
            before.presence == "offline"
            and self._clock() >= self._quiet_until
            and not self._bonds[peer].silent
        ):
            self._notify("friend-online", peer, now.note)
        self._told("presence")

    # -- presence

    def my_presence(self) -> views.MyPresence:
        me = self._me
        return views.MyPresence(me.presence, me.note, me.idle_away, me.shown(self._clock()), me.doing)

    async def set_presence(
        self, presence: Chosen | None, note: str | None, idle_away: float | None
    ) -> views.MyPresence:
        me = self._me
        me.touch(self._clock())
        me.presence = presence or me.presence
        me.note = me.note if note is None else _line(note)
        me.idle_away = me.idle_away if idle_away is None else idle_away
        data = msgspec.msgpack.encode(_Chosen(me.presence, me.note, me.idle_away))
        self._changed.set()
        self._due.set()
        await self._store.write(lambda db: people.keep(db, "presence", data))
        self._told("presence")
        return self.my_presence()

    def set_doing(self, text: str) -> None:
        self._me.doing = _line(text)
        self._changed.set()
        self._told("presence")

    def touch(self) -> None:
        self._me.touch(self._clock())
        if self._me.shown(self._clock()) != self._shown:
            self._changed.set()
        self._due.set()

    async def _tell_friends(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(TOGETHER)
            self._changed.clear()
            self._shown = self._me.shown(self._clock())
            for session in self._peers.sessions():
                if session.peer in self._mine:
                    self._wake(session.peer)
            self._told("presence")
            await asyncio.sleep(BETWEEN)

    async def _watch_time(self) -> None:
        """Friends who stay away, and ourselves."""
        while True:
            self._due.clear()
            now = self._clock()
            if self._others.tick(now):
                self._told("presence")
            if self._me.shown(now) != self._shown:
                self._changed.set()
            ticks = [at for at in (self._others.next_tick(), self._me.next_tick(now)) if at is not None]
            try:
                async with asyncio.timeout_at(max(min(ticks), now + 0.05) if ticks else None):
                    await self._due.wait()
            except TimeoutError:
                continue

    # -- sessions

    def _session(self, session: Session, up: bool) -> None:
        peer = session.peer
        if session.verdict.guest:
            return
        if not up and self._peers.session(peer) is None:
            self._others.gone(peer, self._clock())
            self._said.pop(peer, None)
            self._due.set()
        if up and session.profile.name and self._met.get(peer) != session.profile.name:
            self._met[peer] = session.profile.name
            while len(self._met) > people.MOST_MET:
                del self._met[next(iter(self._met))]
            if peer in self._mine:
                self.names.changed()
            self._spawn(self._save_met(peer, session.profile.name), "remember a name")
        if peer in self._mine:
            self._spawn(self._save(self._bonds.saw(peer, self._wall())), "remember when a friend was here")
            self._told("friends")

    async def _save_met(self, peer: PeerId, name: str) -> None:
        await self._store.write(lambda db: people.save(db, peer, name, self._wall()))

    async def _save(self, bond: Bond) -> None:
        await self._store.write(lambda db: bonds.save(db, self._bonds[bond.peer]))

    def _spawn(self, work: Any, name: str) -> None:
        begin(self._tasks, self._guard(work), name, inside=work)

    async def _guard(self, work: Any) -> None:
        try:
            await work
        except ServentError as wrong:
            log.warning("of friends: %s", wrong)


def _line(text: str) -> str:
    return " ".join(cleaned(text).split())[:DOING_CHARACTERS]
