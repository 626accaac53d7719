"""What happens, as a numbered stream: a ring of the last events, and tables that send only what changed.

`Bus` is a core: it decides who hears what and holds no clock. Sequence numbers start at the wall clock's
milliseconds, so a client of an earlier run asks for numbers long gone and is told to start afresh.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from servent.api.schema import TOPICS, Event, Topic

RING_EVENTS = 10_000
RING_BYTES = 4 * 1024 * 1024  # an idle node is to stay small, whatever was in the events
MOST_WAITING = 2_000  # events one slow listener may be behind before it is told to start afresh
MOST_LISTENERS = 64

Row = dict[str, Any]


class Listener:
    """One who listens: a bounded queue of encoded events. `wake` is called when something was put in."""

    def __init__(self, topics: frozenset[str], wake: Callable[[], None]) -> None:
        self.topics = topics
        self.waiting: deque[tuple[int, bytes]] = deque()
        self.wake = wake
        self.lost = False

    def take(self) -> list[tuple[int, bytes]]:
        """All that waits, oldest first."""
        taken = list(self.waiting)
        self.waiting.clear()
        return taken


class Bus:
    """Numbers events, remembers the last of them, and hands them to listeners.

    Args:
        first_seq: start of the numbers; above every number of an earlier run.
        ring_events, ring_bytes: how much is remembered for those who come back.
    """

    def __init__(self, first_seq: int, ring_events: int = RING_EVENTS, ring_bytes: int = RING_BYTES) -> None:
        self.seq = first_seq
        self._ring: deque[tuple[int, str, bytes]] = deque()
        self._ring_events, self._ring_bytes, self._held_bytes = ring_events, ring_bytes, 0
        self._forgotten = first_seq  # everything up to here is gone
        self._listeners: list[Listener] = []
        self._tables: dict[
            Topic, dict[str, bytes]
        ] = {}  # rows as they are sent: nothing for the collector to walk
        self._objects: dict[Topic, Row] = {}

    @property
    def wanted(self) -> frozenset[str]:
        """Topics that somebody listens to: only these need be looked at."""
        return frozenset(topic for listener in self._listeners for topic in listener.topics)

    def publish(self, topic: Topic, data: Mapping[str, Any]) -> Event:
        """Number one event and hand it out."""
        self.seq += 1
        event = Event(seq=self.seq, topic=topic, data=dict(data))
        encoded = msgspec.json.encode(event)
        self._ring.append((event.seq, topic, encoded))
        self._held_bytes += len(encoded)
        while len(self._ring) > self._ring_events or self._held_bytes > self._ring_bytes:
            seq, _, old = self._ring.popleft()
            self._held_bytes -= len(old)
            self._forgotten = seq
        for listener in self._listeners:
            if topic in listener.topics:
                self._give(listener, event.seq, encoded)
        return event

    def object(self, topic: Topic, value: Row) -> Event | None:
        """Publish an object if it differs from the last one of its topic."""
        if self._objects.get(topic) == value:
            return None
        self._objects[topic] = value
        return self.publish(topic, value)

    def table(self, topic: Topic, rows: Sequence[Row], key: str = "id") -> Event | None:
        """Publish the rows that are new or different, and the keys that are gone; nothing if all is the same."""
        fresh = {str(row[key]): msgspec.json.encode(row) for row in rows}
        return self.tell(topic, self.fresh(topic, fresh), self.drop(topic, fresh))

    # the same in steps, for tables that are too long for one go

    def fresh(self, topic: Topic, rows: Mapping[str, bytes]) -> list[bytes]:
        """Take these rows, encoded, into the table; those of them that are new or different, to be told."""
        known = self._tables.setdefault(topic, {})
        changed = []
        for name, row in rows.items():
            if known.get(name) != row:
                known[name] = row
                changed.append(row)
        return changed

    def drop(self, topic: Topic, kept: Container[str]) -> list[str]:
        """Take out of the table what is not in `kept`; the keys, to be told."""
        known = self._tables.setdefault(topic, {})
        gone = [name for name in known if name not in kept]
        for name in gone:
            del known[name]
        return gone

    def tell(self, topic: Topic, changed: Sequence[bytes], gone: Sequence[str] = ()) -> Event | None:
        """Publish what `fresh` and `drop` gave; nothing if all is the same."""
        if not changed and not gone:
            return None
        return self.publish(topic, {"full": False, "items": list(map(msgspec.Raw, changed)), "gone": gone})

    # listeners

    def listen(
        self, topics: Iterable[str], wake: Callable[[], None], since: int | None = None
    ) -> Listener | None:
        """Start listening; None when there are too many already.

        With `since`, events after it come first, without a gap; when they are gone, `resync` and everything
        afresh. Without it, everything afresh. `look` the topics up before, so that the tables are of now.
        """
        if len(self._listeners) >= MOST_LISTENERS:
            return None
        listener = Listener(frozenset(topics) or frozenset(TOPICS), wake)
        self._listeners.append(listener)
        if since is None:
            self._afresh(listener, resync=False)
        elif since > self.seq or since < self._forgotten:
            self._afresh(listener, resync=True)
        else:
            for seq, topic, encoded in self._ring:
                if seq > since and topic in listener.topics:
                    self._give(listener, seq, encoded)
        return listener

    def leave(self, listener: Listener) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    def wake_all(self) -> None:
        """Let every listener look up, so that it notices the end."""
        for listener in self._listeners:
            listener.wake()

    def _give(self, listener: Listener, seq: int, encoded: bytes) -> None:
        if len(listener.waiting) >= MOST_WAITING:
            listener.waiting.clear()
            self._afresh(listener, resync=True)
            return
        listener.waiting.append((seq, encoded))
        listener.wake()

    def _afresh(self, listener: Listener, *, resync: bool) -> None:
        """Full tables and objects as the bus knows them, numbered with the last event they include."""

        def put(topic: Topic, data: Mapping[str, Any]) -> None:
            event = Event(seq=self.seq, topic=topic, data=dict(data))
            listener.waiting.append((self.seq, msgspec.json.encode(event)))

        if resync:
            put("resync", {})
        for topic, value in self._objects.items():
            if topic in listener.topics:
                put(topic, value)
        for topic, rows in self._tables.items():
            if topic in listener.topics:
                put(topic, {"full": True, "items": list(map(msgspec.Raw, rows.values())), "gone": []})
        listener.wake()
