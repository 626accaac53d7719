"""Our node and other people's BitTorrent programs fetch from each other, byte for byte, under one infohash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.natlab.lab import missing
from tests.torrent.clients import PROGRAMS, Program

ROOT = Path(__file__).parents[2]
WHY_NOT = missing()
LIMIT = 900.0  # s for all of them together; they take 20 to 40, most of it Transmission's own pauses
ALONE = 'ip link set lo up; for n in 1 2 3 4 5; do ip addr add 10.99.0.$n/16 dev lo || exit; done; exec "$@"'


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bool]]:
    """What each program says it did. All run at once, in a network namespace of their own, where nothing can leave."""
    folder = tmp_path_factory.mktemp("interchange")
    here = [program.name for program in PROGRAMS if not program.missing()]
    words = [
        "unshare",
        "-n",
        "sh",
        "-c",
        ALONE,
        "sh",
        sys.executable,
        "-m",
        "tests.torrent.interchange",
        str(folder),
    ]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "HOME": str(folder)}
    done = subprocess.run(
        [*words, *here], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert done.stdout.strip(), done.stderr[-4000:]
    found: dict[str, dict[str, bool]] = json.loads(done.stdout.splitlines()[-1])
    print(done.stderr[-2000:])
    return found


@pytest.mark.natlab
@pytest.mark.slow
@pytest.mark.timeout(920)
@pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or "")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.name)
def test_both_directions_byte_for_byte(program: type[Program], said: dict[str, dict[str, bool]]) -> None:
    if program.missing():
        pytest.skip(f"{program.binary} is not installed")
    done = said[program.name]
    assert all(done.values()), (done, said)
    assert {f"we fetched {kind}" for kind in program.kinds} <= done.keys()
    assert {f"they fetched {kind}" for kind in program.fetches} <= done.keys()
    assert said["ours"]["version 1 came from us"]
