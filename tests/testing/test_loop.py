import asyncio
import time

import pytest

from servent.testing.loop import Stuck, run


def test_an_hour_of_waiting_costs_no_time() -> None:
    began = time.perf_counter()

    async def main() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    assert run(main()) == 3600.0
    assert time.perf_counter() - began < 10


def test_a_program_that_can_never_go_on_is_reported_with_the_names_of_its_tasks() -> None:
    async def wait_for_nobody() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait_for_nobody(), name="the lonely one")

    with pytest.raises(Stuck, match=r"the lonely one \(.*wait_for_nobody"):
        run(main())


def test_a_program_that_only_ticks_is_stopped_at_the_limit() -> None:
    async def main() -> None:
        while True:
            await asyncio.sleep(60)

    with pytest.raises(Stuck, match="3600 s"):
        run(main(), limit=3600.0)


def test_threads_do_not_race_the_clock() -> None:
    async def main() -> float:
        async with asyncio.timeout(1.0):
            await asyncio.to_thread(time.sleep, 0.01)
        return asyncio.get_running_loop().time()

    assert run(main()) == 0.0


def test_an_error_in_a_thread_reaches_the_one_who_waits() -> None:
    async def main() -> None:
        await asyncio.to_thread(int, "no number")

    with pytest.raises(ValueError, match="no number"):
        run(main())
