"""The coordinator of this node's projects: hands out work, takes results, decides by `transition`, and keeps all that durably before it is said."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from servent.grid.coordinator_views import (
    Added,
    BatchLook,
    Compare,
    Final,
    History,
    HostLook,
    Outputs,
    Piece,
    Problem,
    ProjectLook,
    Receipts,
    UnitLook,
)
from servent.grid.manifests import App, Project, Signed
from servent.grid.wire import Answer, Question
from servent.identity import PeerId
from servent.net.peers import Peers
from servent.store import Store
from servent.trust.service import TrustService

if TYPE_CHECKING:
    import sqlite3


class Visit:
    """One volunteer's conversation with one project. Transport-free: the network's handler wraps it, the local volunteer calls it directly."""

    async def answer(self, question: Question) -> Answer:
        """Durable before it returns. The first question is `Join`; what breaks the rules is answered by `Sorry`.

        Raises:
            BadMessage: another question than `Join` first.
        """
        raise NotImplementedError

    def close(self) -> None:
        """The volunteer went. Its leases stay until they run out."""
        raise NotImplementedError


class Coordinator:
    """All own projects of a node.

    Make it before `store` (which is durable) is opened, `open` it then, and `run` it in a task of its own.

    Args:
        me: this node, the first that volunteers fetch from.
        peers, trust: for volunteers from outside; None in tests and in `bench.grid --no-network`: then only `visit` leads here.
        outputs: for what does not fit into a message; None refuses it.
        compare: runs comparers; None refuses apps that have one.
        receipts: the ledger.
    """

    def __init__(
        self,
        store: Store,
        me: PeerId,
        *,
        peers: Peers | None = None,
        trust: TrustService | None = None,
        outputs: Outputs | None = None,
        compare: Compare | None = None,
        receipts: Receipts | None = None,
        wall: Callable[[], float] = time.time,
        dice: random.Random | None = None,
    ) -> None:
        raise NotImplementedError

    # -- life

    async def open(self) -> None:
        """Read what was under way, and serve."""
        raise NotImplementedError

    async def run(self) -> None:
        """Commit, expire, fetch, compare, until cancelled."""
        raise NotImplementedError

    async def close(self) -> None:
        """Write what is pending; answer nobody any more."""
        raise NotImplementedError

    # -- what is to be done

    async def add_project(self, signed: Signed) -> Project:
        """A new project, or a newer manifest of one. Raises BadMessage, UsageError."""
        raise NotImplementedError

    async def pause_project(self, project: bytes, paused: bool, why: str = "") -> None:
        """Hand out nothing (what is leased may be returned), for a reason that volunteers are told."""
        raise NotImplementedError

    async def add_app(self, signed: Signed) -> bytes:
        """Its `app_id`. Raises BadMessage, NotFound (the project), UsageError."""
        raise NotImplementedError

    async def invite(
        self, project: bytes, secret: bytes, uses: int | None = None, expires: float | None = None
    ) -> None:
        """Let in whoever shows `secret` (16 to 512 bytes) in its `Join`, to a project of the invited."""
        raise NotImplementedError

    async def add_units(
        self,
        project: bytes,
        app: bytes,
        batch: int,
        pieces: Sequence[Piece],
        *,
        priority: int = 0,
        deadline: float = 86400.0,
        expires: float | None = None,
        along: Callable[[sqlite3.Connection, Sequence[Added]], None] | None = None,
    ) -> list[Added]:
        """Take down up to 10,000 units, in order; the same work again is the same unit.

        Args:
            batch: a number of the caller's own; more may be added to it later.
            deadline: seconds a volunteer has for one.
            expires: wall time at which what is not done is given up.
            along: runs in the same transaction, in the writer's thread.

        Raises:
            NotFound: project or app. UsageError: the project is closed, the app retired, an input too long.
        """
        raise NotImplementedError

    async def cancel(self, *, batch: int | None = None, units: Sequence[int] = ()) -> int:
        """How many are cancelled now. Units that another batch wants, too, stay, and become that batch's."""
        raise NotImplementedError

    async def change(
        self,
        batch: int,
        *,
        priority: int | None = None,
        deadline: float | None = None,
        paused: bool | None = None,
    ) -> BatchLook:
        """Raises NotFound."""
        raise NotImplementedError

    # -- what came of it

    def on_final(self, callback: Callable[[Sequence[Final]], None]) -> None:
        """Call it on the loop, after the commit, with what ended. Whoever may be away meanwhile asks `finals` with the last `order` it has dealt with."""
        raise NotImplementedError

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call it on the loop, after a commit that changed anything."""
        raise NotImplementedError

    def on_due(self, callback: Callable[[], None]) -> None:
        """Call it on the loop, after a commit that put rows into `grid_due`."""
        raise NotImplementedError

    async def finals(self, after: int = 0, limit: int = 1000, *, batch: int | None = None) -> list[Final]:
        """What ended after the `order` given, in order; of what was revised, only the newest."""
        raise NotImplementedError

    async def results(self, units: Sequence[int]) -> dict[int, Final]:
        """Of those that have ended."""
        raise NotImplementedError

    # -- volunteers

    def visit(self, project: bytes, identity: PeerId, *, local: bool = False) -> Visit:
        """A conversation. `local`: it is this node's own volunteer, which every audience includes. Raises NotFound."""
        raise NotImplementedError

    # -- views

    def projects(self) -> list[Project]:
        raise NotImplementedError

    def apps(self, project: bytes) -> list[tuple[bytes, App]]:
        """Every version, oldest first."""
        raise NotImplementedError

    def view(self, project: bytes) -> ProjectLook:
        """Raises NotFound."""
        raise NotImplementedError

    def batch(self, batch: int) -> BatchLook:
        """Raises NotFound."""
        raise NotImplementedError

    def history(self, project: bytes, steps: int = 60, step: float = 60.0) -> History:
        raise NotImplementedError

    def hosts(self, project: bytes) -> list[HostLook]:
        raise NotImplementedError

    def problems(self, project: bytes) -> list[Problem]:
        raise NotImplementedError

    async def units(
        self, project: bytes, *, batch: int = 0, state: str = "", after: int = 0, limit: int = 100
    ) -> list[UnitLook]:
        """By number. `state`: as `UnitLook.shown`, "" for all."""
        raise NotImplementedError
