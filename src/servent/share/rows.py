"""The tables of `library.db`: shared folders, their directories and files. Pure.

The library lies in a database of its own: it can be made again from the disk, it is large, and indexing a
million files must not keep the node's own small writes waiting.

A file is known by what `stat` says (size, mtime, inode) until its content is hashed. `root` is its BEP 52
pieces root, `layer` its piece layer at the piece length `blobs.info.piece_length_for(size)` (empty for a file of one
piece or less), `canon` the infohash of its canonical collection (`blobs.canonical`), by which any peer who has
the same bytes serves them. Directories carry the sums of everything below, so that browsing never counts.
"""

from __future__ import annotations

ROOM = "share.library"
STEPS = (
    """
    CREATE TABLE folders (
        id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, body BLOB NOT NULL
    );
    CREATE TABLE dirs (
        id INTEGER PRIMARY KEY, folder INTEGER NOT NULL, parent INTEGER, name TEXT NOT NULL,
        files INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, mtime_ns INTEGER NOT NULL DEFAULT 0
    );
    CREATE UNIQUE INDEX dirs_by_parent ON dirs (folder, parent, name);
    CREATE TABLE files (
        id INTEGER PRIMARY KEY, folder INTEGER NOT NULL, dir INTEGER NOT NULL, name TEXT NOT NULL,
        size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, inode INTEGER NOT NULL, kind INTEGER NOT NULL DEFAULT 0,
        root BLOB, canon BLOB, layer BLOB, tags BLOB, added REAL NOT NULL
    );
    CREATE UNIQUE INDEX files_by_name ON files (dir, name);
    CREATE INDEX files_by_root ON files (root) WHERE root IS NOT NULL;
    CREATE INDEX files_by_canon ON files (canon) WHERE canon IS NOT NULL;
    CREATE INDEX files_unhashed ON files (folder, size) WHERE root IS NULL;
    """,
    # What was hashed and is not there any more, to know it again when it turns up elsewhere; what is held back.
    """
    CREATE TABLE ghosts (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        inode INTEGER NOT NULL, kind INTEGER NOT NULL, root BLOB NOT NULL, layer BLOB, tags BLOB, gone REAL NOT NULL
    );
    CREATE INDEX ghosts_by_size ON ghosts (size, mtime_ns);
    CREATE INDEX ghosts_by_age ON ghosts (gone);
    CREATE INDEX files_by_inode ON files (inode) WHERE root IS NOT NULL;
    CREATE TABLE held (
        folder INTEGER NOT NULL, dir TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,
        why TEXT NOT NULL, PRIMARY KEY (folder, dir, name)
    ) WITHOUT ROWID;
    """,
    # What waits to be hashed in the order in which it lies in the database (and mostly on the disk), big files last.
    """
    DROP INDEX files_unhashed;
    CREATE INDEX files_waiting ON files (folder, size > 16777216) WHERE root IS NULL AND size > 0;
    DROP INDEX files_by_inode;
    CREATE INDEX files_by_inode ON files (inode);
    """,
)
FOLDERS_ROOM = "share.folders"  # in the node's database: what a person decided cannot be made again
FOLDERS_STEPS = ("CREATE TABLE share_folders (id INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL)",)
