"""A friend whose address changes is found again through a supernode, also by somebody who keeps no connection with them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import pytest

from tests.natlab.abreast import wanted
from tests.natlab.lab import Lab, missing
from tests.natlab.matrix import ROOT
from tests.natlab.mobility import happen
from tests.natlab.node import put

WHY_NOT = missing()
pytestmark = [
    pytest.mark.natlab,
    pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or ""),
]


class Found(NamedTuple):
    """What the seeker said, and what all programs logged."""

    said: dict[str, float | None] | None
    logs: str


def play(session: str) -> Found:
    python = [sys.executable, "-m", "tests.natlab.found"]
    with Lab(f"nfound{session[0]}") as lab:
        folder = str(lab.folder)
        lab.spawn("pub", *python, "public", folder, cwd=str(ROOT))
        lab.build("apdf", "pub")
        lab.spawn("hB", *python, "friend", folder, cwd=str(ROOT))
        looking = lab.spawn("hA", *python, "seeker", folder, session, cwd=str(ROOT), stdout=subprocess.PIPE)
        ready = lab.folder / "ready.json"
        until = time.monotonic() + 60.0
        while not ready.exists() and time.monotonic() < until and looking.poll() is None:
            time.sleep(0.02)
        if not ready.exists():
            return Found(None, lab.logs())
        at = time.time()
        happen(lab, "renumber", "pub", "B")
        put(lab.folder, "happened", {"at": at})
        printed, _ = looking.communicate(timeout=100)
        lines = printed.strip().splitlines()
        return Found(json.loads(lines[-1]) if lines else None, lab.logs())


@pytest.fixture(scope="module")
def plays(request: pytest.FixtureRequest) -> Iterator[dict[str, Future[Found]]]:
    """All at once, each in a lab of its own."""
    with ThreadPoolExecutor() as pool:
        yield {str(session): pool.submit(play, str(session)) for session in wanted(request, "session")}


@pytest.mark.parametrize("session", ["kept", "none"])
def test_a_friend_who_moved_is_found_again_through_a_supernode(
    session: str, plays: dict[str, Future[Found]]
) -> None:
    said, logs = plays[session].result()
    assert said is not None, logs
    assert said["before"] is not None, "they never met"
    took = said["took"]
    assert took is not None, logs  # nobody else could have told; 3 s are the goal on a quiet machine
    print(f"found again after {took:.2f} s")
