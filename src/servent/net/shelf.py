"""The address book on disk: one row per peer, written when it changed."""

from __future__ import annotations

from typing import Any

import msgspec

from servent.codec import Decoder
from servent.errors import BadMessage
from servent.identity import PeerId
from servent.net.book import Book, Entry
from servent.store import Store

ROOM = "net"
STEPS = ["CREATE TABLE net_peers (peer BLOB PRIMARY KEY, entry BLOB NOT NULL) WITHOUT ROWID"]


class _Row(msgspec.Struct, array_like=True, frozen=True):
    relay: str | None
    addresses: dict[str, float]
    heard: float
    met: float
    teller: bytes | None
    kept: bool


_rows: Decoder[_Row] = Decoder(_Row)


class Shelf:
    """Keeps a Book in a Store. Make it before the store is opened: it declares its table.

    With `store` None the book lives only as long as the process.
    """

    def __init__(self, store: Store | None) -> None:
        self._store = store
        if store is not None:
            store.migrate(ROOM, STEPS)

    async def load(self, book: Book, wall_now: float) -> None:
        """Take over every entry that still reads and has not expired."""
        if self._store is None:
            return
        rows = await self._store.read(_select)
        for peer, body in rows:
            try:
                row = _rows.decode(body)
                teller = None if row.teller is None else PeerId(row.teller)
                entry = Entry(row.relay, row.addresses, row.heard, row.met, teller, row.kept)
                book.load(PeerId(peer), entry, wall_now)
            except (BadMessage, ValueError):  # of another version: where peers are is soon known again
                continue

    async def save(self, book: Book) -> None:
        """Write what changed since the last time."""
        dirty, book.dirty = book.dirty, set()
        if self._store is None or not dirty:
            return
        changed = {bytes(peer): None if (entry := book.get(peer)) is None else _pack(entry) for peer in dirty}

        def write(db: Any) -> None:
            for peer, body in changed.items():
                if body is None:
                    db.execute("DELETE FROM net_peers WHERE peer = ?", (peer,))
                else:
                    db.execute("INSERT OR REPLACE INTO net_peers VALUES (?, ?)", (peer, body))

        try:
            await self._store.write(write)
        except BaseException:
            book.dirty |= dirty
            raise


def _select(db: Any) -> list[tuple[bytes, bytes]]:
    return list(db.execute("SELECT peer, entry FROM net_peers"))


def _pack(entry: Entry) -> bytes:
    teller = None if entry.teller is None else bytes(entry.teller)
    return msgspec.msgpack.encode(
        _Row(entry.relay, entry.addresses, entry.heard, entry.met, teller, entry.kept)
    )
