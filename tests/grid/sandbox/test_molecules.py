"""The example of molecular dynamics: right by a slow reference, energy kept, and the same bits however it is interrupted, divided into generations, or compiled."""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import re
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servent.grid.manifests import Limits
from servent.grid.pictures import read_picture
from servent.grid.sandbox.cc import INCLUDE, compile_c, zig
from servent.grid.sandbox.jobs import Ended, Saved
from tests.grid.sandbox.rig import Rig

SOURCE = Path(__file__).parents[3] / "examples/grid/molecules.c"
LIMITS = Limits(seconds=300, memory_bytes=16 << 20, output_bytes=8 << 20, checkpoint_bytes=8 << 20)
HEAD = struct.Struct("<20sIQIIdddIId")
MAGIC = b"servent molecules 1\n"
OFTEN = 1e-9  # s between snapshots: one after each slice
KEPT = 2e-3  # epsilon an atom; velocity Verlet swings by about dt^2, and does not drift

pytestmark = pytest.mark.skipif(zig() is None, reason="needs ziglang")


@dataclass
class Result:
    """A result of the module, as its source describes it."""

    atoms: int
    step: int
    box: float
    cutoff: float
    dt: float
    began: float
    x: Any  # (atoms, 3)
    v: Any
    energies: Any  # (frames, 2): potential, kinetic
    frames: bytes

    @classmethod
    def of(cls, data: bytes) -> Result:
        magic, n, step, _, _, box, cutoff, dt, frames, zero, began = HEAD.unpack_from(data)
        assert (magic, zero, len(data)) == (MAGIC, 0, HEAD.size + 48 * n + frames * (16 + 6 * n))
        state = np.frombuffer(data, "<f8", 6 * n, HEAD.size).reshape(2, n, 3)
        rest = data[HEAD.size + 48 * n :]
        each = 16 + 6 * n
        energies = [struct.unpack_from("<dd", rest, at * each) for at in range(frames)]
        return cls(
            n, step, box, cutoff, dt, began, state[0], state[1], np.array(energies).reshape(-1, 2), rest
        )

    @property
    def state(self) -> bytes:
        return bytes(self.x.tobytes() + self.v.tobytes())


def forces(x: Any, box: float, cutoff: float) -> tuple[Any, float]:
    """Lennard-Jones with shifted force over all pairs, as textbooks write it: forces and potential energy."""
    d = x[:, None, :] - x[None, :, :]
    d -= box * np.round(d / box)
    r2 = (d**2).sum(-1)
    np.fill_diagonal(r2, np.inf)
    r = np.sqrt(r2)
    slope = -48 * cutoff**-13 + 24 * cutoff**-7
    near = r < cutoff
    with np.errstate(invalid="ignore"):
        energy = np.where(
            near, 4 * (r**-12 - r**-6) - 4 * (cutoff**-12 - cutoff**-6) - (r - cutoff) * slope, 0.0
        )
    pull = np.where(near, 48 * r**-14 - 24 * r**-8 + slope / r, 0.0)
    return (pull[:, :, None] * d).sum(1), energy.sum() / 2


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return compile_c([SOURCE], tmp_path_factory.mktemp("c") / "m.wasm", abi="slice").read_bytes()


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("sandbox")) as rig:
        yield rig


def run(rig: Rig, code: bytes, stdin: bytes, **wanted: Any) -> Ended:
    return rig.run(code, "slice", stdin=stdin, limits=LIMITS, budget=300.0, **wanted)


def output(ended: Ended) -> bytes:
    assert ended.outcome == "done", ended.words
    return ended.output or Path(ended.output_path).read_bytes()


@pytest.mark.parametrize("atoms", [108, 700], ids=["all pairs", "cells"])
def test_it_moves_atoms_as_the_textbook_does(rig: Rig, code: bytes, atoms: int) -> None:
    first = Result.of(output(run(rig, code, b"atoms %d steps 1 every 1 seed 3" % atoms)))
    assert atoms == 108 or first.box / (first.cutoff + 0.4) >= 3, "it makes cells"
    x, v = first.x.copy(), first.v.copy()
    steps = 100 if atoms == 108 else 12
    data = bytearray(output(run(rig, code, b"atoms %d steps 1 every 1 seed 3" % atoms)))
    data[32:36] = steps.to_bytes(4, "little")
    last = Result.of(output(run(rig, code, bytes(data))))
    force, energy = forces(x, first.box, first.cutoff)
    assert abs(energy - first.energies[0][0]) < 1e-9 * atoms
    for step in range(steps):
        v += 0.5 * first.dt * force
        x = (x + first.dt * v) % first.box
        force, energy = forces(x, first.box, first.cutoff)
        v += 0.5 * first.dt * force
        potential, kinetic = last.energies[step]
        assert abs(energy - potential) < 1e-7 * atoms
        assert abs((v**2).sum() / 2 - kinetic) < 1e-7 * atoms
    off = x - last.x
    off -= first.box * np.round(off / first.box)
    assert np.abs(off).max() < 1e-7 and np.abs(v - last.v).max() < 1e-7
    seen = np.frombuffer(last.frames[-6 * atoms :], "<u2").reshape(-1, 3) / 65536 * first.box
    assert np.abs(seen - last.x).max() <= first.box / 65536


