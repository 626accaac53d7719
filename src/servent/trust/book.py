"""All a node knows about whom to trust, in memory. Pure: time, keys and dice are arguments.

`TrustService` owns the one Book and writes what its methods return, `Change`s, to disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from servent.codec import MAX_FRAME_BYTES
from servent.errors import BadMessage, NotFound, UsageError
from servent.identity import Identity, PeerId
from servent.trust import grants, proofs
from servent.trust.contacts import Contact, Contacts, TicketSecret
from servent.trust.grants import Grant
from servent.trust.naming import clean_name
from servent.trust.networks import (
    CLOCK_SKEW,
    Admission,
    Invitation,
    Membership,
    Mode,
    Settings,
    check_invitation,
    invitation_id,
    lock_of,
    make_membership,
    make_revocation,
    make_settings,
    make_stamp,
    make_warrant,
    network_id,
    records,
)
from servent.trust.proofs import MAX_BOXES, Shown
from servent.trust.roll import Page, Roll

MAX_NETWORKS = MAX_BOXES  # a hello proves them all
MAX_PRESENT = 10_000  # peers whose hello we remember
INVITATION_LIFETIME = 7 * 86_400.0  # s


@dataclass(frozen=True)
class Home:
    """A network I belong to. `repr` shows no key.

    Attributes:
        alias: what I call it: its name, with a number where two have the same.
        secret: shared by its members.
        membership: my own.
        admin: the network's key, if it is mine.
    """

    roll: Roll = field(repr=False)
    alias: str
    secret: bytes = field(repr=False)
    membership: Membership = field(repr=False)
    admin: Identity | None = field(default=None, repr=False)

    @property
    def key(self) -> bytes:
        return self.roll.network


@dataclass(frozen=True, slots=True)
class Issued:
    """An invitation I made, as I remember it: without its private key, so it can be shown only once.

    Attributes:
        id: handle for lists and `revoke`.
        used: how many people are known to have come in by it.
    """

    id: str
    network: bytes
    key: bytes
    uses: int | None
    expires: int | None
    made: float
    used: int = 0
    revoked: bool = False
    serial: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a hello came to.

    Attributes:
        known: may stay; otherwise say a polite, general no.
        friend: a friend of mine.
        networks: keys of the networks of mine that the peer proved to be in.
        reason: in words, for our own log and page; never sent to the other side.
    """

    known: bool
    friend: bool = False
    networks: frozenset[bytes] = frozenset()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Saved:
    """A row to write (`value`) or to delete (None).

    Attributes:
        key: what tells the row apart in its table.
    """

    table: Literal["network", "issued", "contact", "secret", "grant"]
    key: bytes | str
    value: Home | Issued | Contact | TicketSecret | Grant | None


@dataclass(frozen=True, slots=True)
class SavedRecords:
    """Everything that is new in one network's records after journal mark `after`."""

    network: bytes
    after: int


