"""Trust as the hello sees it: bound to who we are and to the wall clock."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from servent.errors import BadMessage
from servent.identity import PeerId
from servent.trust.book import Verdict
from servent.trust.service import TrustService

log = logging.getLogger("servent.net")


class TrustPapers:
    """hello.Papers over TrustService."""

    def __init__(self, trust: TrustService, wall: Callable[[], float]) -> None:
        self._trust, self._wall = trust, wall

    def proofs(self, to: PeerId, nonce: bytes) -> Sequence[bytes]:
        return self._trust.proofs(self._trust.me, to, nonce)

    def contact_proof(self, secret: bytes, to: PeerId, nonce: bytes) -> bytes:
        return self._trust.contact_proof(secret, self._trust.me, to, nonce)

    async def removed(self, records: Sequence[bytes]) -> None:
        for record in records:
            try:
                await self._trust.take_removal(record)
            except BadMessage as wrong:
                log.info("somebody says that we were removed from a network: %s", wrong)

    async def judge(
        self, peer: PeerId, nonce: bytes, boxes: Sequence[bytes], contact: bytes | None
    ) -> Verdict:
        return await self._trust.judge(peer, nonce, boxes, contact, self._wall())
