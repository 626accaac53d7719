"""What downloads need of another network that brings pieces, too, or brings all of what only it has: BitTorrent's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from servent.blobs.magnet import Magnet
from servent.blobs.rows import Row
from servent.errors import ServentError, UsageError

if TYPE_CHECKING:
    from servent.blobs.download_service import Download
    from servent.blobs.kit_service import Kit, Watcher


class Door(Protocol):
    """The way to it. Everything happens on the loop."""

    def shut(self) -> ServentError | None:
        """Why nothing comes through it; None: it is open."""
        ...

    def download(self, row: Row, kit: Kit, watcher: Watcher) -> Download:
        """One of version 1, which comes from there alone. Raises ServentError: the door is shut."""
        ...

    async def help(self, download: Download) -> None:
        """Bring what `download.lending` lends, until cancelled. Returns where it cannot help at all."""
        ...

    def told(self, row: Row, more: Magnet) -> None:
        """A link to what `row` fetches says more; `row.link` does, too, where it has room."""
        ...

    async def complete(self, download: Download) -> None:
        """It is in its place. Raises nothing."""
        ...


class ShutDoor:
    """There is none."""

    def shut(self) -> ServentError:
        return UsageError(
            "this link is of BitTorrent version 1, and this node has no door to BitTorrent",
            advice="Install it with `pip install 'servent[torrent]'` and start the node again.",
        )

    def download(self, row: Row, kit: Kit, watcher: Watcher) -> Download:
        raise self.shut()

    async def help(self, download: Download) -> None: ...

    def told(self, row: Row, more: Magnet) -> None: ...

    async def complete(self, download: Download) -> None: ...
