"""Projects that lie, overload and forge, in virtual time: refused, explained, nothing lost, and the next project goes on."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import msgspec
import pytest

from servent.grid import ledger, links, wire
from servent.grid import lending_rows as rows
from servent.grid.ledger import Entry, Group
from servent.grid.manifests import INLINE_BYTES, App, Content, Limits, Signed, app_id, sign_app
from servent.grid.sandbox.jobs import Ended, Job
from servent.identity import Identity
from servent.net.links import PeerAddress
from tests.grid.lender import GIB, HOME, ME, OWNER, Office, Volunteer, content_of, virtually

OTHER = Identity(b"key of another project, in tests")


def twisted(kind, change):
    """Answers to questions of `kind` become another; `change` may take the question, too."""

    def twist(question, answer):
        return change(answer) if isinstance(question, kind) else answer

    return twist


async def errors(ann: Volunteer) -> list[str]:
    return [line.words for line in await ann.lines("error")]


def forged(signed: Signed) -> Signed:
    return Signed(signed.body, bytes(64))


# -- manifests


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (lambda good: forged(good), "not signed"),
        (lambda good: Signed(good.body[:-1], good.signature), "does not decode"),
        (lambda good: Office(OTHER).manifest, "another project"),
        (lambda good: None, "does not show its project's manifest"),
    ],
)
def test_a_coordinator_that_cannot_show_the_projects_manifest_gets_no_help(tmp_path, manifest, words) -> None:
    async def story() -> None:
        office, good = Office(), Office(OTHER)
        office.add(office.app())
        good.add(good.app(), 5)
        office.twist = twisted(
            wire.Join, lambda welcome: msgspec.structs.replace(welcome, manifest=manifest(office.manifest))
        )
        async with Volunteer(tmp_path, office, good) as ann:
            await ann.until(lambda: len(good.returned) == 5)
            assert ann.project.state == "refused" and words in ann.project.why
            assert any(words in line for line in await errors(ann))
            assert not office.asked(wire.Lease)
            await asyncio.sleep(3600.0)
            assert len(office.asked(wire.Join)) < 12, "it is left alone for longer and longer"
            assert len(await errors(ann)) <= 2, "the same trouble is not written down again and again"

    virtually(story())


def test_the_invitation_that_let_us_in_is_told_to_the_coordinator_and_shown_to_nobody(tmp_path) -> None:
    """Whoever may look at the projects joined, by a token for reading, could else join in our stead."""

    async def story() -> None:
        office = Office()
        async with Volunteer(tmp_path, office) as ann:
            key, home = bytes(OWNER.peer), PeerAddress(HOME.peer, None, ())
            link = links.encode(links.ProjectLink(key, "x", (home,), b"let us in"))
            shown = await ann.lending.join(key, [bytes(HOME.peer)], link=link, invitation=b"let us in")
            for text in (shown.link, ann.project.link):
                assert links.decode(text) == links.ProjectLink(key, "x", (home,))
            ann.lending.known()[0].again()
            await ann.until(lambda: any(one.invitation == b"let us in" for one in office.asked(wire.Join)))

    virtually(story())


def test_an_older_manifest_does_not_replace_a_newer_one(tmp_path) -> None:
    async def story() -> None:
        office = Office(serial=5)
        async with Volunteer(tmp_path, office) as ann:
            await ann.until(lambda: ann.project.about == "finds some")
            old = Office(serial=2, name="older", about="is gone").manifest
            office.twist = twisted(wire.Look, lambda looked: wire.Looked(wire.Welcome(old)))
            await asyncio.sleep(700.0)
            assert office.asked(wire.Look) and ann.project.name == "primes"

    virtually(story())


def test_a_closed_project_is_asked_for_nothing_more(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        async with Volunteer(tmp_path, office) as ann:
            await ann.until(lambda: office.asked(wire.Lease))
            closed = Office(serial=2, closed=True).manifest
            office.twist = twisted(wire.Look, lambda looked: wire.Looked(wire.Welcome(closed)))
            await ann.until(lambda: ann.project.state == "closed")
            asked = len(office.asked(wire.Lease))
            await asyncio.sleep(3600.0)
            assert len(office.asked(wire.Lease)) == asked

    virtually(story())


def foreign_app(office: Office) -> tuple[bytes, Signed]:
    signed = sign_app(
        App(project=bytes(OTHER.peer), name="evil", version=1, module=content_of(b"\0asm module")), OTHER
    )
    return app_id(signed), signed


@pytest.mark.parametrize("kind", ["forged", "foreign", "unknown", "another"])
def test_units_of_an_app_that_the_project_did_not_sign_are_never_run(tmp_path, kind) -> None:
    async def story() -> None:
        office = Office()
        app = office.app()
        if kind == "forged":
            office.apps[app] = forged(office.apps[app])
        elif kind == "foreign":
            app, office.apps[app] = foreign_app(office)
        elif kind == "unknown":
            office.apps[app] = None
        else:
            office.apps[app] = office.apps[office.app(b"\0asm another", version=2)]
        (unit,) = office.add(app)
        async with Volunteer(tmp_path, office) as ann:
            await ann.until(lambda: unit in office.returned)
            assert office.returned[unit].outcome == "input" and office.returned[unit].words
            assert not ann.bench.began

    virtually(story())


# -- leases


@pytest.mark.parametrize("twice", ["lease", "unit"])
def test_a_unit_or_a_lease_handed_out_twice_is_refused(tmp_path, twice) -> None:
    async def story() -> None:
        office = Office()
        office.add(office.app(), 2)

        def change(leased):
            first = leased.tasks[0]
            double = msgspec.structs.replace(leased.tasks[1], **{twice: getattr(first, twice)})
            return wire.Leased([first, double])

        office.twist = lambda question, answer: (
            change(answer) if isinstance(answer, wire.Leased) and len(answer.tasks) == 2 else answer
        )
        async with Volunteer(tmp_path, office) as ann:
            await ann.until(lambda: ann.project.state == "refused", limit=30.0)
            assert "handed out twice" in ann.project.why and not ann.bench.began

    virtually(story())


def test_more_units_than_were_asked_for_are_refused(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        office.add(office.app(), 200)
        office.greedy = True

        def change(question, answer):
            if isinstance(question, wire.Lease) and answer.tasks:
                more = [
                    msgspec.structs.replace(task, until=office.now() + 600) for task in office.waiting[:60]
                ]
                return wire.Leased([*answer.tasks, *more])
            return answer

        office.twist = change
        async with Volunteer(tmp_path, office) as ann:
            await ann.until(lambda: ann.project.state == "refused", limit=30.0)
            assert "were asked for" in ann.project.why and not ann.bench.began

    virtually(story())


def test_a_flood_of_units_that_take_hours_goes_back(tmp_path) -> None:
    """It says they are small; once the first is done, we know better, and keep no more than we can do in time."""

    async def story() -> None:
        office, good = Office(), Office(OTHER)
        office.add(office.app(), 500)
        office.greedy, office.lasts = True, 86400.0
        good.add(good.app(), 50)
        async with Volunteer(tmp_path, office, good) as ann:
            ann.bench.program = lambda job: None
            ann.bench.takes = 100.0
            await ann.until(lambda: len(office.returned) >= 2, limit=2000.0)
            await asyncio.sleep(30.0)
            held = next(one.leased for one in ann.lending.joined() if one.key == str(OWNER.peer))
            assert held <= 10, held
            assert len(office.aborted) >= 50
            assert any("more than can be done" in line.words for line in await ann.lines("unit"))

    virtually(story())


@pytest.mark.parametrize(
    ("app", "task", "why"),
    [
        ({"limits": Limits(memory_bytes=4 * GIB)}, {}, "of memory"),
        ({"limits": Limits(output_bytes=GIB)}, {}, "room on the disk"),
        ({}, {"content": msgspec.structs.replace(content_of(b"x"), size=2**50)}, "room on the disk"),
    ],
)
def test_a_unit_that_wants_more_than_is_lent_goes_back(tmp_path, app, task, why) -> None:
    async def story() -> None:
        office = Office()
        (unit,) = office.add(office.app(**app), **task)
        settings = {"memory_percent": 10, "disk_bytes": 500_000_000}
        async with Volunteer(tmp_path, office, **settings) as ann:
            await ann.until(lambda: office.aborted)
            await asyncio.sleep(1.0)
            assert not ann.bench.began and not ann.contents.fetched and unit not in office.returned
            assert any(why in line for line in await errors(ann))
            office.add(office.app(version=2), 1)
            asked = len(office.asked(wire.Lease))
            await asyncio.sleep(200.0)
            assert len(office.asked(wire.Lease)) == asked, "it is left alone for a while"

    virtually(story())


def test_inputs_of_many_units_together_take_no_more_disk_than_is_lent(tmp_path) -> None:
    """Each of them fits; what does not fit beside the others goes back."""

    async def story() -> None:
        office, disk = Office(), 1_000_000
        app = office.app(limits=Limits(output_bytes=1000))
        for number in range(30):
            data = bytes([number]) * 200_000
            office.everybody[content_of(data).infohash] = data
            office.add(app, content=content_of(data))
        office.greedy, office.lasts = True, 1e6
        async with Volunteer(tmp_path, office, disk_bytes=disk, cores=4) as ann:
            pin, most = ann.contents.pin, 0

            def pinned(content: Content) -> None:
                nonlocal most
                pin(content)
                here = [len(office.everybody[one]) for one, count in ann.contents.pins.items() if count]
                most = max(most, sum(here))

            ann.contents.pin = pinned
            await ann.until(lambda: len(office.returned) >= 4)
            assert 400_000 <= most <= disk, most
            assert any("than is left of" in line for line in await errors(ann))
            assert {one.outcome for one in office.returned.values()} == {"done"}

    virtually(story())


def test_results_that_nobody_fetches_take_no_more_disk_than_is_lent(tmp_path) -> None:
    async def story() -> None:
        office, disk = Office(), 1_000_000
        office.add(office.app(limits=Limits(output_bytes=300_000)), 40)
        office.greedy, office.lasts, taking = True, 1e6, False

        takes = office._answer
        office._answer = lambda asked: (
            takes(asked) if taking or not isinstance(asked, wire.Return) else wire.Sorry("later", 60.0)
        )
        async with Volunteer(tmp_path, office, disk_bytes=disk, cores=2) as ann:

            def program(job: Job) -> Ended:
                data = job.seed * 9000
                path = Path(job.folder) / f"{job.number}.output"
                path.write_bytes(data)
                digest = hashlib.sha256(data).digest()
                return Ended(job.number, "done", digest, output_path=str(path), size=len(data))

            ann.bench.program = program
            await ann.until(lambda: len(ann.bench.began) >= 3)
            await asyncio.sleep(900.0)
            assert len(ann.bench.began) == 3, "a fourth would not fit"
            assert ann.lending.offered_bytes() == 3 * 288_000 and not ann.contents.dropped
            taking = True
            await ann.until(lambda: len(office.returned) >= 3)
            await ann.until(lambda: len(office.returned) >= 12)
            assert ann.lending.offered_bytes() <= disk, "what was taken makes room for what comes"
            assert ann.contents.dropped

    virtually(story())


def test_a_project_with_another_app_for_each_unit_does_not_fill_the_memory(tmp_path, monkeypatch) -> None:
    """A manifest is 16 KiB, of which a hostile project can sign as many as it likes."""
    monkeypatch.setattr("servent.grid.joined_service.MOST_APPS", 10)
    monkeypatch.setattr("servent.grid.work_service.MOST_APPS", 10)
    monkeypatch.setattr("servent.grid.fetching.MOST_APPS", 10)

    async def story() -> None:
        office = Office()
        for version in range(1, 101):
            office.add(office.app(version=version, operations=10), operations=10)
        office.greedy, office.lasts = False, 1e6
        async with Volunteer(tmp_path, office) as ann:
            ann.bench.takes = ann.bench.slice = 0.01
            await ann.until(lambda: len(office.returned) == 100)
            lending = ann.lending
            (joined,) = lending._joined.values()
            assert len(joined.apps) <= 10 and len(joined.contacts) <= 10
            assert len(lending._fetching._apps) <= 10
            lending._work.forget_unused()
            assert lending._work._getting.apps == 0
            office.add(next(iter(office.apps)))
            await ann.until(lambda: len(office.returned) == 101)
            await lending._shelf.drain()
            assert len(await ann.store.read(rows.apps)) <= 10

    virtually(story())


def test_an_input_nobody_has_is_given_up_after_some_tries(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        office.lasts = 1e6
        (unit,) = office.add(office.app(), content=content_of(b"nobody has that"))
        (other,) = office.add(office.app())
        async with Volunteer(tmp_path, office) as ann:
            await ann.until(lambda: unit in office.returned, limit=86400.0)
            assert (
                office.returned[unit].outcome == "input"
                and "could not be fetched" in office.returned[unit].words
            )
            assert office.returned[other].outcome == "done"

    virtually(story())


def test_a_checkpoint_larger_than_its_app_allows_is_not_fetched(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        big = wire.Checkpoint(content_of(b"7" * (2 << 20)), 7, b"s" * 32, 0.7)
        (unit,) = office.add(office.slices(), resume=big)
        async with Volunteer(tmp_path, office) as ann:
            await ann.until(lambda: unit in office.returned)
            assert office.returned[unit].outcome == "input" and "checkpoint" in office.returned[unit].words
            assert big.content.infohash not in ann.contents.fetched

    virtually(story())


def test_a_project_whose_units_all_fail_is_left_alone_for_longer_and_longer(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        office.add(office.app(), 1000)
        async with Volunteer(tmp_path, office) as ann:
            ann.bench.program = lambda job: Ended(job.number, "trap", seconds=0.1, words="unreachable")
            await asyncio.sleep(3600.0)
            assert len(office.returned) < 600
            assert any("units in a row ended in an error" in line for line in await errors(ann))

    virtually(story())


# -- answers that make no sense


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (wire.Join, wire.Leased()),
        (wire.Lease, wire.Welcome()),
        (wire.Lease, wire.Aborted()),
        (wire.Describe, wire.Described([])),
        (wire.Return, wire.Returned([])),
        (wire.Return, wire.Returned(["taken"] * 60)),
        (wire.Renew, wire.Renewed([])),
        (wire.Look, wire.Returned([])),
    ],
)
def test_an_answer_that_does_not_fit_its_question_ends_the_contact_and_loses_nothing(
    tmp_path, kind, answer
) -> None:
    async def story() -> None:
        office = Office()
        units = office.add(office.slices(), 2)
        office.twist = twisted(kind, lambda _: answer)
        async with Volunteer(tmp_path, office, store=tmp_path / "grid.db") as ann:
            ann.bench.takes = 400.0
            await ann.until(lambda: ann.project.state == "refused")
            assert any("wrong" in line for line in await errors(ann))
            office.twist = lambda question, answer: answer
            if kind is wire.Lease:  # what it thinks it has handed out comes back when the leases run out
                office.waiting += list(office.leased.values())
            await ann.until(lambda: set(units) <= set(office.returned), limit=8000.0)

    virtually(story())


def test_a_coordinator_that_refuses_is_asked_again_when_it_says(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        office.add(office.app())
        office.twist = twisted(wire.Join, lambda _: wire.Sorry("too many volunteers today", 300.0))
        async with Volunteer(tmp_path, office) as ann:
            await ann.until(lambda: ann.project.why.startswith("too many volunteers today; tries again in"))
            await asyncio.sleep(299.0)
            assert len(office.asked(wire.Join)) == 1
            office.twist = lambda question, answer: answer
            await ann.until(lambda: office.returned)

    virtually(story())


# -- receipts


def receipt_of(key=OWNER, me=ME, number=1, kind="credit", total=None, **groups) -> wire.Receipt:
    values = {
        "app": b"a" * 32,
        "operations": 10_000,
        "credit": 10_000,
        "price": 100,
        "units": b"u" * 32,
        **groups,
    }
    group = Group(*(values[name] for name in ("app", "operations", "credit", "price", "units")))
    entry = Entry(
        project=bytes(key.peer), number=number, previous=b"p" * 32, at=0.0, kind=kind, worker=bytes(me.peer),
        name="ann", team=None, network=None, total=group.count * group.credit if total is None else total, groups=[group],
    )  # fmt: skip
    return ledger.sign_entry(entry, key)


def test_what_we_did_is_countersigned_once_and_counts(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        app = office.app()
        units = office.add(app, 3)
        async with Volunteer(tmp_path, office, store=tmp_path / "grid.db") as ann:
            await ann.until(lambda: len(office.returned) == 3)
            good = receipt_of(app=app, units=units[0] + units[1])
            office.receipts = [good, good]
            await ann.until(lambda: len(office.countersigned) == 2)
            digest = ledger.entry_hash(good.body)
            assert all(
                number == 1 and ledger.agrees(ME.peer, digest, said) for number, said in office.countersigned
            )
            assert len(ann.kept) == 1
            project = ann.project
            assert project.valid == 2 and project.total == pytest.approx(20_000 / 432_000)
            assert project.today == project.total == ann.lending.view().total and project.recent > 0
            office.receipts = [receipt_of(number=2, kind="withdrawal", app=app, units=units[1])]
            await ann.until(lambda: len(office.countersigned) == 3)
            assert (ann.project.valid, ann.project.invalid) == (1, 1)
            assert ann.project.total == pytest.approx(10_000 / 432_000)
            office.receipts = [receipt_of(number=3, app=app, units=units[1])]
            await ann.until(lambda: len(office.countersigned) == 4)
            credits = [(line.words, round(line.credit * 432_000)) for line in await ann.lines("credit")]
            assert credits == [
                ("1 unit credited", 10_000),
                ("1 unit found wrong, and their credit taken back", -10_000),
                ("2 units credited", 20_000),
            ]
        async with Volunteer(tmp_path, office, store=tmp_path / "grid.db") as ann:
            assert ann.project.total == pytest.approx(20_000 / 432_000) and ann.project.valid == 2

    virtually(story())


def receipts_that_lie(app: bytes, units: list[bytes]) -> dict[str, wire.Receipt]:
    good = {"app": app, "units": units[0]}
    return {
        "none that is signed": wire.Receipt(receipt_of(**good).body, bytes(64)),
        "no entry at all": wire.Receipt(b"\x93garbage", bytes(64)),
        "of another project": receipt_of(OTHER, **good),
        "of somebody else": receipt_of(me=OTHER, **good),
        "a unit we never did": receipt_of(app=app, units=b"x" * 32),
        "one unit twice": receipt_of(app=app, units=units[0] * 2),
        "less than it was worth": receipt_of(credit=9_999, **good),
        "more than it was worth": receipt_of(credit=10_001, **good),
        "another size": receipt_of(operations=5_000, credit=5_000, **good),
        "another app": receipt_of(units=units[0]),
        "credit taken back that was not given": receipt_of(kind="withdrawal", **good),
    }


@pytest.mark.parametrize("lie", receipts_that_lie(b"a" * 32, [b"u" * 32]))
def test_receipts_that_lie_are_not_countersigned_and_count_for_nothing(tmp_path, lie) -> None:
    async def story() -> None:
        office = Office()
        app = office.app()
        units = office.add(app, 2)
        async with Volunteer(tmp_path, office) as ann:
            await ann.until(lambda: len(office.returned) == 2)
            office.receipts = [receipts_that_lie(app, units)[lie]]
            await ann.until(lambda: not office.receipts)
            await asyncio.sleep(5.0)
            assert not office.countersigned and not ann.kept
            assert ann.project.total == 0 and ann.project.valid == 0
            assert any("receipt" in line or "not countersigned" in line for line in await errors(ann))
            office.receipts = [receipt_of(number=2, app=app, units=units[0])]
            await ann.until(lambda: office.countersigned)

    virtually(story())


def test_two_entries_with_one_number_or_one_unit_are_noticed(tmp_path) -> None:
    async def story() -> None:
        office = Office()
        app = office.app()
        units = office.add(app, 2)
        async with Volunteer(tmp_path, office) as ann:
            await ann.until(lambda: len(office.returned) == 2)
            office.receipts = [
                receipt_of(app=app, units=units[0]),
                receipt_of(app=app, units=units[1]),
                receipt_of(number=2, app=app, units=units[0]),
            ]
            await ann.until(lambda: office.countersigned)
            await asyncio.sleep(5.0)
            assert [number for number, _ in office.countersigned] == [1]
            words = " ".join(await errors(ann))
            assert "two entries with the number 1" in words and "entry 1 credits already" in words

    virtually(story())


def test_the_results_of_a_lease_are_no_longer_than_messages_may_be(tmp_path) -> None:
    """Sixty-four of the longest results fit into one question."""

    async def story() -> None:
        office = Office()
        office.add(office.app(), 64)
        longest = 0

        def watch(question, answer):
            nonlocal longest
            if isinstance(question, wire.Return):
                longest = max(longest, len(msgspec.msgpack.encode(question)))
            return answer

        office.twist = watch
        async with Volunteer(tmp_path, office, fetch_ahead_minutes=600.0) as ann:
            ann.bench.program = lambda job: Ended(
                job.number, "done", b"d" * 32, b"x" * INLINE_BYTES, seconds=0.1, words="é" * 5000
            )
            await ann.until(lambda: len(office.returned) == 64)
            assert longest <= wire.QUESTION_BYTES

    virtually(story())


def test_a_manifest_of_the_home_that_moved_leads_to_the_new_one(tmp_path) -> None:
    async def story() -> None:
        moved = bytes(OTHER.peer)
        office = Office(coordinators=[moved])
        async with Volunteer(tmp_path, office) as ann:
            await ann.until(lambda: list(ann.lending.known()[0].coordinators) == [moved])

    virtually(story())
