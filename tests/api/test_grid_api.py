"""The routes of computing through our client: lending, projects, batches and their results, credit; and what is refused."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from servent.api import schema_credit as credit
from servent.api import schema_grid as grid
from servent.api import schema_wasm as wasm
from servent.api.client import ApiError, Client
from tests.api.fake_grid import SKY
from tests.api.fake_grid_work import FOLDING, HOSTS, PRIMES
from tests.api.running import client, fake_daemon

MODULE = b"\0asm\x01\0\0\0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    data_dir = tmp_path_factory.mktemp("node")
    with fake_daemon(data_dir):
        yield data_dir


@pytest.fixture
def node(folder: Path) -> Client:
    return client(folder)


def refused(wrong: pytest.ExceptionInfo[ApiError]) -> tuple[int, str]:
    return wrong.value.status, wrong.value.kind


def test_a_machine_lends_pauses_and_follows_rules_of_its_own(node: Client) -> None:
    now = node.lending()
    assert now.on and now.state == "working" and len(now.slots) == 3 and "because" in now.why
    paused = node.pause_lending(600.0)
    assert (paused.state, paused.by_person) == ("paused", True) and paused.paused_until is not None
    assert node.pause_lending().paused_until is None
    assert node.resume_lending().state == "working"
    own = node.change_lending(grid.LendChange(cores=3, hours=["weekdays 22:00-07:00"]))
    assert (own.preset, own.policy.cores, own.policy.hours) == ("own", 3, ["weekdays 22:00-07:00"])
    quiet = node.change_lending(grid.LendChange(preset="quiet"))
    assert (quiet.preset, quiet.policy.cpu_percent) == ("quiet", 50)
    assert node.change_lending(grid.LendChange(on=False)).state == "off"
    assert node.change_lending(grid.LendChange(on=True, preset="when-idle")).on
    with pytest.raises(ApiError) as wrong:
        node._send("PATCH", "/grid/lending", grid.Lending, grid.LendChange(cpu_percent=101))
    assert refused(wrong) == (400, "usage")


def test_the_log_comes_page_by_page(node: Client) -> None:
    first = node.grid_log(limit=100)
    second = node.grid_log(before=first[-1].seq, limit=100)
    assert [one.seq for one in first + second] == list(range(240, 40, -1))
    assert {one.project_name for one in node.grid_log(project="folding")} == {"folding"}


def test_projects_are_joined_changed_and_left(node: Client) -> None:
    assert node.look_at_project(f"servent-project:{SKY}").bonus == 0.75
    assert SKY not in {
        one.id for one in node.joined_projects() if one.share == 50.0
    }  # nothing was joined by it
    made = node.join_project(grid.JoinProject(link=f"servent-project:{SKY}", share=50.0))
    assert made.name == "sky survey" and made.share == 50.0
    assert node.change_joined("sky survey", grid.JoinedChange(paused=True)).state == "paused"
    assert node.change_joined(SKY, grid.JoinedChange(paused=False, team="night owls")).team == "night owls"
    node.leave_project(SKY)
    assert SKY not in {one.id for one in node.joined_projects()}
    for link, expected in (
        ("refused", (403, "refused")),
        ("far", (504, "unreachable")),
        ("x", (400, "usage")),
    ):
        with pytest.raises(ApiError) as wrong:
            node.join_project(grid.JoinProject(link=link))
        assert refused(wrong) == expected


def test_a_project_gets_an_app_work_and_results(node: Client, tmp_path: Path) -> None:
    made = node.create_project(grid.NewProject(name="mine", about="a test", audience="everyone"))
    assert node.my_project("mine").id == made.id and made.link.startswith("servent-project:")
    (tmp_path / "app.wasm").write_bytes(MODULE)
    app = node.add_app(made.id, grid.NewApp(name="count", module=str(tmp_path / "app.wasm"), quorum=3))
    assert (app.name, app.version, app.quorum) == ("count", 1, 3)
    assert node.add_app("mine", grid.NewApp(name="count", module=str(tmp_path / "app.wasm"))).version == 2
    node.retire_app("mine", "count/1")
    assert [one.retired for one in node.my_project("mine").apps] == [False, True]
    (tmp_path / "lines").write_text("a\nb\n")
    (tmp_path / "one.txt").write_text("1")
    batch = grid.NewBatch(
        app="count", items=["x"], lines=str(tmp_path / "lines"), paths=[str(tmp_path / "one.txt")]
    )
    running = node.submit("mine", batch)
    assert running.units == 4 and node.batch(running.id).app == "count/2"
    results = list(node.all_results(running.id))
    assert [one.order for one in results] == [1, 2, 3, 4] and node.batch(running.id).state == "done"
    assert node.result_file(running.id, 0).decode() == results[0].output
    collected = node.collect_results(running.id, str(tmp_path / "out"))
    assert len(collected.files) == 4 and Path(collected.files[0]).is_file()
    assert len(node.units("mine", grid.UnitsQuery(batch=int(running.id), state="done")).units) == 4
    node.forget_batch(running.id)
    assert node.batches("mine") == []
    assert node.change_project("mine", grid.ProjectChange(closed=True)).closed
    node.remove_project("mine")
    with pytest.raises(ApiError) as gone:
        node.my_project("mine")
    assert refused(gone) == (404, "not-found")


def test_a_batch_of_many_items_fits_into_one_request(node: Client) -> None:
    many = grid.NewBatch(app="trial", items=["x" * 100] * 20_000)
    assert node.cancel_batch(node.submit("primes", many).id).state == "cancelled"
    with pytest.raises(ApiError) as wrong:
        node.request("POST", "/api/v1/grid/projects/primes/apps", b'{"x":"' + b"x" * 1_100_000 + b'"}')
    assert wrong.value.status == 413


def test_a_batch_is_paused_hurried_and_cancelled(node: Client) -> None:
    running = node.submit("primes", grid.NewBatch(app="trial", repeat=50_000))
    paused = node.change_batch(running.id, grid.BatchChange(paused=True, priority=9))
    assert (paused.state, paused.priority) == ("paused", 9)
    assert node.change_batch(running.id, grid.BatchChange(paused=False)).state == "running"
    ended = node.cancel_batch(running.id)
    assert ended.state == "cancelled" and ended.done + ended.errors + ended.cancelled == 50_000
    assert node.batch_results(running.id, after=ended.done + ended.errors, wait=5.0).ended


@pytest.mark.parametrize("number", ["x", "-1", "99999", "1" * 20, "²"])
def test_no_batch_has_a_number_like_that(node: Client, number: str) -> None:
    with pytest.raises(ApiError) as wrong:
        node.batch(number)
    assert refused(wrong) == (404, "not-found")


def test_inputs_that_would_give_the_node_away_are_refused(node: Client, folder: Path, tmp_path: Path) -> None:
    def said(batch: grid.NewBatch) -> str:
        with pytest.raises(ApiError) as wrong:
            node.submit("primes", batch)
        return str(wrong.value)

    assert "own key" in said(grid.NewBatch(app="trial", paths=[str(folder)]))
    assert "own key" in said(grid.NewBatch(app="trial", lines=str(folder / "api.token")))
    assert "there is no" in said(grid.NewBatch(app="trial", paths=[str(tmp_path / "none")]))
    assert "absolute" in said(grid.NewBatch(app="trial", paths=["here"]))
    assert "no work" in said(grid.NewBatch(app="trial"))
    (tmp_path / "no.wasm").write_bytes(b"no module")
    with pytest.raises(ApiError) as wrong:
        node.add_app("primes", grid.NewApp(name="x", module=str(tmp_path / "no.wasm")))
    assert refused(wrong) == (400, "usage") and "WebAssembly" in str(wrong.value)
    with pytest.raises(ApiError) as wrong:
        wish = grid.NewApp(name="x", module=str(tmp_path / "no.wasm"), compare="comparer")
        node.add_app("primes", wish)
    assert "comparer" in str(wrong.value)


@pytest.mark.parametrize(
    "name", ["identity.key", "grid.db", "grid.db-wal", "talk.db", "node.db", "api.token"]
)
def test_nothing_that_holds_keys_of_this_node_becomes_an_input(
    node: Client, folder: Path, tmp_path: Path, name: str
) -> None:
    """The databases hold keys of projects and teams, invitations and what was said; a module that reads something can say it again."""
    mine = folder / name
    if not mine.exists():
        mine.write_bytes(b"secret")
    other = tmp_path / "a harmless name"
    os.link(mine, other)
    (tmp_path / "m.wasm").write_bytes(b"\0asm\1\0\0\0")
    for path in (mine, other):
        for ask in (
            lambda path=path: node.submit("primes", grid.NewBatch(app="trial", paths=[str(path)])),
            lambda path=path: node.submit("primes", grid.NewBatch(app="trial", lines=str(path))),
            lambda path=path: node.try_module(
                wasm.BuildRequest(module=str(tmp_path / "m.wasm"), input=str(path))
            ),
            lambda path=path: node.try_module(wasm.BuildRequest(module=str(path))),
            lambda path=path: node.add_app("primes", grid.NewApp(name="x", module=str(path))),
        ):
            with pytest.raises(ApiError) as wrong:
                ask()
            assert refused(wrong) == (400, "usage") and "own key" in str(wrong.value)


def test_what_was_found_in_signals_is_ranked(node: Client) -> None:
    batch = next(one for one in node.batches("primes") if one.shows == "signals")
    seen = node.sky(batch.id, most=20)
    assert seen.parts >= batch.done and len(seen.candidates) == 20 and seen.recordings == 3
    scores = [one.score for one in seen.candidates if not one.near]
    assert scores == sorted(scores, reverse=True) and all(one.plot for one in seen.candidates)
    with pytest.raises(ApiError) as wrong:
        node.sky(next(one for one in node.batches("primes") if not one.shows).id)
    assert refused(wrong) == (400, "usage")


def test_a_core_shows_what_its_unit_does(node: Client) -> None:
    slot = next(one for one in node.lending().slots if one.pictures)
    shown = node.slot_picture(slot.number)
    assert shown.picture is not None and (shown.number, shown.unit) == (slot.number, slot.unit)
    assert len(shown.picture.data) == shown.picture.width * shown.picture.height and shown.picture.x.label
    known = node.slot_picture(slot.number, after=shown.serial)
    assert known.serial != shown.serial or known.picture is None
    node.pause_lending()
    assert node.slot_picture(slot.number).unit == "", "nothing runs there now, which is no error"
    node.resume_lending()
    for number in ("99999", "x", "9" * 30):
        with pytest.raises(ApiError) as wrong:
            node.slot_picture(number)  # type: ignore[arg-type]
        assert refused(wrong) == (404, "not-found")


def test_credit_is_ranked_audited_and_exported(node: Client, tmp_path: Path) -> None:
    board = node.leaderboard("primes", credit.BoardQuery(limit=3))
    assert [one.rank for one in board.standings] == [1, 2, 3] and board.rows == len(HOSTS)
    assert len(node.leaderboard(PRIMES, credit.BoardQuery(board="teams", span="week")).standings) == 2
    good, bad = node.audit("servent-project:x"), node.audit("magnet:bad")
    assert good.ok and not bad.ok and any(not one.ok for one in bad.checks)
    with pytest.raises(ApiError) as wrong:
        node.audit(str(tmp_path / "none"))
    assert refused(wrong) == (404, "not-found")
    assert Path(node.export_statistics("primes", str(tmp_path / "xml")).files[0]).is_file()
    assert sum(one.me for one in node.balances()) == 1


def test_teams_are_founded_entered_and_left(node: Client) -> None:
    made = node.create_team("testers")
    assert made.mine and node.invite_to_team("testers", HOSTS[0]).link.startswith("servent:")
    joined = node.join_team("servent:team-1")
    assert joined.name in {one.name for one in node.teams()}
    node.leave_team(joined.key)
    with pytest.raises(ApiError) as wrong:
        node.leave_team(joined.key)
    assert refused(wrong) == (404, "not-found")


def test_events_tell_of_lending_projects_and_batches(node: Client) -> None:
    seen: dict[str, object] = {}
    for event in node.events("lending", "joined", "projects", "batches"):
        seen[event.topic] = event.data
        if len(seen) == 4:
            break
    assert {one["id"] for one in seen["joined"]["items"]} >= {FOLDING, PRIMES}  # type: ignore[index]
    assert {one["id"] for one in seen["projects"]["items"]} >= {PRIMES}  # type: ignore[index]
    assert {one["id"] for one in seen["batches"]["items"]} >= {"1", "2", "3"}  # type: ignore[index]
    assert seen["lending"]["machine_cores"] == 8  # type: ignore[index]


def test_a_program_that_only_looks_gets_no_results(node: Client) -> None:
    token = node.add_token("looker", "read").token
    assert token
    looker = Client(node.url, token)
    assert looker.lending().on and looker.my_projects()
    for ask in (lambda: looker.batch_results(2), lambda: looker.pause_lending(), lambda: looker.audit("x")):
        with pytest.raises(ApiError) as wrong:
            ask()
        assert refused(wrong) == (403, "refused")


def test_generations_are_counted_and_come_with_their_number(node: Client) -> None:
    made = node.submit("primes", grid.NewBatch(app="trial", items=["a", "b"], generations=3))
    assert (made.units, made.generations) == (6, 3)
    found = list(node.all_results(made.id, wait=10.0))
    assert [one.generation for one in found] == [0, 0, 1, 1, 2, 2]
    alone = node.submit("primes", grid.NewBatch(app="trial", generations=2))
    assert alone.units == 2, "an app may begin with nothing"
    with pytest.raises(ApiError):
        node.submit("primes", grid.NewBatch(app="trial", items=["a"], generations=0))
