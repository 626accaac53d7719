"""A whole node, project and volunteer in one, is killed again and again: every result comes once, is credited once, and nothing is lost."""

from __future__ import annotations

import json
import random
import signal
import time
from pathlib import Path

import pytest

from servent.api import schema_grid as grid
from servent.api.client import Client
from tests.cli.test_real import up
from tests.cli.test_real_grid import ECHO

pytestmark = [pytest.mark.real, pytest.mark.slow]

ITEMS, KILLS = 2000, 4


def test_every_result_comes_once_however_often_the_node_is_killed(tmp_path: Path) -> None:
    home, to, dice = tmp_path / "ann", tmp_path / "out", random.Random(7)
    (tmp_path / "echo.wat").write_text(ECHO)
    lines = to / "results.jsonl"
    batch, kills = "", 0
    while True:
        with up(home, "--name", "ann") as process:
            client = Client.from_data_dir(home)
            if not batch:
                client.create_project(grid.NewProject(name="p", local=True))
                app = grid.NewApp(name="echo", module=str(tmp_path / "echo.wat"), operations=1e9, quorum=1)
                client.add_app("p", app)
                client.change_lending(grid.LendChange(on=True, preset="everything", cores=1))
                items = [f"item {n}" for n in range(ITEMS)]
                batch = client.submit("p", grid.NewBatch(app="echo", items=items, to=str(to))).id
            before = client.batch(batch).done
            if kills < KILLS:
                while before >= client.batch(batch).done < ITEMS:  # however long it takes
                    time.sleep(0.02)
                time.sleep(dice.random() * 0.4)
                process.send_signal(signal.SIGKILL)
                process.wait(60)
                kills += 1
                continue
            deadline = time.monotonic() + 150
            while client.batch(batch).done < ITEMS or len(lines.read_text().splitlines()) < ITEMS:
                assert time.monotonic() < deadline, client.batch(batch)
                time.sleep(0.1)
            audit = client.audit("p")
            while audit.results < ITEMS and time.monotonic() < deadline:
                time.sleep(0.2)
                audit = client.audit("p")
            break
    found = [json.loads(line) for line in lines.read_text().splitlines()]
    assert sorted(one["number"] for one in found if not one["revised"]) == list(range(ITEMS))
    assert {one["number"]: one["output"] for one in found} == {n: f"item {n}" for n in range(ITEMS)}
    assert audit.ok and audit.results == ITEMS, audit
