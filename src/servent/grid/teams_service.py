"""The teams of this node: those whose key it keeps, and those it is a member of."""

from __future__ import annotations

from collections.abc import Callable

from servent.grid.credit_views import Team
from servent.grid.wire import Membership
from servent.identity import Identity, PeerId
from servent.store import Store


class Teams:
    """Make it before `store` (grid.db) is opened, `open` it then."""

    def __init__(self, store: Store, me: Identity, *, wall: Callable[[], float]) -> None:
        raise NotImplementedError

    async def open(self) -> None:
        raise NotImplementedError

    def on_change(self, callback: Callable[[], None]) -> None:
        raise NotImplementedError

    def all(self) -> list[Team]:
        """Own ones first, then by name."""
        raise NotImplementedError

    def find(self, team: str) -> Team:
        """By name or key. Raises NotFound, UsageError where several have that name."""
        raise NotImplementedError

    async def create(self, name: str) -> Team:
        """A new team; we are its first member. Raises UsageError where one of that name is here."""
        raise NotImplementedError

    async def invite(self, team: str, peer: PeerId) -> str:
        """A ticket for `peer`, as text. Raises NotFound, UsageError where the team's key is not here."""
        raise NotImplementedError

    async def join(self, ticket: str) -> Team:
        """Raises UsageError, BadMessage."""
        raise NotImplementedError

    async def leave(self, team: str) -> None:
        """Be no member any more; an own team stays ours. Raises NotFound."""
        raise NotImplementedError

    def membership(self, team: bytes) -> Membership | None:
        """Ours in `team`, None where there is none (any more)."""
        raise NotImplementedError
