"""Opening and reading files below one folder, never through a symbolic link, with few descriptors.

Where the system can open relative to a folder that is open (Linux, macOS), every folder on the way is held
open and none is followed when it is a link, so nobody who changes names meanwhile can lead us out of the
folder. Elsewhere (Windows) each part is looked at before.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock

from servent.errors import DiskTrouble

Parts = tuple[str, ...]
Buffer = bytes | bytearray | memoryview

_NOFOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY: int = getattr(os, "O_DIRECTORY", 0)
_COMMON: int = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_RELATIVE = os.open in os.supports_dir_fd and os.mkdir in os.supports_dir_fd
_seek_lock = Lock()  # where there is no pread

OPEN_FOLDERS = 32  # most folders held open below one root
OPEN_FILES = 48  # most files held open below one root, beyond those in use


def trouble(wrong: OSError, what: str) -> DiskTrouble:
    """`wrong` in words: what could not be done, and what to do about it."""
    match wrong.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return DiskTrouble(f"the disk is full: {what} could not be written")
        case errno.EFBIG:
            return DiskTrouble(
                f"{what} is too big for this file system",
                advice="Choose a folder on another disk (`--to DIR`).",
            )
        case errno.EROFS:
            return DiskTrouble(f"the file system is read-only: {what} could not be written")
        case errno.EACCES | errno.EPERM:
            return DiskTrouble(f"no permission for {what}")
        case errno.ELOOP | errno.ENOTDIR:
            return DiskTrouble(
                f"a link or a file stands in the way of {what}",
                advice="Something else changed the folder; look at it.",
            )
        case errno.EMFILE | errno.ENFILE:
            return DiskTrouble(
                f"too many open files for {what}", advice="Raise `ulimit -n`, then `servent resume`."
            )
        case errno.ENOENT:
            return DiskTrouble(f"{what} is gone", advice="Was it moved or deleted?")
    return DiskTrouble(f"{what}: {wrong.strerror or wrong}", advice="Check the disk, then `servent resume`.")


def human(size: int) -> str:
    """A size for a person."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def read_into(handle: int, view: memoryview, offset: int) -> int:
    """Fill `view` from `offset`; fewer bytes only at the end of the file."""
    got = 0
    while got < len(view):
        if hasattr(os, "preadv"):
            count = os.preadv(handle, [view[got:]], offset + got)
        else:
            with _seek_lock:
                os.lseek(handle, offset + got, os.SEEK_SET)
                data = os.read(handle, len(view) - got)
            count = len(data)
            view[got : got + count] = data
        if not count:
            break
        got += count
    return got


def write_at(handle: int, data: Buffer, offset: int) -> None:
    """Write all of `data` at `offset`, or raise OSError."""
    view = memoryview(data)
    while len(view):
        if hasattr(os, "pwrite"):
            count = os.pwrite(handle, view, offset)
        else:
            with _seek_lock:
                os.lseek(handle, offset, os.SEEK_SET)
                count = os.write(handle, view)
        if count <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        view = view[count:]
        offset += count


