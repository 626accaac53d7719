"""Supernodes that lie: what they do to messages that they are about to send."""

from __future__ import annotations

import hashlib

from msgspec import structs

from servent.identity import PeerId
from servent.overlay.records import Item
from servent.overlay.wire import Found, FoundItem, Message, Proof
from tests.overlay.things import peer
from tests.overlay.town import Citizen


def drop(_liar: Citizen, _to: PeerId, message: Message) -> Message | None:
    """Says that there is nothing."""
    if isinstance(message, Found):
        return structs.replace(message, items=[], records=[])
    return message


def bias(_liar: Citizen, _to: PeerId, message: Message) -> Message | None:
    """Keeps half of it to itself: always the same half."""
    if isinstance(message, Found):
        return structs.replace(message, items=[one for one in message.items if one.item.content[0] % 2])
    return message


def mute(_liar: Citizen, _to: PeerId, message: Message) -> Message | None:
    """Never answers."""
    return None if isinstance(message, Found | Proof) else message


def invent(liar: Citizen, _to: PeerId, message: Message) -> Message | None:
    """Says what nobody has signed, in place of what is there. It looks like what was asked for."""
    if not isinstance(message, Found):
        return message
    text = liar.heard.get(message.id)
    name = text or (message.items[0].item.name if message.items else "word1 word2 word3")
    made = [
        FoundItem(
            bytes(peer(1000 + n)), Item(hashlib.sha256(b"%d" % n + message.id).digest(), 5, 0, f"{name} {n}")
        )
        for n in range(3)
    ]
    return structs.replace(message, items=made)


LIES = {"drop": drop, "bias": bias, "mute": mute, "invent": invent}
