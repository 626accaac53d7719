"""The session's settings, torrents and alerts in libtorrent's own words, and back. It gets the library handed; only `session` imports it."""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

from servent.blobs import bencode
from servent.errors import BadMessage, UsageError
from servent.torrent.handle import Handle, endpoint_of
from servent.torrent.krpc import Place, place_of
from servent.torrent.views import Adding, SessionSettings

log = logging.getLogger("servent.torrent")

STATE_MOST = 1 << 20  # bytes of libtorrent's state; a routing table of 2,000 nodes is 60 kB
NODE_MOST = 500  # nodes kept on disk
PLACE_BYTES = 6  # of one, as BEP 5 has it
FINGERPRINT = "-SV0100-"  # the peer id's beginning, as BEP 20 has it
USER_AGENT = "servent/0.1"
ALERTS_MOST = 4000  # libtorrent drops what comes on top, and says so
PART_MOST = 10_000_000  # bytes of a .torrent file; libtorrent's own limit
AGAIN = 10  # s, times one and how often it failed, until a peer is tried again; libtorrent's 60 leave the only peer alone for two minutes
GOODBYE = 1  # s for trackers to take our leave
TORRENT_ALERTS = frozenset(
    name + "_alert"
    for name in (
        "piece_finished", "hash_failed", "metadata_received", "torrent_checked", "torrent_finished", "torrent_error",
        "file_error", "read_piece", "file_renamed", "file_rename_failed", "storage_moved", "storage_moved_failed",
        "save_resume_data", "save_resume_data_failed", "cache_flushed", "torrent_removed", "tracker_error", "url_seed",
    )
)  # fmt: skip


def packed(settings: SessionSettings, lt: Any, door: bool, serve: bool) -> dict[str, Any]:
    """libtorrent's settings for ours. `door`: there are torrents, so that others may connect. `serve`: the DHT's others, too."""
    hosts = settings.listen or ("0.0.0.0", "[::]")
    proxy = settings.proxy if settings.proxy is not None and settings.proxy.kind != "none" else None
    open_dht = not settings.dht_private
    category = lt.alert_category
    pack: dict[str, Any] = {
        "listen_interfaces": ",".join(f"{host}:{settings.port}" for host in hosts),
        "user_agent": USER_AGENT,
        "peer_fingerprint": FINGERPRINT,
        "alert_queue_size": ALERTS_MOST,
        "alert_mask": category.error | category.status | category.storage | category.tracker | category.dht
        | category.piece_progress,
        "enable_dht": settings.uses_dht,
        "dht_read_only": not serve,
        # Those named by address are entered by us, since libtorrent keeps its "routers" out of the routing table.
        "dht_bootstrap_nodes": ",".join(node for node in settings.dht_nodes if not is_literal(node)),
        "dht_restrict_routing_ips": open_dht,
        "dht_restrict_search_ips": open_dht,
        "dht_ignore_dark_internet": open_dht,
        "dht_prefer_verified_node_ids": open_dht,
        "dht_enforce_node_id": False,
        "enable_incoming_tcp": door,
        "enable_incoming_utp": door,
        # A proxy is there to hide behind: nothing that tells the neighbours or the router.
        "enable_lsd": door and settings.local and proxy is None,
        "enable_upnp": settings.map_ports and door and proxy is None,
        "enable_natpmp": settings.map_ports and door and proxy is None,
        "upload_rate_limit": settings.up_bytes_per_s,
        "download_rate_limit": settings.down_bytes_per_s,
        "connections_limit": settings.connections,
        "unchoke_slots_limit": settings.upload_slots,
        "stop_tracker_timeout": GOODBYE,
        "min_reconnect_time": AGAIN,
        # What a link names is a stranger's choice: no services of this machine or the local network are to be had by it.
        "no_connect_privileged_ports": True,  # peers; libtorrent's default is False
        "ssrf_mitigation": True,
        "allow_idna": False,
        "validate_https_trackers": True,
        "webtorrent_stun_server": "",  # nobody else's server learns where we are
        # What runs is the queue's business (servent.blobs.turns), not libtorrent's.
        "active_downloads": -1, "active_seeds": -1, "active_limit": -1, "active_checking": 2,
        "proxy_type": 0,
    }  # fmt: skip
    if open_dht is False:
        pack["dht_block_ratelimit"] = 1000  # few nodes, each asked often
    if proxy is not None and proxy.kind == "i2p":
        pack |= {"i2p_hostname": proxy.host, "i2p_port": proxy.port, "allow_i2p_mixed": False}
    elif proxy is not None:
        kind = lt.proxy_type_t.socks5_pw if proxy.user else lt.proxy_type_t.socks5
        pack |= {
            "proxy_type": int(kind),
            "proxy_hostname": proxy.host,
            "proxy_port": proxy.port,
            "proxy_username": proxy.user,
            "proxy_password": proxy.password,
            "proxy_hostnames": True,
            "proxy_peer_connections": True,
            "proxy_tracker_connections": True,
        }
    return pack


