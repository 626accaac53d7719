"""Reaching whom a link names."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from servent.errors import Refused, ServentError

if TYPE_CHECKING:
    from servent.blobs.download_service import Download
    from servent.blobs.kit_service import Watcher

CONTACT_AGAIN = (2.0, 5.0, 10.0, 20.0, 30.0)  # s between two tries to reach who the link names


async def reach_named(download: Download, watcher: Watcher, contact: str) -> None:
    """Reach who is behind `contact`, as long as no peer offers what `download` wants."""
    tries = 0
    while True:
        if not any(source.in_swarm for source in download.sources.values()):
            try:
                peer = await watcher.introduce(contact)
                download.contact_reason = ""
                download.found(peer)
            except ServentError as wrong:
                wait = CONTACT_AGAIN[min(tries, len(CONTACT_AGAIN) - 1)]
                remedy = " (a ticket from them lets you in)" if isinstance(wrong, Refused) else ""
                download.contact_reason = f"{wrong}{remedy}; next try in {wait:.0f} s"
                tries += 1
        else:
            tries = 0
        watcher.changed(download)
        await asyncio.sleep(CONTACT_AGAIN[min(tries, len(CONTACT_AGAIN) - 1)])
