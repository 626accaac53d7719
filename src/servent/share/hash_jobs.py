"""What the hashing processes are given to do: batches of small files, ranges of big ones. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from servent.blobs.info import piece_length_for
from servent.blobs.tree import root_of_pieces
from servent.share.catalog import Pending

BATCH_FILES, BATCH_BYTES = 256, 16 << 20  # files that are one job together
BIG = 16 << 20  # bytes; larger files are hashed range by range, by several processes
RANGE = 32 << 20  # bytes of a range; some 30 ms of a processor, so that pausing is felt at once
CLOSED, OPEN = (
    0.3,
    10.0,
)  # s without a change until a file is quiet that nothing has open for writing, or something has
ASK_EVERY = 0.5  # s between two looks at whether something has it open


class Batch(NamedTuple):
    """Whole files of one shared folder."""

    files: list[Pending]
    size: int


class Range(NamedTuple):
    """A part of one big file, from a piece's border."""

    file: Pending
    offset: int
    size: int


def jobs(files: Sequence[Pending]) -> Iterator[Batch | Range]:
    """Everything that has to be done for `files`, in their order."""
    batch: list[Pending] = []
    size = 0
    for file in files:
        if file.size > BIG:
            for offset in range(0, file.size, RANGE):
                yield Range(file, offset, min(RANGE, file.size - offset))
            continue
        if batch and (
            len(batch) >= BATCH_FILES or size + file.size > BATCH_BYTES or batch[0].folder != file.folder
        ):
            yield Batch(batch, size)
            batch, size = [], 0
        batch.append(file)
        size += file.size
    if batch:
        yield Batch(batch, size)


class Parts:
    """Gathers the ranges of big files."""

    def __init__(self) -> None:
        self._layers: dict[int, dict[int, bytes]] = {}
        self._heads: dict[int, bytes] = {}

    def add(self, job: Range, layer: bytes, head: bytes) -> tuple[bytes, bytes, bytes] | None:
        """Root, layer and head of the whole file with its last range; None before."""
        parts = self._layers.setdefault(job.file.id, {})
        parts[job.offset] = layer
        if not job.offset:
            self._heads[job.file.id] = head
        if len(parts) < -(-job.file.size // RANGE):
            return None
        whole = b"".join(parts[offset] for offset in sorted(parts))
        head = self._heads[job.file.id]
        self.drop(job.file.id)
        return root_of_pieces(whole, piece_length_for(job.file.size)), whole, head

    def drop(self, id: int) -> None:
        """The file changed, or cannot be read."""
        self._layers.pop(id, None)
        self._heads.pop(id, None)


class Quiet:
    """Which files are left alone since something still writes to them. Times: `now` of the loop, `wall` in seconds.

    A file is quiet when nothing changed it for a while, by its own modification time; where that lies in the future,
    by being found the same for as long. The while is short when nothing has it open for writing, long when something
    has, and `quiet` where nobody can tell. It doubles each time the file changed although it was taken for quiet.
    """

    def __init__(self, quiet: float = 2.0, longest: float = 300.0) -> None:
        self._quiet, self._longest = quiet, longest
        self._waits: dict[int, tuple[int, int, float, float]] = {}  # by file: size, time, since, next look
        self._restless: dict[int, int] = {}
        self._written: dict[
            int, tuple[float, bool | None]
        ] = {}  # by file: when it was asked, what came of it

    def doubtful(self, file: Pending, now: float, wall: float) -> bool:
        """Whether it is of use to find out now if something has it open for writing: then `told`."""
        asked = self._written.get(file.id)
        young = CLOSED <= wall - file.mtime_ns / 1e9 < OPEN
        return young and (asked is None or now >= asked[0] + ASK_EVERY)

    def told(self, id: int, written: bool | None, now: float) -> None:
        """Something has it open for writing, or nothing has; None: nobody can tell."""
        self._written[id] = (now, written)

    def may(self, file: Pending, now: float, wall: float) -> bool:
        """Whether to hash it now; else `due` says when to ask again."""
        since = now
        known = self._waits.get(file.id)
        if known is not None and known[:2] == (file.size, file.mtime_ns):
            since = known[2]
        asked, written = self._written.get(file.id, (0.0, None))
        if now >= asked + ASK_EVERY:
            written = None
        still = self._quiet if written is None else min(self._quiet, CLOSED)
        still = max(self._quiet, OPEN) if written else still
        wait = min(self._longest, still * 2 ** self._restless.get(file.id, 0))
        age = wall - file.mtime_ns / 1e9
        left = wait - (age if age >= 0 else now - since)
        if left <= 0:
            self._waits.pop(file.id, None)
            return True
        if 0 <= age < CLOSED:
            left = min(left, CLOSED - age)
        elif 0 <= age < OPEN:
            left = min(left, ASK_EVERY)
        self._waits[file.id] = (file.size, file.mtime_ns, since, now + left)
        return False

    def changed(self, id: int) -> None:
        """It changed while it was read."""
        if len(self._restless) >= 10_000:
            self._restless.clear()
        self._restless[id] = min(20, self._restless.get(id, 0) + 1)

    def forget(self, id: int) -> None:
        """It was hashed."""
        self._restless.pop(id, None)

    def due(self) -> float | None:
        """When the next one may be quiet."""
        return min((at for _, _, _, at in self._waits.values()), default=None)

    def waiting(self) -> int:
        return len(self._waits)

    def clean(self, alive: set[int]) -> None:
        """Only these files still wait."""
        for id in self._waits.keys() - alive:
            del self._waits[id]
        for id in self._written.keys() - alive:
            del self._written[id]
