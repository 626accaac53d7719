"""A process that owes credit and writes a ledger as fast as it can, until somebody kills it: `python -m tests.grid.ledger_writer FOLDER`."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path

from servent.grid import ledger, ledger_own_service
from tests.grid.books import ANN, APP, BOB, PROJECT, manifest, opened, owe

KEY = bytes(PROJECT.peer)
COUNTED = "CREATE TABLE IF NOT EXISTS counted (units INTEGER NOT NULL)"


def more(connection: sqlite3.Connection) -> None:
    """Twenty results each, and what was owed so far in the same transaction, as the coordinator does it."""
    connection.execute(COUNTED)
    row = connection.execute("SELECT units FROM counted").fetchone()
    done = row[0] if row is not None else 0
    owe(connection, ANN, range(done, done + 20))
    owe(connection, BOB, range(done, done + 20))
    connection.execute("DELETE FROM counted")
    connection.execute("INSERT INTO counted VALUES (?)", (done + 20,))


async def main(folder: Path) -> None:
    ledger.SEGMENT_BYTES = 50_000
    ledger_own_service.LOOK_EVERY = 0.002
    ledger_own_service.SETTLE_AFTER = 0.0
    store, book = await opened(folder)
    await book.add_project(manifest(), PROJECT, [APP])
    book.joined(KEY, ANN.peer, "Ann", None)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(book.run())
        print("up", flush=True)
        while True:
            await store.write(more)
            book.due()
            for receipt in book.waiting(KEY, ANN.peer, 8):
                number = ledger.read_entry(receipt.body).number
                await book.countersigned(KEY, ANN.peer, [(number, ledger.agree(receipt, ANN))])
            await book._own.write_files(KEY)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
