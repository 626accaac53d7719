"""Raw iroh streams between two Python processes: what a transfer over QUIC is measured against.

    python -m bench.rawiroh [--json] [--size-mb 1024] [--streams 1 4 8] [--through raw|links] [--sink file|nothing]
                             [--repeat 1]

One process sends a file from memory, one receives it; `--sink file` hashes (SHA-256) and writes what
arrives to the memory file system in worker threads, two blocks per stream. CPU seconds are those of both processes. `raw`
is the wheel's own stream with servent's buffer shim (without it a stream moves 5 MB/s), `links` the stream that
servent's own rooms use.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BLOCK = 1 << 20
STREAMS = (1, 4, 8)


class Raw:
    """The few calls of the benchmark, on the wheel itself."""

    def __init__(self) -> None:
        import iroh

        from servent.net import fastffi

        self.iroh = iroh
        self.state = fastffi.state

    async def bind(self) -> tuple[str, list[str]]:
        mode = self.iroh.RelayMode.disabled()
        options = self.iroh.EndpointOptions(
            preset=self.iroh.preset_minimal(), alpns=[b"bench"], relay_mode=mode, bind_addr="127.0.0.1:0"
        )
        self.endpoint = await self.iroh.Endpoint.bind(options)
        return self.endpoint.id().to_bytes().hex(), self.endpoint.bound_sockets()[:1]

    async def accept(self) -> None:
        incoming = await self.endpoint.accept_next()
        self.connection = await (await incoming.accept()).connect()

    async def connect(self, key: str, addresses: list[str]) -> None:
        target = self.iroh.EndpointAddr(self.iroh.EndpointId.from_bytes(bytes.fromhex(key)), None, addresses)
        self.connection = await self.endpoint.connect(target, b"bench")

    async def open(self) -> Any:
        return await self.connection.open_bi()

    async def next(self) -> Any:
        return await self.connection.accept_bi()

    async def ask(self, stream: Any, data: bytes) -> None:
        await stream.send().write_all(data)

    async def asked(self, stream: Any) -> bytes:
        return bytes(await stream.recv().read_exact(16))

    def sender(self, stream: Any) -> tuple[Any, Any]:
        send = stream.send()
        return send.write_all, send.finish

    def reader(self, stream: Any) -> Any:
        return stream.recv().read

    async def close(self) -> None:
        self.connection.close(0, b"")
        await self.endpoint.close()


class Links(Raw):
    """The same on `servent.net.links`."""

    async def bind(self) -> tuple[str, list[str]]:
        from servent.identity import Identity
        from servent.net.endpoint import bind

        self.endpoint = await bind(Identity(os.urandom(32)), bind=["127.0.0.1:0"])
        return self.endpoint.peer.hex(), list(self.endpoint.local_addresses())[:1]

    async def accept(self) -> None:
        self.connection = await self.endpoint.accept()

    async def connect(self, key: str, addresses: list[str]) -> None:
        from servent.identity import PeerId
        from servent.net.links import PeerAddress

        self.connection = await self.endpoint.connect(
            PeerAddress(PeerId(bytes.fromhex(key)), addresses=tuple(addresses)), 10
        )

    async def open(self) -> Any:
        return await self.connection.open()

    async def next(self) -> Any:
        return await self.connection.accept()

    async def ask(self, stream: Any, data: bytes) -> None:
        await stream.write(data)

    async def asked(self, stream: Any) -> bytes:
        return bytes(await stream.read_exactly(16))

    def sender(self, stream: Any) -> tuple[Any, Any]:
        return stream.write, stream.finish

    def reader(self, stream: Any) -> Any:
        return stream.read

    async def close(self) -> None:
        await self.connection.close()
        await self.endpoint.close()


def spent() -> dict[str, float]:
    """CPU seconds of this process and of its event loop's thread; the most memory it ever held."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return {
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "loop_seconds": time.thread_time(),
        "memory_mb": int(peak.group(1)) / 1024 if peak else usage.ru_maxrss / 1024,
    }


def since(before: dict[str, float]) -> dict[str, float]:
    now = spent()
    return {key: value - (0 if key == "memory_mb" else before[key]) for key, value in now.items()}


async def send(side: Raw, source: Path, streams: int) -> None:
    """Serve `streams` ranges of `source`, then tell what it cost."""
    key, addresses = await side.bind()
    print(json.dumps({"key": key, "addresses": addresses}), flush=True)
    await side.accept()
    before = spent()
    with source.open("rb") as file:

        async def one(stream: Any) -> None:
            asked = await side.asked(stream)
            begin, end = int.from_bytes(asked[:8], "big"), int.from_bytes(asked[8:], "big")
            write, finish = side.sender(stream)
            block = memoryview(bytearray(BLOCK))
            for at in range(begin, end, BLOCK):
                size = os.preadv(file.fileno(), [block[: min(BLOCK, end - at)]], at)
                await write(block[:size])
            await finish()

        async with asyncio.TaskGroup() as group:
            for _ in range(streams):
                group.create_task(one(await side.next()))
        await asyncio.to_thread(sys.stdin.readline)
    cost = since(before)
    await side.close()
    print(json.dumps(cost), flush=True)


