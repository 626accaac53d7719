"""Who has a content: this node, and whom its networks know of. Answers as they come."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from servent.errors import ServentError, UsageError
from servent.identity import PeerId
from servent.overlay.effects import Finding
from servent.share.network_items import LINKED
from servent.share.networks import Networks
from servent.share.search_service import Networked
from servent.tasks import begin

log = logging.getLogger(__name__)

MOST_AT_ONCE = 32  # questions
MOST_WANTED = 200  # holders asked for in one network


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody who has it, by the word of a network; `network` "" for this node itself.

    Attributes:
        name, size: what they call it.
        reachable: whether they are there now, None when that is not known.
    """

    peer: PeerId
    network: str
    name: str
    size: int
    reachable: bool | None


@dataclass(frozen=True, slots=True)
class Held:
    """The end, always last. `asked`, `answered`: supernodes. `more`: more have it than were asked for, or than anybody keeps."""

    found: int
    asked: int
    answered: int
    messages: int
    more: bool
    took: float
    reason: str = ""


class _Question:
    """One under way: what its tasks find, and the queue its reader takes from."""

    def __init__(self, limit: int) -> None:
        self.limit, self.left, self.more, self.reason = limit, 0, False, ""
        self.seen: set[tuple[PeerId, str]] = set()
        self.far: dict[tuple[str, bytes], Networked] = {}
        self._waiting: deque[Holder | Networked] = deque()
        self._wake = asyncio.Event()

    def put(self, event: Holder | Networked) -> None:
        if isinstance(event, Holder):
            if (event.peer, event.network) in self.seen:
                return
            if len(self.seen) >= self.limit:
                self.more = True
                return
            self.seen.add((event.peer, event.network))
        self._waiting.append(event)
        self._wake.set()

    def over(self) -> None:
        """Nothing more will come."""
        self.left = 0
        self._wake.set()

    async def next(self) -> Holder | Networked | None:
        while not self._waiting:
            if not self.left:
                return None
            self._wake.clear()
            await self._wake.wait()
        return self._waiting.popleft()

    def held(self, took: float) -> Held:
        far = self.far.values()
        return Held(
            len(self.seen),
            sum(one.asked for one in far),
            sum(one.answered for one in far),
            sum(one.messages for one in far),
            self.more or any(one.sampled for one in far),
            took,
            self.reason or next((one.reason for one in far if one.reason), ""),
        )


class Holders:
    """Asks all networks at once. `run` it in a task.

    Args:
        known: which contents this machine has.
        here: whether a peer is connected.
        blocked: peers that are not told of.
    """

    def __init__(
        self,
        me: PeerId,
        networks: Networks,
        *,
        known: Callable[[Sequence[bytes]], Awaitable[set[bytes]]],
        here: Callable[[PeerId], bool],
        blocked: Callable[[PeerId], bool],
    ) -> None:
        self._me, self._networks, self._known = me, networks, known
        self._here, self._blocked = here, blocked
        self._tasks: asyncio.TaskGroup | None = None
        self._open = 0
        self._clock = asyncio.get_running_loop().time

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            try:
                await asyncio.Event().wait()
            finally:
                self._tasks = None

    async def who_has(
        self, contents: Sequence[bytes], *, network: bytes | None = None, limit: int = 200, wait: float = 8.0
    ) -> AsyncGenerator[Holder | Networked | Held]:
        """Each holder once in each network; `Held` is last.

        Args:
            contents: names of the same thing: the root of a file, its link as networks know it (`network_items.linked`).
            network: only there, by its key.
            wait: seconds for the networks to answer.

        Raises:
            UsageError: before the first event. Closing the iterator ends the search everywhere.
        """
        if self._open >= MOST_AT_ONCE:
            raise UsageError(f"{MOST_AT_ONCE} questions are under way", advice="Wait for one of them to end.")
        began, one = self._clock(), _Question(limit)
        task = begin(self._tasks, self._work(one, contents, network, wait), "who has it")
        if task is None:
            raise UsageError("the node is stopping")
        self._open += 1
        one.left = 1
        try:
            while (event := await one.next()) is not None:
                yield event
            yield one.held(self._clock() - began)
        finally:
            self._open -= 1
            task.cancel()

    async def _work(
        self, one: _Question, contents: Sequence[bytes], network: bytes | None, wait: float
    ) -> None:
        shapes = [shape for shape in self._networks.shapes() if network in (None, shape.network)]
        try:
            if network is None and await self._known(contents):
                one.put(Holder(self._me, "", "", 0, True))
            if not shapes:
                one.reason = "this node is in no network"
            async with asyncio.timeout(wait), asyncio.TaskGroup() as tasks:
                for shape in shapes:
                    for content in contents:
                        tasks.create_task(
                            self._in(one, shape.network, shape.name, content),
                            name=f"who has it in {shape.name}",
                        )
        except TimeoutError:
            one.reason = f"not all answered in {wait:g} s"
        except Exception:
            log.exception(
                "a question who has something broke off"
            )  # the node goes on; what was found is told
            one.reason = "the node made a mistake; its log holds the details"
        finally:
            one.over()

    async def _in(self, one: _Question, key: bytes, name: str, content: bytes) -> None:
        def far(how: Networked) -> None:
            one.far[name, content] = how
            both = [each for (where, _), each in one.far.items() if where == name]
            one.put(
                Networked(
                    name,
                    sum(each.asked for each in both),
                    sum(each.answered for each in both),
                    sum(each.messages for each in both),
                    all(each.over for each in both),
                    any(each.sampled for each in both),
                    how.reason,
                )
            )

        asked = answered = messages = 0
        try:
            limit = min(one.limit, MOST_WANTED)
            async with aclosing(self._networks.who_has(content, networks=[key], limit=limit)) as events:
                async for event in events:
                    if not isinstance(event, Finding):
                        asked, answered, messages = event.supernodes, event.answered, event.messages
                        far(
                            Networked(
                                name, asked, answered, messages, event.over, event.sampled, event.reason
                            )
                        )
                        continue
                    for peer, item in event.found:
                        if peer != self._me and not self._blocked(peer):
                            there = True if self._here(peer) or peer in event.reachable else None
                            named = "" if LINKED in item.tags else item.name
                            one.put(Holder(peer, name, named, item.size, there))
        except ServentError as wrong:
            far(Networked(name, asked, answered, messages, True, reason=str(wrong)))
