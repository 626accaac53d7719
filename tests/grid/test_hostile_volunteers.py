"""Volunteers that forge, replay, flood and take what is others': nothing is believed, nothing is paid, and the coordinator stays."""

from __future__ import annotations

import asyncio
import hashlib
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from servent.codec import encode
from servent.errors import BadMessage
from servent.grid import coordinator_door_service, coordinator_rooms, quota
from servent.grid.coordinator_taking import WORDS
from servent.grid.manifests import INLINE_BYTES
from servent.grid.wire import (
    BATCH,
    QUESTION_BYTES,
    Abort,
    Checkpoint,
    Countersign,
    Countersigned,
    Describe,
    Described,
    Join,
    Lease,
    Leased,
    Progress,
    Question,
    Renew,
    Result,
    Return,
    Sorry,
    Task,
    read_question,
)
from tests.grid.counter import LIMITS, Counter, Folder, Volunteer, content, counter, done, until
from tests.net.party import identity


async def shared(here: Counter, *numbers: int) -> tuple[list[Volunteer], list[Task]]:
    """Volunteers who hold a copy of the same unit, each its own."""
    people = [await here.volunteer(number) for number in numbers]
    tasks = [(await one.lease())[0] for one in people]
    assert len({task.unit for task in tasks}) == 1
    return people, tasks


async def put_right(here: Counter, people: tuple[Volunteer, ...], units: int) -> None:
    """The honest compute what there is, until so many units have ended, all of them rightly."""
    for _ in range(1000):
        here.now += 1.0
        for one in people:
            while tasks := await one.lease(BATCH):
                await one.give(*[done(task, b"42") for task in tasks])
        newest = {one.unit: one.output for one in here.finals}
        if len(newest) == units and set(newest.values()) == {b"42"}:
            return
        await asyncio.sleep(0.02)
    raise AssertionError([len(newest), sum(output != b"42" for output in newest.values())])


def test_an_output_that_is_not_what_its_digest_says_is_refused_and_costs_allowance() -> None:
    async def main() -> None:
        async with counter() as here:
            await here.units(1)
            (eve, ann), (forged, real) = await shared(here, 1, 2)
            lie = Result(
                lease=forged.lease, outcome="done", digest=hashlib.sha256(b"42").digest(), output=b"43"
            )
            assert await eve.give(lie) == ["bad"]
            assert await ann.give(done(real, b"42")) == ["taken"]
            assert not await here.due() and not here.finals
            ben = await here.volunteer(3)
            assert await ben.give(done((await ben.lease())[0], b"42")) == ["taken"]
            await until(lambda: len(here.finals) == 1)
            assert here.finals[0].output == b"42" and here.finals[0].verified
            assert {row[1] for row in await here.due()} == {bytes(ann.who.peer), bytes(ben.who.peer)}
            looks = {look.identity: look for look in here.coordinator.hosts(here.key)}
            assert looks[bytes(eve.who.peer)].errors == 1
            assert looks[bytes(eve.who.peer)].left < quota.FIRST // 2

    asyncio.run(main())


def test_a_result_that_is_sent_again_and_again_is_credited_once() -> None:
    async def main() -> None:
        async with counter() as here:
            await here.units(1)
            (eve, ann), (hers, other) = await shared(here, 1, 2)
            same = done(hers, b"42")
            words = await eve.give(same, same, same)
            assert words[0] == "taken"
            await ann.give(done(other, b"42"))
            await until(lambda: len(here.finals) == 1)
            for _ in range(3):
                await eve.give(same)
            assert "taken" not in await eve.give(done(hers, b"43")), "and cannot be taken back"
            assert len(await here.due()) == 2
            assert here.finals[0].cost == sum(mflop for _, _, mflop in await here.due())
            assert len(here.finals) == 1

    asyncio.run(main())


def test_the_number_of_somebody_elses_lease_is_worth_nothing() -> None:
    async def main() -> None:
        async with counter() as here:
            await here.units(1)
            (ann,), (task,) = await shared(here, 1)
            eve = await here.volunteer(2)
            assert await eve.give(done(task, b"no")) == ["unknown"]
            failed = Result(lease=task.lease, outcome="trap", words="not hers to say")
            assert await eve.give(failed) == ["unknown"]
            assert await eve.renew(task.lease) == 0.0
            await eve.abort(task.lease)
            assert await ann.renew(task.lease) > here.now
            assert await ann.give(done(task, b"42")) == ["taken"]
            assert not here.coordinator.problems(here.key)

    asyncio.run(main())


