"""Feeds of the real node in the API's words."""

from __future__ import annotations

from pathlib import Path

from servent.api import schema_share as share
from servent.api.part import Part
from servent.share.feeds_service import FeedView


class FeedsPart(Part):
    """`face_share.FeedFace`."""

    def feeds(self) -> list[share.Feed]:
        return [self._feed(view) for view in self._node.share.feeds.feeds()]

    async def publish(self, new: share.NewFeed) -> share.Feed:
        feeds = self._node.share.feeds
        return self._feed(await feeds.publish(new.name, Path(new.path), watch=new.watch))

    async def publish_again(self, feed: str) -> share.Feed:
        return self._feed(await self._node.share.feeds.publish_again(feed))

    async def follow(self, request: share.FollowRequest) -> share.Feed:
        to = None if request.to is None else Path(request.to)
        feeds = self._node.share.feeds
        return self._feed(await feeds.follow(request.link, to, auto=request.auto, keep=request.keep))

    async def change_feed(self, feed: str, change: share.FeedChange) -> share.Feed:
        changed = await self._node.share.feeds.change(
            feed, auto=change.auto, watch=change.watch, paused=change.paused, keep=change.keep
        )
        return self._feed(changed)

    async def check_feed(self, feed: str) -> share.Feed:
        return self._feed(await self._node.share.feeds.check(feed))

    async def remove_feed(self, feed: str) -> None:
        await self._node.share.feeds.remove(feed)

    def _feed(self, view: FeedView) -> share.Feed:
        newest = view.newest
        contact = self._node.trust.contact(view.publisher)
        session = self._node.peers.session(view.publisher)
        named = contact.petname if contact is not None else None
        if view.mine:
            named = self._node.name
        reason = view.reason if not view.advice else f"{view.reason} ({view.advice})"
        return share.Feed(
            id=view.id,
            name=view.name,
            mine=view.mine,
            publisher=str(view.publisher),
            publisher_name=named
            or (session.profile.name if session is not None else "")
            or view.publisher.short,
            link=view.link,
            path=view.path,
            state=view.state,
            reason=reason,
            auto=view.auto,
            watch=view.watch,
            keep=view.keep,
            sequence=newest.sequence if newest is not None else 0,
            have=view.have,
            size_bytes=newest.size if newest is not None else 0,
            files=newest.files if newest is not None else 0,
            updated=view.updated,
            checked=view.checked,
            transfer=view.transfer,
            followers=view.followers,
            versions=[
                share.FeedVersion(
                    sequence=version.sequence,
                    published=version.published,
                    infohash=version.infohash.hex(),
                    size_bytes=version.size,
                    files=version.files,
                )
                for version in view.versions
            ],
        )
