"""The ledgers of this node, its own projects' and those of projects it lends to: one face for both."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from servent.errors import NotFound
from servent.grid import boinc_xml, ledger_rows, ledger_scores
from servent.grid.boinc_xml import Machine
from servent.grid.credit_views import Audited, Balance, Board, Leaderboard, LedgerLook, Span, Totals
from servent.grid.ledger_known_service import KnownLedgers
from servent.grid.ledger_own_service import OwnLedgers, Shelf
from servent.grid.ledger_rows import Known, Made
from servent.grid.manifests import App, Project, Signed, open_app, open_project
from servent.grid.wire import Membership, Receipt
from servent.identity import Identity
from servent.store import Store

__all__ = ["Ledger", "Shelf"]


class Ledger:
    """All ledgers that this node writes or follows. Make it before `store` is opened, `open` it then, `run` it in a task of its own.

    It is the coordinator's `Receipts`.

    Args:
        store: grid.db, with the coordinator's tables.
        folder: own ledgers are kept there, a folder for each project; made when missing.
        shelf: publishes and fetches; None for nodes that do neither.
        me: whose credit is counted as ours, and who countersigns.
    """

    def __init__(
        self, store: Store, folder: Path, shelf: Shelf | None, me: Identity, *, wall: Callable[[], float]
    ) -> None:
        store.migrate(ledger_rows.ROOM, ledger_rows.STEPS)
        self._store, self._wall = store, wall
        self._state: dict[bytes, Known] = {}
        self._callbacks: list[Callable[[bytes], None]] = []
        self._known = KnownLedgers(store, shelf, self._state, me, wall=wall)
        self._own = OwnLedgers(
            store,
            folder,
            shelf,
            self._state,
            wall=wall,
            changed=self._changed,
            earned=self._known.earned,
            recount=self._known.recount,
        )

    # -- life

    async def open(self) -> None:
        self._state.update(await self._store.read(ledger_rows.read_known))
        await self._own.open()
        await self._known.open()

    async def run(self) -> None:
        """Make entries of what is due, and publish, until cancelled."""
        await self._own.run()

    async def close(self) -> None:
        """Nothing is lost: what is due stays due."""
        await self._own.close()

    def on_change(self, callback: Callable[[bytes], None]) -> None:
        """Call it on the loop with the key of a project whose ledger, or our credit with it, changed."""
        self._callbacks.append(callback)

    # -- own projects

    async def add_project(self, signed: Signed, key: Identity, apps: Sequence[Signed] = ()) -> None:
        """Keep its ledger; again: a newer manifest, more apps. Raises BadMessage: not signed by `key`."""
        await self._own.add_project(signed, key, apps)
        await self._known.recount()

    def forget_project(self, project: bytes) -> None:
        """Write no more entries into it; what is written stays published."""
        self._own.forget(project)

    def due(self) -> None:
        """Rows have come into `grid_due`: for `Coordinator.on_due`."""
        self._own.due()

    async def settle(self, project: bytes) -> int:
        """Make entries of all that is due, now. How many. Raises NotFound."""
        return await self._own.settle(project)

    async def publish(self, project: bytes) -> bytes:
        """Settle, write the segments, and serve them. The infohash. Raises NotFound, DiskTrouble."""
        infohash = await self._own.publish(project)
        self._tell(project)
        return infohash

    def newest(self, project: bytes) -> bytes | None:
        """Infohash of the newest published (own) or fetched (joined) ledger."""
        known = self._state.get(project)
        return known.infohash or None if known is not None else None

    def joined(self, project: bytes, identity: bytes, name: str, team: Membership | None) -> None:
        """What a volunteer of an own project said of itself; `team` was checked."""
        self._own.joined(project, identity, name, team)

    def credited(self, project: bytes, identity: bytes) -> int:
        """MFLOP that the ledger of an own project has for it."""
        return self._own.credited(project, identity)

    def limit(self, project: bytes) -> int | None:
        """MFLOP that an own project may pay in all, None for no end: its budget, and no more than its owner has where the balance of a network pays."""
        return self._known.limit(project) if project in self._state else None

    def waiting(self, project: bytes, identity: bytes, most: int) -> list[Receipt]:
        """Entries of an own project that wait for this worker's agreement; the same one again after a minute, then two, then four."""
        return self._own.desk.waiting(project, identity, most, self._wall())

    async def countersigned(
        self, project: bytes, identity: bytes, signatures: Sequence[tuple[int, bytes]]
    ) -> list[bool]:
        """Which of them are right and were waited for; durable when it returns."""
        return await self._own.countersigned(project, identity, signatures)

    async def look(self, project: bytes) -> LedgerLook:
        """Raises NotFound."""
        known = self._state.get(project)
        if known is None:
            raise NotFound("no ledger of this project is known here yet")
        waiting = known.entries - known.countersigned
        if known.mine:
            waiting = await self._store.read(lambda c: ledger_rows.count_open(c, project))
        return LedgerLook(
            project,
            known.entries,
            known.countersigned,
            waiting,
            known.infohash,
            known.last,
            known.sound,
            known.why,
        )

    # -- projects joined

    async def keep(self, manifest: Signed, receipt: Receipt, agreement: bytes) -> None:
        """A receipt that we have countersigned (after a look at our own log): ours, whatever becomes of the project. Once more does no harm.

        Args:
            manifest: of the project. agreement: our signature, `ledger.agree`.

        Raises:
            BadMessage: not signed by both, or not ours.
        """
        await self._known.keep(manifest, receipt, agreement)
        self._tell(open_project(manifest).key)

    async def follow(self, signed: Signed, infohash: bytes, contacts: Sequence[bytes] = ()) -> Audited:
        """Fetch a project's ledger, check it, also against what we knew of it before, and keep what it adds up to, where it holds.

        Raises:
            ServentError: it could not be had.
        """
        audited = await self._known.follow(signed, infohash, contacts)
        self._tell(open_project(signed).key)
        return audited

    def solvent(self, project: bytes) -> str:
        """Why one should not compute for a project: its ledger does not hold, or its owner cannot pay; "" where nothing speaks against it."""
        return self._known.solvent(project)

    def mine(self, project: bytes | None = None) -> Totals:
        """Our credit with a project, or with all, from receipts that we agreed to."""
        return self._known.mine(project)

    # -- for faces

    async def audit(
        self, where: bytes | Path, contacts: Sequence[bytes] = (), project: bytes | None = None
    ) -> Audited:
        """Check a ledger: by its infohash, the newest known of a project by its key, or a folder or file.

        Args:
            contacts: who may have it. project: whose it is meant to be, None for anybody's.

        Raises:
            NotFound: there is none. ServentError: it could not be had.
        """
        if isinstance(where, bytes) and (known := self._state.get(where)) is not None and known.mine:
            place = await self._own.write_files(where)
            return await self._known.check(place, where)
        return await self._known.audit(where, contacts, project)

    async def leaderboard(
        self, project: bytes, board: Board = "people", span: Span = "all", offset: int = 0, limit: int = 50
    ) -> Leaderboard:
        """ "day" and "week" are the last 24 and 168 hours, the one under way included. Raises NotFound where no ledger of it is known."""
        return await self._known.leaderboard(project, board, span, offset, limit)

    async def export(
        self, project: bytes, to: Path, machines: Mapping[bytes, Machine] | None = None
    ) -> list[Path]:
        """BOINC's statistics files, of own or joined projects.

        Args:
            to: a folder, made when missing; files of those names in it are replaced.
            machines: what is known of workers' machines, by key.

        Raises:
            NotFound, DiskTrouble.
        """
        known = self._state.get(project)
        if known is None or known.manifest is None:
            raise NotFound("no ledger of this project is known here yet")
        people, teams = await self._store.read(
            lambda c: (
                ledger_scores.read_scores(c, project, "people"),
                ledger_scores.read_scores(c, project, "teams"),
            )
        )
        manifest: Project = open_project(known.manifest, project)
        apps: list[App] = [open_app(signed, project) for signed in known.apps]
        files = boinc_xml.export(manifest, apps, people, teams, machines or {}, self._wall())
        return await asyncio.to_thread(boinc_xml.write, to, files)

    async def balances(self, network: bytes) -> list[Balance]:
        """Of everybody in a network, by balance, largest first."""
        return await self._known.balances(network)

    def _changed(self, project: bytes, made: Sequence[Made]) -> None:
        self._tell(project)

    def _tell(self, project: bytes) -> None:
        for callback in self._callbacks:
            callback(project)
