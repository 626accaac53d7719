"""What becomes of a download on disk at its end: served on from where it lies, or deleted. Everything here blocks."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from servent.blobs import names
from servent.blobs.disk import Partial
from servent.blobs.hashing import Shared, hash_tree
from servent.blobs.info import Collection, parse
from servent.blobs.listing import is_v1
from servent.blobs.rows import Row
from servent.blobs.scan import PARTIAL_PREFIX, Found
from servent.blobs.shares_service import ABSENT
from servent.errors import DiskTrouble, NotFound, UsageError


def as_shared(collection: Collection, final: Path, wanted: Iterable[int] | None) -> Shared:
    """What lies at `final`, to be shared without hashing it again. Raises OSError: it is gone."""
    paths = [(final.name, *parts[1:]) for parts in names.safe_paths(collection)]
    chosen = None if wanted is None else frozenset(wanted)
    stamps = [
        os.stat(final.parent.joinpath(*parts)).st_mtime_ns if chosen is None or index in chosen else ABSENT
        for index, parts in enumerate(paths)
    ]
    return Shared(collection, final.parent, paths, stamps, [])


def check_files(row: Row) -> None:
    """Read what was fetched again, where nobody but its row knows of it.

    Raises:
        NotFound: it is not there. UsageError: it is not what was fetched. DiskTrouble: it cannot be read.
    """
    if row.info is None or row.path is None:
        raise NotFound("it is not on this machine any more", advice="Fetch it again.")
    if is_v1(row.infohash):
        raise UsageError("a torrent of version 1 is read again only while it is shared", advice="")
    collection = parse(row.info, row.infohash)
    try:
        shared = as_shared(collection, Path(row.path), row.wanted)
    except FileNotFoundError as wrong:
        raise NotFound(
            f"{wrong.filename or row.path} is not there any more", advice="Fetch it again."
        ) from wrong
    here = [index for index, stamp in enumerate(shared.stamps) if stamp != ABSENT]
    sizes = {index: os.stat(shared.root.joinpath(*shared.paths[index])).st_size for index in here}
    found = [Found(shared.paths[index], sizes[index], shared.stamps[index], False) for index in here]
    hashed = hash_tree(shared.root, found, collection.piece_length)
    files = collection.files
    if any(files[index].root != one.root for index, one in zip(here, hashed, strict=True)):
        raise UsageError(f"{row.path} changed since it was fetched", advice="Fetch it again.")


def discard(row: Row) -> str:
    """Delete what an unfinished download left. Returns what there is to say of it."""
    if is_v1(row.infohash) and row.touched:
        shutil.rmtree(Path(row.to, f"{PARTIAL_PREFIX}{row.infohash.hex()[:16]}"), ignore_errors=True)
        return "you cancelled it"
    if row.info is None or not row.touched:
        return "you cancelled it"
    try:
        with contextlib.suppress(UsageError):
            Partial.open(Path(row.to), parse(row.info, row.infohash), check_space=False).discard()
    except DiskTrouble as trouble:
        return f"you cancelled it; what was fetched is still there: {trouble}"
    return "you cancelled it"
