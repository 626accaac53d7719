"""Runs scenarios and compares what they say with their marks, and with the numbers kept from the last change.

python -m simulations [NAME ...] [--peers N | --large] [--seed N] [--json] [--keep] [--jobs N]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from servent.errors import UsageError
from simulations import cheaters, fairness, health, rooms, searching
from simulations.building import key_of, prepare
from simulations.forking import apart
from simulations.scenario import HERE, Mark, Scenario, ScenarioError, read_all

KEPT = HERE / "kept.json"
CLOSE = 0.02  # a difference below it is none, whatever the tolerance
Numbers = dict[str, float]
Kept = dict[str, Numbers]

PROGRAMS: Mapping[str, Callable[[Scenario, int], Numbers]] = {
    "search": searching.search,
    "hot": searching.hot,
    "switch": searching.switch,
    "crash": health.crash,
    "churn": health.churn,
    "flash": health.flash,
    "cost": health.cost,
    "partition": health.partition,
    "eclipse": health.eclipse,
    "rooms": rooms.rooms,
    "cheaters": cheaters.cheaters,
    "fairness": lambda scenario, seed: fairness.numbers(minutes=scenario.seconds / 60.0, seed=seed),
}


SHARING = ("search", "hot")  # programs that begin with a network that publishes and has no canaries


@dataclass(frozen=True, slots=True)
class Row:
    """One number of one scenario. `holds`: its mark; `worse`: than the kept one, by more than is tolerated."""

    scenario: str
    name: str
    value: float
    mark: Mark | None
    holds: bool
    kept: float | None
    worse: bool


def run(scenario: Scenario) -> Numbers:
    """All its seeds: the worst of each number where there is a mark, else the mean."""
    every = [PROGRAMS[scenario.measure](scenario, seed) for seed in scenario.seeds]
    marks = scenario.holding
    numbers: Numbers = {}
    for name in dict.fromkeys(name for one in every for name in one):
        values = [one[name] for one in every if name in one]
        mark = marks.get(name)
        if mark is None:
            numbers[name] = sum(values) / len(values)
        else:
            numbers[name] = min(values) if mark.least is not None else max(values)
    return numbers


def rows(scenario: Scenario, numbers: Numbers, kept: Kept) -> list[Row]:
    """The table of one scenario.

    Raises:
        ScenarioError: a mark is set for what is not measured.
    """
    marks = scenario.holding
    if unknown := marks.keys() - numbers.keys():
        raise ScenarioError(
            f"{scenario.name}.toml: marks for {', '.join(sorted(unknown))}, which is not measured"
        )
    before = kept.get(f"{scenario.name}@{scenario.peers}", {})
    made = []
    for name, value in numbers.items():
        mark, was = marks.get(name), before.get(name)
        holds = mark is None or mark.holds(value)
        made.append(
            Row(scenario.name, name, value, mark, holds, was, _worse(value, was, mark, scenario.tolerance))
        )
    return made


def _worse(value: float, was: float | None, mark: Mark | None, tolerance: float) -> bool:
    """Only what has a mark has a direction."""
    if was is None or mark is None:
        return False
    slack = max(abs(was) * tolerance, CLOSE)
    if mark.least is not None and value < was - min(slack, CLOSE if was <= 1.0 else slack):
        return True
    return mark.most is not None and value > was + slack


def read_kept(path: Path = KEPT) -> Kept:
    """Numbers of the last change; none when there is no file."""
    if not path.exists():
        return {}
    try:
        found: Kept = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as wrong:
        raise ScenarioError(f"{path.name}: {wrong}") from wrong
    return found


def printed(table: Sequence[Row], seconds: float) -> str:
    """For a terminal."""
    if not table:
        return ""
    lines = [f"{table[0].scenario} ({seconds:.0f} s)"]
    for row in table:
        mark = f"{row.mark}" if row.mark is not None else ""
        kept = f"was {row.kept:.4g}" if row.kept is not None else ""
        verdict = (
            "MISSED" if not row.holds else "WORSE" if row.worse else "ok" if row.mark is not None else ""
        )
        lines.append(f"  {row.name:<28}{row.value:>12.4g}  {mark:<18}{verdict:<8}{kept}".rstrip())
    return "\n".join(lines)


def group_apart(group: Sequence[Scenario]) -> tuple[Kept, float]:
    """Run these in a process of its own: the same order of hashes for all, memory given back.

    They begin with the same network, which is built once. What broke has no numbers.
    """
    environment = dict(os.environ, PYTHONHASHSEED="0")
    begun = time.perf_counter()
    names = [scenario.name for scenario in group]
    command = [sys.executable, "-m", "simulations", *names, "--alone", "--peers", str(group[0].peers)]
    for seed in group[0].seeds:
        command += ["--seed", str(seed)]
    done = subprocess.run(
        command, env=environment, cwd=HERE.parent, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - begun
    if done.returncode:
        print(f"{', '.join(names)} broke:\n{done.stderr[-4000:]}", file=sys.stderr)
        return {}, seconds
    found: Kept = json.loads(done.stdout)
    return found, seconds


def groups(scenarios: Sequence[Scenario]) -> list[list[Scenario]]:
    """Those that can share a network together, the longest first."""
    shared: dict[object, list[Scenario]] = {}
    for one in scenarios:
        key = (tuple(one.seeds), key_of(one, 0, True, False)) if one.measure in SHARING else one.name
        shared.setdefault(key, []).append(one)
    return sorted(shared.values(), key=lambda group: -group[0].peers * len(group))


def alone(scenarios: Sequence[Scenario]) -> Kept:
    """All of a group, here."""
    if len(scenarios) == 1 or len(scenarios[0].seeds) > 1 or scenarios[0].measure not in SHARING:
        return {one.name: run(one) for one in scenarios}
    prepare(scenarios[0], scenarios[0].seeds[0], items=True)
    found = apart([partial(run, one) for one in scenarios])
    return {one.name: numbers for one, numbers in zip(scenarios, found, strict=True)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 when a mark is missed or a number is worse than the kept one, 2 for a mistake in what was asked."""
    parser = argparse.ArgumentParser(
        prog="python -m simulations",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--peers", type=int)
    parser.add_argument(
        "--large", action="store_true", help="only those that are measured with more, with so many"
    )
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--json", action="store_true", help="print the numbers alone")
    parser.add_argument("--keep", action="store_true", help="write them to kept.json")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1))
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    try:
        return _main(given)
    except UsageError as wrong:
        print(f"{wrong}\n{wrong.advice or ''}".strip(), file=sys.stderr)
        return 2


