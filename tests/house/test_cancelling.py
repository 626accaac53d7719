"""Nothing is awaited in an `except*` block: a cancellation there comes out wrapped in a group, and a task group takes that
for a failure of the task, which ends everything around it. (Python 3.11.2 does so, 3.11.7 no longer in every case.)
"""

from __future__ import annotations

import ast
from pathlib import Path

import servent

SOURCE = Path(servent.__file__).parent
WAITS = (ast.Await, ast.AsyncFor, ast.AsyncWith)


def test_nothing_is_awaited_where_a_cancellation_would_be_wrapped() -> None:
    texts = {path: path.read_text("utf-8") for path in SOURCE.rglob("*.py")}
    bad = [
        f"{path.relative_to(SOURCE)}:{inner.lineno}"
        for path, text in texts.items()
        if "except*" in text
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.TryStar)
        for handler in node.handlers
        for inner in ast.walk(handler)
        if isinstance(inner, WAITS)
    ]
    assert not bad, f"{bad}: set a flag there, and wait behind the whole `try`"