Change = Saved | SavedRecords


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of records from a member: new ones, and those that were no good."""

    new: int
    refused: int
    mark: int


class Book:
    """Networks, contacts and grants of one node. A block beats everything else."""

    def __init__(self, me: Identity) -> None:
        self._identity = me
        self.me = me.peer
        self.contacts = Contacts()
        self._homes: dict[bytes, Home] = {}
        self._issued: dict[bytes, Issued] = {}
        self._grants: dict[str, Grant] = {}
        self._defaults: dict[str, grants.Audience] = {}
        self._present: dict[PeerId, tuple[Membership, ...]] = {}
        self._named: frozenset[PeerId] = frozenset()  # in any grant

    # -- from disk

    def load_home(self, home: Home) -> None:
        """Put back a network whose records are loaded already."""
        self._homes[home.key] = home
        self._count_myself(home)

    def load_issued(self, issued: Issued) -> None:
        self._issued[issued.key] = issued

    def load_grant(self, grant: Grant) -> None:
        self._grants[grant.service] = grant
        self._named |= grant.peers

    # -- networks

    def homes(self) -> list[Home]:
        return sorted(self._homes.values(), key=lambda home: home.alias.casefold())

    def home(self, network: str | bytes) -> Home:
        """By key, alias, or `network_id`.

        Raises:
            NotFound: I am in no such network.
        """
        if isinstance(network, bytes):
            found = self._homes.get(network)
            if found is not None:
                return found
            raise NotFound("you are not in this network")
        wanted = clean_name(network).casefold()
        for home in self._homes.values():
            if wanted in (home.alias.casefold(), network_id(home.key)):
                return home
        raise NotFound(
            f"you are in no network called {clean_name(network, '?')!r}",
            advice="`servent status` lists your networks.",
        )

    def create_network(
        self, name: str, seed: bytes, secret: bytes, *, open: bool, mode: Mode, wall_now: float
    ) -> tuple[Home, list[Change]]:
        """A network whose key, from `seed`, is mine; `secret` is 32 fresh random bytes.

        Raises:
            UsageError: a bad name, or too many networks.
        """
        name = _network_name(name)
        self._room_for_network()
        key = Identity(seed)
        now = int(wall_now)
        settings = make_settings(key, name, mode, "open" if open else "invitation", lock_of(secret), now)
        membership = make_membership(key, key.peer, self.me, now)
        roll = Roll(settings, self.me)
        home = Home(roll, self._alias(name), secret, membership, key)
        self._homes[home.key] = home
        return home, [Saved("network", home.key, home)]

    def change_settings(
        self,
        network: str | bytes,
        wall_now: float,
        *,
        name: str | None = None,
        mode: Mode | None = None,
        open: bool | None = None,
    ) -> list[Change]:
        """New signed settings, which reach the members with the next exchange of records.

        Raises:
            UsageError: not my network, or a bad name.
        """
        home, key = self._mine(network)
        before = home.roll.settings
        policy = before.policy if open is None else "open" if open else "invitation"
        new_name = before.name if name is None else _network_name(name)
        serial = self._next_serial(home, wall_now)
        mark = home.roll.mark
        home.roll.merge(make_settings(key, new_name, mode or before.mode, policy, before.lock, serial))
        self._refresh()
        return [Saved("network", home.key, home), SavedRecords(home.key, mark)]

    def set_alias(self, network: str | bytes, alias: str) -> list[Change]:
        """Call a network differently, here only."""
        home = self.home(network)
        wanted = _network_name(alias)
        if any(
            other.key != home.key and other.alias.casefold() == wanted.casefold() for other in self.homes()
        ):
            raise UsageError(f"another network is called {wanted!r} already")
        return self._save_home(home, alias=wanted)

    def invite(
        self, network: str | bytes, seed: bytes, *, uses: int | None, lifetime: float | None, wall_now: float
    ) -> tuple[Invitation, list[Change]]:
        """An invitation with its own key from `seed`. In an open network: what everyone may pass on.

        Raises:
            UsageError: not my network, or limits out of range.
        """
        home = self.home(network)
        settings = home.roll.settings
        if settings.policy == "open":
            return Invitation(settings, home.secret), []
        home, key = self._mine(network)
        if uses is not None and not 1 <= uses <= 10_000:
            raise UsageError("an invitation is for 1 to 10000 people, or for any number")
        if lifetime is not None and not 1 <= lifetime <= 100 * 366 * 86_400:
            raise UsageError("an invitation lives at least a second and at most a hundred years, or for ever")
        invitation = Identity(seed)
        expires = None if lifetime is None else int(wall_now + lifetime)
        serial = self._next_serial(home, wall_now)
        warrant = make_warrant(key, invitation.peer, serial, uses, expires)
        issued = Issued(
            invitation_id(warrant.key), home.key, warrant.key, uses, expires, made=wall_now, serial=serial
        )
        self._issued[warrant.key] = issued
        made = Invitation(settings, home.secret, warrant, seed)
        return made, [Saved("issued", warrant.key, issued)]

    def accept(self, invitation: Invitation, wall_now: float) -> tuple[Home, list[Change]]:
        """Become a member by an invitation. Accepting the same one again changes nothing.

        Raises:
            UsageError: forged, expired, or too many networks.
        """
        try:
            check_invitation(invitation)
        except BadMessage as wrong:
            raise UsageError(
                f"this invitation is not genuine: {wrong}", advice="Ask for a new one, and copy all of it."
            ) from wrong
        expires = invitation.expires
        if expires is not None and wall_now > expires + CLOCK_SKEW:
            raise UsageError(
                "this invitation has expired", advice="Ask for a new one. Is this computer's clock right?"
            )
        known = self._homes.get(invitation.network)
        if known is not None:
            warrant, held = invitation.warrant, known.membership.warrant
            if (
                known.admin is not None
                or warrant is None
                or (held is not None and warrant.serial <= held.serial)
            ):
                return known, []
        else:
            self._room_for_network()
        signer = self._identity if invitation.seed is None else Identity(invitation.seed)
        membership = make_membership(signer, invitation.network, self.me, int(wall_now), invitation.warrant)
        roll = known.roll if known is not None else Roll(invitation.settings, self.me)
        mark = roll.mark
        roll.merge(invitation.settings)
        alias = known.alias if known is not None else self._alias(_safe_name(invitation.settings))
        home = Home(roll, alias, invitation.secret, membership)
        self._homes[home.key] = home
        self._count_myself(home)
        return home, [Saved("network", home.key, home), SavedRecords(home.key, mark)]

    def _count_myself(self, home: Home) -> None:
        """My own use of an invitation counts here from the start, so that nobody else gets in by the same text."""
        mine = home.membership
        if mine.warrant is not None:
            home.roll.merge(Admission(mine, make_stamp(self._identity, mine, mine.joined)))

    def leave(self, network: str | bytes) -> list[Change]:
        """Forget a network, its records and, if I am its admin, its key."""
        home = self.home(network)
        del self._homes[home.key]
        gone = [issued for issued in self._issued.values() if issued.network == home.key]
        for issued in gone:
            del self._issued[issued.key]
        self._refresh()
        return [Saved("network", home.key, None), *(Saved("issued", one.key, None) for one in gone)]

    def issued(self, network: str | bytes) -> list[Issued]:
        """The invitations I made for a network, newest first, with their known uses."""
        home = self.home(network)
        return sorted(
            (
                replace(one, used=home.roll.used(one.key), revoked=home.roll.is_invitation_revoked(one.key))
                for one in self._issued.values()
                if one.network == home.key
            ),
            key=lambda one: -one.made,
        )

    def revoke_invitation(
        self, network: str | bytes, invitation: str, wall_now: float, *, with_members: bool = False
    ) -> list[Change]:
        """Let nobody new in by it; `with_members` also removes those it let in, as far as known.

        Raises:
            NotFound: no such invitation of this network.
        """
        home, key = self._mine(network)
        found = [one for one in self.issued(home.key) if one.id == invitation or one.key.hex() == invitation]
        if not found:
            raise NotFound(f"this network has no invitation {clean_name(invitation, '?')!r}")
        mark = home.roll.mark
        serial = self._next_serial(home, wall_now)
        home.roll.merge(make_revocation(key, "invitation", found[0].key, serial, int(wall_now)))
        if with_members:
            for member in home.roll.members_by(found[0].key):
                home.roll.merge(make_revocation(key, "member", member, serial, int(wall_now)))
        self._refresh()
        return [SavedRecords(home.key, mark)]

    def remove_member(self, network: str | bytes, peer: PeerId, wall_now: float) -> list[Change]:
        """Take a member back, and end the invitation they came by for everyone not yet in.

        A new invitation lets them in again, except in an open network.

        Raises:
            UsageError: not my network, or it is myself.
        """
        home, key = self._mine(network)
        if peer == self.me:
            raise UsageError("you cannot remove yourself", advice="`leave` the network instead.")
        mark = home.roll.mark
        serial = self._next_serial(home, wall_now)
        for invitation in home.roll.invitations_of(peer):
            # They know its text: with another key they would be back at once.
            home.roll.merge(make_revocation(key, "invitation", invitation, serial, int(wall_now)))
        home.roll.merge(make_revocation(key, "member", peer, serial, int(wall_now)))
        self._refresh()
        return [SavedRecords(home.key, mark)]

    # -- records between members

    def records_since(self, network: bytes, after: int, limit_bytes: int) -> Page:
        """See Roll. Raises NotFound outside my networks."""
        return self.home(network).roll.records_since(after, limit_bytes)

    def merge_records(
        self, network: bytes, peer: PeerId, bodies: Sequence[bytes]
    ) -> tuple[Merged, list[Change]]:
        """Take in records that `peer`, a member, sent. Bad ones are counted and left out.

        Raises:
            BadMessage: `peer` has not proved to be in this network, or sent too much at once.
        """
        if network not in self.shared(peer):
            raise BadMessage("records of a network that the sender is not in")
        if sum(len(body) + 4 for body in bodies) > MAX_FRAME_BYTES:
            raise BadMessage("too many records at once")
        home = self.home(network)
        roll = home.roll
        mark = roll.mark
        new = refused = 0
        for body in bodies:
            try:
                new += roll.merge(records.decode(body))
            except BadMessage:
                refused += 1
        if new:
            self._confirm(home)
            self._refresh()
        changes: list[Change] = [SavedRecords(network, mark)] if roll.mark != mark else []
        return Merged(new, refused, roll.mark), changes

    def _confirm(self, home: Home) -> None:
        """As the admin: put the network key's final word on everyone who is a member by now."""
        if home.admin is not None:
            for membership, seen in list(home.roll.unconfirmed()):
                home.roll.merge(Admission(membership, make_stamp(home.admin, membership, seen)))

    # -- hello

    def proofs(self, to: PeerId, nonce: bytes, noise: bytes) -> list[bytes]:
        """Sealed boxes for a hello to `to`: all my memberships, and decoys from `noise` (32 random bytes)."""
        shown = []
        for home in self.homes():
            mine = home.membership
            if home.roll.is_revoked(mine):
                continue
            stamp = home.roll.stamp_for(mine) if mine.warrant is not None else None
            shown.append((home.secret, Shown(mine, stamp)))
        return proofs.box_all(shown, self.me, to, nonce, noise)

    def judge(
        self, peer: PeerId, nonce: bytes, boxes: Sequence[bytes], contact_proof: bytes | None, wall_now: float
    ) -> tuple[Verdict, list[Change]]:
        """Who is `peer`, whose key TLS has proven, by its hello. A bad box counts as none."""
        self._present.pop(peer, None)
        if peer == self.me:
            return Verdict(False, reason="that is ourselves"), []
        if self.contacts.is_blocked(peer):
            return Verdict(False, reason="blocked"), []
        changes: list[Change] = []
        proven: list[Membership] = []
        doubts: list[str] = []
        for home in self.homes():
            try:
                for shown in proofs.unbox(boxes, home.secret, peer, self.me, nonce):
                    doubt = self._admit(home, peer, shown, wall_now, changes)
                    if doubt:
                        doubts.append(f"{home.alias}: {doubt}")
                    else:
                        proven.append(shown.membership)
            except BadMessage as wrong:
                doubts.append(f"{home.alias}: {wrong}")
        if contact_proof is not None and not self.contacts.is_friend(peer):
            used = None
            if self.contacts.has_room(peer):
                used = self.contacts.redeem(peer, self.me, nonce, contact_proof, wall_now)
            if used is not None:
                made = self.contacts.add(peer, None, True, wall_now, source="ticket")
                changes += [Saved("secret", used.secret, used), Saved("contact", bytes(peer), made)]
            else:
                doubts.append("a ticket that is not, or no longer, good")
        if proven:
            while len(self._present) >= MAX_PRESENT:
                del self._present[next(iter(self._present))]
            self._present[peer] = tuple(proven)
        verdict = self.verdict(peer)
        if not verdict.known and doubts:
            verdict = Verdict(False, reason="; ".join(doubts[:4]))
        return verdict, changes

    def _admit(self, home: Home, peer: PeerId, shown: Shown, wall_now: float, changes: list[Change]) -> str:
        """Check one membership and become its witness if it is new. Returns why not, "" if it is good."""
        membership = shown.membership
        if membership.member != peer:
            return "somebody else's membership"
        mark = home.roll.mark
        standing = home.roll.standing(membership, shown.stamp, wall_now)
        if standing.member and membership.warrant is not None:
            witness = home.admin or self._identity
            best = home.roll.stamp_for(membership)
            if not standing.stamped:
                # Never before our own entry: a witness counts only after it was itself admitted.
                own = home.roll.stamp_for(home.membership)
                seen = max(int(wall_now), own.seen + 1 if own is not None else 0)
                home.roll.merge(Admission(membership, make_stamp(witness, membership, seen)))
                if not home.roll.holds(membership):
                    return "the roll of the network is full"
            elif home.admin is not None and (best is None or best.witness != home.key):
                self._confirm(home)
        if home.roll.mark != mark:
            changes.append(SavedRecords(home.key, mark))
            self._refresh()
        return "" if standing.member else standing.reason

    def shared(self, peer: PeerId) -> frozenset[bytes]:
        """Networks of mine that `peer` proved in its last hello, and is still in."""
        proven = self._present.get(peer, ())
        return frozenset(m.network for m in proven)

    def present(self, network: bytes) -> list[PeerId]:
        """Who is here now with a proven membership of `network`."""
        return [peer for peer, proven in self._present.items() if any(m.network == network for m in proven)]

    def forget_hello(self, peer: PeerId) -> None:
        """Its connection is gone: what it proved counts no more."""
        self._present.pop(peer, None)

    def verdict(self, peer: PeerId) -> Verdict:
        """What is true of `peer` now, after its hello."""
        if self.contacts.is_blocked(peer):
            return Verdict(False, reason="blocked")
        friend = self.contacts.is_friend(peer)
        networks = self.shared(peer)
        named = peer in self._named
        why = [
            word
            for word, true in (("friend", friend), ("shared network", networks), ("named", named))
            if true
        ]
        return Verdict(bool(why), friend, networks, ", ".join(why) or "a stranger")

    def _refresh(self) -> None:
        """After records changed: drop what no longer holds from those who are here."""
        for peer, proven in list(self._present.items()):
            left = tuple(
                m for m in proven if m.network in self._homes and self._homes[m.network].roll.holds(m)
            )
            if left:
                self._present[peer] = left
            else:
                del self._present[peer]

    # -- grants

    def set_default(self, service: str, audience: str) -> None:
        """The audience a service asks for when nobody decided otherwise."""
        grants.check_service(service)
        self._defaults[service] = grants.check_audience(audience)

    def grant(self, service: str, audience: str, peers: Iterable[PeerId]) -> list[Change]:
        """Decide who may use a service.

        Raises:
            UsageError: as make_grant, or too many grants.
        """
        made = grants.make_grant(service, audience, peers)
        if service not in self._grants and len(self._grants) >= grants.MAX_GRANTS:
            raise UsageError("too many grants")
        self._grants[service] = made
        self._name_again()
        return [Saved("grant", service, made)]

    def ungrant(self, service: str) -> list[Change]:
        """Back to the default. Raises NotFound where nothing was decided."""
        if self._grants.pop(service, None) is None:
            raise NotFound(f"there is no grant for {clean_name(service, '?')!r}")
        self._name_again()
        return [Saved("grant", service, None)]

    def _name_again(self) -> None:
        self._named = frozenset(peer for grant in self._grants.values() for peer in grant.peers)

    def grants(self) -> list[Grant]:
        """What is decided, and the defaults of services for which nothing is."""
        names = {*self._grants, *self._defaults, *grants.DEFAULTS}
        return [self.grant_for(name) for name in sorted(names)]

    def grant_for(self, service: str) -> Grant:
        """The grant that holds for "app/1": its own, that of "app", its default, or the general one."""
        base = service.partition("/")[0]
        for name in (service, base):
            if name in self._grants:
                return self._grants[name]
        for name in (service, base):
            if name in self._defaults:
                return Grant(service, self._defaults[name])
        return Grant(service, grants.default_audience(service))

    def allows(self, peer: PeerId, service: str) -> bool:
        """Whether `peer`, whose hello was accepted, may use `service` now."""
        if peer == self.me or self.contacts.is_blocked(peer):
            return False
        verdict = self.verdict(peer)
        return self.grant_for(service).covers(
            peer, friend=verdict.friend, shares_network=bool(verdict.networks), known=verdict.known
        )

    # -- small things

    def _mine(self, network: str | bytes) -> tuple[Home, Identity]:
        home = self.home(network)
        if home.admin is None:
            raise UsageError(
                f"only the founder of {home.alias!r} can do this", advice="Ask whoever made the network."
            )
        return home, home.admin

    def _next_serial(self, home: Home, wall_now: float) -> int:
        """Above everything this network signed before, also after the database came back from a backup."""
        known = [one.serial for one in self._issued.values() if one.network == home.key]
        return max(int(wall_now), 1 + max([home.roll.highest_serial, *known]))

    def _room_for_network(self) -> None:
        if len(self._homes) >= MAX_NETWORKS:
            raise UsageError(
                f"a node is in at most {MAX_NETWORKS} networks", advice="Leave one of them first."
            )

    def _alias(self, name: str) -> str:
        taken = {home.alias.casefold() for home in self._homes.values()}
        tries = (name if number == 1 else f"{name[:58]}-{number}" for number in range(1, MAX_NETWORKS + 2))
        return next(alias for alias in tries if alias.casefold() not in taken)

    def _save_home(self, home: Home, *, alias: str) -> list[Change]:
        changed = replace(home, alias=alias)
        self._homes[home.key] = changed
        return [Saved("network", home.key, changed)]


def _network_name(text: str) -> str:
    name = clean_name(text)
    if not name or name != " ".join(text.split()):
        raise UsageError("a network's name is one line of 1 to 64 visible characters")
    return name


def _safe_name(settings: Settings) -> str:
    """What a stranger called it, made harmless."""
    return clean_name(settings.name, network_id(settings.network)[:8])
