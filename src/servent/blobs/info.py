"""What is shared: a BEP 52 `info` dictionary, read from strangers or built from a folder's hashes.

A collection is a name, a piece length and files; its infohash is the SHA-256 of the encoded dictionary, so
whoever holds the infohash can take the dictionary from anybody. Pieces are numbered over all files in their
order; a piece never spans two files.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple

from servent.blobs import bencode, tree
from servent.errors import BadMessage, UsageError

MAX_INFO_BYTES = 32 * 1024 * 1024
MAX_FILES = 1_000_000
MAX_DEPTH = 64  # folders inside each other
MAX_NAME_BYTES = 4096  # of one part of a path, before it is made safe
MAX_SIZE = 2**53  # bytes of a file, and of all files; exact in every JSON reader
MAX_PIECES = 1 << 24
MIN_PIECE_LENGTH = tree.BLOCK
MAX_PIECE_LENGTH = 64 * 1024 * 1024

# What we choose ourselves: see `piece_length_for`.
SMALLEST_CHOSEN = 256 * 1024
LARGEST_CHOSEN = 4 * 1024 * 1024
WANTED_PIECES = 1024


class File(NamedTuple):
    """One file of a collection.

    Attributes:
        path: its parts as they were shared; never used on a disk before `names.safe_paths`.
        size: bytes.
        root: BEP 52's `pieces root`, None for an empty file.
        executable: the one attribute that is kept.
    """

    path: tuple[str, ...]
    size: int
    root: bytes | None
    executable: bool = False


class Span(NamedTuple):
    """Where a piece lies: `size` bytes at `offset` of `files[file]`."""

    file: int
    offset: int
    size: int


def piece_length_for(total_bytes: int) -> int:
    """The piece length for a new collection.

    About a thousand pieces, so that several sources share the work and a broken one costs little: 1 MiB at
    1 GiB. Never below 256 KiB, since a file that fits in one piece needs no layer and is one request; never
    above 4 MiB, since a piece is held in memory until it is verified.
    """
    return min(LARGEST_CHOSEN, max(SMALLEST_CHOSEN, tree.width_of(-(-total_bytes // WANTED_PIECES))))


class Collection:
    """A verified `info` dictionary, and what has been learned of its piece layers.

    Attributes:
        name: as shared; made safe by `names` before it touches a disk.
        piece_length: bytes, a power of two.
        files: in BEP 52's order.
        infohash: 32 bytes.
        info: the encoded dictionary.
        size: bytes of all files together.
        pieces: how many pieces there are.
        single: it is one file, not a folder.
        layers: piece layers by `pieces root`, each verified; `learn` adds one.
    """

    __slots__ = (
        "_first",
        "_layered",
        "files",
        "info",
        "infohash",
        "layers",
        "name",
        "piece_length",
        "pieces",
        "single",
        "size",
    )

    def __init__(self, name: str, piece_length: int, files: tuple[File, ...], info: bytes) -> None:
        self.name = name
        self.piece_length = piece_length
        self.files = files
        self.info = info
        self.infohash = sha256(info).digest()
        self.single = len(files) == 1 and files[0].path == (name,)
        self.layers: dict[bytes, bytes] = {}
        self._first = array("I")  # the first piece of each file
        self._layered: dict[bytes, int] = {}  # bytes of the layer of each root that has one
        self.size = self.pieces = 0
        for file in files:
            count = tree.pieces_in(file.size, piece_length)
            self._first.append(self.pieces)
            if count > 1 and file.root is not None:
                self._layered[file.root] = count * tree.HASH
            self.pieces += count
            self.size += file.size
            if self.pieces > MAX_PIECES or self.size > MAX_SIZE:
                raise BadMessage(f"a collection of more than {MAX_PIECES} pieces or 2^53 bytes")

    def __repr__(self) -> str:
        return f"Collection({self.infohash.hex()[:8]}, {len(self.files)} files, {self.size} bytes)"

    def span(self, piece: int) -> Span:
        """Where `piece` lies. Raises IndexError when there is no such piece."""
        if not 0 <= piece < self.pieces:
            raise IndexError(f"piece {piece} of {self.pieces}")
        index = bisect_right(self._first, piece) - 1
        offset = (piece - self._first[index]) * self.piece_length
        return Span(index, offset, min(self.piece_length, self.files[index].size - offset))

    def file_pieces(self, index: int) -> range:
        """The pieces of `files[index]`; none for an empty file."""
        first = self._first[index]
        return range(first, first + tree.pieces_in(self.files[index].size, self.piece_length))

    def piece_sizes(self) -> array[int]:
        """The size of every piece, in order."""
        sizes = array("I")
        length = self.piece_length
        for file in self.files:
            whole, rest = divmod(file.size, length)
            if whole:
                sizes.extend(array("I", [length]) * whole)
            if rest:
                sizes.append(rest)
        return sizes

    def missing_layers(self) -> list[bytes]:
        """Roots whose piece layer is not known yet, each once, in the order of the files."""
        return [root for root in self._layered if root not in self.layers]

    def layer_bytes(self, root: bytes) -> int:
        """How long the piece layer of `root` is: 0 when no file of several pieces has this root."""
        return self._layered.get(root, 0)

    def learn(self, root: bytes, layer: bytes) -> None:
        """Keep the piece layer of `root`.

        Raises:
            BadMessage: it is not that; nothing changed.
        """
        if len(layer) == 0 or len(layer) != self.layer_bytes(root):
            raise BadMessage(f"a piece layer of {len(layer)} bytes where {self.layer_bytes(root)} belong")
        if tree.root_of_pieces(layer, self.piece_length) != root:
            raise BadMessage("a piece layer that does not lead to its root")
        self.layers[root] = layer

    def expected(self, piece: int) -> bytes:
        """The 32 bytes that `piece_hash` must give.

        Raises:
            LookupError: the piece layer of its file is not known yet, or there is no such piece.
        """
        index, offset, _ = self.span(piece)
        file = self.files[index]
        assert file.root is not None, "an empty file has no pieces"
        if file.size <= self.piece_length:
            return file.root
        at = offset // self.piece_length * tree.HASH
        return self.layers[file.root][at : at + tree.HASH]

    def piece_width(self, piece: int) -> int:
        """How many leaves the tree above `piece` has; what `tree.root_of_data` wants."""
        return tree.piece_width(self.files[self.span(piece).file].size, self.piece_length)

    def verify(self, piece: int, data: tree.Buffer) -> bool:
        """Whether `data` is exactly that piece. Hashes: for a worker thread, not the loop."""
        index, _, size = self.span(piece)
        if len(data) != size:
            return False
        width = tree.piece_width(self.files[index].size, self.piece_length)
        return tree.root_of_data(data, width) == self.expected(piece)


def _encode_tree(files: Sequence[File], depth: int, start: int, end: int, out: list[bytes]) -> None:
    """The `file tree` dictionary of files[start:end], which share the first `depth` parts and are sorted."""
    out.append(b"d")
    at = start
    while at < end:
        part = files[at].path[depth]
        after = at + 1
        while after < end and files[after].path[depth] == part:
            after += 1
        out.append(bencode.string(part.encode()))
        file = files[at]
        if len(file.path) == depth + 1:
            if after - at > 1:
                raise UsageError(f"{'/'.join(file.path)} is there twice", advice="")
            entry: dict[bytes, bencode.Value] = {b"length": file.size}
            if file.executable:
                entry[b"attr"] = b"x"
            if file.root is not None:
                entry[b"pieces root"] = file.root
            out.append(b"d0:" + bencode.encode(entry) + b"e")
        else:
            _encode_tree(files, depth + 1, at, after, out)
        at = after
    out.append(b"e")


def in_order(path: tuple[str, ...]) -> tuple[bytes, ...]:
    """The sort key of BEP 52's order of files: the raw bytes of the parts."""
    return tuple(part.encode() for part in path)