def test_a_lease_of_one_project_is_none_of_another() -> None:
    async def main() -> None:
        async with counter() as here:
            await here.units(1)
            other = identity(901)
            await here.project(other)
            (_ann,), (task,) = await shared(here, 1)
            elsewhere = await here.volunteer(1, other.peer)
            assert await elsewhere.give(done(task, b"42")) == ["unknown"]
            assert await elsewhere.renew(task.lease) == 0.0
            assert not await elsewhere.lease()
            described = await elsewhere.visit.answer(Describe([here.app]))
            assert isinstance(described, Described) and described.apps == [None]

    asyncio.run(main())


def test_numbers_that_nobody_ever_leased_are_unknown() -> None:
    async def main() -> None:
        async with counter() as here:
            await here.units(3)
            eve = await here.volunteer(1)
            dice = random.Random(4)
            numbers = [1, 2**20, 2**20 + 1, 2**21 + 1, 2**62, *(dice.randrange(1, 2**62) for _ in range(50))]
            for number in numbers:
                assert await eve.give(Result(lease=number, outcome="done")) == ["unknown"]
                assert await eve.renew(number) == 0.0
                await eve.abort(number)
            assert not await here.due()
            assert len(await eve.lease(3)) == 3, "and nothing is spoiled"

    asyncio.run(main())


def test_one_identity_at_two_counters_gets_no_two_copies_of_a_unit() -> None:
    async def main() -> None:
        async with counter() as here:
            await here.units(5)
            left, right = await here.volunteer(1), await here.volunteer(1)
            tasks = await left.lease(BATCH) + await right.lease(BATCH)
            assert len(tasks) == 5 and len({task.unit for task in tasks}) == 5
            await left.give(*[done(task, b"x") for task in tasks])
            assert not await right.lease(BATCH), "nor when the first is back"
            assert not await here.due()

    asyncio.run(main())


def test_outputs_beyond_what_the_app_allows_are_refused() -> None:
    async def main() -> None:
        async with counter() as here:
            await here.units(1)
            for number, give in enumerate(
                (
                    lambda task: done(task, b"x" * 4097),
                    lambda task: Result(
                        lease=task.lease, outcome="done", digest=b"d" * 32, content=content(2**40)
                    ),
                    lambda task: Result(
                        lease=task.lease, outcome="done", digest=b"d" * 3, content=content(20_000)
                    ),
                    lambda task: Result(
                        lease=task.lease,
                        outcome="done",
                        digest=b"d" * 32,
                        output=b"x",
                        content=content(20_000),
                    ),
                ),
                start=1,
            ):
                eve = await here.volunteer(number)
                (task,) = await eve.lease()
                assert await eve.give(give(task)) == ["bad"], number
            assert not await here.due()

    asyncio.run(main())


def test_an_output_that_is_told_of_but_nobody_has_is_no_result(tmp_path: Path) -> None:
    async def main() -> None:
        folder = Folder(tmp_path)
        async with counter(outputs=folder) as here:
            await here.units(1)
            (eve,), (task,) = await shared(here, 1)
            told = Result(lease=task.lease, outcome="done", digest=b"d" * 32, content=content(3000))
            assert (await eve.give(told))[0] in ("bad", "taken")
            await asyncio.sleep(0)
            assert not await here.due() and not here.finals

    asyncio.run(main())


def test_what_is_too_large_for_a_message_does_not_get_past_the_decoder() -> None:
    lease = Result(lease=1, outcome="done", digest=b"d" * 32, output=b"x" * (INLINE_BYTES + 1))
    for question in (
        Return([lease]),
        Return([Result(lease=1, outcome="trap")] * (BATCH + 1)),
        Return([Result(lease=1, outcome="trap", words="x" * 1001)]),
        Renew([Progress(0)]),
        Renew([Progress(1, 1.5)]),
        Renew([Progress(1, 0.5, Checkpoint(content(-1), 1, b"d" * 32))]),
        Abort([]),
        Abort([2**63]),
        Lease(most=65),
        Lease(most=1, seconds=float("nan")),
        Lease(most=1, cores=0),
        Describe([b"d" * 31]),
        Countersign([(0, b"s" * 64)]),
        Countersign([(1, b"s" * 63)]),
    ):
        with pytest.raises(BadMessage):
            read_question.decode(encode(question))
    largest = Return(
        [Result(lease=2**62, outcome="done", digest=b"d" * 32, output=b"x" * INLINE_BYTES)] * BATCH
    )
    assert len(encode(largest)) < QUESTION_BYTES, "what is allowed does fit"


