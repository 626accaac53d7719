"""Names from strangers, made safe for every platform: nothing leaves the folder, no two files are one.

The rules are the strictest of Linux, macOS and Windows together, so that a folder fetched on one can be
copied to another, and the same collection lies under the same names everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from unicodedata import category, normalize

from servent.blobs.info import Collection

MAX_PART_BYTES = 240  # UTF-8; file systems allow 255, " (2)" and temporary names need room
MAX_PATH_BYTES = 3000  # UTF-8 below the download folder; PATH_MAX is 4096 on Linux
_RESERVED = frozenset('<>:"/\\|?*')
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"]
    + [f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"]
)
_OURS = ".servent-part-"
_PLAIN = re.compile(r"[\w+=@#&()!,'-]([\w+=@#&()!,' .-]{0,60}[\w+=@#&()!,'-])?", re.ASCII)  # the short way

Path = tuple[str, ...]


def safe_part(name: str) -> str:
    """One part of a path that no platform understands as anything but a name.

    A name that is safe already stays as it is. Never empty, "." or "..", never over 240 bytes of UTF-8.
    """
    if _PLAIN.fullmatch(name) and name.partition(".")[0].rstrip(" ").lower() not in _DEVICES:
        return name
    kept = "".join("_" if letter in _RESERVED or _unprintable(letter) else letter for letter in name)
    kept = kept.rstrip(". ").lstrip(" ")
    if not kept:
        return "_"
    stem = kept.partition(".")[0].rstrip(" ").casefold()
    if stem in _DEVICES or kept.casefold().startswith(_OURS):
        kept = "_" + kept
    return _cut(kept)


def _unprintable(letter: str) -> bool:
    """Controls, surrogates, unassigned, and the marks that turn the direction of text to disguise a name."""
    if letter.isascii():
        return not letter.isprintable()
    kind = category(letter)
    return (
        kind in ("Cc", "Cs", "Zl", "Zp")
        or letter in "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )


def _cut(name: str) -> str:
    """At most 240 bytes, the ending kept when it is a usual one, different names kept different."""
    if len(name.encode()) <= MAX_PART_BYTES and len(normalize("NFD", name).encode()) <= 255:
        return name
    mark = "~" + sha256(name.encode()).hexdigest()[:8]
    stem, dot, ending = name.rpartition(".")
    if not dot or not stem or not 0 < len(ending.encode()) <= 16:
        stem, ending = name, ""
    tail = mark + (f".{ending}" if ending else "")
    room = MAX_PART_BYTES - len(tail.encode())
    while len(stem.encode()) > room or len(normalize("NFD", stem + tail).encode()) > 255:
        stem = stem[: min(len(stem) - 1, room)]
    return stem.rstrip(". ") + tail


def _key(name: str) -> str:
    """Equal for names that some file system takes for one (case, composed or not)."""
    if name.isascii():
        return name.lower()
    return normalize("NFC", normalize("NFD", normalize("NFC", name).casefold()).casefold())


def numbered(name: str, number: int) -> str:
    """ "name (2).txt" for "name.txt" and 2."""
    stem, dot, ending = name.rpartition(".")
    if not dot or not stem or len(ending) > 16:
        stem, dot, ending = name, "", ""
    return f"{stem} ({number}){dot}{ending}"


class _Folder:
    """Names taken in one folder, and what each part that was shared became."""

    __slots__ = ("_became", "_next", "_taken", "folders")

    def __init__(self) -> None:
        self.folders: dict[str, _Folder] = {}
        self._became: dict[tuple[str, bool], str] = {}
        self._taken: set[str] = set()
        self._next: dict[str, int] = {}  # where counting goes on, so that a million clashes stay cheap

    def name(self, part: str, ours: bool = False) -> str:
        """What `part` is called here; `ours` for a name that is not from the collection."""
        known = self._became.get((part, ours))
        if known is not None:
            return known
        name = safe = safe_part(part)
        key = _key(name)
        if key in self._taken:
            number = self._next.get(key, 2)
            while _key(name := numbered(safe, number)) in self._taken:
                number += 1
            self._next[key] = number + 1
        self._taken.add(_key(name))
        self._became[part, ours] = name
        return name


def safe_paths(collection: Collection) -> list[Path]:
    """Where each file of `collection` goes, below the download folder, beginning with the collection's name.

    The same collection always gives the same list. A name that was safe and clashes with none is kept.
    """
    if collection.single:
        return [(safe_part(collection.name),)]
    top = safe_part(collection.name)
    return [(top, *path) for path in unique_paths([file.path for file in collection.files])]


def unique_paths(paths: Sequence[Path]) -> Iterator[Path]:
    """Safe forms of `paths`, in order, no two alike, none a folder that another needs as a file."""
    root = _Folder()
    for path in paths:
        folder, parts = root, []
        for part in path[:-1]:
            name = folder.name(part)
            parts.append(name)
            folder = folder.folders.setdefault(name, _Folder())
        parts.append(folder.name(path[-1]))
        if sum(len(part.encode()) + 1 for part in parts) > MAX_PATH_BYTES:
            parts = _short(root, path)
        yield tuple(parts)


def _short(root: _Folder, path: Path) -> list[str]:
    """A path that is too long as a whole goes to one folder under a name made from its hash."""
    mark = sha256("/".join(path).encode()).hexdigest()[:16]
    long = root.name("long paths", ours=True)
    folder = root.folders.setdefault(long, _Folder())
    return [long, folder.name(f"{mark} {safe_part(path[-1])[-60:]}")]
