"""`servent grid …`, against a real daemon around a node in memory."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from servent.api import schema_grid as schema
from servent.cli import completing
from servent.cli import grid_text as words
from servent.cli.grid_projects import guess_abi, parse_flops
from servent.cli.grid_work import stands_still
from servent.cli.main import cli, run
from servent.errors import UsageError
from servent.grid.sandbox import cc
from tests.api.fake_grid import FOLDING
from tests.api.fake_grid_work import PRIMES
from tests.api.running import ROOT, fake_daemon

Servent = Callable[..., tuple[int, str, str]]
MODULE = b"\0asm\x01\0\0\0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data_dir = tmp_path_factory.mktemp("node")
    with fake_daemon(data_dir):
        yield data_dir


@pytest.fixture
def servent(folder: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Servent:
    monkeypatch.delenv("SERVENT_DATA_DIR", raising=False)

    def go(*line: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run(["--data-dir", str(folder), "grid", *line])
        out, err = capfd.readouterr()
        return code, out, err

    return go


def words_of(batch: schema.Batch) -> str:
    return words.how_far(batch)[1]


def good(answer: tuple[int, str, str]) -> str:
    code, out, err = answer
    assert code == 0, (out, err)
    return out


def test_every_command_has_a_help_with_examples() -> None:
    context = click.Context(cli)
    group = cli.get_command(context, "grid")
    assert isinstance(group, click.Group)
    for name, command in group.commands.items():
        text = command.get_help(click.Context(command, info_name=name))
        assert "Examples:" in text and (command.help or "").strip().endswith("."), name


def test_a_machine_is_lent_by_rules_and_says_what_they_mean(servent: Servent) -> None:
    out = good(servent("lend", "--preset", "quiet"))
    assert "is lent" in out and "2 of 8 cores at 50 %" in out and "5 min" in out
    rules = (
        "--cores",
        "3",
        "--idle",
        "0",
        "--hours",
        "weekdays 22:00-07:00",
        "--exclusive",
        "blender",
        "--transfer",
        "2GB",
    )
    out = good(servent("lend", *rules))
    assert (
        "own: 3 of 8 cores" in out and "also while you use it" in out and "only weekdays 22:00-07:00" in out
    )
    assert "2.0 GB a day" in out and "never beside blender" in out
    made = json.loads(good(servent("lend", "--hours", "", "--exclusive", "", "--disk", "5GB", "--json")))
    assert (made["policy"]["hours"], made["policy"]["exclusive"], made["policy"]["disk_bytes"]) == (
        [],
        [],
        5_000_000_000,
    )
    assert "not lent" in good(servent("lend", "--off"))
    assert "not lent" in good(servent("status"))
    good(servent("lend", "--preset", "when-idle"))


def test_the_status_says_what_is_computed_for_whom_and_why_not(servent: Servent) -> None:
    out = good(servent("status"))
    assert "computing: lending" in out and "because nobody used this machine" in out
    assert "dynamics/3" in out and "today" in out and "2.45 GFLOP/s a core" in out
    assert "paused until" in good(servent("pause", "--for", "2h"))
    assert "paused by you" in good(servent("status"))
    assert "Lending" in good(servent("resume"))
    out = good(servent("status"))
    assert "\u202e" not in out, "a project's name must not turn the line around"


def test_one_glance_at_the_node_names_computing(
    folder: Path, servent: Servent, capfd: pytest.CaptureFixture[str]
) -> None:
    good(servent("lend", "--preset", "when-idle"))
    assert run(["--data-dir", str(folder), "status"]) == 0
    out = capfd.readouterr().out
    assert "computing  working: lending" in out and "1 project of yours" in out


def test_the_log_says_for_whom_and_what_came_of_it(servent: Servent) -> None:
    out = good(servent("log", "-n", "600"))
    assert len(out.splitlines()) == 240 and "it wanted more than the 256 MB" in out
    assert {
        one["project_name"] for one in json.loads(good(servent("log", "--project", "folding", "--json")))
    } == {"folding"}


def test_projects_are_joined_shown_paused_and_left(servent: Servent) -> None:
    code, _, err = servent("join", "nonsense")
    assert code == 2 and "servent-project:" in err
    assert servent("join", "servent:refused")[0] == 5 and servent("join", "servent:far")[0] == 6
    looked = good(servent("show", "servent-project:x"))
    assert "bonus      √(0.75 × deadline / time taken)" in looked and "21,000 of 70,000 (30%)" in looked
    assert servent("show", "servent-project:refused")[0] == 5
    assert "sky survey is joined" in good(servent("join", "servent-project:x", "--share", "50"))
    assert "sky survey\twaiting" in good(servent("projects"))
    out = good(servent("projects", "sky survey", "--share", "25"))
    assert "share     25" in out and "bonus     √(0.75 ×" in out
    out = good(servent("projects", "folding"))
    assert FOLDING in out and "8,310 of 12,000 units" in out and "night owls" in out
    assert servent("projects", "nowhere")[0] == 4 and servent("projects", "--share", "5")[0] == 2
    assert "nothing is computed for sky survey" in good(servent("pause", "sky survey"))
    assert "sky survey: working" in good(servent("resume", "sky survey"))
    assert "is left" in good(servent("leave", "sky survey"))
    assert PRIMES in good(servent("projects", "--quiet")).split()


def test_a_project_from_nothing_to_results(servent: Servent, tmp_path: Path) -> None:
    code, link, err = servent("new", "mine", "--for", "everyone", "--about", "a test")
    assert code == 0 and link.startswith("servent-project:") and "everyone who has the link" in err.lower()
    (tmp_path / "count.wasm").write_bytes(MODULE)
    app = (
        "app",
        "add",
        str(tmp_path / "count.wasm"),
        "--project",
        "mine",
        "--operations",
        "3.1T",
        "--time",
        "2h",
    )
    assert "count/1: command" in good(servent(*app)) and "3.1 TFLOP" in good(
        servent("app", "list", "--project", "mine")
    )
    (tmp_path / "in").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "in" / name).write_text(name)
    code, _, err = servent("submit", "nothing", "--item", "1")
    assert code == 2 and "several projects" in err and "--project " in err
    made = json.loads(good(servent("submit", "count", str(tmp_path / "in"), "--json")))
    assert made["units"] == 3 and made["project_name"] == "mine", "of several projects the one that has it"
    code, out, err = servent("watch", made["id"])
    assert code == 0 and "3 of 3 units done" in out and "%" in err
    assert good(servent("results", made["id"])).splitlines()[0] == "a\ta: 0"
    lines = [
        json.loads(line) for line in good(servent("results", made["id"], "--follow", "--json")).splitlines()
    ]
    assert [one["input"] for one in lines] == ["a", "b", "c"] and lines[0]["verified"]
    assert good(servent("results", made["id"], "--unit", "1")) == "b: 7919\n"
    assert "3 files in" in good(servent("results", made["id"], "--to", str(tmp_path / "out")))
    assert min(one.name for one in (tmp_path / "out").iterdir()) == "000000.out"
    out = good(servent("show", "mine"))
    assert "3 done, 100% of 3" in out and "link       servent-project:" in out
    assert (
        "done" in good(servent("units", "mine", "--state", "done"))
        and good(servent("units", "mine", "--state", "error")) == ""
    )
    assert "forgotten" in good(servent("batch", made["id"], "--forget"))
    assert "retired" in good(servent("app", "retire", "count/1", "--project", "mine"))
    code, _, err = servent("close", "mine")
    assert code == 2 and "--yes" in err
    assert "closed and forgotten" in good(servent("close", "mine", "--yes", "--forget"))
    assert servent("show", "mine")[0] == 4


def test_lines_of_stdin_are_inputs(servent: Servent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "numbers").write_text("1\n2\n3\n4\n")
    with (tmp_path / "numbers").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        made = json.loads(good(servent("submit", "trial", "--lines", "-", "--watch", "--json")))
    assert (made["units"], made["state"]) == (4, "done")
    assert (
        json.loads(
            good(servent("submit", "trial", "--lines", str(tmp_path / "numbers"), "--item", "5", "--json"))
        )["units"]
        == 5
    )


def test_chains_say_how_far_they_are_and_molecules_become_a_file_that_others_read(
    servent: Servent, tmp_path: Path
) -> None:
    said = good(servent("chains", "4"))
    assert "argon-b.txt" in said and "4 of 12" in said and "bob, carl" in said
    assert [one["number"] for one in json.loads(good(servent("chains", "4", "--json")))] == [0, 1, 2]
    code, _, err = servent("chains", "2")
    assert code != 0 and "no generations" in err
    to = tmp_path / "film.xyz"
    film = json.loads(good(servent("trajectory", "4", "--chain", "1", "--json")))
    assert "frames of 216 atoms" in good(
        servent("trajectory", "4", "--chain", "1", "--every", "7", "--to", str(to))
    )
    lines = to.read_text().splitlines()
    frames = [lines[at : at + 218] for at in range(0, len(lines), 218)]
    heads = [
        dict(word.split("=") for word in frame[1].split() if word.count("=") == 1 and '"' not in word)
        for frame in frames
    ]
    steps = [step for step, _, _ in film["energies"]][::7]
    assert [int(head["step"]) for head in heads] == steps, "also over the ends of generations"
    for head, (_, potential, kinetic) in zip(heads, film["energies"][::7], strict=True):
        assert (
            abs(float(head["potential"]) - potential) < 1e-6 and abs(float(head["kinetic"]) - kinetic) < 1e-6
        )
    places = [float(word) for line in frames[0][2:] for word in line.split()[1:]]
    assert len(places) == 648 and min(places) >= 0 and max(places) < film["box"]
    lines = good(servent("trajectory", "4", "--chain", "1", "--energies")).splitlines()
    assert len(lines) == len(film["energies"]) and lines[0].startswith("100\t")
    assert servent("trajectory", "2")[0] != 0
    assert servent("trajectory", "4", "--to", str(tmp_path / "no" / "folder"))[0] != 0
    assert servent("trajectory", "4", "--species", "A r")[0] == 2


def test_a_state_is_not_said_twice() -> None:
    assert words.standing("paused", "paused by you until 12:30") == "paused by you until 12:30"
    assert words.standing("waiting", "it has no work") == "waiting: it has no work"
    assert words.standing("working", "") == "working"


def test_generations_are_shown_with_their_results(servent: Servent, tmp_path: Path) -> None:
    words = ("submit", "trial", "--item", "one", "--item", "two", "--generations", "3", "--watch", "--json")
    made = json.loads(good(servent(*words)))
    assert (made["units"], made["generations"]) == (6, 3)
    out = good(servent("results", made["id"]))
    assert [line.split("\t")[0] for line in out.splitlines()][::2] == [
        f"one ({generation} of 3)" for generation in (1, 2, 3)
    ]
    half = schema.Batch(id="1", project="p", project_name="p", app="a/1", units=36, done=13, generations=12)
    assert words_of(half) == "generation 5 of 12, 13 of 36"
    assert json.loads(good(servent("show", "primes", "--json")))["bonus"] == 0.0, "it has a budget"
    good(servent("new", "waters", "--json"))
    try:
        module = tmp_path / "m.wasm"
        module.write_bytes(MODULE)
        good(servent("app", "add", str(module), "--project", "waters", "--operations", "1G"))
        submit = ("submit", "m", "--project", "waters", "--item", "x")
        for words, bonus in (
            ((), 0.0),
            (("--generations", "2", "--no-bonus"), 0.0),
            (("--generations", "2", "--budget", "5"), 0.0),
            (("--generations", "2"), 0.75),
        ):
            good(servent(*submit, *words))
            assert json.loads(good(servent("show", "waters", "--json")))["bonus"] == bonus, words
        assert json.loads(good(servent("set", "waters", "--budget", "9", "--json")))["budget"] == 9.0
        good(servent("set", "waters", "--budget", "0"))
        assert json.loads(good(servent("show", "waters", "--json")))["budget"] is None
    finally:
        good(servent("close", "waters", "--yes", "--forget"))
    assert "2, of 3 generations each" in good(servent("batch", made["id"]))
    assert servent("submit", "trial", "--item", "1", "--generations", "0")[0] == 2


def test_watching_ends_with_1_where_units_failed(servent: Servent) -> None:
    code, out, err = servent("submit", "trial", "--repeat", "20", "--watch")
    assert code == 1 and "19 of 20 units done, 1 error" in out and "servent grid errors primes" in err
    number = json.loads(good(servent("batches", "--json")))[0]["id"]
    code, out, err = servent("results", number)
    assert code == 0 and len(out.splitlines()) == 19 and "4 volunteers tried" in err
    out = good(servent("errors"))
    assert "36\ttime" in out and "\x1b" not in out


def test_a_batch_that_stands_still_says_what_is_missing(folder: Path) -> None:
    class Node:
        def __init__(self, hosts: int, *, local: bool = False, problems: int = 0) -> None:
            app = schema.GridApp(id="x", name="count", version=1, quorum=3)
            self.project = schema.MyProject(
                id="key", name="my own", link="", hosts_now=hosts, local=local, apps=[app]
            )
            self.problems = problems

        def my_project(self, project: str) -> schema.MyProject:
            assert project == "key"
            return self.project

        def grid_problems(self, project: str) -> list[int]:
            return [1] * self.problems

    batch = schema.Batch(id="1", project="key", project_name="my own", app="count/1")

    def said(node: Node) -> str:
        return stands_still(node, batch)  # type: ignore[arg-type]

    assert "nobody lends to my own" in said(Node(0)) and "grid join 'my own'" in said(Node(0))
    assert "2 volunteers here, and 3 different ones" in said(Node(2)) and "grid join" not in said(
        Node(2, local=True)
    )
    assert "went wrong" in said(Node(3, problems=1)) and said(Node(3)) == ""


def test_a_batch_is_changed_and_cancelled(servent: Servent) -> None:
    made = json.loads(good(servent("submit", "trial", "--repeat", "90000", "--priority", "3", "--json")))
    assert "paused" in good(servent("batch", made["id"], "--pause", "--priority", "7"))
    assert "priority 7" in good(servent("batch", made["id"], "--go-on", "--deadline", "2h"))
    assert f"{made['id']}\tprimes" in good(servent("batches"))
    assert "cancelled" in good(servent("cancel", made["id"]))
    assert servent("cancel", "4711")[0] == 4 and servent("batch", "x")[0] == 4


def test_what_cannot_be_submitted_is_said(servent: Servent, folder: Path) -> None:
    assert "no work" in servent("submit", "trial")[2]
    assert "no answer" in servent("submit", "trial", "--check", "x")[2]
    assert servent("submit", "nowhere", "--item", "1")[0] == 4
    code, _, err = servent("submit", "trial", str(folder / "api.token"))
    assert code == 2 and "own key" in err
    assert servent("submit", "trial", "--item", "1", "--project", "wind")[0] == 2


def test_hosts_and_the_leaderboard_name_people_with_their_keys(servent: Servent) -> None:
    out = good(servent("hosts"))
    assert "ann (" in out and "trial/2" in out and "not yet" in out
    out = good(servent("leaderboard", "primes", "--week", "-n", "3"))
    assert len(out.splitlines()) == 3 and "(you)" in out
    assert "night owls" in good(servent("leaderboard", "primes", "--teams"))
    assert servent("leaderboard")[0] == 2, "there are several"


def test_an_audit_ends_with_1_where_something_does_not_hold(servent: Servent) -> None:
    code, out, _ = servent("audit", "primes", "--standings")
    assert code == 0 and "everything holds" in out and "9,744 results" in out and "ann (" in out
    code, out, _ = servent("audit", "magnet:bad")
    assert code == 1 and "FAILS  signatures of the workers: entry 401" in out
    assert servent("audit", "none")[0] == 4
    assert json.loads(servent("audit", "magnet:bad", "--json")[1])["ok"] is False


def test_the_shell_completes_projects_apps_batches_and_teams(folder: Path) -> None:
    context = click.Context(cli)
    context.params["data_dir"] = folder
    assert completing.complete_my_projects(context, None, "pri") == ["primes"]
    assert "folding" in completing.complete_joined(context, None, "") and completing.complete_apps(
        context, None, "tr"
    ) == ["trial"]
    assert {"primes", "folding", "wind"} <= set(completing.complete_projects(context, None, ""))
    assert "1" in completing.complete_batches(context, None, "") and completing.complete_teams(
        context, None, "ni"
    ) == ["night owls"]


def test_statistics_teams_and_balances(servent: Servent, tmp_path: Path) -> None:
    assert "user.gz" in good(servent("export", "primes", str(tmp_path / "stats")))
    assert "772" in good(servent("balance")) and servent("balance", "--network", "none")[0] == 4
    assert "is founded" in good(servent("team", "new", "testers"))
    assert good(servent("team", "invite", "testers", "bob")).startswith("servent:")
    assert servent("team", "invite", "night owls", "bob")[0] == 2
    assert "early birds" in good(servent("team", "join", "servent:team-1"))
    assert "early birds\tmember" in good(servent("team", "list"))
    assert "any more" in good(servent("team", "leave", "early birds"))


def test_a_module_is_tried(servent: Servent, tmp_path: Path) -> None:
    (tmp_path / "good.wasm").write_bytes(MODULE)
    (tmp_path / "bad.wasm").write_bytes(b"#!/bin/sh")
    code, out, err = servent("try", str(tmp_path / "good.wasm"))
    assert (code, out) == (0, "42\n") and "sha256" in err and "first" not in err
    code, out, err = servent("try", str(tmp_path / "good.wasm"), "--arg", "long")
    assert code == 0 and "Only the first 65.5 kB of the output are shown" in err
    code, out, err = servent("try", str(tmp_path / "bad.wasm"))
    assert code == 1 and "no WebAssembly" in err


@pytest.mark.skipif(cc.zig() is None, reason="no C compiler for WebAssembly")
def test_c_becomes_a_module_without_a_node(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    example = ROOT / "examples" / "grid" / "mersenne.c"
    assert run(["grid", "build", str(example), "--json"]) == 0
    made = json.loads(capfd.readouterr().out)
    assert made["module"] == "mersenne.wasm" and made["abi"] == "slice"
    assert (tmp_path / "mersenne.wasm").read_bytes()[:4] == b"\0asm"
    (tmp_path / "wrong.c").write_text("int main( {")
    assert run(["grid", "build", "wrong.c"]) == 2 and "error" in capfd.readouterr().err
    (tmp_path / "notes").write_text("mine")
    assert run(["grid", "build", str(example), "-o", "notes"]) == 2
    assert (tmp_path / "notes").read_text() == "mine" and run(["grid", "build", "none.c"]) == 2


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (0.00042, "0.0004"),
        (0.1234, "0.123"),
        (3.214, "3.21"),
        (41.34, "41.3"),
        (12300.4, "12,300"),
        (-803.0, "-803.0"),
    ],
)
def test_credit_is_written_as_people_read_it(number: float, text: str) -> None:
    assert words.credit(number) == text


def test_parts_and_operations_in_words() -> None:
    assert (words.share_of(999_999, 1_000_000), words.share_of(5, 5), words.share_of(1, 2)) == (
        "99.9%",
        "100%",
        "50%",
    )
    assert words.flops(3.1e12) == "3.1 TFLOP" and words.flops(432_000e6) == "432 GFLOP"
    assert parse_flops("3.1 TFLOP") == 3.1e12 and parse_flops("91G") == 91e9 and parse_flops("2e12") == 2e12
    for wrong in ("", "G", "-1", "nan", "1e99"):
        with pytest.raises(UsageError):
            parse_flops(wrong)


def test_the_abi_is_guessed_by_what_is_exported(tmp_path: Path) -> None:
    (tmp_path / "a.wasm").write_bytes(MODULE + b"\x07\x09\x01\x05slice\x00\x01")
    (tmp_path / "b.wasm").write_bytes(MODULE + b"\x07\x0a\x01\x06_start\x00\x01")
    assert (guess_abi(tmp_path / "a.wasm"), guess_abi(tmp_path / "b.wasm")) == ("slice", "command")


def test_what_a_stranger_computed_tells_a_terminal_nothing(
    servent: Servent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe or a file gets every byte."""
    said = b"\x1b]0;owned\x07\x1b[2J7919\n\xff"
    monkeypatch.setattr("servent.api.client_grid.GridClient.result_file", lambda self, batch, unit: said)
    raw = servent("results", "2", "--unit", "1")[1]
    assert raw.encode(errors="surrogateescape").startswith(said[:-1])
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    shown = good(servent("results", "2", "--unit", "1"))
    assert "7919" in shown and not {"\x1b", "\x07"} & set(shown)
