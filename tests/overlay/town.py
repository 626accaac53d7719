"""A network in which every directory is complete, every leaf has its homes and every item lies where it should.

What is under test are the parts that ask and answer: they are the real ones. Directory, homes and housing are stand-ins that
know the whole town, so that what goes wrong in a test was done to it on purpose.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from servent.errors import BadMessage
from servent.identity import PeerId
from servent.overlay.answering import Answering
from servent.overlay.asking import Asking
from servent.overlay.canaries import Canaries
from servent.overlay.context import Context
from servent.overlay.effects import Asked, Counts, Effect, Find, Finding, Keep, Load, Send, Tell
from servent.overlay.part import Part
from servent.overlay.placement import content_key, key_of, nearest, peer_key, point
from servent.overlay.records import Item, PeerRecord, Slice, SupernodeRecord, signed
from servent.overlay.settings import OverlaySettings
from servent.overlay.terms import keyed_words
from servent.overlay.watching import Watching
from servent.overlay.whereabouts import Whereabouts
from servent.overlay.wire import Message, Posting, Question
from servent.testing import cores
from servent.testing.shelf import Shelf
from tests.overlay.things import NETWORK, CheapSeal, item, peer, record, sliced

Lie = Callable[["Citizen", PeerId, Message], Message | None]


class Directory:
    """Knows all supernodes, and nothing else."""

    def __init__(self, town: Town, me: PeerId) -> None:
        self._town, self._me = town, me
        self.changed: list[Callable[[float], list[Effect]]] = []

    @property
    def own(self) -> SupernodeRecord | None:
        return self._town.records.get(self._me)

    def get(self, key: bytes, now: float) -> SupernodeRecord | None:
        return self._town.records.get(PeerId(key))

    def nearest(self, key: bytes, count: int, now: float, *, storing: bool = False) -> list[PeerId]:
        return self._town.nearest(key, count)

    def random(self, count: int, now: float, leave_out: Sequence[bytes] = ()) -> list[PeerId]:
        some = [one for one in self._town.records if one not in leave_out]
        return self._town.dice.sample(some, min(count, len(some)))

    def count(self, now: float) -> int:
        return len(self._town.records)

    def members(self, now: float) -> int:
        return len(self._town.citizens)


class Homes:
    def __init__(self, town: Town, me: PeerId) -> None:
        self._town, self._me = town, me
        self.at: tuple[PeerId, ...] = ()
        self.distrusted: list[PeerId] = []

    def homes(self) -> tuple[PeerId, ...]:
        return self.at

    def distrust(self, home: PeerId, now: float) -> list[Effect]:
        self.distrusted.append(home)
        self.at = tuple(one for one in self.at if one != home)
        return []

    def sample(self, home: PeerId, now: float, age: float) -> Item | None:
        mine = self._town.items.get(self._me, [])
        return self._town.dice.choice(mine) if mine else None


class Housing:
    def __init__(self, town: Town, me: PeerId) -> None:
        self._town, self._me = town, me
        self.kept: list[Callable[[Slice, Sequence[Posting], float], list[Effect]]] = []
        self.housed: dict[PeerId, PeerRecord] = {}
        self.peers: dict[bytes, PeerRecord] = {}

    def leaves(self) -> dict[PeerId, PeerRecord]:
        return self.housed

    def record_of(self, key: bytes, now: float) -> PeerRecord | None:
        return self.housed.get(PeerId(key)) or self.peers.get(key)


class Election:
    def __init__(self, town: Town, me: PeerId) -> None:
        self._town, self._me = town, me
        self.retiring = False

    @property
    def index(self) -> bool:
        return self._me in self._town.records


class Citizen:
    """A core for `CoreNet`: the parts that ask and answer, and a store."""

    def __init__(self, town: Town, number: int, settings: OverlaySettings) -> None:
        self.town, self.key = town, peer(number)
        self.number = number
        dice = random.Random(number)
        self.context = Context(
            self.key, NETWORK, dice, CheapSeal(self.key), lambda: 1e9, lambda key: True, record(number),
            settings=settings,
        )  # fmt: skip
        self.directory = Directory(town, self.key)
        self.homes = Homes(town, self.key)
        self.housing = Housing(town, self.key)
        self.election = Election(town, self.key)
        self.shelf = Shelf(settings.home)
        shared = self.context, self.directory
        self.whereabouts = Whereabouts(*shared, self.homes, self.housing)  # type: ignore[arg-type]
        self.asking = Asking(*shared, self.homes, self.housing, self.whereabouts)  # type: ignore[arg-type]
        self.answering = Answering(*shared, self.election, self.housing, self.asking)  # type: ignore[arg-type]
        rest = self.election, self.homes, self.housing, self.asking
        self.watching = Watching(*shared, *rest)  # type: ignore[arg-type]
        self.canaries = Canaries(*shared, self.homes, self.housing, self.asking)  # type: ignore[arg-type]
        self.parts: list[Part] = [self.whereabouts, self.asking, self.answering, self.watching, self.canaries]
        self.handlers = {kind: one for part in self.parts for kind, one in part.handlers().items()}
        self.lie: Lie | None = None
        self.faults: list[str] = []
        self.events: list[object] = []
        self.received: dict[type, int] = {}
        self.heard: dict[bytes, str] = {}

    def receive(self, sender: PeerId, message: Message, now: float) -> list[Effect]:
        self.received[type(message)] = self.received.get(type(message), 0) + 1
        if isinstance(message, Question):
            self.heard[message.id] = message.text
        try:
            return self.carry_out(self.handlers[type(message)](sender, message, now), now)
        except BadMessage as wrong:
            self.faults.append(str(wrong))
            return []

    def tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        for part in self.parts:
            due = part.next_tick()
            if due is not None and due <= now:
                effects += part.tick(now)
        return self.carry_out(effects, now)

    def next_tick(self) -> float | None:
        return min((due for part in self.parts if (due := part.next_tick()) is not None), default=None)

    def lost(self, other: PeerId, now: float) -> list[Effect]:
        """The connection with it is gone."""
        return self.carry_out([effect for part in self.parts for effect in part.failed(other, now)], now)

    def carry_out(self, effects: Iterable[Effect], now: float) -> list[Effect]:
        """What the store answers goes back in at once; sends are left, lies told on the way."""
        left: list[Effect] = []
        for effect in effects:
            match effect:
                case Find() | Counts() | Load():
                    answer = self.shelf.do(effect)
                    assert answer is not None
                    left += self.carry_out(self.context.answered(effect.token, *answer, now), now)
                case Send():
                    message = effect.message
                    if self.lie is not None:
                        said = self.lie(self, effect.to, message)
                        if said is None:
                            continue
                        message = said
                    left.append(Send(effect.to, message, effect.lane))
                case Tell():
                    self.events.append(effect.event)
                case _:
                    left.append(effect)
        return left


class Lanes(cores.CoreNet[PeerId, Message]):
    """A `CoreNet` in which what one sends to another arrives in order, as on a lane."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._last: dict[tuple[PeerId, PeerId], float] = {}

    def do(self, node: PeerId, effects: Iterable[object]) -> None:
        before = set(map(id, self._mail))
        super().do(node, effects)
        fresh = sorted((mail for mail in self._mail if id(mail) not in before), key=lambda mail: mail[1])
        for mail in fresh:
            at, order, sender, send = mail
            pair = sender, send.to
            late = max(at, self._last.get(pair, 0.0) + 1e-6)
            self._last[pair] = late
            if late != at:
                self._mail.remove(mail)
                heapq.heapify(self._mail)
                heapq.heappush(self._mail, (late, order, sender, send))


