"""What becomes of a unit: the rules one by one, then anything at all that may happen to it."""

from __future__ import annotations

from itertools import combinations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from servent.grid import steps
from servent.grid.model import Copy
from servent.grid.steps import LONGEST
from servent.grid.transition import COUNTS, eligible, voices
from tests.grid.desk import OTHER, RIGHT, WRONG, Desk, who

NAMES = ("ann", "ben", "cat", "dan", "eve", "fay", "gus")


def test_two_who_agree_end_a_unit_and_both_are_credited() -> None:
    desk = Desk()
    ann = desk.lease("ann")
    assert desk.states() == "leased unsent", "an untrusted host's first lease asks for a second one"
    ben = desk.lease("ben")
    desk.give(ann, RIGHT)
    assert desk.unit.state == "open" and not desk.credit
    desk.give(ben, RIGHT)
    assert desk.unit.state == "done" and desk.unit.verified and desk.told == [("done", RIGHT)]
    assert desk.credit == {ann: 1, ben: 1} and desk.verdicts == {ann: ["valid"], ben: ["valid"]}


def test_who_differs_is_outvoted_by_a_third() -> None:
    desk = Desk()
    ann, eve = desk.lease("ann"), desk.lease("eve")
    desk.give(ann, RIGHT)
    desk.give(eve, WRONG)
    assert desk.states() == "returned returned unsent" and not desk.verdicts
    cat = desk.lease("cat")
    desk.give(cat, RIGHT)
    assert desk.told == [("done", RIGHT)] and desk.verdicts[eve] == ["invalid"]
    assert desk.credit == {ann: 1, cat: 1}


def test_a_trusted_host_answers_alone_and_a_second_copy_is_never_made() -> None:
    desk = Desk()
    ann = desk.lease("ann", alone=True)
    assert desk.states() == "leased"
    desk.give(ann, RIGHT)
    assert desk.unit.state == "done" and not desk.unit.verified
    assert desk.credit == {ann: 1} and not desk.verdicts, "nothing stands behind it yet"


def test_when_the_trusted_host_goes_away_the_next_lease_decides_anew() -> None:
    desk = Desk()
    desk.lease("ann", alone=True)
    desk.tick(200.0)
    assert desk.states() == "expired unsent" and desk.unit.need == 0
    desk.lease("ben")
    assert desk.unit.need == 2 and desk.count("unsent") == 1


def test_the_word_of_a_host_that_was_caught_is_one_among_others() -> None:
    desk = Desk()
    eve = desk.lease("eve", alone=True)
    desk.give(eve, WRONG)
    desk.reopen()
    assert desk.unit.state == "open" and desk.states() == "returned unsent" and len(desk.told) == 1
    assert not any(copy.unchecked for copy in desk.all)
    assert not eligible(desk.unit, desk.all, who("eve"))
    ann = desk.lease("ann")
    desk.give(ann, RIGHT)
    cat = desk.lease("cat")
    desk.give(cat, RIGHT)
    assert desk.told == [("done", WRONG), ("done", RIGHT)] and desk.last.revised
    assert desk.credit == {eve: 0, ann: 1, cat: 1} and desk.verdicts[eve] == ["invalid"]


def test_a_result_that_others_confirm_after_all_is_told_once() -> None:
    desk = Desk()
    ann = desk.lease("ann", alone=True)
    desk.give(ann, RIGHT)
    desk.reopen()
    ben = desk.lease("ben")
    desk.give(ben, RIGHT)
    assert desk.unit.verified and desk.unit.canonical == ann and desk.told == [("done", RIGHT)]
    assert desk.credit == {ann: 1, ben: 1} and desk.verdicts == {ann: ["valid"], ben: ["valid"]}


def test_what_others_stand_behind_is_not_opened_again() -> None:
    desk = Desk()
    ann, ben = desk.lease("ann"), desk.lease("ben")
    desk.give(ann, RIGHT)
    desk.give(ben, RIGHT)
    desk.reopen()
    assert desk.unit.state == "done"


