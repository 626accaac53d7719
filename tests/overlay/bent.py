"""Messages of `servent.overlay/1` whose every field may stand at its end; some fit each other, and some are signed as they should be."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, get_args

import msgspec
from msgspec import structs

from servent.overlay import wire
from servent.overlay.plumtree import text_of_news
from servent.overlay.records import Batch, PeerRecord, Receipt, Slice, SupernodeRecord, item_hash, text_of
from servent.overlay.wire import Goodbye, Gossip
from servent.testing.hosts import Host

MESSAGES: tuple[type[msgspec.Struct], ...] = get_args(wire.Message)
WORDS = (
    "blue",
    "*",
    "-blue",
    "type:audio",
    '"',
    "a b c d e",
    "size:>1",
    "\u0130",
    "blue*",
    "",
    "../x",
    "\x1b[2J",
)
ADDRESSES = ("20.0.0.1:4000", "127.0.0.1:1", "[::1]:443", "x:y", "192.168.1.2:99999", "20.1.2.3:443")


class Bent:
    """Makes them.

    Args:
        hosts: whose keys, records and signatures may occur.
        topic: one that is known.
    """

    def __init__(self, dice: random.Random, network: bytes, hosts: Sequence[Host], topic: bytes) -> None:
        self._dice, self._network, self._topic = dice, network, topic
        self._hosts = {bytes(one.key): one for one in hosts}
        self._ids = [dice.randbytes(16) for _ in range(4)] + [topic]

    def message(self, kind: type[msgspec.Struct] | None = None) -> msgspec.Struct:
        """Any message, or one of that kind; it may not decode."""
        return self._of(kind or self._dice.choice(MESSAGES))

    def _of(self, kind: type[msgspec.Struct]) -> Any:
        dice = self._dice
        if kind is PeerRecord and dice.random() < 0.4:
            return dice.choice(list(self._hosts.values())).record
        info = msgspec.inspect.type_info(kind)
        assert isinstance(info, msgspec.inspect.StructType)
        made = kind(**{one.name: self._value(one.name, one.type) for one in info.fields})
        return self._signed(made) if dice.random() < 0.7 else made

    def _signed(self, made: Any) -> Any:
        """With the signature that it should have, where we have the key."""
        if isinstance(made, Slice):
            items = {place: item for place, item in enumerate(made.items.values())}
            batch = structs.replace(made.batch, hashes=[item_hash(one) for one in items.values()])
            return Slice(self._signed(batch), items)
        match made:
            case SupernodeRecord():
                key = made.peer.key
            case Receipt():
                key = made.by
            case Batch():
                key = made.publisher
            case PeerRecord() | Goodbye():
                key = made.key
            case Gossip():
                key = made.author
            case _:
                return made
        host = self._hosts.get(key)
        if host is None:
            return made
        text = text_of_news(self._network, made) if isinstance(made, Gossip) else text_of(self._network, made)
        return structs.replace(made, signature=host.seal.sign(text))

    def _value(self, name: str, kind: Any) -> Any:
        dice, info = self._dice, msgspec.inspect
        match kind:
            case info.BytesType(min_length=least, max_length=most):
                if least == most == 32:
                    return dice.choice(list(self._hosts)) if dice.random() < 0.9 else dice.randbytes(32)
                if least == most == 16:
                    return self._topic if name == "topic" else dice.choice(self._ids)
                return dice.randbytes(dice.randint(least or 0, min(most or 64, 300)))
            case info.StrType(max_length=most):
                if name == "addresses":
                    return dice.choice(ADDRESSES)
                return (dice.choice(WORDS) * dice.choice((1, 1, 1, 9)))[: most or 500]
            case info.IntType(ge=least, le=most, lt=below):
                high = most if most is not None else below - 1 if below is not None else 2**62
                low = least or 0
                return dice.choice((low, low + 1, min(high, 7), high, dice.randint(low, high)))
            case info.BoolType():
                return dice.random() < 0.5
            case info.NoneType():
                return None
            case info.ListType(item_type=one, max_length=most):
                return [self._value(name, one) for _ in range(dice.randint(0, min(most or 4, 5)))]
            case info.TupleType(item_types=some):
                return tuple(self._value("", one) for one in some)
            case info.DictType(key_type=key, value_type=value):
                return {self._value("", key): self._value("", value) for _ in range(dice.randint(0, 3))}
            case info.UnionType(types=some):
                return self._value(name, dice.choice(some))
            case info.LiteralType(values=some):
                return dice.choice(some)
            case info.StructType(cls=cls):
                return self._of(cls)
            case _:
                raise TypeError(f"{name}: {kind}")
