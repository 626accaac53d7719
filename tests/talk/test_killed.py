"""Two real nodes in processes of their own that write to each other, and are killed with SIGKILL at any moment."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.processes import Worker

pytestmark = [pytest.mark.real, pytest.mark.slow]

KILLS = 5


class Side:
    """A node that can be killed and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            self.bind = f"127.0.0.1:{free.getsockname()[1]}"
        self.start()

    def start(self) -> None:
        self.worker = Worker(
            "tests.talk.talker",
            str(self.folder),
            self.folder.name,
            self.bind,
            log=self.folder.with_suffix(".log"),
        )
        self.peer, self.ask = self.worker.first["ready"], self.worker.ask

    def again(self) -> None:
        self.worker.kill()
        self.start()


def until(true: Callable[[], bool], limit: float = 90.0) -> float:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < limit
        time.sleep(0.05)
    return time.monotonic() - began


def test_every_message_arrives_once_and_in_order_whoever_is_killed_when(tmp_path: Path) -> None:
    dice = random.Random(5)
    ann, bob = Side(tmp_path / "ann"), Side(tmp_path / "bob")
    written: dict[str, list[str]] = {"ann": [], "bob": []}
    try:
        ann.ask("join", ticket=bob.ask("ticket"))
        until(lambda: ann.ask("friends") == bob.ask("friends") == ["friend"])
        for turn in range(KILLS):
            for number in range(20):
                one, other = dice.choice([(ann, bob), (bob, ann)])
                text = f"{turn}.{number}"
                one.ask("say", to=other.peer, text=text, token=text)
                written[one.folder.name].append(text)  # what was said to be stored is not lost
            time.sleep(dice.uniform(0.0, 0.05))
            dice.choice([ann, bob]).again()

        def arrived() -> bool:
            said = ann.ask("said", **{"with": bob.peer}), bob.ask("said", **{"with": ann.peer})
            states = {state for page in said for mine, _, state in page if mine}
            return states == {"delivered"}

        until(arrived)
        for side, other, name in ((ann, bob, "bob"), (bob, ann, "ann")):
            page = side.ask("said", **{"with": other.peer})
            assert [text for mine, text, _ in page if not mine] == written[name]
    finally:
        ann.worker.stop()
        bob.worker.stop()
