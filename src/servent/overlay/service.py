"""The overlay of a node: in each of its networks a member, and one face for all of them.

It owns their clock, dice, connections and what they keep, and follows what trust says of networks: one that is joined
gets a member at once, one that is left loses it, and one whose founder changed its mode is shaped anew.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from servent.errors import NotFound, ServentError, UsageError, WorldError
from servent.identity import Identity, PeerId
from servent.net.links import Endpoint
from servent.net.peers import Peers
from servent.net.reach_service import ReachService
from servent.net.session import Session
from servent.net.views import finest
from servent.overlay import wire
from servent.overlay.abilities_service import MEASURE_EVERY, AbilitiesService
from servent.overlay.bootstrap_service import Bootstrapper
from servent.overlay.context import Context
from servent.overlay.dialback_service import DialBacks, OpenEndpoint
from servent.overlay.effects import Asked, Finding, Heard, Neighbour, RoleChanged, Where, Wished
from servent.overlay.found_again_service import FoundAgain
from servent.overlay.links_service import LaneName, Links
from servent.overlay.member import Member
from servent.overlay.pump import ItemStore, Pump
from servent.overlay.records import Item, PeerRecord
from servent.overlay.records_service import ROOM, STEPS, OwnRecords, address_of
from servent.overlay.settings import OverlaySettings
from servent.overlay.shaping import role_views, shape_of
from servent.overlay.streams_service import Streams
from servent.overlay.topology import Topology, Wish
from servent.overlay.views import NetworkShape, RoleView
from servent.overlay.watches_service import Watches
from servent.store import Store
from servent.trust.networks import Mode
from servent.trust.service import TrustService
from servent.trust.views import NetworkView

log = logging.getLogger(__name__)

Prover = Callable[[PeerId, Item], Awaitable[bool | None]]
News = Callable[[bytes, Sequence[tuple[PeerId, Item]]], None]
HeardCallback = Callable[[bytes, str, PeerId, bytes], None]

ROLES = ("index", "relay", "observer", "store", "compute")
ROOM_PREFIX = "room/"
MOST_WANTED = 500  # items of one question; the wire's own limit
LOOK_EVERY = 1.0  # s between two looks at ourselves; a change of address is seen at once
SAVE_EVERY = 300.0  # s
GOODBYE = 0.3  # s for the last words to leave
WHERE_WAIT = 6.0  # s for somebody to know where a peer is
TOLD_SPACING = 0.1  # s in which changes are told together
STRANGER = "not in this network"  # in what a core says of a record whose admission may be on its way


class Overlay:
    """Make it on a running loop, after `Peers` and before they run; `open` it when the store is open, then `run` it.

    Networks are named by their keys. Everything but `search`, `who_has`, `where` and the setters answers at once.

    Args:
        reach: knows how we are reached; None in tests.
        open_endpoint: opens a second end of the network, to dial others back.
        wishes: "auto", "on" or "off" for each of `ROLES`.
        carries: roles that other rooms carry now, beside the index.
        up: bytes per second that this node was seen to send at best; 0.0 while nobody knows.
        items: keeps what is stored for others.
        dice, wall: tests give their own.
    """

    def __init__(
        self,
        peers: Peers,
        trust: TrustService,
        store: Store,
        identity: Identity,
        endpoint: Endpoint,
        items: ItemStore,
        *,
        reach: ReachService | None = None,
        open_endpoint: OpenEndpoint | None = None,
        wishes: Mapping[str, Wish] | None = None,
        carries: Callable[[], Sequence[str]] = tuple,
        up: Callable[[], float] = lambda: 0.0,
        settings: OverlaySettings | None = None,
        dice: random.Random | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._peers, self._trust, self._endpoint, self._identity = peers, trust, endpoint, identity
        self._settings = settings or OverlaySettings()
        self._dice = dice or random.Random()
        self._clock = asyncio.get_running_loop().time
        self._carries = carries
        self.wishes: dict[str, Wish] = {name: (wishes or {}).get(name, "auto") for name in ROLES}
        self.items = items
        store.migrate(ROOM, STEPS)
        self._records = OwnRecords(identity, endpoint, reach, store, wall, self._roles_in, self._settings)
        self._abilities = AbilitiesService(store, wall, up)
        self._begin = Bootstrapper(store, peers, self._records.seal, self._dice)
        self._dial_backs = DialBacks(open_endpoint)
        self._links = Links(peers, self, self.spawn)
        self._found_again = FoundAgain(peers, self.where, self._wanted, self.spawn)
        self._streams, self._watches = Streams(), Watches()
        self._pumps: dict[bytes, Pump] = {}
        self._holders: dict[PeerId, set[bytes]] = {}
        self._rooms: dict[tuple[bytes, bytes], str] = {}
        self._asked_where: dict[PeerId, set[_Asking]] = {}
        self._prover: Prover | None = None
        self._listeners: list[Callable[[], None]] = []
        self._wishers: list[Callable[[str, Wish], Awaitable[None]]] = []
        self._hearers: list[HeardCallback] = []
        self._telling: asyncio.TimerHandle | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._stop, self._stopped = asyncio.Event(), asyncio.Event()
        self._trust_changed = asyncio.Event()
        self._loopback = False  # whether we ourselves are reached on this computer alone
        peers.govern(self._found_again.locate)
        peers.on_session(self._session)
        peers.on_judged(self._judged)
        peers.on_missed(self._missed)

    # -- life

    async def open(self) -> None:
        """Load what outlives the process. The store is open, trust as well."""
        await self._records.open()
        await self._abilities.open()
        self._trust.on_change(self._trust_changed.set)
        self._endpoint.on_address_change(self._look_at_ourselves)

    async def run(self) -> None:
        """Until cancelled or closed: members of all networks, kept in step with trust."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._follow_trust(), name="networks")
                tasks.create_task(self._tend(), name="overlay")
                await self._stop.wait()
                await self._say_goodbye()
                raise _Stop
        except* _Stop:
            log.debug("the overlay is closed")
        finally:
            self._tasks = None
            self._stopped.set()

    async def close(self) -> None:
        """Say goodbye in every network and keep what the next start begins with. Safe twice."""
        self._stop.set()
        self._links.close()
        if self._tasks is not None:
            await self._stopped.wait()

    async def _say_goodbye(self) -> None:
        await self._save()
        for pump in self._pumps.values():
            pump.close()
            self._streams.gone(pump.network)
        await self._links.drained(GOODBYE)

    async def _save(self) -> None:
        """What the next start begins with. A disk that is full costs that start its contacts, and nothing now."""
        try:
            await self._records.save()
            await self._abilities.save()
            for pump in list(self._pumps.values()):
                topics = pump.member.topics
                await self._begin.save(pump.network, topics.anchors(), topics.known())
        except WorldError as wrong:
            log.warning("the overlay's contacts are not saved: %s", wrong)

    async def _follow_trust(self) -> None:
        """Members come and go with our networks, and take the shape that their founders gave them."""
        while True:
            self._trust_changed.clear()
            views = {view.key: view for view in self._trust.networks() if view.member}
            for network in [key for key in self._pumps if key not in views]:
                await self._leave_network(network)
            for view in views.values():
                pump = self._pumps.get(view.key)
                if pump is None:
                    await self._join_network(view)
                else:
                    self._reshape(pump, view)
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
        member = Member(context, topology_of(view), self.wishes["index"])
        pump = self._pumps[view.key] = Pump(view, member, self)
        self._watches.joined(pump, self._clock())
        pump.call(member.measured, self._abilities.measure(context.record))
        for session in self._peers.sessions():
            if view.key in session.verdict.networks:
                pump.up(session.peer)
        pump.call(member.join, contacts)
        self.changed()

    async def _leave_network(self, network: bytes) -> None:
        pump = self._pumps.pop(network)
        pump.close()
        self._streams.gone(network)
        self._watches.left(network)
        for name in [name for name in self._rooms if name[0] == network]:
            del self._rooms[name]
        try:
            await self._begin.forget(network)
        except WorldError as wrong:
            log.warning("contacts of a network that was left stay on disk: %s", wrong)
        self.changed()

    def _reshape(self, pump: Pump, view: NetworkView) -> None:
        before, pump.view = pump.view, view
        pump.member.context.open = view.policy == "open"
        if topology_of(before) != topology_of(view):
            log.info("%s is a %s network now", view.name, view.mode)
            pump.call(pump.member.shape, topology_of(view), self.wishes["index"])
        if before != view:
            self.changed()

    async def _tend(self) -> None:
        """Our records, what this machine can do, and what goes to disk; each in its time."""
        save_at = self._clock() + SAVE_EVERY
        measure_at = 0.0
        while True:
            now = self._clock()
            self._look_at_ourselves()
            if now >= measure_at:
                measure_at = now + MEASURE_EVERY
                await self._measure()
            if now >= save_at:
                save_at = now + SAVE_EVERY
                await self._save()
            await asyncio.sleep(LOOK_EVERY)

    def _look_at_ourselves(self) -> None:
        """Where we are or what we do has changed, or our records grow old: they are made anew."""
        self._loopback = all(
            text.startswith(("127.", "[::1]")) for text in self._endpoint.address().addresses
        )
        for pump in self._pumps.values():
            if self._records.changed(pump.network):
                pump.call(pump.member.moved, self._records.make(pump.network))

    async def _measure(self) -> None:
        for pump in list(self._pumps.values()):
            pump.call(pump.member.measured, self._abilities.measure(pump.member.context.record))
            self._peers.counted(pump.network, pump.member.directory.members(self._clock()))
            try:
                items, _, postings = await self.items.totals(pump.network)
            except WorldError:
                continue
            pump.stored = items, postings

    # -- how things are

    def shapes(self) -> list[NetworkShape]:
        """Every network of ours as it is now, by name."""
        return [
            self._shape(pump)
            for pump in sorted(self._pumps.values(), key=lambda pump: pump.view.name.casefold())
        ]

    def shape(self, network: bytes) -> NetworkShape:
        """One of them. Raises NotFound."""
        return self._shape(self._pump(network))

    def _shape(self, pump: Pump) -> NetworkShape:
        return shape_of(
            pump.view,
            pump.member,
            self._clock(),
            self._link,
            control_per_minute=pump.control_per_minute(),
            stored=pump.stored,
            questions=(pump.questions, pump.mine),
        )

    def _link(self, peer: PeerId) -> tuple[str, str, float | None]:
        contact, session = self._trust.contact(peer), self._peers.session(peer)
        petname = contact.petname if contact is not None else None
        if session is None:
            return petname or "", "", None
        path = next((one for one in session.paths() if one.selected), None)
        return (
            petname or session.profile.name,
            path.kind if path else "",
            finest(path.rtt if path else None, session.rtt),
        )

    def roles(self) -> list[RoleView]:
        """What this node does for others, and why, in the order of `ROLES`."""
        return role_views(
            self.wishes, self.carried(), {pump.view.name: pump.member for pump in self._pumps.values()}
        )

    def carried(self) -> list[str]:
        """The names of the roles that are carried now, in any network."""
        index = any(pump.member.election.index for pump in self._pumps.values())
        return [
            *(["index"] if index else []),
            *(["observer"] if self._dial_backs.on else []),
            *self._carries(),
        ]

    def _roles_in(self, network: bytes) -> list[str]:
        pump = self._pumps.get(network)
        index = pump is not None and pump.member.election.index
        return [name for name in self.carried() if name != "index" or index]

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call `callback` on the loop, a few times a second at most, when `shapes` or `roles` may have changed."""
        self._listeners.append(callback)

    def changed(self) -> None:
        """Something that is shown has changed: listeners hear of it soon."""
        if self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(TOLD_SPACING, self._tell)

    def _tell(self) -> None:
        self._telling = None
        if self._stop.is_set():
            return
        for callback in list(self._listeners):
            callback()

    # -- what the person here decides

    async def set_role(self, name: str, wish: Wish) -> None:
        """Wish for a role from now on, in this run: config.toml is the business of whoever asks. Raises UsageError."""
        if name not in ROLES or wish not in ("auto", "on", "off"):
            raise UsageError(
                f"{name!r} cannot be {wish!r}",
                advice=f"Roles are {', '.join(ROLES)}; each is auto, on or off.",
            )
        self.wishes[name] = wish
        self._dial_backs.on = self.wishes["observer"] != "off"
        if name == "index":
            for pump in self._pumps.values():
                pump.call(pump.member.shape, topology_of(pump.view), wish)
        for callback in self._wishers:
            await callback(name, wish)
        self.changed()

    def on_wish(self, callback: Callable[[str, Wish], Awaitable[None]]) -> None:
        """Await `callback(name, wish)` when the person here wishes for a role that another room carries."""
        self._wishers.append(callback)

    async def set_mode(self, network: bytes, mode: Mode, servers: Sequence[bytes] = ()) -> NetworkShape:
        """As the founder: another mode for all members. `servers`: for the server mode; none names ourselves.

        Raises:
            UsageError: not our network, or too many servers. NotFound.
        """
        view = await self._trust.change_settings(network, mode=mode, servers=list(servers) or None)
        pump = self._pump(network)
        self._reshape(pump, view)
        return self._shape(pump)

    # -- finding

    def search(
        self,
        text: str,
        *,
        networks: Sequence[bytes] | None = None,
        limit: int = 200,
        budget: int | None = None,
    ) -> AsyncGenerator[Finding | Asked]:
        """Ask all networks, or those named, at once. Ends when all are done; closing it early cancels everywhere.

        Args:
            text: in the query language.
            limit: items wanted of one network.
            budget: messages that may be spent in one network; None for the usual.
        """
        most = max(1, min(limit, MOST_WANTED))
        return self._streams.ask(
            self._named(networks),
            lambda pump, now: pump.member.asking.search(text, now, limit=most, budget=budget),
        )

    def who_has(
        self, content: bytes, *, networks: Sequence[bytes] | None = None, limit: int = 50
    ) -> AsyncGenerator[Finding | Asked]:
        """Who offers this content? As `search`."""
        most = max(1, min(limit, MOST_WANTED))
        return self._streams.ask(
            self._named(networks), lambda pump, now: pump.member.asking.who_has(content, now, limit=most)
        )

    async def where(self, peer: PeerId) -> PeerRecord | None:
        """Where `peer` is now, as it said itself to somebody in a network of ours; None: nobody knows.

        The address book hears of it, too.
        """
        pumps = [pump for pump in self._pumps.values() if self._trust.belongs(pump.network, peer)]
        if not pumps:
            return None
        asking = _Asking({pump.network for pump in pumps})
        self._asked_where.setdefault(peer, set()).add(asking)
        try:
            for pump in pumps:
                pump.call(pump.member.asking.where, peer)
            async with asyncio.timeout(WHERE_WAIT):
                return await asking.done
        except TimeoutError:
            return None
        finally:
            waiting = self._asked_where[peer]
            waiting.discard(asking)
            if not waiting:
                del self._asked_where[peer]

    # -- telling

    def publish(self, network: bytes, items: Sequence[Item]) -> None:
        """What we offer there from now on, all of it. Only changes are sent. Raises NotFound."""
        pump = self._pump(network)
        pump.call(pump.member.homes.publish, items)

    def watch(self, text: str, callback: News) -> int:
        """Call `callback(network, found)` whenever something new answers `text` in any network, now or later."""
        return self._watches.watch(text, callback, self._pumps.values(), self._clock())

    def unwatch(self, watch: int) -> None:
        """No more of that."""
        self._watches.unwatch(watch, self._pumps.values())

    # -- rooms

    def enter(self, network: bytes, room: str) -> None:
        """Hear what is said in a room, and be able to speak. Raises NotFound, UsageError: in too many."""
        pump = self._pump(network)
        context, now = pump.member.context, self._clock()
        near = [record for peer in pump.linked if (record := context.peers.get(peer, now)) is not None]
        effects = pump.member.topics.enter(ROOM_PREFIX + room, near, now)
        self._rooms[network, context.topic(ROOM_PREFIX + room)] = room
        pump.do(effects)

    def leave(self, network: bytes, room: str) -> None:
        """No more of that room."""
        pump = self._pump(network)
        self._rooms.pop((network, pump.member.context.topic(ROOM_PREFIX + room)), None)
        pump.call(pump.member.topics.leave, ROOM_PREFIX + room)

    def say(self, network: bytes, room: str, body: bytes, lifetime: int = 300) -> None:
        """To everybody in a room that we entered; "" is the network's own.

        Raises:
            UsageError: longer than 4096 bytes, or a room we have not entered. NotFound.
        """
        if len(body) > wire.GOSSIP_BYTES:
            raise UsageError(f"what is said at once has at most {wire.GOSSIP_BYTES} bytes")
        pump, now = self._pump(network), self._clock()
        pump.do(pump.member.topics.say(ROOM_PREFIX + room if room else "", body, now, lifetime))

    def on_heard(self, callback: HeardCallback) -> None:
        """Call `callback(network, room, author, body)` for news, once each. "" is the network's own room."""
        self._hearers.append(callback)

    # -- proofs

    def use_prover(self, prover: Prover) -> None:
        """How a peer is asked to show that it has an item: True, False, or None when it cannot be asked now."""
        self._prover = prover

    # -- what links ask (links_service.House)

    def take(self, session: Session, network: bytes, message: wire.Message) -> None:
        pump = self._pumps.get(network)
        if pump is not None:
            pump.receive(session.peer, message)

    def undelivered(self, peer: PeerId, networks: frozenset[bytes]) -> None:
        for network in networks:
            pump = self._pumps.get(network)
            if pump is not None:
                pump.failed(peer)

    def crowded(self) -> bool:
        return self.items.crowded

    def ours(self, network: bytes) -> bool:
        return network in self._pumps

    def introduce(self, peer: PeerId, network: bytes) -> None:
        pump = self._pumps.get(network)
        record = pump.record_of(peer) if pump is not None else None
        if record is not None:
            self.learn(record)

    # -- what pumps ask (pump.House)

    def send(self, network: bytes, to: PeerId, message: wire.Message, lane: LaneName) -> None:
        self._links.send(network, to, message, lane)

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
        self._peers.learn(address_of(record, self._loopback))

    def bootstrap(self, network: bytes) -> None:
        pump = self._pumps.get(network)
        if pump is not None:
            pump.acquaint()
        self._begin.seek()

    def told(self, network: bytes, event: object) -> None:
        match event:
            case Finding() | Asked():
                self._streams.told(network, event)
            case Where(peer, record):
                if record is not None:
                    self.learn(record)
                for asking in list(self._asked_where.get(peer, ())):
                    asking.told(network, record)
            case Wished(watch, found):
                self._watches.told(network, watch, found)
            case Heard(topic, author, body):
                self._heard(network, topic, author, body)
            case Neighbour() | RoleChanged():
                if isinstance(event, RoleChanged):
                    self._look_at_ourselves()
                self.changed()

    def _heard(self, network: bytes, topic: bytes, author: PeerId, body: bytes) -> None:
        room = self._rooms.get((network, topic), "")
        for callback in list(self._hearers):
            try:
                callback(network, room, author, body)
            except Exception:
                log.exception("a listener of rooms failed")

    def fault(self, peer: PeerId, what: str) -> None:
        self._peers.fault(peer, what, 0.05 if STRANGER in what else 2.0)

    async def prove(self, publisher: PeerId, item: Item) -> bool | None:
        return None if self._prover is None else await self._prover(publisher, item)

    async def dial_back(self, peer: PeerId, addresses: Sequence[str]) -> str:
        return await self._dial_backs.dial(peer, addresses)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        if self._tasks is None:
            work.close()
            return
        self._tasks.create_task(_guard(work, name), name=name)

    # -- connections

    def _session(self, session: Session, up: bool) -> None:
        peer = session.peer
        if up:
            self._judged(session)
        elif self._peers.session(peer) is None:
            for pump in self._pumps.values():
                pump.down(peer)

    def _judged(self, session: Session) -> None:
        for network, pump in self._pumps.items():
            if network in session.verdict.networks:
                pump.up(session.peer)
            else:
                pump.down(session.peer)

    def _missed(self, peer: PeerId) -> None:
        for network in list(self._holders.get(peer, ())):
            self.undelivered(peer, frozenset((network,)))

    def _wanted(self, peer: PeerId) -> bool:
        contact = self._trust.contact(peer)
        return contact is not None and contact.friend and not contact.blocked

    # -- small things

    def _pump(self, network: bytes) -> Pump:
        pump = self._pumps.get(network)
        if pump is None:
            raise NotFound("you are not in this network", advice="`servent network ls` lists your networks.")
        return pump

    def _named(self, networks: Sequence[bytes] | None) -> list[Pump]:
        return list(self._pumps.values()) if networks is None else [self._pump(key) for key in networks]


class _Asking:
    """Somebody waits for where a peer is, in some networks. The first that knows is believed: it passes on signed words."""

    def __init__(self, networks: set[bytes]) -> None:
        self._open = networks
        self.done: asyncio.Future[PeerRecord | None] = asyncio.get_running_loop().create_future()

    def told(self, network: bytes, record: PeerRecord | None) -> None:
        self._open.discard(network)
        if not self.done.done() and (record is not None or not self._open):
            self.done.set_result(record)


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
