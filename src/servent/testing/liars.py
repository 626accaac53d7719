"""Hostile hosts of a simulated world: real members whose words are changed on the way out, and those who make up words.

Nobody here has a key that is not his own: what is forged carries bytes for a signature that do not hold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from msgspec import structs

from servent.overlay import wire
from servent.overlay.records import Item, PeerRecord, SupernodeRecord

if TYPE_CHECKING:
    from servent.testing.ether import Ether
    from servent.testing.hosts import Host
    from servent.testing.world import World

Lie = Literal["drop", "invent", "bias"]


class Liar(Protocol):
    """Changes what a member says."""

    def sends(self, world: Ether, host: Host, to: bytes, message: wire.Message) -> wire.Message | None:
        """What is sent in place of `message`; None for nothing."""
        ...


class LyingSupernode:
    """Takes part in everything and answers questions falsely.

    `how`: "drop" says that there is nothing; "invent" that peers have what they never offered; "bias" keeps back
    everything that is not its friends'.
    """

    def __init__(self, how: Lie, friends: frozenset[bytes] = frozenset()) -> None:
        self.how, self.friends = how, friends

    def sends(self, world: Ether, host: Host, to: bytes, message: wire.Message) -> wire.Message | None:
        if not isinstance(message, wire.Found):
            return message
        if self.how == "bias":
            return structs.replace(
                message, items=[one for one in message.items if one.publisher in self.friends], sampled=False
            )
        items = [] if self.how == "drop" else [self._invented(world, message, place) for place in range(3)]
        return structs.replace(message, items=items, sampled=False)

    def _invented(self, world: Ether, message: wire.Found, place: int) -> wire.FoundItem:
        victim = world.hosts[message.id[place] * 7 % len(world.hosts)]
        content = hashlib.sha256(message.id + bytes([place])).digest()
        like = message.items[0].item if message.items else Item(content, 1, 1, "made up.mp3")
        return wire.FoundItem(victim.seal.me, structs.replace(like, content=content))


class Silent:
    """Never answers a question, keeps everything else up."""

    def sends(self, world: Ether, host: Host, to: bytes, message: wire.Message) -> wire.Message | None:
        return None if isinstance(message, (wire.Found, wire.PeerIs, wire.Proof)) else message


class Forger:
    """Sends records of others that it changed itself, to whom it likes, again and again."""

    def __init__(self, targets: Callable[[], Sequence[Host]], every: float = 1.0, each: int = 8) -> None:
        self._targets, self._every, self._each = targets, every, each
        self.sent = 0

    def sends(self, world: Ether, host: Host, to: bytes, message: wire.Message) -> wire.Message | None:
        return message

    def begin(self, world: World, host: Host) -> None:
        """From now on."""
        if not host.alive:
            return
        topic = host.member.context.topic("")
        for target in world.dice.sample(every := self._targets(), min(self._each, len(every))):
            victims = world.dice.sample(world.hosts, min(8, len(world.hosts)))
            forged = [_moved(victim.record, host.address) for victim in victims]
            lies: tuple[wire.Message, ...] = (
                wire.Shuffle(topic, host.record, forged, 0),
                wire.Shuffled(topic, forged),
                wire.Supernodes([_crowned(forged[0], host.address)], 1),
                wire.Goodbye(victims[0].seal.me, 1 << 61),
                wire.StorePeer(forged[0]),
                wire.Gossip(topic, victims[0].seal.me, 1 << 61, 300, 1, b"obey"),
            )
            for lie in lies:
                world.post(host, target.key, lie)
                self.sent += 1
        world.at(world.now + self._every, lambda: self.begin(world, host))


class Eclipse:
    """Hosts of few address blocks that want to be all that `victim` sees: they join at it and shuffle one another's records to it."""

    def __init__(self, victim: Host, every: float = 1.0) -> None:
        self._victim, self._every = victim, every
        self.hosts: list[Host] = []

    def sends(self, world: Ether, host: Host, to: bytes, message: wire.Message) -> wire.Message | None:
        """To the victim they name one another only; to others they behave."""
        if to == self._victim.key and isinstance(message, (wire.Shuffled, wire.Shuffle)):
            return structs.replace(message, records=self._some(world))
        return message

    def begin(self, world: World) -> None:
        """From now on, until all of them are gone."""
        attackers = [host for host in self.hosts if host.alive]
        if not attackers or not self._victim.alive:
            return
        for host in world.dice.sample(attackers, min(10, len(attackers))):
            topic = host.member.context.topic("")
            for lie in (
                wire.Join(topic, host.record),
                wire.Ask(topic, host.record, True),
                wire.Shuffle(topic, host.record, self._some(world), 0),
                wire.Shuffled(topic, self._some(world)),
            ):
                world.post(host, self._victim.key, lie)
        world.at(world.now + self._every, lambda: self.begin(world))

    def _some(self, world: Ether) -> list[PeerRecord]:
        return [one.record for one in world.dice.sample(self.hosts, min(8, len(self.hosts)))]


def _moved(record: PeerRecord, address: str) -> PeerRecord:
    """Newer, elsewhere, and no longer signed by its key."""
    return structs.replace(record, seq=record.seq + 1_000_000, addresses=[address], signature=bytes(64))


def _crowned(record: PeerRecord, address: str) -> SupernodeRecord:
    return SupernodeRecord(record, record.seq, 3600, room=512, uptime=1000, up=1 << 30)
