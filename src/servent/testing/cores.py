"""Runs pure cores against each other: seeded latency and loss, no asyncio."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

Name = TypeVar("Name", bound=Hashable)
Message = TypeVar("Message")
M_contra = TypeVar("M_contra", contravariant=True)
N_contra = TypeVar("N_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Send(Generic[Name, Message]):
    """A core's wish: hand `message` to node `to`."""

    to: Name
    message: Message


class Core(Protocol[N_contra, M_contra]):
    """What every sans-IO core looks like from outside. Effects other than `Send` are for its own node."""

    def receive(self, peer: N_contra, message: M_contra, now: float) -> Sequence[object]: ...

    def tick(self, now: float) -> Sequence[object]: ...

    def next_tick(self) -> float | None: ...


class CoreNet(Generic[Name, Message]):
    """A network of cores in virtual time. Same seed, same history.

    Args:
        cores: one core per node name; nodes may be added and removed while it runs.
        seed: decides every delay and every loss.
        latency: shortest and longest one-way delay, in seconds.
        loss: share of messages dropped, 0.0 to 1.0.
        sending: turns an effect into `Send`, or None when it is for the node itself. The default
            knows `Send` of this module; a core with effects of its own says how to read them.
        check: called with each core that was just run; raise there when an invariant is broken.
    """

    def __init__(
        self,
        cores: Mapping[Name, Core[Name, Message]],
        seed: int,
        latency: tuple[float, float] = (0.01, 0.1),
        loss: float = 0.0,
        sending: Callable[[object], Send[Name, Message] | None] | None = None,
        check: Callable[[Core[Name, Message]], None] | None = None,
    ) -> None:
        self.cores: dict[Name, Core[Name, Message]] = dict(cores)
        self.latency, self.loss = latency, loss
        self.now = 0.0
        self.told: list[tuple[float, Name, object]] = []  # (when, node, effect for the node itself)
        self.sent = 0
        self.lost = 0
        self.dice = random.Random(seed)
        self._sending = sending or (lambda effect: effect if isinstance(effect, Send) else None)
        self._check = check
        self._order = itertools.count()
        self._mail: list[tuple[float, int, Name, Send[Name, Message]]] = []
        self._ticks: list[tuple[float, int, Name]] = []
        self._apart: dict[Name, int] = {}

    def do(self, node: Name, effects: Iterable[object]) -> None:
        """Carry out what the core of `node` asked for."""
        for effect in effects:
            send = self._sending(effect)
            if send is None:
                self.told.append((self.now, node, effect))
                continue
            self.sent += 1
            if self.dice.random() < self.loss or not self._joined(node, send.to):
                self.lost += 1
                continue
            at = self.now + self.dice.uniform(*self.latency)
            heapq.heappush(self._mail, (at, next(self._order), node, send))
        if self._check is not None and node in self.cores:
            self._check(self.cores[node])
        self._plan(node)

    def partition(self, *sides: Iterable[Name]) -> None:
        """Nodes on different sides do not hear each other; nodes on no side hear everyone."""
        self._apart = {name: number for number, side in enumerate(sides) for name in side}

    def heal(self) -> None:
        self._apart = {}

    def run(self, until: float) -> None:
        """Let time pass, jumping from one happening to the next."""
        self._ticks = []
        for name in self.cores:
            self._plan(name)
        while True:
            arriving = self._mail[0][0] if self._mail else None
            if self._ticks and (arriving is None or self._ticks[0][0] < arriving):
                if self._ticks[0][0] > until:
                    break
                due, _, name = heapq.heappop(self._ticks)
                ticking = self.cores.get(name)
                if ticking is None or ticking.next_tick() != due:
                    continue  # it has been planned anew since
                self.now = max(self.now, due)
                self.do(name, ticking.tick(self.now))
            elif arriving is not None and arriving <= until:
                self.now, _, sender, send = heapq.heappop(self._mail)
                core = self.cores.get(send.to)
                if core is None or not self._joined(sender, send.to):
                    self.lost += 1
                else:
                    self.do(send.to, core.receive(sender, send.message, self.now))
            else:
                break
        self.now = until

    def _plan(self, name: Name) -> None:
        """When that core is to be woken; entries of before stay, and are passed over."""
        core = self.cores.get(name)
        due = core.next_tick() if core is not None else None
        if due is not None:
            heapq.heappush(self._ticks, (due, next(self._order), name))

    def _joined(self, one: Name, other: Name) -> bool:
        a, b = self._apart.get(one), self._apart.get(other)
        return a is None or b is None or a == b
