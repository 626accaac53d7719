"""Questions under way: what the members of several networks find, merged into one stream for whoever asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace

from servent.overlay.effects import Asked, Effect, Finding
from servent.overlay.pump import Pump

Ask = Callable[[Pump, float], tuple[int, list[Effect]]]
MOST_WAITING = 4096  # events that a slow reader may leave lying; then its question is over
NOT_READ = "more was found than was read, so the search was ended"
PATIENCE = 30.0  # s without any event until a network counts as done; members end their questions long before


class _Stream:
    """One question in some networks. `open` are those that go on: (network, number there).

    `cut`: how it ended where it was given up, for the reader who comes that far.
    """

    def __init__(self) -> None:
        self.events: asyncio.Queue[Finding | Asked] = asyncio.Queue(MOST_WAITING)
        self.open: dict[tuple[bytes, int], Asked] = {}
        self.pumps: dict[bytes, Pump] = {}
        self.cut: list[Asked] = []


class Streams:
    """All questions of this node."""

    def __init__(self) -> None:
        self._by_name: dict[tuple[bytes, int], _Stream] = {}

    def __len__(self) -> int:
        return len({id(stream) for stream in self._by_name.values()})

    async def ask(self, pumps: Sequence[Pump], ask: Ask) -> AsyncGenerator[Finding | Asked]:
        """Ask all of `pumps` and pass on what they say until every one is done. Closing it early cancels it everywhere."""
        stream, loop = _Stream(), asyncio.get_running_loop()
        began: list[tuple[Pump, int]] = []
        try:
            for pump in pumps:
                number, effects = ask(pump, loop.time())
                name = (pump.network, number)
                self._by_name[name] = stream
                stream.open[name] = Asked(number, 0, 0, 0, network=pump.network)
                stream.pumps[pump.network] = pump
                began.append((pump, number))
                pump.mine += 1
                pump.do(effects)
            while stream.open or not stream.events.empty():
                try:
                    async with asyncio.timeout(PATIENCE):
                        yield await stream.events.get()
                except TimeoutError:
                    for last in stream.open.values():
                        yield replace(last, over=True, reason="no answer came in time")
                    return
            for last in stream.cut:
                yield last
        finally:
            for pump, number in began:
                self._by_name.pop((pump.network, number), None)
                if (pump.network, number) in stream.open:
                    pump.call(pump.member.asking.cancel, number)

    def told(self, network: bytes, event: Finding | Asked) -> None:
        """A member says this of one of its questions."""
        name = (network, event.search)
        stream = self._by_name.get(name)
        if stream is None:
            return
        if isinstance(event, Asked):
            stream.open[name] = event
            if event.over:
                del stream.open[name]
                del self._by_name[name]
        if not stream.events.full():
            stream.events.put_nowait(event)
            return
        if isinstance(event, Asked) and event.over:
            stream.cut.append(event)
        for kept, last in stream.open.items():  # nobody reads: nothing more is collected
            stream.cut.append(replace(last, over=True, reason=NOT_READ))
            self._by_name.pop(kept, None)
        left, stream.open = list(stream.open), {}
        for place, number in left:
            pump = stream.pumps[place]
            pump.call(pump.member.asking.cancel, number)

    def gone(self, network: bytes) -> None:
        """We are in that network no more: its questions are over."""
        for name, stream in list(self._by_name.items()):
            if name[0] == network:
                last = stream.open.get(name) or Asked(name[1], 0, 0, 0, network=network)
                self.told(network, replace(last, over=True, reason="you left this network"))
