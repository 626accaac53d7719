"""What sharing needs of the overlay: one Protocol, so that tests need no network."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol

from servent.identity import PeerId
from servent.overlay.effects import Asked, Finding, News, Prover
from servent.overlay.records import Item, PeerRecord
from servent.overlay.views import NetworkShape


class Networks(Protocol):
    """`overlay.service.Overlay`, as far as sharing goes. Networks are named by their keys."""

    def shapes(self) -> list[NetworkShape]: ...

    def search(
        self,
        text: str,
        *,
        networks: Sequence[bytes] | None = None,
        limit: int = 200,
        budget: int | None = None,
    ) -> AsyncGenerator[Finding | Asked]: ...

    def who_has(
        self, content: bytes, *, networks: Sequence[bytes] | None = None, limit: int = 50
    ) -> AsyncGenerator[Finding | Asked]: ...

    async def where(self, peer: PeerId) -> PeerRecord | None: ...

    def publish(self, network: bytes, items: Sequence[Item]) -> None: ...

    def watch(self, text: str, callback: News) -> int:
        """Call `callback(network, found)` whenever something new answers `text` in any network."""
        ...

    def unwatch(self, watch: int) -> None: ...

    def on_change(self, callback: Callable[[], None]) -> None: ...

    def use_prover(self, prover: Prover) -> None: ...
