"""Search in a library of a million files, beside plain FTS5 over the same texts in the same run.

    python -m bench.search [--json] [--records 1000000] [--queries 1000] [--dir /tmp]

Records: a name of 2 to 5 words of a Zipf-like vocabulary of 60,000, a number and an ending, a directory, 0 to 4 tags,
size, time and hash. Queries of one, two and three words drawn from records (so that they have answers), and prefixes
of four letters; the best 50 with their rows. Plain FTS5: no prefix index, every match ranked by bm25. Then a
record of its own transaction is added 1,000 times.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any

import msgspec

from servent.query import language
from servent.share import index, lookup, rows
from servent.share.index import IndexRow
from servent.store import Store

VOCABULARY = 60_000
BATCH = 10_000
EXTS = (("mp3", 1), ("flac", 1), ("mkv", 2), ("jpg", 3), ("pdf", 4), ("zip", 5), ("txt", 0), ("iso", 5))
SYLLABLES = [
    a + b for a in "bcdfghjklmnprstvwz" for b in ("a", "e", "i", "o", "u", "an", "er", "is", "on", "ul")
]


def vocabulary(dice: random.Random) -> list[str]:
    found: dict[str, None] = {}
    while len(found) < VOCABULARY:
        found["".join(dice.choices(SYLLABLES, k=dice.choice((1, 2, 2, 3, 3, 4))))] = None
    return list(found)


def records(count: int, dice: random.Random) -> Iterator[tuple[IndexRow, bytes, float]]:
    """Files as a library has them: what is indexed, the root, the time."""
    known = vocabulary(dice)
    cumulative = list(accumulate(1 / (rank + 3) for rank in range(VOCABULARY)))
    folder, title, artist = "", "", ""
    for number in range(1, count + 1):
        drawn = dice.choices(known, cum_weights=cumulative, k=12)
        if number % 20 == 1:
            folder = f"Shared/{drawn[9].title()}/{drawn[10]} {drawn[11]}"
            artist = drawn[8]
        ext, kind = dice.choice(EXTS)
        separator = dice.choice((" ", "_", ".", "-", " - "))
        name = separator.join(drawn[: dice.randint(2, 5)]) + f"{separator}{number % 100:02}.{ext}"
        title = " ".join(drawn[5:7])
        tags: dict[str, str | int | float] = dict(
            [("title", title), ("artist", artist), ("album", drawn[7]), ("year", 1960 + number % 60)][
                : dice.randint(0, 4)
            ]
        )
        size = int(10 ** dice.uniform(3, 9.5))
        row = IndexRow(number, 1 + number % 5, folder, name, kind, size, tags)
        yield row, hashlib.sha256(number.to_bytes(8, "big")).digest(), 1.6e9 + number


def file_row(row: IndexRow, root: bytes, at: float) -> tuple[Any, ...]:
    tags = msgspec.msgpack.encode(row.tags) if row.tags else None
    return (
        row.id, row.folder, 1 + (row.id - 1) // 20, row.name, row.size, int(at * 1e9), row.id, row.kind, root, root, b"", tags, at,
    )  # fmt: skip


INSERT = "INSERT INTO files VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)"


def fill(db: sqlite3.Connection, batch: list[tuple[IndexRow, bytes, float]]) -> tuple[float, float]:
    """Seconds for the rows; and of the processor for the index, without its commit."""
    begun = time.perf_counter()
    db.executemany(INSERT, [file_row(*one) for one in batch])
    between, cpu = time.perf_counter(), time.thread_time()
    index.add(db, [one[0] for one in batch])
    return between - begun, time.thread_time() - cpu


def fill_plain(db: sqlite3.Connection, batch: list[tuple[IndexRow, bytes, float]]) -> float:
    begun = time.perf_counter()
    db.executemany(
        "INSERT INTO plain (rowid, name, title, artist, album, path) VALUES (?,?,?,?,?,?)",
        [
            (r.id, r.name, r.tags.get("title"), r.tags.get("artist"), r.tags.get("album"), r.path)
            for r, _, _ in batch
        ],
    )
    return time.perf_counter() - begun


def questions(count: int, sample: list[IndexRow], dice: random.Random) -> dict[str, list[str]]:
    """Words of one record each, so that there is something to find."""
    asked: dict[str, list[str]] = {"one word": [], "two words": [], "three words": [], "prefix": []}
    for row in dice.choices(sample, k=count):
        known = index.indexed(row.name).split()[:-1] + index.indexed(row.path).split()[1:]
        names = [word for word in known if not word.isdigit()]
        for number, kind in enumerate(("one word", "two words", "three words"), 1):
            asked[kind].append(" ".join(dice.sample(names, min(number, len(names)))))
        longest = max(names, key=len)
        asked["prefix"].append(f"{longest[:4]}*" if len(longest) > 3 else longest)
    return asked


def timed(jobs: list[Callable[[], Any]]) -> list[float]:
    took = []
    for job in jobs:
        begun = time.perf_counter()
        job()
        took.append((time.perf_counter() - begun) * 1000)
    return sorted(took)


def spread(took: list[float]) -> dict[str, float]:
    return {
        "p50_ms": round(statistics.median(took), 3),
        "p99_ms": round(took[int(len(took) * 0.99) - 1], 3),
        "max_ms": round(took[-1], 3),
    }


PLAIN = (
    "SELECT f.*, b.score FROM (SELECT rowid AS id, bm25(plain, 10, 5, 5, 5, 2) AS score FROM plain WHERE plain MATCH ? "
    "ORDER BY score LIMIT 50) b JOIN files f ON f.id = b.id ORDER BY b.score"
)


async def measure(records_count: int, queries: int, base: Path) -> dict[str, Any]:
    dice = random.Random(7)
    ours, plain = Store(base / "library.db"), sqlite3.connect(base / "plain.db", isolation_level=None)
    ours.migrate(rows.ROOM, rows.STEPS)
    ours.migrate(index.ROOM, index.STEPS)
    plain.execute("PRAGMA journal_mode = WAL")
    plain.execute("PRAGMA synchronous = NORMAL")
    plain.execute(rows.STEPS[0].split(";")[3])  # the same files beside it
    plain.execute("CREATE VIRTUAL TABLE plain USING fts5(name, title, artist, album, path)")
    row_s = index_s = index_cpu_s = plain_s = 0.0
    sample: list[IndexRow] = []
    async with ours:
        batch: list[tuple[IndexRow, bytes, float]] = []
        stream = records(records_count, dice)
        while batch := [one for _, one in zip(range(BATCH), stream, strict=False)]:
            begun = time.perf_counter()
            spent = await ours.write(lambda db, batch=batch: fill(db, batch))  # type: ignore[misc]
            index_s += time.perf_counter() - begun - spent[0]  # the commit counts for the index
            row_s += spent[0]
            index_cpu_s += spent[1]
            plain.execute("BEGIN")
            plain.executemany(INSERT, [file_row(*one) for one in batch])
            plain_s += fill_plain(plain, batch)
            begun = time.perf_counter()
            plain.execute("COMMIT")
            plain_s += time.perf_counter() - begun
            sample += dice.sample([one[0] for one in batch], min(len(batch), 200))
        asked = questions(queries, sample, dice)
        read = await ours.read(lambda db: db)
        figures: dict[str, Any] = {
            "records": records_count,
            "rows_s": round(row_s, 1),
            "index_s": round(index_s, 1),
            "index_cpu_s": round(index_cpu_s, 1),
            "plain_index_s": round(plain_s, 1),
            "bytes": (base / "library.db").stat().st_size,
            "plain_bytes": (base / "plain.db").stat().st_size,
            "sqlite": sqlite3.sqlite_version,
            "servent": {},
            "plain": {},
        }
        for kind, texts in asked.items():
            for text in texts[:50]:  # warm the page cache for both
                lookup.search(read, language.parse(text), None, 50)
            figures["servent"][kind] = spread(
                timed([lambda t=text: lookup.search(read, language.parse(t), None, 50) for text in texts])  # type: ignore[misc]
            )
            quoted = [
                " ".join(f'"{w[:-1]}"*' if w[-1] == "*" else f'"{w}"' for w in t.split()) for t in texts
            ]
            figures["plain"][kind] = spread(
                timed([lambda t=text: plain.execute(PLAIN, (t,)).fetchall() for text in quoted])  # type: ignore[misc]
            )
        peers = [
            lambda t=text: lookup.search(read, language.parse(t), {2}, 50) for text in asked["three words"]
        ]  # type: ignore[misc]
        figures["servent"]["three words, one of five folders"] = spread(timed(peers))
        filtered = [
            lambda t=text: lookup.search(read, language.parse(t + " type:video size:>100mb"), None, 50)
            for text in asked["one word"]
        ]  # type: ignore[misc]
        figures["servent"]["one word, type and size"] = spread(timed(filtered))
        added = []
        for row, root, at in records(1000, random.Random(8)):
            new = row._replace(id=records_count + row.id)
            begun = time.perf_counter()
            await ours.write(lambda db, new=new, root=root, at=at: fill(db, [(new, root, at)]))  # type: ignore[misc]
            added.append((time.perf_counter() - begun) * 1000)
        figures["add one"] = spread(sorted(added))
    plain.close()
    return figures


def show(figures: dict[str, Any]) -> None:
    print(
        f"{figures['records']:,} records: rows {figures['rows_s']} s, index {figures['index_s']} s ({figures['index_cpu_s']} s CPU), "
        f"{figures['bytes'] / 1e6:.0f} MB; plain FTS5's index {figures['plain_index_s']} s, "
        f"{figures['plain_bytes'] / 1e6:.0f} MB (SQLite {figures['sqlite']})"
    )
    for who in ("servent", "plain"):
        for kind, one in figures[who].items():
            print(
                f"  {who:8} {kind:34} p50 {one['p50_ms']:8.2f}  p99 {one['p99_ms']:8.2f}  max {one['max_ms']:8.2f} ms"
            )
    one = figures["add one"]
    print(f"  one file added: p50 {one['p50_ms']:.2f}  p99 {one['p99_ms']:.2f}  max {one['max_ms']:.2f} ms")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--dir", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.dir) as base:
        figures = asyncio.run(measure(chosen.records, chosen.queries, Path(base)))
    if chosen.json:
        print(json.dumps(figures, indent=1))
    else:
        show(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
