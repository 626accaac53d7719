"""A real daemon around the fake node, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from servent.api.client import Client

ROOT = Path(__file__).parents[2]
QUICK = ("--seconds", "0.3", "--pace", "0.02", "--transfers", "0")


@contextlib.contextmanager
def fake_daemon(
    data_dir: Path, *more: str, hangup: signal.Handlers = signal.SIG_DFL
) -> Iterator[subprocess.Popen[str]]:
    """Usable inside the block; killed at its end if it still runs.

    `hangup`: what SIGHUP does as it starts. Tests that run under `nohup` would hand on that it is ignored.
    """
    with _inherited(hangup):
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.api.fake",
                "--data-dir",
                str(data_dir),
                "--api-port",
                "0",
                *QUICK,
                *more,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    assert process.stdout is not None
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("ready"):
                break
        else:
            raise AssertionError("the daemon did not start:\n" + "".join(said))
        # A full pipe would stop the daemon at its next line of log.
        rest = threading.Thread(target=lambda out=process.stdout: deque(out, 0), name="what the daemon says")
        rest.start()
        try:
            yield process
        finally:
            process.kill()
            rest.join(60)
    finally:
        process.kill()
        process.wait(60)
        process.stdout.close()


@contextlib.contextmanager
def _inherited(hangup: signal.Handlers) -> Iterator[None]:
    """What a process that is started inside the block does at SIGHUP: a handler is not inherited, ignoring is."""
    if os.name != "posix":
        yield
        return
    before = signal.signal(signal.SIGHUP, hangup)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def client(data_dir: Path) -> Client:
    return Client.from_data_dir(data_dir, timeout=60.0)
