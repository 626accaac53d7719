"""Two real nodes compute for a project, by the command lines that people type."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_real import data, run, up
from tests.cli.test_real_sharing import until

pytestmark = [pytest.mark.real]

ECHO = """(module
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "_start")
    (i32.store (i32.const 0) (i32.const 16))
    (i32.store (i32.const 4) (i32.const 60000))
    (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
    (i32.store (i32.const 4) (i32.load (i32.const 8)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 12)))))
"""


def test_a_project_is_made_lent_to_computed_and_audited(tmp_path: Path) -> None:
    ann, bob = tmp_path / "ann", tmp_path / "bob"
    (tmp_path / "echo.wat").write_text(ECHO)
    (tmp_path / "lines").write_text("one\ntwo\nthree\n")
    with up(ann, "--name", "ann"), up(bob, "--name", "bob"):
        link = run(ann, "grid", "new", "repeat", "--for", "everyone", "--about", "says it again").strip()
        tried = json.loads(
            run(ann, "grid", "try", str(tmp_path / "echo.wat"), "--input", str(tmp_path / "lines"), "--json")
        )
        assert (tried["outcome"], tried["output"]) == ("done", "one\ntwo\nthree\n")
        run(ann, "grid", "app", "add", str(tmp_path / "echo.wat"), "--operations", "90G")
        made = data(
            ann, "grid", "submit", "echo", "--lines", str(tmp_path / "lines"), "--to", str(tmp_path / "out")
        )
        assert made["units"] == 3 and data(ann, "grid", "show")["by_state"]["waiting"] == 3
        joined = data(bob, "grid", "join", link)
        assert joined["name"] == "repeat"
        for node in (ann, bob):
            run(node, "grid", "lend", "--preset", "everything", "--cores", "1")
        policy = data(bob, "grid", "status")["lending"]["policy"]
        assert (policy["cores"], policy["memory_percent"], policy["on_battery"]) == (1, 75, True), (
            "it began with the preset"
        )
        assert 'preset = "own"' in (bob / "config.toml").read_text()
        run(bob, "grid", "lend", "--hours", "sometimes", code=2)
        run(ann, "grid", "join", "repeat")
        assert data(ann, "grid", "watch")["done"] == 3
        said = run(ann, "grid", "results", made["id"]).splitlines()
        assert sorted(said) == ["one\tone", "three\tthree", "two\ttwo"]
        assert len(data(ann, "grid", "hosts")) == 2 and data(ann, "grid", "errors") == []
        until(lambda: data(ann, "grid", "audit", "repeat")["results"] == 6)
        found = data(ann, "grid", "audit", "repeat")
        assert found["ok"] and found["workers"] == 2 and abs(found["credit"] - 6 * 90e9 / 432e9) < 0.01
        board = data(ann, "grid", "leaderboard", "repeat")
        assert {one["name"] for one in board["standings"]} == {"ann", "bob"}
        assert [one["outcome"] for one in data(bob, "grid", "log") if one["kind"] == "unit"] == ["done"] * 3
        lines = tmp_path / "out" / "results.jsonl"
        until(lambda: lines.is_file() and len(lines.read_text().splitlines()) == 3)
        collected = data(ann, "grid", "results", made["id"], "--to", str(tmp_path / "files"))["files"]
        assert sorted(Path(one).read_text() for one in collected if one.endswith(".out")) == [
            "one",
            "three",
            "two",
        ]
        run(bob, "grid", "pause", "--for", "1h")
        assert data(bob, "grid", "status")["lending"]["state"] == "paused"
        run(bob, "grid", "leave", "repeat")
        assert data(bob, "grid", "projects") == []
        run(ann, "grid", "close", "repeat", "--yes", "--forget")
        assert data(ann, "grid", "list") == []


def test_strangers_are_not_let_in_and_told_so(tmp_path: Path) -> None:
    ann, bob = tmp_path / "ann", tmp_path / "bob"
    with up(ann, "--name", "ann"), up(bob, "--name", "bob"):
        link = run(ann, "grid", "new", "mine").strip()  # for friends
        run(bob, "grid", "join", link)

        def state() -> tuple[str, str]:
            [project] = data(bob, "grid", "projects")
            return project["state"], project["why"]

        until(lambda: state()[0] == "refused")
        assert state()[1], "it says why"
        ticket = run(ann, "ticket").strip()
        run(bob, "grid", "join", ticket, code=2)
        run(bob, "join", link, code=2)
        run(bob, "join", ticket)
        run(bob, "grid", "leave", "mine")
        run(bob, "grid", "join", link)
        until(lambda: state()[0] in ("waiting", "working"))
