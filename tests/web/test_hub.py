"""One stream for all pages: full tables first, deltas after, and the truth about a node that is away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from servent.api.schema import Event
from servent.errors import WorldError
from servent.web import hub as hub_module
from servent.web.hub import WAITING_MESSAGES, Hub, Page


def event(seq: int, topic: str, data: dict[str, Any]) -> Event:
    return Event(seq=seq, topic=topic, data=data)  # type: ignore[arg-type]


def row(key: str, done: int = 0) -> dict[str, Any]:
    return {"id": key, "done_bytes": done}


class Script:
    """A node whose stream says what the test puts in; None breaks the stream."""

    def __init__(self) -> None:
        self.opened = self.open = 0
        self._said: asyncio.Queue[Event | None] = asyncio.Queue()

    def say(self, *events: Event | None) -> None:
        for each in events:
            self._said.put_nowait(each)

    async def events(self) -> AsyncIterator[Event]:
        self.opened += 1
        self.open += 1
        try:
            while (said := await self._said.get()) is not None:
                yield said
            raise WorldError("the node went away")
        finally:
            self.open -= 1


def play(story: Callable[[Script, Hub], Awaitable[None]]) -> None:
    async def run() -> None:
        node = Script()
        hub = Hub(node.events)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(hub.run())
            await story(node, hub)
            running.cancel()

    asyncio.run(run())


async def heard(page: Page, count: int = 1) -> list[dict[str, Any]]:
    async with asyncio.timeout(60):
        return [json.loads(await page.messages.get()) for _ in range(count)]


def test_a_page_hears_the_full_table_and_then_what_changed() -> None:
    async def story(node: Script, hub: Hub) -> None:
        page = hub.join()
        node.say(event(1, "transfers", {"full": True, "items": [row("a"), row("b")], "gone": []}))
        node.say(event(2, "transfers", {"full": False, "items": [row("b", 7)], "gone": ["a"]}))
        full, delta = await heard(page, 2)
        assert full["data"]["full"] and [item["id"] for item in full["data"]["items"]] == ["a", "b"]
        assert delta == {"topic": "transfers", "data": {"full": False, "items": [row("b", 7)], "gone": ["a"]}}

    play(story)


def test_a_second_page_starts_with_what_the_first_has_learned_over_the_same_stream() -> None:
    async def story(node: Script, hub: Hub) -> None:
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

    play(story)


def test_a_node_that_goes_away_is_said_once_and_its_return_brings_full_tables() -> None:
    async def story(node: Script, hub: Hub) -> None:
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

    play(story)


def test_a_page_that_cannot_follow_gets_fresh_tables_instead_of_a_growing_queue() -> None:
    async def story(node: Script, hub: Hub) -> None:
        page, quick = hub.join(), hub.join()
        node.say(event(0, "transfers", {"full": True, "items": [row("a")], "gone": []}))
        for done in range(WAITING_MESSAGES + 5):
            node.say(event(done + 1, "transfers", {"full": False, "items": [row("a", done)], "gone": []}))
            await heard(quick)
        await heard(quick)
        assert page.messages.qsize() <= WAITING_MESSAGES
        said = await heard(page, page.messages.qsize())
        assert said[0]["topic"] == "resync"  # what is said once may have been missed
        assert said[1]["data"]["full"] and said[-1]["data"]["items"][0]["done_bytes"] == WAITING_MESSAGES + 4

    play(story)


def test_the_stream_ends_a_little_after_the_last_page_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "LINGER", 0.05)

    async def story(node: Script, hub: Hub) -> None:
        page = hub.join()
        node.say(event(1, "status", {"name": "me"}))
        await heard(page)
        hub.leave(page)
        again = hub.join()  # a reload: the stream stays
        await heard(again)
        assert (node.open, node.opened) == (1, 1)
        hub.leave(again)
        async with asyncio.timeout(60):
            while node.open:
                await asyncio.sleep(0.01)
        late = hub.join()
        node.say(event(2, "status", {"name": "new"}))
        (fresh,) = await heard(late)
        assert fresh["data"] == {"name": "new"} and node.opened == 2

    play(story)


def test_of_a_row_that_pages_have_only_what_changed_is_sent() -> None:
    source = {"peer": "p", "name": "Ada", "rate_bytes_per_s": 1.0}

    async def story(node: Script, hub: Hub) -> None:
        page = hub.join()
        first = {"id": "a", "name": "x", "done_bytes": 1, "sources": [source]}
        node.say(event(1, "transfers", {"full": True, "items": [first], "gone": []}))
        faster = first | {"done_bytes": 2, "sources": [source | {"rate_bytes_per_s": 9.0}]}
        node.say(event(2, "transfers", {"full": False, "items": [faster], "gone": []}))
        other = faster | {"sources": [source | {"name": "Lin"}]}
        node.say(event(3, "transfers", {"full": False, "items": [other], "gone": []}))
        _, rates, sources = await heard(page, 3)
        assert rates["data"]["items"] == [{"id": "a", "done_bytes": 2, "rates": [9.0]}]
        assert sources["data"]["items"] == [{"id": "a", "sources": other["sources"]}]
        (whole,) = await heard(hub.join())
        assert whole["data"]["items"] == [other]

    play(story)


def test_messages_are_passed_on_once_and_not_kept_for_pages_that_come_later() -> None:
    async def story(node: Script, hub: Hub) -> None:
        page = hub.join()
        node.say(event(1, "talk", {"unread": 1}))
        node.say(event(2, "messages", {"id": "m", "text": "hello"}), event(3, "notices", {"seq": 1}))
        said = await heard(page, 3)
        assert [one["topic"] for one in said] == ["talk", "messages", "notices"]
        assert said[1]["data"]["text"] == "hello"
        late = hub.join()
        assert [one["topic"] for one in await heard(late)] == ["talk"] and late.messages.empty()
        node.say(event(4, "resync", {}), event(5, "conversations", {"full": True, "items": [], "gone": []}))
        assert [one["topic"] for one in await heard(late, 2)] == ["resync", "conversations"]

    play(story)
