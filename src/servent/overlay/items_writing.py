"""What is written into the supernode's store of items, many wishes in one transaction. Pure SQL.

What is removed is found no more at once; the full-text index is cleaned of it in small steps.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from servent.codec import canonical
from servent.overlay.effects import Discard, Keep
from servent.overlay.items_rows import CLASS, CLASS_BITS, LETTERS, SIDE, item_of, marks, side, texts
from servent.overlay.records import HASH_BYTES, Batch, Item
from servent.overlay.settings import HomeSettings
from servent.overlay.terms import words_of
from servent.query.texts import ext
from servent.query.words import indexed

if TYPE_CHECKING:
    import sqlite3

COLUMNS = "name, title, artist, album, path, marks"
TOGETHER = 100  # rows in one statement, which lets go of the interpreter once
CLEANED = 1_000  # items taken out of the full-text index in one transaction, some 30 us each
SWEPT = 8  # batches that ended, in one transaction
PIECES = 4  # large ones of the full-text index: when there are more it is made one
_LARGE_PIECES = (  # each at least a 32nd of it, so that it is not made anew before it has changed as much
    "SELECT count(*) FROM (SELECT 1 FROM found_idx GROUP BY segid HAVING 32 * count(*) >= (SELECT count(*) FROM found_idx))"
)
MERGED = 256  # pages in one step of that, some 5 ms
LEAST_MERGED = 16  # pages of the index merged at each change, about 20 us each; see share.index


class Writing:
    """Writes what effects ask for. One for the one connection that writes; every method inside a transaction.

    After a transaction that failed, `forget` what it had noted.
    """

    def __init__(self, settings: HomeSettings | None = None) -> None:
        self._settings = settings or HomeSettings()
        self._numbers: dict[int, int] = {}
        self.forget()

    def forget(self) -> None:
        """What is in the file counts, nothing else."""
        self._numbers.clear()
        self._merging = False
        self._new: list[tuple[int, Item]] = []
        self._totals: dict[int, list[int]] = {}
        self._keys: dict[tuple[int, bytes], list[int]] = {}  # row, postings
        self._by_row: dict[int, list[int]] = {}
        self._under: dict[tuple[int, int], int] = {}  # (key, publisher): postings

    def carry_out(
        self, db: sqlite3.Connection, wishes: Iterable[tuple[bytes, Keep | Discard]], now: float
    ) -> tuple[bool, set[str]]:
        """All of these, in order, for the networks named. `now`: the wall clock of this machine.

        Returns:
            whether the index is still to be cleaned (`sweep`), and the words (`texts`, cut at spaces) of the items
            that came or went, for whoever remembers answers.
        """
        full = _bytes_in(db) > self._settings.disk
        for network, wish in wishes:
            if isinstance(wish, Keep):
                if not full or not (wish.keyed or wish.postings) or not wish.slice.batch.hashes:
                    self._keep(db, network, wish, now)
            else:
                self._discard(db, network, wish)
        return self._finish(db)

    def sweep(self, db: sqlite3.Connection, now: float) -> tuple[bool, set[str]]:
        """Forget some of what has ended. Returns whether there is more to do, and words as `carry_out`."""
        ended = db.execute(
            "SELECT id, network, publisher, keyed FROM batches WHERE ends <= ? LIMIT ?", (now, SWEPT)
        ).fetchall()
        for row in ended:
            self._remove_batch(db, *row)
        left, words = self._finish(db)
        return self._merge(db) or left or len(ended) == SWEPT, words

    def _merge(self, db: sqlite3.Connection) -> bool:
        """Once the index lies in many pieces, make it one, a step at a time; every question looks into each piece."""
        if not self._merging:
            (pieces,) = db.execute(_LARGE_PIECES).fetchone()
            self._merging = pieces > PIECES
        if self._merging:
            before = db.total_changes
            db.execute("INSERT INTO found (found, rank) VALUES ('merge', ?)", (-MERGED,))
            self._merging = db.total_changes - before >= 2  # as FTS5's documentation tells when it is done
        return self._merging

    # -- batches

    def _keep(self, db: sqlite3.Connection, network: bytes, wish: Keep, now: float) -> None:
        batch, keyed = wish.slice.batch, wish.keyed or bool(wish.postings)
        where = _row_of(db, "networks", network)
        publisher = _row_of(db, "publishers", batch.publisher)
        row, have = self._renew(db, where, publisher, batch, keyed, now)
        keys: dict[int, list[bytes]] = {}
        for posting in wish.postings:
            keys.setdefault(posting.place, []).append(posting.key)
        for place, item in wish.slice.items.items():
            if place >= len(batch.hashes):
                continue
            short = batch.hashes[place]
            id = have.get(short)
            if not keyed and id is None:
                have[short] = self._add(db, where, row, place, publisher, item, keyed)
            elif keyed and (free := self._free(db, where, publisher, id, keys.get(place, ()))):
                if id is None:
                    id = have[short] = self._add(db, where, row, place, publisher, item, keyed)
                self._post(db, where, publisher, id, free)
        if not batch.hashes:
            db.execute("DELETE FROM batches WHERE id = ?", (row,))
            _forget_publisher(db, publisher)

    def _renew(
        self, db: sqlite3.Connection, network: int, publisher: int, batch: Batch, keyed: bool, now: float
    ) -> tuple[int, dict[bytes, int]]:
        """The row of the batch, and the ids of its items that are kept already, by their hash."""
        hashes = b"".join(batch.hashes)
        old = db.execute(
            "SELECT id, hashes, seq FROM batches WHERE publisher = ? AND network = ? AND slot = ? AND keyed = ?",
            (publisher, network, batch.slot, keyed),
        ).fetchone()
        what = (batch.seq, batch.lifetime, batch.signature, hashes)
        if old is None:
            added = db.execute(
                "INSERT INTO batches (network, publisher, slot, keyed, seq, lifetime, signature, hashes, ends) "
                "VALUES (?,?,?,?,?,?,?,?,?)",
                (network, publisher, batch.slot, keyed, *what, now + batch.lifetime),
            )
            assert added.lastrowid is not None
            return added.lastrowid, {}
        row, before, seq = old
        if seq != batch.seq or before != hashes:  # its life counts from when it was first seen
            db.execute(
                "UPDATE batches SET seq = ?, lifetime = ?, signature = ?, hashes = ?, ends = ? WHERE id = ?",
                (*what, now + batch.lifetime, row),
            )
        places: dict[bytes, int] = {}
        for place, short in enumerate(batch.hashes):
            places.setdefault(short, place)
        have: dict[bytes, int] = {}
        moved, gone = [], []
        for id, place in db.execute("SELECT id, place FROM items WHERE batch = ?", (row,)):
            short = before[HASH_BYTES * place : HASH_BYTES * (place + 1)]
            if short not in places:
                gone.append(id)
                continue
            have[short] = id
            if places[short] != place:
                moved.append((places[short], id))
        db.executemany("UPDATE items SET place = ? WHERE id = ?", moved)
        self._remove(db, network, gone, keyed)
        return row, have

    def _discard(self, db: sqlite3.Connection, network: bytes, wish: Discard) -> None:
        question = (
            "SELECT b.id, b.network, b.publisher, b.keyed FROM publishers p JOIN batches b ON b.publisher = p.id "
            "JOIN networks n ON n.id = b.network WHERE p.key = ? AND n.key = ?"
        )
        values: list[object] = [bytes(wish.publisher), network]
        for name, value in (("slot", wish.slot), ("keyed", wish.keyed)):
            if value is not None:
                question += f" AND b.{name} = ?"
                values.append(value)
        for row in db.execute(question, values).fetchall():
            self._remove_batch(db, *row)

    def _remove_batch(
        self, db: sqlite3.Connection, row: int, network: int, publisher: int, keyed: int
    ) -> None:
        ids = [id for (id,) in db.execute("SELECT id FROM items WHERE batch = ?", (row,))]
        self._remove(db, network, ids, bool(keyed))
        db.execute("DELETE FROM batches WHERE id = ?", (row,))
        _forget_publisher(db, publisher)

    # -- items

    def _add(
        self,
        db: sqlite3.Connection,
        network: int,
        batch: int,
        place: int,
        publisher: int,
        item: Item,
        keyed: bool,
    ) -> int:
        named = len(item.name) + 2  # about what `indexed` makes of it
        klass = min(named // LETTERS, (1 << CLASS_BITS) - 1)
        id = self._number(db, side(network, keyed).first + klass * CLASS)
        db.execute(
            "INSERT INTO items VALUES (?,?,?,?,?,?,?,?)",
            (id, batch, place, publisher, item.size, item.kind, ext(item.name), canonical(item)),
        )
        self._total(network)[keyed] += 1
        if not keyed:
            self._new.append((id, item))
        return id

    def _number(self, db: sqlite3.Connection, first: int) -> int:
        """The next free id of a class. One that was given is not given again while the index knows it."""
        number = self._numbers.get(first)
        if number is None:
            end = first + CLASS
            number = first
            for table in ("items", "gone"):
                (last,) = db.execute(
                    f"SELECT max(id) FROM {table} WHERE id >= ? AND id < ?", (first, end)
                ).fetchone()
                number = max(number, (last if last is not None else first - 1) + 1)
        self._numbers[first] = number + 1
        return number

    def _remove(self, db: sqlite3.Connection, network: int, ids: Sequence[int], keyed: bool) -> None:
        """Nobody finds these any more. The full-text index is cleaned of them by and by."""
        if not ids:
            return
        one = [(id,) for id in ids]
        if keyed:
            for id in ids:
                for (key,) in db.execute("SELECT key FROM postings WHERE item = ?", (id,)).fetchall():
                    self._unpost(db, network, key)
            db.executemany("DELETE FROM postings WHERE item = ?", one)
            self._under.clear()
        else:
            db.executemany("INSERT INTO gone SELECT id, body FROM items WHERE id = ?", one)
        db.executemany("DELETE FROM items WHERE id = ?", one)
        self._total(network)[keyed] -= len(ids)

    # -- postings

    def _free(
        self, db: sqlite3.Connection, network: int, publisher: int, id: int | None, keys: Sequence[bytes]
    ) -> list[list[int]]:
        """Those of `keys` that have room for one more of this publisher, and not yet this item."""
        free = []
        for key in dict.fromkeys(keys):
            entry = self._key(db, network, key)
            row, count = entry
            if count >= self._settings.per_key:
                continue
            under = self._under.get((row, publisher))
            if under is None:
                (under,) = db.execute(
                    "SELECT count(*) FROM postings WHERE key = ? AND publisher = ?", (row, publisher)
                ).fetchone()
                self._under[row, publisher] = under
            if under >= self._settings.per_publisher_key:
                continue
            if id is not None:
                where = (row, publisher, id)
                if db.execute(
                    "SELECT 1 FROM postings WHERE key = ? AND publisher = ? AND item = ?", where
                ).fetchone():
                    continue
            free.append(entry)
        return free

    def _post(
        self, db: sqlite3.Connection, network: int, publisher: int, id: int, free: list[list[int]]
    ) -> None:
        db.executemany("INSERT INTO postings VALUES (?,?,?)", [(row, publisher, id) for row, _ in free])
        for entry in free:
            entry[1] += 1
            self._under[entry[0], publisher] += 1
        self._total(network)[2] += len(free)

    def _key(self, db: sqlite3.Connection, network: int, key: bytes) -> list[int]:
        """Row and number of postings of a key, written back at the end of the transaction."""
        entry = self._keys.get((network, key))
        if entry is None:
            found = db.execute(
                "SELECT id, postings FROM keys WHERE key = ? AND network = ?", (key, network)
            ).fetchone()
            if found is None:
                added = db.execute("INSERT INTO keys (network, key, postings) VALUES (?,?,0)", (network, key))
                assert added.lastrowid is not None
                found = (added.lastrowid, 0)
            entry = self._by_row.setdefault(found[0], list(found))
            self._keys[network, key] = entry
        return entry

    def _unpost(self, db: sqlite3.Connection, network: int, key: int) -> None:
        if key not in self._by_row:
            found = db.execute("SELECT id, postings FROM keys WHERE id = ?", (key,)).fetchone()
            self._by_row[key] = list(found)
        self._by_row[key][1] -= 1
        self._total(network)[2] -= 1

    def _total(self, network: int) -> list[int]:
        """What is added to home, keyed, postings of a network."""
        return self._totals.setdefault(network, [0, 0, 0])

    # -- the end of a transaction

    def _finish(self, db: sqlite3.Connection) -> tuple[bool, set[str]]:
        """What is best done for many items together. Returns as `carry_out`."""
        db.executemany(
            "UPDATE keys SET postings = ? WHERE id = ?", [(c, row) for row, c in self._by_row.values() if c]
        )
        db.executemany("DELETE FROM keys WHERE id = ?", [(row,) for row, c in self._by_row.values() if not c])
        db.executemany(
            "INSERT INTO totals VALUES (?,?,?,?) ON CONFLICT (network) DO UPDATE SET home = home + excluded.home, "
            "keyed = keyed + excluded.keyed, postings = postings + excluded.postings",
            [(network, *some) for network, some in self._totals.items() if any(some)],
        )
        new, self._new = self._new, []
        for noted in (self._totals, self._keys, self._by_row, self._under):
            noted.clear()
        went = [
            (id, item_of(body))
            for id, body in db.execute("SELECT id, body FROM gone ORDER BY id LIMIT ?", (CLEANED,))
        ]
        words = _index(db, "found", new) | _index(db, "found, 'delete'", went)
        self._count(db, [(1, *one) for one in new] + [(-1, *one) for one in went])
        db.executemany("DELETE FROM gone WHERE id = ?", [(id,) for id, _ in went])
        if changed := len(new) + len(went):
            db.execute("INSERT INTO found (found, rank) VALUES ('merge', ?)", (LEAST_MERGED + changed // 4,))
        return len(went) == CLEANED, words

    def _count(self, db: sqlite3.Connection, some: list[tuple[int, int, Item]]) -> None:
        """How many items have each word and each mark, and how many have it in their name: some more, or fewer (-1)."""
        items: Counter[tuple[int, str]] = Counter()
        named: Counter[tuple[int, str]] = Counter()
        for sign, id, item in some:
            network = id // (2 * SIDE)
            for word in (*words_of(item), *marks(item)):
                items[network, word] += sign
            for word in set(indexed(item.name).split()):
                named[network, word] += sign
        changes = sorted((*word, count, named[word]) for word, count in items.items() if count or named[word])
        db.executemany(
            "INSERT INTO words VALUES (?,?,?,?) ON CONFLICT (network, word) DO UPDATE SET "
            "items = items + excluded.items, named = named + excluded.named",
            changes,
        )
        db.executemany(
            "DELETE FROM words WHERE network = ? AND word = ? AND items <= 0",
            [(network, word) for network, word, count, _ in changes if count < 0],
        )


def _index(db: sqlite3.Connection, what: str, some: list[tuple[int, Item]]) -> set[str]:
    """Put into the full-text index, or take out of it. In the order of ids, which it wants. Returns the words."""
    command = what != "found"
    into = f"INSERT INTO found ({'found, ' if command else ''}rowid, {COLUMNS}) VALUES "
    one = "('delete',?,?,?,?,?,?,?)" if command else "(?,?,?,?,?,?,?)"
    words: set[str] = set()
    waiting = iter(sorted(some, key=lambda pair: pair[0]))
    while rows := list(islice(waiting, TOGETHER)):
        values: list[object] = []
        for id, item in rows:
            cut = texts(item)
            values += (id, *cut)
            for text in cut:
                words.update(text.split())
        db.execute(into + ",".join([one] * len(rows)), values)
    return words


def _bytes_in(db: sqlite3.Connection) -> int:
    """Of the file, without the pages that are free."""
    pages, free, size = (
        db.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def _row_of(db: sqlite3.Connection, table: str, key: bytes) -> int:
    found = db.execute(f"SELECT id FROM {table} WHERE key = ?", (bytes(key),)).fetchone()
    if found is not None:
        return int(found[0])
    added = db.execute(f"INSERT INTO {table} (key) VALUES (?)", (bytes(key),))
    assert added.lastrowid is not None
    return added.lastrowid


def _forget_publisher(db: sqlite3.Connection, publisher: int) -> None:
    db.execute(
        "DELETE FROM publishers WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM batches WHERE publisher = ?1)",
        (publisher,),
    )
