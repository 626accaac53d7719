"""An asyncio loop whose clock jumps: an hour of waiting costs no time.

Only for code on the simulated network. Real iroh runs its own threads, and a clock that jumps while a
packet is in flight reports timeouts that never were. Work for other threads must go through
`asyncio.to_thread` or `run_in_executor`: here both run it at once, on the loop's own thread.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

LONGEST = 30 * 86400.0  # s of virtual time; a test that needs more says so, one that hangs is found


class Stuck(RuntimeError):
    """Every task waits for something that no other task can bring about; the message lists them."""


class _JumpingSelector(selectors.DefaultSelector):
    """Never sleeps: where select() would wait, the clock moves on instead."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.now = 0.0
        self.limit = limit
        self.describe: Callable[[], str] = str

    def select(self, timeout: float | None = None) -> list[Any]:
        ready: list[Any] = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise Stuck(f"at {self.now:.3f} s nothing is ready and nothing is scheduled: {self.describe()}")
        if self.now + timeout > self.limit:
            raise Stuck(f"still running after {self.limit:.0f} s of virtual time: {self.describe()}")
        self.now += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0.0 s and moves only when every task is waiting."""

    def __init__(self, limit: float = LONGEST) -> None:
        self._jumping = _JumpingSelector(limit)
        super().__init__(self._jumping)
        self._jumping.describe = self._waiting

    def time(self) -> float:
        return self._jumping.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run `func` here and now, so that `to_thread` is deterministic too."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 handed on to whoever awaits it
            future.set_exception(error)
        return future

    def _waiting(self) -> str:
        tasks = sorted(asyncio.all_tasks(self), key=lambda task: task.get_name())
        return ", ".join(f"{task.get_name()} ({_place(task)})" for task in tasks[:20]) or "no task"


def _place(task: asyncio.Task[Any]) -> str:
    """The innermost line of ours that `task` stands at."""
    coroutine: Any = task.get_coro()
    place = "?"
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "ag_frame", None)
        if frame is None:
            break
        if "asyncio" not in frame.f_code.co_filename:
            place = f"{frame.f_code.co_qualname}:{frame.f_lineno}"
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None)
    return place


def run(main: Coroutine[Any, Any, T], *, limit: float = LONGEST) -> T:
    """Run `main` in virtual time and return its result.

    Raises:
        Stuck: nothing can go on, or `limit` s of virtual time have passed.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(limit)) as runner:
        return runner.run(main)
