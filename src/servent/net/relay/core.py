"""Who is connected to a relay and what waits for whom. A core: no I/O, no clock, dice are an argument.

A `Link` is one connection: its queue holds frames to send, `ending` says why it must be closed. After each
call the shell asks `awake` for the links that have either.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from servent.identity import PeerId
from servent.limits import RateMeter, TokenBucket
from servent.net.relay import frames
from servent.net.relay.frames import Kind, Status
from servent.net.relay.settings import RelaySettings, RelayView

SPARE_LINKS = 2  # older connections of the same key kept beside the newest; iroh-relay keeps them all
REMEMBERED_RECEIVERS = 256  # peers told when a client leaves; a hint, so the rest may go untold


class Link:
    """One connection of one client; owned by `RelayCore`, read by the shell."""

    __slots__ = (
        "address", "bucket", "deadline", "ending", "nonce", "peer", "ping", "protocol", "queue",
        "queued_bytes", "read_after", "receivers", "stuck_since",
    )  # fmt: skip

    def __init__(self, address: str, nonce: bytes, bucket: TokenBucket, deadline: float) -> None:
        self.address = address  # the block that `clients_per_address` counts
        self.nonce = nonce
        self.bucket = bucket
        self.deadline = deadline  # handshake, ping or pong, whichever is next
        self.protocol = frames.V2
        self.peer: PeerId | None = None  # once proven
        self.queue: deque[bytes] = deque()
        self.queued_bytes = 0
        self.ending: str | None = None
        self.ping: bytes | None = None  # the payload we wait for
        self.read_after = 0.0  # over its rate: read on at this time
        self.stuck_since: float | None = None  # its socket takes nothing since then
        self.receivers: set[PeerId] = set()


class RelayCore:
    """Decides who may connect, where frames go and who is dropped.

    Args:
        allow: asked once a key is proven; False refuses that peer.
        dice: `dice(n)` gives n unpredictable bytes.
    """

    def __init__(
        self, settings: RelaySettings, allow: Callable[[PeerId], bool], dice: Callable[[int], bytes]
    ) -> None:
        self._settings, self._allow, self._dice = settings, allow, dice
        self._links: set[Link] = set()
        self._per_address: Counter[str] = Counter()
        self._clients: dict[bytes, list[Link]] = {}  # newest last; only that one receives
        self._meter = RateMeter()
        self._refused: Counter[str] = Counter()
        self._accepted = self._datagrams = self._bytes = self._full = self._unknown = 0
        self._closing = False
        self._awake: set[Link] = set()

    def awake(self) -> list[Link]:
        """Links with something to send or to close since the last time you asked."""
        out = list(self._awake)
        self._awake.clear()
        return out

    def opened(self, address: str, now: float) -> Link | None:
        """A TCP connection arrived from `address`; None: close it at once, without a word."""
        block = address_block(address)
        if self._closing or len(self._links) >= self._settings.clients:
            self._refused["relay full"] += 1
            return None
        if self._per_address[block] >= self._settings.clients_per_address:
            self._refused["too many from one address"] += 1
            return None
        bucket = TokenBucket(self._settings.rate_bytes_per_s, self._settings.burst_bytes)
        link = Link(block, self._dice(frames.CHALLENGE_BYTES), bucket, now + self._settings.handshake_time)
        self._links.add(link)
        self._per_address[block] += 1
        return link

    def greet(self, link: Link, protocol: str) -> None:
        """Its WebSocket is open: ask it to prove its key."""
        link.protocol = protocol
        self._send(link, frames.challenge(link.nonce))

    def received(self, link: Link, message: bytes, now: float) -> None:
        """One frame from `link`.

        Raises:
            BadMessage: close `link`; nothing else is affected.
        """
        if link.peer is None:
            self._prove(link, message, now)
            return
        wait = link.bucket.take(len(message), now)
        if wait:
            link.read_after = now + wait
        link.deadline = now + self._settings.ping_every
        link.ping = None  # whoever sends is there
        kind = frames.check(message)
        if kind == Kind.DATAGRAM_IN or kind == Kind.BATCH_IN:
            self._forward(link, link.peer, message, now)
        elif kind == Kind.PING:
            self._send(link, frames.pong(message))

    def _forward(self, link: Link, sender: PeerId, message: bytes, now: float) -> None:
        size = len(message)
        links = self._clients.get(frames.receiver(message))
        if links is None:
            self._unknown += 1
            return
        target = links[-1]
        if len(link.receivers) < REMEMBERED_RECEIVERS and target.peer is not None:
            link.receivers.add(target.peer)
        if (
            len(target.queue) >= self._settings.queue_packets
            or target.queued_bytes + size > self._settings.queue_bytes
        ):
            self._full += 1
            return
        self._datagrams += 1
        self._bytes += size
        self._meter.add(size, now)
        target.queue.append(frames.onward(message, sender))
        target.queued_bytes += size
        self._awake.add(target)

    def _prove(self, link: Link, message: bytes, now: float) -> None:
        peer, signature = frames.read_auth(message)
        if not peer.verify(signature, frames.to_sign(link.nonce)):
            self._send(link, frames.denies("the signature does not fit the key"))
            self.end(link, "bad signature")
            return
        if not self._allow(peer):
            self._send(link, frames.denies("this relay serves only peers it knows"))
            self.end(link, "not allowed")
            return
        link.peer = peer
        link.deadline = now + self._settings.ping_every
        self._accepted += 1
        links = self._clients.setdefault(peer, [])
        if links:
            self._send(links[-1], frames.status(Status.REPLACED, links[-1].protocol))
        links.append(link)
        if len(links) > SPARE_LINKS + 1:
            self.end(links.pop(0), "replaced by newer connections")
        self._send(link, bytes([Kind.CONFIRMS]))

    def take(self, link: Link) -> list[bytes]:
        """All that waits for `link`; the shell sends it now."""
        out = list(link.queue)
        link.queue.clear()
        link.queued_bytes = 0
        return out

    def stuck(self, link: Link, now: float | None) -> None:
        """Its socket takes no more since `now`; None: it does again."""
        link.stuck_since = now

    def end(self, link: Link, reason: str) -> None:
        """Have the shell send what waits for `link`, then close it."""
        if link.ending is None:
            link.ending = reason
            self._refused[reason] += 1
            self._awake.add(link)

    def leave(self, link: Link) -> None:
        """It only asked something over HTTP: close it once answered."""
        link.ending = link.ending or "answered"
        self._awake.add(link)

    def closed(self, link: Link) -> None:
        """Its TCP connection is gone."""
        if link not in self._links:
            return
        self._links.discard(link)
        self._awake.discard(link)
        self._per_address[link.address] -= 1
        if not self._per_address[link.address]:
            del self._per_address[link.address]
        links = self._clients.get(link.peer, []) if link.peer is not None else []
        if link.peer is None or link not in links:
            return
        newest = links[-1] is link
        links.remove(link)
        if links and newest:
            self._send(links[-1], frames.status(Status.HEALTHY, links[-1].protocol))
        elif not links:
            del self._clients[link.peer]
            for peer in link.receivers:
                for other in self._clients.get(peer, ())[-1:]:
                    self._send(other, frames.gone(link.peer))

    def tick(self, now: float) -> None:
        """Ping the silent, end the dead."""
        for link in self._links:
            if link.stuck_since is not None and now >= link.stuck_since + self._settings.write_time:
                self.end(link, "takes nothing")
            elif now < link.deadline:
                continue
            elif now < link.read_after:  # its answer may lie in front of us, unread
                link.deadline = link.read_after + self._settings.ping_time
            elif link.peer is None:
                self.end(link, "no key proven in time")
            elif link.ping is not None:
                self.end(link, "no answer to ping")
            else:
                link.ping = self._dice(8)
                link.deadline = now + self._settings.ping_time
                self._send(link, frames.ping(link.ping))

    def next_tick(self) -> float | None:
        """When to call `tick` next, or None while nobody is connected."""
        due = [link.deadline for link in self._links]
        due += [
            link.stuck_since + self._settings.write_time
            for link in self._links
            if link.stuck_since is not None
        ]
        return min(due, default=None)

    def shut(self) -> None:
        """Take nobody in any more; tell everyone to come back soon, and close."""
        self._closing = True
        for link in self._links:
            if link.peer is not None:
                self._send(link, frames.restarting(1.0, 5.0))
            link.ending = link.ending or "relay closes"
            self._awake.add(link)

    def view(self, now: float) -> RelayView:
        return RelayView(
            clients=len(self._clients),
            connections=len(self._links),
            queued_bytes=sum(link.queued_bytes for link in self._links),
            accepted=self._accepted,
            datagrams=self._datagrams,
            bytes_relayed=self._bytes,
            dropped_full=self._full,
            dropped_unknown=self._unknown,
            bytes_per_s=self._meter.rate(now),
            refused=dict(self._refused),
        )

    def _send(self, link: Link, frame: bytes) -> None:
        """Small frames of our own: few, so the packet limit may be passed by them, never without bound."""
        if len(link.queue) < 2 * self._settings.queue_packets:
            link.queue.append(frame)
            link.queued_bytes += len(frame)
            self._awake.add(link)


def address_block(address: str) -> str:
    """What one person can easily have many of is one: an IPv4 address, an IPv6 /64."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(IPv6Address(int(ip) >> 64 << 64)) + "/64"
    return str(ip)
