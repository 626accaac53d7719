"""Browsing: pages of a peer's tree or our own, folders as collections, and what peers with a like library have."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from servent.errors import ServentError
from servent.identity import PeerId
from servent.net.peers import Peers
from servent.share import asking_service as asking
from servent.share import local, recommend, wire
from servent.share.answering_service import Shown
from servent.share.folding import Fold, Found, Hit, Standing, no_reason
from servent.share.search_service import Hides, Known, PeersFinder
from servent.share.shelves import Ask, Page, Shelves
from servent.store import Store

log = logging.getLogger(__name__)

FRESH = 600.0  # s that recommendations are kept
SAMPLE_WAIT = 6.0  # s for peers to send their samples
SAMPLE_PEERS = 32  # asked at once; each sends about 100 kB
MOST_PICKS = 500


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A hit we have not; `because` is a sentence."""

    hit: Hit
    because: str
    score: float


class Browsing:
    """Walks trees, theirs and ours.

    Args:
        connected: whom samples are asked of.
        friend, name: of a peer.
        known: which contents this machine has.
    """

    def __init__(
        self,
        peers: Peers,
        store: Store,
        shown: Shown,
        connected: PeersFinder,
        *,
        known: Known,
        friend: Callable[[PeerId], bool],
        name: Callable[[PeerId], str],
        hides: Hides = no_reason,
        dice: random.Random | None = None,
    ) -> None:
        self._peers, self._store, self._shown, self._connected = peers, store, shown, connected
        self._friend, self._name, self._hides, self.known = friend, name, hides, known
        self._dice = dice or random.Random()
        self._shelves = Shelves()
        self._clock = asyncio.get_running_loop().time
        self._picks: list[Recommendation] = []
        self._picked: float | None = None
        self._picking = asyncio.Lock()

    async def page(self, peer: PeerId, path: str, ask: Ask) -> Page:
        """Rows of a folder of `peer`, who may be ourselves; "" is the list of what they share with us.

        Raises:
            NotFound: it is not there, or not for us.
            PeerError, WorldError, TimeoutError: they cannot be asked, or answer nonsense.
        """
        if peer == self._peers.peer:
            shelves = self._shown(None)
            return await self._store.read(lambda db: self._shelves.page(db, shelves, path, ask))
        return await asking.page(self._peers, peer, path, ask)

    async def folder(self, peer: PeerId, path: str) -> wire.Folder:
        """Have a folder of `peer` made a collection that it serves us. Raises as `page`."""
        return await asking.folder(self._peers, peer, path)

    async def recommendations(self, offset: int = 0, limit: int = 200) -> list[Recommendation]:
        """What peers who have what we have, have besides; best first. Asks them when the last answer is old."""
        async with self._picking:
            if self._picked is None or self._clock() - self._picked > FRESH:
                self._picks = await self._pick()
                self._picked = self._clock() if self._picks else None
        return self._picks[offset : offset + limit]

    def forget_recommendations(self) -> None:
        """Ask the peers again next time."""
        self._picked = None

    async def _pick(self) -> list[Recommendation]:
        start = self._dice.randbytes(32)
        finds = await self._store.read(local.sample(start, self._shown(None), wire.MOST_SAMPLE))
        mine = {one.content for one in finds.found}
        if not mine:
            return []
        samples: list[recommend.Stretch] = []
        try:
            async with asyncio.timeout(SAMPLE_WAIT), asyncio.TaskGroup() as tasks:
                for peer in self._connected.whom()[:SAMPLE_PEERS]:
                    tasks.create_task(self._sample(peer, start, samples), name=f"sample of {peer.short}")
        except TimeoutError:
            log.debug("not every peer sent a sample in time")
        reach = recommend.reach(start, mine, finds.more)
        picks = recommend.recommend(start, mine, reach, samples, MOST_PICKS)
        here = await self.known([pick.found[0][1].content for pick in picks])
        result = []
        for pick in picks:
            fold = Fold(1, self._hides)
            changed = [one for at, found in pick.found for one in fold.add(at, [found])]
            if changed and changed[0] not in here:
                result.append(Recommendation(fold.hit(changed[0]), pick.because, pick.score))
        return result

    async def _sample(self, peer: PeerId, start: bytes, samples: list[recommend.Stretch]) -> None:
        friend, name = self._friend(peer), self._name(peer)
        files: dict[bytes, Found] = {}
        free, queue = False, 0

        def take(found: list[Found], is_free: bool, waiting: int) -> None:
            nonlocal free, queue
            free, queue = is_free, waiting
            files.update((one.content, one) for one in found)

        try:
            more = await asking.finds(self._peers, peer, wire.Sample(start), None, take)
        except (ServentError, TimeoutError) as wrong:
            log.debug("no sample of %s: %s", peer.short, wrong)
            return
        reach = recommend.reach(start, files, more)
        samples.append(
            recommend.Stretch(Standing(peer, name, friend=friend, free=free, queue=queue), files, reach)
        )
