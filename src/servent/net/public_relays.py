"""iroh's public relays, used from the moment the internet is there.

They introduce two peers behind routers to each other and carry their encrypted packets when nothing else
opens; they see the IP addresses and keys of both, never the content. Off with `net.relays = []`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from urllib.parse import urlsplit

from servent.net.endpoint import public_relays
from servent.net.links import Endpoint

log = logging.getLogger("servent.net")

FIRST_RETRY = 5.0  # s after a look-up that failed
LAST_RETRY = 300.0  # s; a machine without internet pays one failed look-up every five minutes


class PublicRelays:
    """Adds the public relays to `endpoint` once one of their names resolves.

    iroh itself would go on probing relays it cannot find, for 2 % of a core (measured without a network).

    Args:
        others: relays that stay in use beside them.
    """

    def __init__(self, endpoint: Endpoint, others: Sequence[str]) -> None:
        self._endpoint, self._others = endpoint, list(others)

    async def run(self) -> None:
        wait = FIRST_RETRY
        urls = public_relays()
        while not await self._resolves(urls):
            await asyncio.sleep(wait)
            wait = min(LAST_RETRY, 2 * wait)
        await self._endpoint.use_relays([*self._others, *urls])
        log.info("using the public relays")

    async def _resolves(self, urls: Sequence[str]) -> bool:
        host = urlsplit(urls[0]).hostname
        try:
            await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
        except OSError:
            return False
        return True
