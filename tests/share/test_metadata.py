"""Tags and picture sizes from another process, which hostile files may kill as they like."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.library import picture, song
from servent.query import kinds
from servent.share import metadata_child
from servent.share.metadata import MAX_TEXT, Metadata, clean, what_for


def put(path: Path, data: bytes) -> tuple[str, str]:
    path.write_bytes(data)
    return str(path), path.name


def test_tags_sizes_and_kinds_are_read(tmp_path: Path) -> None:
    reader = Metadata()
    try:
        tags, image, text, unknown, skipped = reader.read(
            [
                put(tmp_path / "a.mp3", song("Title", "Artist")),
                put(tmp_path / "b.jpg", picture()),
                put(tmp_path / "c.xyz", b"plain words\n" * 50),
                put(tmp_path / "d", b"%PDF-1.4\n" + bytes(50)),
                put(tmp_path / "e.zip", b"PK"),
            ]
        )
    finally:
        reader.close()
    assert (tags.tags["title"], tags.tags["artist"], tags.tags["album"]) == (
        "Title",
        "Artist",
        "Album of Artist",
    )
    assert tags.tags["bitrate_kbps"] == 128
    assert (image.tags["width"], image.tags["height"]) == (640, 480)
    assert text.kind == "document"
    assert unknown.kind == "document"
    assert (skipped.tags, skipped.kind) == ({}, None)


def test_a_file_that_hangs_costs_only_itself(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "hangs.mp3")
    good = put(tmp_path / "a.mp3", song("Title", "Artist"))
    reader = Metadata(limit=2.5)
    try:
        files = [good, (str(tmp_path / "hangs.mp3"), "hangs.mp3"), good, good]
        reader.read([good])  # a process that has loaded its parsers
        found = reader.read([good, *files])
        assert [one.tags.get("title") for one in found] == ["Title", "Title", None, "Title", "Title"]
    finally:
        reader.close()


def test_a_process_that_dies_costs_only_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "child.py"
    share = Path(metadata_child.__file__).parent
    script.write_text(
        f"import sys; sys.path.insert(0, {str(share)!r})\n"
        "import metadata_child as child, os\n"
        "def work(file, path):\n"
        "    if b'kill' in path: os._exit(9)\n"
        "    return {'title': os.fsdecode(path)[-20:]}\n"
        "child.tags_of = work\n"
        "child.serve(sys.stdin.buffer, sys.stdout.buffer)\n"
    )
    reader = Metadata(str(script))
    try:
        names = [f"{number}.mp3" for number in range(100)]
        names[50] = "kill.mp3"
        for name in names:
            (tmp_path / name).touch()
        found = reader.read([(name, name) for name in names], str(tmp_path))
        assert [one.tags.get("title") for one in found] == [None if n == "kill.mp3" else n for n in names]
    finally:
        reader.close()


@pytest.mark.parametrize(
    "name", ["a.mp3", "a.jpg", "a.flac", "a.mp4", "a.png", "a.tiff", "a.unknown", "a.ogg", "a.gif"]
)
def test_junk_has_no_tags(name: str, tmp_path: Path) -> None:
    for data in (b"", b"\0" * 100, os.urandom(5000), b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + os.urandom(500)):
        path, _ = put(tmp_path / name, data)
        assert isinstance(clean(metadata_child.answer(os.fsencode(path), what_for(name))), dict)


@given(
    st.one_of(
        st.none(),
        st.dictionaries(
            st.sampled_from(["artist", "title", "year", "track", "duration_s", "width", "evil", "mime"]),
            st.one_of(
                st.text(), st.integers(), st.floats(), st.booleans(), st.binary(), st.lists(st.integers())
            ),
        ),
    )
)
def test_whatever_a_parser_says_is_cleaned(raw: object) -> None:
    for name, value in clean(raw).items():
        assert name not in ("evil", "mime")
        if isinstance(value, str):
            assert 0 < len(value) <= MAX_TEXT
            assert not any(ord(letter) < 32 or 0x202A <= ord(letter) <= 0x202E for letter in value)
            value.encode()
        else:
            assert value > 0
            assert value < 2**53


def test_programs_are_called_programs_whatever_their_name() -> None:
    assert kinds.kind_of("song.mp3", b"MZ\x90\x00\x03") == "program"
    assert kinds.kind_of("picture.jpg", b"\x7fELF\x02\x01") == "program"
    assert kinds.kind_of("tool.py", b"#!/usr/bin/env python") == "document"
    assert kinds.kind_of("song.mp3", b"ID3\x03") == "audio"
    assert kinds.kind_of("README", b"hello") == "other"


@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_the_process_cannot_write_or_grow(tmp_path: Path) -> None:
    import subprocess

    code = (
        f"import sys; sys.path.insert(0, {str(Path(metadata_child.__file__).parent)!r})\n"
        "import metadata_child, resource, os\n"
        "sys.argv.append('gentle'); metadata_child.limit()\n"
        "assert os.nice(0) == 19\n"
        "try: bytearray(1 << 31)\n"
        "except MemoryError: print('small')\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"try: open({str(tmp_path / 'x')!r}, 'wb', buffering=0).write(b'x')\n"
        "except OSError: print('silent')\n"
    )
    out = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert out.stdout.split() == ["small", "silent"], out.stderr
