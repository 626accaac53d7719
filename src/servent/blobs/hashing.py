"""Hashing files fast: threads and a bounded set of buffers. SHA-256 itself runs outside the GIL."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Condition, Thread, local
from time import perf_counter, thread_time
from typing import NamedTuple

from servent.blobs import info, tree
from servent.blobs.files import read_into
from servent.blobs.helpers import HelperLost, Helpers, count_for
from servent.blobs.scan import Changed, Found, Scan, open_found, read_found, scan
from servent.errors import ServentError

log = logging.getLogger(__name__)

READ = 1024 * 1024  # bytes a thread reads at once
CHUNK = 16 * 1024 * 1024  # bytes of a big file that are one job
BATCH_BYTES, BATCH_FILES = 8 * 1024 * 1024, 128  # small files that are one job together

# Every 16 KiB block is one call that lets go of the interpreter lock for 12 us. Two threads overlap that
# well; more spend their time handing the lock around, and with small files even two do (measured: 1 GiB
# file 1.0, 1.5, 1.0, 0.8 GB/s with 1, 2, 3, 4 threads; 10,000 files of 20 kB 0.31, 0.17, 0.12, 0.08). While
# jobs wait for the disk more than they compute, threads are added. Where big files come to 256 MiB, processes
# do it (see `helpers`): one core each, 3.2 GB/s with 4.
BIG_THREADS, SMALL_THREADS, WAITING_THREADS = 2, 1, 8
CHECK_THREADS = 2  # for re-checks

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


class _Buffers(local):
    """One read buffer for each thread, made when it first reads: the loop's thread has none."""

    @cached_property
    def view(self) -> memoryview:
        return memoryview(bytearray(READ))


_buffers = _Buffers()


def _hash_range(handle: int, offset: int, size: int, name: str) -> bytes:
    """The leaves of a range that starts at a block's border."""
    view, leaves, end = _buffers.view, [], offset + size
    while offset < end:
        want = min(READ, end - offset)
        if read_into(handle, view[:want], offset) < want:
            raise Changed(f"{name} became shorter while it was read")
        leaves.append(tree.hash_blocks(view[:want]))
        offset += want
    return b"".join(leaves)


class _Job(NamedTuple):
    """A chunk of one big file, or a batch of small ones."""

    indices: range
    offset: int
    size: int
    big: bool


def _jobs(files: Sequence[Found], piece_length: int) -> Iterator[_Job]:
    chunk = max(CHUNK, piece_length)
    start = total = 0
    for index, found in enumerate(files):
        big = found.size > piece_length
        full = total + found.size > BATCH_BYTES or index - start >= BATCH_FILES
        if start < index and (big or full):
            yield _Job(range(start, index), 0, total, False)
            start, total = index, 0
        if big:
            for offset in range(0, found.size, chunk):
                yield _Job(range(index, index + 1), offset, min(chunk, found.size - offset), True)
            start = index + 1
        else:
            total += found.size
    if start < len(files):
        yield _Job(range(start, len(files)), 0, total, False)