def build(name: str, files: Iterable[File], piece_length: int) -> Collection:
    """A new collection. For one shared file the path of `files[0]` is `(name,)`.

    Raises:
        UsageError: over a limit, so that nobody could read it; or names that clash.
    """
    ordered = tuple(sorted(files, key=lambda file: in_order(file.path)))
    out = [b"d9:file tree"]
    _encode_tree(ordered, 0, 0, len(ordered), out)
    out.append(
        b"12:meta versioni2e4:name%s12:piece lengthi%dee" % (bencode.string(name.encode()), piece_length)
    )
    info = b"".join(out)
    try:
        return parse(info, sha256(info).digest())
    except BadMessage as wrong:
        raise UsageError(f"{name!r} cannot be shared as one collection: {wrong}", advice="") from wrong


def parse(info: bytes, infohash: bytes) -> Collection:
    """Read an `info` dictionary that came from anybody.

    Keys we do not use (`private`, `source`, the version 1 half of a hybrid) are skipped.

    Raises:
        BadMessage: not what `infohash` names, not BEP 52, or over a limit.
    """
    if len(info) > MAX_INFO_BYTES:
        raise BadMessage(f"an info dictionary of {len(info)} bytes, over the limit of {MAX_INFO_BYTES}")
    if sha256(info).digest() != infohash:
        raise BadMessage("an info dictionary that does not match its infohash")
    reader = bencode.Reader(info)
    files: list[File] | None = None
    name, piece_length, version = b"", 0, 0
    reader.take(b"d")
    key: bytes | None = None
    while not reader.taken(ord("e")):
        key = reader.key(key)
        if key == b"file tree":
            files = []
            reader.take(b"d")
            _read_tree(reader, (), files)
        elif key == b"name":
            name = reader.string()
        elif key == b"piece length":
            piece_length = reader.integer()
        elif key == b"meta version":
            version = reader.integer()
        else:
            reader.value()
    reader.end()
    if version != 2 or files is None:
        raise BadMessage(f"an info dictionary of version {version}, not BEP 52's 2")
    if not MIN_PIECE_LENGTH <= piece_length <= MAX_PIECE_LENGTH or piece_length & (piece_length - 1):
        raise BadMessage(f"a piece length of {piece_length} is no power of two from 16 KiB to 64 MiB")
    _check_roots(files, piece_length)
    return Collection(_text(name), piece_length, tuple(files), info)


