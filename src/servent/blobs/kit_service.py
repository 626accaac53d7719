"""What all downloads of a node share, and whom they tell."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from servent.blobs.lanes_hasher import Hasher
from servent.blobs.lanes_intake import Mailbox
from servent.blobs.lanes_pace import Buffers, Pace
from servent.blobs.uploads_service import Uploads
from servent.identity import PeerId
from servent.net.peers import Peers

if TYPE_CHECKING:
    from servent.blobs.download_service import Download


@dataclass(frozen=True, slots=True)
class Kit:
    """What all downloads of a node share.

    Attributes:
        introduce: connects to whoever a link names.
        offer: serve this from now on.
        bulk: whether TCP lanes are dialed.
    """

    peers: Peers
    uploads: Uploads
    pace: Pace
    buffers: Buffers
    hasher: Hasher
    mail: Mailbox
    pool: ThreadPoolExecutor
    clock: Callable[[], float]
    bulk: bool


class Watcher(Protocol):
    """Who is told when a download changed, and keeps its row."""

    def changed(self, download: Download) -> None: ...
    async def introduce(self, contact: str) -> PeerId: ...
