"""A project among a thousand volunteers, some of whom make their results up: what becomes of its results, and what it costs.

Runs what decides in a coordinator: `grid.transition`, `grid.steps`, `grid.replication`, `grid.quota`. Hosts take `BATCH` units at a time, compute for hours of
virtual time (some are ten times as fast as others), vanish for a day now and then, and err once in a while though they are honest.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Literal

from servent.grid import quota, replication, steps
from servent.grid.model import Copy, Decision, Unit
from servent.grid.quota import Quota
from servent.grid.replication import NOBODY, Trust
from servent.grid.steps import Bid
from servent.grid.transition import eligible, reopened, transition
from simulations.scenario import Scenario

HOUR, DAY = 3600.0, 86400.0
BATCH = 8  # units leased at a time
LASTS = 2 * DAY  # of a lease that nobody renews
VANISHES = 0.005  # share of batches that never come back: the machine is away for days
ERRS = 0.00002  # share of an honest host's results that are wrong: memory without error correction
LOOKS = 50  # begun units that are looked through for one that a host may have
RIGHT = b"right"

# How cheaters go about it. alone: each makes up its own result. together: of a unit all give the same wrong one.
# sly: alone, and only once trusted, as far as one can know from having been right often enough.
Way = Literal["alone", "together", "sly"]


@dataclass(slots=True, eq=False)
class Volunteer:
    identity: bytes
    hours: float  # for one unit
    cheats: bool
    trust: Trust = NOBODY
    quota: Quota = field(default_factory=Quota)
    leased: list[tuple[int, int]] = field(default_factory=list)  # unit, copy
    unchecked: deque[tuple[float, int]] = field(default_factory=deque)  # leased when, unit
    right: int = 0
    caught: bool = False


@dataclass(slots=True, eq=False)
class Work:
    unit: Unit
    copies: list[Copy]
    told_wrong: bool = False  # the owner was told a wrong result once
    spot: bool = False


class Town:
    """The volunteers, and the coordinator of the project.

    Args:
        units: to be done in all.
        cheaters: share of the hosts; `cheated`: share of their units that they make up.
    """

    def __init__(self, hosts: int, units: int, cheaters: float, cheated: float, way: Way, seed: int) -> None:
        self.dice = random.Random(seed)
        self.units, self.cheated, self.way = units, cheated, way
        self.hosts = [
            Volunteer(
                number.to_bytes(32, "big"), self.dice.lognormvariate(0.0, 0.7), number < hosts * cheaters
            )
            for number in range(hosts)
        ]
        self.by_identity = {host.identity: host for host in self.hosts}
        self.work: dict[int, Work] = {}
        self.begun: deque[int] = deque()  # units of which a copy is unsent, but somebody has another
        self.fresh = self.copies_made = self.trusted = 0
        self.now = 0.0
        self.done = self.leases = self.wrong_ever = self.wrong_now = self.reopenings = self.errors = 0
        self.leases_at_half = 0
        self.events: list[tuple[float, int, int]] = []  # when, order, host; or unit that expires, as -unit
        self.order = 0

    # -- a run

    def run(self) -> None:
        """Until every unit is done."""
        for number in range(len(self.hosts)):
            self._at(self.dice.random() * HOUR, number)
        while self.done < self.units and self.events:
            self.now, _, what = heappop(self.events)
            if what < 0:
                if (work := self.work.get(-what)) is not None:
                    self._apply(-what, work, transition(work.unit, work.copies, self.now))
            else:
                self._visit(what)

    def _at(self, when: float, what: int) -> None:
        self.order += 1
        heappush(self.events, (when, self.order, what))

    def _visit(self, number: int) -> None:
        host = self.hosts[number]
        for unit, copy in host.leased:
            self._give(host, unit, copy)
        host.leased.clear()
        room = min(BATCH, quota.left(host.quota, self.now))
        for _ in range(room):
            if not self._lease(host):
                break
        host.quota = quota.leased(host.quota, len(host.leased), self.now)
        while host.unchecked and host.unchecked[0][0] < self.now - replication.REISSUE_FOR:
            self._forget(host.unchecked.popleft()[1])
        if not host.leased:
            self._at(self.now + (HOUR if room else quota.wait(self.now)), number)
        elif self.dice.random() < VANISHES:
            host.leased.clear()
            self._at(self.now + LASTS + self.dice.random() * 3 * DAY, number)
        else:
            self._at(self.now + host.hours * HOUR * len(host.leased), number)

    # -- leases

    def _lease(self, host: Volunteer) -> bool:
        if replication.spot_check(self.dice.random()):
            number = self._add(answer=RIGHT)
        else:
            found = self._begun(host)
            if found is None:
                if self.fresh >= self.units:
                    return False
                self.fresh += 1
                if self.fresh == self.units // 2:
                    self.leases_at_half = self.leases
                found = self._add()
            number = found
        work = self.work[number]
        copy = next(copy for copy in work.copies if copy.state == "unsent")
        alone = replication.alone(host.trust, self.dice.random())
        bid = Bid(host.identity, self.now + LASTS, alone)
        self.leases += 1
        host.leased.append((number, copy.id))
        self._at(self.now + LASTS, -number)
        self._apply(number, work, steps.leased(work.unit, work.copies, copy, bid, self.now))
        return True

    def _add(self, answer: bytes | None = None) -> int:
        number = len(self.work) + 1 if not self.work else next(reversed(self.work)) + 1
        self.work[number] = Work(
            Unit(id=number, answer=answer), [Copy(id=self._copy())], spot=answer is not None
        )
        return number

    def _copy(self) -> int:
        self.copies_made += 1
        return self.copies_made

    def _begun(self, host: Volunteer) -> int | None:
        """The first begun unit that it may have. Those are finished before others are begun, so that nothing waits for long."""
        passed, found = [], None
        for _ in range(min(LOOKS, len(self.begun))):
            number = self.begun.popleft()
            work = self.work.get(number)
            if work is None or not any(copy.state == "unsent" for copy in work.copies):
                continue
            if self._may(host, work):
                found = number
                if sum(copy.state == "unsent" for copy in work.copies) > 1:
                    passed.append(number)
                break
            passed.append(number)
        self.begun.extendleft(reversed(passed))
        return found

    def _may(self, host: Volunteer, work: Work) -> bool:
        if not eligible(work.unit, work.copies, host.identity):
            return False
        whose, disputed = replication.words(work.copies)
        if not whose or replication.trusted(host.trust):
            return True
        others = [self.by_identity[one].trust for one in whose]
        return replication.fits(host.trust, others, disputed=disputed, around=self.trusted)

    # -- results

    def _give(self, host: Volunteer, number: int, copy_id: int) -> None:
        work = self.work.get(number)
        if work is None:
            return
        copy = next((copy for copy in work.copies if copy.id == copy_id), None)
        if steps.taken(work.unit, work.copies, copy, host.identity, self.now) != "taken" or copy is None:
            return
        group = self._computed(host, number)
        self._apply(number, work, steps.returned(work.unit, work.copies, copy, group, self.now))
        if copy.unchecked and work.unit.state == "done" and not work.unit.verified:
            host.unchecked.append((copy.since, number))

    def _computed(self, host: Volunteer, number: int) -> bytes:
        if not host.cheats:
            return host.identity + b"err" if self.dice.random() < ERRS else RIGHT
        if self.way == "together":
            return b"agreed" if random.Random(number).random() < self.cheated else RIGHT
        if self.way == "sly" and host.right < replication.needed(host.trust) + 5:
            host.right += 1
            return RIGHT
        return host.identity if self.dice.random() < self.cheated else RIGHT

    def _apply(self, number: int, work: Work, decision: Decision) -> None:
        """As a coordinator does: the unit, its copies, then what is thought of the hosts."""
        before, work.unit = work.unit, decision.unit
        changed = {copy.id: copy for copy in decision.copies}
        drop = set(decision.drop)
        work.copies = [changed.get(copy.id, copy) for copy in work.copies if copy.id not in drop]
        work.copies += [Copy(id=self._copy()) for _ in range(decision.create)]
        if decision.create and not work.spot:
            self.begun.append(number)
        if decision.final and not work.spot:
            self._ended(work, before)
        whose = {copy.id: self.by_identity[copy.identity] for copy in work.copies if copy.identity}
        for copy_id in decision.credit:
            whose[copy_id].quota = quota.credited(whose[copy_id].quota, 1)
        for copy_id in (*decision.expired, *decision.failed, *decision.invalid):
            whose[copy_id].quota = quota.blamed(whose[copy_id].quota, self.now)
        for copy_id in decision.valid:
            self._judge(whose[copy_id], "valid")
        for copy_id in decision.invalid:
            self._caught(whose[copy_id])
        if work.unit.state != "open" and (work.unit.verified or work.spot):
            self._forget(number)

    def _judge(self, host: Volunteer, verdict: replication.Verdict) -> None:
        self.trusted -= replication.trusted(host.trust)
        host.trust = replication.judged(host.trust, verdict, self.now)
        self.trusted += replication.trusted(host.trust)

    def _caught(self, host: Volunteer) -> None:
        since = replication.reissue_since(host.trust, self.now)
        self._judge(host, "invalid")
        host.caught, host.right = True, 0
        mistrusted = [number for leased, number in host.unchecked if leased >= since]
        mistrusted += [number for number, _ in host.leased]
        host.unchecked.clear()
        for number in mistrusted:
            work = self.work.get(number)
            if work is not None:
                self.reopenings += work.unit.state == "done"
                self._apply(number, work, reopened(work.unit, work.copies, self.now))

    def _ended(self, work: Work, before: Unit) -> None:
        result = next((copy.group for copy in work.copies if copy.id == work.unit.canonical), None)
        was_wrong = work.told_wrong and before.canonical is not None
        wrong = work.unit.state == "done" and result != RIGHT
        if before.canonical is None:
            self.done += 1
        self.errors += work.unit.state != "done"
        self.wrong_now += wrong - was_wrong
        if wrong and not work.told_wrong:
            self.wrong_ever += 1
        work.told_wrong = wrong

    def _forget(self, number: int) -> None:
        work = self.work.get(number)
        if work is None or any(copy.state in ("leased", "unneeded", "expired") for copy in work.copies):
            return  # something of it may still come
        if work.unit.state != "open":
            del self.work[number]

    def numbers(self) -> dict[str, float]:
        """`wrong`: share of the units whose result is wrong in the end, `wrong_first` of those where a wrong one was told at any time.

        `copies`: leased for each unit, all in all, with spot checks and what was computed again; `copies_late`: from when half of the units were begun.
        `caught` of the cheaters, `blamed` of the honest at least once.
        """
        cheaters = [host for host in self.hosts if host.cheats]
        honest = [host for host in self.hosts if not host.cheats]
        half = self.units - self.units // 2
        return {
            "wrong": self.wrong_now / self.units,
            "wrong_first": self.wrong_ever / self.units,
            "copies": self.leases / self.units,
            "copies_late": (self.leases - self.leases_at_half) / half,
            "reopened": self.reopenings / self.units,
            "unended": (self.units - self.done) + self.errors,
            "caught": _share([host.caught for host in cheaters]),
            "blamed": _share([host.caught for host in honest]),
            "days": self.now / DAY,
        }


def _share(words: Sequence[bool]) -> float:
    return sum(words) / len(words) if words else 0.0


def cheaters(scenario: Scenario, seed: int) -> dict[str, float]:
    """The three ways, of which only "alone" has marks: who agrees with others about what is wrong is believed where two of them meet."""
    how = scenario.cheats
    ways: tuple[tuple[Way, str, int], ...] = (
        ("alone", "", 1),
        ("together", "together_", 4),
        ("sly", "sly_", 4),
    )
    numbers: dict[str, float] = {}
    for way, prefix, part in ways:
        town = Town(scenario.peers, scenario.peers * scenario.units // part, how.hosts, how.units, way, seed)
        town.run()
        found = town.numbers()
        if prefix:
            found = {name: found[name] for name in ("wrong", "wrong_first", "copies_late", "caught")}
        numbers |= {prefix + name: value for name, value in found.items()}
    return numbers
