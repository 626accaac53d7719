"""Which supernodes there are: their newest records, where they stand on the ring, and how others hear of them.

A supernode keeps all of them; a leaf keeps a few. A supernode passes what is new to a few others at random, once
("rumour mongering", Demers and others 1987), and every five minutes compares its list with one of them (`reconcile`), which
finds what the rumour missed. Who is dead is found by probing (`liveness`); nobody's word for it is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from msgspec import structs

from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.overlay.context import Context
from servent.overlay.due import Due
from servent.overlay.effects import Effect, Learn, Send
from servent.overlay.newest import Newest
from servent.overlay.part import Handler, Part
from servent.overlay.placement import Position, point, position, week_of, wide_block
from servent.overlay.records import Forged, SupernodeRecord, check, next_seq, signed, text_of
from servent.overlay.ring import WHOLE, Ring
from servent.overlay.topology import Topology
from servent.overlay.vouching import NOWHERE, doubts
from servent.overlay.wire import AskSupernodes, Goodbye, Supernodes

SMALL = 8  # supernodes that are all told directly
FANOUT = 4  # others that hear a rumour from each who hears it: e^-4 = 2 % do not hear it, and find it when comparing
RUMOUR = 1.0  # s between two rumours: new supernodes and those who go
LAZY = 30.0  # s that a mere refresh waits for company
TO_LEAVES = 60.0  # s between two messages to the same leaf
CHUNK = 24  # records in one message: at most 1 kB each
SUSPENDED = 300.0  # s for which one that could not be reached is not chosen
REGION_MOST = 4  # times as many as asked for, at most, by the region rule
ASK_AGAIN = (2.0, 60.0)  # s between questions while no supernode is known, doubling
EVER = -1.0  # an earlier time than any: what is kept, ended or not
CACHED = 8192  # answers of `nearest` remembered until the ring changes


@dataclass(slots=True)
class Entry:
    """A supernode that is known, and where it stands."""

    record: SupernodeRecord
    place: Position


class Directory(Part):
    """Supernodes of one network, ourselves among them while we carry the role.

    Attributes:
        own: our record while we carry the role.
        changed: called soon after supernodes came or went; what they return is carried out.
        leaves: who is to hear of new supernodes from us; `member` says whom we house.
    """

    def __init__(self, context: Context, topology: Topology) -> None:
        self._context, self.topology = context, topology
        self.settings = context.settings.directory
        self.changed: list[Callable[[float], list[Effect]]] = []
        self.leaves: Callable[[], Iterable[PeerId]] = tuple
        self.own: SupernodeRecord | None = None
        self._table: Newest[Entry] = Newest(2 * self.settings.complete)
        self._ring = Ring()
        self._near: dict[tuple[bytes, int, bool], list[PeerId]] = {}
        self._blocks: dict[str, int] = {}
        self._retiring: set[bytes] = set()
        self._suspended: dict[bytes, float] = {}
        self._links: set[PeerId] = set()
        self._asked: dict[PeerId, float] = {}
        self._ask_wait = ASK_AGAIN[0]
        self._told = 0
        self._news: dict[bytes, PeerId | None] = {}
        self._for_leaves: dict[bytes, None] = {}
        self._answers = TokenBucket(20.0, 100.0)
        self._due = Due()
        self._day = 0

    # -- what is known

    def records(self, now: float) -> Sequence[SupernodeRecord]:
        """All that are known, our own first while we carry the role."""
        others = [entry.record for entry in self._table.values(now)]
        return [self.own, *others] if self.own is not None else others

    def get(self, key: bytes, now: float) -> SupernodeRecord | None:
        """The record of that supernode; our own as well."""
        if self.own is not None and key == self._context.me:
            return self.own
        entry = self._table.get(key, now)
        return entry.record if entry is not None else None

    def nearest(self, key: bytes, count: int, now: float, *, storing: bool = False) -> list[PeerId]:
        """Supernodes XOR-nearest to a 16-byte key, nearest first; we ourselves may be among them.

        Args:
            storing: where something is to be stored now: none that retires, and besides the `count` nearest all
                within the distance at which the last of them would stand among so many that stand at random, so that
                nobody who crowds around a key is alone with it (overlay.md section 7). At most four times `count`.
        """
        found = self._near.get((key, count, storing))
        if found is None:
            found = self._nearest(key, count, storing)
            if len(self._near) >= CACHED:
                self._near.clear()
            self._near[key, count, storing] = found
        return found

    def _nearest(self, key: bytes, count: int, storing: bool) -> list[PeerId]:
        where = point(key)
        keys = self._ring.nearest(where, count + len(self._retiring))
        if storing:
            keys = [one for one in keys if one not in self._retiring]
            last = WHOLE * count // (len(self._ring) + 1)
            region = [one for one in self._ring.within(where, last) if one not in self._retiring]
            if len(region) > count:
                return [PeerId(one) for one in region[: REGION_MOST * count]]
        return [PeerId(one) for one in keys[:count]]

    def random(self, count: int, now: float, leave_out: Sequence[bytes] = ()) -> list[PeerId]:
        """Supernodes at random, without ourselves; those that could be reached lately first."""
        out, known = set(leave_out), self._table.keys()
        keys = [key for key in known if key not in out]
        good = [key for key in keys if not self.suspended(key, now)]
        dice = self._context.dice
        chosen = dice.sample(good, min(count, len(good)))
        if len(chosen) < count and len(good) < len(keys):
            bad = [key for key in keys if self.suspended(key, now)]
            chosen += dice.sample(bad, min(count - len(chosen), len(bad)))
        return [PeerId(key) for key in chosen]

    def suspended(self, key: bytes, now: float) -> bool:
        """Whether it could not be reached a moment ago."""
        return bool(self._suspended) and self._suspended.get(key, 0.0) > now

    def count(self, now: float) -> int:
        """Supernodes in the network: those known here, or as many as others said, whichever is more."""
        known = len(self._table) + (self.own is not None)
        return known if self.own is not None else max(known, self._told)

    def alive(self, now: float) -> int:
        """Supernodes known here that are not suspended or about to go; ourselves included."""
        gone = sum(ends > now for ends in self._suspended.values()) if self._suspended else 0
        leaving = sum(1 for key in self._retiring if not self.suspended(key, now))
        return max(0, len(self._table) + (self.own is not None) - gone - leaving)

    def members(self, now: float) -> int:
        """How many peers the network has, ourselves included, as supernodes report their leaves."""
        known = leaves = 0
        for record in self.records(now):
            known += 1
            leaves += record.leaves
        if known == 0:
            return 1 + len(self._links)
        total = self.count(now)
        homes = max(1, min(self._homes(total), total))
        return max(1 + (self.own is None), round(total * (1 + leaves / known / homes)))

    def _homes(self, total: int) -> int:
        home = self._context.settings.home
        return home.homes if total * self._context.settings.election.target < home.large else home.homes_large

    # -- what comes in

    def handlers(self) -> Mapping[type, Handler]:
        return {AskSupernodes: self._on_ask, Supernodes: self._on_supernodes, Goodbye: self._on_goodbye}

    def put(self, record: SupernodeRecord, now: float, source: PeerId | None = None) -> bool:
        """Take in a record from anywhere: verified here, once. True if it is news.

        Raises:
            Forged: a signature does not hold, or it says what cannot be; whoever passed it on is to blame.
        """
        context, key = self._context, record.peer.key
        if key == context.me or not self._table.newer(key, record.seq, now):
            return False
        if not context.belongs(key):
            raise Forged("a supernode that is not in this network")
        before = self._table.get(key, EVER)
        others = self._blocks.get(record.block, 0)
        if before is not None and before.record.block == record.block:
            others -= 1
        check(context.network, record, context.seal)
        wanted = self.receipts_wanted(key, now)
        if doubts(
            context,
            self.topology,
            record,
            same_block=others,
            wanted=wanted,
            witness=lambda by: self._block(by, now),
        ):
            return False
        if before is None:
            self._make_room(now)
        entry = Entry(record, self._place(record))
        if before is not None:
            self._leave_ring(key, before)
        if not self._table.put(key, record.seq, record.lifetime, entry, now):
            return False
        context.know(record.peer, now)
        self._join_ring(key, entry)
        self._suspended.pop(key, None)
        if before is None or before.place != entry.place or before.record.retiring != record.retiring:
            self._moved(now)
            self._due.soon("rumour", now + RUMOUR)
            self._for_leaves[key] = None
        elif before.record.leaves != record.leaves:
            self._due.soon("rumour", now + 5 * RUMOUR)
        else:
            self._due.soon("rumour", now + LAZY)
        if self.own is not None:
            self._news[key] = source
        self._due.soon("expire", now + 60.0)
        return True

    def _make_room(self, now: float) -> None:
        """A leaf keeps a few, a supernode all there are, within reason; who is connected with us is kept."""
        if len(self._table) < (self.settings.leaf if self.own is None else 2 * self.settings.complete):
            return
        table = self._table.keys()
        idle = [key for key in table if key not in self._links] or list(table)
        self._forget(self._context.dice.choice(idle), now)

    def receipts_wanted(self, key: bytes, now: float) -> int:
        """Dial-backs that `key` must show to be believed here: none while there are fewer supernodes than the floor."""
        election = self._context.settings.election
        known = len(self._table) + (self.own is not None) - (key in self._table)
        if not self.topology.elected or known < election.floor:
            return 0
        if not self._context.open or self.own is None:
            return 1
        wides = {wide_block(block) for block in self._blocks if block not in NOWHERE}
        return max(1, min(election.receipts, len(wides)))

    def _block(self, key: bytes, now: float) -> str | None:
        """The block of a supernode or neighbour that is known here; None of others. A leaf knows too few to judge."""
        entry = self._table.get(key, now)
        if entry is not None:
            return entry.record.block
        if key in self._links or self.own is None:
            return ""
        return None

    def drop(self, key: bytes, now: float) -> None:
        """It is dead, as we saw ourselves; only a newer record brings it back."""
        self._forget(key, now)

    def _forget(self, key: bytes, now: float) -> None:
        entry = self._table.get(key, EVER)
        if entry is not None:
            self._leave_ring(key, entry)
            self._table.remove(key, now)
            self._suspended.pop(key, None)
            self._moved(now)

    def _place(self, record: SupernodeRecord) -> Position:
        context = self._context
        week = week_of(record.peer.key, context.wall()) if context.open else 0
        located = context.open and record.block not in NOWHERE
        return position(context.network, record.peer.key, record.block, record.slot, week, located)

    def _join_ring(self, key: bytes, entry: Entry) -> None:
        self._ring.add(entry.place, key)
        self._blocks[entry.record.block] = self._blocks.get(entry.record.block, 0) + 1
        if entry.record.retiring:
            self._retiring.add(key)
        self._near.clear()

    def _leave_ring(self, key: bytes, entry: Entry) -> None:
        self._ring.remove(entry.place, key)
        left = self._blocks.get(entry.record.block, 0) - 1
        if left > 0:
            self._blocks[entry.record.block] = left
        else:
            self._blocks.pop(entry.record.block, None)
        self._retiring.discard(key)
        self._near.clear()

    def _moved(self, now: float) -> None:
        if self.changed:
            self._due.soon("changed", now + 0.5)

    def _on_ask(self, peer: PeerId, message: AskSupernodes, now: float) -> list[Effect]:
        if not self._answers.allow(1.0, now):
            return []
        most = min(message.most, self.settings.leaf)
        records = [self._table.get(key, now) for key in self.random(most, now, (peer,))]
        told = [entry.record for entry in records if entry is not None]
        if self.own is not None:
            told.insert(0, self.own)
        return [Send(peer, Supernodes(part, self.count(now))) for part in _chunks(told)]

    def _on_supernodes(self, peer: PeerId, message: Supernodes, now: float) -> list[Effect]:
        learnt: list[Effect] = [
            Learn(record.peer) for record in message.records if self.put(record, now, peer)
        ]
        if message.total and len(message.records) <= message.total:
            self._told = min(message.total, 1_000_000)
        return learnt

    def _on_goodbye(self, peer: PeerId, message: Goodbye, now: float) -> list[Effect]:
        context, key = self._context, message.key
        if key == context.me or message.seq < self._table.seq(key) or key not in self._table:
            return []
        if not context.seal.holds(key, message.signature, text_of(context.network, message)):
            raise Forged("a forged goodbye")
        self._forget(key, now)
        self._table.end(key, message.seq, now)
        if self.own is None:
            return []
        return [Send(other, message) for other in self._some(now, (peer, key))]

    # -- links

    def up(self, peer: PeerId, now: float) -> list[Effect]:
        self._links.add(peer)
        self._suspended.pop(peer, None)
        if self._thin() and peer not in self._asked:
            return self._ask(peer, now)
        return []

    def down(self, peer: PeerId, now: float) -> list[Effect]:
        self._links.discard(peer)
        return []

    def failed(self, peer: PeerId, now: float) -> list[Effect]:
        if peer in self._table:
            self._suspended[peer] = now + SUSPENDED
            self._due.soon("ask", now + 1.0)
        return []

    def _thin(self) -> bool:
        known = len(self._table)
        return self.own is None and known < min(self.settings.leaf // 2, max(1, self._told))

    def _ask(self, peer: PeerId, now: float, most: int = 32) -> list[Effect]:
        self._asked.pop(peer, None)
        if len(self._asked) >= 64:
            del self._asked[next(iter(self._asked))]
        self._asked[peer] = now
        self._due.soon("ask", now + self._ask_wait)
        return [Send(peer, AskSupernodes(most))]

    def look(self, now: float) -> list[Effect]:
        """Ask somebody for supernodes: a server whose key is known, a supernode, or a neighbour."""
        context = self._context
        known = self.random(1, now) if self.alive(now) else []
        servers = [PeerId(key) for key in self.topology.servers if key != context.me]
        if not known and self.topology.mode == "server":
            known = [context.dice.choice(sorted(servers))] if servers else []
        if not known and self._links:
            known = [context.dice.choice(sorted(self._links))]
        return self._ask(known[0], now) if known else []

    # -- what is due

    def next_tick(self) -> float | None:
        return self._due.next

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for name in self._due.take(now):
            match name:
                case "changed":
                    for tell in self.changed:
                        effects += tell(now)
                case "rumour":
                    effects += self._rumour(now)
                case "leaves":
                    effects += self._tell_leaves(now)
                case "refresh":
                    effects += self.state(now)
                case "ask":
                    effects += self._ask_due(now)
                case _:
                    self._expire(now)
        return effects

    def _ask_due(self, now: float) -> list[Effect]:
        """A leaf asks on while it knows too few, twice as rarely each time, and renews its list now and then."""
        if self.own is not None:
            return []
        if self.alive(now) and not self._thin():
            self._ask_wait = ASK_AGAIN[0]
            fresh = max(self._asked.values(), default=0.0) + self.settings.refresh
            if now < fresh - 1.0:
                self._due.soon(
                    "ask", fresh * self._jitter() if fresh <= 0 else now + (fresh - now) * self._jitter()
                )
                return []
        else:
            self._ask_wait = min(2 * self._ask_wait, ASK_AGAIN[1])
        self._due.set("ask", now + self._ask_wait * self._jitter())
        return self.look(now)

    def _expire(self, now: float) -> None:
        for key, entry in list(self._table.ended(now)):
            self._leave_ring(key, entry)
            self._moved(now)
        self._table.expire(now)
        if self._suspended:
            self._suspended = {key: ends for key, ends in self._suspended.items() if ends > now}
        self._drop_strangers(now)
        day = int(self._context.wall() // 86_400.0)
        if self._context.open and day != self._day:
            self._day = day
            self._turn_week(now)
        if len(self._table) or self.own is not None:
            self._due.set("expire", now + 60.0)

    def _drop_strangers(self, now: float) -> None:
        """After the mode changed: whoever may not be a supernode any more, once somebody is known who may."""
        known = [(key, entry.record) for key, entry in self._table.items(now)]
        good = [key for key, record in known if self.topology.accepts(record)]
        if len(good) < len(known) and (good or self._context.me in self.topology.servers):
            for key, record in known:
                if not self.topology.accepts(record):
                    self._forget(key, now)

    def _turn_week(self, now: float) -> None:
        """In an open network positions move once a week, each on its own day."""
        for entry in self._table.values(now):
            place = self._place(entry.record)
            if place != entry.place:
                self._ring.remove(entry.place, entry.record.peer.key)
                self._ring.add(place, entry.record.peer.key)
                entry.place = place
                self._near.clear()
                self._moved(now)

    def _jitter(self) -> float:
        return self._context.dice.uniform(0.75, 1.25)

    # -- our own role

    def serve(self, record: SupernodeRecord, now: float) -> list[Effect]:
        """We carry the role now, with this signed record of ours; or the record is another now."""
        if self.own is not None:
            self._leave_ring(self._context.me, Entry(self.own, self._place(self.own)))
        first = self.own is None
        self.own = record
        self._join_ring(self._context.me, Entry(record, self._place(record)))
        self._due.set("refresh", now + self.settings.refresh * self._jitter())
        self._due.soon("expire", now + 60.0)
        if first:
            self._due.drop("ask")
            self._moved(now)
        return self._announce(now)

    def state(self, now: float, leaves: int | None = None, retiring: bool | None = None) -> list[Effect]:
        """Sign our record anew, with what has changed, and let others know."""
        own = self.own
        if own is None:
            return []
        context = self._context
        changed = structs.replace(
            own,
            peer=context.record,
            seq=next_seq(own.seq, context.wall()),
            leaves=own.leaves if leaves is None else leaves,
            retiring=own.retiring if retiring is None else retiring,
        )
        return self.serve(signed(context.network, changed, context.seal), now)

    def retire(self, now: float) -> list[Effect]:
        """We carry the role no more: say goodbye."""
        own, context = self.own, self._context
        if own is None:
            return []
        bye = signed(context.network, Goodbye(bytes(context.me), next_seq(own.seq, context.wall())), context.seal)
        told: list[Effect] = [Send(peer, bye) for peer in self._some(now, ())]
        self._leave_ring(context.me, Entry(own, self._place(own)))
        self.own = None
        self._news.clear()
        self._due.drop("refresh")
        self._moved(now)
        for key in context.dice.sample(
            list(self._table.keys()), max(0, len(self._table) - self.settings.leaf)
        ):
            self._forget(key, now)
        self._due.soon("ask", now + self.settings.refresh * self._jitter())
        return told

    def shape(self, topology: Topology, now: float) -> list[Effect]:
        """The network's settings are others now. Supernodes that it does not accept any more stay until one is known that it does."""
        self.topology = topology
        self._near.clear()
        self._due.soon("expire", now + self._context.settings.election.hand_over)
        self._ask_wait = ASK_AGAIN[0]
        self._due.soon("ask", now + self._context.dice.uniform(0.0, 2.0))
        self._moved(now)
        return []

    # -- how others hear

    def _some(self, now: float, leave_out: Sequence[bytes], most: int = SMALL) -> list[PeerId]:
        """Whom to tell: all while they are few, else some at random."""
        return self.random(SMALL if len(self._table) <= SMALL else min(most, SMALL), now, leave_out)

    def _announce(self, now: float) -> list[Effect]:
        """Our own record goes out at once."""
        assert self.own is not None
        message = Supernodes([self.own], self.count(now))
        told: list[PeerId] = self._some(now, ())
        if self.alive(now) <= SMALL:
            told += [peer for peer in sorted(self._links) if peer not in told][:SMALL]
        return [Send(peer, message) for peer in told]

    def _rumour(self, now: float) -> list[Effect]:
        """What came in since the last time goes to a few others; leaves hear of new supernodes once a minute."""
        news, self._news = self._news, {}
        if self.own is None:
            self._for_leaves.clear()
            return []
        if self._for_leaves and "leaves" not in self._due:
            self._due.set("leaves", now + TO_LEAVES * self._jitter())
        if len(self._table) <= SMALL:
            return []
        records = [entry.record for key in news if (entry := self._table.get(key, now)) is not None]
        total = self.count(now)
        sources = {source for source in news.values() if source is not None} if len(news) == 1 else ()
        return [
            Send(peer, Supernodes(part, total), "bulk")
            for peer in self.random(FANOUT, now, tuple(sources))
            for part in _chunks(records)
            if part
        ]

    def _tell_leaves(self, now: float) -> list[Effect]:
        """Leaves of a small network hear of each new supernode, those of a large one know enough."""
        news, self._for_leaves = self._for_leaves, {}
        total = self.count(now)
        if self.own is None or total > self.settings.leaf:
            return []
        records = [entry.record for key in news if (entry := self._table.get(key, now)) is not None]
        if not records:
            return []
        return [Send(leaf, Supernodes(records[:CHUNK], total), "bulk") for leaf in self.leaves()]


def _chunks(records: Sequence[SupernodeRecord]) -> list[list[SupernodeRecord]]:
    """In messages of a size that a frame takes; one empty for none."""
    return [list(records[i : i + CHUNK]) for i in range(0, len(records), CHUNK)] or [[]]
