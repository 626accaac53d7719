"""What files say of themselves, read in another process, cleaned and cut. Never trusted, never needed.

A file that makes the process crash, hang or grow has no tags, and the next file gets a new process.
"""

from __future__ import annotations

import logging
import math
import os
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from servent.query import kinds
from servent.query.kinds import Kind
from servent.share.children import ChildLost, Children

log = logging.getLogger(__name__)

LOAD_LIMIT = 30.0  # s for a process to begin; it takes a fifth of a second on a quiet machine
LIMIT = 5.0  # s for a file; tags are read in milliseconds
AT_ONCE = 256  # files in one job
SUSPECTS = 64  # files that are read alone after a process was lost
MAX_TEXT = 200  # characters
_AUDIO = frozenset(
    [
        "mp3",
        "mp2",
        "mp1",
        "m4a",
        "m4b",
        "m4r",
        "aac",
        "flac",
        "ogg",
        "oga",
        "opus",
        "spx",
        "wav",
        "wma",
        "aif",
        "aiff",
        "aifc",
        "afc",
    ]
)
_VIDEO = frozenset(["mp4", "m4v", "ogv", "wmv", "asf", "mov"])
_IMAGE = frozenset(
    [
        "jpg",
        "jpeg",
        "jpe",
        "png",
        "gif",
        "webp",
        "bmp",
        "tif",
        "tiff",
        "ico",
        "tga",
        "pcx",
        "ppm",
        "pgm",
        "pbm",
        "avif",
        "jxl",
    ]
)
_TEXTS = ("artist", "album", "title", "albumartist", "genre", "year", "camera", "taken", "format")
_NUMBERS = {
    "track": 10_000, "disc": 1000, "duration_s": 86400 * 100, "bitrate_kbps": 10**7, "samplerate_hz": 10**7, "channels": 1000,
    "width": 10**6, "height": 10**6,
}  # fmt: skip
# As walking's: controls, and marks that turn the direction of text. They become spaces.
_UNWANTED = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]+"
)

Tags = dict[str, Any]


class Said(NamedTuple):
    """What came of one file."""

    tags: Tags
    kind: Kind | None = None  # where the name tells nothing


def what_for(name: str) -> str:
    """Which of the child's works fits a name; "" when nothing is to be read."""
    ext = kinds.ext_of(name)
    if ext in _AUDIO or ext in _VIDEO:
        return "tags"
    if ext in _IMAGE:
        return "image"
    return "sniff" if kinds.by_name(name) == "other" else ""


def clean(raw: object) -> Tags:
    """Only what is known, in its type and range; texts without control characters, cut."""
    found: Tags = {}
    if not isinstance(raw, dict):
        return found
    for name in _TEXTS:
        value = raw.get(name)
        if isinstance(value, str):
            text = " ".join(_UNWANTED.sub(" ", value[: 4 * MAX_TEXT]).split())[:MAX_TEXT].strip()
            if text:
                found[name] = text
    for name, most in _NUMBERS.items():
        value = raw.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if not math.isfinite(value) or not 0 < value <= most:
            continue
        rounded = round(value, 1)
        if rounded > 0:
            found[name] = int(rounded) if rounded == int(rounded) else rounded
    year = found.get("year")
    if year is not None:
        digits = re.match(r"\d{4}", year)
        if digits:
            found["year"] = int(digits[0])
        else:
            del found["year"]
    return found


class Metadata:
    """Reads tags of many files. `read` blocks; call it from as many threads as processes are wanted."""

    def __init__(
        self, script: str = "metadata_child.py", limit: float = LIMIT, *, gentle: bool = True
    ) -> None:
        self._children = Children(script, bare=False, gentle=gentle)
        self._limit = limit

    def read(self, files: Sequence[tuple[str, str]], root: str = "") -> list[Said]:
        """What each (path, name) says; nothing for those that are not for reading.

        Args:
            root: the folder that the paths are below, "/"-separated; no link from there on is followed.
        """
        answers: list[Said] = [Said({})] * len(files)
        jobs = [(place, path, what) for place, (path, name) in enumerate(files) if (what := what_for(name))]
        at = 0
        alone_until = 0  # since answers come in groups, only a file that is alone is known to be the culprit
        while at < len(jobs):
            size = 1 if at < alone_until else AT_ONCE
            done, well = self._some(jobs[at : at + size], answers, root)
            if not well and size > 1:
                alone_until = at + done + SUSPECTS
            elif not well:
                done += 1
            at += done
        return answers

    def _some(self, jobs: Sequence[tuple[int, str, str]], answers: list[Said], root: str) -> tuple[int, bool]:
        """One process's turn. Returns how many answered, and whether all did."""
        done = 0
        try:
            child = self._children.take()
        except ChildLost:
            return 0, False
        well = False
        try:
            if not child.warm:  # a file that is not there: its parser is loaded all the same
                child.send((b"", [(b"", jobs[0][2])]))
                child.receive(LOAD_LIMIT)
                child.warm = True
            paths = [(path.encode(errors="surrogateescape"), what) for _, path, what in jobs]
            child.send((os.fsencode(root), paths))
            for place, _, what in jobs:
                answers[place] = _said(child.receive(self._limit), what)
                done += 1
            well = True
        except ChildLost as wrong:
            if len(jobs) == 1:
                log.info("what a file says of itself is not known (%s): %s", wrong, jobs[0][1])
        finally:
            self._children.give(child, well=well)
        return done, well

    def rest(self) -> None:
        """Nothing to do for a while."""
        self._children.rest()

    def close(self) -> None:
        """End all processes."""
        self._children.close()


def _said(raw: object, what: str) -> Said:
    if what == "sniff":
        mime = raw.get("mime") if isinstance(raw, dict) else None
        return Said({}, kinds.by_mime(mime) if isinstance(mime, str) else None)
    return Said(clean(raw))
