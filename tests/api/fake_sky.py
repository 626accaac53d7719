"""The fake node's batch of a search for signals: most parts are done, and in some of them is something."""

from __future__ import annotations

import random

from servent.api import schema_grid as grid
from servent.api import schema_sky as sky
from servent.api.adapter_grid_base import as_struct
from servent.errors import UsageError
from servent.listen.sky import Sky
from tests.listen import heard

LISTEN = 5  # the batch
PARTS = 120


def found(batch: grid.Batch, query: sky.SkyQuery) -> sky.Sky:
    if batch.shows != "signals":
        raise UsageError(
            f"the results of batch {batch.id} are no signals", advice="`servent grid results` has them."
        )
    dice, here = random.Random(4), Sky()
    for part in range(batch.done):
        drift = -50 + 100 * part / PARTS
        kinds = [kind for kind in heard.KINDS if dice.random() < 0.08]
        signals = [
            heard.found(
                kind, 1 + dice.expovariate(1.1), dice.uniform(-4500, 4500), drift + dice.random(), part
            )
            for kind in kinds
        ]
        near = [
            heard.found(kind, dice.uniform(0.6, 0.97), dice.uniform(-4500, 4500), drift, part)
            for kind in heard.KINDS
        ]
        here.take(part, heard.result(signals, recording=1 + part // 40, near=near))
    return sky.Sky(
        parts=here.parts,
        units=batch.units,
        signals=here.signals,
        recordings=len(here.seconds),
        seconds=sum(here.seconds.values()),
        operations=float(here.operations),
        full=here.full,
        candidates=[as_struct(sky.Candidate, one) for one in here.ranked(query.most)],
    )