def test_too_late_is_too_late_but_only_once_somebody_else_was_believed() -> None:
    async def main() -> None:
        async with counter() as here:
            await here.units(1)
            (eve, ann), (late, first) = await shared(here, 1, 2)
            here.now += 601.0
            ben = await here.volunteer(3)
            await ann.give(done(first, b"42"))
            tasks = await ben.lease()
            if tasks:
                await ben.give(done(tasks[0], b"42"))
            await until(lambda: len(here.finals) == 1)
            paid = len(await here.due())
            assert await eve.give(done(late, b"42")) == ["late"]
            assert await eve.renew(late.lease) == 0.0
            assert len(await here.due()) == paid

    asyncio.run(main())


def test_a_forged_checkpoint_does_not_make_two_voices_of_one(tmp_path: Path) -> None:
    async def main() -> None:
        folder = Folder(tmp_path)
        folder.files[b"f" * 32] = b"forged"
        async with counter(outputs=folder, abi="slice") as here:
            await here.units(1)
            eve = await here.volunteer(1)
            (task,) = await eve.lease()
            forged = Checkpoint(content(6, b"f"), 10, b"d" * 32, 0.9)
            await eve.abort(task.lease, forged)
            await until(lambda: bool(folder.kept))
            ann = await here.volunteer(2)
            tasks = await ann.lease()
            assert tasks[0].resume == forged
            await ann.give(done(tasks[0], b"made up"))
            assert not await eve.lease(), "what ann computed is partly hers"
            assert not here.finals, "and ann's word is not enough, whoever she is"
            cat = await here.volunteer(3)
            (fresh,) = await cat.lease()
            assert fresh.resume is None, "the second voice begins at the beginning"
            await cat.give(done(fresh, b"42"))
            dan = await here.volunteer(4)
            await dan.give(done((await dan.lease())[0], b"42"))
            await until(lambda: len(here.finals) == 1)
            assert here.finals[0].output == b"42"
            looks = {look.identity: look for look in here.coordinator.hosts(here.key)}
            assert looks[bytes(ann.who.peer)].invalid == 0, "it was not her who made it up"
            assert bytes(ann.who.peer) not in {row[1] for row in await here.due()}

    asyncio.run(main())


def test_checkpoints_made_up_to_fail_do_not_make_a_unit_an_error_nor_cost_anybody_else(
    tmp_path: Path,
) -> None:
    async def main() -> None:
        folder = Folder(tmp_path)
        async with counter(outputs=folder, abi="slice") as here:
            await here.units(1)
            for number in range(10):
                mark = bytes([number + 1])
                folder.files[mark * 32] = b"forged"
                eve = await here.volunteer(100 + number)
                (task,) = await eve.lease()
                await eve.abort(task.lease, Checkpoint(content(6, mark), 10, b"d" * 32, 0.9))
                await until(lambda: bool(folder.kept))
                ann = await here.volunteer(1 + number)
                (gone_on,) = await ann.lease()
                assert gone_on.resume is not None
                failed = Result(lease=gone_on.lease, outcome="trap", words="out of bounds")
                assert await ann.give(failed) == ["taken"]
                folder.kept.clear()
            assert not here.finals
            honest = [identity(1 + number).peer for number in range(10)]
            for look in here.coordinator.hosts(here.key):
                if look.identity in [bytes(one) for one in honest]:
                    assert look.errors == 0 and look.left > quota.FIRST // 2
            for number in (50, 51):
                one = await here.volunteer(number)
                (task,) = await one.lease()
                assert task.resume is None
                await one.give(done(task, b"42"))
            await until(lambda: len(here.finals) == 1)
            assert here.finals[0].output == b"42"

    asyncio.run(main())


