"""The demo is the acceptance test of a fresh machine: every step of it holds."""

import os
import subprocess
import sys

import pytest


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.timeout(1200)  # s; ends only what hangs: a quiet machine takes 100
def test_every_step_of_the_demo_holds() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "servent", "demo", "--exit", "--no-web"],
        capture_output=True,
        text=True,
        timeout=1180,
        env={**os.environ, "NO_COLOR": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "41 of 41 steps held" in done.stdout
