"""A volunteer with well-meaning projects, in virtual time."""

from __future__ import annotations

import asyncio
from pathlib import Path

from servent.errors import UsageError
from servent.grid import wire
from servent.grid.sandbox.jobs import Ended
from servent.identity import Identity
from tests.grid.lender import MFLOPS, OWNER, Office, Volunteer, content_of, result_of, virtually

OTHER = Identity(b"key of another project, in tests")


def test_units_are_fetched_computed_and_returned(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        units = office.add(office.app(), 20, stdin=b"!")
        async with Volunteer(tmp_path, office) as ann:
            await ann.until(lambda: len(office.returned) == 20)
            first = office.returned[units[0]]
            assert first.outcome == "done" and first.output == result_of((1).to_bytes(32, "big"), b"!")
            assert first.seconds == 10.0
            assert ann.bench.most_running == 2
            await ann.until(lambda: ann.project.returned == 20)
            shown, project = ann.lending.view(), ann.project
            assert (shown.state, shown.units_today, shown.mflops) == ("idle", 20, MFLOPS)
            assert (project.name, project.about, project.units, project.done) == (
                "primes",
                "finds some",
                100,
                7,
            )
            assert project.state == "waiting" and project.why.startswith("nothing to do; asks again in")
            lines = await ann.lines("unit")
            assert len(lines) == 20
            assert {(line.app, line.outcome, line.project_name) for line in lines} == {
                ("sieve/1", "done", "primes")
            }
            join = office.asked(wire.Join)[0]
            assert (join.name, join.mflops, join.cores) == ("ann", MFLOPS, 2)
        left = [path for path in (tmp_path / "work").rglob("*") if path.is_file()]
        assert not left, "nothing is left of units that are over"
        assert sum(ann.contents.pins.values()) == 1, "of the module alone"

    virtually(story())


def test_cores_never_wait_for_work(tmp_path) -> None:
    """Four minutes of work for two cores take two minutes, and little more."""

    async def story() -> None:
        office = Office()
        office.add(office.app(), 24)
        async with Volunteer(tmp_path, office) as ann:
            began = asyncio.get_running_loop().time()
            await ann.until(lambda: len(office.returned) == 24)
            assert asyncio.get_running_loop().time() - began < 120 + 3
            most = max(sum(1 for lease in office.asked(wire.Lease)), 1)
            assert most < 20, "work is asked for in good portions"

    virtually(story())


def test_inputs_and_results_that_are_too_long_for_a_message_travel_as_contents(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        app = office.app()

        office.everybody[content_of(b"long input").infohash] = b"long input"
        (unit,) = office.add(app, content=content_of(b"long input"))
        async with Volunteer(tmp_path, office) as ann:

            def program(job):
                assert Path(job.stdin_path).read_bytes() == b"long input"
                path = Path(job.folder) / "output"
                path.write_bytes(b"long output")
                return Ended(job.number, "done", b"d" * 32, b"", str(path), 11, seconds=1.0)

            ann.bench.program = program
            await ann.until(lambda: office.returned)
            result = office.returned[unit]
            assert result.content is not None and office.everybody[result.content.infohash] == b"long output"
            assert ann.lending.view().transferred_today_bytes >= len(b"long input")

    virtually(story())


def test_what_goes_wrong_in_a_unit_is_returned_in_words(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        (unit,) = office.add(office.app())
        async with Volunteer(tmp_path, office) as ann:
            ann.bench.program = lambda job: Ended(job.number, "trap", seconds=2.0, words="unreachable")
            await ann.until(lambda: office.returned)
            assert (office.returned[unit].outcome, office.returned[unit].words) == ("trap", "unreachable")
            (line,) = await ann.lines("unit")
            assert (line.outcome, line.words, line.seconds) == ("trap", "unreachable", 2.0)
            assert ann.project.errors == 1 and ann.lending.view().units_today == 0

    virtually(story())


def test_a_process_that_dies_by_no_fault_of_the_module_gets_three_more_tries(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        (unit,) = office.add(office.app())
        async with Volunteer(tmp_path, office) as ann:
            ann.bench.program = lambda job: (
                Ended(job.number, "lost", words="killed") if len(ann.bench.began) < 4 else None
            )
            await ann.until(lambda: office.returned)
            assert office.returned[unit].outcome == "done" and len(ann.bench.began) == 4

    virtually(story())


def test_a_match_holds_everything_still_at_once_and_says_so(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        office.add(office.app(), 4)
        async with Volunteer(tmp_path, office) as ann:
            await ann.until(lambda: len(ann.bench.running) == 2)
            ann.engaged = "a match is on"
            ann.lending.settings_changed()
            await ann.until(lambda: ann.bench.percent == 0, limit=1.0)
            shown = ann.lending.view()
            assert (shown.state, shown.why, shown.by_person) == ("paused", "a match is on", False)
            assert {slot.state for slot in shown.slots} == {"paused"}
            done = ann.bench.slices
            await asyncio.sleep(60.0)
            assert ann.bench.slices <= done + 2 and not office.returned
            ann.engaged = ""
            await ann.until(lambda: len(office.returned) == 4)
            assert len(ann.bench.began) == 4, "what stood still went on, and was not begun again"
            lines = [
                (line.kind, line.words) for line in await ann.lines() if line.kind in ("pause", "resume")
            ]
            assert lines[:2] == [("resume", "computing again"), ("pause", "a match is on")]

    virtually(story())


def test_projects_share_the_machine_by_weight(tmp_path) -> None:
    async def story() -> None:
        one, two = Office(), Office(OTHER)
        one.add(one.app(), 300)
        two.add(two.app(), 300)
        async with Volunteer(tmp_path, one, two, cores=1) as ann:
            await ann.lending.change(bytes(OWNER.peer), share=300.0)
            await ann.until(lambda: len(one.returned) + len(two.returned) >= 100)
            assert 68 <= len(one.returned) <= 80
            two.waiting.clear()
            await ann.until(lambda: len(one.returned) >= 200)

    virtually(story())


def test_leaving_gives_back_what_is_held_and_forgets(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        office.add(office.app(), 6)
        async with Volunteer(tmp_path, office) as ann:
            ann.bench.takes = 1000.0
            await ann.until(lambda: ann.project.leased >= 2 and ann.bench.running)
            held = ann.project.leased
            await ann.lending.leave(bytes(OWNER.peer))
            await ann.until(lambda: not ann.lending.joined())
            assert len(office.aborted) == held and not ann.bench.running
            assert ann.contents.forgotten == [bytes(OWNER.peer)]
            assert (await ann.lines())[0].kind == "leave"
            assert ann.lending.view().why == "no project was joined yet"

    virtually(story())


def test_what_is_nearly_done_is_finished_and_returned_before_a_project_is_left(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        units = office.add(office.app(), 2)
        async with Volunteer(tmp_path, office, cores=1) as ann:
            await ann.until(lambda: ann.bench.slices >= 5)
            await ann.lending.leave(bytes(OWNER.peer))
            await ann.until(lambda: not ann.lending.joined())
            assert set(office.returned) == {units[0]} and office.aborted == [2]

    virtually(story())


def test_a_paused_project_keeps_what_it_began_and_begins_nothing(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        office.add(office.app(), 6)
        async with Volunteer(tmp_path, office) as ann:
            await ann.until(lambda: len(ann.bench.running) == 2)
            await ann.lending.change(bytes(OWNER.peer), paused=True)
            await asyncio.sleep(100.0)
            assert len(office.returned) == 2 and ann.project.state == "paused"
            await ann.lending.change(bytes(OWNER.peer), paused=False)
            office.waiting += [task for lease, task in sorted(office.leased.items())]
            await ann.until(lambda: ann.project.state != "paused")

    virtually(story())


def test_lending_that_is_off_asks_for_nothing(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        office.add(office.app(), 2)
        async with Volunteer(tmp_path, office, lend=False) as ann:
            await asyncio.sleep(120.0)
            assert not office.questions and ann.lending.view().state == "off"
            ann.settings.lend = True
            ann.lending.settings_changed()
            await ann.until(lambda: len(office.returned) == 2)

    virtually(story())


def test_a_project_that_cannot_pay_is_not_computed_for(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        office.add(office.app(), 2)
        ann = Volunteer(tmp_path, office)
        ann.poor = "its owner has no credit left"
        async with ann:
            await asyncio.sleep(120.0)
            assert not office.returned
            assert (ann.project.state, ann.project.why) == ("refused", "its owner has no credit left")

    virtually(story())


def test_faces_are_told_and_not_too_often(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        office.add(office.app(), 4)
        async with Volunteer(tmp_path, office) as ann:
            told: list[str] = []
            ann.lending.on_change(told.append)
            await ann.until(lambda: len(office.returned) == 4)
            assert 4 <= len(told) <= 2 * 2 * 30 and set(told) == {"lending", "joined"}

    virtually(story())


def test_slots_show_what_they_do(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        office.add(office.slices(), 1)
        async with Volunteer(tmp_path, office) as ann:
            ann.bench.takes = 200.0
            await ann.until(lambda: ann.bench.slices == 100)
            await asyncio.sleep(0.5)
            shown = ann.lending.view()
            one, two = shown.slots
            assert (one.state, one.project_name, one.app, one.fraction) == (
                "running",
                "primes",
                "sieve/1",
                0.5,
            )
            assert one.seconds == 100.0 and one.eta == 100.0
            assert one.checkpoint_age is not None and 38 <= one.checkpoint_age <= 42
            assert two.state == "empty" and shown.state == "working" and shown.why == "computing for primes"

    virtually(story())


def test_what_may_be_transferred_in_a_day_stops_fetching_until_the_next(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        app = office.app()
        office.everybody[content_of(b"x" * 5000).infohash] = b"x" * 5000
        office.add(app, content=content_of(b"x" * 5000))
        async with Volunteer(tmp_path, office, transfer_bytes_per_day=4000) as ann:
            await ann.until(lambda: len(office.returned) == 1)
            await asyncio.sleep(30.0)
            asked = len(office.asked(wire.Lease))
            office.add(app)
            await asyncio.sleep(3600.0)
            assert len(office.asked(wire.Lease)) == asked
            shown = ann.lending.view()
            assert "what may be transferred in a day is used up" in shown.why
            assert shown.transferred_today_bytes >= 5000
            await ann.until(lambda: len(office.returned) == 2, limit=86400.0)

    virtually(story())


def test_a_sandbox_that_cannot_run_a_unit_says_so_to_its_project(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        (unit,) = office.add(office.app())

        def refuse(job):
            raise UsageError("no process may write there")

        async with Volunteer(tmp_path, office) as ann:
            ann.bench.program = refuse
            await ann.until(lambda: office.returned)
            assert (
                office.returned[unit].outcome == "lost" and "may write there" in office.returned[unit].words
            )

    virtually(story())


def test_a_mistake_of_our_own_costs_the_contact_and_not_the_node(tmp_path, caplog) -> None:
    async def story() -> None:
        office = Office()
        (unit,) = office.add(office.app())

        def stumble(question, answer):
            raise ZeroDivisionError

        office.twist = stumble
        async with Volunteer(tmp_path, office) as ann:
            await ann.until(lambda: ann.project.state == "unreachable")
            assert "ZeroDivisionError" in caplog.text
            office.twist = lambda question, answer: answer
            await ann.until(lambda: unit in office.returned)

    virtually(story())
