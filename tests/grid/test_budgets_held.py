"""The coordinator hands out no more than can be paid, and begins no unit that it could not end."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from servent.grid.credit import from_cobblestones
from tests.grid.books import NETWORK
from tests.grid.coordinating import KEY, ME, Hall, Volunteer, app, done, hall, pieces, project, story
from tests.net.party import until

OPERATIONS = 1000


class Ledger:
    """As far as the coordinator asks it. `most`: what the project may pay in all."""

    def __init__(self, most: int | None) -> None:
        self.most = most

    def joined(self, *_: object) -> None: ...

    def credited(self, *_: object) -> int:
        return 0

    def limit(self, project: bytes) -> int | None:
        return self.most

    def waiting(self, *_: object) -> list[object]:
        return []

    def newest(self, project: bytes) -> None:
        return None

    async def countersigned(self, *_: object) -> list[bool]:
        return []


async def until_nothing_is_left(found: Hall, people: list[Volunteer], lie: int = 0) -> None:
    """Everybody leases and returns as long as there is something."""
    idle = 0
    while idle < 3 * len(people):
        for number, one in enumerate(people):
            tasks = await one.lease(3)
            idle = 0 if tasks else idle + 1
            if not tasks:
                await asyncio.sleep(0.005)
            else:
                await one.give(
                    *(
                        done(task.lease, b"lie" if number < lie else b"result of " + task.stdin)
                        for task in tasks
                    )
                )


async def paid(found: Hall) -> int:
    rows = await found.rows("SELECT mflop, price FROM grid_due")
    return sum(mflop * price // 100 for mflop, price in rows)


@story
async def test_a_budget_is_used_up_and_never_overdrawn() -> None:
    receipts = Ledger(15 * OPERATIONS)
    async with hall(receipts=receipts, app_=app(operations=OPERATIONS)) as found:
        await found.add(pieces(12))
        people = [await found.volunteer(n) for n in range(4)]
        await until_nothing_is_left(found, people)
        assert len(found.finals) == 7, "each unit that was begun was ended"
        assert await paid(found) == 14 * OPERATIONS
        assert "budget" in (await people[0].ask_lease()).why
        receipts.most = 1000 * OPERATIONS
        while len(found.finals) < 12:  # it looks each second
            await until_nothing_is_left(found, people)
        assert await paid(found) == 24 * OPERATIONS


@story
async def test_a_budget_that_is_set_later_counts_what_is_out() -> None:
    receipts = Ledger(None)
    async with hall(receipts=receipts, app_=app(operations=OPERATIONS)) as found:
        await found.add(pieces(12))
        people = [await found.volunteer(n) for n in range(2)]
        out = await people[0].lease(3)
        receipts.most = 7 * OPERATIONS
        await until(lambda: found.coordinator.bound(found.key) == 6 * OPERATIONS)
        assert len(await people[1].lease(64)) == 3
        await people[0].give_right(out)
        assert await people[0].lease(64) == []


@story
async def test_a_restart_knows_what_is_promised(tmp_path: Path) -> None:
    receipts = Ledger(6 * OPERATIONS)
    more = {"receipts": receipts, "app_": app(operations=OPERATIONS)}
    async with hall(tmp_path / "grid.db", **more) as found:
        await found.add(pieces(12))
        people = [await found.volunteer(n) for n in range(2)]
        first = await people[0].lease(2)
        assert len(first) == 2
        clock = found.clock
    async with hall(tmp_path / "grid.db", clock=clock, **more) as found:
        people = [await found.volunteer(n) for n in range(2)]
        assert len(await people[1].lease(64)) == 3, "one unit more, and second copies of two"
        await people[0].give_right(first)
        assert await people[0].lease(64) != []
        assert await people[0].lease(64) == []


@story
async def test_copies_that_come_to_nothing_cost_nothing() -> None:
    receipts = Ledger(8 * OPERATIONS)
    async with hall(receipts=receipts, app_=app(operations=OPERATIONS)) as found:
        await found.add(pieces(4))
        people = [await found.volunteer(n) for n in range(6)]
        await until_nothing_is_left(found, people, lie=1)
        assert await paid(found) <= 8 * OPERATIONS
        assert len(found.finals) >= 3


@story
async def test_a_bid_is_paid_only_out_of_a_balance() -> None:
    from servent.grid.manifests import consent
    from servent.identity import Identity

    for mutual in (False, True):
        owner = Identity(b"o" * 32)
        budget = from_cobblestones(1e6)
        said = {
            "owner": bytes(owner.peer), "audience": "network", "network": NETWORK, "budget": budget,
            "consent": consent(owner, KEY.peer, NETWORK, budget),
        } if mutual else {"budget": budget}  # fmt: skip
        signed = project(**said)
        async with hall(receipts=Ledger(budget), app_=app(operations=OPERATIONS), signed=signed) as found:
            await found.add(pieces(3), priority=150)
            people = [
                Volunteer(found.coordinator.visit(found.key, who_, local=True), who_)
                for who_ in (ME.peer, Identity(b"w" * 32).peer)
            ]
            for one in people:
                await one.join()
            tasks = await people[0].lease(1)
            assert tasks[0].price == (250 if mutual else 100)
            await people[0].give_right(tasks)
            await until_nothing_is_left(found, people)
            assert await paid(found) == 6 * OPERATIONS * (250 if mutual else 100) // 100


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 30), st.integers(1, 12), st.integers(2, 6), st.integers(0, 2), st.integers(1, 3))
def test_whatever_happens_no_more_is_paid_than_there_is(
    budget: int, units: int, people: int, lie: int, quorum: int
) -> None:
    @story
    async def run() -> None:
        more = {"receipts": Ledger(budget * OPERATIONS), "app_": app(operations=OPERATIONS, quorum=quorum)}
        async with hall(**more) as found:
            await found.add(pieces(units))
            there = [await found.volunteer(n) for n in range(people)]
            await until_nothing_is_left(found, there, lie=lie)
            assert await paid(found) <= budget * OPERATIONS
            if not lie and people >= quorum:
                assert len(found.finals) == min(units, budget // quorum)

    run()
