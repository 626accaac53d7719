"""The wish list with a disk and peers: asks here and there, remembers what came up, fetches what may be fetched."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Protocol

import msgspec

from servent.codec import write_frame
from servent.errors import ConnectionLost, NotFound, ServentError, UsageError
from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.net.links import Stream
from servent.net.peers import Peers
from servent.net.session import Session
from servent.overlay.records import Item
from servent.share import wire, wishes
from servent.share import wishes_wire as wishing
from servent.share.folding import Fold, Found, Hit, Standing
from servent.share.network_finder_service import by_peer
from servent.share.network_items import found
from servent.share.networks import Networks
from servent.share.search_service import Search
from servent.share.wishes import Match, Settings, Wish
from servent.store import Store, StoreTrouble
from servent.tasks import begin

log = logging.getLogger(__name__)

ASK_EVERY = 600.0  # s between two searches for each wish, of those who take no wishes
LOOK_AGAIN = 0.3  # s that growth of the own index is let gather
SAVE_EVERY = 2.0  # s
WAIT = 8.0  # s for peers to answer a search
RETRY = 30.0  # s until a peer whose stream broke is asked again
TOLD_RATE, TOLD_BURST = (
    20.0,
    2000.0,
)  # matches per second that are taken of one peer; it waits with the others


class Gets(Protocol):
    """`Getting.content`."""

    def __call__(
        self, root: bytes, size: int, name: str, peers: Iterable[PeerId] = (), to: Path | None = None
    ) -> Awaitable[Any]: ...


class Wishes:
    """Owns the wishes. `open` it, `run` it in a task.

    Args:
        store: the node's, not open yet.
        get: begins a transfer of a content, as `Getting.content`; its result has an `id`.
        known: which of these contents are in the own library.
        friend, name: of a peer.
        hides: why a find is not shown.
        networks: where wishes stand as queries, so that what is new anywhere comes by itself.
        blocked: peers whose news is not heard.
    """

    def __init__(
        self,
        peers: Peers,
        store: Store,
        search: Search,
        get: Gets,
        known: Callable[[list[bytes]], Awaitable[set[bytes]]],
        *,
        friend: Callable[[PeerId], bool],
        name: Callable[[PeerId], str],
        hides: Callable[[bytes, str, str, int], str],
        wall: Callable[[], float],
        networks: Networks | None = None,
        blocked: Callable[[PeerId], bool] = lambda peer: False,
    ) -> None:
        self._peers, self._store, self._search, self._get, self._known = peers, store, search, get, known
        self._networks, self._blocked = networks, blocked
        self._standing: dict[str, int] = {}  # wishes that stand as queries in the networks
        self._friend, self._name, self._hides, self._wall = friend, name, hides, wall
        self._wishes: dict[str, Wish] = {}
        self._numbers: dict[int, str] = {}  # what a wish is called on the wire
        self._next = 0
        self._streams: dict[PeerId, Stream] = {}
        self._asked: set[PeerId] = set()  # who is being asked to take our wishes, or did
        self._dirty: set[str] = set()
        self._saving, self._grown, self._more = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._tasks: asyncio.TaskGroup | None = None
        store.migrate(wishes.ROOM, wishes.STEPS)

    async def open(self) -> None:
        """Load what is remembered. The store is open. Raises StoreTrouble when it makes no sense."""
        try:
            for wish in await self._store.read(wishes.load):
                self._wishes[wish.id] = wish
                self._number(wish.id)
        except (msgspec.MsgspecError, UsageError) as wrong:
            raise StoreTrouble(
                f"wishes in {self._store.path} cannot be read: {wrong}",
                advice="Put a backup of this file in its place. Nothing was changed.",
            ) from wrong
        self._peers.on_session(self._session)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._save_loop(), name="save wishes")
                tasks.create_task(self._look_here(), name="wishes in the own library")
                tasks.create_task(self._ask_slowly(), name="ask for wishes")
                for session in self._peers.sessions():
                    self._session(session, True)
                for wish in self._wishes.values():
                    self._stand(wish)
                self._grown.set()
        finally:
            self._tasks = None

    async def close(self) -> None:
        """Write what is not written yet."""
        for id in self._dirty & self._wishes.keys():
            await self._store.write(wishes.save(self._wishes[id]))
        self._dirty.clear()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the loop when a wish or its matches changed."""
        self._callbacks.append(callback)

    def grew(self) -> None:
        """The own index may have something new."""
        self._grown.set()

    # -- the list

    def wishes(self) -> list[Wish]:
        """All, oldest first. To be read, not changed."""
        return list(self._wishes.values())

    def wish(self, id: str) -> Wish:
        """One of them. Raises NotFound."""
        found = self._wishes.get(id)
        if found is None:
            raise NotFound(f"no wish is called {id[:40]!r}", advice="`servent wish list` lists them.")
        return found

    def reason(self, wish: Wish) -> str:
        """What it waits for, as a sentence."""
        if wish.settings.paused:
            return "paused"
        waiting = [one for one in wish.matches.values() if not one.transfer and not one.here]
        said = wish.trouble or next(
            (why for one in reversed(waiting) if (why := wishes.why_not(wish, one))), ""
        )
        if said and wish.settings.auto:
            return f"not fetched: {said}"
        count = len(self._streams)
        where = f"{count} peer{'s' * (count != 1)} will tell" if count else "no connected peer takes wishes"
        nets = len(self._networks.shapes()) if self._networks is not None and wish.id in self._standing else 0
        if nets:
            where += f"; it stands in {nets} network{'s' * (nets != 1)}"
        return f"watching; {where}"

    async def add(self, settings: Settings) -> Wish:
        """Watch for something. Raises UsageError: no query, or too many wishes."""
        wishes.check(settings, len(self._wishes))
        wish = wishes.make(secrets.token_hex(6), msgspec.structs.replace(settings, created=self._wall()))
        self._wishes[wish.id] = wish
        await self._store.write(wishes.save(wish))
        self._begin(wish)
        self._told()
        return wish

    async def change(self, id: str, *, seen: bool = False, **changes: Any) -> Wish:
        """Change, pause, or mark as looked at. Raises NotFound, UsageError."""
        wish = self.wish(id)
        before = wish.settings
        if changes:
            wishes.change(wish, **changes)
        if seen:
            wishes.see(wish)
        await self._store.write(wishes.save(wish))
        if (before.q, before.paused) != (wish.settings.q, wish.settings.paused):
            self._unwatch(wish.id)
            if not wish.settings.paused:
                self._begin(wish)
        elif wish.settings != before:
            await self._fetch_what_may(wish)
        self._told()
        return wish

    async def remove(self, id: str) -> None:
        """Watch no longer; what was fetched stays. Raises NotFound."""
        self.wish(id)
        self._unwatch(id)
        del self._wishes[id]
        self._dirty.discard(id)
        await self._store.write(wishes.drop(id))
        self._told()

    def _number(self, id: str) -> int:
        number = next((n for n, one in self._numbers.items() if one == id), None)
        if number is None:
            number = self._next
            self._next += 1
            self._numbers[number] = id
        return number

    def _begin(self, wish: Wish) -> None:
        """Ask everybody now."""
        number = self._number(wish.id)
        wish.asked = self._wall()
        for peer, stream in list(self._streams.items()):
            self._spawn(self._watch(stream, number, wish.wanted.text), f"wish at {peer.short}")
        if self._tasks is not None:
            self._stand(wish)
        if len(self._wishes) == 1:  # the first: nobody was asked to take any before
            for session in self._peers.sessions():
                self._session(session, True)
        self._spawn(self._search_for(wish.id), "search for a wish")
        self._grown.set()

    def _unwatch(self, id: str) -> None:
        number = self._number(id)
        del self._numbers[number]
        if self._networks is not None and (standing := self._standing.pop(id, None)) is not None:
            self._networks.unwatch(standing)
        for peer, stream in list(self._streams.items()):
            self._spawn(_say(stream, wishing.Unwatch(number)), f"no wish at {peer.short}")

    # -- finds

    def _found(self, id: str, at: Standing, found: list[Found], here: set[bytes]) -> None:
        wish = self._wishes.get(id)
        if wish is None or wish.settings.paused:
            return
        fold = Fold(2 * len(found) + 1, self._hides)  # one peer alone may fill it
        fold.add(at, found)
        fold.have(here)
        self._take(wish, fold.ranked())

    def _take(self, wish: Wish, hits: list[Hit]) -> None:
        now = self._wall()
        before = len(wish.matches)
        new = [match for hit in hits if (match := wishes.note(wish, hit, now)) is not None]
        if hits:
            self._save_soon(wish.id)
        if new or len(wish.matches) != before:
            self._told()
        if wish.settings.auto:
            self._spawn(self._fetch_what_may(wish), "fetch for a wish")

    async def _fetch_what_may(self, wish: Wish) -> None:
        if not wish.settings.auto or wish.settings.paused:
            return
        for content in list(wish.matches):
            match = wish.matches.get(content)
            if match is None or match.transfer or match.here:
                continue
            hidden = self._hides(match.content, match.name, match.kind, match.size)
            if hidden or wishes.why_not(wish, match):
                continue
            wishes.fetched(wish, content, "…")  # counted before anything is waited for
            try:
                await self._fetch(wish, match)
            except ServentError as wrong:
                wish.trouble = str(wrong)
                log.info("a wish is not fetched: %s", wrong)
            self._save_soon(wish.id)
            self._told()

    async def _fetch(self, wish: Wish, match: Match) -> None:
        to = None if wish.settings.to is None else Path(wish.settings.to)
        sources = wishes.sources_of(wish, match)
        view = await self._get(match.content, match.size, match.name, sources, to)
        known = wish.matches.get(match.content)
        if known is not None:
            wish.matches[match.content] = msgspec.structs.replace(known, transfer=str(view.id))

    # -- the own library

    async def _look_here(self) -> None:
        while True:
            await self._grown.wait()
            await asyncio.sleep(LOOK_AGAIN)
            self._grown.clear()
            for wish in list(self._wishes.values()):
                if wish.settings.paused:
                    continue
                try:
                    hits = await self._search.local(wish.settings.q)
                except ServentError as wrong:
                    log.info("a wish cannot be asked here: %s", wrong)
                    continue
                known = {content: match.here for content, match in wish.matches.items()}
                self._take(wish, [hit for hit in hits if not known.get(hit.content, False)])

    # -- peers that take wishes

    def _session(self, session: Session, up: bool) -> None:
        takes = wishing.SERVICE in session.profile.services and not session.verdict.guest
        if up and takes and session.peer not in self._asked and self._wishes and self._tasks is not None:
            self._asked.add(session.peer)
            self._spawn(self._at(session.peer), f"wishes at {session.peer.short}")
        elif up and not session.verdict.guest:
            self._more.set()

    async def _at(self, peer: PeerId) -> None:
        """Leave our wishes with a peer, and take what it tells, until the session is over."""
        try:
            await self._leave_wishes(peer)
        finally:
            self._asked.discard(peer)

    async def _leave_wishes(self, peer: PeerId) -> None:
        while (session := self._peers.session(peer)) is not None and self._wishes:
            try:
                stream = await session.open(wishing.SERVICE, standing=True)
                self._streams[peer] = stream
                for number, id in list(self._numbers.items()):
                    wish = self._wishes.get(id)
                    if wish is not None and not wish.settings.paused:
                        wish.asked = self._wall()
                        await write_frame(stream, wishing.Watch(number, wish.wanted.text))
                self._told()
                await self._listen(peer, stream)
            except (ServentError, TimeoutError) as wrong:
                log.debug("%s takes no wishes: %s", peer.short, wrong)
            finally:
                if self._streams.pop(peer, None) is not None:
                    self._told()
            await asyncio.sleep(RETRY if self._peers.session(peer) is session else 0.0)

    async def _listen(self, peer: PeerId, stream: Stream) -> None:
        clock, bucket = asyncio.get_running_loop().time, TokenBucket(TOLD_RATE, TOLD_BURST)
        try:
            while True:
                told = await wishing.read_told.read(stream)
                if isinstance(told, wishing.Matches):
                    await asyncio.sleep(bucket.take(len(told.hits), clock()))
                id = self._numbers.get(told.id)
                wish = self._wishes.get(id) if id is not None else None
                if wish is None or isinstance(told, wishing.Watching):
                    continue
                found = [one for hit in told.hits if (one := _believed(hit, wish)) is not None]
                if not found:
                    continue
                here = await self._known([one.content for one in found])
                at = Standing(peer, self._name(peer), friend=self._friend(peer))
                self._found(wish.id, at, found, here)
        finally:
            await stream.reset(0)

    async def _watch(self, stream: Stream, number: int, text: str) -> None:
        await _say(stream, wishing.Watch(number, text))

    # -- networks

    def _stand(self, wish: Wish) -> None:
        """Let it stand as a query in every network."""
        if (
            self._networks is None
            or wish.settings.paused
            or wish.id in self._standing
            or not wish.wanted.text
        ):
            return
        id = wish.id

        def news(network: bytes, found: Sequence[tuple[PeerId, Item]]) -> None:
            self._spawn(self._heard(id, network, found), "news for a wish")

        self._standing[id] = self._networks.watch(wish.wanted.text, news)

    async def _heard(self, id: str, network: bytes, pairs: Sequence[tuple[PeerId, Item]]) -> None:
        wish = self._wishes.get(id)
        if wish is None or self._networks is None:
            return
        name = next((one.name for one in self._networks.shapes() if one.network == network), "")
        for peer, items in by_peer(pairs).items():
            if self._blocked(peer):
                continue
            believed = [
                found(one, score)
                for one in items
                if one.size > 0
                and (score := wish.wanted.relevance(one.name, one.kind, one.size, one.where, one.tags))
                is not None
            ]
            if believed and peer != self._peers.peer:
                here = await self._known([one.content for one in believed])
                at = Standing(peer, self._name(peer), friend=self._friend(peer), network=name)
                self._found(id, at, believed, here)

    # -- the others

    async def _ask_slowly(self) -> None:
        """Search for every wish now and then, and when somebody came who takes no wishes."""
        while True:
            try:
                async with asyncio.timeout(ASK_EVERY):
                    await self._more.wait()
                await asyncio.sleep(WAIT)  # they come in bunches
            except TimeoutError:
                pass
            self._more.clear()
            for id in list(self._wishes):
                await self._search_for(id)

    async def _search_for(self, id: str) -> None:
        wish = self._wishes.get(id)
        if wish is None or wish.settings.paused:
            return
        wish.asked = self._wall()
        hits: dict[bytes, Hit] = {}
        try:
            async with aclosing(self._search.search(wish.settings.q, limit=500, wait=WAIT)) as events:
                async for event in events:
                    if isinstance(event, Hit):
                        hits[event.content] = event
        except ServentError as wrong:
            wish.trouble = str(wrong)
        if wish.id in self._wishes:
            self._take(wish, list(hits.values()))

    # -- small things

    async def _save_loop(self) -> None:
        while True:
            await self._saving.wait()
            await asyncio.sleep(SAVE_EVERY)
            self._saving.clear()
            dirty, self._dirty = self._dirty, set()
            for id in dirty & self._wishes.keys():
                try:
                    await self._store.write(wishes.save(self._wishes[id]))
                except ServentError as wrong:
                    log.warning("a wish is not remembered: %s", wrong)

    def _save_soon(self, id: str) -> None:
        self._dirty.add(id)
        self._saving.set()

    def _spawn(self, work: Any, name: str) -> None:
        begin(self._tasks, self._guard(work), name, inside=work)

    async def _guard(self, work: Awaitable[None]) -> None:
        try:
            await work
        except ServentError as wrong:
            log.info("%s", wrong)

    def _told(self) -> None:
        for callback in self._callbacks:
            callback()


async def _say(stream: Stream, message: msgspec.Struct) -> None:
    try:
        await write_frame(stream, message)
    except ConnectionLost:
        log.debug("a peer with wishes of ours is gone")


def _believed(hit: wire.Hit, wish: Wish) -> Found | None:
    """None for what was not wished for, or is no file of a shared folder."""
    above, slash, name = hit.path.rpartition("/")
    if not slash or not above or not name or name in (".", "..") or "\\" in name or "\0" in name:
        return None
    score = wish.wanted.relevance(name, hit.kind, hit.size, above, hit.tags)
    if score is None:
        return None
    return Found(hit.content, hit.size, hit.path, hit.kind, hit.modified, hit.tags, score)
