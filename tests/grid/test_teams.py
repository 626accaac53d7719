"""Teams: both sides sign; a ticket is good for one node, for a time."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from servent.errors import BadMessage, NotFound, UsageError
from servent.grid import teams
from servent.grid.teams_service import Teams
from servent.identity import Identity
from servent.store import Store
from tests.grid.books import ANN, BOB, CARL, NOW, Clock, running


async def opened(path: Path, me: Identity, clock: Clock) -> tuple[Store, Teams]:
    store = Store(path)
    room = Teams(store, me, wall=clock)
    await store.open()
    await room.open()
    return store, room


@running
async def test_a_team_is_made_and_others_join_by_ticket(tmp_path: Path) -> None:
    clock = Clock()
    store, anns = await opened(tmp_path / "a.db", ANN, clock)
    reds = await anns.create("Reds")
    assert (reds.mine, reds.member, reds.members) == (True, True, 1)
    ticket = await anns.invite("reds", BOB.peer)
    assert anns.find("Reds").members == 2
    await store.close()
    store, anns = await opened(tmp_path / "a.db", ANN, clock)
    assert anns.membership(reds.key) is not None

    other, bobs = await opened(tmp_path / "b.db", BOB, clock)
    seen: list[None] = []
    bobs.on_change(lambda: seen.append(None))
    joined = await bobs.join(f"  {ticket}\n")
    assert (joined.name, joined.key, joined.mine, joined.member) == ("Reds", reds.key, False, True) and seen
    membership = bobs.membership(reds.key)
    assert membership is not None
    teams.check(membership, BOB.peer, clock.now)
    with pytest.raises(UsageError, match="key of 'Reds' is not here"):
        await bobs.invite("Reds", CARL.peer)
    await other.close()
    other, bobs = await opened(tmp_path / "b.db", BOB, clock)
    assert bobs.membership(reds.key) == membership
    await bobs.leave(str(joined.name))
    assert bobs.all() == [] and bobs.membership(reds.key) is None
    await anns.leave("Reds")
    assert [(team.mine, team.member) for team in anns.all()] == [(True, False)]
    await store.close()
    await other.close()


@running
async def test_a_ticket_is_for_one_node_and_ends(tmp_path: Path) -> None:
    clock = Clock()
    store, anns = await opened(tmp_path / "a.db", ANN, clock)
    await anns.create("Reds")
    ticket = await anns.invite("Reds", BOB.peer)
    other, carls = await opened(tmp_path / "c.db", CARL, clock)
    with pytest.raises(UsageError, match="another node"):
        await carls.join(ticket)
    await other.close()
    other, bobs = await opened(tmp_path / "b.db", BOB, clock)
    await bobs.join(ticket)
    clock.now += 10
    newer = await anns.invite("Reds", BOB.peer)
    await bobs.join(newer)
    with pytest.raises(UsageError, match="older"):
        await bobs.join(ticket)
    clock.now += teams.LIFETIME + 1
    assert not bobs.find("Reds").member
    with pytest.raises(UsageError, match="time of this ticket"):
        await bobs.join(newer)
    await store.close()
    store, anns = await opened(tmp_path / "a.db", ANN, clock)
    assert anns.find("Reds").member, "one's own membership is renewed"
    await store.close()
    await other.close()


@running
async def test_names_are_unique_and_found_by_key(tmp_path: Path) -> None:
    store, room = await opened(tmp_path / "a.db", ANN, Clock())
    reds = await room.create(" Reds ")
    for name in ("reds", "", "x" * 65):
        with pytest.raises(UsageError):
            await room.create(name)
    assert room.find(reds.key.hex()).name == "Reds"
    with pytest.raises(NotFound):
        room.find("blues")
    await store.close()


def test_forged_memberships_are_refused() -> None:
    ticket = teams.invite(ANN, BOB.peer, "Reds", NOW)
    good = teams.accept(ticket, BOB, NOW)
    teams.check(good, BOB.peer, NOW)
    for field, value in (
        ("name", "Blues"),
        ("serial", good.serial + 1),
        ("expires", good.expires + 1),
        ("team", bytes(CARL.peer)),
        ("by_team", b"x" * 64),
        ("by_member", b"x" * 64),
    ):
        with pytest.raises(BadMessage):
            teams.check(msgspec.structs.replace(good, **{field: value}), BOB.peer, NOW)
    with pytest.raises(BadMessage):
        teams.check(good, CARL.peer, NOW)
    with pytest.raises(BadMessage):
        teams.check(good, BOB.peer, good.expires)
    with pytest.raises(BadMessage):
        teams.accept(msgspec.structs.replace(ticket, name="Blues"), BOB, NOW)


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader_of_tickets(text: str) -> None:
    for one in (text, teams.TICKET_PREFIX + text):
        with pytest.raises(UsageError):
            teams.read_ticket(one)


def test_a_ticket_survives_its_text() -> None:
    ticket = teams.invite(ANN, BOB.peer, "Łódź" * 10, NOW)
    assert teams.read_ticket(teams.ticket_text(ticket)) == ticket
    assert len(teams.ticket_text(ticket)) < 600
