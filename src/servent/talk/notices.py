"""What a person wants to hear of now: the last 200 of it. Pure."""

from __future__ import annotations

from collections import deque
from itertools import count

from servent.talk.views import Notice, NoticeKind, Person

MOST = 200
TEXT_CHARACTERS = 200


class Notices:
    """A ring in memory; numbers count up and are never used again while the node runs."""

    def __init__(self) -> None:
        self._kept: deque[Notice] = deque(maxlen=MOST)
        self._numbers = count(1)

    def add(
        self,
        kind: NoticeKind,
        at: float,
        *,
        conversation: str = "",
        person: Person | None = None,
        text: str = "",
    ) -> Notice:
        made = Notice(next(self._numbers), kind, at, conversation, person, text[:TEXT_CHARACTERS])
        self._kept.append(made)
        return made

    def after(self, seq: int) -> list[Notice]:
        return [one for one in self._kept if one.seq > seq]

    def read(self, conversation: str) -> bool:
        """What was noticed of it has been seen. Whether there was something."""
        kept = [
            one
            for one in self._kept
            if one.conversation != conversation or one.kind not in ("message", "mention")
        ]
        if len(kept) == len(self._kept):
            return False
        self._kept = deque(kept, maxlen=MOST)
        return True