def test_a_checkpoint_that_the_app_does_not_allow_is_not_even_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        for abi, size in (("slice", 100_001), ("command", 100), ("slice", 0)):
            folder = Folder(tmp_path)
            async with counter(outputs=folder, abi=abi) as here:
                await here.units(1)
                (eve,), (task,) = await shared(here, 1)
                large = Checkpoint(content(size), 5, b"d" * 32)
                assert await eve.renew(task.lease, large) > 0
                await eve.abort(task.lease, large)
                assert not folder.asked
                ann = await here.volunteer(2)
                assert (await ann.lease())[0].resume is None

    asyncio.run(main())


def test_a_new_identity_gets_its_allowance_and_no_more() -> None:
    async def main() -> None:
        async with counter() as here:
            await here.units(3 * quota.FIRST)
            eve = await here.volunteer(1)
            got = 0
            for _ in range(6):
                got += len(await eve.lease(BATCH))
            assert got == quota.FIRST
            answer = await eve.visit.answer(Lease(most=1))
            assert isinstance(answer, Leased) and not answer.tasks
            assert "allowance" in answer.why and answer.wait > 0

    asyncio.run(main())


def test_what_a_module_is_said_to_have_said_harms_no_terminal() -> None:
    async def main() -> None:
        async with counter() as here:
            await here.units(1)
            (eve,), (task,) = await shared(here, 1)
            nasty = "\x1b]0;owned\x07\x1b[2J\nline\r\n" + "x" * 900
            await eve.give(Result(lease=task.lease, outcome="trap", words=nasty))
            (problem,) = here.coordinator.problems(here.key)
            assert problem.words.isprintable() and len(problem.words) <= WORDS

    asyncio.run(main())


def test_errors_that_are_all_different_do_not_fill_the_memory() -> None:
    async def main() -> None:
        async with counter() as here:
            await here.units(400)
            for number in range(1, 5):
                eve = await here.volunteer(number)
                for _ in range(2):
                    tasks = await eve.lease(BATCH)
                    if tasks:
                        await eve.give(
                            *[
                                Result(lease=one.lease, outcome="trap", words=f"{number} {one.lease}")
                                for one in tasks
                            ]
                        )
            problems = here.coordinator.problems(here.key)
            assert 0 < len(problems) <= 301 and sum(one.count for one in problems) >= 100

    asyncio.run(main())


def test_signatures_under_what_was_never_written_are_not_taken() -> None:
    async def main() -> None:
        async with counter() as here:
            eve = await here.volunteer(1)
            answer = await eve.visit.answer(Countersign([(number, b"s" * 64) for number in range(1, 20)]))
            assert answer == Countersigned([False] * 19)

    asyncio.run(main())


def test_who_does_not_say_what_for_is_not_heard() -> None:
    async def main() -> None:
        async with counter() as here:
            await here.units(1)
            visit = here.coordinator.visit(here.key, identity(1).peer)
            with pytest.raises(BadMessage):
                await visit.answer(Lease(most=1))
            other = await visit.answer(Join(project=identity(2).peer))
            assert isinstance(other, Sorry) and other.retry is None
            with pytest.raises(BadMessage):
                await visit.answer(Return([Result(lease=1, outcome="done")]))

    asyncio.run(main())


def test_who_asks_without_end_is_told_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator_door_service, "RATE", 1.0)
    monkeypatch.setattr(coordinator_door_service, "BURST", 200.0)

    async def main() -> None:
        async with counter() as here:
            eve = await here.volunteer(1)
            words = [await eve.visit.answer(Describe([b"d" * 32])) for _ in range(400)]
            sorry = [one for one in words if isinstance(one, Sorry)]
            assert len(sorry) > 150 and all(one.retry for one in sorry)
            ann = await here.volunteer(2)
            await here.units(1)
            assert await ann.lease(), "others do not feel it"

    asyncio.run(main())


