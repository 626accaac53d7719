"""The bulk lane, the fetching side: asks go out over TLS on TCP, pieces come in through a thread of its own."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Sequence
from typing import Literal, Protocol

from servent.blobs import wire
from servent.blobs.lanes_intake import Intake, Mailbox
from servent.blobs.lanes_pace import Closed, Pace
from servent.blobs.lanes_tls import TlsPipe, connect_any
from servent.codec import HEADER_BYTES, frame
from servent.errors import BadMessage, ConnectionLost, DiskTrouble, PeerError, ServentError
from servent.identity import PeerId

DIAL_LIMIT = 2.0  # s for all candidate addresses together
HANDSHAKE_LIMIT = 3.0  # s


class Fetcher(Protocol):
    """Who uses a lane. All calls come on the loop."""

    def opened(self, lane: FetchLane) -> None:
        """The lane takes asks from now on."""
        ...

    def arrived(self, lane: FetchLane, first: int, count: int) -> None:
        """These pieces came whole and are being checked; the intake tells the outcome."""
        ...

    def denied(self, lane: FetchLane, first: int, count: int, why: str) -> None:
        """These will not come over this lane."""
        ...

    def closed(self, lane: FetchLane, error: ServentError) -> None:
        """The lane is gone, with all it owed. Called once."""
        ...


class FetchLane:
    """What both kinds of lane have in common. Its owner is the loop; `owed` is read by the lane's thread too.

    Attributes:
        kind: "tcp" or "quic".
        owed: ask id -> pieces that are still to come, as [first, count] runs.
        coming: the run whose bytes are being read; it is struck from `owed` already.
        heard: when bytes last came, or when something was asked of an idle lane; the loop's clock.
        received_bytes: of pieces.
        waits: until when we ourselves do not read, because of a limit.
    """

    kind: Literal["tcp", "quic"] = "quic"

    def __init__(self, peer: PeerId, intake: Intake, pace: Pace, fetcher: Fetcher) -> None:
        self.peer, self.intake, self.pace, self.fetcher = peer, intake, pace, fetcher
        self.owed: dict[int, list[tuple[int, int]]] = {}
        self.coming: tuple[int, int] | None = None
        self.owed_bytes = 0
        self.heard = 0.0
        self.waits = 0.0
        self.received_bytes = 0
        self.open = False
        self.gone = False

    def ask(self, number: int, first: int, count: int, now: float) -> None:
        """Ask for pieces; `number` is new for this lane. Raises ConnectionLost."""
        raise NotImplementedError

    def forget(self, number: int) -> None:
        """Tell the other side not to send the rest of an ask. Raises nothing."""
        raise NotImplementedError

    def close(self) -> None:
        """Close at once; `closed` is called when it is done."""
        raise NotImplementedError

    @property
    def busy(self) -> bool:
        """Whether bytes are due on it."""
        return self.coming is not None or bool(self.owed)

    def unfinished(self) -> list[tuple[int, int]]:
        """What was asked for here and is not all here: others are asked for it when the lane breaks."""
        runs = [run for owed in list(self.owed.values()) for run in owed]
        return [*runs, self.coming] if self.coming is not None else runs

    def covers(self, give: wire.Give | wire.Deny) -> None:
        """Strike what `give` speaks of from what is owed. Raises BadMessage: it was never asked for."""
        runs = self.owed.get(give.id)
        if runs is not None:
            for index, (first, count) in enumerate(runs):
                if first <= give.first and give.first + give.count <= first + count:
                    rest = [
                        (first, give.first - first),
                        (give.first + give.count, first + count - give.first - give.count),
                    ]
                    runs[index : index + 1] = [run for run in rest if run[1]]
                    if not runs:
                        del self.owed[give.id]
                    return
        raise BadMessage("pieces that were not asked for on this lane")

    def expected(self, give: wire.Give) -> None:
        """Check a `Give` before its bytes are read. Raises BadMessage."""
        self.covers(give)
        if give.size != self.intake.size(give.first, give.count):
            raise BadMessage(f"{give.size} bytes announced for pieces of another size")
        self.coming = give.first, give.count


class BulkLane(FetchLane):
    """One TLS connection to the peer's TCP listener.

    Args:
        addresses: "ip:port" where the peer may listen.
        certificate: SHA-256 of what it must show.
        token: that lets us in, once.
    """

    kind = "tcp"

    def __init__(
        self,
        peer: PeerId,
        intake: Intake,
        pace: Pace,
        fetcher: Fetcher,
        mail: Mailbox,
        addresses: Sequence[tuple[str, int]],
        certificate: bytes,
        token: bytes,
    ) -> None:
        super().__init__(peer, intake, pace, fetcher)
        self._mail = mail
        self._addresses, self._certificate, self._token = addresses, certificate, token
        self._pipe: TlsPipe | None = None
        self._stop = threading.Event()
        self._saying = threading.Lock()
        self._unsaid: list[bytes] = []  # frames that the thread sends before it reads on
        self._parked = True  # the thread may read for long: nothing is owed that would wake it
        self.thread = threading.Thread(target=self._run, name=f"bulk {peer.short}", daemon=True)

    def start(self) -> None:
        """Dial; `opened` or `closed` follows."""
        self.thread.start()

    def ask(self, number: int, first: int, count: int, now: float) -> None:
        if self._pipe is None or self.gone:
            raise ConnectionLost("the TCP lane is closed")
        if not self.busy:
            self.heard = now
        self.owed_bytes += self.intake.size(first, count)
        with self._saying:
            self.owed[number] = [(first, count)]
        self._say(self._pipe, frame(wire.Ask(number, first, count)))

    def forget(self, number: int) -> None:
        if self._pipe is not None and number in self.owed:
            try:
                self._say(self._pipe, frame(wire.Forget(number)))
            except ConnectionLost:
                self.close()

    def _say(self, pipe: TlsPipe, data: bytes) -> None:
        """Leave it to the reading thread, which need not fight for the connection; unless it waits for nothing."""
        with self._saying:
            if not self._parked:
                self._unsaid.append(data)
                return
            self._parked = False
        pipe.write_now(data)

    def close(self) -> None:
        self._stop.set()
        if self._pipe is not None:
            self._pipe.close()

    # the thread

    def _run(self) -> None:
        error: ServentError = ConnectionLost("the TCP lane is closed")
        try:
            sock = connect_any(self._addresses, DIAL_LIMIT)
            self._pipe = TlsPipe.dial(sock, self._certificate, HANDSHAKE_LIMIT)
            self._pipe.write(frame(wire.Lane(self._token)))
            if not self._stop.is_set():
                self._mail.post(self._opened)
                self._read(self._pipe)
        except (ConnectionLost, PeerError, DiskTrouble) as wrong:
            error = wrong
        except Closed:
            pass
        finally:
            if self._pipe is not None:
                self._pipe.close()
            self._mail.post(self._over, error)

    def _read(self, pipe: TlsPipe) -> None:
        while not self._stop.is_set():
            self._speak(pipe)
            size = int.from_bytes(pipe.read_exactly(HEADER_BYTES), "big")
            if size > wire.LANE_BYTES:
                raise BadMessage(f"a lane frame of {size} bytes")
            message = wire.read_from_lane.decode(pipe.read_exactly(size))
            if isinstance(message, wire.Give):
                self.expected(message)
                self._take(pipe, message.first, message.count)
            else:
                self.covers(message)
                self._mail.post(self._denied, message)

    def _speak(self, pipe: TlsPipe) -> None:
        """Send what the loop left for us. Afterwards something we asked for will wake us, or we are parked."""
        with self._saying:
            unsaid, self._unsaid = self._unsaid, []
            self._parked = not self.owed
        if unsaid:
            pipe.write(b"".join(unsaid))

    def _take(self, pipe: TlsPipe, first: int, count: int) -> None:
        while count:
            pieces, size = self.intake.unit(first, count)
            buffer = self.intake.buffers.take(size, self._stop.is_set)
            at = 0
            try:
                while at < size:
                    foreground = self.intake.foreground
                    step = min(self.pace.chunk("down", self.peer, foreground=foreground), size - at)
                    pipe.read_into(buffer[at : at + step])
                    at += step
                    self.heard = time.monotonic()
                    wait = self.pace.take("down", self.peer, step, foreground=foreground)
                    if wait > 0:
                        self.waits = self.heard + wait
                        if self._stop.wait(wait):
                            raise Closed
            except BaseException as error:
                whole, size = self._whole(first, pieces, at)
                if not whole or self._stop.is_set() or not isinstance(error, ConnectionLost):
                    self.intake.buffers.give(buffer)
                    raise
                self.coming = first + whole, count - whole
                self._hand_over(first, whole, size, buffer)
                raise
            done, first, count = first, first + pieces, count - pieces
            self.coming = (first, count) if count else None
            self._hand_over(done, pieces, size, buffer)
            if count:
                self._speak(pipe)

    def _whole(self, first: int, pieces: int, at: int) -> tuple[int, int]:
        """(pieces, bytes) that are whole when only `at` bytes came before the other side was gone: not asked for again."""
        whole = size = 0
        while whole < pieces and size + self.intake.size(first + whole, 1) <= at:
            size += self.intake.size(first + whole, 1)
            whole += 1
        return whole, size

    def _hand_over(self, first: int, count: int, size: int, buffer: memoryview) -> None:
        self._mail.post(self._arrived, first, count, size)
        self.intake.submit(self, first, count, buffer)

    # on the loop

    def _opened(self) -> None:
        self.open = True
        self.fetcher.opened(self)

    def _arrived(self, first: int, count: int, size: int) -> None:
        self.owed_bytes -= size
        self.received_bytes += size
        self.fetcher.arrived(self, first, count)

    def _denied(self, deny: wire.Deny) -> None:
        self.owed_bytes -= self.intake.size(deny.first, deny.count)
        self.fetcher.denied(self, deny.first, deny.count, deny.why)

    def _over(self, error: ServentError) -> None:
        self.open = False
        self.gone = True
        self.fetcher.closed(self, error)


def candidates(addresses: Sequence[str], seen: Sequence[str], *, own: Sequence[str]) -> list[tuple[str, int]]:
    """Where to dial a peer's TCP listener: what it announced, and its announced ports at hosts it is seen at.

    Args:
        addresses: "ip:port" from its profile: hearsay until the certificate is right.
        seen: "ip:port" of the direct paths we have to it.
        own: our own hosts. A loopback address is tried only when the peer is on this machine.
    """
    announced = [known for text in addresses if (known := _host_port(text)) is not None]
    near = [known[0] for text in seen if (known := _host_port(text)) is not None]
    here = any(host.is_loopback or str(host) in own for host in near)
    ports = list(dict.fromkeys(port for _, port in announced))
    wanted = [(host, port) for host in near for port in ports] + announced
    found: dict[tuple[str, int], None] = {}
    for host, port in wanted:
        if host.is_multicast or host.is_unspecified or not port or (host.is_loopback and not here):
            continue
        if host.is_link_local:
            continue  # without the interface it cannot be dialed
        found[str(host), port] = None
    return list(found)[:16]


def _host_port(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int] | None:
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.strip("[]"))
        number = int(port)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return (address, number) if 0 < number < 65536 else None
