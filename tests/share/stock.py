"""A library filled by hand: files on the disk, hashed the slow and plain way, and their rows in `library.db`."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from servent.blobs import info, tree
from servent.blobs.canonical import canon
from servent.identity import PeerId
from servent.node import Node


def root_and_layer(data: bytes) -> tuple[bytes, bytes]:
    """The pieces root, and the piece layer as the library keeps it."""
    leaves = tree.hash_blocks(data)
    length = info.piece_length_for(len(data))
    layer = tree.piece_layer(leaves, length) if tree.has_layer(len(data), length) else b""
    return tree.root_of_layer(leaves), layer


async def stock(node: Node, folder: int, path: Path, *, hashed: bool = True) -> dict[str, int]:
    """Put all of `path` into the node's library as shared folder `folder`; ids of its directories by path."""
    found = {}
    directories: dict[str, int] = {}
    for place, _, names in sorted(os.walk(path)):
        directories[os.path.relpath(place, path)] = folder * 1000 + len(directories)
        found[place] = sorted(names)

    def write(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM files WHERE folder = ?", (folder,))
        db.execute("DELETE FROM dirs WHERE folder = ?", (folder,))
        db.execute("INSERT OR REPLACE INTO folders VALUES (?, ?, x'')", (folder, str(path)))
        for place, names in found.items():
            relative = os.path.relpath(place, path)
            above = None if relative == "." else directories[os.path.dirname(relative) or "."]
            own = directories[relative]
            count = sum(len(these) for other, these in found.items() if (other + "/").startswith(place + "/"))
            name = "" if above is None else os.path.basename(place)
            db.execute("INSERT INTO dirs VALUES (?, ?, ?, ?, ?, 0, 0)", (own, folder, above, name, count))
            for file in names:
                seen = os.stat(os.path.join(place, file))
                data = Path(place, file).read_bytes()
                root, layer = root_and_layer(data) if data and hashed else (None, b"")
                db.execute(
                    "INSERT INTO files (folder, dir, name, size, mtime_ns, inode, root, canon, layer, added) "
                    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
                    (folder, own, file, seen.st_size, seen.st_mtime_ns, seen.st_ino, root,
                     canon(root, len(data)) if root else None, layer),
                )  # fmt: skip

    await node.share.library_store.write(write)
    node.share.content.copied_from = lambda: None  # the library itself does not know of this folder
    return directories


def let_see(node: Node, seen: dict[PeerId, set[int]]) -> None:
    """Who may see which folders of this node."""
    node.share.folders_for = lambda peer: frozenset(seen.get(peer, ()))
    node.blobs.check_rights()
