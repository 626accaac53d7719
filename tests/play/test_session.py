"""One seat: what it asks for, what it refuses, and how little a hostile player gets."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.errors import UsageError
from servent.play import lab
from servent.play.inputs import KEPT, MAX_AHEAD
from servent.play.lab import TAG, Dark, Match, Outcome, Weather
from servent.play.model import Advance, Confirmed, Contradicted, Gone, Load, Request, Settings, Timing, tag_of
from servent.play.session import Session
from servent.play.wire import MAX_PACKET, Packet, Row, Run, Wire
from tests.play.counting import Counting

FPS = 60
FINE = Weather(rtt=0.05, loss=0.02)
SOON = Timing(gone_after=2.5)


def session(players: int = 2, me: int = 0, **others: int) -> Session:
    one = Session(Settings(players=players, **others), me, TAG, 0.0)
    one.begin(0.0)
    return one


def tick(one: Session, value: bytes = b"\0") -> list[Request]:
    return one.tick(one.next_tick(), value)


def packet(players: int = 2, sender: int = 1, **parts: object) -> bytes:
    whole = {
        "number": 0,
        "frame": 0,
        "lead": 0.0,
        "have": [-1] * (players - 1),
        "runs": [Run(sender, 0, [])],
    } | parts
    return Wire(Settings(players=players), TAG).encode(Packet(**whole))  # type: ignore[arg-type]


def refused(one: Session) -> int:
    return sum(seat.refused for seat in one.view().seats)


def test_two_sessions_that_hear_each_other_step_the_same() -> None:
    both = [session(me=0), session(me=1)]
    final: list[list[Confirmed]] = [[], []]
    for frame in range(30):
        for one in both:
            for request in tick(one, bytes((frame * (one.me + 1) % 7,))):
                if isinstance(request, Confirmed):
                    final[one.me].append(request)
        for one in both:
            for player, data in one.send(one.next_tick()):
                both[player].receive(one.me, data, one.next_tick())
    assert final[0] == final[1]
    assert [one.inputs for one in final[0]] == [(bytes((n % 7,)), bytes((n * 2 % 7,))) for n in range(29)]


def test_an_input_that_was_guessed_wrongly_is_stepped_again() -> None:
    one = session()
    for _ in range(3):
        tick(one)
    one.receive(1, packet(frame=2, runs=[Run(1, 0, [b"\0", b"\7"])]), 0.05)
    requests = tick(one)
    assert Load(1) in requests
    again = [request for request in requests if isinstance(request, Advance) and request.again]
    assert [request.inputs for request in again] == [(b"\0", b"\7"), (b"\0", b"\7")]


def test_a_tick_before_its_time_does_nothing() -> None:
    one = session()
    tick(one)
    assert one.tick(one.next_tick() - 0.005, b"\0") == [] and one.frame == 1


def test_a_frame_too_many_is_not_guessed_and_its_input_is_kept_for_later() -> None:
    one = session(window=3)
    for _ in range(3):
        tick(one)
    assert tick(one, b"\1") == [] and one.frame == 3
    one.receive(1, packet(frame=1, runs=[Run(1, 0, [b"\0"])]), 0.1)
    advance = [request for request in tick(one, b"\2") if isinstance(request, Advance)][-1]
    assert (advance.frame, advance.inputs[0]) == (3, b"\2")
    assert one.view().stalls == 1 and one.view().seats[0].waits == 1


def test_more_delay_fills_frames_and_less_leaves_one_out_but_no_event() -> None:
    one = Session(Settings(players=1, held=b"\x0f"), 0, TAG, 0.0)
    one.begin(0.0)

    def step(value: bytes) -> bytes:
        return next(request.inputs[0] for request in tick(one, value) if isinstance(request, Advance))

    assert step(b"\x01") == b"\x01"
    one.set_delay(2)
    assert [step(b"\x12"), step(b"\x04"), step(b"\x08"), step(b"\x08")] == [b"\1", b"\1", b"\x12", b"\4"]
    one.set_delay(1)
    assert [step(b"\x18"), step(b"\x01"), step(b"\x01")] == [b"\x08", b"\x08", b"\x11"]
    with pytest.raises(UsageError):
        one.set_delay(13)


@pytest.mark.parametrize("wrong", [{"me": 2}, {"me": -1}])
def test_a_seat_that_is_none_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        session(**wrong)


def test_inputs_and_masks_of_another_size_are_refused() -> None:
    with pytest.raises(UsageError):
        Session(Settings(players=2, held=b"12"), 0, TAG, 0.0)
    with pytest.raises(UsageError):
        tick(session(), b"12")


def test_probes_find_the_other_clock() -> None:
    ahead = 1234.5
    both = [Session(Settings(players=2), me, TAG, me * ahead) for me in range(2)]
    for probe in range(8):
        now = probe * 0.05
        sent = [one.send(now + one.me * ahead) for one in both]
        for sender, packets in enumerate(sent):
            for player, data in packets:
                both[player].receive(sender, data, now + player * ahead + 0.03)
    assert both[0].offset(1) == pytest.approx(ahead, abs=0.001)
    assert both[1].offset(0) == pytest.approx(-ahead, abs=0.001)
    rtt = both[0].view().seats[0].rtt
    assert rtt == pytest.approx(0.06, abs=0.001)


def test_a_tag_is_of_one_match_its_seats_its_game_and_its_settings() -> None:
    a, b, game = bytes(32), bytes(31) + b"\1", bytes(32)
    tags = {
        tag_of(Settings(players=2), b"m", [a, b], game),
        tag_of(Settings(players=2), b"n", [a, b], game),
        tag_of(Settings(players=2), b"m", [b, a], game),
        tag_of(Settings(players=2), b"m", [a, b], b),
        tag_of(Settings(players=2, delay=1), b"m", [a, b], game),
    }
    assert len(tags) == 5 and all(len(tag) == 4 for tag in tags)


# hostile players


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(-1, 4), st.binary(max_size=80), st.booleans()), max_size=12))
def test_whatever_comes_the_session_plays_on(datagrams: list[tuple[int, bytes, bool]]) -> None:
    one = session(3)
    for player, data, tagged in datagrams:
        one.receive(player, TAG + data if tagged else data, 0.01)
        tick(one)
        assert all(len(data) <= MAX_PACKET for _, data in one.send(one.next_tick()))
    assert one.frame <= 8 + 1 or not refused(one)


def test_noise_another_match_and_huge_datagrams_are_counted_and_nothing_else() -> None:
    one = session()
    before = one.view()
    for data in (b"", b"x" * 40, b"else" + packet()[4:], TAG + bytes(60_000), packet() + b"more"):
        one.receive(1, data, 0.0)
    one.receive(0, packet(), 0.0)  # from ourselves
    one.receive(7, packet(), 0.0)
    assert refused(one) == 5
    assert one.view().frame == before.frame and one.events() == []


def test_a_packet_that_comes_again_changes_nothing() -> None:
    one = session()
    tick(one)
    data = packet(number=3, frame=5, runs=[Run(1, 0, [b"\1", b"\2"])], have=[0])
    one.receive(1, data, 0.01)
    tick(one)
    before = one.view().seats[0]
    for _ in range(50):
        one.receive(1, data, 5.0)
    assert one.view().seats[0] == before
    assert tick(one)[-1].inputs == (b"\0", b"\2")  # type: ignore[union-attr]


def test_inputs_from_the_far_future_are_taken_as_far_as_they_can_be_true() -> None:
    one = session()
    for start in range(0, 3000, 60):
        one.receive(1, packet(number=start, runs=[Run(1, start, [b"\5"] * 60)], frame=start), 0.0)
    for _ in range(MAX_AHEAD + 1):
        advance = tick(one)[-1]
        assert isinstance(advance, Advance) and advance.inputs[1] == b"\5"
    assert MAX_AHEAD < KEPT // 2 + 1
    one.receive(1, packet(number=9999, runs=[Run(1, 100_000, [b"\6"])], frame=100_000), 0.0)
    assert one.confirmed <= MAX_AHEAD + 1


def test_an_acknowledgement_of_what_was_never_sent_stops_only_its_sender() -> None:
    one = session(3)
    for _ in range(4):
        tick(one, b"\3")
    one.receive(1, packet(3, have=[1 << 30, 1 << 30], frame=1 << 30), 0.0)
    sent = dict(one.send(1.0))
    honest = Wire(Settings(players=3), TAG).decode(0, sent[2])
    assert isinstance(honest, Packet) and honest.runs[0].values == [b"\3"] * 4


def forged(seat: int, victim: int, value: bytes) -> lab.Meddle:
    """`seat` tells all others that `victim` did `value`, ahead of what it really does."""
    wire = Wire(Settings(players=3), TAG)

    def meddle(sender: int, receiver: int, data: bytes, dice: Random) -> list[bytes]:
        if sender != seat or receiver == victim:
            return [data]
        packet = wire.decode(sender, data)
        if isinstance(packet, Packet):
            packet.runs[1:] = [Run(victim, max(0, packet.frame - 4), [value] * 12)]
            return [wire.encode(packet)]
        return [data]

    return meddle


def play(match: Match, meddle: lab.Meddle, seed: int = 1) -> Outcome:
    return lab.play(match, Random(seed), Counting(), meddle=meddle)


def test_who_tells_other_inputs_of_a_player_than_itself_is_named_and_not_believed_again() -> None:
    match = Match(settings=Settings(players=3), duration=6, weather=FINE)
    outcome = play(match, forged(2, 1, b"\x55"))
    told = [event for _, event in outcome.players[0].events if isinstance(event, Contradicted)]
    assert [(event.player, event.by) for event in told] == [(1, 2)]
    honest = [player.view.frame for player in outcome.players]
    assert min(honest) > FPS * 5
    assert not outcome.differ and not outcome.desyncs  # who is heard is believed about itself


def test_who_says_that_somebody_is_gone_whom_all_hear_parts_only_himself() -> None:
    wire = Wire(Settings(players=4), TAG)

    def meddle(sender: int, receiver: int, data: bytes, dice: Random) -> list[bytes]:
        packet = wire.decode(sender, data)
        if sender == 3 and isinstance(packet, Packet) and packet.frame > 60:
            packet.rows = (Row(3, 0b0010, (40,)),)
            return [wire.encode(packet)]
        return [data]

    outcome = play(Match(settings=Settings(players=4), duration=9, weather=FINE), meddle)
    for player in (0, 1, 2):
        gone = [event for _, event in outcome.players[player].events if isinstance(event, Gone)]
        assert [event.player for event in gone] == [3]
        assert outcome.players[player].view.frame > FPS * 4
    assert not outcome.differ


def test_a_player_who_sends_but_does_nothing_is_not_waited_for_for_ever() -> None:
    wire = Wire(Settings(players=3), TAG)

    def meddle(sender: int, receiver: int, data: bytes, dice: Random) -> list[bytes]:
        packet = wire.decode(sender, data)
        if sender == 2 and isinstance(packet, Packet) and packet.frame > 30:
            packet.runs = [Run(2, 10, [])]
            return [wire.encode(packet)]
        if isinstance(packet, Packet) and len(packet.runs) > 1:
            packet.runs = packet.runs[:1]
        return [wire.encode(packet)] if isinstance(packet, Packet) else [data]

    outcome = play(Match(settings=Settings(players=3), duration=12, weather=FINE, timing=SOON), meddle)
    for player in (0, 1):
        assert any(
            isinstance(event, Gone) and event.player == 2 for _, event in outcome.players[player].events
        )
        assert outcome.players[player].view.frame > FPS * 2


def test_garbage_replays_and_truncation_from_one_player_do_not_stop_the_others() -> None:
    kept: list[bytes] = []

    def meddle(sender: int, receiver: int, data: bytes, dice: Random) -> list[bytes]:
        if sender != 1:
            return [data]
        kept.append(data)
        return [
            data,
            dice.choice(kept),
            dice.randbytes(dice.randrange(100)),
            data[: dice.randrange(len(data))],
            TAG + dice.randbytes(1158),
        ]

    outcome = play(Match(settings=Settings(players=3), duration=4, weather=FINE), meddle)
    assert not outcome.differ and outcome.fps > 50  # it may slow them, by being slow itself
    assert outcome.players[0].view.seats[0].refused > 300


def test_a_laptop_that_slept_drops_nobody_for_its_own_silence() -> None:
    one = session(3)
    for number in range(5):
        tick(one)
        for player in (1, 2):
            one.receive(player, packet(3, player, number=number, frame=number), one.next_tick())
    one.tick(one.next_tick() + 60, b"\0")
    assert not [event for event in one.events() if isinstance(event, Gone)]


def test_a_split_network_goes_on_as_two_matches() -> None:
    dark = tuple(Dark(1, 99, one, other) for one in (0, 1) for other in (2, 3))
    match = Match(settings=Settings(players=4), duration=7, weather=FINE, dark=dark, timing=SOON)
    outcome = lab.play(match, Random(1), Counting())
    sides = [
        {event.player for _, event in player.events if isinstance(event, Gone)} for player in outcome.players
    ]
    assert sides == [{2, 3}, {2, 3}, {0, 1}, {0, 1}]
    assert all(player.view.frame > FPS * 2 for player in outcome.players)


def test_what_was_passed_on_is_remembered_only_as_long_as_its_player_may_speak_of_it() -> None:
    one = session(3)
    for start in range(0, 100, 10):
        runs = [Run(2, 0, []), Run(1, start, [b"\1"] * 10)]
        one.receive(2, packet(3, 2, number=start, frame=start, runs=runs), 1.0)
    assert len(one._passed[1]) == 100
    one.receive(1, packet(3, 1, frame=95, runs=[Run(1, 95, [b"\1"] * 5)]), 1.0)
    assert not one._passed[1]
