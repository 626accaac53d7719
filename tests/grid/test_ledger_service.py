"""What is due becomes entries exactly once; they are agreed to, published, followed by others, and add up."""

from __future__ import annotations

import asyncio
import gzip
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from servent.errors import BadMessage, NotFound, ServentError, WorldError
from servent.grid import ledger, ledger_rows, teams
from servent.grid.balance import CREDIT_LINE
from servent.grid.boinc_xml import Machine
from servent.grid.budgets import Purse, most_cost
from servent.grid.credit import MFLOP_PER_COBBLESTONE, from_cobblestones
from servent.grid.ledger_service import Ledger
from servent.grid.manifests import open_project
from servent.grid.receipts import AGAIN_AFTER, Desk
from servent.grid.wire import Receipt
from servent.store import Store
from tests.grid.books import (
    ANN,
    APP,
    BOB,
    CARL,
    NETWORK,
    NOW,
    OPERATIONS,
    OWNER,
    PROJECT,
    Clock,
    Shelf,
    app,
    manifest,
    opened,
    owe,
    running,
)
from tests.net.party import until

KEY = bytes(PROJECT.peer)


async def due(store: Store, *args: object, **more: object) -> None:
    await store.write(lambda c: owe(c, *args, **more))  # type: ignore[arg-type]


async def agree_to_all(book: Ledger, who: object, key: bytes = KEY) -> list[Receipt]:
    """As a volunteer does: countersign whatever waits."""
    book.joined(key, who.peer, "", None)  # type: ignore[attr-defined]
    await book._own._bring()
    receipts = book.waiting(key, who.peer, 8)  # type: ignore[attr-defined]
    signatures = [(ledger.open_receipt(r, key).number, ledger.agree(r, who)) for r in receipts]  # type: ignore[arg-type]
    if signatures:
        assert all(await book.countersigned(key, who.peer, signatures))  # type: ignore[attr-defined]
    return receipts


@running
async def test_what_is_due_becomes_entries_once(tmp_path: Path) -> None:
    store, book = await opened(tmp_path)
    await book.add_project(manifest(), PROJECT, [APP])
    book.joined(KEY, ANN.peer, "Ann", None)
    await due(store, ANN, range(2500))
    await due(store, BOB, range(3))
    await due(store, ANN, [7], mflop=-OPERATIONS)
    assert await book.settle(KEY) == 5
    assert await book.settle(KEY) == 0
    assert book.credited(KEY, ANN.peer) == 2499 * OPERATIONS
    audited = await book.audit(KEY)
    assert audited.ok, audited.checks
    assert (audited.entries, audited.results, audited.open) == (5, 2502, 4)
    assert [(line.name, line.results) for line in audited.standings] == [("Ann", 2499), ("", 3)]
    await store.close()


