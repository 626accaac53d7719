"""Other programs doing the same job, one run each, inside a network namespace that holds nothing but loopback.

    python -m bench.rivals NAME SOURCE TARGET        (started by bench.transfer, which wraps it in `unshare -n`)

Prints {"seconds", "cpu", "peak_rss_mb", "bytes", "note"} or {"skip": why}. The clock starts when the receiver is
told to begin (aria2, libtorrent), or as soon as its first byte could flow where a program spends a fixed
time on finding its peer (Syncthing: once it has the index; wormhole: once the file begins to grow).
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import time
import urllib.request
import xml.etree.ElementTree as xml
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.processes import Meter, Worker, cpu_seconds, end, peak_rss_mb

HOST = "10.99.0.1"  # several clients drop peers at 127.0.0.1
LIMIT = 300.0  # s for one run
NAMES = ("libtorrent v1", "libtorrent v2", "aria2", "syncthing", "wormhole")


def total(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(found.stat().st_size for found in path.rglob("*") if found.is_file())


def inside(name: str, source: Path, target: Path, *, sources: int = 1, up: float = 0.0) -> dict[str, Any]:
    """Run one rival in a namespace of its own, from outside of it."""
    if os.geteuid() != 0 or shutil.which("unshare") is None or shutil.which("ip") is None:
        return {"skip": "needs root, unshare and ip for a network namespace of its own"}
    script = f'ip link set lo up && ip address add {HOST}/8 dev lo && exec "$@"'
    command = ["unshare", "-n", "sh", "-c", script, "sh", sys.executable, "-m", "bench.rivals"]
    command += [name, str(source), str(target), str(sources), str(up)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT + 60, check=False)
    if done.returncode:
        return {"skip": f"failed: {done.stderr.strip()[-300:]}"}
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def report(seconds: float, cpu: float, memory: float, source: Path, note: str = "") -> dict[str, Any]:
    return {"seconds": seconds, "cpu": cpu, "peak_rss_mb": memory, "bytes": total(source), "note": note}


def wait_until(ready: Callable[[], bool], step: float = 0.01, limit: float = LIMIT) -> float:
    """When `ready` first was true (perf_counter). Raises TimeoutError."""
    stop = time.perf_counter() + limit
    while time.perf_counter() < stop:
        if ready():
            return time.perf_counter()
        time.sleep(step)
    raise TimeoutError("not done in time")


# -- libtorrent


def libtorrent(
    source: Path, target: Path, folder: Path, version: str, sources: int, up: float
) -> dict[str, Any]:
    if importlib.util.find_spec("libtorrent") is None:
        return {"skip": "no libtorrent for this Python"}
    module = "bench.rival_libtorrent"
    seeders = [Worker(module, str(6901 + number)) for number in range(sources)]
    receiver = Worker(module, "6899")
    try:
        torrent = seeders[0].ask("make", path=str(source), version=version, file=str(folder / "f.torrent"))
        for seeder in seeders:
            seeder.ask("seed", torrent=torrent, folder=str(source.parent), up=up)
        meter = Meter([receiver.pid, *(seeder.pid for seeder in seeders)])
        ports = [6901 + number for number in range(sources)]
        receiver.ask("fetch", torrent=torrent, folder=str(target), ports=ports, limit=LIMIT)
        seconds, cpu, memory = meter.stop()
        return report(seconds, cpu, max(memory), source, "plain TCP, not encrypted")
    finally:
        for worker in (receiver, *seeders):
            worker.stop()


# -- aria2


def aria2(source: Path, target: Path, folder: Path) -> dict[str, Any]:
    if shutil.which("aria2c") is None:
        return {"skip": "aria2c is not installed (apt-get install aria2)"}
    if importlib.util.find_spec("libtorrent") is None:
        return {"skip": "no libtorrent to make the torrent with"}
    tracker = Worker("bench.rival_tracker", HOST, "6969")
    maker = Worker("bench.rival_libtorrent", "6898")
    torrent = folder / "f.torrent"
    processes = []
    try:
        maker.ask(
            "make", path=str(source), version="v1", file=str(torrent), tracker=f"http://{HOST}:6969/announce"
        )
        options = "--enable-dht=false --bt-enable-lpd=false --seed-ratio=0 --quiet --file-allocation=none"
        base = ["aria2c", *options.split(), f"--interface={HOST}", "--bt-max-peers=5"]
        seed = [
            *base,
            "--bt-seed-unverified=true",
            "--listen-port=6911",
            "-d",
            str(source.parent),
            str(torrent),
        ]
        processes.append(subprocess.Popen(seed))
        wait_until(lambda: tracker.ask("count") >= 1, 0.05, 30)
        began, before = time.perf_counter(), cpu_seconds(processes[0].pid)
        fetch = [*base, "--seed-time=0", "--listen-port=6912", "-d", str(target), str(torrent)]
        processes.append(subprocess.Popen(fetch))
        receiver = processes[1]
        memory = 0.0
        while receiver.poll() is None:
            with contextlib.suppress(OSError):
                memory = max(memory, peak_rss_mb(receiver.pid))
            time.sleep(0.02)
        seconds = time.perf_counter() - began
        children = resource.getrusage(resource.RUSAGE_CHILDREN)  # the receiver is the only one so far
        cpu = children.ru_utime + children.ru_stime + cpu_seconds(processes[0].pid) - before
        memory = max(memory, peak_rss_mb(processes[0].pid))
        return report(seconds, cpu, memory, source, "plain TCP; about 1 s of it is finding the peer")
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
                end(process)
        maker.stop()
        tracker.stop()


# -- syncthing


class Syncthing:
    """One instance with a home of its own."""

    def __init__(self, home: Path, number: int) -> None:
        self.home, self.number = home, number
        run = ["syncthing", "generate", f"--home={home}", "--no-default-folder"]
        subprocess.run(run, check=True, capture_output=True)
        self.tree = xml.parse(home / "config.xml")
        self.id = next(device.get("id") or "" for device in self.tree.getroot().findall("device"))
        self.key = "bench"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, folder: Path, kind: str, other: Syncthing) -> None:
        root = self.tree.getroot()
        gui = root.find("gui")
        options = root.find("options")
        assert gui is not None and options is not None
        _set(gui, "address", f"{HOST}:{8380 + self.number}")
        _set(gui, "apikey", self.key)
        for old in options.findall("listenAddress"):
            options.remove(old)
        values = {
            "listenAddress": f"tcp://{HOST}:{22000 + self.number}",
            "globalAnnounceEnabled": "false",
            "localAnnounceEnabled": "false",
            "relaysEnabled": "false",
            "natEnabled": "false",
            "urAccepted": "-1",
            "crashReportingEnabled": "false",
            "startBrowser": "false",
            "reconnectionIntervalS": "1",
            "autoUpgradeIntervalH": "0",
        }
        for name, value in values.items():
            _set(options, name, value)
        device = xml.SubElement(root, "device", id=other.id, name="other", compression="never")
        xml.SubElement(device, "address").text = f"tcp://{HOST}:{22000 + other.number}"
        xml.SubElement(device, "paused").text = "false"
        shared = xml.SubElement(root, "folder", id="bench", label="bench", path=str(folder), type=kind)
        shared.set("rescanIntervalS", "3600")
        shared.set("fsWatcherEnabled", "false")
        for id in (self.id, other.id):
            xml.SubElement(shared, "device", id=id)
        self.tree.write(self.home / "config.xml")
        command = ["syncthing", "serve", f"--home={self.home}", "--no-browser", "--no-restart", "--logfile=-"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def status(self) -> dict[str, Any]:
        url = f"http://{HOST}:{8380 + self.number}/rest/db/status?folder=bench"
        try:
            request = urllib.request.Request(url, headers={"X-API-Key": self.key})
            with urllib.request.urlopen(request, timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except OSError:
            return {}

    def pids(self) -> list[int]:
        """The monitor; the process that works is its child."""
        assert self.process is not None
        return [self.process.pid]

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            end(self.process)


def _set(parent: xml.Element, name: str, value: str) -> None:
    found = parent.find(name)
    if found is None:
        found = xml.SubElement(parent, name)
    found.text = value


def _scanned(status: dict[str, Any], count: int) -> bool:
    return status.get("localFiles") == count and status.get("state") == "idle"


def syncthing(source: Path, target: Path, folder: Path) -> dict[str, Any]:
    if shutil.which("syncthing") is None:
        return {"skip": "syncthing is not installed (apt-get install syncthing)"}
    shared = folder / "shared"
    if source.is_file():
        shared.mkdir()
        os.link(source, shared / source.name)
    else:
        shared = source
    target.mkdir(parents=True, exist_ok=True)
    count = 1 if shared != source else sum(path.is_file() for path in source.rglob("*"))
    one, two = Syncthing(folder / "one", 1), Syncthing(folder / "two", 2)
    try:
        one.start(shared, "sendonly", two)
        wait_until(lambda: _scanned(one.status(), count), 0.1, 60)
        two.start(target, "receiveonly", one)
        began = wait_until(lambda: two.status().get("globalFiles") == count, 0.01, 60)
        meter = Meter([*one.pids(), *two.pids()])

        def done() -> bool:
            now = two.status()
            return now.get("needTotalItems") == 0 and now.get("inSyncFiles") == count

        finished = wait_until(done, 0.02)
        _, cpu, memory = meter.stop()
        return report(finished - began, cpu, max(memory), shared, "TLS; from the moment the index was there")
    finally:
        one.stop()
        two.stop()
        for home in (folder / "one", folder / "two"):
            shutil.rmtree(home, ignore_errors=True)
        for marker in (shared / ".stfolder",):
            shutil.rmtree(marker, ignore_errors=True)


# -- magic-wormhole


def wormhole(source: Path, target: Path, folder: Path) -> dict[str, Any]:
    tool, twist = (Path(sys.executable).with_name(name) for name in ("wormhole", "twist"))
    if not tool.exists() or not twist.exists():
        return {"skip": "magic-wormhole and its mailbox server are not installed beside this Python"}
    target.mkdir(parents=True, exist_ok=True)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes: list[subprocess.Popen[Any]] = []
    try:
        server = [str(twist), "wormhole-mailbox", f"--port=tcp:4000:interface={HOST}"]
        server.append(f"--channel-db={folder / 'mailbox.sqlite'}")
        processes.append(subprocess.Popen(server, cwd=folder, **quiet))
        relay = [str(tool), "--relay-url", f"ws://{HOST}:4000/v1", "--transit-helper", f"tcp:{HOST}:4001"]
        time.sleep(2.0)
        code = "1-bench-mark"
        send = [*relay, "send", "--hide-progress", "--code", code, str(source)]
        processes.append(subprocess.Popen(send, **quiet))
        time.sleep(2.0 if source.is_file() else 6.0)
        take = [*relay, "receive", "--hide-progress", "--accept-file", code]
        receiver = subprocess.Popen(take, cwd=target, **quiet)
        processes.append(receiver)
        began = time.perf_counter()
        if source.is_file():  # a folder comes as an archive that lies elsewhere: its first byte is not seen
            began = wait_until(lambda: any(target.iterdir()) or receiver.poll() is not None, 0.005)
        pids = receiver.pid, processes[1].pid
        before = sum(cpu_seconds(pid) for pid in pids)
        memory = cpu = 0.0
        while receiver.poll() is None:
            with contextlib.suppress(OSError):
                cpu = sum(cpu_seconds(pid) for pid in pids) - before
                memory = max(memory, peak_rss_mb(receiver.pid))
            time.sleep(0.01)
        receiver.wait()
        return report(
            time.perf_counter() - began,
            cpu,
            memory,
            source,
            "encrypted; a file from its first byte, a folder from the start of the receiver",
        )
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
                end(process)


def run(name: str, source: Path, target: Path, sources: int, up: float) -> dict[str, Any]:
    """One run; the target is checked against the source, byte for byte."""
    folder = target.with_name(target.name + "-work")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    folder.mkdir()
    target.mkdir()
    try:
        if name.startswith("libtorrent"):
            found = libtorrent(source, target, folder, name.split()[1], sources, up)
        else:
            found = {"aria2": aria2, "syncthing": syncthing, "wormhole": wormhole}[name](
                source, target, folder
            )
        if "skip" not in found and not same(source, target):
            return {"skip": "what arrived is not what was sent"}
        return found
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(target, ignore_errors=True)


def same(source: Path, target: Path) -> bool:
    """Whether `target` holds `source`, under its own name or as its content."""
    held = target / source.name
    compare = ["diff", "-rq", "--exclude=.st*", str(source), str(held if held.exists() else target)]
    return subprocess.run(compare, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    name, source, target, sources, up = sys.argv[1:6]
    print(json.dumps(run(name, Path(source), Path(target), int(sources), float(up))))
