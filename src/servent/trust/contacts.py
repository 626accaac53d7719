"""The people in my book: petnames, friends, blocks, and the secrets of tickets I gave out. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from servent.errors import NotFound, UsageError
from servent.identity import SHORT_LENGTH, Z32, PeerId
from servent.trust.lookalikes import skeleton
from servent.trust.naming import MAX_NAME, clean_name
from servent.trust.proofs import contact_proof_holds

MAX_CONTACTS = 100_000
MAX_SECRETS = 256  # tickets alive at once: every proof is tried against each
MAX_SECRET_USERS = 1_000  # people one ticket lets in, also when it says "any number"
TICKET_LIFETIME = 7 * 86_400.0  # s
MIN_ID_PREFIX = 4  # characters
NOBODY = (
    f"`servent peers` lists names and ids; of an id, {MIN_ID_PREFIX} characters are enough. Somebody who is not on it: give their"
    " whole id, or ask them for a ticket (`servent ticket`)."
)  # advice


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody I know by key.

    Attributes:
        petname: my own name for them, unique in my book, or None.
        friend: may use what is granted to friends.
        blocked: refused everything, whatever else is true.
        since: wall clock, when the entry was made.
        source: how they got in: "added", or "ticket" for one who came with a ticket of mine.
    """

    peer: PeerId
    petname: str | None = None
    friend: bool = False
    blocked: bool = False
    since: float = 0.0
    source: str = "added"


@dataclass(frozen=True)
class TicketSecret:
    """The secret in a contact ticket of mine. `repr` does not show it.

    Attributes:
        uses: how many different people it lets in, None for MAX_SECRET_USERS.
        users: who came in by it. Nobody comes in twice, so a contact I removed stays removed.
    """

    secret: bytes = field(repr=False)
    expires: float
    uses: int | None = None
    users: frozenset[PeerId] = frozenset()

    def is_open(self, wall_now: float) -> bool:
        return wall_now <= self.expires and len(self.users) < min(
            self.uses or MAX_SECRET_USERS, MAX_SECRET_USERS
        )


