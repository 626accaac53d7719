"""The check of a ledger by anyone, without its project: every hash, signature and sum, and that nothing was credited twice. Pure; entries come one after another.

Memory: 16 bytes for each result. Everything is checked to the end; each check says what it found first.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from servent.errors import BadMessage
from servent.grid import credit, teams
from servent.grid.balance import CREDIT_LINE, proven
from servent.grid.credit_views import Audited, Check
from servent.grid.ledger import (
    ENTRY_PURPOSE,
    AgreementLine,
    Earned,
    Entry,
    EntryLine,
    Head,
    Line,
    agrees,
    entry_hash,
    first,
    read_entry,
    units_of,
)
from servent.grid.manifests import App, Project, app_id, open_app, open_project
from servent.grid.standing import Tally
from servent.grid.wire import Membership
from servent.identity import PeerId

AHEAD = 3600.0  # s that a project's clock may be ahead of the auditor's

_CHECKS = {
    "head": "The project says how far its ledger goes",
    "chain": "Each entry follows the one before",
    "signatures": "The project has signed every entry",
    "agreements": "Those who computed have agreed",
    "sums": "The sums add up",
    "once": "Nothing is credited twice",
    "estimates": "No claim is above the estimate",
    "teams": "Teams and members have signed",
    "times": "Time goes forward",
    "budget": "The budget holds",
    "balance": "The owner has earned what it spends",
    "history": "Nothing of before has changed",
}
MONEY = {"budget", "balance"}  # what is no fault of the entries themselves


class Known(NamedTuple):
    """What was seen of the ledger before: so many entries, the last of which had that hash."""

    entries: int
    newest: bytes


class _Book:
    """What one worker was credited with, and what was taken back: the first 8 bytes of each unit's name, and MFLOP."""

    __slots__ = ("back", "credits", "units")

    def __init__(self) -> None:
        self.units = array("Q")
        self.credits = array("Q")
        self.back: list[tuple[int, int]] = []


