"""Which supernodes are there still: probing, through others as well, before one is taken for dead. Pure.

SWIM (Das, Gupta, Motivala 2002) among supernodes alone, with two changes. Nobody is dropped on hearsay: who hears of a
suspicion probes by itself. And who finds several silent, with none to tell it that it is heard, takes itself for the sick
one and probes less often (Lifeguard, Dadgar, Phillips, Currey 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from servent.identity import PeerId
from servent.overlay.context import Context
from servent.overlay.due import Due
from servent.overlay.effects import Effect, Send
from servent.overlay.known import Known
from servent.overlay.part import Handler
from servent.overlay.rates import Rates
from servent.overlay.wire import Alive, Probe, Suspect

SICKEST = 8  # times as slow as a healthy one, at most
CHECKS = 64  # going on at the same time; for others as well
TOLD = 32  # who hear first that one is dead, most of them along connections that are there
PASSED = 8  # who hear it from each of them
LEAST_TOLD = 3  # even if that takes new connections
LATE = 1.0  # s; when we come later than that we were asleep or overloaded, and answers may lie unread
DROWSY = 30.0  # s after that in which we judge nobody
HEARSAY = 60.0  # s until another suspicion of the same one is looked into


@dataclass(slots=True)
class Check:
    """A supernode that is being probed. `stage` 0: by us; 1: by helpers, or on hearsay by us again. `heard`: a helper has our question."""

    number: int
    until: float
    stage: int = 0
    hearsay: bool = False
    heard: bool = False


class Liveness:
    """Runs while we carry the role.

    Args:
        links: peers we are connected with.
        dead: called for each that is found dead.
        suspected: called when others suspect us.
    """

    def __init__(
        self,
        context: Context,
        known: Known,
        links: Collection[PeerId],
        dead: Callable[[bytes, float], None],
        suspected: Callable[[float], None],
    ) -> None:
        self._context, self._known, self._links = context, known, links
        self._dead, self._suspected = dead, suspected
        self._settings = context.settings.directory
        self._checks: dict[bytes, Check] = {}
        self._helping: dict[int, tuple[PeerId, int, bytes, float]] = {}
        self._hearsay: dict[bytes, float] = {}
        self._turn: list[bytes] = []
        self._number = 0
        self._rate = Rates(2.0, 40.0)
        self.due = Due()
        self.health = 0
        self._awake = 0.0

    def start(self, now: float) -> None:
        self.due.soon("probe", now + self._settings.probe_every * self._context.dice.random())

    def stop(self) -> None:
        self._checks.clear()
        self._helping.clear()
        self.due.drop("probe")
        self.due.drop("check")

    def handlers(self) -> Mapping[type, Handler]:
        return {Probe: self.on_probe, Alive: self._on_alive, Suspect: self._on_suspect}

    def tick(self, now: float) -> list[Effect]:
        if self.due.next is not None and now - self.due.next > LATE:
            self._overslept(now)
        effects: list[Effect] = []
        for name in self.due.take(now):
            effects += self._probe_next(now) if name == "probe" else self._overdue(now)
        return effects

    # -- probing

    def _probe_next(self, now: float) -> list[Effect]:
        """One after the other, in a new order each time round."""
        if self._known.own is None:
            return []
        wait = self._settings.probe_every * (1 + self.health) * self._context.dice.uniform(0.75, 1.25)
        self.due.set("probe", now + wait)
        if not self._turn:
            self._turn = self._known.keys
            self._context.dice.shuffle(self._turn)
        while self._turn:
            key = self._turn.pop()
            if key in self._known:
                return self.check(key, now)
        return []

    def check(self, key: bytes, now: float, hearsay: bool = False) -> list[Effect]:
        """Look whether it is there, unless that is being done."""
        if key in self._checks or len(self._checks) >= CHECKS:
            return []
        self._number += 1
        self._checks[key] = Check(self._number, now + self._wait(), hearsay=hearsay)
        self.due.soon("check", now + self._wait())
        return [Send(PeerId(key), Probe(self._number))]

    def failed(self, key: bytes, now: float) -> list[Effect]:
        """A message to it could not be delivered: no need to wait for an answer."""
        if self._known.own is None or key not in self._known:
            return []
        check = self._checks.get(key)
        if check is None:
            self._number += 1
            check = self._checks[key] = Check(self._number, now)
        return self._silent(key, check, now) if check.stage == 0 else []

    def _wait(self) -> float:
        return self._settings.probe_wait * (1 + self.health / 4)

    def _overslept(self, now: float) -> None:
        """Nobody can be blamed for answers that we did not read; and others have less of us while we are slow."""
        self._awake = now + DROWSY
        self.health = min(SICKEST, self.health + 2)
        for check in self._checks.values():
            check.until = max(check.until, now + self._wait())

    def _overdue(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for key in [key for key, check in self._checks.items() if check.until <= now]:
            effects += self._silent(key, self._checks[key], now)
        if self._checks:
            self.due.soon("check", max(now, min(check.until for check in self._checks.values())))
        return effects

    def _silent(self, key: bytes, check: Check, now: float) -> list[Effect]:
        """No answer in time. Ask others, or believe it."""
        if key not in self._known:
            del self._checks[key]
            return []
        if now < self._awake:
            del self._checks[key]
            if key not in self._turn:
                self._turn.append(key)  # the next one to be looked at
            return []
        if check.stage == 0 and check.hearsay:
            check.stage, check.until = 1, now + self._wait()
            self.due.soon("check", check.until)
            return [Send(PeerId(key), Probe(check.number))]
        if check.stage == 0:
            self.health = min(SICKEST, self.health + 1)
            check.stage, check.until = 1, now + 2 * self._wait()
            self.due.soon("check", check.until)
            chosen = self._known.random(self._settings.helpers, now, (key,))
            helpers = [one for one in chosen if not self._known.suspended(one, now)]
            if not helpers:
                check.heard = any(peer != key for peer in self._links)
                return [Send(PeerId(key), Probe(check.number))]
            return [Send(helper, Probe(check.number, key)) for helper in helpers]
        del self._checks[key]
        if not check.heard and not check.hearsay:
            self._known.suspend(key, now)
            return []
        if not check.hearsay:
            self.health = max(0, self.health - 1)
        record = self._known.get(key)
        assert record is not None
        self._dead(key, now)
        told = min(PASSED if check.hearsay else TOLD, max(len(self._links) + 1, LEAST_TOLD))
        return [
            Send(peer, Suspect(key, record.seq))
            for peer in self._known.near_and_far(told, now, (key,), self._links)
        ]

    # -- what comes in

    def on_probe(self, peer: PeerId, message: Probe, now: float) -> list[Effect]:
        """Say that we are here, or ask another for whoever asks us."""
        if self._known.own is None or not self._rate.allow(peer, 1.0, now):
            return []
        self._known.unbury(peer, now)
        about = message.about
        if about is None or about == self._context.me:
            return [Send(peer, Alive(message.number, about))]
        if peer not in self._known:
            return []
        if about not in self._known or now < self._awake:
            return [Send(peer, Alive(message.number))]
        self._helping = {number: one for number, one in self._helping.items() if one[3] > now}
        if len(self._helping) >= CHECKS:
            return []
        self._number += 1
        self._helping[self._number] = (peer, message.number, about, now + 2 * self._settings.probe_wait)
        return [Send(peer, Alive(message.number)), Send(PeerId(about), Probe(self._number))]

    def _on_alive(self, peer: PeerId, message: Alive, now: float) -> list[Effect]:
        helped = self._helping.get(message.number)
        if helped is not None and helped[2] == peer:
            del self._helping[message.number]
            return [Send(helped[0], Alive(helped[1], helped[2]))]
        about = peer if message.about is None or message.about == peer else message.about
        check = self._checks.get(about)
        if check is not None and check.number == message.number:
            del self._checks[about]
            self._known.revive(about)
            self.health = max(0, self.health - 1)
            return []
        for check in self._checks.values():
            if check.number == message.number and check.stage == 1:
                check.heard = True
        return []

    def _on_suspect(self, peer: PeerId, message: Suspect, now: float) -> list[Effect]:
        key = message.key
        if self._known.own is None or peer not in self._known:
            return []
        if key == self._context.me:
            self._suspected(now)
            return []
        record = self._known.get(key)
        if now < self._awake or record is None or record.seq > message.seq:
            return []
        if now - self._hearsay.get(key, -HEARSAY) < HEARSAY:
            return []
        self._hearsay.pop(key, None)
        if len(self._hearsay) >= CHECKS:
            del self._hearsay[next(iter(self._hearsay))]
        self._hearsay[key] = now
        return self.check(key, now, hearsay=True)
