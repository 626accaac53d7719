"""Two people behind every pair of routers: all connect, and directly where packets can find a way."""

from collections.abc import Iterator

import pytest

from tests.natlab.abreast import Abreast, wanted
from tests.natlab.cells import CELLS, Cell
from tests.natlab.lab import Lab, missing
from tests.natlab.matrix import Matrix, Outcome

WHY_NOT = missing()
pytestmark = [
    pytest.mark.natlab,
    pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or ""),
]


Cells = Abreast[Cell, tuple[Outcome, str]]


def work(matrix: Matrix, cell: Cell) -> tuple[Outcome, str]:
    outcome = matrix.run(cell)
    return outcome, "" if outcome.good else matrix.lab.logs()


@pytest.fixture(scope="module")
def cells(request: pytest.FixtureRequest) -> Iterator[Cells]:
    with Cells(wanted(request, "cell"), work).running("ntest", labs=3) as running:
        yield running


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_they_connect_and_directly_where_that_is_possible(cells: Cells, cell: Cell) -> None:
    outcome, logs = cells.result(cell)
    assert outcome.good, f"{outcome}\n{logs}"
    if cell.a in ("apdf", "edm", "pub") and outcome.detail.get("dialer"):
        said = outcome.detail["dialer"]["nat"]
        assert said in ({"apdf": "easy", "edm": "symmetric", "pub": "public"}[cell.a], "unknown")


def test_a_lab_leaves_nothing_behind() -> None:
    with Lab("ntidy-") as lab:
        lab.build("apdf", "pub")
        sleeper = lab.spawn("hA", "sleep", "60")
        assert sleeper.poll() is None
    assert sleeper.wait(60) is not None
    with Lab("ntidy-") as lab:
        names = lab.inside("pub", "ip", "netns", "list")
    assert f"{lab.prefix}hA" not in names
