"""All a node knows about whom to trust, in memory. Pure: time, keys and dice are arguments.

`TrustService` owns the one Book and writes what its methods return, `Change`s, to disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from servent.errors import BadMessage, NotFound, UsageError
from servent.identity import Identity, PeerId
from servent.trust import grants, proofs
from servent.trust.changes import Change, Saved
from servent.trust.contacts import Contacts
from servent.trust.grants import Grant
from servent.trust.homes import Homes, Merged
from servent.trust.naming import clean_name
from servent.trust.networks import Membership

MAX_PRESENT = 10_000  # peers whose hello we remember
MAX_GUESTS = 256  # passes at once


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a hello came to.

    Attributes:
        known: may stay; otherwise say a polite, general no.
        friend: a friend of mine.
        networks: keys of the networks of mine that the peer proved to be in.
        reason: in words, for our own log and page; never sent to the other side.
        guest: let in for named services alone; ask it nothing, tell it nothing.
        removed: signed records to show it: networks of mine that it was taken out of and may not know yet.
    """

    known: bool
    friend: bool = False
    networks: frozenset[bytes] = frozenset()
    reason: str = ""
    guest: bool = False
    removed: tuple[bytes, ...] = field(default=(), compare=False)


class Book:
    """Networks, contacts and grants of one node. A block beats everything else."""

    def __init__(self, me: Identity) -> None:
        self.me = me.peer
        self.homes = Homes(me)
        self.contacts = Contacts()
        self._grants: dict[str, Grant] = {}
        self._defaults: dict[str, grants.Audience] = {}
        self._present: dict[PeerId, tuple[Membership, ...]] = {}
        self._named: frozenset[PeerId] = frozenset()  # in any grant
        self._guests: dict[str, tuple[PeerId | None, frozenset[str]]] = {}  # passes: who, for which services

    # -- from disk

    def load_grant(self, grant: Grant) -> None:
        self._grants[grant.service] = grant
        self._named |= grant.peers

    # -- records between members

    def merge_records(
        self, network: bytes, peer: PeerId, bodies: Sequence[bytes]
    ) -> tuple[Merged, list[Change]]:
        """Take in records that `peer` sent. Bad ones are counted and left out.

        Raises:
            BadMessage: `peer` has not proved to be in this network, or sent too much at once.
        """
        if network not in self.shared(peer):
            raise BadMessage("records of a network that the sender is not in")
        return self.homes.merge(network, bodies)

    # -- hello

    def proofs(self, to: PeerId, nonce: bytes, noise: bytes) -> list[bytes]:
        """Sealed boxes for a hello to `to`: all my memberships, and decoys from `noise` (32 random bytes)."""
        return proofs.box_all(self.homes.shown(), self.me, to, nonce, noise)

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
        removed: list[bytes] = []
        for home in self.homes.all():
            if home.removed:
                continue
            try:
                for shown in proofs.unbox(boxes, home.secret, peer, self.me, nonce):
                    doubt = self.homes.admit(home, peer, shown, wall_now, changes)
                    if doubt:
                        doubts.append(f"{home.alias}: {doubt}")
                        removed += self._removal(peer, shown.membership)
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
        return replace(verdict, removed=tuple(removed)), changes

    def _removal(self, peer: PeerId, membership: Membership) -> list[bytes]:
        gone = self.homes.removal(membership) if membership.member == peer else None
        return [] if gone is None else [gone]

    def shared(self, peer: PeerId) -> frozenset[bytes]:
        """Networks of mine that `peer` proved in its last hello and, by all records since, is still in."""
        return frozenset(m.network for m in self._present.get(peer, ()) if self.homes.holds(m))

    def present(self, network: bytes) -> list[PeerId]:
        """Who is here now with a proven membership of `network`."""
        return [peer for peer in self._present if network in self.shared(peer)]

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
        removed = tuple(one for m in self._present.get(peer, ()) for one in self._removal(peer, m))
        guest = not why and any(whom is None or whom == peer for whom, _ in self._guests.values())
        reason = ", ".join(why) or ("a guest" if guest else "a stranger")
        return Verdict(bool(why) or guest, friend, networks, reason, guest, removed)

    # -- guests

    def admit(self, name: str, peer: PeerId | None, services: Iterable[str]) -> None:
        """Let `peer` (None: anybody) in for exactly these services ("app/1"), until `dismiss(name)`. In memory only.

        Raises:
            UsageError: too many guests.
        """
        if name not in self._guests and len(self._guests) >= MAX_GUESTS:
            raise UsageError(
                f"{MAX_GUESTS} guests are let in already", advice="Wait until some of them left."
            )
        self._guests[name] = peer, frozenset(services)

    def dismiss(self, name: str) -> bool:
        """Take a pass back. False: there is none."""
        return self._guests.pop(name, None) is not None

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
        return self._covered(peer, service) or self._has_pass(peer, service)

    def only_by_pass(self, peer: PeerId, service: str) -> bool:
        """Whether it may use `service` as a guest and not by any grant: then only what is meant for it alone."""
        return not self._covered(peer, service) and self._has_pass(peer, service)

    def _has_pass(self, peer: PeerId, service: str) -> bool:
        return any(
            (whom is None or whom == peer) and service in services for whom, services in self._guests.values()
        )

    def _covered(self, peer: PeerId, service: str) -> bool:
        verdict = self.verdict(peer)
        known = verdict.known and not verdict.guest
        return self.grant_for(service).covers(
            peer, friend=verdict.friend, shares_network=bool(verdict.networks), known=known
        )
