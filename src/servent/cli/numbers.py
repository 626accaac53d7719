"""What the numbers of the last search or listing stand for, so that `servent get 3` finds it."""

from __future__ import annotations

from pathlib import Path

import msgspec

from servent.api import schema_getting as getting
from servent.errors import NotFound

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


def of_hit(hit: object) -> getting.NewGet:
    """What fetches a hit."""
    from servent.api import schema_share as share

    assert isinstance(hit, share.Hit)
    peers = [source.peer for source in hit.sources if not source.mine]
    return getting.NewGet(
        content=hit.content, size_bytes=hit.size_bytes, name=hit.name[:255], peers=peers[:100]
    )