def test_energy_and_momentum_are_kept(rig: Rig, code: bytes) -> None:
    """From the crystal, through melting, to the liquid; also in sum, over 3,000 steps."""
    made = Result.of(output(run(rig, code, b"atoms 108 steps 3000 every 50")))
    assert (made.step, len(made.energies)) == (3000, 60)
    assert np.abs(made.energies.sum(1) - made.began).max() / made.atoms < KEPT
    assert np.abs(made.v.sum(0)).max() < 1e-9
    assert 0.5 < made.energies[-10:, 1].mean() / (1.5 * made.atoms) < 0.95, "the temperature of the liquid"


def test_it_shows_its_atoms_while_somebody_looks_which_changes_nothing(rig: Rig, code: bytes) -> None:
    text = b"atoms 108 steps 6000 every 100"
    pictures: list[bytes] = []

    async def watched() -> Ended:
        job = rig.job(code, "slice", stdin=text, limits=LIMITS, budget=300.0)
        asyncio.get_running_loop().call_soon(rig.slots.watch, job.number, pictures.append)
        return await rig.slots.run(job)

    ended = rig.do(watched())
    made = Result.of(output(ended))
    assert pictures and ended.digest == run(rig, code, text).digest
    for shown in map(read_picture, pictures):
        assert (shown.kind, shown.width, shown.x.label) == ("points", 108, "x, sigma")
        assert abs(shown.z.high - made.box) < 1e-5
        said = re.fullmatch(r"108 atoms, step (\d+) of 6000, temperature (\d+\.\d\d)", shown.words)
        assert said and 0 < int(said[1]) <= 6000 and 0.4 < float(said[2]) < 1.5
        kinds = shown.data[6 * 108 :]
        assert len(set(kinds)) > 5 and 5 < sum(kinds) / 108 < 9, "around the middle, which is the usual speed"
        places = np.frombuffer(shown.data, "<u2", 3 * 108)
        assert len(np.unique(places)) > 250, "not all in one place"


@pytest.mark.slow
def test_energy_is_kept_over_a_hundred_thousand_steps(rig: Rig, code: bytes) -> None:
    text = b"atoms 108 steps 100000 every 100"
    ended = rig.do(
        rig.slots.run(rig.job(code, "slice", stdin=text, limits=LIMITS, budget=300.0), None, None), 280.0
    )
    made = Result.of(output(ended))
    energy = made.energies.sum(1) / made.atoms
    assert made.step == 100_000 and len(energy) == 1000
    assert np.abs(energy - made.began / made.atoms).max() < KEPT
    assert abs(energy[-200:].mean() - energy[:200].mean()) < KEPT / 10, "no drift"


def test_interrupted_ten_times_at_home_and_elsewhere_it_ends_with_the_same_bits(
    rig: Rig, code: bytes, tmp_path: Path
) -> None:
    """Each time it goes on in another folder, by the process of another node, from nothing but the snapshot; also in the middle of the life of a list of neighbours."""
    rig.saved.clear()
    text = b"atoms 2048 density 0.02 cutoff 1.5 temperature 0.2 steps 6000 every 600"
    whole = run(rig, code, text, checkpoint_every=OFTEN)
    assert whole.slices >= 25, "there is where to interrupt it"
    digests = [saved.digest for saved in rig.saved]
    last = rig.saved[0]
    kept = Path(last.path).read_bytes()
    with Rig(tmp_path / "one") as one, Rig(tmp_path / "two") as two:
        for time in range(1, 11):
            other = (one, two)[time % 2]
            path = other.folder / f"travelled-{time}"
            path.write_bytes(kept)
            other.saved.clear()

            def saved(told: Saved, other: Rig = other, time: int = time) -> None:
                other.saved.append(told)
                if time < 10 and len(other.saved) == 1:
                    other.slots.suspend(told.number)

            job = other.job(
                code, "slice", stdin=text, limits=LIMITS, budget=300.0, checkpoint_every=OFTEN,
                resume=str(path), resume_slices=last.slices, resume_digest=last.digest,
            )  # fmt: skip
            ended = other.do(other.slots.run(job, None, saved))
            assert ended.suspended == (time < 10)
            for told in other.saved:
                assert told.digest == digests[told.slices - 1], "the same state, not only the same end"
            last = other.saved[-1]
            kept = Path(last.path).read_bytes()
        assert output(ended) == output(whole) and ended.digest == whole.digest


