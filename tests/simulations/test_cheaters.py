"""Volunteers that cheat, with what really decides: few, but enough to see that it works, and that it would be seen if it did not."""

from __future__ import annotations

import pytest
from msgspec import structs

from servent.grid import replication
from servent.grid.replication import Trust
from simulations.cheaters import Town, cheaters
from simulations.scenario import read_all


def numbers(
    hosts: int, units: int, *, share: float = 0.1, way: str = "alone", seed: int = 1
) -> dict[str, float]:
    town = Town(hosts, units, share, 0.2, way, seed)  # type: ignore[arg-type]
    town.run()
    return town.numbers()


def test_cheaters_are_caught_and_what_they_made_up_is_put_right() -> None:
    every = [numbers(200, 30_000, seed=seed) for seed in (1, 2, 3)]
    mean = {name: sum(one[name] for one in every) / len(every) for name in every[0]}
    assert mean["wrong"] <= 0.0003, "some are not caught yet when it ends: 150 units a host are few"
    assert mean["wrong_first"] <= 0.0005
    assert mean["caught"] >= 0.95 and mean["blamed"] <= 0.02
    assert mean["copies_late"] < 1.15 and mean["copies"] < 1.25
    assert mean["unended"] == 0


def test_without_checks_it_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def believed(trust: Trust, dice: float) -> bool:
        return True

    monkeypatch.setattr(replication, "alone", believed)
    found = numbers(100, 4_000)
    assert found["wrong"] > 0.005 and found["copies"] < 1.1


def test_who_agrees_about_what_is_wrong_seldom_meets_another() -> None:
    met = numbers(200, 20_000, way="together")
    assert met["wrong"] <= 0.004 and met["caught"] >= 0.9 and met["blamed"] <= 0.15


def test_without_cheaters_nearly_all_is_computed_once() -> None:
    found = numbers(50, 20_000, share=0.0)
    assert found["copies_late"] < 1.12
    assert found["blamed"] == 0 or found["wrong"] == 0


def test_a_few_volunteers_end_a_project_too() -> None:
    assert numbers(3, 200, share=0.0)["unended"] == 0


def test_the_same_seed_has_the_same_numbers() -> None:
    assert numbers(30, 600, seed=5) == numbers(30, 600, seed=5)
    assert numbers(30, 600, seed=5) != numbers(30, 600, seed=6)


@pytest.mark.slow
def test_its_scenario_holds_its_marks_for_a_part_of_its_units() -> None:
    scenario = read_all()["cheaters"]
    assert scenario.cheats.hosts == 0.1 and scenario.cheats.units == 0.2
    found = cheaters(structs.replace(scenario, units=100), 4)
    assert found["wrong"] <= 0.0001 and found["copies_late"] < 1.25
