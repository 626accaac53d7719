"""One kernel for all tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.grid.sandbox.rig import Rig
from tests.listen.desk import Desk


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("listen")
    with Rig(folder) as rig:
        yield Desk(rig, folder)
