"""Processes that a benchmark starts, talks to, measures and always ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import psutil

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time of one process and all its children, those that have ended included."""
    total = 0
    for one in (pid, *children(pid)):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(fields[index]) for index in (11, 12, 13, 14))
    return total / TICKS


def peak_rss_mb(pid: int) -> float:
    """Largest resident memory so far, of the process and its children together."""
    total = 0.0
    for one in (pid, *children(pid)):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{one}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    total += int(line.split()[1]) / 1024
    return total


def children(pid: int) -> list[int]:
    """Processes that `pid` started, and those that they did."""
    try:
        return [child.pid for child in psutil.Process(pid).children(recursive=True)]
    except psutil.Error:
        return []


class Worker:
    """A program that reads JSON lines and answers each; `bench.peer` and the rivals' workers."""

    def __init__(self, module: str, *arguments: str, log: Path | None = None) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]),
        }
        self._log = open(log, "ab") if log is not None else None  # noqa: SIM115 closed with the process
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log or None,
            text=True,
            cwd=ROOT,
            env=environment,
        )
        self.first: dict[str, Any] = self._read()

    def _read(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} ended with {self.process.wait()}")
        return json.loads(line)

    def ask(self, do: str, **values: Any) -> Any:
        """One request and its answer."""
        self.send(do, **values)
        return self.answer()

    def send(self, do: str, **values: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"do": do, **values}) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        reply = self._read()
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply["ok"]

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._close()

    def stop(self) -> None:
        """Ask it to end; kill it after 5 s."""
        if self.process.poll() is None:
            with contextlib.suppress(OSError):
                self.send("stop")
            end(self.process)
        self._close()

    def _close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if self._log is not None:
            self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def end(process: subprocess.Popen[Any], patience: float = 5.0) -> None:
    """Wait for it, then kill it."""
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Meter:
    """CPU seconds that some processes use from now on, and their peak memory."""

    def __init__(self, pids: Sequence[int]) -> None:
        self._before = {pid: cpu_seconds(pid) for pid in pids}
        self._began = time.perf_counter()

    def stop(self) -> tuple[float, float, list[float]]:
        """(seconds passed, CPU seconds of all, peak MB of each)."""
        passed = time.perf_counter() - self._began
        cpu = sum(cpu_seconds(pid) - before for pid, before in self._before.items())
        return passed, cpu, [peak_rss_mb(pid) for pid in self._before]