class Contacts:
    """Contacts and ticket secrets. Methods return what has to be written to disk."""

    def __init__(self) -> None:
        self._contacts: dict[PeerId, Contact] = {}
        self._by_petname: dict[str, PeerId] = {}
        self._by_looks: dict[str, PeerId] | None = (
            None  # by what a petname looks like; made with the first new one
        )
        self._secrets: dict[bytes, TicketSecret] = {}

    def load(self, contact: Contact) -> None:
        self._put(contact)

    def load_secret(self, secret: TicketSecret) -> None:
        self._secrets[secret.secret] = secret

    def all(self) -> list[Contact]:
        """Everybody, those with a petname first, by name."""
        return sorted(
            self._contacts.values(),
            key=lambda c: (c.petname is None, (c.petname or "").casefold(), str(c.peer)),
        )

    def get(self, peer: PeerId) -> Contact | None:
        return self._contacts.get(peer)

    def is_friend(self, peer: PeerId) -> bool:
        contact = self._contacts.get(peer)
        return contact is not None and contact.friend and not contact.blocked

    def is_blocked(self, peer: PeerId) -> bool:
        contact = self._contacts.get(peer)
        return contact is not None and contact.blocked

    def has_room(self, peer: PeerId) -> bool:
        return peer in self._contacts or len(self._contacts) < MAX_CONTACTS

    # -- changes

    def add(
        self, peer: PeerId, petname: str | None, friend: bool, wall_now: float, source: str = "added"
    ) -> Contact:
        """Add or change an entry; a block stays in place.

        Raises:
            UsageError: the petname is taken or unusable, or the book is full.
        """
        known = self._contacts.get(peer)
        if not self.has_room(peer):
            raise UsageError(f"the address book is full with {MAX_CONTACTS} contacts")
        entry = known or Contact(peer, since=wall_now, source=source)
        if petname is not None:
            entry = replace(entry, petname=self._usable(petname, peer))
        return self._put(replace(entry, friend=friend))

    def set_petname(self, peer: PeerId, petname: str | None, wall_now: float) -> Contact:
        """Give `peer` a name of mine, or take it away with None. Makes an entry (no friend) if there is none.

        Raises:
            UsageError: the name is taken, empty, or looks like an id, or like the beginning of one we know.
        """
        entry = self._contacts.get(peer) or Contact(peer, since=wall_now)
        return self._put(replace(entry, petname=self._usable(petname, peer) if petname is not None else None))

    def block(self, peer: PeerId, wall_now: float) -> Contact:
        """Refuse `peer` from now on. Friendship ends with it and does not come back by `unblock`."""
        entry = self._contacts.get(peer) or Contact(peer, since=wall_now)
        return self._put(replace(entry, blocked=True, friend=False))

    def unblock(self, peer: PeerId) -> Contact:
        """Raises NotFound when there is no entry."""
        return self._put(replace(self._known(peer), blocked=False))

    def remove(self, peer: PeerId) -> Contact:
        """Forget `peer`, also a block. Raises NotFound when there is no entry."""
        contact = self._known(peer)
        del self._contacts[peer]
        self._unname(contact)
        return contact

    def _known(self, peer: PeerId) -> Contact:
        contact = self._contacts.get(peer)
        if contact is None:
            raise NotFound(f"{peer.short} is not in your contacts")
        return contact

    def _put(self, contact: Contact) -> Contact:
        before = self._contacts.get(contact.peer)
        if before is not None:
            self._unname(before)
        self._contacts[contact.peer] = contact
        if contact.petname is not None:
            self._by_petname[_fold(contact.petname)] = contact.peer
            if self._by_looks is not None:
                self._by_looks[skeleton(contact.petname)] = contact.peer
        return contact

    def _unname(self, contact: Contact) -> None:
        if contact.petname is None:
            return
        self._by_petname.pop(_fold(contact.petname), None)
        if self._by_looks is not None:
            self._by_looks.pop(skeleton(contact.petname), None)

    def looks_like(self, name: str) -> PeerId | None:
        """Whose petname a reader may take `name` for."""
        if self._by_looks is None:
            self._by_looks = {
                skeleton(one.petname): one.peer for one in self._contacts.values() if one.petname is not None
            }
        return self._by_looks.get(skeleton(name))

    def _usable(self, petname: str, peer: PeerId) -> str:
        name = clean_name(petname)
        if not name or len(petname) > MAX_NAME or name != " ".join(petname.split()):
            # Not cleaned in silence: what people type next must find the contact again.
            raise UsageError(f"a petname is one line of 1 to {MAX_NAME} visible characters")
        if len(name) in (52, 64) and _is_id_text(name, len(name)):
            raise UsageError("a petname must not look like a peer id")
        if len(name) >= SHORT_LENGTH and all(letter in Z32 for letter in name.lower()):
            for other in self._contacts:
                if other != peer and str(other).startswith(name.lower()):
                    raise UsageError("a petname must not be the beginning of somebody else's id")
        owner = self._by_petname.get(_fold(name))
        if owner is not None and owner != peer:
            raise UsageError(
                f"{name!r} is the petname of {owner.short} already", advice="Choose another name."
            )
        owner = self.looks_like(name)
        if owner is not None and owner != peer:
            raise UsageError(
                f"{name!r} looks like {self._contacts[owner].petname!r}, the petname of {owner.short}",
                advice="Choose a name that nobody takes for the other.",
            )
        return name

    def resolve(self, text: str, others: frozenset[PeerId] = frozenset()) -> PeerId:
        """Whom `text` means: a petname, the first characters of an id (of contacts and `others`), or a full id.

        Raises:
            NotFound: nobody.
            UsageError: more than one, or fewer than 4 characters.
        """
        text = text.strip()
        named = self._by_petname.get(_fold(text))
        if named is not None:
            return named
        if len(text) in (52, 64) and _is_id_text(text, len(text)):
            return PeerId.parse(text)
        prefix = text.lower()
        if prefix and all(letter in Z32 for letter in prefix) and len(prefix) < 52:
            if len(prefix) < MIN_ID_PREFIX:
                raise NotFound(f"nobody is called {text!r}", advice=NOBODY)
            found = sorted(p for p in {*self._contacts, *others} if str(p).startswith(prefix))
            if len(found) == 1:
                return found[0]
            if found:
                some = ", ".join(str(peer)[: len(prefix) + 4] for peer in found[:5])
                raise UsageError(
                    f"{text!r} could be {len(found)} peers: {some}", advice="Give more characters."
                )
        raise NotFound(f"nobody is called {clean_name(text, '?')!r}", advice=NOBODY)

    # -- tickets

    def issue(self, secret: bytes, uses: int | None, expires: float, wall_now: float) -> TicketSecret:
        """Start a ticket with a fresh random `secret`.

        Raises:
            UsageError: too many tickets are alive, or `uses` is out of range.
        """
        if uses is not None and not 1 <= uses <= MAX_SECRET_USERS:
            raise UsageError(f"a ticket can be for 1 to {MAX_SECRET_USERS} people")
        if sum(1 for one in self._secrets.values() if one.is_open(wall_now)) >= MAX_SECRETS:
            raise UsageError(
                f"{MAX_SECRETS} tickets are open already", advice="Use one again, or let some of them expire."
            )
        made = TicketSecret(secret, expires, uses)
        self._secrets[secret] = made
        return made

    def revoke(self, secret: bytes) -> bool:
        """End a ticket. Contacts it made stay. False if it is not known (any more)."""
        return self._secrets.pop(secret, None) is not None

    def outdated(self, wall_now: float) -> list[bytes]:
        """Secrets that ended, dropped here; to be deleted on disk too."""
        gone = [one.secret for one in self._secrets.values() if wall_now > one.expires]
        for secret in gone:
            del self._secrets[secret]
        return gone

    def secrets(self) -> list[TicketSecret]:
        return list(self._secrets.values())

    def redeem(
        self, peer: PeerId, me: PeerId, nonce: bytes, proof: bytes, wall_now: float
    ) -> TicketSecret | None:
        """The ticket that `proof` stands for, with `peer` now among its users; None if there is no open one."""
        found: TicketSecret | None = None
        for one in self._secrets.values():  # all of them, whichever fits: time tells nothing
            holds = contact_proof_holds(one.secret, peer, me, nonce, proof)
            if holds and one.is_open(wall_now) and peer not in one.users:
                found = one
        if found is None:
            return None
        used = replace(found, users=found.users | {peer})
        self._secrets[used.secret] = used
        return used


def _fold(name: str) -> str:
    return clean_name(name).casefold()


def _is_id_text(text: str, length: int) -> bool:
    letters = Z32 if length == 52 else "0123456789abcdef"
    return all(letter in letters for letter in text.lower())
