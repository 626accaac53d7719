"""How supernodes hear of each other: what is new goes to a few others at once, the rest is found by comparing lists. Pure.

A rumour is passed on once by everybody who hears it, to four others (Demers and others 1987): all but e^-4 = 2 % hear it. Three
of the four are peers it is connected with, as far as there are any. Every five minutes one compares its list with that of
another by ranges (`reconcile`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.due import Due
from servent.overlay.effects import Effect, Send
from servent.overlay.known import EVER, Known
from servent.overlay.rates import Rates
from servent.overlay.reconcile import compare, opening, wanting
from servent.overlay.records import SupernodeRecord
from servent.overlay.wire import Message, Ranges, Supernodes

SMALL = 8  # supernodes that are all told directly
FANOUT = 4  # others that hear a rumour from each who hears it
RUMOUR = 1.0  # s that rumours wait for company: of new supernodes, and of those about to go
LOADS = 5.0  # the same, of another number of leaves
LAZY = 30.0  # the same, of a mere refresh
TO_LEAVES = 60.0  # s between two messages to the same leaf
CHUNK = 24  # records in one message: at most 1 kB each
QUIET = 15.0  # s for which what somebody sends answers a question of ours, and is no rumour
FIRST_LOOKS = (2.0, 10.0, 40.0)  # s until a new supernode compares its list, each time after the time before
NEWCOMER = (
    30.0  # s after we heard of a new supernode until we compare lists: 2 % of the others did not hear of it
)
BEHIND = 15.0  # s until the next look while some records are not believed yet
MOST_LOOKS = 24  # such looks, after the first ones: those that nobody ever vouches for are not waited for
TOLD = (100.0, 10_000.0)  # records a second, and at once, that one other may have of us by that
MOST_SENT = 1024  # records sent because two lists differ


class Rumours:
    """Runs while we carry the role.

    Args:
        total: how many supernodes there are, to be told along.
        links: peers we are connected with.
        leaves: who is to hear of new supernodes from us.
        behind: whether there are records that we have not come to believe yet.
    """

    def __init__(
        self,
        context: Context,
        known: Known,
        total: Callable[[float], int],
        links: Collection[PeerId],
        leaves: Callable[[], Iterable[PeerId]],
        behind: Callable[[], bool],
    ) -> None:
        self._context, self._known, self._total = context, known, total
        self._links, self._leaves, self.behind = links, leaves, behind
        self._settings = context.settings.directory
        self._news: dict[bytes, tuple[PeerId | None, bool]] = {}
        self._for_leaves: dict[bytes, None] = {}
        self._quiet: dict[PeerId, float] = {}
        self._rate = Rates(5.0, 100.0)
        self._told = Rates(*TOLD)
        self._looks = 0
        self.due = Due()

    def start(self, now: float) -> None:
        self._looks = 0
        self.due.set("compare", now + FIRST_LOOKS[0] * self._jitter())

    def leaving(self, at: float) -> None:
        """We lay the role down at about that time: see before who else does."""
        self.due.soon("compare", at)

    def stop(self) -> None:
        self._news.clear()
        self._for_leaves.clear()
        for name in ("compare", "rumour", "leaves"):
            self.due.drop(name)

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for name in self.due.take(now):
            match name:
                case "rumour":
                    effects += self._pass_on(now)
                case "leaves":
                    effects += self._tell_leaves(now)
                case _:
                    effects += self._compare(now)
        return effects

    def _jitter(self) -> float:
        return self._context.dice.uniform(0.75, 1.25)

    # -- rumours

    def hush(self, peer: PeerId, now: float) -> None:
        """We ask it something: what it sends now is an answer."""
        if len(self._quiet) >= 64:
            self._quiet = {one: ends for one, ends in self._quiet.items() if ends > now}
        self._quiet[peer] = now + QUIET

    def heard(
        self, record: SupernodeRecord, before: SupernodeRecord | None, source: PeerId | None, now: float
    ) -> None:
        """A record was taken in: others are to hear of it, soon when it matters to them."""
        if self._known.own is None or (source is not None and self._quiet.get(source, EVER) > now):
            return
        key = record.peer.key
        if before is None or before.block != record.block or before.retiring != record.retiring:
            wait = RUMOUR
            self._for_leaves[key] = None
            if "leaves" not in self.due:
                self.due.set("leaves", now + TO_LEAVES * self._jitter())
        else:
            wait = LOADS if before.leaves != record.leaves else LAZY
        self._news[key] = (source, before is None)
        if before is None and self._looks >= len(FIRST_LOOKS):
            self.due.soon("compare", now + NEWCOMER * self._jitter())
        self.due.soon("rumour", now + wait)

    def announce(self, record: SupernodeRecord, neighbours: Iterable[PeerId], now: float) -> list[Effect]:
        """Our own record goes out at once: to some others, and to neighbours while supernodes are few."""
        told = self._known.near_and_far(SMALL, now, (), self._links)
        if self._known.alive(now) <= SMALL:
            told += sorted(set(neighbours) - set(told))[:SMALL]
        message = Supernodes([record], self._total(now))
        return [Send(peer, message) for peer in told]

    def spread(self, message: Message, leave_out: Sequence[bytes], now: float) -> list[Effect]:
        """Something else that others should hear once; while they are few they heard it from where it came."""
        if self._known.own is None or len(self._known) <= SMALL:
            return []
        return [
            Send(other, message) for other in self._known.near_and_far(FANOUT, now, leave_out, self._links)
        ]

    def _pass_on(self, now: float) -> list[Effect]:
        """While they are few only what is new altogether: the rest all heard from where it came."""
        news, self._news = self._news, {}
        small = len(self._known) <= SMALL
        keys = [key for key, (_, fresh) in news.items() if fresh or not small]
        records = [record for key in keys if (record := self._known.get(key)) is not None]
        if not records:
            return []
        sources = {news[key][0] for key in keys}
        out: list[bytes] = keys if len(keys) == 1 else []
        if len(sources) == 1:
            out = [*out, *[peer for peer in sources if peer is not None]]
        others = self._known.near_and_far(SMALL if small else FANOUT, now, out, self._links)
        return self._records(others, records, now)

    def _tell_leaves(self, now: float) -> list[Effect]:
        """Leaves of a small network hear of each new supernode, those of a large one know enough."""
        news, self._for_leaves = self._for_leaves, {}
        if self._total(now) > self._settings.leaf:
            return []
        records = [record for key in news if (record := self._known.get(key)) is not None][:CHUNK]
        return self._records(self._leaves(), records, now) if records else []

    def _records(
        self, peers: Iterable[PeerId], records: Sequence[SupernodeRecord], now: float
    ) -> list[Effect]:
        total, parts = self._total(now), chunks(records)
        return [Send(peer, Supernodes(part, total), "bulk") for peer in peers for part in parts]

    # -- comparing

    def _compare(self, now: float) -> list[Effect]:
        """With one other at random. Who is new does so more often at first, and says who it is."""
        known, looks = self._known, self._looks
        staying = [peer for peer in known.random(8, now, ()) if not known.retires(peer)]
        others = staying[:1] or known.random(1, now, ())
        self._looks = looks + bool(others)
        wait = FIRST_LOOKS[looks] if looks < len(FIRST_LOOKS) else self._settings.reconcile_every
        if self.behind() and looks < MOST_LOOKS:
            wait = min(wait, BEHIND)
        self.due.set("compare", now + wait * self._jitter())
        if len(known) > self._settings.complete or known.own is None:
            return []
        effects: list[Effect] = []
        for peer in others:
            if looks < len(FIRST_LOOKS):
                effects.append(Send(peer, Supernodes([known.own], self._total(now))))
            effects.append(self._asking(peer, opening(known.ids()), now))
        return effects

    def on_ranges(self, peer: PeerId, message: Ranges, now: float) -> list[Effect]:
        """Another supernode compares its list with ours."""
        known = self._known
        if known.own is None or peer not in known or not self._rate.allow(peer, 1.0, now):
            return []
        found = compare(known.ids(), message)
        missing = known.wanted(found.theirs)
        effects: list[Effect] = [self._asking(peer, one, now) for one in [*found.answers, *wanting(missing)]]
        news = [one for one in known.of_ids(found.ours) if one.peer.key != peer] if found.ours else []
        news = news[:MOST_SENT]
        if not news or not self._told.allow(peer, len(news), now):
            return effects
        return [*effects, *self._records([peer], news, now)]

    def _asking(self, peer: PeerId, message: Ranges, now: float) -> Send:
        self.hush(peer, now)
        return Send(peer, message)


def chunks(records: Sequence[SupernodeRecord]) -> list[list[SupernodeRecord]]:
    """In messages of a size that a frame takes; one empty for none."""
    return [list(records[i : i + CHUNK]) for i in range(0, len(records), CHUNK)] or [[]]