def is_literal(node: str) -> bool:
    """Whether "host:port" names an IP address."""
    try:
        ipaddress.ip_address(endpoint_of(node)[0])
    except ValueError:
        return False
    return True


def load(path: Path) -> list[Place]:
    """The nodes that `save` kept; none where there is no such file, or it is damaged. Blocks."""
    try:
        with path.open("rb") as file:
            packed = file.read(NODE_MOST * PLACE_BYTES)
    except OSError:
        return []
    places = [place_of(packed[at : at + PLACE_BYTES]) for at in range(0, len(packed), PLACE_BYTES)]
    return [place for place in places if place is not None]


def save(lt: Any, raw: Any, path: Path) -> None:
    """Keep the nodes that libtorrent knows, whole or not at all, for nobody else to read. Blocks.

    By ourselves, since a session of libtorrent 2.1.1 that is given its earlier state starts without it (measured).
    """
    nodes = known_nodes(lt, raw)[:NODE_MOST]
    if not nodes:
        return
    try:
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with open(descriptor, "wb") as file:
            file.writelines(
                ipaddress.IPv4Address(host).packed + port.to_bytes(2, "big") for host, port in nodes
            )
        os.replace(draft, path)
    except OSError as wrong:
        log.info("the DHT's nodes are not kept: %s", wrong)


def known_nodes(lt: Any, raw: Any) -> list[Place]:
    """Nodes of the DHT that libtorrent knows, by IPv4. Blocks."""
    flag = lt.save_state_flags_t.save_dht_state
    try:
        state = bencode.decode(lt.write_session_params_buf(raw.session_state(flag), flag), STATE_MOST)
    except BadMessage:
        return []
    inner = state.get(b"dht state") if isinstance(state, dict) else None
    nodes = inner.get(b"nodes", []) if isinstance(inner, dict) else []
    packed = nodes if isinstance(nodes, list) else []
    places = [place_of(one) for one in packed if isinstance(one, bytes) and len(one) == 6]
    return [place for place in places if place is not None]


def destruct(lt: Any, holder: list[Any], path: Path) -> None:
    """End the session, whose last reference `holder` has. Blocks, and for part of it all of Python (the binding's way)."""
    with contextlib.suppress(RuntimeError):
        holder[0].pause()
        if holder[0].is_dht_running():
            save(lt, holder[0], path)
    holder.clear()


def expanded(seed: bytes) -> bytes:
    """The 64-byte form of a private key that libtorrent signs with: SHA-512 of the seed, clamped (RFC 8032, 5.1.5)."""
    made = bytearray(hashlib.sha512(seed).digest())
    made[0] &= 248
    made[31] &= 63
    made[31] |= 64
    return bytes(made)


