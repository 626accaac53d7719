"""Scripts that have a real node's project compute: the async map and the executor."""

from __future__ import annotations

import asyncio
import base64
import traceback
from concurrent.futures import as_completed
from pathlib import Path

import pytest

import servent
from servent.api import grid_executor, grid_python
from servent.api import schema_grid as grid
from servent.api.client import Client
from servent.api.grid_python import PythonApp
from servent.errors import ServentError, UsageError
from servent.grid.pyapps import sources
from tests.cli.test_real import up
from tests.cli.test_real_grid import ECHO
from tests.grid import films

pytestmark = [pytest.mark.real]

TRAP = '(module (memory (export "memory") 1) (func (export "_start") unreachable))'


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    """A node with a project that it computes for itself."""
    folder = tmp_path_factory.mktemp("node")
    for name, text in (("echo", ECHO), ("trap", TRAP)):
        (folder / f"{name}.wat").write_text(text)
    with up(folder / "ann", "--name", "ann"):
        client = Client.from_data_dir(folder / "ann")
        client.create_project(grid.NewProject(name="echoes", local=True))
        for name in ("echo", "trap"):
            module = str(folder / f"{name}.wat")
            client.add_app("echoes", grid.NewApp(name=name, module=module, operations=1e9, quorum=1))
        client.change_lending(grid.LendChange(on=True, preset="everything", cores=1))
        yield folder / "ann"


def test_an_async_map_gives_results_as_they_come(home: Path, tmp_path: Path) -> None:
    large = bytes(range(256)) * 200  # goes as a file, and so do its neighbours
    path = tmp_path / "input"
    path.write_bytes(b"from a file")

    async def story() -> None:
        whole = servent.Grid(data_dir=home)
        found = [one async for one in whole.map("echo", ["one", b"\xff\x00", "one"])]
        assert {(one.number, one.item, one.output, one.error) for one in found} == {
            (0, "one", b"one", ""),
            (1, b"\xff\x00", b"\xff\x00", ""),
            (2, "one", b"one", ""),
        }
        found = [one async for one in whole.map("echo", [b"small", large, path])]
        assert {one.number: one.output for one in found} == {
            0: b"small",
            1: large[:60_000],
            2: b"from a file",
        }
        assert next(one for one in found if one.number == 2).text == "from a file"

    asyncio.run(story())


