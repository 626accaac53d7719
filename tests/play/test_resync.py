"""Games that are no longer the same: the minority finds back, without anybody waiting, and a bundle says what differed."""

from __future__ import annotations

from random import Random

import pytest

from servent.errors import BadMessage, UsageError
from servent.play import lab
from servent.play.bundled.lightcycles import Lightcycles
from servent.play.engine import Engine
from servent.play.lab import BEGIN, Match, Weather
from servent.play.lab_joins import Stream
from servent.play.model import Confirmed, Desync, Event, Settings
from servent.play.recent import Recent
from servent.play.resync import MOST_TIMES, Resync, answer, apart, bundle, read_bundle, source
from tests.play.counting import Counting

BAD = Weather(rtt=0.1, loss=0.05)


class Broken(lab.Table):
    """At 1.5 s, and as often as `again` says, the states of some become others."""

    def __init__(self, match: Match, seed: int, spoilt: set[int], again: int = 1) -> None:
        dice = Random(seed)
        super().__init__(match, dice, Counting(), lab.people())
        self.spoilt, self.again, self.back = spoilt, again, list[tuple[int, float]]()
        self.asked: list[tuple[int, int]] = []
        self.resyncs = {}
        self.streams = {}
        for player in self._players:
            player.recent = Recent(match.settings)
            self.resyncs[player.seat] = Resync(player.session, player.engine, player.recent)
            self.streams[player.seat] = Stream(match.weather, dice)

    def _begin(self) -> None:
        for seat in self.spoilt:
            for time in range(self.again):
                self._at(BEGIN + 1.5 + 2.0 * time, seat, -2, b"")

    def _other(self, now: float, seat: int, sender: int, data: bytes) -> None:
        if sender == -2:
            engine = self._players[seat].engine
            engine.state = (engine.state[0], engine.state[1] ^ 1)
            for frame, (count, found) in list(engine._saved.items()):
                engine._saved[frame] = (count, found ^ 1)
        elif self.resyncs[seat].receive(-3 - sender, data):
            self.back.append((seat, now - BEGIN))

    def _happened(self, player: lab._Player, events: object, now: float) -> None:
        for event in events:  # type: ignore[attr-defined]
            if isinstance(event, Desync):
                self.resyncs[player.seat].happened(event)

    def _tick(self, player: lab._Player, now: float) -> None:
        super()._tick(player, now)
        seat = self.resyncs[player.seat].look(now)
        if seat is not None:
            self.asked.append((player.seat, seat))
            recent = self._players[seat].recent
            assert recent is not None
            for data in answer(recent):
                at = self.streams[player.seat].arrives(len(data), now + 0.05)
                self._at(at, player.seat, -3 - seat, data)


@pytest.mark.parametrize(
    ("players", "spoilt", "asked"), [(2, {1}, (1, 0)), (2, {0}, (1, 0)), (3, {0}, (0, 1)), (4, {3}, (3, 0))]
)
def test_the_minority_is_back_within_a_second_or_two_and_nobody_waits(
    players: int, spoilt: set[int], asked: tuple[int, int]
) -> None:
    table = Broken(Match(settings=Settings(players=players), duration=6, weather=BAD), 1, spoilt)
    outcome = table.play()
    assert table.asked == [asked]
    ((_, at),) = table.back
    assert at < 1.5 + 3.0
    assert outcome.desyncs and max(one.longest_stall for one in outcome.players) < 15
    for one in outcome.players:
        assert all(seat.agreed > 240 for seat in one.view.seats)  # all checksums since are the same
    assert len({player.engine.saved(300) for player in table._players if 300 in player.engine._saved}) <= 1


def test_a_game_that_parts_again_and_again_is_given_up() -> None:
    table = Broken(Match(settings=Settings(players=2), duration=11, weather=Weather()), 1, {1}, again=5)
    table.play()
    assert len(table.asked) == MOST_TIMES and table.resyncs[1].hopeless


def test_whose_state_counts() -> None:
    assert source({0: 5, 1: 6}, 0) is None and source({0: 5, 1: 6}, 1) == 0
    assert source({0: 5, 1: 6, 2: 6}, 0) == 1 and source({0: 5, 1: 6, 2: 6}, 2) is None
    assert source({0: 5, 1: 6, 2: 6, 3: 5}, 1) == 0
    assert source({0: 5, 1: 6, 2: 7}, 2) == 0


def test_two_bundles_name_the_first_field_that_differs() -> None:
    game = Lightcycles()
    bundles = []
    for seat, turn in enumerate((b"\1", b"\2")):
        engine, recent = Engine(game, 2, 9), Recent(Settings(players=2))
        for frame in range(700):
            recent.add(Confirmed(frame, (b"\0", b"\1"), 2 if frame > 600 else 0))
        engine.state = game.step(engine.state, (b"\0", turn))
        recent.keep(660, engine.state)
        found = bundle(Desync(1 - seat, 660, 1, 2), engine, recent, seat, bytes(32), {"Python": f"3.1{seat}"})
        bundles.append(read_bundle(found.write()))
    assert [one.frame for one in bundles[0].confirmed(Settings(players=2))] == list(range(100, 700))
    versions, field = apart(*bundles)
    assert versions == "Python: 3.10 ≠ 3.11" and field.startswith("at frame 660: ") and "≠" in field
    assert apart(bundles[0], bundles[0]) == []
    with pytest.raises(UsageError, match="forgotten"):
        bundle(Desync(1, 60, 1, 2), engine, recent, 0, bytes(32), {})
    with pytest.raises(BadMessage):
        read_bundle(bundles[0].write()[:-1])


def test_a_snapshot_that_nobody_asked_for_is_refused() -> None:
    table = Broken(Match(settings=Settings(players=2), duration=2), 1, set())
    table.play()
    event: Event = Desync(0, 60, 1, 2)
    assert isinstance(event, Desync)
    player = table._players[1]
    assert player.recent is not None
    with pytest.raises(BadMessage):
        table.resyncs[1].receive(0, answer(player.recent)[0])
