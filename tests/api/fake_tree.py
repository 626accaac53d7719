"""What the peers of the fake node share: believable trees of some thousands of files, the same at each run."""

from __future__ import annotations

import hashlib
import random
import struct
import zlib
from dataclasses import dataclass, field

from servent.api import schema_share as share

ARTISTS = (
    "Nina Simone", "Sigur Rós", "Miles Davis", "Björk", "Portishead", "Fela Kuti", "Kraftwerk", "Mulatu Astatke",
    "Joni Mitchell", "Boards of Canada", "Cesária Évora", "Aphex Twin", "Tinariwen", "Nick Drake", "Stereolab",
    "Ali Farka Touré", "Radiohead", "Arvo Pärt", "Khruangbin", "Massive Attack", "Молчат Дома", "坂本龍一",
)  # fmt: skip
WORDS = (
    "river", "blue", "night", "station", "garden", "small hours", "glass", "north", "summer", "paper", "long road",
    "winter light", "salt", "copper", "harbour", "slow", "machine", "orchid", "static", "moon", "letters", "home",
)  # fmt: skip
PLACES = ("Lofoten", "Crete", "Kyoto", "Porto", "Harz", "Skye", "Oaxaca", "Tbilisi", "Gotland", "Marrakesh")
FILMS = (
    "Night of the Living Dead (1968)", "Nosferatu (1922)", "Metropolis (1927)", "The General (1926)",
    "Sita Sings the Blues (2008)", "Big Buck Bunny (2008)", "Sintel (2010)", "Tears of Steel (2012)",
    "A Trip to the Moon (1902)", "His Girl Friday (1940)",
)  # fmt: skip
HOSTILE = ("<img src=x onerror=\"document.title='owned'\">.mp3", "report\u202egnp.exe", "W" * 180 + ".txt")
DAY = 86400.0
ABOUT_NOW = 1_760_000_000.0
KINDS: dict[str, share.Kind] = {
    "flac": "audio", "mp3": "audio", "wav": "audio", "jpg": "image", "png": "image", "mkv": "video", "mp4": "video",
    "pdf": "document", "txt": "document", "epub": "document", "iso": "archive", "zip": "archive", "exe": "program",
    "appimage": "program",
}  # fmt: skip


@dataclass(slots=True)
class File:
    path: str
    size: int
    modified: float
    tags: dict[str, share.Tag] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    @property
    def ext(self) -> str:
        return self.name.rpartition(".")[2].lower()

    @property
    def kind(self) -> share.Kind:
        return KINDS.get(self.ext, "other")

    @property
    def content(self) -> str:
        """The same bytes wherever the name and the size are the same."""
        return hashlib.sha256(f"{self.name}/{self.size}".encode()).hexdigest()


def music(dice: random.Random, most: int) -> list[File]:
    found = []
    for artist in ARTISTS:
        for _ in range(dice.randint(1, 5)):
            album = " ".join(dice.sample(WORDS, 2)).title()
            year, ext = dice.randint(1959, 2024), dice.choice(("flac", "mp3", "mp3", "wav"))
            for track in range(1, dice.randint(7, 14)):
                title = " ".join(dice.sample(WORDS, dice.randint(1, 3))).capitalize()
                length = dice.randint(120, 420)
                rate = {"flac": 900, "mp3": 256, "wav": 1411}[ext]
                tags: dict[str, share.Tag] = {
                    "artist": artist, "album": album, "title": title, "track": track, "year": year,
                    "duration_s": float(length), "bitrate_kbps": rate,
                }  # fmt: skip
                path = f"Music/{artist}/{year} {album}/{track:02} {title}.{ext}"
                found.append(File(path, length * rate * 125, ABOUT_NOW - dice.random() * 900 * DAY, tags))
    return found[:most]


def photos(dice: random.Random, most: int) -> list[File]:
    found = []
    for year in range(2015, 2026):
        for place in dice.sample(PLACES, 6):
            for number in range(dice.randint(30, 90)):
                tags: dict[str, share.Tag] = {"width": 6000, "height": 4000, "year": year}
                path = f"Photos/{year}/{place}/DSC_{dice.randint(100, 9999):04}-{number}.jpg"
                found.append(
                    File(
                        path, dice.randint(2_000_000, 9_000_000), ABOUT_NOW - (2026 - year) * 365 * DAY, tags
                    )
                )
    return found[:most]


