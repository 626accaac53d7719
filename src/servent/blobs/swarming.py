"""What a source needs of the download it works for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from servent.blobs.info import Collection

if TYPE_CHECKING:
    from servent.blobs.lanes_intake import Intake
    from servent.blobs.source_service import Source


class Swarming(Protocol):
    """The download a source works for. Everything happens on the loop."""

    infohash: bytes
    collection: Collection | None
    intake: Intake | None

    async def learn(self, source: Source) -> None:
        """Get what is missing of the description from this source, so that `collection` and `intake` are there."""
        ...

    def joined(self, source: Source) -> bool:
        """It may be asked from now on for what it has; False: not this one."""
        ...

    def more(self, source: Source, first: int, count: int) -> None:
        """It has these now, too."""
        ...

    def left(self, source: Source) -> None:
        """It is not asked any more."""
        ...

    def wanted(self, source: Source) -> list[tuple[int, int]]:
        """(first, count) to ask of it now."""
        ...

    def arrived(self, source: Source, first: int, count: int) -> None: ...
    def denied(self, source: Source, first: int, count: int) -> None: ...
    def changed(self) -> None:
        """Something a person sees is different now."""
        ...
