"""Standing queries of this node: each in every network of ours, those joined later included."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from servent.identity import PeerId
from servent.overlay.effects import News
from servent.overlay.pump import Pump
from servent.overlay.records import Item

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Watch:
    text: str
    callback: News
    numbers: dict[bytes, int] = field(default_factory=dict)  # in each network


class Watches:
    """Numbers are our own; each network's member has numbers of its own behind them."""

    def __init__(self) -> None:
        self._watches: dict[int, _Watch] = {}
        self._by_number: dict[tuple[bytes, int], int] = {}
        self._last = 0

    def watch(self, text: str, callback: News, pumps: Iterable[Pump], now: float) -> int:
        self._last += 1
        self._watches[self._last] = _Watch(text, callback)
        for pump in pumps:
            self._begin(self._last, pump, now)
        return self._last

    def unwatch(self, watch: int, pumps: Iterable[Pump]) -> None:
        known = self._watches.pop(watch, None)
        if known is None:
            return
        for pump in pumps:
            number = known.numbers.get(pump.network)
            if number is not None:
                self._by_number.pop((pump.network, number), None)
                pump.call(pump.member.watching.unwatch, number)

    def joined(self, pump: Pump, now: float) -> None:
        """A network more: everything is watched for there, too."""
        for watch in self._watches:
            self._begin(watch, pump, now)

    def left(self, network: bytes) -> None:
        for watch in self._watches.values():
            number = watch.numbers.pop(network, None)
            if number is not None:
                self._by_number.pop((network, number), None)

    def told(self, network: bytes, number: int, found: Sequence[tuple[PeerId, Item]]) -> None:
        """A member says that something new answers."""
        watch = self._watches.get(self._by_number.get((network, number), 0))
        if watch is None:
            return
        try:
            watch.callback(network, found)
        except Exception:
            log.exception("a standing query's listener failed")

    def _begin(self, watch: int, pump: Pump, now: float) -> None:
        one = self._watches[watch]
        number, effects = pump.member.watching.watch(one.text, now)
        one.numbers[pump.network] = number
        self._by_number[pump.network, number] = watch
        pump.do(effects)
