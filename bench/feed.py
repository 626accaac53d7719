"""A feed: after a change of 1 % of a collection, what does a follower fetch?

    python -m bench.feed [--json] [--mb 1024] [--files 64] [--change 0.01]

Two nodes over real iroh on loopback. One publishes a folder of random files, the other follows and fetches the first version;
then one run of bytes is changed in place, `--change` of the whole, beginning in the middle of a file. Counted are the bytes that came over the
network, and the time from asking to publish to the new version lying in its place.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from servent.node import Node
from servent.share.feeds_service import FeedView
from servent.testing.nodes import gather_in_network, nodes


def make(folder: Path, size: int, files: int) -> None:
    folder.mkdir()
    dice = random.Random(1)
    for number in range(files):
        with open(folder / f"{number:04}.bin", "wb") as file:
            left = size // files
            while left:
                block = dice.randbytes(min(left, 8 << 20))
                file.write(block)
                left -= len(block)


def change(folder: Path, size: int) -> int:
    """Overwrite `size` bytes in one run, over as many files as it takes. Returns how many files."""
    touched = 0
    for path in sorted(folder.iterdir())[1:]:
        begin = path.stat().st_size // 2 if not touched else 0
        room = min(size, path.stat().st_size - begin)
        with open(path, "r+b") as file:
            file.seek(begin)
            file.write(random.Random(2 + touched).randbytes(room))
        touched += 1
        size -= room
        if not size:
            return touched
    return touched


async def current(node: Node, sequence: int, limit: float = 300.0) -> FeedView:
    """Wait until the follower has that version."""
    async with asyncio.timeout(limit):
        while True:
            view = node.share.feeds.feeds()[0]
            if view.have >= sequence and view.state in ("current", "published"):
                return view
            if view.state == "failed":
                raise SystemExit(view.reason)
            await asyncio.sleep(0.02)


async def measure(size: int, files: int, share: float, folder: Path) -> dict[str, Any]:
    async with nodes(2, folder) as (ann, bob):
        await gather_in_network([ann, bob])
        source = folder / "collection"
        await asyncio.to_thread(make, source, size, files)
        feed = await ann.share.feeds.publish("collection", source, watch=False)
        await current(ann, 1)
        await bob.share.feeds.follow(feed.link, folder / "followed")
        began = time.monotonic()
        await current(bob, 1)
        first = time.monotonic() - began
        before = bob.blobs.total("down")
        touched = await asyncio.to_thread(change, source, int(size * share))
        began = time.monotonic()
        await ann.share.feeds.publish_again(feed.id)
        published = time.monotonic() - began
        await current(bob, 2)
        took = time.monotonic() - began
        fetched = bob.blobs.total("down") - before
        for path in source.iterdir():
            if (folder / "followed" / "collection" / path.name).read_bytes() != path.read_bytes():
                raise SystemExit(f"{path.name} is not what was published")
        return {
            "collection_mb": size >> 20,
            "files": files,
            "changed": share,
            "files_touched": touched,
            "fetched_mb": round(fetched / (1 << 20), 2),
            "fetched_share": round(fetched / size, 4),
            "first_fetch_s": round(first, 2),
            "publish_s": round(published, 2),
            "change_to_current_s": round(took, 2),
        }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--mb", type=int, default=1024)
    parser.add_argument("--files", type=int, default=64)
    parser.add_argument("--change", type=float, default=0.01)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="feed-") as folder:
        found = asyncio.run(measure(asked.mb << 20, asked.files, asked.change, Path(folder)))
    print(json.dumps(found, indent=1) if asked.json else found)


if __name__ == "__main__":
    main()
