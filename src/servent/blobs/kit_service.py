"""What all downloads of a node share, and whom they tell."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from servent.blobs.door import Door, ShutDoor
from servent.blobs.info import Collection
from servent.blobs.lanes_hasher import Hasher
from servent.blobs.lanes_intake import Mailbox
from servent.blobs.lanes_pace import Buffers, Pace
from servent.blobs.places import Copy
from servent.blobs.uploads_service import Uploads
from servent.identity import PeerId
from servent.net.peers import Peers
from servent.net.session import Session

if TYPE_CHECKING:
    from servent.blobs.download_service import Download


Finder = Callable[[Sequence[bytes]], Awaitable[dict[bytes, list[Copy]]]]
Ancestry = Callable[[Collection], Awaitable[dict[int, list[Copy]]]]
Assistant = Callable[[Session, Collection], Awaitable[bool]]


async def _no_copies(roots: Sequence[bytes]) -> dict[bytes, list[Copy]]:
    return {}


async def _no_ancestors(collection: Collection) -> dict[int, list[Copy]]:
    return {}


async def _no_help(session: Session, collection: Collection) -> bool:
    return False


@dataclass(slots=True)
class Aids:
    """What other rooms do for downloads.

    Attributes:
        copies: where this machine has contents, by pieces root.
        alike: older versions of the files of a collection, by index.
        assist: asks a peer to serve what it has of a collection that it does not know; whether it has any.
        blocked: whether a content is never to be fetched.
        door: the way to another network.
    """

    copies: Finder = _no_copies
    alike: Ancestry = _no_ancestors
    assist: Assistant = _no_help
    blocked: Callable[[bytes], bool] = lambda root: False
    door: Door = field(default_factory=ShutDoor)


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
    aids: Aids = field(default_factory=Aids)


class Watcher(Protocol):
    """Who is told when a download changed, and keeps its row."""

    def changed(self, download: Download) -> None: ...
    async def introduce(self, contact: str) -> PeerId: ...
