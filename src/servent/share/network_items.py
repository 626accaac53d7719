"""What of the library is told to the networks: files of folders for them, as items of the overlay. Jobs for the library's reader. Pure.

Only folders whose audience is "network" are told of; what friends or named peers alone may see is found by asking this node.
What is served by link alone is told by a hash of the link: who has the link finds it, who looks for words does not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from servent.overlay.records import Item
from servent.query.words import shown
from servent.share.folding import Found
from servent.share.shelves import Paths, Shelf, tags_of

if TYPE_CHECKING:
    import sqlite3

MOST_NAME = 200  # as overlay.records.Item
MOST_WHERE = 200
MOST_TAG = 120
TAGS = ("title", "artist", "album", "albumartist", "genre", "year", "duration", "bitrate")
LINKED = "link"  # a tag of items that stand for a link: who has the link finds who serves it, and nobody else

Tags = dict[str, str | int]


def newest(
    shelves: Sequence[Shelf], limit: int, blocked: Callable[[bytes], bool]
) -> Callable[[sqlite3.Connection], list[Item]]:
    """A job: the `limit` files of these shelves that came last, each content once."""

    def job(db: sqlite3.Connection) -> list[Item]:
        if not shelves or limit <= 0:
            return []
        paths = Paths(db, shelves)
        marks = ",".join("?" * len(shelves))
        found: dict[bytes, Item] = {}
        rows = db.execute(
            "SELECT folder, dir, name, kind, size, mtime_ns, root, tags FROM files"
            f" WHERE root IS NOT NULL AND size > 0 AND folder IN ({marks}) ORDER BY id DESC",
            tuple(shelf.id for shelf in shelves),
        )
        for folder, directory, name, kind, size, stamp, root, tags in rows:
            if root in found or blocked(root):
                continue
            above = paths.of(folder, directory)
            if above:
                found[root] = item(root, size, kind, name, above, told(tags_of(tags)), stamp // 10**9)
                if len(found) == limit:
                    break
        return list(found.values())

    return job


def item(content: bytes, size: int, kind: int, name: str, where: str, tags: Tags, modified: int) -> Item:
    """An item within the limits of one: what is too long is cut."""
    return Item(
        content, size, kind, shown(name, MOST_NAME) or "?", shown(where, MOST_WHERE), tags, max(0, modified)
    )


def linked(infohash: bytes) -> bytes:
    """Under what those are found who serve a link. Nobody learns the link from it, which is all it takes to fetch."""
    return sha256(b"servent/link/1\0" + infohash).digest()


def of_link(infohash: bytes) -> Item:
    """That we serve this link: no name, no size, no infohash."""
    name = linked(infohash)
    return Item(name, 0, 0, name.hex()[:32], "", {LINKED: 1})


def told(tags: dict[str, str | int | float]) -> Tags:
    """Those tags that a network is told."""
    found: Tags = {}
    for name in TAGS:
        value = tags.get(name)
        if isinstance(value, str) and value:
            found[name] = shown(value, MOST_TAG)
        elif isinstance(value, (int, float)) and abs(value) < 2**53:
            found[name] = round(value)
    return found


def found(one: Item, score: float) -> Found:
    """An item that came back, as a find."""
    path = shown(f"{one.where}/{one.name}" if one.where else one.name, MOST_WHERE + 1 + MOST_NAME)
    tags = {
        name: shown(value, MOST_TAG) if isinstance(value, str) else value for name, value in one.tags.items()
    }
    return Found(one.content, one.size, path, one.kind, float(one.modified), tags, score)
