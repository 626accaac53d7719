"""What a person submits, as units: files and items, arguments, repetitions, and spot checks between them. Reads files, waits for nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random

from servent.errors import DiskTrouble, NotFound, UsageError
from servent.grid.coordinator_views import Piece
from servent.grid.manifests import INLINE_BYTES, Content
from servent.grid.wire import ARGUMENTS

UNITS_MOST = 10_000_000  # of one batch
LINES_BYTES = 1 << 30  # of a file whose lines are items
ARGUMENT_CHARACTERS = 256
NAME_CHARACTERS = 200
SEED_PURPOSE = b"servent grid seed\0"


@dataclass(frozen=True, slots=True)
class Input:
    """One unit to be. `number`: its place in the batch; `turn`: which repetition, it makes the seed."""

    number: int
    name: str
    source: bytes | Path
    size: int
    args: tuple[str, ...]
    turn: int

    @property
    def large(self) -> bool:
        """Too long for a message: its input becomes a content."""
        return self.size > INLINE_BYTES

    def piece(self, content: Content | None, operations: int | None, generation: int) -> Piece:
        """Raises DiskTrouble."""
        stdin = b"" if content is not None else _bytes_of(self.source)
        return Piece(
            seed=seed_of(self.turn),
            args=list(self.args),
            stdin=stdin,
            content=content,
            operations=operations,
            generation=generation,
        )


def seed_of(turn: int, generation: int = 0) -> bytes:
    """The same work has the same seed, so that it is the same unit; each repetition has another, and each generation."""
    later = generation.to_bytes(8, "big") if generation else b""
    return sha256(SEED_PURPOSE + turn.to_bytes(8, "big") + later).digest()


def check(files: int, items: int, repeat: int, args: Sequence[str], generations: int = 1) -> int:
    """How many units that is, of the first generation. Raises UsageError."""
    count = (files + items or 1) * repeat
    if repeat < 1 or generations < 1 or count * generations > UNITS_MOST:
        raise UsageError(f"a batch has 1 to {UNITS_MOST} units", advice="Submit several batches.")
    if len(args) > ARGUMENTS or any(len(one) > ARGUMENT_CHARACTERS for one in args):
        raise UsageError(f"a unit has at most {ARGUMENTS} arguments of {ARGUMENT_CHARACTERS} characters")
    return count


def files_of(paths: Sequence[Path]) -> list[tuple[str, Path, int]]:
    """Name, path and size of each; of a folder, of every file in it, by name. Blocks.

    Raises:
        NotFound: there is none. UsageError: neither file nor folder. DiskTrouble.
    """
    found: list[tuple[str, Path, int]] = []
    try:
        for path in paths:
            if path.is_dir():
                inside = sorted(one for one in path.rglob("*") if one.is_file() and not one.is_symlink())
                found += [(one.relative_to(path).as_posix(), one, one.stat().st_size) for one in inside]
            elif path.is_file():
                found.append((path.name, path, path.stat().st_size))
            else:
                raise NotFound(f"there is no file or folder {path}")
            if len(found) > UNITS_MOST:
                raise UsageError(f"more than {UNITS_MOST} files")
    except OSError as wrong:
        raise DiskTrouble(f"cannot read {wrong.filename}: {wrong.strerror}") from wrong
    return found


def lines_of(path: Path) -> list[bytes]:
    """Every line that is not empty. Blocks. Raises NotFound, UsageError, DiskTrouble."""
    try:
        if path.stat().st_size > LINES_BYTES:
            raise UsageError(f"{path} has more than {LINES_BYTES} bytes", advice="Submit it in parts.")
        found = [line for line in path.read_bytes().splitlines() if line]
    except FileNotFoundError as wrong:
        raise NotFound(f"there is no file {path}") from wrong
    except OSError as wrong:
        raise DiskTrouble(f"cannot read {path}: {wrong.strerror}") from wrong
    return found


def title_of(files: Sequence[tuple[str, Path, int]], items: Sequence[bytes], count: int) -> str:
    """What a batch is called where its owner does not say."""
    if len(files) == 1 and not items:
        return files[0][0][:100]
    if files and not items:
        return f"{len(files)} files"
    return f"{count} units" if count != 1 else "a unit"


def work(
    files: Sequence[tuple[str, Path, int]], items: Sequence[bytes], args: Sequence[str], repeat: int
) -> Iterator[Input]:
    """Every unit, files first. Without any input it is `repeat` units that have none."""
    number = 0
    sources: list[tuple[str, bytes | Path, int]] = [*files]
    sources += [(_name_of(item), item, len(item)) for item in items]
    for name, source, size in sources or [("", b"", 0)]:
        for turn in range(repeat):
            said = tuple(filled(one, name[:NAME_CHARACTERS], number) for one in args)
            yield Input(number, name[:NAME_CHARACTERS], source, size, said, turn)
            number += 1


class Answers:
    """Units whose answer is known, to be put between the others where nobody expects them."""

    def __init__(self, pieces: Sequence[Piece], dice: Random) -> None:
        self._left, self._dice = list(pieces), dice
        self._dice.shuffle(self._left)
        self._all = len(self._left)
        self._seen = 0

    def among(self, size: int, count: int) -> list[tuple[int, Piece]]:
        """Those that go between the next `size` of `count` units, with the place of each in a list that has those before it already."""
        self._seen += size
        due = self._all - len(self._left)
        share = self._all if self._seen >= count else self._all * self._seen // count
        some = [self._left.pop() for _ in range(share - due)]
        return [(self._dice.randint(0, size + index), piece) for index, piece in enumerate(some)]


def answers(checks: Sequence[tuple[bytes, bytes]], args: Sequence[str], dice: Random) -> Answers:
    """`checks`: (input, right output)."""
    pieces = [
        Piece(
            seed=seed_of(0),
            args=[filled(one, _name_of(given), 0) for one in args],
            stdin=given,
            answer=sha256(right).digest(),
        )
        for given, right in checks
    ]
    return Answers(pieces, dice)


def filled(text: str, name: str, number: int, generation: int = 0) -> str:
    """An argument of a unit. `number`: of its input."""
    said = text.replace("{name}", name).replace("{number}", str(number))
    return said.replace("{generation}", str(generation))[:ARGUMENT_CHARACTERS]


def _name_of(item: bytes) -> str:
    """A short item names itself."""
    try:
        text = item.decode()
    except UnicodeDecodeError:
        return ""
    return text.strip() if len(text) <= 100 and text.strip().isprintable() else ""


def _bytes_of(source: bytes | Path) -> bytes:
    if isinstance(source, bytes):
        return source
    try:
        with open(source, "rb") as file:
            data = file.read(INLINE_BYTES + 1)
    except OSError as wrong:
        raise DiskTrouble(f"cannot read {source}: {wrong.strerror}") from wrong
    if len(data) > INLINE_BYTES:
        raise UsageError(f"{source} changed while it was submitted", advice="Submit it again.")
    return data


def safe_name(name: str) -> str:
    """A name that a file can have on any system, "" where nothing is left of it."""
    kept = "".join(one if one.isalnum() or one in "-_. " else "_" for one in os.path.basename(name))
    return kept.strip(". ")[:80]
