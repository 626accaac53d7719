"""Credit on whole nodes over real iroh: a budget that holds, a balance inside a network, a ledger that outlives its project."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from servent.errors import ServentError, UsageError
from servent.grid import coordinator_handing, joined_service, ledger_own_service, links
from servent.grid.balance import CREDIT_LINE
from servent.grid.credit import cobblestones
from servent.node import Node
from servent.testing.nodes import gather_in_network, nodes
from tests.grid.sandbox.rig import ECHO
from tests.net.party import until

pytestmark = [pytest.mark.real, pytest.mark.slow]

OPERATIONS = 1000  # MFLOP of a unit


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries are made, asked for and published within seconds."""
    monkeypatch.setattr(ledger_own_service, "SETTLE_SOON", 0.1)
    monkeypatch.setattr(ledger_own_service, "LOOK_EVERY", 0.3)
    monkeypatch.setattr(ledger_own_service, "PUBLISH_SMALL", 1.0)
    monkeypatch.setattr(joined_service, "LOOK_SOON", 0.3)
    monkeypatch.setattr(joined_service, "LOOK_EVERY", 1.0)
    monkeypatch.setattr(coordinator_handing, "PAUSED", 1.0)


async def lend(node: Node, link: str, team: bytes | None = None) -> None:
    config = node.config.grid
    config.lend, config.preset, config.cores = True, "own", 1
    config.idle_minutes, config.on_battery = 0.0, True
    await node.grid.join(link, team=team)
    node.grid.lending.settings_changed()


def test_a_budget_holds_and_the_ledger_is_checked_when_the_project_is_gone(tmp_path: Path) -> None:
    async def story() -> None:
        async with nodes(4, tmp_path) as (owner, ann, bob, carl):
            await gather_in_network((owner, ann, bob, carl), "club")
            club = bytes(owner.trust.network("club").key)
            (tmp_path / "echo.wat").write_text(ECHO)
            grid = owner.grid
            made = await grid.projects.create(
                "echoes", audience="network", network="club", budget=cobblestones(15 * OPERATIONS)
            )
            key = grid.projects.key_of("echoes")
            await grid.projects.add_app(
                key, "echo", tmp_path / "echo.wat", operations=OPERATIONS * 1e6, seconds=20.0
            )
            reds = await ann.grid.teams.create("Reds")
            await lend(ann, made.link, reds.key)
            await lend(bob, made.link)
            batch = await grid.batches.submit(key, "echo", items=[b"item %d" % n for n in range(12)])

            def credited() -> int:
                return sum(node.grid.ledger.mine(key).results for node in (ann, bob))

            # two copies of seven units, and one of the eighth at most, can be paid
            await until(lambda: credited() >= 14, 60.0)
            assert grid.batches.view(batch.id).done == 7
            assert grid.projects.view(key).spent <= cobblestones(15 * OPERATIONS)
            audited = await grid.ledger.audit(key)
            assert audited.ok and audited.paid == 14 * OPERATIONS, audited.checks

            await grid.projects.change(key, budget=cobblestones(100 * OPERATIONS))
            await until(lambda: grid.batches.view(batch.id).state == "done", 60.0)
            await until(lambda: credited() == 24, 60.0)

            def agreed() -> bool:
                shown = grid.projects.view(key)
                return shown.ledger_entries > 0 and shown.ledger_open == 0

            await until(agreed, 20.0)  # the owner sees it as it happens
            with pytest.raises(UsageError):
                await grid.projects.change(key, budget=cobblestones(10 * OPERATIONS))

            # what the volunteers know by themselves
            for node in (ann, bob):
                await until(
                    lambda n=node: n.grid.ledger.newest(key) == grid.ledger.newest(key) is not None, 60.0
                )
            infohash = await grid.ledger.publish(key)
            for node in (ann, bob):
                await until(lambda n=node: n.grid.ledger.newest(key) == infohash, 90.0)
            seen = await carl.grid.audit(key, links.decode(made.link).coordinators)
            assert seen.ok and seen.results == 24, "nobody has to lend to look"
            await grid.close()  # the project is gone
            with pytest.raises(ServentError):
                await carl.grid.audit(key, links.decode(made.link).coordinators)
            audited = await ann.grid.ledger.audit(key)
            assert audited.ok and (audited.results, audited.open) == (24, 0), audited.checks
            people = {one.peer: one for one in await bob.grid.ledger.balances(club)}
            assert people[bytes(ann.peer)].balance == 12 * OPERATIONS
            assert people[bytes(owner.peer)].left == CREDIT_LINE - 24 * OPERATIONS
            board = await bob.grid.ledger.leaderboard(key, "teams", "day")
            assert [(one.name, one.results) for one in board.standings] == [("Reds", 12)]
            # and what anyone in the network can fetch of them
            audited = await carl.grid.ledger.audit(infohash, [bytes(ann.peer), bytes(bob.peer)])
            assert audited.ok and audited.project == key and audited.results == 24

    asyncio.run(story())
