"""Looking at the node in steps: nobody waits for ten thousand rows, and what listeners hear is the same."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from servent.api import looking, schema
from servent.api.context import Context
from servent.api.events import Bus, Listener
from servent.api.keys import Keys
from tests.api.fake import FakeNode


class Many(FakeNode):
    """A node with as many transfers as a test wants."""

    def __init__(self, data_dir: Path, count: int) -> None:
        super().__init__(data_dir)
        self.rows = {
            f"t{number:05d}": schema.Transfer(id=f"t{number:05d}", direction="down", name="x", state="active")
            for number in range(count)
        }

    def transfer_ids(self) -> list[str]:
        return list(self.rows)

    def some_transfers(self, ids: Sequence[str]) -> list[schema.Transfer]:
        return [self.rows[id] for id in ids if id in self.rows]


def listening(node: FakeNode) -> tuple[Context, Listener]:
    ctx = Context(node, Keys("t" * 43), Bus(0), "0.1.0")
    listener = ctx.bus.listen(["transfers"], lambda: None)
    assert listener is not None
    return ctx, listener


def told(listener: Listener) -> list[dict[str, Any]]:
    return [json.loads(event)["data"] for _, event in listener.take()]


def look(ctx: Context) -> None:
    asyncio.run(looking.look(ctx, frozenset({"transfers"})))


def test_all_rows_come_in_events_of_bounded_size(tmp_path: Path) -> None:
    node = Many(tmp_path, 1234)
    ctx, listener = listening(node)
    look(ctx)
    said = told(listener)
    assert [row["id"] for data in said for row in data["items"]] == list(node.rows)
    assert max(len(data["items"]) for data in said) <= looking.EVENT_ROWS + looking.STEP_ROWS


def test_afterwards_only_what_changed_and_what_is_gone(tmp_path: Path) -> None:
    node = Many(tmp_path, 300)
    ctx, listener = listening(node)
    look(ctx)
    told(listener)
    look(ctx)
    assert told(listener) == []
    node.rows["t00007"] = msgspec.structs.replace(node.rows["t00007"], done_bytes=5)
    del node.rows["t00200"]
    look(ctx)
    (data,) = told(listener)
    assert [row["id"] for row in data["items"]] == ["t00007"] and data["gone"] == ["t00200"]


def test_others_run_between_the_steps(tmp_path: Path) -> None:
    ctx, _ = listening(Many(tmp_path, 2000))
    turns = 0

    async def story() -> None:
        nonlocal turns

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(other())
            await looking.look(ctx, frozenset({"transfers"}))
            running.cancel()

    asyncio.run(story())
    assert turns >= 2000 // looking.STEP_ROWS


def test_a_row_that_leaves_during_a_look_is_gone_after_the_next(tmp_path: Path) -> None:
    class Leaving(Many):
        def some_transfers(self, ids: Sequence[str]) -> list[schema.Transfer]:
            self.rows.pop("t00099", None)
            return super().some_transfers(ids)

    node = Leaving(tmp_path, 100)
    ctx, listener = listening(node)
    look(ctx)
    assert "t00099" not in {row["id"] for data in told(listener) for row in data["items"]}
