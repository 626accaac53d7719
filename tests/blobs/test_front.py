"""What somebody waits for comes first; what nobody chose does not come; and what a slow source owes is taken over."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from servent.blobs.asks import Ask, Cancel, Complete, Effect, Wake
from servent.blobs.front import bits_of, lowest
from servent.blobs.pick import Swarm
from servent.blobs.pieces import Bits

KIB = 1024
PIECE = 256 * KIB


def swarm(pieces: int = 400, **more: object) -> Swarm:
    return Swarm(pieces, [PIECE] * pieces, random.Random(1), largest_ask=1024 * KIB, **more)  # type: ignore[arg-type]


def asked(asks: list[Ask]) -> list[int]:
    return [piece for ask in asks for piece in range(ask.first, ask.first + ask.count)]


def bring(one: Swarm, name: str, pieces: list[int], now: float) -> list[Effect]:
    """These arrive and are right."""
    effects: list[Effect] = []
    for piece in pieces:
        effects += one.received(name, piece, PIECE, now)
        effects += one.verified(piece)
    return effects


def test_what_is_waited_for_is_asked_first_and_in_order() -> None:
    one = swarm()
    one.add_source("a", None, 0.0)
    one.urge([range(200, 230)])
    got = asked(one.next("a", 0.0))
    assert got[: min(len(got), 30)] == list(range(200, 200 + min(len(got), 30)))


def test_two_readers_both_get_their_next_pieces_before_any_read_ahead() -> None:
    one = swarm()
    one.add_source("a", None, 0.0)
    one.urge([range(10, 40), range(300, 340)])
    assert asked(one.next("a", 0.0))[:4] == [10, 11, 300, 301]


def test_a_jump_calls_off_what_is_owed_and_less_urgent() -> None:
    one = swarm()
    one.add_source("a", None, 0.0)
    before = asked(one.next("a", 0.0))
    effects = one.urge([range(350, 360)] if 350 not in before else [range(10, 20)])
    off = [
        piece
        for effect in effects
        if isinstance(effect, Cancel)
        for piece in range(effect.first, effect.first + effect.count)
    ]
    assert sorted(off) == sorted(before)
    assert Wake("a") in effects
    assert one.expects("a", before[0]), "what comes all the same is welcome"
    # moving on inside what was asked for already calls off nothing
    now = asked(one.next("a", 0.1))
    again = one.urge([range(now[1], now[1] + 10)])
    assert not any(isinstance(effect, Cancel) for effect in again)


def test_a_slow_source_is_not_asked_for_what_a_fast_one_brings_sooner() -> None:
    one = swarm(2000)
    now = 0.0
    for name in ("fast", "slow"):
        one.add_source(name, None, now)
    # both show what they can: 20 MB/s against 200 kB/s
    owed = {name: asked(one.next(name, now)) for name in ("fast", "slow")}
    for step in range(1, 60):
        now = step * 0.1
        for name, count in (("fast", 8), ("slow", 1 if step % 12 == 0 else 0)):
            bring(one, name, owed[name][:count], now)
            owed[name] = owed[name][count:] + asked(one.next(name, now))
    start = 1500
    effects = one.urge([range(start, start + 64)])
    assert effects
    slow = asked(one.next("slow", now))
    assert not set(slow) & set(range(start, start + 16))
    assert set(asked(one.next("fast", now))) & set(range(start, start + 4)) == set(range(start, start + 4))


def test_an_urgent_piece_that_a_silent_source_owes_is_asked_of_another_too() -> None:
    one = swarm(2000)
    one.add_source("quiet", None, 0.0)
    one.urge([range(100, 104)])
    assert asked(one.next("quiet", 0.0))[:4] == [100, 101, 102, 103]
    one.add_source("lively", None, 0.0)
    owed = asked(one.next("lively", 0.0))
    for step in range(1, 30):
        now = step * 0.05
        bring(one, "lively", owed[:4], now)
        owed = owed[4:] + asked(one.next("lively", now))
    assert set(range(100, 104)) <= set(owed) | {p for p in range(100, 104) if one._done[p]}


def test_in_order_means_from_the_first_piece_on() -> None:
    one = swarm(in_order=True, done=Bits(400, 0b111))
    one.add_source("a", None, 0.0)
    one.add_source("b", None, 0.0)
    first = asked(one.next("a", 0.0))
    assert first == list(range(3, 3 + len(first)))
    assert asked(one.next("b", 0.0))[0] == 3 + len(first)


def test_only_what_is_waited_for() -> None:
    one = swarm()
    one.only_front = True
    one.add_source("a", None, 0.0)
    assert one.next("a", 0.0) == []
    assert Wake("a") in one.urge([range(5, 9)])
    got = asked(one.next("a", 0.0))
    assert got == [5, 6, 7, 8]
    bring(one, "a", got, 1.0)
    assert one.next("a", 1.0) == []


def test_what_was_not_chosen_is_not_asked_for_and_not_missed() -> None:
    chosen = Bits(400)
    chosen.set_run(50, 3)
    one = swarm(chosen=chosen)
    one.add_source("a", None, 0.0)
    assert asked(one.next("a", 0.0)) == [50, 51, 52]
    one.remove_source("a", 0.5)  # what it owed is wanted again, and no more than that
    one.add_source("b", None, 0.5)
    assert asked(one.next("b", 0.5)) == [50, 51, 52]
    effects = bring(one, "b", [50, 51, 52], 1.0)
    assert Complete() in effects and one.complete


def test_the_choice_may_change_at_any_time() -> None:
    one = swarm()
    one.add_source("a", None, 0.0)
    owed = asked(one.next("a", 0.0))
    keep = Bits(400)
    keep.set_run(owed[0])
    effects = one.choose(keep)
    assert any(isinstance(effect, Cancel) for effect in effects)
    assert one.next("a", 0.1) == [], "the only one is owed already"
    assert Complete() in bring(one, "a", [owed[0]], 0.2)
    late = bring(one, "a", [owed[1]], 0.3)  # called off, and came all the same
    assert Complete() not in late
    more = Bits(400)
    more.set_run(owed[0], 2)
    more.set_run(300, 2)
    one.choose(more)
    assert not one.complete and set(asked(one.next("a", 0.4))) == set(more) - {owed[0], owed[1]}
    assert one.choose(Bits(400, 1 << owed[0]))[-1] == Complete()


@given(
    pieces=st.integers(1, 60),
    seed=st.integers(0, 2**32),
    steps=st.lists(
        st.tuples(
            st.sampled_from(["next", "bring", "choose", "urge", "lose", "tick", "wrong"]),
            st.integers(0, 2**60),
        ),
        max_size=60,
    ),
)
def test_whatever_is_chosen_and_waited_for_all_of_it_comes(
    pieces: int, seed: int, steps: list[tuple[str, int]]
) -> None:
    dice = random.Random(seed)
    one = Swarm(pieces, [dice.randrange(1, PIECE) for _ in range(pieces)], dice)
    names, owed, done = ["a", "b"], {"a": [], "b": []}, set()  # type: ignore[var-annotated]
    chosen, now = set(range(pieces)), 0.0

    def carry_out(effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Cancel):
                gone = range(effect.first, effect.first + effect.count)
                owed[effect.source] = [piece for piece in owed[effect.source] if piece not in gone]

    def come(name: str, piece: int) -> None:
        owed[name].remove(piece)
        carry_out(one.received(name, piece, one._size(piece, 1), now))
        done.add(piece)
        carry_out(one.verified(piece))

    for name in names:
        one.add_source(name, None, now)
    for what, number in steps:
        now += 0.3
        name = names[number % 2]
        if what == "next":
            owed[name] += asked(one.next(name, now))
        elif what == "bring" and owed[name]:
            come(name, owed[name][0])
        elif what == "choose":
            chosen = {piece for piece in range(pieces) if number >> piece & 1}
            bits = Bits(pieces, number & ((1 << pieces) - 1))
            effects = one.choose(bits)
            carry_out(effects)
            assert (Complete() in effects) == (chosen <= done)
        elif what == "urge":
            at = number % pieces
            carry_out(one.urge([range(at, at + number % 7)]))
        elif what == "lose":
            owed[name] = []
            carry_out(one.remove_source(name, now))
            one.add_source(name, None, now)
        elif what == "tick":
            now += 30.0
            carry_out(one.tick(now))
        assert one.complete == (chosen <= done)
        assert all(piece not in done or piece in owed["a"] + owed["b"] for piece in owed["a"] + owed["b"])
    for _ in range(40 * pieces + 200):
        if one.complete:
            break
        now += 0.3
        for name in names:
            owed[name] += asked(one.next(name, now))
            for piece in owed[name][:]:
                if piece in owed[name]:
                    come(name, piece)
        due = one.next_tick()
        if due is not None and due <= now:
            carry_out(one.tick(now))
    assert one.complete and chosen <= done


@given(flags=st.lists(st.booleans(), max_size=200))
def test_bits_of_flags(flags: list[bool]) -> None:
    value = bits_of(bytearray(flags))
    assert value == sum(1 << index for index, flag in enumerate(flags) if flag)
    if value:
        assert lowest(value) == flags.index(True)
