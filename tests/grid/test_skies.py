"""Batches whose results are signals: read as they come, ranked, whatever strangers return beside them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from servent.errors import NotFound, UsageError
from servent.grid import wire
from tests.grid.coordinating import story
from tests.grid.test_batches import Desk, desk
from tests.listen import heard


async def through(here: Desk, batch: int, answers: dict[bytes, bytes]) -> None:
    def answer(task: wire.Task) -> bytes:
        return answers[task.stdin]

    while here.batches.view(batch).state == "running":
        await here.compute(answer)
        await asyncio.sleep(0.01)


@story
async def test_signals_of_all_parts_are_ranked_and_what_is_none_is_counted(tmp_path: Path) -> None:
    async with desk(tmp_path) as here:
        skies = here.batches.skies
        tone, beam = heard.found("spike", 3.0, 100.0, 0.5), heard.found("gaussian", 5.0, -900.0, 1.0)
        batch = await here.batches.submit(here.key, "app", items=[b"a", b"b", b"c"])
        assert (await skies.sky(batch.id)).parts == 0
        answers = {
            b"a": heard.said(heard.result([tone])),
            b"b": heard.said(heard.result([beam])),
            b"c": b"listen found 2  damaged",
        }
        await through(here, batch.id, answers)
        seen = await skies.sky(batch.id)
        assert [(one.kind, one.unit) for one in seen.candidates] == [("gaussian", 1), ("spike", 0)]
        assert (seen.parts, seen.units, seen.unread, seen.signals, seen.recordings) == (2, 3, 1, 2, 1)
        assert await skies.sky(batch.id) == seen, "nothing is read twice"
        plain = await here.batches.submit(here.key, "app", items=[b"x"])
        await through(here, plain.id, {b"x": b"42"})
        with pytest.raises(UsageError):
            await skies.sky(plain.id)
        with pytest.raises(NotFound):
            await skies.sky(99)
