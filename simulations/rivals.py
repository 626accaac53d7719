"""Other ways to find what the same peers share, over the same delays: what the overlay is compared with.

Flooding (Gnutella 0.4: degree 6, TTL 7), dynamic query over supernodes with their neighbours' word tables (Gnutella
0.6 as in LimeWire and gtk-gnutella: degree 32, a probe of three neighbours with TTL 2, then one by one, 2.4 s a hop,
until 50 results), and 16 random walkers with one-hop copies of indexes (Lv et al. 2002; Chawathe et al. 2003).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush

from simulations.corpus import Corpus, index

DEGREE, TTL = 6, 7
ULTRA_DEGREE, PROBES, WAIT, ENOUGH = 32, 3, 2.4, 50
WALKERS, STEPS, WALK_DEGREE = 16, 50, 16
NEVER = float("inf")

Delay = Callable[[int, int], float]


@dataclass(slots=True)
class Tried:
    """One question one way. `got`: seconds until the wanted content was named; NEVER."""

    messages: int = 0
    got: float = NEVER
    contents: set[int] = field(default_factory=set)
    results: int = 0


def graph(dice: random.Random, nodes: list[int], degree: int) -> dict[int, list[int]]:
    """A random graph in which each node has about `degree` neighbours."""
    around: dict[int, set[int]] = {node: set() for node in nodes}
    degree = min(degree, len(nodes) - 1)
    for node in nodes:
        tries = 0
        while len(around[node]) < degree // 2 + 1 and tries < 50:
            other = dice.choice(nodes)
            tries += 1
            if other != node:
                around[node].add(other)
    for node in nodes:
        for other in list(around[node]):
            around[other].add(node)
    return {node: sorted(others) for node, others in around.items()}


class Rivals:
    """The other ways, over what the same corpus says.

    Args:
        supernodes: how many there are; leaves are at two of them each, by chance.
        dead: peers that died since all was set up; supernodes die by the same share.
    """

    def __init__(
        self, corpus: Corpus, peers: int, supernodes: int, dead: frozenset[int], delay: Delay, seed: int
    ) -> None:
        self._corpus, self._dead, self._delay = corpus, dead, delay
        self._dice = random.Random(seed * 13 + 5)
        self._peers = graph(self._dice, list(range(peers)), DEGREE)
        ultra = self._dice.sample(range(peers), supernodes)
        self._alive_ultra = [node for node in ultra if node not in dead]
        self._ultra = graph(self._dice, ultra, ULTRA_DEGREE)
        self._walk = graph(self._dice, ultra, WALK_DEGREE)
        self._homes = {peer: self._dice.sample(ultra, min(2, len(ultra))) for peer in range(peers)}
        leaves: dict[int, list[int]] = {node: [] for node in ultra}
        for peer, homes in self._homes.items():
            for home in homes:
                leaves[home].append(peer)
        self._index = {node: index(corpus, some) for node, some in leaves.items()}

    def _found_at(self, node: int, words: tuple[str, str]) -> set[int]:
        found = self._index[node]
        return found.get(words[0], set()) & found.get(words[1], set())

    def flood(self, asker: int, words: tuple[str, str], want: int) -> Tried:
        """Everybody within seven hops is asked; answers come back the way the question went."""
        tried, dead, delay = Tried(), self._dead, self._delay
        holders = {peer for content in (want,) for peer in self._corpus.holders[content]} - dead
        heap: list[tuple[float, int, int, int]] = [(0.0, TTL, asker, -1)]
        seen: set[int] = set()
        while heap:
            at, ttl, node, sender = heappop(heap)
            if node in seen:
                continue
            seen.add(node)
            if node in holders and node != asker:
                tried.got = min(tried.got, 2 * at)
                tried.messages += TTL - ttl
            if not ttl:
                continue
            for other in self._peers[node]:
                if other != sender:
                    tried.messages += 1
                    if other not in dead and other not in seen:
                        heappush(heap, (at + delay(node, other), ttl - 1, other, node))
        return tried

    def dynamic(self, asker: int, words: tuple[str, str], want: int) -> Tried:
        """The home asks its neighbours, more of them as long as too few results come."""
        tried = Tried()
        home = self._home_of(asker)
        if home is None:
            return tried
        tried.messages = 1
        base = self._delay(asker, home)
        self._take(tried, home, words, want, 2 * base, 1)
        seen, sent_at = {home}, base
        around = [node for node in self._ultra[home] if node not in self._dead]
        self._dice.shuffle(around)
        for number, first in enumerate(around):
            if number >= PROBES:
                if tried.results >= ENOUGH:
                    break
                sent_at += WAIT * 2 if number == PROBES else WAIT
            tried.messages += 1
            if first in seen:
                continue
            seen.add(first)
            there = sent_at + self._delay(home, first)
            self._take(tried, first, words, want, there + self._delay(home, first) + base, 2)
            for second in self._ultra[first]:
                if second in seen or not self._may_have(second, words):
                    continue
                seen.add(second)
                tried.messages += 1
                if second not in self._dead:
                    way = self._delay(first, second)
                    back = there + 2 * way + self._delay(home, first) + base
                    self._take(tried, second, words, want, back, 3)
        return tried

    def walkers(self, asker: int, words: tuple[str, str], want: int) -> Tried:
        """Sixteen questions wander from supernode to supernode, each of which knows what its neighbours have."""
        tried = Tried()
        home = self._home_of(asker)
        if home is None:
            return tried
        base = self._delay(asker, home)
        tried.messages = 1
        heap: list[tuple[float, int, int, int]] = []
        for walker in range(WALKERS):
            heappush(heap, (base, walker, 0, home))
        looked: set[int] = set()
        while heap and tried.results < ENOUGH:
            at, walker, step, node = heappop(heap)
            for known in (node, *self._walk[node]):
                if known not in looked and known not in self._dead:
                    looked.add(known)
                    self._take(tried, known, words, want, at + self._delay(node, asker), 1)
            alive = [other for other in self._walk[node] if other not in self._dead]
            if step < STEPS and alive:
                other = self._dice.choice(alive)
                tried.messages += 1
                heappush(heap, (at + self._delay(node, other), walker, step + 1, other))
        return tried

    def _home_of(self, asker: int) -> int | None:
        alive = [home for home in self._homes[asker] if home not in self._dead]
        return alive[0] if alive else None

    def _may_have(self, node: int, words: tuple[str, str]) -> bool:
        """What a table of words says: each word is there, if not in one name."""
        found = self._index[node]
        return words[0] in found and words[1] in found

    def _take(self, tried: Tried, node: int, words: tuple[str, str], want: int, at: float, hops: int) -> None:
        found = self._found_at(node, words)
        if not found:
            return
        tried.messages += hops
        tried.results += len(found)
        tried.contents |= found
        if want in found:
            tried.got = min(tried.got, at)
