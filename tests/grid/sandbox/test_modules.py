"""What a module says of itself is read from hostile bytes: in words, or not at all."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wasmtime import Engine, Module

from servent.errors import BadMessage
from servent.grid.manifests import MODULE_BYTES, Limits
from servent.grid.sandbox import modules, snapshots
from servent.grid.sandbox.modules import Unfit, check, read, with_globals
from servent.grid.sandbox.opcodes import Strange, changes_tables
from tests.grid.sandbox.rig import ECHO, LIMITS, counts, module

GOOD = [module(ECHO), counts()]
PARTS = ["i32.const 1", "i64.const -3", "f32.const 1.5", "f64.const 0.1", "v128.const i32x4 1 2 3 4"]
BODY = """(local i32 i64 f32 f64 v128) (block (loop (br_if 1 (local.get 0)) (br_table 0 1 1 0 (local.get 0))))
  (local.set 4 (i8x16.shuffle 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 (local.get 4) (v128.load offset=16 align=4 (i32.const 0))))
  (v128.store8_lane 3 (i32.const 0) (local.get 4)) (local.set 0 (i32x4.extract_lane 2 (local.get 4)))
  (local.set 1 (i64.trunc_sat_f64_s (local.get 3))) (drop (f32.const 0.1)) (drop (f64.const 0.1)) (drop (v128.const i32x4 38 38 38 38))
  (memory.copy (i32.const 0) (i32.const 38) (i32.const 4)) (memory.fill (i32.const 0) (i32.const 38) (i32.const 4))
  (drop (memory.grow (memory.size))) (drop (ref.is_null (table.get (i32.const 0)))) (drop (table.size))
  (drop (select (result i64) (i64.const 38) (i64.const 1) (i32.const 0))) (drop (i32.extend8_s (i32.const 0x26)))
  (local.set 4 (f32x4.relaxed_madd (local.get 4) (local.get 4) (local.get 4)))
  (call_indirect (type 0) (i32.const 0)) (drop (ref.func 0)) (drop (ref.null func)) (if (local.get 0) (then (return)) (else (nop))) (call 0) unreachable"""
CHANGES = [
    "(table.set (i32.const 0) (ref.null func))",
    "(drop (table.grow (ref.null func) (i32.const 1)))",
    "(table.fill (i32.const 0) (ref.null func) (i32.const 1))",
    "(table.copy (i32.const 0) (i32.const 1) (i32.const 1))",
    "(table.init 0 (i32.const 0) (i32.const 0) (i32.const 1))",
]


def with_body(body: str) -> bytes:
    return module(
        f"""(module (type (func)) (memory (export "memory") 1) (table 4 funcref) (elem func 0)
        (func $f (type 0) {body})
        (func (export "alloc") (param i32) (result i32) (i32.const 64)) (func (export "begin") (param i32 i32) (result i32) (i32.const 0))
        (func (export "slice") (result i32) (i32.const 0)) (func (export "result") (result i64) (i64.const 0)))"""
    )


def test_every_kind_of_instruction_is_stepped_over() -> None:
    assert check(with_body(BODY), "slice", LIMITS) == ""


@pytest.mark.parametrize("change", CHANGES)
def test_each_instruction_that_changes_a_table_is_found_behind_all_others(change: str) -> None:
    words = "it changes a table of functions while it runs, which no snapshot can hold"
    assert check(with_body(BODY.removesuffix("unreachable") + change), "slice", LIMITS) == words


def test_mutable_globals_of_all_kinds_are_exported_and_the_module_is_still_one() -> None:
    lines = "".join(f"(global (mut {part.split('.')[0]}) ({part}))" for part in PARTS)
    for exports in ('(func (export "a")) (memory (export "memory") 1)', "(func) (memory 1)"):
        code = module(
            f'(module {lines} (global i32 (i32.const 7)) {exports} (func $s) (start $s) (data (memory 0) (i32.const 0) "x"))'
        )
        changed, names = with_globals(code, read(code))
        assert names == [f"servent:{n}" for n in range(5)]
        assert [e.name for e in Module(Engine(), changed).exports][-5:] == names
        assert set(read(code).exports) <= set(read(changed).exports)


def test_a_module_without_mutable_globals_stays_as_it_is() -> None:
    code = module('(module (memory (export "memory") 1) (global i32 (i32.const 1)))')
    assert with_globals(code, read(code)) == (code, [])


@pytest.mark.parametrize(
    ("text", "abi", "words"),
    [
        ('(module (func (export "_start")))', "command", 'it must have one memory, exported as "memory"'),
        ('(module (memory (export "memory") 1))', "command", "it must export _start()"),
        (
            '(module (memory (export "memory") 1) (func (export "_start") (result i32) (i32.const 0)))',
            "command",
            "it must export _start()",
        ),
        (
            '(module (memory (export "memory") 100) (func (export "_start")))',
            "command",
            "it begins with 6553600 bytes of memory; its manifest allows 4194304",
        ),
        (
            '(module (import "wasi_snapshot_preview1" "fd_write" (func)) (memory (export "memory") 1) (func (export "_start")))',
            "command",
            "it wants fd_write with other arguments than WASI has",
        ),
        (
            '(module (import "env" "memory" (memory 1)) (export "memory" (memory 0)) (func (export "_start")))',
            "command",
            "it wants env.memory, which is no function; only functions are offered",
        ),
        (
            '(module (memory (export "memory") i64 1) (func (export "_start")))',
            "command",
            "it wants shared or 64-bit memory, which is not offered",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_words(text: str, abi: modules.Abi, words: str) -> None:
    assert check(module(text), abi, LIMITS) == words


def test_a_name_of_ours_and_a_global_that_refers_are_refused() -> None:
    with_ours = counts().replace(b"fraction", b"servent:")
    assert check(with_ours, "slice", LIMITS) == 'names of exports that begin with "servent:" are ours'
    refers = "(global (mut funcref) (ref.null func))"
    text = f"""(module (memory (export "memory") 1) {refers}
        (func (export "alloc") (param i32) (result i32) (i32.const 64)) (func (export "begin") (param i32 i32) (result i32) (i32.const 0))
        (func (export "slice") (result i32) (i32.const 0)) (func (export "result") (result i64) (i64.const 0)))"""
    words = "it has a mutable global that refers to a function, which no snapshot can hold"
    assert check(module(text), "slice", LIMITS) == words
    assert check(module(text.replace("(mut funcref)", "funcref")), "slice", LIMITS) == ""


def test_a_module_that_is_too_long_is_not_read() -> None:
    assert "more than" in check(b"\0asm\x01\0\0\0" + bytes(MODULE_BYTES), "command", LIMITS)


@given(st.sampled_from(GOOD), st.data())
@example(b"\0asm\x01\0\0\0\x07\xff\xff\xff\xff\x0f", None)
def test_damaged_modules_are_refused_in_words_or_read(code: bytes, data: st.DataObject | None) -> None:
    """Whatever is changed: an answer, soon, and nothing raised."""
    changed = bytearray(code)
    if data is not None:
        for at, value in data.draw(
            st.lists(st.tuples(st.integers(0, len(code) - 1), st.integers(0, 255)), max_size=6)
        ):
            changed[at] = value
        del changed[data.draw(st.integers(8, len(code))) :]
    for abi in ("command", "slice"):
        words = check(bytes(changed), abi, Limits())  # type: ignore[arg-type]
        assert isinstance(words, str)
        if not words:
            try:
                with_globals(bytes(changed), read(bytes(changed)))
            except Unfit:
                pytest.fail("it was found fit before")


@given(st.binary(max_size=300))
def test_any_code_is_walked_to_an_end(code: bytes) -> None:
    try:
        assert changes_tables(code, 0, len(code)) in (True, False)
    except Strange as why:
        assert str(why)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_snapshot_or_refused(data: bytes) -> None:
    for kept in (
        data,
        snapshots.MAGIC + data,
        snapshots.MAGIC + bytes(32) + len(data).to_bytes(4, "big") + data,
    ):
        with pytest.raises(BadMessage):
            snapshots.head_of(kept, module=bytes(32), unit=bytes(32), most_pages=10)
