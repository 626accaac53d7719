"""Components that are no Python app, or mean harm: read before they are compiled, and ended whatever they do. They are written as text, and small."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from servent.grid.sandbox import components
from servent.grid.sandbox.compiled import CompiledCode
from servent.grid.sandbox.jobs import Ended
from servent.grid.sandbox.modules import Unfit
from tests.grid.sandbox.rig import LIMITS, Rig, module

RUN = '(param "input" string) (param "args" (list string)) (result (result string (error string)))'
# `BODY` is the code of run: it gets input and args as addresses and sizes, and gives the address of a result. A bump allocator takes what comes in.
APP = """(component
  IMPORTS
  (core module $m
    CORE_IMPORTS
    (memory (export "memory") 2)
    (global $free (mut i32) (i32.const 4096))
    (data (i32.const 64) "hello")
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.get $free)
      (global.set $free (i32.add (global.get $free) (i32.and (i32.add (local.get 3) (i32.const 7)) (i32.const -8)))))
    (func $run (export "run") (param i32 i32 i32 i32) (result i32) BODY))
  (core instance $i (instantiate $m WITH))
  (func (export "run") RUN
    (canon lift (core func $i "run") (memory (core memory $i "memory")) (realloc (core func $i "realloc")))))"""
HELLO = "(i32.store (i32.const 4) (i32.const 64)) (i32.store (i32.const 8) (i32.const 5)) (i32.const 0)"
NOW = """(import "wasi:clocks/wall-clock@0.2.9" (instance $clock (export "now" (func (result RESULT)))))
  (core func $now (canon lower (func $clock "now")))"""


def app(body: str = HELLO, imports: str = "", core: str = "", given: str = "", run: str = RUN) -> bytes:
    text = APP.replace("CORE_IMPORTS", core).replace("IMPORTS", imports).replace("BODY", body)
    return module(text.replace("WITH", given).replace("RUN", run))


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("components")) as rig:
        yield rig


def run(rig: Rig, code: bytes, **wanted: object) -> Ended:
    return rig.do(rig.slots.run(rig.job(code, "python", **wanted)), 100)


def test_a_component_need_not_be_python(rig: Rig) -> None:
    ended = run(rig, app(), stdin=b"\xff" * 100)
    assert (ended.outcome, ended.output) == ("done", b"hello")
    failed = run(rig, app("(i32.store (i32.const 0) (i32.const 1))" + HELLO))
    assert (failed.outcome, failed.words) == ("exit", "hello")


@pytest.mark.parametrize(
    ("body", "outcome", "said"),
    [
        ("unreachable", "trap", "gave up"),
        (
            "(drop (i32.div_u (i32.const 1) (local.get 0) (i32.const 0) i32.mul)) (i32.const 0)",
            "trap",
            "zero",
        ),
        ("(i32.store (i32.const -8) (i32.const 1)) (i32.const 0)", "trap", "beyond the end"),
        ("(loop $l (br $l)) (i32.const 0)", "time", "more than the 0.5 s"),
        (
            "(call $run (local.get 0) (local.get 1) (local.get 2) (local.get 3)) (i32.const 0) i32.add",
            "stack",
            "stack was full",
        ),
        (
            "(i32.store (i32.const 4) (i32.const 64)) (i32.store (i32.const 8) (i32.const -1)) (i32.const 0)",
            "trap",
            "",
        ),
        (
            "(i32.store (i32.const 4) (i32.const -64)) (i32.store (i32.const 8) (i32.const 5)) (i32.const 0)",
            "trap",
            "",
        ),
        ("(i32.store8 (i32.const 64) (i32.const 255))" + HELLO, "trap", ""),  # no UTF-8
        ("(i32.store (i32.const 0) (i32.const 7))" + HELLO, "trap", ""),  # neither ok nor error
        (
            "(if (i32.ne (memory.grow (i32.const 60000)) (i32.const -1)) (then unreachable))" + HELLO,
            "done",
            "",
        ),
        ("(i32.const 3)", "trap", ""),  # a result that does not lie where results may
    ],
)
def test_whatever_it_does_it_is_ended_and_said_why(rig: Rig, body: str, outcome: str, said: str) -> None:
    ended = run(rig, app(body), budget=0.5)
    assert ended.outcome == outcome and said in ended.words, ended
    assert run(rig, app()).outcome == "done"  # and the process goes on


def test_characters_beyond_bytes_are_no_result(rig: Rig) -> None:
    body = "(i32.store (i32.const 64) (i32.const 0x82ACE2))" + HELLO  # the sign of the euro, in UTF-8
    body = body.replace("(i32.const 5)", "(i32.const 3)").replace("0x82ACE2", "0x00AC82E2")
    ended = run(rig, app(body))
    assert ended.outcome == "trap" and "no bytes" in ended.words


def test_more_than_a_result_may_have_is_too_much(rig: Rig) -> None:
    body = (
        "(i32.store (i32.const 4) (i32.const 0)) (i32.store (i32.const 8) (i32.const 70000)) (i32.const 8192)"
    )
    ended = run(
        rig,
        app(body.replace("(i32.const 4)", "(i32.const 8196)").replace("(i32.const 8) ", "(i32.const 8200) ")),
    )
    assert ended.outcome == "output"
    assert (
        run(rig, app(), stdin=b"x" * 5_000, limits=replace(LIMITS, memory_bytes=128 * 1024)).outcome == "done"
    )


def test_what_it_asks_of_the_world_has_to_be_what_there_is(rig: Rig) -> None:
    def asks(result: str) -> bytes:
        return app(
            "(call $now (i32.const 512))" + HELLO,
            NOW.replace("RESULT", result).replace('"now"))', '"now"))'),
            '(import "clock" "now" (func $now (param i32)))',
            '(with "clock" (instance (export "now" (func $now))))',
        )

    bad = asks("(tuple u64 u64 u64)")
    ended = run(rig, bad)
    assert ended.outcome in ("trap", "module"), ended
    assert run(rig, app()).outcome == "done"


@pytest.mark.parametrize(
    ("function", "kind", "core", "call", "said"),
    [
        ("random/random get-random-u64", '(param "a" u32) (result u64)', "(param i32) (result i64)", "(drop (call $f (i32.const 5)))", "in a way"),
        ("clocks/monotonic-clock subscribe-duration", "(result u64)", "(result i64)", "(drop (call $f))", "in a way"),
        ("clocks/monotonic-clock subscribe-duration", '(param "a" char) (result u64)', "(param i32) (result i64)", "(drop (call $f (i32.const 65)))", "in a way"),
        ("cli/exit exit-with-code", '(param "a" char)', "(param i32)", "(call $f (i32.const 27))", "no number"),
        ("cli/exit exit-with-code", '(param "a" f64)', "(param f64)", "(call $f (f64.const nan))", "no number"),
    ],
)  # fmt: skip
def test_what_it_says_the_world_takes_ends_it_and_not_its_process(
    rig: Rig, function: str, kind: str, core: str, call: str, said: str
) -> None:
    """A component declares itself of which types what it imports is."""
    interface, name = function.split()
    imports = f'(import "wasi:{interface}@0.2.9" (instance $r (export "{name}" (func {kind})))) (core func $f (canon lower (func $r "{name}")))'
    given = '(with "w" (instance (export "f" (func $f))))'
    ended = run(rig, app(call + HELLO, imports, f'(import "w" "f" (func $f {core}))', given))
    assert ended.outcome == "trap" and said in ended.words, ended


@pytest.mark.parametrize(
    ("imports", "said"),
    [
        ('(import "evil:things/all@1.0.0" (instance))', "evil:things/all@1.0.0, which is not offered"),
        ('(import "wasi:http/outgoing-handler@0.2.9" (instance))', "not offered"),
        ('(import "wasi:io/poll@0.3.0" (instance))', "not offered"),
        ('(import "plain" (func))', "plain, which is not offered"),
    ],
)
def test_what_is_not_offered_is_refused_before_it_is_compiled(rig: Rig, imports: str, said: str) -> None:
    ended = run(rig, app(imports=imports))
    assert ended.outcome == "module" and said in ended.words


def test_what_is_no_app_is_refused(rig: Rig) -> None:
    for code, said in (
        (module("(component)"), "must export run"),
        (module("(module)"), "it is no component"),
        (b"\0asm\x0d\0\x01\0\x63\0", "unknown kind"),
        (b"\0asm\x0d\0\x01\0\x01\x05junk!", "does not compile"),
        (b"text", "not WebAssembly"),
    ):
        ended = run(rig, code)
        assert ended.outcome == "module", (code, ended)
        assert said in ended.words or said == "does not compile", (said, ended.words)


def test_run_has_to_be_called_as_it_is(rig: Rig) -> None:
    text = APP.replace("CORE_IMPORTS", "").replace("IMPORTS", "").replace("WITH", "")
    text = text.replace("(param i32 i32 i32 i32) (result i32) BODY", "(result i32) (i32.const 1)")
    ended = run(rig, module(text.replace("RUN", "(result u32)")))
    assert ended.outcome == "module" and "run(input: string" in ended.words


def test_a_damaged_one_is_not_run(rig: Rig) -> None:
    job = rig.job(app(), "python")
    ended = rig.do(rig.slots.run(replace(job, digest=bytes(32))), 100)
    assert ended.outcome == "module" and "manifest" in ended.words


def test_one_process_compiles_while_the_others_wait_for_it(tmp_path: Path) -> None:
    code, waited, order = CompiledCode(tmp_path, "x"), list[int](), list[str]()

    def waiting() -> None:
        waited.append(1)
        if len(waited) == 3:
            first.close()

    def called_off() -> None:
        raise KeyError

    first = contextlib.ExitStack()
    first.enter_context(code.alone(called_off))
    with code.alone(waiting):
        order.append("second")
        with pytest.raises(KeyError), code.alone(called_off):
            order.append("third")
    assert (order, len(waited)) == (["second"], 3)


@given(st.data())
def test_any_bytes_are_read_or_refused(data: st.DataObject) -> None:
    code = bytearray(app())
    for _ in range(data.draw(st.integers(0, 4))):
        code[data.draw(st.integers(8, len(code) - 1))] = data.draw(st.integers(0, 255))
    code = code[: data.draw(st.integers(8, len(code)))]
    try:
        found = components.read(bytes(code))
    except Unfit as why:
        assert str(why).isprintable()
    else:
        assert len(found.exports) <= len(code)


def test_what_a_builder_says_of_an_app_stands_behind_it() -> None:
    code = app() + components.section(b'{"name":"x"}')
    assert components.fit(code).about == b'{"name":"x"}' and components.fit(app()).about == b""
    assert (
        components.interface("wasi:io/poll@0.2.0") == "wasi:io/poll"
        and components.interface("wasi:io/poll") == ""
    )
