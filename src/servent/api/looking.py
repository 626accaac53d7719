"""What the node is now, brought to the bus in small steps: ten thousand rows must not keep the event loop.

Each step builds, compares and encodes some rows and then lets everything else run. After a look the pump rests four
times as long as it worked, and half a second at least.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import msgspec

from servent.api import routes_node
from servent.api.context import Context
from servent.api.schema import Topic
from servent.errors import ServentError

log = logging.getLogger("servent.api")

UPDATES_EVERY = (
    0.5  # s; 2 Hz: faster is not read, and every update costs the page. `lane` is for what is looked at
)
REST = 4.0  # times as long as the look took
STEP_ROWS = 40  # rows built, encoded and compared before others run; about half a millisecond
EVENT_ROWS = 500  # changed rows in one event, half a megabyte


class Row(Protocol):
    """What every row of a table has, a Struct of the schema."""

    @property
    def id(self) -> str: ...


Rows = Iterator[Sequence[Row]]


def _at_once(rows: Callable[[], Sequence[Row]]) -> Callable[[], Rows]:
    def all_of_it() -> Rows:
        found = rows()
        for first in range(0, max(1, len(found)), STEP_ROWS):
            yield found[first : first + STEP_ROWS]

    return all_of_it


def _transfers(ctx: Context) -> Callable[[], Rows]:
    def step_by_step() -> Rows:
        ids = ctx.node.transfer_ids()
        for first in range(0, max(1, len(ids)), STEP_ROWS):
            yield ctx.node.some_transfers(ids[first : first + STEP_ROWS])

    return step_by_step


async def look(ctx: Context, topics: frozenset[str]) -> None:
    """Bring the bus up to date for these topics."""
    node = ctx.node
    tables: dict[Topic, Callable[[], Rows]] = {
        "peers": _at_once(node.peers),
        "transfers": _transfers(ctx),
        "shares": _at_once(node.shares),
        "networks": _at_once(node.networks),
        "folders": _at_once(node.folders),
        "wishes": _at_once(node.wishes),
        "feeds": _at_once(node.feeds),
        "codes": _at_once(node.codes),
        "friends": _at_once(node.friends),
        "conversations": _at_once(node.conversations),
        "rooms": _at_once(node.rooms),
        "torrents": _at_once(node.torrents),
        "joined": _at_once(node.joined_projects),
        "projects": _at_once(node.my_projects),
        "batches": _at_once(node.batches),
        "clusters": _at_once(node.clusters),
    }
    for topic, rows in tables.items():
        if topic in topics:
            try:
                await _table(ctx, topic, rows())
            except ServentError as wrong:  # one part that is not well leaves the others theirs
                log.debug("%s could not be read: %s", topic, wrong)
            await asyncio.sleep(0)
    objects: dict[Topic, Callable[[], msgspec.Struct]] = {
        "reach": node.reach,
        "shape": node.shaping,
        "presence": node.my_presence,
        "talk": node.talk_sums,
        "lending": node.lending,
        "status": lambda: routes_node.full_status(ctx),
    }
    for topic, value in objects.items():
        if topic in topics:
            try:
                ctx.bus.object(topic, msgspec.to_builtins(value()))
            except ServentError as wrong:
                log.debug("%s could not be read: %s", topic, wrong)


async def _table(ctx: Context, topic: Topic, rows: Rows) -> None:
    changed: list[bytes] = []
    keys: set[str] = set()
    for step in rows:
        encoded = {row.id: msgspec.json.encode(row) for row in step}
        keys.update(encoded)
        changed += ctx.bus.fresh(topic, encoded)
        if len(changed) >= EVENT_ROWS:
            ctx.bus.tell(topic, changed)
            changed = []
        await asyncio.sleep(0)
    ctx.bus.tell(topic, changed, ctx.bus.drop(topic, keys))


async def pump(ctx: Context) -> None:
    """Twice a second, tell listeners what changed; costs nothing while nobody listens. Also measures lag."""
    loop = asyncio.get_running_loop()
    worst, since, pause = 0.0, loop.time(), UPDATES_EVERY
    while True:
        due = loop.time() + pause
        await asyncio.sleep(pause)
        began = loop.time()
        worst = max(worst, began - due)
        if began - since >= 1.0:
            ctx.lag, worst, since = worst, 0.0, began
        wanted = ctx.bus.wanted
        if wanted:
            try:
                await look(ctx, wanted)
            except Exception:  # a view that fails must not end the stream; the cause is in the log
                log.exception("the state of the node could not be read")
        pause = max(UPDATES_EVERY, REST * (loop.time() - began))
