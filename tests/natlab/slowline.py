"""A slow line between two namespaces, in user space: a rate, a delay, and a router's long drop-tail queue.

Linux needs `tc netem` for this, which not every kernel has, and veth pairs hand a sender the kernel's own
back-pressure across namespaces, so that TCP never fills a queue there as it does at home. Here packets go through
two TUN devices and this process, which knows nothing of who sent them.

    with SlowLine("sl", up=2_500_000, down=12_500_000, queue=0.4) as line:
        line.spawn("home", "python", "-m", "servent", …)

`home` is 10.91.1.2, `world` 10.91.2.2; between them lies one router, so that neither is on the other's link.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.natlab.lab import missing, run

HOME, WORLD = "10.91.1.2", "10.91.2.2"
TUNSETIFF, IFF_TUN_NO_PI = 0x400454CA, 0x1001
CLONE_NEWNET = 0x40000000
MTU = 1500


def unavailable() -> str | None:
    """Why no slow line can be laid here, or None."""
    if why := missing():
        return why
    return None if Path("/dev/net/tun").exists() else "there is no /dev/net/tun"


class _Way:
    """One direction. `rate` in bytes per second, `queue` in s at that rate, `delay` one way in s."""

    def __init__(self, rate: float, queue: float, delay: float, out: int) -> None:
        self.rate, self.delay, self.out = rate, delay, out
        self.most = max(2 * MTU, int(rate * queue))
        self.waiting: deque[bytes] = deque()
        self.waiting_bytes = 0
        self.flying: deque[tuple[float, bytes]] = deque()
        self.free_at = 0.0
        self.sent_bytes = self.dropped = 0

    def take(self, packet: bytes) -> None:
        if self.waiting_bytes + len(packet) > self.most:
            self.dropped += 1
            return
        self.waiting.append(packet)
        self.waiting_bytes += len(packet)

    def run(self, now: float) -> float:
        """Move what is due; returns when something will be again."""
        while self.waiting and self.free_at <= now:
            packet = self.waiting.popleft()
            self.waiting_bytes -= len(packet)
            self.free_at = max(self.free_at, now - 0.002) + len(packet) / self.rate
            self.sent_bytes += len(packet)
            self.flying.append((self.free_at + self.delay, packet))
        while self.flying and self.flying[0][0] <= now:
            with contextlib.suppress(BlockingIOError, OSError):
                os.write(self.out, self.flying.popleft()[1])
        due = [self.flying[0][0]] if self.flying else []
        if self.waiting:
            due.append(self.free_at)
        return min(due, default=now + 0.2)


def _tun_in(space: str) -> int:
    """A TUN device `line0` in that namespace, as a file descriptor of ours."""
    handle = os.open(f"/run/netns/{space}", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(handle, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {space}")
    finally:
        os.close(handle)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH22x", b"line0", IFF_TUN_NO_PI))
    return device


def shape(home: str, world: str, log: str, up: float, down: float, queue: float, delay: float) -> None:
    """The line itself: a process of its own, until it is killed. `log` gets "when bytes-up queue-s" ten times a second."""
    left, right = _tun_in(home), _tun_in(world)
    ways = {left: _Way(up, queue, delay, right), right: _Way(down, queue, delay, left)}
    print("ready", flush=True)
    due = said = time.monotonic()
    record = open(log, "w", buffering=1)  # noqa: SIM115 - it ends with the process
    while True:
        if time.monotonic() - said >= 0.1:
            said = time.monotonic()
            record.write(f"{said:.3f} {ways[left].sent_bytes} {ways[left].waiting_bytes / up:.4f}\n")
        wait = max(0.0, due - time.monotonic())
        for device in select.select([left, right], [], [], wait)[0]:
            for _ in range(32):
                try:
                    packet = os.read(device, 65536)
                except BlockingIOError:
                    break
                ways[device].take(packet)
        now = time.monotonic()
        due = min(said + 0.1, *(way.run(now) for way in ways.values()))


class SlowLine:
    """Two namespaces and the line between them; leaving it takes all down.

    Args:
        up, down: bytes per second from `home`, and to it.
        queue: s of the router's queue, each way.
        delay: one way, in s.
    """

    def __init__(
        self,
        prefix: str,
        *,
        up: float = 2.5e6,
        down: float = 12.5e6,
        queue: float = 0.4,
        delay: float = 0.005,
    ) -> None:
        self.spaces = {end: f"{prefix}{os.getpid()}{end}" for end in ("home", "world")}
        self._log = tempfile.NamedTemporaryFile(prefix="slowline-")  # noqa: SIM115 - closed with the line
        self._shape = (self._log.name, up, down, queue, delay)
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        self._clear()
        try:
            for space in self.spaces.values():
                run("ip", "netns", "add", space)
                run("ip", "-n", space, "link", "set", "lo", "up")
            command = [
                sys.executable,
                "-m",
                "tests.natlab.slowline",
                *self.spaces.values(),
                *map(str, self._shape),
            ]
            line = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            self._processes.append(line)
            assert line.stdout is not None
            assert line.stdout.readline().strip() == "ready", "the line could not be laid"
            for name, address in (("home", HOME), ("world", WORLD)):
                space = self.spaces[name]
                run("ip", "-n", space, "addr", "add", f"{address}/24", "dev", "line0")
                run("ip", "-n", space, "link", "set", "line0", "up", "mtu", str(MTU))
                run("ip", "-n", space, "route", "add", "default", "dev", "line0")
        except BaseException:
            self._clear()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()
        self._log.close()

    def spawn(self, space: str, *command: str, **options: object) -> subprocess.Popen[str]:
        """Start `command` at one end; leaving the line ends it at the latest."""
        process = subprocess.Popen(  # type: ignore[call-overload]
            ["ip", "netns", "exec", self.spaces[space], *command],
            text=True,
            stdin=subprocess.DEVNULL,
            **options,
        )
        self._processes.append(process)
        return process  # type: ignore[no-any-return]

    def sent(self) -> list[tuple[float, int, float]]:
        """(when, bytes sent from home so far, s of queue), ten times a second."""
        lines = Path(self._log.name).read_text().splitlines()
        return [(float(at), int(size), float(queue)) for at, size, queue in map(str.split, lines)]

    def _clear(self) -> None:
        known = run("ip", "netns", "list").split()
        for space in self.spaces.values():
            if space in known:
                for pid in run("ip", "netns", "pids", space).split():
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(int(pid), signal.SIGKILL)
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait(60)
            for pipe in (process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
        self._processes.clear()
        for space in self.spaces.values():
            if space in known:
                run("ip", "netns", "del", space)


if __name__ == "__main__":
    shape(sys.argv[1], sys.argv[2], sys.argv[3], *map(float, sys.argv[4:8]))
