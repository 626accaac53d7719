"""The DHT as one of the ways to be found: what is believed, and how often it is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

from servent.errors import WorldError
from servent.identity import Identity, PeerId
from servent.net.pkarr import signing_text
from servent.net.rendezvous import Found, Provider
from servent.torrent import dht_provider
from servent.torrent.dht_provider import DhtProvider
from servent.torrent.session import Session
from servent.torrent.views import Item

ANN, BEN = Identity(b"\x01" * 32), Identity(b"\x02" * 32)


def item(seq: int, value: bytes, by: Identity = ANN, salt: bytes = b"", last: bool = False) -> Item:
    return Item(seq, value, by.sign(signing_text(seq, value, salt)), last)


class Net:
    """A session whose nodes say what the test says."""

    def __init__(self, *items: Item, trouble: bool = False) -> None:
        self.items, self.trouble = items, trouble
        self.stored: list[tuple[PeerId, bytes, bytes]] = []

    async def dht_put(self, identity: Identity, value: bytes, salt: bytes = b"") -> int:
        if self.trouble:
            raise WorldError("no network")
        self.stored.append((identity.peer, value, salt))
        return 8

    async def dht_get(self, key: PeerId, salt: bytes, limit: float) -> AsyncGenerator[Item, None]:
        if self.trouble:
            raise WorldError("no network")
        for one in self.items:
            yield one


def provider(net: Net, **given: Any) -> DhtProvider:
    return DhtProvider(cast(Session, net), **given)


def resolve(one: Provider, key: PeerId = ANN.peer, salt: bytes = b"") -> list[Found]:
    async def all_of_them() -> list[Found]:
        return [found async for found in one.resolve(key, salt)]

    return asyncio.run(all_of_them())


def test_the_first_word_comes_at_once_and_only_newer_ones_after_it() -> None:
    net = Net(item(2, b"b"), item(1, b"a"), item(2, b"b"), item(3, b"c"), item(3, b"c", last=True))
    assert [(found.seq, found.value) for found in resolve(provider(net))] == [(2, b"b"), (3, b"c")]


def test_what_the_owner_did_not_sign_is_nothing_and_hides_nothing() -> None:
    forged = Item(9, b"evil", bytes(64), False)
    moved = Item(9, b"a", item(1, b"a").signature, False)  # a true signature under another number
    net = Net(forged, item(9, b"evil", by=BEN), moved, item(7, b"a", salt=b"other"), item(2, b"b"))
    one = provider(net)
    assert [(found.seq, found.value) for found in resolve(one)] == [(2, b"b")]
    assert one.forged == 4


def test_a_salt_is_part_of_what_is_signed() -> None:
    net = Net(item(1, b"a"), item(2, b"b", salt=b"salt"))
    assert [found.value for found in resolve(provider(net), salt=b"salt")] == [b"b"]


def test_trouble_finds_nothing_and_stores_nowhere() -> None:
    one = provider(Net(trouble=True))
    assert resolve(one) == []
    assert asyncio.run(one.publish(ANN, b"word")) == 0


def test_others_are_asked_first_and_not_too_often() -> None:
    clock = 100.0
    one = provider(Net(item(1, b"a")), clock=lambda: clock)
    assert one.head_start == 2.0 and one.name == "dht"
    answered = sum(bool(resolve(one)) for _ in range(100))
    assert answered == dht_provider.LOOKUPS_BURST
    clock += 60.0
    assert sum(bool(resolve(one)) for _ in range(100)) == dht_provider.LOOKUPS_BURST
    clock += 2.0
    assert sum(bool(resolve(one)) for _ in range(10)) == 2


def test_storing_has_a_limit_of_its_own() -> None:
    net = Net()
    one = provider(net, clock=lambda: 0.0)

    async def often() -> int:
        return sum([bool(await one.publish(ANN, b"word")) for _ in range(50)])

    assert asyncio.run(often()) == dht_provider.PUTS_BURST == len(net.stored)
