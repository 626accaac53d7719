"""The swarm core alone: fifty swarms of sources that leave, lie and stall, in simulated time."""

from __future__ import annotations

import heapq
import random
from collections import Counter, deque
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from servent.blobs.asks import Ask, Ban, Cancel, Complete, Effect, Wake
from servent.blobs.pick import Swarm
from servent.blobs.pieces import Bits
from servent.errors import BadMessage

MiB = 1024 * 1024


@dataclass
class Peer:
    """A source behind a pipe: `bandwidth` bytes/s, `rtt` s; serves what it is asked in order."""

    name: str
    bandwidth: float
    rtt: float = 0.02
    have: Bits | None = None
    lies: float = 0.0
    leaves_at: float | None = None
    stalls_at: float | None = None
    queue: deque[int] = field(default_factory=deque)
    sending: bool = False
    gone: bool = False
    given_up: Counter[int] = field(default_factory=Counter)


class Sim:
    """Runs a Swarm against peers; checks its invariants at every step."""

    def __init__(
        self, sizes: list[int], peers: list[Peer], seed: int, *, check_time: float = 0.003, **options: int
    ) -> None:
        self.sizes = sizes
        self.dice = random.Random(seed)
        self.swarm = Swarm(len(sizes), sizes, random.Random(seed + 1), **options)
        self.peers = {peer.name: peer for peer in peers}
        self.now = 0.0
        self.events: list[tuple[float, int, str, object, object]] = []
        self.order = count()
        self.asked: Counter[int] = Counter()
        self.transferred = 0
        self.wrong: Counter[int] = Counter()
        self.banned: list[str] = []
        self.complete_at: float | None = None
        self.check_time = check_time
        self.asks = 0

    def at(self, when: float, what: str, one: object = None, two: object = None) -> None:
        heapq.heappush(self.events, (when, next(self.order), what, one, two))

    def run(self, limit: float = 10_000.0) -> float:
        for peer in self.peers.values():
            self.swarm.add_source(peer.name, peer.have, self.now)
            if peer.leaves_at is not None:
                self.at(peer.leaves_at, "leave", peer)
        for peer in self.peers.values():
            self.ask(peer)
        while self.complete_at is None:
            tick = self.swarm.next_tick()
            if self.events and (tick is None or self.events[0][0] <= tick):
                self.now, _, what, one, two = heapq.heappop(self.events)
                getattr(self, what)(one, two)
            elif tick is not None:
                self.now = max(self.now, tick)
                self.effects(self.swarm.tick(self.now))
                after = self.swarm.next_tick()
                assert after is None or after > self.now, "a tick must move on"
            else:
                raise AssertionError(f"stuck at {self.now}: {self.swarm.view()}")
            assert self.now < limit, f"not done after {limit} s: {self.swarm.view()}"
        return self.complete_at

    def ask(self, peer: Peer) -> None:
        if peer.gone:
            return
        for ask in self.swarm.next(peer.name, self.now):
            assert ask.count >= 1 and ask.first >= 0 and ask.first + ask.count <= len(self.sizes)
            self.asks += 1
            for piece in range(ask.first, ask.first + ask.count):
                assert peer.have is None or piece in peer.have, "asked for what it does not have"
                self.asked[piece] += 1
            self.at(self.now + peer.rtt / 2, "arrive", peer, ask)

    def arrive(self, peer: Peer, ask: Ask) -> None:
        peer.queue.extend(range(ask.first, ask.first + ask.count))
        if not peer.sending:
            self.send(peer, None)

    def send(self, peer: Peer, _: object) -> None:
        peer.sending = False
        if peer.gone or not peer.queue or (peer.stalls_at is not None and self.now >= peer.stalls_at):
            return
        piece = peer.queue.popleft()
        peer.sending = True
        done = self.now + self.sizes[piece] / peer.bandwidth
        self.at(done, "send", peer)
        self.at(done + peer.rtt / 2, "receive", peer, piece)

    def receive(self, peer: Peer, piece: int) -> None:
        if peer.gone:
            return
        self.transferred += self.sizes[piece]
        if self.swarm.expects(peer.name, piece):
            good = self.dice.random() >= peer.lies
            self.effects(self.swarm.received(peer.name, piece, self.sizes[piece], self.now))
            self.at(self.now + self.check_time, "check", peer, (piece, good))
        self.ask(peer)

    def check(self, peer: Peer, result: tuple[int, bool]) -> None:
        piece, good = result
        if good:
            self.effects(self.swarm.verified(piece))
        else:
            self.wrong[piece] += 1
            self.effects(self.swarm.rejected(peer.name, piece, self.now))

    def leave(self, peer: Peer, _: object) -> None:
        peer.gone = True
        self.effects(self.swarm.remove_source(peer.name, self.now))

    def farther(self, peer: Peer, rtt: object) -> None:
        assert isinstance(rtt, float)
        peer.rtt = rtt

    def effects(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Cancel(name, first, number):
                    peer = self.peers[str(name)]
                    if number > 1 or not self.swarm._done[first]:
                        peer.given_up.update(range(first, first + number))
                    gone = set(range(first, first + number))
                    peer.queue = deque(piece for piece in peer.queue if piece not in gone)
                case Ban(name, _):
                    self.peers[name].gone = True
                    self.banned.append(name)
                case Wake(name):
                    self.ask(self.peers[name])
                case Complete():
                    assert self.complete_at is None, "complete twice"
                    self.complete_at = self.now


def pieces_of(seed: int) -> list[int]:
    dice = random.Random(seed)
    kind = dice.randrange(3)
    if kind == 0:
        return [MiB] * dice.randrange(1, 300)
    if kind == 1:
        return [dice.randrange(1, 8192) for _ in range(dice.randrange(1, 3000))]
    return [dice.choice([1, 4096, 100_000, 256 * 1024]) for _ in range(dice.randrange(1, 1000))]


@pytest.mark.parametrize("seed", range(50))
def test_a_swarm_completes_whatever_its_sources_do(seed: int) -> None:
    dice = random.Random(seed)
    sizes = pieces_of(seed)
    peers = [Peer("good", bandwidth=dice.choice([1e6, 1e7, 1e8]), rtt=dice.choice([0.0005, 0.02, 0.2]))]
    for number in range(dice.randrange(6)):
        have = None if dice.random() < 0.5 else Bits(len(sizes), dice.getrandbits(len(sizes)))
        peers.append(
            Peer(
                f"peer {number}",
                bandwidth=dice.choice([1e4, 1e6, 1e7, 1e8]),
                rtt=dice.choice([0.0005, 0.02, 0.2]),
                have=have,
                lies=dice.choice([0, 0, 0, 0.3, 1.0]),
                leaves_at=dice.choice([None, None, 0.1, 1.0]),
                stalls_at=dice.choice([None, None, None, 0.2]),
            )
        )
    sim = Sim(sizes, peers, seed)
    sim.run()
    liars = {peer.name for peer in peers if peer.lies}
    assert set(sim.banned) <= liars
    assert sim.swarm.complete and not sim.swarm.next("good", sim.now)
    if not liars and all(peer.leaves_at is None and peer.stalls_at is None for peer in peers):
        asked_again = sum(sim.asked.values()) - len(sizes)
        given_up = sum(number for peer in sim.peers.values() for number in peer.given_up.values())
        assert asked_again <= sim.swarm.view().repeated + given_up


@pytest.mark.parametrize("seed", range(50))
def test_no_piece_is_asked_twice_of_one_good_source(seed: int) -> None:
    sim = Sim(pieces_of(seed), [Peer("ann", 1e8)], seed)
    sim.run()
    assert set(sim.asked.values()) == {1}
    assert sim.transferred == sum(sim.sizes)


@pytest.mark.parametrize("rtt", [0.001, 0.05])
def test_three_equal_sources_share_the_work_almost_perfectly(rtt: float) -> None:
    sizes = [MiB] * 512
    sim = Sim(sizes, [Peer(name, 30e6, rtt) for name in ("ann", "bob", "cat")], 7)
    took = sim.run()
    assert sum(sizes) / 90e6 / took >= 0.95
    assert sim.transferred <= sum(sizes) * 1.01


@pytest.mark.parametrize("seed", range(10))
def test_a_slow_source_does_not_hold_up_the_end(seed: int) -> None:
    sizes = [MiB] * 200
    sim = Sim(sizes, [Peer("fast", 1e8), Peer("slow", 2e5)], seed)
    took = sim.run()
    assert took < sum(sizes) / 1e8 * 1.25


def test_one_fast_far_source_is_kept_busy() -> None:
    sizes = [MiB] * 1024
    sim = Sim(sizes, [Peer("far", 125e6, rtt=0.15)], 3)
    assert sim.run() < sum(sizes) / 125e6 * 1.15


def test_a_path_that_becomes_long_is_filled_again() -> None:
    sizes = [MiB] * 4000
    peer = Peer("roams", 50e6, rtt=0.001)
    sim = Sim(sizes, [peer], 3)
    sim.at(5.0, "farther", peer, 0.4)
    assert sim.run() < sum(sizes) / 50e6 * 1.15


def test_small_files_are_asked_for_in_batches() -> None:
    sim = Sim([4096] * 10_000, [Peer("ann", 1e8)], 1)
    sim.run()
    assert sim.asks < 150


def test_what_few_have_is_asked_first() -> None:
    pieces = 64
    swarm = Swarm(pieces, [MiB] * pieces, random.Random(1), largest_ask=MiB)
    rare = {5, 40}
    for number in range(4):
        common = Bits.full(pieces)
        for piece in rare:
            common.clear_run(piece)
        swarm.add_source(number, common, 0.0)
    swarm.add_source("both", Bits.full(pieces), 0.0)
    first = [ask.first for ask in swarm.next("both", 0.0)][:2]
    assert set(first) == rare


def test_availability_is_counted_exactly() -> None:
    dice = random.Random(4)
    swarm = Swarm(200, [1] * 200, dice)
    held: dict[int, Bits] = {}
    for step in range(400):
        name = dice.randrange(12)
        if name in held:
            swarm.remove_source(name, 0.0)
            del held[name]
        else:
            held[name] = Bits(200, dice.getrandbits(200) & ~1)
            swarm.add_source(name, Bits(200, held[name].value), 0.0)
            piece = dice.randrange(1, 200)
            swarm.have(name, piece, 0.0)
            held[name].set_run(piece)
        counts = [sum(piece in bits for bits in held.values()) for piece in range(200)]
        planes = swarm._rarity._planes
        assert counts == [sum((plane >> p & 1) << k for k, plane in enumerate(planes)) for p in range(200)], (
            step
        )


def test_a_liar_loses_its_place_and_cannot_come_back() -> None:
    swarm = Swarm(4, [10] * 4, random.Random(1))
    swarm.add_source("liar", None, 0.0)
    [ask] = swarm.next("liar", 0.0)
    swarm.received("liar", ask.first, 10, 0.1)
    effects = swarm.rejected("liar", ask.first, 0.1)
    assert isinstance(effects[0], Ban)
    assert not swarm.add_source("liar", None, 0.2)
    swarm.add_source("ann", None, 0.2)
    asked = swarm.next("ann", 0.2)
    assert sum(ask.count for ask in asked) == 4


def test_a_source_that_disconnects_gives_its_pieces_back_and_wakes_the_others() -> None:
    swarm = Swarm(2, [MiB] * 2, random.Random(1))
    swarm.add_source("ann", None, 0.0)
    swarm.add_source("bob", Bits(2, 0b10), 0.0)
    assert swarm.next("ann", 0.0)
    assert swarm.next("bob", 0.0) in ([], [Ask(1, 1)])
    effects = swarm.remove_source("ann", 1.0)
    assert all(isinstance(effect, Wake) for effect in effects)
    swarm.next("bob", 1.0)
    assert not swarm.available()
    swarm.add_source("cat", Bits(2, 0b01), 1.0)
    assert swarm.available()


def test_a_silent_source_is_given_up_and_welcome_when_it_speaks_again() -> None:
    swarm = Swarm(1, [MiB], random.Random(1))
    swarm.add_source("ann", None, 0.0)
    swarm.next("ann", 0.0)
    due = swarm.next_tick()
    assert due is not None
    effects = swarm.tick(due)
    assert Cancel("ann", 0, 1) in effects and Wake("ann") in effects
    assert swarm.expects("ann", 0)
    swarm.received("ann", 0, MiB, due + 1)
    assert Complete() in swarm.verified(0)
    assert swarm.view().sources[0].state == "idle"


def test_a_bit_field_of_the_wrong_length_is_refused() -> None:
    swarm = Swarm(9, [1] * 9, random.Random(1))
    for wrong in (b"", b"\0", b"\0\0\0", b"\0\x01"):
        with pytest.raises(BadMessage):
            swarm.add_source("eve", wrong, 0.0)


def test_memory_is_bounded_also_while_nothing_is_verified() -> None:
    swarm = Swarm(1000, [MiB] * 1000, random.Random(1), memory_bytes=16 * MiB)
    for name in range(4):
        swarm.add_source(name, None, 0.0)
    held, now = 0, 0.0
    for _ in range(200):
        for name in range(4):
            for ask in swarm.next(name, now):
                for piece in range(ask.first, ask.first + ask.count):
                    now += 0.01
                    swarm.received(name, piece, MiB, now)
                    held += 1
    assert held <= 16 + 4, "asks go on while nothing is written"


@pytest.mark.parametrize(("count", "size"), [(512, MiB), (128, 4 * MiB)])
def test_many_slow_sources_all_take_part(count: int, size: int) -> None:
    sim = Sim([size] * count, [Peer(str(number), 2e6, 0.05) for number in range(20)], 1)
    assert count * size / 40e6 / sim.run() >= 0.75


def test_what_is_done_already_is_never_asked() -> None:
    done = Bits(10)
    done.set_run(2, 5)
    swarm = Swarm(10, [1] * 10, random.Random(1), done=done)
    swarm.add_source("ann", None, 0.0)
    asked = [piece for ask in swarm.next("ann", 0.0) for piece in range(ask.first, ask.first + ask.count)]
    assert sorted(asked) == [0, 1, 7, 8, 9]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_order_of_events_keeps_the_books_straight(data: st.DataObject) -> None:
    pieces = data.draw(st.integers(1, 40))
    sizes = data.draw(st.lists(st.integers(1, 3 * MiB), min_size=pieces, max_size=pieces))
    swarm = Swarm(pieces, sizes, random.Random(data.draw(st.integers(0, 99))))
    owed: dict[str, set[int]] = {}
    unverified: list[tuple[str, int]] = []
    now = 0.0
    for _ in range(data.draw(st.integers(0, 60))):
        now += data.draw(st.sampled_from([0.0, 0.01, 1.0, 30.0]))
        name = data.draw(st.sampled_from(["ann", "bob", "cat"]))
        match data.draw(
            st.sampled_from(
                ["add", "remove", "next", "next", "receive", "receive", "check", "tick", "unable", "have"]
            )
        ):
            case "add":
                bits = Bits(pieces, data.draw(st.integers(0, (1 << pieces) - 1)))
                if swarm.add_source(name, bits, now):
                    owed[name] = set()
            case "remove":
                swarm.remove_source(name, now)
                owed.pop(name, None)
            case "next":
                for ask in swarm.next(name, now):
                    owed[name].update(range(ask.first, ask.first + ask.count))
            case "receive" if owed.get(name):
                piece = data.draw(st.sampled_from(sorted(owed[name])))
                owed[name].discard(piece)
                if swarm.expects(name, piece):
                    swarm.received(name, piece, sizes[piece], now)
                    unverified.append((name, piece))
            case "check" if unverified:
                sender, piece = unverified.pop(0)
                if data.draw(st.booleans()):
                    swarm.verified(piece)
                else:
                    swarm.rejected(sender, piece, now)
            case "tick":
                swarm.tick(now)
            case "unable":
                swarm.unable(name, data.draw(st.integers(0, pieces - 1)), data.draw(st.integers(1, 5)))
            case "have":
                swarm.have(name, data.draw(st.integers(0, pieces - 1)), now)
        books(swarm)


def books(swarm: Swarm) -> None:
    """Every piece is in exactly one state, and every sum is what its parts say."""
    for piece in range(swarm.pieces):
        wanted = bool(swarm._wanted >> piece & 1)
        other = bool(swarm._done[piece]) or piece in swarm._owing or piece in swarm._received
        assert wanted != other, piece
    assert swarm._missing == swarm._done.count(0)
    for source in swarm._sources.values():
        assert source.owed_bytes == sum(swarm._size(piece, 1) for piece in source.owed)
    assert swarm._owed_bytes == sum(source.owed_bytes for source in swarm._sources.values())
    assert swarm._held_bytes == sum(swarm._size(piece, 1) for piece in swarm._received)
