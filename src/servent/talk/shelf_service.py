"""The memory of rooms on the disk: what is passed on lies as it was signed, what is shown lies in the history. See `shelf`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import msgspec

from servent.codec import canonical, encode
from servent.store import Store
from servent.talk import history, records, texts
from servent.talk.history_service import History
from servent.talk.records import Act, Body, Message
from servent.talk.shelf import KeptRoom, Row

if TYPE_CHECKING:
    import sqlite3

ROOM = "talk.rooms"
STEPS = (
    """
    CREATE TABLE room (id BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE room_act (room BLOB NOT NULL, id BLOB NOT NULL, body BLOB NOT NULL, PRIMARY KEY (room, id)) WITHOUT ROWID;
    CREATE TABLE room_message (
        room BLOB NOT NULL, id BLOB NOT NULL, body BLOB NOT NULL, PRIMARY KEY (room, id)
    ) WITHOUT ROWID;
    """,
)
TOGETHER = 500  # ids in one statement
_rooms: msgspec.msgpack.Decoder[KeptRoom] = msgspec.msgpack.Decoder(KeptRoom)


class DiskShelf:
    """`shelf.RoomShelf` in `talk.db`. Make it before its store is opened.

    Args:
        me: our key. my_name: what others call us, for mentions; asked again each time.
    """

    def __init__(self, store: Store, records_: History, me: bytes, my_name: Callable[[], str]) -> None:
        self._store, self._history, self._me, self._my_name = store, records_, me, my_name
        store.migrate(ROOM, STEPS)

    async def rooms(self) -> list[KeptRoom]:
        found = await self._store.read(lambda db: db.execute("SELECT body FROM room").fetchall())
        return [_rooms.decode(body) for (body,) in found]

    async def keep_room(self, room: KeptRoom) -> None:
        body = encode(room)
        await self._store.write(lambda db: db.execute("REPLACE INTO room VALUES (?, ?)", (room.id, body)))

    async def forget_room(self, room: bytes) -> None:
        """Messages stay as history, and are passed on no more."""

        def job(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM room WHERE id = ?", (room,))
            db.execute("DELETE FROM room_act WHERE room = ?", (room,))
            db.execute("DELETE FROM room_message WHERE room = ?", (room,))

        await self._store.write(job)

    async def acts(self, room: bytes) -> list[Act]:
        rows = await self._store.read(
            lambda db: db.execute("SELECT body FROM room_act WHERE room = ?", (room,)).fetchall()
        )
        return [records.acts.decode(body) for (body,) in rows]

    async def keep_acts(self, room: bytes, acts: Sequence[Act]) -> None:
        rows = [(room, records.act_id(act), canonical(act)) for act in acts]
        await self._store.write(
            lambda db: db.executemany("INSERT OR IGNORE INTO room_act VALUES (?, ?, ?)", rows)
        )

    async def load(self, room: bytes) -> list[Message]:
        rows = await self._store.read(
            lambda db: db.execute("SELECT body FROM room_message WHERE room = ?", (room,)).fetchall()
        )
        return [records.messages.decode(body) for (body,) in rows]

    async def append(self, room: bytes, rows: Sequence[Row]) -> None:
        conversation = name_of(room)
        name = self._my_name()

        def job(db: sqlite3.Connection) -> None:
            read = history.read_place(db, conversation)
            for row in rows:
                self._append(db, room, row)
                if row.message.takes is None and not row.cover:
                    history.add(db, self._shown(conversation, row, name, read))

        await self._history.write(conversation, job)

    def _append(self, db: sqlite3.Connection, room: bytes, row: Row) -> None:
        found = db.execute(
            "SELECT body FROM room_message WHERE room = ? AND id = ?", (room, row.id)
        ).fetchone()
        message = row.message
        if found is not None:
            before = records.messages.decode(found[0])
            whole = before if isinstance(before.body, Body) or row.cover else message
            signature = before.signature if any(before.signature) else message.signature
            message = msgspec.structs.replace(whole, signature=signature)
        db.execute("REPLACE INTO room_message VALUES (?, ?, ?)", (room, row.id, encode(message)))

    def _shown(self, conversation: str, row: Row, name: str, read: str) -> history.Row:
        message = row.message
        gone = row.removed or not isinstance(message.body, Body)
        body = message.body if isinstance(message.body, Body) else Body()
        text, links = ("", ()) if gone else texts.received(body.text, body.links)
        place = records.order_of(message)
        new = not row.own and not gone and place > read
        return history.Row(
            conversation, row.id, message.author, place, message.time / 1000, row.received,
            state=history.WAITING if row.own else history.RECEIVED, unread=new, mention=new and texts.names(text, name),
            removed=gone, text=text, attachments=links, reply_to=body.reply_to,
        )  # fmt: skip

    async def messages(self, room: bytes, ids: Collection[bytes]) -> list[Message]:
        wanted = list(ids)

        def job(db: sqlite3.Connection) -> list[bytes]:
            found: list[bytes] = []
            for at in range(0, len(wanted), TOGETHER):
                some = wanted[at : at + TOGETHER]
                marks = ",".join("?" * len(some))
                rows = db.execute(
                    f"SELECT body FROM room_message WHERE room = ? AND id IN ({marks})", (room, *some)
                )
                found += [body for (body,) in rows]
            return found

        return [records.messages.decode(body) for body in await self._store.read(job)]

    async def strip(self, room: bytes, ids: Collection[bytes]) -> None:
        conversation = name_of(room)

        def job(db: sqlite3.Connection) -> None:
            for id in ids:
                found = db.execute(
                    "SELECT body FROM room_message WHERE room = ? AND id = ?", (room, id)
                ).fetchone()
                if found is not None:
                    bare = encode(_bare(records.messages.decode(found[0])))
                    db.execute("UPDATE room_message SET body = ? WHERE room = ? AND id = ?", (bare, room, id))
            history.take_back(db, conversation, ids)

        await self._history.write(conversation, job)

    async def prune(self, room: bytes, ids: Collection[bytes]) -> None:
        """They stay as history."""
        gone = [(room, id) for id in ids]
        await self._store.write(
            lambda db: db.executemany("DELETE FROM room_message WHERE room = ? AND id = ?", gone)
        )


def _bare(message: Message) -> Message:
    return msgspec.structs.replace(message, body=records.body_hash(message.body))


def name_of(room: bytes) -> str:
    """What the conversation of a room is called."""
    return f"room:{room.hex()}"