def test_a_caught_hosts_unchecked_lease_is_checked_from_then_on() -> None:
    desk = Desk()
    eve = desk.lease("eve", alone=True)
    desk.reopen()
    assert desk.unit.need == 2 and desk.states() == "leased unsent"
    desk.give(eve, WRONG)
    assert desk.unit.state == "open"
    single = Desk(quorum=1)
    single.lease("eve", alone=True)
    single.reopen()
    assert single.unit.need == 2 and single.states() == "leased unsent"


def test_a_unit_with_a_known_answer_needs_one_that_is_right() -> None:
    desk = Desk(answer=RIGHT)
    eve = desk.lease("eve", alone=True)
    desk.give(eve, WRONG)
    assert desk.verdicts[eve] == ["invalid"] and desk.states() == "invalid unsent"
    ann = desk.lease("ann")
    desk.give(ann, RIGHT)
    assert desk.unit.verified and desk.credit == {ann: 1} and desk.verdicts[ann] == ["valid"]


def test_what_ends_alike_at_as_many_as_must_agree_is_an_error_at_once() -> None:
    desk = Desk()
    ann, ben = desk.lease("ann"), desk.lease("ben")
    desk.fail(ann, "exit")
    assert desk.unit.state == "open", "one host alone may be broken"
    desk.fail(ben, "exit")
    assert desk.unit.state == "error" and desk.states() == "failed failed" and not desk.credit
    assert desk.unit.why == "it ended without a result, in the same way at 2 of 2"
    single = Desk(quorum=1)
    single.fail(single.lease("ann"), "trap")
    assert single.unit.state == "error"


def test_failures_that_differ_or_stand_against_a_result_decide_nothing() -> None:
    desk = Desk()
    desk.fail(desk.lease("ann"), "exit")
    desk.fail(desk.lease("ben"), "trap")
    assert desk.unit.state == "open"
    desk.give(desk.lease("cat"), RIGHT)
    desk.fail(desk.lease("dan"), "exit")
    assert desk.unit.state == "open"
    desk.give(desk.lease("eve"), RIGHT)
    assert desk.result == RIGHT
    known = Desk(answer=RIGHT)
    known.fail(known.lease("ann"), "exit")
    known.fail(known.lease("ben"), "exit")
    assert known.unit.state == "open", "it can be computed: its answer is known"


def test_a_late_result_counts_as_long_as_the_unit_is_open() -> None:
    desk = Desk()
    ann, ben = desk.lease("ann"), desk.lease("ben", lasts=1000.0)
    desk.tick(200.0)
    assert desk.states() == "expired leased unsent"
    assert desk.give(ann, RIGHT) == "taken" and desk.states() == "returned leased"
    desk.give(ben, RIGHT)
    assert desk.credit == {ann: 1, ben: 1}


def test_a_late_result_of_a_unit_that_is_done_is_late() -> None:
    desk = Desk(quorum=1)
    ann = desk.lease("ann")
    desk.tick(200.0)
    ben = desk.lease("ben")
    desk.give(ben, RIGHT)
    assert desk.give(ann, RIGHT) == "late" and desk.credit == {ben: 1}


def test_who_was_overtaken_but_is_in_time_is_credited_if_right() -> None:
    desk = Desk()
    for name in ("ann", "ben"):
        desk.lease(name)
    desk.hurry()
    assert desk.count("unsent") == 1
    cat = desk.lease("cat")
    desk.give(2, RIGHT)
    desk.give(cat, RIGHT)
    assert desk.states() == "unneeded valid valid" and desk.last.stop == (1,)
    assert desk.give(1, RIGHT) == "taken" and desk.credit == {1: 1, 2: 1, 3: 1}
    assert desk.give(1, RIGHT) == "unknown", "returned before"
    assert len(desk.told) == 1


def test_who_was_overtaken_and_is_wrong_is_caught_all_the_same() -> None:
    desk = Desk()
    eve = desk.lease("eve")
    desk.lease("ann")
    desk.hurry()
    desk.lease("cat")
    desk.give(2, RIGHT)
    desk.give(3, RIGHT)
    desk.give(eve, WRONG)
    assert desk.verdicts[eve] == ["invalid"] and desk.credit == {2: 1, 3: 1}


