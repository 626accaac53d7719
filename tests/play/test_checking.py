"""A check plays a game against itself: each kind of mistake is found, named with its place, and good games are found good."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest

from servent.play import checking
from servent.play.bundled import lightcycles
from servent.play.bundled.go import Go
from servent.play.bundled.lightcycles import Lightcycles
from servent.play.checking import check, parted
from servent.play.games import Choices, Game, Result, Scene


class Plain(Game):
    """Counts what is pressed."""

    id, title, players = "plain", "Plain", (2, 2)

    def start(self, seats: int, seed: int, choices: Choices) -> Any:
        return {"frame": 0, "sum": 0, "deep": {"b": [1, 2], "a": (3,)}}

    def step(self, state: Any, inputs: Sequence[bytes]) -> Any:
        return {**state, "frame": state["frame"] + 1, "sum": state["sum"] + sum(one[0] for one in inputs)}

    def draw(self, state: Any, me: int | None = None) -> Scene:
        return Scene(10, 10, "#000000", ())

    def result(self, state: Any) -> Result | None:
        return Result((1, 2), (1, 0), "over") if state["frame"] >= 100 else None


def words(game: Game) -> str:
    report = check(game, frames=120)
    assert not report.good
    return "; ".join(map(str, report.findings))


@pytest.mark.parametrize("game", [Plain(), Lightcycles(), Go()])
def test_a_good_game_is_found_good(game: Game) -> None:
    report = check(game, frames=100)
    assert report.good and report.findings == () and report.frames == 100
    assert [frame for frame, _ in report.sums] == [60, 100]
    assert parted(report, check(game, frames=100)) is None
    assert report.most_bytes > 10 and report.rollback is None


def test_with_a_clock_rollbacks_are_timed_and_the_source_is_read() -> None:
    ticks = itertools.count()
    source = Path(lightcycles.__file__).read_text()
    report = check(
        Lightcycles(), 8, frames=60, clock=lambda: float(next(ticks)), source=source + "\nimport time\n"
    )
    assert report.rollback == 1.0 and not report.good
    assert [one.words.split(":")[0] for one in report.hazards] == ["`time`"]


def test_a_step_that_changes_what_it_is_given() -> None:
    class Bad(Plain):
        def step(self, state: Any, inputs: Sequence[bytes]) -> Any:
            state["deep"]["b"][1] += 1
            return {**state, "frame": state["frame"] + 1}

    assert "frame 0: `step` changes the state it is given: deep.b[1] 2 ≠ 3. Make the next one" in words(Bad())


def test_a_draw_that_changes_the_state() -> None:
    class Bad(Plain):
        def draw(self, state: Any, me: int | None = None) -> Scene:
            state["deep"]["b"].reverse()
            return super().draw(state, me)

    assert "`draw`, `result` or `bot` changes the state: deep.b[0] 1 ≠ 2" in words(Bad())


def test_a_game_that_remembers() -> None:
    class Bad(Plain):
        calls = 0

        def step(self, state: Any, inputs: Sequence[bytes]) -> Any:
            Bad.calls += 1
            return {**super().step(state, inputs), "sum": Bad.calls}

    assert "stepped again from a kept state it comes out otherwise: sum 1 ≠ " in words(Bad())


def test_a_game_that_starts_otherwise_each_time() -> None:
    class Bad(Plain):
        calls = 0

        def start(self, seats: int, seed: int, choices: Choices) -> Any:
            Bad.calls += 1
            return {**super().start(seats, seed, choices), "sum": Bad.calls}

    assert "`start` gives another state for the same arguments: sum 1 ≠ 2" in words(Bad())


def test_a_game_that_depends_on_which_objects_are_the_same() -> None:
    class Bad(Plain):
        mark: ClassVar[list[int]] = [0]

        def start(self, seats: int, seed: int, choices: Choices) -> Any:
            return {**super().start(seats, seed, choices), "deep": self.mark}

        def step(self, state: Any, inputs: Sequence[bytes]) -> Any:
            return {**super().step(state, inputs), "sum": int(state["deep"] is self.mark)}

    assert "read back from its bytes goes on otherwise" in words(Bad()) and "sum 1 ≠ 0" in words(Bad())


def test_a_game_that_depends_on_the_order_in_which_a_dict_was_filled() -> None:
    class Bad(Plain):
        def step(self, state: Any, inputs: Sequence[bytes]) -> Any:
            return {**super().step(state, inputs), "sum": ord(next(iter(state["deep"])))}

    assert "the order in which a dict was filled): sum 98 ≠ 97" in words(Bad())


def test_a_state_that_is_not_plain() -> None:
    class Bad(Plain):
        def step(self, state: Any, inputs: Sequence[bytes]) -> Any:
            return {**super().step(state, inputs), "deep": {"speed": 0.5}}

    assert "deep.speed is the float 0.5. Count in whole numbers" in words(Bad())


@pytest.mark.parametrize("name", ["start", "step", "draw", "result", "bot"])
def test_whatever_a_game_raises_is_a_finding(name: str) -> None:
    def wrong(*arguments: Any) -> Any:
        raise ZeroDivisionError("by zero")

    bad = type("Bad", (Plain,), {name: wrong})()
    assert f"`{name}` raises ZeroDivisionError: by zero" in words(bad)


@pytest.mark.parametrize(
    ("name", "gives", "said"),
    [
        ("draw", "nothing", "`draw` gives no Scene: it is a str"),
        ("draw", Scene(1, 1, "red", ()), "`draw` gives no Scene: Expected"),
        ("result", 7, "`result` gives a int, not a Result"),
        ("result", Result((1,), (1,), ""), "not one place and one score for each of 2 seats"),
        ("bot", b"", "`bot` gives b'', not 1 bytes"),
    ],
)
def test_what_is_no_answer_is_a_finding(name: str, gives: Any, said: str) -> None:
    bad = type("Bad", (Plain,), {name: lambda *arguments: gives})()
    assert said in words(bad)


def test_a_result_that_changes_afterwards() -> None:
    class Bad(Plain):
        def result(self, state: Any) -> Result | None:
            return Result((1, 2), (state["frame"], 0), "") if state["frame"] >= 100 else None

    assert "frame 100: `result` changes after the match has ended" in words(Bad())


HASHING = """
from tests.play.test_checking import Plain
from servent.play.checking import check
class Bad(Plain):
    def step(self, state, inputs):
        return {**super().step(state, inputs), "sum": hash("a word")}
