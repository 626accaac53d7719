"""Canaries: now and then a supernode is asked for what it must have, in a question like any other.

A home is asked for an item of ours; a keyed supernode for one that a leaf of ours published. Who lacks it loses standing with
us, and in the end is our home no more; nobody else is told.
"""

from __future__ import annotations

from collections.abc import Sequence

from servent.identity import PeerId
from servent.overlay.asking import Asking
from servent.overlay.context import Context
from servent.overlay.directory import Directory
from servent.overlay.effects import Effect, Load
from servent.overlay.goal import Pair
from servent.overlay.homes import Homes
from servent.overlay.housing import Housing
from servent.overlay.part import Part
from servent.overlay.placement import STORED, content_key
from servent.overlay.records import Item, Slice
from servent.overlay.standing import LAPSE
from servent.overlay.terms import rarest, words_of
from servent.overlay.wire import Posting, Question

FIRST = 20.0  # s after a home is new; it grows threefold with each item that is there
AGE = 60.0  # s that a home had an item before it must be found
KEYED_AGE = 600.0  # s, of an item that was passed on in the bulk lane
SAMPLE = 16  # items of leaves that are remembered
WORDS = 2  # in a question for an item


class Canaries(Part):
    """Asks nothing on a peer that has published nothing and keeps nothing, nor where `canary_every` is 0."""

    def __init__(
        self, context: Context, directory: Directory, homes: Homes, housing: Housing, asking: Asking
    ) -> None:
        self._context, self._directory, self._homes, self._asking = context, directory, homes, asking
        self._at: dict[
            PeerId, tuple[float, float]
        ] = {}  # home: when it is asked next, and how long after that
        self._sample: list[tuple[float, Pair]] = []
        self._kept = 0
        self._next: float | None = None
        self._keyed_at: float | None = None
        self.asked = self.missed = 0
        housing.kept.append(self._new)

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if self._next is not None and self._next <= now:
            effects += self._look(now)
        if self._keyed_at is not None and self._keyed_at <= now:
            effects += self._keyed(now)
        return effects

    def next_tick(self) -> float | None:
        return min((at for at in (self._next, self._keyed_at) if at is not None), default=None)

    def up(self, peer: PeerId, now: float) -> list[Effect]:
        wanted = self._context.settings.search.canary_every > 0
        if wanted and peer not in self._at and self._directory.own is None:
            self._next = min(self._next or now + FIRST, now + FIRST)
        return []

    # -- homes

    def _look(self, now: float) -> list[Effect]:
        """Ask the homes whose turn it is."""
        homes = [one for one in self._homes.homes() if one != self._context.me]
        self._at = {home: self._at.get(home, (now + FIRST, FIRST)) for home in homes}
        effects: list[Effect] = []
        for home, (at, pause) in list(self._at.items()):
            if at <= now:
                self._at[home] = now + pause, pause
                effects += self._ask(home, now)
        every = self._context.settings.search.canary_every
        self._next = min((at for at, _ in self._at.values()), default=now + every)
        return effects

    def _ask(self, home: PeerId, now: float) -> list[Effect]:
        item = self._homes.sample(home, now, AGE)
        if item is None:
            return []
        pair = bytes(self._context.me), item.content
        every = self._context.settings.search.canary_every

        def then(found: dict[Pair, Item] | None, now: float) -> list[Effect]:
            if found is None:
                return []
            there = pair in found
            if home in self._at:
                pause = min(every, 3 * self._at[home][1]) if there else FIRST
                self._at[home] = now + pause * self._context.dice.uniform(0.8, 1.2), pause
                self._next = min(at for at, _ in self._at.values())
            return self._judge(home, there, now)

        return self._asking.inquire(home, self._question(item), then, now)

    def _question(self, item: Item) -> Question:
        """As anybody might ask for it: by its hash, or by two of its words."""
        dice, budget = self._context.dice, self._context.settings.search.budget
        name = dice.randbytes(16)
        words = [word for word in rarest(words_of(item)) if word.isalnum()][:WORDS]
        if words and dice.random() < 0.5:
            return Question(name, " ".join(words), limit=200, budget=budget)
        return Question(name, content=item.content, limit=200, budget=budget)

    def _judge(self, peer: PeerId, there: bool, now: float) -> list[Effect]:
        self.asked += 1
        if there:
            self._asking.standing.showed(peer, now)
            return []
        self.missed += 1
        return self._asking.struck(peer, LAPSE, now)

    # -- keyed supernodes

    def _new(self, slice: Slice, postings: Sequence[Posting], now: float) -> list[Effect]:
        """A fair sample of what leaves publish here (Vitter's algorithm R)."""
        if postings or self._context.settings.search.canary_every <= 0:
            return []
        publisher = slice.batch.publisher
        for item in slice.items.values():
            self._kept += 1
            place = (
                len(self._sample) if len(self._sample) < SAMPLE else self._context.dice.randrange(self._kept)
            )
            if place < SAMPLE:
                self._sample[place : place + 1] = [(now, (publisher, item.content))]
        if self._keyed_at is None and self._sample:
            self._keyed_at = now + self._context.settings.search.canary_every
        return []

    def _keyed(self, now: float) -> list[Effect]:
        """Ask one of those that are nearest to an item that we passed on, if it is kept here still."""
        self._keyed_at = now + self._context.settings.search.canary_every if self._sample else None
        old = [one for one in self._sample if one[0] + KEYED_AGE <= now]
        if not old:
            return []
        chosen = self._context.dice.choice(old)
        pair = chosen[1]
        key = content_key(self._context.network, pair[1])

        def loaded(slice: Slice | None, _postings: object, now: float) -> list[Effect]:
            me = self._context.me
            near = [one for one in self._directory.nearest(key, STORED, now, storing=True) if one != me]
            if slice is None or not near:
                if chosen in self._sample:
                    self._sample.remove(chosen)
                return []
            peer = self._context.dice.choice(near)
            question = Question(self._context.dice.randbytes(16), keys=[key], limit=200)

            def then(found: dict[Pair, Item] | None, now: float) -> list[Effect]:
                if found is None or (pair not in found and len(found) >= 200):
                    return []
                return self._judge(peer, pair in found, now)

            return self._asking.inquire(peer, question, then, now)

        return [Load(self._context.wait(loaded), PeerId(pair[0]), content=pair[1])]
