"""The cores of a hand-over: one guess, no replay, who guessed right may come back, nobody holds a code by silence."""

import contextlib
import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.errors import BadMessage
from servent.share import codes
from servent.share import codes_wire as wire
from servent.share.code_words import SpokenCode
from servent.share.codes import Hang, Joined, Offering, Over, Pickup, Say
from servent.share.pake import KEY_BYTES, Keys, Side

CODE = SpokenCode(4711, ("walnut", "octopus"))
WRONG = SpokenCode(4711, ("walnut", "umbrella"))


def dice(seed: int) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


def said(effects: list[codes.Effect]) -> list[object]:
    return [effect.message for effect in effects if isinstance(effect, Say)]


def joined(effects: list[codes.Effect]) -> Joined:
    (found,) = [effect for effect in effects if isinstance(effect, Joined)]
    return found


def both(receiver: SpokenCode = CODE, seed: int = 1) -> tuple[Offering, Pickup]:
    return Offering(CODE, 3600.0, dice(seed)), Pickup(receiver, 0.0, dice(seed + 1))


def talk(offering: Offering, pickup: Pickup, at_sender: int = 1, at_receiver: int = 1) -> tuple[list, list]:
    """Both sides over one talk until neither says any more. What else they did, in order."""
    ours: list[codes.Effect] = offering.opened(at_sender, 0.0)
    theirs: list[codes.Effect] = pickup.opened(at_receiver)
    to_sender, to_receiver = said(theirs), said(ours)
    while to_sender or to_receiver:
        if to_sender:
            effects = offering.receive(at_sender, to_sender.pop(0), 0.0)
            ours += effects
            to_receiver += said([e for e in effects if isinstance(e, Say) and e.talk == at_sender])
        if to_receiver:
            effects = pickup.receive(at_receiver, to_receiver.pop(0), 0.0)
            theirs += effects
            to_sender += said(effects)
    return ours, theirs


def test_the_same_words_join_both_sides_and_only_they_can_read() -> None:
    offering, pickup = both()
    ours, theirs = talk(offering, pickup)
    sender, receiver = joined(ours).seal, joined(theirs).seal
    box = sender.close(b"for you")
    assert b"for you" not in box and receiver.open(box) == b"for you"
    with pytest.raises(BadMessage):  # the same again
        receiver.open(box)
    with pytest.raises(BadMessage):  # turned around
        sender.open(sender.close(b"x"))
    back = receiver.close(b"thanks")
    assert sender.open(back) == b"thanks"


def test_wrong_words_burn_the_code_and_both_sides_say_so() -> None:
    offering, pickup = both(WRONG)
    ours, theirs = talk(offering, pickup)
    (over,) = [effect for effect in ours if isinstance(effect, Over)]
    (told,) = [effect for effect in theirs if isinstance(effect, Over)]
    assert over.burnt and told.burnt and offering.over and pickup.over
    # The right words come too late, and learn only that.
    ours, theirs = talk(offering, Pickup(CODE, 0.0, dice(9)), 2, 2)
    assert not any(isinstance(effect, Joined) for effect in (*ours, *theirs))
    assert said(ours) == [wire.Denied("used")]


def test_of_many_guesses_at_once_one_counts() -> None:
    """Eight guessers hold their talks ready; the first proof decides, whatever the others would have said."""
    offering = Offering(CODE, 3600.0, dice(1))
    guesses = []
    for number in range(codes.MOST_TALKS):
        assert offering.opened(number, 0.0) == []
        code = CODE if number == 7 else WRONG
        side, session = (
            Side(code, bytes([number]) * 16, sender=False, dice=dice(number)),
            bytes([number]) * 16,
        )
        (answer,) = said(offering.receive(number, wire.Begin(session, session, side.message), 0.0))
        assert isinstance(answer, wire.Answer)
        guesses.append((side.finish(answer.pake), session, answer.nonce))
    assert said(offering.opened(99, 0.0)) == [wire.Denied("busy")]
    keys, mine, theirs = guesses[0]
    effects = offering.receive(0, wire.Confirm(keys.proof("receiver", mine, theirs)), 0.0)
    assert [e.burnt for e in effects if isinstance(e, Over)] == [True]
    assert {e.talk for e in effects if isinstance(e, Hang)} == set(range(codes.MOST_TALKS))
    keys, mine, theirs = guesses[7]  # the right words, a moment too late
    with pytest.raises(BadMessage):
        offering.receive(7, wire.Confirm(keys.proof("receiver", mine, theirs)), 0.0)
    again = wire.Again(mine, b"n" * 16, keys.proof("again", b"n" * 16))
    assert said(offering.receive(7, again, 0.0)) == [wire.Denied("used")]


