"""Real files to send: Python's own trees, which exist on every machine that can run this."""

from __future__ import annotations

import hashlib
import os
import shutil
import sysconfig
from collections.abc import Iterator
from pathlib import Path

MOST_FILES = 3_000
MOST_BYTES = 45_000_000
MOST_EACH = 400_000  # bytes; a few huge libraries would leave no room for thousands of files


def _python_files() -> Iterator[tuple[Path, Path]]:
    """Every file of the standard library and the installed packages, with its place in the collection."""
    for name in ("stdlib", "purelib"):
        root = Path(sysconfig.get_paths()[name])
        for folder, folders, files in os.walk(root):
            folders[:] = sorted(
                f for f in folders if f not in ("__pycache__", "site-packages", "dist-packages")
            )
            for file in sorted(files):
                path = Path(folder, file)
                if path.is_file() and not path.is_symlink():
                    yield path, Path(name, path.relative_to(root))


def snapshot(to: Path) -> tuple[int, int]:
    """Copy a few thousand real files to `to`. Returns how many, and their bytes."""
    count = total = 0
    for source, place in _python_files():
        length = source.stat().st_size
        if count >= MOST_FILES or total + length > MOST_BYTES or length > MOST_EACH:
            continue
        target = to / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        count, total = count + 1, total + length
    return count, total


def fingerprint(root: Path) -> str:
    """One SHA-256 over every path and content below `root`, by nothing but the standard library."""
    whole = hashlib.sha256()
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        whole.update(str(path.relative_to(root)).encode() + b"\0")
        whole.update(hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()


def corrupt(root: Path, share: float = 0.2) -> int:
    """Change a byte in every few files below `root`, keeping sizes and times: a disk that lies. Returns how many."""
    changed = 0
    every = max(1, round(1 / share))
    for number, path in enumerate(sorted(p for p in root.rglob("*") if p.is_file())):
        if number % every or not (before := path.stat()).st_size:
            continue
        with path.open("r+b") as file:
            first = file.read(1)
            file.seek(0)
            file.write(bytes([first[0] ^ 0xFF]))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        changed += 1
    return changed
