"""The room about clusters: those of ours with their schedulers, those that we are members of, and the workers of this machine in either."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Any

from servent.cluster import hardware, links, passes, rosters, rows
from servent.cluster.base_service import ClustersBase
from servent.cluster.editing import Editing
from servent.cluster.live import Live
from servent.cluster.model import Papers, Wish
from servent.cluster.rosters import Role, Roster
from servent.cluster.rows import Kept
from servent.cluster.views import ClusterView
from servent.errors import Refused, UsageError, WorldError
from servent.identity import PeerId
from servent.net import ticket
from servent.trust.naming import clean_name

log = logging.getLogger("servent.cluster")

RESERVED = ("join", "papers", "doors")  # they mean something else where a name stands
MOST_CLUSTERS = 64  # kept by one node
MEET_WITHIN = 15.0  # s that joining waits for the owner's word


class NoDask(WorldError):
    """What a cluster needs is not installed."""

    advice = hardware.HOW_TO_INSTALL


class Clusters(ClustersBase):
    """Owns everything about Dask among friends; see `ClustersBase` for what it is made of.

    Attributes:
        edit: what the owner does to the list of members.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.edit = Editing(self._identity, self._ours, self._publish)

    # -- what people do

    async def create(self, name: str, *, work: bool = True, cores: int = 0) -> ClusterView:
        """A cluster of ours, whose scheduler starts. Raises UsageError, NoDask."""
        called = clean_name(name)
        if not called or called in RESERVED or any(letter in called for letter in " /@;,:"):
            raise UsageError(
                f"{name[:80]!r} is no name for a cluster",
                advice="Scripts write it as servent://NAME: no spaces, and none of / @ ; , :",
            )
        if any(one.kept.called == called for one in self._all.values()):
            raise UsageError(
                f"there is a cluster {called!r} here", advice="`servent grid cluster up` starts it again."
            )
        self._room()
        id = secrets.token_bytes(rosters.ID_BYTES)
        roster = Roster(id, self._me, called)
        kept = Kept(
            id=id,
            owner=self._me,
            called=called,
            roster=rosters.sign(self._identity, roster),
            up=True,
            work=work,
            cores=cores,
        )
        live = self._all[id] = Live(kept, True, roster)
        await self._keep(live)
        self._set(live)
        self._changed()
        return self._view(live)

    def _needs_dask(self) -> None:
        if not hardware.installed():
            raise NoDask(hardware.NOT_INSTALLED)
        self._versions = hardware.versions()  # it may have come while this node ran

    def _room(self) -> None:
        self._needs_dask()
        if len(self._all) >= MOST_CLUSTERS:
            raise UsageError("this node knows as many clusters as it can", advice="Leave one first.")

    async def change(
        self, name: str, *, up: bool | None = None, work: bool | None = None, cores: int | None = None
    ) -> ClusterView:
        """Start or end the scheduler of a cluster of ours; whether this machine works in it, and with how many cores. Raises as `find`, NoDask."""
        live = self.find(name)
        if up or work:
            self._needs_dask()
        if up is not None:
            self._ours(name)
            live.kept.up = up
        if work is not None:
            if work and live.roster is not None and not live.roster.may(self._me, "worker"):
                raise Refused("the owner does not let this node work there", advice="Ask them.")
            live.kept.work = work
        if cores is not None:
            live.kept.cores = cores
        await self._keep(live)
        self._set(live)
        self._changed()
        return self._view(live)

    async def join(self, link: str, *, work: bool = True, cores: int = 0) -> ClusterView:
        """Be a member of the cluster that `link` leads to; `work`: this machine works in it, which lets its submitters run code here.

        Raises:
            UsageError: no link, or a cluster of our own. Refused: its owner has not named us. NoDask.
        """
        found = links.decode(link)
        if found.owner.peer == self._peers.peer:
            raise UsageError("this cluster is your own", advice="`servent grid cluster up NAME` starts it.")
        if found.cluster in self._all:
            return await self.change(found.cluster.hex(), work=work, cores=cores)
        self._room()
        called = word = links.one_word(found.name)
        while called in RESERVED or any(one.kept.called == called for one in self._all.values()):
            called = f"{word}-{secrets.token_hex(2)}"
        kept = Kept(
            id=found.cluster,
            owner=bytes(found.owner.peer),
            called=called,
            work=work,
            cores=cores,
            owner_at=ticket.pack_address(found.owner),
        )
        live = self._all[kept.id] = Live(kept, False, why="its owner was not met yet")
        self._peers.remember(found.owner)
        self._set_passes()
        self._set(live)
        try:
            async with asyncio.timeout(MEET_WITHIN):
                if live.id in self._visits:
                    await self._visits[live.id].met.wait()
        except TimeoutError:
            log.info("%s: %s", called, live.why)
        if live.refused:
            why = live.why
            await self._drop(live)
            raise Refused(
                why, advice=f"They add you with: servent grid cluster allow {called} {PeerId(self._me)}"
            )
        await self._keep(live)
        self._changed()
        return self._view(live)

    async def remove(self, name: str) -> None:
        """Leave a cluster; one of ours is gone for good, for everybody. Raises as `find`."""
        live = self.find(name)
        if live.id in self._visits:
            await self._visits[live.id].leave()
        await self._drop(live)

    async def _drop(self, live: Live) -> None:
        self._all.pop(live.id, None)
        for what in ("scheduler", "visit", "workers"):
            task = self._running.pop((what, live.id), None)
            if task is not None:
                task.cancel()
        self._visitors.changed(live.id)
        await self._store.write(rows.forget(live.id))
        self._set_passes()
        self._changed()

    async def _member_left(self, live: Live, node: bytes) -> None:
        await self.edit.drop(live.id.hex(), node)

    async def _publish(self, live: Live, roster: Roster) -> None:
        """A new list of members of a cluster of ours."""
        live.roster, live.kept.roster = roster, rosters.sign(self._identity, roster)
        await self._keep(live)
        self._set_passes()
        self._set(live)
        self._visitors.changed(live.id)
        self._changed()

    # -- for processes of ours

    async def papers(self, wish: Wish) -> Papers:
        """As `model.Desk`."""
        live = self.find(wish.cluster)
        if self._blocked(live.kept.owner):
            raise Refused(
                f"the owner of {live.kept.called} is blocked here", advice="`servent unblock` lifts that."
            )
        if live.roster is None or live.kept.roster is None:
            raise WorldError(
                f"the owner of {live.kept.called} was not met yet: {live.why}",
                advice="Is their node running?",
            )
        if not live.roster.may(self._me, wish.role):
            words = {"client": "submit work to", "worker": "work in", "scheduler": "schedule in"}[wish.role]
            raise Refused(
                f"this node may not {words} {live.kept.called}", advice="Its owner can change that."
            )
        sockets, relays = self._reached()
        return Papers(
            cluster=live.id,
            owner=live.kept.owner,
            shown=passes.issue(self._identity, live.id, wish.process, wish.role, self._wall(), wish.name),
            roster=live.kept.roster,
            scheduler=live.scheduler,
            bind=sockets,
            relays=relays,
        )

    async def listening(self, cluster: str, process: bytes, role: Role, address: str) -> None:
        """As `model.Desk`: of processes that are not our own children nothing is to be remembered."""
