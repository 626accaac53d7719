"""A friend whose address changes is found again through a supernode, also by somebody who keeps no connection with them."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from tests.natlab.lab import Lab, missing
from tests.natlab.matrix import ROOT
from tests.natlab.mobility import happen
from tests.natlab.node import put

WHY_NOT = missing()
GOAL = 3.0  # s after the change, on a quiet machine
pytestmark = [
    pytest.mark.natlab,
    pytest.mark.timeout(120),
    pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or ""),
]


@pytest.mark.parametrize("session", ["kept", "none"])
def test_a_friend_who_moved_is_found_again_through_a_supernode(session: str) -> None:
    python = [sys.executable, "-m", "tests.natlab.found"]
    with Lab(f"nfound{session[0]}") as lab:
        folder = str(lab.folder)
        lab.spawn("pub", *python, "public", folder, cwd=str(ROOT))
        lab.build("apdf", "pub")
        lab.spawn("hB", *python, "friend", folder, cwd=str(ROOT))
        looking = lab.spawn("hA", *python, "seeker", folder, session, cwd=str(ROOT), stdout=subprocess.PIPE)
        until = time.monotonic() + 60.0
        while (
            not (lab.folder / "ready.json").exists() and time.monotonic() < until and looking.poll() is None
        ):
            time.sleep(0.02)
        assert (lab.folder / "ready.json").exists(), lab.logs()
        time.sleep(1.0)
        put(lab.folder, "happened", {"at": time.time()})
        happen(lab, "renumber", "pub", "B")
        printed, _ = looking.communicate(timeout=60)
        assert printed.strip(), lab.logs()
        said = json.loads(printed.strip().splitlines()[-1])
        assert said["before"] is not None, "they never met"
        assert said["took"] is not None, lab.logs()
        print(f"found again after {said['took']:.2f} s")
        assert said["took"] < 3 * GOAL, said  # a busy machine is told from a broken search
