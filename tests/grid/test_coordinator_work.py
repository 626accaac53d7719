"""What the owner of the work says: priorities, pauses, cancelling, budgets, time; and what follows when a host is caught."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from servent.errors import NotFound, UsageError
from servent.grid import wire
from servent.grid.coordinator_handing import Limits as Handed
from servent.grid.coordinator_service import Coordinator
from servent.grid.manifests import Content
from servent.store import Store
from tests.grid.coordinating import ME, Volunteer, app, done, hall, pieces, project, right, story
from tests.net.party import until


async def eventually(one: Volunteer, most: int = 64) -> list[wire.Task]:
    async with asyncio.timeout(60):
        while not (tasks := await one.lease(most)):
            await asyncio.sleep(0.02)
    return tasks


@story
async def test_higher_priorities_go_first_also_when_they_come_later(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db", app_=app(quorum=1)) as here:
        await here.add(pieces(5), batch=1)
        ann = await here.volunteer(1)
        await ann.lease(1)
        await here.add(pieces(3, 100), batch=2, priority=7)
        assert [task.stdin for task in await ann.lease(4)] == [b"100", b"101", b"102", b"1"]
        await here.add(pieces(1, 200), batch=3, priority=-5)
        await here.coordinator.change(3, priority=5)
        assert [task.stdin for task in await ann.lease(2)] == [b"200", b"2"]
        assert here.coordinator.batch(3).priority == 5


@story
async def test_what_has_to_be_done_sooner_goes_first(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db", app_=app(quorum=1)) as here:
        now = here.clock()
        await here.add(pieces(2, 10), batch=1, expires=now + 9000)
        await here.add(pieces(2, 20), batch=2, expires=now + 3000)
        ann = await here.volunteer(1)
        assert [task.stdin for task in await ann.lease()] == [b"20", b"21", b"10", b"11"]


@story
async def test_a_batch_is_paused_and_goes_on(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db") as here:
        await here.add(pieces(3), batch=1)
        ann, bob = await here.volunteer(1), await here.volunteer(2)
        (first,) = await ann.lease(1)
        await here.coordinator.change(1, paused=True)
        assert await bob.lease() == [] and await ann.lease() == []
        assert await ann.give_right([first]) == ["taken"]
        clock = here.clock
    async with hall(tmp_path / "grid.db", clock=clock) as here:
        bob = await here.volunteer(2)
        assert await bob.lease() == []
        await here.coordinator.change(1, paused=False)
        assert sorted(task.stdin for task in await bob.lease()) == [b"0", b"1", b"2"]


@story
async def test_a_cancelled_batch_ends_and_what_others_want_stays(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db", app_=app(quorum=1)) as here:
        await here.add(pieces(1200), batch=1)
        await here.add(pieces(2, 1198), batch=2)  # 1198 and 1199 are wanted by both
        assert here.coordinator.batch(2).units == 0 + 0
        ann = await here.volunteer(1)
        tasks = await ann.lease(3)
        assert await here.coordinator.cancel(batch=1) == 1200
        assert [task for task in await ann.lease() if task.stdin not in (b"1198", b"1199")] == []
        await until(lambda: here.coordinator.batch(1).open == 0)
        look = here.coordinator.batch(1)
        assert (look.units, look.cancelled, look.done) == (1198, 1198, 0)
        assert await ann.give_right(tasks) == ["late"] * 3
        renewed = await ann.visit.answer(wire.Renew([wire.Progress(tasks[0].lease)]))
        assert renewed == wire.Renewed([0.0])
        await ann.give_right(await eventually(ann)) if here.coordinator.batch(2).open == 2 else None
        bob = await here.volunteer(2)
        assert here.coordinator.batch(2).units == 2
        assert not [final for final in here.finals if final.state == "error"]
        assert await here.due() == [] or bob
        assert {final.state for final in here.finals} <= {"cancelled", "done"}
        with pytest.raises(UsageError):
            await here.add(pieces(1, 5000), batch=1)
        # the same work may be asked for again
        added = await here.add(pieces(1), batch=3)
        assert added[0].new


@story
async def test_single_units_are_cancelled(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db", app_=app(quorum=1)) as here:
        added = await here.add(pieces(3))
        assert await here.coordinator.cancel(units=[added[1].unit]) == 1
        ann = await here.volunteer(1)
        assert [task.stdin for task in await ann.lease()] == [b"0", b"2"]
        with pytest.raises(NotFound):
            await here.coordinator.cancel(batch=99)


@story
async def test_what_is_not_done_in_time_is_given_up(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db", app_=app(quorum=1)) as here:
        await here.add(pieces(3), expires=here.clock() + 100.0)
        ann = await here.volunteer(1)
        await ann.lease(1)
        here.clock.ahead += 101.0
        here.coordinator._work.behind.set()
        await until(lambda: len(here.finals) == 3)
        assert {(final.state, final.why) for final in here.finals} == {("error", "its time was over")}
        assert here.coordinator.view(here.key).by_state["error"] == 3


@story
async def test_a_batch_costs_no_more_than_its_budget(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db", app_=app(quorum=1)) as here:
        await here.add(pieces(5), budget=2500)
        ann = await here.volunteer(1)
        tasks = await ann.lease()
        assert len(tasks) == 2
        assert (await ann.ask_lease()).why == "the budget of this work is spent"
        await ann.visit.answer(wire.Abort([tasks[0].lease]))
        assert len(await ann.lease()) == 1  # what was set aside for it is free again
        await here.coordinator.change(1, budget=5000)
        assert len(await ann.lease()) == 3
        assert here.coordinator.batch(1).promised == 5000


@story
async def test_whoever_comes_first_leaves_work_for_the_others(tmp_path: Path) -> None:
    long = 10_000_000  # MFLOP: a quarter of an hour and more
    async with hall(tmp_path / "grid.db", app_=app(quorum=1, operations=long)) as here:
        await here.add(pieces(40))
        ann, bob = [await here.volunteer(number) for number in (1, 2)]
        first = await ann.lease(64, seconds=86400.0, cores=2)
        assert len(first) == 10, "half of an equal part"
        answer = await ann.ask_lease(64, seconds=86400.0, cores=2)
        assert not answer.tasks and "for others" in answer.why and answer.wait <= 5
        second = await bob.lease(64, seconds=86400.0, cores=2)
        assert len(second) == 10
        await bob.give_right(second)
        again = await bob.lease(64, seconds=86400.0, cores=2)
        assert 5 <= len(again) <= 10, "who is quick takes more of what is left"
        await ann.visit.answer(wire.Abort([task.lease for task in first]))


@story
async def test_a_failure_is_told_in_words_and_too_many_end_the_unit(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db") as here:
        await here.add(pieces(1))
        for number in range(5):
            one = await here.volunteer(number)
            (task,) = await eventually(one)
            words = "slow\x1b[31m as\nit is"
            await one.give(wire.Result(lease=task.lease, outcome="time", words=words))
        await until(lambda: len(here.finals) == 1)
        assert here.finals[0].state == "error" and "5 of its copies failed" in here.finals[0].why
        (problem,) = here.coordinator.problems(here.key)
        assert (problem.outcome, problem.count, problem.hosts) == ("time", 5, 5)
        assert problem.words == "slow [31m as it is"
        (unit,) = await here.coordinator.units(here.key)
        assert unit.shown == "error" and [copy.outcome for copy in unit.copies] == ["time"] * 5


@story
async def test_two_volunteers_are_enough_to_find_out_that_a_unit_cannot_be_computed(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db") as here:
        await here.add(pieces(2))
        ann, bob, cat = [await here.volunteer(number) for number in (1, 2, 3)]
        for one in (ann, bob):
            for task in await one.lease(2):
                ending: wire.Outcome = "exit" if task.stdin == b"0" else "input"
                await one.give(wire.Result(lease=task.lease, outcome=ending, words="no"))
        await until(lambda: len(here.finals) == 1)
        assert here.finals[0].state == "error" and "in the same way at 2 of 2" in here.finals[0].why
        (left,) = await cat.lease(2)
        assert left.stdin == b"1", "what is no fault of the unit's is tried elsewhere"


@story
async def test_who_was_trusted_and_is_caught_has_its_results_computed_again(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db", dice=random.Random(3)) as here:
        await here.add(pieces(400))
        eve, ann, bob = [await here.volunteer(number) for number in (1, 2, 3)]

        async def honest(one: Volunteer) -> int:
            tasks = await one.lease(16)
            await one.give_right(tasks)
            return len(tasks)

        for _ in range(3):  # all of them earn trust
            for one in (eve, ann, bob):
                await honest(one)
        assert any(host.trusted for host in here.coordinator.hosts(here.key))
        lies: dict[bytes, bytes] = {}
        caught = False
        for _ in range(20):  # she makes up everything, and answers alone
            tasks = await eve.lease(32)
            await eve.give(*(done(task.lease, b"lie " + task.stdin) for task in tasks))
            lies.update((task.unit, b"lie " + task.stdin) for task in tasks)
            await honest(ann)
            await honest(bob)
            if here.coordinator.view(here.key).invalid:
                caught = True
                break
        assert caught and len(lies) > 8
        await until(lambda: any(final.state == "done" for final in here.finals))
        # whatever rested on her word alone is computed again by the others
        for _ in range(10_000):
            got = 0
            for one in (ann, bob):
                got += await honest(one)
            view = here.coordinator.view(here.key)
            if (
                not got
                and not view.by_state["waiting"] + view.by_state["checking"] + view.by_state["running"]
            ):
                break
            await asyncio.sleep(0.005)
        newest = {final.unit: final for final in here.finals}
        assert len(newest) == 400
        wrong = [final for final in newest.values() if (final.output or b"").startswith(b"lie")]
        assert wrong == []
        assert any(final.revised for final in here.finals)
        hers: dict[bytes, int] = {}
        for identity, key, mflop in await here.due():
            if identity == bytes(eve.identity):
                hers[key] = hers.get(key, 0) + mflop
        assert all(hers.get(key, 0) == 0 for key in lies)


@story
async def test_a_new_identity_has_an_allowance_that_grows(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db", app_=app(quorum=1)) as here:
        await here.add(pieces(1000))
        ann = await here.volunteer(1)
        tasks = await ann.lease() + await ann.lease()
        assert len(tasks) == 100
        refused = await ann.ask_lease()
        assert refused.tasks == [] and "allowance" in refused.why and refused.wait > 0
        await ann.give_right(tasks[:50])
        assert len(await ann.lease()) == 64
        local = Volunteer(here.coordinator.visit(here.key, ann.identity, local=True), ann.identity)
        await local.join()
        assert len(await local.lease() + await local.lease()) == 128


@story
async def test_who_may_come_in(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db", signed=project(audience="invited")) as here:
        await here.add(pieces(2))
        eve = await here.volunteer(1)
        assert eve.welcome == wire.Sorry("this project is for those who are invited", None)
        await here.coordinator.invite(here.key, b"secret" * 4, uses=1)
        ann = await here.volunteer(2, invitation=b"secret" * 4)
        assert isinstance(ann.welcome, wire.Welcome) and ann.welcome.manifest is not None
        assert here.coordinator.invited(here.key, ann.identity)
        late = await here.volunteer(3, invitation=b"secret" * 4)
        assert isinstance(late.welcome, wire.Sorry)
        assert isinstance(
            await late.visit.answer(wire.Lease(1)) if late.visit._joined else late.welcome, wire.Sorry
        )
        clock = here.clock
    async with hall(tmp_path / "grid.db", signed=project(2, audience="invited"), clock=clock) as here:
        ann = await here.volunteer(2, serial=1)
        assert isinstance(ann.welcome, wire.Welcome) and ann.welcome.manifest is not None
        assert isinstance((await here.volunteer(3, invitation=b"secret" * 4)).welcome, wire.Sorry)
        assert len(await ann.lease()) == 2
        await here.coordinator.pause_project(here.key, True, "the disk is full")
        assert (await ann.ask_lease()).why == "the disk is full"


@story
async def test_a_newer_manifest_holds_after_a_restart_and_an_older_one_is_refused(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db") as here:
        await here.coordinator.add_project(project(2, about="newer"))
    store = Store(tmp_path / "grid.db", durable=True)
    coordinator = Coordinator(store, ME.peer)
    async with store:
        await coordinator.open()
        assert [one.about for one in coordinator.projects()] == ["newer"]
        with pytest.raises(UsageError):
            await coordinator.add_project(project(1))
        await coordinator.close()


@story
async def test_no_more_units_are_begun_than_the_memory_holds(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db", limits=Handed(active=10)) as here:
        await here.add(pieces(100))
        ann, bob = await here.volunteer(1), await here.volunteer(2)
        got = 0
        while tasks := await ann.lease(4):
            got += len(tasks)
        assert 10 <= got <= 13
        assert "as many units are out as can be" in (await ann.ask_lease()).why
        assert len(await bob.lease()) == got  # what is begun may be finished


@story
async def test_units_of_contents_that_a_volunteer_has_come_first(tmp_path: Path) -> None:
    contents = [Content(bytes([number]) * 32, 0, b"r" * 32, 5) for number in range(5)]
    async with hall(tmp_path / "grid.db", app_=app(quorum=2)) as here:
        for number, content in enumerate(contents):
            await here.add(pieces(1, number, stdin=b"", content=content))
        ann, bob = await here.volunteer(1), await here.volunteer(2)
        (task,) = await ann.lease(1, have=[contents[3].infohash])
        assert task.content == contents[3]
        (task,) = await bob.lease(1)
        assert task.content == contents[3] and bytes(ann.identity) in task.contacts


@story
async def test_the_last_units_of_a_batch_are_given_to_somebody_fast_as_well(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db", app_=app(quorum=1), trusting=False) as here:
        await here.add(pieces(21))
        ann, bob = await here.volunteer(1), await here.volunteer(2)
        await ann.give_right(await ann.lease(10))
        await bob.give_right(await bob.lease(10))
        (slow,) = await ann.lease(1)
        assert await bob.lease() == []
        here.clock.ahead += 500.0
        here.coordinator._work.behind.set()
        (spare,) = await eventually(bob)
        assert spare.unit == slow.unit
        assert await bob.give(right(spare)) == ["taken"]
        await until(lambda: len(here.finals) == 21)
        assert await ann.give(right(slow)) == ["taken"]  # within her time: she is paid, too
        await until(lambda: here.coordinator.view(here.key).spent == 22_000)


@story
async def test_what_others_write_goes_with_the_units_or_not_at_all(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db") as here:
        await here.store.write(lambda c: c.execute("CREATE TABLE mine (unit INTEGER)") and None)
        added = await here.coordinator.add_units(
            here.key, here.app, 1, pieces(3),
            along=lambda c, some: c.executemany("INSERT INTO mine VALUES (?)", [(one.unit,) for one in some]) and None,
        )  # fmt: skip
        assert [unit for (unit,) in await here.rows("SELECT unit FROM mine")] == [one.unit for one in added]

        def fails(connection: object, some: object) -> None:
            raise RuntimeError("no")

        with pytest.raises(RuntimeError):
            await here.coordinator.add_units(here.key, here.app, 2, pieces(1, 50), along=fails)
        with pytest.raises(NotFound):
            await here.coordinator.add_units(here.key, b"?" * 32, 1, pieces(1))
        ann = await here.volunteer(1)
        assert len(await ann.lease()) == 4


@story
async def test_what_is_forgotten_or_came_to_nothing_is_computed_again_by_another_name(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db", app_=app(quorum=1)) as here:
        (first,) = await here.add(pieces(1))
        ann = await here.volunteer(1)
        await ann.give_right(await ann.lease())
        await until(lambda: len(here.finals) == 1)
        assert await here.coordinator.forget([first.unit, 12345]) == 1
        assert await here.coordinator.finals() == [] and await here.coordinator.units(here.key) == []
        (second,) = await here.add(pieces(1), batch=2)
        assert second.new and second.unit != first.unit
        await here.coordinator.cancel(batch=2)
        await until(lambda: here.coordinator.batch(2).cancelled == 1)
        (third,) = await here.add(pieces(1), batch=3)
        assert third.new
        (task,) = await ann.lease()
        assert await ann.give_right([task]) == ["taken"]
        await until(lambda: here.finals[-1].unit == third.unit)
        (again,) = await here.add(pieces(1), batch=4)
        assert again.unit == third.unit and again.known is not None
        # by each name she is credited once: an audit asks for that
        due = await here.due()
        assert len(due) == 2 and len({key for _, key, _ in due}) == 2


@story
async def test_what_has_just_ended_is_told_to_who_asks_for_it_now(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db", app_=app(quorum=1)) as here:
        await here.add(pieces(40))
        ann = await here.volunteer(1)
        tasks = await ann.lease()
        async with asyncio.TaskGroup() as group:
            group.create_task(ann.give_right(tasks))
            await asyncio.sleep(0)
            again = await here.add(pieces(40), batch=2)
        assert all((one.known is not None) or not one.new for one in again)
        # whoever was not told at once is told by a later final
        told = {one.unit for one in again if one.known is not None}
        await until(lambda: len(here.finals) == 40)
        assert told | {final.unit for final in here.finals} == {one.unit for one in again}
