"""What evil members say to the overlay of a node, on streams that never end or end at once, and to who asks for proof."""

from __future__ import annotations

import random
from collections import Counter

from msgspec import Raw

from servent.codec import encode, frame
from servent.identity import Identity
from servent.net.links import Stream
from servent.net.session import Session
from servent.overlay import wire
from servent.overlay.records import PeerRecord, signed
from servent.overlay.records_service import NodeSeal
from servent.share import possession
from tests.overlay.bent import Bent


class Evil:
    """A member's key, as `Bent` wants it."""

    def __init__(self, identity: Identity, network: bytes) -> None:
        self.key, self.seal = identity.peer, NodeSeal(identity)
        self.record: PeerRecord = signed(
            network, PeerRecord(bytes(self.key), 1, 3600, addresses=["127.0.0.1:4000"]), self.seal
        )


async def speak(session: Session, dice: random.Random, identity: Identity, done: Counter[str]) -> None:
    """Some messages for a network of both, or for another."""
    networks = [*session.verdict.networks, dice.randbytes(32)]
    network = bytes(dice.choice(networks[:-1] or networks) if dice.random() < 0.9 else networks[-1])
    make = Bent(dice, network, [Evil(identity, network)], dice.randbytes(16))  # type: ignore[list-item]
    stream = await session.open(wire.SERVICE)
    await stream.write(frame(wire.Lane(dice.choice(("now", "bulk")))))
    one = make.message() if dice.random() < 0.5 else None
    for _ in range(dice.choice((1, 20, 400))):
        done["said to the overlay"] += 1
        await stream.write(frame(wire.Envelope(network, Raw(encode(one or make.message())))))
    if dice.random() < 0.3:
        await stream.write(dice.randbytes(50))
    if dice.random() < 0.5:
        await stream.finish()


async def ask_for_blocks(session: Session, dice: random.Random, done: Counter[str]) -> None:
    """Blocks of what is there or not; the answers are not read."""
    for _ in range(dice.choice((1, 4, 30))):
        done["asked possession"] += 1
        stream = await session.open(possession.SERVICE)
        block = dice.choice((0, 1, 2**40, dice.randrange(1000)))
        data = bytearray(frame(possession.ShowBlock(dice.randbytes(32), block)))
        if dice.random() < 0.3:
            data[dice.randrange(len(data))] = dice.randrange(256)
        await stream.write(bytes(data))


async def listen(session: Session, stream: Stream) -> None:
    """Takes what the victim says to us, now and then slowly."""
    while await stream.read(1 << 16):
        pass