def films(dice: random.Random) -> list[File]:
    found = []
    for film in FILMS:
        tags: dict[str, share.Tag] = {
            "title": film[:-7], "year": int(film[-5:-1]), "width": 1920, "height": 1080, "duration_s": 5400.0,
        }  # fmt: skip
        found.append(
            File(f"Films/{film}/{film}.mkv", dice.randint(700, 8000) * 1_000_000, ABOUT_NOW - 40 * DAY, tags)
        )
        found.append(File(f"Films/{film}/subtitles.txt", 48_000, ABOUT_NOW - 40 * DAY))
    return found


def papers(dice: random.Random) -> list[File]:
    found = [File(f"Odd names/{name}", 3_000_000, ABOUT_NOW) for name in HOSTILE]
    for number in range(60):
        title = " ".join(dice.sample(WORDS, 3)).capitalize()
        found.append(
            File(
                f"Books/{title}.{dice.choice(('pdf', 'epub', 'txt'))}",
                dice.randint(20_000, 9_000_000),
                ABOUT_NOW - number * DAY,
            )
        )
    found.append(File("Software/debian-13.1.0-amd64-netinst.iso", 823_132_160, ABOUT_NOW - 9 * DAY))
    found.append(File("Software/editor.appimage", 92_000_000, ABOUT_NOW - 3 * DAY))
    return found


def tree(seed: int, part: float) -> list[File]:
    """Files of one peer; `part` of everything there is, so that peers have much in common."""
    dice = random.Random(1)
    everything = [*music(dice, 10_000), *photos(dice, 10_000), *films(dice), *papers(dice)]
    choice = random.Random(seed)
    return everything if part >= 1 else [file for file in everything if choice.random() < part]


class Browsable:
    """A tree as folders with the sums of everything below."""

    def __init__(self, files: list[File]) -> None:
        self.files = files
        self.by_content = {file.content: file for file in files}
        self._below: dict[str, list[share.Entry]] = {"": []}
        sums: dict[str, list[int]] = {"": [0, 0]}
        for file in files:
            parts = file.path.split("/")
            for depth in range(len(parts)):
                folder = "/".join(parts[:depth])
                total = sums.setdefault(folder, [0, 0])
                total[0] += 1
                total[1] += file.size
            self._below.setdefault("/".join(parts[:-1]), []).append(
                share.Entry(
                    name=file.name,
                    size_bytes=file.size,
                    content=file.content,
                    kind=file.kind,
                    tags=file.tags,
                    modified=file.modified,
                )
            )
        for folder, (count, size) in sums.items():
            if folder:
                above, _, name = folder.rpartition("/")
                self._below.setdefault(above, []).append(
                    share.Entry(name=name, folder=True, files=count, size_bytes=size, modified=ABOUT_NOW)
                )
        self.sums = sums

    def list(self, query: share.BrowseQuery) -> tuple[list[share.Entry], int] | None:
        """The rows asked for and how many there are; None: no such folder."""
        rows = self._below.get(query.path.strip("/"))
        if rows is None:
            return None
        keys = {
            "name": lambda row: row.name.lower(),
            "size": lambda row: row.size_bytes,
            "modified": lambda row: row.modified or 0.0,
        }
        rows = [row for row in rows if query.filter.lower() in row.name.lower()]
        rows = sorted(rows, key=keys[query.sort], reverse=query.down)
        rows.sort(key=lambda row: not row.folder)
        return rows[query.offset : query.offset + query.limit], len(rows)


class FakeFile:
    """Something to look at or listen to, of any size: made up where it is read."""

    def __init__(self, file: File) -> None:
        self.name, self.size_bytes, self.content = file.name, file.size, file.content
        self._kind = file.kind
        self._head = {"audio": _wav(file.size), "image": _png()}.get(file.kind, b"")

    async def read(self, offset: int, size: int) -> bytes:
        size = max(0, min(size, self.size_bytes - offset, 1 << 20))
        head = self._head[offset : offset + size]
        begin, left = offset + len(head), size - len(head)
        if self._kind == "document":
            line = b"The quick brown fox reads a preview of this document.\n"
            start = begin % len(line)
            return head + (line * (left // len(line) + 2))[start : start + left]
        if self._kind == "audio":  # 200 Hz at 8000 samples a second
            wave = bytes(128 + (40 if at % 40 < 20 else -40) for at in range(40))
            start = begin % 40
            return head + (wave * (left // 40 + 2))[start : start + left]
        return head + bytes(left)

    async def close(self) -> None:
        return None


def _wav(size: int) -> bytes:
    body = min(max(0, size - 44), 0xFFFFFFFF - 36)  # the header can say no more
    return struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", body + 36, b"WAVE", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8, b"data", body)  # fmt: skip


def _png(side: int = 240) -> bytes:
    rows = b"".join(
        b"\0" + bytes(byte for x in range(side) for byte in (x, y, 255 - (x + y) // 2)) for y in range(side)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )
