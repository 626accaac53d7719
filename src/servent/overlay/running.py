"""One question under way at a supernode: what is kept here, then keyed supernodes, then a probe. Pure.

Layers 1 and 2 begin at once. Two of the three keyed supernodes of the rarest word are asked, the third when one is late or
they disagree. What only one of several says is held back until it has shown the publisher's signature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.directory import Directory
from servent.overlay.effects import Counts, Effect, Find, Send
from servent.overlay.goal import Desk, Goal, Pair, Report, Sink, shows, words_asked
from servent.overlay.placement import ASKED, STORED, content_key, key_of
from servent.overlay.probing import HOT_ENOUGH, Probing
from servent.overlay.records import Item, PeerRecord, Slice
from servent.overlay.standing import LIE, UNSHOWN, Standing
from servent.overlay.terms import KNOWN, rarest
from servent.overlay.wire import AskProof, Found, Question

MOST_MESSAGES = 10  # of a question that needs no probe, with the one that asks and those that answer it
SHOW_AFTER = 0.12  # s that finds wait for the next answer before they are shown without it
SIGN_AFTER = (
    0.45  # s until a leaf hears that its question is under way, so that it does not ask its other home
)
HEDGE = 0.5  # s until the third is asked, too; an answer takes 0.1 to 0.3
MARGIN = 0.3  # s kept for the way back to the leaf
SPOT_CHECK = 20  # one in so many questions asks a supernode of good standing for a proof
FETCHED = 200  # postings asked for: as many as one answer has room for

SIFTED = 2000  # of which those are taken that have the other words, too: 20 ms of looking


@dataclass(slots=True)
class _Waited:
    """Of whom an answer is waited for, and until when it counts as soon."""

    late: float
    keys: tuple[bytes, ...] = ()
    layer: int = 2


@dataclass(slots=True)
class _Doubt:
    """What only `peer` said, held back. `asked`: about which of it a proof was asked for."""

    found: dict[Pair, Item]
    layer: int
    asked: Pair
    late: float = 0.0


@dataclass(slots=True)
class Running:
    """Inputs are methods, outputs effects and reports to `sink`; it ends within `goal.total`.

    Attributes:
        remote: whether every report costs a message to whoever asked.
        over: the last report was made; nothing comes after it.
        planned: when its desk looks after it next.
    """

    context: Context
    directory: Directory
    standing: Standing
    goal: Goal
    sink: Sink
    desk: Desk
    started: float
    remote: bool
    over: bool = False
    planned: float = inf
    due: float = 0.0
    _kept: dict[Pair, Item] = field(default_factory=dict)
    _contents: dict[bytes, int] = field(default_factory=dict)
    _fresh: dict[Pair, Item] = field(default_factory=dict)
    _records: dict[bytes, PeerRecord] = field(default_factory=dict)
    _fit: dict[Pair, Item] = field(default_factory=dict)  # of which it is known
    _own: set[Pair] = field(default_factory=set)  # of what is kept here
    _said: dict[PeerId, dict[Pair, Item]] = field(
        default_factory=dict
    )  # by keyed supernodes, as far as it fits
    _waited: dict[PeerId, _Waited] = field(default_factory=dict)
    _doubts: dict[PeerId, _Doubt] = field(default_factory=dict)
    _spare: list[PeerId] = field(default_factory=list)
    _others: list[str] = field(default_factory=list)  # further words, rarest first
    _probed: set[bytes] = field(default_factory=set)
    _keys: tuple[bytes, ...] = ()
    _local: int = 0  # answers of our own store that are still to come
    _layer: int = 1
    _messages: int = 0
    _asked: int = 0
    _answered: int = 0
    _shown: int = 0
    _show_at: float | None = None
    _probing: Probing = field(init=False)
    _sampled: bool = False
    _compared: bool = False
    _keyed_over: bool = False
    _alone: bool = (
        False  # the only supernode: what is kept under keys is kept as a home, too, but just after a switch
    )

    def __post_init__(self) -> None:
        self._probing = Probing(self.context.settings.search.batches, self.goal.budget)

    # -- from outside

    def start(self, now: float) -> list[Effect]:
        """Layers 1 and 2."""
        self.due = now + self.goal.total - (MARGIN if self.remote else 0.0)
        self._messages = 2 if self.remote else 0  # the question, and the last of what answers it
        self._show_at = now + SIGN_AFTER if self.remote else None
        effects = self._look(1, now)
        if self.goal.content is not None:
            return effects + self._second([content_key(self.context.network, self.goal.content)], now)
        assert self.goal.query is not None
        terms = words_asked(self.goal.query)
        if not terms:
            self._keyed_over = True
        elif len(terms) == 1:
            self._others = []
            return effects + self._second([key_of(self.context.network, terms[0])], now)
        else:
            self._local += 1
            effects.append(Counts(self.desk.waits(self, self._counted(terms)), terms))
        return effects

    @property
    def probed(self) -> bool:
        """Whether others were probed for it."""
        return bool(self._probed)

    def found(self, peer: PeerId, answer: Found, now: float) -> list[Effect]:
        """What `peer` says to what it was asked."""
        waited = self._waited.pop(peer, None)
        if self.over or waited is None:
            return []
        if answer.reason and not answer.items:
            return self._on(self._lost(waited, now), now)
        self._answered += 1
        self._sampled |= answer.sampled and waited.layer == 2
        said = self._fitting((PeerId(one.publisher), one.item) for one in answer.items)
        for record in answer.records:
            if record.key not in self._records and len(self._records) < 64:
                self._records[record.key] = record
        if waited.layer == 3:
            return self._on(self._probe_said(peer, said, now), now)
        self._said.setdefault(peer, {}).update(said)
        self.desk.told_by(said, peer)
        if self.standing.proven(peer, now) and not self._compared:
            self._take(said, 2)
        if len(self._said) == 1 and self._waited and self._fresh:
            self._show_at = min(self._show_at or now + SHOW_AFTER, now + SHOW_AFTER)
        return self._on([], now)

    def proof(self, peer: PeerId, slice: Slice | None, now: float) -> list[Effect]:
        """What `peer` shows for what only it had said; nothing, or what does not hold, and it has lied."""
        doubt = self._doubts.pop(peer, None)
        if self.over or doubt is None:
            return []
        self._answered += 1
        if shows(self.context, slice, doubt.asked):
            self.standing.showed(peer, now)
            self._take(doubt.found, doubt.layer)
        else:
            self.standing.struck(peer, UNSHOWN if slice is None else LIE, now)
        return self._on([], now)

    def failed(self, peer: PeerId, now: float) -> list[Effect]:
        """It cannot be reached."""
        self._doubts.pop(peer, None)
        waited = self._waited.pop(peer, None)
        if self.over or waited is None:
            return []
        self.standing.silent(peer, now)
        return self._on(self._lost(waited, now), now)

    def next_tick(self) -> float:
        """When something is due."""
        due = min((one.late for one in self._waited.values() if one.late), default=self.due)
        if self._doubts:
            due = min(due, *(one.late for one in self._doubts.values()))
        if self._show_at is not None:
            due = min(due, self._show_at)
        return min(due, self.due)

    def tick(self, now: float) -> list[Effect]:
        """Whoever is late is not waited for; what there is may be shown."""
        if self.over:
            return []
        effects: list[Effect] = []
        for peer, waited in list(self._waited.items()):
            if waited.late and waited.late <= now:
                waited.late = 0.0
                self.standing.silent(peer, now)
                effects += self._replace(now) if waited.layer == 2 else []
        for peer, doubt in list(self._doubts.items()):
            if doubt.late <= now:
                del self._doubts[peer]
                self.standing.silent(peer, now)
        if self.due <= now:
            return effects + self.finish(now)
        if self._show_at is not None and self._show_at <= now:
            self._show_at = None
            effects += self._show(now)
        return self._on(effects, now)

    def cancel(self, now: float) -> list[Effect]:
        """Nobody waits for it any more."""
        self.over = True
        return []

    def finish(self, now: float, reason: str = "") -> list[Effect]:
        """The last report."""
        if self.over:
            return []
        self.over = True
        self._waited.clear()
        self._doubts.clear()
        return self.sink(self._report(now, over=True, reason=reason), now)

    # -- our own store

    def _look(self, layer: int, now: float) -> list[Effect]:
        self._local += 1
        if layer == 2:
            limit = SIFTED if len(self._keys) > 1 else FETCHED
            return [Find(self.desk.waits(self, self._found_here(2)), limit, keys=self._keys[:1])]
        wait = self.desk.waits(self, self._found_here(1))
        limit = max(FETCHED, self.goal.limit) if self.goal.content is None else self.goal.limit
        return [Find(wait, limit, query=self.goal.query, content=self.goal.content)]

    def _found_here(self, layer: int) -> Callable[..., list[Effect]]:
        def then(found: Sequence[tuple[PeerId, Item]], more: bool, now: float) -> list[Effect]:
            self._local -= 1
            if self.over:
                return []
            fitting = self._fitting(found, exact=layer == 1)
            if layer == 2:
                self._said[self.context.me] = fitting
                self._sampled |= more
            self._own |= fitting.keys()
            self._take(fitting, layer)
            return self._on([], now)

        return then

    def _counted(self, terms: list[str]) -> Callable[..., list[Effect]]:
        def then(counts: Sequence[int], total: int, now: float) -> list[Effect]:
            self._local -= 1
            if self.over:
                return []
            by_word = dict(zip(terms, counts, strict=False))
            order = rarest(terms, by_word, total)
            most = total * self.context.settings.home.common
            if total >= KNOWN:
                order = [term for term in order if by_word.get(term, 0) <= most] or order[:1]
            self._others = order[1:]
            network = self.context.network
            return self._on(self._second([key_of(network, term) for term in order[:8]], now), now)

        return then

    # -- layer 2

    def _second(self, keys: list[bytes], now: float) -> list[Effect]:
        self._keys = tuple(keys)
        near = self.directory.nearest(keys[0], STORED, now)
        fit = self.standing.trusted((peer for peer in near if peer != self.context.me), now)
        here = self.context.me in near
        self._alone = here and not fit
        effects = self._look(2, now) if here and fit else []
        count = ASKED - here
        self._spare = fit[count:]
        for peer in fit[:count]:
            effects += self._question(peer, now)
        if not self._waited and not here:
            self._keyed_over = True
        return effects

    def _question(self, peer: PeerId, now: float, keys: tuple[bytes, ...] | None = None) -> list[Effect]:
        keys = keys or self._keys
        message = Question(self.desk.asks(self, peer), keys=list(keys), limit=FETCHED)
        late = (
            min(HEDGE, self.context.settings.search.hop) if self._spare else self.context.settings.search.hop
        )
        self._waited[peer] = _Waited(now + late, keys)
        self._asked += 1
        self._messages += 2
        return [Send(peer, message)]

    def _replace(self, now: float) -> list[Effect]:
        """One of two is late or gone: the third, once."""
        if self._keyed_over or not self._spare:
            return []
        return self._question(self._spare.pop(0), now)

    def _lost(self, waited: _Waited, now: float) -> list[Effect]:
        return self._replace(now) if waited.layer == 2 and waited.late else []

    def _settle(self, now: float) -> list[Effect]:
        """All keyed supernodes that were asked have answered, or are late: compare, and ask on if need be."""
        said = self._said
        union: dict[Pair, Item] = {pair: item for one in said.values() for pair, item in one.items()}
        if not self._compared:
            alike = all(len(one) == len(union) for one in said.values())
            third = (not alike and not self._sampled) or len(said) < ASKED
            if third and self._spare and self._room() >= 2:
                return self._question(self._spare.pop(0), now)
            self._compared = True
            effects = self._compare(union, now)
            if self._sampled and self._others:
                effects += self._second_word(now)
            if effects:
                return effects
        self._keyed_over = True
        return []

    def _compare(self, union: dict[Pair, Item], now: float) -> list[Effect]:
        """What two say counts. What one says alone is to be shown by it, if it is not known to be honest."""
        effects: list[Effect] = []
        votes = {pair: sum(pair in one for one in self._said.values()) for pair in union}
        sure = {pair: item for pair, item in union.items() if votes[pair] > 1 or pair in self._own}
        self._take(sure, 2)
        for peer, one in self._said.items():
            if peer == self.context.me:
                continue
            if union and len(self._said) > 1 and not self._sampled:
                self.standing.compared(peer, sum(pair not in one for pair in sure) / max(1, len(sure)), now)
            alone = {pair: item for pair, item in one.items() if pair not in sure}
            if alone:
                disagrees = len(self._said) > 1
                effects += self._doubt(peer, alone, 2, disagrees, len(alone) < len(one), now)
            elif one:
                self.standing.showed(peer, now)
        return effects

    def _doubt(
        self, peer: PeerId, alone: dict[Pair, Item], layer: int, disagrees: bool, fair: bool, now: float
    ) -> list[Effect]:
        """Ask for a proof of one of them, unless it is honest as far as is known. `fair`: others agree with it in part."""
        proven = self.standing.proven(peer, now)
        # without a find others are probed next, which costs far more than proofs do
        affordable = layer == 3 or self._room() >= 2 or (self._probing.budget > 0 and not self._kept)
        dice = self.context.dice
        if not affordable or (proven and not disagrees and dice.randrange(SPOT_CHECK)):
            if proven or fair or not disagrees:
                self._take(alone, layer)
            return []
        pair = dice.choice(list(alone))
        late = now + self.context.settings.search.hop
        self._doubts[peer] = _Doubt(alone, layer, pair, late)
        self._messages += 2
        return [Send(peer, AskProof(self.desk.doubts(self, peer), *pair))]

    def _second_word(self, now: float) -> list[Effect]:
        """The first word has more than anyone keeps: those that keep the second."""
        keys = (key_of(self.context.network, self._others.pop(0)), self._keys[0])
        near = self.standing.trusted(self.directory.nearest(keys[0], STORED, now), now)
        effects: list[Effect] = []
        self._spare = []
        for peer in near:
            fresh = peer != self.context.me and peer not in self._said and peer not in self._waited
            if fresh and self._room() >= 2 and len(effects) < ASKED:
                effects += self._question(peer, now, keys)
        self._compared = not effects
        return effects

    # -- layer 3

    def _probe(self, now: float) -> list[Effect]:
        settings = self.context.settings.search
        agreed = self._agreed_empty()
        me, standing = self.context.me, self.standing
        proven = agreed and all(peer == me or standing.proven(peer, now) for peer in self._said)
        size = self._probing.next(len(self._kept), hot=self._sampled, agreed=agreed, proven=proven)
        if not size:
            return []
        seen = [self.context.me, *self._probed]
        query = self.goal.query
        effects: list[Effect] = []
        for peer in self.directory.random(size, now, seen):
            self._probed.add(peer)
            if self.standing.barred(peer, now) or peer == self.context.me or peer in self._waited:
                continue
            text = query.text if query is not None else ""
            name, limit = self.desk.asks(self, peer), min(FETCHED, self.goal.limit)
            message = Question(name, text, content=self.goal.content, limit=limit, probe=True)
            self._waited[peer] = _Waited(now + settings.hop, layer=3)
            self._asked += 1
            self._messages += 2
            self._probing.budget -= 1
            effects.append(Send(peer, message))
        return effects

    def _probe_said(self, peer: PeerId, said: dict[Pair, Item], now: float) -> list[Effect]:
        new = {pair: item for pair, item in said.items() if pair not in self._kept}
        return self._doubt(peer, new, 3, False, False, now) if new else []

    def _agreed_empty(self) -> bool:
        keyed = bool(self._keys) and not self._sampled
        return keyed and len(self._said) >= ASKED and not any(self._said.values())

    # -- how far it is

    def _on(self, effects: list[Effect], now: float) -> list[Effect]:
        """Whatever is next, once nobody is waited for that is in time."""
        while not self.over:
            if self.goal.full(self._contents):
                return effects + self.finish(now)
            if self._local or self._doubts or any(one.late for one in self._waited.values()):
                break
            if self._alone:
                self._alone = False
                if not self._enough():
                    effects += self._look(2, now)
                    continue
                self._keyed_over = True
            if not self._keyed_over:
                more = self._settle(now)
                effects += more
                if more or not self._keyed_over:
                    continue
            if self._enough():
                return effects + self.finish(now)
            before = self._probing.batch
            effects += self._show(now) + self._probe(now) if self._fresh else self._probe(now)
            if self._probing.batch == before:
                return effects + self.finish(now)
        if self._fresh and not self.over and (not self.remote or (self._layer == 1 and not self._local)):
            effects += self._show(now)
        return effects

    def _room(self) -> int:
        """Messages that may still be spent; one is for the sign to a leaf that its question is under way."""
        return MOST_MESSAGES - self._messages - (self.remote and not self._shown)

    def _enough(self) -> bool:
        """Whether no probe is needed. A word that is too hot is not kept everywhere: some are asked where little of it is known."""
        if not self._keys or (self._sampled and self._keyed_over):
            share = HOT_ENOUGH if self._keys else 1.0
            return self.goal.full(self._contents, share) or (bool(self._keys) and self._probing.budget <= 0)
        return len(self._kept) >= self.context.settings.search.wanted

    def _fitting(self, found: Iterable[tuple[PeerId, Item]], exact: bool = False) -> dict[Pair, Item]:
        """Those that answer. `exact`: our own store has looked for the very query."""
        belongs, fits, known = self.context.belongs, self.goal.fits, self._fit
        fitting: dict[Pair, Item] = {}
        for publisher, item in found:
            pair = bytes(publisher), item.content
            if exact or known.get(pair) == item or (fits(item) and belongs(publisher)):
                fitting[pair] = known[pair] = item
        return fitting

    def _take(self, found: dict[Pair, Item], layer: int) -> None:
        for pair, item in found.items():
            if pair not in self._kept and self.goal.takes(self._contents, pair[1]):
                self._contents[pair[1]] = self._contents.get(pair[1], 0) + 1
                self._kept[pair] = self._fresh[pair] = item
                self._layer = max(self._layer, layer)

    def _show(self, now: float) -> list[Effect]:
        """A report before the last, if it may still cost one."""
        if self.remote:
            if not self._probing.batch and self._messages + 1 + 2 * (not self._compared) > MOST_MESSAGES:
                return []
            if not self._fresh and self._shown:
                return []
            self._messages += 1
        elif not self._fresh:
            return []
        self._shown += 1
        self._show_at = None
        return self.sink(self._report(now), now)

    def _report(self, now: float, over: bool = False, reason: str = "") -> Report:
        found = [(PeerId(pair[0]), item) for pair, item in self._fresh.items()]
        self._fresh = {}
        records, self._records = list(self._records.values()), {}
        return Report(
            found,
            records,
            self._layer,
            self._asked,
            self._answered,
            self._messages,
            self._sampled,
            over,
            reason,
        )
