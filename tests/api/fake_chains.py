"""The fake node's batch with generations: molecules that melt in three chains, whose results can be looked at."""

from __future__ import annotations

import time
from typing import Protocol

from servent.api import schema_chains as chains
from servent.api import schema_grid as grid
from servent.errors import NotFound, UsageError
from tests.grid import films

MOLECULES = 4  # the batch
CHAINS = ("argon-a.txt", "argon-b.txt", "argon-c.txt")
GENERATIONS = 12
ATOMS, STEPS, EVERY = 216, 2000, 100


class _Runs(Protocol):
    def batch(self, batch: int) -> grid.Batch: ...


def _whole(runs: _Runs, batch: int) -> grid.Batch:
    found = runs.batch(batch)
    if found.generations < 2:
        raise UsageError(
            f"batch {batch} has no generations", advice="`servent grid results` has its results."
        )
    return found


def page(
    runs: _Runs, batch: int, query: chains.ChainsQuery, hosts: list[str], names: list[str]
) -> chains.ChainPage:
    found = _whole(runs, batch)
    count = found.units // found.generations
    rows = []
    now = time.time()
    for number in range(count):
        done = min(found.generations, _done(found, number))
        over = done == found.generations
        state: grid.UnitState = (
            "done"
            if over
            else "cancelled"
            if found.state == "cancelled"
            else "waiting"
            if found.state == "paused"
            else "running"
        )
        part = round((now / 15 + number * 0.37) % 1.0, 3)
        copies = [
            grid.CopyView(peer=hosts[at], peer_name=names[at], state="leased", leased=now - 60, until=now + 3600, fraction=part)
            for at in (number, number + 1)
        ]  # fmt: skip
        running = state == "running"
        rows.append(
            chains.Chain(
                number=number,
                input=CHAINS[number] if batch == MOLECULES else f"input-{number}",
                done=done,
                state=state,
                unit=0 if over else batch * 100_000 + done * count + number,
                fraction=part if running else None,
                copies=copies if running else [],
            )
        )
    some = rows[query.after : query.after + query.limit]
    return chains.ChainPage(chains=some, more=query.after + len(some) < len(rows))


def _done(batch: grid.Batch, chain: int) -> int:
    """Units come in order; the first chains are ahead by one."""
    count = batch.units // batch.generations
    over = batch.done + batch.errors
    return over // count + (chain < over % count)


def trajectory(runs: _Runs, batch: int, chain: int) -> chains.Trajectory:
    found = _whole(runs, batch)
    count = found.units // found.generations
    if found.shows != "trajectory" or not 0 <= chain < count or not (done := _done(found, chain)):
        raise NotFound(f"chain {chain} of batch {batch} has no trajectory yet")
    frames = STEPS // EVERY
    return chains.Trajectory(
        chain=chain,
        input=CHAINS[chain],
        atoms=ATOMS,
        box=6.35,
        dt=0.004,
        every=EVERY,
        began=-4.0 * ATOMS,
        generations=found.generations,
        done=done,
        parts=[
            chains.TrajectoryPart(
                number=at * count + chain,
                generation=at,
                frames=frames,
                first=at * STEPS + EVERY,
                step=(at + 1) * STEPS,
            )
            for at in range(done)
        ],
        energies=[(at * EVERY, *films.energies(ATOMS, at)) for at in range(1, done * frames + 1)],
    )


def frames(runs: _Runs, batch: int, unit: int, query: chains.FramesQuery) -> bytes:
    found = _whole(runs, batch)
    count = found.units // found.generations
    if found.shows != "trajectory" or unit // count >= _done(found, unit % count):
        raise NotFound(f"unit {unit} of batch {batch} has no result yet")
    data = films.generation(unit // count, atoms=ATOMS, steps=STEPS, every=EVERY)[80 + 48 * ATOMS :]
    each = 16 + 6 * ATOMS
    places = range(query.first, min(len(data) // each, query.first + query.count * query.every), query.every)
    return b"".join(data[at * each : (at + 1) * each] for at in places)
