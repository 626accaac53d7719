"""Finding peers on the local network by DNS-SD over multicast DNS (RFC 6762, 6763), with `zeroconf`.

We announce one service `<id>._servent._udp.local.` whose TXT holds our key and the protocol version, nothing
else: everyone on this network can read it. What we hear is never trusted beyond "dial this key at that
address": TLS proves the key, the hello decides who is let in. `net.lan = false` turns both directions off.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Iterable, Sequence

from zeroconf import Error as MulticastError
from zeroconf import IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from servent.errors import UsageError
from servent.identity import PeerId
from servent.limits import TokenBucket
from servent.net.links import PeerAddress

log = logging.getLogger("servent.net")

SERVICE = "_servent._udp.local."
VERSION = b"1"
RESOLVE_MS = 3000  # how long to ask for a service's address; answers take about 50 ms
RESOLVERS = 4  # names asked about at once: each that a liar made up takes RESOLVE_MS
TRIES = 3  # of a name that nobody answers for: its first announcement may be the only one for an hour
RESOLVES_MOST = 32  # that wait; what comes on top is announced again anyway
NEWS_RATE, NEWS_BURST = 5.0, 50.0  # services looked up per second: a network full of liars costs no more
LOOK_EVERY = 5.0  # s between looks at our own interfaces
RETRY_EVERY = 30.0  # s until multicast is tried again where there was none
ADDRESSES_MOST = 8
FOUND_MOST = 1024  # peers remembered; beyond, the one found first goes


class Lan:
    """Announces us and finds others while `run` runs.

    Args:
        peer: ours.
        local_addresses: our "ip:port"s now; only private, link-local and loopback ones are announced.
        on_found: called on the loop for each peer found, and again when its addresses change.
        interfaces: IP addresses of the interfaces to use; None for all.
    """

    def __init__(
        self,
        peer: PeerId,
        local_addresses: Callable[[], Iterable[str]],
        on_found: Callable[[PeerAddress], None],
        *,
        interfaces: Sequence[str] | None = None,
    ) -> None:
        self._peer = peer
        self._local_addresses = local_addresses
        self._on_found = on_found
        self._interfaces = list(interfaces) if interfaces else None
        self._bucket = TokenBucket(NEWS_RATE, NEWS_BURST)
        self._names: asyncio.Queue[tuple[str, int]] = asyncio.Queue(RESOLVES_MOST)  # with the try it is
        self._asked: dict[str, int] = {}  # names that are being asked about now, and how often
        self._left: set[str] = set()  # those of them that said goodbye meanwhile
        self._found: dict[PeerId, PeerAddress] = {}
        self.working = False  # whether multicast works here

    def view(self) -> list[PeerAddress]:
        """Peers on this network now, as far as they told."""
        return list(self._found.values())

    async def run(self) -> None:
        """Until cancelled; says goodbye then. A machine without multicast is tried again now and then."""
        while True:
            try:
                await self._announce_and_listen()
            except (OSError, MulticastError) as error:
                log.info("no peers can be found on the local network: %r", error)
            self.working = False
            await asyncio.sleep(RETRY_EVERY)

    async def _announce_and_listen(self) -> None:
        """Until cancelled, or until our interfaces changed so that zeroconf must listen anew."""
        here = self._where()
        if self._interfaces:
            multicast = AsyncZeroconf(interfaces=self._interfaces)
        else:
            multicast = AsyncZeroconf(ip_version=IPVersion.V4Only)
        browser = None
        try:
            if here:
                # No probe for the name's other owners (RFC 6762, 8.1): it is our key, and whoever else claims it lies.
                await multicast.async_register_service(self._describe(here), cooperating_responders=True)
            browser = AsyncServiceBrowser(multicast.zeroconf, SERVICE, handlers=[self._changed])
            self.working = True
            async with asyncio.TaskGroup() as tasks:
                resolving = [
                    tasks.create_task(self._resolve(multicast), name="local network: resolve")
                    for _ in range(RESOLVERS)
                ]
                while True:
                    await asyncio.sleep(LOOK_EVERY)
                    if self._where() != here:
                        break
                for one in resolving:
                    one.cancel()
        finally:
            if browser is not None:
                await browser.async_cancel()
            await multicast.async_unregister_all_services()
            await multicast.async_close()

    def _where(self) -> tuple[tuple[str, int], ...]:
        """Our own (ip, port)s that make sense on a local network."""
        found = []
        for text in self._local_addresses():
            host, _, port = text.rpartition(":")
            address = ipaddress.ip_address(host.strip("[]").split("%")[0])
            if address.is_private or address.is_link_local or address.is_loopback:
                found.append((str(address), int(port)))
        return tuple(sorted(found))[:ADDRESSES_MOST]

    def _describe(self, here: Sequence[tuple[str, int]]) -> AsyncServiceInfo:
        # One port for the record; iroh binds the same port number for both families only by chance, so
        # each address is also written out in the TXT record.
        name = f"{self._peer}.{SERVICE}"
        return AsyncServiceInfo(
            SERVICE,
            name,
            port=here[0][1],
            parsed_addresses=sorted({host for host, _ in here}),
            properties={
                "pk": str(self._peer),
                "v": VERSION,
                "at": _listed(here),
            },
            server=f"{self._peer.short}.servent.local.",
        )

    def _changed(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        """Called by zeroconf, by these very argument names, on the loop."""
        if state_change is ServiceStateChange.Removed:
            peer = _peer_of(name)
            if peer is not None:
                self._found.pop(peer, None)
            if name in self._asked:
                self._left.add(name)
            return
        self._left.discard(name)
        if not self._names.full() and self._bucket.allow(1, asyncio.get_running_loop().time()):
            self._names.put_nowait((name, 1))

    async def _resolve(self, multicast: AsyncZeroconf) -> None:
        while True:
            name, tried = await self._names.get()
            self._asked[name] = self._asked.get(name, 0) + 1
            try:
                info = AsyncServiceInfo(SERVICE, name)
                answered = await info.async_request(multicast.zeroconf, RESOLVE_MS)
                left = name in self._left
            finally:
                self._asked[name] -= 1
                if not self._asked[name]:
                    del self._asked[name]
                    self._left.discard(name)
            if left:
                continue
            if answered:
                self._take(info)
            elif tried < TRIES and not self._names.full():
                self._names.put_nowait((name, tried + 1))

    def _take(self, info: AsyncServiceInfo) -> None:
        found = read(info.properties, info.parsed_scoped_addresses(), info.port or 0)
        if found is None or found.peer == self._peer or found.peer != _peer_of(info.name):
            return
        if self._found.get(found.peer) != found:
            self._found.pop(found.peer, None)
            if len(self._found) >= FOUND_MOST:
                del self._found[next(iter(self._found))]
            self._found[found.peer] = found
            self._on_found(found)


def read(properties: dict[bytes, bytes | None], hosts: Sequence[str], port: int) -> PeerAddress | None:
    """What an announcement says, or None when it is not one of ours, too long, or nonsense."""
    key, version, at = (properties.get(name) or b"" for name in (b"pk", b"v", b"at"))
    if version != VERSION or len(key) > 64 or len(at) > 255:
        return None
    try:
        peer = PeerId.parse(key.decode("ascii"))
        listed = [part for part in at.decode("ascii").split(",") if part]
    except (UsageError, UnicodeDecodeError):
        return None
    listed += [_join(host, port) for host in hosts if 0 < port < 65536]
    good = dict.fromkeys(address for address in listed if _good(address))
    return PeerAddress(peer, None, tuple(good)[:ADDRESSES_MOST]) if good else None


def _listed(here: Iterable[tuple[str, int]]) -> str:
    """As many addresses as a TXT value of 255 bytes holds."""
    text = ""
    for one in here:
        longer = f"{text},{_join(*one)}".lstrip(",")
        if len(longer) > 250:
            break
        text = longer
    return text


def _good(text: str) -> bool:
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]").split("%")[0])
        return 0 < int(port) < 65536 and not address.is_multicast and not address.is_unspecified
    except ValueError:
        return False


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _peer_of(name: str) -> PeerId | None:
    try:
        return PeerId.parse(name.removesuffix("." + SERVICE))
    except UsageError:
        return None
