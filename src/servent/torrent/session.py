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
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from servent.errors import UsageError, WorldError
from servent.identity import Identity, PeerId
from servent.tasks import begin
from servent.torrent.dht import GET_TIME, READY_TIME, Dht
from servent.torrent.handle import Handle
from servent.torrent.krpc import Place
from servent.torrent.tuning import (
    TORRENT_ALERTS,
    destruct,
    load,
    packed,
    params_of,
    save,
    tell,
)
from servent.torrent.views import Adding, Item, SessionSettings, SessionView, Watcher

log = logging.getLogger("servent.torrent")

NODES_FILE = "dht.nodes"
ALERT_PAUSE = 0.01  # s between two looks at the alerts: a flood wakes us a hundred times a second at most
STATUS_EVERY = 1.0  # s between questions for what changed, while there are torrents
STATS_EVERY = 30.0  # s between looks at how many nodes and peers there are
SERVE_AFTER = 1800.0  # s; who has been there for half an hour will stay (a guess, from the session lengths of BitTorrent)
SAVE_EVERY = 600.0  # s between copies of the routing table on disk

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
        reached: whether others reach this machine from outside; asked now and then.
    """

    def __init__(
        self,
        data_dir: Path,
        settings: SessionSettings | None = None,
        *,
        reached: Callable[[], bool] = lambda: False,
    ) -> None:
        self._path = data_dir / NODES_FILE
        self.settings = settings or SessionSettings()
        self._reached = reached
        self.raw: Any = None  # lt.session: its stubs lag behind what it does
        self.library: Any = None
        self._group: asyncio.TaskGroup | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._running = asyncio.Event()
        self._ended = False
        self._opening = asyncio.Lock()
        self._popping = asyncio.Lock()  # nobody reads alerts of a torrent that `add` does not know yet
        self._bell: tuple[socket.socket, socket.socket] | None = None
        self._handles: dict[Any, Handle] = {}
        self._dht = Dht(self)
        self._port = 0
        self._drawn = 0  # where the settings leave the port to us
        self._door = False  # opened with the first torrent
        self._serve = self._keep_seeds = False
        self._why = ""
        self.dropped = 0  # times that libtorrent threw alerts away: somebody floods us
        self._on: dict[str, Callable[[Any], None]] = {
            "dht_mutable_item_alert": self._dht.item_came,
            "dht_put_alert": self._dht.put_done,
            "session_stats_alert": self._dht.stats_came,
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
            self._ended = True
            self._group = None
            await self.close()

    @property
    def is_open(self) -> bool:
        return self.raw is not None

    async def open(self) -> None:
        """Open the session; nothing happens when it is open.

        Raises:
            WorldError: libtorrent is not installed, or refuses its settings.
        """
        if self._ended:
            raise WorldError("BitTorrent has been closed with the node")
        await self._running.wait()
        async with self._opening:
            if self.raw is not None:
                return
            self.library = found = await asyncio.to_thread(library)
            self._serve = self.settings.dht_serve == "on"
            if not self.settings.port and not self._drawn:
                self._drawn = await asyncio.to_thread(_free_port)
            pack = self._pack()
            try:
                raw, self._dht.earlier = await asyncio.to_thread(_construct, found, pack, self._path)
            except (RuntimeError, ValueError, TypeError, KeyError) as wrong:
                raise WorldError(f"libtorrent does not start: {wrong}") from wrong
            self._bell = ours, theirs = socket.socketpair()
            ours.setblocking(False)
            theirs.setblocking(False)
            self.raw = raw
            raw.set_alert_fd(theirs.fileno())
            work = ((self._listen(ours), "alerts of libtorrent"), (self._tend(), "upkeep of libtorrent"))
            started = [begin(self._group, one, name) for one, name in work]
            self._tasks = [task for task in started if task is not None]
            self._dht.enter()

    async def close(self) -> None:
        """Leave trackers and peers, keep the routing table, end libtorrent's threads."""
        async with self._opening:
            raw, self.raw = self.raw, None
            if raw is None:
                return
            for handle in self._handles.values():
                handle.end()
            self._handles.clear()
            self._port, self._door = 0, False
            self._dht.close()
            tasks, self._tasks = self._tasks, []
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)  # nobody listens to a socket that is closed
            holder = [raw]
            del raw
            await asyncio.shield(asyncio.to_thread(destruct, self.library, holder, self._path))
            if self._bell is not None:
                for end in self._bell:
                    end.close()
                self._bell = None

    async def configure(self, settings: SessionSettings) -> None:
        """Use other settings from now on."""
        self.settings = settings
        if self.raw is not None:
            self.raw.apply_settings(self._pack())
            self._dht.enter()

    def _pack(self) -> dict[str, Any]:
        pack = packed(
            replace(self.settings, port=self.settings.port or self._drawn),
            self.library,
            self._door,
            self._serve,
        )
        return pack | {"close_redundant_connections": not self._keep_seeds}

    def view(self) -> SessionView:
        return SessionView(
            open=self.raw is not None,
            port=self._port,
            dht=self.settings.uses_dht,
            dht_nodes=self._dht.nodes,
            torrents=len(self._handles),
            peers=self._dht.peers,
            why=self._why or self._dht.why,
        )

    async def _tend(self) -> None:
        loop = asyncio.get_running_loop()
        save_at, stats_at, serve_at = loop.time() + SAVE_EVERY, loop.time(), loop.time() + SERVE_AFTER
        while (raw := self.raw) is not None:
            now = loop.time()
            if self._handles:
                raw.post_torrent_updates()
            if now >= stats_at:
                stats_at = now + STATS_EVERY
                raw.post_session_stats()
                self._serve_dht(now >= serve_at)
            if now >= save_at:
                save_at = now + SAVE_EVERY
                await asyncio.to_thread(save, self.library, raw, self._path)
            del raw  # the last reference is let go in a thread, by `close`
            await asyncio.sleep(STATUS_EVERY)

    def _serve_dht(self, settled: bool) -> None:
        wish = self.settings.dht_serve
        serve = wish == "on" or (wish == "auto" and settled and self._reached())
        if serve != self._serve:
            self._serve = serve
            self.raw.apply_settings(self._pack())

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
        raw = self.raw
        params = params_of(adding, self.library)
        if not self._door:
            self._door = True
            raw.apply_settings(self._pack())
        async with self._popping:
            try:
                made, known = await asyncio.to_thread(_added, raw, params)
            except RuntimeError as wrong:
                raise UsageError(f"the torrent cannot be added: {wrong}") from wrong
            handle = self._handles[made] = Handle(
                made, self.library, watcher or Watcher(), lambda: self._port
            )
            if known:
                handle.complete()
        return handle

    async def remove(self, handle: Handle, *, files: bool = False) -> None:
        """Let a torrent go; with `files`, delete what it wrote."""
        if handle.gone or self.raw is None:
            return
        flags = self.library.session.delete_files if files else self.library.session.delete_partfile
        if handle.leave():
            self.raw.remove_torrent(handle.raw, flags)
        with contextlib.suppress(TimeoutError, WorldError):
            await handle.removal()

    def keep_seeds(self, on: bool) -> None:
        """Whether a torrent that wants nothing at the moment stays connected to those who want nothing either."""
        self._keep_seeds = on
        if self.raw is not None:
            self.raw.apply_settings(self._pack())

    def handles(self) -> list[Handle]:
        return list(self._handles.values())

    # -- DHT

    async def ready(self, limit: float = READY_TIME) -> bool:
        """Whether the DHT has been entered; waits up to `limit` s for it.

        Raises:
            WorldError: libtorrent is not there.
        """
        return await self._dht.ready(limit)

    async def dht_put(self, identity: Identity, value: bytes, salt: bytes = b"") -> int:
        """Store `value` under the key of `identity`; a new value gets the next number. Returns how many nodes keep it, 0 for none.

        Raises:
            UsageError: `value` or `salt` is too long: no node would take it.
            WorldError: libtorrent is not there.
        """
        return await self._dht.put(identity, value, salt)

    def dht_get(self, key: PeerId, salt: bytes = b"", limit: float = GET_TIME) -> AsyncGenerator[Item, None]:
        """What is stored under `key`, as nodes answer; ends after an authoritative answer, or `limit` s.

        Raises:
            UsageError: no salt is that long.
            WorldError: libtorrent is not there.
        """
        return self._dht.get(key, salt, limit)

    # -- alerts

    async def _listen(self, bell: socket.socket) -> None:
        """Take alerts as they come. A bug in who is told ends nothing here."""
        loop = asyncio.get_running_loop()
        while self.raw is not None:
            await loop.sock_recv(bell, 4096)
            async with self._popping:
                if self.raw is None:
                    return
                for alert in self.raw.pop_alerts():  # each is valid until the next call
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

    def _states_came(self, alert: Any) -> None:
        for raw in alert.status:
            handle = self._handles.get(raw.handle)
            if handle is not None:
                handle.status = handle.read(raw)
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


def _free_port() -> int:
    """One port for all addresses: left to itself, libtorrent takes another for each. 0 where none was found."""
    for _ in range(8):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            try:
                tcp.bind(("", 0))
                udp.bind(tcp.getsockname())
            except OSError:
                continue
            return int(tcp.getsockname()[1])
    return 0


def _added(raw: Any, params: Any) -> tuple[Any, bool]:
    """A new torrent's handle, and whether its metadata is there. Blocks."""
    made = raw.add_torrent(params)
    return made, made.torrent_file() is not None


def _construct(found: Any, pack: dict[str, Any], path: Path) -> tuple[Any, list[Place]]:
    """A session, and nodes of the DHT known from before. Blocks."""
    params = found.session_params()
    params.settings = pack
    return found.session(params), load(path)
