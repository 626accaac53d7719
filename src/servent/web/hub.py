"""One stream of the node's events for the whole process, given on to every open page.

A page gets full tables first, from what the hub knows, then each event as it comes. While the node is away
pages hear `away` once; full tables follow when it is back. Without pages the stream to the node is closed.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import msgspec

from servent.api.schema import Event
from servent.errors import ServentError

log = logging.getLogger("servent.web")

TOPICS = ("status", "reach", "peers", "transfers")
TABLES = ("peers", "transfers")
WAITING_MESSAGES = 64  # per page; a page that is slower than this gets fresh tables instead
RETRY = (0.3, 0.5, 1.0, 2.0)  # s between two tries to reach the node

AWAY = '{"topic":"away","data":{}}'


class Source(Protocol):
    """What the hub needs of the API's client."""

    def events(self, *topics: str) -> Iterator[Event]: ...


class Page:
    """One browser tab: messages that wait to be sent."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[str] = asyncio.Queue(WAITING_MESSAGES)


class Hub:
    """Owned by the event loop; its one thread only reads the stream and posts what it read."""

    def __init__(self, source: Callable[[], Source]) -> None:
        self._source = source
        self._pages: set[Page] = set()
        self._values: dict[str, dict[str, Any]] = {}
        self._tables: dict[str, dict[str, dict[str, Any]]] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._away = False

    def join(self) -> Page:
        """A new page; its queue holds what is known already."""
        page = Page()
        self._pages.add(page)
        for message in self._everything():
            page.messages.put_nowait(message)
        if self._away:
            page.messages.put_nowait(AWAY)
        if self._thread is None:
            self._stop = threading.Event()
            self._thread = threading.Thread(
                target=self._read,
                args=(asyncio.get_running_loop(), self._stop),
                name="node events",
                daemon=True,
            )
            self._thread.start()
        return page

    def leave(self, page: Page) -> None:
        self._pages.discard(page)
        if not self._pages:
            self.close()

    def close(self) -> None:
        """Forget the stream; its thread ends with the next event it sees."""
        self._stop.set()
        self._thread = None
        self._values.clear()
        self._tables.clear()
        self._away = False

    @property
    def pages(self) -> int:
        return len(self._pages)

    # in the thread

    def _read(self, loop: asyncio.AbstractEventLoop, stop: threading.Event) -> None:
        failures = 0
        while not stop.is_set():
            why = "the node ended its stream"
            try:
                for event in self._source().events(*TOPICS):
                    if stop.is_set():
                        return
                    failures = 0
                    loop.call_soon_threadsafe(self._take, event, stop)
            except ServentError as away:
                why = str(away)
            except RuntimeError:  # the loop is closed: the process ends
                return
            try:
                loop.call_soon_threadsafe(self._lost, why, stop)
            except RuntimeError:
                return
            stop.wait(RETRY[min(failures, len(RETRY) - 1)])
            failures += 1

    # on the loop

    def _take(self, event: Event, stop: threading.Event) -> None:
        if stop is not self._stop or stop.is_set():
            return
        self._away = False
        topic, data = event.topic, event.data
        if topic in TABLES:
            self._remember(topic, data)
        elif topic in TOPICS:
            self._values[topic] = data
        else:
            return  # `resync`: full tables follow by themselves
        self._tell(_message(topic, data))

    def _remember(self, topic: str, data: dict[str, Any]) -> None:
        table = {} if data.get("full") else self._tables.setdefault(topic, {})
        self._tables[topic] = table
        for item in data.get("items", ()):
            table[item["id"]] = item
        for key in data.get("gone", ()):
            table.pop(key, None)

    def _lost(self, why: str, stop: threading.Event) -> None:
        if stop is not self._stop or stop.is_set() or self._away:
            return
        log.info("the node is away: %s", why)
        self._away = True
        self._tell(AWAY)

    def _tell(self, message: str) -> None:
        for page in self._pages:
            if page.messages.full():  # too slow to follow: what it missed is in the fresh tables
                while not page.messages.empty():
                    page.messages.get_nowait()
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
