"""What `stat` says against what is remembered: what is new, changed, gone, the same. Pure.

A file is the same while its size and modification time are. A new number of its inode alone means either a file
system that counts anew at every start, or another file put in its place; a time with a fraction of a second tells
them apart, since no two files share it by chance, and with a time in whole seconds the file is hashed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

SECOND = 1_000_000_000  # ns


class Seen(NamedTuple):
    """A file as a folder's listing has it: bytes, modification time in ns, inode (0: the file system has none)."""

    name: str
    size: int
    mtime_ns: int
    inode: int


class Known(NamedTuple):
    """The same from the database, with its row's number."""

    id: int
    name: str
    size: int
    mtime_ns: int
    inode: int


@dataclass(slots=True)
class Delta:
    """What to do about one folder's files.

    Attributes:
        new: to be hashed.
        changed: (id, as it is now): its content is not what it was.
        moved_inode: (id, inode): the same content under another number.
        gone: ids.
    """

    new: list[Seen] = field(default_factory=list)
    changed: list[tuple[Known, Seen]] = field(default_factory=list)
    moved_inode: list[tuple[int, int]] = field(default_factory=list)
    gone: list[Known] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.new or self.changed or self.moved_inode or self.gone)


def same_content(size: int, mtime_ns: int, inode: int, seen: Seen) -> bool:
    """Whether a file that was so is still the same in `seen`, at the same path."""
    if size != seen.size or mtime_ns != seen.mtime_ns:
        return False
    return inode == seen.inode or not inode or not seen.inode or mtime_ns % SECOND != 0


def diff(known: Iterable[Known], seen: Iterable[Seen], asked: frozenset[str] | None = None) -> Delta:
    """Compare one folder's files.

    Args:
        asked: only these names were looked at; None: all of them.
    """
    delta = Delta()
    rows = {row.name: row for row in known}
    for now in seen:
        row = rows.pop(now.name, None)
        if row is None:
            delta.new.append(now)
        elif not same_content(row.size, row.mtime_ns, row.inode, now):
            delta.changed.append((row, now))
        elif row.inode != now.inode:
            delta.moved_inode.append((row.id, now.inode))
    delta.gone = [row for row in rows.values() if asked is None or row.name in asked]
    return delta


class Candidate(NamedTuple):
    """A file hashed before, which may be the new one under another name."""

    name: str
    inode: int
    gone: bool  # it is no longer where it was


def is_moved(candidate: Candidate, name: str, inode: int, mtime_ns: int) -> bool:
    """Whether a new file of the candidate's size and time is it, so that nothing is hashed again.

    The same inode: moved or renamed within a file system. Another one: moved to another disk, when name and time, to
    the fraction of a second, are kept. A candidate that is still in its place is another file.
    """
    if not candidate.gone:
        return False
    if inode and candidate.inode == inode:
        return True
    return candidate.name == name and mtime_ns % SECOND != 0


def sums(
    paths: Mapping[int, int | None], files: Iterable[tuple[int, int, int]]
) -> dict[int, tuple[int, int]]:
    """What changes in the sums of every folder: (files, bytes) by number.

    Args:
        paths: each folder's parent.
        files: (folder, files more or less, bytes more or less).
    """
    found: dict[int, tuple[int, int]] = {}
    for folder, count, size in files:
        at: int | None = folder
        while at is not None:
            had = found.get(at, (0, 0))
            found[at] = (had[0] + count, had[1] + size)
            at = paths[at]
    return {at: change for at, change in found.items() if change != (0, 0)}
