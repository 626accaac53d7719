"""The folder of contents on the disk, and the names of what lies in it. Everything that touches the disk blocks."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path

from servent.blobs.canonical import canon
from servent.errors import BadMessage, DiskTrouble
from servent.grid.contents_rows import Row
from servent.grid.manifests import Content

FORGOTTEN = 7 * 86400.0  # s after which a part of a content that nobody went on with is deleted


def content_of(row: Row) -> Content:
    return Content(row.infohash, 0, row.root, row.size)


def check(content: Content) -> None:
    """Raises BadMessage: it is not the name of a content."""
    try:
        named = content.index == 0 and canon(content.root, content.size) == content.infohash
    except ValueError:
        named = False
    if not named:
        raise BadMessage("a content whose names do not belong together")


def prepare(folder: Path) -> None:
    """Blocks. What was coming when the node was ended is begun anew where somebody wants it."""
    try:
        (folder / "contents").mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / "coming").mkdir(exist_ok=True, mode=0o700)
        for one in (
            folder / "coming"
        ).iterdir():  # a part that came is taken up again, unless nobody wanted it for long
            if not one.is_dir():
                one.unlink()
            elif one.stat().st_mtime < time.time() - FORGOTTEN:
                shutil.rmtree(one, ignore_errors=True)
    except OSError as wrong:
        raise DiskTrouble(f"cannot make {folder}: {wrong.strerror}") from wrong


def link_or_copy(what: Path, staged: Path) -> None:
    """The same file under another name, so that large inputs do not lie on the disk twice. Raises OSError."""
    try:
        os.link(what.resolve(strict=True), staged)
    except OSError as wrong:
        if isinstance(wrong, FileNotFoundError):
            raise
        shutil.copyfile(what, staged)


def unlink(places: Iterable[Path]) -> None:
    for place in places:
        with contextlib.suppress(OSError):
            place.unlink()
