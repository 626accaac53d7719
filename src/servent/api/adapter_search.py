"""Search, browse and recommendations of the real node in the API's words."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from servent.api import schema_share as share
from servent.api.part import Part
from servent.query.kinds import KINDS
from servent.query.texts import ext
from servent.query.words import shown
from servent.share import search_service, wire
from servent.share.folding import Hit, Source
from servent.share.shelves import Ask


class SearchPart(Part):
    """`SearchFace` over a `Node`."""

    async def search(self, query: share.SearchQuery) -> AsyncGenerator[share.SearchEvent]:
        """Closing the iterator ends the search everywhere."""
        network = self._node.trust.network(query.network).key if query.network else None
        events = self._node.share.search.search(
            query.q,
            scope=query.scope,
            peer=query.peer,
            network=network,
            limit=query.limit,
            wait=query.wait,
        )
        async with aclosing(events):
            async for event in events:
                yield _event(event)

    async def browse(self, peer: str, query: share.BrowseQuery) -> share.Listing:
        node = self._node
        whom = node.share.finding.resolve(peer)
        ask = Ask(query.offset, query.limit, query.sort, query.down, query.filter)
        page = await node.share.browse.page(whom, query.path, ask)
        mine = whom == node.peer
        contents = [row.content for row in page.rows if row.content]
        here = set(contents) if mine else await node.share.browse.known(contents)
        return share.Listing(
            peer=str(whom),
            name=node.name if mine else node.share.finding.name(whom),
            path=query.path,
            entries=[
                _entry(row, row.content in here, "" if mine else self._hidden(row)) for row in page.rows
            ],
            offset=query.offset,
            total=page.total,
            files=page.files,
            size_bytes=page.size,
            partial=page.partial,
        )

    def _hidden(self, row: wire.Row) -> str:
        """Why the search does not show a file of somebody."""
        return (
            "" if row.folder else self._node.share.safety.hides(row.content, row.name, _kind(row), row.size)
        )

    async def recommendations(self, page: share.Page) -> list[share.Recommendation]:
        found = await self._node.share.browse.recommendations(page.offset, page.limit)
        return [
            share.Recommendation(hit=hit_of(one.hit), because=one.because, score=one.score) for one in found
        ]


def hit_of(hit: Hit) -> share.Hit:
    """A find in the API's words."""
    return share.Hit(
        content=hit.content.hex(),
        name=hit.name,
        kind=hit.kind,
        size_bytes=hit.size,
        ext=ext(hit.name),
        tags=dict(hit.tags),
        sources=[_source(one) for one in hit.sources],
        score=hit.score,
        here=hit.here,
    )


def _source(one: Source) -> share.HitSource:
    return share.HitSource(
        peer=str(one.at.peer),
        name=shown(one.at.name, 64),
        path=one.path,
        mine=one.at.mine,
        friend=one.at.friend,
        free=one.at.free,
        queue=one.at.queue,
        modified=one.modified or None,
        network=shown(one.at.network, 64),
        reachable=True if one.at.mine else one.at.reachable,
    )


def _event(event: search_service.Event) -> share.SearchEvent:
    match event:
        case Hit():
            return share.SearchEvent(kind="hit", hit=hit_of(event))
        case search_service.Told():
            return share.SearchEvent(
                kind="peer",
                peer=str(event.peer),
                name=shown(event.name, 64),
                hits=event.hits,
                asked=event.asked,
                answered=event.answered,
                more=event.more,
                reason=shown(event.reason, 300),
            )
        case search_service.Networked():
            return share.SearchEvent(
                kind="network",
                network=shown(event.network, 64),
                asked=event.asked,
                answered=event.answered,
                messages=event.messages,
                over=event.over,
                sampled=event.sampled,
                reason=shown(event.reason, 300),
            )
        case search_service.Done():
            return share.SearchEvent(
                kind="done",
                hits=event.hits,
                asked=event.asked,
                answered=event.answered,
                more=event.more,
                took_ms=round(event.took * 1000, 1),
            )


def _kind(row: wire.Row) -> share.Kind:
    return KINDS[row.kind] if row.kind < len(KINDS) else "other"


def _entry(row: wire.Row, here: bool, blocked: str) -> share.Entry:
    return share.Entry(
        name=shown(row.name),
        folder=row.folder,
        size_bytes=row.size,
        files=row.files,
        content=row.content.hex(),
        kind=_kind(row),
        tags={
            shown(name, 32): shown(tag, 300) if isinstance(tag, str) else tag
            for name, tag in row.tags.items()
        },
        modified=row.modified or None,
        here=here and bool(row.content),
        blocked=shown(blocked, 300),
    )
