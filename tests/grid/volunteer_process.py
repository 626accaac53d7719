"""A node that computes for a project, in a process of its own, to be killed: for `test_lending_killed`.

    python -m tests.grid.volunteer_process FOLDER TICKET LINK HOLD

It says what its sandbox does, a line each: "began SLICES", "moved SLICES" and "saved SLICES". Once so many slices as HOLD are saved it holds still, so that a unit
is not over before whoever is to kill it has looked.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from servent.grid import contact_service, joined_service, publishing_service
from servent.node import Node
from servent.testing.nodes import quiet_config

CHECKPOINT_EVERY = 0.2  # s


async def main(folder: Path, ticket: str, link: str, hold: int) -> None:
    joined_service.RENEW_EVERY = contact_service.RENEW_EVERY = 1.0  # type: ignore[attr-defined]
    joined_service.RENEW_AT_LEAST = 0.3
    publishing_service.SEND_RATE = 10**9
    config = quiet_config(folder.name, folder)
    grid = config.grid
    grid.preset, grid.cores, grid.idle_minutes, grid.on_battery, grid.lend = "own", 1, 0.0, True, True
    async with Node(folder, config) as node:
        work = node.grid.lending._work
        work._checkpoint_every = CHECKPOINT_EVERY
        run = work._slots.run

        async def watched(job: Any, on_moving: Any = None, on_saved: Any = None) -> Any:
            if on_moving is None:  # the measurement of this machine's speed
                return await run(job)
            print("began", job.resume_slices, flush=True)

            def moving(said: Any) -> None:
                print("moved", said.slices, flush=True)
                on_moving(said)

            def saved(said: Any) -> None:
                print("saved", said.slices, flush=True)
                on_saved(said)
                if said.slices >= hold:
                    work._slots.pace(0)

            return await run(job, moving, saved)

        work._slots.run = watched  # type: ignore[method-assign]
        if not node.trust.contacts():
            await node.join(ticket)
        await node.grid.join(link)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])))
