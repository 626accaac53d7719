"""For what a node vouches: a process of its own as what it was begun, in the cluster that it was begun for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from servent.cluster import orders, rosters
from servent.cluster.base_service import ClustersBase
from servent.cluster.journal import Journal
from servent.cluster.live import Live
from servent.cluster.model import Papers, Wish
from servent.cluster.process_service import Process
from servent.cluster.rosters import Role, Roster
from servent.cluster.rows import Kept
from tests.cluster.desks import ANN, BOB, LAB, Lab, LocalDesk


def live(id: bytes, called: str) -> Live:
    roster = Roster(id, bytes(ANN.peer), called)
    kept = Kept(
        id=id,
        owner=bytes(ANN.peer),
        called=called,
        roster=rosters.sign(ANN, roster),
        up=False,
        work=False,
        cores=0,
    )
    return Live(kept, True, roster)


def test_a_cluster_that_is_called_by_the_id_of_another_is_not_taken_for_it() -> None:
    """A link brings its own name; papers are asked for by ids."""
    room = ClustersBase.__new__(ClustersBase)
    room._all = {one.id: one for one in (live(b"e" * 16, LAB.hex()), live(LAB, "lab"))}
    assert room.find(LAB.hex()).kept.called == "lab"
    assert room.find("lab").id == LAB
    assert room.find((b"e" * 16).hex()[:8]).id == b"e" * 16


@pytest.mark.parametrize(
    ("begun", "cluster", "role", "given"),
    [
        ("worker", LAB, "worker", True),
        ("scheduler", LAB, "scheduler", True),
        ("worker", LAB, "client", False),
        ("worker", LAB, "scheduler", False),
        ("worker", b"o" * 16, "worker", False),
    ],
)
def test_a_process_gets_papers_only_as_what_it_was_begun(
    tmp_path: Path, begun: Role, cluster: bytes, role: Role, given: bool
) -> None:
    desk, said = LocalDesk(Lab()), list[orders.Order]()

    async def papers(wish: Wish) -> Papers:
        return await desk.papers(wish)

    begin = orders.Begin(
        cluster=cluster.hex(), role=begun, name="one", node=bytes(ANN.peer), folder=str(tmp_path)
    )
    process = Process(begin, Journal(tmp_path / "log"), papers, lambda word: None)
    process.say = said.append  # type: ignore[method-assign]
    wish = Wish(cluster="lab", role=role, process=bytes(BOB.peer))
    asyncio.run(process._answer(orders.Ask(1, wish)))
    (answer,) = said
    assert isinstance(answer, orders.Answer)
    assert (answer.papers is not None, bool(answer.error)) == (given, not given)
