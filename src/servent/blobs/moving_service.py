"""Moves and renames what is complete, while it is served: first a second set of names or a checked copy, then the switch.

On one file system the files get their new names beside the old ones (hard links), so that a reader finds them under
one or the other at every instant; the new folder appears by one rename. Onto another file system everything is
copied, synced, and every piece read back and hashed before the old files are deleted. Whatever fails before the switch
leaves all as it was. Everything but `Mover.move` blocks.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from servent.blobs import names
from servent.blobs.files import trouble
from servent.blobs.finishing_service import as_shared
from servent.blobs.hashing import Shared
from servent.blobs.info import Collection
from servent.blobs.places import Placed
from servent.blobs.seed import Seed
from servent.blobs.shares_service import ABSENT, Shares, places
from servent.errors import DiskTrouble, UsageError

COPY = 4 * 1024 * 1024  # bytes between two looks at whether to stop
NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS, errno.EACCES}


def destination(old: Path, to: Path | None, name: str | None) -> Path:
    """Where it goes.

    Raises:
        UsageError: not a name, inside itself, or something is there already.
        DiskTrouble: the folder is not there and cannot be made.
    """
    if name is not None and names.safe_part(name) != name:
        raise UsageError(
            f"{name[:80]!r} is no name for a file everywhere", advice="Leave out / \\ : * ? and the like."
        )
    folder = old.parent if to is None else to.expanduser().absolute()
    new = folder / (name or old.name)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is no folder", advice="Choose another.")
    if new == old:
        return new
    if old in new.parents:
        raise UsageError(f"{new} is inside of what is to be moved")
    same = (
        new.exists() and old.exists() and os.path.samefile(old, new)
    )  # "Film" to "film" where case does not count
    if os.path.lexists(new) and not same:
        raise UsageError(f"{new} exists already", advice="Choose another name.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as wrong:
        raise trouble(wrong, str(folder)) from wrong
    return new


class Mover:
    """Moves what `shares` serves.

    Args:
        shares: told of the new place before the old one goes.
    """

    def __init__(self, shares: Shares) -> None:
        self._shares = shares
        self._busy: set[Path] = set()

    def collection(self, infohash: bytes) -> Collection | None:
        """With all that is known of its pieces, when it is shared."""
        return self._shares.collection(infohash)

    async def move(
        self,
        collection: Collection,
        old: Path,
        wanted: Sequence[int] | None,
        to: Path | None,
        name: str | None,
    ) -> Path:
        """Move it. Returns where it lies now.

        Raises:
            UsageError: see `destination`; or its files changed.
            DiskTrouble: it could not be copied; everything is as it was.
        """
        new = await asyncio.to_thread(destination, old, to, name)
        if new == old:
            return old
        if old in self._busy:
            raise UsageError("it is being moved already")
        self._busy.add(old)
        try:
            staged = await asyncio.to_thread(_stage, collection, old, new, wanted)
            try:
                shared = await asyncio.to_thread(_settle, collection, staged, old, new, wanted)
            except BaseException:
                await asyncio.shield(asyncio.to_thread(_delete, staged))
                raise
            if self._shares.path(collection.infohash) == old:
                await self._shares.keep(shared, new)
            if staged is not None:
                await asyncio.to_thread(_delete, old)
        finally:
            self._busy.discard(old)
        return new


def _stage(collection: Collection, old: Path, new: Path, wanted: Sequence[int] | None) -> Path | None:
    """A second set of names, or a checked copy, beside where it goes. None: this file system can only rename."""
    staged = new.with_name(f".servent-part-moving-{collection.infohash.hex()[:16]}")
    _delete(staged)
    try:
        if os.path.lexists(new):
            return None  # only upper and lower case differ
        if _device(old) == _device(new.parent):
            try:
                _each(old, staged, os.link)
                return staged
            except OSError as wrong:
                _delete(staged)
                if wrong.errno not in NO_LINKS:
                    raise
                return None
        _room(old, new.parent)
        _each(old, staged, _copy)
        if collection.missing_layers():
            _each(old, staged, _compare)
        else:
            _check(collection, staged, new, wanted)
        return staged
    except OSError as wrong:
        _delete(staged)
        raise trouble(wrong, wrong.filename or str(old)) from wrong
    except BaseException:
        _delete(staged)
        raise


def _device(path: Path) -> object:
    """Equal for what lies on one file system."""
    return os.stat(path).st_dev


def _settle(
    collection: Collection, staged: Path | None, old: Path, new: Path, wanted: Sequence[int] | None
) -> Shared:
    """Give it its name; what is to be shared there."""
    try:
        os.rename(staged or old, new)
        return as_shared(collection, new, wanted)
    except OSError as wrong:
        raise trouble(wrong, str(new)) from wrong


def _each(old: Path, new: Path, make: Callable[[Path, Path], object]) -> None:
    """`make` every file below `old` in `new`. Links and what is no file are not followed."""
    if not stat.S_ISDIR(os.lstat(old).st_mode):
        make(old, new)
        return
    new.mkdir(exist_ok=True)
    for folder, folders, files in os.walk(old):
        into = new / Path(folder).relative_to(old)
        for name in list(folders):
            source = Path(folder, name)
            if source.is_symlink():
                folders.remove(name)
                files.append(name)
            else:
                (into / name).mkdir(exist_ok=True)
        for name in files:
            source = Path(folder, name)
            if source.is_symlink():
                if not os.path.lexists(into / name):
                    os.symlink(os.readlink(source), into / name)
            elif source.is_file():
                make(source, into / name)
            else:
                raise UsageError(f"{source} is no file", advice="Move it away first.")


def _copy(old: Path, new: Path) -> None:
    with open(old, "rb") as source, open(new, "xb") as target:
        shutil.copyfileobj(source, target, COPY)
        target.flush()
        os.fsync(target.fileno())
    shutil.copystat(old, new)


def _compare(old: Path, new: Path) -> None:
    with open(old, "rb") as one, open(new, "rb") as other:
        while data := one.read(COPY):
            if other.read(len(data)) != data:
                raise DiskTrouble(f"what was copied to {new} reads differently", advice="Check that disk.")


def _room(old: Path, folder: Path) -> None:
    size = (
        sum(os.lstat(Path(at, name)).st_size for at, _, files in os.walk(old) for name in files)
        if old.is_dir()
        else old.stat().st_size
    )
    free = shutil.disk_usage(folder).free
    if size > free:
        raise DiskTrouble(
            f"{folder} has room for {free} bytes, {size} are needed", advice="Choose another disk."
        )


def _check(collection: Collection, staged: Path, new: Path, wanted: Iterable[int] | None) -> None:
    """Every piece of the copy is what it should be. Raises UsageError, DiskTrouble."""
    shared = as_shared(collection, staged, wanted)
    # `staged` is no safe name; below it all are.
    source: Seed | Placed
    if ABSENT in shared.stamps:
        source = Placed(collection, places(shared))
    else:
        source = Seed(collection, shared.root, shared.paths, shared.stamps)
    try:
        for piece in range(collection.pieces):
            if source.has(piece) and not collection.verify(piece, source.read_piece(piece)):
                raise UsageError(
                    f"what would be moved to {new} is not what was fetched",
                    advice="`servent verify` finds out what changed.",
                )
    finally:
        source.close()


def _delete(path: Path | None) -> None:
    """Whatever is there; what cannot be deleted stays."""
    if path is None or not os.path.lexists(path):
        return
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        path.unlink()
    except OSError:
        return
