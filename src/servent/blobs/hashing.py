"""Hashing files fast: threads and a bounded set of buffers. SHA-256 itself runs outside the GIL."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import local
from typing import NamedTuple

from servent.blobs import info, tree
from servent.blobs.scan import Changed, Found, Scan, open_found, scan
from servent.errors import ServentError

READ = 1024 * 1024  # bytes a thread reads at once
CHUNK = 16 * 1024 * 1024  # bytes of a big file that are one job
BATCH_BYTES, BATCH_FILES = 8 * 1024 * 1024, 128  # small files that are one job together
AHEAD = 4  # jobs waiting per thread: bounds what is held, keeps threads busy

Progress = Callable[[int], None]
Cancel = Callable[[], bool]


class Cancelled(ServentError):
    """The hashing was told to stop."""


class Hashed(NamedTuple):
    """What one file hashed to; `root` None when it is empty, `layer` empty when it has one piece."""

    root: bytes | None
    layer: bytes


@dataclass(frozen=True, slots=True)
class Shared:
    """A folder or file that was hashed: everything that is needed to serve it.

    Attributes:
        root: the folder the paths are in.
        paths: of each file of the collection, as they lie on this disk.
        stamps: modification times in nanoseconds, in the same order.
        skipped: what was left out, and why.
    """

    collection: info.Collection
    root: Path
    paths: list[tuple[str, ...]]
    stamps: list[int]
    skipped: list[tuple[str, str]]


def default_threads() -> int:
    """Hashing threads for this machine: more than 4 wait for each other in the interpreter."""
    return max(1, min(4, os.cpu_count() or 1))


class _Buffers(local):
    """One read buffer for each thread."""

    def __init__(self) -> None:
        self.buffer = bytearray(READ)
        self.view = memoryview(self.buffer)


_buffers = _Buffers()


def _hash_range(handle: int, offset: int, size: int, name: str) -> bytes:
    """The leaves of a range that starts at a block's border."""
    view, leaves, end = _buffers.view, [], offset + size
    while offset < end:
        want = min(READ, end - offset)
        got = 0
        while got < want:
            count = os.preadv(handle, [view[got:want]], offset + got)
            if not count:
                raise Changed(f"{name} became shorter while it was read")
            got += count
        leaves.append(tree.hash_blocks(view[:want]))
        offset += want
    return b"".join(leaves)


def _finish_file(leaves: bytes, size: int, piece_length: int) -> Hashed:
    if not size:
        return Hashed(None, b"")
    if size <= piece_length:
        return Hashed(tree.root_of_layer(leaves), b"")
    layer = tree.piece_layer(leaves, piece_length)
    return Hashed(tree.root_of_pieces(layer, piece_length), layer)


def _job_range(root: int, found: Found, offset: int, size: int, piece_length: int) -> bytes:
    """Piece hashes of one chunk of a big file; chunks are whole pieces except at the file's end."""
    with open_found(root, found) as handle:
        leaves = _hash_range(handle, offset, size, found.name)
    return tree.piece_layer(leaves, piece_length)


def _job_small(root: int, batch: Sequence[Found], piece_length: int) -> list[Hashed]:
    results = []
    for found in batch:
        with open_found(root, found) as handle:
            leaves = _hash_range(handle, 0, found.size, found.name)
        results.append(_finish_file(leaves, found.size, piece_length))
    return results


_Job = tuple[int, Callable[[], "Future[list[Hashed]] | Future[bytes]"]]


