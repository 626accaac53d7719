"""`GridExecutor` beside a node that is slow or fails amid it: every future comes to an end."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, cast

import pytest

import servent
from servent.api import grid_executor, grid_python
from servent.api import schema_grid as grid
from servent.api.client import Client
from servent.api.grid_python import PythonApp
from servent.errors import NotFound
from servent.grid.pyapps import sources

PATIENCE = 60.0  # s


class Node:
    """Answers as a node does whose every unit is done, with an output too long for a page of results, which nobody can fetch."""

    def __init__(self) -> None:
        self.submitted: list[grid.NewBatch] = []

    def submit(self, project: str, new: grid.NewBatch) -> grid.Batch:
        self.submitted.append(new)
        return grid.Batch(id=str(len(self.submitted)), project="p", project_name="p", app=new.app)

    def batch_results(self, batch: str, **_: Any) -> grid.Results:
        return grid.Results(results=[grid.UnitResult(order=1, number=0, unit=1, state="done")])

    def result_file(self, batch: str, number: int) -> bytes:
        raise NotFound("its output is gone")

    def cancel_batch(self, batch: str) -> None: ...


def executor(node: Node) -> servent.GridExecutor:
    return servent.GridExecutor("p", client=cast(Client, node))


def test_a_result_that_cannot_be_fetched_is_told_to_whoever_waits_for_it() -> None:
    with executor(Node()) as pool:
        futures = [pool.submit("echo", "one"), pool.submit("echo", "two")]
        for one in futures:
            with pytest.raises(NotFound, match="gone"):
                one.result(PATIENCE)


def same(item):  # type: ignore[no-untyped-def]
    return item


def test_what_is_cancelled_while_it_is_built_is_not_submitted(monkeypatch: pytest.MonkeyPatch) -> None:
    building, built = threading.Event(), threading.Event()

    def prepare(*_: object) -> PythonApp:
        building.set()
        assert built.wait(PATIENCE)
        return PythonApp("echo/1", sources.found(Path(__file__).read_bytes(), "same"))

    monkeypatch.setattr(grid_python, "prepare", prepare)
    monkeypatch.setattr(grid_executor, "GATHER", 0.0)
    node = Node()
    pool = executor(node)
    future = pool.submit(same, 1)
    assert building.wait(PATIENCE)
    pool.shutdown(wait=False, cancel_futures=True)
    built.set()
    pool.shutdown()
    assert future.cancelled() and node.submitted == []
