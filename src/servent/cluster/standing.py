"""What a process knows of itself and of its cluster: its pass, the list of members, who may come in by them; and how it learns of newer ones."""

from __future__ import annotations

import asyncio
import logging
import time

from servent.cluster import passes, rosters
from servent.cluster.model import Desk, Papers, Pass, SignedPass, Wish
from servent.cluster.rosters import Role, Roster
from servent.cluster.versions import Versions, doubts, unfit
from servent.errors import PeerError, Refused, ServentError, UsageError
from servent.identity import PeerId

log = logging.getLogger(__name__)

LOOK_APART = 1.0  # s at least between two looks that somebody unknown at the door causes: strangers must not keep our node busy


class Unfit(UsageError):
    """The other process runs versions that ours cannot work with."""


class Standing:
    """Owned by a `Process`.

    Attributes:
        role, cluster, node, peer: what its pass says of it; `peer` is its own key. called: what its node calls the cluster.
        shown: the pass. roster: the newest list of members it knows. versions: what it runs.
    """

    def __init__(self, desk: Desk, wish: Wish, versions: Versions, papers: Papers) -> None:
        self._desk, self._wish = desk, wish
        self.versions = versions
        self.role: Role = wish.role
        self.peer = PeerId(wish.process)
        self.called = wish.cluster
        self.cluster = papers.cluster
        self.node = PeerId(passes.read(papers.shown).node)
        self._owner = papers.owner
        self.shown: SignedPass = papers.shown
        self.roster: Roster = rosters.read(papers.roster, papers.owner, papers.cluster)
        self._looked = 0.0  # when the last look began, on the monotonic clock
        self._look_turn, self._admit_turn = asyncio.Lock(), asyncio.Lock()

    async def look(self) -> Papers:
        """A new pass, and the list of members as our node knows it now.

        Raises:
            ServentError: as `Desk.papers`. What was known stays.
        """
        async with self._look_turn:
            began = time.monotonic()
            papers = await self._desk.papers(self._wish)
            if papers.cluster != self.cluster or passes.read(papers.shown).process != self.peer:
                raise Refused("our node gave us papers of somebody else", advice="")
            roster = rosters.read(papers.roster, self._owner, self.cluster)
            self.shown = papers.shown
            if roster.number > self.roster.number:
                self.roster = roster
            self._looked = began
            return papers

    async def listening(self, address: str) -> None:
        """Tell our node where we listen. Raises ServentError."""
        await self._desk.listening(self.called, bytes(self.peer), self.role, address)

    async def admit(self, signed: SignedPass, peer: PeerId) -> Pass:
        """As `passes.admit`; who is unknown may have been added a moment ago."""
        try:
            return passes.admit(signed, peer=peer, mine=self.role, roster=self.roster, now=time.time())
        except Refused:
            before, came = self.roster.number, time.monotonic()
            async with self._admit_turn:  # one look serves all who came before it began
                if self._looked < came:
                    await asyncio.sleep(max(0.0, self._looked + LOOK_APART - time.monotonic()))
                if self._looked < came:
                    try:
                        await self.look()
                    except ServentError as error:
                        log.debug("no newer list of members: %s", error)
            if self.roster.number == before:
                raise
        return passes.admit(signed, peer=peer, mine=self.role, roster=self.roster, now=time.time())

    def compare(self, theirs: Versions, shown: Pass) -> None:
        """Raises Unfit, with what to install here."""
        if (why := unfit(self.versions, theirs, shown.role)) is not None:
            raise Unfit(why, advice="All members of a cluster run the same versions.")
        for doubt in doubts(self.versions, theirs):
            log.warning("%s of node %s: %s", shown.role, PeerId(shown.node).short, doubt)

    def one_of_ours(self, signed: SignedPass) -> bool:
        """Whether a person there may be told why not: their node is a member, and vouches for something."""
        try:
            return self.roster.member(passes.read(signed).node) is not None
        except PeerError:
            return False
