"""What people name to fetch it: a number of the last search or listing, or a path of a peer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from servent.api import schema_getting as getting
from servent.api import schema_share as share
from servent.errors import NotFound, UsageError

if TYPE_CHECKING:
    from servent.api.client import Client

FILE = "last-search.json"
MOST = 5000


def keep(data_dir: Path, rows: list[getting.NewGet]) -> None:
    """Row 1 is the first. Kept beside the node's token, readable by its user alone; missing out on it is no error."""
    from servent.api.keys import write_private

    try:
        write_private(data_dir / FILE, msgspec.json.encode(rows[:MOST]))
    except OSError:
        return


def find(data_dir: Path, number: int) -> getting.NewGet:
    """Raises NotFound: no search yet, or it had fewer rows."""
    try:
        rows = msgspec.json.decode((data_dir / FILE).read_bytes(), type=list[getting.NewGet])
    except (OSError, msgspec.MsgspecError):
        raise NotFound(
            "there was no search yet", advice="`servent search WORDS` numbers what it finds."
        ) from None
    if not rows:
        raise NotFound(
            "the last search or listing found nothing", advice="`servent search WORDS` numbers what it finds."
        )
    if not 1 <= number <= len(rows):
        raise NotFound(
            f"the last search or listing has no number {number}, it ends with {len(rows)}",
            advice="`servent search WORDS` numbers what it finds.",
        )
    return rows[number - 1]


def of_hit(hit: share.Hit) -> getting.NewGet:
    """What fetches a hit."""
    peers = [source.peer for source in hit.sources if not source.mine]
    return getting.NewGet(
        content=hit.content, size_bytes=hit.size_bytes, name=hit.name[:255], peers=peers[:100]
    )


def of_entry(peer: str, path: str, entry: share.Entry) -> getting.NewGet:
    """What fetches a row of a listing."""
    if entry.folder or not entry.content:
        return getting.NewGet(
            peer=peer, path="/".join(filter(None, (path, entry.name))), size_bytes=entry.size_bytes
        )
    return getting.NewGet(
        content=entry.content, size_bytes=entry.size_bytes, name=entry.name[:255], peers=[peer]
    )


def found_at(client: Client, peer: str, path: str) -> getting.NewGet:
    """What fetches `path` of a peer: a file by its content, a folder with all below.

    Raises:
        NotFound: nothing is there. UsageError: it cannot be fetched yet.
    """
    path = path.strip("/")
    if not path:
        return getting.NewGet(peer=client.browse(peer, share.BrowseQuery(limit=1)).peer)
    above, _, name = path.rpartition("/")
    offset = 0
    while True:
        query = share.BrowseQuery(path=above, filter=name[:200], offset=offset, limit=share.MOST_PAGE)
        listing = client.browse(peer, query)
        for entry in listing.entries:
            if entry.name == name:
                if not entry.folder and not entry.content:
                    why = "it is being hashed; try again soon" if entry.size_bytes else "it is empty"
                    raise UsageError(f"{path} cannot be fetched: {why}", advice="")
                return of_entry(listing.peer, above, entry)
        offset += len(listing.entries)
        if not listing.entries or offset >= listing.total:
            raise NotFound(
                f"{peer} shares nothing at {path!r} with you",
                advice=f"`servent browse {peer}` shows what there is.",
            )
