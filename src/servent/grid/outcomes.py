"""Results as lines of JSON and as files. Everything that touches the disk blocks."""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from servent.errors import DiskTrouble, NotFound
from servent.grid import formats
from servent.grid import project_views as views
from servent.grid.batches_rows import Line
from servent.grid.coordinator_views import Final
from servent.grid.formats import Shows
from servent.grid.manifests import Content
from servent.grid.submitting import safe_name

LINES = "results.jsonl"
UNDONE = "the generation before it has another result than was thought"


class Outcomes:
    """Args: `path`: where a content lies on this disk, None where it does not."""

    def __init__(self, path: Callable[[Content], Path | None]) -> None:
        self._path = path

    def view(self, line: Line, final: Final | None, to: str = "", as_file: bool = False) -> views.UnitResult:
        """`to`: the folder where results are written, `as_file`: this one also as a file there."""
        text, is_base64, file, size, digest, verified = None, False, "", 0, "", False
        if final is not None and line.state == "done" and final.state == "done":
            digest, verified = final.digest.hex(), final.verified
            if final.output is not None:
                text, is_base64 = _text(final.output)
                size = len(final.output)
            elif final.content is not None:
                file, size = str(self._path(final.content) or ""), final.content.size
            if to and (as_file or final.output is None):
                file = str(Path(to, file_name(line)))
        return views.UnitResult(
            order=line.order,
            unit=line.unit,
            number=line.number,
            input=line.name,
            state=line.state,
            output=text,
            base64=is_base64,
            file=file,
            size_bytes=size,
            digest=digest,
            verified=verified,
            revised=line.revised,
            why=UNDONE if line.state == "waiting" else final.why if final is not None else "",
            generation=line.generation,
        )

    def output(self, final: Final) -> bytes:
        """All of it. Raises NotFound, DiskTrouble."""
        if final.output is not None:
            return final.output
        path = self._path(final.content) if final.content is not None else None
        if path is None:
            raise NotFound("this result is not on this machine any more", advice="Submit it again.")
        try:
            return path.read_bytes()
        except OSError as wrong:
            raise DiskTrouble(f"cannot read a result: {wrong.strerror}") from wrong

    def shows(self, final: Final) -> Shows:
        """What kind of result it is. Raises DiskTrouble."""
        if final.output is not None:
            return formats.shows(final.output[: formats.HEAD_BYTES])
        path = self._path(final.content) if final.content is not None else None
        if path is None:
            return ""
        try:
            with open(path, "rb") as file:
                return formats.shows(file.read(formats.HEAD_BYTES))
        except OSError as wrong:
            raise DiskTrouble(f"cannot read a result: {wrong.strerror}") from wrong

    def write(
        self,
        lines: Sequence[Line],
        finals: Mapping[int, Final],
        to: Path,
        line_bytes: int,
        files: int,
    ) -> tuple[list[Path], int]:
        """Append to the file of lines after its first `line_bytes`, and write files beside it. The files; the length of the file of lines then.

        `files`: numbers below it become files, too; the others where they are too long for a line. A revised result is another line, and its file takes the place of the earlier one. Raises DiskTrouble.
        """
        written, said = [], []
        try:
            to.mkdir(parents=True, exist_ok=True)
            for line in lines:
                final = finals.get(line.unit)
                shown = self.view(line, final, str(to), line.number < files)
                said.append(msgspec.json.encode(shown) + b"\n")
                if shown.file and final is not None:
                    self._put(final, Path(shown.file))
                    written.append(Path(shown.file))
            with open(to / LINES, "ab") as file:
                line_bytes = min(line_bytes, file.tell())  # less, where somebody took it away
                file.truncate(line_bytes)
                file.seek(line_bytes)
                file.write(b"".join(said))
                file.flush()
                os.fsync(file.fileno())
                return [*written, to / LINES], file.tell()
        except OSError as wrong:
            raise DiskTrouble(f"cannot write results to {to}: {wrong.strerror or wrong}") from wrong

    def _put(self, final: Final, where: Path) -> None:
        staged = where.with_name(f".{where.name}.part")
        path = self._path(final.content) if final.content is not None else None
        if final.output is not None:
            staged.write_bytes(final.output)
        elif path is not None:
            shutil.copyfile(path, staged)
        else:
            return
        os.replace(staged, where)


def writable(to: Path) -> None:
    """Make the folder. Raises DiskTrouble."""
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as wrong:
        raise DiskTrouble(f"cannot write to {to}: {wrong.strerror}") from wrong


def lines_before(to: Path) -> int:
    """Bytes of the file of lines that an earlier batch left in this folder: they stay. Raises DiskTrouble."""
    writable(to)
    try:
        return (to / LINES).stat().st_size
    except OSError:
        return 0


def file_name(line: Line) -> str:
    """Sorts by number; ends as its input does."""
    name = safe_name(line.name)
    return f"{line.number:07d}{'-' + name if name else ''}" + ("" if "." in name else ".out")


def _text(data: bytes) -> tuple[str, bool]:
    """As text where it is, and can stand in JSON as it is; else base64."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return base64.b64encode(data).decode(), True
    return (text, False) if "\0" not in text else (base64.b64encode(data).decode(), True)
