"""A process of its own that hashes for the library: many small files, or a range of a big one, for each job.

Run as a script with nothing but the standard library and our own pure modules; the node imports it for little work. It
ends when its parent is gone. Jobs and answers are `marshal` behind a length of 4 bytes, on a pipe that nobody else holds.
What else costs the node's interpreter time for each file is done here, too: its canonical infohash, its kind, and its words
for the index.

Job: ("files", folder, [File]) or ("range", folder, path, offset, size, piece length, size of the file, mtime in ns). Answer:
for each file, or for the range, an `Answer`. No link below the folder is followed.
"""

from __future__ import annotations

import gc
import marshal
import os
import stat
import sys
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO, NamedTuple

LENGTH = Struct(">I")
READ = 1024 * 1024
CHANGED = -1  # the file is not what it was when it was found
HEAD = 64  # bytes
KEY_SIZE = 65536  # bytes; a file with a private key is never so large
if __name__ == "__main__":  # as a script we are nobody's package; ours lies two folders above
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from servent.blobs import tree
from servent.blobs.canonical import canon
from servent.blobs.files import Folder
from servent.query import kinds
from servent.share import index
from servent.share.sensitive import holds_key


class File(NamedTuple):
    """What to hash, and what the index is to know of it. `path` is below the job's folder, `where` is for people."""

    path: bytes
    size: int
    mtime_ns: int
    piece_length: int
    id: int
    folder: int
    where: str
    name: str
    kind: str  # as a sniffer said; "" when none did
    tags: dict[str, Any]


class Answer(NamedTuple):
    """What came of a file. `state`: errno, 0 or `CHANGED`. Of a range only state, layer and `head` count.

    `head` is how the content begins; `key`: it is a private key; `kind` in `query.kinds.KINDS`; `texts` for the index.
    """

    state: int
    root: bytes = b""
    layer: bytes = b""
    head: bytes = b""
    key: bool = False
    kind: int = 0
    canon: bytes = b""
    texts: index.Texts | None = None


def _read(handle: int, view: memoryview) -> int:
    got = 0
    while got < len(view):
        count = os.readv(handle, [view[got:]]) if hasattr(os, "readv") else _read_copy(handle, view[got:])
        if not count:
            break
        got += count
    return got


def _read_copy(handle: int, view: memoryview) -> int:
    data = os.read(handle, len(view))
    view[: len(data)] = data
    return len(data)


def _leaves(handle: int, size: int, view: memoryview) -> tuple[bytes, bytes] | None:
    """Hashes of the next `size` bytes, and how they begin; None when there are fewer."""
    leaves: list[bytes] = []
    head = b""
    while size:
        want = min(size, len(view))
        if _read(handle, view[:want]) < want:
            return None
        if not leaves:
            head = bytes(view[: min(HEAD, want)])
        leaves.append(tree.hash_blocks(view[:want]))
        size -= want
    return b"".join(leaves), head


def _is_same(handle: int, size: int, mtime_ns: int) -> bool:
    seen = os.fstat(handle)
    return seen.st_size == size and seen.st_mtime_ns == mtime_ns and stat.S_ISREG(seen.st_mode)


def _open(folder: Folder, path: bytes) -> int:
    return folder.open(tuple(path.decode(errors="surrogateescape").split("/")), os.O_RDONLY)


def hash_file(view: memoryview, folder: Folder, file: File) -> Answer:
    """All of a file."""
    size, length = file.size, file.piece_length
    try:
        handle = _open(folder, file.path)
    except OSError as wrong:
        return Answer(wrong.errno or 5)
    try:
        found = _leaves(handle, size, view)
        if found is None or not _is_same(handle, size, file.mtime_ns):
            return Answer(CHANGED)
    except OSError as wrong:
        return Answer(wrong.errno or 5)
    finally:
        os.close(handle)
    leaves, head = found
    if size <= length:
        root, layer = tree.root_of_layer(leaves), b""
    else:
        layer = tree.piece_layer(leaves, length)
        root = tree.root_of_pieces(layer, length)
    kind = kinds.number_of(file.name, head, file.kind)
    row = index.IndexRow(file.id, file.folder, file.where, file.name, kind, size, file.tags)
    return Answer(
        0, root, layer, b"", size <= KEY_SIZE and holds_key(head), kind, canon(root, size), index.texts(row)
    )


def hash_range(
    view: memoryview,
    folder: Folder,
    path: bytes,
    offset: int,
    want: int,
    length: int,
    size: int,
    mtime_ns: int,
) -> Answer:
    """The piece hashes of a range that begins at a piece's border."""
    try:
        handle = _open(folder, path)
    except OSError as wrong:
        return Answer(wrong.errno or 5)
    try:
        os.lseek(handle, offset, os.SEEK_SET)
        found = _leaves(handle, want, view)
        if found is None or not _is_same(handle, size, mtime_ns):
            return Answer(CHANGED)
    except OSError as wrong:
        return Answer(wrong.errno or 5)
    finally:
        os.close(handle)
    leaves, head = found
    return Answer(0, b"", tree.piece_layer(leaves, length), head if not offset else b"")


def answer(job: Any, view: memoryview) -> list[Answer]:
    """What a job comes to."""
    what, root, *rest = job
    count = 1 if what == "range" else len(rest[0])
    try:
        folder = Folder(Path(os.fsdecode(root)))
    except OSError as wrong:
        return [Answer(wrong.errno or 5)] * count
    try:
        if what == "range":
            return [hash_range(view, folder, *rest)]
        return [hash_file(view, folder, File(*file)) for file in rest[0]]
    finally:
        folder.close()


def serve(jobs: BinaryIO, answers: BinaryIO) -> None:
    """Until `jobs` ends."""
    view = memoryview(bytearray(READ))
    while len(head := jobs.read(LENGTH.size)) == LENGTH.size:
        found = answer(marshal.loads(jobs.read(*LENGTH.unpack(head))), view)
        body = marshal.dumps([tuple(one) for one in found])
        answers.write(LENGTH.pack(len(body)) + body)
        answers.flush()


if __name__ == "__main__":
    gc.disable()  # nothing here makes cycles worth looking for
    if "gentle" in sys.argv and hasattr(os, "nice"):
        os.nice(19)
    serve(sys.stdin.buffer, sys.stdout.buffer)
