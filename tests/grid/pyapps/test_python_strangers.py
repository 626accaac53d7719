"""A scientist's Python function: built, signed, sent to strangers, computed by them, checked against each other, and back as values. Real nodes, each a process."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

import servent
from servent.api import schema_grid as grid
from servent.api import wasm_build
from servent.api.client import Client
from tests.cli.test_real import data, run, up
from tests.grid.pyapps import science as app
from tests.grid.pyapps.conftest import ROOMY
from tests.grid.sandbox.rig import Rig

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def ready(python: Rig, science: Path, tmp_path: Path) -> list[Path]:
    """Data directories of nodes that have compiled the app before: that takes each of them ten seconds, and is tried elsewhere."""
    code = science.read_bytes()
    job = python.job(code, "python", limits=ROOMY, budget=30.0, stdin=b'{"do":"square","n":1}')
    assert python.do(python.slots.run(job), 800).outcome == "done"
    found = [tmp_path / name for name in ("ann", "bob", "carl")]
    for place in found:
        for folder in ("sandbox", "sandbox-own"):
            (place / "grid" / folder).mkdir(parents=True, mode=0o700)
            for path in (python.folder.parent / "compiled").glob("*.compiled"):
                shutil.copy(path, place / "grid" / folder)
        place.chmod(0o700)
    return found


def test_strangers_compute_a_python_function(
    ready: list[Path], science: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wasm_build, "cache", lambda: science.parent)
    ann, bob, carl = ready
    with up(ann, "--name", "ann"), up(bob, "--name", "bob"), up(carl, "--name", "carl"):
        link = run(ann, "grid", "new", "science", "--for", "everyone").strip()
        for node in (bob, carl):  # they know nothing of ann but the link
            run(node, "grid", "join", link)
            run(node, "grid", "lend", "--preset", "everything", "--cores", "1")
        client = Client.from_data_dir(ann)
        mine = servent.Grid(data_dir=ann)
        items = [*({"do": "square", "n": n} for n in range(6)), {"do": "print", "n": 7}]
        found = {one.number: one for one in mine.compute(app.science, items)}
        assert [found[n].value["square"] for n in range(6)] == [0, 1, 4, 9, 16, 25]
        assert found[3].item == items[3] and json.loads(found[3].output) == found[3].value
        assert "ValueError: seven is not allowed < science.py:" in found[6].error and found[6].value is None
        (made,) = client.my_projects()
        assert [(one.name, one.version, one.abi) for one in made.apps] == [("science", 1, "python")]
        assert made.apps[0].about == "Does as it is told." and made.apps[0].operations >= 1e6
        hosts = data(ann, "grid", "hosts")
        assert sorted(one["name"] for one in hosts) == ["bob", "carl"]
        # Known now: nothing is built or added again, and what was computed is not computed again.
        assert asyncio.run(_mapped(mine, items[2:3])) == [4]
        with servent.GridExecutor(data_dir=ann) as pool:
            assert [one["square"] for one in pool.map(app.science, items[3:5], timeout=300)] == [9, 16]
        assert len(client.my_project(made.id).apps) == 1
        # The same by the commands that people type.
        tried = data(
            ann,
            "grid",
            "try",
            str(science),
            "--arg",
            "21",
            "--input",
            str(_file(tmp_path, '{"do":"beside"}')),
        )
        assert (tried["outcome"], tried["output"]) == ("done", "42")
        added = data(ann, "grid", "app", "add", str(science), "--name", "byhand", "--operations", "1G")
        assert (added["abi"], added["about"]) == ("python", "Does as it is told.")
        batch = data(
            ann, "grid", "submit", "byhand", "--lines", str(_file(tmp_path, '{"do":"square","n":9}\n'))
        )
        assert data(ann, "grid", "watch", batch["id"])["done"] == 1
        (result,) = client.batch_results(batch["id"], wait=0).results
        assert isinstance(result, grid.UnitResult) and json.loads(result.output or "")["square"] == 81


async def _mapped(mine: servent.Grid, items: list[dict[str, object]]) -> list[object]:
    return [one.value["square"] async for one in mine.map(app.science, items, args=[0])]


def _file(folder: Path, text: str) -> Path:
    path = folder / "input"
    path.write_text(text)
    return path
