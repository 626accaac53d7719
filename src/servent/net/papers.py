"""Trust as the hello sees it: bound to who we are and to the wall clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from servent.identity import PeerId
from servent.trust.book import Verdict
from servent.trust.service import TrustService


class TrustPapers:
    """hello.Papers over TrustService."""

    def __init__(self, trust: TrustService, wall: Callable[[], float]) -> None:
        self._trust, self._wall = trust, wall

    def proofs(self, to: PeerId, nonce: bytes) -> Sequence[bytes]:
        return self._trust.proofs(self._trust.me, to, nonce)

    def contact_proof(self, secret: bytes, to: PeerId, nonce: bytes) -> bytes:
        return self._trust.contact_proof(secret, self._trust.me, to, nonce)

    async def judge(
        self, peer: PeerId, nonce: bytes, boxes: Sequence[bytes], contact: bytes | None
    ) -> Verdict:
        return await self._trust.judge(peer, nonce, boxes, contact, self._wall())
