"""One network's roll: who belongs to it, judged from signed records alone. Pure.

Two members who hold the same records come to the same answer. What is counted, in this order:

1. Admissions stamped by the network key are final.
2. The others in the order in which their witness saw them; a witness counts if it is itself a member
   counted before (or is us). So whoever was seen first keeps the last use of an invitation.
3. An admission must be seen before its invitation ended or was revoked. Somebody without any admission gets in
   only while the invitation still holds and has a use left; we then become the witness.

A revoked member keeps using up its invitation, and its word as a witness is worth nothing any more.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from servent.codec import canonical
from servent.errors import BadMessage
from servent.trust.networks import (
    CLOCK_SKEW,
    Admission,
    Forged,
    Membership,
    Record,
    Revocation,
    Settings,
    Stamp,
    Warrant,
    check_membership,
    check_revocation,
    check_settings,
    check_stamp,
    is_founder,
)

MAX_ADMISSIONS = 10_000  # per network; 5 MB in memory
MAX_REVOCATIONS = 10_000
MAX_STAMPS = 4  # witnesses kept for one member, the earliest
PAGE_BYTES = 32 * 1024  # of records at once: about 80, which take 20 ms to verify

_Place = tuple[bytes, bytes]  # (member, invitation): one person may come back under a new invitation


@dataclass(frozen=True, slots=True)
class Standing:
    """What became of a membership that was shown to us.

    Attributes:
        member: whether its bearer is one.
        stamped: a counted witness of it is on record here; if not, `member` only says it may be admitted now.
        reason: in words, for our own log; never sent to the other side.
    """

    member: bool
    stamped: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the records of a network.

    Attributes:
        mark: pass it as `after` to get what comes later.
        more: whether there is more already.
    """

    records: tuple[bytes, ...]
    mark: int
    more: bool


