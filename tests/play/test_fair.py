"""Commit and reveal: nobody chooses after having seen another's choice, and nobody loads the dice."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.codec import Decoder, encode
from servent.errors import BadMessage, UsageError
from servent.play import dice
from servent.play.fair import Broken, Commit, Reveal, Round, committed

MATCH = bytes(range(16))


def nonce(word: str) -> bytes:
    return sha256(word.encode()).digest()


def table(*values: bytes, round: int = 0, salt: str = "") -> list[Round]:
    return [
        Round(MATCH, round, len(values), seat, nonce(f"{salt}{seat}"), value)
        for seat, value in enumerate(values)
    ]


def tell(rounds: list[Round], stage: str) -> None:
    for seat, one in enumerate(rounds):
        message = one.commit() if stage == "commit" else one.reveal()
        assert message
        for other, there in enumerate(rounds):
            if other != seat:
                there.receive(seat, message)


def whole(*values: bytes, round: int = 0, salt: str = "") -> list[Round]:
    rounds = table(*values, round=round, salt=salt)
    tell(rounds, "commit")
    tell(rounds, "reveal")
    return rounds


def test_all_see_the_same_choices_and_roll_the_same_dice() -> None:
    rounds = whole(b"rock", b"paper", b"rock")
    assert {one.stage for one in rounds} == {"done"}
    assert [one.values() for one in rounds] == [[b"rock", b"paper", b"rock"]] * 3
    assert len({one.seed() for one in rounds}) == 1
    assert dice.roll(rounds[0].dice(), 6) == dice.roll(rounds[2].dice(), 6)


def test_nothing_is_revealed_before_everybody_has_committed() -> None:
    ann, bob, cid = table(b"a", b"b", b"c")
    ann.receive(1, bob.commit())
    assert ann.reveal() is None and ann.stage == "commit" and ann.missing() == [2]
    ann.receive(2, cid.commit())
    assert isinstance(ann.reveal(), Reveal) and ann.stage == "reveal" and ann.missing() == [1, 2]


def test_a_hash_tells_nothing_of_few_possible_choices() -> None:
    assert committed(MATCH, 0, 0, nonce("x"), b"rock") != committed(MATCH, 0, 0, nonce("y"), b"rock")


def test_who_waits_and_changes_its_mind_is_named() -> None:
    ann, bob = table(b"rock", b"scissors")
    ann.receive(1, bob.commit())
    bob.receive(0, ann.commit())
    with pytest.raises(Broken, match="seat 1 revealed something else") as wrong:
        ann.receive(1, Reveal(0, nonce("1"), b"paper"))
    assert wrong.value.seat == 1 and wrong.value.advice
    with pytest.raises(Broken, match="committed to two things"):
        ann.receive(1, Commit(0, nonce("else")))
    bob.receive(0, ann.commit())  # once more is no harm


def test_nobody_repeats_anothers_commit_as_its_own() -> None:
    ann, _bob, cid = table(b"a", b"b", b"c")
    cid.receive(0, ann.commit())
    with pytest.raises(Broken, match="seat 1 repeats another's"):
        cid.receive(1, ann.commit())
    assert committed(MATCH, 0, 0, nonce("n"), b"") != committed(MATCH, 0, 1, nonce("n"), b"")
    assert committed(MATCH, 0, 0, nonce("n"), b"") != committed(MATCH, 1, 0, nonce("n"), b"")


@pytest.mark.parametrize(
    ("seat", "message", "words"),
    [
        (0, Commit(0, nonce("a")), "no choice of its own"),
        (2, Commit(0, nonce("a")), "no choice of its own"),
        (1, Commit(1, nonce("a")), "speaks of round 1, not of 0"),
        (1, Reveal(0, nonce("a"), b""), "before all had committed"),
    ],
)
def test_out_of_turn_is_refused(seat: int, message: Commit | Reveal, words: str) -> None:
    ann = table(b"a", b"b")[0]
    with pytest.raises(Broken, match=words):
        ann.receive(seat, message)


def test_who_falls_silent_is_named_and_nothing_is_rolled() -> None:
    ann, bob = table(b"", b"")
    tell([ann, bob], "commit")
    ann.reveal()
    assert ann.missing() == [1]
    with pytest.raises(UsageError, match="seats 1 have not revealed"):
        ann.seed()


def test_one_honest_player_makes_the_dice_fair() -> None:
    seen = Counter[int]()
    for number in range(1200):
        ann = Round(MATCH, number, 2, 0, nonce(f"honest {number}"))
        bob = Round(MATCH, number, 2, 1, bytes(32))  # always the same: loaded
        tell([ann, bob], "commit")
        tell([ann, bob], "reveal")
        seen[dice.roll(ann.dice(), 6)[0]] += 1
    assert sum((count - 200) ** 2 / 200 for count in seen.values()) < 20.5  # chi², 5 degrees, 0.1 %


def test_who_watches_sees_it_too_and_promises_nothing() -> None:
    rounds = table(b"x", b"y")
    watcher = Round(MATCH, 0, 2)
    for seat, one in enumerate(rounds):
        watcher.receive(seat, one.commit())
        rounds[1 - seat].receive(seat, one.commit())
    assert watcher.reveal() is None
    for seat, one in enumerate(rounds):
        revealed = one.reveal()
        assert revealed
        watcher.receive(seat, revealed)
    assert watcher.values() == [b"x", b"y"]
    with pytest.raises(UsageError, match="who watches"):
        watcher.commit()


@settings(deadline=None)
@given(st.binary(max_size=120))
def test_bytes_from_anywhere_are_a_message_or_refused(data: bytes) -> None:
    decoder: Decoder[Commit | Reveal] = Decoder(Commit | Reveal)
    try:
        message = decoder.decode(data)
    except BadMessage:
        return
    assert decoder.decode(encode(message)) == message


@pytest.mark.parametrize(
    ("me", "nonce_", "value"), [(2, bytes(32), b""), (0, b"short", b""), (0, bytes(32), bytes(1025))]
)
def test_a_choice_without_its_shape_is_refused(me: int, nonce_: bytes, value: bytes) -> None:
    with pytest.raises(UsageError):
        Round(MATCH, 0, 2, me, nonce_, value)
