"""One libtorrent session that answers JSON lines: `python -m bench.rival_libtorrent PORT`."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

HOST = "10.99.0.1"


def session(port: int) -> Any:
    import libtorrent as lt

    return lt.session(
        {
            "listen_interfaces": f"{HOST}:{port}",
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "enable_incoming_utp": False,
            "enable_outgoing_utp": False,
            "allow_multiple_connections_per_ip": True,
            "alert_mask": lt.alert.category_t.storage_notification | lt.alert.category_t.status_notification,
        }
    )


def make(path: Path, version: str, tracker: str | None) -> bytes:
    import libtorrent as lt

    flags = lt.create_torrent.v2_only if version == "v2" else lt.create_torrent.v1_only
    storage = lt.file_storage()
    lt.add_files(storage, str(path))
    torrent = lt.create_torrent(storage, 0, flags=flags)
    if tracker:
        torrent.add_tracker(tracker)
    lt.set_piece_hashes(torrent, str(path.parent))
    encoded: bytes = lt.bencode(torrent.generate())
    return encoded


def add(found: Any, torrent: str, folder: str, seed: bool) -> Any:
    import libtorrent as lt

    wanted = lt.add_torrent_params()
    wanted.ti = lt.torrent_info(lt.bdecode(Path(torrent).read_bytes()))
    wanted.save_path = folder
    wanted.flags &= ~(lt.torrent_flags.auto_managed | lt.torrent_flags.paused)
    if seed:
        wanted.flags |= lt.torrent_flags.seed_mode
    return found.add_torrent(wanted)


def fetch(found: Any, request: dict[str, Any]) -> None:
    """Until everything is on disk: the cache is flushed before the answer."""
    import libtorrent as lt

    handle = add(found, request["torrent"], request["folder"], False)
    for port in request["ports"]:
        handle.connect_peer((HOST, port))
    stop = time.monotonic() + request["limit"]
    while not handle.status().is_seeding:
        if time.monotonic() > stop:
            raise TimeoutError("libtorrent did not finish")
        found.wait_for_alert(20)
        found.pop_alerts()
    handle.flush_cache()
    while not any(isinstance(alert, lt.cache_flushed_alert) for alert in found.pop_alerts()):
        found.wait_for_alert(20)


def main(port: int) -> None:
    found = session(port)
    print(json.dumps({"ready": os.getpid()}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        reply: Any = None
        match request["do"]:
            case "stop":
                return
            case "make":
                path = Path(request["file"])
                path.write_bytes(make(Path(request["path"]), request["version"], request.get("tracker")))
                reply = str(path)
            case "seed":
                handle = add(found, request["torrent"], request["folder"], True)
                if request.get("up"):
                    handle.set_upload_limit(int(request["up"]))
            case "fetch":
                fetch(found, request)
        print(json.dumps({"ok": reply}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
