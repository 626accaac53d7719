"""Work for a task group that may be ending. An un-awaited coroutine is an error in every test here."""

from __future__ import annotations

import asyncio
import gc

import pytest

from servent.tasks import begin


class _Stop(Exception):
    pass


async def _nothing() -> None:
    await asyncio.sleep(0)


async def _await(work: object) -> None:
    await work  # type: ignore[misc]


@pytest.fixture(autouse=True)
def no_litter() -> object:
    yield
    gc.collect()


def test_it_runs_in_the_group_under_its_name() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            inside = _nothing()
            task = begin(group, _await(inside), "work", inside=inside)
            assert task is not None and task.get_name() == "work"
        assert task.done() and not task.cancelled()

    asyncio.run(main())


def test_where_no_group_takes_it_nothing_is_left_behind() -> None:
    async def main() -> None:
        def try_it(group: asyncio.TaskGroup | None) -> None:
            assert begin(group, _nothing(), "work") is None
            inside = _nothing()
            assert begin(group, _await(inside), "work", inside=inside) is None

        async def winds_up(group: asyncio.TaskGroup) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                try_it(group)  # the group is told to end, and not yet over

        try_it(None)
        with pytest.raises(BaseExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(winds_up(group))
                await asyncio.sleep(0)
                raise _Stop
        try_it(group)

    asyncio.run(main())


def test_what_is_cancelled_before_it_begins_leaves_nothing_behind() -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            inside = _nothing()
            task = begin(group, _await(inside), "work", inside=inside)
            assert task is not None
            task.cancel()

    asyncio.run(main())
