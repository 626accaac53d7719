"""Receipts: entries of a project's ledger that credit us. Checked against what we did, written down, and countersigned; a lie is not, and is logged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from servent.errors import BadMessage, ServentError
from servent.grid import credit, ledger
from servent.grid import lending_rows as rows
from servent.grid.agreeing import wrong_with
from servent.grid.ledger import Entry
from servent.grid.lending_log import Log
from servent.grid.lending_rows import Kept
from servent.grid.lending_shelf import Shelf
from servent.grid.manifests import Project, Signed
from servent.grid.wire import Receipt
from servent.identity import Identity

log = logging.getLogger("servent.grid")

Keep = Callable[[Signed, Receipt, bytes], Awaitable[None]]


class Receiving:
    """Signs for this machine.

    Args:
        keep: is given each receipt that we agreed to, with the project's manifest and our signature: `ledger_service.keep`.
    """

    def __init__(
        self, me: Identity, shelf: Shelf, journal: Log, keep: Keep | None, wall: Callable[[], float]
    ) -> None:
        self._me, self._shelf, self._log, self._keep, self._wall = me, shelf, journal, keep, wall
        self._one = asyncio.Lock()  # two receipts that credit the same unit are looked at one after the other

    async def take(
        self, kept: Kept, manifest: Project | None, receipts: Sequence[Receipt]
    ) -> list[tuple[int, bytes]]:
        """(number of the entry, our signature) of those that we agree with, which are on the disk by then."""
        signatures = []
        async with self._one:
            for receipt in receipts:
                try:
                    entry = ledger.open_receipt(receipt, kept.project)
                    signature = await self._agree(kept, manifest, entry, receipt)
                except BadMessage as wrong:
                    self._log.error(kept, f"a receipt that is none: {wrong}")
                    continue
                if signature is not None:
                    signatures.append((entry.number, signature))
        return signatures

    async def _agree(
        self, kept: Kept, manifest: Project | None, entry: Entry, receipt: Receipt
    ) -> bytes | None:
        digest = ledger.entry_hash(receipt.body)
        units = [unit for group in entry.groups for unit in ledger.units_of(group)]
        project = kept.project
        known = await self._shelf.store.read(partial(rows.did, project=project, units=units))
        agreed = await self._shelf.store.read(partial(rows.agreed, project=project, number=entry.number))
        bonus = manifest.bonus if manifest is not None else 0.0
        wrong = wrong_with(entry, self._me.peer, known, agreed, digest, bonus)
        if wrong:
            self._log.error(kept, f"entry {entry.number} of its ledger is not countersigned: {wrong}")
            return None
        signature = ledger.agree(receipt, self._me)
        if agreed is None:
            await self._write(kept, entry, digest, units)
            if self._keep is not None and kept.manifest is not None:
                try:
                    await self._keep(kept.manifest, receipt, signature)
                except ServentError as trouble:
                    log.warning("a receipt of %s cannot be kept: %s", kept.name, trouble)
        return signature

    async def _write(self, kept: Kept, entry: Entry, digest: bytes, units: Sequence[bytes]) -> None:
        now, day = self._wall(), self._log.day()
        sign = 1 if entry.kind == "credit" else -1
        kept.credit += sign * entry.total
        kept.valid += sign * len(units)
        kept.invalid += 0 if entry.kind == "credit" else len(units)
        kept.recent = max(0.0, credit.recent(kept.recent, now - kept.recent_at, sign * entry.total))
        kept.recent_at = now
        words = f"{len(units)} {'unit' if len(units) == 1 else 'units'}"
        words += " credited" if sign > 0 else " found wrong, and their credit taken back"
        line = rows.LogRow(now, "credit", kept.project, kept.name, credit=sign * entry.total, words=words)
        saved = rows.copy_of(kept)

        def write(db: rows.Connection) -> None:
            rows.add_agreed(db, kept.project, entry.number, digest)
            rows.mark_credited(db, kept.project, entry.number if sign > 0 else 0, units)
            rows.add_day(db, day, kept.project, credit=sign * entry.total)
            rows.add_log(db, [line])
            rows.save_project(db, saved)

        await self._shelf.keep(write)
        self._log.did(kept.project, credit=sign * entry.total)