class _Hasher:
    """Threads that take one job after the other. The caller's thread waits, reports, and adds threads."""

    def __init__(self, root: Path, files: Sequence[Found], piece_length: int, threads: int | None) -> None:
        self.results: list[Hashed | None] = [None] * len(files)
        self._root = root
        self._files = files
        self._length = piece_length
        self._fixed = threads
        self._jobs = _jobs(files, piece_length)
        self._layers: dict[int, dict[int, bytes]] = {}
        self._state = Condition()
        self._done = 0
        self._stop = False
        self._error: BaseException | None = None
        self._workers: list[Thread] = []
        self._running = 0
        big = sum(found.size for found in files if found.size > piece_length)
        mostly_big = 2 * big > sum(found.size for found in files)
        self._helpers = Helpers(count_for(big) if threads is None else 0)
        self._wanted = threads or self._helpers.most or (BIG_THREADS if mostly_big else SMALL_THREADS)

    def run(self, progress: Progress | None, cancel: Cancel | None) -> None:
        try:
            shown = -1
            while True:
                with self._state:
                    while self._running < self._wanted and not self._stop:
                        self._running += 1
                        worker = Thread(target=self._work, name=f"hash {len(self._workers)}")
                        self._workers.append(worker)
                        worker.start()
                    self._state.wait(0.2)
                    done, over = self._done, self._stop and not self._running
                    error = self._error
                if error is not None:
                    raise error
                if progress is not None and done != shown:
                    shown = done
                    progress(done)
                if over:
                    return
                if cancel is not None and cancel():
                    raise Cancelled("hashing was stopped")
        finally:
            with self._state:
                self._stop = True
            if sys.exc_info()[0] is not None:
                self._helpers.close()  # nobody waits for what is no longer wanted
            for worker in self._workers:
                worker.join()
            self._helpers.close()

    def _work(self) -> None:
        try:
            while (job := self._take()) is not None:
                wall, busy = perf_counter(), thread_time()
                if job.big:
                    self._range(job)
                else:
                    self._batch(job)
                self._adapt(job, perf_counter() - wall, thread_time() - busy)
        except BaseException as wrong:  # noqa: BLE001 - raised again by the thread that waits
            with self._state:
                self._error = self._error or wrong
                self._stop = True
        finally:
            with self._state:
                self._running -= 1
                self._state.notify_all()

    def _take(self) -> _Job | None:
        with self._state:
            if self._stop or self._running > self._wanted:
                return None
            job = next(self._jobs, None)
            if job is None:
                self._stop = True
            return job

    def _adapt(self, job: _Job, wall: float, busy: float) -> None:
        """More threads while the disk is what we wait for, few while the interpreter is."""
        with self._state:
            self._done += job.size
            if self._fixed is None:
                best = (self._helpers.most or BIG_THREADS) if job.big else SMALL_THREADS
                if job.big and self._helpers.most:
                    busy = wall  # the work is done elsewhere
                waits = self._running <= best and busy < wall / 5
                if waits or (self._wanted > best and busy < wall / 8):
                    best = min(WAITING_THREADS, max(self._wanted + 1, best))
                self._wanted = min(best, self._wanted + 1)
            self._state.notify_all()

    def _range(self, job: _Job) -> None:
        index = job.indices[0]
        found = self._files[index]
        layer = self._layer(found, job)
        with self._state:
            parts = self._layers.setdefault(index, {})
            parts[job.offset] = layer
            if sum(map(len, parts.values())) < tree.HASH * tree.pieces_in(found.size, self._length):
                return
            del self._layers[index]
        whole = b"".join([parts[offset] for offset in sorted(parts)])
        self.results[index] = Hashed(tree.root_of_pieces(whole, self._length), whole)

    def _layer(self, found: Found, job: _Job) -> bytes:
        """The piece hashes of one chunk, by a helper where there are some."""
        with open_found(self._root, found) as handle:
            if self._helpers.most:
                try:
                    path = self._root.joinpath(*found.path)
                    got = self._helpers.hash_range(path, job.offset, job.size, self._length)
                except HelperLost:
                    log.debug("a hashing process is gone; its work is done here")
                else:
                    if got is None or (got.size, got.stamp) != (found.size, found.stamp):
                        raise Changed(f"{found.name} changed while it was hashed")
                    return got.layer
            leaves = _hash_range(handle, job.offset, job.size, found.name)
        return tree.piece_layer(leaves, self._length)

    def _batch(self, job: _Job) -> None:
        view, results, read = _buffers.view, self.results, read_found
        for index in job.indices:
            found = self._files[index]
            if not found.size:
                results[index] = Hashed(None, b"")
            elif found.size < READ:
                read(self._root, found, view)
                results[index] = Hashed(tree.root_of_data(view[: found.size]), b"")
            else:
                with open_found(self._root, found) as handle:
                    leaves = _hash_range(handle, 0, found.size, found.name)
                results[index] = Hashed(tree.root_of_layer(leaves), b"")


def hash_tree(
    root_path: Path,
    files: Sequence[Found],
    piece_length: int,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
    threads: int | None = None,
) -> list[Hashed]:
    """Hash all `files` under `root_path`, in parallel where that is faster; 1 MiB of memory a thread.

    Args:
        progress: called in this thread with the bytes done so far.
        cancel: asked in this thread, at least 5 times a second; a true answer ends it with Cancelled.
        threads: how many; None: what fits the files and the disk.

    Raises:
        Changed: a file changed since it was found, or while it was read.
        DiskTrouble: a file could not be read.
        Cancelled: as asked.
    """
    hasher = _Hasher(root_path, files, piece_length, threads)
    hasher.run(progress, cancel)
    return [result for result in hasher.results if result is not None]


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


def verify_file_pieces(
    handle: int,
    collection: info.Collection,
    pieces: range,
    path: Path | None = None,
    helpers: Helpers | None = None,
) -> list[int]:
    """Which of `pieces`, all of one file that is open as `handle`, are really there. One thread's work.

    A file that is too short lacks the pieces past its end; that is no error.

    Args:
        path: the same file by name; then a helper does the work, if there is one.
    """
    if path is not None and helpers is not None and len(pieces) > 1:
        _, offset, _ = collection.span(pieces[0])
        _, end, last = collection.span(pieces[-1])
        try:
            got = helpers.hash_range(path, offset, end + last - offset, collection.piece_length)
        except HelperLost:
            log.debug("a hashing process is gone; its work is done here")
        else:
            if got is not None:
                hashes = zip(pieces, range(0, len(got.layer), tree.HASH), strict=True)
                return [p for p, at in hashes if got.layer[at : at + tree.HASH] == collection.expected(p)]
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
