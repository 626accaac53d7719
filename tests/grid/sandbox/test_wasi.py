"""The world of a unit: the same everywhere, and nothing but bytes."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.grid.sandbox.cc import DoesNotCompile, compile_c, zig
from servent.grid.sandbox.wasi import FUNCTIONS, Exit, Outside, TooMuch, World
from tests.grid.sandbox.rig import LIMITS, SEED, Rig

EXAMPLES = Path(__file__).parents[3] / "examples/grid"
needs_compiler = pytest.mark.skipif(zig() is None, reason="needs ziglang")


class Memory:
    def __init__(self, size: int = 4096) -> None:
        self.data = bytearray(size)

    def read(self, at: int, size: int) -> bytes:
        if at + size > len(self.data):
            raise Outside
        return bytes(self.data[at : at + size])

    def write(self, at: int, data: bytes) -> None:
        if at + len(data) > len(self.data):
            raise Outside
        self.data[at : at + len(data)] = data

    def moved(self) -> None:
        pass

    def number(self, at: int, size: int = 4) -> int:
        return int.from_bytes(self.data[at : at + size], "little")


def world(
    stdin: bytes = b"", most: int = 1000, args: list[str] | None = None
) -> tuple[World, Memory, list[bytes]]:
    out: list[bytes] = []
    left = bytearray(stdin)

    def take(size: int) -> bytes:
        data = bytes(left[:size])
        del left[:size]
        return data

    made = World(args or [], SEED, take, out.append, most)
    made.memory = memory = Memory()
    return made, memory, out


def test_arguments_come_behind_the_name_of_the_program() -> None:
    one, memory, _ = world(args=["--fast", "ünï"])
    assert one.call("args_sizes_get", [0, 4]) == 0
    assert (memory.number(0), memory.number(4)) == (3, 5 + 7 + 6)
    assert one.call("args_get", [16, 100]) == 0
    assert bytes(memory.data[100:118]) == "unit\0--fast\0ünï\0".encode()
    assert [memory.number(at) for at in (16, 20, 24)] == [100, 105, 112]


def test_the_clock_is_the_same_for_all_and_moves_when_it_is_looked_at() -> None:
    seen = []
    for _ in range(2):
        one, memory, _ = world()
        times = []
        for _ in range(3):
            assert one.call("clock_time_get", [0, 0, 0]) == 0
            times.append(memory.number(0, 8))
        seen.append(times)
    assert seen[0] == seen[1] == [10**18 + n * 10**6 for n in (1, 2, 3)]


def test_a_sleep_is_over_at_once_and_the_clock_is_where_it_would_be() -> None:
    one, memory, _ = world()
    memory.write(0, struct.pack("<QB7xIxxxxQQH", 77, 0, 1, 5 * 10**9, 0, 0))
    assert one.call("poll_oneoff", [0, 200, 1, 300]) == 0
    assert memory.number(300) == 1 and memory.number(200, 8) == 77
    one.call("clock_time_get", [1, 0, 0])
    assert memory.number(0, 8) == 5 * 10**9 + 10**6


def test_dice_follow_the_seed_and_how_often_they_were_thrown() -> None:
    one, memory, _ = world()
    one.call("random_get", [0, 8])
    one.call("random_get", [8, 8])
    again = World([], SEED, lambda n: b"", lambda b: None, 0, rolls=1)
    again.memory = other = Memory()
    again.call("random_get", [0, 8])
    assert other.read(0, 8) == memory.read(8, 8) != memory.read(0, 8)
    assert memory.read(0, 8) == hashlib.shake_128(SEED + struct.pack("<Q", 1)).digest(8)


def test_input_and_output_in_parts() -> None:
    one, memory, out = world(stdin=b"hello world")
    memory.write(0, struct.pack("<IIII", 100, 5, 200, 50))
    assert one.call("fd_read", [0, 0, 2, 16]) == 0
    assert memory.number(16) == 11 and memory.read(100, 5) + memory.read(200, 6) == b"hello world"
    assert one.call("fd_write", [1, 0, 2, 16]) == 0
    assert b"".join(out) == b"hello" + b" world" + bytes(44)
    with pytest.raises(TooMuch):
        for _ in range(20):
            one.call("fd_write", [1, 0, 2, 16])
    with pytest.raises(Exit) as exit:
        one.call("proc_exit", [3])
    assert exit.value.code == 3


@given(
    st.sampled_from(sorted(FUNCTIONS)),
    st.lists(st.one_of(st.integers(0, 64), st.integers(0, 2**32 - 1)), min_size=9, max_size=9),
    st.binary(max_size=200),
)
def test_no_call_with_any_arguments_does_anything_else_than_answer(
    name: str, arguments: list[int], memory: bytes
) -> None:
    one, seen, out = world(stdin=b"x" * 100, args=["a"])
    seen.data[: len(memory)] = memory
    try:
        answer = one.call(name, arguments[: len(FUNCTIONS[name][0])])
        assert 0 <= answer <= 76
    except (Exit, TooMuch):
        pass
    assert len(seen.data) == 4096 and sum(map(len, out)) <= 1000


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("sandbox")) as rig:
        yield rig


@needs_compiler
def test_the_example_in_slices_finds_cole_s_factor(rig: Rig, tmp_path: Path) -> None:
    """2^67 - 1 = 193707721 * 761838257287 (Cole, 1903): k = 1445580 of 2kp + 1."""
    made = compile_c([EXAMPLES / "mersenne.c"], tmp_path / "mersenne.wasm", abi="slice").read_bytes()
    ended = rig.run(made, "slice", stdin=b"67 1000000 2000000\n", checkpoint_every=1e-9)
    assert (ended.outcome, ended.output, ended.slices) == ("done", b"67 1445580 193707721\n", 6)
    assert rig.saved and rig.saved[2].fraction == pytest.approx(0.6, abs=0.01)
    resumed = rig.run(made, "slice", stdin=b"67 1000000 2000000\n", resume=rig.saved[1].path, resume_slices=2)
    assert (resumed.output, resumed.slices) == (ended.output, 6)
    refused = rig.run(made, "slice", stdin=b"nonsense")
    assert (refused.outcome, refused.words) == ("exit", "it ended itself with code 1")


@needs_compiler
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_examples_with_the_c_library_do_what_they_say(rig: Rig, tmp_path: Path) -> None:
    """The first build makes the C library, which takes half a minute."""
    words = compile_c([EXAMPLES / "words.c"], tmp_path / "words.wasm").read_bytes()
    ended = rig.run(words, stdin=b"the cat and the dog and the bird")
    assert ended.output == b"3 the\n2 and\n1 bird\n1 cat\n1 dog\n"
    picture = compile_c([EXAMPLES / "mandelbrot.c"], tmp_path / "mandelbrot.wasm").read_bytes()
    ended = rig.run(picture, args=["-0.5", "0", "3", "32"])
    assert ended.output.startswith(b"P5 32 32 255\n") and len(ended.output) == 13 + 32 * 32
    assert 0 in ended.output[13:] and ended.output == rig.run(picture, args=["-0.5", "0", "3", "32"]).output
    ended = rig.run(picture)
    assert (ended.outcome, ended.words) == (
        "exit",
        "it ended itself with code 2; it said: wanted: x y width side",
    )


@needs_compiler
def test_sources_that_do_not_compile_are_told_of(tmp_path: Path) -> None:
    source = tmp_path / "broken.c"
    source.write_text("int main(void) { return nothing; }")
    with pytest.raises(DoesNotCompile, match="nothing"):
        compile_c([source], tmp_path / "broken.wasm", library=False)
    assert LIMITS.output_bytes
