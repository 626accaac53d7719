"""What the node remembers of shares and transfers over a restart: two tables, and their rows. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from msgspec import Struct

from servent.blobs import history
from servent.blobs.canonical import canonical_info, is_canonical
from servent.blobs.info import Collection
from servent.blobs.listing import describe
from servent.blobs.magnet import Magnet
from servent.identity import PeerId

ROOM = "blobs"
STEPS = (
    """
    CREATE TABLE shares (
        infohash BLOB PRIMARY KEY, root TEXT NOT NULL, path TEXT NOT NULL, info BLOB NOT NULL,
        files BLOB NOT NULL, layers BLOB NOT NULL, added REAL NOT NULL
    );
    CREATE TABLE transfers (
        id TEXT PRIMARY KEY, infohash BLOB NOT NULL, body BLOB NOT NULL, info BLOB
    )
    """,
    history.STEP,
)

State = Literal[
    "connecting", "metadata", "queued", "active", "paused", "checking", "complete", "failed", "cancelled"
]
ENDED: frozenset[State] = frozenset(("complete", "failed", "cancelled"))
Priority = Literal["low", "normal", "high"]
LEVELS: dict[Priority, int] = {"high": 0, "normal": 1, "low": 2}


class Files(Struct, array_like=True):
    """Where the files of a share lie: their paths below its root, and their modification times in ns."""

    paths: list[tuple[str, ...]]
    stamps: list[int]


class _Body(Struct):
    link: str
    name: str
    to: str
    state: State
    reason: str
    contacts: list[str]
    error: str | None
    advice: str | None
    size_bytes: int
    done_bytes: int
    files: int
    started: float
    finished: float | None
    path: str | None
    priority: Priority = "normal"
    order: float = 0.0
    foreground: bool = False
    in_order: bool = False
    preview: bool = False
    wanted: list[int] | None = None
    only: list[bytes] = []
    called: str = ""
    by_content: bool = False
    touched: bool = True
    patterns: list[str] = []
    shared: bytes = b""


@dataclass(frozen=True, slots=True)
class How:
    """How something is to be fetched; the words of `Row`. `paused`: put into the queue, begun when told to.

    `info`: its info dictionary, where that is known already (see `blobs.canonical`).
    """

    priority: Priority = "normal"
    paused: bool = False
    foreground: bool = False
    in_order: bool = False
    preview: bool = False
    wanted: Sequence[int] | None = None
    only: Sequence[PeerId] = ()
    called: str = ""
    by_content: bool = False
    info: bytes | None = None
    patterns: Sequence[str] = ()


@dataclass(eq=False, slots=True)
class Row:
    """One transfer. `started` and `finished` are wall clock.

    Attributes:
        order: place among those of its priority; the smallest is next. `foreground`: the user waits for it.
        in_order: from its beginning on, for a player. `preview`: to look at; it leaves by itself.
        wanted: indexes of the files to fetch; None: all. `patterns`: they are chosen by these once it is known what there is.
        called: what it is called here instead of what the collection says; "": as it says.
        by_content: peers who do not know the collection are asked for what they have of it.
        touched: it ran at least once, so there may be something of it on disk.
        shared: infohash of what is shared of it here, where that is another: it is of BitTorrent version 1.
        only: private: nobody but these peers is asked for it, and it is served to nobody. Empty: not private.
    """

    id: str
    infohash: bytes
    link: str
    name: str
    to: str
    started: float
    contacts: list[str] = field(default_factory=list)
    state: State = "connecting"
    reason: str = ""
    error: str | None = None
    advice: str | None = None
    size_bytes: int = 0
    done_bytes: int = 0
    files: int = 0
    finished: float | None = None
    path: str | None = None
    priority: Priority = "normal"
    order: float = 0.0
    foreground: bool = False
    in_order: bool = False
    preview: bool = False
    wanted: list[int] | None = None
    only: list[bytes] = field(default_factory=list)
    called: str = ""
    by_content: bool = False
    touched: bool = False
    patterns: list[str] = field(default_factory=list)
    shared: bytes = b""
    info: bytes | None = None

    @property
    def share(self) -> bytes:
        """Under which infohash it is shared here when it is complete."""
        return self.shared or self.infohash

    @property
    def at_once(self) -> bool:
        """Whether a person waits for it: it does not wait for its turn."""
        return self.foreground or self.in_order or self.preview

    def set(self, state: State, reason: str, *, error: str | None = None, advice: str | None = None) -> None:
        """State and why; an old error goes with it."""
        self.state, self.reason, self.error, self.advice = state, reason, error, advice

    def describe(self, collection: Collection) -> None:
        """What the collection says of itself; the name of a content is what its link says, if that says any."""
        if not self.called and self.name != self.infohash.hex()[:16] and is_canonical(collection):
            self.called = "" if self.name == collection.name else self.name
        self.name = self.called or collection.name
        self.size_bytes, self.files = collection.size, len(collection.files)
        if self.wanted is not None:
            self.wanted = [index for index in self.wanted if index < self.files]
            self.size_bytes = sum(collection.files[index].size for index in self.wanted)

    def pack(self) -> bytes:
        """As `unpack` reads it; without `info`, which never changes."""
        return msgspec.msgpack.encode(
            _Body(**{name: getattr(self, name) for name in _Body.__struct_fields__})
        )


def unpack(id: str, infohash: bytes, body: bytes, info: bytes | None) -> Row:
    """A row from its columns. Raises msgspec.ValidationError: not written by us."""
    read = msgspec.msgpack.decode(body, type=_Body)
    return Row(id, infohash, info=info, **{name: getattr(read, name) for name in _Body.__struct_fields__})


def load(db: Any) -> list[Row]:
    """All transfers, oldest first. A job for the store."""
    found = [
        unpack(id, infohash, body, info)
        for id, infohash, body, info in db.execute("SELECT id, infohash, body, info FROM transfers")
    ]
    return sorted(found, key=lambda row: row.started)


Packed = tuple[str, bytes, bytes, bytes | None]


def packed(row: Row) -> Packed:
    """Its columns as they are now."""
    return row.id, row.infohash, row.pack(), row.info


def writer(values: Sequence[Packed], gone: Sequence[str]) -> Callable[[Any], None]:
    """A job for the store that writes and deletes these."""

    def write(db: Any) -> None:
        db.executemany(
            "INSERT INTO transfers VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body, "
            "info = coalesce(transfers.info, excluded.info)",
            values,
        )
        db.executemany("DELETE FROM transfers WHERE id = ?", [(id,) for id in gone])

    return write


def begun(id: str, link: Magnet, text: str, folder: str, how: How, order: float, wall: float) -> Row:
    """A new row.

    Args:
        text: the link as it was typed; "" where there was none.
        wall: wall clock.
    """
    info = how.info or (canonical_info(*link.content) if link.content is not None else None)
    row = Row(
        id,
        link.infohash,
        text,
        how.called or link.name or link.infohash.hex()[:16],
        folder,
        wall,
        list(link.contacts),
        reason="starting",
        priority=how.priority,
        order=order,
        foreground=how.foreground,
        in_order=how.in_order,
        preview=how.preview,
        wanted=None if how.wanted is None else list(how.wanted),
        called=how.called,
        by_content=how.by_content,
        info=info,
        only=[bytes(peer) for peer in how.only],
        patterns=list(how.patterns),
    )
    if row.info is not None:
        row.describe(describe(row.info, row.infohash))
    return row
