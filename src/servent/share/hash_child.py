"""A process of its own that hashes for the library: many small files, or a range of a big one, for each job.

Run as a script with nothing but the standard library and `blobs/tree.py`; the node imports it for little work. It ends when
its parent is gone. Jobs and answers are `marshal` behind a length of 4 bytes, on a pipe that nobody else holds.

Job: ("files", folder, [(path below it, size, mtime in ns, piece length)]) or ("range", path, offset, size, piece length,
size of the file, mtime in ns). Answer: for each file, or for the range, (state, root, layer, head): errno, 0 or
`CHANGED`; of a range the root is empty. `head` is how the content begins.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import stat
import sys
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO

LENGTH = Struct(">I")
READ = 1024 * 1024
CHANGED = -1  # the file is not what it was when it was found
HEAD = 64  # bytes
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOFOLLOW", 0)
)

Answer = tuple[int, bytes, bytes, bytes]


def load_tree() -> Any:
    """`blobs/tree.py`, without the package around it."""
    path = Path(__file__).resolve().parent.parent / "blobs" / "tree.py"
    spec = importlib.util.spec_from_file_location("tree", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def _leaves(tree: Any, handle: int, size: int, view: memoryview) -> tuple[bytes, bytes] | None:
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


def hash_file(
    tree: Any, view: memoryview, path: bytes | str, size: int, mtime_ns: int, length: int
) -> Answer:
    """Root and layer of a whole file."""
    try:
        handle = os.open(path, _FLAGS)
    except OSError as wrong:
        return wrong.errno or 5, b"", b"", b""
    try:
        found = _leaves(tree, handle, size, view)
        if found is None or not _is_same(handle, size, mtime_ns):
            return CHANGED, b"", b"", b""
    except OSError as wrong:
        return wrong.errno or 5, b"", b"", b""
    finally:
        os.close(handle)
    leaves, head = found
    if size <= length:
        return 0, tree.root_of_layer(leaves), b"", head
    layer = tree.piece_layer(leaves, length)
    return 0, tree.root_of_pieces(layer, length), layer, head


def hash_range(
    tree: Any,
    view: memoryview,
    path: bytes | str,
    offset: int,
    want: int,
    length: int,
    size: int,
    mtime_ns: int,
) -> Answer:
    """The piece hashes of a range that begins at a piece's border."""
    try:
        handle = os.open(path, _FLAGS)
    except OSError as wrong:
        return wrong.errno or 5, b"", b"", b""
    try:
        os.lseek(handle, offset, os.SEEK_SET)
        found = _leaves(tree, handle, want, view)
        if found is None or not _is_same(handle, size, mtime_ns):
            return CHANGED, b"", b"", b""
    except OSError as wrong:
        return wrong.errno or 5, b"", b"", b""
    finally:
        os.close(handle)
    leaves, head = found
    return 0, b"", tree.piece_layer(leaves, length), head if not offset else b""


def answer(tree: Any, job: Any, view: memoryview) -> list[Answer]:
    """What a job comes to."""
    if job[0] == "range":
        return [hash_range(tree, view, *job[1:])]
    _, folder, files = job
    prefix = os.path.join(folder, b"" if isinstance(folder, bytes) else "")
    return [hash_file(tree, view, prefix + path, *rest) for path, *rest in files]


def serve(jobs: BinaryIO, answers: BinaryIO) -> None:
    """Until `jobs` ends."""
    tree = load_tree()
    view = memoryview(bytearray(READ))
    while len(head := jobs.read(LENGTH.size)) == LENGTH.size:
        body = marshal.dumps(answer(tree, marshal.loads(jobs.read(*LENGTH.unpack(head))), view))
        answers.write(LENGTH.pack(len(body)) + body)
        answers.flush()


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(19)
    serve(sys.stdin.buffer, sys.stdout.buffer)
