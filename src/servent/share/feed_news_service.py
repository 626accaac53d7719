"""News of feeds between connected peers: asking for those that we follow, telling those that follow ours."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable

from servent.codec import write_frame
from servent.errors import BadMessage, PeerError, ServentError
from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.net.links import Stream
from servent.net.peers import Peers
from servent.net.session import Session
from servent.share import feed_record, feed_wire
from servent.share.feed_record import Record
from servent.tasks import begin

log = logging.getLogger(__name__)

Key = tuple[PeerId, str]

OPEN_LIMIT = 15.0  # s to open a stream
AGAIN = (5.0, 30.0, 120.0, 600.0)  # s until a peer that refused or broke off is asked again
LISTS_RATE, LISTS_BURST = 1.0, 20.0  # lists per second that one follower may send, and at once
NEWS_RATE, NEWS_BURST = 5.0, 1000.0  # records per second that one peer may send us, and at once
STREAMS_MOST = 2  # of one follower


class _Follower:
    """One stream of a peer that follows feeds through us."""

    def __init__(self, peer: PeerId) -> None:
        self.peer = peer
        self.known: dict[Key, int] = {}
        self.news = asyncio.Event()


class News:
    """Owns both directions. `run` it in a task.

    Args:
        followed: the feeds that we follow, and the newest sequence number known of each.
        newest: the record that we have of a feed, as signed, with its sequence number.
        heard: told of a record that was checked, and of who said it.
    """

    def __init__(
        self,
        peers: Peers,
        followed: Callable[[], dict[Key, int]],
        newest: Callable[[Key], tuple[int, bytes] | None],
        heard: Callable[[Record, bytes, PeerId], None],
    ) -> None:
        self._peers, self._followed, self._newest, self._heard = peers, followed, newest, heard
        self._clock = asyncio.get_running_loop().time
        self._followers: set[_Follower] = set()
        self._asking: dict[PeerId, asyncio.Event] = {}  # set when our list changed, or the peer has left
        self._tasks: asyncio.TaskGroup | None = None

    def followers(self, key: Key) -> int:
        """How many connected peers follow this feed through us."""
        return len({one.peer for one in self._followers if key in one.known})

    def list_changed(self) -> None:
        """We follow another feed, or one less: tell everybody we ask."""
        for event in self._asking.values():
            event.set()
        self._ask_all()

    def published(self, key: Key) -> None:
        """There is a newer version: tell those who follow it."""
        for follower in self._followers:
            if key in follower.known:
                follower.news.set()

    async def run(self) -> None:
        """Until cancelled."""
        self._peers.serve(
            feed_wire.SERVICE, self._handle, audience="network", streams=STREAMS_MOST, standing=True
        )
        self._peers.on_session(self._session)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                self._ask_all()
                await asyncio.Event().wait()
        finally:
            self._tasks = None
            self._peers.withdraw(feed_wire.SERVICE)

    # -- asking

    def _session(self, session: Session, up: bool) -> None:
        if up:
            self._ask(session.peer)
        elif session.peer in self._asking:
            self._asking[session.peer].set()

    def _ask_all(self) -> None:
        for session in self._peers.sessions():
            self._ask(session.peer)

    def _ask(self, peer: PeerId) -> None:
        if self._tasks is not None and peer not in self._asking and self._followed():
            self._asking[peer] = asyncio.Event()
            if begin(self._tasks, self._follow(peer), f"feeds from {peer.short}") is None:
                del self._asking[peer]

    async def _follow(self, peer: PeerId) -> None:
        """Ask this peer for as long as it is connected."""
        tries = 0
        try:
            while self._peers.session(peer) is not None and self._followed():
                try:
                    async with asyncio.timeout(OPEN_LIMIT):
                        stream = await self._peers.open(peer, feed_wire.SERVICE, standing=True)
                    began = self._clock()
                    await self._converse(peer, stream)
                    if self._clock() - began > AGAIN[-1]:
                        tries = 0
                except* (ServentError, TimeoutError) as wrong:
                    log.debug("no news of feeds from %s: %s", peer.short, wrong.exceptions[0])
                news = self._asking[peer]
                news.clear()
                if self._peers.session(peer) is not None:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(AGAIN[min(tries, len(AGAIN) - 1)]):
                            await news.wait()
                tries += 1
        finally:
            self._asking.pop(peer, None)

    async def _converse(self, peer: PeerId, stream: Stream) -> None:
        bucket = TokenBucket(NEWS_RATE, NEWS_BURST)
        async with asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(
                self._tell_list(peer, stream), name=f"what we follow, to {peer.short}"
            )
            try:
                while True:
                    message = await feed_wire.read_newest.read(stream)
                    if not bucket.allow(1, self._clock()):
                        raise PeerError("too many versions of feeds")
                    record = await asyncio.to_thread(feed_record.decode, message.record)
                    if record.key not in self._followed():
                        raise BadMessage("a version of a feed that we did not ask for")
                    self._heard(record, message.record, peer)
            finally:
                telling.cancel()

    async def _tell_list(self, peer: PeerId, stream: Stream) -> None:
        changed = self._asking[peer]
        while True:
            changed.clear()
            feeds = sorted(self._followed().items())[: feed_wire.MOST_FEEDS]
            wanted = [feed_wire.Wanted(bytes(key[0]), key[1], known) for key, known in feeds]
            await write_frame(stream, feed_wire.Follow(wanted))
            await changed.wait()
            await asyncio.sleep(1.0 / LISTS_RATE)

    # -- telling

    async def _handle(self, session: Session, stream: Stream) -> None:
        """One stream of `servent.feeds/1`. Raises PeerError, ConnectionLost: the router ends it then."""
        follower = _Follower(session.peer)
        bucket = TokenBucket(LISTS_RATE, LISTS_BURST)
        self._followers.add(follower)
        try:
            async with asyncio.TaskGroup() as tasks:
                telling = tasks.create_task(
                    self._tell(follower, stream), name=f"feeds to {session.peer.short}"
                )
                try:
                    while True:
                        message = await feed_wire.read_follow.read(stream)
                        if not bucket.allow(1, self._clock()):
                            raise PeerError("too many lists of feeds")
                        follower.known = _known(message.feeds)
                        follower.news.set()
                finally:
                    telling.cancel()
        except* ServentError as wrong:
            log.debug("%s follows no more: %s", session.peer.short, wrong.exceptions[0])
        finally:
            self._followers.discard(follower)

    async def _tell(self, follower: _Follower, stream: Stream) -> None:
        while True:
            await follower.news.wait()
            follower.news.clear()
            for key, known in list(follower.known.items()):
                found = self._newest(key)
                if found is not None and found[0] > known:
                    follower.known[key] = found[0]
                    await write_frame(stream, feed_wire.Newest(found[1]))


def _known(feeds: Iterable[feed_wire.Wanted]) -> dict[Key, int]:
    found: dict[Key, int] = {}
    for one in feeds:
        try:
            found[PeerId(one.publisher), one.name] = one.known
        except ValueError as wrong:
            raise BadMessage("a feed of a key that cannot be") from wrong
    return found