def hash_tree(
    root_path: Path,
    files: Sequence[Found],
    piece_length: int,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    threads: int | None = None,
) -> list[Hashed]:
    """Hash all `files` under `root_path`, in parallel across files and inside big ones.

    Args:
        progress: called in this thread with the bytes done so far.
        cancel: asked between jobs; a true answer ends it with Cancelled.

    Raises:
        Changed: a file changed since it was found, or while it was read.
        DiskTrouble: a file could not be read.
        Cancelled: as asked.
    """
    threads = threads or default_threads()
    results: list[Hashed | None] = [None] * len(files)
    layers: dict[int, bytearray] = {}
    waiting: deque[tuple[Future[list[Hashed]] | Future[bytes], range, int]] = deque()
    done = 0

    def settle() -> int:
        """Take the oldest job's result. Jobs of one file are taken in the order of its bytes."""
        future, indices, size = waiting.popleft()
        result = future.result()
        if isinstance(result, bytes):
            index = indices[0]
            layer = layers.setdefault(index, bytearray())
            layer += result
            if len(layer) == tree.HASH * tree.pieces_in(files[index].size, piece_length):
                whole = bytes(layers.pop(index))
                results[index] = Hashed(tree.root_of_pieces(whole, piece_length), whole)
        else:
            results[indices[0] : indices[-1] + 1] = result
        return size

    handle = os.open(root_path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        with ThreadPoolExecutor(threads, thread_name_prefix="hash") as pool:
            try:
                for indices, offset, size in _jobs(files, piece_length):
                    if cancel is not None and cancel():
                        raise Cancelled("hashing was stopped")
                    found = files[indices[0]]
                    if found.size > piece_length:
                        waiting.append(
                            (
                                pool.submit(_job_range, handle, found, offset, size, piece_length),
                                indices,
                                size,
                            )
                        )
                    else:
                        batch = files[indices[0] : indices[-1] + 1]
                        waiting.append((pool.submit(_job_small, handle, batch, piece_length), indices, size))
                    while len(waiting) >= threads * AHEAD:
                        done += settle()
                        if progress is not None:
                            progress(done)
                while waiting:
                    done += settle()
                    if progress is not None:
                        progress(done)
            finally:
                for future, _, _ in waiting:
                    future.cancel()
    finally:
        os.close(handle)
    return [result for result in results if result is not None]


def _jobs(files: Sequence[Found], piece_length: int) -> Iterator[tuple[range, int, int]]:
    """(which files, offset, bytes): a chunk of one big file, or a batch of small ones."""
    chunk = max(CHUNK, piece_length)
    start = total = 0
    for index, found in enumerate(files):
        big = found.size > piece_length
        full = total + found.size > BATCH_BYTES or index - start >= BATCH_FILES
        if start < index and (big or full):
            yield range(start, index), 0, total
            start, total = index, 0
        if big:
            for offset in range(0, found.size, chunk):
                yield range(index, index + 1), offset, min(chunk, found.size - offset)
            start = index + 1
        else:
            total += found.size
    if start < len(files):
        yield range(start, len(files)), 0, total


def hash_file(path: Path, piece_length: int, threads: int | None = None) -> Hashed:
    """Root and piece layer of one file. Raises as `hash_tree`."""
    found = scan(path)
    return hash_tree(found.root, found.files, piece_length, threads=threads)[0]


def collect(
    path: Path,
    piece_length: int | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    threads: int | None = None,
) -> Shared:
    """Hash a folder or file and describe it as a collection with all its layers.

    Raises:
        UsageError: there is nothing to share, or a name that cannot be.
        Changed, DiskTrouble, Cancelled: as `hash_tree`.
    """
    found = scan(path)
    return collect_scan(found, piece_length, progress, cancel, threads)


def collect_scan(
    found: Scan,
    piece_length: int | None = None,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    threads: int | None = None,
) -> Shared:
    """`collect` for what `scan` found already."""
    length = piece_length or info.piece_length_for(found.size)
    hashed = hash_tree(found.root, found.files, length, progress, cancel, threads)
    files = [
        info.File(item.path, item.size, result.root, item.executable)
        for item, result in zip(found.files, hashed, strict=True)
    ]
    collection = info.build(found.name, files, length)
    for result in hashed:
        if result.layer and result.root is not None and result.root not in collection.layers:
            collection.layers[result.root] = result.layer
    paths = [item.path for item in found.files]
    return Shared(collection, found.root, paths, [item.stamp for item in found.files], found.skipped)


def verify_file_pieces(handle: int, collection: info.Collection, pieces: range) -> list[int]:
    """Which of `pieces`, all of one file that is open as `handle`, are really there. One thread's work.

    A file that is too short lacks the pieces past its end; that is no error.
    """
    good = []
    for piece in pieces:
        _, offset, size = collection.span(piece)
        try:
            leaves = _hash_range(handle, offset, size, "")
        except Changed:
            continue
        if tree.root_of_layer(leaves, collection.piece_width(piece)) == collection.expected(piece):
            good.append(piece)
    return good