def test_a_retry_after_the_coordinator_was_started_anew_is_taken_once(tmp_path: Path) -> None:
    async def main() -> None:
        path = tmp_path / "grid.db"
        async with counter(path) as here:
            await here.units(2)
            (ann, ben), (one, other) = await shared(here, 1, 2)
            await ann.give(done(one, b"42"))
            await ben.give(done(other, b"42"))
            before = await here.due()
            assert len(before) == 2
        async with counter(path) as again:
            ann = await again.volunteer(1)
            assert await ann.give(done(one, b"42")) != ["bad"]
            assert await ann.give(done(one, b"43")) != ["taken"]
            assert await again.due() == before
            eve = await again.volunteer(3)
            assert await eve.give(done(one, b"42")) == ["unknown"]
            assert {task.unit for task in await eve.lease(BATCH)} & {one.unit} == set()

    asyncio.run(main())


def test_a_retry_while_the_unit_is_being_written_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One unit of the message is read from the disk; meanwhile another one ends, and leaves the memory."""

    async def main() -> None:
        async with counter(tmp_path / "grid.db") as here:
            await here.units(2)
            ann, ben = await here.volunteer(1), await here.volunteer(2)
            first, second = sorted(await ann.lease(2), key=lambda task: task.lease)
            other = {task.unit: task for task in await ben.lease(2)}
            await ann.give(done(first, b"42"), done(second, b"42"))
            await ben.give(done(other[first.unit], b"42"))
            await until(lambda: len(here.finals) == 1)
            read = here.store.read

            async def late(job: Callable[[sqlite3.Connection], object]) -> object:
                if len(here.finals) == 1:
                    ending.append(asyncio.create_task(ben.give(done(other[second.unit], b"42"))))
                    while len(here.finals) == 1:
                        await asyncio.sleep(0.001)
                return await read(job)

            ending: list[asyncio.Task[list[str]]] = []
            monkeypatch.setattr(here.store, "read", late)
            assert await ann.give(done(first, b"42"), done(second, b"42")) == ["taken", "taken"]
            assert ending and await ending[0] == ["taken"]
            assert len(await here.due()) == 4

    asyncio.run(main())


def test_two_colluders_who_outvote_an_honest_one_get_no_more_than_that_unit() -> None:
    """It is what quorum 2 can do among strangers; the honest one is not shut out for it."""

    async def main() -> None:
        async with counter() as here:
            await here.units(2)
            (eve, ann), (lie, real) = await shared(here, 1, 2)
            await eve.give(done(lie, b"43"))
            await ann.give(done(real, b"42"))
            mallory = await here.volunteer(3)
            await mallory.give(done((await mallory.lease())[0], b"43"))
            await until(lambda: len(here.finals) == 1)
            look = next(
                one for one in here.coordinator.hosts(here.key) if one.identity == bytes(ann.who.peer)
            )
            assert look.invalid == 1 and look.left > 10
            assert await ann.lease()

    asyncio.run(main())


def _anything(dice: random.Random, leases: list[Task]) -> Question:
    def lease() -> int:
        return dice.choice(leases).lease if leases and dice.random() < 0.8 else dice.randrange(1, 2**62)

    def checkpoint() -> Checkpoint | None:
        size = dice.choice([0, 1, 6, 99_999, 2**50])
        made = Checkpoint(content(size, b"f"), dice.randrange(2**40), dice.randbytes(32), dice.random())
        return made if dice.random() < 0.7 else None

    def result() -> Result:
        output = dice.choice([b"", b"42", b"43", dice.randbytes(dice.randrange(6000))])
        digest = dice.choice([hashlib.sha256(output).digest()] * 3 + [b"", b"x" * 32])
        outcome = dice.choice(["done"] * 4 + ["trap", "time", "lost", "module", "exit"])
        held = content(dice.choice([0, 3000, 2**50]), b"f") if dice.random() < 0.1 else None
        return Result(
            lease=lease(), outcome=outcome, digest=digest, output=output, content=held, words="\x07"
        )

    kinds: list[Question] = [
        Return([result() for _ in range(dice.randrange(1, 6))]),
        Return([result()]),
        Renew([Progress(lease(), dice.random(), checkpoint()) for _ in range(dice.randrange(1, 4))]),
        Abort([lease() for _ in range(dice.randrange(1, 4))], [Progress(lease(), 0.1, checkpoint())]),
        Lease(most=dice.randrange(1, 5), memory_bytes=dice.choice([0, 2**50])),
        Lease(most=4),
        Describe([dice.randbytes(32)]),
        Countersign([(dice.randrange(1, 2**53), dice.randbytes(64))]),
    ]
    return dice.choice(kinds)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_volunteers_say_nobody_is_paid_twice_or_for_what_is_wrong(seed: int, tmp_path: Path) -> None:
    """Some of the time the coordinator is started anew between two questions."""

    async def main() -> None:
        dice = random.Random(seed)
        folder = Folder(tmp_path)
        folder.files[b"f" * 32] = b"f" * 6
        abi = dice.choice(["slice", "command"])
        leases: list[Task] = []
        path, now = (tmp_path / "grid.db", 0.0) if seed % 3 == 0 else (None, 0.0)
        for round_ in range(3):
            async with counter(path, outputs=folder, abi=abi) as here:
                if path is None or not round_:
                    await here.units(12)
                    leases.clear()
                here.now += now
                crowd = [await here.volunteer(number) for number in range(1, 7)]
                for _ in range(150):
                    one = dice.choice(crowd)
                    question = msgspec.msgpack.decode(
                        msgspec.msgpack.encode(_anything(dice, leases)), type=Question
                    )
                    answer = await one.visit.answer(question)
                    if isinstance(answer, Leased):
                        leases += answer.tasks
                    step = dice.choice([0.0, 0.0, 1.0, 30.0, 300.0])
                    here.now, now = here.now + step, now + step
                await sound(here)

    asyncio.run(main())


async def sound(here: Counter) -> None:
    """What its tables and its views say fits together."""
    await here.nobody_is_paid_twice()
    view = here.coordinator.view(here.key)
    assert view.units == 12 and sum(view.by_state.values()) == 12
    due = await here.due()
    looks = await here.coordinator.units(here.key, limit=50)
    assert len(looks) == 12
    for look in looks:
        holders = [copy.identity for copy in look.copies if copy.state in ("leased", "returned", "valid")]
        assert len(holders) == len(set(holders))
        assert {who for key, who, _ in due if key == look.key} <= {copy.identity for copy in look.copies}
        assert sum(mflop for key, _, mflop in due if key == look.key) == sum(
            copy.mflop for copy in look.copies if copy.state == "valid"
        )
    hosts = here.coordinator.hosts(here.key)
    assert sum(host.credit for host in hosts) == sum(mflop for *_, mflop in due) == view.spent


def test_two_keys_of_one_person_are_no_two_voices_where_trusted_hosts_are_around() -> None:
    async def main() -> None:
        async with counter() as here:
            old = [await here.volunteer(number) for number in range(1, 12)]
            for made in range(40):
                await here.units(10, first=10 * made)
                for one in random.Random(made).sample(old, len(old)):
                    if tasks := await one.lease(2):
                        await one.give(*[done(task, b"42") for task in tasks])
            trusted = [look for look in here.coordinator.hosts(here.key) if look.trusted]
            assert len(trusted) >= 10
            here.now += 61.0
            for one in old:
                while tasks := await one.lease(BATCH):
                    await one.give(*[done(task, b"42") for task in tasks])
            before = len(here.finals)
            await here.units(5, first=100_000)
            eve, mallory = await here.volunteer(101), await here.volunteer(102)
            lies = await eve.lease(BATCH)
            await eve.give(*[done(task, b"43") for task in lies])
            assert len(lies) == 5 and not await mallory.lease(BATCH), "it would only say what eve said"
            for one in old:
                if tasks := await one.lease(BATCH):
                    await one.give(*[done(task, b"42") for task in tasks])
            await until(lambda: len(here.finals) >= before + 5)
            assert all(one.output == b"42" for one in here.finals)

    asyncio.run(main())


def test_a_host_that_earned_trust_and_then_lies_is_caught_and_all_of_it_put_right() -> None:
    async def main() -> None:
        async with counter() as here:
            eve, ann, ben = [await here.volunteer(number) for number in (1, 2, 3)]
            for made in range(3):
                await here.units(6, first=6 * made)
                for one in (eve, ann):
                    await one.give(*[done(task, b"42") for task in await one.lease(BATCH)])
            (look,) = [one for one in here.coordinator.hosts(here.key) if one.identity == bytes(eve.who.peer)]
            assert look.trusted == [here.app]
            honest = len(here.finals)
            await here.units(60, first=1000)
            lies = await eve.lease(BATCH)
            assert len(lies) == 60
            await eve.give(*[done(task, b"43") for task in lies])
            believed = [one for one in here.finals[honest:] if one.output == b"43"]
            assert len(believed) > 40 and not any(one.verified for one in believed)
            await put_right(here, (ann, ben), 18 + 60)
            assert {one.unit for one in here.finals if one.revised} == {one.unit for one in believed}
            lied = {task.unit for task in lies}
            hers = [row for row in await here.due() if row[1] == bytes(eve.who.peer) and row[0] in lied]
            assert sum(mflop for _, _, mflop in hers) == 0 and len(hers) == 2 * len(believed)
            await here.nobody_is_paid_twice()

    asyncio.run(main())


def test_what_a_liar_brings_while_it_is_being_caught_is_put_right_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with counter(tmp_path / "grid.db") as here:
            eve, ann, ben = [await here.volunteer(number) for number in (1, 2, 3)]
            for made in range(3):
                await here.units(6, first=6 * made)
                for one in (eve, ann):
                    await one.give(*[done(task, b"42") for task in await one.lease(BATCH)])
            await here.units(60, first=1000)
            lies = await eve.lease(BATCH)
            checked = await ann.lease(BATCH)
            assert 0 < len(checked) < 30 and len(lies) == 60
            among = {task.unit for task in checked}
            await eve.give(*[done(task, b"43") for task in lies if task.unit in among])
            await ann.give(*[done(task, b"42") for task in checked])
            last = await ben.lease(BATCH)
            catching = asyncio.create_task(ben.give(*[done(task, b"42") for task in last]))
            for _ in range(3):
                await asyncio.sleep(0)  # the verdict is being written
            await eve.give(*[done(task, b"43") for task in lies if task.unit not in among])
            await catching
            await put_right(here, (ann, ben), 78)

    asyncio.run(main())


def test_who_only_says_that_it_is_still_at_it_does_not_hold_a_unit_for_ever() -> None:
    async def main() -> None:
        async with counter() as here:
            await here.units(1)
            (eve,), (task,) = await shared(here, 1)
            begun, most = here.now, 600.0 + 24 * LIMITS.seconds
            while (until_ := await eve.renew(task.lease)) > 0:
                assert until_ <= begun + most
                here.now += 500.0
            assert here.now >= begun + most - 1000.0, "somebody slow has the time that it takes"
            here.now = begun + most + 1.0
            ann = await here.volunteer(2)
            ben = await here.volunteer(3)
            for one in (ann, ben):
                assert await one.lease(), "others get it"
            assert await eve.renew(task.lease) == 0.0

    asyncio.run(main())


def test_keys_that_come_once_and_never_again_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coordinator_door_service, "MOST_HOSTS", 20)
    monkeypatch.setattr(coordinator_rooms, "MOST_HOSTS", 20)

    async def main() -> None:
        async with counter() as here:
            await here.units(1)
            (ann, ben), tasks = await shared(here, 1, 2)
            for one, task in zip((ann, ben), tasks, strict=True):
                await one.give(done(task, b"42"))
            for number in range(100, 118):
                (await here.volunteer(number)).visit.close()
            refused = here.coordinator.visit(here.key, identity(200).peer)
            answer = await refused.answer(Join(project=here.key))
            assert isinstance(answer, Sorry) and answer.retry
            here.now += 2 * 86400.0
            await here.volunteer(200)
            known = {look.identity for look in here.coordinator.hosts(here.key)}
            assert known == {bytes(one.who.peer) for one in (ann, ben)} | {bytes(identity(200).peer)}
            kept = await here.store.read(
                lambda connection: connection.execute("SELECT count(*) FROM grid_hosts").fetchone()[0]
            )
            assert kept == 3

    asyncio.run(main())


def test_who_takes_units_only_to_give_them_back_gets_no_more_for_today() -> None:
    async def main() -> None:
        async with counter() as here:
            await here.units(BATCH)
            eve = await here.volunteer(1)
            times = 0
            while tasks := await eve.lease(BATCH):
                await eve.visit.answer(Abort([task.lease for task in tasks]))
                times += len(tasks)
                assert times < 5000
            assert times >= quota.FREE, "a laptop that comes and goes is no trouble"
            assert await (await here.volunteer(2)).lease(), "others get them"

    asyncio.run(main())
