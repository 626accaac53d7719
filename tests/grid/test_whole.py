"""The whole room on whole nodes over real iroh: a project, volunteers who compute in the sandbox, results, credit, contents."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from servent.errors import ServentError, UsageError
from servent.grid import joined_service, ledger_own_service, lending_service, links, wire
from servent.node import Node
from servent.testing.nodes import nodes
from tests.grid.sandbox.rig import COUNTS, ECHO
from tests.net.party import until

pytestmark = [pytest.mark.real, pytest.mark.slow]


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


def test_who_is_invited_gets_in_and_nobody_else_and_strangers_see_nothing_but_that(tmp_path: Path) -> None:
    async def story() -> None:
        async with party(3, tmp_path, friends=False) as (owner, ann, bob):
            grid = owner.grid
            made = await grid.projects.create("secret", audience="invited")
            key = grid.projects.key_of("secret")
            await grid.projects.add_app(key, "echo", module(tmp_path), operations=1e9, quorum=1)
            invitation = await grid.projects.invite(key, 1)
            await lend(bob, made.link)  # has only the link
            await until(lambda: bob.grid.lending.joined()[0].state == "refused")
            assert "invited" in bob.grid.lending.joined()[0].why
            await lend(ann, invitation)
            batch = await grid.batches.submit(key, "echo", items=[b"psst", b"L" * 50_000])
            await until(lambda: grid.batches.view(batch.id).state == "done", 60.0)
            assert [one.name for one in await grid.projects.volunteers(key)] == [ann.name]
            # an invitation for one is used up, and neither is known here for anything else
            visit = grid.coordinator.visit(key, bob.peer)
            answer = await visit.answer(wire.Join(key, invitation=links.decode(invitation).invitation))
            assert isinstance(answer, wire.Sorry) and "invited" in answer.reason
            assert owner.trust.verdict(ann.peer).guest and not owner.trust.allows(ann.peer, "servent.share/1")
            # who does not run a project for them is not reached at all
            with pytest.raises(ServentError):
                await bob.peers.connect(ann.endpoint.address(), timeout=1.0)

    run(story)


def test_an_invitation_opens_the_door_of_a_project_for_friends_and_a_key_alone_leads_nowhere(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with party(2, tmp_path, friends=False) as (owner, ann):
            made = await owner.grid.projects.create("ours")
            key = owner.grid.projects.key_of("ours")
            await owner.grid.projects.add_app(key, "echo", module(tmp_path), operations=1e9, quorum=1)
            with pytest.raises(UsageError, match="who hands out"):
                await ann.grid.join(made.key)
            batch = await owner.grid.batches.submit(key, "echo", items=[b"x"])
            await lend(ann, await owner.grid.projects.invite(key, 1))
            await until(lambda: owner.grid.batches.view(batch.id).state == "done", 60.0)

    run(story)


def test_a_unit_goes_on_elsewhere_from_where_its_volunteer_left_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lending_service, "NEARLY", 0.0)  # what is nearly done is not finished here first

    async def story() -> None:
        async with party(3, tmp_path) as (owner, ann, bob):
            grid = owner.grid
            made = await grid.projects.create("slices")
            key = grid.projects.key_of("slices")
            path = module(tmp_path, COUNTS.replace("ROUNDS", "25000000"), "counts.wat")  # some 0.07 s a slice
            app = await grid.projects.add_app(key, "counts", path, abi="slice", operations=1e9, quorum=1)
            batch = await grid.batches.submit(key, "counts", items=[bytes([40])])
            await lend(ann, made.link)

            def slices(node: Node) -> int:
                return max((one.slices for one in node.grid.lending.view().slots), default=0)

            await until(lambda: slices(ann) >= 5, 60.0)
            await ann.grid.leave(key)
            await lend(bob, made.link)
            await until(lambda: slices(bob) > 0 or grid.batches.view(batch.id).state == "done", 60.0)
            begun_at = slices(bob)
            await until(lambda: grid.batches.view(batch.id).state == "done", 60.0)
            assert begun_at >= 5, "it began anew"
            (unit,) = (await grid.projects.units(key)).units
            assert [one.state for one in unit.copies] == ["aborted", "valid"], unit
            (result,) = (await grid.batches.results(batch.id)).results
            assert result.size_bytes == 2048
            # the same as where nobody was interrupted
            alone = await grid.trying.try_out(path, abi="slice", input=_written(tmp_path, bytes([40])))
            assert alone.digest == result.digest and app.abi == "slice"

    run(story)


def _written(folder: Path, data: bytes) -> Path:
    path = folder / "input"
    path.write_bytes(data)
    return path
