"""The members of a node in its networks: made, driven and ended as trust has it, with all that they stand on.

`service` is the face over them; nothing here is asked by other rooms.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol

from servent.errors import ServentError, WorldError
from servent.identity import Identity, PeerId
from servent.net.links import Endpoint
from servent.net.peers import Peers
from servent.net.reach_service import ReachService
from servent.net.session import Session
from servent.overlay import wire
from servent.overlay.abilities_service import MEASURE_EVERY, AbilitiesService
from servent.overlay.bootstrap_service import Bootstrapper
from servent.overlay.context import STRANGER, Context
from servent.overlay.dialback_service import DialBacks, OpenEndpoint
from servent.overlay.effects import Prover
from servent.overlay.links_service import LaneName, Links
from servent.overlay.member import Member
from servent.overlay.pump import ItemStore, Pump
from servent.overlay.records import Item, PeerRecord
from servent.overlay.records_service import ROOM, STEPS, OwnRecords, address_of, host_of
from servent.overlay.settings import OverlaySettings
from servent.overlay.topology import Topology, Wish
from servent.store import Store
from servent.tasks import begin
from servent.trust.service import TrustService
from servent.trust.views import NetworkView

log = logging.getLogger(__name__)

LOOK_EVERY = 5.0  # s between two looks at ourselves; a change of address is seen at once
SAVE_EVERY = 300.0  # s
GOODBYE = 0.3  # s for the last words to leave


class Face(Protocol):
    """Who is told of what members say, and says what the person here wishes."""

    def joined(self, pump: Pump) -> None:
        """We are in a network more."""
        ...

    def left(self, network: bytes) -> None: ...

    def lonely(self, network: bytes) -> None:
        """Hardly anybody of this network is near."""
        ...

    def told(self, network: bytes, event: object) -> None:
        """An event of `effects`."""
        ...

    def changed(self) -> None:
        """Something that is shown may have changed."""
        ...

    def index_wish(self) -> Wish: ...

    def roles_in(self, network: bytes) -> Sequence[str]:
        """The names of the roles carried in that network."""
        ...


class Members:
    """See `Overlay`, which makes it. `pumps` are by the keys of their networks."""

    def __init__(
        self,
        face: Face,
        peers: Peers,
        trust: TrustService,
        store: Store,
        identity: Identity,
        endpoint: Endpoint,
        items: ItemStore,
        *,
        reach: ReachService | None,
        open_endpoint: OpenEndpoint | None,
        up: Callable[[], float],
        up_limit: Callable[[], float],
        settings: OverlaySettings,
        dice: random.Random,
        wall: Callable[[], float],
    ) -> None:
        self._face, self._peers, self._trust = face, peers, trust
        self._endpoint, self._identity = endpoint, identity
        self._settings, self._dice = settings, dice
        self._clock = asyncio.get_running_loop().time
        self.items = items
        store.migrate(ROOM, STEPS)
        self._records = OwnRecords(identity, endpoint, reach, store, wall, face.roles_in, settings)
        self._abilities = AbilitiesService(store, wall, up, up_limit, self._reached)
        self._begin = Bootstrapper(store, peers, self._records.seal, dice)
        self.dial_backs = DialBacks(open_endpoint)
        self.links = Links(peers, self, self.spawn)
        self.pumps: dict[bytes, Pump] = {}
        self.prover: Prover | None = None
        self._holders: dict[PeerId, set[bytes]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._ending = False
        self._others: list[Callable[[], Coroutine[Any, Any, None]]] = []
        self._stop, self._stopped = asyncio.Event(), asyncio.Event()
        self._trust_changed = asyncio.Event()
        self._loopback = False  # whether we ourselves are reached on this computer alone
        peers.on_session(self._session)
        peers.on_judged(self._judged)
        peers.on_missed(self._missed)

    # -- life

    async def open(self) -> None:
        """Load what outlives the process."""
        await self._records.open()
        await self._abilities.open()
        self._trust.on_change(self._trust_changed.set)
        self._endpoint.on_address_change(self.look_at_ourselves)

    def also(self, run: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run this, too; it ends with us."""
        self._others.append(run)

    async def run(self) -> None:
        """Until cancelled or closed."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._follow_trust(), name="networks")
                tasks.create_task(self._tend(), name="overlay")
                for run in self._others:
                    tasks.create_task(run(), name="beside the members")
                try:
                    await self._stop.wait()
                    await self._say_goodbye()
                finally:
                    self._ending = True  # a group that ends takes no more tasks
                raise _Stop
        except* _Stop:
            log.debug("the overlay is closed")
        finally:
            self._tasks = None
            self._stopped.set()

    @property
    def closing(self) -> bool:
        return self._stop.is_set()

    async def close(self) -> None:
        """Say goodbye, and end `run`. Safe twice, and before `run`."""
        self._stop.set()
        self.links.close()
        if self._tasks is not None:
            await self._stopped.wait()

    async def _say_goodbye(self) -> None:
        await self._save()
        for pump in self.pumps.values():
            pump.close()
            self._face.left(pump.network)
        await self.links.drained(GOODBYE)

    async def _save(self) -> None:
        """What the next start begins with. A disk that is full costs that start its contacts, and nothing now."""
        try:
            await self._records.save()
            await self._abilities.save()
            for pump in list(self.pumps.values()):
                topics = pump.member.topics
                await self._begin.save(pump.network, topics.anchors(), topics.known())
        except WorldError as wrong:
            log.warning("the overlay's contacts are not saved: %s", wrong)

    async def _follow_trust(self) -> None:
        """Members come and go with our networks, and take the shape that their founders gave them."""
        while True:
            self._trust_changed.clear()
            views = {view.key: view for view in self._trust.networks() if view.member}
            for network in [key for key in self.pumps if key not in views]:
                await self._leave_network(network)
            for view in views.values():
                pump = self.pumps.get(view.key)
                if pump is None:
                    await self._join_network(view)
                else:
                    self.reshape(pump, view)
            await self._trust_changed.wait()
            await asyncio.sleep(0.01)  # changes come in bunches

    async def _join_network(self, view: NetworkView) -> None:
        try:
            contacts = await self._begin.load(view.key)
        except WorldError as wrong:
            log.warning("where %s began before cannot be read: %s", view.name, wrong)
            contacts = []
        context = Context(
            self._identity.peer,
            view.key,
            random.Random(self._dice.getrandbits(64)),
            self._records.seal,
            self._records.wall,
            partial(self._trust.belongs, view.key),
            self._records.make(view.key),
            open=view.policy == "open",
            settings=self._settings,
        )
        member = Member(context, topology_of(view), self._face.index_wish())
        member.homes.rtt = self._rtt
        pump = self.pumps[view.key] = Pump(view, member, self)
        self._face.joined(pump)
        pump.call(member.measured, self._abilities.measure(context.record))
        for session in self._peers.sessions():
            if view.key in session.verdict.networks:
                pump.up(session.peer)
        pump.call(member.join, contacts)
        self._face.changed()

    async def _leave_network(self, network: bytes) -> None:
        pump = self.pumps.pop(network)
        pump.close()
        self._face.left(network)
        try:
            await self._begin.forget(network)
        except WorldError as wrong:
            log.warning("contacts of a network that was left stay on disk: %s", wrong)
        self._face.changed()

    def reshape(self, pump: Pump, view: NetworkView) -> None:
        before, pump.view = pump.view, view
        pump.member.context.open = view.policy == "open"
        if topology_of(before) != topology_of(view):
            log.info("%s is a %s network now", view.name, view.mode)
            pump.call(pump.member.shape, topology_of(view), self._face.index_wish())
        if before != view:
            self._face.changed()

    async def _tend(self) -> None:
        """Our records, what this machine can do, and what goes to disk; each in its time."""
        save_at = self._clock() + SAVE_EVERY
        measure_at = 0.0
        while True:
            now = self._clock()
            self.look_at_ourselves()
            if now >= measure_at:
                measure_at = now + MEASURE_EVERY
                await self._measure()
            if now >= save_at:
                save_at = now + SAVE_EVERY
                await self._save()
            await asyncio.sleep(LOOK_EVERY)

    def look_at_ourselves(self) -> None:
        """Where we are or what we do has changed, or our records grow old: they are made anew."""
        self._loopback = all(
            text.startswith(("127.", "[::1]")) for text in self._endpoint.address().addresses
        )
        for pump in self.pumps.values():
            if self._records.changed(pump.network):
                pump.call(pump.member.moved, self._records.make(pump.network))

    def _reached(self) -> bool:
        """Whether somebody reached us directly whom we had not dialled."""
        return any(
            not session.dialed and any(path.kind == "direct" for path in session.paths())
            for session in self._peers.sessions()
        )

    async def _measure(self) -> None:
        for pump in list(self.pumps.values()):
            pump.call(pump.member.measured, self._abilities.measure(pump.member.context.record))
            self._peers.counted(pump.network, pump.member.directory.members(self._clock()))
            try:
                items, _, postings = await self.items.totals(pump.network)
            except WorldError:
                continue
            pump.stored = items, postings

    # -- what links ask (links_service.House)

    def take(self, session: Session, network: bytes, message: wire.Message) -> None:
        pump = self.pumps.get(network)
        if pump is not None:
            pump.receive(session.peer, message)

    def undelivered(self, peer: PeerId, networks: frozenset[bytes]) -> None:
        for network in networks:
            pump = self.pumps.get(network)
            if pump is not None:
                pump.failed(peer)

    def crowded(self) -> bool:
        return self.items.crowded

    def ours(self, network: bytes) -> bool:
        return network in self.pumps

    def introduce(self, peer: PeerId, network: bytes) -> None:
        pump = self.pumps.get(network)
        record = pump.record_of(peer) if pump is not None else None
        if record is not None:
            self.learn(record)

    # -- what pumps ask (pump.House)

    def send(self, network: bytes, to: PeerId, message: wire.Message, lane: LaneName) -> None:
        self.links.send(network, to, message, lane)

    def hold(self, network: bytes, peer: PeerId, wanted: bool) -> None:
        """A connection is kept as long as any network wants it."""
        holders = self._holders.setdefault(peer, set())
        if wanted:
            holders.add(network)
            if self._peers.session(peer) is None:
                self.introduce(peer, network)
            if not self._peers.hold(peer, True):
                asyncio.get_running_loop().call_soon(self.undelivered, peer, frozenset((network,)))
            return
        holders.discard(network)
        if not holders:
            del self._holders[peer]
            self._peers.hold(peer, False)

    def learn(self, record: PeerRecord) -> None:
        self._peers.learn(address_of(record, self._loopback), record.seq)

    def bootstrap(self, network: bytes) -> None:
        pump = self.pumps.get(network)
        if pump is not None:
            pump.acquaint()
        self._begin.seek()
        self._face.lonely(network)

    def fault(self, peer: PeerId, what: str) -> None:
        self._peers.fault(peer, what, 0.05 if STRANGER in what else 2.0)

    async def prove(self, publisher: PeerId, item: Item) -> bool | None:
        return None if self.prover is None else await self.prover(publisher, item)

    async def dial_back(self, peer: PeerId, addresses: Sequence[str]) -> str | None:
        return await self.dial_backs.dial(peer, self._seen_at(peer, addresses))

    def _seen_at(self, peer: PeerId, addresses: Sequence[str]) -> list[str]:
        """Those of the addresses at whose hosts `peer` is seen right now: nobody has us knock at somebody else's door."""
        session = self._peers.session(peer)
        paths = session.paths() if session is not None else ()
        seen = {host_of(path.address) for path in paths if path.kind == "direct"} - {None}
        return [one for one in addresses if host_of(one) in seen]

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        begin(None if self._ending else self._tasks, _guard(work, name), name, inside=work)

    # -- connections

    def _session(self, session: Session, up: bool) -> None:
        peer = session.peer
        if up:
            self._judged(session)
        elif self._peers.session(peer) is None:
            for pump in self.pumps.values():
                pump.down(peer)

    def _judged(self, session: Session) -> None:
        for network, pump in self.pumps.items():
            if network in session.verdict.networks:
                pump.up(session.peer)
            else:
                pump.down(session.peer)

    def _rtt(self, peer: PeerId) -> float | None:
        """The round trip to a connected peer, in seconds."""
        session = self._peers.session(peer)
        return session.rtt if session is not None else None

    def _missed(self, peer: PeerId) -> None:
        for network in list(self._holders.get(peer, ())):
            self.undelivered(peer, frozenset((network,)))

    def told(self, network: bytes, event: object) -> None:
        self._face.told(network, event)


class _Stop(Exception):
    """Ends the TaskGroup of `run`."""


def topology_of(view: NetworkView) -> Topology:
    """What the signed settings of a network say of its shape."""
    return Topology(view.mode, frozenset(map(bytes, view.servers)))


async def _guard(work: Coroutine[Any, Any, None], name: str) -> None:
    """A bug ends its own task, with a traceback in the log, and never the node."""
    try:
        await work
    except ServentError as error:
        log.info("%s: %s", name, error)
    except Exception:
        log.exception("%s failed", name)
