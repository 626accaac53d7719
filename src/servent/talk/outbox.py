"""What waits to be delivered, and what was: how both lie in SQL tables. Pure.

Every peer has an outbox here: a chain with a random name, whose bodies are numbered 1, 2, 3 ... A body leaves it when the peer says that
it is stored there. The peer keeps the highest number it has of a chain, written with the body in one transaction, and takes no number twice.
So each body arrives once and in order, wherever either side was killed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from servent.talk.wire import Body, Say

if TYPE_CHECKING:
    import sqlite3

ROOM = "talk.outbox"
STEPS = (
    """
    CREATE TABLE chain (peer BLOB PRIMARY KEY, chain BLOB NOT NULL, seq INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE outbox (
        peer BLOB NOT NULL, seq INTEGER NOT NULL, sent REAL NOT NULL, bytes INTEGER NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (peer, seq)
    ) WITHOUT ROWID;
    CREATE TABLE inbox (
        peer BLOB NOT NULL, chain BLOB NOT NULL, seq INTEGER NOT NULL, at REAL NOT NULL, declined BLOB NOT NULL,
        PRIMARY KEY (peer, chain)
    ) WITHOUT ROWID;
    """,
)
MOST_CHAINS = 4  # of one peer; it begins a new one when it has lost its disk
MOST_INBOXES = 50_000  # of all; those that were silent longest go
MOST_DECLINED = 64  # answers that are remembered: as many as are under way at once, twice
_declined: msgspec.msgpack.Decoder[dict[int, str]] = msgspec.msgpack.Decoder(dict[int, str])
_body: msgspec.msgpack.Decoder[Body] = msgspec.msgpack.Decoder(Body)


class Waiting(NamedTuple):
    """How much waits for one peer."""

    bodies: int
    size_bytes: int


def number(db: sqlite3.Connection, peer: bytes, fresh: bytes) -> tuple[bytes, int]:
    """The chain of `peer` and the next number in it, taken; `fresh`: its random name if there is none yet."""
    chain, seq = db.execute(
        "INSERT INTO chain VALUES (?, ?, 1) ON CONFLICT (peer) DO UPDATE SET seq = seq + 1 RETURNING chain, seq",
        (peer, fresh),
    ).fetchone()
    return chain, seq


def unnumber(db: sqlite3.Connection, peer: bytes) -> None:
    """Give back the number that was just taken."""
    db.execute("UPDATE chain SET seq = seq - 1 WHERE peer = ?", (peer,))


def put(db: sqlite3.Connection, peer: bytes, seq: int, sent: float, body: Body) -> None:
    data = msgspec.msgpack.encode(body)
    db.execute("INSERT INTO outbox VALUES (?, ?, ?, ?, ?)", (peer, seq, sent, len(data), data))


def load(db: sqlite3.Connection, peer: bytes, after: int, limit: int) -> list[Say]:
    """The next bodies for `peer`, in order."""
    rows = db.execute(
        "SELECT chain, outbox.seq, sent, body FROM outbox JOIN chain USING (peer)"
        " WHERE peer = ? AND outbox.seq > ? ORDER BY outbox.seq LIMIT ?",
        (peer, after, limit),
    )
    return [Say(chain, seq, sent, _body.decode(data)) for chain, seq, sent, data in rows]


def get(db: sqlite3.Connection, peer: bytes, seq: int) -> Body | None:
    found = db.execute("SELECT body FROM outbox WHERE peer = ? AND seq = ?", (peer, seq)).fetchone()
    return None if found is None else _body.decode(found[0])


def done(db: sqlite3.Connection, peer: bytes, chain: bytes, seq: int) -> Body | None:
    """The peer has it, or will not take it. What it was; None when it waits no more, or the chain is another one."""
    if db.execute("SELECT 1 FROM chain WHERE peer = ? AND chain = ?", (peer, chain)).fetchone() is None:
        return None
    body = get(db, peer, seq)
    db.execute("DELETE FROM outbox WHERE peer = ? AND seq = ?", (peer, seq))
    return body


def waiting(db: sqlite3.Connection) -> dict[bytes, Waiting]:
    """For whom how much waits."""
    rows = db.execute("SELECT peer, count(*), sum(bytes) FROM outbox GROUP BY peer")
    return {peer: Waiting(count, size) for peer, count, size in rows}


def waiting_for(db: sqlite3.Connection, peer: bytes) -> Waiting:
    count, size = db.execute("SELECT count(*), total(bytes) FROM outbox WHERE peer = ?", (peer,)).fetchone()
    return Waiting(count, int(size))


def drop(db: sqlite3.Connection, peer: bytes) -> list[int]:
    """Nothing is to be delivered to `peer` any more. The numbers of what was."""
    gone = [seq for (seq,) in db.execute("SELECT seq FROM outbox WHERE peer = ?", (peer,))]
    db.execute("DELETE FROM outbox WHERE peer = ?", (peer,))
    return gone


# -- what came


def known(db: sqlite3.Connection, peer: bytes, chain: bytes, seq: int) -> tuple[bool, str | None]:
    """Whether it has come before, and the answer it got if it was declined."""
    found = db.execute(
        "SELECT seq, declined FROM inbox WHERE peer = ? AND chain = ?", (peer, chain)
    ).fetchone()
    if found is None or seq > found[0]:
        return False, None
    return True, _declined.decode(found[1]).get(seq)


def came(
    db: sqlite3.Connection, peer: bytes, chain: bytes, seq: int, now: float, declined: str | None = None
) -> bool:
    """Take down that it came; False, and nothing changed, when it did before. In the transaction that stores its body.

    `declined`: it is not stored, for this reason, and is answered so again.
    """
    found = db.execute(
        "SELECT seq, declined FROM inbox WHERE peer = ? AND chain = ?", (peer, chain)
    ).fetchone()
    if found is not None and seq <= found[0]:
        return False
    no = _declined.decode(found[1]) if found is not None else {}
    if declined is not None:
        no[seq] = declined
    kept = dict(sorted(no.items())[-MOST_DECLINED:])
    db.execute(
        "REPLACE INTO inbox VALUES (?, ?, ?, ?, ?)", (peer, chain, seq, now, msgspec.msgpack.encode(kept))
    )
    db.execute(
        "DELETE FROM inbox WHERE peer = ? AND chain IN"
        " (SELECT chain FROM inbox WHERE peer = ? ORDER BY at DESC LIMIT -1 OFFSET ?)",
        (peer, peer, MOST_CHAINS),
    )
    if found is None:
        db.execute(
            "DELETE FROM inbox WHERE (peer, chain) IN"
            " (SELECT peer, chain FROM inbox ORDER BY at DESC LIMIT -1 OFFSET ?)",
            (MOST_INBOXES,),
        )
    return True
