"""The supernode's store of items in SQLite: its tables, and what is read back from them. Pure SQL.

A file of its own, `network.db`, for all networks of a node; what is in it can be published anew. Two sides, as in
`effects.Keep`: what is kept as a *home* stands in a full-text index without texts of its own (`found`; the texts follow
from the item), what is kept as a *keyed* supernode under its postings.

Ids are numbered so that order by id is order by rank: network, side, class of length of the name, number. A question that
many items answer then needs only the first of them, since short names are the better answers (`language.SHORT`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from msgspec import msgpack

from servent.identity import PeerId
from servent.overlay.effects import Load
from servent.overlay.records import HASH_BYTES, Batch, Item, Slice
from servent.overlay.wire import Posting
from servent.query.kinds import KINDS
from servent.query.marks import ext_mark, kind_mark, size_mark
from servent.query.texts import ext, indexed_tags
from servent.query.words import indexed

if TYPE_CHECKING:
    import sqlite3

ROOM = "overlay.items"
STEPS = (
    """
    CREATE TABLE networks (id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE);
    CREATE TABLE publishers (id INTEGER PRIMARY KEY AUTOINCREMENT, key BLOB NOT NULL UNIQUE);
    CREATE TABLE batches (
        id INTEGER PRIMARY KEY AUTOINCREMENT, network INTEGER NOT NULL, publisher INTEGER NOT NULL,
        slot INTEGER NOT NULL, keyed INTEGER NOT NULL, seq INTEGER NOT NULL, lifetime INTEGER NOT NULL,
        ends REAL NOT NULL, signature BLOB NOT NULL, hashes BLOB NOT NULL,
        UNIQUE (publisher, network, slot, keyed)
    );
    CREATE INDEX batches_end ON batches (ends);
    CREATE TABLE items (
        id INTEGER PRIMARY KEY, batch INTEGER NOT NULL, place INTEGER NOT NULL, publisher INTEGER NOT NULL,
        size INTEGER NOT NULL, kind INTEGER NOT NULL, ext TEXT NOT NULL, body BLOB NOT NULL
    );
    CREATE INDEX items_of ON items (batch);
    CREATE INDEX items_content ON items (substr(body, 4, 8));
    CREATE TABLE gone (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
    CREATE TABLE words (
        network INTEGER NOT NULL, word TEXT NOT NULL, items INTEGER NOT NULL, named INTEGER NOT NULL,
        PRIMARY KEY (network, word)
    ) WITHOUT ROWID;
    CREATE TABLE totals (
        network INTEGER PRIMARY KEY, home INTEGER NOT NULL, keyed INTEGER NOT NULL, postings INTEGER NOT NULL
    );
    CREATE TABLE keys (
        id INTEGER PRIMARY KEY AUTOINCREMENT, network INTEGER NOT NULL, key BLOB NOT NULL, postings INTEGER NOT NULL,
        UNIQUE (key, network)
    );
    CREATE TABLE postings (
        key INTEGER NOT NULL, publisher INTEGER NOT NULL, item INTEGER NOT NULL, PRIMARY KEY (key, publisher, item)
    ) WITHOUT ROWID;
    CREATE INDEX postings_of ON postings (item);
    CREATE VIRTUAL TABLE found USING fts5(
        name, title, artist, album, path, marks,
        tokenize = 'ascii', prefix = '2 3 4', content = '', columnsize = 0
    );
    INSERT INTO found (found, rank) VALUES ('automerge', 0);
    INSERT INTO found (found, rank) VALUES ('usermerge', 4);
    """,
)

NUMBER_BITS, CLASS_BITS = 29, 6
LETTERS = 4  # of a name's indexed text that make one class of length
SIDE = 1 << (NUMBER_BITS + CLASS_BITS)
CLASS = 1 << NUMBER_BITS
Texts = tuple[str, str, str, str, str, str]
_items = msgpack.Decoder(Item)
_indexed = lru_cache(256)(indexed)  # neighbours in a folder share its path


class Side(NamedTuple):
    """The ids of one side of one network: from `first`, before `end`."""

    first: int
    end: int


def side(network: int, keyed: bool) -> Side:
    """`network`: its row."""
    first = (2 * network + keyed) * SIDE
    return Side(first, first + SIDE)


def item_of(body: bytes) -> Item:
    """An item as it is stored: its canonical MessagePack."""
    return _items.decode(body)


def texts(item: Item) -> Texts:
    """What the full-text index knows of an item."""
    title, artist, album, more = indexed_tags(item.tags)
    path = _indexed(item.where) + indexed(more)
    return indexed(item.name), title, artist, album, path, " ".join(marks(item))


def marks(item: Item) -> tuple[str, str, str]:
    """Of its kind, its size and its ending."""
    kind = kind_mark(item.kind) if item.kind < len(KINDS) else ""  # what is no kind is asked for by none
    return kind, size_mark(item.size), ext_mark(ext(item.name))


def network_row(db: sqlite3.Connection, network: bytes) -> int | None:
    """The row of a network; None: nothing was ever kept for it."""
    row = db.execute("SELECT id FROM networks WHERE key = ?", (network,)).fetchone()
    return row[0] if row is not None else None


def spread(db: sqlite3.Connection, network: int) -> tuple[tuple[int, int], ...]:
    """The classes that a home's items of a network (its row) are in: the first id of each, and about how many there are."""
    first, end = side(network, False)
    found = []
    for start in range(first, end, CLASS):
        question = "SELECT max(id) FROM items WHERE id >= ? AND id < ?"
        (last,) = db.execute(question, (start, start + CLASS)).fetchone()
        if last is not None:
            found.append((start, last - start + 1))
    return tuple(found)


def totals(db: sqlite3.Connection, network: bytes) -> tuple[int, int, int]:
    """Items kept as a home, items kept as a keyed supernode, and their postings."""
    row = db.execute(
        "SELECT home, keyed, postings FROM totals JOIN networks ON id = network WHERE key = ?", (network,)
    ).fetchone()
    return row if row is not None else (0, 0, 0)


_BATCH = (
    "SELECT b.id, b.slot, b.seq, b.lifetime, b.hashes, b.signature FROM publishers p "
    "JOIN batches b ON b.publisher = p.id JOIN networks n ON n.id = b.network WHERE p.key = ? AND n.key = ?"
)


def load(
    db: sqlite3.Connection, network: bytes, wish: Load
) -> tuple[Slice | None, tuple[Posting, ...] | list[Posting]]:
    """Read a batch back; see `effects.Load`."""
    if wish.slot is None:
        return _load_content(db, network, wish), ()
    row = db.execute(
        f"{_BATCH} AND b.slot = ? AND b.keyed = ?", (bytes(wish.publisher), network, wish.slot, wish.keyed)
    ).fetchone()
    if row is None:
        return None, ()
    batch = _batch(wish.publisher, row)
    kept: dict[bytes, tuple[int, Item]] = {}
    for id, place, body in db.execute("SELECT id, place, body FROM items WHERE batch = ?", (row[0],)):
        kept[batch.hashes[place]] = id, item_of(body)
    items, postings = {}, []
    for place, short in enumerate(batch.hashes):
        if short in kept:
            id, items[place] = kept[short]
            if wish.keyed:
                question = (
                    "SELECT k.key FROM postings p JOIN keys k ON k.id = p.key WHERE p.item = ? ORDER BY k.key"
                )
                postings += [Posting(key, place) for (key,) in db.execute(question, (id,))]
    return Slice(batch, items), postings


def _load_content(db: sqlite3.Connection, network: bytes, wish: Load) -> Slice | None:
    if wish.content is None:
        return None
    question = (
        "SELECT i.batch, i.place, i.body FROM items i JOIN publishers p ON p.id = i.publisher "
        "WHERE substr(i.body, 4, 8) = ? AND p.key = ? ORDER BY i.id"
    )
    for batch, place, body in db.execute(question, (wish.content[:8], bytes(wish.publisher))).fetchall():
        item = item_of(body)
        if item.content == wish.content:
            row = db.execute(f"{_BATCH} AND b.id = ?", (bytes(wish.publisher), network, batch)).fetchone()
            if row is not None:
                return Slice(_batch(wish.publisher, row), {place: item})
    return None


def _batch(publisher: PeerId, row: tuple[int, int, int, int, bytes, bytes]) -> Batch:
    _, slot, seq, lifetime, hashes, signature = row
    shorts = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
    return Batch(publisher, slot, seq, lifetime, shorts, signature)
