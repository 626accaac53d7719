"""Shows blocks of our files to those who may see them, and asks others for blocks of theirs."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path

from servent.blobs.info import piece_length_for
from servent.blobs.places import Place
from servent.blobs.tree import BLOCK, blocks_in, has_layer
from servent.codec import write_frame
from servent.errors import BadMessage, ServentError
from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.net.links import Stream
from servent.net.peers import Peers
from servent.net.session import Session
from servent.share import content_rows, possession
from servent.share.assembly import Known
from servent.store import Store

log = logging.getLogger(__name__)

LIMIT = 5.0  # s for a question and its answer; a sleeping disk needs 3
RATE, BURST = 1.0, 20.0  # questions a second of one peer: each reads up to a piece
MOST_ASKERS = 512
AT_ONCE = 2  # pieces read for others


class Possession:
    """Serves `servent.possession/1` and asks it.

    Args:
        store: `library.db`.
        folders_for: which shared folders a peer may see.
        blocks: contents of which nobody is shown anything.
    """

    def __init__(
        self,
        peers: Peers,
        store: Store,
        folders_for: Callable[[PeerId], Iterable[int]],
        blocks: Callable[[bytes], bool],
    ) -> None:
        self._peers, self._store, self._folders_for, self._blocks = peers, store, folders_for, blocks
        self._askers: OrderedDict[PeerId, TokenBucket] = OrderedDict()
        self._reading = asyncio.Semaphore(AT_ONCE)
        self._clock = asyncio.get_running_loop().time
        self._dice = random.Random()

    def open(self) -> None:
        """Begin to serve."""
        self._peers.serve(possession.SERVICE, self._handle, audience="network", streams=4)

    def close(self) -> None:
        """Serve nothing more."""
        self._peers.withdraw(possession.SERVICE)

    async def prove(self, peer: PeerId, root: bytes, size: int) -> bool | None:
        """Whether `peer` shows a block of our choice of this content; None when it cannot be asked now."""
        if size <= 0:
            return False
        block = self._dice.randrange(blocks_in(size))
        try:
            async with asyncio.timeout(LIMIT):
                stream = await self._peers.open(peer, possession.SERVICE, LIMIT)
                try:
                    await write_frame(stream, possession.ShowBlock(root, block))
                    answer = await possession.read_answer.read(stream)
                finally:
                    await stream.reset()
        except BadMessage:
            return False
        except (ServentError, TimeoutError) as wrong:
            log.debug("%s was not asked for a block: %s", peer.short, wrong)
            return None
        return possession.holds(root, size, block, answer.data, answer.path)

    async def _handle(self, session: Session, stream: Stream) -> None:
        async with asyncio.timeout(LIMIT):
            wanted = await possession.read_question.read(stream)
        if not self._bucket(session.peer).allow(1, self._clock()):
            await write_frame(stream, possession.Block())
            return
        await write_frame(stream, await self._show(session.peer, wanted))

    def _bucket(self, peer: PeerId) -> TokenBucket:
        bucket = self._askers.get(peer)
        if bucket is None:
            if len(self._askers) >= MOST_ASKERS:
                self._askers.popitem(last=False)
            bucket = self._askers[peer] = TokenBucket(RATE, BURST)
        self._askers.move_to_end(peer)
        return bucket

    async def _show(self, peer: PeerId, wanted: possession.ShowBlock) -> possession.Block:
        folders = frozenset(self._folders_for(peer))
        if not folders or self._blocks(wanted.root):
            return possession.Block()
        found, _ = await self._store.read(content_rows.by_roots([wanted.root], folders))
        async with self._reading:
            for known in found.get(wanted.root, ()):
                try:
                    return await asyncio.to_thread(_block, known, wanted.block)
                except ServentError as wrong:
                    log.debug("a block of %s is not shown: %s", known.where, wrong)
        return possession.Block()


def _block(known: Known, block: int) -> possession.Block:
    """In a thread. Raises DiskTrouble, Changed."""
    if not known.size or block >= blocks_in(known.size):
        return possession.Block()
    length = piece_length_for(known.size)
    first = block * BLOCK // length * length if has_layer(known.size, length) else 0
    piece = Place(Path(known.where), known.size, known.stamp, Path(known.below)).read(first, length)
    at = block * BLOCK - first
    path = possession.path_of(known.size, block, piece, known.layer)
    return possession.Block(piece[at : at + BLOCK], path)
