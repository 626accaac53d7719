"""The files of a ledger: segments and a head, written whole or not at all; and a folder of them checked. Blocking: for threads."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from servent.codec import canonical
from servent.errors import BadMessage, DiskTrouble, NotFound
from servent.grid import ledger
from servent.grid.audit import Auditor, Known
from servent.grid.credit_views import Audited
from servent.grid.ledger import Earned, EntryLine, Head, Segment
from servent.grid.standing import Tally


class Full(NamedTuple):
    """A segment that was just filled: its number from 1, what it is, the id of its last line, and how many entries the ledger has to its end."""

    number: int
    segment: Segment
    last: int
    entries: int


def write_tail(
    folder: Path, sealed: Sequence[Segment], entries: int, tail: Sequence[tuple[int, bytes]]
) -> tuple[list[Segment], list[Full]]:
    """Write lines behind the full segments, in files of their own; full ones are on the disk for good when this returns.

    Args:
        entries: in the full segments. tail: (id, line), in order.

    Returns:
        all segments of the ledger, and those that were filled now.

    Raises:
        DiskTrouble: what was there before is still there.
    """
    segments, full = list(sealed), []
    part: list[bytes] = []
    size = 0
    with _disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for id, line in tail:
            part.append(line)
            size += len(line)
            if size >= ledger.SEGMENT_BYTES:
                segments.append(_write_segment(folder, len(segments) + 1, entries, part, durable=True))
                entries += _entries(part)
                full.append(Full(len(segments), segments[-1], id, entries))
                part, size = [], 0
        if part:
            segments.append(_write_segment(folder, len(segments) + 1, entries, part, durable=False))
    return segments, full


def write_head(folder: Path, head: bytes, earned: Sequence[Earned]) -> None:
    """The head, and what the owner earned elsewhere. Raises DiskTrouble."""
    with _disk(folder):
        shown = folder / ledger.EARNED_NAME
        if earned:
            _write(shown, canonical(list(earned)), durable=False)
        else:
            shown.unlink(missing_ok=True)
        _write(folder / ledger.HEAD_NAME, head, durable=True)


class Found(NamedTuple):
    """What `audit` made of a folder. `head`: None where there is none."""

    audited: Audited
    tally: Tally
    head: Head | None


def audit(
    place: Path,
    now: float,
    *,
    project: bytes | None = None,
    known: Known | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Found:
    """Check a folder with a published ledger, or one segment of it.

    Args:
        project: whose it is meant to be; None takes anybody's.

    Raises:
        NotFound: there is no ledger. DiskTrouble.
    """
    begun = clock()
    with _disk(place):
        if place.is_file():
            return _audit_files(None, (), [place], now, project, known, begun, clock)
        names = sorted(path for path in place.glob("*.ledger") if path.is_file())
        if not names and not (place / ledger.HEAD_NAME).is_file():
            raise NotFound(f"{place} is no ledger")
        wrong = ""
        head, earned = None, []
        try:
            if (place / ledger.HEAD_NAME).is_file():
                head = ledger.open_head(_read(place / ledger.HEAD_NAME, ledger.HEAD_BYTES + 256), project)
        except BadMessage as trouble:
            wrong = str(trouble)
        shown = place / ledger.EARNED_NAME
        unreadable = ""
        try:
            earned = ledger.read_earned(_read(shown, ledger.EARNED_BYTES)) if shown.is_file() else []
        except BadMessage as trouble:
            unreadable = str(trouble)
        if head is not None:
            names = [
                place / ledger.SEGMENT_NAME.format(number) for number in range(1, len(head.segments) + 1)
            ]
        return _audit_files(head, earned, names, now, project, known, begun, clock, wrong, unreadable)


def _audit_files(
    head: Head | None,
    earned: Sequence[Earned],
    files: Sequence[Path],
    now: float,
    project: bytes | None,
    known: Known | None,
    begun: float,
    clock: Callable[[], float],
    wrong: str = "",
    unreadable: str = "",
) -> Found:
    auditor = Auditor(head, now, project=project or b"", known=known, earned=earned)
    if wrong:
        auditor.broken("head", wrong)
    if unreadable:
        auditor.broken("balance", unreadable)
    for index, path in enumerate(files):
        try:
            data = _read(path, 2 * ledger.SEGMENT_BYTES)
        except FileNotFoundError:
            auditor.broken("head", f"{path.name} is missing")
            continue
        except BadMessage as trouble:
            auditor.broken("head", str(trouble))
            continue
        if head is not None and hashlib.sha256(data).digest() != head.segments[index].digest:
            auditor.broken("head", f"{path.name} is not what the head says")
        try:
            for line in ledger.read_lines(data):
                auditor.line(line)
        except BadMessage as trouble:
            auditor.broken("chain", f"{path.name}: {trouble}")
    return Found(auditor.finish(clock() - begun), auditor.tally, head)


def _write_segment(folder: Path, number: int, entries: int, lines: list[bytes], *, durable: bool) -> Segment:
    data = b"".join(lines)
    _write(folder / ledger.SEGMENT_NAME.format(number), data, durable=durable)
    return Segment(entries + 1, len(data), hashlib.sha256(data).digest())


def _entries(lines: list[bytes]) -> int:
    return sum(isinstance(line, EntryLine) for data in lines for line in ledger.read_lines(data))


def _write(path: Path, data: bytes, *, durable: bool) -> None:
    draft = path.with_name(path.name + ".new")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    os.replace(draft, path)
    if durable and os.name == "posix":
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _read(path: Path, most: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise BadMessage(f"{path.name} is longer than {most} bytes")
    return data


@contextlib.contextmanager
def _disk(place: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as wrong:
        raise NotFound(f"{wrong.filename or place} is not there") from wrong
    except OSError as wrong:
        raise DiskTrouble(f"{place}: {wrong.strerror}") from wrong
