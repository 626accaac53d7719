"""The one libtorrent session of a node: the DHT and the BitTorrent door share it. The only module that imports libtorrent.

libtorrent (extra `[torrent]`) is imported when a session opens, and a session opens when somebody first needs it: a node
without DHT and door pays nothing. Its threads never call Python: they write a byte into a socket (`set_alert_fd`), and
the loop takes the alerts that have come.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncGenerator, Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from servent.errors import UsageError, WorldError
from servent.identity import Identity, PeerId
from servent.tasks import begin
from servent.torrent.handle import Handle, endpoint_of, status_of
from servent.torrent.tuning import (
    TORRENT_ALERTS,
    construct,
    destruct,
    expanded,
    is_literal,
    packed,
    params_of,
    save,
    tell,
)
from servent.torrent.views import Adding, Item, SessionSettings, SessionView, Watcher

log = logging.getLogger("servent.torrent")

STATE_FILE = "dht.state"
ALERT_PAUSE = 0.01  # s between two looks at the alerts: a flood wakes us a hundred times a second at most
STATUS_EVERY = 1.0  # s between questions for what changed, while there are torrents
STATS_EVERY = 30.0  # s between looks at how many nodes and peers there are
SAVE_EVERY = 600.0  # s between copies of the routing table on disk
READY_TIME = 12.0  # s to get into the DHT; Mainline takes 1 to 5
READY_STEP = 0.1  # s
ENTER_EVERY = 1.0  # s
STATS_TIME = 2.0  # s for libtorrent to count
PUT_TIME = 40.0  # s; nodes that are gone cost 15 (measured)
GET_TIME = 30.0  # s
LOOKUPS_MOST = 64  # puts and gets at once; libtorrent would take any number
ITEMS_WAITING = 16  # answers of one look-up that nobody has read yet
VALUE_MOST = (
    996  # bytes: 1000 bencoded (BEP 44); with 997 libtorrent stores nothing and says nothing (measured)
)
SALT_MOST = 64  # bytes, BEP 44

NOT_INSTALLED = "BitTorrent and its DHT need libtorrent, which is not installed"
HOW_TO_INSTALL = "Install it with `pip install 'servent[torrent]'` and start the node again."
CLOSED = "BitTorrent is switched off here"
HOW_TO_OPEN = "`servent config set torrent.enabled true`, and start the node again."


def library() -> Any:
    """libtorrent.

    Raises:
        WorldError: it is not installed, or does not fit this machine.
    """
    try:
        import libtorrent
    except ImportError as missing:
        raise WorldError(NOT_INSTALLED, advice=HOW_TO_INSTALL) from missing
    return libtorrent


def installed() -> bool:
    """Whether libtorrent is there; does not import it."""
    return find_spec("libtorrent") is not None


class Session:
    """Opens when first used, while `run` runs. One event loop.

    Args:
        data_dir: the DHT's routing table is kept there, so that a later start needs no bootstrap node.
        settings: None for the defaults.
    """

    def __init__(self, data_dir: Path, settings: SessionSettings | None = None) -> None:
        self._path = data_dir / STATE_FILE
        self.settings = settings or SessionSettings()
        self._raw: Any = None  # lt.session: its stubs lag behind what it does
        self._lt: Any = None
        self._group: asyncio.TaskGroup | None = None
        self._running = asyncio.Event()
        self._opening = asyncio.Lock()
        self._popping = asyncio.Lock()  # nobody reads alerts of a torrent that `add` does not know yet
        self._bell: tuple[socket.socket, socket.socket] | None = None
        self._handles: dict[Any, Handle] = {}
        self._puts: dict[tuple[bytes, bytes], list[asyncio.Future[int]]] = {}
        self._gets: dict[tuple[bytes, bytes], list[asyncio.Queue[Item]]] = {}
        self._lookups = asyncio.Semaphore(LOOKUPS_MOST)
        self._stats: list[asyncio.Future[None]] = []
        self._nodes = self._port = self._peers = 0
        self._door = False  # opened with the first torrent
        self._why = ""
        self.dropped = 0  # times that libtorrent threw alerts away: somebody floods us
        self._on: dict[str, Callable[[Any], None]] = {
            "dht_mutable_item_alert": self._item_came,
            "dht_put_alert": self._put_done,
            "session_stats_alert": self._stats_came,
            "listen_succeeded_alert": self._listening,
            "listen_failed_alert": self._not_listening,
            "socks5_alert": self._proxy_trouble,
            "i2p_alert": self._proxy_trouble,
            "alerts_dropped_alert": self._flooded,
            "state_update_alert": self._states_came,
        }

    # -- life

    async def run(self) -> None:
        """Until cancelled; then everything is closed and the routing table is on disk."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._running.set()
                await asyncio.get_running_loop().create_future()
        finally:
            self._group = None
            self._running.clear()
            await self.close()

    @property
    def is_open(self) -> bool:
        return self._raw is not None

    async def open(self) -> None:
        """Open the session; nothing happens when it is open.

        Raises:
            WorldError: libtorrent is not installed, or refuses its settings.
        """
        await self._running.wait()
        async with self._opening:
            if self._raw is not None:
                return
            self._lt = found = await asyncio.to_thread(library)
            pack = packed(self.settings, found, self._door)
            try:
                raw = await asyncio.to_thread(construct, found, pack, self._path)
            except (RuntimeError, ValueError, TypeError, KeyError) as wrong:
                raise WorldError(f"libtorrent does not start: {wrong}") from wrong
            self._bell = ours, theirs = socket.socketpair()
            ours.setblocking(False)
            theirs.setblocking(False)
            self._raw = raw
            raw.set_alert_fd(theirs.fileno())
            begin(self._group, self._listen(ours), "alerts of libtorrent")
            begin(self._group, self._tend(), "upkeep of libtorrent")
            self._enter()

    async def close(self) -> None:
        """Leave trackers and peers, keep the routing table, end libtorrent's threads."""
        async with self._opening:
            raw, self._raw = self._raw, None
            if raw is None:
                return
            for handle in self._handles.values():
                handle.end()
            self._handles.clear()
            self._release()
            holder = [raw]
            del raw
            await asyncio.shield(asyncio.to_thread(destruct, self._lt, holder, self._path))
            if self._bell is not None:
                for end in self._bell:
                    end.close()
                self._bell = None

    def _release(self) -> None:
        """Nobody waits any longer for a session that closes."""
        self._nodes = self._port = self._peers = 0
        self._door = False
        for waiting in self._stats:
            if not waiting.done():
                waiting.set_result(None)
        for puts in self._puts.values():
            for put in puts:
                if not put.done():
                    put.set_result(0)
        for gets in self._gets.values():
            for came in gets:
                _newest(came, Item(0, b"", b"", True))

    async def configure(self, settings: SessionSettings) -> None:
        """Use other settings from now on."""
        self.settings = settings
        if self._raw is not None:
            self._raw.apply_settings(packed(settings, self._lt, self._door))
            self._enter()

    def view(self) -> SessionView:
        return SessionView(
            open=self._raw is not None,
            port=self._port,
            dht=self.settings.uses_dht,
            dht_nodes=self._nodes,
            torrents=len(self._handles),
            peers=self._peers,
            why=self._why,
        )

    async def _tend(self) -> None:
        loop = asyncio.get_running_loop()
        save_at, stats_at = loop.time() + SAVE_EVERY, loop.time()
        while (raw := self._raw) is not None:
            now = loop.time()
            if self._handles:
                raw.post_torrent_updates()
            if now >= stats_at:
                stats_at = now + STATS_EVERY
                raw.post_session_stats()
            if now >= save_at:
                save_at = now + SAVE_EVERY
                await asyncio.to_thread(save, self._lt, raw, self._path)
            del raw  # the last reference is let go in a thread, by `close`
            await asyncio.sleep(STATUS_EVERY)

    # -- torrents

    async def add(self, adding: Adding, watcher: Watcher | None = None) -> Handle:
        """Take a torrent up.

        Raises:
            UsageError: the door is off, the link or file cannot be read, or the torrent is here already.
            WorldError: libtorrent is not there.
        """
        if not self.settings.door:
            raise UsageError(CLOSED, advice=HOW_TO_OPEN)
        await self.open()
        raw = self._raw
        params = params_of(adding, self._lt)
        if not self._door:
            self._door = True
            raw.apply_settings(packed(self.settings, self._lt, True))
        async with self._popping:
            try:
                made = await asyncio.to_thread(raw.add_torrent, params)
            except RuntimeError as wrong:
                raise UsageError(f"the torrent cannot be added: {wrong}") from wrong
            handle = self._handles[made] = Handle(made, self._lt, watcher or Watcher())
        return handle

    async def remove(self, handle: Handle, *, files: bool = False) -> None:
        """Let a torrent go; with `files`, delete what it wrote."""
        if handle.gone or self._raw is None:
            return
        flags = self._lt.session.delete_files if files else self._lt.session.delete_partfile
        self._raw.remove_torrent(handle.raw, flags)
        with contextlib.suppress(TimeoutError, WorldError):
            await handle.removal()

    def handles(self) -> list[Handle]:
        return list(self._handles.values())

    # -- DHT

    async def ready(self, limit: float = READY_TIME) -> bool:
        """Whether the DHT has been entered; waits up to `limit` s for it.

        Raises:
            WorldError: libtorrent is not there.
        """
        if not self.settings.uses_dht:
            return False
        await self.open()
        loop = asyncio.get_running_loop()
        until = loop.time() + limit
        entered = loop.time()
        while self._raw is not None:
            await self._ask_stats()
            if self._nodes:
                return True
            now = loop.time()
            if now >= until:
                break
            if now >= entered + ENTER_EVERY:  # the first packet may be lost
                entered = now
                self._enter()
            await asyncio.sleep(READY_STEP)
        self._why = (
            "the DHT cannot be entered: nobody there answers; UDP may be blocked, or there is no internet"
        )
        return False

    async def dht_put(self, identity: Identity, value: bytes, salt: bytes = b"") -> int:
        """Store `value` under the key of `identity`; the number grows by one. Returns how many nodes keep it, 0 for none.

        Raises:
            UsageError: `value` or `salt` is too long: no node would take it.
            WorldError: libtorrent is not there.
        """
        if len(value) > VALUE_MOST or len(salt) > SALT_MOST:
            raise UsageError(f"the DHT takes {VALUE_MOST} bytes with a salt of {SALT_MOST}")
        if not await self.ready():
            return 0
        key = bytes(identity.peer)
        waiting: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        async with self._lookups:
            if self._raw is None:
                return 0
            waits = self._puts.setdefault((key, salt), [])
            waits.append(waiting)
            self._raw.dht_put_mutable_item(expanded(identity.seed), key, value, salt)
            try:
                async with asyncio.timeout(PUT_TIME):
                    return await waiting
            except TimeoutError:
                return 0
            finally:
                if waiting in waits:
                    waits.remove(waiting)
                if not waits and self._puts.get((key, salt)) is waits:
                    del self._puts[key, salt]

    async def dht_get(
        self, key: PeerId, salt: bytes = b"", limit: float = GET_TIME
    ) -> AsyncGenerator[Item, None]:
        """What is stored under `key`, as nodes answer; ends after an authoritative answer, or `limit` s.

        Raises:
            UsageError: no salt is that long.
            WorldError: libtorrent is not there.
        """
        if len(salt) > SALT_MOST:
            raise UsageError(f"a salt has at most {SALT_MOST} bytes")
        if not await self.ready():
            return
        loop = asyncio.get_running_loop()
        came: asyncio.Queue[Item] = asyncio.Queue(ITEMS_WAITING)
        async with self._lookups:
            if self._raw is None:
                return
            waits = self._gets.setdefault((bytes(key), salt), [])
            waits.append(came)
            try:
                self._raw.dht_get_mutable_item(bytes(key), salt)
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
                if not waits and self._gets.get((bytes(key), salt)) is waits:
                    del self._gets[bytes(key), salt]

    def _enter(self) -> None:
        """Go to the nodes that were named by address; names are libtorrent's to resolve."""
        if self._raw is None or not self.settings.uses_dht:
            return
        for node in self.settings.dht_nodes:
            if is_literal(node):
                self._raw.add_dht_node(endpoint_of(node))

    async def _ask_stats(self) -> None:
        if self._raw is None:
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stats.append(waiting)
        self._raw.post_session_stats()
        try:
            async with asyncio.timeout(STATS_TIME):
                await waiting
        except TimeoutError:
            pass
        finally:
            if waiting in self._stats:
                self._stats.remove(waiting)

    # -- alerts

    async def _listen(self, bell: socket.socket) -> None:
        """Take alerts as they come. A bug in who is told ends nothing here."""
        loop = asyncio.get_running_loop()
        while self._raw is not None:
            await loop.sock_recv(bell, 4096)
            async with self._popping:
                if self._raw is None:
                    return
                for alert in self._raw.pop_alerts():  # each is valid until the next call
                    try:
                        self._take(alert)
                    except Exception:
                        log.exception("an alert of libtorrent: %s", type(alert).__name__)
            await asyncio.sleep(ALERT_PAUSE)

    def _take(self, alert: Any) -> None:
        kind = type(alert).__name__
        handler = self._on.get(kind)
        if handler is not None:
            handler(alert)
        elif kind in TORRENT_ALERTS:
            handle = self._handles.get(alert.handle)
            if handle is not None:
                tell(kind, alert, handle)
                if handle.gone:
                    self._handles.pop(alert.handle, None)

    def _item_came(self, alert: Any) -> None:
        waits = self._gets.get((alert.key, alert.salt))
        if not waits:
            return
        value = alert.item if isinstance(alert.item, bytes) and alert.seq > 0 else b""
        item = Item(alert.seq, value, alert.signature, alert.authoritative)
        for came in waits:
            _newest(came, item)

    def _put_done(self, alert: Any) -> None:
        for waiting in self._puts.get((alert.public_key, alert.salt), ()):
            if not waiting.done():  # puts of one key end in the order they began
                waiting.set_result(alert.num_success)
                return

    def _stats_came(self, alert: Any) -> None:
        values = alert.values
        self._nodes = values.get("dht.dht_nodes", 0)
        self._peers = values.get("peer.num_peers_connected", 0)
        if self._nodes and self._why.startswith("the DHT"):
            self._why = ""
        waiting, self._stats = self._stats, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    def _states_came(self, alert: Any) -> None:
        for raw in alert.status:
            handle = self._handles.get(raw.handle)
            if handle is not None:
                handle.status = status_of(raw)
                handle.watcher.on_state(handle.status)

    def _listening(self, alert: Any) -> None:
        self._port = alert.port

    def _not_listening(self, alert: Any) -> None:
        self._why = (
            f"BitTorrent cannot listen on {alert.listen_interface()[:64]}: {alert.error.message()[:100]}"
        )
        log.info("%s", self._why)

    def _proxy_trouble(self, alert: Any) -> None:
        if alert.error.value():
            self._why = f"the proxy does not do what it should: {alert.error.message()[:100]}"

    def _flooded(self, alert: Any) -> None:
        self.dropped += 1
        log.info("libtorrent had more to say than fits; some of it is lost")


def _newest(queue: asyncio.Queue[Item], item: Item) -> None:
    """Whoever does not read gets what came last."""
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(item)
