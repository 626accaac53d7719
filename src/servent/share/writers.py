"""Whether anything has a file open for writing: so a file is hashed as soon as it is whole, and never half.

Linux lends a file for reading only while nobody has it open for writing (`F_SETLEASE`, see fcntl(2)), to whoever owns it.
The loan is given back at once; should somebody open the file in between, they wait for some microseconds, and the signal
that this process gets is one that is ignored unless asked for.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterable
from pathlib import Path

from servent.blobs.files import Folder
from servent.share.folders import Parts

try:
    import fcntl
except ImportError:  # Windows has none; nobody can tell there
    fcntl = None  # type: ignore[assignment]


def are_written(root: str, files: Iterable[Parts]) -> list[bool | None]:
    """For each of these files below `root`, in order; None: nobody can tell. Blocks, for microseconds each."""
    paths = list(files)
    try:
        folder = Folder(Path(root))
    except OSError:
        return [None] * len(paths)
    try:
        return [_is_written(folder, path) for path in paths]
    finally:
        folder.close()


def _is_written(folder: Folder, path: Parts) -> bool | None:
    if not hasattr(fcntl, "F_SETLEASE") or not hasattr(fcntl, "F_SETSIG"):
        return None
    try:
        handle = folder.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.fcntl(handle, fcntl.F_SETSIG, signal.SIGURG)  # without it: SIGIO, which ends a process
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(handle, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as no:
        return True if no.errno == errno.EAGAIN else None
    finally:
        os.close(handle)
    return False