def test_a_second_word_against_a_lone_trusted_one_opens_the_unit_again() -> None:
    desk = Desk()
    eve = desk.lease("eve", alone=True, lasts=1000.0)
    desk.hurry()
    ann = desk.lease("ann", lasts=1000.0)
    desk.give(eve, WRONG)
    assert desk.told == [("done", WRONG)]
    desk.give(ann, RIGHT)
    assert desk.unit.state == "open" and desk.states() == "returned returned unsent"
    desk.give(desk.lease("ben"), RIGHT)
    assert desk.result == RIGHT and desk.credit[eve] == 0 and desk.verdicts[eve] == ["invalid"]


def test_an_unchecked_word_and_another_that_differ_decide_nothing() -> None:
    desk = Desk()
    eve = desk.lease("eve", alone=True)
    desk.hurry()
    ann = desk.lease("ann")
    desk.give(ann, RIGHT)
    assert desk.unit.state == "open", (
        "an untrusted host's word is not enough, only because another is trusted"
    )
    desk.give(eve, WRONG)
    assert desk.unit.state == "open" and desk.unit.need == 2


def test_nobody_goes_on_alone_from_anothers_checkpoint() -> None:
    desk = Desk()
    desk.abort(desk.lease("eve"))
    ann = desk.lease("ann", alone=True, lineage=("eve",))
    desk.give(ann, WRONG)
    assert desk.unit.state == "open"
    assert not eligible(desk.unit, desk.all, who("eve")), "a part of the other copy is hers"
    assert not eligible(desk.unit, desk.all, who("ben"), (who("eve"),)), "both would hold what she made up"
    assert not eligible(desk.unit, desk.all, who("ben"), (who("ann"),)), "she is still at it"
    assert eligible(desk.unit, desk.all, who("ben"))


def test_who_expired_and_was_replaced_from_its_checkpoint_is_not_a_second_word() -> None:
    desk = Desk()
    eve = desk.lease("eve")
    desk.tick(200.0)
    ann = desk.lease("ann", lineage=("eve",))
    desk.give(ann, WRONG)
    assert not desk.renew(eve) and desk.give(eve, WRONG) == "late"
    assert desk.unit.state == "open"


def test_a_host_that_slept_goes_on_with_its_lease() -> None:
    desk = Desk()
    ann = desk.lease("ann")
    desk.tick(200.0)
    assert desk.renew(ann) and desk.states() == "leased unsent"
    assert not eligible(desk.unit, desk.all, who("ann"))


def test_who_lets_a_copy_expire_twice_gets_no_third() -> None:
    desk = Desk()
    for _ in range(2):
        desk.lease("ann")
        desk.tick(200.0)
    assert not eligible(desk.unit, desk.all, who("ann"))
    assert eligible(desk.unit, desk.all, who("ben"))


def test_a_lease_is_not_renewed_for_ever() -> None:
    desk = Desk()
    ann = desk.lease("ann")
    begun = desk.now
    while desk.renew(ann, lasts=3600.0):
        desk.tick(3000.0)
        assert desk.now < begun + LONGEST + 3600.0
    assert desk.copies[ann].until <= begun + LONGEST


def test_a_lease_taken_back_is_nobodys_fault_and_a_failure_is() -> None:
    desk = Desk(most_failed=2)
    for name in NAMES * 5:
        desk.abort(desk.lease(name))
    assert desk.unit.state == "open" and not desk.verdicts
    for name in NAMES[:3]:
        desk.fail(desk.lease(name))
    assert desk.unit.state == "error" and desk.unit.why == "3 of its copies failed"
    assert desk.told == [("error", None)] and all(word == ["failed"] for word in desk.verdicts.values())


def test_results_that_never_agree_end_a_unit() -> None:
    desk = Desk(most_copies=4)
    for name, group in zip(NAMES, (b"1", b"2", b"3", b"4"), strict=False):
        if desk.unit.state == "open" and desk.count("unsent"):
            desk.give(desk.lease(name), group)
    assert desk.unit.state == "error" and "no 2 results agreed" in desk.unit.why
    assert not desk.credit and not desk.verdicts


