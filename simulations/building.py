"""Networks for the scenarios: who is there at the beginning, and what they share."""

from __future__ import annotations

import gc
import random
from dataclasses import dataclass, field, replace

from servent.identity import PeerId
from servent.overlay.settings import OverlaySettings
from servent.overlay.topology import Topology, Wish
from servent.testing.ether import Delays
from servent.testing.hosts import Host
from servent.testing.liars import Forger, LyingSupernode
from servent.testing.world import World
from simulations.corpus import Corpus
from simulations.memo import remember
from simulations.scenario import Scenario

COMING = 60.0  # s in which all come
CONTACTS = 4  # peers that those who are there at the beginning know from before
SERVER = PeerId(b"server".ljust(32, b"."))
LONG = 36_000.0  # s that those run already who are there at the beginning
LIES = ("drop", "invent", "bias")


@dataclass(slots=True)
class Built:
    """A network. `liars`: supernodes that lie; `published`: hosts in the order of the corpus's publishers."""

    world: World
    dice: random.Random
    corpus: Corpus | None = None
    published: list[Host] = field(default_factory=list)
    liars: list[Host] = field(default_factory=list)

    def leaves(self) -> list[Host]:
        return [host for host in self.world.hosts if host.alive and not host.index]


def topology_of(mode: str) -> Topology:
    return Topology(mode, frozenset({SERVER}) if mode == "server" else frozenset())  # type: ignore[arg-type]


def build(scenario: Scenario, seed: int, *, items: bool = False, canaries: bool = False) -> Built:
    """All peers come within a minute, then `settle` seconds pass; a network that was built before in this process is used up.

    Where the scenario gives a ratio, one of so many peers is a supernode by its own wish and all others are none.
    Questions about own items (canaries) are left out unless asked for, so that messages belong to questions. Those who
    lie begin to at the end: until then nobody asked anything.
    """
    built = _BUILT.pop(key_of(scenario, seed, items, canaries), None) or _build(
        scenario, seed, items, canaries
    )
    supernodes = [host for host in built.published if host.alive and host.index]
    for host in built.dice.sample(supernodes, round(len(supernodes) * scenario.liars.supernodes)):
        host.liar = LyingSupernode(LIES[len(built.liars) % len(LIES)])  # type: ignore[arg-type]
        built.liars.append(host)
    for _ in range(scenario.liars.forgers):
        forger = Forger(built.world.living)
        forger.begin(built.world, built.world.add(nat="public", wish="off", liar=forger))
    return built


def prepare(scenario: Scenario, seed: int, *, items: bool) -> None:
    """Build a network for later: for children of this process."""
    _BUILT[key_of(scenario, seed, items, False)] = _build(scenario, seed, items, False)


def key_of(scenario: Scenario, seed: int, items: bool, canaries: bool) -> tuple[object, ...]:
    """Scenarios with the same key begin with the same network."""
    shares = scenario.items if items else 0
    delays = scenario.delays
    return (
        scenario.mode, scenario.peers, supernodes_of(scenario), scenario.settle, shares, canaries, seed,
        delays.least, delays.most, delays.loss,
    )  # fmt: skip


def _build(scenario: Scenario, seed: int, items: bool, canaries: bool) -> Built:
    """The garbage collector looks at nothing of it: that would take a tenth of the time, and again after a fork."""
    remember()
    gc.unfreeze()
    gc.collect()
    gc.disable()
    try:
        return _grown(scenario, seed, items, canaries)
    finally:
        gc.freeze()
        gc.enable()


def _grown(scenario: Scenario, seed: int, items: bool, canaries: bool) -> Built:
    settings = OverlaySettings()
    if not canaries:
        settings = replace(settings, search=replace(settings.search, canary_every=0.0))
    delays = Delays(scenario.delays.least, scenario.delays.most, scenario.delays.loss)
    world = World(seed, topology_of(scenario.mode), settings=settings, delays=delays)
    dice = random.Random(seed * 101 + 3)
    corpus = Corpus(seed, scenario.peers, scenario.items) if items else None
    built = Built(world, dice, corpus)
    supernodes = supernodes_of(scenario)
    for number in range(scenario.peers):
        shares = corpus.items_of(number) if corpus is not None else []
        # These come back to a network they know; newcomers who must ask providers are what other programs measure.
        known = dice.sample(built.published, min(CONTACTS, number))
        contacts = [host.record for host in known] if number > CONTACTS else None
        if scenario.mode == "server" and number == 0:
            host = world.add(nat="public", key=SERVER, items=shares, uptime=LONG)
        elif number < supernodes:
            host = world.add(nat="public", wish="on", items=shares, uptime=LONG, contacts=contacts)
        else:
            wish: Wish = "off" if supernodes else "auto"
            uptime = dice.expovariate(1 / LONG)
            host = world.add(wish=wish, items=shares, uptime=uptime, contacts=contacts)
        built.published.append(host)
        world.run(world.now + COMING / scenario.peers)
    world.run(COMING + scenario.settle)
    return built


_BUILT: dict[tuple[object, ...], Built] = {}


def supernodes_of(scenario: Scenario) -> int:
    """How many are supernodes by their own wish."""
    if not scenario.ratio or scenario.mode != "hybrid":
        return 0
    return max(scenario.fewest, scenario.peers // scenario.ratio)
