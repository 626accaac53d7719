"""The whole room on whole nodes over real iroh: a project, volunteers who compute in the sandbox, results, credit, contents."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from servent.grid import joined_service, ledger_own_service
from servent.node import Node
from servent.testing.nodes import nodes
from tests.grid.sandbox.rig import ECHO
from tests.net.party import until

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries of the ledger are made, and asked for, within seconds."""
    monkeypatch.setattr(ledger_own_service, "SETTLE_SOON", 0.1)
    monkeypatch.setattr(ledger_own_service, "LOOK_EVERY", 0.5)
    monkeypatch.setattr(joined_service, "LOOK_SOON", 0.3)


@asynccontextmanager
async def party(count: int, folder: Path, *, friends: bool = True) -> AsyncIterator[list[Node]]:
    """The first owns a project; the others are its friends."""
    async with nodes(count, folder) as found:
        owner, *others = found
        for node in found:
            node.config.grid.preset, node.config.grid.cores = "own", 1
            node.config.grid.idle_minutes, node.config.grid.on_battery = 0.0, True
        for other in others if friends else ():
            await other.join(await owner.ticket())
        yield found


async def lend(node: Node, link: str) -> None:
    node.config.grid.lend = True
    await node.grid.join(link)
    node.grid.lending.settings_changed()


def module(folder: Path, text: str = ECHO, name: str = "echo.wat") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def run(story: Callable[[], object]) -> None:
    asyncio.run(story())  # type: ignore[arg-type]


def test_two_volunteers_compute_what_a_third_submits_and_are_credited(tmp_path: Path) -> None:
    async def story() -> None:
        async with party(3, tmp_path) as (owner, ann, bob):
            grid = owner.grid
            made = await grid.projects.create("echoes", about="says it again")
            key = grid.projects.key_of("echoes")
            app = await grid.projects.add_app(key, "echo", module(tmp_path), operations=1e9, seconds=20.0)
            assert (app.name, app.version, app.quorum) == ("echo", 1, 2)
            inputs = tmp_path / "in"
            inputs.mkdir()
            (inputs / "small.txt").write_bytes(b"small")
            (inputs / "large.bin").write_bytes(bytes(range(256)) * 800)  # a content: it travels by itself
            for node in (ann, bob):
                await lend(node, made.link)
            batch = await grid.batches.submit(
                key, "echo", paths=[inputs], items=[b"item %d" % n for n in range(20)], to=tmp_path / "out"
            )
            assert batch.units == 22
            await until(lambda: grid.batches.view(batch.id).state == "done", 90.0)
            lines = {}

            def written() -> bool:
                path = tmp_path / "out" / "results.jsonl"
                lines.clear()
                if path.exists():
                    lines.update(
                        {(one := json.loads(line))["number"]: one for line in path.read_text().splitlines()}
                    )
                return len(lines) == 22

            await until(written)
            assert all(one["state"] == "done" for one in lines.values())
            assert {one["output"] for one in lines.values() if one["number"] >= 2} == {
                f"item {n}" for n in range(20)
            }
            assert (tmp_path / "out" / "0000000-large.bin").read_bytes() == (
                inputs / "large.bin"
            ).read_bytes()
            assert (tmp_path / "out" / "0000001-small.txt").read_bytes() == b"small"
            # credit, in the ledger, agreed to by both
            for node in (ann, bob):
                await until(lambda node=node: node.grid.ledger.mine(key).results == 22, 60.0)
                assert node.grid.ledger.mine(key).credit == 22 * 1000
            await grid.ledger.publish(key)
            audited = await grid.ledger.audit(key)
            assert audited.ok and audited.results == 44 and audited.credit == 44_000, audited
            # and what faces show of it
            view = grid.projects.view(key)
            assert view.by_state["done"] == 22 and view.hosts == 2
            page = await grid.projects.units(key, batch=batch.id)
            assert len(page.units) == 22 and {one.state for one in page.units} == {"done"}
            assert {one.input for one in page.units} >= {"small.txt", "large.bin", "item 7"}
            assert len(await grid.projects.volunteers(key)) == 2
            assert sum(grid.projects.throughput(key).done) == 22
            assert (joined := ann.grid.lending.joined()[0]).name == "echoes" and joined.valid == 22

    run(story)
