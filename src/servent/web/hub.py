"""One stream of the node's events for the whole process, given on to every open page.

A page gets full tables first, from what the hub knows, then each event as it comes. While the node is away
pages hear `away` once; full tables follow when it is back. `resync` says that messages and notices may have been
missed. Without pages the stream to the node is closed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from servent.api.schema import Event
from servent.errors import ServentError

log = logging.getLogger("servent.web")

TABLES = (
    "peers",
    "transfers",
    "shares",
    "folders",
    "wishes",
    "feeds",
    "codes",
    "networks",
    "friends",
    "conversations",
    "rooms",
    "torrents",
    "joined",
    "projects",
    "batches",
    "clusters",
)
SAID_ONCE = ("messages", "notices")  # passed on and not kept; a page asks the node for what was before
TOPICS = ("status", "reach", "shape", "presence", "talk", "lending", *TABLES, *SAID_ONCE)
WAITING_MESSAGES = 64  # per page; a page that is slower than this gets fresh tables instead
RETRY = (0.3, 0.5, 1.0, 2.0)  # s between two tries to reach the node
LINGER = 2.0  # s without a page before the stream is closed: a reload takes less

AWAY = '{"topic":"away","data":{}}'
RESYNC = '{"topic":"resync","data":{}}'

Source = Callable[[], AsyncIterator[Event]]


class Page:
    """One browser tab: messages that wait to be sent."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[str] = asyncio.Queue(WAITING_MESSAGES)


class Hub:
    """Owns what is known of the node while somebody looks.

    Args:
        source: opens the node's stream of events; raises ServentError when the node is away.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._pages: set[Page] = set()
        self._values: dict[str, dict[str, Any]] = {}
        self._tables: dict[str, dict[str, dict[str, Any]]] = {}
        self._looked_at, self._alone = asyncio.Event(), asyncio.Event()
        self._away = False

    def join(self) -> Page:
        """A new page; its queue holds what is known already."""
        page = Page()
        self._pages.add(page)
        for message in self._everything():
            page.messages.put_nowait(message)
        if self._away:
            page.messages.put_nowait(AWAY)
        self._looked_at.set()
        self._alone.clear()
        return page

    def leave(self, page: Page) -> None:
        self._pages.discard(page)
        if not self._pages:
            self._looked_at.clear()
            self._alone.set()

    async def run(self) -> None:
        """Read the node's stream while there are pages; until cancelled."""
        while True:
            await self._looked_at.wait()
            async with asyncio.TaskGroup() as tasks:
                reading = tasks.create_task(self._read(), name="web: the node's events")
                await self._left_alone()
                reading.cancel()
            self._values.clear()
            self._tables.clear()
            self._away = False

    async def _left_alone(self) -> None:
        while True:
            await self._alone.wait()
            try:
                async with asyncio.timeout(LINGER):
                    await self._looked_at.wait()
            except TimeoutError:
                return

    async def _read(self) -> None:
        failures = 0
        while True:
            try:
                async for event in self._source():
                    failures = 0
                    self._take(event)
                    await asyncio.sleep(
                        0
                    )  # events that came together leave room for the pages' own questions
            except ServentError as away:
                self._lost(str(away))
            await asyncio.sleep(RETRY[min(failures, len(RETRY) - 1)])
            failures += 1

    def _take(self, event: Event) -> None:
        self._away = False
        topic, data = event.topic, event.data
        if topic in TABLES:
            data = self._remember(topic, data)
        elif topic in TOPICS and topic not in SAID_ONCE:
            self._values[topic] = data
        self._tell(_message(topic, data))  # also `resync`: full tables follow by themselves, messages do not

    def _remember(self, topic: str, data: dict[str, Any]) -> dict[str, Any]:
        """Keep the table; give back what pages need to do the same: of rows they have, only the fields that changed.

        The node says whole rows. A page of 1,000 moving transfers gets a fifth of those bytes.
        """
        full = bool(data.get("full"))
        table: dict[str, dict[str, Any]] = {} if full else self._tables.setdefault(topic, {})
        self._tables[topic] = table
        items, gone = data.get("items", ()), list(data.get("gone", ()))
        slim = []
        for item in items:
            key = item["id"]
            before = table.get(key)
            table[key] = item
            if before is None:
                slim.append(item)
            else:
                slim.append(_changed(before, item))
        for key in gone:
            table.pop(key, None)
        return {"full": full, "items": slim, "gone": gone}

    def _lost(self, why: str) -> None:
        if self._away:
            return
        log.info("the node is away: %s", why)
        self._away = True
        self._tell(AWAY)

    def _tell(self, message: str) -> None:
        for page in self._pages:
            if page.messages.full():  # too slow to follow: what it missed is in the fresh tables
                while not page.messages.empty():
                    page.messages.get_nowait()
                page.messages.put_nowait(RESYNC)
                for fresh in self._everything():
                    page.messages.put_nowait(fresh)
            else:
                page.messages.put_nowait(message)

    def _everything(self) -> list[str]:
        values = [_message(topic, data) for topic, data in self._values.items()]
        tables = [
            _message(topic, {"full": True, "items": list(table.values()), "gone": []})
            for topic, table in self._tables.items()
        ]
        return values + tables


def _message(topic: str, data: dict[str, Any]) -> str:
    return msgspec.json.encode({"topic": topic, "data": data}).decode()


def _changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The id and the fields that differ. Sources that only changed their rates are said as a list of `rates`."""
    fields = {key: value for key, value in after.items() if before.get(key) != value}
    old, new = before.get("sources"), fields.get("sources")
    if new and old and len(old) == len(new) and all(map(_same_but_for_rate, old, new)):
        del fields["sources"]
        fields["rates"] = [source["rate_bytes_per_s"] for source in new]
    fields["id"] = after["id"]
    return fields


def _same_but_for_rate(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        value == other[key] for key, value in one.items() if key != "rate_bytes_per_s"
    )
