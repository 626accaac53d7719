"""The example app, run as a reader would run it: two processes, a ticket, Enter ends a move."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "chess_clock.py"


class Player:
    """One process of the example, and what it printed so far."""

    def __init__(self, *words: str) -> None:
        self.said = ""
        self.process = subprocess.Popen(
            [sys.executable, str(EXAMPLE), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._ear = threading.Thread(target=self._listen, daemon=True)
        self._ear.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        while part := os.read(self.process.stdout.fileno(), 65536):
            self.said += part.decode()

    def enter(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def clock(self) -> tuple[str, float, float]:
        """Whose move it shows, own seconds, theirs."""
        shown = re.findall(r"(you|they):\s+([\d.]+) s /\s+([\d.]+) s", self.said)
        return (shown[-1][0], float(shown[-1][1]), float(shown[-1][2])) if shown else ("", 0.0, 0.0)

    def until(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 90.0
        while not condition():
            assert time.monotonic() < end and self.process.poll() is None, self.said[-2000:]
            time.sleep(0.05)

    def leave(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@contextmanager
def player(*words: str) -> Iterator[Player]:
    one = Player(*words)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait(5)
        assert one.process.stdin is not None and one.process.stdout is not None
        one.process.stdin.close()
        one._ear.join(5)
        one.process.stdout.close()


@pytest.mark.skipif(os.name != "posix", reason="the example watches stdin as POSIX does")
def test_two_players_share_one_clock_and_leave(tmp_path: Path) -> None:
    for name in ("ann", "bob"):  # a test speaks to nobody's relays
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.toml").write_text("[net]\nrelays = []\nlan = false\n")
    with player(str(tmp_path / "ann")) as ann:
        ann.until(lambda: "\n" in ann.said)
        with player(str(tmp_path / "bob"), ann.said.split()[0]) as bob:
            bob.until(lambda: bob.clock()[0] == "you" and bob.clock()[1] < 299.5)
            ann.until(lambda: ann.clock()[0] == "they" and ann.clock()[2] < 299.5)
            bob.enter()
            ann.until(lambda: ann.clock()[0] == "you" and ann.clock()[1] < 299.8)
            bob.until(lambda: bob.clock()[0] == "they" and bob.clock()[2] < 299.8)
            ann.enter()
            bob.until(lambda: bob.clock()[0] == "you")
            assert bob.leave() == 0
            assert "Traceback" not in bob.said
        ann.until(lambda: ann.said.count("\n") > 1)
        assert ann.leave() == 0
        assert "Traceback" not in ann.said, ann.said[-2000:]


def test_the_whole_app_is_under_sixty_lines() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 60
