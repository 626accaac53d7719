"""What is seen of a simulated world from above."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterable, Sequence

from servent.testing.hosts import Host
from servent.testing.world import World


def components(world: World, hosts: Iterable[Host] | None = None) -> list[int]:
    """Sizes of the parts into which the neighbourhoods of the living fall, largest first.

    Two hosts belong together when each counts the other among its neighbours, or one does and a message would arrive.
    """
    among = [host for host in (hosts or world.hosts) if host.alive]
    number = {host: place for place, host in enumerate(among)}
    parent = list(range(len(among)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    for host, place in number.items():
        for key in host.member.topics.neighbours():
            other = world.by_key.get(key)
            there = number.get(other) if other is not None and other.side == host.side else None
            if there is not None:
                one, two = root(place), root(there)
                if one != two:
                    parent[one] = two
    sizes: dict[int, int] = {}
    for place in range(len(among)):
        top = root(place)
        sizes[top] = sizes.get(top, 0) + 1
    return sorted(sizes.values(), reverse=True)


def connected(world: World, hosts: Iterable[Host] | None = None) -> float:
    """Share of the living that are in the largest part; 0.0 when nobody lives."""
    sizes = components(world, hosts)
    return sizes[0] / sum(sizes) if sizes else 0.0


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` of `values` do not exceed; 0.0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def bytes_per_host(make: Callable[[], World]) -> float:
    """What Python allocates for a host of the world that `make` returns, all told, on average."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        world = make()
        after, _ = tracemalloc.get_traced_memory()
        return (after - before) / max(1, len(world.living()))
    finally:
        tracemalloc.stop()
