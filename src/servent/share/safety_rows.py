"""What the node remembers of blocks, filters and reports: three tables in its database. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from servent.identity import PeerId
from servent.share.safety import Block, Filters, Report

ROOM = "share.safety"
STEPS = (
    """
    CREATE TABLE safety_blocks (
        id TEXT PRIMARY KEY, content BLOB NOT NULL, peer BLOB, name TEXT NOT NULL, note TEXT NOT NULL, since REAL NOT NULL
    );
    CREATE TABLE safety_filters (one INTEGER PRIMARY KEY CHECK (one = 1), body BLOB NOT NULL);
    CREATE TABLE safety_reports (
        id TEXT PRIMARY KEY, reason TEXT NOT NULL, time REAL NOT NULL, content BLOB NOT NULL, peer BLOB,
        name TEXT NOT NULL, note TEXT NOT NULL, by BLOB, told INTEGER NOT NULL
    );
    """,
)

Loaded = tuple[list[Block], Filters, list[Report]]


def load(db: Any) -> Loaded:
    """A job for the store."""
    blocks = [
        Block(content, None if peer is None else PeerId(peer), name, note, since)
        for content, peer, name, note, since in db.execute(
            "SELECT content, peer, name, note, since FROM safety_blocks"
        )
    ]
    row = db.execute("SELECT body FROM safety_filters").fetchone()
    filters = msgspec.msgpack.decode(row[0], type=Filters) if row is not None else Filters()
    reports = [
        Report(
            id,
            reason,
            time,
            content,
            None if peer is None else PeerId(peer),
            name,
            note,
            None if by is None else PeerId(by),
            told,
        )
        for id, reason, time, content, peer, name, note, by, told in db.execute(
            "SELECT id, reason, time, content, peer, name, note, by, told FROM safety_reports"
        )
    ]
    return blocks, filters, reports


def save_block(block: Block) -> Callable[[Any], None]:
    """A job for the store."""
    row = (block.id, block.content, block.peer, block.name, block.note, block.since)
    return lambda db: db.execute("REPLACE INTO safety_blocks VALUES (?, ?, ?, ?, ?, ?)", row)


def drop_block(id: str) -> Callable[[Any], None]:
    """A job for the store."""
    return lambda db: db.execute("DELETE FROM safety_blocks WHERE id = ?", (id,))


def save_filters(filters: Filters) -> Callable[[Any], None]:
    """A job for the store."""
    body = msgspec.msgpack.encode(filters)
    return lambda db: db.execute("REPLACE INTO safety_filters VALUES (1, ?)", (body,))


def save_report(report: Report, gone: Sequence[str] = ()) -> Callable[[Any], None]:
    """A job for the store: one more, and those that make room."""
    one = report
    row = (one.id, one.reason, one.time, one.content, one.peer, one.name, one.note, one.by, one.told)

    def write(db: Any) -> None:
        db.execute("REPLACE INTO safety_reports VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        db.executemany("DELETE FROM safety_reports WHERE id = ?", [(id,) for id in gone])

    return write