def test_a_unit_whose_time_is_over_ends_but_not_when_its_results_are_there() -> None:
    desk = Desk(expires=1100.0)
    ann, _ben = desk.lease("ann", lasts=500.0), desk.lease("ben", lasts=500.0)
    assert desk.tick().wake == 1100.0
    desk.tick(100.0)
    assert desk.unit.state == "error" and desk.unit.why == "its time was over"
    assert desk.give(ann, RIGHT) == "late"


def test_cancelled_stops_all_and_credits_nothing_more() -> None:
    desk = Desk()
    ann, ben = desk.lease("ann"), desk.lease("ben")
    desk.give(ann, RIGHT)
    desk.cancel()
    assert desk.unit.state == "cancelled" and desk.last.stop == (ben,) and desk.told == [("cancelled", None)]
    assert desk.give(ben, RIGHT) == "late" and not desk.credit
    assert not desk.renew(ben)


def test_a_result_that_has_to_be_compared_waits_for_it() -> None:
    desk = Desk()
    ann, ben = desk.lease("ann"), desk.lease("ben")
    desk.give(ann, None)
    desk.give(ben, None)
    assert desk.unit.state == "open" and desk.count("unsent") == 0, "nothing more is made meanwhile"
    desk.compare({ann: RIGHT})
    assert desk.unit.state == "open"
    desk.compare({ben: RIGHT})
    assert desk.unit.state == "done" and desk.credit == {ann: 1, ben: 1}


def test_a_lone_result_that_has_to_be_compared_is_taken_once_it_has_a_group() -> None:
    desk = Desk()
    ann = desk.lease("ann", alone=True)
    desk.give(ann, None)
    assert desk.unit.state == "open" and desk.unit.need == 1
    desk.compare({ann: RIGHT})
    assert desk.told == [("done", RIGHT)]


def test_spare_copies_go_when_the_unit_ends_and_come_once() -> None:
    desk = Desk()
    ann, ben = desk.lease("ann"), desk.lease("ben")
    desk.hurry()
    desk.hurry()
    assert desk.count("unsent") == 1
    desk.give(ann, RIGHT)
    desk.give(ben, RIGHT)
    assert desk.count("unsent") == 0 and desk.unit.spare == 0


def test_somebody_elses_lease_number_is_worth_nothing() -> None:
    desk = Desk()
    copy = desk.copies[desk.lease("ann")]
    assert steps.taken(desk.unit, desk.all, copy, who("eve"), desk.now) == "unknown"
    assert steps.taken(desk.unit, desk.all, None, who("ann"), desk.now) == "unknown"


def test_who_was_overtaken_and_lets_the_lease_run_out_is_late() -> None:
    desk = Desk()
    ann = desk.lease("ann", lasts=50.0)
    desk.lease("ben", lasts=500.0)
    desk.hurry()
    cat = desk.lease("cat", lasts=500.0)
    desk.give(2, RIGHT)
    desk.give(cat, RIGHT)
    desk.tick(50.0)
    assert desk.give(ann, RIGHT) == "late" and ann not in desk.credit


def test_who_fails_at_what_nobody_waits_for_is_not_blamed() -> None:
    desk = Desk()
    for name in ("ann", "ben"):
        desk.lease(name)
    desk.hurry()
    cat = desk.lease("cat")
    desk.give(2, RIGHT)
    desk.give(cat, RIGHT)
    desk.fail(1)
    assert desk.states() == "unneeded valid valid" and 1 not in desk.verdicts
    assert desk.give(1, RIGHT) == "late", "it said that it failed"


def test_who_failed_or_was_wrong_gets_no_other_copy() -> None:
    desk = Desk()
    desk.fail(desk.lease("ann"))
    assert not eligible(desk.unit, desk.all, who("ann"))
    spot = Desk(answer=RIGHT)
    spot.give(spot.lease("eve"), WRONG)
    assert not eligible(spot.unit, spot.all, who("eve")) and eligible(spot.unit, spot.all, who("ann"))


def test_a_lease_ends_at_its_end() -> None:
    desk = Desk()
    desk.lease("ann", lasts=100.0)
    assert desk.tick(99.0).wake == 1100.0
    assert desk.states() == "leased unsent"
    assert desk.tick(1.0).expired == (1,)


