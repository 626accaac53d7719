"""What `molecules` takes: molecular dynamics in the sandbox beside the same C compiled natively, how well energy is kept, and what a snapshot has in bytes.

    python -m bench.molecules [--json] [--rounds 5] [--atoms 108 864 4000] [--steps 100000]

For each number of atoms a liquid of density 0.8442 that has melted already, so many steps that a round takes about a second. The kernel runs through `Slots`, as a volunteer
runs it; natively it is a shared library for AVX2, whose results have the same bits (which is checked: nothing is fused, nothing is reordered). Rounds of both alternate; each figure is the median, a
ratio is that of the round. Seconds are those of the thread, without compiling. Energy: `steps` of 108 atoms from the crystal through melting, natively. Snapshots: as a volunteer writes them after
slices, the last one and the largest. Needs `ziglang`. Pin it: `taskset -c 2,3`.
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import hashlib
import json
import os
import statistics
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from servent.grid import trajectories
from servent.grid.manifests import Limits
from servent.grid.sandbox.cc import INCLUDE, compile_c, zig
from servent.grid.sandbox.jobs import Ended, Job, Saved
from servent.grid.sandbox.slots_service import Slots

SOURCE = Path(__file__).parents[1] / "examples/grid/molecules.c"
LIMITS = Limits(seconds=600.0, memory_bytes=16 << 20, output_bytes=8 << 20, checkpoint_bytes=8 << 20)
WORK = 1_000_000  # atoms times steps of a round: about a second
MELT = 300  # steps before what is measured
OFTEN = 1e-9  # s between snapshots: after each slice


class Native:
    """The same source as a shared library."""

    def __init__(self, folder: Path) -> None:
        path, program = folder / "molecules.so", zig()
        assert program is not None
        flags = ["-O3", "-mavx2", "-ffp-contract=off", "-shared", "-fPIC", "-w", "-I", str(INCLUDE)]
        subprocess.run([program, "cc", *flags, "-o", str(path), str(SOURCE)], check=True)
        self.library = ctypes.CDLL(str(path))
        self.library.alloc.restype = ctypes.c_void_p
        self.library.result.restype = ctypes.c_uint64

    def run(self, given: bytes) -> tuple[float, bytes]:
        """(seconds of the thread, result)."""
        began = time.thread_time()
        room = self.library.alloc(ctypes.c_uint32(len(given)))
        ctypes.memmove(room, given, len(given))
        assert self.library.begin(ctypes.c_void_p(room), ctypes.c_uint32(len(given))) == 0
        while (more := self.library.slice()) > 0:
            pass
        assert more == 0
        size = self.library.result() & 0xFFFFFFFF
        return time.thread_time() - began, ctypes.string_at(room, size)


def again(state: bytes, steps: int) -> bytes:
    """The state as an input of so many steps, with one frame at most."""
    changed = bytearray(state)
    struct.pack_into("<II", changed, 32, steps, 2**31)
    head = trajectories.read_head(state[: trajectories.HEAD_BYTES], len(state))
    struct.pack_into("<I", changed, 64, 0)
    return bytes(changed[: head.at(0)])


async def run(rounds: int, sizes: list[int], steps: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        folder = Path(place)
        module = compile_c([SOURCE], folder / "molecules.wasm", abi="slice")
        native = Native(folder)
        digest = hashlib.sha256(module.read_bytes()).digest()
        async with Slots(folder / "compiled", writes=[folder], cores=1, gentle=False) as slots:

            async def sandboxed(given: bytes, **more: Any) -> tuple[Ended, list[int]]:
                snapshots: list[int] = []
                source = folder / "given"
                source.write_bytes(given)
                job = Job(
                    number=slots.number(),
                    module=str(module),
                    digest=digest,
                    abi="slice",
                    seed=bytes(32),
                    limits=LIMITS,
                    folder=str(folder),
                    stdin_path=str(source),
                    budget=600.0,
                    **more,
                )

                def saved(told: Saved) -> None:
                    snapshots.append(Path(told.path).stat().st_size)

                ended = await slots.run(job, None, saved)
                assert ended.outcome == "done", ended.words
                return ended, snapshots

            found = [await one(rounds, atoms, native, sandboxed) for atoms in sizes]
        return {
            "cores": sorted(os.sched_getaffinity(0)),
            "load": round(os.getloadavg()[0], 1),
            "module_bytes": module.stat().st_size,
            "sizes": found,
            "energy": energy(native, steps),
        }


async def one(rounds: int, atoms: int, native: Native, sandboxed: Any) -> dict[str, Any]:
    _, melted = native.run(b"atoms %d steps %d every 1000000" % (atoms, MELT))
    steps = max(20, WORK // atoms)
    given = again(melted, steps)
    wasm: list[float] = []
    theirs: list[float] = []
    for round_ in range(rounds + 1):
        ended, _ = await sandboxed(given)
        took, result = native.run(given)
        assert ended.digest == hashlib.sha256(result).digest(), "the same bits"
        if round_:  # the first warms up
            wasm.append(ended.seconds)
            theirs.append(took)
    _, snapshots = await sandboxed(given, checkpoint_every=OFTEN)
    return {
        "atoms": atoms,
        "steps": steps,
        "steps_per_s": {
            "wasm": round(steps / statistics.median(wasm)),
            "native": round(steps / statistics.median(theirs)),
        },
        "wasm_to_native": round(statistics.median(b / a for a, b in zip(wasm, theirs, strict=True)), 3),
        "state_bytes": len(given),
        "snapshot_bytes": {"last": snapshots[-1], "most": max(snapshots)} if snapshots else None,
    }


def energy(native: Native, steps: int) -> dict[str, Any]:
    """Of an atom, in epsilon: how far the sum strays from where it began, and how far the last fifth is from the first."""
    every = max(1, steps // 1000)
    _, data = native.run(b"atoms 108 steps %d every %d" % (steps, every))
    head = trajectories.read_head(data[: trajectories.HEAD_BYTES], len(data))
    sums = [
        sum(trajectories.read_energies(data[head.at(frame) :][:16])) / head.atoms
        for frame in range(head.frames)
    ]
    fifth = max(1, len(sums) // 5)
    return {
        "atoms": head.atoms,
        "steps": steps,
        "off_most": float(f"{max(abs(one - head.began / head.atoms) for one in sums):.2g}"),
        "drift": float(f"{abs(statistics.fmean(sums[-fifth:]) - statistics.fmean(sums[:fifth])):.2g}"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--atoms", type=int, nargs="+", default=[108, 864, 4000])
    parser.add_argument("--steps", type=int, default=100_000)
    said = parser.parse_args()
    found = asyncio.run(run(said.rounds, said.atoms, said.steps))
    print(json.dumps(found, indent=None if said.json else 2))


if __name__ == "__main__":
    main()
