"""A good neighbour: what a background transfer does to everybody's ping on a slow line with a long queue.

    python -m bench.neighbour [--json] [--mb 64] [--rate-mbit 20] [--queue-ms 400] [--delay-ms 5] [--only polite]

A home line in user space (`tests/natlab/slowline.py`): two nodes, one at each end, and between them a router with a
drop-tail queue. The node at home sends a file to the other; beside it a small program sends 20 UDP pings a second
through the same queue. "Of the line": bytes on the wire, from the first of the transfer to the last. Run for a polite transfer over each lane and for one that is not held back, in one go; goodput is that of the file. Needs root.
"""

from __future__ import annotations

import argparse
import json
import random
import select
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

from tests.natlab.slowline import WORLD, SlowLine, unavailable

EVERY = 0.05  # s between two pings
PORT = 9
MOVES = 5_000  # bytes on the wire in 0.1 s that are more than pings: the transfer has begun


def pinger(port: int) -> None:
    """At home: prints a round trip in ms a line, until killed; -1 for one that was lost."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((WORLD, port))
        number = 0
        while True:
            number += 1
            began = time.perf_counter()
            sock.send(struct.pack("!Qd", number, began))
            until = began + EVERY
            while (left := until - time.perf_counter()) > 0:
                if select.select([sock], [], [], left)[0]:
                    _, sent = struct.unpack("!Qd", sock.recv(64))
                    print(f"{1000 * (time.perf_counter() - sent):.3f}", flush=True)


def echoer(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((WORLD, port))
        print("ready", flush=True)
        while True:
            data, who = sock.recvfrom(64)
            sock.sendto(data, who)


class Pings:
    """Round trips through the line while the block runs."""

    def __init__(self, line: SlowLine) -> None:
        self._line = line
        self.ms: list[tuple[float, float]] = []

    def __enter__(self) -> Self:
        me = [sys.executable, "-m", "bench.neighbour"]
        echo = self._line.spawn("world", *me, "--echoer", str(PORT), stdout=subprocess.PIPE)
        assert echo.stdout is not None
        echo.stdout.readline()
        self._ping = self._line.spawn("home", *me, "--pinger", str(PORT), stdout=subprocess.PIPE)
        self._echo = echo
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        time.sleep(1.0)
        return self

    def _read(self) -> None:
        assert self._ping.stdout is not None
        for text in self._ping.stdout:
            self.ms.append((time.monotonic(), float(text)))

    def __exit__(self, *_: object) -> None:
        for process in (self._ping, self._echo):
            process.kill()
            process.wait()
        self._thread.join(2)

    def between(self, begin: float, end: float) -> list[float]:
        return [ms for at, ms in self.ms if begin <= at <= end]


class Inside:
    """A client's calls, from within a namespace: the API listens on that namespace's loopback."""

    def __init__(self, line: SlowLine, space: str, data: Path) -> None:
        self._line, self._space, self._data = line, space, data

    def __call__(self, *words: str) -> Any:
        command = [sys.executable, "-m", "servent", "--data-dir", str(self._data), *words, "--json"]
        done = self._line.spawn(self._space, *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = done.communicate(timeout=300)
        if done.returncode:
            raise SystemExit(f"{' '.join(words)}: {err or out}")
        return json.loads(out) if out.strip() else None


def servent(line: SlowLine, folder: Path, size: int, *, bulk: bool, polite: bool) -> dict[str, Any]:
    """One transfer from home to the world; both nodes are new."""
    name = f"{'tcp' if bulk else 'quic'}-{'polite' if polite else 'plain'}"
    file = folder / name
    file.write_bytes(random.Random(name).randbytes(size))
    ends: dict[str, Inside] = {}
    for space in ("home", "world"):
        data = folder / f"{name}-{space}"
        data.mkdir()
        (data / "config.toml").write_text(
            f'[node]\ndownload_dir = "{data}/got"\n[blobs]\nbulk = {str(bulk).lower()}\n'
            f"polite = {str(polite).lower()}\n"
        )
        start(line, space, data)
        ends[space] = Inside(line, space, data)
    home, world = ends["home"], ends["world"]
    world("join", home("ticket")["ticket"])
    link = home("send", str(file))["link"]
    with Pings(line) as pings:
        idle = statistics.median(ms for _, ms in pings.ms)
        began = time.monotonic()
        world("get", link)
        ended = time.monotonic()
    got = folder / f"{name}-world" / "got" / name
    if got.read_bytes() != file.read_bytes():
        raise SystemExit("what arrived is not what was sent")
    for end in ends.values():
        end("down")
    moving = [(at, sent) for at, sent, _ in line.sent() if began <= at <= ended]
    first = next(at for (at, sent), (_, then) in zip(moving[1:], moving, strict=False) if sent - then > MOVES)
    last = max(at for (at, sent), (_, then) in zip(moving[1:], moving, strict=False) if sent - then > MOVES)
    wire = next(sent for at, sent in moving if at == last) - next(sent for at, sent in moving if at == first)
    return {
        **result(size, last - first, pings.between(first, last), idle),
        "wire_mbit": round(8e-6 * wire / (last - first), 2),
    }


def start(line: SlowLine, space: str, data: Path) -> None:
    command = [sys.executable, "-m", "servent", "--data-dir", str(data), "up", "--no-web", "--no-lan", "--no-relay",
               "--api-port", "0", "--name", space]  # fmt: skip
    process = line.spawn(space, *command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    for text in process.stdout:
        if text.startswith("ready"):
            return  # it says nothing more on this pipe
    raise SystemExit(f"the node at {space} did not start")


def result(size: int, seconds: float, busy: list[float], idle: float) -> dict[str, Any]:
    busy = sorted(busy)
    return {
        "seconds": round(seconds, 2),
        "goodput_mbit": round(8e-6 * size / seconds, 2),
        "ping_idle_ms": round(idle, 1),
        "ping_median_ms": round(statistics.median(busy), 1),
        "ping_p95_ms": round(busy[int(0.95 * (len(busy) - 1))], 1),
        "ping_most_ms": round(busy[-1], 1),
        "pings": len(busy),
    }


CASES = {
    "polite over TCP": {"bulk": True, "polite": True},
    "polite over QUIC": {"bulk": False, "polite": True},
    "plain over TCP": {"bulk": True, "polite": False},
    "plain over QUIC": {"bulk": False, "polite": False},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--mb", type=int, default=64, help="MiB of the file")
    parser.add_argument("--rate-mbit", type=float, default=20.0)
    parser.add_argument("--queue-ms", type=float, default=400.0)
    parser.add_argument("--delay-ms", type=float, default=5.0)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--pinger", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--echoer", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.pinger or asked.echoer:
        pinger(asked.pinger) if asked.pinger else echoer(asked.echoer)
        return
    if why := unavailable():
        raise SystemExit(f"no slow line can be laid: {why}")
    rate = asked.rate_mbit * 125_000
    found: dict[str, Any] = {"line_mbit": asked.rate_mbit, "queue_ms": asked.queue_ms, "mb": asked.mb}
    for case, how in CASES.items():
        if asked.only not in case:
            continue
        with (
            tempfile.TemporaryDirectory(prefix="neighbour-") as folder,
            SlowLine("gn", up=rate, down=5 * rate, queue=asked.queue_ms / 1000,
                     delay=asked.delay_ms / 1000) as line,
        ):  # fmt: skip
            figures = servent(line, Path(folder), asked.mb << 20, **how)
        figures["of_the_line"] = round(figures["wire_mbit"] / asked.rate_mbit, 3)
        found[case] = figures
        if not asked.json:
            print(f"{case:20} {figures['of_the_line']:.0%} of the line, ping {figures['ping_median_ms']} ms "
                  f"(p95 {figures['ping_p95_ms']}, idle {figures['ping_idle_ms']})", flush=True)  # fmt: skip
    if asked.json:
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