def test_when_the_trusted_one_goes_who_helped_is_one_voice_of_two() -> None:
    desk = Desk()
    desk.lease("eve", alone=True, lasts=100.0)
    desk.hurry()
    ann = desk.lease("ann", lasts=1000.0)
    desk.give(ann, RIGHT)
    desk.tick(100.0)
    assert desk.unit.need == 2 and desk.states() == "expired returned unsent"
    desk.give(desk.lease("ben"), RIGHT)
    assert desk.told == [("done", RIGHT)] and desk.unit.verified


def test_where_one_is_enough_it_is_believed_but_not_called_verified() -> None:
    desk = Desk(quorum=1)
    desk.give(desk.lease("ann"), RIGHT)
    assert desk.told == [("done", RIGHT)] and not desk.unit.verified and not desk.verdicts
    desk.reopen()
    assert desk.unit.quorum == 2 and desk.states() == "returned unsent"


def test_what_is_opened_again_after_its_time_has_time_again() -> None:
    desk = Desk(expires=1100.0)
    desk.give(desk.lease("eve", alone=True), WRONG)
    desk.tick(500.0)
    desk.reopen()
    assert desk.unit.state == "open" and desk.unit.expires is None


def test_a_second_answer_to_a_spot_check_is_judged_as_the_first() -> None:
    desk = Desk(answer=RIGHT)
    ann = desk.lease("ann")
    desk.hurry()
    eve = desk.lease("eve")
    desk.give(ann, RIGHT)
    desk.give(eve, WRONG)
    assert (
        desk.unit.verified and desk.verdicts == {ann: ["valid"], eve: ["invalid"]} and desk.credit == {ann: 1}
    )


def test_what_hangs_together_is_one_voice() -> None:
    ann, ben, cat = (Copy(id=place, identity=who(name)) for place, name in enumerate(("ann", "ben", "cat")))
    assert voices([]) == 0 and voices([ann, ben, cat]) == 3
    assert voices([ann, replace(ben, identity=who("ann"))]) == 1
    assert voices([ann, replace(ben, lineage=(who("ann"),))]) == 1
    assert voices([replace(one, lineage=(who("eve"),)) for one in (ann, ben)]) == 1


