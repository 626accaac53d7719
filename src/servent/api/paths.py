"""Paths that come in by the API: of this machine, absolute, and there."""

from __future__ import annotations

import os
import re
from pathlib import Path

from servent.errors import NotFound, UsageError, WorldError

PRIVATE = re.compile(
    r"identity\.key|api\.|node\.|.*\.db"
)  # how names begin of what a data directory holds for its owner alone


def existing(text: str) -> str:
    """A file or folder that can be read.

    Raises:
        UsageError: not an absolute path. NotFound: nothing is there. WorldError: it cannot be looked at.
    """
    path = _absolute(text)
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            f"there is no {_short(text)}", advice="Paths are looked up on the node's machine."
        ) from None
    except (OSError, ValueError) as wrong:
        raise WorldError(f"{_short(text)} cannot be read: {_why(wrong)}") from wrong
    if not os.access(path, os.R_OK):
        raise WorldError(
            f"{_short(text)} is not readable", advice="Give the node's user the right to read it."
        )
    return str(path)


def folder(text: str) -> str:
    """A folder that is there, or can be made later.

    Raises:
        UsageError: not an absolute path, or something else than a folder.
    """
    path = _absolute(text)
    try:
        if path.exists() and not path.is_dir():
            raise UsageError(f"{_short(text)} is no folder", advice="Name another with `--to FOLDER`.")
    except (OSError, ValueError) as wrong:
        raise UsageError(f"{_short(text)} cannot be a folder: {_why(wrong)}") from wrong
    return str(path)


def made(text: str) -> None:
    """Make a folder unless it is there. Raises WorldError: it cannot be made."""
    try:
        _absolute(text).mkdir(exist_ok=True)
    except OSError as wrong:
        raise WorldError(
            f"{_short(text)} cannot be made: {_why(wrong)}", advice="Share a folder that is there."
        ) from wrong


def not_our_own(path: str, data_dir: Path) -> None:
    """Raises UsageError: whoever fetched `path` would have this node's key."""
    ours, wanted = data_dir.resolve(), Path(path).resolve()
    if ours.is_relative_to(wanted) or _is_private(wanted, ours):
        raise UsageError(
            f"{_short(path)} holds this node's own key and database",
            advice="Share the folders inside it, or keep the node's data elsewhere with `--data-dir`.",
        )


def _is_private(wanted: Path, ours: Path) -> bool:
    """By what the file is, too: there may be other names for it, and disks that do not tell "A" from "a"."""
    if wanted.parent == ours and PRIVATE.match(wanted.name):
        return True
    try:
        seen = wanted.stat()
        return any(
            PRIVATE.match(one.name) and os.path.samestat(one.stat(), seen)
            for one in os.scandir(ours)
            if one.is_file()
        )
    except OSError:
        return False


def not_inside_our_own(path: str, data_dir: Path) -> None:
    """For a folder of the library, which leaves the node's own files out wherever they lie below it.

    Raises UsageError: it is the data directory.
    """
    if Path(path).resolve() == data_dir.resolve():
        not_our_own(path, data_dir)


def _absolute(text: str) -> Path:
    if "\0" in text:
        raise UsageError("a path holds no NUL")
    try:
        text.encode("utf-8")  # lone surrogates have no place on any disk
    except UnicodeEncodeError:
        raise UsageError("this path is not Unicode text") from None
    path = Path(text)
    if not path.is_absolute():
        raise UsageError(
            f"{_short(text)} is not absolute", advice="The node does not know your working directory."
        )
    return path


def _short(text: str) -> str:
    return repr(text if len(text) <= 120 else text[:100] + "…")


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
