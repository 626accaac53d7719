"""Which files a shared folder is: exactly what the person named, in BEP 52's order.

Links inside the folder are followed when they lead to a file inside it; links to folders, links that lead
out, sockets, pipes and devices are skipped and named. Hidden files belong to a folder like any other. Only
servent's own half-done downloads are left out without a word.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from servent.blobs import info
from servent.blobs.files import read_into
from servent.errors import DiskTrouble, NotFound, UsageError, WorldError

PARTIAL_PREFIX = ".servent-part-"  # disk.Partial's folders begin with it
_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)


class Changed(WorldError):
    """A file is not what it was when it was looked at."""

    advice = "Share it again when nothing writes to it any more."


class Found(NamedTuple):
    """A file as it was when we looked: `path` below the root, size in bytes, `stamp` its mtime in ns."""

    path: tuple[str, ...]
    size: int
    stamp: int
    executable: bool

    @property
    def name(self) -> str:
        return "/".join(self.path)


@dataclass(slots=True)
class Scan:
    """What is there to share.

    Attributes:
        name: of the collection: the folder's, or the file's.
        root: the folder that the paths are in.
        files: in BEP 52's order.
        skipped: (path, why) of what is left out.
    """

    name: str
    root: Path
    files: list[Found] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    size: int = 0


def scan(path: Path) -> Scan:
    """Look at `path`, a file or a folder.

    Raises:
        NotFound: there is nothing.
        UsageError: it is neither file nor folder, has no files, or a name in it is not Unicode.
        DiskTrouble: something in it cannot be read.
    """
    try:
        path = path.resolve(strict=True)
        seen = path.stat()
    except FileNotFoundError as wrong:
        raise NotFound(f"{path} does not exist") from wrong
    except (OSError, RuntimeError) as wrong:
        raise DiskTrouble(
            f"{path} cannot be read: {wrong}", advice="Check the path and its permissions."
        ) from wrong
    if stat.S_ISREG(seen.st_mode):
        result = Scan(_checked(path.name), path.parent)
        result.files.append(_found((path.name,), seen))
        result.size = seen.st_size
        return result
    if not stat.S_ISDIR(seen.st_mode):
        raise UsageError(f"{path} is neither a file nor a folder")
    if not path.name:
        raise UsageError("a whole file system has no name to share it by", advice="Name a folder inside it.")
    result = Scan(_checked(path.name), path)
    _walk(path, (), result)
    if not result.files:
        raise UsageError(f"{path} has no files to share")
    result.files.sort(key=lambda found: info.in_order(found.path))
    result.size = sum(found.size for found in result.files)
    return result


def _found(path: tuple[str, ...], seen: os.stat_result) -> Found:
    return Found(path, seen.st_size, seen.st_mtime_ns, bool(seen.st_mode & stat.S_IXUSR) and os.name != "nt")


def _checked(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as wrong:
        shown = os.fsencode(name)
        raise UsageError(
            f"the file name {shown!r} is not Unicode text", advice="Rename it, then share again."
        ) from wrong
    return name


def _walk(root: Path, folder: tuple[str, ...], result: Scan) -> None:
    here = root.joinpath(*folder)
    if len(folder) >= info.MAX_DEPTH:
        raise UsageError(f"{here} lies deeper than {info.MAX_DEPTH} folders")
    try:
        with os.scandir(here) as entries:
            for entry in entries:
                name = _checked(entry.name)
                path = (*folder, name)
                if entry.is_symlink():
                    _link(root, path, entry, result)
                elif entry.is_dir():
                    if not name.startswith(PARTIAL_PREFIX):
                        _walk(root, path, result)
                elif entry.is_file():
                    result.files.append(_found(path, entry.stat()))
                    if len(result.files) > info.MAX_FILES:
                        raise UsageError(
                            f"more than {info.MAX_FILES} files", advice="Share its folders one by one."
                        )
                else:
                    result.skipped.append(("/".join(path), "neither a file nor a folder"))
    except OSError as wrong:
        where = wrong.filename or here
        raise DiskTrouble(
            f"{where} cannot be read: {wrong.strerror}",
            advice="Fix its permissions, or share a folder without it.",
        ) from wrong


def _link(root: Path, path: tuple[str, ...], entry: os.DirEntry[str], result: Scan) -> None:
    name = "/".join(path)
    try:
        target = Path(entry.path).resolve(strict=True)
        seen = target.stat()
    except (OSError, RuntimeError):
        result.skipped.append((name, "a link that leads nowhere"))
        return
    if not target.is_relative_to(root):
        result.skipped.append((name, "a link that leads out of the folder"))
    elif not stat.S_ISREG(seen.st_mode):
        result.skipped.append((name, "a link to a folder"))
    else:
        result.files.append(_found(path, seen))


@contextmanager
def open_found(root: Path, found: Found) -> Iterator[int]:
    """A file descriptor of `found` under `root`, if it is still what it was.

    Raises:
        Changed: size or time differ, now or once the block is done.
        DiskTrouble: it cannot be opened or read.
    """
    try:
        handle = os.open(os.path.join(root, *found.path), _READ)
    except OSError as wrong:
        raise DiskTrouble(
            f"{found.name} cannot be read: {wrong.strerror}", advice="Fix its permissions."
        ) from wrong
    try:
        _same(handle, found)
        yield handle
        _same(handle, found)
    except OSError as wrong:
        raise DiskTrouble(
            f"{found.name} cannot be read: {wrong.strerror}", advice="Check the disk."
        ) from wrong
    finally:
        os.close(handle)


def read_found(root: Path, found: Found, view: memoryview) -> None:
    """Read all of `found` into `view`, which is longer than it. Raises as `open_found`; made for small files."""
    try:
        handle = os.open(os.path.join(root, *found.path), _READ)
        try:
            got = read_into(handle, view[: found.size], 0)
            seen = os.fstat(handle)
        finally:
            os.close(handle)
    except OSError as wrong:
        raise DiskTrouble(
            f"{found.name} cannot be read: {wrong.strerror}", advice="Check the disk."
        ) from wrong
    if got != found.size or seen.st_size != got or seen.st_mtime_ns != found.stamp:
        raise Changed(f"{found.name} changed while it was hashed")


def _same(handle: int, found: Found) -> None:
    seen = os.fstat(handle)
    if (seen.st_size, seen.st_mtime_ns) != (found.size, found.stamp) or not stat.S_ISREG(seen.st_mode):
        raise Changed(f"{found.name} changed while it was hashed")


def unfinished(to: Path) -> list[Path]:
    """The folders in `to` that `Partial.resume` may be tried on."""
    try:
        return sorted(path for path in to.iterdir() if path.name.startswith(PARTIAL_PREFIX))
    except OSError:
        return []
