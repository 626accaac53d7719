"""Two people behind every pair of routers: all connect, and directly where packets can find a way."""

from collections.abc import Iterator

import pytest

from tests.natlab.cells import CELLS, Cell
from tests.natlab.lab import Lab, missing
from tests.natlab.matrix import Matrix
from tests.natlab.node import WholeNode

WHY_NOT = missing()
pytestmark = [
    pytest.mark.natlab,
    pytest.mark.timeout(40),
    pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or ""),
]


@pytest.fixture(scope="module")
def matrix() -> Iterator[Matrix]:
    with Matrix("ntest-", WholeNode()) as running:
        yield running


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.name)
def test_they_connect_and_directly_where_that_is_possible(matrix: Matrix, cell: Cell) -> None:
    outcome = matrix.run(cell)
    assert outcome.good, f"{outcome}\n{matrix.lab.logs()}"
    if cell.a in ("apdf", "edm", "pub") and outcome.detail.get("dialer"):
        said = outcome.detail["dialer"]["nat"]
        assert said in ({"apdf": "easy", "edm": "symmetric", "pub": "public"}[cell.a], "unknown")


def test_a_lab_leaves_nothing_behind() -> None:
    with Lab("ntidy-") as lab:
        lab.build("apdf", "pub")
        sleeper = lab.spawn("hA", "sleep", "60")
        assert sleeper.poll() is None
    assert sleeper.wait(2) is not None
    with Lab("ntidy-") as lab:
        names = lab.inside("pub", "ip", "netns", "list")
    assert "ntidy-hA" not in names
