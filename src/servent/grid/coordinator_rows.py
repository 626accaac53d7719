"""The coordinator's tables. Pure: statements and what stands in their blobs.

A unit is written at most a few times in its life: into `grid_units` and `grid_queue` when it is added, out of the queue into `grid_active` with its
first lease, and from there into `grid_ended`; what changes meanwhile is one row of `grid_active`. So one commit holds the changes of many units, and
the tables that change all the time stay small.
"""

from __future__ import annotations

ROOM = "grid coordinator"

STEPS = (
    """
    CREATE TABLE grid_projects (
        number INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, body BLOB NOT NULL, signature BLOB NOT NULL, state BLOB NOT NULL
    );
    CREATE TABLE grid_apps (
        number INTEGER PRIMARY KEY, project INTEGER NOT NULL, id BLOB NOT NULL UNIQUE, body BLOB NOT NULL, signature BLOB NOT NULL
    );
    CREATE TABLE grid_batches (batch INTEGER PRIMARY KEY, project INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE TABLE grid_also (batch INTEGER NOT NULL, unit INTEGER NOT NULL, PRIMARY KEY (unit, batch)) WITHOUT ROWID;
    CREATE TABLE grid_units (unit INTEGER PRIMARY KEY, batch INTEGER NOT NULL, app INTEGER NOT NULL, spec BLOB NOT NULL);
    CREATE TABLE grid_keys (key BLOB PRIMARY KEY, unit INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE grid_queue (
        paused INTEGER NOT NULL, project INTEGER NOT NULL, rank INTEGER NOT NULL, expires REAL NOT NULL, unit INTEGER NOT NULL,
        batch INTEGER NOT NULL, PRIMARY KEY (paused, project, rank, expires, unit)
    ) WITHOUT ROWID;
    CREATE TABLE grid_active (unit INTEGER PRIMARY KEY, body BLOB NOT NULL);
    CREATE TABLE grid_ended (unit INTEGER PRIMARY KEY, body BLOB NOT NULL);
    CREATE TABLE grid_finals (ord INTEGER PRIMARY KEY, unit INTEGER NOT NULL, batch INTEGER NOT NULL);
    CREATE TABLE grid_outputs (unit INTEGER NOT NULL, digest BLOB NOT NULL, output BLOB NOT NULL, PRIMARY KEY (unit, digest)) WITHOUT ROWID;
    CREATE TABLE grid_due (
        seq INTEGER PRIMARY KEY, project BLOB NOT NULL, identity BLOB NOT NULL, key BLOB NOT NULL, app BLOB NOT NULL,
        operations INTEGER NOT NULL, mflop INTEGER NOT NULL, price INTEGER NOT NULL, at REAL NOT NULL
    );
    CREATE TABLE grid_hosts (
        project INTEGER NOT NULL, identity BLOB NOT NULL, body BLOB NOT NULL, PRIMARY KEY (project, identity)
    ) WITHOUT ROWID;
    CREATE TABLE grid_unverified (
        project INTEGER NOT NULL, identity BLOB NOT NULL, app INTEGER NOT NULL, at REAL NOT NULL, unit INTEGER NOT NULL,
        PRIMARY KEY (project, identity, app, at, unit)
    ) WITHOUT ROWID;
    CREATE TABLE grid_problems (
        project INTEGER NOT NULL, app INTEGER NOT NULL, outcome TEXT NOT NULL, words TEXT NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (project, app, outcome, words)
    ) WITHOUT ROWID;
    CREATE TABLE grid_minutes (
        project INTEGER NOT NULL, minute INTEGER NOT NULL, done INTEGER NOT NULL, errors INTEGER NOT NULL, PRIMARY KEY (project, minute)
    ) WITHOUT ROWID;
    CREATE TABLE grid_invitations (
        project INTEGER NOT NULL, digest BLOB NOT NULL, uses INTEGER, expires REAL, PRIMARY KEY (project, digest)
    ) WITHOUT ROWID;
    CREATE TABLE grid_invited (
        project INTEGER NOT NULL, identity BLOB NOT NULL, PRIMARY KEY (project, identity)
    ) WITHOUT ROWID;
    """,
)
