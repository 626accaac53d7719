"""Our own questions: where they go, and what comes back. Also the desk at which questions under way get their answers.

A leaf asks a home; who carries the index role runs the question itself, its own and those of its leaves alike.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from math import inf
from typing import TypeAlias

from servent.errors import BadMessage
from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.directory import Directory
from servent.overlay.effects import Asked, Effect, Finding, Learn, Send, Tell
from servent.overlay.goal import Goal, Pair, Report, Sink, shows
from servent.overlay.homes import Homes
from servent.overlay.housing import Housing
from servent.overlay.part import Handler, Part
from servent.overlay.question import Inquiry, LeafQuestion
from servent.overlay.records import Item, PeerRecord, Slice
from servent.overlay.running import SPOT_CHECK, Running
from servent.overlay.standing import LIE, UNSHOWN, Standing
from servent.overlay.whereabouts import Whereabouts
from servent.overlay.wire import AskProof, Found, Proof, Question
from servent.query.language import parse

MOST_OWN = 64  # questions of our own at once
MOST_RUNNING = 2000  # of all
MOST_SOURCES = 16_384  # of whom we know who told us of them
MOST_PROOFS = 1024  # waited for
MOST_LIMIT = 500
LARGE = 100_000  # members from which on questions may take longer
COUNTED = 60.0  # s for which members are not counted again

UnderWay: TypeAlias = LeafQuestion | Running | Inquiry
Shown: TypeAlias = Callable[[Slice | None, float], list[Effect]]


class Asking(Part):
    """Attributes:
    standing: what we think of supernodes.
    """

    def __init__(
        self, context: Context, directory: Directory, homes: Homes, housing: Housing, whereabouts: Whereabouts
    ) -> None:
        self._context, self._directory, self._homes, self._housing = context, directory, homes, housing
        self._whereabouts = whereabouts
        self.standing = Standing()
        self.mine = 0
        self._own: dict[int, LeafQuestion | Running] = {}
        self._inquiries: dict[bytes, Inquiry] = {}
        self._at_homes: dict[bytes, tuple[int, LeafQuestion]] = {}
        self._asked: dict[bytes, tuple[Running, PeerId]] = {}
        self._ids: dict[int, list[bytes]] = {}  # of `_asked`, by the running question
        self._proofs: OrderedDict[int, tuple[PeerId, Shown]] = OrderedDict()
        self._sources: OrderedDict[Pair, PeerId] = OrderedDict()
        self._heap: list[tuple[float, int, UnderWay]] = []
        self._total, self._counted_at = 0.0, -inf
        self._order = count()
        self._numbers = count(1)

    def handlers(self) -> Mapping[type, Handler]:
        return {Found: self._found, Proof: self._proof}

    # -- what its node asks

    def search(
        self, text: str, now: float, *, limit: int = 50, budget: int | None = None
    ) -> tuple[int, list[Effect]]:
        """Ask in the query language. The number of the search; `Finding` and `Asked` follow, the last `over`.

        Raises:
            QueryError: the text cannot be understood.
        """
        query = parse(text)
        return self._begin(Goal(query, None, *self._bounds(limit, budget), self.total(now)), now)

    def who_has(self, content: bytes, now: float, *, limit: int = 50) -> tuple[int, list[Effect]]:
        """Ask who offers a content, by its hash."""
        return self._begin(Goal(None, content, *self._bounds(limit, None), self.total(now)), now)

    def cancel(self, search: int, now: float) -> list[Effect]:
        """Nothing comes for that search after this."""
        one = self._own.pop(search, None)
        if one is None:
            return []
        effects = one.cancel(now)
        self._after(one)
        return effects

    def where(self, peer: PeerId, now: float) -> list[Effect]:
        """Look for a peer's newest record; `Where` follows."""
        return self._whereabouts.where(peer, now)

    # -- for those who answer others

    def total(self, now: float) -> float:
        """Seconds that a question may take in a network as large as this."""
        if self._counted_at <= now:
            settings = self._context.settings.search
            self._counted_at = now + COUNTED
            large = self._directory.members(now) > LARGE
            self._total = settings.total_large if large else settings.total
        return self._total

    def run(self, goal: Goal, sink: Sink, now: float) -> tuple[Running | None, list[Effect]]:
        """Run a question for somebody else. None when there are too many."""
        if len(self._ids) >= MOST_RUNNING:
            return None, []
        return self._run(goal, sink, now, remote=True)

    def stop(self, running: Running, now: float) -> None:
        """Whoever asked waits no more."""
        running.cancel(now)
        self._after(running)

    def show(self, publisher: bytes, content: bytes, then: Shown) -> list[Effect]:
        """Ask whoever told us of it for the proof; nothing when nobody has."""
        source = self._sources.get((publisher, content))
        return [self._ask_proof(source, (publisher, content), then)] if source is not None else []

    def prove(
        self, peer: PeerId, pairs: Sequence[Pair], then: Callable[[float], list[Effect]], now: float
    ) -> list[Effect]:
        """Have `peer` show one of these, unless it is known to be honest; `then` only follows if it can."""
        dice = self._context.dice
        if self.standing.proven(peer, now) and dice.randrange(SPOT_CHECK):
            return then(now)
        pair = dice.choice(pairs)

        def shown(slice: Slice | None, now: float) -> list[Effect]:
            return then(now) if shows(self._context, slice, pair) else []

        return [self._ask_proof(peer, pair, self._judging(peer, pair, shown))]

    def inquire(
        self,
        peer: PeerId,
        question: Question,
        then: Callable[[dict[Pair, Item] | None, float], list[Effect]],
        now: float,
    ) -> list[Effect]:
        """Ask `peer` alone; `then` gets what it found, None when it did not answer."""
        inquiry = Inquiry(peer, question.id, then, now + self._context.settings.search.total + 0.5)
        self._inquiries[question.id] = inquiry
        self._after(inquiry)
        return [Send(peer, question)]

    # -- the desk (`goal.Desk`)

    def asks(self, running: Running, peer: PeerId) -> bytes:
        name = self._context.dice.randbytes(16)
        self._asked[name] = running, peer
        self._ids.setdefault(id(running), []).append(name)
        return name

    def doubts(self, running: Running, peer: PeerId) -> int:
        def shown(slice: Slice | None, now: float) -> list[Effect]:
            effects = running.proof(peer, slice, now)
            self._after(running)
            return effects

        return self._expect(peer, shown)

    def waits(self, running: Running, then: Callable[..., list[Effect]]) -> int:
        def told(*answer: object) -> list[Effect]:
            effects = then(*answer)
            self._after(running)
            return effects

        return self._context.wait(told)

    def told_by(self, pairs: Iterable[Pair], peer: PeerId) -> None:
        for pair in pairs:
            self._sources[pair] = peer
            self._sources.move_to_end(pair)
        while len(self._sources) > MOST_SOURCES:
            self._sources.popitem(last=False)

    # -- what comes back

    def _found(self, peer: PeerId, message: Found, now: float) -> list[Effect]:
        asked = self._asked.get(message.id)
        if asked is not None:
            running, expected = asked
            if expected != peer:
                return []
            del self._asked[message.id]
            effects = running.found(peer, message, now)
            self._after(running)
            return effects
        at = self._at_homes.get(message.id)
        if at is not None:
            effects = at[1].found(peer, message, now)
            self._after(at[1])
            return effects + self._audit(at[1], now)
        inquiry = self._inquiries.get(message.id)
        if inquiry is not None and inquiry.peer == peer:
            effects = inquiry.found(message, now)
            self._after(inquiry)
            return effects
        return []

    def _proof(self, peer: PeerId, message: Proof, now: float) -> list[Effect]:
        expected = self._proofs.get(message.number)
        if expected is None or expected[0] != peer:
            return []
        del self._proofs[message.number]
        return expected[1](message.slice, now)

    def _judging(self, peer: PeerId, pair: Pair, then: Shown | None = None) -> Shown:
        """Our opinion follows from what is shown."""

        def shown(slice: Slice | None, now: float) -> list[Effect]:
            effects: list[Effect] = []
            if shows(self._context, slice, pair):
                self.standing.showed(peer, now)
            else:
                effects = self.struck(peer, UNSHOWN if slice is None else LIE, now)
            return effects + (then(slice, now) if then is not None else [])

        return shown

    def struck(self, peer: PeerId, weight: float, now: float) -> list[Effect]:
        """A supernode is not what it should be; when that was once too often it is our home no more."""
        return self._homes.distrust(peer, now) if self.standing.struck(peer, weight, now) else []

    def _audit(self, question: LeafQuestion, now: float) -> list[Effect]:
        """A home is to show one of the things that it has found for us."""
        if question.audit is None:
            return []
        (home, pair), question.audit = question.audit, None
        return [self._ask_proof(home, pair, self._judging(home, pair))]

    def _ask_proof(self, peer: PeerId, pair: Pair, then: Shown) -> Effect:
        return Send(peer, AskProof(self._expect(peer, then), *pair))

    def _expect(self, peer: PeerId, then: Shown) -> int:
        while len(self._proofs) >= MOST_PROOFS:
            self._proofs.popitem(last=False)
        number = next(self._numbers)
        self._proofs[number] = peer, then
        return number

    def failed(self, peer: PeerId, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for name, (running, asked) in list(self._asked.items()):
            if asked == peer:
                del self._asked[name]
                effects += running.failed(peer, now)
                self._after(running)
        for _, question in list(self._at_homes.values()):
            effects += question.failed(peer, now)
            self._after(question)
        for inquiry in [one for one in self._inquiries.values() if one.peer == peer]:
            effects += inquiry.end(None, now)
            self._after(inquiry)
        return effects

    def down(self, peer: PeerId, now: float) -> list[Effect]:
        return self.failed(peer, now) if self._asked or self._at_homes or self._inquiries else []

    # -- time

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        while self._heap and self._heap[0][0] <= now:
            at, _, one = heappop(self._heap)
            if one.over or at != one.planned:
                continue
            one.planned = inf
            if isinstance(one, LeafQuestion) and one.homeless and self._directory.own is not None:
                effects += self._take_over(one, now)
                continue
            effects += one.tick(now)
            self._after(one)
            if isinstance(one, LeafQuestion):
                effects += self._audit(one, now)
        return effects

    def next_tick(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    # -- inside

    def _bounds(self, limit: int, budget: int | None) -> tuple[int, int]:
        most = self._context.settings.search.budget
        return max(1, min(MOST_LIMIT, limit)), most if budget is None else max(0, min(most, budget))

    def _begin(self, goal: Goal, now: float) -> tuple[int, list[Effect]]:
        number = next(self._numbers)
        self.mine += 1
        if len(self._own) >= MOST_OWN:
            return number, [Tell(Asked(number, 0, 0, 0, over=True, reason="too many searches at once"))]
        if goal.query is not None and not goal.query.text:
            return number, [Tell(Asked(number, 0, 0, 0, over=True, reason="nothing is asked of others"))]
        sink = self._teller(number)
        if self._directory.own is not None:
            running, effects = self._run(goal, sink, now, remote=False)
            if not running.over:
                self._own[number] = running
            return number, effects
        name = self._context.dice.randbytes(16)

        def homes() -> list[PeerId]:
            at = [one for one in self._homes.homes() if one != self._context.me]
            return at or self._directory.random(2, now, [self._context.me])

        question = LeafQuestion(self._context, self.standing, name, goal, homes, sink, now)
        self._own[number] = question
        self._at_homes[name] = number, question
        effects = question.start(now)
        self._after(question)
        return number, effects

    def _run(self, goal: Goal, sink: Sink, now: float, remote: bool) -> tuple[Running, list[Effect]]:
        running = Running(self._context, self._directory, self.standing, goal, sink, self, now, remote)
        self._ids[id(running)] = []
        effects = running.start(now)
        self._after(running)
        return running, effects

    def _take_over(self, question: LeafQuestion, now: float) -> list[Effect]:
        """We carry the index role ourselves by now, and nobody else has the question."""
        number, _ = self._at_homes.pop(question.id)
        question.over = True
        running, effects = self._run(question.goal, question.sink, now, remote=False)
        if running.over:
            self._own.pop(number, None)
        else:
            self._own[number] = running
        return effects

    def _after(self, one: UnderWay) -> None:
        """Plan its next time; forget it when it is over."""
        if not one.over:
            due = one.next_tick()
            if due < one.planned:
                one.planned = due
                heappush(self._heap, (due, next(self._order), one))
            return
        if isinstance(one, LeafQuestion):
            self._at_homes.pop(one.id, None)
            return
        if isinstance(one, Inquiry):
            self._inquiries.pop(one.id, None)
            return
        for name in self._ids.pop(id(one), ()):
            self._asked.pop(name, None)

    def _teller(self, number: int) -> Sink:
        def sink(report: Report, now: float) -> list[Effect]:
            if report.over:
                self._own.pop(number, None)
            effects: list[Effect] = []
            effects += [Learn(record) for record in report.records if self.knows(record, now)]
            if report.found:
                reachable = {
                    peer: known
                    for peer, _ in report.found
                    if (known := self._housing.record_of(peer, now) or self._context.peers.get(peer, now))
                }
                effects.append(Tell(Finding(number, report.layer, report.found, reachable)))
            told = Asked(
                number,
                report.asked,
                report.answered,
                report.messages,
                report.over,
                report.sampled,
                report.reason,
            )
            return [*effects, Tell(told)]

        return sink

    def knows(self, record: PeerRecord, now: float) -> bool:
        """Take in a record that came along. True when it is good, and new."""
        try:
            return self._context.know(record, now)
        except BadMessage:
            return False
