"""The version 1 half of an info dictionary (BEP 3, 47): read from strangers, or made for a collection of ours. Pure.

Pieces are numbered over the files as one run of bytes and may span several; in a hybrid, files of zeros ("pad files")
fill the gaps, so that its pieces are those of version 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from servent.blobs import bencode, info, names
from servent.blobs.info import Collection
from servent.errors import BadMessage

SHA1 = 20  # bytes
MIN_PIECE_LENGTH = 1024
PAD_FOLDER = b".pad"


class PlainFile(NamedTuple):
    """One file. `pad`: only zeros between two files, never on a disk."""

    path: tuple[str, ...]
    size: int
    pad: bool = False
    executable: bool = False


class Plain(NamedTuple):
    """A version 1 description. `single`: it is one file, whose path is its name."""

    name: str
    piece_length: int
    files: tuple[PlainFile, ...]
    pieces: bytes
    single: bool

    @property
    def size(self) -> int:
        """Bytes of the files, pad files aside."""
        return sum(file.size for file in self.files if not file.pad)


def read(made: Mapping[bytes, bencode.Value]) -> Plain:
    """The version 1 half of a decoded info dictionary.

    Raises:
        BadMessage: it is none, or over a limit.
    """
    pieces, length = made.get(b"pieces"), made.get(b"piece length")
    if not isinstance(pieces, bytes) or not isinstance(length, int):
        raise BadMessage("an info dictionary without pieces")
    if not MIN_PIECE_LENGTH <= length <= info.MAX_PIECE_LENGTH:
        raise BadMessage(f"a piece length of {length}")
    name = _text(made.get(b"name.utf-8", made.get(b"name")))
    listed = made.get(b"files")
    single = listed is None
    if listed is None:
        files = [PlainFile((name,), _size(made.get(b"length")), executable=b"x" in _attributes(made))]
    elif b"length" in made or not isinstance(listed, list) or not listed:
        raise BadMessage("an info dictionary with a damaged list of files")
    else:
        if len(listed) > 2 * info.MAX_FILES:
            raise BadMessage(f"a list of more than {2 * info.MAX_FILES} files")
        files = [_file(one) for one in listed]
    total = sum(file.size for file in files)
    if total > 2 * info.MAX_SIZE or len([1 for file in files if not file.pad]) > info.MAX_FILES:
        raise BadMessage("an info dictionary over the limits of size or files")
    if len(pieces) != SHA1 * -(-total // length) or len(pieces) > SHA1 * info.MAX_PIECES:
        raise BadMessage(f"{len(pieces)} bytes of piece hashes for {total} bytes in pieces of {length}")
    return Plain(name, length, tuple(files), pieces, single)


def _file(entry: bencode.Value) -> PlainFile:
    if not isinstance(entry, dict):
        raise BadMessage("a file that is no dictionary")
    path = entry.get(b"path.utf-8", entry.get(b"path"))
    if not isinstance(path, list) or not 0 < len(path) <= info.MAX_DEPTH:
        raise BadMessage("a file without a path, or with folders nested too deep")
    attributes = _attributes(entry)
    if b"l" in attributes or b"symlink path" in entry:
        raise BadMessage("a symbolic link inside a torrent")
    parts = tuple(_text(part) for part in path)
    return PlainFile(parts, _size(entry.get(b"length")), b"p" in attributes, b"x" in attributes)


def _attributes(entry: Mapping[bytes, bencode.Value]) -> bytes:
    value = entry.get(b"attr", b"")
    return value if isinstance(value, bytes) else b""


def _size(value: bencode.Value | None) -> int:
    if not isinstance(value, int) or not 0 <= value <= info.MAX_SIZE:
        raise BadMessage(f"a file of {str(value)[:40]} bytes")
    return value


def _text(value: bencode.Value | None) -> str:
    """A name; old programs wrote them in any encoding, so what is not UTF-8 is replaced, not refused."""
    if not isinstance(value, bytes) or not 0 < len(value) <= info.MAX_NAME_BYTES:
        raise BadMessage("a name that is missing, empty or too long")
    return value.decode("utf-8", "replace")


def safe_paths(plain: Plain) -> list[names.Path]:
    """Where each file that is no pad file goes, below the download folder, beginning with the torrent's name."""
    top = names.safe_part(plain.name)
    if plain.single:
        return [(top,)]
    paths = [file.path for file in plain.files if not file.pad]
    return [(top, *path) for path in names.unique_paths(paths)]


def agree(plain: Plain, collection: Collection) -> None:
    """Both halves of a hybrid must say the same (BEP 52), or each world would get other files.

    Raises:
        BadMessage: they do not.
    """
    wrong = BadMessage("a hybrid torrent whose two halves contradict each other")
    if plain.piece_length != collection.piece_length or plain.single != collection.single:
        raise wrong
    offset, real = 0, []
    for file in plain.files:
        if not file.pad:
            if file.size and offset % plain.piece_length:
                raise wrong
            real.append((file.path, file.size))
        offset += file.size
    if real != [(file.path, file.size) for file in collection.files]:
        raise wrong


def places_of(collection: Collection) -> list[int]:
    """Under which number libtorrent keeps each file: it puts a pad file behind each that ends inside a piece."""
    numbers, at = [], 0
    for file in collection.files:
        numbers.append(at)
        at += 1 + (file.size % collection.piece_length != 0)
    return numbers


def hybrid(collection: Collection, pieces: Sequence[bytes]) -> bytes:
    """The info dictionary of the same files with a version 1 half.

    Args:
        pieces: SHA-1 of each piece, in order; every piece but those of the last file that has any is filled up with
            zeros to the piece length.
    """
    made = bencode.decode(collection.info, info.MAX_INFO_BYTES)
    assert isinstance(made, dict)
    made[b"pieces"] = b"".join(pieces)
    if collection.single:
        made[b"length"] = collection.files[0].size
        if collection.files[0].executable:
            made[b"attr"] = b"x"
        return bencode.encode(made)
    last = last_file(collection)
    files: list[bencode.Value] = []
    for index, file in enumerate(collection.files):
        entry: dict[bytes, bencode.Value] = {
            b"length": file.size,
            b"path": [part.encode() for part in file.path],
        }
        if file.executable:
            entry[b"attr"] = b"x"
        files.append(entry)
        gap = -file.size % collection.piece_length
        if gap and index < last:
            files.append({b"attr": b"p", b"length": gap, b"path": [PAD_FOLDER, str(gap).encode()]})
    made[b"files"] = files
    return bencode.encode(made)


def last_file(collection: Collection) -> int:
    """The last file with any bytes in it; -1 when there is none."""
    return max((index for index, file in enumerate(collection.files) if file.size), default=-1)
