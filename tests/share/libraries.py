"""A library without a node: on two databases in a folder, for tests."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from servent.identity import Identity
from servent.share import index, rows
from servent.share.library_service import Library
from servent.store import Store
from servent.trust.service import TrustService


class Lib:
    """What a test holds: the library, and questions to its database."""

    def __init__(self, library: Library, db: Store, trust: TrustService) -> None:
        self.library, self.db, self.trust = library, db, trust

    async def rows(self, question: str, *values: Any) -> list[tuple[Any, ...]]:
        return await self.db.read(lambda db: db.execute(question, values).fetchall())

    async def names(self, where: str = "root IS NOT NULL") -> list[str]:
        return sorted(row[0] for row in await self.rows(f"SELECT name FROM files WHERE {where}"))

    async def check(self) -> None:
        """Sums, rows and index agree."""
        await self.db.read(check)


def check(db: sqlite3.Connection) -> None:
    """Every directory's sums are those of a recount; no row hangs in the air; the index has what is hashed."""
    dirs = {row[0]: row for row in db.execute("SELECT id, folder, parent, files, bytes FROM dirs")}
    count: dict[int, list[int]] = {id: [0, 0] for id in dirs}
    for dir, folder, size in db.execute("SELECT dir, folder, size FROM files"):
        at = dir
        assert dirs[at][1] == folder
        while at is not None:
            count[at][0] += 1
            count[at][1] += size
            at = dirs[at][2]
    for id, (_, _, parent, files, size) in dirs.items():
        assert [files, size] == count[id], f"directory {id}"
        assert files or parent is None, "an empty directory stays"
    hashed = {row[0] for row in db.execute("SELECT id FROM files WHERE root IS NOT NULL")}
    assert {row[0] for row in db.execute("SELECT rowid FROM found")} == hashed


@asynccontextmanager
async def library(folder: Path, **options: Any) -> AsyncIterator[Lib]:
    """A running library whose databases lie in `folder`/data."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    store, db = Store(data / "node.db"), Store(data / "library.db")
    db.migrate(rows.ROOM, rows.STEPS)
    db.migrate(index.ROOM, index.STEPS)
    trust = TrustService(store, Identity(os.urandom(32)), wall=time.time)
    options.setdefault("watch", False)
    options.setdefault("homes", [])
    options.setdefault("wall", time.time)
    made = Library(store, db, trust, data, **options)
    async with store, db:
        await trust.open()
        await made.open()
        async with asyncio.TaskGroup() as group:
            group.create_task(made.run())
            await asyncio.sleep(0)
            try:
                yield Lib(made, db, trust)
            finally:
                await made.close()
