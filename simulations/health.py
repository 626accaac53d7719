"""Programs that measure the network itself: crashes, churn, a flash crowd, partition, eclipse, what it costs to be there."""

from __future__ import annotations

import resource
import sys
from functools import partial

from servent.testing.ether import ITEMS, SEARCHING
from servent.testing.hosts import Host
from servent.testing.liars import Eclipse
from servent.testing.measures import connected, quantile
from simulations.building import LONG, Built, build, prepare
from simulations.forking import apart
from simulations.scenario import Scenario
from simulations.searching import Numbers, questions, told

YOUNG = 5.0  # s in which a newcomer may not be connected yet
LOOK = 5.0  # s between two looks
APART = 120.0  # s a partition lasts
ATTACKERS, ATTACK_BLOCKS = 200, 4  # hosts, and the /24 they are in


def crash(scenario: Scenario, seed: int) -> Numbers:
    """Shares of the peers crash at once: how long until the living are one component again?"""
    prepare(scenario, seed, items=False)
    numbers: Numbers = {}
    shares = [partial(_crash, scenario, seed, share) for share in scenario.crash]
    for one in apart(shares, at_once=2):
        numbers |= one
    return numbers


def _crash(scenario: Scenario, seed: int, share: float) -> Numbers:
    built = build(scenario, seed)
    world = built.world
    before = connected(world)
    sent = sum(world.sent.values())
    for host in built.dice.sample(world.hosts, round(share * len(world.hosts))):
        world.crash(host)
    begun, least, whole = world.now, 1.0, 0.0
    while world.now < begun + scenario.seconds:
        world.run(world.now + 1.0)
        now = connected(world)
        least = min(least, now)
        if now < 1.0:
            whole = world.now + 1.0 - begun
    name = f"{share * 100:.0f}"
    return {
        f"before_{name}": before,
        f"whole_after_{name}": whole,
        f"least_{name}": least,
        f"end_{name}": connected(world),
        f"messages_{name}": (sum(world.sent.values()) - sent) / max(1, len(world.living())),
    }


def churn(scenario: Scenario, seed: int) -> Numbers:
    """Peers stay for a while, then crash, and others come in their place."""
    built = build(scenario, seed)
    world, dice = built.world, built.dice
    ends = world.now + scenario.seconds

    def live(host: Host) -> None:
        world.at(world.now + dice.expovariate(1 / scenario.stay), lambda: die(host))

    def die(host: Host) -> None:
        if host.index and scenario.ratio:  # given supernodes are replaced by such
            world.crash(host)
            live(world.add(nat="public", wish="on", uptime=LONG))
        else:
            world.crash(host)
            live(world.add(wish="off" if scenario.ratio else "auto", uptime=dice.expovariate(1 / LONG)))

    for host in world.living():
        live(host)
    seen: list[float] = []
    while world.now < ends:
        world.run(world.now + LOOK)
        grown = [host for host in world.hosts if host.alive and host.came < world.now - YOUNG]
        seen.append(connected(world, grown))
    return {"connected_least": min(seen), "connected_mean": sum(seen) / len(seen)}


def flash(scenario: Scenario, seed: int) -> Numbers:
    """A settled network grows manifold in a minute; supernodes are elected."""
    small = scenario.at(max(20, round(scenario.peers / scenario.grow)))
    built = build(small, seed)
    world, dice = built.world, built.dice
    before = len(world.supernodes())
    begun, coming = world.now, scenario.peers - small.peers
    for _ in range(coming):
        world.add(uptime=dice.expovariate(1 / LONG))
        world.run(world.now + 60.0 / coming)
    settled, looks = 0.0, []
    while world.now < begun + 600.0:
        world.run(world.now + 15.0)
        ratio = len(world.living()) / max(1, len(world.supernodes()))
        looks.append(ratio)
        if not 64.0 <= ratio <= 256.0:
            settled = world.now - begun
    numbers = {
        "before": float(small.peers / max(1, before)),
        "settled_after": settled,
        "ratio": looks[-1],
        "homeless": _homeless(built),
    }
    since, had = world.now, len(world.supernodes())
    world.run(world.now + scenario.seconds)
    changes = sum(at > since for at, _, _ in world.roles)
    numbers["changes_per_hour"] = changes / max(1, had) * 3600.0 / scenario.seconds
    numbers["ratio_end"] = len(world.living()) / max(1, len(world.supernodes()))
    return numbers


