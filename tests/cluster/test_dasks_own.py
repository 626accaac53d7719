"""What distributed's own tests check of every comm backend, at ours. `dasks_own` names what is left out, and why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("distributed")

pytestmark = [pytest.mark.real, pytest.mark.slow]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.cluster.dasks_own import fetch

    found = fetch(tmp_path_factory.mktemp("dask"))
    if found is None:
        pytest.skip("Debian's python3-distributed, which has the tests, cannot be had here")
    return found


@pytest.mark.parametrize("kind", ["tcp", "streams"])
def test_they_pass(theirs: Path, kind: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.cluster.dasks_own", kind, str(theirs)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    found = json.loads(ran.stdout)
    assert len(found) == 11
    assert {name: said for name, said in found.items() if said != "passed"} == {}
