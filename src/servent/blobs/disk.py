"""A download on disk: pieces written where they belong, recorded, and moved to their place at the end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from servent.blobs import info, names
from servent.blobs.ending import Ending
from servent.blobs.files import (
    Buffer,
    Folder,
    Handles,
    human,
    own_folder,
    put,
    read_into,
    sync_file_system,
    sync_folder,
    trouble,
    write_at,
)
from servent.blobs.hashing import CHECK_THREADS, Cancelled, verify_file_pieces
from servent.blobs.helpers import Helpers, count_for
from servent.blobs.journal import Journal
from servent.blobs.pieces import Bits
from servent.blobs.scan import PARTIAL_PREFIX
from servent.errors import BadMessage, DiskTrouble, UsageError

_WRITE: int = os.O_RDWR | os.O_CREAT
MODE = 0o666  # less the umask: no peer makes a file here executable, whatever its collection says
_CHECK_BYTES = 64 * 1024 * 1024  # of one file that one thread checks at a time


class Partial:
    """A download under way, in a folder of its own beside its destination.

    `<to>/.servent-part-<hash>/` holds the info dictionary, the piece layers, the journal, and the files
    under `data/`, named as they will be. Files are sparse: nothing is reserved in advance, so a full disk
    shows when it is full (and at the start, when it is plain). A file of one piece is written and closed at
    once; longer ones are kept open.

    Open it with `Partial.open`. `write_piece`, `read_piece`, `has` and `bitfield` are safe from any thread.

    Attributes:
        collection: with all its layers, before pieces are read or written.
        folder: the folder of its own.
        resumed: how many pieces were there already when it was opened.
        final: where it went, once finished.
    """

    def __init__(self, to: Path, collection: info.Collection) -> None:
        self.collection = collection
        self.to = to
        self.folder = to / f"{PARTIAL_PREFIX}{collection.infohash.hex()[:16]}"
        self.final: Path | None = None
        self.resumed = 0
        self.done_bytes = 0
        self._paths = names.safe_paths(collection)
        self._lock = Lock()
        self._dirty: set[int] = set()  # files written to since the last checkpoint
        self._journal: Journal
        self._data: Folder
        self._handles: Handles

    @classmethod
    def open(
        cls, to: Path, collection: info.Collection, *, check_space: bool = True, size: int | None = None
    ) -> Partial:
        """Begin a download into the folder `to`, or go on with one that was begun.

        Layers that were saved are taken into `collection`. If `suspects` is not 0 afterwards, call `recheck`.

        Args:
            size: bytes that are to be fetched, None for all of the collection: so much space has to be there.

        Raises:
            DiskTrouble: the folder cannot be made or written, or has too little space.
            UsageError: another process is fetching the same into the same folder.
        """
        partial = cls(to, collection)
        try:
            partial._open()
        except BlockingIOError as wrong:
            raise UsageError(f"another program is fetching this into {to} already") from wrong
        except OSError as wrong:
            raise trouble(wrong, f"the download folder {to}") from wrong
        try:
            if check_space:
                partial._check_space(collection.size if size is None else size)
        except DiskTrouble:
            partial.close()
            raise
        return partial

    @classmethod
    def resume(cls, folder: Path) -> Partial:
        """Go on with the download whose own folder is `folder`, with nothing else known.

        Raises:
            UsageError: it is not one.
            DiskTrouble: as `open`.
        """
        try:
            content = (folder / "info").read_bytes()
            infohash = bytes.fromhex((folder / "infohash").read_text().strip())
            return cls.open(folder.parent, info.parse(content, infohash), check_space=False)
        except (OSError, ValueError, BadMessage) as wrong:
            raise UsageError(f"{folder} is no download that can be resumed") from wrong

    def _open(self) -> None:
        self.to.mkdir(parents=True, exist_ok=True)
        own_folder(self.folder)
        data = self.folder / "data"
        own_folder(data)
        journal = Journal(self.folder / "journal", self.collection.infohash, self.collection.pieces)
        self._journal = journal
        try:
            if not (self.folder / "info").exists():
                put(self.folder / "info", self.collection.info)
                put(self.folder / "infohash", self.collection.infohash.hex().encode())
            self._load_layers()
            self._data = Folder(data)
            self._handles = Handles(self._open_big)
            sizes = self.collection.piece_sizes()
            self.done_bytes = sum(sum(sizes[first : first + count]) for first, count in journal.have.runs())
            unsure = Bits(journal.have.count, journal.have.value & ~journal.sure.value)
            self._dirty = {self.collection.span(piece).file for piece in unsure}
            self.resumed = len(journal.have)
            self._was_finished()
        except BaseException:
            journal.close()
            raise

    def _was_finished(self) -> None:
        """A kill between the last rename and the removal of our folder leaves a note of where it went."""
        note, top = self.folder / "final", self.folder / "data" / self._paths[0][0]
        if note.exists() and not os.path.lexists(top):
            final = self.to / note.read_text()
            if final.parent == self.to and final.exists() and self._journal.have.complete:
                self.final = final

    def _check_space(self, size: int) -> None:
        free, missing = shutil.disk_usage(self.to).free, size - self.done_bytes
        if missing > free:
            raise DiskTrouble(
                f"{self.to} has {human(free)} free, {human(missing)} are still to come",
                advice="Free some space, or choose a folder on another disk.",
            )

    # -- what is there

    def has(self, piece: int) -> bool:
        """Whether `piece` is verified and written."""
        return piece in self._journal.have

    def bitfield(self) -> bytes:
        """All pieces that are there, first piece in the highest bit of the first byte."""
        return self._journal.have.to_bytes()

    @property
    def have(self) -> Bits:
        """A copy of the set of pieces that are there."""
        return Bits(self.collection.pieces, self._journal.have.value)

    @property
    def suspects(self) -> int:
        """How many of them may be lost: `recheck` tells."""
        return len(self._journal.suspect)

    @property
    def complete(self) -> bool:
        return self._journal.have.complete

    # -- layers

    def _load_layers(self) -> None:
        path = self.folder / "layers"
        if not path.exists():
            return
        content, at = path.read_bytes(), 0
        while at + 36 <= len(content):
            root, size = content[at : at + 32], int.from_bytes(content[at + 32 : at + 36], "big")
            try:
                self.collection.learn(root, content[at + 36 : at + 36 + size])
            except BadMessage:
                return  # damaged: they are asked for again
            at += 36 + size

    def save_layers(self) -> None:
        """Keep the collection's layers, so that resuming needs nobody. Raises DiskTrouble."""
        layers = self.collection.layers
        content = b"".join([root + len(layer).to_bytes(4, "big") + layer for root, layer in layers.items()])
        try:
            put(self.folder / "layers", content)
        except OSError as wrong:
            raise trouble(wrong, "the list of piece hashes") from wrong

    def _open_big(self, index: int) -> int:
        file = self.collection.files[index]
        handle = self._data.open(self._paths[index], _WRITE, MODE)
        if os.fstat(handle).st_size != file.size:
            os.ftruncate(handle, file.size)
        return handle

    def _whole(self, index: int) -> bool:
        return self.collection.files[index].size <= self.collection.piece_length

    def write_piece(self, piece: int, data: Buffer) -> None:
        """Write one piece that was verified, then record it. Writing one that is there does nothing.

        Raises:
            DiskTrouble: it could not be written; nothing that is there is lost, and it may be tried again.
        """
        self.write_pieces(piece, (data,))

    def write_pieces(self, first: int, datas: Sequence[Buffer]) -> None:
        """Write consecutive verified pieces and record them at once: cheaper for many small files.

        Raises:
            DiskTrouble: as `write_piece`; those before the one that failed are recorded.
        """
        written = done = 0
        index = -1
        try:
            try:
                for number, data in enumerate(datas):
                    piece = first + number
                    index, offset, size = self.collection.span(piece)
                    if len(data) != size:
                        raise ValueError(f"piece {piece} has {size} bytes, not {len(data)}")
                    if piece not in self._journal.have:
                        self._write(index, offset, data)
                    written += 1
                    done += size
            finally:
                if written:
                    self._record(first, written)
        except OSError as wrong:
            raise trouble(wrong, "/".join(self._paths[index])) from wrong

    def _write(self, index: int, offset: int, data: Buffer) -> None:
        if self._whole(index):
            flags = os.O_WRONLY | os.O_CREAT  # not O_TRUNC: a second writer must not empty what is there
            handle = self._data.open(self._paths[index], flags, MODE)
            try:
                write_at(handle, data, 0)
                if os.fstat(handle).st_size != len(data):
                    os.ftruncate(handle, len(data))
            finally:
                os.close(handle)
        else:
            with self._handles.use(index) as handle:
                write_at(handle, data, offset)

    def _record(self, first: int, count: int) -> None:
        span, have = self.collection.span, self._journal.have
        with self._lock:
            added = [piece for piece in range(first, first + count) if piece not in have]
            if not added:
                return
            self._journal.add(first, count)
            for piece in added:
                index, _, size = span(piece)
                self.done_bytes += size
                self._dirty.add(index)

    def record(self, first: int, count: int) -> None:
        """Pieces that others verified and wrote into the files are there now. Raises DiskTrouble."""
        try:
            self._record(first, count)
        except OSError as wrong:
            raise trouble(wrong, "what was fetched") from wrong

    def doubt(self, pieces: Bits) -> None:
        """These may have been written over: `recheck` tells."""
        with self._lock:
            self._journal.suspect.value |= pieces.value & self._journal.have.value

    def read_piece(self, piece: int) -> bytes:
        """The bytes of a piece that is there. Raises DiskTrouble, LookupError."""
        data = bytearray(self.collection.span(piece).size)
        self.read_into(piece, memoryview(data))
        return bytes(data)

    def read_into(self, piece: int, view: memoryview, offset: int = 0) -> int:
        """Fill `view` with the piece's bytes from `offset` on; returns how many there were.

        Raises:
            LookupError: the piece is not there.
            DiskTrouble: it cannot be read any more.
        """
        if piece not in self._journal.have:
            raise LookupError(f"piece {piece} is not there")
        index, start, size = self.collection.span(piece)
        want = min(len(view), size - offset)
        try:
            if self._whole(index):
                handle = self._data.open(self._paths[index], os.O_RDONLY)
                try:
                    got = read_into(handle, view[:want], start + offset)
                finally:
                    os.close(handle)
            else:
                with self._handles.use(index) as handle:
                    got = read_into(handle, view[:want], start + offset)
        except OSError as wrong:
            raise trouble(wrong, "/".join(self._paths[index])) from wrong
        if got < want:
            raise DiskTrouble(
                f"{'/'.join(self._paths[index])} became shorter", advice="`servent resume` checks it again."
            )
        return got

    # -- after a crash

    def recheck(
        self,
        progress: Callable[[int], None] | None = None,
        cancel: Callable[[], bool] | None = None,
        *,
        everything: bool = False,
        threads: int | None = None,
    ) -> int:
        """Hash the suspect pieces again, or all that are recorded; returns how many were lost.

        Needs the layers. Blocks: for a worker thread, while nothing else is written.

        Raises:
            DiskTrouble, Cancelled: the suspects stay suspect.
        """
        wanted = self._journal.have if everything else self._journal.suspect
        lost = Bits(self.collection.pieces)
        done = 0
        sizes = self.collection.piece_sizes()
        total = sum(sum(sizes[first : first + count]) for first, count in wanted.runs())
        helpers = Helpers(count_for(total) if threads is None else 0)
        threads = threads or helpers.most or CHECK_THREADS
        try:
            with helpers, ThreadPoolExecutor(threads, thread_name_prefix="check") as pool:
                jobs = self._ranges(wanted)
                for pieces, good in pool.map(self._check, jobs, [helpers] * len(jobs)):
                    if cancel is not None and cancel():
                        pool.shutdown(cancel_futures=True)
                        raise Cancelled("the check was stopped")
                    gone = set(pieces).difference(good)
                    for piece in gone:
                        lost.set_run(piece)
                    done += sum(self.collection.span(piece).size for piece in pieces)
                    if progress is not None:
                        progress(done)
            with self._lock:
                self._journal.lost(lost)
                self.done_bytes -= sum(self.collection.span(piece).size for piece in lost)
        except OSError as wrong:
            raise trouble(wrong, "what was fetched") from wrong
        return len(lost)

    def _ranges(self, wanted: Bits) -> list[range]:
        """Pieces to check, in jobs of neighbouring pieces."""
        most = max(1, _CHECK_BYTES // self.collection.piece_length)
        return [
            range(start, min(start + most, first + count))
            for first, count in wanted.runs()
            for start in range(first, first + count, most)
        ]

    def _check(self, pieces: range, helpers: Helpers) -> tuple[range, list[int]]:
        good: list[int] = []
        at = pieces.start
        while at < pieces.stop:
            index = self.collection.span(at).file
            here = range(at, min(pieces.stop, self.collection.file_pieces(index).stop))
            at = here.stop
            try:
                handle = self._data.open(self._paths[index], os.O_RDONLY)
            except (FileNotFoundError, NotADirectoryError):
                continue
            try:
                path = self._data.root.joinpath(*self._paths[index]) if helpers.most else None
                good += verify_file_pieces(handle, self.collection, here, path, helpers)
            finally:
                os.close(handle)
        return pieces, good

    def checkpoint(self) -> None:
        """Make what is there survive a crash of the machine. Blocks on the disk; call it now and then.

        Raises:
            DiskTrouble: the disk did not take it.
        """
        with self._lock:
            files, self._dirty = self._dirty, set()
            mark = self._journal.mark()
        try:
            if files:
                self._sync(files)
                with self._lock:
                    self._journal.checkpoint(mark)
        except OSError as wrong:
            with self._lock:
                self._dirty |= files
            raise trouble(wrong, "what was fetched") from wrong

    def _sync(self, files: set[int]) -> None:
        if len(files) > 64 and sync_file_system(self.folder):
            return
        for index in files:
            handle = self._data.open(self._paths[index], os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)

    # -- the end

    def finish(
        self,
        *,
        durable: bool = True,
        called: str = "",
        files: Sequence[int] | None = None,
        into: Path | None = None,
    ) -> Path:
        """Move what was fetched to its place; returns that place.

        What is there under the same name already is never changed: when it holds the same content it is
        kept and returned, else the new one is called "name (2)".

        Args:
            durable: wait until the disk has it all.
            called: instead of the collection's name.
            files: only these, by index; what came of others is deleted. None: all of them.
            into: the folder that holds other files of the collection already: these join them.

        Raises:
            UsageError: pieces are missing.
            DiskTrouble: it could not be moved; nothing is lost.
        """
        if self.final is None:
            wanted = range(len(self.collection.files)) if files is None else files
            self._all_there(wanted)
            for index in wanted:
                if self.collection.files[index].size == 0:
                    os.close(self._data.open(self._paths[index], _WRITE, MODE))
            self._handles.close()
            try:
                end = Ending(self.collection, self.folder, self._paths, wanted)
                if durable:
                    self._sync(self._dirty & set(wanted))
                top = names.safe_part(called) if called else self._paths[0][0]
                self.final = end.join(into) if into is not None else end.move(self.to, top)
                if durable:
                    sync_folder(self.to)
            except OSError as wrong:
                raise trouble(wrong, str(self.to / self._paths[0][0])) from wrong
        self._remove()
        return self.final

    def _all_there(self, wanted: Sequence[int]) -> None:
        have, missing = self._journal.have, self.collection.pieces - len(self._journal.have)
        if missing and len(wanted) < len(self.collection.files):
            missing = sum(
                piece not in have for index in wanted for piece in self.collection.file_pieces(index)
            )
        if missing:
            raise UsageError(f"{missing} pieces are still missing")

    def _remove(self) -> None:
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def discard(self) -> None:
        """Delete everything that was fetched."""
        self._remove()

    def close(self) -> None:
        """Let go of all files; the download can be opened again. Safe twice."""
        self._handles.close()
        self._data.close()
        with self._lock:
            self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
