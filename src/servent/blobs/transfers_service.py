"""Every download of the node: begun, run, paused, remembered; and how it looks."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from servent.blobs import relinking, rows, waiting
from servent.blobs.download_service import Download
from servent.blobs.finishing_service import check_files, discard
from servent.blobs.history import Entry
from servent.blobs.kit_service import Kit
from servent.blobs.listing import describe, is_v1
from servent.blobs.magnet import Magnet, encode, parse_magnet
from servent.blobs.rows import How, Row
from servent.blobs.running_service import Runs
from servent.blobs.shares_service import Shares
from servent.blobs.uploads_service import Upload
from servent.blobs.views import Sums, TransferView, download_view, link_of, upload_id, upload_view
from servent.blobs.who_service import Who
from servent.errors import NotFound, UsageError, WorldError
from servent.identity import PeerId
from servent.store import Store

log = logging.getLogger(__name__)

HISTORY = 200  # transfers that have ended and stay on the list
SAVE_EVERY = 1.0  # s
BREATH = 200  # rows after which a long action lets others run
PLAIN = How()


class Transfers:
    """Owns the downloads: their rows, whose turn it is, and the tasks of those that run.

    Args:
        wall: the wall clock, for what a person is shown.
        told: called when something changed in more than its numbers.

    Attributes:
        turns: which of them run; whoever changes it calls `runs.again`.
        held: why none runs now, as a sentence; "" while they may.
        completed: called with a row that is complete.
        note: called with what belongs into the history.
    """

    def __init__(
        self,
        kit: Kit,
        shares: Shares,
        who: Who,
        store: Store,
        download_dir: Path,
        wall: Callable[[], float],
        told: Callable[[], None],
    ) -> None:
        self._kit, self._shares, self._who, self._store = kit, shares, who, store
        self._uploads, self._clock = kit.uploads, kit.clock
        self._download_dir, self._wall, self._told = download_dir, wall, told
        self.rows: dict[str, Row] = {}
        self._live: dict[tuple[bytes, str], str] = {}  # what is fetched where -> its id
        self._last_order = 0.0
        self.runs = Runs(kit, shares, self)
        self.turns = self.runs.turns
        self.held = ""
        self._dirty: set[str] = set()
        self._dirty_event = asyncio.Event()
        self.completed: Callable[[Row], None] = lambda row: None
        self.note: Callable[[Entry], None] = lambda entry: None

    async def load(self) -> None:
        """What is remembered. Raises DiskTrouble, StoreTrouble."""
        for row in await self._store.read(rows.load):
            self._keep_row(row)

    def _keep_row(self, row: Row) -> None:
        self.rows[row.id] = row
        self._last_order = max(self._last_order, row.order)
        if row.state not in rows.ENDED:
            self._live[row.infohash, row.to] = row.id

    async def run(self) -> None:
        """Go on with what was under way, and run downloads until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._save_loop(), name="save transfers")
            for row in self.rows.values():
                if row.state not in rows.ENDED and row.state != "paused":
                    self._want(row)
            await self.runs.run(tasks)

    async def close(self) -> None:
        """Stop all; unfinished ones go on at the next start."""
        await self.runs.close()
        with contextlib.suppress(WorldError):
            await self.save(self._dirty)

    @property
    def busy(self) -> bool:
        """Whether any download runs."""
        return self.runs.busy

    def _want(self, row: Row, *, verify: bool = False) -> None:
        self._live[row.infohash, row.to] = row.id
        self.runs.want(row, verify=verify)

    # -- fetching

    async def fetch(self, link: str | Magnet, to: Path | None = None, how: How = PLAIN) -> TransferView:
        """Begin to fetch; returns at once. Asking for the same into the same folder finds the same transfer.

        Raises:
            UsageError: no link that we understand.
        """
        found = parse_magnet(link) if isinstance(link, str) else link
        text = link if isinstance(link, str) else encode(found) if found.of_torrent else ""
        if is_v1(found.infohash) and (shut := self._kit.aids.door.shut()) is not None:
            raise shut
        folder = str((to or self._download_dir).expanduser().absolute())
        same = self._live.get((found.infohash, folder)) or self._by_old_name(found, folder)
        if same is not None:
            row = self.rows[same]
            row.contacts += [one for one in found.contacts if one not in row.contacts]
            if relinking.learn(row, found):
                self._kit.aids.door.told(row, found)
                await self._save_soon(row)
            if row.state == "paused":
                await self.resume(row.id)
            return self.view(row.id)
        self._last_order += 1.0
        row = rows.begun(secrets.token_hex(6), found, text, folder, how, self._last_order, self._wall())
        if how.paused:
            row.set("paused", "you have not started it yet")
        self._keep_row(row)
        if not how.paused:
            self._want(row)
        await self._save_soon(row)
        return self.view(row.id)

    def _by_old_name(self, link: Magnet, folder: str) -> str | None:
        there = (self.rows[id] for (_, to), id in self._live.items() if to == folder)
        return next((row.id for row in there if relinking.is_hybrid(row, link)), None)

    # running_service.Owner

    def failed(self, row: Row) -> None:
        row.finished = row.finished or self._wall()
        self._ended(row)
        self._dirty.add(row.id)
        self._dirty_event.set()
        self._told()

    def over(self, row: Row, download: Download) -> None:
        if row.state == "complete":
            self.completed(row)
        if row.state in rows.ENDED:
            row.finished = row.finished or self._wall()
            self._ended(row, download)

    def _ended(self, row: Row, download: Download | None = None) -> None:
        """It belongs to the history now."""
        self._live.pop((row.infohash, row.to), None)
        if row.preview:
            return
        moved = int(download.meter.total) if download is not None else 0
        peers = [self._who.name(one) for one in download.gave] if download is not None else []
        self.note(
            Entry(
                row.id,
                "down",
                row.name,
                row.state,
                row.size_bytes,
                moved,
                row.link or link_of(row.infohash, row.name, row.info),
                row.path,
                tuple(peers),
                row.started,
                row.finished or self._wall(),
                row.error or "",
            )
        )

    async def choose(self, id: str, wanted: Sequence[int] | None) -> None:
        """Fetch these files of the collection and leave out the others; None: all of them.

        What is complete already stays where it is. Raises NotFound, UsageError: no such files.
        """
        row = self.row(id)
        if (download := self.runs.get(id)) is not None and download.over:
            await self.runs.end_of([row])
        count = row.files or (len(describe(row.info, row.infohash).files) if row.info is not None else 0)
        if not count:
            raise UsageError("the list of files is not here yet", advice="Try again when it is.")
        chosen = sorted(set(range(count) if wanted is None else wanted))
        if not chosen or chosen[-1] >= count:
            raise UsageError(
                f"choose at least one of files 0 to {count - 1}", advice="Or cancel the transfer."
            )
        before = set(range(count) if row.wanted is None else row.wanted)
        if row.state == "cancelled":
            raise UsageError("this transfer was cancelled", advice="Resume it first.")
        row.wanted = None if len(chosen) == count and row.state != "complete" else chosen
        if (download := self.runs.get(id)) is not None:
            download.choose()
        elif row.info is not None:
            row.describe(describe(row.info, row.infohash))
            if row.state == "complete" and set(chosen) - before:
                row.set("connecting", "more files were chosen")
                row.finished = None
                self._want(row)
        await self.save([id])
        self._told()

    def download_of(self, id: str) -> tuple[Row, Download | None]:
        """A download's row, and its run while it runs. Raises NotFound."""
        row = self.row(id)
        return row, self.runs.get(id)

    def previews(self) -> list[Row]:
        """Those that are to leave by themselves."""
        return [row for row in self.rows.values() if row.preview]

    def views(self) -> list[TransferView]:
        """Everything that moves, waits, or has ended lately: downloads, then uploads."""
        return self.some(self.ids())

    def ids(self) -> list[str]:
        """Of all of them, in that order. Cheap: nothing of a transfer is looked at."""
        return [*self.rows, *map(upload_id, self._shown())]

    def some(self, ids: Sequence[str]) -> list[TransferView]:
        """Those of `ids` that there still are, in that order."""
        now = self._clock()
        uploads = {}
        if any(id.startswith("up-") for id in ids):
            uploads = {upload_id(one): one for one in self._uploads.uploads.values()}
        found, etas = [], self.runs.etas(now)
        for id in ids:
            if (row := self.rows.get(id)) is not None:
                found.append(self._view(row, now, etas))
            elif (upload := uploads.get(id)) is not None:
                found.append(upload_view(upload, now, self._who.name, self._who.path))
        return found

    def sums(self) -> Sums:
        """All of them in five numbers, without looking at each as closely as `views`."""
        now = self._clock()
        uploads = self._shown()
        active = [row for row in self.rows.values() if row.state == "active"]
        running = [one for row in active if (one := self.runs.get(row.id)) is not None]
        sending = [one for one in uploads if one.slot]
        ended = sum(row.state in rows.ENDED for row in self.rows.values())
        return Sums(
            down_bytes_per_s=sum(one.meter.rate(now) for one in running),
            up_bytes_per_s=sum(one.meter.rate(now) for one in sending),
            active=len(active) + len(sending),
            waiting=len(self.rows) - ended - len(active) + len(uploads) - len(sending),
            done=sum(row.state == "complete" for row in self.rows.values()),
        )

    def _shown(self) -> list[Upload]:
        everything = self._uploads.uploads.values()
        return [one for one in everything if (one.interested or one.lane) and not one.holding.aside]

    def view(self, id: str) -> TransferView:
        """One of them. Raises NotFound."""
        if id in self.rows:
            return self._view(self.rows[id], self._clock())
        for view in self.some([id]):
            return view
        raise NotFound(f"no transfer is called {id[:40]!r}", advice="`servent transfers` lists them.")

    def row(self, id: str) -> Row:
        """A download. Raises NotFound; UsageError: an upload."""
        if id not in self.rows:
            if id.startswith("up-"):
                raise UsageError(
                    "an upload belongs to whoever fetches it", advice="`servent limits` slows it."
                )
            raise NotFound(f"no transfer is called {id[:40]!r}", advice="`servent transfers` lists them.")
        return self.rows[id]

    # -- for one

    async def pause(self, id: str) -> None:
        """Stop moving bytes for now; what is there stays. Raises NotFound."""
        await self.pause_all([self.row(id)])

    async def resume(self, id: str) -> None:
        """Go on where it stopped. Raises NotFound."""
        await self.resume_all([self.row(id)])

    async def verify(self, id: str) -> None:
        """Read everything that is there again and fetch afresh what is wrong. Raises NotFound."""
        row = self.row(id)
        if row.state == "complete":
            shared = self._shares.path(row.share)  # None: fetched for us alone, or shared no longer
            if shared is None or row.path is None or shared != Path(row.path):
                await asyncio.to_thread(check_files, row)
            else:
                await self._shares.verify(row.share)
            return
        await self.runs.halt([row])
        self._want(row, verify=True)
        row.set("checking", "waits for its turn to be read again")

    async def cancel(self, id: str) -> None:
        """End it and delete what was fetched; a complete one stays as it is. Raises NotFound."""
        await self.cancel_all([self.row(id)])

    async def remove(self, id: str) -> None:
        """Take it off the list, cancelled first when it is not complete; complete files stay. Raises NotFound."""
        await self.remove_all([self.row(id)])

    # -- for many; none of them blocks the loop for long

    async def pause_all(self, chosen: Sequence[Row]) -> None:
        """Pause those that can be."""
        live = [row for row in chosen if row.state not in rows.ENDED and row.state != "paused"]
        await self.runs.halt(live)
        await self._for_each(live, _pause)
        await self.save([row.id for row in live])
        self._told()

    async def resume_all(self, chosen: Sequence[Row]) -> None:
        """Let go on those that can."""
        still = [row for row in chosen if row.state in ("paused", "failed", "cancelled")]
        await self.runs.end_of(still)  # they paused themselves and are still closing their files

        def go_on(row: Row) -> None:
            row.finished = None
            self._want(row)

        await self._for_each(still, go_on)
        await self.save([row.id for row in still])
        self._told()

    async def cancel_all(self, chosen: Sequence[Row]) -> None:
        """End those that are not complete, and delete what was fetched of them."""
        live = [row for row in chosen if row.state not in ("complete", "cancelled")]
        await self.runs.halt(live)
        live = [row for row in live if row.state != "complete"]

        def end(row: Row) -> None:
            row.set("cancelled", "you cancelled it")
            row.done_bytes, row.finished = 0, self._wall()
            self._ended(row)

        await self._for_each(live, end)
        self._told()
        touched = [row for row in live if row.touched]
        if touched:
            for row, said in zip(touched, await asyncio.to_thread(_discard, touched), strict=True):
                row.reason, row.touched = said, False
        await self.save([row.id for row in live])

    async def remove_all(self, chosen: Sequence[Row]) -> None:
        """Take them off the list, cancelled first; complete files stay."""
        await self.cancel_all(chosen)
        for row in chosen:
            self.rows.pop(row.id, None)
        await self._store.write(rows.writer([], [row.id for row in chosen]))
        self._told()

    async def _for_each(self, chosen: Sequence[Row], do: Callable[[Row], object]) -> None:
        for at in range(0, len(chosen), BREATH):
            for row in chosen[at : at + BREATH]:
                do(row)
            if len(chosen) > BREATH:
                await asyncio.sleep(0)

    async def at_rest(self, id: str, work: Callable[[Row], Awaitable[None]]) -> None:
        """Do `work` while the download does not run; it goes on afterwards if it did. Raises NotFound."""
        row = self.row(id)
        goes_on = row.state not in rows.ENDED and row.state != "paused"
        self._live.pop((row.infohash, row.to), None)
        if goes_on:
            await self.runs.halt([row])
        try:
            await work(row)
        finally:
            if goes_on and row.state not in rows.ENDED:
                self._want(row)
            elif row.state not in rows.ENDED:
                self._live[row.infohash, row.to] = row.id
            await self.save([id])
            self._told()

    async def order(
        self,
        id: str,
        *,
        priority: rows.Priority | None = None,
        place: int | None = None,
        foreground: bool | None = None,
        in_order: bool | None = None,
    ) -> None:
        """Change how one is fetched. `place`: 0 is the front of its priority. Raises NotFound."""
        row = self.row(id)
        row.priority = priority or row.priority
        level = rows.LEVELS[row.priority]
        if place is not None:
            row.order = self.turns.order_at(id, level, place)
        row.foreground = row.foreground if foreground is None else foreground
        row.in_order = row.in_order if in_order is None else in_order
        if row.state not in rows.ENDED and row.state != "paused":
            self.turns.want(id, level, row.order, at_once=row.at_once)
            self.runs.again()
        if (download := self.runs.get(id)) is not None:
            download.choose()
            if download.intake is not None:
                download.intake.foreground = row.foreground
        await self.save([id])
        self._told()

    def say(self) -> None:
        """Something changed that a person sees."""
        self._told()

    def remark(self, row: Row, words: str) -> None:
        """Something to say of a row that is complete."""
        if row.state == "complete":
            row.reason = words
            self._dirty.add(row.id)
            self._dirty_event.set()
            self._told()

    def changed(self, download: Download) -> None:
        self._dirty.add(download.row.id)
        self._dirty_event.set()
        self._told()

    async def introduce(self, contact: str) -> PeerId:
        """See `Who.introduce`."""
        return await self._who.introduce(contact)

    # -- keeping

    async def _save_loop(self) -> None:
        while True:
            await self._dirty_event.wait()
            await asyncio.sleep(SAVE_EVERY)
            self._dirty_event.clear()
            dirty, self._dirty = list(self._dirty), set()
            try:
                await self.save(dirty)
            except WorldError as wrong:
                log.warning("transfers are not remembered: %s", wrong)

    async def _save_soon(self, row: Row) -> None:
        """One alone is written at once; of many that come together, all together."""
        if self._dirty:
            self._dirty.add(row.id)
            return
        await self.save([row.id])
        self._dirty.add(row.id)
        self._dirty_event.set()

    async def save(self, ids: Iterable[str]) -> None:
        """Write these down. Raises DiskTrouble, StoreTrouble."""
        old = []
        if len(self.rows) - len(self._live) > HISTORY:
            old = [row.id for row in self.rows.values() if row.state in rows.ENDED][:-HISTORY]
        for id in old:
            del self.rows[id]
        values: list[rows.Packed] = []
        await self._for_each(
            [self.rows[id] for id in ids if id in self.rows], lambda row: values.append(rows.packed(row))
        )
        await self._store.write(rows.writer(values, old))

    # -- words

    def _view(self, row: Row, now: float, etas: list[float] | None = None) -> TransferView:
        download = self.runs.get(row.id)
        waits = download is None and row.state in ("queued", "checking")
        place = self.turns.place(row.id) if waits else None
        reason = row.reason
        if waits:
            soon = self.runs.etas(now) if etas is None else etas
            reason = self.held or waiting.reason(place, self.turns, now, soon)
        return download_view(row, download, now, self._who.name, self._who.path, place, reason)


def _discard(chosen: Sequence[Row]) -> list[str]:
    return [discard(row) for row in chosen]


def _pause(row: Row) -> None:
    if row.state not in rows.ENDED:
        row.set("paused", "you paused it")
