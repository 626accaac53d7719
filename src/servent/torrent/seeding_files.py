"""What is seeded, on the disk and in words: where the files of a torrent lie, whether they are what they were, its link."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from servent.blobs import infov1
from servent.errors import UsageError
from servent.torrent import metafile
from servent.torrent.metafile import Metafile
from servent.torrent.seeding_rows import Lying, Row


def magnet(row: Row, v1: str, v2: str) -> str:
    """For other programs: with the trackers and web seeds, and without our address."""
    topics = [f"urn:btih:{v1}"] * bool(v1) + [f"urn:btmh:1220{v2}"] * bool(v2)
    parts = [f"xt={topic}" for topic in topics] + [f"dn={quote(row.name[:255], safe='')}"]
    parts += [f"tr={quote(url, safe='')}" for tier in row.trackers for url in tier]
    parts += [f"ws={quote(url, safe='')}" for url in row.web_seeds]
    return "magnet:?" + "&".join(parts) if topics else ""


def checked(given: Sequence[str], schemes: Sequence[str]) -> Sequence[str]:
    for url in given:
        if not metafile.usable_url(url, schemes):
            raise UsageError(
                f"{url[:100]!r} cannot be used", advice=f"A URL begins with {', '.join(schemes)}."
            )
    return given


def torrent_of(known: Metafile, row: Row) -> bytes:
    layers = known.collection.layers if known.collection is not None else {}
    return metafile.encode(known.info, layers, trackers=row.trackers, web_seeds=row.web_seeds)


def lying(known: Metafile, files: Sequence[Path]) -> list[Lying]:
    """Raises UsageError: these are not its files."""
    if known.plain is not None:
        real = [(number, file.size) for number, file in enumerate(known.plain.files) if not file.pad]
    else:
        assert known.collection is not None
        sizes = [file.size for file in known.collection.files]
        real = list(zip(infov1.places_of(known.collection), sizes, strict=True))
    if len(real) != len(files):
        raise UsageError(f"{len(files)} files where the torrent has {len(real)}")
    found = []
    for (number, size), path in zip(real, files, strict=True):
        try:
            seen = os.stat(path, follow_symlinks=False)
        except OSError as wrong:
            raise UsageError(f"{path} cannot be read: {wrong.strerror}") from wrong
        if not stat.S_ISREG(seen.st_mode) or seen.st_size != size:
            raise UsageError(f"{path} is not what the torrent says")
        found.append(Lying(number, str(path), size, seen.st_mtime_ns))
    return found


def changed(files: Sequence[Lying]) -> str:
    """The first of them that is not what it was, as far as `stat` tells; "" when all are. Blocks."""
    for one in files:
        try:
            seen = os.stat(one.path, follow_symlinks=False)
        except OSError:
            return one.path
        if seen.st_size != one.size or seen.st_mtime_ns != one.stamp or not stat.S_ISREG(seen.st_mode):
            return one.path
    return ""
