"""Which supernodes there are: whom we believe, and how others hear of it.

A supernode keeps all of them; a leaf keeps a few. How they hear of each other is the business of `rumours`. Who is dead is
found by probing (`liveness`); nobody's word for it is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import structs

from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.demand import members_of
from servent.overlay.doubted import Doubted
from servent.overlay.due import Due
from servent.overlay.effects import Effect, Learn, Send
from servent.overlay.known import EVER, Known
from servent.overlay.liveness import Liveness
from servent.overlay.moves import Change
from servent.overlay.part import Handler, Part
from servent.overlay.placement import Position
from servent.overlay.rates import Rates
from servent.overlay.records import SupernodeRecord, check, next_seq, signed, text_of
from servent.overlay.rumours import SMALL, Rumours, chunks
from servent.overlay.topology import Topology
from servent.overlay.vouching import doubts
from servent.overlay.wire import AskSupernodes, Goodbye, Probe, Ranges, Supernodes
from servent.trust.networks import Forged

SOON = 0.5  # s that those who wait for changes of the ring wait for more of them
ASK_AGAIN = (2.0, 60.0)  # s between questions while too few supernodes are known, doubling
MEET = 60.0  # s between two such questions of a supernode that knows a few others
SUSPECTED = 60.0  # s between two records that we sign because others suspect us
LAST_LOOK = 0.8  # of the hand-over, until we compare lists a last time
MOST_TOLD = 1_000_000  # supernodes that anybody is believed to know
TOLD_OF = (100.0, 10_000.0)  # records a second that one peer may bring, and at once: 0.3 ms each if news


class Directory(Part):
    """Supernodes of one network, ourselves among them while we carry the role.

    Attributes:
        changed: called soon after supernodes came or went; what they return is carried out.
        links: peers we are connected with.
        fill: renews what our record says of us, before it is signed again.
        leaves: who is to hear of new supernodes from us; `member` says whom we house.
    """

    def __init__(self, context: Context, topology: Topology) -> None:
        self._context, self.topology = context, topology
        self.settings = context.settings.directory
        self.changed: list[Callable[[float], list[Effect]]] = []
        self.leaves: Callable[[], Iterable[PeerId]] = tuple
        self.fill: Callable[[SupernodeRecord, float], SupernodeRecord] = lambda record, now: record
        self.links: set[PeerId] = set()
        self._known = Known(context)
        self._doubted = Doubted()
        self._liveness = Liveness(context, self._known, self.links, self._died, self._suspected)
        behind: Callable[[], bool] = lambda: len(self._doubted) > 0
        self._rumours = Rumours(context, self._known, self.count, self.links, lambda: self.leaves(), behind)
        self._seq = 0
        self._refuted = -SUSPECTED
        self._bye: Goodbye | None = None
        self._asked: dict[PeerId, float] = {}
        self._ask_wait = ASK_AGAIN[0]
        self._told = 0
        self._answers = Rates(0.5, 20.0)
        self._told_of = Rates(*TOLD_OF)
        self._due = Due()

    # -- what is known

    @property
    def own(self) -> SupernodeRecord | None:
        """Our own record while we carry the role."""
        return self._known.own

    def records(self, now: float) -> Sequence[SupernodeRecord]:
        """All that are known, our own first while we carry the role."""
        return self._known.records(now)

    def serving(self, now: float) -> list[SupernodeRecord]:
        """Of `records` those that neither retire nor could not be reached lately."""
        return self._known.serving(now)

    def get(self, key: bytes, now: float) -> SupernodeRecord | None:
        """The record of that supernode; our own as well."""
        return self.own if key == self._context.me else self._known.get(key, now)

    def nearest(self, key: bytes, count: int, now: float, *, storing: bool = False) -> list[PeerId]:
        """Supernodes XOR-nearest to a 16-byte key, nearest first; we ourselves may be among them.

        Args:
            storing: where something is to be stored now: none that retires, and besides the `count` nearest all
                within the distance at which the last of them would stand among so many that stand at random, so that
                nobody who crowds around a key is alone with it. At most four times `count`.
        """
        return list(self._known.nearest(key, count, storing))

    def moved(self) -> Change | None:
        """Who stands elsewhere on the ring since this was asked last, as far as something is stored there; None: everybody."""
        return self._known.moves.take(self._known.stands)

    def stands(self, key: bytes) -> Position | None:
        """Where that supernode stands; None when nothing may be stored there."""
        return self._known.stands(key)

    def random(self, count: int, now: float, leave_out: Sequence[bytes] = ()) -> list[PeerId]:
        """Supernodes at random, without ourselves; those that could not be reached lately last."""
        return self._known.random(count, now, leave_out)

    def suspended(self, key: bytes, now: float) -> bool:
        """Whether it could not be reached a moment ago."""
        return self._known.suspended(key, now)

    def count(self, now: float) -> int:
        """Supernodes in the network: those alive that are known here, or for a leaf as many as one of them said lately."""
        return self.alive(now) if self.own is not None else self._told or len(self._known)

    def alive(self, now: float) -> int:
        """Supernodes known here that could be reached and stay; ourselves included."""
        return self._known.alive(now)

    def members(self, now: float) -> int:
        """How many peers the network has, ourselves included, as supernodes report their leaves."""
        records = self.records(now)
        if not records:
            return 1 + len(self.links)
        told = self._told if self.own is None else 0
        guess = members_of(self.serving(now) or records, len(records), told, self._context.settings)
        return max(1 + (self.own is None), 1 + len(self.links), len(records), guess)

    # -- what comes in

    def handlers(self) -> Mapping[type, Handler]:
        return {
            AskSupernodes: self._on_ask,
            Supernodes: self._on_supernodes,
            Goodbye: self._on_goodbye,
            Ranges: self._rumours.on_ranges,
            **self._liveness.handlers(),
            Probe: self._on_probe,
        }

    def put(self, record: SupernodeRecord, now: float, source: PeerId | None = None) -> bool:
        """Take in a record from anywhere: verified here, once. True if it is news.

        Raises:
            Forged: a signature does not hold, or it says what cannot be; whoever passed it on is to blame.
        """
        if not self._take(record, now, source):
            return False
        vouching = [record.peer.key]
        while vouching and self._doubted:
            vouching += [
                one.peer.key for one in self._doubted.vouched(vouching.pop()) if self._take(one, now, source)
            ]
        return True

    def _take(self, record: SupernodeRecord, now: float, source: PeerId | None) -> bool:
        context, key, known = self._context, record.peer.key, self._known
        if key == context.me:
            return self._echo(record, now)
        if not known.newer(key, record.seq, now):
            return False
        if not context.belongs(key):
            return False  # whoever told us may not know yet
        check(context.network, record, context.seal)
        if context.peers.get(key, now) != record.peer:  # it is passed on without what is around it
            check(context.network, record.peer, context.seal)
        before = known.get(key)
        going = record.retiring and before is not None
        if not going and self._doubts(record, before, source, now):
            self._doubted.keep(record)
            return False
        if before is None:
            self._make_room(now)
        known.put(record, now)
        context.know(record.peer, now)
        if before is None or before.block != record.block or before.retiring != record.retiring:
            self._changed_soon(now)
        self._rumours.heard(record, before, source, now)
        self._due.soon("expire", now + 60.0)
        return True

    def _doubts(
        self, record: SupernodeRecord, before: SupernodeRecord | None, source: PeerId | None, now: float
    ) -> bool:
        """Whether it is not to be believed. Who passes it on may have had no reason to look at all of it, as we have:

        what cannot be is held against the supernode itself only.
        """
        known, key = self._known, record.peer.key
        try:
            return bool(
                doubts(
                    self._context,
                    self.topology,
                    record,
                    same_block=known.in_block(record.block)
                    - (before is not None and before.block == record.block),
                    wanted=self.receipts_wanted(key, now),
                    witness=lambda by: self._block(by, now),
                )
            )
        except Forged:
            if source in (None, key):
                raise
            return True

    def _echo(self, record: SupernodeRecord, now: float) -> bool:
        """Our own record comes back. A higher number than ours is from before our clock was set back: go on from there."""
        if record.seq > self._seq:
            check(self._context.network, record, self._context.seal)
            self._seq = record.seq
            if self.own is not None:
                self._due.soon("refresh", now)
        return False

    def _make_room(self, now: float) -> None:
        """A leaf keeps a few, a supernode all there are, within reason; who is connected with us is kept."""
        if len(self._known) < (self.settings.leaf if self.own is None else 2 * self.settings.complete):
            return
        keys = self._known.keys
        self._known.forget(
            self._context.dice.choice([key for key in keys if key not in self.links] or keys), now
        )

    def receipts_wanted(self, key: bytes, now: float) -> int:
        """Dial-backs that `key` must show to be believed here: none while there are fewer supernodes than the floor.

        One of a witness known here is enough. Where two had to be known lists never agreed: who vouch for each other in a
        circle were known to some and to others not (a simulation: 20 of 83 supernodes knew fewer than all for good).
        """
        election, known = self._context.settings.election, self._known
        others = len(known) + (self.own is not None) - (key in known)
        if not self.topology.elected or others < election.floor:
            return 0
        return 1

    def _block(self, key: bytes, now: float) -> str | None:
        """The block of a supernode or neighbour that is known here; None of others. A leaf knows too few to judge."""
        record = self._known.get(key, now)
        if record is not None:
            return record.block
        return "" if key in self.links or self.own is None else None

    def drop(self, key: bytes, now: float) -> None:
        """It is a supernode no more; only a newer record brings it back."""
        if self._known.forget(key, now) is not None:
            self._changed_soon(now)

    def _died(self, key: bytes, now: float) -> None:
        """As we saw ourselves. Should it be heard of, it is back."""
        if self._known.bury(key, now):
            self._changed_soon(now)

    def _suspected(self, now: float) -> None:
        """Others could not reach us a moment ago: a newer record tells them that we are here."""
        if now - self._refuted >= SUSPECTED:
            self._refuted = now
            self._due.soon("refresh", now + 1.0)

    def _changed_soon(self, now: float) -> None:
        if self.changed:
            self._due.soon("changed", now + SOON)

    def _on_ask(self, peer: PeerId, message: AskSupernodes, now: float) -> list[Effect]:
        if not self._answers.allow(peer, 1.0, now):
            return []
        chosen = self.random(min(message.most, self.settings.leaf), now, (peer,))
        told = [record for key in chosen if (record := self._known.get(key)) is not None]
        if self.own is not None:
            told.insert(0, self.own)
        answers: list[Effect] = [Send(peer, Supernodes(part, self.count(now))) for part in chunks(told)]
        return [*answers, *self._no_more(peer)]

    def _no_more(self, peer: PeerId) -> list[Effect]:
        """Who takes us for a supernode, which we were, is told."""
        return [Send(peer, self._bye)] if self._bye is not None and self.own is None else []

    def _on_probe(self, peer: PeerId, message: Probe, now: float) -> list[Effect]:
        return self._no_more(peer) if self.own is None else self._liveness.on_probe(peer, message, now)

    def _on_supernodes(self, peer: PeerId, message: Supernodes, now: float) -> list[Effect]:
        if not self._told_of.allow(peer, len(message.records), now):
            self._context.faults.append((peer, "tells of more supernodes than there can be"))
            return []
        none_before = not self.alive(now)
        learnt: list[Effect] = [
            Learn(record.peer) for record in message.records if self.put(record, now, peer)
        ]
        if message.total >= len(message.records) and peer in self._known:
            self._told = min(message.total, MOST_TOLD)
        if learnt and none_before and self.own is None:
            learnt += [Send(other, message) for other in sorted(self.links - {peer})[:SMALL]]
        return learnt

    def _on_goodbye(self, peer: PeerId, message: Goodbye, now: float) -> list[Effect]:
        context, key, known = self._context, message.key, self._known
        if key == context.me or key not in known or message.seq < known.seq(key):
            return []
        if not context.seal.holds(key, message.signature, text_of(context.network, message)):
            raise Forged("a forged goodbye")
        announced = known.retires(key)
        known.end(key, message.seq, now)
        self._changed_soon(now)
        if announced:
            return []  # all have heard that it is going, and forget it by themselves
        return self._rumours.spread(message, (peer, key), now)

    # -- links

    def up(self, peer: PeerId, now: float) -> list[Effect]:
        self.links.add(peer)
        self._known.revive(peer)
        if peer in self._asked or not (self._thin() if self.own is None else self._lonely(now)):
            return []
        return self._meet(peer, now)

    def _meet(self, peer: PeerId, now: float) -> list[Effect]:
        """Ask it, and tell it that we are a supernode if we are one."""
        own = self.own
        told: list[Effect] = [Send(peer, Supernodes([own], self.count(now)))] if own is not None else []
        return [*told, *self._ask(peer, now)]

    def down(self, peer: PeerId, now: float) -> list[Effect]:
        self.links.discard(peer)
        return []

    def failed(self, peer: PeerId, now: float) -> list[Effect]:
        if not self._known.suspend(peer, now):
            return []
        if self.own is not None:
            return self._liveness.failed(peer, now)
        self._due.soon("ask", now + 1.0)
        return []

    def _thin(self) -> bool:
        """Whether a leaf knows too few."""
        return self.own is None and len(self._known) < min(self.settings.leaf // 2, self._told or 1)

    def _lonely(self, now: float) -> bool:
        """Whether a supernode knows so few others that it introduces itself to whoever it meets."""
        return self.alive(now) <= SMALL

    def _ask(self, peer: PeerId, now: float) -> list[Effect]:
        self._asked.pop(peer, None)
        if len(self._asked) >= 64:
            del self._asked[next(iter(self._asked))]
        self._asked[peer] = now
        self._rumours.hush(peer, now)
        self._due.soon("ask", now + self._ask_wait * self._jitter())
        return [Send(peer, AskSupernodes(self.settings.leaf))]

    def look(self, now: float) -> list[Effect]:
        """Ask somebody for supernodes: a server while none is known, a supernode, or a neighbour."""
        context = self._context
        servers = sorted(self.topology.servers - {context.me}) if self.topology.mode == "server" else []
        if servers and not any(key in self._known for key in servers):
            asked = [PeerId(context.dice.choice(servers))]
        else:
            asked = self.random(1, now) if self.alive(now) else []
        if not asked and self.links:
            asked = [context.dice.choice(sorted(self.links))]
        return self._ask(asked[0], now) if asked else []

    # -- what is due

    def next_tick(self) -> float | None:
        if self.own is None:
            return self._due.next
        dues = (self._due.next, self._liveness.due.next, self._rumours.due.next)
        return min((due for due in dues if due is not None), default=None)

    def tick(self, now: float) -> list[Effect]:
        effects = [*self._liveness.tick(now), *self._rumours.tick(now)] if self.own is not None else []
        for name in self._due.take(now):
            match name:
                case "changed":
                    for tell in self.changed:
                        effects += tell(now)
                case "refresh":
                    effects += self.state(now)
                case "ask":
                    effects += self._ask_due(now)
                case _:
                    self._expire(now)
        return effects

    def _ask_due(self, now: float) -> list[Effect]:
        """A leaf asks on while it knows too few, twice as rarely each time, and renews its list now and then.

        A supernode that knows few asks one it is connected with: two groups of supernodes that took the role at the
        same time, and do not know of each other, have leaves between them.
        """
        if self.own is not None and self.alive(now) > 1:
            self._ask_wait = MEET
            self._due.set("ask", now + MEET * self._jitter())
            lonely = self._lonely(now) and self.links
            return self._meet(self._context.dice.choice(sorted(self.links)), now) if lonely else []
        if self.own is None and self.alive(now) and not self._thin():
            self._ask_wait = ASK_AGAIN[0]
            stale = max(self._asked.values(), default=EVER) + self.settings.refresh * 0.75
            if now < stale:
                self._due.set("ask", stale + self.settings.refresh * 0.5 * self._context.dice.random())
                return []
        else:
            self._ask_wait = min(2 * self._ask_wait, ASK_AGAIN[1])
        self._due.set("ask", now + self._ask_wait * self._jitter())
        return self.look(now)

    def _expire(self, now: float) -> None:
        if self._known.expire(now):
            self._changed_soon(now)
        for key in [key for key in self._known.keys if not self._context.belongs(key)]:
            self.drop(key, now)  # it was expelled since
        self._drop_strangers(now)
        if len(self._known) or self.own is not None:
            self._due.set("expire", now + 60.0)

    def _drop_strangers(self, now: float) -> None:
        """After the mode changed: whoever may not be a supernode any more, once somebody is known who may."""
        if self.topology.mode != "server":
            return
        others = [one for one in self.records(now) if one.peer.key != self._context.me]
        strangers = [one for one in others if not self.topology.accepts(one)]
        if len(strangers) < len(others) or self._context.me in self.topology.servers:
            for one in strangers:
                self.drop(one.peer.key, now)

    def _jitter(self) -> float:
        return self._context.dice.uniform(0.75, 1.25)

    # -- our own role

    def next_seq(self) -> int:
        """A number for what we sign next as a supernode, above all before."""
        self._seq = next_seq(self._seq, self._context.wall())
        return self._seq

    def serve(self, record: SupernodeRecord, now: float) -> list[Effect]:
        """We carry the role now, with this signed record of ours; or the record is another now."""
        before = self.own
        self._seq = max(self._seq, record.seq)
        self._known.serve(record)
        self._due.set("refresh", now + self.settings.refresh * self._jitter())
        self._due.soon("expire", now + 60.0)
        if before is None:
            self._due.set("ask", now + MEET * self._jitter())
            self._rumours.start(now)
            self._liveness.start(now)
        if before is None or before.retiring != record.retiring or before.block != record.block:
            self._changed_soon(now)
        if record.retiring and (before is None or not before.retiring):
            self._rumours.leaving(now + LAST_LOOK * self._context.settings.election.hand_over)
        return self._rumours.announce(record, self.links, now)

    def state(self, now: float, retiring: bool | None = None) -> list[Effect]:
        """Sign our record anew, with what has changed, and let others know."""
        own = self.own
        if own is None:
            return []
        changed = structs.replace(
            self.fill(own, now),
            seq=self.next_seq(),
            retiring=own.retiring if retiring is None else retiring,
        )
        return self.serve(signed(self._context.network, changed, self._context.seal), now)

    def retire(self, now: float) -> list[Effect]:
        """We carry the role no more: say goodbye."""
        context, known = self._context, self._known
        if self.own is None:
            return []
        bye = Goodbye(bytes(context.me), self.next_seq())
        self._bye = bye = signed(context.network, bye, context.seal)
        known.serve(None)
        self._rumours.stop()
        self._liveness.stop()
        self._due.drop("refresh")
        self._changed_soon(now)
        told: list[Effect] = [Send(peer, bye) for peer in self.random(SMALL, now)]
        known.trim(self.settings.leaf, now)
        self._told = known.alive(now)
        self._due.soon("ask", now + self.settings.refresh * self._jitter())
        return told

    def shape(self, topology: Topology, now: float) -> list[Effect]:
        """The network's settings are others now. Who may not be a supernode any more stays known for the hand-over."""
        if topology.mode != self.topology.mode:
            self._told = 0  # it was so in the mode before
        self.topology = topology
        self._ask_wait = ASK_AGAIN[0]
        self._due.soon("ask", now + self._context.dice.uniform(0.0, 2.0))
        self._due.soon("expire", now + self._context.settings.election.hand_over)
        self._changed_soon(now)
        return []
