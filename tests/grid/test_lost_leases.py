"""Leases that only the coordinator knows of: its word on them was lost on the way, or the volunteer's disk."""

from __future__ import annotations

from pathlib import Path

from servent.grid import wire
from tests.grid.coordinating import app, hall, pieces, right, story
from tests.grid.lender import Office, Volunteer, virtually


@story
async def test_what_a_volunteer_knows_nothing_of_when_it_comes_back_goes_to_another(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db", app_=app(quorum=1)) as here:
        await here.add(pieces(3), deadline=1e6)
        ann = await here.volunteer(1)
        lost, kept, third = await ann.lease(3)
        bob = await here.volunteer(2)
        assert await bob.lease(3) == []
        assert await here.volunteer(1) and await bob.lease(3) == []  # who says nothing keeps all
        again = await here.volunteer(1, held=[kept.lease, third.lease, 12345])
        (found,) = await bob.lease(3)
        assert found.unit == lost.unit and found.lease != lost.lease
        assert await again.give(right(kept), right(third)) == ["taken", "taken"]
        assert await bob.give(right(found)) == ["taken"]
        hosts = {host.identity: host for host in here.coordinator.hosts(here.key)}
        assert hosts[bytes(ann.identity)].expired == 0 and hosts[bytes(ann.identity)].errors == 0


@story
async def test_nobody_gives_back_what_others_lease(tmp_path: Path) -> None:
    async with hall(tmp_path / "grid.db", app_=app(quorum=1)) as here:
        await here.add(pieces(1), deadline=1e6)
        ann, bob = await here.volunteer(1), await here.volunteer(2, held=[])
        (task,) = await ann.lease()
        await here.volunteer(2, held=[task.lease])
        await here.volunteer(2, held=[])
        assert await bob.lease() == []
        assert await ann.give(right(task)) == ["taken"]


def test_a_volunteer_says_what_it_holds_when_it_comes_and_when_it_comes_back(tmp_path: Path) -> None:
    async def story() -> None:
        office = Office()
        office.add(office.slices(), 2)
        async with Volunteer(tmp_path, office, store=tmp_path / "grid.db") as ann:
            await ann.until(lambda: len(office.leased) == 2)
            await ann.kill()
        assert [join.held for join in office.asked(wire.Join)] == [[]]
        async with Volunteer(tmp_path, office, store=tmp_path / "grid.db") as ann:
            await ann.until(lambda: len(office.returned) == 2)
        assert sorted(office.asked(wire.Join)[1].held or []) == [1, 2]

    virtually(story())
