"""Serving: who may have what, who has a slot, and the control streams of those who fetch from us."""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from servent.blobs import wire
from servent.blobs.info import Collection
from servent.blobs.lanes_intake import Mailbox
from servent.blobs.lanes_listen import Listener
from servent.blobs.lanes_pace import Pace
from servent.blobs.lanes_serve import serve_quic
from servent.blobs.pieces import Bits
from servent.blobs.resolving_service import Resolved
from servent.blobs.seed import PieceSource
from servent.blobs.slots import Effect, Ended, Granted, Queued, Rejected, Slots
from servent.codec import frame, write_frame
from servent.errors import BadMessage, ConnectionLost
from servent.identity import PeerId
from servent.limits import RateMeter
from servent.net.links import Stream
from servent.net.session import Session
from servent.trust.service import TrustService

log = logging.getLogger(__name__)

REFUSAL = wire.Refuse("not available here")  # the same for "no such thing" and "not for you"
OPEN_LIMIT = 5.0  # s for the first frame of a stream
BEAT = 0.25  # s between two looks at what there is to tell
GRACE = 30.0  # s a TCP lane may go on without its control stream
CLIENTS_MOST = 1024  # peers times collections
QUIC_LANES_MOST = 8  # of one upload; a fetcher of ours opens four
GOODBYE = 1.0  # s for whom we tell that it is over to read that
EARLY_MOST = 64  # things we have not that somebody asked for, and who for each
MESSAGES_MOST = 64  # notices that wait for a slow reader; then the stream ends


Notices = asyncio.Queue[wire.FromServer | None]  # None ends the control stream


@dataclass(eq=False, slots=True)
class Holding:
    """A collection we have, whole or in part. `source` is replaced when a download is finished.

    Attributes:
        upset: called once when its files cannot be read any more, with why.
        allowed: who may have it, beside the grant for the service; asked again whenever rights change.
        uploaded_bytes: to everybody since the start.
        called: what people call it, where the collection's name is none (see `blobs.canonical`).
        guests: also for whom a pass alone lets in, where `allowed` says so.
        aside: of another room: not shown among the person's transfers.
    """

    collection: Collection
    source: PieceSource
    upset: Callable[[str], None] = lambda why: None
    wanted_by: Callable[[PeerId], None] = lambda peer: None
    allowed: Callable[[PeerId], bool] = lambda peer: True
    uploaded_bytes: int = 0
    called: str = ""
    guests: bool = False
    aside: bool = False

    @property
    def name(self) -> str:
        return self.called or self.collection.name

    @property
    def have(self) -> Bits:
        return Bits.parse(self.source.bitfield(), self.collection.pieces)

    @property
    def complete(self) -> bool:
        return self.have.complete


@dataclass(eq=False, slots=True)
class Upload:
    """One peer that fetches one collection. The lanes' threads read `slot` and `source`, and count with `sent`."""

    peer: PeerId
    holding: Holding
    mail: Mailbox
    since: float
    key: bytes = b""
    foreground: bool = False  # a person waits for it: not held back for others on the line
    slot: bool = False
    interested: bool = False
    state: str = "idle"
    reason: str = ""
    position: int | None = None
    lane: str = ""
    sent_bytes: int = 0
    settled_bytes: int = 0
    meter: RateMeter = field(default_factory=RateMeter)
    told: int | None = None  # the pieces we told it of, as bits; None: it did not ask
    control: Notices | None = None
    gone_since: float | None = None
    talk: asyncio.Task[None] | None = None  # of the control stream that counts
    lanes: set[asyncio.Task[None]] = field(default_factory=set)  # over QUIC
    awaits_token: bool = False

    @property
    def source(self) -> PieceSource:
        return self.holding.source

    def sent(self, size: int) -> None:
        self.sent_bytes += size  # one writer at a time per lane; a lost count would only bend a display

    def broken(self, why: str) -> None:
        self.mail.post(self.holding.upset, why)


