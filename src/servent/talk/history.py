"""How messages and conversations lie in SQL tables, of persons and of rooms alike. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from servent.talk.history_words import Asked, words_of

if TYPE_CHECKING:
    import sqlite3

ROOM = "talk.history"
STEPS = (
    """
    CREATE TABLE message (
        number INTEGER PRIMARY KEY, conversation TEXT NOT NULL, id BLOB NOT NULL, author BLOB NOT NULL,
        place TEXT NOT NULL, sent REAL NOT NULL, received REAL NOT NULL, state INTEGER NOT NULL,
        unread INTEGER NOT NULL, mention INTEGER NOT NULL, removed INTEGER NOT NULL, event TEXT NOT NULL,
        text TEXT NOT NULL, attachments BLOB NOT NULL, reply_to BLOB, token TEXT NOT NULL, why TEXT NOT NULL
    );
    CREATE UNIQUE INDEX message_id ON message (conversation, id);
    CREATE INDEX message_place ON message (conversation, place, number);
    CREATE INDEX message_unread ON message (conversation, mention) WHERE unread;
    CREATE UNIQUE INDEX message_token ON message (token, conversation) WHERE token != '';
    CREATE INDEX message_received ON message (received);
    CREATE TABLE conversation (
        id TEXT PRIMARY KEY, silent INTEGER NOT NULL, read TEXT NOT NULL, cleared TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE VIRTUAL TABLE said USING fts5(words, marks, tokenize = 'ascii', prefix = '2 3', columnsize = 0);
    """,
)
RECEIVED, WAITING, DELIVERED, FAILED = range(4)
STATES = ("received", "waiting", "delivered", "failed")
TOKEN_LIFETIME = 86_400.0  # s
_COLUMNS = (
    "number, conversation, id, author, place, sent, received, state, unread, mention, removed, event, text, attachments,"
    " reply_to, token, why"
)
_links: msgspec.msgpack.Decoder[list[str]] = msgspec.msgpack.Decoder(list[str])


class Row(NamedTuple):
    """One message. `place`: sorts as text within the conversation. `number`: 0 before it is written."""

    conversation: str
    id: bytes
    author: bytes
    place: str
    sent: float
    received: float
    state: int = RECEIVED
    unread: bool = False
    mention: bool = False
    removed: bool = False
    event: str = ""
    text: str = ""
    attachments: tuple[str, ...] = ()
    reply_to: bytes | None = None
    token: str = ""
    why: str = ""
    number: int = 0


class Tally(NamedTuple):
    """What a list of conversations shows of one. `read`: the place up to which it was read."""

    unread: int = 0
    mentions: int = 0
    last: Row | None = None
    silent: bool = False
    read: str = ""


def place_of(micros: int) -> str:
    """A place by a clock, in microseconds since 1970: 16 hex digits."""
    return f"{max(0, min(micros, 2**63)):016x}"


def next_place(db: sqlite3.Connection, conversation: str, now: float) -> str:
    """After everything that is there, in the order in which things come here."""
    last = db.execute(
        "SELECT place FROM message WHERE conversation = ? ORDER BY place DESC LIMIT 1", (conversation,)
    ).fetchone()
    micros = int(now * 1e6)
    if last is not None:
        micros = max(micros, int(last[0][:16], 16) + 1)
    return place_of(micros)


def add(db: sqlite3.Connection, row: Row) -> Row | None:
    """Write it; the row as it is now, or None when its id was there already."""
    found = db.execute(
        f"INSERT INTO message ({_COLUMNS}) VALUES (NULL{', ?' * 16}) ON CONFLICT (conversation, id) DO NOTHING RETURNING number",
        (
            row.conversation, row.id, row.author, row.place, row.sent, row.received, row.state, row.unread, row.mention,
            row.removed, row.event, row.text, msgspec.msgpack.encode(row.attachments), row.reply_to, row.token, row.why,
        ),
    ).fetchone()  # fmt: skip
    if found is None:
        return None
    made = row._replace(number=found[0])
    _index(db, made)
    return made


def _index(db: sqlite3.Connection, row: Row) -> None:
    if row.text and not row.removed and not row.event:
        db.execute(
            "INSERT INTO said (rowid, words, marks) VALUES (?, ?, ?)",
            (row.number, words_of(row.text), _mark(row.conversation)),
        )


def _mark(conversation: str) -> str:
    return "c" + hashlib.sha256(conversation.encode()).hexdigest()[:12]


def get(db: sqlite3.Connection, conversation: str, id: bytes) -> Row | None:
    return _one(db, "conversation = ? AND id = ?", (conversation, id))


def by_token(db: sqlite3.Connection, conversation: str, token: str, now: float) -> Row | None:
    """The message that this token stands for; an old token is free again."""
    if not token:
        return None
    row = _one(db, "token = ? AND conversation = ?", (token, conversation))
    if row is not None and row.received < now - TOKEN_LIFETIME:
        db.execute("UPDATE message SET token = '' WHERE number = ?", (row.number,))
        return None
    return row


def set_token(db: sqlite3.Connection, conversation: str, id: bytes, token: str) -> None:
    db.execute("UPDATE message SET token = ? WHERE conversation = ? AND id = ?", (token, conversation, id))


def settle(db: sqlite3.Connection, conversation: str, id: bytes, state: int, why: str = "") -> Row | None:
    """It was delivered, or failed. None when it is not there (any more)."""
    db.execute(
        "UPDATE message SET state = ?, why = ? WHERE conversation = ? AND id = ?",
        (state, why, conversation, id),
    )
    return get(db, conversation, id)


def give_up(db: sqlite3.Connection, conversation: str, why: str) -> list[Row]:
    """Nothing of what waits will be delivered. What that is."""
    rows = _some(db, "conversation = ? AND state = ?", [conversation, WAITING])
    db.execute(
        "UPDATE message SET state = ?, why = ? WHERE conversation = ? AND state = ?",
        (FAILED, why, conversation, WAITING),
    )
    return [row._replace(state=FAILED, why=why) for row in rows]


def take_back(db: sqlite3.Connection, conversation: str, ids: Iterable[bytes]) -> list[Row]:
    """Their texts go, for good; what happened stays. Those that were there and whole, as they are now."""
    gone = []
    for id in ids:
        row = get(db, conversation, id)
        if row is None or row.removed:
            continue
        db.execute(
            "UPDATE message SET removed = 1, unread = 0, mention = 0, text = '', attachments = ?, token = '' WHERE number = ?",
            (msgspec.msgpack.encode(()), row.number),
        )
        db.execute("DELETE FROM said WHERE rowid = ?", (row.number,))
        gone.append(row._replace(removed=True, unread=False, mention=False, text="", attachments=()))
    return gone


def page(
    db: sqlite3.Connection, conversation: str, before: str, after: str, limit: int
) -> tuple[list[Row], bool]:
    """The `limit` rows next to `before` or `after`, oldest first, and whether there are older ones."""
    where, values = "conversation = ?", [conversation]
    if after:
        rows = _some(db, f"{where} AND place > ? ORDER BY place, number LIMIT ?", [*values, after, limit])
    elif before:
        rows = _some(
            db, f"{where} AND place < ? ORDER BY place DESC, number DESC LIMIT ?", [*values, before, limit]
        )[::-1]
    else:
        rows = _some(db, f"{where} ORDER BY place DESC, number DESC LIMIT ?", [*values, limit])[::-1]
    first = rows[0].place if rows else (before or after)
    older = db.execute(
        "SELECT 1 FROM message WHERE conversation = ? AND place < ? LIMIT 1", (conversation, first)
    ).fetchone()
    return rows, older is not None


def count(db: sqlite3.Connection, conversation: str) -> int:
    found: int = db.execute(
        "SELECT count(*) FROM message WHERE conversation = ?", (conversation,)
    ).fetchone()[0]
    return found


def count_of(db: sqlite3.Connection, conversation: str, author: bytes) -> int:
    """Messages of one author, as far as anybody who asks needs it: 0 or 1."""
    where = "conversation = ? AND author = ?"
    return len(db.execute(f"SELECT 1 FROM message WHERE {where} LIMIT 1", (conversation, author)).fetchall())


def unanswered(db: sqlite3.Connection, me: bytes) -> int:
    """Conversations with persons in which `me` wrote nothing."""
    found: int = db.execute(
        "SELECT count(DISTINCT conversation) FROM message WHERE conversation LIKE 'peer:%' AND conversation NOT IN"
        " (SELECT conversation FROM message WHERE author = ?)",
        (me,),
    ).fetchone()[0]
    return found


def search(
    db: sqlite3.Connection,
    asked: Asked,
    conversation: str = "",
    author: bytes | None = None,
    before: float | None = None,
    limit: int = 50,
) -> list[Row]:
    """Newest first, by when they came here."""
    where = "number IN (SELECT rowid FROM said WHERE said MATCH ?)"
    values: list[Any] = [asked.expression(_mark(conversation) if conversation else "")]
    if conversation:
        where += " AND conversation = ?"
        values.append(conversation)
    if author is not None:
        where += " AND author = ?"
        values.append(author)
    if before is not None:
        where += " AND received < ?"
        values.append(before)
    return _some(db, f"{where} ORDER BY number DESC LIMIT ?", [*values, limit])


# -- conversations


def tallies(db: sqlite3.Connection) -> dict[str, Tally]:
    """Everything that is not empty or has a setting."""
    found: dict[str, Tally] = {}
    for id, silent, read in db.execute("SELECT id, silent, read FROM conversation"):
        found[id] = Tally(silent=bool(silent), read=read)
    for (id,) in db.execute("SELECT DISTINCT conversation FROM message").fetchall():
        found[id] = tally(db, id)
    return found


def tally(db: sqlite3.Connection, conversation: str) -> Tally:
    """One of them."""
    silent, read = db.execute(
        "SELECT silent, read FROM conversation WHERE id = ?", (conversation,)
    ).fetchone() or (0, "")
    unread, mentions = db.execute(
        "SELECT count(*), total(mention) FROM message WHERE conversation = ? AND unread", (conversation,)
    ).fetchone()
    last = _some(
        db,
        "conversation = ? AND event = '' ORDER BY place DESC, number DESC LIMIT 1",
        [conversation],
    ) or _some(db, "conversation = ? ORDER BY place DESC, number DESC LIMIT 1", [conversation])
    return Tally(unread, int(mentions), last[0] if last else None, bool(silent), read)


def read_place(db: sqlite3.Connection, conversation: str) -> str:
    """The place up to which it was read, "" for nothing."""
    found = db.execute("SELECT read FROM conversation WHERE id = ?", (conversation,)).fetchone()
    return "" if found is None else str(found[0])


def mark_read(db: sqlite3.Connection, conversation: str, place: str) -> None:
    """Everything up to `place`, "" for everything."""
    if not place:
        place = db.execute(
            "SELECT coalesce(max(place), '') FROM message WHERE conversation = ?", (conversation,)
        ).fetchone()[0]
    db.execute(
        "UPDATE message SET unread = 0 WHERE conversation = ? AND unread AND place <= ?",
        (conversation, place),
    )
    db.execute(
        "INSERT INTO conversation VALUES (?, 0, ?, '') ON CONFLICT (id) DO UPDATE SET read = max(read, excluded.read)",
        (conversation, place),
    )


def set_silent(db: sqlite3.Connection, conversation: str, silent: bool) -> None:
    db.execute(
        "INSERT INTO conversation VALUES (?, ?, '', '') ON CONFLICT (id) DO UPDATE SET silent = excluded.silent",
        (conversation, silent),
    )


def clear(db: sqlite3.Connection, conversation: str) -> None:
    """Forget what was said, from the disk too as far as SQLite overwrites; settings stay."""
    _forget(db, "conversation = ?", [conversation])


def forget_before(db: sqlite3.Connection, wall: float, most: int = 1000) -> int:
    """Forget what came before `wall`, at most so many rows at once. How many those were."""
    return _forget(
        db,
        "number IN (SELECT number FROM message WHERE received < ? ORDER BY received LIMIT ?)",
        [wall, most],
    )


def keep_newest(db: sqlite3.Connection, conversation: str, most: int) -> int:
    """Forget the oldest of a conversation beyond `most`. How many those were."""
    edge = db.execute(
        "SELECT number FROM message WHERE conversation = ? ORDER BY number DESC LIMIT 1 OFFSET ?",
        (conversation, most),
    ).fetchone()
    return 0 if edge is None else _forget(db, "conversation = ? AND number <= ?", [conversation, edge[0]])


def _forget(db: sqlite3.Connection, where: str, values: Sequence[Any]) -> int:
    numbers = [number for (number,) in db.execute(f"SELECT number FROM message WHERE {where}", values)]
    db.executemany("DELETE FROM said WHERE rowid = ?", [(number,) for number in numbers])
    db.executemany("DELETE FROM message WHERE number = ?", [(number,) for number in numbers])
    return len(numbers)


def _one(db: sqlite3.Connection, where: str, values: Sequence[Any]) -> Row | None:
    found = _some(db, where, values)
    return found[0] if found else None


def _some(db: sqlite3.Connection, where: str, values: Sequence[Any]) -> list[Row]:
    return [_row(one) for one in db.execute(f"SELECT {_COLUMNS} FROM message WHERE {where}", values)]


def _row(found: Sequence[Any]) -> Row:
    row = Row._make((*found[1:], found[0]))
    return row._replace(
        unread=bool(row.unread),
        mention=bool(row.mention),
        removed=bool(row.removed),
        attachments=tuple(_links.decode(found[13])),
    )
