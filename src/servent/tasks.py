"""Work that somebody outside hands to a task group, which may be ending just then; and the group on top of all."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")


def begin(
    group: asyncio.TaskGroup | None,
    work: Coroutine[Any, Any, T],
    name: str,
    *,
    inside: Coroutine[Any, Any, Any] | None = None,
) -> asyncio.Task[T] | None:
    """`work` in a task of `group`. None, and `work` never runs, where there is no group or it takes no more.

    A TaskGroup takes no more from the moment it is told to end, while its tasks still wind up: it raises RuntimeError then,
    and leaves the coroutine behind. Whoever is called back by others cannot know that. Tasks of the same group may use
    `create_task`: they end with it.

    Args:
        inside: a coroutine that `work` was given to await. It is closed when the task is cancelled before it begins.
    """
    try:
        if group is None:
            raise RuntimeError("there is no group")
        task = group.create_task(work, name=name)
    except RuntimeError:
        work.close()
        if inside is not None:
            inside.close()
        return None
    if inside is not None:
        task.add_done_callback(lambda _: inside.close())
    return task


class Running:
    """The top TaskGroup: what a room runs ends with the node, and a room that fails ends the node loudly."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._running: list[asyncio.Task[None]] = []

    def start(self, run: Coroutine[Any, Any, None], name: str) -> None:
        self._running.append(self._group.create_task(run, name=name))

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._running:
            task.cancel()
        await self._group.__aexit__(kind, error, trace)
