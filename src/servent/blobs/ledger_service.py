"""What is written down of what moved: the history, the credit of peers, and how much of each share was sent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable

from servent.blobs import history
from servent.blobs.history import Entry
from servent.blobs.slots import Slots
from servent.blobs.uploads_service import Upload, Uploads
from servent.blobs.views import link_of
from servent.errors import WorldError
from servent.identity import PeerId
from servent.store import Store

log = logging.getLogger(__name__)

SAVE_EVERY = 20.0  # s; what a kill may lose of credit and totals
AGE_EVERY = 86400.0  # s
MOST_PENDING = 1000  # entries that wait to be written
AGAIN = 600.0  # s within which a peer that comes back for the same is no new entry


class Ledger:
    """Owns the history. `uploads` and `slots` count; this remembers.

    Args:
        name: what a peer is called.
    """

    def __init__(
        self, store: Store, uploads: Uploads, wall: Callable[[], float], name: Callable[[PeerId], str]
    ) -> None:
        self._store, self._uploads, self._wall, self._name = store, uploads, wall, name
        self._slots: Slots = uploads.slots
        self._pending: list[Entry] = []
        self._open: dict[tuple[PeerId, bytes], tuple[Entry, float]] = {}  # uploads that may go on, until when
        uploads.ended = self._upload_ended

    async def load(self) -> None:
        """What is remembered. Raises StoreTrouble."""
        credits, totals = await self._store.read(history.load_sums)
        for peer, credit in credits:
            self._slots.set_credit(peer, credit)
        self._slots.credits.changed.clear()
        self._uploads.totals.update(totals)

    async def run(self) -> None:
        """Write now and then, until cancelled."""
        aged = self._wall()
        while True:
            await asyncio.sleep(SAVE_EVERY)
            now = self._wall()
            if now - aged >= AGE_EVERY:
                self._slots.credits.age(now - aged)
                aged = now
            await self.save()

    async def close(self) -> None:
        """Write what is left."""
        for upload in list(self._uploads.uploads.values()):
            self._upload_ended(upload)
        await self.save(everything=True)

    async def save(self, *, everything: bool = False) -> None:
        """Write down what is new; on trouble with the disk it is kept for the next time."""
        now = self._wall()
        for key, (entry, until) in list(self._open.items()):
            if everything or until <= now or len(self._open) > MOST_PENDING:
                del self._open[key]
                self._pending.append(entry)
        credits, self._slots.credits.changed = self._slots.credits.changed, set()
        totals = {key: self._uploads.totals.get(key, 0) for key in self._uploads.counted}
        self._uploads.counted.clear()
        pending, self._pending = self._pending, []
        if not (credits or totals or pending):
            return
        sums = history.sums_writer({peer: self._slots.credit(peer) for peer in credits}, totals)
        entries = history.writer(pending)

        def write(db: object) -> None:
            sums(db)
            entries(db)

        try:
            await self._store.write(write)
        except WorldError as wrong:
            log.warning("what was moved is not written down: %s", wrong)
            self._slots.credits.changed |= credits
            self._uploads.counted |= totals.keys()
            self._pending = [*pending, *self._pending][-MOST_PENDING:]

    # -- the history

    def add(self, entry: Entry) -> None:
        """A download that ended."""
        self._pending.append(entry)

    async def find(self, text: str, direction: str, offset: int, limit: int) -> tuple[list[Entry], int]:
        """Entries newest first, and how many there are in all. Raises StoreTrouble."""
        with contextlib.suppress(WorldError):
            await self.save(everything=True)
        return await self._store.read(history.reader(text, direction, offset, limit))

    async def clear(self) -> None:
        """Forget all of it; credit and totals stay."""
        self._pending.clear()
        self._open.clear()
        await self._store.write(history.clear)

    def _upload_ended(self, upload: Upload) -> None:
        if upload.sent_bytes <= 0:
            return
        collection, now = upload.holding.collection, self._wall()
        key = upload.peer, collection.infohash
        before, _ = self._open.get(key, (None, 0.0))
        lasted = asyncio.get_running_loop().time() - upload.since
        entry = Entry(
            f"up-{upload.peer.short}-{collection.infohash.hex()[:8]}",
            "up",
            upload.holding.name,
            "complete" if upload.sent_bytes >= collection.size else "ended",
            collection.size,
            upload.sent_bytes + (before.moved_bytes if before is not None else 0),
            link_of(collection.infohash, upload.holding.name, collection.info),
            None,
            (self._name(upload.peer),),
            before.started if before is not None else now - lasted,
            now,
        )
        self._open[key] = entry, now + AGAIN
