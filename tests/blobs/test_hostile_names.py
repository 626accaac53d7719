"""Dictionaries made by an enemy, written by the real writer: nothing is ever written outside the download folder."""

from __future__ import annotations

import os
import stat
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from servent.blobs import bencode, tree
from servent.blobs.disk import Partial
from servent.blobs.info import MAX_PIECES, Collection, parse
from servent.errors import BadMessage

PIECE = 16384
EVIL = [
    "..", ".", "../..", "../../../../tmp/evil", "/etc/cron.d/evil", "\\\\host\\share", "C:\\evil", "C:", "a/../../b",
    "..\\..\\evil", "CON", "nul.txt", "COM1", "aux .txt", "LPT¹", "a\x00b", "\x00", "\n", "a\x1b[2J", "name.", "name ",
    " ", "...", "evil\u202egpj.exe", "file:stream", "~root", "-rf", "$(id)", "a*?", "\ud7ff", "e\u0301", "\u00e9",
    "ﬀ", "İ", "K", ".servent-part-0000000000000000", ".SERVENT-PART-x", "journal", "info", "data", "x" * 3000,
    "😀" * 300, ".bashrc", "desktop.ini", "a", "A",
]  # fmt: skip


def entry(content: bytes) -> dict[bytes, bencode.Value]:
    found: dict[bytes, bencode.Value] = {b"length": len(content)}
    if content:
        found[b"pieces root"] = tree.root_of_data(content, tree.width_of(-(-len(content) // tree.BLOCK)))
    return {b"": found}


def dictionary(name: bytes, paths: dict[tuple[bytes, ...], bytes]) -> tuple[bytes, list[bytes]]:
    """An info dictionary by hand, and its files' contents in its order."""
    root: dict[bytes, bencode.Value] = {}
    for path, content in paths.items():
        folder = root
        for part in path[:-1]:
            folder = folder.setdefault(part, {})  # type: ignore[assignment]
        folder[path[-1]] = entry(content)  # type: ignore[assignment]
    info: bencode.Value = {b"file tree": root, b"meta version": 2, b"name": name, b"piece length": PIECE}

    def contents(folder: dict[bytes, bencode.Value], here: tuple[bytes, ...]) -> list[bytes]:
        found: list[bytes] = []
        for part in sorted(folder):
            if part == b"":
                found.append(paths[here])
            else:
                found += contents(folder[part], (*here, part))  # type: ignore[arg-type]
        return found

    return bencode.encode(info), [content for content in contents(root, ()) if content]


def everything(folder: Path) -> set[str]:
    found = set()
    for base, folders, files in os.walk(folder):
        found |= {os.path.join(base, name) for name in (*folders, *files)}
    return found


def write(to: Path, collection: Collection, contents: list[bytes]) -> Path:
    with Partial.open(to, collection) as partial:
        for piece, content in enumerate(contents):
            assert collection.verify(piece, content)
            partial.write_piece(piece, content)
        return partial.finish()


parts = st.one_of(st.sampled_from(EVIL), st.text(min_size=1, max_size=12))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=parts,
    paths=st.lists(st.lists(parts, min_size=1, max_size=4).map(tuple), min_size=1, max_size=8, unique=True),
)
def test_no_name_leads_out_of_the_folder(
    name: str, paths: list[tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    raw: dict[tuple[bytes, ...], bytes] = {}
    for number, path in enumerate(paths):
        try:
            encoded = tuple(part.encode() for part in path)
        except UnicodeEncodeError:
            continue
        if any(encoded[: len(other)] == other or other[: len(encoded)] == encoded for other in raw):
            continue  # bencode itself cannot say that a file is a folder, too
        raw[encoded] = b"%d" % number * (number % 3)
    try:
        info, contents = dictionary(name.encode(), raw)
    except UnicodeEncodeError:
        return
    home = tmp_path_factory.mktemp("home")
    to = home / "deep" / "down" / "to"
    to.mkdir(parents=True)
    (home / "witness").write_text("untouched")
    collection = parse(info, sha256(info).digest())
    final = write(to, collection, contents)
    assert final.parent == to
    assert everything(home) - everything(to) == {
        str(home / p) for p in ("witness", "deep", "deep/down", "deep/down/to")
    }
    assert os.listdir(to) == [final.name]
    files = [path for path in everything(to) if not os.path.isdir(path)]
    assert len(files) == len(raw), "no two became one"
    for path in files:
        mode = os.lstat(path).st_mode
        assert stat.S_ISREG(mode) and not mode & (stat.S_ISUID | stat.S_ISGID)
        assert Path(path).resolve().is_relative_to(to.resolve())
    assert sorted(Path(path).read_bytes() for path in files) == sorted(raw.values())


@pytest.mark.parametrize("evil", EVIL)
def test_one_file_with_an_evil_name_lies_in_the_folder(evil: str, tmp_path: Path) -> None:
    raw = evil.encode()
    try:
        info, contents = dictionary(raw, {(raw,): b"content"})
        collection = parse(info, sha256(info).digest())
    except BadMessage:
        return
    final = write(tmp_path / "to", collection, contents)
    assert final.parent == tmp_path / "to" and final.read_bytes() == b"content"
    assert os.listdir(tmp_path) == ["to"]


@pytest.mark.parametrize(
    "broken",
    [
        {b"length": 5},  # bytes without a hash
        {b"length": 0, b"pieces root": b"r" * 32},
        {b"length": -5, b"pieces root": b"r" * 32},
        {b"length": 2**53 + 1, b"pieces root": b"r" * 32},
        {b"length": 5, b"pieces root": b"r" * 31},
        {b"attr": b"l", b"length": 0},
        {b"attr": b"l", b"length": 5, b"pieces root": b"r" * 32, b"symlink path": [b"..", b"etc"]},
        {b"length": (MAX_PIECES + 1) * PIECE, b"pieces root": b"r" * 32},
    ],
)
def test_what_does_not_add_up_is_refused(broken: dict[bytes, bencode.Value]) -> None:
    info = bencode.encode(
        {b"file tree": {b"a": {b"": broken}}, b"meta version": 2, b"name": b"n", b"piece length": PIECE}
    )
    with pytest.raises(BadMessage):
        parse(info, sha256(info).digest())


def test_a_petabyte_is_refused_by_the_disk_before_anything_is_written(tmp_path: Path) -> None:
    from servent.errors import DiskTrouble

    files = {b"%04d" % n: {b"": {b"length": 2**42, b"pieces root": b"%032d" % n}} for n in range(200)}
    info = bencode.encode(
        {b"file tree": files, b"meta version": 2, b"name": b"n", b"piece length": 64 * 2**20}  # type: ignore[dict-item]
    )
    collection = parse(info, sha256(info).digest())
    with pytest.raises(DiskTrouble):
        Partial.open(tmp_path / "to", collection)
    used = sum(path.stat().st_blocks * 512 for path in (tmp_path / "to").rglob("*"))
    assert used < 4 * 2**20
