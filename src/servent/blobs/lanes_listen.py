"""The bulk lane, the serving side: a TLS listener on TCP that lets in whoever shows a token we handed out."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
import secrets
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil

from servent.blobs.lanes_intake import Mailbox
from servent.blobs.lanes_pace import Pace
from servent.blobs.lanes_serve import Client, open_bulk, serve_tls
from servent.blobs.lanes_tls import Certificate, TlsPipe
from servent.errors import BadMessage, ConnectionLost, WorldError
from servent.net.gate import source_of
from servent.net.quiet import Quiet, others
from servent.net.wire import Bulk

log = logging.getLogger(__name__)

GREET_LIMIT = 5.0  # s to finish TLS and show the token
TOKEN_LIFE = 30.0  # s
TOKENS_MOST = 1024
STRANGERS_MOST = 16  # connections without a token yet
STRANGERS_PER_HOST = 4
LANES_MOST = 64  # threads that serve
LANES_PER_CLIENT = 4  # one is in use; others are those of a connection that is just ending
TOKENS_PER_CLIENT = 4  # a client that asks for more loses its own oldest, nobody else's
ADDRESSES_MOST = 8


@dataclass(slots=True)
class _Pass:
    client: Client
    until: float


class Listener:
    """Owns the TCP listener, its certificate, the tokens, and the threads that serve.

    Args:
        port: 0 takes a free one.
        hosts: addresses to listen on; a family that the machine lacks is left out.
        certificate: None makes one here, which takes some 0.2 s.
    """

    def __init__(
        self,
        pace: Pace,
        mail: Mailbox,
        *,
        port: int = 0,
        hosts: Sequence[str] = ("0.0.0.0", "::"),
        certificate: Certificate | None = None,
    ) -> None:
        self._pace, self._mail = pace, mail
        self._lock = (
            threading.Lock()
        )  # around `_passes` and `_lanes`: a lane is either there or not, for `drop`
        self._passes: dict[bytes, _Pass] = {}
        self._strangers: dict[str, int] = {}
        self._lanes: dict[threading.Thread, tuple[TlsPipe, Client, threading.Event]] = {}
        self._quiet = Quiet()
        self._closed = False
        self._stop = threading.Event()
        self._loop = asyncio.get_running_loop()
        self.certificate = certificate or Certificate()
        self.port = port
        self.refused = 0  # connections turned away
        self._sockets = self._listen(port, hosts)

    def _listen(self, port: int, hosts: Sequence[str]) -> list[socket.socket]:
        sockets: list[socket.socket] = []
        why = "no address"
        for host in hosts:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            try:
                sock = socket.socket(family, socket.SOCK_STREAM)
            except OSError as wrong:
                why = wrong.strerror or why
                continue
            try:
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                if hasattr(socket, "SO_REUSEADDR") and not hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((host, self.port))
                sock.listen(64)
                sock.setblocking(False)
            except OSError as wrong:
                why = wrong.strerror or why
                sock.close()
                continue
            self.port = sock.getsockname()[1]
            sockets.append(sock)
        if not sockets:
            raise WorldError(
                f"cannot listen on TCP port {port}: {why}",
                advice="Set `blobs.bulk_port` to 0 for any free port, or `blobs.bulk` to false.",
            )
        return sockets

    def describe(self) -> Bulk:
        """What the hello says of it."""
        found = [f"[{host}]:{self.port}" if ":" in host else f"{host}:{self.port}" for host in own_hosts()]
        return Bulk(found[:ADDRESSES_MOST], self.certificate.digest)

    def token(self, client: Client) -> bytes:
        """A new token for one lane of `client`, good for 30 s."""
        now = self._loop.time()
        with self._lock:
            self._passes = {token: given for token, given in self._passes.items() if given.until > now}
            own = [token for token, given in self._passes.items() if given.client is client]
            if len(own) >= TOKENS_PER_CLIENT:
                del self._passes[own[0]]
            elif len(self._passes) >= TOKENS_MOST:
                del self._passes[next(iter(self._passes))]
            token = secrets.token_bytes(32)
            self._passes[token] = _Pass(client, now + TOKEN_LIFE)
        return token

    async def run(self) -> None:
        """Accept until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for sock in self._sockets:
                    tasks.create_task(self._accept(sock), name=f"TCP lanes on port {self.port}")
        finally:
            self.close()

    async def _accept(self, sock: socket.socket) -> None:
        while True:
            try:
                came, where = await self._loop.sock_accept(sock)
            except OSError as wrong:
                if self._closed:
                    return
                log.warning("cannot take a TCP connection: %s", wrong.strerror)
                await asyncio.sleep(0.5)
                continue
            host = source_of(f"[{where[0]}]:0" if ":" in where[0] else f"{where[0]}:0")
            if (
                sum(self._strangers.values()) >= STRANGERS_MOST
                or self._strangers.get(host, 0) >= STRANGERS_PER_HOST
                or len(self._lanes) >= LANES_MOST
            ):
                self.refused += 1
                came.close()
                continue
            self._strangers[host] = self._strangers.get(host, 0) + 1
            came.setblocking(True)
            threading.Thread(
                target=self._serve, args=(came, host), name=f"bulk from {host}", daemon=True
            ).start()

    # in a thread of the lane's own

    def _serve(self, sock: socket.socket, host: str) -> None:
        stop = threading.Event()
        client: Client | None = None
        pipe: TlsPipe | None = None
        try:
            try:
                end = self._loop.time() + GREET_LIMIT
                pipe = TlsPipe.answer(sock, self.certificate, GREET_LIMIT)
                token = open_bulk(pipe, max(0.001, end - self._loop.time()))
                client = self._admit(token, pipe, stop)
            finally:
                self._mail.post(self._greeted, host, client is not None)
            if not self._stop.is_set() and not stop.is_set():
                serve_tls(pipe, client, self._pace, stop)
        except ConnectionLost as wrong:
            log.debug("a TCP lane ended: %s", wrong)
        except BadMessage as wrong:
            self._mail.post(self._note, f"a TCP lane from {host} ended: {wrong}")
        except Exception:
            log.exception("a bug in a TCP lane")
        finally:
            with self._lock:
                self._lanes.pop(threading.current_thread(), None)
            if pipe is not None:
                pipe.close()
            else:
                sock.close()

    def _admit(self, token: bytes, pipe: TlsPipe, stop: threading.Event) -> Client:
        """Whose lane this is, entered among the lanes. Raises BadMessage."""
        with self._lock:
            given = self._passes.pop(token, None)
            if given is None or given.until < self._loop.time():
                raise BadMessage("a lane with a token we did not give")
            if sum(served is given.client for _, served, _ in self._lanes.values()) >= LANES_PER_CLIENT:
                raise BadMessage(f"more than {LANES_PER_CLIENT} lanes at once for one transfer")
            self._lanes[threading.current_thread()] = pipe, given.client, stop
        return given.client

    def _note(self, what: str) -> None:
        if times := self._quiet.note("lanes", self._loop.time()):
            log.info("%s%s", what, others(times))

    def _greeted(self, host: str, well: bool) -> None:
        left = self._strangers[host] - 1
        if left:
            self._strangers[host] = left
        else:
            del self._strangers[host]
        self.refused += not well

    # ending lanes

    def drop(self, which: Callable[[Client], bool]) -> None:
        """Close the lanes of the clients that `which` names, and forget their tokens."""
        with self._lock:
            self._passes = {token: given for token, given in self._passes.items() if not which(given.client)}
            ending = [(pipe, stop) for pipe, client, stop in self._lanes.values() if which(client)]
        for pipe, stop in ending:
            stop.set()
            pipe.close()

    def lanes(self, client: Client) -> int:
        """How many lanes `client` has open."""
        with self._lock:
            return sum(served is client for _, served, _ in self._lanes.values())

    def close(self) -> None:
        """Stop listening and close every lane. Safe twice."""
        self._closed = True
        self._stop.set()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.close()
        self.drop(lambda client: True)

    def join(self, limit: float) -> None:
        """Wait up to `limit` s for the threads to end. Blocks."""
        end = self._loop.time() + limit
        with self._lock:
            threads = list(self._lanes)
        for thread in threads:
            thread.join(max(0.0, end - self._loop.time()))


def own_hosts() -> list[str]:
    """This machine's addresses, those of the wider world first, the loopback last."""
    found: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = []
    states = psutil.net_if_stats()
    for name, addresses in psutil.net_if_addrs().items():
        if name in states and not states[name].isup:
            continue
        for known in addresses:
            try:
                host = ipaddress.ip_address(known.address.partition("%")[0])
            except ValueError:
                continue
            if not host.is_link_local:
                found.append(host)
    outer = sorted((host for host in found if not host.is_loopback), key=lambda host: not host.is_global)
    return [str(host) for host in (outer or found)]