def _text(raw: bytes) -> str:
    if not 0 < len(raw) <= MAX_NAME_BYTES:
        raise BadMessage(f"a name of {len(raw)} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError as wrong:
        raise BadMessage(f"a name that is not UTF-8: {raw[:40]!r}") from wrong


def _read_tree(reader: bencode.Reader, folder: tuple[str, ...], files: list[File]) -> None:
    """What follows the "d" of a folder, appended to `files`."""
    if len(folder) >= MAX_DEPTH:
        raise BadMessage(f"folders nested deeper than {MAX_DEPTH}")
    key: bytes | None = None
    while not reader.taken(ord("e")):
        key = reader.key(key)
        path = (*folder, _text(key))
        reader.take(b"d")
        if reader.data.startswith(b"0:", reader.at):
            reader.at += 2
            files.append(_read_file(reader, path))
            if len(files) > MAX_FILES:
                raise BadMessage(f"a collection of more than {MAX_FILES} files")
            reader.take(b"e")
        else:
            _read_tree(reader, path, files)


def _read_file(reader: bencode.Reader, path: tuple[str, ...]) -> File:
    size, root, attributes = -1, None, b""
    reader.take(b"d")
    key: bytes | None = None
    while not reader.taken(ord("e")):
        key = reader.key(key)
        if key == b"length":
            size = reader.integer()
        elif key == b"pieces root":
            root = reader.string()
        elif key == b"attr":
            attributes = reader.string()
        else:
            reader.value()
    if not 0 <= size <= MAX_SIZE:
        raise BadMessage(f"a file of {size} bytes")
    if (root is None) != (size == 0) or (root is not None and len(root) != tree.HASH):
        raise BadMessage(f"a file of {size} bytes with a root of {len(root or b'')}")
    if b"l" in attributes:
        raise BadMessage("a symbolic link inside a collection")
    return File(path, size, root, b"x" in attributes)


def _check_roots(files: list[File], piece_length: int) -> None:
    """Files with one root have one size; else a piece's hash would depend on which of them it is for."""
    sizes: dict[bytes, int] = {}
    for file in files:
        if file.root is not None and sizes.setdefault(file.root, file.size) != file.size:
            raise BadMessage("two files with one root and different sizes")
