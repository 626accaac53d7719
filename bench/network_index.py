"""The index role alone: a supernode's store with a million items of 500 publishers, on two cores.

Items are `bench.search`'s files: names of 2 to 5 words of a Zipf-like vocabulary of 60,000, directories, tags. Questions
have words of one item each, so that there is something to find: 35 % one word, 30 % two, 20 % three, 5 % the first four
letters of a word, 10 % one or two words with a filter; a common word is asked for as often as it stands in items.
The 50 best are handed over as decoded items. Service, askers and the processes that read share the two cores.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import psutil

from bench.search import records
from servent.overlay.effects import Find, Keep
from servent.overlay.items_cache import Answers
from servent.overlay.items_service import FILE, Items
from servent.overlay.records import ITEMS_IN_BATCH, Batch, Item, Slice, item_hash
from servent.query.language import Query, parse
from servent.query.words import indexed

NETWORK = bytes(32)
LIMIT = 50
ASKERS = 16
SECONDS = 15.0
LIFETIME = 86_400
FILTERS = ("type:audio", "type:video size:>100mb", "ext:flac", "type:document", "size:<1mb", "-type:archive")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--publishers", type=int, default=500)
    parser.add_argument("--rate", type=int, default=2000, help="questions per second")
    parser.add_argument("--readers", type=int, default=None, help="processes that read; as many as wanted")


def items(count: int) -> Iterator[Item]:
    for row, root, at in records(count, random.Random(7)):
        yield Item(root, row.size, row.kind, row.name, row.path, dict(row.tags), int(at))  # type: ignore[arg-type]


def batches(count: int, publishers: int) -> Iterator[Slice]:
    """Publisher after publisher, as they would come."""
    stream = items(count)
    for number in range(publishers):
        key, left, slot = number.to_bytes(32, "big"), count // publishers, 0
        while left and (some := list(islice(stream, min(left, ITEMS_IN_BATCH)))):
            left -= len(some)
            batch = Batch(key, slot, 1, LIFETIME, [item_hash(one) for one in some])
            yield Slice(batch, dict(enumerate(some)))
            slot += 1


def questions(count: int, sample: Sequence[Item], dice: random.Random) -> list[str]:
    asked = []
    for item in dice.choices(sample, k=count):
        known = indexed(item.name).split()[:-1] + indexed(item.where).split()[1:]
        words = [word for word in known if not word.isdigit()]
        kind = dice.random()
        if kind < 0.85:
            wanted = 1 if kind < 0.35 else 2 if kind < 0.65 else 3
            asked.append(" ".join(dice.sample(words, min(wanted, len(words)))))
        elif kind < 0.9:
            longest = max(words, key=len)
            asked.append(f"{longest[:4]}*" if len(longest) > 3 else longest)
        else:
            asked.append(f"{' '.join(dice.sample(words, dice.randint(1, 2)))} {dice.choice(FILTERS)}")
    return asked


@contextlib.asynccontextmanager
async def opened(path: Path, readers: int | None, remember: bool = True) -> AsyncIterator[Items]:
    store = Items(path, readers=readers)
    if not remember:
        store.answers = Answers(0)
    await store.open()
    running = asyncio.create_task(store.run())
    try:
        yield store
    finally:
        running.cancel()
        await asyncio.wait([running])
        await store.close()


async def fill(path: Path, count: int, publishers: int) -> dict[str, Any]:
    begun, cpu = time.perf_counter(), time.process_time()
    async with opened(path, 0) as store:
        places = asyncio.Semaphore(256)

        async def keep(one: Slice) -> None:
            await store.keep(NETWORK, Keep(one))
            places.release()

        async with asyncio.TaskGroup() as tasks:
            for one in batches(count, publishers):
                await places.acquire()
                tasks.create_task(keep(one))
        home, _, _ = await store.totals(NETWORK)
    assert home == count // publishers * publishers, home
    return {
        "fill_s": round(time.perf_counter() - begun, 1),
        "fill_cpu_s": round(time.process_time() - cpu, 1),
    }


class Meter:
    """How long each answer took, and what it brought."""

    def __init__(self) -> None:
        self.took: list[float] = []
        self.rows = 0
        self.empty = 0
        self.refused = 0

    async def ask(self, store: Items, query: Query, since: float | None = None) -> None:
        begun = time.perf_counter() if since is None else since
        found, more = await store.find(NETWORK, Find(1, LIMIT, query))
        if more and not found:  # too many wait already
            self.refused += 1
            return
        self.took.append(time.perf_counter() - begun)
        self.rows += len(found)
        self.empty += not found

    def figures(
        self, seconds: float, before: tuple[float, float], after: tuple[float, float]
    ) -> dict[str, Any]:
        took = sorted(self.took)
        node, readers = after[0] - before[0], after[1] - before[1]
        return {
            "queries_per_s": round(len(took) / seconds),
            "p50_ms": round(statistics.median(took) * 1000, 2),
            "p99_ms": round(took[int(len(took) * 0.99) - 1] * 1000, 2),
            "max_ms": round(took[-1] * 1000, 1),
            "items_per_answer": round(self.rows / len(took), 1),
            "empty": self.empty,
            "refused": self.refused,
            "cores_used": round((node + readers) / seconds, 2),
            "node_cpu_us": round(1e6 * node / len(took)),
            "readers_cpu_us": round(1e6 * readers / len(took)),
        }


def spent(store: Items) -> tuple[float, float]:
    """Seconds of the processor: of this process, askers and all, and of those that read."""
    total = [0.0, 0.0]
    for pid in (os.getpid(), *store.readers.pids):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = psutil.Process(pid).cpu_times()
            total[pid != os.getpid()] += times.user + times.system
    return total[0], total[1]


async def as_fast(store: Items, asked: Iterator[Query]) -> dict[str, Any]:
    """Askers who ask the next as soon as they have an answer."""
    meter, begun, cpu = Meter(), time.perf_counter(), spent(store)

    async def asker() -> None:
        while time.perf_counter() - begun < SECONDS:
            await meter.ask(store, next(asked))

    async with asyncio.TaskGroup() as tasks:
        for _ in range(ASKERS):
            tasks.create_task(asker())
    return meter.figures(time.perf_counter() - begun, cpu, spent(store))


async def at_rate(store: Items, asked: Iterator[Query], rate: int) -> dict[str, Any]:
    """Questions come by chance, so many a second, whether or not earlier ones are answered; a late start counts."""
    meter, begun, cpu, dice = Meter(), time.perf_counter(), spent(store), random.Random(11)
    due = begun
    async with asyncio.TaskGroup() as tasks:
        while due - begun < SECONDS:
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            while due <= time.perf_counter():
                tasks.create_task(meter.ask(store, next(asked), due))
                due += dice.expovariate(rate)
    return meter.figures(time.perf_counter() - begun, cpu, spent(store))


async def changing(store: Items, count: int) -> None:
    """Publishers change what they have: four times a second a batch, half of it new."""
    dice = random.Random(13)
    for number, one in enumerate(batches(count, 400)):
        batch = one.batch
        half = dict(list(one.items.items())[: dice.randint(1, 64)])
        hashes = [*(item_hash(item) for item in half.values()), *batch.hashes[64:]]
        newer = Batch(batch.publisher, batch.slot, 2 + number, LIFETIME, hashes)
        await store.keep(NETWORK, Keep(Slice(newer, dict(enumerate(half.values())))))
        await asyncio.sleep(0.25)


def memory(store: Items) -> dict[str, float]:
    """What each has for itself alone; readers also show pages of the file that the system caches anyway."""

    def of(pid: int) -> float:
        return round(psutil.Process(pid).memory_full_info().uss / 1e6, 1)

    return {"node_mb": of(os.getpid()), "readers_mb": round(sum(map(of, store.readers.pids)), 1)}


def size_of(base: Path) -> int:
    return sum(one.stat().st_size for one in base.glob(f"{FILE}*"))


async def measure(chosen: argparse.Namespace, base: Path) -> dict[str, Any]:
    cores = sorted(os.sched_getaffinity(0))[:2]
    os.sched_setaffinity(0, cores)
    path = base / FILE
    figures: dict[str, Any] = {"records": chosen.records, "publishers": chosen.publishers}
    if not path.exists():
        figures |= await fill(path, chosen.records, chosen.publishers)
    figures["bytes"] = size_of(base)
    step = max(1, chosen.records // 40_000)
    sample = list(islice(items(chosen.records), 0, None, step))
    texts = questions(400_000, sample, random.Random(3))
    del sample
    figures["load"] = [round(one, 1) for one in os.getloadavg()]

    def asked() -> Iterator[Query]:
        return iter(map(parse, texts))

    for name, remember in (("without remembered answers", False), ("with them", True)):
        async with opened(path, chosen.readers, remember) as store:
            stream = asked()
            for _ in range(3):  # the processes start, the caches fill
                await asyncio.gather(*(Meter().ask(store, next(stream)) for _ in range(300)))
            figures[f"as fast as it answers, {name}"] = await as_fast(store, stream)
            hits = store.answers.hits
            figures[f"{chosen.rate} a second, {name}"] = rated = await at_rate(store, stream, chosen.rate)
            if remember:
                rated["remembered"] = round(
                    (store.answers.hits - hits) / max(1, rated["queries_per_s"] * SECONDS), 2
                )
                async with asyncio.TaskGroup() as tasks:
                    task = tasks.create_task(changing(store, chosen.records))
                    figures[f"{chosen.rate} a second, while publishers change things"] = await at_rate(
                        store, stream, chosen.rate
                    )
                    task.cancel()
            figures[f"readers, {name}"] = len(store.readers)
            figures[f"memory, {name}"] = memory(store)
    return figures


def show(figures: dict[str, Any]) -> None:
    filled = (
        f"filled in {figures['fill_s']} s ({figures['fill_cpu_s']} s CPU), " if "fill_s" in figures else ""
    )
    print(
        f"{figures['records']:,} items of {figures['publishers']} publishers: {filled}{figures['bytes'] / 1e6:.0f} MB"
    )
    for name, one in figures.items():
        if isinstance(one, dict) and "p99_ms" in one:
            print(
                f"  {name:50} {one['queries_per_s']:6,}/s  p50 {one['p50_ms']:7.2f}  p99 {one['p99_ms']:7.2f}  "
                f"max {one['max_ms']:6.1f} ms, {one['items_per_answer']} items, {one['cores_used']} cores ({one['node_cpu_us']} + {one['readers_cpu_us']} us each)"
            )
        elif isinstance(one, dict):
            print(f"  {name:50} node {one['node_mb']} MB, readers {one['readers_mb']} MB")
