"""The queue, its limits and its history of the real node in the API's words."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from servent.api import schema, settings
from servent.api import schema_getting as getting
from servent.api.adapter_files import transfer_of
from servent.api.part import Part
from servent.api.who import meant
from servent.blobs.history import Entry
from servent.blobs.queueing import PeerRates, Queue
from servent.blobs.schedule import Rule, minute_of
from servent.errors import NotFound, ServentError
from servent.identity import PeerId
from servent.node import Node

log = logging.getLogger("servent.api")


class QueuePart(Part):
    """`QueueFace` over a `Node`."""

    async def change_transfer(self, transfer: str, change: getting.TransferChange) -> schema.Transfer:
        blobs = self._node.blobs
        await blobs.order(
            transfer,
            priority=change.priority,
            place=change.place,
            foreground=change.foreground,
            in_order=change.in_order,
        )
        if change.to is not None or change.name is not None:
            await blobs.move(transfer, None if change.to is None else Path(change.to), change.name)
        return transfer_of(blobs.transfer(transfer))

    async def act_on_many(self, many: getting.ManyTransfers) -> getting.ManyDone:
        done, failed = await self._node.blobs.act(many.action, many.ids)
        return getting.ManyDone(done=done, failed=failed)

    async def history(self, query: getting.HistoryQuery) -> getting.History:
        found, total = await self._node.blobs.history(query.q, query.direction, query.offset, query.limit)
        return getting.History(entries=[_entry(one) for one in found], total=total)

    async def clear_history(self) -> None:
        await self._node.blobs.clear_history()

    def queue(self) -> getting.Queue:
        node = self._node
        queue, polite = node.blobs.queue(), node.config.blobs
        return getting.Queue(
            most_active=queue.most_active,
            schedule=[
                getting.ScheduleRule(
                    days=sorted(rule.days),
                    begin=_clock(rule.begin),
                    end=_clock(rule.end),
                    up_bytes_per_s=_whole(rule.up),
                    down_bytes_per_s=_whole(rule.down),
                    pause=rule.pause,
                )
                for rule in queue.schedule
            ],
            peers=[
                getting.PeerLimit(
                    peer=str(peer), up_bytes_per_s=_whole(rates.up), down_bytes_per_s=_whole(rates.down)
                )
                for peer, rates in queue.peers.items()
            ],
            polite=polite.polite,
            target_ms=polite.target_ms,
            on_complete=queue.on_complete,
            now=_now(node),
            alternative=queue.alternative,
            alternative_up_bytes_per_s=_whole(queue.alternative_up),
            alternative_down_bytes_per_s=_whole(queue.alternative_down),
        )

    async def set_queue(self, queue: getting.Queue) -> getting.Queue:
        """In force at once, and in config.toml for the next start."""
        node = self._node
        fresh = Queue(
            queue.most_active,
            tuple(
                Rule(
                    frozenset(rule.days),
                    minute_of(rule.begin),
                    minute_of(rule.end),
                    rule.up_bytes_per_s,
                    rule.down_bytes_per_s,
                    rule.pause,
                )
                for rule in queue.schedule
                if rule.pause or rule.up_bytes_per_s or rule.down_bytes_per_s
            ),
            {
                _whom(self._node, one.peer): PeerRates(one.up_bytes_per_s, one.down_bytes_per_s)
                for one in queue.peers
                if one.up_bytes_per_s or one.down_bytes_per_s
            },
            queue.on_complete.strip(),
            queue.alternative,
            queue.alternative_up_bytes_per_s,
            queue.alternative_down_bytes_per_s,
        )
        node.blobs.set_queue(fresh)
        node.blobs.polite.change(enabled=queue.polite, target=queue.target_ms / 1000)
        node.config.blobs.polite, node.config.blobs.target_ms = queue.polite, queue.target_ms
        kept = {**fresh.written(), "blobs.polite": queue.polite, "blobs.target_ms": queue.target_ms}
        try:
            await asyncio.to_thread(settings.change, node.data_dir, kept)
        except (ServentError, OSError) as wrong:
            log.warning("the queue's rules hold until the node stops; they could not be written: %s", wrong)
        return self.queue()


def _whom(node: Node, text: str) -> PeerId:
    try:
        return meant(node, text)
    except NotFound:
        return PeerId.parse(text)  # one that is away


def _entry(entry: Entry) -> getting.HistoryEntry:
    return getting.HistoryEntry(
        id=entry.id,
        direction=entry.direction,
        name=entry.name,
        state=entry.state,
        size_bytes=entry.size_bytes,
        moved_bytes=entry.moved_bytes,
        link=entry.link,
        path=entry.path,
        peers=list(entry.peers),
        started=entry.started,
        finished=entry.finished,
        error=entry.error,
    )


def _now(node: Node) -> str:
    """What holds: the limits, and whether background transfers give way to something at this moment."""
    words, polite = node.blobs.queue_words, node.blobs.polite.view()
    if not node.config.blobs.polite:
        return words
    if polite.realtime:
        return f"{words}; something real-time uses the line, and transfers in the background give way"
    held = [
        f"{way} {view.rate / 1000:.0f} kB/s"
        for way, view in (("up", polite.up), ("down", polite.down))
        if polite.active and view.queue is not None and view.queue > node.config.blobs.target_ms / 1000
    ]
    if held:
        return f"{words}; something else uses the line, transfers in the background hold back to {', '.join(held)}"
    return words


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def _whole(rate: float | None) -> int | None:
    return None if rate is None else max(1024, int(rate))
