"""Runs jobs in several labs side by side; each test waits for its own, and all together take half the time."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

import pytest

from tests.natlab.matrix import Matrix
from tests.natlab.node import WholeNode

Job = TypeVar("Job", bound=Hashable)
Result = TypeVar("Result")


class Abreast(Generic[Job, Result]):
    """The outcome of every job, once it is there."""

    def __init__(self, jobs: Sequence[Job], work: Callable[[Matrix, Job], Result]) -> None:
        self._work = work
        self._results: dict[Job, Future[Result]] = {job: Future() for job in jobs}
        self._waiting = deque(self._results)

    def result(self, job: Job) -> Result:
        """Raises what the work on it raised."""
        return self._results[job].result()

    @contextlib.contextmanager
    def running(self, prefix: str, labs: int = 2) -> Iterator[Abreast[Job, Result]]:
        """Labs with whole nodes work on the jobs in their order; those that are not begun at the end are dropped."""
        with ThreadPoolExecutor(labs) as pool:
            try:
                for number in range(labs):
                    pool.submit(self._run, f"{prefix}{number}-")
                yield self
            finally:
                self._waiting.clear()

    def _run(self, prefix: str) -> None:
        try:
            with Matrix(prefix, WholeNode()) as matrix:
                while (job := self._next()) is not None:
                    try:
                        self._results[job].set_result(self._work(matrix, job))
                    except Exception as error:  # noqa: BLE001 - raised again by `result`
                        self._results[job].set_exception(error)
        except Exception as error:  # noqa: BLE001 - no lab: raised again by every `result`
            while (job := self._next()) is not None:
                self._results[job].set_exception(error)

    def _next(self) -> Job | None:
        try:
            return self._waiting.popleft()
        except IndexError:
            return None


def wanted(request: pytest.FixtureRequest, parameter: str) -> list[Hashable]:
    """The values of `parameter` with which tests of the asking module were selected, in their order."""
    found: dict[Hashable, None] = {}
    for item in request.session.items:
        values = getattr(item, "callspec", None)
        if item.path == request.path and values is not None and parameter in values.params:
            found[values.params[parameter]] = None
    return list(found)
