"""Programs that measure questions: rare items, hot terms, a switch of the mode under load; beside other ways to search."""

from __future__ import annotations

import random
from collections.abc import Iterable

from servent.testing.ether import NEVER, SEARCHING
from servent.testing.hosts import Host
from servent.testing.measures import quantile
from servent.testing.world import Search, World
from simulations.building import Built, build, supernodes_of, topology_of
from simulations.corpus import Corpus
from simulations.rivals import Rivals, Tried
from simulations.scenario import Scenario

AFTER = 20.0  # s between the deaths and the first question: their neighbours have noticed
PATIENCE = 10.0  # s after the last question
Numbers = dict[str, float]


def search(scenario: Scenario, seed: int) -> Numbers:
    """Some die, then the living ask: half of it for what is rare."""
    built = build(scenario, seed, items=True)
    world, corpus = built.world, built.corpus
    assert corpus is not None
    dead = kill(built, scenario.dead)
    world.run(world.now + AFTER)
    targets = corpus.targets(scenario.questions, dead)
    before = counted(world)
    asked = questions(built, targets, scenario.seconds)
    numbers = told(built, asked)
    numbers["messages"] = (counted(world) - before) / max(1, len(asked))
    if scenario.rivals:
        numbers |= rivals(built, scenario, dead, targets[:: max(1, len(targets) // scenario.rivals)], seed)
    return numbers


def hot(scenario: Scenario, seed: int) -> Numbers:
    """Everybody asks for the same, which many have: is it answered, and who bears it?"""
    built = build(scenario, seed, items=True)
    world, corpus = built.world, built.corpus
    assert corpus is not None
    hottest = max(corpus.holders, key=lambda content: (len(corpus.holders[content]), content))
    word = max(corpus.words(hottest), key=lambda one: _spread(corpus, one))
    sent = {host: host.sent for host in world.supernodes()}
    before = counted(world)
    asked = questions(built, [hottest] * scenario.questions, scenario.seconds, words=(word, ""))
    loads = [host.sent - sent.get(host, 0) for host in world.supernodes()]
    over = [one.over - one.asked for one, _ in asked if one.over < NEVER]
    return {
        "answered": sum(bool(one.found) for one, _ in asked) / len(asked),
        "ended": len(over) / len(asked),
        "messages": (counted(world) - before) / len(asked),
        "first_p95": quantile([one.first - one.asked for one, _ in asked if one.first < NEVER], 0.95),
        "busiest": max(loads) / max(1.0, sum(loads) / len(loads)),
        "results": sum(len(one.found) for one, _ in asked) / len(asked),
    }


def switch(scenario: Scenario, seed: int) -> Numbers:
    """The mode becomes another and another again while questions are asked: hybrid, p2p, server, hybrid."""
    built = build(scenario, seed, items=True)
    world, corpus = built.world, built.corpus
    assert corpus is not None
    numbers: Numbers = {"failed": 0.0, "back_after": 0.0}
    first = built.published[0]
    for mode in ("p2p", "hybrid"):
        world.shape(topology_of(mode))
        begun, windows = world.now, []
        for _ in range(max(1, int(scenario.seconds // 5))):
            asked = questions(built, corpus.targets(scenario.questions), 5.0, wait=False)
            windows.append((world.now - begun, asked))
        world.run(world.now + PATIENCE)
        back = 0.0
        for ended, asked in windows:
            numbers["failed"] += sum(one.over == NEVER for one, _ in asked)
            if sum(_got(built, one, content) for one, content in asked) < 0.98 * len(asked):
                back = ended
        numbers["back_after"] = max(numbers["back_after"], back)
        numbers[f"recall_{mode}"] = told(built, windows[-1][1])["recall"]
    assert first is built.published[0]
    return numbers


def kill(built: Built, share: float) -> frozenset[int]:
    """That share of the peers crashes, supernodes like leaves; liars stay. The publishers among them, by number."""
    if not share:
        return frozenset()
    every = built.published
    liars = set(built.liars)
    supernodes = [n for n, host in enumerate(every) if host.index and host not in liars]
    others = [n for n, host in enumerate(every) if not host.index]
    gone = built.dice.sample(supernodes, round(share * len(supernodes)))
    gone += built.dice.sample(others, round(share * len(others)))
    for number in gone:
        built.world.crash(every[number])
    return frozenset(gone)


def questions(
    built: Built,
    targets: Iterable[int],
    seconds: float,
    *,
    words: tuple[str, str] | None = None,
    wait: bool = True,
) -> list[tuple[Search, int]]:
    """Ask for these one after another, each by somebody else who lives and does not have it."""
    world, corpus = built.world, built.corpus
    assert corpus is not None
    targets = list(targets)
    asked = []
    living = [number for number, host in enumerate(built.published) if host.alive and not host.index] or [
        number for number, host in enumerate(built.published) if host.alive
    ]
    for content in targets:
        holders = set(corpus.holders[content])
        asker = built.dice.choice(living)
        for _ in range(100):
            if asker not in holders and built.published[asker].alive:
                break
            asker = built.dice.choice(living)
        host = built.published[asker]
        text = " ".join(words or corpus.question(content)).strip()
        if host.alive:
            asked.append((world.ask(host, text, want=corpus.item(content).content), content))
        world.run(world.now + seconds / len(targets))
    if wait:
        world.run(world.now + PATIENCE)
    return asked


def told(built: Built, asked: list[tuple[Search, int]]) -> Numbers:
    """What came back."""
    corpus = built.corpus
    assert corpus is not None
    rare = [(one, content) for one, content in asked if corpus.rare(content)]
    firsts = [one.first - one.asked for one, _ in asked if one.first < NEVER]
    return {
        "recall": sum(_got(built, *one) for one in asked) / max(1, len(asked)),
        "recall_rare": sum(_got(built, *one) for one in rare) / max(1, len(rare)),
        "first_p50": quantile(firsts, 0.5),
        "first_p95": quantile(firsts, 0.95),
        "rare_p50": quantile([one.got - one.asked for one, _ in rare if one.got < NEVER], 0.5),
        "rare_p95": quantile([one.got - one.asked for one, _ in rare if one.got < NEVER], 0.95),
        "over_p95": quantile([one.over - one.asked for one, _ in asked if one.over < NEVER], 0.95),
        "unended": float(sum(one.over == NEVER for one, _ in asked)),
        "invented": _invented(built, [one for one, _ in asked]),
    }


def counted(world: World) -> int:
    """Messages of questions so far."""
    return sum(count for kind, count in world.sent.items() if kind in SEARCHING)


def rivals(built: Built, scenario: Scenario, dead: frozenset[int], targets: list[int], seed: int) -> Numbers:
    """The same questions in other ways: messages, and the share of the rare that is found, and when."""
    world, corpus = built.world, built.corpus
    assert corpus is not None
    hosts = built.published
    dice = random.Random(seed * 17 + 9)

    def delay(one: int, other: int) -> float:
        return world.delay(hosts[one], hosts[other])

    others = Rivals(
        corpus, scenario.peers, max(3, supernodes_of(scenario) or scenario.peers // 100), dead, delay, seed
    )
    living = [number for number in range(scenario.peers) if number not in dead]
    numbers: Numbers = {}
    for name, way in (("flood", others.flood), ("dynamic", others.dynamic), ("walkers", others.walkers)):
        tried: list[tuple[Tried, bool]] = [
            (way(dice.choice(living), corpus.question(content), content), corpus.rare(content))
            for content in targets
        ]
        rare = [one for one, is_rare in tried if is_rare]
        numbers[f"{name}_messages"] = sum(one.messages for one, _ in tried) / max(1, len(tried))
        numbers[f"{name}_recall_rare"] = sum(one.got < NEVER for one in rare) / max(1, len(rare))
        numbers[f"{name}_rare_p50"] = quantile([one.got for one in rare if one.got < NEVER], 0.5)
    return numbers


def _got(built: Built, one: Search, content: int) -> bool:
    """Whether somebody who lives and has it was named."""
    assert built.corpus is not None
    who = one.found.get(built.corpus.item(content).content, set())
    return any(_alive(built.world, key) for key in who)


def _alive(world: World, key: bytes) -> bool:
    host: Host | None = world.by_key.get(key)
    return host is not None and host.alive


def _invented(built: Built, asked: Iterable[Search]) -> float:
    """Share of all finds that nobody offered."""
    assert built.corpus is not None
    offered = {(host.key, item.content) for host in built.published for item in host.items}
    finds = [(who, content) for one in asked for content, every in one.found.items() for who in every]
    return sum(find not in offered for find in finds) / max(1, len(finds))


def _spread(corpus: Corpus, word: str) -> int:
    return sum(len(holders) for content, holders in corpus.holders.items() if word in corpus.words(content))
