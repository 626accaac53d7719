"""The leaf's side: our homes, and what we publish at them. Pure.

While we are a supernode ourselves we are our own home: nothing is attached, our items are kept in our own store, and go
to the keyed supernodes from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from servent.identity import PeerId
from servent.overlay.batches import Batches
from servent.overlay.effects import Discard, Effect, Hold, Keep, Release, Send
from servent.overlay.part import Handler, Part
from servent.overlay.records import ITEM_LIFETIME, Batch, Item, PeerRecord, Slice, SupernodeRecord
from servent.overlay.vouching import NOWHERE
from servent.overlay.wire import Attach, Attached, Detach, Publish, WantBatches
from servent.overlay.wire import Batches as BatchesMessage

if TYPE_CHECKING:
    from servent.overlay.context import Context
    from servent.overlay.directory import Directory
    from servent.overlay.keying import Keying

SETTLE = 0.3  # s that changes wait for company before homes hear of them
AGAIN = 5.0  # s until homes are looked for again when none could be found, doubling up to `AGAIN_MOST`
AGAIN_MOST = 60.0
AVOIDED = 300.0  # s for which a supernode that did not answer, or had no room, is not asked
DISTRUSTED = 86_400.0
REFUSALS = 6  # in a row, then we wait
SAMPLE = 8  # supernodes looked at for each choice
LEAVING = 55.0  # s for which a home that retires is still asked: it answers a minute from when it decided
ANSWERED = 10.0  # s for `WantBatches`; then the list is sent again, twice
MOST_AVOIDED = 256
MOST_HINTS = 64  # supernodes that homes told us of


@dataclass(slots=True)
class _Home:
    """A supernode that is, or may become, a home of ours.

    Attributes:
        kept: it has accepted us.
        answer: until when it has to answer our `Attach`; None when nothing is asked.
        renew: when we attach again.
        leaves: when it stops to be a home, because it retires.
        left: number of its newest record when it said so.
        has: slot: (seq, since when) of the batches it has.
        sent: the last batch of a slot that it was sent, and how often.
        listed: until when it has to answer our list; None when it has. `tries`: lists sent in a row.
    """

    kept: bool = False
    asked: float = 0.0
    answer: float | None = None
    renew: float | None = None
    leaves: float | None = None
    left: int = 0
    has: dict[int, tuple[int, float]] = field(default_factory=dict)
    sent: dict[int, tuple[Batch, int]] = field(default_factory=dict)
    listed: float | None = None
    tries: int = 0


class Homes(Part):
    """Where our items are kept.

    Attributes:
        rtt: what is known of the round trip to a supernode, in seconds; the nearest becomes the first home.
        batches: what we publish.
    """

    def __init__(self, context: Context, directory: Directory, keying: Keying) -> None:
        self._context, self._directory, self._keying = context, directory, keying
        self.settings = context.settings.home
        self.rtt: Callable[[PeerId], float | None] = lambda peer: None
        self.batches = Batches(
            context.network,
            context.me,
            context.seal,
            context.wall,
            lambda: context.dice.uniform(0.9, 1.1),
            min(ITEM_LIFETIME, int(self.settings.lease)),
        )
        self._homes: dict[PeerId, _Home] = {}
        self._avoid: dict[PeerId, float] = {}
        self._hints: list[PeerId] = []
        self._to_publish = 0
        self._own = False
        self._told: PeerRecord | None = None
        self._counted = 0  # of our items as our own home
        self._refusals = 0
        self._wait = AGAIN
        self._look: float | None = 0.0
        self._tell: float | None = None
        directory.changed.append(self.changed)
        keying.batches.append(
            lambda: ((context.me, slot) for slot in self.batches.slots()) if self._own else ()
        )
        keying.records.append(lambda: (context.record,) if self._own and self._incomplete() else ())

    def handlers(self) -> Mapping[type, Handler]:
        return {Attached: self._attached, WantBatches: self._wanted}

    # -- for other parts

    def homes(self) -> tuple[PeerId, ...]:
        """Those that have accepted us, those that stay first; none while we are our own."""
        kept = [(home.leaves is not None, peer) for peer, home in self._homes.items() if home.kept]
        return tuple(peer for _, peer in sorted(kept, key=lambda one: one[0]))

    @property
    def to_publish(self) -> int:
        """Items that we were given to publish."""
        return self._to_publish

    @property
    def published(self) -> int:
        """Those of them that at least one home has, or we ourselves as our own home."""
        if self._own:
            return len(self.batches)
        return sum(
            self.batches.count(slot)
            for slot, seq in self.batches.listed()
            if any(home.has.get(slot, (0, 0.0))[0] == seq for home in self._homes.values())
        )

    def publish(self, items: Iterable[Item], now: float) -> list[Effect]:
        """These are all the items that we publish in this network from now on."""
        listed = list(items)
        self._to_publish = len(listed)
        most = self._directory.topology.most_items(self.settings)
        touched = self.batches.take(listed, most, now)
        if self._own:
            return self._keep(touched, now)
        if touched and self._tell is None:
            self._tell = now + SETTLE
        return []

    def moved(self, now: float) -> list[Effect]:
        """Our record is another: whoever looks for us finds us at our homes and at keyed supernodes."""
        if self._own:
            return self._tell_own(now)
        effects: list[Effect] = []
        for peer, home in self._homes.items():
            effects += self._attach(peer, home, now)
        return effects

    def close(self, now: float) -> list[Effect]:
        """We leave."""
        effects: list[Effect] = []
        for peer in list(self._homes):
            effects += self._leave(peer)
        self._look = self._tell = None
        return effects

    def distrust(self, peer: PeerId, now: float) -> list[Effect]:
        """`peer` did not answer as a home must: it is one no more for a day; another takes its place."""
        self._shun(peer, now + DISTRUSTED)
        return [*self._leave(peer), *self._fill(now)]

    def sample(self, home: PeerId, now: float, age: float) -> Item | None:
        """An item of our own, at random, that `home` must have had for `age` seconds; None when there is none."""
        kept = self._homes.get(home)
        if kept is None:
            return None
        old = [
            slot
            for slot, (seq, since) in kept.has.items()
            if since <= now - age and self.batches.seq(slot) == seq and self.batches.count(slot)
        ]
        if not old:
            return None
        one = self.batches.slice(self._context.dice.choice(old))
        assert one is not None
        return self._context.dice.choice(list(one.items.values()))

    # -- time, links, the directory

    def next_tick(self) -> float | None:
        due = self._look
        for at in (self._tell, self.batches.renewal()):
            if at is not None and (due is None or at < due):
                due = at
        for home in self._homes.values():
            for at in (home.answer, home.renew, home.leaves, home.listed):
                if at is not None and (due is None or at < due):
                    due = at
        return due

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        renewal = self.batches.renewal()
        if renewal is not None and renewal <= now:
            touched = self.batches.renew(now)
            if self._own:
                effects += self._keep(touched, now)
            else:
                self._tell = now
        if self._tell is not None and self._tell <= now:
            self._tell = None
            for peer, home in self._homes.items():
                if home.kept and home.leaves is None:
                    home.tries = 0
                    effects.append(self._list(peer, home, now))
        for peer, home in list(self._homes.items()):
            effects += self._due(peer, home, now)
        if self._look is not None and self._look <= now:
            self._look = None
            effects += self._fill(now, anyone=True)
        return effects

    def changed(self, now: float) -> list[Effect]:
        """Supernodes came or went, or our own role is another."""
        own = self._directory.own
        serving = own is not None and not own.retiring
        if serving and not self._own:
            return self._be_own(now)
        if self._own and not serving:
            return [*self._be_leaf(now), *self._fill(now)]
        return [*self._stayed(now), *self._fill(now)]

    def _stayed(self, now: float) -> list[Effect]:
        """A home that said it would retire stays after all: the mode, or its person's wish, is what it was."""
        effects: list[Effect] = []
        for peer, home in self._homes.items():
            if home.leaves is None:
                continue
            record = self._directory.get(peer, now)
            if record is not None and not record.retiring and record.seq > home.left:
                home.leaves = None
                self._avoid.pop(peer, None)
                effects += self._attach(peer, home, now)
        return effects

    def down(self, peer: PeerId, now: float) -> list[Effect]:
        """Perhaps only its address or ours is another: it has as long to answer as at first."""
        home = self._homes.get(peer)
        if home is None or not home.kept or home.answer is not None:
            return []
        return self._attach(peer, home, now)

    def failed(self, peer: PeerId, now: float) -> list[Effect]:
        if peer not in self._homes:
            return []
        self._shun(peer, now + AVOIDED)
        return [*self._leave(peer, silent=True), *self._fill(now)]

    def _due(self, peer: PeerId, home: _Home, now: float) -> list[Effect]:
        if home.leaves is not None and home.leaves <= now:
            return self._leave(peer, silent=True)
        if home.answer is not None and home.answer <= now:
            self._shun(peer, now + AVOIDED)
            return [*self._leave(peer, silent=True), *self._fill(now)]
        effects: list[Effect] = []
        if home.renew is not None and home.renew <= now:
            effects += self._attach(peer, home, now)
        if home.listed is not None and home.listed <= now:
            home.listed = None
            if home.tries < 3:
                effects.append(self._list(peer, home, now))
        return effects

    # -- homes

    def _wanted_homes(self, now: float) -> int:
        if self._directory.members(now) > self.settings.large:
            return self.settings.homes_large
        return self.settings.homes

    def _fill(self, now: float, anyone: bool = False) -> list[Effect]:
        """Ask for as many homes as we are short of. `anyone`: also one that did not want us, or did not answer, lately."""
        if self._own:
            return []
        effects: list[Effect] = []
        have = sum(home.leaves is None for home in self._homes.values())
        wanted = self._wanted_homes(now)
        while have < wanted:
            peer = self._pick(now) if self._refusals < REFUSALS else None
            if peer is None and anyone:
                peer, anyone = self._pick(now, anyone=True), False
            if peer is None:
                if self._look is not None and have == 0:
                    self._look = min(self._look, now + self._wait)
                if self._look is None:
                    self._look = now + self._wait * self._context.dice.uniform(0.8, 1.2)
                    self._wait = min(2 * self._wait, AGAIN_MOST)
                    self._refusals = 0
                break
            home = self._homes[peer] = _Home()
            effects += self._attach(peer, home, now)
            have += 1
        return effects

    def _pick(self, now: float, anyone: bool = False) -> PeerId | None:
        """The nearest for the first home, as far as that is known; any for the others, of another block if possible."""
        directory = self._directory
        self._avoid = {peer: until for peer, until in self._avoid.items() if until > now}
        shunned = [peer for peer, until in self._avoid.items() if not anyone or until > now + AVOIDED]
        out = [*self._homes, *shunned]
        hints = [peer for peer in self._hints if peer not in self._homes and peer not in self._avoid]
        self._hints = []
        records: list[SupernodeRecord] = []
        for peer in [*hints, *directory.random(SAMPLE, now, out)]:
            record = directory.get(peer, now)
            if record is not None and not record.retiring and peer != self._context.me:
                records.append(record)
        if not records:
            return None
        taken = {known.block for home in self._homes if (known := directory.get(home, now)) is not None}
        first = not any(home.leaves is None for home in self._homes.values())

        def worse(record: SupernodeRecord) -> tuple[bool, bool, float]:
            rtt = self.rtt(record.key) if first else None
            same = record.block in taken and record.block not in NOWHERE
            return record.leaves >= record.room, same, 9.0 if rtt is None else rtt

        return min(records, key=worse).key

    def _attach(self, peer: PeerId, home: _Home, now: float) -> list[Effect]:
        home.asked = now
        home.answer = now + self.settings.attach_wait
        home.renew = None
        listed = self.batches.listed()
        return [Send(peer, Attach(self._context.record, self.batches.digest(), len(listed)))]

    def _attached(self, peer: PeerId, message: Attached, now: float) -> list[Effect]:
        """The answer to `Attach`."""
        home = self._homes.get(peer)
        if home is None:  # too late: another has been asked
            return [Send(peer, Detach())] if message.accepted else []
        if home.answer is None:
            return []
        self._hear_of(peer, message.others, now)
        home.answer = None
        if not message.accepted:
            self._refusals += 1
            self._shun(peer, now + AVOIDED)
            return [*self._leave(peer, silent=True), *self._fill(now)]
        effects: list[Effect] = []
        if not home.kept:
            effects.append(Hold(peer))
            home.kept = True
        self._refusals, self._wait = 0, AGAIN
        renew = min(self.settings.renew, 0.6 * message.lifetime)
        home.renew = now + renew * self._context.dice.uniform(0.8, 1.2)
        if message.want:
            home.tries = 0
            effects.append(self._list(peer, home, now))
        else:
            self._has_all(home, (), now)
        return effects

    def detached(self, peer: PeerId, message: Detach, now: float) -> list[Effect]:
        """A home is one no more, at once or, if it retires, in a minute."""
        home = self._homes.get(peer)
        if home is None:
            return []
        self._hear_of(peer, message.others, now)
        self._shun(peer, now + AVOIDED)
        if message.retiring and home.kept:
            record = self._directory.get(peer, now)
            home.leaves, home.left = now + LEAVING, 0 if record is None else record.seq
            home.answer = home.renew = home.listed = None
            return self._fill(now)
        return [*self._leave(peer, silent=True), *self._fill(now)]

    def _hear_of(self, peer: PeerId, records: Sequence[SupernodeRecord], now: float) -> None:
        for record in records:
            self._directory.put(record, now, peer)
            self._hints.append(record.key)
        del self._hints[:-MOST_HINTS]

    def _leave(self, peer: PeerId, silent: bool = False) -> list[Effect]:
        """It is no home any more; it is told unless it knows."""
        home = self._homes.pop(peer, None)
        if home is None:
            return []
        effects: list[Effect] = [] if silent else [Send(peer, Detach())]
        if not home.kept:
            return effects
        self._wait = AGAIN
        return [*effects, Release(peer)]

    def _shun(self, peer: PeerId, until: float) -> None:
        if len(self._avoid) >= MOST_AVOIDED:
            del self._avoid[next(iter(self._avoid))]
        self._avoid[peer] = max(until, self._avoid.get(peer, 0.0))

    # -- batches

    def _list(self, peer: PeerId, home: _Home, now: float) -> Effect:
        home.listed = now + ANSWERED
        home.tries += 1
        return Send(peer, BatchesMessage(self.batches.listed()))

    def _wanted(self, peer: PeerId, message: WantBatches, now: float) -> list[Effect]:
        """What a home lacks, without the items that it has of the batch that was in the slot before."""
        home = self._homes.get(peer)
        if home is None or not home.kept:
            return []
        if home.listed is not None:
            home.listed = None
            self._has_all(home, message.slots, now)
        effects: list[Effect] = []
        for slot in message.slots:
            one = self.batches.slice(slot)
            if one is None:
                continue
            before, times = home.sent.get(slot, (None, 0))
            if before is not None and before.seq == one.batch.seq:
                if times >= 3:
                    continue  # it asks too often
                before = None
            else:
                times = 0
            had = set(before.hashes) if before is not None else set()
            items = {place: item for place, item in one.items.items() if one.batch.hashes[place] not in had}
            home.sent[slot] = (one.batch, times + 1)
            home.has[slot] = (one.batch.seq, now)
            effects.append(Send(peer, Publish(Slice(one.batch, items)), "bulk"))
        return effects

    def _has_all(self, home: _Home, but: Sequence[int], now: float) -> None:
        """It has said that it has all batches but these."""
        missing = set(but)
        home.has = {
            slot: known if (known := home.has.get(slot)) is not None and known[0] == seq else (seq, now)
            for slot, seq in self.batches.listed()
            if slot not in missing
        }

    # -- as our own home

    def _be_own(self, now: float) -> list[Effect]:
        self._own = True
        effects: list[Effect] = []
        for peer in list(self._homes):
            effects += self._leave(peer)
        self._look = self._tell = None
        self.batches.retell()
        return [*effects, *self._keep(self.batches.slots(), now), *self.moved(now)]

    def _tell_own(self, now: float) -> list[Effect]:
        """A supernode's record is in the directory of all others; beside that it is stored where it is news, and where

        directories are no longer complete.
        """
        record = self._context.record
        told, self._told = self._told, record
        same = told is not None and (told.addresses, told.relays) == (record.addresses, record.relays)
        return [] if same and not self._incomplete() else self._keying.peer(record, now)

    def _incomplete(self) -> bool:
        """Whether there are too many supernodes for everyone to know all."""
        return self._directory.count(0.0) > self._directory.settings.complete

    def _be_leaf(self, now: float) -> list[Effect]:
        self._own = False
        self._keying.items -= self._counted
        self._counted = 0
        self._look = now
        return [Discard(self._context.me, keyed=False)]

    def _keep(self, slots: Iterable[int], now: float) -> list[Effect]:
        """These batches of ours are others now, for our own store and the keyed supernodes."""
        effects: list[Effect] = []
        for slot in list(slots):
            one = self.batches.slice(slot)
            if one is None:
                effects.append(Discard(self._context.me, slot, keyed=False))
                continue
            new, gone = self.batches.difference(slot)
            effects += [Keep(one), *self._keying.put(one.batch, now, new, gone)]
            fresh = {
                place: item
                for place, item in one.items.items()
                if new is None or one.batch.hashes[place] in new
            }
            for tell in self._keying.kept if fresh else ():
                effects += tell(Slice(one.batch, fresh), (), now)
        self._keying.items += len(self.batches) - self._counted
        self._counted = len(self.batches)
        return effects
