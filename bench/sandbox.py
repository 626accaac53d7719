"""What the sandbox costs: tiny units through the real process, a Fourier transform against the same C compiled natively, and two processes against one.

    python -m bench.sandbox [--json] [--rounds 5] [--units 20000] [--only tiny fft both]

Tiny units: 1,000 bytes in, their hash out, once as a WASI command, once as slices; through `Slots`, as a volunteer runs them. The transform
is `bench/fft.c`, complex numbers in single precision, 5 N log2 N operations; native is the same source by the same compiler for AVX2 with FMA; scipy is pocketfft on
complex64. Rounds of all alternate; each figure is the median, a ratio is that of the round. Needs `ziglang`, numpy and scipy. Pin it: `taskset -c 2,3`.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import hashlib
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import scipy.fft

from servent.grid.manifests import Limits
from servent.grid.sandbox.cc import INCLUDE, compile_c, zig
from servent.grid.sandbox.jobs import Ended, Job
from servent.grid.sandbox.slots_service import Slots

LIMITS = Limits(seconds=600.0, memory_bytes=256 << 20, output_bytes=64 << 20)
SIZES = (12, 16, 20)
WORK = {12: 5000, 16: 250, 20: 8}  # rounds: some tenths of a second
COMMAND = r"""
typedef unsigned u32; typedef unsigned char u8;
struct part { void *at; u32 size; };
__attribute__((import_module("wasi_snapshot_preview1"), import_name("fd_read"))) int fd_read(int, struct part *, int, u32 *);
__attribute__((import_module("wasi_snapshot_preview1"), import_name("fd_write"))) int fd_write(int, struct part *, int, u32 *);
void _start(void) {
  static u8 data[65536]; u32 hash = 2166136261u, got;
  struct part in = {data, sizeof data}, out = {&hash, 4};
  while (!fd_read(0, &in, 1, &got) && got) for (u32 i = 0; i < got; i++) hash = (hash ^ data[i]) * 16777619u;
  fd_write(1, &out, 1, &got);
}
"""
SLICE = r"""
#include "servent.h"
static uint8_t data[65536]; static uint32_t hash = 2166136261u, left;
void *alloc(uint32_t size) { return size <= sizeof data ? data : 0; }
int32_t begin(const uint8_t *at, uint32_t size) { left = size; return 0; }
int32_t slice(void) { for (uint32_t i = 0; i < left; i++) hash = (hash ^ data[i]) * 16777619u; return 0; }
uint64_t result(void) { return SERVENT_RESULT(&hash, 4); }
"""


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def module(self, name: str, source: str | Path, abi: str) -> Path:
        path = self.folder / f"{name}.c"
        path.write_text(source if isinstance(source, str) else source.read_text())
        return compile_c([path], self.folder / f"{name}.wasm", abi=abi, library=False)  # type: ignore[arg-type]

    def job(self, slots: Slots, module: Path, abi: str, stdin: bytes) -> Job:
        return Job(
            number=slots.number(),
            module=str(module),
            digest=hashlib.sha256(module.read_bytes()).digest(),
            abi=abi,  # type: ignore[arg-type]
            seed=bytes(32),
            limits=LIMITS,
            folder=str(self.folder),
            stdin=stdin,
            budget=600.0,
        )

    def slots(self, cores: int) -> Slots:
        return Slots(self.folder / "compiled", writes=[self.folder], cores=cores, gentle=False)


def fnv(data: bytes) -> bytes:
    value = 2166136261
    for byte in data:
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return value.to_bytes(4, "little")


async def many(bench: Bench, slots: Slots, module: Path, abi: str, inputs: Sequence[bytes]) -> list[Ended]:
    """All of them, two hundred asked for at a time."""
    ended: list[Ended | None] = [None] * len(inputs)
    digest, left = bench.job(slots, module, abi, b""), iter(range(len(inputs)))

    async def one() -> None:
        for at in left:
            job = Job(
                number=slots.number(),
                module=digest.module,
                digest=digest.digest,
                abi=digest.abi,
                seed=digest.seed,
                limits=LIMITS,
                folder=digest.folder,
                stdin=inputs[at],
                budget=600.0,
            )
            ended[at] = await slots.run(job)

    async with asyncio.TaskGroup() as group:
        for _ in range(200):
            group.create_task(one())
    return [one for one in ended if one is not None]


async def tiny(bench: Bench, units: int, rounds: int) -> dict[str, Any]:
    inputs = [number.to_bytes(4, "big") + bytes(996) for number in range(units)]
    right = [fnv(data) for data in inputs[:50]]
    found: dict[str, Any] = {"units": units}
    for abi, source in (("command", COMMAND), ("slice", SLICE)):
        module = bench.module(f"tiny-{abi}", source, abi)
        rates, per_core = [], []
        async with bench.slots(1) as slots:
            await many(bench, slots, module, abi, inputs[:500])
            child = psutil.Process(slots.pids()[0])
            for _ in range(rounds):
                before, began = sum(child.cpu_times()[:2]), time.perf_counter()
                ended = await many(bench, slots, module, abi, inputs)
                rates.append(units / (time.perf_counter() - began))
                per_core.append(units / (sum(child.cpu_times()[:2]) - before))
                assert [one.output for one in ended[:50]] == right
        found[abi] = {
            "units_per_s": round(statistics.median(rates)),
            "units_per_cpu_s_of_the_process": round(statistics.median(per_core)),
            "all": [round(rate) for rate in rates],
        }
    return found


class Native:
    """The same source, as a shared library."""

    def __init__(self, bench: Bench) -> None:
        path, program = bench.folder / "fft.so", zig()
        assert program is not None
        subprocess.run(
            [
                program,
                "cc",
                "-O3",
                "-mavx2",
                "-mfma",
                "-shared",
                "-fPIC",
                "-w",
                "-I",
                INCLUDE,
                "-o",
                path,
                "bench/fft.c",
            ],
            check=True,
        )
        self.library = ctypes.CDLL(str(path))

    def run(self, size: int, rounds: int) -> tuple[float, np.ndarray[Any, Any]]:
        """(seconds, spectrum)."""
        self.library.begin(bytes([size, 1]), 2)
        self.library.slice()
        began = time.thread_time()
        for _ in range(rounds):
            self.library.slice()
        took = time.thread_time() - began
        raw = np.ctypeslib.as_array((ctypes.c_float * (2 << 20)).in_dll(self.library, "spectrum"))
        return took, raw[: 1 << size] + 1j * raw[1 << size : 2 << size]


def numbers(size: int) -> np.ndarray[Any, Any]:
    """What `begin` in fft.c makes."""
    state, out = 1, np.empty(2 << size, np.float32)
    for at in range(2 << size):
        state = (state * 1664525 + 1013904223) & 0xFFFFFFFF
        out[at] = np.float32((state - (state >> 31 << 32)) * 2.0**-31)
    return (out[0::2] + 1j * out[1::2]).astype(np.complex64)


async def fft(bench: Bench, rounds: int) -> dict[str, Any]:
    module, native = bench.module("fft", Path("bench/fft.c"), "slice"), Native(bench)
    found: dict[str, Any] = {}
    async with bench.slots(1) as slots:
        for size in SIZES:
            x = numbers(size)
            work = WORK[size]
            flop = 5 * (1 << size) * size
            speeds: dict[str, list[float]] = {"wasm": [], "native": [], "scipy": []}
            for _ in range(rounds):
                took = 0.0
                left = work
                while left:
                    now = min(left, 250)
                    some = await slots.run(bench.job(slots, module, "slice", bytes([size, now])))
                    none = await slots.run(bench.job(slots, module, "slice", bytes([size, 0])))
                    took += some.seconds - none.seconds
                    left -= now
                speeds["wasm"].append(flop * work / took / 1e9)
                took, spectrum = native.run(size, work)
                speeds["native"].append(flop * work / took / 1e9)
                began = time.thread_time()
                for _ in range(work):
                    right = scipy.fft.fft(x)
                speeds["scipy"].append(flop * work / (time.thread_time() - began) / 1e9)
                data = some.output or await asyncio.to_thread(Path(some.output_path).read_bytes)
                ours = np.frombuffer(data, "<f4")
                error = np.abs(ours[: 1 << size] + 1j * ours[1 << size :] - right).max() / np.abs(right).max()
                assert error < 1e-5 and np.abs(spectrum - right).max() / np.abs(right).max() < 1e-5, error
            found[f"2^{size}"] = {
                **{f"{name}_gflops": round(statistics.median(all_), 2) for name, all_ in speeds.items()},
                "wasm_to_native": ratio(speeds["wasm"], speeds["native"]),
                "wasm_to_scipy": ratio(speeds["wasm"], speeds["scipy"]),
            }
    return found


def ratio(ours: list[float], theirs: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(ours, theirs, strict=True)), 3)


async def both(bench: Bench, rounds: int) -> dict[str, Any]:
    """Units of a third of a second, by one process and by two."""
    module = bench.module("fft", Path("bench/fft.c"), "slice")
    inputs = [bytes([14, 250]) for _ in range(16)]
    times: dict[int, list[float]] = {1: [], 2: []}
    cpu: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for cores in (1, 2):
            async with bench.slots(cores) as slots:
                await many(bench, slots, module, "slice", inputs[: 2 * cores])
                children = [psutil.Process(pid) for pid in slots.pids()]
                before, began = sum(sum(c.cpu_times()[:2]) for c in children), time.perf_counter()
                await many(bench, slots, module, "slice", inputs)
                times[cores].append(time.perf_counter() - began)
                cpu[cores].append(sum(sum(c.cpu_times()[:2]) for c in children) - before)
    return {
        "two_to_one": ratio(times[1], times[2]),
        "all": [round(a / b, 2) for a, b in zip(times[1], times[2], strict=True)],
        # Of the same work; 1.0: two do not hinder each other, and two free cores would be twice one.
        "cpu_s_one_to_two": ratio(cpu[1], cpu[2]),
        "cores_had": round(statistics.median(c / t for c, t in zip(cpu[2], times[2], strict=True)), 2),
    }


async def run(arguments: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        bench = Bench(Path(place))
        found: dict[str, Any] = {
            "cores": sorted(os.sched_getaffinity(0)),
            "load": round(os.getloadavg()[0], 1),
        }
        if "tiny" in arguments.only:
            found["tiny"] = await tiny(bench, arguments.units, arguments.rounds)
        if "fft" in arguments.only:
            found["fft"] = await fft(bench, arguments.rounds)
        if "both" in arguments.only:
            found["both"] = await both(bench, arguments.rounds)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--units", type=int, default=20000)
    parser.add_argument("--only", nargs="+", default=["tiny", "fft", "both"])
    found = asyncio.run(run(parser.parse_args()))
    print(json.dumps(found, indent=None if parser.parse_args().json else 2))


if __name__ == "__main__":
    main()
