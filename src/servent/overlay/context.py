"""What every part of a member of a network stands on. Pure: clock, dice and keys are given."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from servent.identity import PeerId
from servent.overlay.newest import Newest
from servent.overlay.records import PeerRecord, Seal, check
from servent.overlay.settings import OverlaySettings
from servent.trust.networks import Forged

if TYPE_CHECKING:
    import random

STRANGER = "a record of somebody who is not in this network"  # its admission may be on its way: a small fault


@dataclass(slots=True)
class Context:
    """One per member.

    Attributes:
        network: its public key.
        seal: makes our signatures and checks those of others.
        wall: the wall clock; for `seq` and weeks only, never believed of others.
        belongs: whether a key may be in this network at all, as `trust` has it.
        record: our own record, signed, always the newest.
        open: whether everybody may join: then nothing that costs no address may count.
        peers: newest checked records of others.
        faults: what each peer did wrong, in words; `Member` and parts add, whoever drives the member bans.
    """

    me: PeerId
    network: bytes
    dice: random.Random
    seal: Seal
    wall: Callable[[], float]
    belongs: Callable[[bytes], bool]
    record: PeerRecord
    open: bool = False
    settings: OverlaySettings = field(default_factory=OverlaySettings)
    peers: Newest[PeerRecord] = field(default_factory=lambda: Newest(8192))
    faults: list[tuple[PeerId, str]] = field(default_factory=list)
    _waiting: dict[int, Callable[..., list[Any]]] = field(default_factory=dict)
    _token: int = 0

    def know(self, record: PeerRecord, now: float) -> bool:
        """Take in a record of a peer from anywhere; verified here, once. True if it is newer than what we had.

        Raises:
            Forged: the signature does not hold, or the peer does not belong here.
        """
        if record.key == self.me or not self.peers.newer(record.key, record.seq, now):
            return False
        if not self.belongs(record.key):
            raise Forged(STRANGER)
        check(self.network, record, self.seal)
        return self.peers.put(record.key, record.seq, record.lifetime, record, now)

    def wait(self, then: Callable[..., list[Any]]) -> int:
        """A token for an effect that is answered: `then(*answer, now)` is called once, with what the driver found."""
        self._token += 1
        self._waiting[self._token] = then
        return self._token

    def answered(self, token: int, *answer: Any) -> list[Any]:
        """The driver's answer to the effect with this token; unknown ones are passed over."""
        then = self._waiting.pop(token, None)
        return then(*answer) if then is not None else []

    def topic(self, name: str) -> bytes:
        """The topic of that name in this network: 16 bytes."""
        return hashlib.sha256(b"servent/topic/1\0" + self.network + name.encode()).digest()[:16]
