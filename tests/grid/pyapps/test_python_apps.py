"""A Python function in the sandbox: what it sees, what it cannot do, and what is said when it fails."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from servent.grid.pyapps import marks
from servent.grid.sandbox.jobs import Ended
from tests.grid.pyapps import science as plain
from tests.grid.pyapps.conftest import ROOMY
from tests.grid.sandbox.rig import SEED, Rig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # s; a starved machine compiles for minutes

WAIT = 800.0


@pytest.fixture
def does(python: Rig, science: Path) -> Any:
    code = science.read_bytes()

    def does(what: str, n: int = 0, args: tuple[str, ...] = (), **wanted: Any) -> Ended:
        wanted = {
            "stdin": json.dumps({"do": what, "n": n}).encode(),
            "limits": ROOMY,
            "budget": 30.0,
            **wanted,
        }
        return python.do(python.slots.run(python.job(code, "python", args=list(args), **wanted)), WAIT)

    return does


def value(ended: Ended) -> Any:
    assert ended.outcome == "done", ended.words
    output = Path(ended.output_path).read_bytes() if ended.output_path else ended.output
    return json.loads(output)


def test_it_is_the_function_that_runs_here_too(does: Any) -> None:
    assert plain.backwards(b"abc") == b"cba" and plain.science({"do": "long"}, 3) == "xxx"
    assert value(does("square", 12))["square"] == 144
    assert value(does("beside", args=("21",))) == 42


def test_every_copy_of_a_unit_sees_the_same_dice_and_each_unit_others(does: Any) -> None:
    first, again, other = does("dice"), does("dice"), does("dice", seed=SEED[::-1])
    assert first.digest == again.digest
    one, two = value(first), value(other)
    assert (
        one[:2] != two[:2] and one[2:] == two[2:]
    )  # dice by the seed; what is hashed is the same everywhere
    assert value(does("square"))["places"] == value(does("square"))["places"]


def test_its_clock_is_made_up_and_a_sleep_is_over_at_once(does: Any) -> None:
    ended = does("time")
    wall, slept = value(ended)
    assert 1e9 <= wall < 1e9 + 1001 and 1000 <= slept < 1000.1
    assert value(does("time")) == [wall, slept] and ended.seconds < 10
    assert value(does("date")).startswith("2001-09-09T01:46:40")


@pytest.mark.parametrize("what", ["read", "write", "list", "socket", "program", "thread"])
def test_there_are_no_files_networks_programs_and_threads(does: Any, what: str) -> None:
    ended = does(what)
    assert ended.outcome in ("exit", "trap"), ended
    assert re.search(
        r"No such file|no unit has|not support|can't start|not found|LookupError", ended.words
    ), ended


def test_it_knows_nothing_of_the_machine(does: Any) -> None:
    assert value(does("around")) == [{}, ["unit"], ""]


def test_what_went_wrong_is_told_with_where_and_with_what_was_printed(does: Any) -> None:
    ended = does("print", 7)
    assert ended.outcome == "exit" and ended.words.startswith(
        "ValueError: seven is not allowed < science.py:"
    )
    assert "in science" in ended.words and 'raise ValueError("seven is not allowed")' in ended.words
    assert ended.words.endswith("it said: so far 7")
    assert "RuntimeError: it is not there (after KeyError: 'missing')" in does("cause").words
    assert "maximum recursion depth" in (ended := does("deep")).words and "calls …" in ended.words
    assert "not JSON compliant" in does("nan").words
    assert "SystemExit: 3" in does("exit").words and "ended itself" in does("end").words
    assert "__main__" in does("grid").words
    assert "invalid literal for int()" in does("beside", args=("many",)).words
    assert "JSON" in (ended := does("square", stdin=b"{")).words and ended.outcome == "exit"


def test_it_gets_no_more_memory_time_and_room_than_it_may(does: Any) -> None:
    assert value(does("memory", args=(str(64 << 20),))) == 64 << 20
    ended = does("memory", args=(str(1 << 30),))
    assert ended.outcome == "memory" and "MemoryError" in ended.words
    assert does("square", limits=replace(ROOMY, memory_bytes=4 << 20)).outcome == "memory"
    assert does("long", args=("10000000",)).outcome == "output"
    assert does("forever", budget=0.5).outcome == "time"
    assert does("square", 3).outcome == "done"


def test_a_large_result_comes_as_a_file(does: Any) -> None:
    assert len(value(ended := does("long", args=("3000000",)))) == 3_000_000
    assert ended.output_path and ended.size == 3_000_002


def test_bytes_travel_as_they_are(python: Rig, science: Path) -> None:
    """Through text of one byte a character, quickly; `called` is what runs inside of the component, too."""
    data = bytes(range(256)) * 4096
    assert marks.called(plain.backwards, data, ()) == data[::-1]
    big = json.dumps({"do": "square", "n": 2, "more": "ä" * 500_000}).encode()
    (python.folder / "big").write_bytes(big)
    code = science.read_bytes()
    job = python.job(code, "python", stdin_path=str(python.folder / "big"), limits=ROOMY, budget=30.0)
    assert value(python.do(python.slots.run(job), WAIT))["square"] == 4


def test_what_it_says_of_itself_stands_in_it(science: Path) -> None:
    from servent.api import wasm_build
    from servent.cli.grid_projects import guess_abi

    assert wasm_build.about(science) == "Does as it is told." and guess_abi(science) == "python"
