"""An album to share: songs with real tags, and noise in place of the music."""

from __future__ import annotations

import os
import random
from pathlib import Path

ARTIST, ALBUM = "Johann Sebastian Bach", "Goldberg Variations"
SONGS = ("Aria", "Variatio 1", "Variatio 2", "Variatio 3, a canon", "Variatio 4", "Quodlibet")
SONG_BYTES, LAST_BYTES = 600_000, 12_000_000  # the last is large enough that two peers give parts of it
_FRAME = b"\xff\xfb\x90\x64"  # MPEG 1, layer III, 128 kbit/s, 44.1 kHz
_FRAME_BYTES = 417


def make(to: Path, *, plain: bool = False) -> list[Path]:
    """Write the songs; the same bytes each time. `plain`: under names that say nothing. Returns them in order."""
    to.mkdir(parents=True, exist_ok=True)
    made = []
    for number, title in enumerate(SONGS, 1):
        path = to / (f"track{number}.mp3" if plain else f"{number:02} {title}.mp3")
        length = LAST_BYTES if number == len(SONGS) else SONG_BYTES
        path.write_bytes(_tags(title, number) + _noise(number, length))
        os.utime(path, (1_600_000_000, 1_600_000_000))
        made.append(path)
    return made


def _tags(title: str, number: int) -> bytes:
    frames = b""
    for key, value in (("TIT2", title), ("TPE1", ARTIST), ("TALB", ALBUM), ("TRCK", str(number))):
        text = b"\x03" + value.encode()  # UTF-8
        frames += key.encode() + _size(len(text)) + b"\0\0" + text
    return b"ID3\x04\0\0" + _size(len(frames)) + frames


def _size(count: int) -> bytes:
    """Seven bits a byte, as ID3v2.4 has it."""
    return bytes(count >> shift & 0x7F for shift in (21, 14, 7, 0))


def _noise(seed: int, length: int) -> bytes:
    dice = random.Random(seed)
    count = length // _FRAME_BYTES
    data = bytearray(dice.randbytes(count * _FRAME_BYTES))
    for at in range(count):
        data[at * _FRAME_BYTES : at * _FRAME_BYTES + 4] = _FRAME
    return bytes(data)
