"""When to dial whom again: exponential backoff with jitter. A core; the dice are given."""

from __future__ import annotations

import random
from dataclasses import dataclass

from servent.identity import PeerId


@dataclass(frozen=True, slots=True)
class RedialSettings:
    """Seconds. `first`: wait after the first failure, doubled each time up to `longest`.

    `spacing`: shortest time between two tries of one peer, also when there is news every moment.
    """

    first: float = 1.0
    longest: float = 300.0
    spacing: float = 1.0


@dataclass(slots=True)
class _Try:
    due: float
    failures: int = 0
    started: float = float("-inf")
    dialing: bool = False
    why: str = ""
    rest: float = float("-inf")  # until then it is left alone


class Redial:
    """The peers we want and have not. Each is due at one moment; jitter keeps nodes from marching in step."""

    def __init__(self, settings: RedialSettings, dice: random.Random) -> None:
        self._settings, self._dice = settings, dice
        self._tries: dict[PeerId, _Try] = {}

    def want(self, peer: PeerId, now: float, within: float = 0.0) -> None:
        """Dial `peer` at some moment in the next `within` s. Known already: changes nothing."""
        if peer not in self._tries:
            self._tries[peer] = _Try(now + self._dice.uniform(0.0, within))

    def news(self, peer: PeerId, now: float, within: float = 0.2) -> None:
        """Something changed that may make it reachable: try soon, with a fresh backoff."""
        attempt = self._tries.get(peer)
        if attempt is not None and not attempt.dialing:
            attempt.failures = 0
            soon = max(now, attempt.started + self._settings.spacing) + self._dice.uniform(0.0, within)
            attempt.due = min(attempt.due, soon)

    def sooner(self, peer: PeerId, now: float, within: float) -> None:
        """Try at the latest in `within` s; how often it failed still counts."""
        attempt = self._tries.get(peer)
        if attempt is not None and not attempt.dialing and attempt.due > now + within:
            attempt.due = max(attempt.rest, now + self._dice.uniform(0.5, 1.0) * within)

    def drop(self, peer: PeerId) -> None:
        """It is connected, or no longer wanted."""
        self._tries.pop(peer, None)

    def due(self, now: float, most: int) -> list[PeerId]:
        """At most `most` peers to dial now; each is being dialed until `failed` or `drop`."""
        ready = sorted((a.due, p) for p, a in self._tries.items() if not a.dialing and a.due <= now)[:most]
        for _, peer in ready:
            attempt = self._tries[peer]
            attempt.dialing, attempt.started = True, now
        return [peer for _, peer in ready]

    def failed(self, peer: PeerId, now: float, why: str, at_least: float = 0.0) -> None:
        """A dial came to nothing: wait longer, and `at_least` so many seconds."""
        attempt = self._tries.get(peer)
        if attempt is None:
            return
        wait = min(self._settings.longest, self._settings.first * 2.0 ** min(attempt.failures, 30))
        wait = max(wait, 2.0 * at_least)
        attempt.failures += 1
        attempt.dialing, attempt.why, attempt.rest = False, why, now + at_least
        attempt.due = max(now, attempt.started + self._settings.spacing) + wait * self._dice.uniform(0.5, 1.0)

    def next_try(self, peer: PeerId) -> float | None:
        """When `peer` is due, or None when nothing is planned."""
        attempt = self._tries.get(peer)
        return None if attempt is None else attempt.due

    def why(self, peer: PeerId) -> str:
        """Why the last dial failed; empty before the first."""
        attempt = self._tries.get(peer)
        return "" if attempt is None else attempt.why

    def failures(self, peer: PeerId) -> int:
        """Dials in a row that came to nothing."""
        attempt = self._tries.get(peer)
        return 0 if attempt is None else attempt.failures

    def wanted(self) -> list[PeerId]:
        return list(self._tries)

    def next_tick(self) -> float | None:
        return min((a.due for a in self._tries.values() if not a.dialing), default=None)