class Roll:
    """The records of one network and what follows from them.

    Args:
        settings: the network as first heard of; verified by the caller.
        me: ourselves, whose own stamps always count here.
    """

    def __init__(self, settings: Settings, me: bytes) -> None:
        self.settings = settings
        self._me = bytes(me)
        self._admissions: dict[_Place, dict[bytes, Admission]] = {}
        self._gone_members: dict[bytes, Revocation] = {}
        self._gone_invitations: dict[bytes, Revocation] = {}
        self._journal: dict[int, Record] = {}  # in order of arrival; numbers are never used twice
        self._place_in_journal: dict[tuple[bytes, ...], int] = {}
        self.mark = 0
        self._seen: dict[_Place, int] | None = None  # members by the rules above; None: to be worked out
        self._named: set[bytes] = set()
        self._used: Counter[bytes] = Counter()
        self._dropped: list[bytes] = []
        self._digest: bytes | None = None
        self._witnesses: set[bytes] | None = (
            None  # whose admissions are worth keeping; None: to be worked out
        )

    @property
    def network(self) -> bytes:
        return self.settings.network

    # -- records in

    def merge(self, record: Record) -> bool:
        """Take in a record from anywhere. True if it told something new.

        Raises:
            Forged: a signature does not hold. Whoever made it up is lying; whoever passed it on did not check.
            BadMessage: true, but of no use here: unknown witness, or the roll is full.
        """
        if record.network != self.network:
            raise Forged("a record of another network")
        match record:
            case Settings():
                return self._merge_settings(record)
            case Revocation():
                return self._merge_revocation(record)
            case Admission():
                return self._merge_admission(record)

    def load(self, record: Record, mark: int) -> None:
        """Put back a record that was verified when it first came, from our own disk."""
        match record:
            case Settings():
                if record.serial > self.settings.serial:
                    self.settings = record
            case Revocation():
                self._revocations(record)[record.subject] = record
            case Admission():
                place = (record.membership.member, record.membership.invitation)
                self._admissions.setdefault(place, {})[record.stamp.witness] = record
        self._journal_put(record, mark)
        self._seen = self._witnesses = None

    def _merge_settings(self, settings: Settings) -> bool:
        if settings.serial <= self.settings.serial:
            return False
        check_settings(settings)
        if settings.lock != self.settings.lock:
            raise BadMessage("settings for another secret, which this version cannot change")
        self.settings = settings
        self._note(settings)
        return True

    def _merge_revocation(self, revocation: Revocation) -> bool:
        table = self._revocations(revocation)
        known = table.get(revocation.subject)
        if known is not None and known.serial >= revocation.serial:
            return False
        check_revocation(revocation)
        if known is None and len(table) >= MAX_REVOCATIONS:
            raise BadMessage("the list of revocations is full")
        table[revocation.subject] = revocation
        self._witnesses = None
        self._note(revocation)
        return True

    def _prune(self) -> bool:
        """Make room by forgetting admissions that count for nothing; False if there are none."""
        counted = self._members()
        idle = [
            place
            for place, stamps in self._admissions.items()
            if place not in counted and not self.is_revoked(next(iter(stamps.values())).membership)
        ]
        for place in idle:
            for admission in self._admissions.pop(place).values():
                self._journal_drop(admission)
        return bool(idle)

    def _revocations(self, revocation: Revocation) -> dict[bytes, Revocation]:
        return self._gone_members if revocation.what == "member" else self._gone_invitations

    def _merge_admission(self, admission: Admission) -> bool:
        membership, stamp = admission.membership, admission.stamp
        place = (membership.member, membership.invitation)
        stamps = self._admissions.get(place, {})
        known = stamps.get(stamp.witness)
        if self.network in stamps and known is None:
            return False  # the network's own word is there already
        if known is not None and known.stamp.seen <= stamp.seen:
            return False
        if membership.warrant is None:
            raise BadMessage("an admission without an invitation needs no witness")
        check_membership(membership, self.settings)
        check_stamp(membership, stamp)
        if stamp.witness == membership.member and stamp.witness != self._me:
            raise BadMessage("nobody is their own witness")
        if not self._trusts(stamp.witness):
            raise BadMessage("an admission by a witness who is not known as a member here")
        if not stamps and len(self._admissions) >= MAX_ADMISSIONS and not self._prune():
            raise BadMessage("the list of admissions is full")
        kept = {**stamps, stamp.witness: admission}
        if stamp.witness == self.network:
            dropped = set(stamps)  # final: nobody else's word is needed
            kept = {stamp.witness: admission}
        else:
            mine = {self._me} & kept.keys()
            others = sorted(kept.keys() - mine, key=lambda witness: (kept[witness].stamp.seen, witness))
            dropped = set(others[MAX_STAMPS:])
        if stamp.witness in dropped:
            return False
        for witness in dropped & stamps.keys():
            self._journal_drop(stamps[witness])
        self._admissions[place] = {w: a for w, a in kept.items() if w not in dropped or w == stamp.witness}
        self._note(admission)
        if self._witnesses is not None:
            # Whether the new one counts is worked out when somebody asks, not for each record of a long list.
            self._witnesses.add(membership.member)
        return True

    # -- records out

    def records_since(self, after: int, limit_bytes: int = PAGE_BYTES) -> Page:
        """What arrived here after mark `after`, as much as fits in `limit_bytes`; from the start if the mark is not ours."""
        if after > self.mark or after < 0:
            after = 0
        out: list[bytes] = []
        size = 0
        for number, record in self._journal.items():
            if number <= after:
                continue
            body = canonical(record)
            size += len(body) + 4
            if out and size > limit_bytes:
                return Page(tuple(out), after, True)
            out.append(body)
            after = number
        return Page(tuple(out), self.mark, False)

    def rows_since(self, after: int) -> list[tuple[bytes, int, bytes]]:
        """For the disk: (label, mark, record) of all that is new. A row replaces the one with its label."""
        return [
            (canonical(_label(record)), number, canonical(record))
            for number, record in self._journal.items()
            if number > after
        ]

    def take_dropped(self) -> list[bytes]:
        """For the disk: labels of rows that are not wanted any more, once."""
        gone, self._dropped = self._dropped, []
        return gone

    @property
    def digest(self) -> bytes:
        """16 bytes, equal for two members who hold the same records in whatever order."""
        if self._digest is None:
            mixed = 0
            others = (one for one in self._journal.values() if not isinstance(one, Settings))
            for record in (self.settings, *others):
                mixed ^= int.from_bytes(hashlib.sha256(canonical(record)).digest()[:16], "big")
            self._digest = mixed.to_bytes(16, "big")
        return self._digest

    @property
    def highest_serial(self) -> int:
        """The highest number the network key is known to have used for settings and revocations."""
        gone = (*self._gone_members.values(), *self._gone_invitations.values())
        return max([self.settings.serial, *(revocation.serial for revocation in gone)])

    def _note(self, record: Record) -> None:
        self._seen = None
        if isinstance(record, Admission) and record.stamp.witness == record.membership.member:
            return  # our own word about ourselves is for us alone
        self.mark += 1
        self._journal_put(record, self.mark)

    def _journal_put(self, record: Record, number: int) -> None:
        label = _label(record)
        before = self._place_in_journal.pop(label, None)
        if before is not None:
            del self._journal[before]
        self._journal[number] = record
        self._place_in_journal[label] = number
        self.mark = max(self.mark, number)
        self._digest = None

    def _journal_drop(self, record: Record) -> None:
        number = self._place_in_journal.pop(_label(record), None)
        if number is not None:
            del self._journal[number]
            self._dropped.append(canonical(_label(record)))

    # -- judging

    def standing(self, membership: Membership, stamp: Stamp | None, wall_now: float) -> Standing:
        """Whether the bearer of `membership` is a member. The caller has made sure that it is its own.

        Raises:
            Forged: a signature does not hold.
        """
        check_membership(membership, self.settings)
        if self.is_revoked(membership):
            return Standing(False, False, "removed from the network")
        warrant = membership.warrant
        if warrant is None:
            return Standing(True, True, "founder" if is_founder(membership) else "the network is open")
        if stamp is not None and stamp.witness != membership.member and self._trusts(stamp.witness):
            try:
                self._merge_admission(Admission(membership, stamp))
            except BadMessage as wrong:
                if isinstance(wrong, Forged):
                    raise
        if self.settings.policy == "open":
            return Standing(True, True, "the network is open")
        if (membership.member, warrant.key) in self._members():
            return Standing(True, True, "invited")
        if warrant.key in self._gone_invitations:
            return Standing(False, False, "the invitation was revoked")
        if warrant.expires is not None and wall_now > warrant.expires + CLOCK_SKEW:
            return Standing(
                False, False, "the invitation has expired and no member vouches that it was used in time"
            )
        if self._is_used_up(warrant):
            return Standing(False, False, "the invitation was used up by others")
        return Standing(True, False, "newly invited")

    def is_revoked(self, membership: Membership) -> bool:
        """Whether the network key took this member back, and did not invite it anew since."""
        gone = self._gone_members.get(membership.member)
        if gone is None:
            return False
        if membership.warrant is not None:
            return membership.warrant.serial < gone.serial
        return not is_founder(membership) or membership.joined <= gone.at

    def removal_of(self, membership: Membership) -> Revocation | None:
        """The network key's word that this member is none any more; None for a member."""
        return self._gone_members.get(membership.member) if self.is_revoked(membership) else None

    def holds(self, membership: Membership) -> bool:
        """Whether one that was accepted before still is, after newer records came in."""
        if self.is_revoked(membership):
            return False
        if self.settings.policy == "open":
            return True
        if membership.warrant is None:
            return is_founder(membership)
        return (membership.member, membership.warrant.key) in self._members()

    def members(self) -> dict[bytes, int]:
        """Everyone known to be invited and admitted: key -> when first seen (wall clock)."""
        found: dict[bytes, int] = {}
        for (member, _), seen in self._members().items():
            found[member] = min(seen, found.get(member, seen))
        return found

    def may_belong(self, key: bytes) -> bool:
        """Whether `key` is a member as far as records tell: in an open network everyone whom nobody removed."""
        settings = self.settings
        if settings.policy == "open":
            return key not in self._gone_members
        if settings.founder is None or key == settings.founder or key in settings.servers:
            # Before settings named the founder, nothing here told its key from anybody's.
            return key not in self._gone_members
        self._members()
        return key in self._named

    def everybody(self) -> set[bytes]:
        """Whoever is or was a member, as far as records name them."""
        named = {member for member, _ in self._admissions} | self._gone_members.keys()
        founder = self.settings.founder
        return named | set(self.settings.servers) | ({founder} if founder is not None else set())

    def members_by(self, invitation: bytes) -> list[bytes]:
        """Who came in by this invitation and is still in."""
        return [member for member, by in self._members() if by == invitation]

    def invitations_of(self, member: bytes) -> list[bytes]:
        """By which invitations this member came in."""
        return [by for one, by in self._members() if one == member]

    def used(self, invitation: bytes) -> int:
        """How many different people came in by it, the removed ones included."""
        self._members()
        return self._used[invitation]

    def revoked_members(self) -> frozenset[bytes]:
        return frozenset(self._gone_members)

    def is_invitation_revoked(self, invitation: bytes) -> bool:
        return invitation in self._gone_invitations

    def stamp_for(self, membership: Membership) -> Stamp | None:
        """The best witness on record: the network's own word, else the earliest that is not the member's."""
        stamps = self._admissions.get((membership.member, membership.invitation), {})
        if self.network in stamps:
            return stamps[self.network].stamp
        others = [a.stamp for w, a in stamps.items() if w != membership.member]
        return min(others, key=lambda stamp: (stamp.seen, stamp.witness), default=None)

    def unconfirmed(self) -> Iterator[tuple[Membership, int]]:
        """Members without the network key's own stamp, with the time they were first seen."""
        for place, seen in self._members().items():
            stamps = self._admissions[place]
            if self.network not in stamps:
                yield next(iter(stamps.values())).membership, seen

    def _trusts(self, witness: bytes) -> bool:
        """Whether a stamp by `witness` is worth keeping; whether it counts, `_members` decides."""
        if self._witnesses is None:
            self._members()
        assert self._witnesses is not None
        return witness in self._witnesses

    def _is_used_up(self, warrant: Warrant) -> bool:
        self._members()
        return warrant.uses is not None and self._used[warrant.key] >= warrant.uses

    def _members(self) -> dict[_Place, int]:
        """Work out who is a member; the rules stand at the top of the module."""
        if self._seen is not None:
            return self._seen
        order = sorted(
            (stamp.witness != self.network, stamp.seen, place, stamp.witness, admission)
            for place, stamps in self._admissions.items()
            for admission in stamps.values()
            for stamp in (admission.stamp,)
        )
        counted: dict[_Place, int] = {}
        revoked: set[_Place] = set()
        used: Counter[bytes] = Counter()
        good = {self.network, self._me}
        for _, seen, place, witness, admission in order:
            warrant = admission.membership.warrant
            if warrant is None or place in counted or place in revoked or witness not in good:
                continue
            gone = self._gone_invitations.get(warrant.key)
            if gone is not None and seen > gone.at:
                continue
            if warrant.expires is not None and seen > warrant.expires + CLOCK_SKEW:
                continue
            if warrant.uses is not None and used[warrant.key] >= warrant.uses:
                continue
            used[warrant.key] += 1
            if self.is_revoked(admission.membership):
                revoked.add(place)
            else:
                counted[place] = seen
                good.add(place[0])
        self._seen, self._used, self._witnesses = counted, used, good
        self._named = {member for member, _ in counted}
        return counted


def _label(record: Record) -> tuple[bytes, ...]:
    """What a record is about: a newer one with the same label takes its place."""
    match record:
        case Settings():
            return (b"settings",)
        case Revocation():
            return (b"revocation", record.what.encode(), record.subject)
        case Admission():
            membership = record.membership
            return (b"admission", membership.member, membership.invitation, record.stamp.witness)
