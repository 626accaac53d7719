"""Neighbours in one topic: HyParView (Leitao, Pereira, Rodrigues, DSN 2007), hardened. Pure.

The active view is symmetric and small, and connections to it are held; the passive view is what it is repaired from. What
was added to the paper: an empty member asks the providers again; some neighbours are always of our own choosing; address
blocks and rates bound what others can put into either view; whoever takes us for a neighbour that we are not is told so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from servent.errors import BadMessage
from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.effects import Bootstrap, Effect, Hold, Learn, Neighbour, Release, Send, Tell
from servent.overlay.guard import Entry, Guard, Place, place_of
from servent.overlay.records import PeerRecord
from servent.overlay.reserve import Dial, Reason, Reserve
from servent.overlay.score import RATE
from servent.overlay.wire import Accept, Ask, Decline, Join, Leave, Shuffle, Shuffled, Walk

JOINS = 6.0  # a minute from one address block; 600 from where blocks do not count
WALKS = 1200.0  # a minute through one neighbour: a crowd may be coming in
SHUFFLES = 60.0  # a minute through one neighbour; ten times what a network at rest has
NEW = 240.0  # s; whose neighbours are all newer stirs more
WELCOME = 10.0  # s after our Join, in which those who ask us do so because we wanted it
EVER = float("inf")


class View:
    """The views of one topic. Messages come from peers that TLS proved; time is monotonic seconds.

    Args:
        home: the network's own topic, whose neighbours are told of, and which asks providers for peers.
        changed: called with each peer that becomes a neighbour, or ceases to be one.
    """

    __slots__ = (
        "_again",
        "_alarm",
        "_alarm_at",
        "_changed",
        "_context",
        "_due",
        "_failed",
        "_few_at",
        "_fill_at",
        "_guard",
        "_inside",
        "_quiet_until",
        "_shuffle_at",
        "_shuffled_until",
        "_welcome_until",
        "active",
        "home",
        "most",
        "pending",
        "reserve",
        "topic",
    )

    def __init__(
        self,
        context: Context,
        guard: Guard,
        topic: bytes,
        home: bool,
        changed: Callable[[PeerId, bool], None],
    ) -> None:
        settings = context.settings.view
        self._context, self._guard, self.topic, self.home, self._changed = (
            context,
            guard,
            topic,
            home,
            changed,
        )
        self.most = settings.active
        self.active: dict[PeerId, Entry] = {}
        self.pending: dict[PeerId, Dial] = {}
        self.reserve = Reserve(context, guard, settings.passive)
        self._inside = False  # whether anyone has accepted us since we last were alone
        self._again = settings.again
        self._failed = 0  # dials in a row that led nowhere while there was no neighbour
        self._alarm = settings.alarm
        self._alarm_at = self._fill_at = self._shuffle_at = self._few_at = EVER
        self._shuffled_until = self._quiet_until = self._welcome_until = -EVER
        self._due = EVER

    # -- what its node wants

    def join(self, contacts: Iterable[PeerRecord], now: float) -> list[Effect]:
        """Peers to begin at. None at all: the providers are asked. To whom nobody answers they come before all it knows."""
        effects: list[Effect] = []
        for record in contacts:
            taken = self.reserve.take(record, now)
            if taken is None:
                continue
            self.reserve.remember(taken, b"", now, self.active)
            entry = self.reserve.entries.get(PeerId(taken.key))
            if self._deserted and entry is not None and entry.key not in self.pending:
                effects += self._dial(entry, "fill", True, now)
        self._again = self._context.settings.view.again
        return self._end(effects + self._fill(now), now)

    def meet(self, record: PeerRecord, now: float) -> list[Effect]:
        """Somebody looks for a neighbour here: we ask it, if we have room; a few do who have none."""
        taken = self.reserve.take(record, now)
        if taken is None:
            return []
        full = len(self.active) + len(self.pending) >= self.most
        if full and self._context.dice.random() >= 1 / 8:
            return []
        return self._end(self._invite(taken, b"", now), now)

    def grow(self, active: int, passive: int, now: float) -> list[Effect]:
        """Room for so many neighbours from now on."""
        self.most = active
        self.reserve.shrink(passive)
        effects: list[Effect] = []
        while len(self.active) > active:
            effects += self._part(self._context.dice.choice(list(self.active)), now)
        return self._end(effects + self._fill(now), now)

    def expel(self, peer: PeerId, now: float) -> list[Effect]:
        """Nothing more with that one."""
        self.reserve.forget(peer)
        self.reserve.found(peer)
        self.pending.pop(peer, None)
        effects = self._part(peer, now, keep=False) if peer in self.active else []
        return self._end(effects + self._fill(now, at_once=True), now)

    def close(self, now: float) -> list[Effect]:
        """Say goodbye for good. Nothing is called after it."""
        effects: list[Effect] = []
        for peer in list(self.active):
            effects.append(Send(peer, Leave(self.topic, gone=True)))
            effects += self._remove(peer)
        self.pending.clear()
        self._due = EVER
        return effects

    # -- messages

    def on_join(self, peer: PeerId, message: Join, now: float) -> list[Effect]:
        record = self._own_record(peer, message.record, now)
        place = place_of(message.record)
        limit = JOINS if self._guard.counts(place) else 100 * JOINS
        if record is None or not self._guard.may("join", place.block, limit, now):
            return [Send(peer, Decline(self.topic))]
        effects: list[Effect] = []
        if peer not in self.active:
            walk = Walk(self.topic, record, self._context.settings.view.join_hops)
            effects += self._add(record, place, b"", False, now)
            effects += [Send(other, walk) for other in self.active if other != peer]
        effects.append(Send(peer, Accept(self.topic, self._context.record)))
        return self._end(effects, now)

    def on_walk(self, peer: PeerId, message: Walk, now: float) -> list[Effect]:
        if peer not in self.active:
            return self._not_ours(peer)
        newcomer = PeerId(message.record.key)
        if newcomer in (self._context.me, peer) or not self._guard.may("walk", peer, WALKS, now):
            return []
        others = [one for one in self.active if one not in (peer, newcomer)]
        if message.hops == 0 or not others:
            record = self.reserve.take(message.record, now)
            return self._end(self._invite(record, peer, now), now) if record is not None else []
        settings = self._context.settings.view
        on: PeerRecord | None = message.record
        if message.hops == settings.keep_hops:
            on = self.reserve.take(message.record, now)
            if on is not None:
                self.reserve.remember(on, peer, now, self.active)
        elif not self.reserve.vouch(message.record, now):
            return []
        if on is None:
            return []  # nothing is passed on that was not checked here
        step = Walk(self.topic, on, min(message.hops, settings.join_hops) - 1)
        return self._end([Send(self._context.dice.choice(others), step), *self._fill(now)], now)

    def on_ask(self, peer: PeerId, message: Ask, now: float) -> list[Effect]:
        record = self._own_record(peer, message.record, now)
        if record is None:
            return [Send(peer, Decline(self.topic))]
        effects: list[Effect] = []
        if peer not in self.active:
            place = place_of(record)
            dial = self.pending.get(peer)
            mine = now < self._welcome_until or (dial is not None and dial.entry.mine)
            if not message.urgent and self._in_the_way(place, mine, now):
                self.reserve.remember(record, peer, now, self.active, tried=now)
                return self._end([Send(peer, Decline(self.topic))], now)
            if message.urgent and not self._guard.may("urgent", place.block or peer, 10 * JOINS, now):
                return [Send(peer, Decline(self.topic))]
            effects += self._add(record, place, b"", mine, now)
        effects.append(Send(peer, Accept(self.topic, self._context.record)))
        return self._end(effects, now)

    def on_accept(self, peer: PeerId, message: Accept, now: float) -> list[Effect]:
        dial = self.pending.get(peer)
        record = self._own_record(peer, message.record, now)
        if peer in self.active:
            return self._end([], now)
        if dial is None or record is None:
            return self._not_ours(peer)
        others = self._others()
        if len(self.active) >= self.most and (
            (dial.why == "fill" and len(self.active) - len(others) >= self.most // 2)
            or (dial.why == "walk" and not others)
        ):
            del self.pending[peer]  # somebody was quicker
            self.reserve.remember(record, b"", now, self.active, tried=now)
            return self._end([Send(peer, Leave(self.topic))], now)
        return self._end(self._add(record, place_of(record), dial.entry.source, dial.entry.mine, now), now)

    def on_decline(self, peer: PeerId, message: Decline, now: float) -> list[Effect]:
        dial = self.pending.pop(peer, None)
        if dial is None:
            return []
        entry = self.reserve.entries.get(peer)
        if entry is not None:
            entry.failures = 0
        most = self._context.settings.view.again_most
        wait = self._again if self.active else min(self._again, 2.0)
        self._again = min(most, 2 * self._again)
        self._fill_at = min(self._fill_at, now + wait * (0.5 + self._context.dice.random()))
        return self._end([], now)

    def on_leave(self, peer: PeerId, message: Leave, now: float) -> list[Effect]:
        self.pending.pop(peer, None)
        entry = self.active.get(peer)
        effects: list[Effect] = []
        if entry is not None:
            effects += self._remove(peer)
        if message.gone:
            self.reserve.forget(peer)
            self.reserve.found(peer)
        elif entry is not None:
            self.reserve.remember(entry.record, b"", now, self.active, tried=now)
        elif peer in self.reserve.entries:
            self.reserve.entries[peer].tried = now
        return self._end(effects + self._fill(now, at_once=entry is not None), now)

    def on_shuffle(self, peer: PeerId, message: Shuffle, now: float) -> list[Effect]:
        if peer not in self.active:
            return self._not_ours(peer)
        if not self._guard.may("shuffle", peer, SHUFFLES, now):
            self._guard.scores.add(peer, RATE, now)
            return []
        origin = PeerId(message.origin.key)
        if origin == self._context.me:
            return []
        others = [one for one in self.active if one not in (peer, origin)]
        if message.hops > 0 and others:
            if not self.reserve.vouch(message.origin, now):
                return []
            if origin in self.active:
                self.reserve.take(message.origin, now)
            records = [one for one in message.records if self.reserve.vouch(one, now)]
            hops = min(message.hops, self._context.settings.view.join_hops) - 1
            on = Shuffle(self.topic, message.origin, records, hops)
            return [Send(self._context.dice.choice(others), on)]
        record = self.reserve.take(message.origin, now)
        if record is None:
            return []
        answer = self.reserve.pass_on(max(1, len(message.records)), now, (origin,))
        effects: list[Effect] = [Learn(record), Send(origin, Shuffled(self.topic, answer))]
        self._mix([record, *message.records], peer, now)
        return self._end(effects + self._fill(now), now)

    def on_shuffled(self, peer: PeerId, message: Shuffled, now: float) -> list[Effect]:
        if now > self._shuffled_until:
            return []  # nobody asked
        self._shuffled_until = -EVER
        self._mix(message.records, peer, now)
        return self._end(self._fill(now), now)

    # -- links

    def up(self, peer: PeerId, now: float) -> list[Effect]:
        dial = self.pending.get(peer)
        if dial is not None:
            dial.until = min(dial.until, now + self._context.settings.view.answer)
        return self._end([], now)

    def down(self, peer: PeerId, now: float) -> list[Effect]:
        """The connection is gone, or could not be made."""
        effects: list[Effect] = []
        entry = self.active.get(peer)
        if entry is not None:
            effects += self._remove(peer)
            self.reserve.lose(entry, now)
            self._again = self._context.settings.view.again
        elif self.pending.pop(peer, None) is not None:
            self._failed += not self.active
            self.reserve.failed(peer, not self.active)
        else:
            return []
        return self._end(effects + self._fill(now, at_once=True), now)

    # -- time

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for peer in [peer for peer, dial in self.pending.items() if dial.until <= now]:
            del self.pending[peer]
            self._failed += not self.active
            self.reserve.failed(peer, not self.active)
            self._fill_at = now
        if self._shuffle_at <= now:
            effects += self._shuffle(now)
            if self._fill_at == EVER:
                self._fill_at = now
        if self._fill_at <= now or self._alarm_at <= now:
            effects += self._fill(now)
        if self._few_at <= now:
            self._few_at = EVER
            if self._few() and self.home:
                effects.append(Bootstrap())
        return self._end(effects, now)

    def next_tick(self) -> float | None:
        return None if self._due == EVER else self._due

    # -- inside

    def _shuffle(self, now: float) -> list[Effect]:
        self._shuffle_at = EVER  # `_end` sets it anew
        self.reserve.sweep(now)
        effects: list[Effect] = []
        lost = self.reserve.retry(now, self.active, not self.active) if self.reserve.losing else None
        if lost is not None and lost.key not in self.pending:
            effects += self._dial(lost, "stir", True, now)
        if not self.active:
            return effects
        settings = self._context.settings.view
        peer = self._context.dice.choice(list(self.active))
        others = [one for one in self.active.items() if one[0] != peer]
        chosen = self._context.dice.sample(others, min(settings.shuffle_own, len(others)))
        records = self.reserve.live(chosen, now) + self.reserve.pass_on(
            settings.shuffle_passive, now, (peer,)
        )
        self._shuffled_until = now + 30.0
        message = Shuffle(self.topic, self._context.record, records, settings.join_hops)
        new = now - min(one.since for one in self.active.values()) < NEW
        if self._context.dice.random() < (5 * settings.stir if new else settings.stir):
            asked = {one: dial.entry for one, dial in self.pending.items()}
            entry = self.reserve.choose(now, self.active, asked, False)
            effects += self._dial(entry, "stir", True, now) if entry is not None else []
        effects.append(Send(peer, message))
        many = self._guard.too_many(self.active, self.reserve.diverse)
        return effects if many is None else effects + self._part(many, now)

    def _mix(self, records: Iterable[PeerRecord], source: PeerId, now: float) -> None:
        """Records that `source` gave us go into the passive view."""
        for record in records:
            taken = self.reserve.take(record, now)
            if taken is not None:
                self.reserve.remember(taken, source, now, self.active)
        self.reserve.compare(self.active)

    def _fill(self, now: float, at_once: bool = False) -> list[Effect]:
        """Ask others until enough are asked; after a `Decline` not before its time, unless somebody was lost."""
        if now < self._fill_at < EVER and self.active and not at_once:
            return []
        self._fill_at = EVER
        effects: list[Effect] = []
        while len(self.active) + len(self.pending) < self.most:
            asked = {peer: dial.entry for peer, dial in self.pending.items()}
            entry = self.reserve.choose(now, self.active, asked, not self.active)
            if entry is None:
                break
            entry.tried = now
            effects += self._dial(entry, "fill", not self.active, now)
        if not self.active and (not self.pending or self._deserted):
            effects += self._alone(now)
        else:
            self._alarm_at = EVER
        return effects

    def _dial(self, entry: Entry, why: Reason, urgent: bool, now: float) -> list[Effect]:
        settings = self._context.settings.view
        wait = settings.answer if entry.key in self._guard.links else settings.dial + settings.answer
        entry.mine = True
        own = self._context.record
        hello: Ask | Join = Ask(self.topic, own, urgent)
        if not self._inside and not self.pending:
            hello = Join(self.topic, own)
            self._welcome_until = now + WELCOME
        self.pending[entry.key] = Dial(entry, now + wait, why)
        return [Learn(entry.record), Send(entry.key, hello)]

    def _alone(self, now: float) -> list[Effect]:
        """Nobody is left: ask the providers, and again while it stays so."""
        self._inside = False
        if now < self._quiet_until:
            self._alarm_at = self._quiet_until
            return []
        settings = self._context.settings.view
        self._alarm_at = self._quiet_until = now + self._alarm * (0.75 + 0.5 * self._context.dice.random())
        self._alarm = min(settings.alarm_most, 2 * self._alarm)
        lost = self.reserve.retry(now, self.active, True)
        again = lost is not None and lost.key not in self.pending
        return [Bootstrap(), *(self._dial(lost, "stir", True, now) if lost is not None and again else [])]

    def _invite(self, record: PeerRecord, source: bytes, now: float) -> list[Effect]:
        """A newcomer's walk ended here: ask it to be our neighbour."""
        peer = PeerId(record.key)
        if peer in self.active or peer in self.pending:
            return []
        place = place_of(record)
        full = len(self.active) + len(self.pending) >= self.most
        alone = len(self.active) <= 1
        others = len(self._others())
        room = len(self.pending) < self.most and (others > 0 if full else others < self.most - self.most // 2)
        if self._guard.crowding(self.active.items(), place, self.reserve.diverse) or not (
            room or (alone and not full)
        ):
            self.reserve.remember(record, source, now, self.active)
            return self._fill(now)
        effects = self._dial(Entry(record, place, source, now), "walk", alone, now)
        self.pending[peer].entry.mine = alone  # else somebody else chose it
        return effects

    def _others(self) -> list[PeerId]:
        """Neighbours that we did not choose ourselves."""
        return [peer for peer, one in self.active.items() if not one.mine]

    def _in_the_way(self, place: Place, mine: bool, now: float) -> list[PeerId]:
        return self._guard.in_the_way(self.active, place, mine, self.most, self.reserve.diverse, now)

    def _add(self, record: PeerRecord, place: Place, source: bytes, mine: bool, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for victim in self._in_the_way(place, mine, now):
            # The newcomer comes between us and it, so that nobody is cut off.
            effects += [Send(victim, Walk(self.topic, record, 0)), *self._part(victim, now)]
        peer = PeerId(record.key)
        self.pending.pop(peer, None)
        self.reserve.forget(peer)
        self.reserve.found(peer)
        if not self._inside or not self.active:
            settings = self._context.settings.view
            self._shuffle_at = now + 1.0 + self._context.dice.random()  # a newcomer knows nobody yet
            self._inside, self._alarm, self._again = True, settings.alarm, settings.again
            self._failed = 0
            self._quiet_until = now + settings.alarm
        self.active[peer] = Entry(record, place, source, now, mine)
        self._alarm_at = EVER
        self._changed(peer, True)
        effects += [Learn(record), Hold(peer)]
        if self.home:
            effects.append(Tell(Neighbour(peer, True)))
        return effects

    def _part(self, peer: PeerId, now: float, keep: bool = True) -> list[Effect]:
        """Tell a neighbour that it is none any more."""
        entry = self.active[peer]
        effects = [Send(peer, Leave(self.topic)), *self._remove(peer)]
        if keep:
            self.reserve.remember(entry.record, b"", now, self.active, tried=now)
        return effects

    def _remove(self, peer: PeerId) -> list[Effect]:
        del self.active[peer]
        self._changed(peer, False)
        return [Release(peer), Tell(Neighbour(peer, False))] if self.home else [Release(peer)]

    def _not_ours(self, peer: PeerId) -> list[Effect]:
        """It takes us for a neighbour, and we do not."""
        return [] if peer in self.pending else [Send(peer, Leave(self.topic))]

    def _own_record(self, peer: PeerId, record: PeerRecord, now: float) -> PeerRecord | None:
        if record.key != peer:
            raise BadMessage("a peer speaks for another")
        return self.reserve.take(record, now, itself=True)

    @property
    def _deserted(self) -> bool:
        """Nobody is left, and of those we know as many as we want for neighbours are gone: then the rest may be, too."""
        return not self.active and self._failed >= self.most

    def _few(self) -> bool:
        return len(self.active) + len(self.reserve.entries) < self.most

    def _end(self, effects: list[Effect], now: float) -> list[Effect]:
        """When something is due next, after whatever happened."""
        settings = self._context.settings.view
        if self._shuffle_at == EVER and (self.active or self.reserve.losing):
            self._shuffle_at = now + settings.shuffle_every * (0.8 + 0.4 * self._context.dice.random())
        if self._few_at == EVER and self.home and self._few():
            self._few_at = now + settings.few_every * (0.8 + 0.4 * self._context.dice.random())
        due = min(self._shuffle_at, self._fill_at, self._alarm_at, self._few_at)
        for dial in self.pending.values():
            due = min(due, dial.until)
        self._due = due
        return effects
