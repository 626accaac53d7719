"""Blocks, filters and reports, in the API's words."""

from __future__ import annotations

from servent.api import schema_share as share
from servent.api.part import Part
from servent.api.who import meant
from servent.errors import UsageError
from servent.identity import PeerId
from servent.node import Node
from servent.share import safety


class SafetyPart(Part):
    """`SafetyFace` over a `Node`."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._safety = node.share.safety

    def blocks(self) -> list[share.Block]:
        return [self._block(block) for block in self._safety.blocks()]

    async def block(self, new: share.NewBlock) -> share.Block:
        if (new.content is None) == (new.peer is None):
            raise UsageError("a block is of one content or one peer", advice="Name either of them.")
        if new.content is not None:
            return self._block(
                await self._safety.block_content(bytes.fromhex(new.content), new.name, new.note)
            )
        assert new.peer is not None
        peer = meant(self._node, new.peer)
        return self._block(await self._safety.block_peer(peer, self._name(peer), new.note))

    async def unblock(self, block: str) -> None:
        await self._safety.unblock(block)

    def reports(self) -> list[share.Report]:
        return [self._report(report) for report in self._safety.reports()]

    async def report(self, new: share.NewReport) -> share.Report:
        made = await self._safety.report(
            new.reason,
            content=b"" if new.content is None else bytes.fromhex(new.content),
            peer=None if new.peer is None else meant(self._node, new.peer),
            name=new.name,
            note=new.note,
        )
        return self._report(made)

    def filters(self) -> share.Filters:
        now = self._safety.filters
        kinds = [kind for kind in _KINDS if kind in now.kinds]
        return share.Filters(
            words=list(now.words),
            exts=list(now.exts),
            kinds=kinds,
            max_bytes=now.max_bytes,
            min_bytes=now.min_bytes,
        )

    async def set_filters(self, filters: share.Filters) -> share.Filters:
        await self._safety.set_filters(
            safety.Filters(
                tuple(filters.words),
                tuple(filters.exts),
                tuple(filters.kinds),
                filters.max_bytes,
                filters.min_bytes,
            )
        )
        return self.filters()

    def _name(self, peer: PeerId) -> str:
        view = next((one for one in self._node.peers.view() if one.id == peer), None)
        return "" if view is None else view.petname or view.name

    def _block(self, block: safety.Block) -> share.Block:
        name = block.name
        if block.peer is not None and not name:
            name = self._name(block.peer)
        return share.Block(
            id=block.id,
            content=block.content.hex(),
            peer="" if block.peer is None else str(block.peer),
            name=name,
            note=block.note,
            since=block.since,
        )

    def _report(self, report: safety.Report) -> share.Report:
        return share.Report(
            id=report.id,
            content=report.content.hex(),
            peer="" if report.peer is None else str(report.peer),
            name=report.name,
            reason=report.reason,
            note=report.note,
            by="" if report.by is None else str(report.by),
            mine=report.by is None,
            told=report.told,
            time=report.time,
        )


_KINDS: tuple[share.Kind, ...] = ("audio", "video", "image", "document", "archive", "program", "other")