def put(path: Path, content: bytes) -> None:
    """Write a small file in one step."""
    new = path.with_name(path.name + ".new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        write_at(handle, content, 0)
    finally:
        os.close(handle)
    os.replace(new, path)


def own_folder(path: Path) -> None:
    """Make the folder `path` for us alone, or take it: another part of the node may make it at the same moment.

    Raises:
        OSError: it cannot be made, or something that is no real folder is there.
    """
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    Folder(path).close()  # fails when it is a link


def move_new(source: Path, target: Path) -> bool:
    """Rename `source`, unless something is at `target` already (an empty folder gives way)."""
    if source.is_dir():
        try:
            os.rename(source, target)
        except OSError as wrong:
            if wrong.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                return False
            raise
        return True
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError:  # no links on this file system: hold the name with an empty file, then take its place
        try:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        os.replace(source, target)
        return True
    os.unlink(source)
    return True


def sync_folder(path: Path) -> None:
    """Make the names in a folder survive a crash of the machine."""
    if sys.platform != "win32":
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sync_file_system(path: Path) -> bool:
    """One call for thousands of small files, where the system has it (Linux)."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    handle = os.open(path, os.O_RDONLY)
    try:
        return bool(ctypes.CDLL(None, use_errno=True).syncfs(handle) == 0)
    except AttributeError:
        return False
    finally:
        os.close(handle)


class Folder:
    """A folder and what lies below it. Safe to use from several threads.

    Raises:
        OSError: from every method; `root` itself must be a real folder, not a link to one.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = Lock()
        self._folders: OrderedDict[Parts, int] = OrderedDict()
        if not stat.S_ISDIR(os.lstat(root).st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(root))
        self._handle = os.open(root, os.O_RDONLY | _DIRECTORY | _NOFOLLOW | _COMMON) if _RELATIVE else -1

    def close(self) -> None:
        """Close what is held open. Safe twice."""
        with self._lock:
            handles = [*self._folders.values(), self._handle]
            self._folders.clear()
            self._handle = -1
        for handle in handles:
            if handle >= 0:
                os.close(handle)

    def open(self, parts: Parts, flags: int, mode: int = 0o666) -> int:
        """A descriptor of the regular file at `parts`; with O_CREAT the folders on the way are made."""
        if not _RELATIVE:
            return self._open_by_path(parts, flags, mode)
        with self._lock:
            parent = self._folder(parts[:-1], bool(flags & os.O_CREAT))
            handle = os.open(parts[-1], flags | _NOFOLLOW | _COMMON, mode, dir_fd=parent)
        if flags & os.O_CREAT and flags & os.O_EXCL:
            return handle
        return self._regular(handle)

    def _regular(self, handle: int) -> int:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError(errno.ELOOP, "not a regular file")
        return handle

    def _folder(self, parts: Parts, create: bool) -> int:
        """An open folder; the lock is held."""
        if not parts:
            if self._handle < 0:
                raise OSError(errno.EBADF, "the folder is closed")
            return self._handle
        handle = self._folders.get(parts)
        if handle is not None:
            self._folders.move_to_end(parts)
            return handle
        parent = self._folder(parts[:-1], create)
        flags = os.O_RDONLY | _DIRECTORY | _NOFOLLOW | _COMMON
        try:
            handle = os.open(parts[-1], flags, dir_fd=parent)
        except FileNotFoundError:
            if not create:
                raise
            os.mkdir(parts[-1], dir_fd=parent)
            handle = os.open(parts[-1], flags, dir_fd=parent)
        self._folders[parts] = handle
        while len(self._folders) > OPEN_FOLDERS:
            _, oldest = self._folders.popitem(last=False)
            os.close(oldest)
        return handle

    def _open_by_path(self, parts: Parts, flags: int, mode: int) -> int:
        path = self.root
        with self._lock:
            for part in parts[:-1]:
                path /= part
                if flags & os.O_CREAT and not os.path.lexists(path):
                    os.mkdir(path)
                if not stat.S_ISDIR(os.lstat(path).st_mode):
                    raise OSError(errno.ELOOP, "not a folder")
            path /= parts[-1]
            if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
                raise OSError(errno.ELOOP, "not a regular file")
            return os.open(path, flags | _COMMON, mode)


def open_below(root: Path, parts: Parts) -> int:
    """A descriptor of the regular file at `parts` below `root`, for reading; no link on the way is followed.

    Raises:
        OSError: it is not there, is no file, or a link stands in the way.
    """
    folder = Folder(root)
    try:
        return folder.open(parts, os.O_RDONLY)
    finally:
        folder.close()


def open_inside(root: Path, parts: Parts) -> int:
    """The same, but links that stay inside of `root` are followed: a folder may be shared with such."""
    base = root.resolve()
    real = base.joinpath(*parts).resolve(strict=True)
    if not real.is_relative_to(base):
        raise OSError(errno.ELOOP, "a link that leads out of the folder")
    return open_below(base, real.relative_to(base).parts)


class Handles:
    """Open files by number, the least used closed first, none while somebody reads or writes it."""

    def __init__(self, open_file: Callable[[int], int], most: int = OPEN_FILES) -> None:
        self._open = open_file
        self._most = most
        self._lock = Lock()
        self._idle: OrderedDict[int, int] = OrderedDict()  # file number -> descriptor
        self._busy: dict[int, tuple[int, int]] = {}  # file number -> descriptor, users
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    @contextmanager
    def use(self, number: int) -> Iterator[int]:
        """The descriptor of file `number`, open as long as the block runs."""
        handle = self._take(number)
        try:
            yield handle
        finally:
            self._give(number)

    def _take(self, number: int) -> int:
        with self._lock:
            if number in self._busy:
                handle, users = self._busy[number]
                self._busy[number] = handle, users + 1
                return handle
            if self._closed:
                raise OSError(errno.EBADF, "the folder is closed")
            idle = self._idle.pop(number, None)
            handle = self._open(number) if idle is None else idle
            self._busy[number] = handle, 1
            return handle

    def _give(self, number: int) -> None:
        with self._lock:
            handle, users = self._busy.pop(number)
            if users > 1:
                self._busy[number] = handle, users - 1
                return
            closing = [handle] if self._closed else []
            if not self._closed:
                self._idle[number] = handle
                while len(self._idle) > self._most:
                    closing.append(self._idle.popitem(last=False)[1])
        for unused in closing:
            os.close(unused)

    def drop(self, number: int) -> None:
        """Close file `number` if nobody uses it, so that it is opened afresh next time."""
        with self._lock:
            handle = self._idle.pop(number, None)
        if handle is not None:
            os.close(handle)

    def close(self) -> None:
        """Close what is idle now, and what is busy when its user is done. Safe twice."""
        with self._lock:
            self._closed = True
            handles = list(self._idle.values())
            self._idle.clear()
        for handle in handles:
            os.close(handle)
