"""Shares, downloads and limits of the real node in the API's words."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from servent.api import schema, settings
from servent.api.part import Part
from servent.blobs.rows import How
from servent.blobs.views import Limits, ShareView, SourceView, TransferView
from servent.errors import ServentError, UsageError
from servent.net import ticket as tickets
from servent.node import Node
from servent.query.words import shown

log = logging.getLogger("servent.api")

MOST_BEGUN = 1000
SETTLE = 1.0  # s a fresh node is given to find its relay before its first link names it


class Files(Part):
    """The half of `Face` that is about files."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._begun: dict[str, str] = {}  # ids given out while hashing, and what they are of

    # shares

    def shares(self) -> list[schema.Share]:
        contact = self._contact()
        return [self._share(view, contact) for view in self._node.blobs.shares()]

    async def add_share(self, path: str, *, wait: bool) -> schema.Share:
        await self._node.address(settle=SETTLE)
        if wait:
            view = await self._node.blobs.add(Path(path))
        else:
            view = self._node.blobs.begin_add(Path(path))
            self._begun[view.id] = view.path
            if len(self._begun) > MOST_BEGUN:
                del self._begun[next(iter(self._begun))]
        return self._share(view, self._contact())

    def begun_share(self, share: str) -> schema.Share | None:
        path = self._begun.get(share)
        return next((one for one in self.shares() if one.path == path), None) if path else None

    async def remove_share(self, share: str) -> None:
        await self._node.blobs.remove_share(share)

    def _contact(self) -> str:
        """How to reach us, for links: no secret in it, so a link lets nobody in who was not let in before."""
        return tickets.encode(tickets.Ticket(self._node.endpoint.address(), self._node.name))

    def _share(self, view: ShareView, contact: str) -> schema.Share:
        link = ""
        if view.infohash is not None and view.state == "ready":
            link = self._node.blobs.link(view.infohash, [contact])
        skipped = "; ".join(f"{path}: {why}" for path, why in view.skipped[:5])
        reason = view.reason or (f"left out {len(view.skipped)} ({skipped})" if view.skipped else "")
        return schema.Share(
            id=view.id,
            name=view.name,
            path=view.path,
            state=view.state,
            link=link,
            infohash=view.infohash.hex() if view.infohash is not None else "",
            size_bytes=view.size_bytes,
            files=view.files,
            progress=view.progress,
            reason=reason,
            uploaded_bytes=view.uploaded_bytes,
        )

    # transfers

    async def download(self, link: str, to: str | None, files: Sequence[str] = ()) -> schema.Transfer:
        how = How(patterns=files)
        return transfer_of(await self._node.blobs.fetch(link, None if to is None else Path(to), how))

    def transfers(self) -> list[schema.Transfer]:
        return [transfer_of(view) for view in self._node.blobs.transfers()]

    def some_transfers(self, ids: Sequence[str]) -> list[schema.Transfer]:
        return [transfer_of(view) for view in self._node.blobs.some_transfers(ids)]

    def transfer_ids(self) -> list[str]:
        return self._node.blobs.transfer_ids()

    async def pause(self, transfer: str) -> None:
        await self._node.blobs.pause(transfer)

    async def resume(self, transfer: str) -> None:
        await self._node.blobs.resume(transfer)

    async def cancel(self, transfer: str) -> None:
        await self._node.blobs.cancel(transfer)

    async def verify(self, transfer: str) -> None:
        await self._node.blobs.verify(transfer)

    async def remove_transfer(self, transfer: str) -> None:
        await self._node.blobs.remove(transfer)

    # limits

    def limits(self) -> schema.Limits:
        now = self._node.blobs.limits()
        return schema.Limits(
            up_bytes_per_s=_whole(now.up_bytes_per_s),
            down_bytes_per_s=_whole(now.down_bytes_per_s),
            per_peer_up_bytes_per_s=_whole(now.per_peer_up_bytes_per_s),
            per_peer_down_bytes_per_s=_whole(now.per_peer_down_bytes_per_s),
            upload_slots=now.upload_slots,
        )

    async def set_limits(self, limits: schema.Limits) -> None:
        """In force at once, and in config.toml for the next start."""
        slots = limits.upload_slots or self._node.blobs.limits().upload_slots
        if slots > 256:
            raise UsageError("at most 256 upload slots", advice="More peers at once make each of them slow.")
        rates = {
            "up_bytes_per_s": limits.up_bytes_per_s,
            "down_bytes_per_s": limits.down_bytes_per_s,
            "per_peer_up_bytes_per_s": limits.per_peer_up_bytes_per_s,
            "per_peer_down_bytes_per_s": limits.per_peer_down_bytes_per_s,
        }
        await self._node.blobs.set_limits(Limits(**rates, upload_slots=slots))
        kept: dict[str, Any] = {f"blobs.{name}": rate for name, rate in rates.items()}
        try:
            await asyncio.to_thread(
                settings.change, self._node.data_dir, {**kept, "blobs.upload_slots": slots}
            )
        except (ServentError, OSError) as wrong:
            log.warning("the limits hold until the node stops; they could not be written: %s", wrong)


def _whole(rate: float | None) -> int | None:
    return None if rate is None else max(1024, int(rate))


def transfer_of(view: TransferView) -> schema.Transfer:
    """A transfer in the API's words."""
    return schema.Transfer(
        id=view.id,
        direction=view.direction,
        name=shown(view.name),
        state=view.state,
        link=view.link,
        infohash=view.infohash.hex(),
        peers=len(view.sources),
        reason=view.reason,
        size_bytes=view.size_bytes,
        done_bytes=view.done_bytes,
        rate_bytes_per_s=round(view.rate_bytes_per_s),
        eta_s=None if view.eta is None else round(view.eta, 1),
        files=view.files,
        sources=[_source(source) for source in view.sources],
        started=view.started,
        finished=view.finished,
        path=view.path,
        error=view.error,
        advice=view.advice,
        checking=view.checking,
        priority=view.priority,
        place=view.place,
        foreground=view.foreground,
        in_order=view.in_order,
        wanted_files=view.wanted_files,
        preview=view.preview,
        content=view.content,
    )


def _source(view: SourceView) -> schema.Source:
    return schema.Source(
        peer=str(view.peer),
        name=view.name,
        path="direct" if view.path == "direct" else "relayed" if view.path == "relayed" else None,
        lane="tcp" if view.lane == "tcp" else "quic" if view.lane == "quic" else None,
        rate_bytes_per_s=round(view.rate_bytes_per_s),
        state=view.state,
        position=view.position,
        reason=view.reason,
        bytes=view.bytes,
    )
