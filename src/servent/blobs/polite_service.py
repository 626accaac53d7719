"""Background transfers that nobody else on the line notices: probes, two controllers, and the rates they set."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import logging
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import psutil

from servent.blobs import delay
from servent.blobs.ledbat import TICK, Ledbat, LedbatView
from servent.errors import ServentError
from servent.limits import TokenBucket
from servent.net.addresses import parse_address
from servent.net.links import Stream
from servent.net.peers import Peers
from servent.net.session import Session
from servent.tasks import begin

log = logging.getLogger(__name__)

ACTIVE = 1.5  # s after its last byte that a peer is still probed
PROBED_MOST = 16  # peers probed at once; those who move most
PENDING_MOST = 64  # probes without an answer, for each peer
REALTIME_DATAGRAMS = 8  # in one second, on a channel of an app: a game's or a voice's
REALTIME_LINGER = 2.0  # s after the last of them
RESTING = 0.2  # s between two looks while no background transfer moves
PATHS_EVERY = 2.0  # s between two looks at the paths of peers who move nothing
INTERFACES_EVERY = 10.0  # s between two looks at this machine's own networks


class Background(Protocol):
    """What the pace of all lanes gives and takes (`lanes_pace.Pace`)."""

    def background_bytes(self, way: str) -> Mapping[Hashable, int]:
        """Bytes that background transfers have moved, by peer, since the start."""
        ...

    def set_background(self, up: float | None, down: float | None, exempt: frozenset[Hashable]) -> None:
        """Bytes per second of all of them together, None for no limit. `exempt`: peers it does not hold for."""
        ...


@dataclass(frozen=True, slots=True)
class PoliteView:
    """`active`: background transfers move over a line that may be shared."""

    active: bool
    realtime: bool
    up: LedbatView
    down: LedbatView


class _Probes:
    """The probes to one session."""

    def __init__(self) -> None:
        self.number = 0
        self.pending: dict[int, float] = {}
        self.answers = TokenBucket(delay.MOST_ANSWERS)


class Polite:
    """Owns the rates of background transfers. `run` it in a task; `attach` it before sessions come.

    Args:
        target: s of queue that may be added.
        enabled: False: nothing is probed and nothing held back.
    """

    def __init__(self, peers: Peers, pace: Background, *, target: float, enabled: bool = True) -> None:
        self._peers, self._pace = peers, pace
        self.enabled = enabled
        self._clock = asyncio.get_running_loop().time
        now = self._clock()
        self._ways = {"up": Ledbat(now, target=target), "down": Ledbat(now, target=target, receiving=True)}
        self._seen: dict[str, dict[Hashable, int]] = {"up": {}, "down": {}}
        self._moved_at: dict[str, dict[Hashable, float]] = {"up": {}, "down": {}}
        self._probes: dict[Session, _Probes] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._runs = 0  # blocks of `realtime()`
        self._datagrams: dict[Session, int] = {}
        self._realtime_until = 0.0
        self._own: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        self._own_at = -INTERFACES_EVERY
        self._paths: dict[Session, str] = {}
        self._paths_at = -PATHS_EVERY

    @contextlib.contextmanager
    def realtime(self) -> Iterator[None]:
        """While the block runs, background transfers give way: a game or a voice is on the line."""
        self._runs += 1
        self._yield()
        try:
            yield
        finally:
            self._runs -= 1

    def change(self, *, enabled: bool, target: float) -> None:
        """From the next tick on."""
        self.enabled = enabled
        for way in self._ways.values():
            way.target = target

    def view(self) -> PoliteView:
        active = any(self._moved_at.values())
        realtime = self._ways["up"].realtime
        return PoliteView(active, realtime, self._ways["up"].view(), self._ways["down"].view())

    # -- life

    async def run(self) -> None:
        """Until cancelled."""
        self._peers.serve(delay.SERVICE, _nothing, audience="network")
        self._peers.on_session(self._session)
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                for session in self._peers.sessions():
                    self._session(session, True)
                while True:
                    if not any(self._moved_at.values()):
                        await asyncio.sleep(RESTING)
                    else:
                        for _ in range(2):  # two probes a tick: the smaller of two counts
                            await asyncio.sleep(TICK / 2)
                            self._probe()
                    self._tick()
        finally:
            self._tasks = None
            self._peers.withdraw(delay.SERVICE)

    def _session(self, session: Session, up: bool) -> None:
        if up and self._tasks is not None and session not in self._probes:
            self._probes[session] = _Probes()
            if begin(self._tasks, self._listen(session), f"delay of {session.peer.short}") is None:
                del self._probes[session]

    async def _listen(self, session: Session) -> None:
        probes = self._probes[session]
        channel = session.channel(delay.SERVICE)
        try:
            async for data in channel:
                now = self._clock()
                match delay.parse(data):
                    case delay.Ask() as asked:
                        if probes.answers.allow(1, now):
                            with contextlib.suppress(ServentError):
                                channel.send(delay.answer(asked, int(now * 1e6)))
                    case delay.Answer() as answer:
                        self._heard(session, probes, answer, now)
        finally:
            del self._probes[session]
            self._datagrams.pop(session, None)
            self._paths.pop(session, None)

    def _heard(self, session: Session, probes: _Probes, answer: delay.Answer, now: float) -> None:
        departed = probes.pending.pop(answer.number, None)
        if departed is None:
            return
        theirs = answer.received_us / 1e6
        self._ways["up"].probe(session.peer, theirs - departed, departed, now)
        self._ways["down"].probe(session.peer, now - theirs, now, now)

    def _probe(self) -> None:
        now = self._clock()
        wanted = self._moved_at["up"].keys() | self._moved_at["down"].keys()
        for session, probes in self._probes.items():
            if session.peer not in wanted or not session.connected:
                continue
            probes.number += 1
            probes.pending[probes.number] = now
            while len(probes.pending) > PENDING_MOST:
                del probes.pending[next(iter(probes.pending))]
            with contextlib.suppress(ServentError):
                session.channel(delay.SERVICE).send(delay.ask(probes.number, int(now * 1e6)))

    # -- rates

    def _tick(self) -> None:
        now = self._clock()
        if not self.enabled:
            self._pace.set_background(None, None, frozenset())
            return
        self._look_for_realtime(now)
        near = self._near(now)
        rates: dict[str, float] = {}
        for way, core in self._ways.items():
            moved = 0
            at = self._moved_at[way]
            seen = self._seen[way]
            for peer, total in self._pace.background_bytes(way).items():
                new = total - seen.get(peer, 0)
                seen[peer] = total
                if new > 0 and peer not in near:
                    moved += new
                    at[peer] = now
            for peer in [peer for peer, when in at.items() if now - when > ACTIVE]:
                del at[peer]
            most = sorted(at, key=lambda peer: at[peer], reverse=True)[:PROBED_MOST]
            rates[way] = core.tick(now, moved, frozenset(most))
        self._pace.set_background(rates["up"], rates["down"], near)

    def _look_for_realtime(self, now: float) -> None:
        for session in self._probes:
            counts = session.datagrams()
            total = sum(counts.values()) - counts.get(delay.SERVICE, 0)
            if total - self._datagrams.get(session, total) > REALTIME_DATAGRAMS * TICK:
                self._realtime_until = now + REALTIME_LINGER
            self._datagrams[session] = total
        self._yield()

    def _yield(self) -> None:
        busy = self._runs > 0 or self._clock() < self._realtime_until
        for core in self._ways.values():
            core.yields(busy)

    def _near(self, now: float) -> frozenset[Hashable]:
        """Peers on a network that this machine is part of: there is no slow line between us and them.

        The same exemption as in Syncthing, for the same reason: the local network is nobody's bottleneck.
        """
        if now - self._own_at > INTERFACES_EVERY:
            self._own_at, self._own = now, _own_networks()
        everyone = now - self._paths_at > PATHS_EVERY
        if everyone:
            self._paths_at = now
        moving = self._moved_at["up"].keys() | self._moved_at["down"].keys()
        for session in self._probes:
            if everyone or session not in self._paths or session.peer in moving:
                self._look_at_path(session)
        return frozenset(session.peer for session, address in self._paths.items() if self._is_near(address))

    def _look_at_path(self, session: Session) -> None:
        paths = [path for path in session.paths() if path.selected]
        address = paths[0].address if paths and paths[0].kind == "direct" else ""
        if address != self._paths.get(session, address):
            for core in self._ways.values():
                core.forget(session.peer)
        if paths:
            self._paths[session] = address

    def _is_near(self, address: str) -> bool:
        if not address:
            return False  # through a relay
        with contextlib.suppress(ServentError):
            host, _ = parse_address(address)
            return host.is_loopback or any(host in own for own in self._own if own.version == host.version)
        return False


def _own_networks() -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    found = []
    for addresses in psutil.net_if_addrs().values():
        for known in addresses:
            if known.netmask is None:
                continue
            with contextlib.suppress(ValueError):
                host = known.address.partition("%")[0]
                if ":" in known.netmask:
                    bits = int(ipaddress.IPv6Address(known.netmask)).bit_count()
                    found.append(ipaddress.ip_network(f"{host}/{bits}", strict=False))
                else:
                    found.append(ipaddress.ip_network(f"{host}/{known.netmask}", strict=False))
    return [network for network in found if network.num_addresses > 1]


async def _nothing(session: Session, stream: Stream) -> None:
    """The service has no streams."""