class AnythingHappens(RuleBasedStateMachine):
    """A unit among seven hosts, any of which may lease, return anything, fail, vanish, go on from another's checkpoint, be caught."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk()
        self.unchecked: set[int] = set()

    @precondition(lambda self: not self.desk.last.final and len(self.desk.copies) == 1)
    @rule(
        quorum=st.integers(1, 3),
        answer=st.sampled_from([None, None, RIGHT]),
        expires=st.sampled_from([None, None, 2000.0]),
        most_failed=st.integers(0, 3),
        most_copies=st.integers(3, 8),
    )
    def begin(self, **unit: object) -> None:
        self.desk = Desk(**unit)
        self.unchecked = set()

    def _pick(self, data: st.DataObject, *states: str) -> int | None:
        found = [copy.id for copy in self.desk.all if copy.state in states]
        return data.draw(st.sampled_from(found)) if found else None

    @rule(
        data=st.data(),
        name=st.sampled_from(NAMES),
        alone=st.booleans(),
        lasts=st.sampled_from([50.0, 500.0]),
    )
    def lease(self, data: st.DataObject, name: str, alone: bool, lasts: float) -> None:
        if not self.desk.count("unsent"):
            return
        past = [
            copy
            for copy in self.desk.all
            if copy.identity is not None and copy.state in ("aborted", "expired")
        ]
        lineage: tuple[bytes, ...] = ()
        if past and data.draw(st.booleans()):
            copy = data.draw(st.sampled_from(past))
            lineage = (*copy.lineage, copy.identity or b"")
        if eligible(self.desk.unit, self.desk.all, who(name), lineage):
            names = tuple(one.rstrip(b".").decode() for one in lineage)
            number = self.desk.lease(name, alone=alone, lineage=names, lasts=lasts)
            if self.desk.copies[number].unchecked:
                self.unchecked.add(number)

    @rule(data=st.data(), group=st.sampled_from([RIGHT, RIGHT, WRONG, OTHER, None]))
    def give(self, data: st.DataObject, group: bytes | None) -> None:
        number = self._pick(data, "leased", "leased", "expired", "unneeded")
        if number is not None and self.desk.copies[number].identity is not None:
            self.desk.give(number, group)

    @rule(group=st.sampled_from([RIGHT, WRONG]), data=st.data())
    def compare(self, data: st.DataObject, group: bytes) -> None:
        waiting = [copy.id for copy in self.desk.all if copy.state == "returned" and copy.group is None]
        if waiting:
            self.desk.compare({data.draw(st.sampled_from(waiting)): group})

    @rule(data=st.data(), what=st.sampled_from(["fail", "abort", "renew"]))
    def trouble(self, data: st.DataObject, what: str) -> None:
        number = self._pick(data, "leased", *(("expired",) if what == "renew" else ()))
        if number is not None:
            {"fail": self.desk.fail, "abort": self.desk.abort, "renew": self.desk.renew}[what](number)

    @rule(data=st.data(), ending=st.sampled_from(["exit", "trap"]))
    def fail_alike(self, data: st.DataObject, ending: str) -> None:
        number = self._pick(data, "leased")
        if number is not None:
            self.desk.fail(number, ending)

    @rule(seconds=st.sampled_from([1.0, 60.0, 600.0]))
    def later(self, seconds: float) -> None:
        self.desk.tick(seconds)

    @rule()
    def hurry(self) -> None:
        self.desk.hurry()

    @rule()
    def reopen(self) -> None:
        self.desk.reopen()

    @precondition(lambda self: len(self.desk.copies) > 3)
    @rule()
    def cancel(self) -> None:
        self.desk.cancel()

    @invariant()
    def nobody_has_two_words(self) -> None:
        counting = [copy for copy in self.desk.all if copy.state in COUNTS]
        for one, other in combinations(counting, 2):
            assert one.identity != other.identity
            assert {one.identity, *one.lineage}.isdisjoint({other.identity, *other.lineage})

    @invariant()
    def nobody_is_credited_twice_nor_for_what_is_wrong(self) -> None:
        paid = [self.desk.copies[number].identity for number in self.desk.credit]
        assert len(paid) == len(set(paid)), "neither in one copy nor in two, not even after it was taken back"
        if self.desk.unit.state == "done":
            canonical = self.desk.copies[self.desk.unit.canonical or 0]
            for number, times in self.desk.credit.items():
                assert times == (self.desk.copies[number].group == canonical.group)

    @invariant()
    def what_is_right_has_enough_behind_it(self) -> None:
        unit = self.desk.unit
        if unit.state != "done":
            return
        group = self.desk.copies[unit.canonical or 0].group
        agreeing = [copy for copy in self.desk.all if copy.state == "valid" and copy.group == group]
        if unit.answer is not None:
            assert group == unit.answer
        elif unit.verified:
            assert voices(agreeing) >= max(2, unit.quorum)
        else:
            assert len(agreeing) >= unit.quorum or any(copy.id in self.unchecked for copy in agreeing)

    @invariant()
    def verdicts_are_told_once(self) -> None:
        for words in self.desk.verdicts.values():
            final = [word for word in words if word != "expired"]
            assert len(final) <= 1, words

    @invariant()
    def an_open_unit_can_still_end_and_an_ended_one_waits_for_nothing(self) -> None:
        states = [copy.state for copy in self.desk.all]
        if self.desk.unit.state == "open":
            assert any(state in ("unsent", "leased") for state in states) or any(
                copy.state == "returned" and copy.group is None for copy in self.desk.all
            )
            assert self.desk.unit.need in (0, 1, self.desk.unit.quorum)
        else:
            assert "unsent" not in states and "leased" not in states
            assert self.desk.told

    @invariant()
    def there_is_an_end_to_copies(self) -> None:
        counted = sum(copy.state not in ("aborted", "unneeded") for copy in self.desk.all)
        assert counted <= self.desk.unit.most_copies + 1


AnythingHappens.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnythingHappens = AnythingHappens.TestCase
