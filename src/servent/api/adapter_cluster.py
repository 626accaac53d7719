"""Dask among friends, in the API's words."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from servent.api import schema_cluster as pool
from servent.api import schema_grid as grid
from servent.api.adapter_grid_lend import LendPart
from servent.api.who import meant, unnamed
from servent.cluster.model import Wish
from servent.cluster.service import Clusters
from servent.cluster.views import ClusterView
from servent.codec import encode
from servent.errors import NotFound, UsageError
from servent.identity import PeerId


class ClusterPart(LendPart):
    """`ClusterFace` over a `Node`."""

    @property
    def _clusters(self) -> Clusters:
        return self._node.clusters

    def _told(self, view: ClusterView) -> pool.Cluster:
        fields: dict[str, Any] = msgspec.to_builtins(view, builtin_types=(bytes,))
        for one in (*fields["machines"], *fields["workers"]):
            one["node"] = str(PeerId(one["node"])) if one["node"] else ""
        for one in fields["machines"]:
            one["id"] = one.pop("node")
            one["name"] = one["name"] or self._called(one["id"])
        fields["owner"] = str(PeerId(view.owner))
        fields["owner_name"] = self._called(view.owner)
        return msgspec.convert(fields, pool.Cluster)

    def clusters(self) -> list[pool.Cluster]:
        return [self._told(one) for one in self._clusters.all()]

    def one_cluster(self, name: str) -> pool.Cluster:
        return self._told(self._clusters.view(name))

    async def create_cluster(self, new: pool.NewCluster) -> pool.Cluster:
        made = await self._clusters.create(new.name, work=new.work, cores=new.cores)
        await self._lend(new.work and new.lend)
        return self._told(made)

    async def join_cluster(self, request: pool.JoinCluster) -> pool.Cluster:
        made = await self._clusters.join(request.link, work=request.work, cores=request.cores)
        await self._lend(request.work and request.lend)
        return self._told(made)

    async def _lend(self, on: bool) -> None:
        if on and not self._node.config.grid.lend:
            await self.change_lending(grid.LendChange(on=True))

    async def change_cluster(self, name: str, change: pool.ClusterChange) -> pool.Cluster:
        made = await self._clusters.change(name, up=change.up, work=change.work, cores=change.cores)
        await self._lend(change.work is True)
        return self._told(made)

    async def remove_cluster(self, name: str) -> None:
        await self._clusters.remove(name)

    async def change_member(self, name: str, node: str, change: pool.MemberChange) -> pool.Cluster:
        who = self._member(name, node, gives=bool(change.work or change.submit))
        contact = self._node.trust.contact(PeerId(who))
        if contact is not None and contact.blocked:
            raise UsageError("you have blocked them", advice="`servent unblock` lifts that.")
        await self._clusters.edit.member(
            name, who, work=change.work, submit=change.submit, groups=change.groups
        )
        return self.one_cluster(name)

    async def drop_member(self, name: str, node: str) -> pool.Cluster:
        await self._clusters.edit.drop(name, self._member(name, node, gives=False))
        return self.one_cluster(name)

    def _member(self, name: str, node: str, *, gives: bool) -> bytes:
        """Whom `node` means: by our own name, id, or the beginning of it. What somebody on the list calls themselves counts only where that `gives` them nothing."""
        text = node.strip()
        if text == "me":
            return bytes(self._node.peer)
        on_it = self.one_cluster(name).machines
        try:
            return bytes(self._node.trust.resolve(text, [PeerId.parse(one.id) for one in on_it]))
        except NotFound:
            named = [one for one in on_it if text and one.name == text]
        if len(named) != 1:
            return bytes(meant(self._node, text))
        if gives and not named[0].mine:
            raise unnamed(text, [PeerId.parse(named[0].id)])
        return bytes(PeerId.parse(named[0].id))

    async def change_group(self, name: str, group: str, change: pool.GroupChange) -> pool.Cluster:
        await self._clusters.edit.group(name, group, change.hours)
        return self.one_cluster(name)

    async def drop_group(self, name: str, group: str) -> pool.Cluster:
        await self._clusters.edit.drop_group(name, group)
        return self.one_cluster(name)

    async def cluster_log(self, name: str, query: pool.ClusterLogQuery) -> pool.ClusterLog:
        lines = await self._clusters.log(name, query.process, query.lines)
        return pool.ClusterLog(process=query.process, lines=lines)

    def cluster_door(self, name: str) -> tuple[str, str]:
        return self._clusters.door(name)

    def cluster_doors(self) -> dict[str, str]:
        return self._clusters.doors()

    async def cluster_papers(self, wish: pool.PapersWish) -> pool.ClusterPapers:
        papers = await self._clusters.papers(
            Wish(cluster=wish.cluster, role=wish.role, process=bytes.fromhex(wish.process), name=wish.name)
        )
        return pool.ClusterPapers(papers=base64.b64encode(encode(papers)).decode())
