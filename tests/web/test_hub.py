"""One stream for all pages: full tables first, deltas after, and the truth about a node that is away."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from typing import Any

from servent.api.schema import Event
from servent.errors import WorldError
from servent.web.hub import WAITING_MESSAGES, Hub, Page


def event(seq: int, topic: str, data: dict[str, Any]) -> Event:
    return Event(seq=seq, topic=topic, data=data)  # type: ignore[arg-type]


def row(key: str, done: int = 0) -> dict[str, Any]:
    return {"id": key, "done_bytes": done}


class Script:
    """A node whose stream says what the test puts in; None breaks the stream."""

    def __init__(self) -> None:
        self.opened = 0
        self.said: list[Event | None] = []
        self._more = threading.Condition()

    def say(self, *events: Event | None) -> None:
        with self._more:
            self.said.extend(events)
            self._more.notify_all()

    def events(self, *topics: str) -> Iterator[Event]:
        self.opened += 1
        while True:
            with self._more:
                self._more.wait_for(lambda: self.said)
                said = self.said.pop(0)
            if said is None:
                raise WorldError("the node went away")
            yield said


async def heard(page: Page, count: int = 1) -> list[dict[str, Any]]:
    async with asyncio.timeout(5):
        return [json.loads(await page.messages.get()) for _ in range(count)]


def test_a_page_hears_the_full_table_and_then_what_changed() -> None:
    async def story() -> None:
        node = Script()
        hub = Hub(lambda: node)
        page = hub.join()
        node.say(event(1, "transfers", {"full": True, "items": [row("a"), row("b")], "gone": []}))
        node.say(event(2, "transfers", {"full": False, "items": [row("b", 7)], "gone": ["a"]}))
        full, delta = await heard(page, 2)
        assert full["data"]["full"] and [item["id"] for item in full["data"]["items"]] == ["a", "b"]
        assert delta == {"topic": "transfers", "data": {"full": False, "items": [row("b", 7)], "gone": ["a"]}}
        hub.close()
        node.say(event(3, "status", {}))

    asyncio.run(story())


def test_a_second_page_starts_with_what_the_first_has_learned_over_the_same_stream() -> None:
    async def story() -> None:
        node = Script()
        hub = Hub(lambda: node)
        first = hub.join()
        node.say(
            event(1, "status", {"name": "me"}),
            event(2, "peers", {"full": True, "items": [row("p")], "gone": []}),
        )
        node.say(event(3, "peers", {"full": False, "items": [row("q")], "gone": ["p"]}))
        await heard(first, 3)
        second = hub.join()
        status, peers = await heard(second, 2)
        assert status["data"] == {"name": "me"}
        assert peers["data"] == {"full": True, "items": [row("q")], "gone": []}
        assert node.opened == 1
        hub.close()
        node.say(event(4, "status", {}))

    asyncio.run(story())


def test_a_node_that_goes_away_is_said_once_and_its_return_brings_full_tables() -> None:
    async def story() -> None:
        node = Script()
        hub = Hub(lambda: node)
        page = hub.join()
        node.say(event(1, "peers", {"full": True, "items": [row("p")], "gone": []}), None, None)
        _, away = await heard(page, 2)
        assert away["topic"] == "away"
        late = hub.join()
        known, also_away = await heard(
            late, 2
        )  # a page opened meanwhile sees the old picture, and that it is old
        assert known["topic"] == "peers" and also_away["topic"] == "away"
        node.say(event(9, "peers", {"full": True, "items": [row("p", 1)], "gone": []}))
        (back,) = await heard(page)
        assert back["data"]["items"] == [row("p", 1)]
        hub.close()
        node.say(event(10, "status", {}))

    asyncio.run(story())


def test_a_page_that_cannot_follow_gets_fresh_tables_instead_of_a_growing_queue() -> None:
    async def story() -> None:
        node = Script()
        hub = Hub(lambda: node)
        page, quick = hub.join(), hub.join()
        node.say(event(0, "transfers", {"full": True, "items": [row("a")], "gone": []}))
        for done in range(WAITING_MESSAGES + 5):
            node.say(event(done + 1, "transfers", {"full": False, "items": [row("a", done)], "gone": []}))
            await heard(quick)
        await heard(quick)
        assert page.messages.qsize() <= WAITING_MESSAGES
        said = await heard(page, page.messages.qsize())
        assert said[0]["data"]["full"] and said[-1]["data"]["items"][0]["done_bytes"] == WAITING_MESSAGES + 4
        hub.close()
        node.say(event(999, "status", {}))

    asyncio.run(story())


def test_the_stream_ends_with_the_last_page() -> None:
    async def story() -> None:
        node = Script()
        hub = Hub(lambda: node)
        page = hub.join()
        node.say(event(1, "status", {}))
        await heard(page)
        reading = [thread for thread in threading.enumerate() if thread.name == "node events"]
        hub.leave(page)
        node.say(event(2, "status", {}))
        for thread in reading:
            await asyncio.to_thread(thread.join, 5)
        assert not any(thread.is_alive() for thread in reading)
        assert hub.pages == 0

    asyncio.run(story())
