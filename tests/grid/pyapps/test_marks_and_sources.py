"""What marks a function, how values travel, and a source that is read without being run."""

from __future__ import annotations

import linecache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import servent
from servent.api import grid_python, wasm_build
from servent.errors import NotFound, UsageError
from servent.grid.pyapps import build, marks, sources
from servent.grid.sandbox import components

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
SOURCE = b'''
import servent, decimal
from servent.grid import app
@servent.grid.app
def one(n: int, places: "int" = 2) -> "str":
    """The first.

    More."""
    import fractions.deep
    return n
@app(name="second one")
def two(data: bytes): ...
def helper(): ...
class Three:
    @servent.grid.app
    def inside(self): ...
'''


@servent.grid.app
def scaled(values: list[float], factor: float, word: str = "", *rest: str) -> dict:
    return {"values": [factor * one for one in values], "said": word + "".join(rest)}


def test_a_marked_function_stays_what_it_is() -> None:
    assert scaled([1.0], 2.0) == {"values": [2.0], "said": ""} and scaled.__name__ == "scaled"
    named = servent.grid.app(name="other")(scaled)
    assert named is scaled and getattr(scaled, marks.MARK) == "other"


def test_further_parameters_are_the_arguments_of_a_unit() -> None:
    made = marks.called(scaled, b"[1,2]", ("0.5", "a", "b"))
    assert marks.decoded(made, "json") == {"values": [0.5, 1.0], "said": "ab"}
    with pytest.raises(ValueError, match="float"):
        marks.called(scaled, b"[1]", ("much",))


@given(JSON)
def test_values_travel_as_json(value: object) -> None:
    assert marks.decoded(marks.encoded(value, "json"), "json") == value


@given(st.binary(), st.text())
def test_bytes_and_text_travel_as_they_are(data: bytes, text: str) -> None:
    assert marks.decoded(marks.encoded(data, "bytes"), "bytes") == data
    if text.isprintable():  # lone surrogates are no text
        assert marks.decoded(marks.encoded(text, "text"), "text") == text


@pytest.mark.parametrize(
    ("value", "kind"), [("text", "bytes"), (b"bytes", "text"), ({1, 2}, "json"), (float("nan"), "json")]
)
def test_what_does_not_fit_is_refused(value: object, kind: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        marks.encoded(value, kind)


def test_apps_are_found_in_a_source_with_how_their_values_travel() -> None:
    found = sources.read(SOURCE)
    one, two = found.apps
    assert (one.name, one.function, one.input, one.output, one.about) == (
        "one",
        "one",
        "json",
        "text",
        "The first.",
    )
    assert (two.name, two.function, two.input, two.output) == ("second one", "two", "bytes", "json")
    assert found.imports == ("decimal", "fractions.deep") and found.functions == ("one", "two", "helper")
    assert found.choose("two") is two and found.choose("second one") is two


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SOURCE, "several apps"),
        (b"def plain(x): ...", "no function in it is marked"),
        (b"def (", "no Python, line 1"),
        (b"\0", "no Python"),
        (b"import servent\n@servent.grid.app\ndef f(): ...", "takes no input"),
    ],
)
def test_what_cannot_be_built_is_said(text: bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        sources.read(text).choose()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_source_or_a_mistake_of_the_person(text: bytes) -> None:
    try:
        sources.read(text)
    except UsageError as wrong:
        assert "no Python" in str(wrong)


def test_machine_code_is_refused_before_anything_is_built(tmp_path) -> None:
    path = tmp_path / "fast.py"
    path.write_text("import numpy as np, servent\n@servent.grid.app\ndef f(x): return float(np.sum(x))\n")
    with pytest.raises(UsageError, match="numpy") as refused:
        build.build(path, tmp_path / "fast.wasm")
    assert "cluster" in (refused.value.advice or "")
    with pytest.raises(NotFound):
        build.build(tmp_path / "missing.py", tmp_path / "missing.wasm")


def test_without_the_extra_it_is_said_what_brings_it(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "available", lambda: False)
    path = tmp_path / "app.py"
    path.write_text("import servent\n@servent.grid.app\ndef f(x): return x\n")
    with pytest.raises(build.NoBuilder) as missing:
        build.build(path, tmp_path / "app.wasm")
    assert "servent[python-apps]" in missing.value.advice


def test_what_goes_wrong_while_it_is_built_is_told_without_what_is_ours() -> None:
    said = """some warning
Error: Traceback (most recent call last):
  File "/0/servent_guest.py", line 40, in <module>
    _function = getattr(_loaded(), "f")
                        ~~~~~~~^^
  File "/0/servent_guest.py", line 36, in _loaded
    exec(compile(text))
  File "top.py", line 3, in <module>
    TABLE = make_table()
NameError: name 'make_table' is not defined

Caused by:
    NameError: name 'make_table' is not defined

Stack backtrace:
   0: <anyhow::Error>::msg"""
    lines = build._telling(said).splitlines()
    assert lines[0] == "Traceback (most recent call last):" and lines[1].startswith('  File "top.py", line 3')
    assert lines[-1].startswith("NameError") or lines[-2].startswith("NameError")
    assert "servent_guest" not in build._telling(said) and "anyhow" not in build._telling(said)
    assert build._telling("it is out of memory\n") == "it is out of memory"


def test_a_function_without_a_file_is_taken_alone_and_one_without_a_source_refused() -> None:
    text = "def typed(x: bytes) -> bytes:\n    return x\n"
    room: dict[str, object] = {}
    exec(compile(text, "<notebook 7>", "exec"), room)  # noqa: S102 - as a notebook does
    with pytest.raises(UsageError, match="no source"):
        grid_python._source(room["typed"])
    linecache.cache["<notebook 7>"] = (len(text), None, text.splitlines(True), "<notebook 7>")
    source, name, folder = grid_python._source(room["typed"])
    assert (name, folder) == ("notebook.py", None) and sources.found(source, "typed").input == "bytes"
    with pytest.raises(UsageError, match="plain function"):
        grid_python._source(lambda x: x)  # it has no name to build it by
    path, own = grid_python._source(scaled)[1:]
    assert path == "test_marks_and_sources.py" and own is not None


def test_items_have_to_be_what_the_function_takes() -> None:
    made = grid_python.PythonApp("x/1", sources.found(SOURCE, "two"))
    assert made.encoded(b"x") == b"x" and made.output == "json"
    with pytest.raises(UsageError, match="bytes are wanted, not str"):
        made.encoded("x")
    assert grid_python.value(b"{", "json")[1].startswith("its result cannot be read")


def test_what_is_nested_too_deep_is_no_value_and_ends_no_script(tmp_path: Path) -> None:
    """Results come from strangers, and modules from wherever a person has them."""
    value, error = grid_python.value(b"[" * 100_000, "json")
    assert value is None and error.startswith("its result cannot be read")
    module = tmp_path / "app.wasm"
    module.write_bytes(components.MAGIC + components.section(b"[" * 16_000))
    assert wasm_build.about(module) == ""
