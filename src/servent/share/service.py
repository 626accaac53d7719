"""The share room: builds its parts, starts and stops them in order. Each part is its own module and owner."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from servent.blobs.service import Blobs
from servent.identity import PeerId
from servent.net.peers import Peers
from servent.share import index, rows
from servent.share.content_service import ContentService
from servent.share.safety_service import SafetyService
from servent.store import Store
from servent.trust.service import TrustService

LIBRARY_FILE = "library.db"


class Share:
    """Owns everything about sharing. `open` it before the network runs, `run` it in a task, `close` it first.

    Args:
        store: the node's database, not open yet: what cannot be made again (folders' settings, wishes, feeds, blocks).
        library: a database of its own for the files (`library.db`), not open yet; closed by `close`.
    """

    def __init__(
        self,
        peers: Peers,
        trust: TrustService,
        blobs: Blobs,
        store: Store,
        library: Store,
        data_dir: Path,
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.peers, self.trust, self.blobs, self.store, self.data_dir, self.wall = (
            peers, trust, blobs, store, data_dir, wall,
        )  # fmt: skip
        self.library_store = library
        library.migrate(rows.ROOM, rows.STEPS)
        library.migrate(index.ROOM, index.STEPS)
        self.safety = SafetyService(peers, trust, store, wall=wall)
        self.folders_for: Callable[[PeerId], frozenset[int]] = lambda peer: frozenset()
        self.content = ContentService(
            peers, blobs, library, lambda peer: self.folders_for(peer), self.safety.blocks_content
        )

    async def open(self) -> None:
        """Load what is remembered. The node's store is open already."""
        await self.library_store.open()
        await self.safety.open()
        self.content.open()

    async def run(self) -> None:
        """Until cancelled."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Stop every part; the files of others stay with `blobs`."""
        self.content.close()
        self.safety.close()
        await self.library_store.close()