class Uploads:
    """Owns what we offer, the upload slots, and every `Upload`.

    Args:
        listener: of the bulk lane; None: only QUIC.
    """

    def __init__(
        self,
        trust: TrustService,
        slots: Slots,
        pace: Pace,
        mail: Mailbox,
        pool: ThreadPoolExecutor,
        listener: Listener | None,
    ) -> None:
        self._trust, self._pace, self._mail, self._pool = trust, pace, mail, pool
        self.slots = slots
        self.listener = listener
        self.holdings: dict[bytes, Holding] = {}
        self.resolved = Resolved(asyncio.get_running_loop().time, self._gone, self._fetched)
        self.totals: dict[bytes, int] = {}  # bytes sent of each collection, all runs of the node together
        self.counted: set[bytes] = set()  # those that are not written down yet
        self.ended: Callable[[Upload], None] = lambda upload: None
        self.refuses: Callable[[Collection], bool] = lambda collection: False  # blocked by the person here
        self._early: dict[bytes, set[PeerId]] = {}  # who asked for what we have not, oldest first
        self.uploads: dict[tuple[PeerId, bytes], Upload] = {}
        self._clock = asyncio.get_running_loop().time
        self._active = asyncio.Event()

    # -- what we offer

    def offer(self, holding: Holding) -> None:
        """Serve this from now on, in place of an older holding of the same."""
        self.holdings[holding.collection.infohash] = holding
        for peer in self._early.pop(holding.collection.infohash, ()):
            holding.wanted_by(peer)

    def withdraw(self, infohash: bytes) -> None:
        """Serve it no more; whoever fetches it is told."""
        holding = self.holdings.pop(infohash, None)
        if holding is not None:
            self._end_all(holding)

    def _end_all(self, holding: Holding) -> None:
        for upload in [one for one in self.uploads.values() if one.holding is holding]:
            self._end(upload, "not available here any more")

    def _gone(self, holding: Holding) -> None:
        self._end_all(holding)
        if (close := getattr(holding.source, "close", None)) is not None:
            close()

    def _fetched(self, holding: Holding) -> bool:
        return any(one.holding is holding for one in self.uploads.values())

    async def find(self, peer: PeerId, infohash: bytes) -> Holding | None:
        """What `peer` may have under this hash: offered already, or found by the resolver."""
        if not self._allowed(peer):
            return None
        guest = self._trust.only_by_pass(peer, wire.SERVICE)
        holding = self._unless_refused(self.holdings.get(infohash))
        if holding is not None and not guest and holding.allowed(peer):
            return holding
        found = self._unless_refused(await self.resolved.find(peer, infohash, guest=guest))
        if len(self.resolved):
            self._active.set()
        return found

    def _unless_refused(self, holding: Holding | None) -> Holding | None:
        return None if holding is None or self.refuses(holding.collection) else holding

    def offer_on_demand(self, holding: Holding, peer: PeerId | None = None, *, pinned: bool = False) -> None:
        """Serve it until nobody has fetched it for a minute: to `peer` alone, or to all whom it allows."""
        self.resolved.put(holding, peer, pinned=pinned)
        self._active.set()

    def sent(self, peer: PeerId, infohash: bytes) -> int | None:
        """Bytes that `peer` has got of it in its present visit; None while it does not fetch it."""
        upload = self.uploads.get((peer, infohash))
        return upload.sent_bytes if upload is not None else None

    # -- streams

    async def handle(self, session: Session, stream: Stream) -> None:
        """One stream of `servent.blobs/1`. Raises PeerError, ConnectionLost: the router ends it then."""
        try:
            async with asyncio.timeout(OPEN_LIMIT):
                opening = await wire.read_opening.read(stream)
        except TimeoutError:
            raise BadMessage("a stream that says nothing") from None
        if isinstance(opening, wire.Want):
            await self._control(session, stream, opening)
        else:
            await self._lane(session, stream, opening)

    def _allowed(self, peer: PeerId) -> bool:
        return self._trust.allows(peer, wire.SERVICE)

    def _came_early(self, peer: PeerId, infohash: bytes) -> None:
        """Two who begin to fetch the same at once ask each other too soon: remember to ask back."""
        if infohash not in self._early and len(self._early) >= EARLY_MOST:
            del self._early[next(iter(self._early))]
        early = self._early.setdefault(infohash, set())
        if len(early) < EARLY_MOST:
            early.add(peer)

    async def _control(self, session: Session, stream: Stream, want: wire.Want) -> None:
        peer, key = session.peer, (session.peer, want.infohash)
        holding = await self.find(peer, want.infohash)
        full = len(self.uploads) >= CLIENTS_MOST and key not in self.uploads
        if holding is None or full:
            if holding is None and self._allowed(peer):
                self._came_early(peer, want.infohash)
            await write_frame(stream, REFUSAL)
            return
        upload = self.uploads.get(key)
        if upload is None or upload.holding is not holding:
            upload = self.uploads[key] = Upload(peer, holding, self._mail, self._clock())
        if upload.talk is not None:  # one control stream each: the newest
            upload.talk.cancel()
        upload.talk = asyncio.current_task()
        queue: Notices = asyncio.Queue(MESSAGES_MOST)
        upload.control, upload.gone_since, upload.told = queue, None, None
        self._active.set()
        holding.wanted_by(peer)
        writing = asyncio.Lock()
        try:
            await write_frame(stream, wire.Offer(holding.complete, len(holding.collection.info)))
            async with asyncio.TaskGroup() as tasks:
                notices = tasks.create_task(_notify(stream, queue, writing), name=f"notices to {peer.short}")
                try:
                    await self._requests(upload, stream, writing, queue)
                finally:
                    notices.cancel()
        except* ConnectionLost:  # gone, or we said goodbye: both are an ordinary end
            log.debug("%s fetches no more", peer.short)
        finally:
            if upload.control is queue:
                upload.control = None
                upload.gone_since = self._clock()
                if self.listener is None or not self.listener.lanes(upload):
                    self._end(upload, "")

    async def _requests(self, upload: Upload, stream: Stream, writing: asyncio.Lock, queue: Notices) -> None:
        collection = upload.holding.collection
        while True:
            message = await wire.read_from_fetcher.read(stream)
            if upload.control is not queue:  # it was told that this is over
                return
            body: list[bytes] | None = None
            kind: wire.Kind = "info"
            match message:
                case wire.GetInfo():
                    body = [collection.info]
                case wire.GetHave():
                    kind, bits = "have", upload.holding.have
                    upload.told = bits.value
                    body = [bits.to_bytes()]
                case wire.GetLayers(roots):
                    kind = "layers"
                    found = [collection.layers.get(root) for root in roots]
                    whole = [layer for layer in found if layer is not None]
                    size = sum(len(layer) for layer in whole)
                    if len(whole) == len(found) and size <= wire.MOST_LAYER_BYTES:
                        body = whole  # not in one: many askers must not cost many times 64 MiB
                case wire.Interested(yes):
                    self._interest(upload, yes)
                    continue
                case wire.GetToken():
                    self._hand_token(upload)
                    continue
                case wire.Bye():
                    self._end(upload, "")
                    return
            async with writing:
                if body is None:
                    await write_frame(stream, wire.Missing(kind))
                else:
                    await write_frame(stream, wire.Body(kind, sum(map(len, body))))
                    for part in body:
                        await stream.write(part)

    async def _lane(self, session: Session, stream: Stream, opening: wire.Lane) -> None:
        for upload in self.uploads.values():
            if upload.peer == session.peer and upload.key and hmac.compare_digest(upload.key, opening.token):
                break
        else:
            raise BadMessage("a lane with a key we did not give")
        if len(upload.lanes) >= QUIC_LANES_MOST:
            raise BadMessage(f"more than {QUIC_LANES_MOST} lanes for one transfer")
        task = asyncio.current_task()
        assert task is not None
        upload.lanes.add(task)
        try:
            await serve_quic(stream, upload, self._pace, self._pool)
        except* ConnectionLost:
            log.debug("a QUIC lane of %s ended", session.peer.short)
        finally:
            upload.lanes.discard(task)

    # -- slots

    def _interest(self, upload: Upload, yes: bool) -> None:
        upload.interested = yes
        now = self._clock()
        if yes:
            contact = self._trust.contact(upload.peer)
            friend = contact is not None and contact.friend
            self.apply(self.slots.request(upload.peer, now, friend=friend))
            return
        upload.slot = False
        upload.state = "idle"
        self._release(upload.peer)

    def _release(self, peer: PeerId) -> None:
        """Give the slot back unless the peer wants something else of us."""
        if not any(one.interested for one in self.uploads.values() if one.peer == peer):
            self.apply(self.slots.release(peer, self._clock()))

    def apply(self, effects: list[Effect]) -> None:
        """Carry out what the slots decided."""
        concerned = {effect.peer for effect in effects}
        by_peer: dict[PeerId, list[Upload]] = {}
        for one in self.uploads.values():
            if one.interested and one.peer in concerned:
                by_peer.setdefault(one.peer, []).append(one)
        for effect in effects:
            for upload in [one for one in by_peer.get(effect.peer, ()) if one.interested]:
                match effect:
                    case Granted():
                        if not upload.slot or not upload.key:
                            upload.key = secrets.token_bytes(32)
                        upload.slot, upload.state, upload.reason = True, "active", ""
                        upload.position = None
                        self._tell(upload, wire.Slot(upload.key))
                        if upload.awaits_token:
                            self._hand_token(upload)
                    case Queued(_, position, waiting, reason, _):
                        upload.slot, upload.state, upload.reason = False, "queued", reason
                        upload.position = position
                        self._tell(upload, wire.Queued(position, waiting, reason))
                    case Ended():
                        upload.slot = False
                    case Rejected(_, reason):
                        upload.state, upload.reason = "queued", reason
                        self._tell(upload, wire.Queued(1 << 20, 1 << 20, reason))

    def _hand_token(self, upload: Upload) -> None:
        if self.listener is None:
            return
        upload.awaits_token = not upload.slot
        if upload.slot:
            self._tell(upload, wire.BulkToken(self.listener.token(upload)))

    def _tell(self, upload: Upload, message: wire.FromServer) -> None:
        if upload.control is None:
            return
        try:
            upload.control.put_nowait(message)
        except asyncio.QueueFull:
            log.info("%s does not read what we tell it", upload.peer.short)
            self._end(upload, "")

    def _end(self, upload: Upload, why: str) -> None:
        """This peer fetches this no longer."""
        key = upload.peer, upload.holding.collection.infohash
        if self.uploads.get(key) is upload:
            del self.uploads[key]
            self._settle(upload, self._clock())
            self.ended(upload)
        upload.slot = upload.interested = False
        upload.key = b""
        if upload.control is not None:
            while upload.control.full():
                upload.control.get_nowait()
            upload.control.put_nowait(wire.Bye(why) if why else None)
            upload.control = None
        for lane in upload.lanes:  # at once, whatever is on its way
            lane.cancel()
        if upload.talk is not None and upload.talk is not asyncio.current_task():
            asyncio.get_running_loop().call_later(GOODBYE, upload.talk.cancel)
        upload.talk = None
        if self.listener is not None:
            self.listener.drop(lambda client: client is upload)
        self._release(upload.peer)

    # -- time

    async def run(self) -> None:
        """Turns, news of pieces, and rights that were taken back, until cancelled."""
        self._trust.on_change(self.check_rights)
        while True:
            if not self.uploads and not len(self.resolved):
                self._active.clear()
                await self._active.wait()
            await asyncio.sleep(BEAT)
            self._beat(self._clock())
            self.resolved.tidy(self._clock())

    def check_rights(self) -> None:
        """Drop everybody who may not have anything any more."""
        for upload in list(self.uploads.values()):
            if not self._may_go_on(upload):
                self._end(upload, REFUSAL.reason)

    def _may_go_on(self, upload: Upload) -> bool:
        if self.refuses(upload.holding.collection):
            return False
        if self._trust.only_by_pass(upload.peer, wire.SERVICE):
            infohash = upload.holding.collection.infohash
            if self.resolved.alone(upload.peer, infohash) is not upload.holding:
                return upload.holding.guests and upload.holding.allowed(upload.peer)
            return True
        return self._allowed(upload.peer) and upload.holding.allowed(upload.peer)

    def _beat(self, now: float) -> None:
        due = self.slots.next_tick()
        if due is not None and due <= now:
            self.apply(self.slots.tick(now))
        haves: dict[Holding, int] = {}
        for upload in list(self.uploads.values()):
            self._settle(upload, now)
            tcp = self.listener is not None and self.listener.lanes(upload) > 0
            upload.lane = "tcp" if tcp else "quic" if upload.lanes else ""
            if upload.gone_since is not None and (not tcp or now - upload.gone_since > GRACE):
                self._end(upload, "")
            elif upload.told is not None and upload.control is not None:
                self._tell_news(upload, haves)

    def _settle(self, upload: Upload, now: float) -> None:
        """Count what was sent since the last look."""
        new = upload.sent_bytes - upload.settled_bytes
        upload.settled_bytes += new
        upload.meter.add(new, now)
        upload.holding.uploaded_bytes += new
        if new:
            self.slots.took(upload.peer, new)
            infohash = upload.holding.collection.infohash
            self.totals[infohash] = self.totals.get(infohash, 0) + new
            self.counted.add(infohash)

    def _tell_news(self, upload: Upload, haves: dict[Holding, int]) -> None:
        collection = upload.holding.collection
        have = haves.get(upload.holding)
        if have is None:
            have = haves[upload.holding] = upload.holding.have.value
        assert upload.told is not None
        new = Bits(collection.pieces, have & ~upload.told)
        if not new:
            return
        runs: list[tuple[int, int]] = []
        for first, count in new.runs():
            runs.append((first, count))
            upload.told |= ((1 << count) - 1) << first
            if len(runs) == wire.MOST_RUNS:
                break
        self._tell(upload, wire.Has(runs))


async def _notify(stream: Stream, queue: Notices, writing: asyncio.Lock) -> None:
    while True:
        messages = [await queue.get()]
        while not queue.empty():
            messages.append(queue.get_nowait())
        said = [message for message in messages if message is not None]
        if said:
            async with writing:
                await stream.write(b"".join([frame(message) for message in said]))
        if len(said) < len(messages) or any(isinstance(message, wire.Bye) for message in said):
            await stream.finish()
            raise ConnectionLost("said goodbye")
