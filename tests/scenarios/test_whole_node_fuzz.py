"""A whole node, attacked on every port at once: it serves on, and neither memory nor descriptors nor its log grow.

Runs 6 s, or as many as SERVENT_FUZZ_SECONDS says. `python -m tests.scenarios.fuzz` does the same and prints figures.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.scenarios import fuzz

SECONDS = float(os.environ.get("SERVENT_FUZZ_SECONDS", "6"))
MiB = 2**20
FLAT_BYTES = 64 * MiB  # last third over the first: a short attack is still warming up
MOST_BYTES = 320 * MiB
LINES_PER_SECOND = 20  # members that come and go are told of one by one

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(SECONDS * 2 + 300)]


def test_a_whole_node_serves_a_friend_while_everybody_else_attacks_it(tmp_path: Path) -> None:
    seed = random.randrange(2**20)
    found = asyncio.run(fuzz.run(SECONDS, seed, tmp_path))
    print(found)
    assert found.answers and found.exit_code == 0
    assert not found.bugs
    assert not found.failed
    assert found.fetched and found.searches  # how many is for the figures: a busy machine does few of either
    assert any(what.startswith("answered") for what in found.attacks["members"])
    for role in fuzz.ROLES:
        assert sum(found.attacks[role].values()) > SECONDS, role
    assert found.memory_last < found.memory_third + FLAT_BYTES
    assert found.memory_last < MOST_BYTES
    assert found.files_after < found.files_idle + fuzz.FILES_MORE
    assert found.threads_after < 40
    assert found.log_lines < LINES_PER_SECOND * SECONDS + 100
