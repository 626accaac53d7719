"""Modules that mean harm. Each is contained, each is told of in words, and whoever comes after it in the same process is served as before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servent.grid.manifests import Limits
from servent.grid.sandbox.engine import Engine, Halted, Instance
from tests.grid.sandbox.rig import ECHO, LIMITS, Rig, counts, module


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("sandbox"), compiling=1.0) as rig:
        yield rig


def wasi(*names: str) -> str:
    takes = {
        "fd_write": "(param i32 i32 i32 i32) (result i32)",
        "fd_read": "(param i32 i32 i32 i32) (result i32)",
        "path_open": "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)",
        "fd_prestat_get": "(param i32 i32) (result i32)",
        "sock_accept": "(param i32 i32 i32) (result i32)",
        "proc_exit": "(param i32)",
        "clock_time_get": "(param i32 i64 i32) (result i32)",
        "random_get": "(param i32 i32) (result i32)",
        "poll_oneoff": "(param i32 i32 i32 i32) (result i32)",
        "environ_sizes_get": "(param i32 i32) (result i32)",
    }
    return "".join(
        f'(import "wasi_snapshot_preview1" "{name}" (func ${name} {takes[name]}))' for name in names
    )


def command(body: str, *names: str, memory: str = "1", more: str = "") -> bytes:
    return module(
        f'(module {wasi(*names)} (memory (export "memory") {memory}) {more} (func (export "_start") {body}))'
    )


def sliced(
    *,
    slice: str = "(i32.const 0)",
    result: str = "(i64.const 0)",
    alloc: str = "(i32.const 64)",
    begin: str = "(i32.const 0)",
    more: str = "",
) -> bytes:
    return module(
        f"""(module (memory (export "memory") 1) {more}
        (func (export "alloc") (param i32) (result i32) {alloc})
        (func (export "begin") (param i32 i32) (result i32) {begin})
        (func (export "slice") (result i32) {slice})
        (func (export "result") (result i64) {result}))"""
    )


def write(fd: int) -> str:
    """64 KiB to `fd`, again and again."""
    return f"""(i32.store (i32.const 0) (i32.const 0)) (i32.store (i32.const 4) (i32.const 65536))
        (loop $l (drop (call $fd_write (i32.const {fd}) (i32.const 0) (i32.const 1) (i32.const 8))) (br $l))"""


def compile_bomb() -> bytes:
    """A function so long that its compilation takes 7 s of a quick core: over a million instructions that all depend on each other."""
    step = "(local.set 0 (i32.mul (i32.xor (local.get 0) (local.get 1)) (local.get 2))) (local.set 1 (i32.add (local.get 0) (local.get 1)))"
    loops = "(loop $l (br_if $l (i32.eqz (local.get 2))))"
    return command(f"(local i32 i32 i32) {(step + loops) * 200_000}")


HOSTILE: dict[str, tuple[bytes, str, dict[str, Any], str, str]] = {
    "a loop without end": (command("(loop $l (br $l))"), "command", {"budget": 0.3}, "time", "0.3 s"),
    "memory without end": (
        command("(loop $l (br_if $l (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable"),
        "command",
        {},
        "memory",
        "4 of the 4 MiB",
    ),
    "more memory at first than it may have": (
        command("", memory="1000"),
        "command",
        {},
        "module",
        "begins with 65536000 bytes",
    ),
    "recursion without end": (
        module('(module (memory (export "memory") 1) (func $f (export "_start") (call $f)))'),
        "command",
        {},
        "stack",
        "called itself",
    ),
    "recursion that asks the world for the time on each level": (
        module(
            """(module (import "wasi_snapshot_preview1" "clock_time_get" (func $c (param i32 i64 i32) (result i32)))
            (memory (export "memory") 1)
            (func $f (export "_start") (drop (call $c (i32.const 0) (i64.const 0) (i32.const 0))) (call $f)))"""
        ),
        "command",
        {},
        "stack",
        "called itself",
    ),
    "names that would move the cursor": (
        module(
            '(module (import "\\1b[2J" "\\07\\e2\\80\\ae" (func)) (memory (export "memory") 1) (func (export "_start")))'
        ),
        "command",
        {},
        "module",
        "it wants \ufffd[2J.\ufffd\ufffd, which is not offered",
    ),
    "giving up": (command("unreachable"), "command", {}, "trap", "gave up"),
    "a division by zero": (
        command("(drop (i32.div_u (i32.const 1) (i32.const 0)))"),
        "command",
        {},
        "trap",
        "divided by zero",
    ),
    "beyond its memory": (
        command("(drop (i32.load (i32.const -8)))"),
        "command",
        {},
        "trap",
        "beyond the end of its memory",
    ),
    "a function pointer to nothing": (
        command("(call_indirect (i32.const 3))", more="(table 8 funcref)"),
        "command",
        {},
        "trap",
        "points to nothing",
    ),
    "a flood on stdout": (
        command(write(1), "fd_write"),
        "command",
        {},
        "output",
        "more than the 65536 bytes",
    ),
    "a flood on stderr": (command(write(2), "fd_write"), "command", {}, "output", "on stderr"),
    "an exit code": (
        command("(call $proc_exit (i32.const 7))", "proc_exit"),
        "command",
        {},
        "exit",
        "code 7",
    ),
    "a call of the system": (
        module(
            '(module (import "env" "system" (func (param i32) (result i32))) (memory (export "memory") 1) (func (export "_start")))'
        ),
        "command",
        {},
        "module",
        "env.system",
    ),
    "no module at all": (b"\x7fELF\x02\x01\x01" + bytes(100), "command", {}, "module", "not WebAssembly"),
    "a component": (b"\0asm\x0d\0\1\0" + bytes(20), "command", {}, "module", "component"),
    "code that is not valid": (
        command("nop").replace(b"\x01\x0b", b"\x6a\x0b"),
        "command",
        {},
        "module",
        "",
    ),
    "sections longer than the module": (
        command("")[:-2] + b"\x7f\x7f",
        "command",
        {},
        "module",
        "",
    ),
    "shared memory for threads": (
        module('(module (memory (export "memory") 1 2 shared) (func (export "_start")))'),
        "command",
        {},
        "module",
        "shared",
    ),
    "a start function without end": (
        module(
            '(module (memory (export "memory") 1) (func $s (loop $l (br $l))) (start $s) (func (export "_start")))'
        ),
        "command",
        {"budget": 0.3},
        "time",
        "0.3 s",
    ),
    "a table of a thousand million entries": (
        command("", more="(table 1000000000 funcref)"),
        "command",
        {},
        "trap",
        "table",
    ),
    "memory filled again and again": (
        command(
            "(loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 0x3f0000)) (br $l))", memory="63"
        ),
        "command",
        {"budget": 0.3},
        "time",
        "0.3 s",
    ),
    "a clock watched without end": (
        command(
            "(loop $l (drop (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const 0))) (br $l))",
            "clock_time_get",
        ),
        "command",
        {"budget": 0.3},
        "time",
        "0.3 s",
    ),
    "dice thrown without end": (
        command(
            "(loop $l (drop (call $random_get (i32.const 0) (i32.const 65536))) (br $l))",
            "random_get",
        ),
        "command",
        {"budget": 0.3},
        "time",
        "0.3 s",
    ),
    "another module than the manifest names": (
        command(""),
        "command",
        {"digest": bytes(32)},
        "module",
        "not the module that its manifest names",
    ),
    "what its ABI wants is missing": (
        module('(module (memory (export "memory") 1))'),
        "slice",
        {},
        "module",
        "alloc(i32) -> i32",
    ),
    "slices without end": (
        sliced(slice="(i32.const 1)"),
        "slice",
        {"most_slices": 1000},
        "time",
        "1000 slices",
    ),
    "one slice without end": (
        sliced(slice="(loop $l (br $l)) (i32.const 0)"),
        "slice",
        {"budget": 0.3},
        "time",
        "0.3 s",
    ),
    "a slice that fails": (sliced(slice="(i32.const -5)"), "slice", {}, "exit", "code -5"),
    "an input that it refuses": (sliced(begin="(i32.const 9)"), "slice", {}, "exit", "code 9"),
    "a result that is not in its memory": (
        sliced(result="(i64.const 0x0000fff000001000)"),
        "slice",
        {},
        "trap",
        "not in its memory",
    ),
    "a result larger than it may be": (
        sliced(result="(i64.const 0x7fffffff)"),
        "slice",
        {},
        "output",
        "2147483647 bytes",
    ),
    "room for its input that is none": (
        sliced(alloc="(i32.const 0x7fffff00)"),
        "slice",
        {"stdin": b"input"},
        "trap",
        "not in its memory",
    ),
    "a table that changes": (
        sliced(
            more="(table 2 funcref) (func $f) (elem declare func $f)",
            slice="(table.set (i32.const 0) (ref.func $f)) (i32.const 0)",
        ),
        "slice",
        {},
        "module",
        "changes a table",
    ),
    "a result larger in all than it may write": (
        command(write(1), "fd_write"),
        "command",
        {"limits": Limits(output_bytes=0)},
        "output",
        "more than the 0 bytes",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_it_is_contained_and_told_in_words(rig: Rig, name: str) -> None:
    code, abi, wanted, outcome, words = HOSTILE[name]
    assert rig.run(module(ECHO), stdin=b"before").output == b"before"
    pids = rig.slots.pids()
    ended = rig.run(code, abi, **wanted)
    assert ended.outcome == outcome, ended
    assert words in ended.words
    assert ended.words and ended.words.isprintable() and ended.output == b"" and not ended.suspended
    assert rig.slots.pids() == pids, "its process is unharmed"
    assert rig.run(module(ECHO), stdin=b"after").output == b"after"
    assert not list((rig.folder / "out").iterdir()), "nothing of it is left"


def test_compiling_that_does_not_end_costs_its_process_and_nothing_else(rig: Rig) -> None:
    ended = rig.run(compile_bomb())
    assert (ended.outcome, ended.words) == ("module", "compiling it takes more time or memory than it may")
    assert rig.run(module(ECHO), stdin=b"after").output == b"after"
    assert rig.slots.view().restarts == 1


def test_asking_for_files_sockets_and_variables_gets_the_errors_of_an_empty_world(rig: Rig) -> None:
    """path_open and sock_accept: not capable (76). No folder was opened for it (8). No variables (0)."""
    body = """(i32.store8 (i32.const 100) (call $path_open (i32.const 3) (i32.const 0) (i32.const 200) (i32.const 11)
          (i32.const 0) (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 50)))
        (i32.store8 (i32.const 101) (call $sock_accept (i32.const 3) (i32.const 0) (i32.const 50)))
        (i32.store8 (i32.const 102) (call $fd_prestat_get (i32.const 3) (i32.const 50)))
        (drop (call $environ_sizes_get (i32.const 103) (i32.const 104)))
        (i32.store (i32.const 0) (i32.const 100)) (i32.store (i32.const 4) (i32.const 4))
        (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))"""
    code = command(
        body,
        "path_open",
        "sock_accept",
        "fd_prestat_get",
        "environ_sizes_get",
        "fd_write",
        more='(data (i32.const 200) "/etc/passwd")',
    )
    ended = rig.run(code)
    assert (ended.outcome, ended.output) == ("done", bytes([76, 76, 8, 0]))


def test_addresses_that_are_not_in_its_memory_get_an_error_and_do_no_harm(rig: Rig) -> None:
    """EFAULT (21) for a list of parts and for a part that lie outside; EINVAL (28) for too many parts and too many dice."""
    body = """(i32.store8 (i32.const 100) (call $fd_write (i32.const 1) (i32.const -4) (i32.const 1) (i32.const 8)))
        (i32.store (i32.const 0) (i32.const 65530)) (i32.store (i32.const 4) (i32.const 100))
        (i32.store8 (i32.const 101) (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
        (i32.store8 (i32.const 102) (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (i32.store8 (i32.const 103) (call $fd_write (i32.const 1) (i32.const 0) (i32.const 0x1fffffff) (i32.const 8)))
        (i32.store8 (i32.const 104) (call $random_get (i32.const 0) (i32.const -1)))
        (i32.store8 (i32.const 105) (call $clock_time_get (i32.const 0) (i64.const 0) (i32.const -1)))
        (i32.store (i32.const 0) (i32.const 100)) (i32.store (i32.const 4) (i32.const 6))
        (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))"""
    code = command(body, "fd_write", "fd_read", "random_get", "clock_time_get")
    ended = rig.run(code, stdin=b"x" * 200)
    assert (ended.outcome, list(ended.output)) == ("done", [21, 21, 21, 28, 28, 21])


def test_what_it_says_on_stderr_stands_in_the_words_without_control_characters(rig: Rig) -> None:
    body = """(i32.store (i32.const 0) (i32.const 100)) (i32.store (i32.const 4) (i32.const 22))
        (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8))) unreachable"""
    code = command(body, "fd_write", more='(data (i32.const 100) "no \\1b[31msuch file\\07\\0a\\ff!!!!")')
    ended = rig.run(code)
    assert ended.outcome == "trap"
    assert "it said: no \ufffd[31msuch file\ufffd \ufffd!!" in ended.words
    assert ended.words.isprintable()


def test_a_fraction_that_is_no_number_is_none(rig: Rig) -> None:
    code = sliced(
        more='(global $n (mut i32) (i32.const 0)) (func (export "fraction") (result f64) (f64.const nan))',
        slice="(global.set $n (i32.add (global.get $n) (i32.const 1))) (i32.lt_u (global.get $n) (i32.const 3))",
    )
    rig.saved.clear()
    ended = rig.run(code, "slice", checkpoint_every=1e-9)
    assert ended.outcome == "done"
    assert [saved.fraction for saved in rig.saved] == [None, None]
    for saved in rig.saved:
        Path(saved.path).unlink()


def test_nothing_of_a_hostile_module_is_seen_by_the_next_run_of_it(rig: Rig) -> None:
    """Memory and globals are new for each unit."""
    assert rig.run(counts(), "slice", stdin=b"\3").output == rig.run(counts(), "slice", stdin=b"\3").output
    assert LIMITS.memory_bytes == 4 * 1024**2


def test_a_signature_that_we_read_wrongly_is_noticed_before_anything_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Functions are called with bare numbers, which the engine does not check: one that takes more of them would read and write beside ours."""
    wrong = module(
        """(module (memory (export "memory") 1)
        (func (export "alloc") (param i32 i64 i64 i64 i64 i64 i64 i64) (result i32 i64 i64 i64 i64 i64 i64) unreachable)
        (func (export "begin") (param i32 i64) (result i32) unreachable)
        (global (export "slice") i32 (i32.const 0))
        (func (export "result") (result i64) (i64.const 0)))"""
    )
    monkeypatch.setattr("servent.grid.sandbox.modules.fit", lambda *_: None)
    engine = Engine(tmp_path, lambda: None, lambda name, arguments: 0)
    compiled = engine.load(hashlib.sha256(wrong).digest(), "slice", LIMITS, lambda: wrong)
    instance = Instance(engine, compiled, LIMITS)
    try:
        for name, arguments, gives in (
            ("alloc", (1,), "i32"),
            ("begin", (1, 2), "i32"),
            ("slice", (), "i32"),
        ):
            with pytest.raises(Halted, match=f"exports as {name} is") as why:
                instance.call(name, arguments, gives)
            assert why.value.outcome == "module"
        assert instance.call("result", (), "i64") == 0
    finally:
        instance.close()