@running
async def test_nothing_is_lost_or_written_twice_where_the_disk_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, book = await opened(tmp_path)
    await book.add_project(manifest(), PROJECT, [APP])
    await due(store, ANN, range(10))
    write = ledger_rows.write_known
    monkeypatch.setattr(ledger_rows, "write_known", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(OSError):
        await book.settle(KEY)
    monkeypatch.setattr(ledger_rows, "write_known", write)
    assert await book.settle(KEY) == 1
    audited = await book.audit(KEY)
    assert audited.ok and audited.results == 10
    await store.close()


@running
async def test_a_restart_goes_on_where_it_stopped(tmp_path: Path) -> None:
    store, book = await opened(tmp_path)
    await book.add_project(manifest(), PROJECT, [APP])
    team = teams.accept(teams.invite(CARL, ANN.peer, "Reds", NOW), ANN, NOW)
    book.joined(KEY, ANN.peer, "Ann", team)
    await due(store, ANN, range(5))
    await book.settle(KEY)
    await due(store, ANN, range(5, 9))
    await book.close()
    await store.close()
    store, book = await opened(tmp_path)
    await book.add_project(manifest(), PROJECT, [APP])
    assert book.credited(KEY, ANN.peer) == 5 * OPERATIONS
    assert await book.settle(KEY) == 1
    audited = await book.audit(KEY)
    assert audited.ok and (audited.entries, audited.results) == (2, 9)
    board = await book.leaderboard(KEY, "teams")
    assert [(line.name, line.results) for line in board.standings] == [("Reds", 9)]
    await store.close()


@running
async def test_workers_agree_and_nobody_agrees_for_them(tmp_path: Path) -> None:
    clock = Clock()
    store, book = await opened(tmp_path, clock=clock)
    await book.add_project(manifest(), PROJECT, [APP])
    await due(store, ANN, range(3))
    await book.settle(KEY)
    assert book.waiting(KEY, ANN.peer, 8) == [], "it has not joined"
    book.joined(KEY, ANN.peer, "Ann", None)
    await book._own._bring()
    [receipt] = book.waiting(KEY, ANN.peer, 8)
    assert book.waiting(KEY, ANN.peer, 8) == [], "not again at once"
    clock.now += AGAIN_AFTER
    assert book.waiting(KEY, ANN.peer, 8) == [receipt]
    entry = ledger.open_receipt(receipt, KEY)
    assert (entry.worker, entry.number, entry.results) == (ANN.peer, 1, 3)
    good = (1, ledger.agree(receipt, ANN))
    assert await book.countersigned(KEY, BOB.peer, [(1, ledger.agree(receipt, BOB))]) == [False]
    assert await book.countersigned(KEY, ANN.peer, [(1, ledger.agree(receipt, BOB)), good]) == [False, True]
    assert await book.countersigned(KEY, ANN.peer, [good]) == [False], "once"
    assert (await book.look(KEY)).open == 0
    audited = await book.audit(KEY)
    assert audited.ok and audited.countersigned == 1
    await store.close()


@running
async def test_full_segments_never_change_and_what_is_in_them_leaves_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "SEGMENT_BYTES", 100_000)
    store, book = await opened(tmp_path, shelf=Shelf(tmp_path / "shelf"))
    await book.add_project(manifest(), PROJECT, [APP])
    folder = tmp_path / "ledgers" / KEY.hex()
    kept: dict[str, bytes] = {}
    for start in range(0, 15_000, 5000):
        await due(store, ANN, range(start, start + 5000))
        await book.publish(KEY)
        full = {path.name: path.read_bytes() for path in folder.glob("*.ledger")}
        assert all(full[name] == data for name, data in kept.items())
        kept = {name: data for name, data in full.items() if len(data) >= 100_000}
        assert (await agree_to_all(book, ANN)) != []
    assert len(kept) >= 3
    held = await store.read(lambda c: sum(len(line) for _, line in ledger_rows.read_tail(c, KEY)))
    assert held < 200_000
    audited = await book.audit(KEY)
    assert audited.ok and audited.results == 15_000, audited.checks
    await store.close()
    store, book = await opened(tmp_path)
    await book.add_project(manifest(), PROJECT, [APP])
    await due(store, BOB, range(10))
    audited = await book.audit(KEY)
    assert audited.ok and audited.results == 15_010
    await store.close()