class Town:
    """Args:
    members: peers 0, 1, ...; the first `supernodes` of them carry the index role.
    per_peer: items that each of the others shares.
    """

    def __init__(
        self,
        members: int,
        supernodes: int,
        seed: int = 1,
        *,
        homes: int = 2,
        per_peer: int = 3,
        settings: OverlaySettings | None = None,
        loss: float = 0.0,
    ) -> None:
        self.dice = random.Random(seed)
        self.settings = settings or OverlaySettings()
        self.records: dict[PeerId, SupernodeRecord] = {}
        self.items: dict[PeerId, list[Item]] = {}
        self._ring: list[tuple[int, bytes]] | None = None
        self.citizens = {peer(number): Citizen(self, number, self.settings) for number in range(members)}
        self.keys = list(self.citizens)
        for number in range(supernodes):
            self.elect(number)
        self.net = Lanes(self.citizens, seed, latency=(0.05, 0.15), loss=loss, sending=self._sending)
        for number in range(members):
            self.settle(number, homes)
            self.share(
                number,
                [item(f"{self.word()} {self.word()} song{number}x{n}.mp3", number) for n in range(per_peer)],
            )

    def _sending(self, effect: object) -> cores.Send[PeerId, Message] | None:
        return cores.Send(effect.to, effect.message) if isinstance(effect, Send) else None

    def word(self) -> str:
        return f"word{int(self.dice.paretovariate(0.8)) % 400}"

    # -- its shape

    def elect(self, number: int) -> None:
        key = peer(number)
        one = SupernodeRecord(record(number), 1, 3600, room=512)
        self.records[key] = signed(NETWORK, one, CheapSeal(key))
        self._ring = None

    def dismiss(self, number: int) -> None:
        """It lays the role down, and goes on answering."""
        self.records.pop(peer(number), None)
        self._ring = None
        self.citizens[peer(number)].election.retiring = True

    def settle(self, number: int, homes: int) -> None:
        """Give it homes; a supernode is its own."""
        key = peer(number)
        citizen = self.citizens[key]
        if key in self.records:
            citizen.homes.at = ()
            return
        some = list(self.records)
        citizen.homes.at = tuple(self.dice.sample(some, min(homes, len(some))))
        for home in citizen.homes.at:
            self.citizens[home].housing.housed[key] = citizen.context.record
        for near in self.nearest(peer_key(NETWORK, key), 3):
            self.citizens[near].housing.peers[key] = citizen.context.record

    def share(self, number: int, items: Sequence[Item], slot: int = 0, seq: int = 1) -> None:
        """Publish: at its homes, and at the supernodes nearest to the keys of each item."""
        if not items:
            return
        key = peer(number)
        self.items[key] = list(items)
        whole = sliced(number, items, slot, seq)
        for home in self.citizens[key].homes.at or ((key,) if key in self.records else ()):
            self.keep(home, whole)
        for place, one in enumerate(items):
            keys = [content_key(NETWORK, one.content), *(key_of(NETWORK, word) for word in keyed_words(one))]
            under: dict[PeerId, list[Posting]] = {}
            for name in keys:
                for near in self.nearest(name, 3):
                    under.setdefault(near, []).append(Posting(name, place))
            for near, postings in under.items():
                self.keep(near, Slice(whole.batch, {place: one}), postings)

    def keep(self, at: PeerId, part: Slice, under: Sequence[Posting] = ()) -> None:
        citizen = self.citizens[at]
        citizen.shelf.do(Keep(part, under))
        now = self.net.now
        for kept in citizen.housing.kept:
            self.net.do(at, citizen.carry_out(kept(part, under, now), now))

    def nearest(self, key: bytes, count: int) -> list[PeerId]:
        if self._ring is None or len(self._ring) != len(self.records):
            self._ring = [(point(bytes(one)[:16]), one) for one in self.records]
        return nearest(point(key), self._ring, count)  # type: ignore[return-value]

    # -- what happens

    def kill(self, number: int) -> None:
        self.net.cores.pop(peer(number), None)

    def search(self, number: int, text: str, limit: int = 50, budget: int | None = None) -> int:
        citizen = self.citizens[peer(number)]
        search, effects = citizen.asking.search(text, self.net.now, limit=limit, budget=budget)
        self.net.do(citizen.key, citizen.carry_out(effects, self.net.now))
        return search

    def who_has(self, number: int, content: bytes) -> int:
        citizen = self.citizens[peer(number)]
        search, effects = citizen.asking.who_has(content, self.net.now)
        self.net.do(citizen.key, citizen.carry_out(effects, self.net.now))
        return search

    def found(self, number: int, search: int) -> set[tuple[PeerId, str]]:
        """What came of it: publishers and names."""
        events = self.citizens[peer(number)].events
        pairs = [
            (publisher, one.name)
            for event in events
            if isinstance(event, Finding) and event.search == search
            for publisher, one in event.found
        ]
        assert len(pairs) == len(set(pairs)), "the same find twice"
        return set(pairs)

    def ends(self, number: int, search: int) -> list[Asked]:
        """Its last words."""
        events = self.citizens[peer(number)].events
        return [one for one in events if isinstance(one, Asked) and one.search == search and one.over]

    def ask(self, number: int, text: str, **more: int) -> tuple[set[tuple[PeerId, str]], Asked]:
        """Search, and wait for the end."""
        search = self.search(number, text, **more)
        self.net.run(self.net.now + 6.0)
        (end,) = self.ends(number, search)
        return self.found(number, search), end

    def truth(self, text: str, living: bool = False) -> set[tuple[PeerId, str]]:
        """Everything that answers it, by the query's own rule."""
        from servent.query.language import parse

        query = parse(text)
        return {
            (publisher, one.name)
            for publisher, items in self.items.items()
            if not living or publisher in self.net.cores
            for one in items
            if query.relevance(one.name, one.kind, one.size, one.where, one.tags) is not None
        }
