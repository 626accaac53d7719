"""Rates and memory that all lanes share."""

from __future__ import annotations

import asyncio
import threading

import pytest

from servent.blobs.lanes_pace import CHUNK, SMALLEST_CHUNK, Buffers, Closed, Pace, Rates

MB = 1_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def moved(pace: Pace, clock: Clock, peers: list[str], seconds: float) -> dict[str, int]:
    """What peers that never stop get through in so many seconds."""
    due = dict.fromkeys(peers, 0.0)
    done = dict.fromkeys(peers, 0)
    while True:
        peer = min(due, key=lambda one: due[one])
        if due[peer] >= seconds:
            return done
        clock.now = max(clock.now, due[peer])
        size = pace.chunk("up")
        done[peer] += size
        due[peer] = clock.now + pace.take("up", peer, size)


def test_all_peers_together_stay_within_the_limit() -> None:
    clock = Clock()
    pace = Pace(clock, Rates(up=10 * MB))
    done = moved(pace, clock, ["ann", "bob"], 10.0)
    assert 95 * MB < sum(done.values()) < 105 * MB
    assert min(done.values()) > 40 * MB, "and share it"


def test_each_peer_stays_within_its_own_limit() -> None:
    clock = Clock()
    pace = Pace(clock, Rates(up=100 * MB, peer_up=2 * MB))
    done = moved(pace, clock, ["ann", "bob"], 10.0)
    assert all(18 * MB < one < 22 * MB for one in done.values())


def test_chunks_become_small_under_a_limit_so_that_the_line_stays_smooth() -> None:
    pace = Pace(Clock(), Rates())
    assert pace.chunk("up") == CHUNK
    pace.set(Rates(up=1 * MB))
    assert SMALLEST_CHUNK <= pace.chunk("up") <= 50_000


def test_without_a_limit_nothing_waits() -> None:
    pace = Pace(Clock(), Rates(down=1))
    assert pace.unlimited("up") and not pace.unlimited("down")
    assert pace.take("up", "ann", 1 << 30) == 0.0


def test_buffers_are_used_again_and_never_exceed_their_bound() -> None:
    buffers = Buffers(4 << 20, memoryview(bytearray(4 << 20)))
    taken = [buffers.take_nowait(1 << 20) for _ in range(5)]
    assert taken[4] is None and None not in taken[:4]
    assert sorted(buffers.offset(one) for one in taken[:4]) == [0, 1 << 20, 2 << 20, 3 << 20]
    buffers.give(taken[0])
    assert buffers.take_nowait(1 << 20) is taken[0]


def test_a_piece_larger_than_the_bound_is_let_through_alone() -> None:
    buffers = Buffers(1 << 20)
    big = buffers.take_nowait(3 << 20)
    assert big is not None and len(big) >= 3 << 20
    assert buffers.take_nowait(1) is None


def test_other_sizes_get_private_memory_while_the_arena_is_cut_for_one_size() -> None:
    buffers = Buffers(2 << 20, memoryview(bytearray(2 << 20)))
    small = [buffers.take_nowait(256 << 10) for _ in range(8)]
    for one in small[1:]:
        buffers.give(one)
    big = buffers.take_nowait(1 << 20)
    assert big is not None and buffers.offset(big) is None
    buffers.give(big)
    buffers.give(small[0])
    assert buffers.trim()
    assert buffers.offset(buffers.take_nowait(1 << 20)) == 0


def test_a_thread_that_waits_for_memory_can_be_stopped() -> None:
    buffers = Buffers(1 << 20)
    buffers.take_nowait(1 << 20)
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    with pytest.raises(Closed):
        buffers.take(1 << 20, stop.is_set)


def test_a_coroutine_waits_for_memory_too() -> None:
    async def main() -> None:
        buffers = Buffers(1 << 20)
        held = buffers.take_nowait(1 << 20)
        asyncio.get_running_loop().call_later(0.03, buffers.give, held)
        assert await buffers.take_async(1 << 20) is not None

    asyncio.run(main())
