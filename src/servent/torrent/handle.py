"""One torrent of the session. Orders return at once; what asks the session waits in a thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from servent.blobs.magnet import Magnet
from servent.errors import UsageError, WorldError
from servent.torrent.views import State, Status, TorrentPeer, Tracker, Watcher

if TYPE_CHECKING:
    import libtorrent as lt

log = logging.getLogger("servent.torrent")

CLIENT_LENGTH = 64
RENAMED_AT_ONCE = 200
UTP_SOCKET = 1 << 17  # libtorrent's peer_info::utp_socket, which its Python module does not name
REMOVED = "this torrent has been removed"
ANSWER_TIME = 30.0  # s for the session's threads to read, move or rename; a busy disk included
STATES: dict[str, State] = {
    "queued_for_checking": "checking",
    "checking_files": "checking",
    "checking_resume_data": "checking",
    "allocating": "checking",
    "downloading_metadata": "metadata",
    "downloading": "downloading",
    "finished": "finished",
    "seeding": "seeding",
}
Wait = tuple[str, int]  # what is waited for, and of which piece or file


class Handle:
    """Made by `Session.add` alone.

    Attributes:
        infohash_v1: 20 bytes, None for a pure v2 torrent.
        infohash_v2: 32 bytes, None for a pure v1 torrent. A magnet link may name one of two; `on_metadata` completes them.
        status: as last told.

    Args:
        port: at which this session listens.
    """

    def __init__(
        self, raw: lt.torrent_handle, library: Any, watcher: Watcher, port: Callable[[], int] = lambda: 0
    ) -> None:
        self._raw = raw
        self._lt = library
        self.watcher, self._port = watcher, port
        self._ourselves: set[tuple[str, int]] = set()
        self.status: Status | None = None
        self._waits: dict[Wait, list[asyncio.Future[Any]]] = {}
        self.gone = self._leaving = False
        self._known = False  # its metadata is there
        self._wishes: dict[int, int] = {}  # priorities of pieces until then
        self.infohash_v1, self.infohash_v2 = hashes(raw.info_hashes())

    def __repr__(self) -> str:
        known = self.infohash_v2 or self.infohash_v1 or b""
        return f"Handle({known.hex()[:8]})"

    # -- orders

    def start(self) -> None:
        """Go on; also after an error."""
        if self._alive():
            self._raw.clear_error()
            self._raw.unset_flags(self._lt.torrent_flags.auto_managed)
            self._raw.resume()

    def pause(self) -> None:
        """Let go of all peers; nothing moves until `start`."""
        if self._alive():
            self._raw.unset_flags(self._lt.torrent_flags.auto_managed)
            self._raw.pause()

    def upload_only(self, on: bool) -> None:
        """Ask peers for nothing any more, or again."""
        if self._alive():
            flag = self._lt.torrent_flags.upload_mode
            self._raw.set_flags(flag) if on else self._raw.unset_flags(flag)

    def sequential(self, on: bool) -> None:
        """Fetch pieces in order, or the rarest first."""
        if self._alive():
            flag = self._lt.torrent_flags.sequential_download
            self._raw.set_flags(flag) if on else self._raw.unset_flags(flag)

    def limit(self, up_bytes_per_s: int, down_bytes_per_s: int) -> None:
        """0 for no limit. Unlike the session's limits these hold for peers on the local network, too (measured)."""
        if self._alive():
            self._raw.set_upload_limit(up_bytes_per_s or -1)
            self._raw.set_download_limit(down_bytes_per_s or -1)

    def slots(self, count: int | None) -> None:
        """Peers served at once; None for the session's rule, 0 for nobody."""
        if self._alive():
            # libtorrent takes 0 and 1 for "no limit", and -1 likewise: nobody is served by way of the rate
            self._raw.set_max_uploads(-1 if count is None else max(count, 2))

    def piece_priorities(self, priorities: Sequence[int]) -> None:
        """0 (do not fetch) to 7, for all pieces."""
        if self._alive():
            self._raw.prioritize_pieces(list(priorities))

    def piece_priority(self, index: int, priority: int) -> None:
        if self._alive():
            self._raw.piece_priority(index, priority)

    def change_priorities(self, pieces: Iterable[int], priority: int) -> None:
        """Of these alone; before the metadata is there, as soon as it is: libtorrent would divide by zero, and the node would end."""
        if not self._alive() or not (changes := [(piece, priority) for piece in pieces]):
            return
        if self._known:
            self._raw.prioritize_pieces(changes)
        else:
            self._wishes.update(changes)

    def deadline(self, index: int, milliseconds: int) -> None:
        """Fetch this piece before others, from several peers if need be."""
        if self._alive():
            self._raw.set_piece_deadline(index, milliseconds)

    def file_priorities(self, priorities: Sequence[int]) -> None:
        """0 (do not fetch) to 7, for all files."""
        if self._alive():
            self._raw.prioritize_files(list(priorities))

    def add_piece(self, index: int, data: bytes) -> None:
        """A whole piece from elsewhere: checked against its hash, written, and told to peers (`on_piece` or `on_hash_failed`)."""
        if self._alive():
            self._raw.add_piece(index, data, 0)

    def connect(self, address: str) -> None:
        """Try the peer at "ip:port".

        Raises:
            UsageError: it is no address.
        """
        if self._alive():
            try:
                self._raw.connect_peer(endpoint_of(address))
            except (ValueError, RuntimeError) as wrong:
                raise UsageError(f"{address!r} is no address of a peer: {wrong}") from wrong

    def add_tracker(self, url: str, tier: int = 0) -> None:
        if self._alive():
            self._raw.add_tracker({"url": url, "tier": tier})

    def learn(self, link: Magnet) -> None:
        """Peers, trackers and web seeds of a link to the same; those that are known already are left out by libtorrent."""
        for address in link.peers:
            self.connect(address)
        for url in link.trackers:
            self.add_tracker(url)
        for url in link.web_seeds:
            self.add_url_seed(url)

    def add_url_seed(self, url: str) -> None:
        """A web seed (BEP 19)."""
        if self._alive():
            self._raw.add_url_seed(url)

    def remove_url_seed(self, url: str) -> None:
        if self._alive():
            self._raw.remove_url_seed(url)

    def announce(self) -> None:
        """Ask trackers and the DHT for peers now."""
        if self._alive():
            self._raw.force_reannounce()
            self._raw.force_dht_announce()

    def recheck(self) -> None:
        """Read and hash everything on disk again."""
        if self._alive():
            self._raw.force_recheck()

    # -- questions

    async def fresh(self) -> Status:
        """The status now."""
        raw = await self._ask(self._raw.status)
        if raw.num_peers < raw.num_connections:
            await self._find_ourselves()
        self.status = self.read(raw)
        return self.status

    async def _find_ourselves(self) -> None:
        """What the neighbours or the DHT are told of us comes back: libtorrent tries itself for a while, and then bans it."""
        for peer in await self._ask(self._raw.get_peer_info):
            if peer.ip[1] == self._port() and peer.ip[0] == peer.local_endpoint()[0]:
                self._ourselves.add(peer.ip)

    async def pieces(self) -> list[bool]:
        """Which pieces are there; empty before the metadata is."""
        flag = self._lt.torrent_handle.query_pieces
        return list((await self._ask(self._raw.status, flag)).pieces)

    async def file_progress(self) -> list[int]:
        """Bytes of each file that are there."""
        return list(await self._ask(self._raw.file_progress))

    async def info(self) -> bytes | None:
        """The info dictionary as it was hashed; None before the metadata is there."""
        found = await self._ask(self._raw.torrent_file)
        return None if found is None else bytes(found.info_section())

    async def torrent(self) -> bytes | None:
        """The .torrent as far as it is known: with all piece layers, or None while some are missing.

        Raises:
            WorldError: as `resume_data`.
        """
        resume = await self.resume_data()

        def build() -> bytes | None:
            try:
                return bytes(self._lt.bencode(self._lt.write_torrent_file(self._lt.read_resume_data(resume))))
            except RuntimeError:  # "a piece layer is invalid": not there yet
                return None

        return await asyncio.to_thread(build)

    async def begun(self) -> set[int]:
        """Pieces of which some block is asked of a peer, or there, and others are not."""
        queue = await self._ask(self._raw.get_download_queue)
        return {int(entry["piece_index"]) for entry in queue}

    async def availability(self) -> list[int]:
        """How many connected peers have each piece; empty for a torrent whose pieces are all there."""
        return list(await self._ask(self._raw.piece_availability))

    async def paths(self) -> list[str]:
        """Of all files, below the folder, as libtorrent calls them before any is renamed; files of padding are there, too."""
        found = await self._ask(self._raw.torrent_file)
        files = found.layout() if found is not None else None
        return [] if files is None else [files.file_path(index) for index in range(files.num_files())]

    async def peers(self) -> list[TorrentPeer]:
        return [peer_of(peer, self._lt) for peer in await self._ask(self._raw.get_peer_info)]

    async def trackers(self) -> list[Tracker]:
        return [tracker_of(dict(one)) for one in await self._ask(self._raw.trackers)]

    async def url_seeds(self) -> list[str]:
        return list(await self._ask(self._raw.url_seeds))

    async def read_piece(self, index: int) -> bytes:
        """The bytes of a piece that is there.

        Raises:
            WorldError: it is not there, or cannot be read.
        """
        return cast(bytes, await self._wait(("read", index), lambda: self._raw.read_piece(index)))

    async def rename(self, index: int, path: str) -> None:
        """Give a file another path, absolute or below the folder.

        Raises:
            WorldError: the system does not let us.
        """
        await self._wait(("rename", index), lambda: self._raw.rename_file(index, path))

    async def rename_all(self, paths: Sequence[tuple[int, str]]) -> None:
        """The same for many. Raises WorldError."""
        for at in range(0, len(paths), RENAMED_AT_ONCE):
            failed = False
            try:
                async with asyncio.TaskGroup() as group:
                    for index, path in paths[at : at + RENAMED_AT_ONCE]:
                        group.create_task(self.rename(index, path), name="rename a file")
            except* WorldError:
                failed = True
            if failed:
                raise WorldError("the torrent's files cannot be renamed")

    async def move(self, folder: Path) -> None:
        """Move all files below `folder`; what is there already stays and is taken.

        Raises:
            WorldError: the system does not let us.
        """
        keep = self._lt.move_flags_t.dont_replace
        await self._wait(("move", 0), lambda: self._raw.move_storage(str(folder), keep), limit=None)

    async def flush(self) -> None:
        """Until all that was received is in its file."""
        await self._wait(("flush", 0), self._raw.flush_cache)

    async def resume_data(self) -> bytes:
        """What `Adding.resume` takes, with the info dictionary in it.

        Raises:
            WorldError: there is none to give.
        """
        flag = self._lt.torrent_handle.save_info_dict | self._lt.torrent_handle.flush_disk_cache
        return cast(bytes, await self._wait(("resume", 0), lambda: self._raw.save_resume_data(flag)))

    # -- for the session alone

    def read(self, raw: lt.torrent_status) -> Status:
        """What the session says of it."""
        return status_of(raw, len(self._ourselves))

    @property
    def raw(self) -> lt.torrent_handle:
        return self._raw

    def encode(self, params: lt.add_torrent_params) -> bytes:
        return bytes(self._lt.write_resume_data_buf(params))

    def answer(self, what: str, index: int, value: Any = None, error: str | None = None) -> None:
        """What was waited for has come, or failed."""
        for waiting in self._waits.pop((what, index), ()):
            if waiting.done():
                continue
            if error is None:
                waiting.set_result(value)
            else:
                waiting.set_exception(WorldError(error))

    def end(self) -> None:
        """The torrent has left the session: nobody waits any longer."""
        self.gone = True
        for what, index in list(self._waits):
            self.answer(what, index, error="the torrent has been removed")

    def leave(self) -> bool:
        """Before the session lets it go, which takes a while: no more orders and questions. False if it was told before."""
        before, self._leaving = self._leaving, True
        return not before

    def complete(self) -> None:
        """Its metadata is there."""
        self.infohash_v1, self.infohash_v2 = hashes(self._raw.info_hashes())
        self._known = True
        wishes, self._wishes = self._wishes, {}
        if wishes and self._alive():
            self._raw.prioritize_pieces(list(wishes.items()))

    async def removal(self) -> None:
        """Until the session says that it is gone."""
        waiting = asyncio.get_running_loop().create_future()
        self._waits.setdefault(("removed", 0), []).append(waiting)
        async with asyncio.timeout(ANSWER_TIME):
            await waiting

    def _alive(self) -> bool:
        return not self.gone and not self._leaving

    def _must_live(self) -> None:
        if not self._alive():
            raise UsageError(REMOVED)

    async def _ask(self, question: Callable[..., Any], *more: Any) -> Any:
        """In a thread. Raises UsageError when the torrent is removed, also while it is asked."""
        self._must_live()
        try:
            return await asyncio.to_thread(question, *more)
        except RuntimeError as wrong:  # "invalid torrent handle used"
            if self._alive():
                raise
            raise UsageError(REMOVED) from wrong

    async def _wait(self, what: Wait, ask: Any, limit: float | None = ANSWER_TIME) -> Any:
        self._must_live()
        waiting = asyncio.get_running_loop().create_future()
        others = self._waits.setdefault(what, [])
        others.append(waiting)
        if len(others) == 1:  # one order serves all who wait for the same
            ask()
        try:
            async with asyncio.timeout(limit):
                return await waiting
        except TimeoutError:
            raise WorldError(f"the torrent did not {what[0]} in {limit:.0f} s") from None
        finally:
            if waiting in (left := self._waits.get(what, [])):
                left.remove(waiting)
                if not left:
                    self._waits.pop(what, None)