print(check(Bad(), frames=60).sums, check(Bad(), frames=60).good)
"""
GOOD = """
from servent.play.checking import check
from servent.play.bundled.go import Go
from servent.play.bundled.lightcycles import Lightcycles
print(check(Lightcycles(), 4, frames=200).sums[-1], check(Go(), frames=40).sums[-1])
"""


def in_another_process(code: str, seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
        env={"PYTHONHASHSEED": seed},
    )
    return done.stdout


def test_games_come_out_the_same_in_processes_that_hash_otherwise() -> None:
    mine = f"{check(Lightcycles(), 4, frames=200).sums[-1]} {check(Go(), frames=40).sums[-1]}\n"
    assert in_another_process(GOOD, "7") == mine  # this one hashes in its own way


def test_a_hash_shows_only_between_processes() -> None:
    one, other = in_another_process(HASHING, "1"), in_another_process(HASHING, "2")
    assert one != other and one.endswith("True\n")


def test_two_reports_that_part_say_when() -> None:
    one = check(Plain(), frames=240)
    other = one._replace(sums=(*one.sums[:2], (180, 1), (240, 2)))
    assert parted(one, other) == 180
    assert parted(one, one._replace(sums=one.sums[:2], frames=150)) == 150


def test_made_up_players_press_everything_and_the_same_each_time() -> None:
    presses = checking.pressed(Lightcycles(), 2, 3, 2000)
    assert (
        presses == checking.pressed(Lightcycles(), 2, 3, 2000) != checking.pressed(Lightcycles(), 2, 4, 2000)
    )
    seen = {row[0][0] for row in presses}
    assert {1, 2, 4, 8, 16, 0} <= seen and len(seen) > 60
    changes = sum(one[0] != other[0] for one, other in itertools.pairwise(presses))
    assert 120 < changes < 300  # of 2000 frames
