"""Many nodes in one process: real endpoints on loopback, real stores, one network in each of the three modes.

Light nodes (`servent.testing.light`): endpoint, connections, trust and overlay, without library and transfers. Each
publishes its share of the items; when all are kept where they belong and nothing moves any more, a minute passes in
which messages are counted; then nodes drawn by chance ask, one after another, for items of others by two or three of
their words, the rarest among them. What a question must find is worked out from all items by themselves.

All nodes share this process's one Python thread, so that times and the processor's share hold what the asker, its
home and the supernodes do together. Loopback is one address: the gates' limits for strangers of one source are
lifted. The hybrid mode's supernodes are named, as many as it would elect at least, since elections take their time
(`make sim` measures those). That up to 32 members of a network are all connected is switched off: one of hundreds has left those connections behind.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import cProfile
import os
import pstats
import random
import resource
import statistics
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import psutil

from bench.network_index import items
from servent.errors import Unreachable
from servent.identity import PeerId
from servent.net import endpoint as iroh_endpoint
from servent.net.gate import GateSettings
from servent.net.settings import PeersSettings
from servent.overlay.effects import Asked, Finding
from servent.overlay.links_service import LaneName
from servent.overlay.pump import ASKED_FOR
from servent.overlay.terms import words_of
from servent.overlay.topology import Wish
from servent.overlay.wire import Message, Store
from servent.query.texts import ext
from servent.testing.light import LightNode, stop_all
from servent.trust.networks import Mode

MODES: tuple[Mode, ...] = ("server", "hybrid", "p2p")
UP = 12_500_000.0  # bytes/s that each says it can send: 100 Mbit/s
JOINING = 8  # nodes that are let in at a time
NAMED = 3  # supernodes of the hybrid mode, the fewest that it elects; they come first
QUIET = 4.0  # s without anything new to keep, and all has found its place
PATIENCE = 150.0  # s for that
FRESH = PeersSettings(
    gate=GateSettings(strangers=1024, strangers_per_source=1024, source_rate=1e4, source_burst=1e4),
    hearsay_rate=1e3,
    hearsay_burst=1e4,
    mesh=1,
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=int, default=200, help="nodes")
    parser.add_argument("--items", type=int, default=500, help="that each node publishes")
    parser.add_argument("--mode", choices=MODES, action="append", help="this one alone")
    parser.add_argument("--questions", type=int, default=400)
    parser.add_argument("--rest", type=float, default=62.0, help="seconds in which nothing is asked")
    parser.add_argument("--profile", action="store_true", help="say on stderr where the time goes")


class Traffic:
    """Messages that are sent, by node and kind."""

    def __init__(self) -> None:
        self.by_kind: Counter[str] = Counter()
        self.control: Counter[PeerId] = Counter()
        self.stored_at = 0.0

    def watch(self, one: LightNode) -> None:
        """Count what `one` sends from now on."""
        links, traffic = one.overlay.members.links, self
        plain = links.send

        def send(network: bytes, to: PeerId, message: Message, name: LaneName) -> None:
            traffic.by_kind[type(message).__name__] += 1
            if isinstance(message, Store):
                traffic.stored_at = time.perf_counter()
            elif not isinstance(message, ASKED_FOR):
                traffic.control[one.peer] += 1
            plain(network, to, message, name)

        links.send = send  # type: ignore[method-assign]


class Town:
    """The nodes of one run, and what they are to find."""

    def __init__(self, mode: Mode, count: int, per_node: int, base: Path) -> None:
        self.mode, self.per_node = mode, per_node
        self.nodes = [self._node(number, base / f"{mode}-{number}") for number in range(count)]
        stream = items(count * per_node)
        self.owned = [list(islice(stream, per_node)) for _ in self.nodes]
        self.network = b""
        self._with: dict[str, set[tuple[int, int]]] = defaultdict(set)
        for owner, some in enumerate(self.owned):
            for place, one in enumerate(some):
                for word in words_of(one):
                    self._with[word].add((owner, place))

    def _node(self, number: int, home: Path) -> LightNode:
        named = {"server": 1, "hybrid": NAMED, "p2p": 0}[self.mode]
        wish: Wish = "auto" if not named else "on" if number < named else "off"
        keeps = wish != "off"
        if keeps:
            home.mkdir()
        return LightNode(
            random.Random(f"bench {number}").randbytes(32),
            iroh_endpoint.bind,
            index=home if keeps else None,
            bind=["127.0.0.1:0"],
            up=UP,
            wishes={"index": wish},
            peers=FRESH,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            try:
                for one in self.nodes:
                    await one.start(tasks)
                yield
            finally:
                await stop_all(self.nodes)

    async def gather(self) -> None:
        """The first founds the network and lets the others in, some at a time; supernodes come first."""
        founder = self.nodes[0]
        self.network = await founder.found("bench", self.mode)
        places = asyncio.Semaphore(JOINING)

        async def join(one: LightNode) -> None:
            async with places:
                for last in (False, False, True):
                    try:
                        return await one.join(founder, self.network)
                    except Unreachable:
                        if last:
                            raise

        for some in (self.nodes[1:NAMED], self.nodes[NAMED:]):
            async with asyncio.TaskGroup() as tasks:
                for one in some:
                    tasks.create_task(join(one))
            if self.mode == "hybrid":
                await until(lambda: len(self.supernodes) >= min(NAMED, len(self.nodes)))

    @property
    def supernodes(self) -> list[LightNode]:
        pumps = ((one, one.overlay.members.pumps.get(self.network)) for one in self.nodes)
        return [one for one, pump in pumps if pump is not None and pump.member.election.index]

    def leaves(self) -> list[LightNode]:
        """Those without the index role; all where everybody has it."""
        carrying = self.supernodes
        return [one for one in self.nodes if one not in carrying] or self.nodes

    def formed(self) -> bool:
        """Every node knows where its items go."""
        if any(self.network not in one.overlay.members.pumps for one in self.nodes):
            return False
        count = len(self.nodes)
        wanted = {"server": 1, "hybrid": min(NAMED, count), "p2p": count}[self.mode]
        shapes = [one.overlay.shape(self.network) for one in self.nodes]
        carrying = sum(shape.index for shape in shapes)
        if carrying < wanted:
            return False
        if self.mode == "p2p":
            return min(shape.supernodes for shape in shapes) >= count
        homes = min(2, carrying)
        return all(
            shape.index or sum(peer.link == "home" for peer in shape.peers) >= homes for shape in shapes
        )

    def missing(self) -> int:
        """Items that are not kept at the homes of their publishers yet."""
        shapes = [one.overlay.shape(self.network) for one in self.nodes]
        return sum(self.per_node - shape.published for shape in shapes)

    def question(self, dice: random.Random) -> tuple[LightNode, str, set[tuple[int, int]]]:
        """Who asks, what, and what there is to find."""
        owner = dice.randrange(len(self.nodes))
        one = dice.choice(self.owned[owner])
        asker = dice.choice([node for node in self.leaves() if node is not self.nodes[owner]])
        ending = ext(one.name)
        known = [word for word in words_of(one) if word != ending and not word.isdigit()]
        known.sort(key=lambda word: len(self._with[word]))
        chosen = known[: dice.randint(2, 3)]
        truth = set.intersection(*(self._with[word] for word in chosen))
        return asker, " ".join(chosen), truth

    def named(self, truth: set[tuple[int, int]], asker: LightNode) -> set[tuple[bytes, bytes]]:
        """As findings name them; what the asker has itself is not looked for."""
        return {
            (bytes(self.nodes[owner].peer), self.owned[owner][place].content)
            for owner, place in truth
            if self.nodes[owner] is not asker
        }


def rss_mb() -> float:
    return psutil.Process().memory_info().rss / 1e6


def at(took: Sequence[float], share: float) -> float:
    """That quantile, in milliseconds."""
    ordered = sorted(took)
    return round(1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))], 1)


async def until(condition: Callable[[], bool], limit: float = PATIENCE, every: float = 0.25) -> bool:
    """Whether it came to pass in time."""
    end = time.perf_counter() + limit
    while not condition():
        if time.perf_counter() > end:
            return False
        await asyncio.sleep(every)
    return True


async def ask(town: Town, count: int, traffic: Traffic) -> dict[str, Any]:
    """One question after another."""
    dice = random.Random(5)
    first, whole, recall, complete, counted = [], [], [], [], []
    before, cpu = traffic.by_kind.copy(), time.process_time()
    silent = sampled = 0
    for _ in range(count):
        asker, text, truth = town.question(dice)
        wanted = town.named(truth, asker)
        found: set[tuple[bytes, bytes]] = set()
        begun, seen = time.perf_counter(), None
        last: Asked | None = None
        async for event in asker.overlay.search(text):
            if isinstance(event, Finding):
                if event.found and seen is None:
                    seen = time.perf_counter() - begun
                found |= {(bytes(publisher), one.content) for publisher, one in event.found}
            elif event.over:
                last = event
        whole.append(time.perf_counter() - begun)
        if seen is None:
            silent += 1
        else:
            first.append(seen)
        if last is not None:
            counted.append(last.messages)
            sampled += last.sampled
        if wanted:
            recall.append(bool(found & wanted))
            complete.append(len(found & wanted) / len(wanted))
    sent = traffic.by_kind - before
    asked = ("Question", "Found", "Cancel", "AskProof", "Proof")
    return {
        "questions": count,
        "first_p50_ms": at(first, 0.5),
        "first_p99_ms": at(first, 0.99),
        "over_p50_ms": at(whole, 0.5),
        "over_p99_ms": at(whole, 0.99),
        "nothing_found": silent,
        "recall": round(statistics.fmean(recall), 4),
        "completeness": round(statistics.fmean(complete), 4),
        "messages_counted": round(statistics.fmean(counted), 2),
        "messages_most": max(counted),
        "messages_sent": round(sum(sent[kind] for kind in asked) / count, 2),
        "sent": {kind: round(sent[kind] / count, 2) for kind in asked if sent[kind]},
        "cpu_ms": round(1000 * (time.process_time() - cpu) / count, 1),
    }


async def rest(town: Town, seconds: float, traffic: Traffic) -> dict[str, Any]:
    """Nothing is asked, nothing is new."""
    before, kinds, cpu = traffic.control.copy(), traffic.by_kind.copy(), time.process_time()
    begun = time.perf_counter()
    await asyncio.sleep(seconds)
    minutes = (time.perf_counter() - begun) / 60
    sent = {one.peer: (traffic.control[one.peer] - before[one.peer]) / minutes for one in town.nodes}
    leaves, carrying = town.leaves(), town.supernodes
    sessions = [len(one.peers.sessions()) for one in town.nodes]
    return {
        "control_per_leaf_minute": round(statistics.fmean(sent[one.peer] for one in leaves), 1),
        "control_per_leaf_minute_most": round(max(sent[one.peer] for one in leaves), 1),
        "control_per_supernode_minute": round(statistics.fmean(sent[one.peer] for one in carrying), 1),
        "sent_per_minute": {
            kind: round(more / minutes) for kind, more in (traffic.by_kind - kinds).most_common()
        },
        "connections_per_node": round(statistics.fmean(sessions), 1),
        "connections_most": max(sessions),
        "cpu_share_of_a_core": round((time.process_time() - cpu) / (time.perf_counter() - begun), 3),
    }


async def settle(town: Town, traffic: Traffic) -> bool:
    """All published items are kept, and no supernode brings anything to another any more."""
    if not await until(lambda: town.missing() == 0, every=0.5):
        return False
    traffic.stored_at = max(traffic.stored_at, time.perf_counter())
    return await until(lambda: time.perf_counter() - traffic.stored_at > QUIET)


async def one_mode(mode: Mode, chosen: argparse.Namespace, base: Path) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "nodes": chosen.count,
        "items": chosen.count * chosen.items,
        "load": [round(one, 1) for one in os.getloadavg()],
    }
    town, traffic = Town(mode, chosen.count, chosen.items, base), Traffic()
    bare, begun, cpu = rss_mb(), time.perf_counter(), time.process_time()

    def lap(what: str) -> float:
        passed = round(time.perf_counter() - begun, 1)
        print(f"{mode}: {what} after {passed} s", file=sys.stderr, flush=True)
        return passed

    async with town.running():
        figures["started_s"] = lap("started")
        for one in town.nodes:
            traffic.watch(one)
        await town.gather()
        figures["joined_s"] = lap("joined")
        figures["formed"] = await until(town.formed, every=1.0)
        figures["formed_s"] = lap("formed")
        figures["empty_mb_per_node"] = round((rss_mb() - bare) / chosen.count, 2)
        for one, owned in zip(town.nodes, town.owned, strict=True):
            one.overlay.publish(town.network, owned)
        figures["settled"] = await settle(town, traffic)
        figures["settled_s"] = round(lap("settled") - QUIET, 1)
        figures["missing"] = town.missing()
        figures["setup_cpu_s"] = round(time.process_time() - cpu, 1)
        totals = [await one.items.totals(town.network) for one in town.nodes]
        figures["supernodes"] = len(town.supernodes)
        figures["kept_as_home"] = sum(home for home, _, _ in totals)
        figures["kept_keyed"] = sum(keyed for _, keyed, _ in totals)
        figures["mb_per_node"] = round((rss_mb() - bare) / chosen.count, 2)
        figures["setup_messages"] = dict(traffic.by_kind.most_common(12))
        figures["rest"] = await rest(town, chosen.rest, traffic)
        figures["search"] = await ask(town, chosen.questions, traffic)
        figures["load_after"] = [round(one, 1) for one in os.getloadavg()]
        figures["whole_s"] = lap("whole")
    return figures


async def measure(chosen: argparse.Namespace, base: Path) -> dict[str, Any]:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    figures: dict[str, Any] = {}
    for mode in chosen.mode or MODES:
        profile = cProfile.Profile() if chosen.profile else None
        with tempfile.TemporaryDirectory(dir=base) as files:
            if profile is not None:
                profile.enable()
            figures[mode] = await one_mode(mode, chosen, Path(files))
            if profile is not None:
                profile.disable()
                told = pstats.Stats(profile, stream=sys.stderr)
                told.sort_stats("tottime").print_stats(45)
                told.sort_stats("cumulative").print_stats(70)
    return figures


def show(figures: dict[str, Any]) -> None:
    for mode, one in figures.items():
        asked, rested = one["search"], one["rest"]
        print(
            f"{mode:7} {one['nodes']} nodes, {one['supernodes']} supernodes, {one['items']:,} items: settled after "
            f"{one['settled_s']:.0f} s ({one['setup_cpu_s']:.0f} s CPU), {one['mb_per_node']:.1f} MB and "
            f"{rested['connections_per_node']:.1f} connections a node, "
            f"{rested['control_per_leaf_minute']:.1f} control messages per leaf and minute"
        )
        print(
            f"{'':7} first p50 {asked['first_p50_ms']:.1f}  p99 {asked['first_p99_ms']:.1f} ms, "
            f"{asked['messages_counted']:.1f} messages, recall {asked['recall']:.3f}, complete {asked['completeness']:.3f}"
        )