def test_who_comes_and_goes_without_a_proof_costs_nothing() -> None:
    offering, pickup = both()
    for number in range(10, 30):
        offering.opened(number, float(number))
        try:
            session = bytes([number]) * 16
            side = Side(WRONG, session, sender=False, dice=dice(number))
            offering.receive(number, wire.Begin(session, session, side.message), float(number))
        finally:
            offering.closed(number)
    ours, _ = talk(offering, pickup)
    assert joined(ours)


def test_silent_ones_are_hung_up_on_and_room_is_made() -> None:
    offering, pickup = both()
    for number in range(10, 10 + codes.MOST_TALKS):
        offering.opened(number, 0.0)
    assert offering.next_tick() == codes.TALK_LIMIT
    hung = offering.tick(codes.TALK_LIMIT)
    assert len(hung) == codes.MOST_TALKS and all(isinstance(effect, Hang) for effect in hung)
    ours, _ = talk(offering, pickup)
    assert joined(ours)


def test_a_talk_that_breaks_goes_on_over_another_with_fresh_keys() -> None:
    offering, pickup = both()
    ours, theirs = talk(offering, pickup)
    old = joined(ours).seal, joined(theirs).seal
    first = old[0].close(b"one")
    offering.closed(1)
    pickup.closed(1)
    assert pickup.wants_talks
    ours, theirs = talk(offering, pickup, 5, 6)
    assert joined(ours).again and joined(theirs).again
    assert joined(ours).seal.close(b"one") != first
    with pytest.raises(BadMessage):
        joined(theirs).seal.open(first)


@pytest.mark.parametrize("lost", ["confirm", "answer to it"])
def test_a_break_right_at_the_proof_wastes_no_code(lost: str) -> None:
    offering, pickup = both()
    offering.opened(1, 0.0)
    (begin,) = said(pickup.opened(1))
    (answer,) = said(offering.receive(1, begin, 0.0))
    (confirm,) = said(pickup.receive(1, answer, 0.0))
    if lost == "answer to it":
        offering.receive(1, confirm, 0.0)
    offering.closed(1)
    pickup.closed(1)
    ours, theirs = talk(offering, pickup, 2, 2)
    assert joined(theirs).seal.open(joined(ours).seal.close(b"x")) == b"x"


def test_a_replayed_return_changes_nothing() -> None:
    offering, pickup = both()
    talk(offering, pickup)
    pickup.closed(1)
    (again,) = said(pickup.opened(2))
    offering.opened(2, 0.0)
    assert joined(offering.receive(2, again, 0.0)).again
    offering.opened(3, 0.0)
    with pytest.raises(BadMessage):
        offering.receive(3, again, 0.0)
    assert offering.talk == 2  # whoever was there still is


def test_a_recorded_talk_is_worth_nothing_to_who_passes_it_on() -> None:
    """A relay that saw everything says it all again, to the sender of the same code in another run."""
    offering, pickup = both()
    offering.opened(1, 0.0)
    (begin,) = said(pickup.opened(1))
    (answer,) = said(offering.receive(1, begin, 0.0))
    (confirm,) = said(pickup.receive(1, answer, 0.0))
    fresh = Offering(CODE, 3600.0, dice(77))
    fresh.opened(1, 0.0)
    fresh.receive(1, begin, 0.0)
    effects = fresh.receive(1, confirm, 0.0)
    assert not any(isinstance(effect, Joined) for effect in effects)  # a wrong guess like any other


