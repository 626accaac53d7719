"""The runner of scenarios: what is wrong in a file is said with its name and key; numbers are held to marks and to the last ones."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from simulations import run as runner
from simulations.building import supernodes_of
from simulations.run import PROGRAMS, Kept, Row, groups, main, printed, read_kept, rows
from simulations.scenario import Mark, Scenario, ScenarioError, read, read_all

GOOD = """
name = "good"
about = "A scenario that can be read."
measure = "crash"
peers = 1000
crash = [0.5]

[marks.1000]
whole_after_50 = { most = 20.0 }

[marks.10000]
whole_after_50 = { most = 30.0 }
"""


def written(folder: Path, text: str, name: str = "good") -> Path:
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_scenario_here_can_be_read_and_run_by_a_program() -> None:
    found = read_all()
    assert {scenario.measure for scenario in found.values()} == PROGRAMS.keys()
    assert all(scenario.holding for scenario in found.values())


def test_a_good_file_is_read(tmp_path: Path) -> None:
    found = read(written(tmp_path, GOOD))
    assert (found.peers, found.crash, found.delays.most) == (1000, [0.5], 0.12)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("peers = 1000", "peers = 3"), "good.toml: peers is below 20"),
        (("peers = 1000", 'peers = "many"'), "good.toml: peers wants a whole number"),
        (("peers = 1000", "pears = 1000"), "pears"),
        (('measure = "crash"', 'measure = "guess"'), "good.toml: measure"),
        (('measure = "crash"', ""), "measure"),
        (("{ most = 20.0 }", "{ mots = 20.0 }"), "mots"),
        (("{ most = 20.0 }", "{}"), "marks.1000.whole_after_50 says neither"),
        (("[marks.1000]", "[marks.few]"), "marks.few is no number of peers"),
        (("crash = [0.5]", "crash = [1.5]"), "good.toml: crash"),
        (('name = "good"', 'name = "bad"'), "name says 'bad'"),
        (("crash = [0.5]", "delays = { least = 0.5, most = 0.1 }"), "delays.least is above"),
        (("peers = 1000", "peers = "), "good.toml: "),
    ],
)
def test_a_mistake_is_said_with_the_file_and_the_key(
    tmp_path: Path, change: tuple[str, str], says: str
) -> None:
    with pytest.raises(ScenarioError, match=says.replace(".", r"\.").replace("[", r"\[")) as said:
        read(written(tmp_path, GOOD.replace(*change)))
    assert str(said.value).startswith("good.toml: ")


def test_marks_are_those_of_the_largest_size_that_is_reached(tmp_path: Path) -> None:
    found = read(written(tmp_path, GOOD))
    assert found.holding["whole_after_50"].most == 20.0
    assert found.at(5000).holding["whole_after_50"].most == 20.0
    assert found.at(100_000).holding["whole_after_50"].most == 30.0
    assert found.at(100).holding["whole_after_50"].most == 20.0


def table(value: float, mark: Mark | None, kept: float | None, tolerance: float = 0.1) -> Row:
    scenario = Scenario(
        name="one",
        about="A scenario of one number.",
        measure="crash",
        peers=100,
        marks={"100": {"it": mark}} if mark is not None else {},
        tolerance=tolerance,
    )
    [row] = rows(scenario, {"it": value}, {"one@100": {"it": kept}} if kept is not None else {})
    return row


def test_a_number_is_held_to_its_mark() -> None:
    assert table(0.99, Mark(least=0.98), None).holds
    assert not table(0.97, Mark(least=0.98), None).holds
    assert not table(21.0, Mark(most=20.0), None).holds
    assert table(100.0, None, None).holds


def test_a_number_that_is_much_worse_than_the_last_one_is_told_apart_from_noise() -> None:
    assert not table(10.5, Mark(most=20.0), 10.0).worse
    assert table(11.5, Mark(most=20.0), 10.0).worse
    assert not table(5.0, Mark(most=20.0), 10.0).worse
    assert table(0.95, Mark(least=0.9), 1.0).worse
    assert not table(0.99, Mark(least=0.9), 1.0).worse
    assert not table(1e9, None, 1.0).worse


def test_a_mark_for_what_is_not_measured_is_a_mistake() -> None:
    scenario = Scenario(
        name="one", about="A scenario.", measure="crash", peers=100, marks={"100": {"x": Mark(most=1.0)}}
    )
    with pytest.raises(ScenarioError, match="x, which is not measured"):
        rows(scenario, {"it": 1.0}, {})


def test_the_table_says_what_was_missed_and_what_it_was_before() -> None:
    text = printed([table(21.0, Mark(most=20.0), 10.0)], 3.0)
    assert "one (3 s)" in text
    assert "MISSED" in text
    assert "was 10" in text


def test_names_that_are_not_there_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nonsense"]) == 2
    said = capsys.readouterr().err
    assert "nonsense" in said
    assert "rare-items" in said
    assert main(["crash", "--peers", "3"]) == 2


def test_large_ones_are_run_where_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, int]] = []

    def none(group: Sequence[Scenario]) -> tuple[Kept, float]:
        asked.extend((one.name, one.peers) for one in group)
        return {}, 0.0

    monkeypatch.setattr(runner, "group_apart", none)
    assert main(["rare-items", "cost", "--large"]) == 1  # it has no numbers
    assert asked == [("rare-items", 10_000)]
    assert main(["cost", "--large"]) == 2
    assert "none of these" in capsys.readouterr().err


def test_of_few_peers_there_are_supernodes_enough_for_liars() -> None:
    scenario = read_all()["lying-supernodes"]
    assert [supernodes_of(scenario.at(peers)) for peers in (300, 1000, 10_000)] == [30, 30, 100]
    rare = read_all()["rare-items"]
    assert [supernodes_of(rare.at(peers)) for peers in (100, 1000, 10_000)] == [3, 10, 100]


def test_those_that_begin_alike_share_a_network() -> None:
    found = read_all()
    both = [found[name].at(10_000) for name in ("rare-items", "lying-supernodes")]
    assert groups(both) == [both]
    assert len(groups([one.at(1000) for one in both])) == 2  # another number of supernodes


def test_kept_numbers_are_written_and_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "KEPT", tmp_path / "kept.json")
    monkeypatch.setattr(runner, "read_kept", lambda: read_kept(tmp_path / "kept.json"))
    value = {"givers_share": 0.8, "used": 1.0}
    monkeypatch.setattr(runner, "group_apart", lambda group: ({"fairness": dict(value)}, 1.0))
    assert main(["fairness", "--keep"]) == 0
    assert json.loads((tmp_path / "kept.json").read_text()) == {"fairness@55": value}
    assert main(["fairness"]) == 0
    value["givers_share"] = 0.6
    assert main(["fairness"]) == 1
    assert "WORSE" in capsys.readouterr().out
    value["givers_share"] = 0.4
    assert main(["fairness"]) == 1
    assert "MISSED" in capsys.readouterr().out


def test_kept_numbers_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    (tmp_path / "kept.json").write_text("{")
    with pytest.raises(ScenarioError, match=r"kept\.json"):
        read_kept(tmp_path / "kept.json")
