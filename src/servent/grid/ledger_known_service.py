"""What this node knows of ledgers: those of projects it joined, its own receipts, and what they add up to."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from servent.codec import canonical
from servent.errors import BadMessage, NotFound, WorldError
from servent.grid import balance, ledger, ledger_files, ledger_rows, ledger_scores, standing
from servent.grid.audit import Known as Before
from servent.grid.credit import decayed
from servent.grid.credit_views import Audited, Balance, Board, Leaderboard, Span, Standing, Totals
from servent.grid.ledger import Earned
from servent.grid.ledger_own_service import Shelf
from servent.grid.ledger_rows import Kept, Known
from servent.grid.manifests import Project, Signed, open_project
from servent.grid.standing import Score
from servent.grid.wire import Receipt
from servent.identity import Identity
from servent.store import Store

if TYPE_CHECKING:
    import sqlite3

FOLLOWED_BYTES = 1 << 30  # of the ledger of a project one lends to: about thirty million results
FETCH_WITHIN = 300.0  # s
SHOWN = 20  # lines of a leaderboard that an audit shows
DAY = 86400.0


class KnownLedgers:
    """Owns receipts of ours and what is known of others' ledgers; reads those of own projects."""

    def __init__(
        self,
        store: Store,
        shelf: Shelf | None,
        known: dict[bytes, Known],
        me: Identity,
        *,
        wall: Callable[[], float],
    ) -> None:
        self._store, self._shelf, self._known, self._me, self._wall = store, shelf, known, me, wall
        self._projects: dict[bytes, tuple[Signed, Project]] = {}
        self._mine: dict[bytes, Score] = {}
        self._days: dict[bytes, tuple[int, int]] = {}
        self._left: dict[bytes, int] = {}
        self._paid: dict[bytes, int] = {}
        self._following = asyncio.Lock()
        self._fetching: dict[bytes, asyncio.Timeout] = {}

    async def open(self) -> None:
        for kept in await self._store.read(ledger_rows.read_kept):
            self._count(kept)
        await self.recount()

    # -- receipts of ours

    async def keep(self, manifest: Signed, receipt: Receipt, agreement: bytes) -> None:
        """See `Ledger.keep`."""
        project = open_project(manifest)
        entry = ledger.open_receipt(receipt, project.key)
        if entry.worker != self._me.peer:
            raise BadMessage("a receipt of somebody else")
        if not ledger.agrees(entry.worker, ledger.entry_hash(receipt.body), agreement):
            raise BadMessage("a receipt that we have not countersigned")
        known = self._known.get(project.key)
        fresh = None
        if known is None or (not known.mine and _newer(project, known)):
            fresh = msgspec.structs.replace(known or Known(mine=False), manifest=manifest)
            self._known[project.key] = fresh

        def job(connection: sqlite3.Connection) -> Kept | None:
            if fresh is not None:
                ledger_rows.write_known(connection, project.key, fresh)
            return ledger_rows.keep_receipt(connection, entry, receipt, agreement)

        kept = await self._store.write(job)
        if kept is not None:
            self._count(kept)
            if kept.network is not None:
                await self.recount()

    def _count(self, kept: Kept) -> None:
        score = self._mine.setdefault(kept.project, Score("people", bytes(self._me.peer), 1))
        sign = 1 if kept.kind == "credit" else -1
        score.add(kept.at, sign * kept.credit, sign * kept.results, sign * kept.paid)
        day, today = self._days.get(kept.project, (0, 0))
        this = int(kept.at // DAY)
        if this >= day:
            self._days[kept.project] = (this, (today if this == day else 0) + sign * kept.credit)

    def mine(self, project: bytes | None = None) -> Totals:
        """See `Ledger.mine`."""
        now = self._wall()
        credit = today = results = 0
        recent = 0.0
        for key in [project] if project is not None else list(self._mine):
            score = self._mine.get(key)
            if score is None:
                continue
            credit += score.credit
            results += score.results
            recent += decayed(score.recent, now - score.recent_at)
            day, sum_ = self._days.get(key, (0, 0))
            today += sum_ if day == int(now // DAY) else 0
        return Totals(credit, today, recent, results)

    async def earned(self, project: bytes) -> list[Earned]:
        """What the owner of an own project shows: as many receipts as cover what it paid to others, the largest first."""
        _, manifest = self._manifest(project)
        if not manifest.mutual or manifest.network is None or manifest.owner != self._me.peer:
            return []
        network = manifest.network
        paid = await self._store.read(lambda c: ledger_scores.read_paid(c, project))
        needed = sum(amount for worker, amount in paid if worker != manifest.owner)
        found = await self._store.read(lambda c: ledger_rows.read_earned(c, network, ledger.EARNED))
        shown: list[Earned] = []
        room = ledger.EARNED_BYTES - 1024
        for key, receipt, agreement in found:
            signed, other = self._manifest(key)
            if other.owner == manifest.owner or not other.mutual or other.network != network:
                continue
            one = Earned(signed, receipt, agreement)
            entry = ledger.read_entry(receipt.body)
            room -= len(canonical(one))
            if room < 0 or (needed <= 0 and entry.kind == "credit"):
                break
            needed -= entry.paid if entry.kind == "credit" else -entry.paid
            shown.append(one)
        return shown

    # -- ledgers of others

    async def follow(self, signed: Signed, infohash: bytes, contacts: Sequence[bytes]) -> Audited:
        """See `Ledger.follow`."""
        project = open_project(signed)
        known = self._known.get(project.key)
        if known is not None and known.mine:
            raise NotFound("that is the ledger of an own project")
        folder = await self._newest(infohash, contacts, project.key)
        async with self._following:
            known = self._known.get(project.key)
            before = Before(known.entries, known.newest) if known is not None and known.entries else None
            found = await asyncio.to_thread(
                partial(ledger_files.audit, folder, self._wall(), project=project.key, known=before)
            )
            audited, head = found.audited, found.head
            fresh = msgspec.structs.replace(known or Known(mine=False), manifest=signed)
            if known is not None and head is not None and head.serial < known.serial:
                return audited  # an older one than we have: nothing to learn
            fresh.sound = audited.whole and head is not None
            fresh.paying, fresh.proven = audited.ok and head is not None, audited.proven
            fresh.why = next((check.words for check in audited.checks if not check.ok), "")
            if fresh.sound and head is not None:
                fresh.entries, fresh.newest, fresh.last = audited.entries, audited.head, audited.last
                fresh.serial, fresh.infohash = head.serial, infohash
                fresh.countersigned, fresh.published = audited.countersigned, audited.entries
                if _newer(open_project(head.project), fresh):
                    fresh.manifest = head.project

            def job(connection: sqlite3.Connection) -> None:
                ledger_rows.write_known(connection, project.key, fresh)
                if fresh.sound:
                    hour = standing.first_hour(self._wall())
                    ledger_scores.replace_scores(connection, project.key, found.tally.scores(), hour)

            await self._store.write(job)
            self._known[project.key] = fresh
        await self.recount()
        return audited

    def solvent(self, project: bytes) -> str:
        """See `Ledger.solvent`."""
        known = self._known.get(project)
        if known is None or known.manifest is None:
            return ""
        if not known.sound or not known.paying:
            return f"its ledger is not right: {known.why}"
        _, manifest = self._manifest(project)
        if manifest.mutual and not known.mine and self._left.get(project, 1) <= 0:
            return "its owner has spent more than it earned"
        return ""

    async def audit(self, where: bytes | Path, contacts: Sequence[bytes], project: bytes | None) -> Audited:
        """See `Ledger.audit`."""
        before = None
        if isinstance(where, bytes):
            known = self._known.get(where)
            if known is not None:
                project = where
                if not known.infohash:
                    raise NotFound("no ledger of this project is known here yet")
                where = known.infohash
                if known.entries and not known.mine:
                    before = Before(known.entries, known.newest)
            place = await self._fetch(where, contacts, project or b"")
        else:
            place = where
        return await self.check(place, project, before)

    async def check(self, place: Path, project: bytes | None = None, before: Before | None = None) -> Audited:
        """A folder or file, with the first lines of the leaderboard that it makes."""
        now = self._wall()
        found = await asyncio.to_thread(
            partial(ledger_files.audit, place, now, project=project, known=before, clock=time.perf_counter)
        )
        best = sorted(found.tally.people.values(), key=lambda score: -score.credit)[:SHOWN]
        names = {key: score.name for key, score in found.tally.teams.items()}
        lines = tuple(
            _line(rank, score, score.credit, score.results, names.get(score.team, ""), now)
            for rank, score in enumerate(best, 1)
        )
        return msgspec.structs.replace(found.audited, standings=lines)

    async def _newest(self, infohash: bytes, contacts: Sequence[bytes], project: bytes) -> Path:
        """One that was replaced meanwhile may never come: it is given up for a newer one."""
        older = self._fetching.pop(project, None)
        if older is not None:
            older.reschedule(0.0)
        try:
            async with asyncio.timeout(FETCH_WITHIN) as patience:
                self._fetching[project] = patience
                return await self._fetch(infohash, contacts, project)
        except TimeoutError:
            raise WorldError("nobody gave this ledger in time, or there is a newer one") from None
        finally:
            if self._fetching.get(project) is patience:
                del self._fetching[project]

    async def _fetch(self, infohash: bytes, contacts: Sequence[bytes], project: bytes) -> Path:
        if self._shelf is None:
            raise NotFound("this node fetches nothing")
        return await self._shelf.fetch_folder(infohash, contacts, project=project, most_bytes=FOLLOWED_BYTES)

    # -- sums

    async def leaderboard(
        self, project: bytes, board: Board, span: Span, offset: int, limit: int
    ) -> Leaderboard:
        """See `Ledger.leaderboard`."""
        known = self._known.get(project)
        if known is None:
            raise NotFound("no ledger of this project is known here yet")
        now = self._wall()
        hour = None if span == "all" else standing.since_hour(span, now)
        rows, count = await self._store.read(
            lambda c: ledger_scores.read_board(c, project, board, hour, offset, limit)
        )
        lines = tuple(
            _line(offset + index, score, credit, results, team, now)
            for index, (score, credit, results, team) in enumerate(rows, 1)
        )
        name = self._manifest(project)[1].name if known.manifest is not None else ""
        return Leaderboard(project, name, board, span, lines, count, known.last)

    async def balances(self, network: bytes) -> list[Balance]:
        """See `Ledger.balances`."""
        return balance.balances(await self._payments(network))

    async def recount(self) -> None:
        """What owners may still spend, after something was paid or earned."""
        networks = {m.network for _, m in self._mutual()}
        for network in networks:
            if network is None:
                continue
            payments = await self._payments(network)
            people = {one.peer: one for one in balance.balances(payments)}
            paid: dict[bytes, int] = defaultdict(int)
            for one in payments:
                paid[one.project] += one.charged
            for key, manifest in self._mutual():
                if manifest.network == network:
                    owner = people.get(manifest.owner) or Balance(manifest.owner, line=balance.CREDIT_LINE)
                    earned = max(owner.earned, self._shown(manifest))
                    self._left[key] = msgspec.structs.replace(owner, earned=earned).left
                    self._paid[key] = paid[key]

    def _shown(self, project: Project) -> int:
        """The most that an owner has shown with one of its ledgers: it may have earned where we see nothing."""
        return max(
            self._known[key].proven
            for key, other in self._mutual()
            if (other.owner, other.network) == (project.owner, project.network)
        )

    async def _payments(self, network: bytes) -> list[balance.Paid]:
        payments: list[balance.Paid] = []
        me = bytes(self._me.peer)
        for key, manifest in self._mutual():
            known = self._known[key]
            if manifest.network != network:
                continue
            charged = dict(await self._store.read(partial(ledger_scores.read_paid, project=key)))
            funds = None if known.mine else balance.CREDIT_LINE + known.proven
            mine = self._mine.get(key)
            if mine is not None and not known.mine and mine.recent_at > known.last:
                charged[me] = mine.paid  # our receipts are newer than the ledger that we know
            payments += balance.payments(manifest, charged, funds)
        return payments

    def limit(self, project: bytes) -> int | None:
        """See `Ledger.limit`."""
        _, manifest = self._manifest(project)
        same = [
            key
            for key, other in self._mutual()
            if self._known[key].mine
            and not other.closed
            and (other.owner, other.network) == (manifest.owner, manifest.network)
        ]
        left = self._left.get(project, balance.CREDIT_LINE)
        paid = self._paid.get(project, 0) + self._known[project].free
        return balance.limit(manifest, paid, left, len(same))

    def _mutual(self) -> Iterable[tuple[bytes, Project]]:
        for key, known in list(self._known.items()):
            if known.manifest is not None:
                manifest = self._manifest(key)[1]
                if manifest.mutual:
                    yield key, manifest

    def _manifest(self, project: bytes) -> tuple[Signed, Project]:
        """The newest that is known. Its signature is checked once."""
        known = self._known.get(project)
        if known is None or known.manifest is None:
            raise NotFound("no project of that key is known here")
        had = self._projects.get(project)
        if had is None or had[0] != known.manifest:
            had = self._projects[project] = (known.manifest, open_project(known.manifest, project))
        return had


def _newer(project: Project, known: Known) -> bool:
    return known.manifest is None or project.serial > open_project(known.manifest).serial


def _line(rank: int, score: Score, credit: int, results: int, team: str, now: float) -> Standing:
    recent = decayed(score.recent, now - score.recent_at)
    return Standing(rank, score.key, score.name, team, credit, recent, results)
