"""What lies between the hosts of a simulated world: one heap of happenings, and connections. Virtual time, no asyncio.

Messages take the stable delay of their pair; a first message to somebody waits for a handshake; what is sent to the dead
is lost, which their neighbours notice after 10 to 15 s; dials that lead nowhere fail after 3 s (see
docs/benchmarks.md). Messages are handed over as they are, never copied, unless they go over the wire.
"""

from __future__ import annotations

import gc
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heappop, heappush

from servent.codec import encode
from servent.identity import PeerId
from servent.overlay import wire
from servent.overlay.effects import Effect, Hold, Release, Send
from servent.testing.hosts import OPEN, Host, Link

NEVER = float("inf")
DIAL_FAILS = 3.0  # s
NOTICED = (10.0, 15.0)  # s until a dead connection is taken for dead
AGAIN = 30.0  # s until a held connection that could not be made is tried again
STEP = 0.005  # s, the shortest time between two ticks of a member, as in a node
IDLE = 120.0  # s an unused connection that nobody holds is kept
STUCK = 1000  # ticks in a row that a member wants at once: it does not move on
MESSAGE, TICK, UP, NOTICE, FAILED, CALL = range(6)
_GOLDEN, _MASK = 0x9E3779B97F4A7C15, 0xFFFFFFFFFFFFFFFF

SEARCHING = frozenset(
    {wire.Question, wire.Found, wire.Cancel, wire.AskProof, wire.Proof, wire.AskPeer, wire.PeerIs, wire.Fresh}
)
ITEMS = frozenset({wire.Publish, wire.Store, wire.Batches, wire.WantBatches})


@dataclass(slots=True)
class Delays:
    """One-way delay between two hosts in seconds, stable for each pair; `loss`: share of messages that never arrive."""

    least: float = 0.02
    most: float = 0.12
    loss: float = 0.0


