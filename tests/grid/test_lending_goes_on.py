"""What a volunteer began goes on: after pauses, restarts and power cuts, from snapshots, here or elsewhere. In virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from servent.grid import planning_service, wire
from servent.grid.sandbox.jobs import Ended
from tests.grid.lender import HOME, Office, Volunteer, content_of, virtually


def test_a_pause_by_the_person_outlives_a_restart_and_ends_by_itself(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        office.add(office.app(), 2)
        async with Volunteer(tmp_path, office, store=tmp_path / "grid.db") as ann:
            await ann.lending.pause(600.0)
            assert ann.lending.view().paused_until is not None
        async with Volunteer(tmp_path, office, store=tmp_path / "grid.db") as ann:
            await asyncio.sleep(5.0)
            shown = ann.lending.view()
            assert shown.by_person and shown.why.startswith("paused by you until")
            assert not office.returned
            await ann.until(lambda: len(office.returned) == 2, limit=700.0)
            await ann.lending.pause()
            assert ann.lending.view().why == "paused by you"
            await ann.lending.resume()
            assert ann.lending.view().state == "idle"

    virtually(story())


def test_memory_that_others_need_is_left(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        office.add(office.slices(), 2)
        async with Volunteer(tmp_path, office) as ann:
            await ann.until(lambda: ann.bench.slices >= 6)
            ann.machine = replace(ann.machine, memory_free=0)
            ann.lending.settings_changed()
            await ann.until(lambda: not ann.bench.running, limit=5.0)
            assert ann.lending.view().why == "other programs need the memory"
            before = ann.bench.slices
            await asyncio.sleep(60.0)
            ann.machine = replace(ann.machine, memory_free=2**40)
            await ann.until(lambda: len(office.returned) == 2)
            assert before + ann.bench.slices - before == 20, "no slice was computed twice"

    virtually(story())


def test_what_is_not_begun_goes_back_in_a_long_pause_and_what_is_begun_with_its_checkpoint_in_a_longer_one(
    tmp_path,
) -> None:
    async def story() -> None:
        office = Office()
        office.lasts = 86400.0
        units = office.add(office.slices(), 5)
        async with Volunteer(tmp_path, office) as ann:
            ann.bench.takes = 3600.0
            await ann.until(lambda: ann.bench.slices > 200)
            ann.engaged = "a call is on"
            await asyncio.sleep(planning_service.WAITING_BACK_AFTER + 60)
            assert sorted(office.aborted) == [3, 4, 5]
            await asyncio.sleep(planning_service.BEGUN_BACK_AFTER)
            assert sorted(office.aborted) == [1, 2, 3, 4, 5]
            assert set(office.checkpoints) == set(units[:2])
            assert all(one.slices >= 60 for one in office.checkpoints.values())
            assert not ann.bench.running and ann.project.leased == 0

    virtually(story())


def test_leases_are_renewed_with_checkpoints_and_stop_where_nobody_waits_any_more(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        units = office.add(office.slices(), 3)
        async with Volunteer(tmp_path, office, cores=1, fetch_ahead_minutes=60.0) as ann:
            ann.bench.takes = 1000.0
            await ann.until(lambda: len(office.renewed) >= 9)
            checkpoint = office.checkpoints[units[0]]
            assert checkpoint.slices >= 60 and checkpoint.fraction > 0
            assert office.everybody[checkpoint.content.infohash] == str(checkpoint.slices).encode()
            office.unwanted |= {1, 2}
            await ann.until(lambda: [job.seed[-1] for job in ann.bench.running.values()] == [3])
            assert ann.project.leased == 1
            assert [line.outcome for line in await ann.lines("unit")] == ["unneeded", "unneeded"]

    virtually(story())


def test_a_unit_goes_on_from_somebody_elses_checkpoint(tmp_path) -> None:
    async def story() -> None:
        office = Office()

        office.everybody[content_of(b"7").infohash] = b"7"
        checkpoint = wire.Checkpoint(content_of(b"7"), 7, b"s" * 32, 0.7)
        (unit,) = office.add(office.slices(), resume=checkpoint)
        async with Volunteer(tmp_path, office) as ann:
            await ann.until(lambda: office.returned)
            assert office.returned[unit].outcome == "done" and ann.bench.slices == 3
            assert ann.bench.began[0].resume_slices == 7

    virtually(story())


def test_a_snapshot_that_cannot_be_used_is_left_and_the_unit_begins_anew(tmp_path) -> None:
    async def story() -> None:
        office = Office()

        office.everybody[content_of(b"7").infohash] = b"7"
        (unit,) = office.add(office.slices(), resume=wire.Checkpoint(content_of(b"7"), 7, b"s" * 32, 0.7))
        async with Volunteer(tmp_path, office) as ann:
            ann.bench.program = lambda job: (
                Ended(job.number, "checkpoint", words="of another module") if job.resume else None
            )
            await ann.until(lambda: office.returned)
            assert office.returned[unit].outcome == "done" and ann.bench.slices == 10

    virtually(story())


def test_after_a_power_cut_it_goes_on_from_the_last_snapshot_and_returns_what_was_done(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        units = office.add(office.slices(), 2)
        ann = Volunteer(tmp_path, office, store=tmp_path / "grid.db")
        ann.bench.takes = 100.0
        async with ann:
            await ann.until(lambda: ann.bench.slices >= 2 * 70)
            await ann.kill()
        assert not office.returned
        again = Volunteer(tmp_path, office, store=tmp_path / "grid.db")
        again.bench.takes = 100.0
        async with again:
            await again.until(lambda: len(office.returned) == 2)
            assert [job.resume_slices for job in again.bench.began] == [60, 60]
            assert again.bench.slices == 2 * 40
            assert {office.returned[unit].seconds for unit in units} == {100.0}

    virtually(story())


def test_a_clean_stop_loses_no_slice_and_gives_back_what_was_not_begun(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        office.add(office.slices(), 4)
        ann = Volunteer(tmp_path, office, store=tmp_path / "grid.db", fetch_ahead_minutes=10.0)
        ann.bench.takes = 100.0
        async with ann:
            await ann.until(lambda: ann.bench.slices >= 2 * 30)
        assert sorted(office.aborted) == [3, 4] and sorted(office.leased) == [1, 2]
        again = Volunteer(tmp_path, office, store=tmp_path / "grid.db")
        again.bench.takes = 100.0
        async with again:
            await again.until(lambda: len(office.returned) == 2)
            assert ann.bench.slices + again.bench.slices == 200

    virtually(story())


def test_a_result_waits_for_a_coordinator_that_is_away_even_over_a_restart(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        (unit,) = office.add(office.app())
        async with Volunteer(tmp_path, office, store=tmp_path / "grid.db") as ann:
            await ann.until(lambda: ann.bench.running)

            def away(question, answer):
                from servent.errors import ConnectionLost

                raise ConnectionLost("gone")

            office.twist, office.open = away, False
            await ann.until(lambda: ann.lending.view().to_return == 1)
            await asyncio.sleep(200.0)
            assert ann.project.state == "unreachable" and "tries again in" in ann.project.why
            await ann.kill()
        office.twist, office.open = Office().twist, True
        async with Volunteer(tmp_path, office, store=tmp_path / "grid.db") as ann:
            await ann.until(lambda: office.returned)
            assert not ann.bench.began and office.returned[unit].outcome == "done"

    virtually(story())


def test_what_was_held_is_computed_while_the_coordinator_is_away(tmp_path) -> None:
    """Its app and module are here: nothing needs asking, and nothing is given back before the machine was looked at."""

    async def story() -> None:
        office = Office()
        (unit,) = office.add(office.slices())
        async with Volunteer(tmp_path, office, store=tmp_path / "grid.db") as ann:
            await ann.until(lambda: ann.bench.slices >= 3)
            await ann.kill()
        office.open = False
        async with Volunteer(tmp_path, office, store=tmp_path / "grid.db") as ann:
            await ann.until(lambda: ann.lending.view().to_return == 1, limit=60.0)
            office.open = True
            await ann.until(lambda: unit in office.returned)

    virtually(story())


def test_lending_that_is_turned_off_leaves_the_memory_and_gives_back_everything_with_its_checkpoints(
    tmp_path,
) -> None:
    async def story() -> None:
        office = Office()
        units = office.add(office.slices(), 3)
        async with Volunteer(tmp_path, office) as ann:
            ann.bench.takes = 500.0
            await ann.until(lambda: ann.bench.slices >= 2 * 100)
            ann.settings.lend = False
            ann.lending.settings_changed()
            await ann.until(lambda: sorted(office.aborted) == [1, 2, 3], limit=30.0)
            assert not ann.bench.running and ann.bench.cores == 0
            assert set(office.checkpoints) == set(units[:2])
            assert ann.lending.view().state == "off" and ann.project.leased == 0
            office.waiting += [task for task in office.leased.values()]
            ann.settings.lend = True
            ann.lending.settings_changed()
            office.add(office.slices())
            await ann.until(lambda: ann.bench.running)

    virtually(story())


def test_a_coordinator_that_comes_back_is_met_at_once(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        office.open = False
        (unit,) = office.add(office.app())
        async with Volunteer(tmp_path, office) as ann:
            await asyncio.sleep(6 * 3600.0)
            assert ann.project.state == "unreachable"
            office.open = True
            ann.lending.seen(b"x" * 32)
            await asyncio.sleep(5.0)
            assert not office.questions, "that was somebody else"
            ann.lending.seen(bytes(HOME.peer))
            await ann.until(lambda: unit in office.returned, limit=30.0)

    virtually(story())


def test_the_speed_is_measured_once_a_month(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        for days, measured in ((0.0, 1), (1.0, 0), (31.0, 1)):
            ann = Volunteer(tmp_path, office, store=tmp_path / "grid.db")
            ann.later = days * 86400.0
            count: list[int] = []
            measure = ann.bench.measure

            async def counted(measure=measure, count=count) -> float:
                count.append(1)
                return await measure()

            ann.lending._allowing._measure = counted
            async with ann:
                await ann.until(lambda ann=ann: ann.lending.view().mflops)
                await asyncio.sleep(60.0)
            assert len(count) == measured, days

    virtually(story())


def test_a_slice_that_does_not_end_neither_holds_up_the_stop_nor_a_change_of_mind(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        office.add(office.slices(), 2)
        loop = asyncio.get_running_loop()
        async with Volunteer(tmp_path, office) as ann:
            ann.bench.takes, ann.bench.slice = 400.0, 100.0
            await ann.until(lambda: len(ann.bench.running) == 2)
            ann.machine = replace(ann.machine, memory_free=0)
            ann.lending.settings_changed()
            await asyncio.sleep(10.0)
            await ann.lending.pause()  # another verdict, while slices still end
            await ann.lending.resume()
            ann.machine = replace(ann.machine, memory_free=2**40)
            ann.lending.settings_changed()
            await ann.until(lambda: ann.bench.slices >= 6)
            assert ann.bench.percent == 100 and ann.bench.cores == 2
            began = loop.time()
            await ann.lending.close()
            assert loop.time() - began < 8.0

    virtually(story())


def test_who_leaves_a_project_gives_back_what_was_computed_so_far(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        (unit,) = office.add(office.slices())
        async with Volunteer(tmp_path, office) as ann:
            ann.bench.takes = 1000.0
            await ann.until(lambda: ann.bench.slices >= 5)
            done = ann.bench.slices
            await ann.lending.leave(bytes(office.key.peer))
            assert office.aborted == [1]
            assert office.checkpoints[unit].slices >= done, "no snapshot was due for a minute yet"

    virtually(story())
