"""What searching, browsing and answering know of the rest of the node, in one place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

from servent.errors import NotFound, UsageError
from servent.identity import PeerId
from servent.net.peers import Peers
from servent.share import local
from servent.share.answering_service import Answers, OfferFolder
from servent.share.browse_service import Browsing
from servent.share.library_service import Library
from servent.share.safety_service import SafetyService
from servent.share.search_service import Search
from servent.share.shelves import Shelf
from servent.store import Store
from servent.trust.service import TrustService


class Finding:
    """Builds `search`, `browse` and the answers to peers over a node's rooms. `run` it in a task.

    Args:
        fetched: which of these contents lie here outside of the library; blocks.

    Attributes:
        compare: whether peers get samples of what they may see here, to compare libraries by.
    """

    def __init__(
        self,
        peers: Peers,
        trust: TrustService,
        library: Library,
        store: Store,
        safety: SafetyService,
        offer_folder: OfferFolder,
        slots: Callable[[], tuple[bool, int]],
        fetched: Callable[[set[bytes]], Collection[bytes]] = lambda contents: (),
    ) -> None:
        self._peers, self._trust, self._library = peers, trust, library
        self._store, self._fetched = store, fetched
        self.compare = True
        self.search = Search(
            peers,
            store,
            self.shown,
            friend=self.friend,
            name=self.name,
            resolve=self.resolve,
            known=self.known,
            hides=safety.hides,
        )
        self.browse = Browsing(
            peers,
            store,
            self.shown,
            self.search.connected,
            known=self.known,
            friend=self.friend,
            name=self.name,
            hides=safety.hides,
        )
        self._answers = Answers(
            peers,
            store,
            self.shown,
            blocks=safety.blocks_content,
            slots=slots,
            offer_folder=offer_folder,
            samples=lambda: self.compare,
        )
        self._indexed = (0, 0)
        library.on_change(self._changed)

    def _changed(self) -> None:
        """The library says that something of it changed; what is hashed is indexed."""
        view = self._library.view()
        before, self._indexed = self._indexed, (view.hashed_files, view.hashed_bytes)
        if self._indexed != before and view.hashed_files:
            self.search.gained()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.search.run(), name="searches")

    def close(self) -> None:
        """Answer nobody any more."""
        self._answers.close()

    def shown(self, peer: PeerId | None) -> Sequence[Shelf]:
        """The shared folders `peer` may see; None: all there are."""
        allowed = None if peer is None else self._library.folders_for(peer)
        return [
            Shelf(one.id, one.settings.name, one.hashed_files < one.files)
            for one in self._library.folders()
            if allowed is None or one.id in allowed
        ]

    async def known(self, contents: Sequence[bytes]) -> set[bytes]:
        """Which of these this machine has, shared or fetched."""
        if not contents:
            return set()
        here = await self._store.read(local.known(list(contents)))
        rest = set(contents) - here
        return here | set(await asyncio.to_thread(self._fetched, rest)) if rest else here

    def friend(self, peer: PeerId) -> bool:
        contact = self._trust.contact(peer)
        return self._trust.verdict(peer).friend or (contact is not None and contact.friend)

    def name(self, peer: PeerId) -> str:
        """What the person here calls a peer, else what it calls itself, else ""."""
        contact = self._trust.contact(peer)
        if contact is not None and contact.petname:
            return contact.petname
        session = self._peers.session(peer)
        return session.profile.name if session is not None else ""

    def resolve(self, text: str) -> PeerId:
        """Whom a person means: "me", petname, id or its beginning, or the name of one who is connected.

        Raises:
            NotFound, UsageError: nobody, or more than one.
        """
        if text.casefold() == "me":
            return self._peers.peer
        sessions = self._peers.sessions()
        try:
            return self._trust.resolve(text, [one.peer for one in sessions])
        except NotFound:
            found = {one.peer for one in sessions if one.profile.name.casefold() == text.casefold()}
            if len(found) > 1:
                ids = ", ".join(sorted(map(str, found))[:3])
                raise UsageError(
                    f"{len(found)} peers call themselves {text!r}", advice=f"Use the id: {ids}"
                ) from None
            if not found:
                raise
            return found.pop()
