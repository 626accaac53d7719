"""Nothing is awaited in an `except*` block: a cancellation there comes out wrapped in a group, and a task group takes that
for a failure of the task, which ends everything around it. (Python 3.11.2 does so, 3.11.7 no longer in every case.)
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import servent

SOURCE = Path(servent.__file__).parent
WAITS = (ast.Await, ast.AsyncFor, ast.AsyncWith)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_is_awaited_where_a_cancellation_would_be_wrapped(path: Path) -> None:
    bad = [
        inner.lineno
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.TryStar)
        for handler in node.handlers
        for inner in ast.walk(handler)
        if isinstance(inner, WAITS)
    ]
    assert not bad, f"{path.name}: lines {bad}; set a flag there, and wait behind the whole `try`"