async def receive(side: Raw, where: dict[str, Any], size: int, streams: int, target: Path | None) -> None:
    await side.bind()
    await side.connect(where["key"], where["addresses"])
    out = os.open(target, os.O_WRONLY | os.O_CREAT, 0o600) if target is not None else -1
    before, began = spent(), time.perf_counter()
    calls = 0

    def keep(hasher: Any, data: bytes, at: int) -> None:
        hasher.update(data)
        os.pwrite(out, data, at)

    async def one(begin: int, end: int) -> None:
        nonlocal calls
        stream = await side.open()
        await side.ask(stream, begin.to_bytes(8, "big") + end.to_bytes(8, "big"))
        read = side.reader(stream)
        hasher = hashlib.sha256()
        at, kept = begin, None
        loop = asyncio.get_running_loop()
        gathered: list[bytes] = []
        have = 0
        while at + have < end:
            data = await read(BLOCK)
            calls += 1
            if not data:
                raise EOFError
            gathered.append(data)
            have += len(data)
            if target is not None and (have >= BLOCK or at + have == end):
                block = b"".join(gathered)
                if kept is not None:
                    await kept
                kept = loop.run_in_executor(None, keep, hasher, block, at)
                at, have = at + have, 0
                gathered = []
            elif target is None:
                at, have = at + have, 0
                gathered = []
        if kept is not None:
            await kept

    share = -(-size // streams)
    async with asyncio.TaskGroup() as group:
        for number in range(streams):
            group.create_task(one(number * share, min(size, (number + 1) * share)))
    took = time.perf_counter() - began
    cost = since(before)
    await side.close()
    print(json.dumps({**cost, "seconds": took, "calls": calls}), flush=True)


def measure(size: int, streams: int, through: str, sink: str, folder: Path) -> dict[str, float]:
    """One transfer in two fresh processes."""
    source, target = folder / "source", folder / "target"
    target.unlink(missing_ok=True)
    base = [
        sys.executable,
        "-m",
        "bench.rawiroh",
        "--through",
        through,
        "--streams",
        str(streams),
        "--sink",
        sink,
    ]
    base += ["--size-mb", str(size >> 20), "--folder", str(folder)]
    pipe = subprocess.PIPE
    with subprocess.Popen([*base, "--role", "send"], stdin=pipe, stdout=pipe, text=True) as sender:
        assert sender.stdout is not None
        where = sender.stdout.readline()
        received = subprocess.run(
            [*base, "--role", "receive", "--where", where],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        told, _ = sender.communicate("\n", timeout=30)
    if received.returncode:
        raise SystemExit(received.stderr)
    if sink == "file" and source.read_bytes() != target.read_bytes():
        raise SystemExit("what arrived is not what was sent")
    there, here = json.loads(told), json.loads(received.stdout)
    return {
        "rate": size / 1e6 / here["seconds"],
        "cpu": (there["cpu_seconds"] + here["cpu_seconds"]) * (1 << 30) / size,
        "loop": (there["loop_seconds"] + here["loop_seconds"]) * (1 << 30) / size,
        "memory": max(there["memory_mb"], here["memory_mb"]),
        "calls": here["calls"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--size-mb", type=int, default=1024)
    parser.add_argument("--streams", type=int, nargs="+", default=STREAMS)
    parser.add_argument("--through", nargs="+", choices=("raw", "links"), default=("raw", "links"))
    parser.add_argument("--sink", nargs="+", choices=("file", "nothing"), default=("file",))
    parser.add_argument("--repeat", type=int, default=1, help="the best of so many runs counts")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--role", choices=("send", "receive"), help=argparse.SUPPRESS)
    parser.add_argument("--where", help=argparse.SUPPRESS)
    options = parser.parse_args()
    size = options.size_mb << 20
    if options.role:
        side = Links() if options.through == ["links"] else Raw()
        streams, keep = options.streams[0], options.sink == ["file"]
        if options.role == "send":
            asyncio.run(send(side, options.folder / "source", streams))
        else:
            target = options.folder / "target" if keep else None
            asyncio.run(receive(side, json.loads(options.where), size, streams, target))
        return
    results: list[dict[str, Any]] = []
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="servent-bench-", dir=memory) as folder:
        with (Path(folder) / "source").open("wb") as file:
            for _ in range(options.size_mb):
                file.write(os.urandom(1 << 20))
        for sink in options.sink:
            for streams in options.streams:
                base = 0.0
                for through in options.through:
                    tries = [
                        measure(size, streams, through, sink, Path(folder)) for _ in range(options.repeat)
                    ]
                    found = max(tries, key=lambda each: each["rate"])
                    name = f"{through}, {streams} streams" + (", hash and file" if sink == "file" else "")
                    base = base or found["rate"]
                    ratio = (
                        {} if through == options.through[0] else {options.through[0]: found["rate"] / base}
                    )
                    row = {"unit": "MB/s", "better": "higher", "ratio_to": ratio}
                    results.append({"name": name, "value": round(found["rate"], 1), **row})
                    for kind, unit in (("cpu", "s/GiB"), ("memory", "MB")):
                        row = {"unit": unit, "better": "lower", "ratio_to": {}}
                        results.append({"name": f"{name}: {kind}", "value": round(found[kind], 2), **row})
                    if not options.json:
                        figures = f"{found['rate']:7.0f} MB/s {found['cpu']:6.2f} CPU s/GiB ({found['loop']:.2f} in the loops) {found['memory']:5.0f} MB"
                        print(f"{name:36}{figures} {found['calls']:.0f} reads")
    if options.json:
        print(json.dumps({"bench": "rawiroh", "results": results}))


if __name__ == "__main__":
    main()
