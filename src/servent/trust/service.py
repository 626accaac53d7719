"""Trust with a disk under it: the one Book of a node, loaded at start, written through on every change."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Self

from servent.errors import NotFound, WorldError
from servent.identity import Identity, PeerId
from servent.store import Store, StoreTrouble
from servent.trust import proofs, rows
from servent.trust.book import Book, Verdict
from servent.trust.changes import Change, Home, Issued, Saved, SavedRecords
from servent.trust.contacts import TICKET_LIFETIME, Contact, TicketSecret
from servent.trust.grants import Audience, Grant
from servent.trust.homes import INVITATION_LIFETIME, Merged
from servent.trust.meeting import MeetingPoint
from servent.trust.networks import Invitation, Mode, network_id
from servent.trust.roll import PAGE_BYTES, Page
from servent.trust.views import MemberView, NetworkView

if TYPE_CHECKING:
    import sqlite3

log = logging.getLogger(__name__)

Network = NetworkView


class TrustService:
    """Owns the Book. Changes are in force at once, and on disk when the awaited call returns.

    Args:
        store: not open yet; this service declares its tables in it.
        identity: ours; signs memberships of open networks and what we witness.
        wall: the wall clock, for records that expire; used where a call gives no `wall_now`.
        dice: fresh random bytes.
    """

    def __init__(
        self,
        store: Store,
        identity: Identity,
        *,
        wall: Callable[[], float] = time.time,
        dice: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._store = store
        self._identity = identity
        self._wall = wall
        self._dice = dice
        self._book = Book(identity)
        self._listeners: list[Callable[[], None]] = []
        self._record_listeners: list[Callable[[bytes], None]] = []
        store.migrate(rows.ROOM, rows.STEPS)

    @property
    def me(self) -> PeerId:
        return self._identity.peer

    async def open(self) -> None:
        """Load everything. The store is open already.

        Raises:
            StoreTrouble: what is on disk does not make sense.
        """
        try:
            self._book = await self._store.read(lambda connection: rows.load(connection, self._identity))
        except rows.Unreadable as wrong:
            raise StoreTrouble(
                f"contacts and networks in {self._store.path} cannot be read: {wrong}",
                advice="Put a backup of this file in its place. Nothing was changed.",
            ) from wrong
        await self._forget_outdated(self._wall())

    async def close(self) -> None:
        """Nothing is pending: every change was written when it was made. The store is closed by its owner."""
        self._listeners.clear()
        self._record_listeners.clear()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the loop after blocks, grants, contacts or records changed: ask `verdict` anew then."""
        self._listeners.append(callback)

    def on_records(self, callback: Callable[[bytes], None]) -> None:
        """Call `callback(network key)` on the loop when there are new records to hand to its other members."""
        self._record_listeners.append(callback)

    # -- networks

    async def create_network(
        self, name: str, *, open: bool = False, mode: Mode = "p2p", wall_now: float | None = None
    ) -> NetworkView:
        """Found a network; its key stays here. Raises UsageError for a bad name or too many networks."""
        home, changes = self._book.homes.create(
            name, self._dice(32), self._dice(32), open=open, mode=mode, wall_now=self._now(wall_now)
        )
        await self._save(changes)
        return self._view(home)

    def networks(self) -> list[NetworkView]:
        """All my networks, by name."""
        return [self._view(home) for home in self._book.homes.all()]

    def network(self, network: str | bytes) -> NetworkView:
        """One of them, by name, id or key. Raises NotFound."""
        return self._view(self._book.homes.get(network))

    async def rename_network(self, network: str | bytes, alias: str) -> NetworkView:
        """Call it differently, here only. Raises UsageError when the name is taken."""
        key = self._book.homes.get(network).key
        await self._save(self._book.homes.set_alias(key, alias))
        return self.network(key)

    async def change_settings(
        self,
        network: str | bytes,
        *,
        name: str | None = None,
        mode: Mode | None = None,
        open: bool | None = None,
        servers: Sequence[bytes] | None = None,
        wall_now: float | None = None,
    ) -> NetworkView:
        """As the admin: change the network for all members. Raises UsageError for everyone else.

        `servers`: who carries the index in the server mode, at most 8; none at all means us.
        """
        now = self._now(wall_now)
        changes = self._book.homes.change_settings(
            network, now, name=name, mode=mode, open=open, servers=servers
        )
        await self._save(changes)
        return self.network(network)

    async def leave(self, network: str | bytes) -> None:
        """Forget a network and, if it is mine, its key: nobody can invite to it any more."""
        await self._save(self._book.homes.leave(network))

    async def invite(
        self,
        network: str | bytes,
        *,
        uses: int | None = 1,
        lifetime: float | None = INVITATION_LIFETIME,
        wall_now: float | None = None,
    ) -> Invitation:
        """A new invitation. Its private part is kept nowhere: show it now or make another.

        Raises:
            UsageError: I am not the admin (of a network that is not open), or limits out of range.
        """
        invitation, changes = self._book.homes.invite(
            network, self._dice(32), uses=uses, lifetime=lifetime, wall_now=self._now(wall_now)
        )
        await self._save(changes)
        return invitation

    def invitations(self, network: str | bytes) -> list[Issued]:
        """Those I made, newest first."""
        return self._book.homes.issued(network)

    async def accept_invitation(self, invitation: Invitation, wall_now: float | None = None) -> NetworkView:
        """Join. Raises UsageError when it is forged or expired."""
        home, changes = self._book.homes.accept(invitation, self._now(wall_now))
        await self._save(changes)
        return self._view(home)

    async def revoke(
        self,
        network: str | bytes,
        invitation: str,
        *,
        with_members: bool = False,
        wall_now: float | None = None,
    ) -> None:
        """End an invitation by its id. Raises NotFound, or UsageError when I am not the admin."""
        now = self._now(wall_now)
        await self._save(
            self._book.homes.revoke_invitation(network, invitation, now, with_members=with_members)
        )

    async def remove_member(self, network: str | bytes, peer: PeerId, wall_now: float | None = None) -> None:
        """Take a member back, and end the invitation they came by. Raises UsageError when I am not the admin."""
        await self._save(self._book.homes.remove_member(network, peer, self._now(wall_now)))

    def members(self, network: str | bytes) -> list[MemberView]:
        """Everyone known to be in it, me included; in open networks, who is here now."""
        home = self._book.homes.get(network)
        seen: dict[bytes, float | None] = dict(home.roll.members())
        for peer in self._book.present(home.key):
            seen.setdefault(peer, None)
        if home.roll.holds(home.membership):
            seen.setdefault(self.me, float(home.membership.joined))
        found = []
        for key, when in seen.items():
            peer = PeerId(key)
            contact = self._book.contacts.get(peer)
            by = home.roll.invitations_of(key)
            found.append(
                MemberView(
                    peer,
                    contact.petname if contact is not None else None,
                    when,
                    by[0].hex()[:16] if by else None,
                    peer == self.me,
                )
            )
        return sorted(found, key=lambda member: (not member.me, member.petname or "~", str(member.peer)))

    def removed(self, network: str | bytes) -> list[PeerId]:
        """Whom its founder took out of it, those included who were invited again."""
        return [PeerId(key) for key in sorted(self._book.homes.get(network).roll.revoked_members())]

    def everybody(self, network: bytes) -> set[PeerId]:
        """Whoever is or was in a network of mine, as far as its records name them. Raises NotFound."""
        return {PeerId(key) for key in self._book.homes.get(network).roll.everybody()}

    def belongs(self, network: bytes, key: bytes) -> bool:
        """Whether `key` may be a member of a network of mine, by its records alone. In memory, a few microseconds."""
        return self._book.homes.belongs(network, key)

    def meeting_point(self, network: bytes) -> MeetingPoint:
        """Where its members find each other when they know nothing else; its secret stays here. Raises NotFound."""
        return MeetingPoint(network, self._book.homes.get(network).secret)

    # -- records, exchanged with members on connecting

    def records_digest(self, network: bytes) -> bytes:
        """16 bytes; the other side has nothing new for us, nor we for it, when its digest is the same."""
        return self._book.homes.get(network).roll.digest

    def records_since(self, network: bytes, after: int = 0, limit_bytes: int = PAGE_BYTES) -> Page:
        """Records to hand to a member, a page at a time; `page.mark` is the next `after`. Raises NotFound."""
        return self._book.homes.records_since(network, after, limit_bytes)

    async def merge_records(self, network: bytes, peer: PeerId, bodies: Sequence[bytes]) -> Merged:
        """Take in a page that `peer` sent. Records that do not hold are counted as refused, the others kept.

        Raises:
            BadMessage: `peer` is not known to be in this network now, or sent more than one frame's worth.
        """
        merged, changes = self._book.merge_records(network, peer, bodies)
        await self._save_if_possible(changes)
        return merged

    async def take_removal(self, body: bytes) -> None:
        """Learn that I was removed from a network, by its key's own word; `NetworkView.member` is False from then on.

        Raises:
            BadMessage: it proves nothing of the kind.
        """
        await self._save_if_possible(self._book.homes.take_removal(body))

    # -- contacts

    async def add_contact(
        self, peer: PeerId, petname: str | None = None, friend: bool = True, wall_now: float | None = None
    ) -> Contact:
        """Add or change. A block stays. Raises UsageError for a petname that is taken or unusable."""
        contact = self._book.contacts.add(peer, petname, friend, self._now(wall_now))
        await self._save_contact(contact)
        return contact

    async def set_petname(self, peer: PeerId, petname: str | None) -> Contact:
        """My own name for a peer; None takes it away. Raises UsageError as `add_contact`."""
        contact = self._book.contacts.set_petname(peer, petname, self._wall())
        await self._save_contact(contact)
        return contact

    async def set_friend(self, peer: PeerId, friend: bool) -> Contact:
        """Befriend or unfriend, keeping the entry."""
        return await self.add_contact(peer, None, friend)

    async def block(self, peer: PeerId) -> Contact:
        """Refuse `peer` everything from now on; it stops being a friend."""
        contact = self._book.contacts.block(peer, self._wall())
        await self._save_contact(contact)
        return contact

    async def unblock(self, peer: PeerId) -> Contact:
        """Lift the block; friendship does not come back by itself. Raises NotFound."""
        contact = self._book.contacts.unblock(peer)
        await self._save_contact(contact)
        return contact

    async def remove(self, peer: PeerId) -> None:
        """Forget a contact, its petname and a block. Raises NotFound."""
        self._book.contacts.remove(peer)
        await self._save([Saved("contact", bytes(peer), None)])

    def contacts(self) -> list[Contact]:
        """Everybody in the book, those with a petname first."""
        return self._book.contacts.all()

    def contact(self, peer: PeerId) -> Contact | None:
        return self._book.contacts.get(peer)

    def looks_like(self, name: str) -> PeerId | None:
        """Whose petname a reader may take `name` for, whatever letters it is written in."""
        return self._book.contacts.looks_like(name)

    def resolve(self, text: str, others: Iterable[PeerId] = ()) -> PeerId:
        """Whom `text` means: petname, the first 4 or more characters of an id, or a full id.

        Looks among contacts, known members of my networks, and `others` (those connected now, say).

        Raises:
            NotFound: nobody. UsageError: more than one.
        """
        members = {PeerId(key) for home in self._book.homes.all() for key in home.roll.members()}
        return self._book.contacts.resolve(text, frozenset({*others, *members}))

    # -- tickets

    async def issue_ticket_secret(
        self, uses: int | None = None, lifetime: float = TICKET_LIFETIME, wall_now: float | None = None
    ) -> bytes:
        """32 bytes for a contact ticket: whoever proves to hold them becomes a contact and friend.

        Raises:
            UsageError: too many tickets are open.
        """
        now = self._now(wall_now)
        await self._forget_outdated(now)
        made = self._book.contacts.issue(self._dice(32), uses, now + lifetime, now)
        await self._save([Saved("secret", made.secret, made)])
        return made.secret

    async def revoke_ticket_secret(self, secret: bytes) -> None:
        """End a ticket; contacts it made stay. Raises NotFound when it ended already."""
        if not self._book.contacts.revoke(secret):
            raise NotFound("this ticket is not open any more")
        await self._save([Saved("secret", secret, None)])

    def ticket_secrets(self) -> list[TicketSecret]:
        return self._book.contacts.secrets()

    # -- hello

    def proofs(self, me: PeerId, to: PeerId, nonce: bytes) -> list[bytes]:
        """Sealed boxes (4, 8 or 16 of 512 bytes) that show my memberships to `to`, in this hello only."""
        if me != self.me:
            raise ValueError("proofs are made for ourselves only")
        return self._book.proofs(to, nonce, self._dice(32))

    @staticmethod
    def contact_proof(secret: bytes, me: PeerId, to: PeerId, nonce: bytes) -> bytes:
        """32 bytes that show `to` that we hold its ticket, in this hello only."""
        return proofs.contact_proof(secret, me, to, nonce)

    async def judge(
        self,
        peer: PeerId,
        nonce: bytes,
        boxes: Sequence[bytes],
        contact_proof: bytes | None = None,
        wall_now: float | None = None,
    ) -> Verdict:
        """Who `peer` is, whose key TLS has proven, by its hello. Never raises for what a peer sent.

        `verdict.reason` is for our own log; tell the other side only that it is not known here.
        """
        verdict, changes = self._book.judge(peer, nonce, boxes, contact_proof, self._now(wall_now))
        await self._save_if_possible(changes)
        return verdict

    def verdict(self, peer: PeerId) -> Verdict:
        """What is true of `peer` now, after its hello. When `known` has become False, close its connection."""
        return self._book.verdict(peer)

    def forget_hello(self, peer: PeerId) -> None:
        """The last connection of `peer` is gone; what it proved counts no more."""
        self._book.forget_hello(peer)

    # -- guests

    def admit(self, name: str, peer: PeerId | None, services: Iterable[str]) -> None:
        """Let `peer` (None: anybody) in for exactly these services until `dismiss(name)`, or the end of the process."""
        self._book.admit(name, peer, services)
        self._told()

    def dismiss(self, name: str) -> None:
        """Take a pass back; whoever was here by it alone is told goodbye."""
        if self._book.dismiss(name):
            self._told()

    # -- grants

    async def grant(self, service: str, audience: Audience, peers: Iterable[PeerId] = ()) -> Grant:
        """Decide who may use `service` ("myapp/1", or "myapp" for all versions). Raises UsageError."""
        await self._save(self._book.grant(service, audience, peers))
        return self._book.grant_for(service)

    async def ungrant(self, service: str) -> None:
        """Back to the default. Raises NotFound."""
        await self._save(self._book.ungrant(service))

    def grants(self) -> list[Grant]:
        """What is decided, and the defaults of the services known here."""
        return self._book.grants()

    def set_default(self, service: str, audience: str) -> None:
        """What holds for a service of ours while the person decided nothing. In memory only."""
        self._book.set_default(service, audience)

    def allows(self, peer: PeerId, service: str) -> bool:
        """Whether `peer` may use `service` now. In memory, a few microseconds; asked for every stream."""
        return self._book.allows(peer, service)

    def only_by_pass(self, peer: PeerId, service: str) -> bool:
        """Whether `peer` may use it as a guest alone: give it what is meant for it, and nothing else."""
        return self._book.only_by_pass(peer, service)

    # -- the disk

    def _now(self, wall_now: float | None) -> float:
        return self._wall() if wall_now is None else wall_now

    async def _forget_outdated(self, now: float) -> None:
        gone = self._book.contacts.outdated(now)
        await self._save([Saved("secret", secret, None) for secret in gone])

    async def _save_contact(self, contact: Contact) -> None:
        await self._save([Saved("contact", bytes(contact.peer), contact)])

    async def _save(self, changes: Sequence[Change]) -> None:
        """Write `changes` in one transaction, in the order in which they were made."""
        if not changes:
            return
        operations = [operation for change in changes for operation in rows.operations(self._book, change)]

        def job(connection: sqlite3.Connection) -> None:
            for statement, values in operations:
                connection.execute(statement, values)

        try:
            await self._store.write(job)
        finally:
            self._told()
            for network in {change.network for change in changes if isinstance(change, SavedRecords)}:
                for tell in list(self._record_listeners):
                    tell(network)

    def _told(self) -> None:
        for callback in list(self._listeners):
            callback()

    async def _save_if_possible(self, changes: Sequence[Change]) -> None:
        """For what peers brought about: a full disk must not keep them out. Memory has it until the next start."""
        try:
            await self._save(changes)
        except WorldError as wrong:
            log.warning("what a peer told us is not on disk: %s", wrong)

    def _view(self, home: Home) -> NetworkView:
        settings = home.roll.settings
        member = home.roll.holds(home.membership)
        known = {*home.roll.members(), *self._book.present(home.key)} | (
            {bytes(self.me)} if member else set()
        )
        return NetworkView(
            key=home.key,
            id=network_id(home.key),
            name=home.alias,
            full_name=settings.name,
            mode=settings.mode,
            policy=settings.policy,
            admin=home.admin is not None,
            member=member,
            members=len(known),
            joined=float(home.membership.joined),
            servers=self._servers(home),
            removed=home.removed,
        )

    def _servers(self, home: Home) -> tuple[PeerId, ...]:
        settings = home.roll.settings
        named = settings.servers or ([settings.founder] if settings.founder is not None else [])
        if not named and home.admin is not None:
            named = [bytes(self.me)]
        return tuple(PeerId(key) for key in named)
