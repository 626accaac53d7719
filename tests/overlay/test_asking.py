"""Questions over the network: whole, few messages, whatever fails or lies."""

from __future__ import annotations

import random

import pytest

from tests.overlay.things import peer
from tests.overlay.town import Town

MODES = {"server": (60, 1), "hybrid": (60, 8), "p2p": (40, 40)}


def town(mode: str, seed: int = 1, **more: object) -> Town:
    members, supernodes = MODES[mode]
    return Town(members, supernodes, seed, **more)  # type: ignore[arg-type]


def rare(town: Town, number: int) -> str:
    """Words that one item has."""
    name = town.items[peer(number)][0].name
    return name.removesuffix(".mp3")


@pytest.mark.parametrize("mode", MODES)
def test_everything_is_found_without_faults(mode: str) -> None:
    place = town(mode)
    dice = random.Random(5)
    costs = []
    for _ in range(40):
        asker, owner = (
            dice.randrange(1, len(place.keys)),
            dice.choice([n for n in range(len(place.keys)) if place.items.get(peer(n))]),
        )
        text = rare(place, owner)
        found, end = place.ask(asker, text)
        assert found == place.truth(text), (end, asker, owner)
        costs.append(end.messages)
    print(mode, sum(costs) / len(costs), max(costs))
    assert max(costs) <= 10
