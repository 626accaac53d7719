"""What a node says of its machine to the owner of a cluster."""

from __future__ import annotations

import pytest

from servent.cluster import hardware
from servent.cluster.service import Clusters, NoDask
from servent.cluster.visits import Versions

OLD = Versions(python="3.11.2", dask="", distributed="", servent="0.1.0")
NEW = Versions(python="3.11.2", dask="2026.8.0", distributed="2026.8.0", servent="0.1.0")


def test_dask_that_came_while_the_node_ran_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it said that it has none, of itself and in comparing others with itself, until it was started again."""
    clusters = object.__new__(Clusters)
    clusters._all, clusters._versions = {}, OLD
    monkeypatch.setattr(hardware, "installed", lambda: False)
    with pytest.raises(NoDask) as said:
        clusters._room()
    assert "install 'servent[dask]'" in said.value.advice
    monkeypatch.setattr(hardware, "installed", lambda: True)
    monkeypatch.setattr(hardware, "versions", lambda: NEW)
    clusters._room()
    assert clusters._versions == NEW
