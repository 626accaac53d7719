"""A process of its own that hashes ranges of files, since threads wait for each other in the interpreter.

Run as a script with nothing but the standard library and `tree.py` beside it. Reads jobs from standard input,
writes answers to standard output, ends when its parent is gone. It is never imported.

Job: `>HQQI` length of the path, offset, size, piece length; the path. The range begins at a piece's border.
Answer: `>iQQI` errno or 0 (-1: the file is shorter), the file's size and modification time in ns, length of
what follows; the range's piece hashes.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO

JOB = Struct(">HQQI")
ANSWER = Struct(">iQQI")
READ = 1024 * 1024
SHORTER = -1


def load_tree() -> Any:
    """`tree.py`, without the package around it and all that its import would cost."""
    spec = importlib.util.spec_from_file_location("tree", Path(__file__).with_name("tree.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hash_range(tree: Any, path: bytes, offset: int, size: int, piece_length: int, view: memoryview) -> bytes:
    """The answer to one job."""
    try:
        with open(path, "rb", buffering=0) as file:
            file.seek(offset)
            leaves = []
            while size:
                want, got = min(len(view), size), 0
                while got < want:
                    count = file.readinto(view[got:want])
                    if not count:
                        return ANSWER.pack(SHORTER, 0, 0, 0)
                    got += count
                leaves.append(tree.hash_blocks(view[:want]))
                size -= want
            seen = os.fstat(file.fileno())
    except OSError as wrong:
        return ANSWER.pack(wrong.errno or 5, 0, 0, 0)
    layer: bytes = tree.piece_layer(b"".join(leaves), piece_length)
    return ANSWER.pack(0, seen.st_size, max(0, seen.st_mtime_ns), len(layer)) + layer


def serve(jobs: BinaryIO, answers: BinaryIO) -> None:
    """Until `jobs` ends."""
    tree = load_tree()
    view = memoryview(bytearray(READ))
    while len(head := jobs.read(JOB.size)) == JOB.size:
        length, offset, size, piece_length = JOB.unpack(head)
        path = jobs.read(length)
        answers.write(hash_range(tree, path, offset, size, piece_length, view))
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
