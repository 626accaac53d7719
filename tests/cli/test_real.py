"""Two real nodes in processes of their own, steered by the exact command lines that scripts rely on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.api.running import ROOT


@contextlib.contextmanager
def up(data_dir: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*command(data_dir), "up", "--no-web", "--api-port", "0", "--no-lan", "--no-relay", *more],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    try:
        assert any(line.startswith("ready") for line in process.stdout), "it did not start"
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(60)
        process.stdout.close()


def command(data_dir: Path) -> list[str]:
    return [sys.executable, "-m", "servent", "--data-dir", str(data_dir)]


def run(data_dir: Path, *words: str, code: int = 0) -> str:
    done = subprocess.run(
        [*command(data_dir), *words], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )
    assert done.returncode == code, (words, done.stdout, done.stderr)
    return done.stdout


def data(data_dir: Path, *words: str) -> Any:
    return json.loads(run(data_dir, *words, "--json"))


def test_the_main_job_as_scripts_do_it(tmp_path: Path) -> None:
    ann, bob = tmp_path / "ann", tmp_path / "bob"
    source = tmp_path / "holiday"
    (source / "deep" / "er").mkdir(parents=True)
    (source / "picture.jpg").write_bytes(os.urandom(3_000_000))
    (source / "deep" / "er" / "note.txt").write_text("wish you were here")
    with up(ann, "--name", "ann") as first, up(bob, "--name", "bob"):
        ticket = run(ann, "ticket")
        assert ticket.count("\n") == 1
        run(bob, "join", ticket.strip())
        [peer] = data(bob, "peers")
        assert peer["id"] == data(ann, "id")["id"]
        assert peer["path"] in ("direct", "relayed")
        assert peer["address"]
        assert peer["name"] == "ann"
        assert data(bob, "ping", peer["id"], "-c", "2")["rtts_ms"]
        link = data(ann, "send", str(source))["link"]
        assert link.startswith("magnet:?xt=urn:btmh:1220")
        got = data(bob, "get", link, "--to", str(tmp_path / "got"))
        assert got["state"] == "complete"
        copied = Path(got["path"])
        assert (copied / "picture.jpg").read_bytes() == (source / "picture.jpg").read_bytes()
        assert (copied / "deep" / "er" / "note.txt").read_text() == "wish you were here"
        assert data(ann, "status")["peers"]["total"] == 1
        assert data(ann, "doctor")["checks"]
        [transfer] = [one for one in data(bob, "transfers") if one["direction"] == "down"]
        assert transfer["done_bytes"] == transfer["size_bytes"]
        assert data(bob, "limits", "--down", "5MB/s")["down_bytes_per_s"] == 5_000_000
        run(ann, "down")
        assert first.wait(60) == 0
        run(ann, "status", code=3)
    with up(bob):
        assert data(bob, "limits")["down_bytes_per_s"] == 5_000_000


def test_an_invitation_makes_a_member(tmp_path: Path) -> None:
    ann, bob = tmp_path / "ann", tmp_path / "bob"
    with up(ann), up(bob):
        assert data(ann, "network", "new", "club")["admin"] is True
        made = data(ann, "invite", "club", "--uses", "1")
        assert data(bob, "join", made["invitation"])["network"] == "club"
        assert [network["name"] for network in data(bob, "network", "ls")] == ["club"]
        deadline = time.monotonic() + 60
        while len(data(ann, "network", "members", "club")) < 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert len(data(ann, "network", "members", "club")) == 2
        assert data(ann, "invite", "club", "--list")[0]["id"] == made["id"]
        run(ann, "invite", "club", "--revoke", made["id"])
        assert data(ann, "invite", "club", "--list")[0]["revoked"] is True


def test_a_relay_alone_says_ready_and_ends(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*command(tmp_path), "relay", "--host", "127.0.0.1", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        assert any(line.startswith("ready") for line in process.stdout)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate(timeout=60)
