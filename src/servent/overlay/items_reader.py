"""A process beside the node that reads its store of items: `python -m servent.overlay.items_reader PATH PER_KEY`.

Questions come on standard input, answers go to standard output. It ends when its input does.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from time import monotonic

from msgspec import Raw

from servent import store
from servent.overlay.items_find import Finder
from servent.overlay.items_wire import Ask, Frames, Told, asks, frame, rows_of

READ = 64 * 1024
CACHE_BYTES = 16 << 20  # of pages
MAPPED_BYTES = 2 << 30  # of the file: its pages are those of the system's cache, shared by all readers
PATIENCE = 0.004  # s an answer waits for those after it


def answer(finder: Finder, ask: Ask) -> Told:
    """What one question finds. What goes wrong goes into the answer."""
    try:
        if ask.terms is not None:
            counts, total = finder.counts(ask.network, ask.terms)
            return Told(ask.number, counts=counts, total=total)
        found = finder.find(ask.network, ask.limit, ask.query, ask.keys, ask.content)
        return Told(ask.number, Raw(rows_of(found.rows)), found.more)
    except Exception as wrong:  # noqa: BLE001 - the node asks again by itself, and says what is wrong
        return Told(ask.number, wrong=f"{type(wrong).__name__}: {wrong}")


def serve(finder: Finder, source: int, sink: int) -> None:
    """Answer until the input ends."""
    frames = Frames()
    while data := os.read(source, READ):
        told: list[Told] = []
        begun = monotonic()
        for body in frames.feed(data):
            for ask in asks.decode(body):
                told.append(answer(finder, ask))
                if monotonic() - begun > PATIENCE:
                    _write(sink, frame(told))
                    told, begun = [], monotonic()
        if told:
            _write(sink, frame(told))


def _write(sink: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sink, view) :]


def main(arguments: list[str]) -> int:
    path, per_key = Path(arguments[0]), int(arguments[1])
    if sys.platform == "win32":
        import msvcrt

        for stream in (sys.stdin, sys.stdout):
            msvcrt.setmode(stream.fileno(), os.O_BINARY)
    db = store.reading(path, CACHE_BYTES, MAPPED_BYTES)
    try:
        serve(Finder(db, per_key), sys.stdin.fileno(), sys.stdout.fileno())
    except (BrokenPipeError, KeyboardInterrupt):
        pass  # the node has ended, and we with it
    finally:
        db.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
