"""What `listen` takes: the kernel in the sandbox, the same C compiled natively for AVX2 with FMA, and the same search with numpy and scipy.

    python -m bench.listen [--json] [--rounds 5] [--first 1] [--last 33] [--watts 8]

A part of a whole unit of 2^20 samples: drift steps from `first` to before `last`; 32 of them hold all longer lengths as often as the whole unit does. The kernel runs through `Slots`, as a
volunteer runs it. Rounds of all alternate; each figure is the median, a ratio is that of the round. Seconds are those of the thread; operations are those of the plan, the Fourier transform as
5 N log2 N. All three must find the same. What a unit takes is reckoned from the rate, its energy from `watts` for a busy core, which is not measured. Needs `ziglang`, numpy and scipy.
Pin it: `OPENBLAS_NUM_THREADS=1 taskset -c 2,3`.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import hashlib
import json
import os
import random
import statistics
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.listen_reference import Reference
from servent.grid.manifests import Limits
from servent.grid.sandbox.cc import compile_c, zig
from servent.grid.sandbox.jobs import Job
from servent.grid.sandbox.slots_service import Slots
from servent.listen import kernel, units
from servent.listen.making import Injected, make
from servent.listen.plan import Search
from servent.listen.signals import Result, read_result

LIMITS = Limits(seconds=600.0, memory_bytes=kernel.MEMORY_BYTES, output_bytes=kernel.OUTPUT_BYTES)
HEAD, SIGNAL = 96, 144  # bytes of a result
SMALL_UNIT = 3.1e12  # operations; what was told of SETI@home's units


class Native:
    """The same source as a shared library; its vectors are twice as wide."""

    def __init__(self, folder: Path) -> None:
        path, program = folder / "listen.so", zig()
        assert program is not None
        flags = ["-O3", "-mavx2", "-mfma", "-shared", "-fPIC", "-w"]
        subprocess.run([program, "cc", *flags, "-o", path, kernel.SOURCE], check=True)
        self.library = ctypes.CDLL(str(path))
        self.library.alloc.restype = ctypes.c_void_p
        self.library.result.restype = ctypes.c_uint64

    def run(self, unit: bytes) -> tuple[float, Result]:
        """(seconds of the thread, what it found)."""
        began = time.thread_time()
        at = self.library.alloc(len(unit))
        ctypes.memmove(at, unit, len(unit))
        assert self.library.begin(ctypes.c_void_p(at), len(unit)) == 0
        while (more := self.library.slice()) > 0:
            pass
        assert more == 0
        place = self.library.result()
        kept = struct.unpack_from("<4I", ctypes.string_at(place, HEAD), 64)
        found = ctypes.string_at(place, HEAD + SIGNAL * (4 + sum(kept)))
        return time.thread_time() - began, read_result(found)


async def run(rounds: int, first: int, last: int, watts: float) -> dict[str, Any]:
    search = Search()
    samples = make(search, [Injected("spike", 1234.5, 10 * search.step, 0.05)], random.Random(1))
    unit = units.pack(search, samples, (first, last))
    operations = search.operations(first, last)
    seconds: dict[str, list[float]] = {"wasm": [], "native": [], "numpy": []}
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        folder = Path(place)
        module = compile_c([kernel.SOURCE], folder / "listen.wasm", abi="slice", library=False)
        native = Native(folder)
        source = folder / "unit"
        source.write_bytes(unit)
        async with Slots(folder / "compiled", writes=[folder], cores=1, gentle=False) as slots:
            for round_ in range(rounds + 1):
                job = Job(
                    number=slots.number(),
                    module=str(module),
                    digest=hashlib.sha256(module.read_bytes()).digest(),
                    abi="slice",
                    seed=bytes(32),
                    limits=LIMITS,
                    folder=str(folder),
                    stdin_path=str(source),
                    budget=600.0,
                )
                ended = await slots.run(job)
                assert ended.outcome == "done", ended.words
                ours = read_result(ended.output)
                took, theirs = native.run(unit)
                began = time.thread_time()
                reference = Reference(search, samples)
                reference.run(first, last)
                if not round_:  # warms up
                    continue
                seconds["wasm"].append(ended.seconds)
                seconds["native"].append(took)
                seconds["numpy"].append(time.thread_time() - began)
                assert ours.operations == theirs.operations == operations
                for mine, native_ in zip(ours.best, theirs.best, strict=True):
                    seen = reference.best[mine.kind]
                    assert (mine.length, mine.step, mine.bin, mine.spectrum) == seen[2:]
                    assert abs(mine.power - native_.power) < 1e-3 * mine.power
    rate = operations / statistics.median(seconds["wasm"])
    whole = search.operations(search.first, search.last)
    return {
        "cores": sorted(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "steps": [first, last],
        "operations": operations,
        "seconds": {name: round(statistics.median(all_), 3) for name, all_ in seconds.items()},
        "gops": {
            name: round(operations / statistics.median(all_) / 1e9, 2) for name, all_ in seconds.items()
        },
        "wasm_to_native": ratio(seconds["native"], seconds["wasm"]),
        "wasm_to_numpy": ratio(seconds["numpy"], seconds["wasm"]),
        "whole_unit": {
            "operations": whole,
            "minutes_of_a_core": round(whole / rate / 60, 1),
            "watt_hours": round(whole / rate / 3600 * watts, 2),
        },
        "unit_of_3.1e12": {
            "minutes_of_a_core": round(SMALL_UNIT / rate / 60, 1),
            "watt_hours": round(SMALL_UNIT / rate / 3600 * watts, 2),
        },
        "ten_seconds_are_one_part_of": round(whole / rate / 10),
    }


def ratio(theirs: list[float], ours: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(theirs, ours, strict=True)), 3)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--last", type=int, default=33)
    parser.add_argument("--watts", type=float, default=8.0)
    said = parser.parse_args()
    found = asyncio.run(run(said.rounds, said.first, said.last, said.watts))
    print(json.dumps(found, indent=None if said.json else 2))


if __name__ == "__main__":
    main()
