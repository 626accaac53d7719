"""Who wants to hear of what happens in rooms. A listener that fails is logged, and hears of the next thing all the same."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

from servent.talk.room_facts import Moderated
from servent.talk.shelf import Row

log = logging.getLogger(__name__)

TOGETHER = 0.2  # s in which changes of a room are told once


class Callbacks:
    """Lists of listeners, and the words for calling them. Changes of one room are told together."""

    def __init__(self) -> None:
        self.message: list[Callable[[bytes, Row], None]] = []
        self.removed: list[Callable[[bytes, Sequence[bytes]], None]] = []
        self.delivered: list[Callable[[bytes, bytes], None]] = []
        self.act: list[Callable[[Moderated], None]] = []
        self.room: list[Callable[[bytes], None]] = []
        self._changed: set[bytes] = set()
        self._timer: asyncio.TimerHandle | None = None

    def said(self, room: bytes, row: Row) -> None:
        self._call(self.message, room, row)

    def gone(self, room: bytes, ids: Sequence[bytes]) -> None:
        self._call(self.removed, room, ids)

    def arrived(self, room: bytes, id: bytes) -> None:
        self._call(self.delivered, room, id)

    def done(self, act: Moderated) -> None:
        self._call(self.act, act)

    def changed(self, room: bytes) -> None:
        self._changed.add(room)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TOGETHER, self._tell)

    def _tell(self) -> None:
        self._timer = None
        changed, self._changed = self._changed, set()
        for room in changed:
            self._call(self.room, room)

    @staticmethod
    def _call(listeners: list[Any], *what: object) -> None:
        for listener in list(listeners):
            try:
                listener(*what)
            except Exception:
                log.exception("a listener of rooms failed")