def endpoint_of(address: str) -> tuple[str, int]:
    """("ip", port) of "ip:port" or "[ip]:port".

    Raises:
        ValueError: it is neither.
    """
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError("a port from 1 to 65535 is missing")
    return host.removeprefix("[").removesuffix("]"), int(port)


def hashes(both: lt.info_hash_t) -> tuple[bytes | None, bytes | None]:
    """The v1 (20 bytes) and the v2 infohash (32 bytes)."""
    one = both.v1.to_bytes() if both.has_v1() else None
    two = both.v2.to_bytes() if both.has_v2() else None
    return one, two


def status_of(raw: lt.torrent_status, ourselves: int = 0) -> Status:
    """`ourselves`: addresses of our own among the peers that it has heard of."""
    trying = max(0, raw.num_connections - raw.num_peers)
    error = raw.errc.message() if raw.errc.value() else ""
    return Status(
        state=STATES.get(str(raw.state), "checking"),
        paused=bool(raw.paused),
        name=raw.name[:255],
        has_metadata=raw.has_metadata,
        done_bytes=raw.total_wanted_done,
        wanted_bytes=raw.total_wanted,
        total_bytes=raw.total,
        down_bytes_per_s=raw.download_payload_rate,
        up_bytes_per_s=raw.upload_payload_rate,
        downloaded_bytes=raw.all_time_download,
        uploaded_bytes=raw.all_time_upload,
        wasted_bytes=raw.total_failed_bytes + raw.total_redundant_bytes,
        peers=raw.num_peers,
        seeds=raw.num_seeds,
        known=max(0, raw.list_peers - ourselves),
        tried=min(max(0, raw.connect_candidates) + trying, max(0, raw.list_peers - ourselves)),
        error=error,
    )


def peer_of(raw: lt.peer_info, library: Any) -> TorrentPeer:
    kinds = library.peer_info
    kind = int(raw.connection_type)
    web = kind in (int(kinds.web_seed), int(kinds.http_seed))
    host, port = raw.ip
    return TorrentPeer(
        address=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        client=raw.client.decode("utf-8", "replace")[:CLIENT_LENGTH],
        progress=raw.progress,
        down_bytes_per_s=raw.payload_down_speed,
        up_bytes_per_s=raw.payload_up_speed,
        downloaded_bytes=raw.total_download,
        uploaded_bytes=raw.total_upload,
        transport="web" if web else "utp" if raw.flags & UTP_SOCKET else "tcp",
        outgoing=bool(raw.flags & kinds.local_connection),
    )


def tracker_of(raw: dict[str, Any]) -> Tracker:
    trouble = str(raw.get("message", "") or "")[:200]
    return Tracker(url=str(raw["url"])[:1024], tier=int(raw.get("tier", 0)), trouble=trouble)
