"""Records in the Mainline DHT by the one session: stored by a search of our own, looked up by libtorrent."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any

from servent.errors import UsageError
from servent.identity import Identity, PeerId
from servent.torrent.handle import endpoint_of
from servent.torrent.krpc import Place
from servent.torrent.putting_service import Putting
from servent.torrent.tuning import expanded, is_literal, known_nodes
from servent.torrent.views import Item

if TYPE_CHECKING:
    from servent.torrent.session import Session

log = logging.getLogger("servent.torrent")

READY_TIME = 12.0  # s to get into the DHT; Mainline takes 1 to 5
READY_STEP = 0.1  # s
ENTER_EVERY = 1.0  # s
STATS_TIME = 2.0  # s for libtorrent to count
PUT_TIME = 40.0  # s; nodes that are gone cost 15 (measured)
GET_TIME = 30.0  # s
LOOKUPS_MOST = 64  # puts and gets at once; libtorrent would take any number
ITEMS_WAITING = 16  # answers of one look-up that nobody has read yet
EARLIER = 16  # nodes of an earlier run that are tried at once
NUMBERS_MOST = 256  # records of which we remember the number
VALUE_MOST = (
    996  # bytes: 1000 bencoded (BEP 44); with 997 libtorrent stores nothing and says nothing (measured)
)
SALT_MOST = 64  # bytes, BEP 44
BLOCKED = "the DHT cannot be entered: nobody there answers; UDP may be blocked, or there is no internet"

Slot = tuple[bytes, bytes]  # key and salt


class Dht:
    """Belongs to its session, which hands it libtorrent's alerts."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._puts: dict[Slot, list[asyncio.Future[int]]] = {}
        self._gets: dict[Slot, list[asyncio.Queue[Item]]] = {}
        self._numbers: dict[Slot, int] = {}  # what our records had when we stored them last
        self._lookups = asyncio.Semaphore(LOOKUPS_MOST)
        self._stats: list[asyncio.Future[None]] = []
        self.earlier: list[Place] = []  # nodes known from an earlier run
        self.nodes = self.peers = 0
        self.why = ""

    async def ready(self, limit: float = READY_TIME) -> bool:
        """Whether the DHT has been entered; waits up to `limit` s for it.

        Raises:
            WorldError: libtorrent is not there.
        """
        if not self._session.settings.uses_dht:
            return False
        await self._session.open()
        loop = asyncio.get_running_loop()
        entered = loop.time()
        until = entered + limit
        while self._session.raw is not None:
            await self._ask_stats()
            if self.nodes:
                return True
            now = loop.time()
            if now >= until:
                break
            if now >= entered + ENTER_EVERY:  # the first packet may be lost
                entered = now
                self.enter()
            await asyncio.sleep(READY_STEP)
        self.why = BLOCKED
        log.debug(
            "nobody in the DHT answers: %d known from before, %s",
            len(self.earlier),
            self._session.settings.dht_nodes,
        )
        return False

    async def put(self, identity: Identity, value: bytes, salt: bytes = b"") -> int:
        """See `Session.dht_put`."""
        if len(value) > VALUE_MOST or len(salt) > SALT_MOST:
            raise UsageError(f"the DHT takes {VALUE_MOST} bytes with a salt of {SALT_MOST}")
        if not await self.ready():
            return 0
        async with self._lookups:
            places = 0
            if self._session.settings.proxy is None:  # our own packets would go past it
                places = await self._put_by_search(identity, value, salt)
            return places or await self._put_by_libtorrent(identity, value, salt)

    async def _put_by_search(self, identity: Identity, value: bytes, salt: bytes) -> int:
        raw, settings = self._session.raw, self._session.settings
        if raw is None:
            return 0
        start = await asyncio.to_thread(known_nodes, self._session.library, raw)
        del raw
        start += [
            Place(*endpoint_of(node)) for node in settings.dht_nodes if is_literal(node) and "[" not in node
        ]
        slot = (bytes(identity.peer), salt)
        host = next((one for one in settings.listen if ":" not in one), "0.0.0.0")
        putting = Putting(
            identity, value, salt, start,
            private=settings.dht_private, seq=self._numbers.pop(slot, 0), host=host,
        )  # fmt: skip
        try:
            places = await putting.run()
        except OSError as trouble:
            log.info("nothing is stored in the DHT: %s", trouble)
            return 0
        finally:
            self._numbers[slot] = putting.seq
            if len(self._numbers) > NUMBERS_MOST:
                del self._numbers[next(iter(self._numbers))]
        return places

    async def _put_by_libtorrent(self, identity: Identity, value: bytes, salt: bytes) -> int:
        slot = (bytes(identity.peer), salt)
        if self._session.raw is None:
            return 0
        waiting: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        waits = self._puts.setdefault(slot, [])
        waits.append(waiting)
        self._session.raw.dht_put_mutable_item(expanded(identity.seed), slot[0], value, salt)
        try:
            async with asyncio.timeout(PUT_TIME):
                return await waiting
        except TimeoutError:
            return 0
        finally:
            if waiting in waits:
                waits.remove(waiting)
            if not waits and self._puts.get(slot) is waits:
                del self._puts[slot]

    async def get(
        self, key: PeerId, salt: bytes = b"", limit: float = GET_TIME
    ) -> AsyncGenerator[Item, None]:
        """See `Session.dht_get`."""
        if len(salt) > SALT_MOST:
            raise UsageError(f"a salt has at most {SALT_MOST} bytes")
        if not await self.ready():
            return
        loop = asyncio.get_running_loop()
        slot = (bytes(key), salt)
        came: asyncio.Queue[Item] = asyncio.Queue(ITEMS_WAITING)
        async with self._lookups:
            if self._session.raw is None:
                return
            waits = self._gets.setdefault(slot, [])
            waits.append(came)
            try:
                self._session.raw.dht_get_mutable_item(slot[0], salt)
                until = loop.time() + limit
                while True:
                    try:
                        async with asyncio.timeout_at(until):  # never around a yield: it would hit our caller
                            item = await came.get()
                    except TimeoutError:
                        return
                    if item.value:
                        yield item
                    if item.authoritative:
                        return
            finally:
                waits.remove(came)
                if not waits and self._gets.get(slot) is waits:
                    del self._gets[slot]

    # -- for the session

    def enter(self) -> None:
        """Go to the nodes that were named by address, and to some from before; names are libtorrent's to resolve."""
        if self._session.raw is None or not self._session.settings.uses_dht:
            return
        for place in random.sample(self.earlier, min(EARLIER, len(self.earlier))):
            self._session.raw.add_dht_node(tuple(place))
        for node in self._session.settings.dht_nodes:
            if is_literal(node):
                self._session.raw.add_dht_node(endpoint_of(node))

    def close(self) -> None:
        """Nobody waits any longer for a session that closes."""
        self.nodes = self.peers = 0
        self._counted()
        for puts in self._puts.values():
            for put in puts:
                if not put.done():
                    put.set_result(0)
        for gets in self._gets.values():
            for came in gets:
                _newest(came, Item(0, b"", b"", True))

    def item_came(self, alert: Any) -> None:
        waits = self._gets.get((alert.key, alert.salt))
        if not waits:
            return
        value = alert.item if isinstance(alert.item, bytes) and alert.seq > 0 else b""
        item = Item(alert.seq, value, alert.signature, alert.authoritative)
        for came in waits:
            _newest(came, item)

    def put_done(self, alert: Any) -> None:
        for waiting in self._puts.get((alert.public_key, alert.salt), ()):
            if not waiting.done():  # puts of one key end in the order they began
                waiting.set_result(alert.num_success)
                return

    def stats_came(self, alert: Any) -> None:
        values = alert.values
        self.nodes = values.get("dht.dht_nodes", 0)
        self.peers = values.get("peer.num_peers_connected", 0)
        if self.nodes:
            self.why = ""
        self._counted()

    def _counted(self) -> None:
        waiting, self._stats = self._stats, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    async def _ask_stats(self) -> None:
        if self._session.raw is None:
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stats.append(waiting)
        self._session.raw.post_session_stats()
        try:
            async with asyncio.timeout(STATS_TIME):
                await waiting
        except TimeoutError:
            pass
        finally:
            if waiting in self._stats:
                self._stats.remove(waiting)


def _newest(queue: asyncio.Queue[Item], item: Item) -> None:
    """Whoever does not read gets what came last."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(item)
