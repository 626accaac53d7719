"""Whether one connection still lives, judged by echoes. A core: no I/O, no clock.

QUIC notices a dead path after 15 s and a dead connection after 30 s. A person who waits for a file
notices after two; so each session sends small echoes and calls the path dead when several in a
row stay unanswered and next to nothing else arrives.
"""

from __future__ import annotations

from dataclasses import dataclass

from servent.net.wire import Echo

SLACK = 1.0  # s by which the peer's echo may be late until we ask by ourselves


@dataclass(frozen=True, slots=True)
class PulseSettings:
    """Seconds, unless said otherwise.

    Attributes:
        every: between echoes while nothing else happens.
        every_busy: between echoes while somebody waits for bytes.
        wait: shortest time an answer is given; three round trips when that is longer.
        longest_wait: and the longest.
        missed: unanswered echoes in a row that make the path dead.
        flow_bytes: this much received while an answer is overdue proves that the path is only full.
        patience: dead all the same when this long passed without any answer.
    """

    every: float = 5.0
    every_busy: float = 1.0
    wait: float = 0.8
    longest_wait: float = 3.0
    missed: int = 3
    flow_bytes: int = 4096
    patience: float = 15.0


class Dead:
    """The path answers no more: close the connection and dial again."""


DEAD = Dead()


class Pulse:
    """Echoes of one connection. Deadlines, so that `tick(next_tick())` always moves on."""

    def __init__(self, settings: PulseSettings, now: float) -> None:
        self._settings = settings
        self._number = 0
        self._sent: dict[int, float] = {}  # unanswered echoes of this row, at most `missed` + 1
        self._due = now  # the first echo goes out at once: the round trip is shown early
        self._answered = now
        self._received = 0
        self._missed = 0
        self._dead = False
        self.rtt: float | None = None

    def tick(self, now: float, received_bytes: int = 0) -> list[Echo | Dead]:
        """What to send now. `received_bytes` is the connection's total so far."""
        if self._dead or now < self._due:
            return []
        settings = self._settings
        if self._sent:  # the newest echo is overdue
            flowing = received_bytes - self._received >= settings.flow_bytes
            if flowing and now - self._answered < settings.patience:
                self._missed = 0
            else:
                self._missed += 1
            if self._missed >= settings.missed:
                self._dead = True
                return [DEAD]
        self._received = received_bytes
        self._number += 1
        self._sent[self._number] = now
        while len(self._sent) > settings.missed + 8:
            del self._sent[next(iter(self._sent))]
        self._due = now + self._waiting()
        return [Echo(self._number)]

    def reply(self, number: int, now: float, busy: bool = False) -> float | None:
        """An answer came. The round trip in seconds, or None for a number that was not asked."""
        sent = self._sent.pop(number, None)
        if sent is None:
            return None
        sample = now - sent
        self.rtt = sample if self.rtt is None else 0.7 * self.rtt + 0.3 * sample
        self._answered, self._missed = now, 0
        self._sent.clear()
        self._due = now + (self._settings.every_busy if busy else self._settings.every)
        return sample

    def heard(self, now: float) -> None:
        """The peer's echo came, and will come again: one side's echoes are enough while nothing else happens.

        It sees by our answers whether we live, and we by its echoes; ours are due again when its next is `SLACK` late.
        """
        if self.rtt is not None and not self._sent:
            self._due = max(self._due, now + self._settings.every + SLACK)

    def hurry(self, now: float) -> None:
        """Something about the paths changed: ask at once."""
        if not self._sent:
            self._due = min(self._due, now)

    def busier(self, now: float) -> None:
        """Somebody waits from now on: an answer is wanted within `every_busy` s."""
        if not self._sent:
            self._due = min(self._due, now + self._settings.every_busy)

    @property
    def silent(self) -> int:
        """How many echoes in a row are overdue."""
        return self._missed

    def next_tick(self) -> float | None:
        return None if self._dead else self._due

    def _waiting(self) -> float:
        settings = self._settings
        return min(settings.longest_wait, max(settings.wait, 3 * (self.rtt or 0.0)))
