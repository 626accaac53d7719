"""Which pieces of a download are verified and written: a file that only grows, whole after any `kill -9`.

A header names the collection and this boot of the machine; then come records of 12 bytes, each "these
pieces are there" or "what the first so many records say is on the disk itself". A record is written after the data it speaks
of, with one `pwrite` at a known place, so what a killed writer leaves behind is either whole, or a torn tail
that fails its checksum and is written over.

A killed process loses nothing: the kernel has the data. A machine that crashed may have kept the journal and
lost data, so pieces recorded since the last checkpoint, under another boot's name, are suspect until they
are hashed again.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from zlib import crc32

from servent.blobs.files import write_at
from servent.blobs.pieces import Bits

_MAGIC = b"servent journal 1\n"
_RECORD = Struct("<III")  # first piece, how many, CRC-32 of both and the infohash
_CHECKPOINT = 0xFFFFFFFF  # in place of the first piece; then the number of records that are vouched for
_HEADER_BYTES = len(_MAGIC) + 32 + 16 + 4
_FLAGS: int = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_BINARY: int = getattr(os, "O_BINARY", 0)


def boot_id() -> bytes:
    """16 bytes that change when the machine starts again; where nobody knows (not Linux), with each call."""
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text()
        return bytes.fromhex(text.strip().replace("-", ""))[:16].ljust(16, b"\0")
    except (OSError, ValueError):
        return os.urandom(16)


class Journal:
    """The journal at `path`, locked for this process. One caller at a time.

    Attributes:
        have: pieces that are recorded.
        suspect: those among them that a crash of the machine may have lost.
        sure: those among them that no crash loses, since they were synced.

    Raises:
        OSError: it cannot be read or written.
        BlockingIOError: another process holds it.
    """

    def __init__(self, path: Path, infohash: bytes, pieces: int, boot: bytes | None = None) -> None:
        self.path = path
        self.have = Bits(pieces)
        self.suspect = Bits(pieces)
        self.sure = Bits(pieces)
        self._records = 0
        self._infohash = infohash
        self._boot = boot if boot is not None else boot_id()
        self._handle = os.open(path, _FLAGS | _BINARY, 0o600)
        try:
            _lock(self._handle)
            if not os.path.samestat(os.fstat(self._handle), os.stat(path)):
                raise BlockingIOError(errno.EAGAIN, "in use")  # its owner replaced it just now
            self._end = self._load()
        except BaseException:
            os.close(self._handle)
            raise

    def _load(self) -> int:
        with open(self._handle, "rb", closefd=False) as file:
            content = file.read()
        header = _MAGIC + self._infohash
        if len(content) < _HEADER_BYTES or not content.startswith(header):
            return self._rewrite()
        boot = content[len(header) : len(header) + 16]
        if content[_HEADER_BYTES - 4 : _HEADER_BYTES] != crc32(header + boot).to_bytes(4, "little"):
            return self._rewrite()
        records = list(self._read(content))
        vouched = max((count for first, count in records if first == _CHECKPOINT), default=0)
        for number, (first, count) in enumerate(records):
            if first != _CHECKPOINT:
                self.have.set_run(first, count)
                if number < vouched:
                    self.sure.set_run(first, count)
        self._records = len(records)
        if boot != self._boot:
            self.suspect.replace(self.have)
            self.suspect.remove(self.sure)
            if not self.suspect:
                return self._rewrite()  # no need to doubt next time either
        return _HEADER_BYTES + len(records) * _RECORD.size

    def _read(self, content: bytes) -> Iterator[tuple[int, int]]:
        for at in range(_HEADER_BYTES, len(content) - _RECORD.size + 1, _RECORD.size):
            first, count, check = _RECORD.unpack_from(content, at)
            if check != self._check(first, count):
                return
            if first != _CHECKPOINT and not (count > 0 and first + count <= self.have.count):
                return
            yield first, count

    def _check(self, first: int, count: int) -> int:
        return crc32(b"%d %d " % (first, count) + self._infohash)

    def _record(self, first: int, count: int) -> bytes:
        return _RECORD.pack(first, count, self._check(first, count))

    def _append(self, record: bytes) -> None:
        write_at(self._handle, record, self._end)
        self._end += len(record)
        self._records += 1

    def add(self, first: int, count: int = 1) -> None:
        """Record pieces whose data is written. On OSError nothing is recorded."""
        self._append(self._record(first, count))
        self.have.set_run(first, count)

    def mark(self) -> tuple[int, Bits]:
        """Where we are now, for `checkpoint`: take it before the files are synced."""
        return self._records, Bits(self.have.count, self.have.value)

    def checkpoint(self, mark: tuple[int, Bits]) -> None:
        """Record that all pieces up to `mark` survive a crash: call it after their files are synced."""
        records, sure = mark
        self._append(self._record(_CHECKPOINT, records))
        os.fsync(self._handle)
        sure.value &= self.have.value
        self.sure.replace(sure)

    def lost(self, pieces: Bits) -> None:
        """Forget `pieces`, trust the others, and begin a new journal that says so."""
        self.have.remove(pieces)
        self.sure.remove(pieces)
        self.suspect.clear()
        self._end = self._rewrite()

    def _rewrite(self) -> int:
        """Put a fresh journal of what we have in place, in one step."""
        header = _MAGIC + self._infohash + self._boot
        body = header + crc32(header).to_bytes(4, "little")
        rest = Bits(self.have.count, self.have.value & ~self.sure.value)
        records = [self._record(first, count) for first, count in self.sure.runs()]
        records.append(self._record(_CHECKPOINT, len(records)))
        records += [self._record(first, count) for first, count in rest.runs()]
        body += b"".join(records)
        new = self.path.with_name(self.path.name + ".new")
        handle = os.open(new, _FLAGS | os.O_TRUNC | _BINARY, 0o600)
        try:
            _lock(handle)
            write_at(handle, body, 0)
            os.fsync(handle)
            os.replace(new, self.path)
        except BaseException:
            os.close(handle)
            raise
        self._records = len(records)
        self._handle, old = handle, self._handle
        os.close(old)
        return len(body)

    def close(self) -> None:
        """Let go of the file. Safe twice."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1


def _lock(handle: int) -> None:
    """Raises BlockingIOError when another process has it; the lock dies with its process."""
    try:
        import fcntl
    except ImportError:  # Windows: an open file cannot be replaced there, which is lock enough
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as wrong:
        if wrong.errno in (errno.EAGAIN, errno.EACCES):
            raise BlockingIOError(wrong.errno, "in use") from wrong
        if wrong.errno not in (errno.ENOLCK, errno.ENOTSUP):  # file systems without locks
            raise
