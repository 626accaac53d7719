"""Questions of others, answered by a supernode: look-ups by key, probes, and the whole search for a leaf.

An answer has at most 32 kB. Each peer has a rate; other supernodes, who ask for their leaves, have more.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from servent.codec import encode
from servent.errors import BadMessage
from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.overlay.asking import Asking
from servent.overlay.context import Context
from servent.overlay.directory import Directory
from servent.overlay.effects import Effect, Find, Load, Send
from servent.overlay.election import Election
from servent.overlay.goal import Goal, Report, Sink
from servent.overlay.housing import Housing
from servent.overlay.part import Handler, Part
from servent.overlay.rates import Rates
from servent.overlay.records import Item, PeerRecord, Slice
from servent.overlay.running import FETCHED, SIFTED, Running
from servent.overlay.terms import all_keys
from servent.overlay.wire import AskProof, Cancel, Found, FoundItem, Proof, Question
from servent.query.language import Query, QueryError, parse

BUSY = "busy: too many questions"
NO_INDEX = "this peer keeps no index"
PER_PEER = 8  # questions run at once for one leaf
MOST_RATES = 4096
PER_LEAF = 0.2  # questions a second that a supernode may ask for each of its leaves
MOST_ITEMS = 200  # in one answer
RECORDS_BYTES = 8 * 1024  # of an answer, at most, for where publishers are
ITEM_BYTES = 40  # of a find beside the item: who publishes it
PROOF_COST = 0.5
LEAVES = 1024  # of a supernode, at most, that its rate grows with: what it says of itself
PROBING = (
    0.2,
    3.0,
)  # questions of one leaf that need a probe, a second and at once: others have us pay for each
OF_SUPERNODES = 2.0  # times as many questions of a supernode: no leaf alone can use up what it has


class Answering(Part):
    """Attributes:
    answered: questions of others since the start. refused: of those, for their number.
    """

    def __init__(
        self, context: Context, directory: Directory, election: Election, housing: Housing, asking: Asking
    ) -> None:
        self._context, self._directory, self._election = context, directory, election
        self._housing, self._asking = housing, asking
        self._rates: OrderedDict[PeerId, TokenBucket] = OrderedDict()
        self._probing = Rates(*PROBING)
        self._running: dict[tuple[PeerId, bytes], Running] = {}
        self._per_peer: dict[PeerId, int] = {}
        self.answered = self.refused = 0

    def handlers(self) -> Mapping[type, Handler]:
        return {Question: self._question, Cancel: self._cancel, AskProof: self._show}

    # -- questions

    def _question(self, peer: PeerId, message: Question, now: float) -> list[Effect]:
        settings = self._context.settings.search
        self.answered += 1
        if not (self._election.index or self._election.retiring):
            return [Send(peer, Found(message.id, over=True, reason=NO_INDEX))]
        if not self._allowed(peer, settings.probe_cost if message.probe else 1.0, now):
            self.refused += 1
            return [Send(peer, Found(message.id, over=True, reason=BUSY))]
        if message.keys:
            return self._look_up(peer, message)
        query = self._parsed(message)
        if query is None and message.content is None:
            raise BadMessage("a question that asks nothing")
        if message.probe:
            return self._probe(peer, message, query)
        return self._serve(peer, message, query, now)

    def _parsed(self, message: Question) -> Query | None:
        if not message.text:
            return None
        try:
            return parse(message.text)
        except QueryError as wrong:
            raise BadMessage(f"a question that cannot be read: {wrong}") from wrong

    def _look_up(self, peer: PeerId, message: Question) -> list[Effect]:
        """By key: what is stored under the first, and has the others, too."""
        more_keys = set(message.keys[1:])
        network = self._context.network

        def then(found: Sequence[tuple[PeerId, Item]], more: bool, now: float) -> list[Effect]:
            if more_keys:
                found = [one for one in found if more_keys <= all_keys(network, one[1])]
            return [Send(peer, self._answer(message.id, found, 2, now, message.limit, more, over=True))]

        limit = SIFTED if more_keys else min(FETCHED, message.limit)
        return [Find(self._context.wait(then), limit, keys=message.keys[:1])]

    def _probe(self, peer: PeerId, message: Question, query: Query | None) -> list[Effect]:
        """What is kept here alone."""

        def then(found: Sequence[tuple[PeerId, Item]], more: bool, now: float) -> list[Effect]:
            return [Send(peer, self._answer(message.id, found, 3, now, message.limit, more, over=True))]

        limit = min(FETCHED, message.limit)
        return [Find(self._context.wait(then), limit, query=query, content=message.content)]

    def _serve(self, peer: PeerId, message: Question, query: Query | None, now: float) -> list[Effect]:
        """All layers, for a leaf."""
        name = peer, message.id
        if name in self._running:
            raise BadMessage("the same question again")
        if self._per_peer.get(peer, 0) >= PER_PEER:
            self.refused += 1
            return [Send(peer, Found(message.id, over=True, reason=BUSY))]
        budget = message.budget if self._probing.has(peer, 1.0, now) else 0  # paid for if there was a probe
        goal = Goal(query, message.content, message.limit, budget, self._asking.total(now))
        self._per_peer[peer] = self._per_peer.get(peer, 0) + 1
        ended = [False]
        running, effects = self._asking.run(goal, self._teller(peer, message.id, ended), now)
        if running is None:
            self._end(peer)
            self.refused += 1
            return [Send(peer, Found(message.id, over=True, reason=BUSY))]
        if not ended[0]:
            self._running[name] = running
        return effects

    def _teller(self, peer: PeerId, name: bytes, ended: list[bool]) -> Sink:
        def sink(report: Report, now: float) -> list[Effect]:
            if report.over:
                ended[0] = True
                self._paid(peer, self._running.pop((peer, name), None), now)
                self._end(peer)
            effects: list[Effect] = []
            while True:
                answer = self._answer(
                    name, report.found, report.layer, now, MOST_ITEMS, report.sampled,
                    over=report.over, records=report.records, report=report,
                )  # fmt: skip
                effects.append(Send(peer, answer))
                report.found = report.found[len(answer.items) :]
                if not report.found or not answer.items:
                    return effects

        return sink

    def _end(self, peer: PeerId) -> None:
        left = self._per_peer.get(peer, 0) - 1
        if left > 0:
            self._per_peer[peer] = left
        else:
            self._per_peer.pop(peer, None)

    def _paid(self, peer: PeerId, running: Running | None, now: float) -> None:
        if running is not None and running.probed:
            self._probing.charge(peer, 1.0, now)

    def _cancel(self, peer: PeerId, message: Cancel, now: float) -> list[Effect]:
        running = self._running.pop((peer, message.id), None)
        if running is not None:
            self._end(peer)
            self._paid(peer, running, now)
            self._asking.stop(running, now)
        return []

    def down(self, peer: PeerId, now: float) -> list[Effect]:
        """Nobody is there to be answered."""
        if peer in self._per_peer:
            for asker, name in [one for one in self._running if one[0] == peer]:
                self._asking.stop(self._running.pop((asker, name)), now)
            del self._per_peer[peer]
        return []

    # -- proofs

    def _show(self, peer: PeerId, message: AskProof, now: float) -> list[Effect]:
        """From our own store, else from whoever told us of it."""
        if not self._allowed(peer, PROOF_COST, now):
            return [Send(peer, Proof(message.number))]

        def passed_on(slice: Slice | None, now: float) -> list[Effect]:
            return [Send(peer, Proof(message.number, slice))]

        def then(slice: Slice | None, _postings: object, now: float) -> list[Effect]:
            if slice is None and self._directory.get(peer, now) is None:  # supernodes ask who told them
                asked = self._asking.show(message.publisher, message.content, passed_on)
                return asked or [Send(peer, Proof(message.number))]
            return [Send(peer, Proof(message.number, slice))]

        publisher = PeerId(message.publisher)
        return [Load(self._context.wait(then), publisher, content=message.content)]

    # -- inside

    def _answer(
        self,
        name: bytes,
        found: Iterable[tuple[PeerId, Item]],
        layer: int,
        now: float,
        limit: int,
        more: bool,
        *,
        over: bool,
        records: Iterable[PeerRecord] = (),
        report: Report | None = None,
    ) -> Found:
        """As much of it as one answer may have."""
        room = self._context.settings.search.answer_bytes - RECORDS_BYTES
        items: list[FoundItem] = []
        publishers: dict[bytes, None] = {}
        for publisher, item in found:
            room -= len(encode(item)) + ITEM_BYTES
            if len(items) >= min(limit, MOST_ITEMS) or room < 0:
                more = True
                break
            items.append(FoundItem(publisher, item))
            publishers[publisher] = None
        known = {record.key: record for record in records}
        where: list[PeerRecord] = []
        room = RECORDS_BYTES
        for one in publishers:
            record = self._housing.record_of(one, now) or known.get(one)
            if record is not None:
                room -= len(encode(record))
                if room < 0 or len(where) >= 64:
                    break
                where.append(record)
        if report is None:
            return Found(name, items, where, layer, sampled=more, over=over)
        return Found(
            name, items, where, layer, report.asked, report.answered, report.messages, report.sampled,
            over and len(items) == len(report.found), report.reason,
        )  # fmt: skip

    def _allowed(self, peer: PeerId, cost: float, now: float) -> bool:
        settings = self._context.settings.search
        record = self._directory.get(peer, now)
        leaves = min(LEAVES, record.leaves) if record is not None else 0
        times = 1.0 if record is None else OF_SUPERNODES
        each = times * settings.rate + PER_LEAF * leaves
        burst = times * settings.burst + leaves * settings.probe_cost
        rate = self._rates.get(peer)
        if rate is None:
            if len(self._rates) >= MOST_RATES:
                self._rates.popitem(last=False)
            rate = self._rates[peer] = TokenBucket(each, burst)
        else:
            self._rates.move_to_end(peer)
            if rate.rate != each:
                rate.set_rate(each, burst)
        return rate.allow(cost, now)
