"""The networks I am in: founding, inviting, joining, revoking, and judging the memberships of others. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

from servent.codec import MAX_FRAME_BYTES, canonical
from servent.errors import BadMessage, NotFound, UsageError
from servent.identity import Identity, PeerId
from servent.trust.changes import Change, Home, Issued, Saved, SavedRecords
from servent.trust.naming import clean_name
from servent.trust.networks import (
    CLOCK_SKEW,
    MAX_SERVERS,
    Admission,
    Invitation,
    Membership,
    Mode,
    Revocation,
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
INVITATION_LIFETIME = 7 * 86_400.0  # s


@dataclass(frozen=True, slots=True)
class Merged:
    """What came of records from a member: new ones, and those that were no good."""

    new: int
    refused: int
    mark: int


class Homes:
    """My networks and their records. Methods return what has to be written to disk."""

    def __init__(self, me: Identity) -> None:
        self._identity = me
        self.me = me.peer
        self._homes: dict[bytes, Home] = {}
        self._issued: dict[bytes, Issued] = {}

    def load(self, home: Home) -> None:
        """Put back a network whose records are loaded already."""
        self._homes[home.key] = home
        self._count_myself(home)

    def load_issued(self, issued: Issued) -> None:
        self._issued[issued.key] = issued

    def all(self) -> list[Home]:
        return sorted(self._homes.values(), key=lambda home: home.alias.casefold())

    def get(self, network: str | bytes) -> Home:
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

    def create(
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
        settings = make_settings(
            key,
            name,
            mode,
            "open" if open else "invitation",
            lock_of(secret),
            now,
            self.me,
            [self.me] if mode == "server" else [],
        )
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
        servers: Sequence[bytes] | None = None,
    ) -> list[Change]:
        """New signed settings, which reach the members with the next exchange of records.

        Args:
            servers: who carries the index in the server mode; none at all means me.

        Raises:
            UsageError: not my network, a bad name, too many servers, or one who is no member.
        """
        home, key = self._mine(network)
        before = home.roll.settings
        for named in servers or ():
            if not self.belongs(home.key, named):
                raise UsageError(
                    f"{PeerId(named).short} is no member of {home.alias!r}",
                    advice=f"Invite them first, `servent invite {shlex.quote(home.alias)}`, and name them once they are in.",
                )
        policy = before.policy if open is None else "open" if open else "invitation"
        new_name = before.name if name is None else _network_name(name)
        new_mode = mode or before.mode
        keepers = list(dict.fromkeys(before.servers if servers is None else map(bytes, servers)))
        if len(keepers) > MAX_SERVERS:
            raise UsageError(f"a network has at most {MAX_SERVERS} servers")
        if not keepers and new_mode == "server":
            keepers = [bytes(self.me)]
        serial = self._next_serial(home, wall_now)
        mark = home.roll.mark
        home.roll.merge(make_settings(key, new_name, new_mode, policy, before.lock, serial, self.me, keepers))
        return [Saved("network", home.key, home), SavedRecords(home.key, mark)]

    def set_alias(self, network: str | bytes, alias: str) -> list[Change]:
        """Call a network differently, here only."""
        home = self.get(network)
        wanted = _network_name(alias)
        if any(other.key != home.key and other.alias.casefold() == wanted.casefold() for other in self.all()):
            raise UsageError(f"another network is called {wanted!r} already")
        return self._save_home(home, alias=wanted)

    def invite(
        self, network: str | bytes, seed: bytes, *, uses: int | None, lifetime: float | None, wall_now: float
    ) -> tuple[Invitation, list[Change]]:
        """An invitation with its own key from `seed`. In an open network: what everyone may pass on.

        Raises:
            UsageError: not my network, or limits out of range.
        """
        home = self.get(network)
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
            UsageError: forged, expired, of no use to somebody who was removed, or too many networks.
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
                if not known.roll.holds(known.membership):
                    raise UsageError(
                        f"you are not a member of {known.alias!r} any more, and this invitation does not change that",
                        advice="Ask its founder for a new one.",
                    )
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
        home = self.get(network)
        del self._homes[home.key]
        gone = [issued for issued in self._issued.values() if issued.network == home.key]
        for issued in gone:
            del self._issued[issued.key]
        return [Saved("network", home.key, None), *(Saved("issued", one.key, None) for one in gone)]

    def issued(self, network: str | bytes) -> list[Issued]:
        """The invitations I made for a network, newest first, with their known uses."""
        home = self.get(network)
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
        return [SavedRecords(home.key, mark)]

    # -- records between members

    def records_since(self, network: bytes, after: int, limit_bytes: int) -> Page:
        """See Roll. Raises NotFound outside my networks."""
        return self.get(network).roll.records_since(after, limit_bytes)

    def merge(self, network: bytes, bodies: Sequence[bytes]) -> tuple[Merged, list[Change]]:
        """Take in records that a member of `network` sent. Bad ones are counted and left out.

        Raises:
            BadMessage: too much at once. NotFound: not a network of mine.
        """
        if sum(len(body) + 4 for body in bodies) > MAX_FRAME_BYTES:
            raise BadMessage("too many records at once")
        home = self.get(network)
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
        changes: list[Change] = [SavedRecords(network, mark)] if roll.mark != mark else []
        return Merged(new, refused, roll.mark), changes

    def _confirm(self, home: Home) -> None:
        """As the admin: put the network key's final word on everyone who is a member by now."""
        if home.admin is not None:
            for membership, seen in list(home.roll.unconfirmed()):
                home.roll.merge(Admission(membership, make_stamp(home.admin, membership, seen)))

    # -- hello

    def shown(self) -> list[tuple[bytes, Shown]]:
        """What a hello shows of me: (network secret, content of the box)."""
        out = []
        for home in self.all():
            mine = home.membership
            if not home.removed:
                stamp = home.roll.stamp_for(mine) if mine.warrant is not None else None
                out.append((home.secret, Shown(mine, stamp)))
        return out

    def holds(self, membership: Membership) -> bool:
        """Whether a membership that was good when shown still is. Where I was removed, nobody is a fellow of mine."""
        home = self._homes.get(membership.network)
        return home is not None and not home.removed and home.roll.holds(membership)

    def removal(self, membership: Membership) -> bytes | None:
        """The signed record of a removal, for the one it is about.

        None for a member, and from those who came later: who was removed is not told who is in now.
        """
        home = self._homes.get(membership.network)
        gone = None if home is None or home.removed else home.roll.removal_of(membership)
        if home is None or gone is None or (home.admin is None and home.membership.joined > gone.at):
            return None
        return canonical(gone)

    def take_removal(self, body: bytes) -> list[Change]:
        """Believe that I was removed from a network, by its key's own word, whoever brings it.

        Raises:
            BadMessage: it is not signed by that key, not about me, or about no network of mine.
        """
        record = records.decode(body)
        home = self._homes.get(record.network)
        if not isinstance(record, Revocation) or record.what != "member" or record.subject != self.me:
            raise BadMessage("no record of my removal")
        if home is None:
            raise BadMessage("a removal from a network that I am not in")
        mark = home.roll.mark
        return [SavedRecords(home.key, mark)] if home.roll.merge(record) else []

    def belongs(self, network: bytes, key: bytes) -> bool:
        """Whether `key` may be a member, by the records alone: it need not be here."""
        home = self._homes.get(network)
        return home is not None and (key == self.me or home.roll.may_belong(key))

    def admit(self, home: Home, peer: PeerId, shown: Shown, wall_now: float, changes: list[Change]) -> str:
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
        return "" if standing.member else standing.reason

    def _mine(self, network: str | bytes) -> tuple[Home, Identity]:
        home = self.get(network)
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
