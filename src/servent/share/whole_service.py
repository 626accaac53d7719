"""What of the library can be handed out as one share: everything is hashed already, so nothing is read again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from servent.blobs.hashing import Shared
from servent.errors import UsageError
from servent.share import assembly, content_rows
from servent.share.assembly import Known
from servent.share.folders import FolderSettings
from servent.store import Store

_FILE = "id, folder, dir, name, size, mtime_ns, root, layer"


class Whole(NamedTuple):
    """A file or folder of the library as a share. `folder`: the shared folder it is in."""

    shared: Shared
    path: Path
    folder: FolderSettings


async def whole(
    store: Store,
    folders: Sequence[tuple[int, FolderSettings]],
    path: Path,
    blocked: Callable[[bytes], bool] = lambda root: False,
) -> Whole | None:
    """The library's file or folder at `path`; None: the library does not have it.

    Args:
        store: `library.db`.

    Raises:
        UsageError: not all of it is hashed yet, some of it is blocked, or it cannot be one collection.
    """
    above = [(id, one) for id, one in folders if path.is_relative_to(one.path)]
    if not above:
        return None
    id, settings = max(above, key=lambda pair: len(Path(pair[1].path).parts))
    parts = path.relative_to(settings.path).parts
    directory, file = await store.read(_find(id, parts))
    if file is not None:
        files, base = [file._replace(path=(path.name,))], path.parent
    elif directory is not None:
        files, base = await store.read(content_rows.below(id, directory)), path
    else:
        return None
    if any(one.root is None and one.size for one in files):
        raise UsageError(
            f"{path.name} is still being hashed",
            advice="`servent library` shows how far it is; try again then.",
        )
    if any(one.root is not None and blocked(one.root) for one in files):
        raise UsageError(
            f"something in {path.name} is blocked here", advice="`servent blocks` lists what is."
        )
    collection, taken = await asyncio.to_thread(assembly.folder, path.name, files)
    shared = Shared(
        collection,
        base,
        [Path(one.where).relative_to(base).parts for one in taken],
        [one.stamp for one in taken],
        [],
    )
    return Whole(shared, path, settings)


def _find(folder: int, parts: Sequence[str]) -> Callable[[Any], tuple[int | None, Known | None]]:
    """The directory, or the file, at a path below a shared folder."""

    def read(db: Any) -> tuple[int | None, Known | None]:
        row = db.execute("SELECT id FROM dirs WHERE folder = ? AND parent IS NULL", (folder,)).fetchone()
        for number, part in enumerate(parts):
            if row is None:
                return None, None
            below = db.execute(
                "SELECT id FROM dirs WHERE folder = ? AND parent = ? AND name = ?", (folder, row[0], part)
            ).fetchone()
            if below is None and number == len(parts) - 1:
                found = db.execute(
                    f"SELECT {_FILE} FROM files WHERE dir = ? AND name = ?", (row[0], part)
                ).fetchone()
                return None, content_rows.known(db, found) if found is not None else None
            row = below
        return (row[0] if row is not None else None), None

    return read
