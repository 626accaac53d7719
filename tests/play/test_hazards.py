"""Reading a game's source: each hazard is named with its line and what to do, and what is harmless is left alone."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.play import bundled
from servent.play.hazards import MOST_FOUND, read


def found(source: str, *, floats: bool = False) -> list[tuple[int, str]]:
    return [(one.line, one.words) for one in read(textwrap.dedent(source), floats=floats)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("import random", "`random`: take dice from servent.play.dice"),
        ("from time import monotonic", "`time`: count frames"),
        ("import os.path", "`os.path`: a game sees its state and its inputs alone"),
        ("import pickle", "`pickle`: its bytes depend on which objects are shared"),
        ("import threading", "`threading`: `step` runs in one thread"),
        ("import numpy as np", "`numpy`: its sums differ"),
        ("x = hash('a')", "`hash()`: differs in each process"),
        ("x = id(y)", "`id()`: is an address"),
        ("x = open('f')", "`open()`: a game sees"),
        ("x = eval('1')", "`eval()`: nobody can read"),
        ("x = 0.5", "`0.5` is a float"),
        ("x = a / b", "`/` makes a float"),
        ("a /= 2", "`/` makes a float"),
        ("x = float(a)", "`float()`"),
        ("import math\nx = math.sin(1)", "`math.sin` may differ"),
        ("from math import cos", "`math.cos` may differ"),
        ("for x in {1, 2}: pass", "the order of a set"),
        ("x = [a for a in set(y)]", "the order of a set"),
        ("x = list({*y})", "the order of a set"),
        ("x = ', '.join({*y})", "the order of a set"),
        ("a = {b for b in c}\nfor d in a | e: pass", "the order of a set"),
        ("a = set(b)\nc = a.pop()", "the order of a set"),
        ("x = {a: 1 for a in frozenset(b)}", "the order of a set"),
        ("def f():\n    global x\n    x = 1", "`global x`"),
        ("x = = 1", "this is no Python"),
        ("x = '\0'", "this is no Python"),
    ],
)
def test_a_hazard_is_named_with_what_to_do(line: str, words: str) -> None:
    ((at, said),) = found(line)
    assert said.startswith(words) and at == (2 if line.count("\n") == 1 or "global" in line else 1)


@pytest.mark.parametrize(
    "line",
    [
        "import math\nx = math.isqrt(4) + math.gcd(4, 6)",
        "from math import isqrt",
        "x = a // b",
        "x = 3 in {1, 2}",
        "x = sorted({1, 2})",
        "for a in sorted(set(b)): pass",
        "x = max({1, 2}) + len({1}) + sum(a for a in {1, 2})",
        "x = {a for a in {1, 2}}",
        "a = set(b)\na = sorted(a)\nfor c in a: pass",
        "a = {1: 2}\nfor b in a: pass",
        "from servent.play import dice",
        "def hash(x): return x",
        "x: float",
        "x = hash('a')  # play: sure",
    ],
)
def test_what_is_harmless_is_left_alone(line: str) -> None:
    assert found(line) == []


def test_a_game_that_keeps_something_or_changes_what_it_is_given_is_caught() -> None:
    said = found("""
        SEEN = {}
        TOP = [0]

        class Bad(Game):
            def step(self, state, inputs):
                state["x"] = 1
                state["list"].append(2)
                self.last = inputs
                self.kept["a"] = 1
                SEEN[1] = 2
                TOP.append(3)
                return state

            def draw(self, state, me):
                del state["x"]
    """)
    assert [line for line, _ in said] == [7, 8, 9, 11, 12, 16]
    assert "`step` changes the state it is given: make the next one, `{**state, …}`" in said[0][1]
    assert "`self` is changed" in said[2][1] and "`SEEN` lies outside" in said[3][1]
    assert "`draw` changes the state" in said[5][1]


def test_what_a_game_makes_itself_it_may_change() -> None:
    assert not found("""
        TABLE = (1, 2)

        class Good(Game):
            def step(self, state, inputs):
                ships = list(state["ships"])
                ships[0] = 1
                ships.append(2)
                return {**state, "ships": ships}

            def start(self, seats, seed, choices):
                state = {}
                state["a"] = 1
                return state

        class Careful(Game):
            def step(self, state, inputs):
                state = {**state}
                state["b"] = 2
                return state
    """)


def test_floats_are_left_to_those_who_asked_for_them() -> None:
    assert not found("import math\nx = 0.5 / 2 + math.sin(1)", floats=True)


def test_there_is_an_end_to_what_is_found_and_to_what_is_read() -> None:
    assert len(read("x = 0.5\n" * 500)) == MOST_FOUND
    assert "over the limit" in read("#" * 2_000_000)[0].words
    assert "no Python" in read("(" * 5000)[0].words
    assert len(read("x = " + "-" * 20_000 + "1")[0].words) > len("this is no Python: ")
    long = " | ".join(["a"] * 2000)
    assert read(f"a = {long}\nfor x in {long}: pass\nfor x in {long} | {{1}}: pass")[0].line == 3


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_without_harm(source: str) -> None:
    read(source)


@pytest.mark.parametrize("path", sorted(Path(bundled.__path__[0]).glob("*.py")), ids=lambda path: path.stem)
def test_the_games_that_come_along_have_none(path: Path) -> None:
    assert read(path.read_text()) == []