def test_every_generation_of_an_item_is_a_result_of_that_item(home: Path, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(b"in a file" * 3000)

    async def story() -> None:
        whole = servent.Grid("echoes", data_dir=home)
        items = ["first", large]
        found = [one async for one in whole.map("echo", items, generations=2)]
        assert sorted((one.number, one.generation) for one in found) == [(0, 0), (0, 1), (1, 0), (1, 1)]
        for one in found:
            said = large.read_bytes() if one.item is large else b"first"
            assert (one.item, one.output, one.error) == (items[one.number], said, "")
        with pytest.raises(ServentError, match="generations"):
            [one async for one in whole.map("echo", ["x"], generations=0)]

    asyncio.run(story())


def test_how_far_chains_are_and_the_film_they_make_come_through_the_api(home: Path) -> None:
    client = Client.from_data_dir(home)
    state = films.generation(0, atoms=4, steps=30, every=10)  # the app gives it back as it is
    items = [base64.b64encode(state).decode()]
    batch = client.submit("echoes", grid.NewBatch(app="echo", items=items, items_base64=True, generations=2))
    assert [one.generation for one in client.all_results(batch.id)] == [0, 1]
    now = client.batch(batch.id)
    assert (now.state, now.shows, now.generations) == ("done", "trajectory", 2)
    (chain,) = client.batch_chains(batch.id).chains
    assert (chain.done, chain.state) == (2, "done")
    film = client.trajectory(batch.id)
    assert (film.atoms, film.every, [part.frames for part in film.parts]) == (4, 10, [3, 3])
    assert [(potential, kinetic) for _, potential, kinetic in film.energies[:3]] == [
        films.energies(4, at) for at in (1, 2, 3)
    ]
    assert client.frames(batch.id, 1, first=1, count=2) == state[-2 * (16 + 24) :]
    with pytest.raises(ServentError):
        client.trajectory(batch.id, 1)
    client.forget_batch(batch.id)


def test_more_than_a_request_holds_goes_as_files_in_order(home: Path) -> None:
    whole = servent.Grid(data_dir=home)
    items = [bytes([n % 256, n // 256]) * 5000 for n in range(60)]
    found = {one.number: one.output for one in whole.compute("echo", items)}
    assert found == dict(enumerate(items))


def test_leaving_early_cancels_what_is_open(home: Path) -> None:
    async def story() -> None:
        whole = servent.Grid("echoes", data_dir=home)
        results = whole.map("echo", [f"early {n}" for n in range(300)], title="left early")
        async for _ in results:
            break
        await results.aclose()

    asyncio.run(story())
    (batch,) = [one for one in Client.from_data_dir(home).batches() if one.title == "left early"]
    assert batch.state in ("cancelled", "done")


def test_a_failed_unit_is_a_result_that_says_why_and_an_exception_of_its_future(home: Path) -> None:
    whole = servent.Grid(data_dir=home)
    (one,) = whole.compute("trap", ["x"], expires=2.0)
    assert one.output == b"" and one.error
    with servent.GridExecutor(data_dir=home, expires=2.0) as pool:
        future = pool.submit("trap", "y")
        with pytest.raises(servent.GridFailure):
            future.result(60)


def test_an_executor_is_one_of_concurrent_futures(home: Path) -> None:
    with servent.GridExecutor(data_dir=home) as pool:
        assert list(pool.map(lambda text: text, [])) == []
        assert list(pool.map("echo", ["a", "b", "c"], timeout=60)) == [b"a", b"b", b"c"]
        futures = {pool.submit("echo", f"item {n}"): n for n in range(40)}
        assert {futures[one]: one.result() for one in as_completed(futures, 60)} == {
            n: b"item %d" % n for n in range(40)
        }
        with pytest.raises(TypeError, match="name"):
            pool.submit(len, "x")
        with pytest.raises(TypeError):
            pool.submit("echo")
        missing = pool.submit("nothing of the kind", "x")
        with pytest.raises(Exception, match="no app"):
            missing.result(60)
    with pytest.raises(RuntimeError, match="shut down"):
        pool.submit("echo", "late")


def same(item, times: int = 1):
    """What an executor is given in place of an app's name; never called here."""
    return item


def test_an_executor_takes_a_function_and_its_items_as_they_are(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Building takes its time and is tried elsewhere: the app that it comes to gives back what it is given."""
    asked = []

    def prepare(client: Client, project: str, function: object, sample: object, args: object) -> PythonApp:
        asked.append((function, sample, args))
        if args == ("7",):
            raise UsageError("it cannot be built")
        return PythonApp("echo/1", sources.found(Path(__file__).read_bytes(), "same"))

    monkeypatch.setattr(grid_python, "prepare", prepare)
    monkeypatch.setattr(grid_executor, "GATHER", 1.0)  # a busy machine may take long between two items
    with servent.GridExecutor(data_dir=home) as pool:
        changing = {"n": [1, 2.5, None, "ä"]}
        futures = [pool.submit(same, changing), pool.submit(same, 3)]
        changing.clear()  # it was taken down
        assert [one.result(60) for one in futures] == [{"n": [1, 2.5, None, "ä"]}, 3]
        assert asked == [(same, '{"n":[1,2.5,null,"ä"]}'.encode(), ())]
        assert list(pool.map(same, ["x", True], timeout=60)) == ["x", True]
        with pytest.raises(UsageError, match="it cannot be built"):
            pool.submit(same, 1, 7).result(60)
        with pytest.raises(UsageError, match="what the function takes"):
            pool.submit(same, b"no JSON")
        for no_app in (lambda item: item, Path.exists, sorted, print):
            with pytest.raises(TypeError, match="left margin"):
                pool.submit(no_app, "x")
        with pytest.raises(TypeError, match="texts and numbers"):
            pool.submit(same, 1, [2])


def test_what_is_cancelled_in_time_is_not_waited_for(home: Path) -> None:
    pool = servent.GridExecutor(data_dir=home)
    futures = [pool.submit("echo", f"never {n}") for n in range(5)]
    pool.shutdown(cancel_futures=True)
    assert all(one.done() for one in futures)


def test_which_project_is_asked_for_and_what_is_no_item(home: Path) -> None:
    client = Client.from_data_dir(home)
    client.create_project(grid.NewProject(name="another"))
    try:
        with pytest.raises(UsageError, match="several projects") as said:
            servent.Grid(data_dir=home)
        shown = "".join(traceback.format_exception(said.value))
        assert "another" in shown and "Say which: servent.Grid(" in shown, (
            "who writes a script reads tracebacks"
        )
        with pytest.raises(UsageError, match="an item is"):
            list(servent.Grid("echoes", data_dir=home).compute("echo", [1]))  # type: ignore[list-item]
    finally:
        client.change_project("another", grid.ProjectChange(closed=True))
        client.remove_project("another")


def test_items_travel_as_base64_within_what_the_api_takes() -> None:
    from servent.api.grid_items import ITEM_BYTES

    assert len(base64.b64encode(bytes(ITEM_BYTES))) <= 16384
