"""Two real nodes in processes of their own; one of them is killed with SIGKILL again and again."""

from __future__ import annotations

import os
import random
import socket
import time
from pathlib import Path

import pytest

from bench.processes import Worker

pytestmark = [pytest.mark.real, pytest.mark.slow]

MB = 1_000_000
PIECE = 256 * 1024  # info.piece_length_for of this size
SIZE = 32 * 1024 * 1024
# A receiver keeps up with this on a busy machine, too: what it has not read yet is sent again, up to its whole window.
RATE = 8 * MB
KILLS = 20


class Side:
    """A node that can be killed and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            self.bind = f"127.0.0.1:{free.getsockname()[1]}"
        self.start()

    def start(self) -> None:
        log = self.folder.with_suffix(".log")
        self.worker = Worker("bench.peer", str(self.folder), "--bind", self.bind, "--log", "INFO", log=log)
        self.ask = self.worker.ask

    def kill(self) -> None:
        self.worker.kill()

    def stop(self) -> None:
        self.worker.stop()


def _down(worker: Side) -> dict:
    return next(view for view in worker.ask("transfers") if view["direction"] == "down")


def test_twenty_kills_on_either_side_cost_no_verified_piece_and_little_else(tmp_path: Path) -> None:
    dice = random.Random(7)
    source = tmp_path / "film.bin"
    source.write_bytes(dice.randbytes(SIZE))
    sender, receiver = Side(tmp_path / "sender"), Side(tmp_path / "receiver")
    sent_before = 0  # by senders that were killed
    try:
        receiver.ask("join", ticket=sender.ask("ticket"))
        link = sender.ask("add", path=str(source))
        sender.ask("limits", up=RATE)
        transfer = receiver.ask("fetch", link=link, to=str(tmp_path / "to"))
        for _ in range(KILLS):
            time.sleep(dice.uniform(0.05, 0.3))
            if dice.random() < 0.5:
                sent_before += sender.ask("usage")["up_bytes"]
                sender.kill()
                sender.start()
                sender.ask("limits", up=RATE)
            else:
                done = _down(receiver)["done_bytes"]
                receiver.kill()
                receiver.start()
                began = time.monotonic()
                while _down(receiver)["done_bytes"] < done:
                    assert time.monotonic() - began < 60.0, "verified pieces were forgotten"
                    time.sleep(0.02)
        end = receiver.ask("wait", id=transfer, limit=120)
        assert end["state"] == "complete", end
        assert (tmp_path / "to" / "film.bin").read_bytes() == source.read_bytes()
        sent = sent_before + sender.ask("usage")["up_bytes"]
        twice = sent - SIZE
        print(f"{KILLS} kills: {twice / PIECE:.1f} pieces sent twice")
        # At the moment of a kill a unit of four pieces is half here, and what the lane has under way is lost with it.
        assert twice <= KILLS * 4 * PIECE
    finally:
        sender.stop()
        receiver.stop()


def test_the_receiver_waits_for_a_sender_that_is_away_says_so_and_goes_on_by_itself(tmp_path: Path) -> None:
    source = tmp_path / "film.bin"
    source.write_bytes(os.urandom(20 * MB))
    sender, receiver = Side(tmp_path / "sender"), Side(tmp_path / "receiver")
    try:
        receiver.ask("join", ticket=sender.ask("ticket"))
        link = sender.ask("add", path=str(source))
        sender.ask("limits", up=5 * MB)
        transfer = receiver.ask("fetch", link=link, to=str(tmp_path / "to"))
        while _down(receiver)["done_bytes"] == 0:
            time.sleep(0.05)
        sender.kill()
        deadline = time.monotonic() + 60
        while (view := _down(receiver))["state"] != "connecting":
            assert time.monotonic() < deadline, str(view)
            time.sleep(0.1)
        assert view["reason"]
        sender.start()
        end = receiver.ask("wait", id=transfer, limit=120)
        assert end["state"] == "complete", end
        assert (tmp_path / "to" / "film.bin").read_bytes() == source.read_bytes()
    finally:
        sender.stop()
        receiver.stop()
