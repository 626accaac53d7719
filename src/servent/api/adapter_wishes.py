"""The wish list in the API's words."""

from __future__ import annotations

from typing import Any, get_args

from servent.api import schema_share as share
from servent.api.part import Part
from servent.identity import PeerId
from servent.node import Node
from servent.query.texts import ext
from servent.query.words import shown
from servent.share.wishes import Match, Settings, Wish


class WishesPart(Part):
    """`WishFace` over a `Node`."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._wishes = node.share.wishes

    def wishes(self) -> list[share.Wish]:
        return [self._wish(wish) for wish in self._wishes.wishes()]

    async def add_wish(self, new: share.NewWish) -> share.Wish:
        settings = Settings(new.q, new.auto, new.max_bytes, new.most, self._keys(new.peers), new.to)
        return self._wish(await self._wishes.add(settings))

    async def change_wish(self, wish: str, change: share.WishChange) -> share.Wish:
        changes: dict[str, Any] = {
            name: value
            for name in ("q", "auto", "max_bytes", "most", "to", "paused")
            if (value := getattr(change, name)) is not None
        }
        if change.peers is not None:
            changes["peers"] = self._keys(change.peers)
        return self._wish(await self._wishes.change(wish, seen=bool(change.seen), **changes))

    async def remove_wish(self, wish: str) -> None:
        await self._wishes.remove(wish)

    async def wish_matches(self, wish: str, page: share.Page) -> list[share.WishMatch]:
        found = sorted(self._wishes.wish(wish).matches.values(), key=lambda match: (-match.found, match.name))
        return [self._match(match) for match in found[page.offset : page.offset + page.limit]]

    def _keys(self, names: list[str]) -> tuple[bytes, ...]:
        return tuple(bytes(self._node.share.finding.resolve(name)) for name in names)

    def _wish(self, wish: Wish) -> share.Wish:
        settings = wish.settings
        return share.Wish(
            id=wish.id,
            q=settings.q,
            auto=settings.auto,
            max_bytes=settings.max_bytes,
            most=settings.most,
            peers=[str(PeerId(peer)) for peer in settings.peers],
            to=settings.to,
            paused=settings.paused,
            matches=len(wish.matches),
            new=wish.new,
            fetched=settings.fetched,
            created=settings.created,
            last_match=wish.last_match,
            last_asked=wish.asked,
            reason=self._wishes.reason(wish),
        )

    def _match(self, match: Match) -> share.WishMatch:
        finding, safety = self._node.share.finding, self._node.share.safety
        sources = []
        for one in match.sources:
            peer = PeerId(one.peer)
            mine = peer == self._node.peer
            name = self._node.name if mine else finding.name(peer)
            sources.append(
                share.HitSource(
                    peer=str(peer),
                    name=shown(name, 64),
                    path=one.path,
                    mine=mine,
                    friend=not mine and finding.friend(peer),
                    modified=one.modified or None,
                )
            )
        kind: share.Kind = next((kind for kind in get_args(share.Kind) if kind == match.kind), "other")
        transfer = match.transfer if match.transfer != "…" else ""
        return share.WishMatch(
            hit=share.Hit(
                content=match.content.hex(),
                name=match.name,
                kind=kind,
                size_bytes=match.size,
                ext=ext(match.name),
                tags=dict(match.tags),
                sources=sources,
                here=match.here,
                blocked=safety.hides(match.content, match.name, match.kind, match.size),
            ),
            found=match.found,
            seen=match.seen,
            transfer=transfer,
        )
