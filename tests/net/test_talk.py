"""What peers are told of us on connections that are up."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

from servent.identity import PeerId
from servent.net import wire
from servent.net.links import PeerAddress
from servent.net.settings import PeersSettings
from servent.net.talk import Talk
from servent.testing.loop import run

ME, BOB = PeerId(bytes(32)), PeerId(bytes([1]) * 32)
EVERY = PeersSettings().here_every


class Line:
    """A session of which only what goes out matters."""

    peer = BOB
    verdict = SimpleNamespace(networks=frozenset[bytes](), removed=())

    def __init__(self) -> None:
        self.told: list[tuple[float, wire.Here]] = []

    def tell(self, word: wire.Here) -> None:
        self.told.append((asyncio.get_running_loop().time(), word))


def test_the_last_word_of_our_way_out_is_told_however_often_it_changed_before() -> None:
    async def story() -> None:
        line, unused = cast(Any, Line()), cast(Any, None)
        async with asyncio.TaskGroup() as tasks:
            talk = Talk(
                unused, unused, unused, PeersSettings(),
                sessions=lambda: [line], session=lambda _: line, here=lambda: PeerAddress(ME, None, ()),
                wish=unused, heard_of=unused, large=lambda _: False, judged=unused, told=unused, fault=unused,
                spawn=lambda coro, name: cast(None, tasks.create_task(coro, name=name)), wall=unused,
            )  # fmt: skip
            talk.opened(line)
            for wait, kind in ((0.1, "easy"), (0.1, None), (0.9, "symmetric")):
                await asyncio.sleep(wait * EVERY)
                talk.way_out(kind, "none")
        assert [word.ipv4 for _, word in line.told] == [None, None, "symmetric"]
        assert all(later - at > 0.999 * EVERY for (at, _), (later, _) in pairwise(line.told))

    run(story())
