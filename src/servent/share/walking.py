"""What lies in a shared folder, a batch of folders at a time, with one `stat` for each file. For a worker thread.

Links are never followed: what they lead to was not shared. Names that are no text, or that disguise themselves, are
left out and counted with a reason, and so is what cannot be read; nothing on a disk makes a scan fail.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from time import monotonic

from servent.share.catalog_scan import Listing
from servent.share.changes import Seen
from servent.share.folders import Parts, Rules
from servent.share.sensitive import HARMLESS, Look, is_secret, secret_folder

MAX_DEPTH = 64  # folders inside each other; as blobs.info.MAX_DEPTH
MAX_FILES = 5_000_000  # in one shared folder; a guess, far above what people share
MAX_SIZE = 2**53  # bytes of a file; as blobs.info.MAX_SIZE
BATCH = 4000  # entries in one batch; some 20 ms of a disk that is warm
SHOWN = 20  # examples of what was left out
LOOK_ENTRIES, LOOK_TIME = 100_000, 3.0  # a quick look ends after so many entries or seconds

# Controls, line ends, surrogates (bytes that are no UTF-8), and marks that turn the direction of text: a name with
# one is made to look like something else.
_DISGUISED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def bad_name(name: str) -> str:
    """Why a name cannot be shared; "" when it can."""
    if (name.isascii() and name.isprintable()) or not _DISGUISED.search(name):
        return ""
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        return "its name is not Unicode text"
    return "its name holds control characters"


def printable(text: str) -> str:
    """A path as it may be shown and sent: what cannot be, as an escape."""
    return _DISGUISED.sub(lambda found: ascii(found[0])[1:-1], text)


class Skipped:
    """What was left out, counted, with examples."""

    def __init__(self) -> None:
        self.count = 0
        self.examples: list[str] = []

    def add(self, path: Parts, why: str) -> None:
        self.count += 1
        if len(self.examples) < SHOWN:
            self.examples.append(f"{printable('/'.join(path))[-200:] or 'the folder'}: {why}"[:300])


class Walk:
    """One look through a shared folder. Iterate over `listings`.

    Args:
        root: resolved.
        secrets: take files that look like keys, too; the person was asked.
        never: (device, inode) of folders that are never looked into: servent's own.
        stop: asked for every folder; a true answer ends the walk.
    """

    def __init__(
        self,
        root: str,
        rules: Rules,
        *,
        secrets: bool = False,
        never: Iterable[tuple[int, int]] = (),
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._root, self._rules, self._secrets = root, rules, secrets
        self._never = frozenset(never)
        self._stop = stop
        self.skipped = Skipped()
        self.files = 0
        self.stopped = False

    def batches(self, start: Parts = ()) -> Iterator[list[Listing]]:
        """Everything below `start`, some thousand entries at a time, a folder before what is in it."""
        batch: list[Listing] = []
        size = 0
        for listing in self.listings(start):
            batch.append(listing)
            size += 1 + len(listing.files)
            if size >= BATCH:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def listings(self, start: Parts = ()) -> Iterator[Listing]:
        """One folder after the other. A folder that cannot be read is counted as left out, and as empty."""
        waiting: list[tuple[Parts, frozenset[tuple[int, int]]]] = [(start, frozenset())]
        while waiting:
            if self._stop():
                self.stopped = True
                return
            path, above = waiting.pop()
            try:
                listing, below = self._read(path, above)
            except OSError as wrong:
                self.skipped.add(path, wrong.strerror or "it cannot be read")
                yield Listing(path, [])
                continue
            waiting += below
            yield listing
            if self.files >= MAX_FILES:
                self.skipped.add((), f"more than {MAX_FILES} files; share its folders one by one")
                self.stopped = True
                return

    def _read(
        self, path: Parts, above: frozenset[tuple[int, int]]
    ) -> tuple[Listing, list[tuple[Parts, frozenset[tuple[int, int]]]]]:
        here = os.path.join(self._root, *path)
        seen = os.stat(here, follow_symlinks=not path)
        me = (seen.st_dev, seen.st_ino)
        if me in above or me in self._never:
            self.skipped.add(path, "it contains itself" if me in above else "it belongs to servent itself")
            return Listing(path, []), []
        files: list[Seen] = []
        names: list[str] = []
        with os.scandir(here) as entries:
            for entry in entries:
                taken = self._entry(path, entry, files)
                if taken:
                    names.append(taken)
        self.files += len(files)
        if names and len(path) >= MAX_DEPTH:
            self.skipped.add(path, f"it lies deeper than {MAX_DEPTH} folders")
            names = []
        inside = above | {me}
        return (
            Listing(path, files, frozenset(names), seen.st_mtime_ns),
            [((*path, name), inside) for name in names],
        )

    def _entry(self, path: Parts, entry: os.DirEntry[str], files: list[Seen]) -> str:
        """Put a file into `files`; returns the name of a folder to look into."""
        name = entry.name
        try:
            if entry.is_dir(follow_symlinks=False):
                if not self._rules.wants_folder(path, name):
                    return ""
                if why := bad_name(name):
                    self.skipped.add((*path, name), why)
                    return ""
                return name
            if self._rules.wants_file(path, name) and self._is_fine(path, name, entry):
                seen = entry.stat(follow_symlinks=False)
                if seen.st_size > MAX_SIZE:
                    self.skipped.add((*path, name), "it is larger than 2^53 bytes")
                else:
                    files.append(Seen(name, seen.st_size, seen.st_mtime_ns, _signed(seen.st_ino)))
        except OSError as wrong:
            if not isinstance(wrong, FileNotFoundError):  # gone between two looks
                self.skipped.add((*path, name), wrong.strerror or "it cannot be read")
        return ""

    def _is_fine(self, path: Parts, name: str, entry: os.DirEntry[str]) -> bool:
        why = ""
        if entry.is_symlink():
            why = "it is a link, and links are not followed"
        elif not entry.is_file(follow_symlinks=False):
            why = "it is neither a file nor a folder"
        elif not self._secrets and is_secret(name):
            why = "it looks like a key or a password; confirm the folder to share it"
        else:
            why = bad_name(name)
        if why:
            self.skipped.add((*path, name), why)
        return not why

    def look(self, paths: Iterable[Parts]) -> Iterator[list[Listing]]:
        """Only what changed: files and folders by name. A folder that is new is walked whole."""
        asked: dict[Parts, set[str]] = {}
        for path in paths:
            if path:
                asked.setdefault(path[:-1], set()).add(path[-1])
        walked: list[Parts] = []
        for folder in sorted(asked, key=len):
            if any(folder[: len(one)] == one for one in walked) or self._stop():
                continue
            files: list[Seen] = []
            folders = set()
            for name in asked[folder]:
                path = (*folder, name)
                kind = self._kind(path)
                if kind == "folder" and self._rules.wants(path, folder=True):
                    folders.add(name)
                    walked.append(path)
                elif kind == "file":
                    self._single(path, files)
            yield [Listing(folder, files, frozenset(folders), 0, frozenset(asked[folder]))]
            for name in folders:
                yield from self.batches((*folder, name))

    def _kind(self, path: Parts) -> str:
        """What is there, when every folder above is a real one."""
        if any(bad_name(part) for part in path) or len(path) > MAX_DEPTH:
            return ""
        try:
            for depth in range(1, len(path)):
                seen = os.lstat(os.path.join(self._root, *path[:depth]))
                if not stat.S_ISDIR(seen.st_mode) or (seen.st_dev, seen.st_ino) in self._never:
                    return ""
            mode = os.lstat(os.path.join(self._root, *path)).st_mode
        except (OSError, ValueError):
            return ""
        return "folder" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else ""

    def _single(self, path: Parts, files: list[Seen]) -> None:
        if not self._rules.wants(path) or (not self._secrets and is_secret(path[-1])):
            return
        try:
            seen = os.lstat(os.path.join(self._root, *path))
        except OSError:
            return
        if stat.S_ISREG(seen.st_mode) and seen.st_size <= MAX_SIZE:
            files.append(Seen(path[-1], seen.st_size, seen.st_mtime_ns, _signed(seen.st_ino)))


def _signed(number: int) -> int:
    """SQLite has 63 bits and a sign; some file systems use all 64."""
    return number if number < 2**63 else number - 2**64


def look_into(root: Path, rules: Rules) -> Look:
    """A quick look at the names in a folder, before it is shared. Folders that are left out are not looked into.

    Raises:
        OSError: the folder itself cannot be read.
    """
    look = Look()
    until = monotonic() + LOOK_TIME
    left = LOOK_ENTRIES
    waiting: list[Parts] = [()]
    for path in waiting:
        try:
            with os.scandir(os.path.join(root, *path)) as entries:
                for entry in entries:
                    left -= 1
                    if not left or monotonic() > until:
                        look.whole = False
                        return look
                    _glance(look, rules, path, entry, waiting)
        except OSError:
            if not path:
                raise
    return look


def _glance(look: Look, rules: Rules, path: Parts, entry: os.DirEntry[str], waiting: list[Parts]) -> None:
    name = entry.name
    folder = entry.is_dir(follow_symlinks=False)
    if folder and not path:
        look.top.append(name)
    if rules.excludes((*path, name), folder=folder):
        return  # nothing to ask about
    if name.startswith(".") and name not in HARMLESS and not name.startswith(("._", ".servent-part-")):
        look.hidden.append(_shown(path, name))
    if folder:
        if secret_folder(name):
            look.secrets.append(_shown(path, name))
        if len(path) < MAX_DEPTH and rules.wants_folder(path, name):
            waiting.append((*path, name))
    elif is_secret(name) and (name.startswith(".") or rules.wants_file(path, name)):
        look.secrets.append(_shown(path, name))


def _shown(path: Parts, name: str) -> str:
    return printable("/".join((*path, name)))
