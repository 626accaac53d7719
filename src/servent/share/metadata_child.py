"""A process of its own that reads what files say of themselves: tags, sizes of pictures, what an unknown file is.

Parsers meet files from anywhere, so they run where they can do no harm: at the lowest priority, with little memory, few
open files, no files to write, and a parent that ends this process when a file takes too long. Jobs as in
`hash_child`: (folder, [(path below it, what to do: "tags", "image" or "sniff")]). Answer: for each file a dictionary, soon.
"""

from __future__ import annotations

import gc
import marshal
import os
import sys
import warnings
from pathlib import Path
from struct import Struct
from time import monotonic
from typing import Any, BinaryIO

LENGTH = Struct(">I")
MEMORY = 768 << 20  # bytes of address space; importing the parsers takes 300 MiB of it
MAX_TEXT = 300  # characters of one value; the parent cuts again
MOST_PIXELS = 1 << 30  # a picture is never decoded here, only its head read
SNIFFED = 4096  # bytes
SAY_EVERY = 0.1  # s that answers may wait to be sent together

if __name__ == "__main__":  # as a script we are nobody's package; ours lies two folders above
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from servent.blobs.files import open_below


def opened(root: bytes, path: bytes) -> BinaryIO:
    """The file, for reading; no link below `root` is followed. Raises OSError."""
    if not root:
        return open(path, "rb")
    parts = tuple(path.decode(errors="surrogateescape").split("/"))
    return os.fdopen(open_below(Path(os.fsdecode(root)), parts), "rb")


def tags_of(file: BinaryIO, path: bytes) -> dict[str, Any]:
    """Of a sound or video file."""
    from tinytag import TinyTag

    tag = TinyTag.get(os.fsdecode(path), file, tags=True, duration=True, image=False)
    found: dict[str, Any] = {
        "artist": tag.artist,
        "album": tag.album,
        "title": tag.title,
        "albumartist": tag.albumartist,
        "genre": tag.genre,
        "year": tag.year,
        "track": tag.track,
        "disc": tag.disc,
        "duration_s": tag.duration,
        "bitrate_kbps": tag.bitrate,
        "samplerate_hz": tag.samplerate,
        "channels": tag.channels,
    }
    return {
        name: value[:MAX_TEXT] if isinstance(value, str) else value
        for name, value in found.items()
        if isinstance(value, str | int | float) and value != ""
    }


def picture_of(file: BinaryIO, path: bytes) -> dict[str, Any]:
    """Of an image: its size, and when and with what it was taken."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    with Image.open(file) as image:
        found: dict[str, Any] = {"width": image.width, "height": image.height, "format": str(image.format)}
        if image.format in ("JPEG", "TIFF", "WEBP", "MPO"):
            exif = image.getexif()
            for number, name in ((0x0132, "taken"), (0x0110, "camera")):
                value = exif.get(number)
                if isinstance(value, str):
                    found[name] = value[:MAX_TEXT]
        return found


def sniff(file: BinaryIO, path: bytes) -> dict[str, Any]:
    """What a file without a telling name is."""
    import puremagic

    head = file.read(SNIFFED)
    if not head:
        return {}
    try:
        mime = puremagic.from_string(head, mime=True)
    except (puremagic.PureError, ValueError):
        mime = ""
    if not mime and b"\0" not in head:
        try:
            head[:-3].decode()
            mime = "text/plain"
        except UnicodeDecodeError:
            mime = ""
    return {"mime": str(mime)[:100]} if mime else {}


def answer(path: bytes, what: str, root: bytes = b"") -> dict[str, Any]:
    """One file's. Whatever a parser stumbles over, there is an answer: that there is nothing."""
    work = {"tags": tags_of, "image": picture_of, "sniff": sniff}[what]
    try:
        with opened(root, path) as file:
            return work(file, path)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - a parser of hostile bytes may raise anything
        return {}


def limit() -> None:
    """Little of everything, before any parser is loaded."""
    if "gentle" in sys.argv and hasattr(os, "nice"):
        os.nice(19)
    try:
        import resource
    except ImportError:  # Windows has none; the parent's time limit holds there, too
        return
    for what, most in (
        (resource.RLIMIT_AS, MEMORY),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_CPU, 600),
    ):
        try:
            resource.setrlimit(what, (most, most))
        except (ValueError, OSError):
            continue


def serve(jobs: BinaryIO, answers: BinaryIO) -> None:
    """Until `jobs` ends."""
    while len(head := jobs.read(LENGTH.size)) == LENGTH.size:
        root, files = marshal.loads(jobs.read(*LENGTH.unpack(head)))
        said = monotonic()
        for path, what in files:
            body = marshal.dumps(answer(path, what, root))
            answers.write(LENGTH.pack(len(body)) + body)
            if monotonic() - said > SAY_EVERY:
                answers.flush()
                said = monotonic()
        answers.flush()


if __name__ == "__main__":
    limit()
    warnings.simplefilter("ignore")
    gc.set_threshold(50_000, 20, 100)  # parsers leave little behind; the memory limit is far above
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a parser prints is no answer
    serve(sys.stdin.buffer, answers)