def params_of(adding: Adding, lt: Any) -> Any:
    """What libtorrent adds.

    Raises:
        UsageError: neither link nor file nor what was kept can be read.
    """
    try:
        params = _named(adding, lt)
        peers = [endpoint_of(peer) for peer in adding.peers]
    except (RuntimeError, ValueError, KeyError) as wrong:
        raise UsageError(f"this is no torrent: {str(wrong)[:200]}") from wrong
    params.save_path = str(adding.folder)
    params.flags = _flags(adding, lt)
    if adding.trackers:
        params.trackers = [*params.trackers, *adding.trackers]
    if adding.url_seeds:
        params.url_seeds = [*params.url_seeds, *adding.url_seeds]
    if peers:
        params.peers = [*params.peers, *peers]
    if adding.renamed:
        params.renamed_files = dict(adding.renamed)
    if adding.file_priorities:
        params.file_priorities = list(adding.file_priorities)
    if adding.piece_priorities:
        params.piece_priorities = list(adding.piece_priorities)
    if adding.have:
        bits = int.from_bytes(adding.have, "big")
        size = len(adding.have) * 8
        flags = [bool(bits >> (size - 1 - piece) & 1) for piece in range(size)]
        params.have_pieces = flags[: params.ti.num_pieces()]
    params.upload_limit = adding.up_bytes_per_s or -1
    params.download_limit = adding.down_bytes_per_s or -1
    if adding.connections is not None:
        params.max_connections = adding.connections
    if adding.upload_slots is not None:
        params.max_uploads = max(adding.upload_slots, 2)
    return params


def _named(adding: Adding, lt: Any) -> Any:
    if adding.resume is not None:
        return lt.read_resume_data(adding.resume)
    if adding.torrent is not None:
        if len(adding.torrent) > PART_MOST:
            raise ValueError("it is too large")
        return lt.load_torrent_buffer(adding.torrent)
    if adding.magnet is not None:
        return lt.parse_magnet_uri(adding.magnet)
    raise ValueError("neither link nor file is given")


def _flags(adding: Adding, lt: Any) -> int:
    words = lt.torrent_flags
    flags = int(words.update_subscribe | words.apply_ip_filter | words.duplicate_is_error)
    if adding.paused:
        flags |= words.paused
    if adding.seed:
        flags |= words.seed_mode
    if adding.upload:
        flags |= words.upload_mode
    if adding.sequential:
        flags |= words.sequential_download
    if not adding.public:
        flags |= words.disable_dht | words.disable_lsd | words.disable_pex
    return flags


def tell(kind: str, alert: Any, handle: Handle) -> None:
    """Pass an alert of a torrent on to who waits for it and who watches."""
    watcher = handle.watcher
    match kind.removesuffix("_alert"):
        case "piece_finished":
            watcher.on_piece(alert.piece_index)
        case "hash_failed":
            watcher.on_hash_failed(alert.piece_index)
        case "metadata_received":
            handle.complete()
            watcher.on_metadata()
        case "torrent_checked":
            watcher.on_checked()
        case "torrent_finished":
            watcher.on_finished()
        case "torrent_error" | "file_error":
            watcher.on_error(alert.error.message()[:200])
        case "tracker_error":
            said = alert.error_message() or alert.error.message()
            watcher.on_trouble(f"{alert.url[:200]}: {said[:200]}")
        case "url_seed":
            watcher.on_trouble(
                f"{alert.server_url()[:200]}: {(alert.error_message() or alert.error.message())[:200]}"
            )
        case "read_piece":
            bad = alert.error.value() != 0
            handle.answer(
                "read", alert.piece, None if bad else alert.buffer, alert.error.message() if bad else None
            )
        case "file_renamed":
            handle.answer("rename", alert.index)
        case "file_rename_failed":
            handle.answer(
                "rename", alert.index, error=f"the file keeps its name: {alert.error.message()[:200]}"
            )
        case "storage_moved":
            handle.answer("move", 0)
        case "storage_moved_failed":
            handle.answer("move", 0, error=f"the files stay where they are: {alert.error.message()[:200]}")
        case "cache_flushed":
            handle.answer("flush", 0)
        case "save_resume_data":
            handle.answer("resume", 0, handle.encode(alert.params))
        case "save_resume_data_failed":
            handle.answer("resume", 0, error=f"nothing to keep: {alert.error.message()[:200]}")
        case "torrent_removed":
            handle.answer("removed", 0)
            handle.end()