def test_our_own_words_turned_around_are_no_answer() -> None:
    _, pickup = both()
    (begin,) = said(pickup.opened(1))
    with pytest.raises(BadMessage):
        pickup.receive(1, wire.Answer(begin.nonce, begin.pake), 0.0)


def test_a_squatter_gets_one_guess_however_many_ways_it_sits_at() -> None:
    pickup = Pickup(CODE, 0.0, dice(3))
    begins = {number: said(pickup.opened(number))[0] for number in range(4)}
    assert len({begin.session for begin in begins.values()}) == 4
    sides = {n: Side(WRONG, begins[n].session, sender=True, dice=dice(n)) for n in begins}
    effects = pickup.receive(0, wire.Answer(b"n" * 16, sides[0].message), 0.0)
    assert isinstance(said(effects)[0], wire.Confirm)
    assert {effect.talk for effect in effects if isinstance(effect, Hang)} == {1, 2, 3}
    for number in (1, 2, 3):
        with pytest.raises(BadMessage):
            pickup.receive(number, wire.Answer(b"n" * 16, sides[number].message), 0.0)
    effects = pickup.receive(0, wire.Confirm(b"\0" * 32), 0.0)
    assert [effect.burnt for effect in effects if isinstance(effect, Over)] == [True]


def test_time_ends_both_sides() -> None:
    offering, pickup = both()
    assert any(isinstance(e, Over) for e in offering.tick(3600.0)) and offering.next_tick() is None
    assert pickup.tick(codes.SEEK_LIMIT - 0.1) == []
    assert any(isinstance(e, Over) for e in pickup.tick(codes.SEEK_LIMIT))


def test_used_elsewhere_is_said_soon() -> None:
    _, pickup = both()
    pickup.opened(1)
    pickup.receive(1, wire.Denied("used"), 10.0)
    (over,) = [e for e in pickup.tick(10.0 + codes.USED_LIMIT) if isinstance(e, Over)]
    assert "used" in over.why


ANY = st.one_of(
    st.builds(wire.Begin, *[st.binary(min_size=16, max_size=16)] * 2, st.binary(min_size=33, max_size=33)),
    st.builds(wire.Confirm, st.binary(min_size=32, max_size=32)),
    st.builds(wire.Again, *[st.binary(min_size=16, max_size=16)] * 2, st.binary(min_size=32, max_size=32)),
    st.builds(wire.Sealed, st.binary(min_size=17, max_size=40)),
)


@given(st.lists(st.tuples(st.integers(0, 3), ANY), max_size=12))
def test_no_stranger_brings_the_sender_down_or_gets_in(messages: list[tuple[int, wire.ToSender]]) -> None:
    offering = Offering(CODE, 3600.0, dice(1))
    now = 0.0
    for number, message in messages:
        now += 0.5
        effects = list(offering.opened(number, now))
        try:
            effects += offering.receive(number, message, now)
        except BadMessage:
            offering.closed(number)
        assert not any(isinstance(effect, Joined) for effect in effects)
    while (due := offering.next_tick()) is not None:
        offering.tick(due)
        after = offering.next_tick()
        assert after is None or after > due


@given(st.binary(max_size=200))
def test_bytes_from_outside_decode_or_are_a_bad_message(data: bytes) -> None:
    for decoder in (
        wire.read_to_sender, wire.read_to_receiver, wire.inner_to_sender, wire.inner_to_receiver,
        wire.read_asking, wire.read_asked,
    ):  # fmt: skip
        with contextlib.suppress(BadMessage):
            decoder.decode(data)
    side = Side(CODE, b"s" * 16, sender=True, dice=dice(1))
    with contextlib.suppress(BadMessage):
        side.finish(data[:33])


def test_keys_show_nothing_of_themselves() -> None:
    keys = Keys(b"k" * KEY_BYTES, b"s" * 16)
    assert "kkk" not in repr(keys)
