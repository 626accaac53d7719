"""The view: each message by itself, and any order of all of them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec import structs

from servent.errors import BadMessage
from servent.overlay.effects import Bootstrap, Effect, Hold, Learn, Neighbour, Release, Send, Tell
from servent.overlay.guard import Guard
from servent.overlay.view import View
from servent.overlay.wire import Accept, Ask, Decline, Join, Leave, Shuffle, Shuffled, Walk
from servent.trust.networks import Forged
from tests.overlay.throng import NETWORK, context_of, key_of, record_of

HANDLERS = {
    Join: View.on_join,
    Walk: View.on_walk,
    Ask: View.on_ask,
    Accept: View.on_accept,
    Decline: View.on_decline,
    Leave: View.on_leave,
    Shuffle: View.on_shuffle,
    Shuffled: View.on_shuffled,
}


def view_of(number: int = 0) -> View:
    context = context_of(number)
    return View(context, Guard(context), context.topic(""), True, lambda peer, up: None)


def sends(effects: list[Effect], kind: type = object) -> list[Send]:
    return [one for one in effects if isinstance(one, Send) and isinstance(one.message, kind)]


def befriend(view: View, *numbers: int, now: float = 0.0, urgent: bool = True) -> list[Effect]:
    effects: list[Effect] = []
    for number in numbers:
        effects += view.on_ask(key_of(number), Ask(view.topic, record_of(number), urgent), now)
    return effects


def test_alone_it_asks_the_providers_ever_more_rarely() -> None:
    view = view_of()
    asked = [0.0] if Bootstrap() in view.join([], 0.0) else []
    while asked[-1] < 3000.0:
        due = view.next_tick()
        assert due is not None
        if Bootstrap() in view.tick(due):
            asked.append(due)
    pauses = [after - before for before, after in pairwise(asked)]
    assert pauses[0] < 10.0 and all(pause < 400.0 for pause in pauses)
    assert 10 < len(asked) < 25


def test_where_all_it_knows_may_be_gone_it_asks_the_providers_and_begins_with_whom_they_name() -> None:
    view = view_of()
    befriend(view, 1)
    view._mix([record_of(number) for number in range(2, 30)], key_of(1), 1.0)
    effects = view.down(key_of(1), 100.0)
    for step in range(view.most):
        assert Bootstrap() not in effects
        assert view.pending
        effects = view.down(next(iter(view.pending)), 103.0 + step / 10)
    assert Bootstrap() in effects
    assert len(view.reserve.entries) > view.most  # it knows others, of whom nothing is known
    assert Bootstrap() not in view.down(next(iter(view.pending)), 104.0)
    told = view.join([record_of(50), record_of(51)], 104.5)
    assert {one.to for one in sends(told)} >= {key_of(50), key_of(51)}
    view.on_accept(key_of(50), Accept(view.topic, record_of(50)), 104.6)
    assert key_of(50) in view.active
    view.down(key_of(50), 200.0)
    assert Bootstrap() not in view.down(next(iter(view.pending)), 203.0)  # it begins anew


def test_it_joins_by_a_contact_and_holds_the_connection() -> None:
    view = view_of()
    effects = view.join([record_of(1)], 0.0)
    assert Learn(record_of(1)) in effects and sends(effects, Join)[0].to == key_of(1)
    effects = view.on_accept(key_of(1), Accept(view.topic, record_of(1)), 0.1)
    assert Hold(key_of(1)) in effects and Tell(Neighbour(key_of(1), True)) in effects
    assert list(view.active) == [key_of(1)] and view.active[key_of(1)].mine


def test_a_newcomer_is_taken_in_and_passed_on() -> None:
    view = view_of()
    befriend(view, 1, 2)
    effects = view.on_join(key_of(9), Join(view.topic, record_of(9)), 1.0)
    assert {one.to for one in sends(effects, Walk)} == {key_of(1), key_of(2)}
    assert all(one.message.hops == 6 for one in sends(effects, Walk))
    assert sends(effects, Accept)[0].to == key_of(9) and key_of(9) in view.active


def test_a_walk_goes_on_is_kept_in_mind_and_ends_with_a_question() -> None:
    view = view_of()
    befriend(view, 1, 2)
    [on] = sends(view.on_walk(key_of(1), Walk(view.topic, record_of(9), 6), 1.0))
    assert on.to == key_of(2) and on.message.hops == 5 and key_of(9) not in view.reserve.entries
    view.on_walk(key_of(1), Walk(view.topic, record_of(9), 3), 1.0)
    assert key_of(9) in view.reserve.entries or key_of(9) in view.pending
    view.pending.clear()
    [end] = sends(view.on_walk(key_of(1), Walk(view.topic, record_of(8), 0), 1.0), Ask)
    assert end.to == key_of(8)


def test_who_is_no_neighbour_of_ours_is_told_so() -> None:
    view = view_of()
    befriend(view, 1)
    for message in (Walk(view.topic, record_of(9), 3), Shuffle(view.topic, record_of(5), [], 3)):
        kind = HANDLERS[type(message)]
        assert kind(view, key_of(5), message, 1.0) == [Send(key_of(5), Leave(view.topic))]
    late = view.on_accept(key_of(5), Accept(view.topic, record_of(5)), 1.0)
    assert late == [Send(key_of(5), Leave(view.topic))]


def test_a_full_view_declines_unless_it_is_urgent() -> None:
    view = view_of()
    befriend(view, 1, 2, 3)
    effects = befriend(view, 4, urgent=False)
    assert sends(effects, Decline) and key_of(4) in view.reserve.entries
    effects = befriend(view, 5, urgent=True)
    assert sends(effects, Accept)[0].to == key_of(5)
    assert len(sends(effects, Leave)) == 1 and len(view.active) == 3, "three whom others chose, at most"


def test_a_lost_neighbour_is_replaced_at_once_and_tried_again_later() -> None:
    view = view_of()
    befriend(view, 1, 2)
    for number in range(20, 30):
        view.reserve.remember(record_of(number), b"", 0.0, view.active)
    effects = view.down(key_of(1), 1.0)
    assert Release(key_of(1)) in effects
    assert len(sends(effects, Ask)) == 4 and all(not one.message.urgent for one in sends(effects, Ask))
    asked = set()
    while (due := view.next_tick()) is not None and due < 400.0:
        asked |= {one.to for one in sends(view.tick(due), Ask)}
    assert key_of(1) in asked


def test_goodbye_for_good_is_not_kept_in_mind() -> None:
    view = view_of()
    befriend(view, 1, 2)
    view.on_leave(key_of(1), Leave(view.topic), 1.0)
    view.on_leave(key_of(2), Leave(view.topic, gone=True), 1.0)
    kept = {*view.reserve.entries, *view.pending}
    assert key_of(1) in kept and key_of(2) not in kept and not view.active


def test_a_shuffle_ends_with_as_many_records_and_nobody_else_can_fill_the_view() -> None:
    view = view_of()
    befriend(view, 1)
    records = [record_of(number) for number in range(20, 27)]
    effects = view.on_shuffle(key_of(1), Shuffle(view.topic, record_of(30), records, 0), 1.0)
    assert sends(effects, Shuffled)[0].to == key_of(30)
    assert {key_of(number) for number in (30, *range(20, 27))} <= set(view.reserve.entries)
    view.on_shuffled(key_of(77), Shuffled(view.topic, [record_of(50)]), 1.0)
    assert key_of(50) not in view.reserve.entries, "nobody asked"


def test_one_neighbour_tells_no_more_than_its_rate() -> None:
    view = view_of()
    befriend(view, 1)
    for number in range(40):
        records = [record_of(1000 + 8 * number + one) for one in range(7)]
        view.on_shuffle(key_of(1), Shuffle(view.topic, record_of(1), records, 0), 1.0)
    assert len(view.reserve.entries) <= 16


def test_forged_records_raise_and_foreign_or_old_ones_are_passed_over() -> None:
    view = view_of()
    befriend(view, 1, 2)
    forged = structs.replace(record_of(9), signature=bytes(64))
    for message in (
        Shuffle(view.topic, record_of(1), [forged], 0),
        Shuffle(view.topic, record_of(1), [forged], 5),
        Walk(view.topic, forged, 0),
        Walk(view.topic, forged, 5),
    ):
        with pytest.raises(Forged):
            HANDLERS[type(message)](view, key_of(1), message, 1.0)
    with pytest.raises(BadMessage):
        view.on_join(key_of(8), Join(view.topic, record_of(9)), 1.0)
    new = record_of(20, "81.1.1.1:1", seq=7)
    view.on_shuffle(key_of(1), Shuffle(view.topic, record_of(1), [new], 0), 1.0)
    view.on_shuffle(
        key_of(1), Shuffle(view.topic, record_of(1), [record_of(20, "82.1.1.1:1", seq=3)], 0), 1.0
    )
    assert view.reserve.entries[key_of(20)].record == new
    view._context.belongs = lambda key: key != key_of(21)
    view.on_shuffle(key_of(1), Shuffle(view.topic, record_of(1), [record_of(21)], 0), 1.0)
    assert key_of(21) not in view.reserve.entries


def test_a_record_is_not_passed_on_after_its_time() -> None:
    view = view_of()
    befriend(view, 1)
    short = structs.replace(record_of(20), lifetime=30)
    from servent.overlay.records import signed
    from tests.overlay.throng import CheapSeal

    view.reserve.take(signed(NETWORK, short, CheapSeal(key_of(20))), 0.0)
    view.reserve.remember(view._context.peers.get(key_of(20), 0.0), b"", 0.0, view.active)
    assert view.reserve.pass_on(4, 29.0, ()) and not view.reserve.pass_on(4, 31.0, ())
    view.reserve.sweep(31.0)
    assert key_of(20) not in view.reserve.entries


def test_it_grows_and_shrinks() -> None:
    view = view_of()
    view.grow(8, 64, 0.0)
    befriend(view, *range(1, 5))
    assert len(view.active) == 4
    effects = view.grow(2, 4, 1.0)
    assert len(view.active) == 2 and len(sends(effects, Leave)) == 2
    assert len(view.reserve.entries) <= 4


class Views(RuleBasedStateMachine):
    """Six views; messages are lost, late, doubled and out of order, links break, and nothing else is promised."""

    def __init__(self) -> None:
        super().__init__()
        self.views = [view_of(number) for number in range(6)]
        self.number = {key_of(number): number for number in range(6)}
        self.mail: list[tuple[int, int, object]] = []
        self.held = [dict.fromkeys(range(6), 0) for _ in range(6)]
        self.now = 0.0

    def do(self, who: int, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(to, message) if to in self.number:
                    self.mail.append((who, self.number[to], message))
                case Hold(peer) | Release(peer) if peer in self.number:
                    self.held[who][self.number[peer]] += 1 if isinstance(effect, Hold) else -1

    def deliver(self, place: int, keep: bool = False) -> None:
        sender, to, message = self.mail[place] if keep else self.mail.pop(place)
        view = self.views[to]
        self.do(to, HANDLERS[type(message)](view, key_of(sender), message, self.now))

    @rule(who=st.integers(0, 5), contacts=st.lists(st.integers(0, 5), max_size=3))
    def join(self, who: int, contacts: list[int]) -> None:
        self.do(who, self.views[who].join([record_of(one) for one in contacts], self.now))

    @precondition(lambda self: self.mail)
    @rule(data=st.data(), keep=st.booleans())
    def arrive(self, data: st.DataObject, keep: bool) -> None:
        self.deliver(data.draw(st.integers(0, len(self.mail) - 1)), keep)

    @precondition(lambda self: self.mail)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        sender, to, _ = self.mail.pop(data.draw(st.integers(0, len(self.mail) - 1)))
        self.do(sender, self.views[sender].down(key_of(to), self.now))

    @rule(who=st.integers(0, 5), other=st.integers(0, 5))
    def cut(self, who: int, other: int) -> None:
        self.do(who, self.views[who].down(key_of(other), self.now))

    @rule(pause=st.floats(0.0, 100.0))
    def wait(self, pause: float) -> None:
        self.now += pause
        for number, view in enumerate(self.views):
            due = view.next_tick()
            if due is not None and due <= self.now:
                self.do(number, view.tick(self.now))

    @rule(who=st.integers(0, 5), active=st.integers(1, 8), passive=st.integers(1, 64))
    def grow(self, who: int, active: int, passive: int) -> None:
        self.do(who, self.views[who].grow(active, passive, self.now))

    @rule(who=st.integers(0, 5), other=st.integers(0, 5))
    def expel(self, who: int, other: int) -> None:
        self.do(who, self.views[who].expel(key_of(other), self.now))

    @invariant()
    def views_are_sound(self) -> None:
        for number, view in enumerate(self.views):
            assert len(view.active) <= view.most and len(view.reserve.entries) <= view.reserve.most
            assert len(view.pending) <= 10
            assert key_of(number) not in {*view.active, *view.reserve.entries, *view.pending}
            assert not view.active.keys() & view.reserve.entries.keys()
            assert not view.active.keys() & view.pending.keys()
            assert {one for one, count in self.held[number].items() if count} == {
                self.number[peer] for peer in view.active
            }
            assert set(self.held[number].values()) <= {0, 1}

    def teardown(self) -> None:
        """At rest, both say so or neither."""
        for _ in range(20_000):
            if not self.mail:
                due = min((due for view in self.views if (due := view.next_tick()) is not None), default=1e9)
                if due > self.now + 2000.0:
                    break
                if due > self.now + 200.0 and self.symmetric():
                    break
                self.wait(max(0.0, due - self.now))
                if self.symmetric() and not self.mail and not any(view.pending for view in self.views):
                    break
            else:
                self.deliver(0)
        assert self.symmetric()

    def symmetric(self) -> bool:
        return all(
            key_of(number) in self.views[self.number[peer]].active
            for number, view in enumerate(self.views)
            for peer in view.active
        )


TestViews = Views.TestCase
TestViews.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
