"""The tables of the ledger: entries made of what is due, and what is known of workers. Pure: jobs on a connection of grid.db.

The seam to the coordinator is its table `grid_due`: it writes a row in the very transaction in which a result is taken down as credited. `settle` makes entries of
such rows and deletes them, in one transaction: what was due is an entry, or it is still due, and never both.
"""

from __future__ import annotations

ROOM = "grid ledger"
STEPS = (
    """
    CREATE TABLE ledger_workers (
        project BLOB NOT NULL, worker BLOB NOT NULL, name TEXT NOT NULL, team BLOB,
        PRIMARY KEY (project, worker)
    ) WITHOUT ROWID;
    """,
)
