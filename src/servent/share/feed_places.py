"""Versions of a feed on disk: the new one takes the old one's place, and what a person changed is kept. Blocks."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from servent.blobs.files import trouble
from servent.errors import DiskTrouble

STAGING = ".servent-feeds"  # in the folder that versions go to: hidden, and never shared


def staging(to: Path, feed: str, sequence: int) -> Path:
    """Where a version is fetched to. On the same file system as its place, so that it gets there at once."""
    return to / STAGING / feed / str(sequence)


def _entries(path: Path) -> Iterator[tuple[str, int, int]]:
    if path.is_file() and not path.is_symlink():
        seen = path.stat()
        yield "", seen.st_size, seen.st_mtime_ns
        return
    for folder, folders, files in os.walk(path):
        folders.sort()
        for name in sorted(files):
            file = Path(folder, name)
            seen = file.lstat()
            yield str(file.relative_to(path)), seen.st_size, seen.st_mtime_ns


def stamps(path: Path) -> bytes:
    """What the files below `path` look like: names, sizes, times. b"" when there is nothing."""
    found = sha256()
    count = 0
    try:
        for name, size, stamp in _entries(path):
            found.update(f"{name}\0{size}\0{stamp}\n".encode(errors="surrogateescape"))
            count += 1
    except OSError:
        return b""
    return found.digest() if count else b""


def clear_away(old: Path, seen: bytes, *, feed: str, sequence: int, keep: int, now: float) -> Path | None:
    """Make room for a new version at `old`.

    Args:
        seen: `stamps` of the version there when we put it there.
        keep: how many old versions stay, in a hidden folder beside it.

    Returns:
        where the old one lies now because a person had changed it, else None.

    Raises:
        DiskTrouble: it cannot be moved; everything is as it was.
    """
    try:
        if not old.exists() and not old.is_symlink():
            return None
        if not seen or stamps(old) != seen:
            day = time.strftime("%Y-%m-%d %H.%M.%S", time.localtime(now))
            changed = _free(old.with_name(f"{old.name} (changed here {day})"))
            old.rename(changed)
            return changed
        attic = old.parent / STAGING / feed / "versions"
        attic.mkdir(parents=True, exist_ok=True)
        old.rename(_free(attic / str(sequence)))
        kept = sorted(
            (one for one in attic.iterdir() if one.name.partition(" ")[0].isdigit()),
            key=_number,
            reverse=True,
        )
        for gone in kept[keep:]:
            shutil.rmtree(gone) if gone.is_dir() and not gone.is_symlink() else gone.unlink()
    except OSError as wrong:
        raise trouble(wrong, str(old)) from wrong
    return None


def _number(path: Path) -> int:
    return int(path.name.partition(" ")[0])


def _free(path: Path) -> Path:
    """`path`, or with a number behind it where something lies already."""
    for number in range(1, 1000):
        tried = path if number == 1 else path.with_name(f"{path.name} {number}")
        if not tried.exists() and not tried.is_symlink():
            return tried
    raise DiskTrouble(f"{path.parent} is full of old versions", advice="Remove some of them.")


def sweep(to: Path, feed: str) -> None:
    """Remove staging folders that are empty."""
    for folder in (to / STAGING / feed, to / STAGING):
        try:
            for empty in list(folder.iterdir()):
                if empty.is_dir() and not any(empty.iterdir()):
                    empty.rmdir()
            if not any(folder.iterdir()):
                folder.rmdir()
        except OSError:
            continue
