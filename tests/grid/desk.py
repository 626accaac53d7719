"""A unit and its copies, to which decisions are applied as a coordinator does; every promise of a decision is checked on the way."""

from __future__ import annotations

from msgspec.structs import replace

from servent.grid import steps
from servent.grid.model import Copy, Decision, Unit
from servent.grid.steps import Bid
from servent.grid.transition import cancelled, eligible, reopened, transition

RIGHT, WRONG, OTHER = b"right", b"wrong", b"other"


def who(name: str) -> bytes:
    return name.encode().ljust(32, b".")


class Desk:
    """`credit`: how often each copy was credited, less withdrawals. `told`: what was said when it ended, in order."""

    def __init__(self, **unit: object) -> None:
        self.unit = Unit(id=1, **unit)  # type: ignore[arg-type]
        self.copies: dict[int, Copy] = {1: Copy(id=1)}
        self.now = 1000.0
        self.credit: dict[int, int] = {}
        self.verdicts: dict[int, list[str]] = {}
        self.told: list[tuple[str, bytes | None]] = []
        self.last = Decision(unit=self.unit)
        self._next = 2

    # -- what happens

    def tick(self, seconds: float = 0.0) -> Decision:
        self.now += seconds
        return self.apply(transition(self.unit, self.all, self.now))

    def lease(
        self, name: str, *, alone: bool = False, lineage: tuple[str, ...] = (), lasts: float = 100.0
    ) -> int:
        """The copy that went to `name`; it has to be eligible, and a copy unsent."""
        identity, past = who(name), tuple(who(one) for one in lineage)
        assert eligible(self.unit, self.all, identity, past), name
        copy = next(copy for copy in self.all if copy.state == "unsent")
        bid = Bid(identity, self.now + lasts, alone, past)
        self.apply(steps.leased(self.unit, self.all, copy, bid, self.now))
        return copy.id

    def give(self, number: int, group: bytes | None) -> str:
        copy = self.copies[number]
        word = steps.taken(self.unit, self.all, copy, copy.identity or b"", self.now)
        if word == "taken":
            self.apply(steps.returned(self.unit, self.all, copy, group, self.now))
        return word

    def compare(self, groups: dict[int, bytes]) -> Decision:
        return self.apply(steps.grouped(self.unit, self.all, groups, self.now))

    def fail(self, number: int, ending: str = "") -> Decision:
        return self.apply(steps.failed(self.unit, self.all, self.copies[number], self.now, ending))

    def abort(self, number: int) -> Decision:
        return self.apply(steps.aborted(self.unit, self.all, self.copies[number], self.now))

    def renew(self, number: int, lasts: float = 100.0) -> bool:
        decision = steps.renewed(self.unit, self.all, self.copies[number], self.now + lasts, self.now)
        if decision is not None:
            self.apply(decision)
        return decision is not None

    def hurry(self) -> Decision:
        return self.apply(steps.hurried(self.unit, self.all, self.now))

    def cancel(self) -> Decision:
        return self.apply(cancelled(self.unit, self.all, self.now))

    def reopen(self) -> Decision:
        return self.apply(reopened(self.unit, self.all, self.now))

    # -- what is seen

    @property
    def all(self) -> list[Copy]:
        return list(self.copies.values())

    def states(self) -> str:
        return " ".join(copy.state for copy in self.all)

    def count(self, state: str) -> int:
        return sum(copy.state == state for copy in self.all)

    @property
    def result(self) -> bytes | None:
        """What the unit's owner has."""
        return self.told[-1][1] if self.told else None

    def apply(self, decision: Decision) -> Decision:
        before, self.last, self.unit = dict(self.copies), decision, decision.unit
        for copy in decision.copies:
            assert copy.id in self.copies
            self.copies[copy.id] = copy
        for number in decision.drop:
            assert before[number].state == "unsent"
            del self.copies[number]
        for _ in range(decision.create):
            self.copies[self._next] = Copy(id=self._next)
            self._next += 1
        for number in decision.stop:
            assert before[number].identity is not None and self.copies[number].state == "unneeded"
        for number in decision.credit:
            assert self.copies[number].credited and self.copies[number].state == "valid"
            assert number not in self.credit, "credited twice"
            self.credit[number] = 1
        for number in decision.withdraw:
            assert self.credit[number] == 1
            self.credit[number] = 0
        for word in ("valid", "invalid", "expired", "failed"):
            for number in getattr(decision, word):
                assert self.copies[number].state == word
                self.verdicts.setdefault(number, []).append(word)
        assert decision.final or not decision.revised
        if decision.final:
            assert decision.revised == any(state == "done" for state, _ in self.told[-1:])
            canonical = self.copies.get(self.unit.canonical or 0)
            assert (canonical is not None) == (self.unit.state == "done")
            self.told.append((self.unit.state, canonical.group if canonical else None))
        again = transition(self.unit, self.all, self.now)
        assert again == replace(Decision(unit=self.unit), wake=again.wake), "not a fixed point"
        return decision