def test_ten_generations_are_one_long_run_bit_by_bit(rig: Rig, code: bytes) -> None:
    """The list of neighbours is made anew at the beginning of each; it shows in no bit."""
    whole = Result.of(output(run(rig, code, b"atoms 864 steps 250 every 20 seed 5")))
    given, frames = b"atoms 864 steps 25 every 20 seed 5", b""
    for generation in range(10):
        given = output(run(rig, code, given))
        part = Result.of(given)
        assert part.step == 25 * (generation + 1)
        frames += part.frames
    assert (part.state, frames) == (whole.state, whole.frames) and part.began == whole.began


def test_native_code_gives_the_same_bits(rig: Rig, code: bytes, tmp_path: Path) -> None:
    """Another instruction set, with the same source: nothing in it is left to a compiler or a processor."""
    text = b"atoms 500 steps 400 every 100"
    library = tmp_path / "molecules.so"
    made = subprocess.run(
        [str(zig()), "cc", "-O3", "-ffp-contract=off", "-shared", "-fPIC", "-nostdlib", "-w", "-I", str(INCLUDE), "-o", str(library), str(SOURCE)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    native = ctypes.CDLL(str(library))
    native.alloc.restype, native.result.restype = ctypes.c_void_p, ctypes.c_uint64
    room = native.alloc(ctypes.c_uint32(len(text)))
    ctypes.memmove(room, text, len(text))
    assert native.begin(ctypes.c_void_p(room), ctypes.c_uint32(len(text))) == 0
    while native.slice() > 0:
        pass
    size = native.result() & 0xFFFFFFFF
    found = ctypes.string_at(room, size)
    assert hashlib.sha256(found).digest() == run(rig, code, text).digest


@pytest.mark.parametrize(
    ("given", "code_of"),
    [
        (b"atoms", 1), (b"atoms many", 1), (b"protons 5", 1), (b"atoms 3", 3), (b"atoms 1e9", 1), (b"atoms 20000", 3),
        (b"atoms 10", 3), (b"steps 0", 3), (b"steps 1.5", 3), (b"dt 0.2", 3), (b"dt 0", 3), (b"cutoff 9", 3), (b"atoms 256 every 1 steps 50000", 4),
        (MAGIC, 2), (MAGIC + bytes(60), 2), (MAGIC + (10).to_bytes(4, "little") + bytes(56), 2),
    ],
)  # fmt: skip
def test_what_is_no_state_is_refused_with_a_code(rig: Rig, code: bytes, given: bytes, code_of: int) -> None:
    ended = run(rig, code, given)
    assert ended.outcome in ("exit", "memory") and f"code {code_of}" in ended.words


@pytest.fixture(scope="module")
def small(rig: Rig, code: bytes) -> bytes:
    return output(run(rig, code, b"atoms 32 density 0.3 cutoff 2 steps 3 every 2"))


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    at=st.integers(0, 2000), what=st.binary(min_size=1, max_size=8), cut=st.integers(0, 3), few=st.booleans()
)
def test_a_damaged_state_ends_in_words_or_numbers_never_outside(
    rig: Rig, code: bytes, small: bytes, at: int, what: bytes, cut: int, few: bool
) -> None:
    data = bytearray(small)
    at %= len(data)
    data[at : at + len(what)] = what[: len(data) - at]
    if few and 28 <= at < 40:
        data[32:36] = (5).to_bytes(4, "little")  # else it may have a thousand million steps to do
    elif 25 <= at < 36:
        return
    ended = run(rig, code, bytes(data[: len(data) - cut]))
    assert ended.outcome in ("done", "exit", "memory"), ended.words
    if ended.outcome == "done":
        made = Result.of(output(ended))
        assert np.isfinite(made.x).all() and np.isfinite(made.v).all() and np.isfinite(made.energies).all()


def test_atoms_that_lie_in_each_other_are_told_of(rig: Rig, code: bytes, small: bytes) -> None:
    data = bytearray(small)
    data[104:128] = data[80:104]  # the second where the first is
    assert "code 5" in run(rig, code, bytes(data)).words
    data[104] ^= 1
    ended = run(rig, code, bytes(data))
    assert ended.outcome in ("exit", "memory") and ("code -1" in ended.words or "code 5" in ended.words)
