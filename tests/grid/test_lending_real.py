"""A node that computes for a project of its own, in the real sandbox: a pause holds it still at once, a restart of the node loses nothing."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

from servent.grid.lending_shelf import Shelf
from servent.node import Node
from servent.store import Store
from servent.testing.nodes import quiet_config
from tests.grid.sandbox.rig import counts
from tests.net.party import until

SLICES, ROUNDS = 200, 4_000_000  # of some 10 ms each


def node(folder: Path) -> Node:
    config = quiet_config("ann", folder)
    grid = config.grid
    grid.preset, grid.cores, grid.idle_minutes, grid.on_battery, grid.lend = "own", 1, 0.0, True, True
    return Node(folder / "node", config)


def slices(one: Node) -> int:
    """Of the unit that runs."""
    (slot,) = one.grid.lending.view().slots
    return slot.slices


def test_a_pause_holds_still_and_a_restart_goes_on(tmp_path: Path) -> None:
    module = tmp_path / "counts.wasm"
    module.write_bytes(counts(ROUNDS))

    async def story() -> None:
        async with node(tmp_path) as ann:
            made = await ann.grid.projects.create("mine")
            key = ann.grid.projects.key_of("mine")
            await ann.grid.projects.add_app(
                key, "counts", module, abi="slice", operations=1e9, seconds=60.0, quorum=1,
                memory_bytes=4 * 1024**2, checkpoint_bytes=4 * 1024**2,
            )  # fmt: skip
            batch = await ann.grid.batches.submit(key, "counts", items=[bytes([SLICES])])
            await ann.grid.join(made.link)
            await until(lambda: slices(ann) > 0, 60.0)
            await ann.grid.lending.pause()
            assert ann.grid.lending.view().state == "paused"
            await asyncio.sleep(1.2)  # it says how far it is each second
            held = slices(ann)
            await asyncio.sleep(1.5)
            assert slices(ann) == held, "nothing moves"
            await ann.grid.lending.resume()
            before = slices(ann)
            await until(lambda: slices(ann) > before, 60.0)
            reached = slices(ann)
        async with node(tmp_path) as ann:
            began: list[int] = []
            work = ann.grid.lending._work
            run = work._slots.run

            async def watched(job, *callbacks):
                began.append(job.resume_slices)
                return await run(job, *callbacks)

            work._slots.run = watched  # type: ignore[method-assign]
            await until(lambda: ann.grid.batches.view(batch.id).state == "done", 100.0)
            assert began and began[0] >= reached, (
                "the snapshot of the stop is newer than what was seen before"
            )
            (joined,) = ann.grid.lending.joined()
            assert joined.mine and joined.returned == 1 and joined.state == "waiting"
            lines = [line.kind for line in await ann.grid.lending.log()]
            assert {"join", "pause", "resume", "unit"} <= set(lines)

    asyncio.run(story())


def test_draining_the_shelf_waits_for_what_is_being_written(tmp_path: Path) -> None:
    """In a real thread: in virtual time every write is over at once."""

    async def story() -> None:
        async with Store(tmp_path / "grid.db") as store:
            shelf = Shelf(store)
            writing = asyncio.create_task(shelf.run())
            begun, go_on, done = threading.Event(), threading.Event(), []

            def job(db: object) -> None:
                begun.set()
                go_on.wait(60)
                done.append(1)

            shelf.later(job)
            await asyncio.to_thread(begun.wait, 10)
            draining = asyncio.create_task(shelf.drain())
            await asyncio.sleep(0.05)
            assert not draining.done()
            go_on.set()
            await draining
            assert done
            writing.cancel()

    asyncio.run(story())
