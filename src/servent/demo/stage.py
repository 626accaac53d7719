"""The actors of the demo: nodes in processes of their own, started and steered as anyone would."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from servent.api.client import Client
from servent.errors import WorldError

START_LIMIT = 180.0  # s until a node must say `ready`; it takes about one on a quiet machine, twenty at once on two busy cores a minute
STOP_LIMIT = 30.0


class Actor:
    """One node: `name`, its folder, and the process it lives in (None while it is down)."""

    def __init__(self, name: str, folder: Path, prefix: Sequence[str], options: Sequence[str]) -> None:
        self.name = name
        self.folder = folder
        self.data_dir = folder / "node"
        self.files = folder / "files"
        self._prefix = list(prefix)
        self._options = list(options)
        self._process: subprocess.Popen[bytes] | None = None
        self.host = ""  # where in the lab it lives
        self.module = "servent"  # what is run as this node
        self.on_ready: Callable[[Actor], None] = lambda _: None
        self.files.mkdir(parents=True, exist_ok=True)

    @property
    def client(self) -> Client:
        """The API of the running node. Each call reads its address anew: a restart changes it."""
        return Client.from_data_dir(self.data_dir, timeout=60.0)

    @property
    def up(self) -> bool:
        """Whether its process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> Path:
        return self.folder / "node.log"

    def command(self, *arguments: str) -> list[str]:
        """The command line that speaks to this node."""
        return [
            *self._prefix,
            sys.executable,
            "-m",
            self.module,
            "--data-dir",
            str(self.data_dir),
            *arguments,
        ]

    def settings(self, text: str) -> None:
        """What its config.toml says, before it starts."""
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.data_dir / "config.toml").write_text(text)

    def start(self) -> None:
        """Start the process; `wait_ready` tells when it is usable."""
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                self.command("up", "--name", self.name, "--download-dir", str(self.files), *self._options),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )

    def wait_ready(self) -> None:
        """Returns once the node printed its `ready` line.

        Raises:
            WorldError: it ended or did not get there in time; the advice names its log.
        """
        assert self._process is not None and self._process.stdout is not None
        deadline = time.monotonic() + START_LIMIT
        pipe, heard = self._process.stdout.fileno(), b""
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0 and selector.select(left):
                heard += (data := os.read(pipe, 4096))
                if b"\nready" in heard or heard.startswith(b"ready"):
                    self.on_ready(self)
                    return
                if not data:
                    break
        said = self.log.read_text(errors="replace").strip().splitlines()[-6:] if self.log.exists() else []
        raise WorldError(
            f"the node of {self.name} did not start", advice="\n      ".join(["Its log ends:", *said])
        )

    def kill(self) -> None:
        """SIGKILL: what a power cut is to a process. Nothing gets a chance to tidy up."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._close()

    def ask_to_end(self) -> None:
        """SIGTERM, without waiting for it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """Ask it to end, as Ctrl-C does; kill it when it does not."""
        if self._process is None:
            return
        self.ask_to_end()
        try:
            self._process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close()

    def _close(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None


class Stage:
    """All actors, and a folder of their own that goes when the demo ends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.actors: list[Actor] = []

    def add(self, name: str, prefix: Sequence[str] = (), options: Sequence[str] = ()) -> Actor:
        actor = Actor(name, self.folder / name, prefix, options)
        self.actors.append(actor)
        return actor

    def close(self) -> None:
        for actor in self.actors:
            actor.ask_to_end()
        for actor in self.actors:
            actor.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def start(actors: Sequence[Actor]) -> None:
    """All at once, then wait for each: five interpreters start in the time of two."""
    for actor in actors:
        actor.start()
    for actor in actors:
        actor.wait_ready()
