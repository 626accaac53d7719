"""The overlay of a node: in each of its networks a member, and one face for all of them.

It owns their clock, dice, connections and what they keep, and follows what trust says of networks: one that is joined
gets a member at once, one that is left loses it, and one whose founder changed its mode is shaped anew.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence

from servent.errors import NotFound, UsageError
from servent.identity import Identity, PeerId
from servent.net.links import Endpoint
from servent.net.peers import Peers
from servent.net.reach_service import ReachService
from servent.net.views import finest
from servent.overlay import wire
from servent.overlay.dialback_service import OpenEndpoint
from servent.overlay.effects import Asked, Finding, Heard, Neighbour, News, Prover, RoleChanged, Where, Wished
from servent.overlay.found_again_service import FoundAgain
from servent.overlay.members_service import Members, topology_of
from servent.overlay.pump import ItemStore, Pump
from servent.overlay.records import Item, PeerRecord
from servent.overlay.settings import OverlaySettings
from servent.overlay.shaping import role_views, shape_of
from servent.overlay.streams_service import Streams
from servent.overlay.topology import Wish
from servent.overlay.views import NetworkShape, RoleView
from servent.overlay.watches_service import Watches
from servent.store import Store
from servent.trust.networks import Mode
from servent.trust.service import TrustService

log = logging.getLogger(__name__)

HeardCallback = Callable[[bytes, str, PeerId, bytes], None]

ROLES = ("index", "relay", "observer", "store", "compute")
ROOM_PREFIX = "room/"
MOST_WANTED = 500  # items of one question; the wire's own limit
WHERE_WAIT = 6.0  # s for somebody to know where a peer is
TOLD_SPACING = 0.1  # s in which changes are told together


class Overlay:
    """Make it on a running loop, after `Peers` and before they run; `open` it when the store is open, then `run` it.

    Networks are named by their keys. Everything but `search`, `who_has`, `where` and the setters answers at once.

    Args:
        reach: knows how we are reached; None in tests.
        open_endpoint: opens a second end of the network, to dial others back.
        wishes: "auto", "on" or "off" for each of `ROLES`.
        carries: roles that other rooms carry now, beside the index.
        up: bytes per second that this node sends now.
        up_limit: bytes per second that it may send at all; 0.0 for no limit.
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
        up_limit: Callable[[], float] = lambda: 0.0,
        settings: OverlaySettings | None = None,
        dice: random.Random | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._peers, self._trust = peers, trust
        self._clock = asyncio.get_running_loop().time
        self._carries = carries
        self.wishes: dict[str, Wish] = {name: (wishes or {}).get(name, "auto") for name in ROLES}
        self._streams, self._watches = Streams(), Watches()
        self._rooms: dict[tuple[bytes, bytes], str] = {}
        self._asked_where: dict[PeerId, set[_Asking]] = {}
        self._listeners: list[Callable[[], None]] = []
        self._wishers: list[Callable[[str, Wish], Awaitable[None]]] = []
        self._hearers: list[HeardCallback] = []
        self._lonely: list[Callable[[bytes], None]] = []
        self._telling: asyncio.TimerHandle | None = None
        self.members = Members(
            self,
            peers,
            trust,
            store,
            identity,
            endpoint,
            items,
            reach=reach,
            open_endpoint=open_endpoint,
            up=up,
            up_limit=up_limit,
            settings=settings or OverlaySettings(),
            dice=dice or random.Random(),
            wall=wall,
        )
        self.members.dial_backs.on = self.wishes["observer"] != "off"
        self._found_again = FoundAgain(peers, self.where, self._wanted, self.members.spawn)
        peers.govern(self._found_again.locate)

    # -- life

    async def open(self) -> None:
        """Load what outlives the process. The store is open, trust as well."""
        await self.members.open()

    async def run(self) -> None:
        """Until cancelled or closed: members of all networks, kept in step with trust."""
        self.members.also(self._found_again.run)
        await self.members.run()

    async def close(self) -> None:
        """Say goodbye in every network and keep what the next start begins with. Safe twice."""
        await self.members.close()

    # -- how things are

    def shapes(self) -> list[NetworkShape]:
        """Every network of ours as it is now, by name."""
        return [
            self._shape(pump)
            for pump in sorted(self.members.pumps.values(), key=lambda pump: pump.view.name.casefold())
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
            self.wishes, self.carried(), {pump.view.name: pump.member for pump in self.members.pumps.values()}
        )

    def carried(self) -> list[str]:
        """The names of the roles that are carried now, in any network."""
        index = any(pump.member.election.index for pump in self.members.pumps.values())
        return [
            *(["index"] if index else []),
            *(["observer"] if self.members.dial_backs.on else []),
            *self._carries(),
        ]

    def roles_in(self, network: bytes) -> list[str]:
        """The names of the roles that are carried in `network`."""
        pump = self.members.pumps.get(network)
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
        if self.members.closing:
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
        self.members.dial_backs.on = self.wishes["observer"] != "off"
        if name == "index":
            for pump in self.members.pumps.values():
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
        self.members.reshape(pump, view)
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
        pumps = [pump for pump in self.members.pumps.values() if self._trust.belongs(pump.network, peer)]
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
        return self._watches.watch(text, callback, self.members.pumps.values(), self._clock())

    def unwatch(self, watch: int) -> None:
        """No more of that."""
        self._watches.unwatch(watch, self.members.pumps.values())

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

    def room_neighbours(self, network: bytes, room: str) -> list[PeerId]:
        """Whom we are linked with in a room that we entered. Raises NotFound."""
        return self._pump(network).member.topics.neighbours(ROOM_PREFIX + room)

    def neighbours(self, network: bytes) -> list[PeerId]:
        """Whom we are linked with in the network. Raises NotFound."""
        return list(self._pump(network).linked)

    def on_heard(self, callback: HeardCallback) -> None:
        """Call `callback(network, room, author, body)` for news, once each. "" is the network's own room."""
        self._hearers.append(callback)

    def on_lonely(self, callback: Callable[[bytes], None]) -> None:
        """Call `callback(network)` when nobody, or hardly anybody, of a network is near, and again while that lasts."""
        self._lonely.append(callback)

    # -- proofs

    def use_prover(self, prover: Prover) -> None:
        """How a peer is asked to show that it has an item: True, False, or None when it cannot be asked now."""
        self.members.prover = prover

    # -- what members say (members_service.Face)

    def index_wish(self) -> Wish:
        return self.wishes["index"]

    def lonely(self, network: bytes) -> None:
        for callback in self._lonely:
            callback(network)

    def joined(self, pump: Pump) -> None:
        self._watches.joined(pump, self._clock())

    def left(self, network: bytes) -> None:
        self._streams.gone(network)
        self._watches.left(network)
        for name in [name for name in self._rooms if name[0] == network]:
            del self._rooms[name]

    def told(self, network: bytes, event: object) -> None:
        match event:
            case Finding() | Asked():
                self._streams.told(network, event)
            case Where(peer, record):
                if record is not None:
                    self.members.learn(record)
                for asking in list(self._asked_where.get(peer, ())):
                    asking.told(network, record)
            case Wished(watch, found):
                self._watches.told(network, watch, found)
            case Heard(topic, author, body):
                self._heard(network, topic, author, body)
            case Neighbour() | RoleChanged():
                if isinstance(event, RoleChanged):
                    self.members.look_at_ourselves()
                self.changed()

    def _heard(self, network: bytes, topic: bytes, author: PeerId, body: bytes) -> None:
        room = self._rooms.get((network, topic), "")
        for callback in list(self._hearers):
            try:
                callback(network, room, author, body)
            except Exception:
                log.exception("a listener of rooms failed")

    def _wanted(self, peer: PeerId) -> bool:
        contact = self._trust.contact(peer)
        return contact is not None and contact.friend and not contact.blocked

    # -- small things

    def _pump(self, network: bytes) -> Pump:
        pump = self.members.pumps.get(network)
        if pump is None:
            raise NotFound("you are not in this network", advice="`servent network ls` lists your networks.")
        return pump

    def _named(self, networks: Sequence[bytes] | None) -> list[Pump]:
        return (
            list(self.members.pumps.values()) if networks is None else [self._pump(key) for key in networks]
        )


class _Asking:
    """Somebody waits for where a peer is, in some networks. The first that knows is believed: it passes on signed words."""

    def __init__(self, networks: set[bytes]) -> None:
        self._open = networks
        self.done: asyncio.Future[PeerRecord | None] = asyncio.get_running_loop().create_future()

    def told(self, network: bytes, record: PeerRecord | None) -> None:
        self._open.discard(network)
        if not self.done.done() and (record is not None or not self._open):
            self.done.set_result(record)