class Auditor:
    """Give it all lines of a ledger in order, then ask for `finish`.

    Args:
        head: as it was published, its signature checked; None for a ledger without one: then nothing says whether the end is missing.
        project: whose ledger it is meant to be, where there is no head.
        known: what was seen of it before.
        earned: what the owner shows of its earnings elsewhere.
        now: wall clock.
    """

    def __init__(
        self,
        head: Head | None,
        now: float,
        *,
        project: bytes = b"",
        known: Known | None = None,
        earned: Sequence[Earned] = (),
    ) -> None:
        self.tally = Tally()
        self.newest = b""
        self._head, self._now, self._known, self._earned = head, now, known, earned
        self._key = head.key if head is not None else project
        self._wrong: dict[str, str] = {}
        self._entries = self._results = self._credit = self._paid = self._agreed = self._proven = 0
        self._first = self._last = 0.0
        self._open: dict[int, tuple[bytes, bytes]] = {}  # entries nobody has agreed to: worker, hash
        self._taken_back: dict[
            int, tuple[bytes, bytes]
        ] = {}  # the same of withdrawals, which need no agreement
        self._teams: set[Membership] = set()
        self._books: defaultdict[bytes, _Book] = defaultdict(_Book)
        self._manifests: list[Project] = []
        self._apps: dict[bytes, App] = {}
        if head is not None:
            self._begin(head)

    def line(self, line: Line) -> None:
        """The next one."""
        if isinstance(line, AgreementLine):
            self._agreement(line)
        else:
            self._entry(line)

    def broken(self, what: str, words: str) -> None:
        """Something outside the lines is wrong: a segment whose bytes are not what the head says, or a line that is none."""
        self._fail(what, words)

    def finish(self, seconds: float = 0.0) -> Audited:
        """The verdict."""
        self._end()
        self._once()
        self._money()
        said = self._words()
        checks = tuple(
            Check(_CHECKS[what], what not in self._wrong, self._wrong.get(what) or said[what])
            for what in _CHECKS
            if what in self._wrong or what in said
        )
        return Audited(
            ok=not self._wrong,
            project=self._key,
            name=self._manifests[0].name if self._manifests else "",
            entries=self._entries,
            countersigned=self._agreed,
            open=len(self._open),
            results=self._results,
            credit=self._credit,
            paid=self._paid,
            workers=len(self.tally.people),
            first=self._first,
            last=self._last,
            head=self.newest,
            checks=checks,
            seconds=seconds,
            whole=not self._wrong.keys() - MONEY,
            proven=self._proven,
        )

    # -- line by line

    def _begin(self, head: Head) -> None:
        for signed in [head.project, *head.earlier]:
            try:
                self._manifests.append(open_project(signed, head.key))
            except BadMessage as wrong:
                self._fail("head", f"a manifest of the project: {wrong}")
        for signed in head.apps:
            try:
                self._apps[app_id(signed)] = open_app(signed, head.key)
            except BadMessage as wrong:
                self._fail("head", f"a manifest of an app: {wrong}")

    def _entry(self, line: EntryLine) -> None:
        number = self._entries + 1
        try:
            entry = read_entry(line.body)
        except BadMessage as wrong:
            self._fail("sums", f"entry {number}: {wrong}")
            self._entries = number  # what follows it cannot fit; that is said once
            return
        if not self._key:
            self._key = entry.project
        if entry.project != self._key:
            self._fail("chain", f"entry {number} is of another project's ledger")
        if entry.number != number or entry.previous != (self.newest or first(self._key)):
            self._fail("chain", f"entry {entry.number} does not follow entry {self._entries}")
        digest = entry_hash(line.body)
        if not PeerId(self._key).verify(line.signature, ENTRY_PURPOSE + digest):
            self._fail("signatures", f"entry {number} is not signed by the project")
        self._entries, self.newest = number, digest
        if self._known is not None and number == self._known.entries and digest != self._known.newest:
            self._fail("history", f"entry {number} is not the one that was there before")
        if entry.at < self._last:
            self._fail("times", f"entry {number} is older than the one before")
        elif entry.at > self._now + AHEAD:
            self._fail("times", f"entry {number} is of the future")
        self._first = self._first or entry.at
        self._last = max(self._last, entry.at)
        self._team(entry)
        self._claims(entry)
        self._write(entry)
        if entry.kind == "credit":
            self._open[number] = (entry.worker, digest)
        else:
            self._taken_back[number] = (entry.worker, digest)

    def _agreement(self, line: AgreementLine) -> None:
        waiting = self._open if line.number in self._open else self._taken_back
        worker, digest = waiting.pop(line.number, (b"", b""))
        if not worker:
            self._fail("agreements", f"an agreement with entry {line.number}, which waits for none")
        elif not agrees(worker, digest, line.signature):
            self._fail("agreements", f"entry {line.number}: the agreement is not its worker's")
        else:
            self._agreed += 1

    def _team(self, entry: Entry) -> None:
        if entry.team is None:
            return
        if entry.team in self._teams and entry.team.member == entry.worker and entry.team.expires > entry.at:
            return
        try:
            teams.check(entry.team, entry.worker, entry.at)
        except BadMessage as wrong:
            self._fail("teams", f"entry {entry.number}: {wrong}")
        else:
            self._teams.add(entry.team)

    def _claims(self, entry: Entry) -> None:
        if entry.network is not None and self._manifests and not self._payer(entry.network):
            self._fail("balance", f"entry {entry.number} charges a balance that the owner has not agreed to")
        k = max((project.bonus for project in self._manifests), default=credit.BONUS_MOST)
        for group in entry.groups:
            app = self._apps.get(group.app)
            if app is None:
                if self._head is not None:
                    self._fail(
                        "estimates", f"entry {entry.number} credits an app that the project has not signed"
                    )
            elif group.operations > credit.most_operations(app.limits.seconds):
                self._fail(
                    "estimates", f"entry {entry.number}: more than a core can do in the time of {app.name!r}"
                )
            if group.credit > credit.most_granted(group.operations, k):
                self._fail("estimates", f"entry {entry.number} credits more than the estimate allows")
            if group.price > credit.PRICE_MOST or (entry.network is None and group.price != 100):
                self._fail("estimates", f"entry {entry.number} has a price that nobody may ask")

    def _payer(self, network: bytes) -> bool:
        return any(project.mutual and project.network == network for project in self._manifests)

    def _write(self, entry: Entry) -> None:
        sign = 1 if entry.kind == "credit" else -1
        self._results += sign * entry.results
        self._credit += sign * entry.total
        if entry.network is not None or not self._manifests or not self._manifests[0].mutual:
            self._paid += sign * entry.paid
        self.tally.count(entry)
        book = self._books[entry.worker]
        for group in entry.groups:
            for unit in units_of(group):
                short = int.from_bytes(unit[:8], "big")
                if sign > 0:
                    book.units.append(short)
                    book.credits.append(group.credit)
                else:
                    book.back.append((short, group.credit))

    # -- at the end

    def _end(self) -> None:
        head = self._head
        if head is not None and (head.entries, head.newest) != (
            self._entries,
            self.newest or first(self._key),
        ):
            self._fail("head", f"it says {head.entries} entries, and there are {self._entries}, or others")
        if self._known is not None and self._entries < self._known.entries:
            self._fail("history", f"{self._known.entries} entries were there before")

    def _once(self) -> None:
        for worker, book in self._books.items():
            who = PeerId(worker).short
            units = sorted(book.units)
            for one, other in pairwise(units):
                if one == other:
                    self._fail("once", f"{who} is credited twice for unit {one:016x}")
                    break
            if not book.back:
                continue
            wanted = dict(book.back)
            if len(wanted) != len(book.back):
                self._fail("once", f"something is taken back twice from {who}")
            for unit, granted in zip(book.units, book.credits, strict=True):
                if wanted.pop(unit, granted) != granted:
                    self._fail(
                        "once",
                        f"more or less is taken back from {who} than was credited for unit {unit:016x}",
                    )
            if wanted:
                self._fail("once", f"what was never credited is taken back from {who}")

    def _money(self) -> None:
        if not self._manifests:
            return
        project = self._manifests[0]
        if project.budget is not None and self._paid > project.budget:
            self._fail("budget", f"{_shown(self._paid)} are paid, of a budget of {_shown(project.budget)}")
        if not project.mutual or project.network is None:
            return
        try:
            self._proven = proven(self._earned, project.owner, project.network)
        except BadMessage as wrong:
            self._fail("balance", f"what the owner shows of its earnings: {wrong}")
            return
        own = self.tally.people.get(project.owner)
        charged = self._paid - (own.paid if own is not None else 0)
        if charged > self._proven + CREDIT_LINE:
            self._fail(
                "balance",
                f"{_shown(charged)} are paid to others, and the owner shows that it earned {_shown(self._proven)}",
            )

    def _words(self) -> dict[str, str]:
        """What each check that was made says where it held."""
        said = {
            "chain": f"{self._entries} entries",
            "signatures": f"{self._entries} signatures",
            "agreements": f"{self._agreed} entries are countersigned, {len(self._open)} wait for it",
            "sums": f"{_shown(self._credit)} for {self._results} results",
            "once": f"{self._results} results of {len(self.tally.people)} who computed",
            "teams": f"{len(self._teams)} memberships",
            "times": "",
        }
        if self._head is not None:
            said["head"] = (
                f"{_counted(len(self._head.segments), 'segment')}, {_counted(len(self._apps), 'app')}"
            )
            said["estimates"] = f"by the manifests of {len(self._apps)} apps"
        if self._manifests and self._manifests[0].budget is not None:
            said["budget"] = f"{_shown(self._paid)} of {_shown(self._manifests[0].budget)} are paid"
            if self._manifests[0].mutual:
                said["balance"] = (
                    f"it shows receipts for {_shown(self._proven)}, and may go {_shown(CREDIT_LINE)} below 0"
                )
        if self._known is not None:
            said["history"] = f"{self._known.entries} entries were known before"
        return said

    def _fail(self, what: str, words: str) -> None:
        self._wrong.setdefault(what, words)


def _shown(mflop: int) -> str:
    return f"{credit.cobblestones(mflop):,.2f} credits"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
