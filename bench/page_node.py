"""A real daemon, its API and page, around transfers that all change all the time; it notes how late its loop runs.

`python -m bench.page_node --data-dir DIR --transfers N --moving N`. SIGUSR1 begins to note, SIGUSR2 writes `lag.json` there:
by how many milliseconds a sleep of 5 ms came late, and how much of that the loop's own work can have been (its
thread's processor time meanwhile; the rest is waiting for a processor that others use), all samples since.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from servent.api import schema
from servent.api.daemon import Options, run_daemon
from servent.api.face import Face
from tests.api.fake import FakeNode
from tests.api.fake_share import ANN, BOB

STEP = 0.005  # s between two samples of the loop


class Busy(FakeNode):
    """`count` downloads, of which `moving` are under way for ever, each at its own rate; the others wait."""

    def __init__(self, data_dir: Path, count: int, moving: int) -> None:
        super().__init__(data_dir, 60.0, pace=1.0, crowd_of=0, fresh=False)
        self._began = time.time()
        self._busy: dict[str, schema.Transfer] = {}
        self._still = super().status()
        self._moving = moving
        self._busy = {f"b{number:06d}": self._row_of(number, number < moving) for number in range(count)}

    def _row_of(self, number: int, moving: bool) -> schema.Transfer:
        sources = [
            schema.Source(peer=str(peer), name=name, path="direct", lane="tcp", rate_bytes_per_s=1e6, state="active")
            for peer, name in ((ANN, "ann"), (BOB, "bob"))[: 1 + number % 2 if moving else 0]
        ]  # fmt: skip
        return schema.Transfer(
            id=f"b{number:06d}", direction="down", name=f"field-recordings/{number:05d}.flac",
            state="active" if moving else "queued", reason="" if moving else "waits for its turn", place=None if moving else number,
            link=f"magnet:?xt=urn:btmh:1220{number:064x}", infohash=f"{number:064x}", peers=len(sources), files=1 + number % 40,
            size_bytes=40_000_000 + number * 9_000, sources=sources, started=self._began - number, path="/home/you/Downloads",
        )  # fmt: skip

    def _step(self, one: schema.Transfer, now: float) -> schema.Transfer:
        if one.state != "active":
            return one
        number = int(one.id[1:])
        rate = 4e6 + number % 97 * 4e4 + now % 1.7 * 1e5
        done = int((now - self._began + number) * rate) % one.size_bytes
        sources = [
            msgspec.structs.replace(source, rate_bytes_per_s=rate / len(one.sources))
            for source in one.sources
        ]
        return msgspec.structs.replace(
            one, done_bytes=done, rate_bytes_per_s=rate, eta_s=(one.size_bytes - done) / rate, sources=sources
        )

    def status(self) -> schema.Status:
        return msgspec.structs.replace(self._still, down_bytes_per_s=self._moving * 5e6 + time.time() % 1e5)

    def transfers(self) -> list[schema.Transfer]:
        now = time.time()
        return [self._step(one, now) for one in self._busy.values()]

    def transfer_ids(self) -> list[str]:
        return list(self._busy)

    def some_transfers(self, ids: Sequence[str]) -> list[schema.Transfer]:
        now = time.time()
        return [self._step(self._busy[id], now) for id in ids if id in self._busy]


async def watch(data_dir: Path) -> None:
    """Note how late each short sleep ends, between the two signals."""
    loop = asyncio.get_running_loop()
    late: list[tuple[float, float]] = []
    noting = asyncio.Event()

    def begin() -> None:
        late.clear()
        noting.set()

    def end() -> None:
        noting.clear()
        (data_dir / "lag.new").write_text(json.dumps([[round(each, 3) for each in pair] for pair in late]))
        (data_dir / "lag.new").replace(data_dir / "lag.json")

    loop.add_signal_handler(signal.SIGUSR1, begin)
    loop.add_signal_handler(signal.SIGUSR2, end)
    while True:
        await noting.wait()
        due, worked = loop.time() + STEP, time.thread_time()
        await asyncio.sleep(STEP)
        by = max(0.0, loop.time() - due) * 1000
        late.append((by, min(by, (time.thread_time() - worked) * 1000)))


def serve() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--transfers", type=int, default=1000)
    parser.add_argument("--moving", type=int, default=None, help="so many of them; all when missing")
    given = parser.parse_args()

    @asynccontextmanager
    async def open_node(options: Options) -> AsyncIterator[Face]:
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch(options.data_dir))
            yield Busy(
                options.data_dir, given.transfers, given.transfers if given.moving is None else given.moving
            )
            watching.cancel()

    return run_daemon(Options(data_dir=given.data_dir, api_port=0, web=True), open_node)


if __name__ == "__main__":
    raise SystemExit(serve())
