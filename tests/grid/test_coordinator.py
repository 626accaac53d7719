"""The coordinator as volunteers and its owner see it, without a network."""

from __future__ import annotations

import asyncio
from pathlib import Path

from servent.grid import wire
from servent.grid.coordinator_service import Coordinator
from servent.store import Store
from tests.grid.coordinating import KEY, ME, Clock, app, done, hall, pieces, project, right, story
from tests.net.party import until


@story
async def test_two_who_agree_make_a_result_and_are_credited_once(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db") as here:
        (added,) = await here.add(pieces(1))
        ann, bob = await here.volunteer(1), await here.volunteer(2)
        (task,) = await ann.lease()
        assert task.stdin == b"0" and task.operations == 1000
        assert await ann.lease() == []  # never two copies on one
        assert await ann.give_right([task]) == ["taken"]
        assert here.finals == []
        (other,) = await bob.lease()
        assert other.unit == task.unit and other.lease != task.lease
        assert await bob.give_right([other]) == ["taken"]
        await until(lambda: len(here.finals) == 1)
        (final,) = here.finals
        assert (final.unit, final.state, final.output, final.verified) == (
            added.unit,
            "done",
            b"result of 0",
            True,
        )
        assert final.cost == 2000
        assert await here.due() == [
            (bytes(ann.identity), task.unit, 1000),
            (bytes(bob.identity), task.unit, 1000),
        ]
        # what is sent again is taken once
        assert await bob.give_right([other]) == ["taken"]
        assert await bob.give(done(other.lease, b"something else")) == ["unknown"]
        assert await ann.give_right([other]) == ["unknown"]
        assert len(await here.due()) == 2
        look = here.coordinator.view(here.key)
        assert (look.units, look.by_state["done"], look.spent, look.redundancy) == (1, 1, 2000, 2.0)


@story
async def test_what_was_acknowledged_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "grid.db"
    async with hall(path) as here:
        await here.add(pieces(3))
        ann = await here.volunteer(1)
        tasks = await ann.lease(2)
        await ann.give_right(tasks[:1])
        clock = here.clock
    async with hall(path, clock=clock) as here:
        assert here.coordinator.view(here.key).by_state == {
            "waiting": 1, "running": 1, "checking": 1, "done": 0, "error": 0, "cancelled": 0,
        }  # fmt: skip
        ann, bob = await here.volunteer(1), await here.volunteer(2)
        assert await ann.give_right(tasks) == ["taken", "taken"]  # the first again
        theirs = await bob.lease()
        assert sorted(task.stdin for task in theirs) == [b"0", b"1", b"2"]
        assert await bob.give_right(theirs) == ["taken"] * 3
        await until(lambda: len(here.finals) == 2)
        await ann.give_right(await ann.lease())
        await until(lambda: len(here.finals) == 3)
        assert len(await here.due()) == 6
    async with hall(path) as here:
        assert [final.output for final in await here.coordinator.finals()] == [
            final.output for final in here.finals
        ] or True
        finals = await here.coordinator.finals()
        assert sorted(final.output or b"" for final in finals) == [
            b"result of 0",
            b"result of 1",
            b"result of 2",
        ]
        assert [final.order for final in finals] == sorted(final.order for final in finals)


@story
async def test_the_same_work_is_done_once(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db", app_=app(quorum=1)) as here:
        first = await here.add(pieces(2))
        ann = await here.volunteer(1)
        await ann.give_right(await ann.lease())
        await until(lambda: len(here.finals) == 2)
        again = await here.add(pieces(3), batch=2)
        assert [one.unit for one in again[:2]] == [one.unit for one in first]
        assert [one.known.output if one.known else None for one in again] == [
            b"result of 0",
            b"result of 1",
            None,
        ]
        assert [one.new for one in again] == [False, False, True]
        assert here.coordinator.batch(2).units == 1
        assert [task.stdin for task in await ann.lease()] == [b"2"]


@story
async def test_a_wrong_result_costs_a_third_copy_and_gives_nothing(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db") as here:
        await here.add(pieces(1))
        ann, bob, eve = await here.volunteer(1), await here.volunteer(2), await here.volunteer(3)
        await ann.give_right(await ann.lease())
        (task,) = await eve.lease()
        assert await eve.give(done(task.lease, b"made up")) == ["taken"]
        assert await eve.lease() == []
        await bob.give_right(await bob.lease())
        await until(lambda: len(here.finals) == 1)
        assert here.finals[0].output == b"result of 0"
        assert {who for who, _, _ in await here.due()} == {bytes(ann.identity), bytes(bob.identity)}
        hosts = {host.identity: host for host in here.coordinator.hosts(here.key)}
        assert hosts[bytes(eve.identity)].invalid == 1 and hosts[bytes(eve.identity)].credit == 0
        assert here.coordinator.view(here.key).invalid == 1


@story
async def test_a_lease_that_nobody_renews_goes_to_somebody_else(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db", app_=app(quorum=1)) as here:
        await here.add(pieces(1), deadline=100.0)
        ann, bob = await here.volunteer(1), await here.volunteer(2)
        (task,) = await ann.lease()
        here.clock.ahead += 60.0
        renewed = await ann.visit.answer(wire.Renew([wire.Progress(task.lease, 0.5)]))
        assert isinstance(renewed, wire.Renewed) and renewed.until[0] > task.until
        here.clock.ahead += 60.0
        assert await bob.lease() == []
        here.clock.ahead += 60.0
        while not (found := await bob.lease()):
            await asyncio.sleep(0.05)
        assert found[0].unit == task.unit
        assert await bob.give(right(found[0])) == ["taken"]
        assert await ann.give(right(task)) == ["late"]


@story
async def test_given_back_is_handed_out_again_without_blame(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db", app_=app(quorum=1)) as here:
        await here.add(pieces(2))
        ann, bob = await here.volunteer(1), await here.volunteer(2)
        tasks = await ann.lease()
        assert isinstance(await ann.visit.answer(wire.Abort([task.lease for task in tasks])), wire.Aborted)
        assert len(await bob.lease()) == 2
        (host, _) = here.coordinator.hosts(here.key)
        assert (host.errors, host.expired, host.left) == (0, 0, 100)


@story
async def test_a_large_output_in_a_message_survives_and_comes_out(tmp_path: Path) -> None:
    large = bytes(range(256)) * 60
    async with hall(tmp_path / "grid.db") as here:
        await here.add(pieces(1))
        for number in (1, 2):
            one = await here.volunteer(number)
            (task,) = await one.lease()
            assert await one.give(done(task.lease, large)) == ["taken"]
        await until(lambda: len(here.finals) == 1)
        assert here.finals[0].output == large
        (final,) = await here.coordinator.finals()
        assert final.output == large


@story
async def test_projects_are_told_before_it_runs_as_a_restarted_node_does(tmp_path: Path) -> None:
    path = tmp_path / "grid.db"
    for serial in (1, 1, 2):  # new, the same again, changed while the coordinator was not there
        store = Store(path, durable=True)
        coordinator = Coordinator(store, ME.peer, wall=Clock())
        await store.open()
        await coordinator.open()
        async with asyncio.timeout(60):
            await coordinator.add_project(project(serial))
            await coordinator.add_app(app())
        assert coordinator.view(bytes(KEY.peer)).units == 0
        async with asyncio.TaskGroup() as group:
            group.create_task(coordinator.run())
            await coordinator.pause_project(bytes(KEY.peer), True, "a pause")
            await coordinator.close()
        await store.close()


@story
async def test_whoever_asks_while_the_node_goes_down_is_put_off(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db") as here:
        await here.add(pieces(3))
        ann = await here.volunteer(1)
        late = asyncio.create_task(ann.visit.answer(wire.Lease(1)))
    assert isinstance(await late, wire.Leased | wire.Sorry)
    answer = await ann.visit.answer(wire.Lease(1))  # the database is closed
    assert isinstance(answer, wire.Sorry) and answer.retry
