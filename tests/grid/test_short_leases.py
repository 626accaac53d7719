"""Leases shorter than the usual minute between two renewals."""

from __future__ import annotations

from pathlib import Path

from tests.grid.lender import Office, Volunteer, virtually


def test_a_short_lease_that_comes_between_two_renewals_is_renewed_in_time_with_a_fresh_checkpoint(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        office = Office()
        async with Volunteer(tmp_path, office, cores=1) as ann:
            await ann.until(lambda: len(office.questions) > 1)  # it renews nothing now, for a minute
            office.lasts = 12.0
            (unit,) = office.add(office.slices())
            ann.bench.takes = 60.0
            await ann.until(lambda: unit in office.checkpoints, limit=45.0)
            (task,) = office.leased.values()
            begun = office.now()
            assert ann.bench.began[0].checkpoint_every <= 3.0
            await ann.until(lambda: len(office.renewed) >= 3, limit=20.0)
            assert office.now() - begun < 20.0 and task.lease in office.renewed

    virtually(story())
