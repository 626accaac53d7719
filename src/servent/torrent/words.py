"""What a torrent does, or what it waits for, in a sentence. Pure."""

from __future__ import annotations

from servent.blobs.rows import State
from servent.torrent.views import Status


def peers(count: int) -> str:
    return "1 BitTorrent peer" if count == 1 else f"{count} BitTorrent peers"


def happens(status: Status, *, known: bool, dht: bool, trackers: bool) -> tuple[State | None, str]:
    """Its state, None while BitTorrent brings nothing, and why.

    Args:
        known: its list of files is here.
        dht, trackers: whether they are asked for peers.
    """
    if status.peers == 0:
        asked = " and ".join(["BitTorrent's DHT"] * dht + ["the link's trackers"] * trackers)
        if status.tried:
            return None, f"tries {peers(status.tried)}"
        nobody = f"no answer from {peers(status.known)}" if status.known else ""
        if asked:
            return None, f"{nobody}{', ' if nobody else ''}asks {asked} for peers"
        return None, nobody or "no BitTorrent peer is known"
    if not known:
        return "metadata", f"getting the list of files from {peers(status.peers)}"
    if status.down_bytes_per_s > 0:
        return "active", ""
    if status.seeds == 0:
        return None, f"{peers(status.peers)}, {'none' if status.peers > 1 else 'not'} complete"
    return None, f"waits for {peers(status.peers)} to send"