def cost(scenario: Scenario, seed: int) -> Numbers:
    """Nobody asks for anything: what does it cost to be there?"""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    built = build(scenario, seed, items=True, canaries=True)
    world = built.world
    control = {host: host.control for host in world.hosts}
    sent = {host: host.sent for host in world.hosts}
    kinds = dict(world.sent)
    world.run(world.now + scenario.seconds)
    minutes = scenario.seconds / 60.0
    leaves = [
        (host.control - control[host]) / minutes for host in world.hosts if host.alive and not host.index
    ]
    others = [(host.control - control[host]) / minutes for host in world.supernodes()]
    everything = [(host.sent - sent[host]) / minutes for host in world.hosts if host.alive and not host.index]
    numbers = {
        "leaf_control": sum(leaves) / max(1, len(leaves)),
        "leaf_control_p99": quantile(leaves, 0.99),
        "leaf_all": sum(everything) / max(1, len(everything)),
        "supernode_control": sum(others) / max(1, len(others)),
        "kb_per_peer": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        / len(world.hosts)
        / (1024 if sys.platform == "darwin" else 1),
    }
    for kind, count in sorted(world.sent.items(), key=lambda one: one[0].__name__):
        each = (count - kinds.get(kind, 0)) / minutes / len(world.hosts)
        if each >= 0.05:
            group = "search" if kind in SEARCHING else "items" if kind in ITEMS else "control"
            numbers[f"{group}.{kind.__name__}"] = each
    return numbers


def partition(scenario: Scenario, seed: int) -> Numbers:
    """A third is cut off for two minutes, then not any more."""
    built = build(scenario, seed, items=bool(scenario.questions))
    world = built.world
    cut = built.dice.sample(world.hosts, len(world.hosts) // 3)
    world.partition([host for host in world.hosts if host not in set(cut)], cut)
    world.run(world.now + APART)
    inside = min(connected(world, cut), connected(world, [host for host in world.hosts if host.side == 0]))
    apart_by = 1.0 - connected(world)
    world.heal()
    begun, whole = world.now, 0.0
    while world.now < begun + scenario.seconds:
        world.run(world.now + LOOK)
        if connected(world) < 1.0:
            whole = world.now + LOOK - begun
    numbers = {"each_side": inside, "cut_off": apart_by, "whole_after": whole}
    if built.corpus is not None and scenario.questions:
        numbers["recall"] = told(built, questions(built, built.corpus.targets(scenario.questions), 30.0))[
            "recall"
        ]
    return numbers


def eclipse(scenario: Scenario, seed: int) -> Numbers:
    """Hosts of four blocks want to be all that one peer sees; forgers send what they changed to everybody."""
    built = build(scenario, seed, items=True)
    world = built.world
    victim = next(host for host in built.published[::-1] if host.alive and not host.index)
    attack = Eclipse(victim)
    for number in range(ATTACKERS):
        block = f"91.7.{number % ATTACK_BLOCKS}"
        attack.hosts.append(
            world.add(nat="public", block=block, wish="on" if number < 20 else "off", liar=attack)
        )
    attackers = {host.key for host in attack.hosts}
    world.run(world.now + 30.0)
    attack.begin(world)
    shares: list[float] = []
    ends = world.now + scenario.seconds
    while world.now < ends:
        world.run(world.now + LOOK)
        around = victim.member.topics.neighbours()
        shares.append(sum(key in attackers for key in around) / len(around) if around else 1.0)
    assert built.corpus is not None
    targets = built.corpus.targets(scenario.questions)
    built.published = [*built.published]
    mine = _asked_by(built, victim, targets)
    others = told(built, questions(built, targets, 30.0))
    known = victim.member.directory.records(world.now)
    theirs = sum(record.peer.key in attackers for record in known)
    homes = victim.member.homes.homes()
    return {
        "worst_share": max(shares),
        "end_share": shares[-1],
        "directory_share": theirs / max(1, len(known)),
        "homes_share": sum(home in attackers for home in homes) / max(1, len(homes)),
        "victim_recall": mine,
        "others_recall": others["recall"],
    }


def _asked_by(built: Built, host: Host, targets: list[int]) -> float:
    world, corpus = built.world, built.corpus
    assert corpus is not None
    asked = []
    for content in targets:
        asked.append(
            (world.ask(host, " ".join(corpus.question(content)), want=corpus.item(content).content), content)
        )
        world.run(world.now + 1.0)
    world.run(world.now + 10.0)
    return told(built, asked)["recall"]


def _homeless(built: Built) -> float:
    """Share of the leaves without a home."""
    leaves = built.leaves()
    return sum(not host.member.homes.homes() for host in leaves) / max(1, len(leaves))
