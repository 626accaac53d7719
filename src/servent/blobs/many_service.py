"""One action for many downloads, and a new place for one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from servent.blobs import rows
from servent.blobs.info import parse
from servent.blobs.listing import is_v1
from servent.blobs.moving_service import Mover, destination
from servent.blobs.names import safe_part
from servent.blobs.rows import Row
from servent.blobs.transfers_service import Transfers
from servent.errors import ServentError, UsageError

Action = Literal["pause", "resume", "cancel", "verify", "remove", "clear-ended"]
FITS: dict[Action, frozenset[rows.State]] = {
    "pause": frozenset(("connecting", "metadata", "queued", "active", "checking")),
    "resume": frozenset(("paused", "failed")),
    "cancel": frozenset(("connecting", "metadata", "queued", "active", "checking", "paused", "failed")),
    "verify": frozenset(("connecting", "metadata", "queued", "active", "paused", "complete")),
    "remove": frozenset(
        ("connecting", "metadata", "queued", "active", "checking", "paused", *sorted(rows.ENDED))
    ),
    "clear-ended": rows.ENDED,
}


async def act(transfers: Transfers, action: Action, ids: Sequence[str]) -> tuple[int, list[str]]:
    """How many it was done for, and a sentence for each that it failed for.

    Raises DiskTrouble, StoreTrouble: it is done, but not remembered.
    """
    failed: list[str] = []
    chosen: list[Row] = []
    for id in dict.fromkeys(ids) if ids else list(transfers.rows):
        row = transfers.rows.get(id)
        if row is None:
            failed.append(f"{id[:40]}: no transfer is called that")
        elif row.state in FITS[action] or (ids and action == "resume" and row.state == "cancelled"):
            chosen.append(row)
        elif ids and action != "clear-ended":
            failed.append(f"{row.name}: it is {row.state}")
    match action:
        case "pause":
            await transfers.pause_all(chosen)
        case "resume":
            await transfers.resume_all(chosen)
        case "cancel":
            await transfers.cancel_all(chosen)
        case "remove" | "clear-ended":
            await transfers.remove_all(chosen)
        case "verify":
            for row in chosen:
                try:
                    await transfers.verify(row.id)
                except ServentError as wrong:
                    failed.append(f"{row.name}: {wrong}")
    return len(chosen) - sum(action == "verify" for _ in failed), failed


async def move(transfers: Transfers, mover: Mover, id: str, to: Path | None, name: str | None) -> None:
    """Another folder or name for a download. Raises NotFound, UsageError, DiskTrouble."""
    row = transfers.row(id)
    if row.state == "complete" and row.path is not None:
        collection = mover.collection(row.share)
        if collection is None and row.info is not None and not is_v1(row.infohash):
            collection = await asyncio.to_thread(parse, row.info, row.infohash)
        if collection is None:
            raise UsageError(
                "what it was is not known any more", advice="Move it yourself and share it again."
            )
        wanted = None if row.shared else row.wanted  # what is shared of version 1 is what was wanted
        new = await mover.move(collection, Path(row.path), wanted, to, name)
        row.path, row.to, row.name = str(new), str(new.parent), new.name
        await transfers.save([id])
        transfers.say()
        return
    if row.state in rows.ENDED:
        raise UsageError(f"it is {row.state}: there is nothing to move")
    if row.touched:
        raise UsageError("only what is complete can be moved", advice="Try again when it is.")
    if name is not None and safe_part(name) != name:
        raise UsageError(f"{name[:80]!r} is no name for a file everywhere")

    async def elsewhere(row: Row) -> None:
        if to is not None:
            new = await asyncio.to_thread(destination, Path(row.to, row.name), to, None)
            row.to = str(new.parent)
        if name is not None:
            row.name = row.called = name

    await transfers.at_rest(id, elsewhere)