class Ether:
    """Same seed, same history.

    Args:
        books: a dial needs a record that the member has or said to learn; for finding out that it forgot to.
        over_the_wire: every message is encoded and decoded, so that what no peer would accept is found out.

    Attributes:
        hosts: all that ever were, in the order in which they came.
        sent, bytes: messages by type; bytes only of those that went over the wire.
        wrongs: what no member should do, and how often it was done.
        events: that happened.
    """

    def __init__(
        self, seed: int, delays: Delays | None = None, *, books: bool = False, over_the_wire: bool = False
    ) -> None:
        self.delays = delays or Delays()
        self.books, self.over_the_wire = books, over_the_wire
        self.now = 0.0
        self.dice = random.Random(seed)
        self.hosts: list[Host] = []
        self.by_key: dict[bytes, Host] = {}
        self.sent: dict[type, int] = defaultdict(int)
        self.bytes: dict[type, int] = defaultdict(int)
        self.wrongs: Counter[str] = Counter()
        self.events = 0
        self._carry: dict[type, Callable[[Host, object], None]] = {}
        self.carries(Send, self._send)
        self.carries(Hold, self._hold)
        self.carries(Release, self._release)
        self._heap: list[tuple[float, int, int, Host, object, object]] = []
        self._order = 0
        self._salt = random.Random(seed + 2).getrandbits(30)

    def carries(self, effect: type, carry: Callable[[Host, object], None]) -> None:
        """Who carries out effects of that type."""
        self._carry[effect] = carry

    # -- time

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Do something in the world later."""
        self._push(when, CALL, _NOBODY, lambda _host, _more: call(), None)

    def run(self, until: float) -> None:
        """Let time pass. The garbage collector rests meanwhile: members make no cycles."""
        collecting = gc.isenabled()
        gc.disable()
        try:
            self._run(until)
        finally:
            if collecting:
                gc.enable()

    def _run(self, until: float) -> None:
        heap = self._heap
        while heap and heap[0][0] <= until:
            now, _, what, host, one, other = heappop(heap)
            self.now = now
            self.events += 1
            if what == MESSAGE:
                if not host.alive:
                    continue
                effects: Iterable[Effect] = host.member.receive(one.key, other, now)  # type: ignore[attr-defined, arg-type]
            elif what == TICK:
                if host.tick_at != now or not host.alive:
                    continue
                host.tick_at = NEVER
                effects = host.member.tick(now)
            elif what == CALL:
                one(host, other)  # type: ignore[operator]
                continue
            elif host.alive:
                effects = self._linked(what, host, one, other)
            else:
                continue
            if effects:
                self._do(host, effects)
            if host.alive:
                due = host.member.next_tick()
                if due is not None and due < host.tick_at:
                    self._plan(host, due)
        self.now = until

    def act(self, host: Host, effects: Iterable[Effect]) -> None:
        """Carry out what its member asked for when somebody outside called it, and plan its next tick."""
        self._do(host, effects)
        due = host.member.next_tick()
        if due is not None and due < host.tick_at:
            self._plan(host, due)

    def _do(self, host: Host, effects: Iterable[Effect]) -> None:
        carry = self._carry
        for effect in effects:
            carry[type(effect)](host, effect)

    def _plan(self, host: Host, due: float) -> None:
        if max(due, self.now + STEP) >= host.tick_at:
            return  # it comes soon enough, however many messages come before it
        if due <= self.now:
            host.late += 1
            if host.late > STUCK:
                late = [
                    type(part).__name__
                    for part in host.member.parts
                    if (at := part.next_tick()) is not None and at <= self.now
                ]
                raise RuntimeError(f"a member wants tick after tick at {due} and does not move on: {late}")
            due = self.now + STEP
        else:
            host.late = 0
            due = max(due, self.now + STEP)
        host.tick_at = due
        self._push(due, TICK, host, None, None)

    def _push(self, at: float, what: int, host: Host, one: object, other: object) -> None:
        self._order += 1
        heappush(self._heap, (at, self._order, what, host, one, other))

    # -- messages

    def delay(self, one: Host, other: Host) -> float:
        """One way, in seconds; the same both ways and always."""
        a, b = one.number, other.number
        spread = ((a * b + (a ^ b) + self._salt) * _GOLDEN & _MASK) >> 40
        return self.delays.least + (self.delays.most - self.delays.least) * spread / 0x1000000

    def _send(self, host: Host, effect: object) -> None:
        message = effect.message  # type: ignore[attr-defined]
        if host.liar is not None:
            message = host.liar.sends(self, host, effect.to, message)  # type: ignore[attr-defined]
            if message is None:
                return
        self.post(host, effect.to, message)  # type: ignore[attr-defined]

    def post(self, host: Host, to: bytes, message: wire.Message) -> None:
        """Send a message in the name of `host`; whoever plays a hostile peer calls it, too."""
        kind = type(message)
        self.sent[kind] += 1
        host.sent += 1
        if kind not in SEARCHING and kind not in ITEMS:
            host.control += 1
        target = self.by_key.get(to)
        if target is host:
            self.wrongs[f"{kind.__name__} to itself"] += 1
            return
        if self.over_the_wire:
            body = encode(message)
            self.bytes[kind] += len(body)
            message = wire.messages.decode(body)
        if target is None:
            self._push(self.now + DIAL_FAILS, FAILED, host, PeerId(to), None)
            return
        link = host.links.get(target)
        if link is None:
            link = self._dial(host, target)
        now = link.used = self.now
        delays = self.delays
        if (
            link.doomed
            or not target.alive
            or host.side != target.side
            or (delays.loss and self.dice.random() < delays.loss)
        ):
            return
        if link.ready > now and link.one is host:
            now = link.ready
        a, b = host.number, target.number
        spread = ((a * b + (a ^ b) + self._salt) * _GOLDEN & _MASK) >> 40
        at = now + delays.least + (delays.most - delays.least) * spread / 0x1000000
        self._order += 1
        heappush(self._heap, (at, self._order, MESSAGE, target, host, message))

    # -- connections

    def cut(self, host: Host, polite: bool) -> None:
        """`host` is gone: its neighbours notice at once when it said so, else after a while."""
        for other, link in host.links.items():
            if link.doomed:
                continue
            after = 2 * self.delay(host, other) if polite else self.dice.uniform(*NOTICED)
            self._push(max(self.now, link.ready) + after, NOTICE, other, host, link)
        host.links, host.held = {}, {}

    def partition(self, *sides: Iterable[Host]) -> None:
        """Hosts on different sides do not reach each other; those on none are on the first."""
        for number, side in enumerate(sides):
            for host in side:
                host.side = number
        for host in self.hosts:
            for other, link in host.links.items():
                if other.side != host.side and not link.doomed:
                    self._push(self.now + self.dice.uniform(*NOTICED), NOTICE, host, other, link)

    def heal(self) -> None:
        """All reach each other again; connections that nobody took for dead live on."""
        for host in self.hosts:
            host.side = 0

    def sweep(self) -> None:
        """Close connections that nobody uses or holds."""
        before = self.now - IDLE
        for host in self.hosts:
            if not host.links:
                continue
            idle = [
                (other, link)
                for other, link in host.links.items()
                if link.used < before
                and not link.doomed
                and other.alive
                and other.key not in host.held
                and host.key not in other.held
            ]
            for other, link in idle:
                if host.links.get(other) is link:
                    del host.links[other]
                    self.act(host, host.member.down(other.key, self.now))
                if other.links.get(host) is link:
                    del other.links[host]
                    self.act(other, other.member.down(host.key, self.now))

    def _dial(self, host: Host, target: Host) -> Link:
        """Three ways until the first message is there: a handshake, then the message."""
        now = self.now
        reached = target.alive and host.side == target.side and (target.nat in OPEN or target.relayed)
        if reached and host.book is not None and not self._introduced(host, target):
            self.wrongs["dialled without a record"] += 1
            reached = False
        link = Link(host, target, now, doomed=not reached)
        host.links[target] = link
        if not reached:
            self._push(now + DIAL_FAILS, FAILED, host, target.key, link)
            return link
        way = self.delay(host, target)
        link.ready = now + 2 * way
        target.links[host] = link
        self._push(link.ready, UP, host, target, link)
        self._push(now + 3 * way, UP, target, host, link)
        return link

    def _introduced(self, host: Host, target: Host) -> bool:
        context = host.member.context
        return (
            host.book is None
            or target.key in host.book
            or context.peers.get(target.key, self.now) is not None
            or host.member.directory.get(target.key, self.now) is not None
        )

    def _hold(self, host: Host, effect: object) -> None:
        peer = effect.peer  # type: ignore[attr-defined]
        host.held[peer] = host.held.get(peer, 0) + 1
        target = self.by_key.get(peer)
        if target is None:
            self._push(self.now + DIAL_FAILS, FAILED, host, peer, None)
        elif target is not host and target not in host.links:
            self._dial(host, target)

    def _release(self, host: Host, effect: object) -> None:
        peer = effect.peer  # type: ignore[attr-defined]
        count = host.held.pop(peer, 0) - 1
        if count > 0:
            host.held[peer] = count
        elif count < 0:
            self.wrongs["released what was not held"] += 1

    def _again(self, host: Host, peer: PeerId) -> None:
        """What is held is dialled again, until it is released."""
        target = self.by_key.get(peer)
        if host.alive and peer in host.held and target is not None and target not in host.links:
            self._dial(host, target)

    def _linked(self, what: int, host: Host, one: object, link: object) -> Iterable[Effect]:
        """A connection came up, went down, or could not be made."""
        member, now = host.member, self.now
        if what == FAILED:
            assert isinstance(one, PeerId)
            target = self.by_key.get(one)
            if target is not None and host.links.get(target) is link:
                del host.links[target]
            if one in host.held:
                self._push(now + AGAIN, CALL, host, self._again, one)
            return member.failed(one, now)
        assert isinstance(one, Host)
        if host.links.get(one) is not link:
            return ()
        if what == UP:
            return member.up(one.key, now)
        if one.alive and one.side == host.side and one.links.get(host) is link:
            return ()  # healed meanwhile
        del host.links[one]
        self._do(host, member.down(one.key, now))
        if one.key in host.held and one not in host.links:
            self._dial(host, one)
        return ()


_NOBODY: Host = None  # type: ignore[assignment]  # in whose place the world itself acts
