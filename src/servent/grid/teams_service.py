"""The teams of this node: those whose key it keeps, and those it is a member of."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from servent.codec import canonical
from servent.errors import NotFound, ServentError, UsageError
from servent.grid import teams
from servent.grid.credit_views import Team
from servent.grid.wire import Membership
from servent.identity import KEY_BYTES, Identity, PeerId
from servent.store import Store

if TYPE_CHECKING:
    import sqlite3

ROOM = "grid teams"
STEPS = ("CREATE TABLE grid_teams (team BLOB PRIMARY KEY, body BLOB NOT NULL)",)
INVITED = 10_000  # members of one team that are remembered


class _Row(Struct):
    """A team. `seed`: of its key, where it is here. `membership`: ours. `invited`: keys that we let in."""

    name: str
    seed: bytes = b""
    membership: Membership | None = None
    invited: list[bytes] = []


class Teams:
    """Make it before `store` (grid.db) is opened, `open` it then."""

    def __init__(self, store: Store, me: Identity, *, wall: Callable[[], float]) -> None:
        store.migrate(ROOM, STEPS)
        self._store, self._me, self._wall = store, me, wall
        self._rows: dict[bytes, _Row] = {}
        self._callbacks: list[Callable[[], None]] = []

    async def open(self) -> None:
        """Read what is kept. Our own memberships of own teams are renewed when half of their time is over."""

        def read(connection: sqlite3.Connection) -> list[tuple[bytes, bytes]]:
            return list(connection.execute("SELECT team, body FROM grid_teams"))

        for team, body in await self._store.read(read):
            self._rows[team] = msgspec.msgpack.decode(body, type=_Row)
        for team, row in list(self._rows.items()):
            ours = row.membership
            if row.seed and ours is not None and ours.expires < self._wall() + teams.LIFETIME / 2:
                await self._keep(team, msgspec.structs.replace(row, membership=self._let_in(row)))

    def on_change(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def all(self) -> list[Team]:
        """Own ones first, then by name."""
        found = [self._view(team) for team in self._rows]
        return sorted(found, key=lambda team: (not team.mine, team.name.casefold(), team.key))

    def find(self, team: str) -> Team:
        """By name or key. Raises NotFound, UsageError where several have that name."""
        text = team.strip()
        found = [one for one in self.all() if one.name.casefold() == text.casefold()]
        if not found:
            key = _key(text)
            found = [one for one in self.all() if one.key == key]
        if not found:
            raise NotFound(
                f"no team {text[:64]!r} here", advice="`servent grid team list` shows those that are."
            )
        if len(found) > 1:
            raise UsageError(f"several teams are called {text!r}", advice="Say it by its key.")
        return found[0]

    async def create(self, name: str) -> Team:
        """A new team; we are its first member. Raises UsageError where one of that name is here."""
        name = name.strip()
        if not 1 <= len(name) <= 64:
            raise UsageError("a team's name has 1 to 64 characters")
        if any(row.name.casefold() == name.casefold() for row in self._rows.values()):
            raise UsageError(f"there is a team {name!r} here already")
        key = Identity(os.urandom(KEY_BYTES))
        row = _Row(name, key.seed, invited=[bytes(self._me.peer)])
        row.membership = self._let_in(row)
        await self._keep(bytes(key.peer), row)
        return self._view(bytes(key.peer))

    async def invite(self, team: str, peer: PeerId) -> str:
        """A ticket for `peer`, as text: good for that node alone; again, it renews. Raises NotFound, UsageError where the team's key is not here."""
        found = self.find(team)
        row = self._rows[found.key]
        if not row.seed:
            raise UsageError(
                f"the key of {row.name!r} is not here",
                advice="Only the node that made a team lets others in.",
            )
        ticket = teams.invite(Identity(row.seed), peer, row.name, self._wall())
        if peer not in row.invited:
            invited = [*row.invited, bytes(peer)][-INVITED:]
            await self._keep(found.key, msgspec.structs.replace(row, invited=invited))
        return teams.ticket_text(ticket)

    async def join(self, ticket: str) -> Team:
        """Become a member, or renew. Raises UsageError, BadMessage."""
        read = teams.read_ticket(ticket)
        membership = teams.accept(read, self._me, self._wall())
        row = self._rows.get(read.team)
        if row is not None and row.membership is not None and row.membership.serial > read.serial:
            raise UsageError("this ticket is older than the membership that is here")
        fresh = msgspec.structs.replace(row or _Row(read.name), name=read.name, membership=membership)
        await self._keep(read.team, fresh)
        return self._view(read.team)

    async def leave(self, team: str) -> None:
        """Be no member any more; an own team stays ours. Raises NotFound."""
        found = self.find(team)
        row = self._rows[found.key]
        await self._keep(found.key, msgspec.structs.replace(row, membership=None) if row.seed else None)

    def membership(self, team: bytes) -> Membership | None:
        """Ours in `team`, None where there is none (any more)."""
        row = self._rows.get(team)
        ours = row.membership if row is not None else None
        return ours if ours is not None and ours.expires > self._wall() else None

    def _let_in(self, row: _Row) -> Membership:
        now = self._wall()
        return teams.accept(teams.invite(Identity(row.seed), self._me.peer, row.name, now), self._me, now)

    async def _keep(self, team: bytes, row: _Row | None) -> None:
        def write(connection: sqlite3.Connection) -> None:
            if row is None:
                connection.execute("DELETE FROM grid_teams WHERE team = ?", (team,))
            else:
                connection.execute("REPLACE INTO grid_teams VALUES (?, ?)", (team, canonical(row)))

        await self._store.write(write)
        if row is None:
            self._rows.pop(team, None)
        else:
            self._rows[team] = row
        for callback in self._callbacks:
            callback()

    def _view(self, team: bytes) -> Team:
        row = self._rows[team]
        ours = self.membership(team)
        members = len(row.invited) if row.seed else int(ours is not None)
        return Team(team, row.name, bool(row.seed), ours is not None, members, ours.expires if ours else None)


def _key(text: str) -> bytes:
    try:
        return bytes(PeerId.parse(text))
    except ServentError:
        return b""
