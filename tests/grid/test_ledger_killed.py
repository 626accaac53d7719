"""A node that is killed at any moment loses no credit and writes none twice."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.grid.books import APP, PROJECT, manifest, opened, running
from tests.grid.ledger_writer import COUNTED, KEY

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@running
async def test_killed_at_random_nothing_is_lost_and_nothing_is_written_twice(tmp_path: Path) -> None:
    dice = random.Random(6)
    for _ in range(12):
        command = [sys.executable, "-m", "tests.grid.ledger_writer", str(tmp_path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            time.sleep(dice.uniform(0.01, 0.3))
            process.send_signal(signal.SIGKILL)
    store, book = await opened(tmp_path)
    await book.add_project(manifest(), PROJECT, [APP])

    def counted(connection) -> int:  # type: ignore[no-untyped-def]
        connection.execute(COUNTED)
        return int(connection.execute("SELECT coalesce(sum(units), 0) FROM counted").fetchone()[0])

    units = await store.write(counted)
    await book.settle(KEY)
    audited = await book.audit(KEY)
    assert audited.ok, audited.checks
    assert audited.results == 2 * units > 0
    assert audited.entries > 12 and audited.countersigned > 0
    await store.close()
