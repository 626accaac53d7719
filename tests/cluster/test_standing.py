"""What strangers at the door of a process cost its node."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from servent.cluster import passes, standing
from servent.cluster.model import Wish
from servent.cluster.office import versions_here
from servent.cluster.rosters import Member
from servent.errors import Refused
from servent.testing.loop import run
from tests.cluster.desks import ANN, BOB, EVE, LAB, Lab, LocalDesk

NOW = 1_800_000_000.0


def test_strangers_make_a_process_look_once_a_second_and_a_new_member_comes_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each look is a signature of the node and its whole list."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        clock = SimpleNamespace(monotonic=lambda: 100.0 + loop.time(), time=lambda: NOW + loop.time())
        monkeypatch.setattr(standing, "time", clock)
        monkeypatch.setattr("tests.cluster.desks.time", clock)
        lab = Lab()
        desk = LocalDesk(lab, ANN)
        wish = Wish(cluster="lab", role="scheduler", process=bytes(ANN.peer))
        here = standing.Standing(desk, wish, versions_here(), await desk.papers(wish))
        before, begin = desk.asked, loop.time()
        for _ in range(20):
            await asyncio.sleep(0.001)
            with pytest.raises(Refused, match="no member"):
                await here.admit(passes.issue(EVE, LAB, EVE.peer, "client", NOW), EVE.peer)
        assert desk.asked - before == 20 and loop.time() - begin >= 19 * standing.LOOK_APART
        await asyncio.sleep(0.001)
        lab.change(Member(bytes(BOB.peer), submit=True))
        shown = await here.admit(passes.issue(BOB, LAB, BOB.peer, "client", NOW), BOB.peer)
        assert shown.node == bytes(BOB.peer)

    run(story())
