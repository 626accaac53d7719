"""The relay role of a node: its server, taken up and laid down while the node runs, and used by the node itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from servent.errors import WorldError
from servent.identity import PeerId
from servent.net.links import Endpoint

if TYPE_CHECKING:
    from servent.net.relay.server import RelayServer

log = logging.getLogger("servent.net.relay")

OPEN_LIMIT = 5.0  # s for the port to open


def everyone(peer: PeerId) -> bool:
    """Whom a relay open to everyone carries."""
    return True


class RelayRole:
    """At most one relay server.

    Args:
        endpoint: ours; it uses our own relay as well.
        relays: URLs in use, which this changes in place.
        hosts, port, public_url: as the settings say; without a public URL our first address outside is told.
        allow: whom it carries; `keeps`: whose signed records it keeps.
        start: where its task lives.

    Attributes:
        server: None while the role is not carried.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        relays: list[str],
        *,
        hosts: Sequence[str],
        port: int,
        public_url: str,
        allow: Callable[[PeerId], bool],
        keeps: Callable[[PeerId], bool],
        start: Callable[[Coroutine[Any, Any, None], str], None],
    ) -> None:
        self._endpoint, self._relays, self._named = endpoint, relays, list(relays)
        self._hosts, self._port, self._public_url = tuple(hosts), port, public_url
        self._allow, self._keeps, self._start = allow, keeps, start
        self._changing = asyncio.Lock()
        self.server: RelayServer | None = None

    async def wish(self, on: bool) -> None:
        """Carry the role from now on, or no more.

        Raises:
            WorldError: its port cannot be opened.
        """
        async with self._changing:
            if on and self.server is None:
                await self._take_up()
            elif not on and self.server is not None:
                await self.close()
                self._relays[:] = self._named
                await self._endpoint.use_relays(self._named)

    async def close(self) -> None:
        """The server goes."""
        if self.server is not None:
            server, self.server = self.server, None
            await server.close()

    async def _take_up(self) -> None:
        # Only where the role is carried: an idle node has no memory to give away.
        from servent.net.relay.server import RelayServer
        from servent.net.relay.settings import RelaySettings

        public = (self._public_url,) if self._public_url else ()
        settings = RelaySettings(hosts=self._hosts, port=self._port, public_urls=public)
        server = RelayServer(settings, allow=self._allow, keeps=self._keeps)
        trouble: list[WorldError] = []

        async def host() -> None:
            try:
                await server.run()
            except WorldError as wrong:
                trouble.append(wrong)
                log.warning("the relay role has ended: %s", wrong)
            finally:
                server.ready.set()  # nobody waits for what will not be

        self._start(host(), "relay")
        async with asyncio.timeout(OPEN_LIMIT):
            await server.ready.wait()
        if trouble:
            raise trouble[0]
        self.server = server
        if self._public_url:
            self._relays.append(self._public_url)
        else:
            hosts = [address.rpartition(":")[0] for address in self._endpoint.local_addresses()]
            outside = [host for host in hosts if not host.startswith(("127.", "[::1]", "[fe80"))]
            self._relays += [f"http://{host}:{server.port}" for host in outside[:1]]
        await self._endpoint.use_relays(self._relays)
