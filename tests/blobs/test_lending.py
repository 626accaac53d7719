"""Pieces that another network brings: asked of no source meanwhile, and wanted again when they do not come."""

from __future__ import annotations

import random
from typing import Any, cast

from servent.blobs import info
from servent.blobs.asks import Complete
from servent.blobs.info import Collection, File
from servent.blobs.lending_service import LEAST, Lending
from servent.blobs.pick import Swarm
from servent.blobs.pieces import Bits

PIECE = 256 * 1024
PIECES = 400


def swarm(pieces: int = PIECES) -> Swarm:
    return Swarm(pieces, [PIECE] * pieces, random.Random(1))


def bits(*pieces: int, count: int = PIECES) -> Bits:
    made = Bits(count)
    for piece in pieces:
        made.set_run(piece)
    return made


def asked(core: Swarm, name: str) -> set[int]:
    return {piece for ask in core.next(name, 0.0) for piece in range(ask.first, ask.first + ask.count)}


def test_what_is_lent_is_asked_of_nobody_and_comes_back_when_it_is_taken_back() -> None:
    core = swarm(8)
    core.lend(bits(0, 1, 2, 3, count=8))
    core.add_source("ann", None, 0.0)
    assert asked(core, "ann") == {4, 5, 6, 7}
    assert asked(core, "ann") == set(), "nothing of what is lent is repeated at the end"
    assert core.take_back(bits(2, 3, count=8)), "whoever is idle is woken"
    assert asked(core, "ann") == {2, 3}
    effects = [effect for piece in range(8) for effect in core.verified(piece)]
    assert Complete() in effects and core.complete


def test_what_another_owes_or_nobody_wants_is_not_lent() -> None:
    core = swarm(8)
    core.add_source("ann", bits(0, count=8), 0.0)
    assert asked(core, "ann") == {0}
    core.choose(bits(0, 1, 2, count=8))
    core.lend(Bits.full(8))
    assert not core.wanted
    core.take_back(Bits.full(8))
    assert set(core.wanted) == {1, 2}


class Fake:
    """As much of a download as lending looks at."""

    def __init__(self) -> None:
        file = File(("x",), PIECE * PIECES, bytes(32))
        self.collection: Collection = info.build("x", [file], PIECE)
        self.swarm = swarm()
        self.partial = None
        self.over = False
        self.row: Any = cast(Any, type("Row", (), {"in_order": False}))

    def apply_back(self, pieces: Bits) -> None:
        self.swarm.take_back(pieces)


def test_alone_it_gets_everything_and_with_sources_of_ours_a_window() -> None:
    fake = Fake()
    lending = Lending(cast(Any, fake))
    assert len(lending.more(0.0)) == PIECES
    fake.swarm.add_source("ann", None, 0.0)
    back = lending.too_many(rate=1000.0)
    assert len(back) > PIECES / 2
    lending.take_back(back)
    assert sum(PIECE for _ in lending.lent) <= LEAST
    assert asked(fake.swarm, "ann"), "there is something for the source now"
    assert lending.more(1000.0) == [] or len(lending.lent) * PIECE <= LEAST + PIECE


def test_a_fast_network_gets_more_and_at_the_end_half_comes_back() -> None:
    fake = Fake()
    lending = Lending(cast(Any, fake))
    fake.swarm.add_source("ann", None, 0.0)
    few = len(lending.more(0.0))
    many = few + len(lending.more(6 * 1024 * 1024.0))
    assert few * PIECE <= LEAST and many > 2 * few
    rest = set(fake.swarm.wanted)
    fake.swarm.lend(Bits.full(PIECES))
    lending.lent |= rest
    assert len(lending.too_many(1e9)) >= PIECES // 2 - 1