@running
async def test_a_volunteer_follows_a_ledger_and_sees_when_it_was_rewritten(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    store, book = await opened(tmp_path / "project", shelf=shelf)
    await book.add_project(manifest(), PROJECT, [APP])
    await due(store, ANN, range(10))
    first = await book.publish(KEY)
    await due(store, BOB, range(10))
    assert len(await agree_to_all(book, ANN)) == 1
    second = await book.publish(KEY)
    assert book.newest(KEY) == second != first

    other, followed = await opened(tmp_path / "volunteer", me=ANN, shelf=shelf)
    assert (await followed.follow(manifest(), first)).ok
    assert (await followed.follow(manifest(), second)).ok
    assert followed.newest(KEY) == second
    board = await followed.leaderboard(KEY, "people", "day")
    assert [(line.key, line.results) for line in board.standings] == [(ANN.peer, 10), (BOB.peer, 10)]
    assert followed.solvent(KEY) == ""
    await other.close()

    forger_store, forger = await opened(tmp_path / "forger", shelf=shelf)
    await forger.add_project(manifest(), PROJECT, [APP])
    for start in range(0, 40, 10):  # the same project writes its history anew
        await due(forger_store, CARL, range(start, start + 10))
        await forger.settle(KEY)
    forger._state[KEY].serial = 10
    third = await forger.publish(KEY)
    other, followed = await opened(tmp_path / "volunteer", me=ANN, shelf=shelf)
    audited = await followed.follow(manifest(), third)
    assert not audited.ok and any("before" in check.what and not check.ok for check in audited.checks)
    assert "its ledger is not right" in followed.solvent(KEY)
    board = await followed.leaderboard(KEY)
    assert {line.key for line in board.standings} == {ANN.peer, BOB.peer}, "what held is still what counts"
    assert (await followed.audit(second)).ok
    for one in (store, other, forger_store):
        await one.close()


class Stuck(Shelf):
    """Nobody gives `never`."""

    never = b""

    async def fetch_folder(self, infohash: bytes, *args: object, **more: object) -> Path:  # type: ignore[override]
        if infohash == self.never:
            await asyncio.Event().wait()
        return await super().fetch_folder(infohash)


@running
async def test_a_ledger_that_never_comes_holds_up_no_newer_one(tmp_path: Path) -> None:
    shelf = Stuck(tmp_path / "shelf")
    store, book = await opened(tmp_path / "project", shelf=shelf)
    await book.add_project(manifest(), PROJECT, [APP])
    await due(store, ANN, range(3))
    shelf.never = await book.publish(KEY)
    await due(store, ANN, range(3, 5))
    second = await book.publish(KEY)
    other, followed = await opened(tmp_path / "volunteer", me=ANN, shelf=shelf)
    first = asyncio.get_running_loop().create_task(followed.follow(manifest(), shelf.never))
    await asyncio.sleep(0)
    assert (await followed.follow(manifest(), second)).results == 5
    with pytest.raises(WorldError, match="newer one"):
        await first
    await other.close()
    await store.close()


@running
async def test_a_look_at_ones_own_ledger_leaves_what_is_served_as_it_is(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "shelf")
    store, book = await opened(tmp_path, shelf=shelf)
    await book.add_project(manifest(), PROJECT, [APP])
    await due(store, ANN, range(3))
    infohash = await book.publish(KEY)
    served = {path.name: path.read_bytes() for path in (tmp_path / "ledgers" / KEY.hex()).iterdir()}
    assert (await book.audit(KEY)).ok
    assert {path.name: path.read_bytes() for path in (tmp_path / "ledgers" / KEY.hex()).iterdir()} == served
    assert book.newest(KEY) == infohash
    await due(store, BOB, range(3))
    assert (await book.audit(KEY)).results == 6
    assert book.newest(KEY) != infohash and shelf.published == 2, "what changed is served anew"
    await store.close()


@running
async def test_leaderboards_of_a_day_a_week_and_all_time(tmp_path: Path) -> None:
    clock = Clock()
    store, book = await opened(tmp_path, clock=clock)
    await book.add_project(manifest(), PROJECT, [APP])
    team = teams.accept(teams.invite(CARL, BOB.peer, "Reds", NOW - 30 * 86400), BOB, NOW - 30 * 86400)
    for days, who, units in ((9, ANN, 50), (3, BOB, 20), (0, CARL, 5)):
        clock.now = NOW - days * 86400.0
        book.joined(KEY, who.peer, who.peer.short, team if who is BOB else None)
        await due(store, who, range(units), at=clock.now)
        await book.settle(KEY)
    rows = {
        span: [line.key for line in (await book.leaderboard(KEY, "people", span)).standings]  # type: ignore[arg-type]
        for span in ("day", "week", "all")
    }
    assert rows == {
        "day": [CARL.peer],
        "week": [BOB.peer, CARL.peer],
        "all": [ANN.peer, BOB.peer, CARL.peer],
    }
    page = await book.leaderboard(KEY, "people", "all", offset=1, limit=1)
    assert [(line.rank, line.key) for line in page.standings] == [(2, BOB.peer)] and page.rows == 3
    assert page.standings[0].team == "Reds"
    [reds] = (await book.leaderboard(KEY, "teams", "week")).standings
    assert (reds.name, reds.results) == ("Reds", 20)
    # 50 units nine days ago: the average forgot half of them after seven days.
    ann = (await book.leaderboard(KEY)).standings[0]
    assert ann.recent == pytest.approx(50 * OPERATIONS * 0.0990 * 2 ** (-9 / 7), rel=1e-3)
    with pytest.raises(NotFound):
        await book.leaderboard(b"x" * 32)
    await store.close()


@running
async def test_it_settles_and_publishes_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("servent.grid.ledger_own_service.LOOK_EVERY", 0.02)
    shelf, clock = Shelf(tmp_path / "shelf"), Clock()
    store, book = await opened(tmp_path, clock=clock, shelf=shelf)
    await book.add_project(manifest(), PROJECT, [APP])
    seen: list[bytes] = []
    book.on_change(seen.append)
    task = asyncio.get_running_loop().create_task(book.run())
    await due(store, ANN, range(1200))
    await due(store, BOB, range(3))
    book.due()
    await until(lambda: book.credited(KEY, ANN.peer) == 1200 * OPERATIONS)
    assert book.credited(KEY, BOB.peer) == 0, "three results wait for more"
    await until(lambda: shelf.published >= 1)
    clock.now += 12
    await until(lambda: book.credited(KEY, BOB.peer) == 3 * OPERATIONS)
    assert seen and set(seen) == {KEY}
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.close()


@running
async def test_receipts_are_ours_whatever_becomes_of_the_project(tmp_path: Path) -> None:
    clock = Clock()
    store, book = await opened(tmp_path / "project", clock=clock)
    await book.add_project(manifest(), PROJECT, [APP])
    await due(store, ANN, range(40))
    await book.settle(KEY)
    [receipt] = await agree_to_all(book, ANN)
    other, mine = await opened(tmp_path / "volunteer", me=ANN, clock=clock)
    await mine.keep(manifest(), receipt, ledger.agree(receipt, ANN))
    await mine.keep(manifest(), receipt, ledger.agree(receipt, ANN))
    totals = mine.mine(KEY)
    assert (totals.credit, totals.today, totals.results) == (40 * OPERATIONS, 40 * OPERATIONS, 40)
    assert totals.credit / MFLOP_PER_COBBLESTONE == pytest.approx(287.04, abs=0.01)  # 40 of SETI@home's units
    with pytest.raises(BadMessage):
        await mine.keep(manifest(), receipt, ledger.agree(receipt, BOB))
    with pytest.raises(BadMessage):
        await mine.keep(manifest(), Receipt(receipt.body, b"x" * 64), ledger.agree(receipt, ANN))
    with pytest.raises(BadMessage):
        await mine.keep(manifest(BOB), receipt, ledger.agree(receipt, ANN))
    await other.close()
    clock.now += 86400
    other, mine = await opened(tmp_path / "volunteer", me=ANN, clock=clock)
    assert (mine.mine().credit, mine.mine().today) == (40 * OPERATIONS, 0)
    await other.close()
    await store.close()


@running
async def test_an_owner_spends_what_it_earned_and_shows_it(tmp_path: Path) -> None:
    """Carl's project pays the owner; the owner's project may then pay Ann as much, and its ledger proves it to anyone."""
    huge = from_cobblestones(1e9)
    shelf, clock = Shelf(tmp_path / "shelf"), Clock()
    theirs = manifest(CARL, CARL, network=NETWORK, budget=huge)
    ours = manifest(network=NETWORK, budget=huge)
    carl_store, carl = await opened(tmp_path / "carl", me=CARL, shelf=shelf, clock=clock)
    await carl.add_project(theirs, CARL, [app(CARL)])
    store, book = await opened(tmp_path / "owner", shelf=shelf, clock=clock)
    await book.add_project(ours, PROJECT, [APP])
    assert book.limit(KEY) == CREDIT_LINE
    count = 69  # of 3.1 TFLOP, at twice the price: nearly all that Carl may go below 0
    await due(carl_store, OWNER, range(count), key=CARL, price=200)
    await carl.settle(bytes(CARL.peer))
    [receipt] = await agree_to_all(carl, OWNER, bytes(CARL.peer))
    await book.keep(theirs, receipt, ledger.agree(receipt, OWNER))
    earned = 2 * count * OPERATIONS
    assert book.limit(KEY) == CREDIT_LINE + earned
    spent = 250 * OPERATIONS
    assert CREDIT_LINE < spent < CREDIT_LINE + earned
    await due(store, ANN, range(250))
    await book.settle(KEY)
    assert book.limit(KEY) == CREDIT_LINE + earned, "what is paid is part of what it may pay in all"
    audited = await book.audit(KEY)
    assert audited.ok, audited.checks
    assert any("receipts for" in check.words for check in audited.checks)

    ann_store, ann = await opened(tmp_path / "ann", me=ANN, shelf=shelf, clock=clock)
    assert (await ann.follow(ours, await book.publish(KEY))).ok
    assert ann.solvent(KEY) == "", "Ann has not seen Carl's ledger, but the receipts"
    assert (await ann.follow(theirs, await carl.publish(bytes(CARL.peer)))).ok
    assert ann.solvent(KEY) == ""
    people = {one.peer: one for one in await ann.balances(NETWORK)}
    assert people[bytes(OWNER.peer)].earned == earned
    assert people[bytes(OWNER.peer)].spent == spent
    assert people[bytes(CARL.peer)].balance == -earned
    assert sum(one.balance for one in people.values()) == 0
    await due(store, BOB, range(50))  # nobody keeps the project from it here: the coordinator would
    await book.settle(KEY)
    assert not (await ann.follow(ours, await book.publish(KEY))).ok
    assert "not right" in ann.solvent(KEY)
    assert (await ann.leaderboard(KEY)).rows == 2, "the work was done all the same"
    people = {one.peer: one for one in await ann.balances(NETWORK)}
    assert people[bytes(OWNER.peer)].spent == 300 * OPERATIONS, "it is charged all of it,"
    good = people[bytes(ANN.peer)].earned + people[bytes(BOB.peer)].earned
    assert CREDIT_LINE + earned - 2 <= good <= CREDIT_LINE + earned, (
        "and what it did not have is good for nobody"
    )
    for one in (store, carl_store, ann_store):
        await one.close()


@running
async def test_receipts_that_are_shown_twice_buy_once(tmp_path: Path) -> None:
    """An owner shows the same receipts with two projects; whoever knows both ledgers sees it."""
    huge = from_cobblestones(1e9)
    shelf = Shelf(tmp_path / "shelf")
    carl_store, carl = await opened(tmp_path / "carl", me=CARL, shelf=shelf)
    theirs = manifest(CARL, CARL, network=NETWORK, budget=huge)
    await carl.add_project(theirs, CARL, [app(CARL)])
    await due(carl_store, OWNER, range(130), key=CARL)
    await carl.settle(bytes(CARL.peer))
    [receipt] = await agree_to_all(carl, OWNER, bytes(CARL.peer))
    ann_store, ann = await opened(tmp_path / "ann", me=ANN, shelf=shelf)
    for index, key in enumerate((PROJECT, BOB)):
        ours = manifest(key, network=NETWORK, budget=huge)
        store, book = await opened(
            tmp_path / str(index), shelf=shelf
        )  # two nodes that do not know of each other
        await book.add_project(ours, key, [app(key)])
        await book.keep(theirs, receipt, ledger.agree(receipt, OWNER))
        await due(store, ANN, range(200), key=key)
        assert (await ann.follow(ours, await book.publish(bytes(key.peer)))).ok
        assert ann.solvent(bytes(key.peer)) == (
            "" if key is PROJECT else "its owner has spent more than it earned"
        )
        await store.close()
    assert ann.solvent(KEY) == "its owner has spent more than it earned"
    await carl_store.close()
    await ann_store.close()


@running
async def test_two_projects_of_one_owner_cannot_spend_its_credit_twice(tmp_path: Path) -> None:
    store, book = await opened(tmp_path)
    huge = from_cobblestones(1e9)
    await book.add_project(manifest(network=NETWORK, budget=huge), PROJECT, [APP])
    await book.add_project(manifest(BOB, network=NETWORK, budget=huge), BOB)
    first, second = book.limit(KEY), book.limit(bytes(BOB.peer))
    assert first is not None and second is not None and first + second <= CREDIT_LINE
    await book.add_project(manifest(network=NETWORK, budget=5, serial=2), PROJECT, [APP])
    assert book.limit(KEY) == 5
    await store.close()


@running
async def test_what_was_paid_by_nobody_does_not_use_up_a_balance(tmp_path: Path) -> None:
    store, book = await opened(tmp_path)
    await book.add_project(manifest(), PROJECT, [APP])
    assert book.limit(KEY) is None
    await due(store, ANN, range(500))
    await book.settle(KEY)
    huge = from_cobblestones(1e9)
    await book.add_project(manifest(network=NETWORK, budget=huge, serial=2), PROJECT, [APP])
    assert book.limit(KEY) == 500 * OPERATIONS + CREDIT_LINE
    await due(store, ANN, range(500, 510))
    await book.settle(KEY)
    assert book.limit(KEY) == 500 * OPERATIONS + CREDIT_LINE
    audited = await book.audit(KEY)
    assert audited.ok and audited.paid == 10 * OPERATIONS, audited.checks
    await store.close()


def test_a_purse_never_pays_more_than_it_may() -> None:
    purse = Purse(limit=100)
    assert purse.set_aside(60) and purse.set_aside(40)
    assert not purse.set_aside(1)
    purse.pay(60, 20)
    assert (purse.spent, purse.left) == (20, 40)
    purse.give_back(40)
    assert purse.left == 80
    purse.take_back(20)
    assert purse.left == 100
    assert Purse().set_aside(2**60)
    assert most_cost(1000, 0.0, 100) == 1000
    assert most_cost(1000, 1.0, 250) == 25_000


def test_a_project_whose_owner_has_not_agreed_is_none() -> None:
    with pytest.raises(BadMessage):
        open_project(manifest(owner=ANN, network=NETWORK, budget=5).__class__(*_stolen()))


def _stolen() -> tuple[bytes, bytes]:
    """Bob signs a project of his that Ann is to pay for, with a consent that is his own."""
    import msgspec

    from servent.grid.manifests import consent, sign_project

    project = open_project(manifest(BOB, BOB, network=NETWORK, budget=5))
    stolen = msgspec.structs.replace(
        project, owner=bytes(ANN.peer), consent=consent(BOB, BOB.peer, NETWORK, 5)
    )
    signed = sign_project(stolen, BOB)
    return signed.body, signed.signature


@running
async def test_statistics_as_boinc_exports_them(tmp_path: Path) -> None:
    store, book = await opened(tmp_path)
    await book.add_project(manifest(), PROJECT, [APP])
    team = teams.accept(teams.invite(CARL, ANN.peer, "Łódź & <friends>", NOW), ANN, NOW)
    book.joined(KEY, ANN.peer, "Ann \x07]]>", team)
    await due(store, ANN, range(100))
    await due(store, BOB, range(3))
    await due(store, CARL, [1])
    await due(store, CARL, [1], mflop=-OPERATIONS)
    await book.settle(KEY)
    machines = {bytes(ANN.peer): Machine(cores=8, mflops=3000.0, system="Linux & co")}
    files = {path.name: path for path in await book.export(KEY, tmp_path / "stats", machines)}
    assert set(files) == {"tables.xml", "user.gz", "team.gz", "host.gz"}
    trees = {
        name: ElementTree.fromstring(
            gzip.decompress(path.read_bytes()) if name.endswith("gz") else path.read_bytes()
        )
        for name, path in files.items()
    }
    tables = trees["tables.xml"]
    assert tables.tag == "tables"
    assert {
        tag: tables.findtext(tag) for tag in ("update_time", "nusers_total", "nteams_total", "nhosts_total")
    } == {
        "update_time": str(int(NOW)),
        "nusers_total": "2",
        "nteams_total": "1",
        "nhosts_total": "2",
    }
    assert float(tables.findtext("total_credit") or 0) == pytest.approx(
        103 * OPERATIONS / MFLOP_PER_COBBLESTONE
    )
    assert [one.text for one in tables.findall("applications/application/name")] == ["fft"]
    users = trees["user.gz"]
    # Elements as XmlStats and db_dump.cpp have them, in their order.
    wanted = ["id", "name", "create_time", "total_credit", "expavg_credit", "expavg_time", "cpid"]
    first, second = users.findall("user")
    assert [one.tag for one in first] == [*wanted, "teamid"] and [one.tag for one in second] == wanted
    assert first.findtext("name") == "Ann ]]>" and len(first.findtext("cpid") or "") == 32
    [group] = trees["team.gz"].findall("team")
    wanted = [
        "id",
        "type",
        "name",
        "userid",
        "total_credit",
        "expavg_credit",
        "expavg_time",
        "create_time",
        "country",
    ]
    assert [one.tag for one in group] == wanted
    assert group.findtext("name") == "Łódź & <friends>" and group.findtext("id") == first.findtext("teamid")
    host = trees["host.gz"].find("host")
    assert host is not None
    assert [one.tag for one in host] == [
        "id",
        "userid",
        "total_credit",
        "expavg_credit",
        "expavg_time",
        "p_vendor",
        "p_model",
        "os_name",
        "os_version",
        "create_time",
        "rpc_time",
        "timezone",
        "ncpus",
        "p_fpops",
        "p_iops",
        "p_membw",
        "m_nbytes",
        "m_cache",
        "m_swap",
        "d_total",
        "d_free",
        "n_bwup",
        "n_bwdown",
        "avg_turnaround",
        "credit_per_cpu_sec",
        "host_cpid",
    ]
    assert [host.findtext(tag) for tag in ("ncpus", "p_fpops", "os_name")] == [
        "8",
        "3000000000.000000",
        "Linux & co",
    ]
    assert host.findtext("userid") == first.findtext("id")
    await store.close()


@running
async def test_a_thousand_credits_cost_a_few_milliseconds(tmp_path: Path) -> None:
    """2,400 credits a second (a SETI@home day in ten minutes) must cost a small part of one core: here at most a quarter, on any machine."""
    store, book = await opened(tmp_path)
    await book.add_project(manifest(), PROJECT, [APP])
    for who in (ANN, BOB):
        await due(store, who, range(12_000))
    begun = time.process_time()
    assert await book.settle(KEY) == 24
    assert time.process_time() - begun < 24_000 / 2400 / 4
    await store.close()


def test_the_desk_holds_little_and_sends_each_entry_a_few_times() -> None:
    desk = Desk()
    receipt = Receipt(b"", b"x" * 64)
    desk.made(KEY, ANN.peer, 1, receipt)
    assert desk.waiting(KEY, ANN.peer, 8, 0.0) == []
    desk.begin(KEY, ANN.peer)
    assert desk.wanted() == [(KEY, ANN.peer, 0)]
    desk.bring(KEY, ANN.peer, [(n, receipt) for n in range(1, 9)], 8)
    assert desk.wanted() == []
    desk.made(KEY, ANN.peer, 9, receipt)
    assert len(desk.waiting(KEY, ANN.peer, 99, 0.0)) == 8
    desk.agreed(KEY, ANN.peer, range(1, 7))
    assert desk.wanted() == [(KEY, ANN.peer, 8)]
    desk.bring(KEY, ANN.peer, [(9, receipt)], 8)
    assert len(desk.waiting(KEY, ANN.peer, 99, 1.0)) == 1
    now, sent = 0.0, 0
    for _ in range(12):
        now += 1e6
        sent += len(desk.waiting(KEY, ANN.peer, 99, now))
    assert sent == 3 * 4
    for number in range(600):
        desk.begin(KEY, number.to_bytes(32, "big"))
    assert desk.waiting(KEY, ANN.peer, 8, now) == []


@running
async def test_a_foreign_key_writes_no_ledger(tmp_path: Path) -> None:
    store, book = await opened(tmp_path)
    with pytest.raises(ServentError):
        await book.add_project(manifest(), BOB)
    with pytest.raises(NotFound):
        await book.settle(KEY)
    with pytest.raises(NotFound):
        await book.audit(b"y" * 32)
    await store.close()