def _main(given: argparse.Namespace) -> int:
    scenarios = read_all()
    if unknown := [name for name in given.names if name not in scenarios]:
        raise ScenarioError(
            f"no scenario is called {', '.join(unknown)}", advice=f"There are {', '.join(scenarios)}."
        )
    if given.peers is not None and not 20 <= given.peers <= 1_000_000:
        raise ScenarioError("--peers is from 20 to 1000000")
    chosen = [scenarios[name].at(given.peers) for name in given.names or scenarios]
    if given.large:
        chosen = [one.at(one.large) for one in chosen if one.large]
        if not chosen:
            raise ScenarioError("none of these is measured with more peers")
    if given.seed:
        chosen = [one.with_seeds(given.seed) for one in chosen]
    if given.alone:
        print(json.dumps(alone(chosen)))
        return 0
    kept, missed = read_kept(), 0
    found: Kept = {}
    parts = groups(chosen)
    with ThreadPoolExecutor(max(1, given.jobs)) as pool:
        for group, (every, seconds) in zip(parts, pool.map(group_apart, parts), strict=True):
            for scenario in group:
                numbers = every.get(scenario.name, {})
                if not numbers:
                    missed += 1
                    continue
                table = rows(scenario, numbers, kept)
                missed += sum(not row.holds or row.worse for row in table)
                found[f"{scenario.name}@{scenario.peers}"] = numbers
                if not given.json:
                    print(printed(table, seconds), flush=True)
    if given.json:
        print(json.dumps(found, indent=1))
    if given.keep:
        rounded = {
            name: {key: float(f"{value:.5g}") for key, value in one.items()} for name, one in found.items()
        }
        KEPT.write_text(json.dumps(kept | rounded, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if missed and not given.json:
        print(f"{missed} numbers are not what they have to be", file=sys.stderr)
    return 1 if missed else 0
