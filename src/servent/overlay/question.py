"""A question of our own while we are a leaf: at which homes it is, and what they have said. Pure.

It is at one home; the other is asked when that one is silent, refuses or goes, or finds nothing and has not yet shown that it is
honest. Homes may change under it, as when the mode of the network does: it is then asked again where we are now at home.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from msgspec import structs

from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.effects import Effect, Send
from servent.overlay.goal import Goal, Pair, Report, Sink
from servent.overlay.records import Item
from servent.overlay.standing import Standing
from servent.overlay.wire import Cancel, Found, Question

LOOK = 0.25  # s between two looks whether there is a home, while there is none
SILENT = 1.7  # s after a sign of life: two steps of the home's, and the way back
AUDITED = 20  # one in so many answers of an honest home is to be shown
MOST_ITEMS = 1000  # taken from one supernode
MOST_FRAMES = 200  # of one home: 500 finds take 20
MOST_RECORDS = 256  # of one home: 0.1 ms each
MOST_HOMES = 4  # asked in one question


@dataclass(slots=True)
class _At:
    """One home that was asked. `until`: if nothing is heard by then, the next is asked. `said`: its finds that fit."""

    until: float
    heard: bool = False
    over: bool = False
    refused: str = ""
    frames: int = 0
    records: int = 0
    messages: int = 2
    asked: int = 0
    answered: int = 0
    said: dict[Pair, None] = field(default_factory=dict)


@dataclass(slots=True)
class LeafQuestion:
    """Inputs are methods, outputs effects and reports to `sink`; it ends within `goal.total`.

    Attributes:
        homes: those to ask, best first, as of now.
        planned: when its desk looks after it next.
        audit: one find of the home that answered, which it is to show; None when it need not.
    """

    context: Context
    standing: Standing
    id: bytes
    goal: Goal
    homes: Callable[[], list[PeerId]]
    sink: Sink
    started: float
    over: bool = False
    planned: float = inf
    audit: tuple[PeerId, Pair] | None = None
    _at: dict[PeerId, _At] = field(default_factory=dict)
    _kept: dict[Pair, Item] = field(default_factory=dict)
    _contents: dict[bytes, int] = field(default_factory=dict)
    _look_at: float = 0.0
    _sampled: bool = False
    _layer: int = 1

    @property
    def homeless(self) -> bool:
        """Whether it is at no home and looks for one."""
        return bool(self._look_at) and not self.over

    @property
    def ends(self) -> float:
        return self.started + self.goal.total

    def start(self, now: float) -> list[Effect]:
        return self._next(now)

    def found(self, peer: PeerId, answer: Found, now: float) -> list[Effect]:
        """A frame of a home; the last of it may be the last of all."""
        at = self._at.get(peer)
        if self.over or at is None or at.over:
            return []
        at.heard, at.until = True, now + SILENT
        at.frames, at.records = at.frames + 1, at.records + len(answer.records)
        if at.frames > MOST_FRAMES or at.records > MOST_RECORDS:
            answer = structs.replace(answer, records=[], over=answer.over or at.frames > MOST_FRAMES)
        at.messages = max(at.messages, min(answer.messages, 1000))
        at.asked, at.answered = answer.asked, answer.answered
        self._sampled |= answer.sampled
        self._layer = max(self._layer, answer.layer)
        fresh: list[tuple[PeerId, Item]] = []
        for one in answer.items:
            pair = (one.publisher, one.item.content)
            if pair in self._kept:
                at.said[pair] = None
                continue
            if not self.goal.takes(self._contents, pair[1]):
                continue
            if self.goal.fits(one.item) and self.context.belongs(one.publisher):
                self._kept[pair] = one.item
                self._contents[pair[1]] = self._contents.get(pair[1], 0) + 1
                fresh.append((PeerId(one.publisher), one.item))
                at.said[pair] = None
        effects: list[Effect] = []
        if fresh or (answer.records and not answer.over):
            effects += self.sink(self._report(fresh, answer), now)
        if answer.over:
            at.over = True
            if answer.reason and not answer.items and not answer.answered:
                at.refused = answer.reason
                return effects + self._next(now)
            self._choose_audit(peer, list(at.said), now)
            poor = len(self._kept) < self.context.settings.search.wanted
            doubtful = poor and self.goal.budget > 0 and not self.standing.proven(peer, now)
            if doubtful and self._untried(now):
                return effects + self._next(now)
            if len(self._kept) or not self._open():
                return effects + self.finish(now)
        return effects

    def failed(self, peer: PeerId, now: float) -> list[Effect]:
        """The home cannot be reached, or is gone."""
        at = self._at.get(peer)
        if self.over or at is None or at.over:
            return []
        at.over, at.refused = True, "it cannot be reached"
        return self._next(now)

    def next_tick(self) -> float:
        """When something is due."""
        due = min((at.until for at in self._at.values() if not at.over and at.until), default=self.ends)
        return min(due, self.ends, self._look_at or self.ends)

    def tick(self, now: float) -> list[Effect]:
        """Another home, if the one asked is silent."""
        if self.over:
            return []
        if self.ends <= now:
            return self.finish(now)
        late = [peer for peer, at in self._at.items() if not at.over and at.until and at.until <= now]
        for peer in late:
            self._at[peer].until = 0.0
            self.standing.silent(peer, now)
        return self._next(now) if late or (self._look_at and self._look_at <= now) else []

    def cancel(self, now: float) -> list[Effect]:
        """Nobody waits for it any more."""
        self.over = True
        return [Send(peer, Cancel(self.id)) for peer, at in self._at.items() if not at.over]

    def finish(self, now: float, reason: str = "") -> list[Effect]:
        """The last report."""
        if self.over:
            return []
        rest = self.cancel(now)
        if not reason and not any(at.heard and not at.refused for at in self._at.values()):
            reason = next((at.refused for at in self._at.values() if at.refused), "no supernode has answered")
        last = self._report([], None)
        last.over, last.reason = True, reason
        return rest + self.sink(last, now)

    # -- homes

    def _untried(self, now: float) -> list[PeerId]:
        if len(self._at) >= MOST_HOMES:
            return []
        return [one for one in self.standing.trusted(self.homes(), now) if one not in self._at]

    def _open(self) -> bool:
        return any(not at.over for at in self._at.values())

    def _next(self, now: float) -> list[Effect]:
        """Ask the next home. Without one: look again soon, as long as nobody has it and time is left."""
        self._look_at = 0.0
        untried = self._untried(now)
        if untried:
            return [self._ask(untried[0], now)]
        if self._open():
            return []
        if self._kept or any(at.over and not at.refused for at in self._at.values()):
            return self.finish(now)
        if len(self._at) >= MOST_HOMES:
            return self.finish(now)
        self._look_at = now + LOOK
        return []

    def _ask(self, home: PeerId, now: float) -> Effect:
        settings = self.context.settings.search
        self._at[home] = _At(now + settings.hop)
        text = self.goal.query.text if self.goal.query is not None else ""
        budget = min(200, self.goal.budget)
        limit = min(500, self.goal.limit)
        return Send(home, Question(self.id, text, content=self.goal.content, limit=limit, budget=budget))

    def _choose_audit(self, peer: PeerId, said: list[Pair], now: float) -> None:
        """Any of what that home has said, so that none of it is safe to invent; never what only another has said."""
        dice = self.context.dice
        if said and (not self.standing.proven(peer, now) or not dice.randrange(AUDITED)):
            self.audit = peer, dice.choice(said)

    def _report(self, fresh: list[tuple[PeerId, Item]], answer: Found | None) -> Report:
        return Report(
            fresh,
            list(answer.records) if answer is not None else [],
            answer.layer if answer is not None else self._layer,
            sum(at.asked for at in self._at.values()) + len(self._at),
            sum(at.answered for at in self._at.values()) + sum(at.heard for at in self._at.values()),
            sum(at.messages for at in self._at.values()),
            self._sampled,
        )


@dataclass(slots=True)
class Inquiry:
    """A question to one supernode, to see what it says."""

    peer: PeerId
    id: bytes
    then: Callable[[dict[Pair, Item] | None, float], list[Effect]]
    ends: float
    over: bool = False
    planned: float = inf
    _found: dict[Pair, Item] = field(default_factory=dict)

    def found(self, answer: Found, now: float) -> list[Effect]:
        """One frame of its answer."""
        if len(self._found) < MOST_ITEMS:
            self._found.update({(one.publisher, one.item.content): one.item for one in answer.items})
        if not answer.over:
            return []
        return self.end(None if answer.reason and not answer.items else self._found, now)

    def end(self, found: dict[Pair, Item] | None, now: float) -> list[Effect]:
        """Say what came of it, once."""
        if self.over:
            return []
        self.over = True
        return self.then(found, now)

    def tick(self, now: float) -> list[Effect]:
        """It did not answer in time."""
        return self.end(None, now) if self.ends <= now else []

    def next_tick(self) -> float:
        return self.ends
