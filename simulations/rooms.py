"""A room of all members of a network: they come and go, a tenth of what is sent is lost, few say most.

Members run the cores of a node: the overlay's topic, `talk.room`, `talk.exchange`. Catching up goes over a stream, as in a node:
a lost part comes a second later; who is asked and is gone shows after three. All have a common past; some were away for the
last part of it.
"""

from __future__ import annotations

import random
from collections import ChainMap
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate

from servent.codec import encode, frame
from servent.errors import PeerError, UsageError
from servent.identity import PeerId
from servent.overlay.effects import Heard
from servent.overlay.records import PeerRecord
from servent.talk import exchange
from servent.talk.catchup import asks, replies
from servent.talk.log import Log
from servent.talk.present import EVERY
from servent.talk.records import (
    NONE,
    Body,
    Founding,
    Message,
    Settings,
    digest_of,
    link_of,
    message_id,
    news,
    sign,
    sign_message,
)
from servent.talk.room import Effect, Forget, Keep, Look, Room, Strip, Tell
from servent.testing.ether import DIAL_FAILS
from servent.testing.hosts import Host
from servent.testing.world import World
from simulations.building import LONG, build
from simulations.scenario import Scenario
from simulations.words import sentence

TOPIC = "room/talk/hall"
ZIPF = 1.2  # who speaks: the member of rank r with a weight of 1 / r ** ZIPF
PAST = 1500  # messages that were said before
MISSED = (100, 100, 200, 400)  # of these, by those who were away, in turn
BETWEEN = 20.0  # s between two messages of the past
AWAY = 20  # members who come back, one every `COME_BACK` s
COME_BACK = 2.0
RESEND = 1.0  # s until a lost part of a stream comes again
IN_TIME = (5.0, 30.0, 60.0)  # s in which a message should have come
SAYS_EVERY = 1.5  # s between two messages
ENTERING = 10.0  # s in which all enter the room
SETTLED = 15.0  # s before the first message


@dataclass(slots=True, eq=False)
class Member:
    """Somebody, over all of its sessions. `host`: now; None while it is away. `since`: in the room, on the world's clock."""

    key: PeerId
    room: Room | None = None
    host: Host | None = None
    since: float = 0.0
    kept: MutableMapping[bytes, Message] = field(default_factory=dict)
    looking: bool = False
    missed: int = 0
    wakes: float = float("inf")
    cost: list[int] = field(default_factory=lambda: [0, 0, 0])  # bytes over streams, of which texts; messages
    came: dict[bytes, float] = field(default_factory=dict)  # when what was said live came


class Hall:
    """The room, its members, and what is measured."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self.built = build(scenario, seed)
        self.scenario, self.world, self.dice = scenario, self.built.world, random.Random(seed * 31 + 7)
        self.members: dict[bytes, Member] = {}
        self.said: list[tuple[float, bytes, bytes]] = []
        self.caught: list[tuple[int, int, int, int]] = []  # missed; bytes, of which texts; messages that came
        self.looks = self.look_bytes = self.news_bytes = 0
        self.gone: dict[
            bytes, list[tuple[float, float]]
        ] = {}  # when each was in the room, of sessions that are over
        self.world.on_tell = self._told
        founder = self.world.living()[0]
        founding = Founding(
            self.world.network, bytes(founder.key), b"hall".ljust(16), self.wall_ms() - 86_400_000, "open", Settings("hall")
        )  # fmt: skip
        self.founding: Founding = sign(founding, founder.seal)

    def wall_ms(self) -> int:
        return int(self.world.wall() * 1000)

    # -- the past

    def remember(self, speakers: list[Host], weights: list[float], away: set[Host]) -> list[Message]:
        """What was said before, by these. Who is away says nothing then."""
        chains: dict[bytes, tuple[int, bytes]] = {}
        number, said = self.wall_ms() - int(PAST * BETWEEN * 1000), []
        room = Room(
            speakers[0].key, self.founding, speakers[0].seal, self.dice, self.world.wall, 0.0, epoch=bytes(8)
        ).id
        for place in range(PAST):
            number += int(1 + self.dice.expovariate(1 / (BETWEEN * 800)))
            host = self.dice.choices(speakers, cum_weights=weights)[0]
            while host in away and place >= PAST - max(MISSED):
                host = self.dice.choices(speakers, cum_weights=weights)[0]
            seq, before = chains.get(host.key, (0, NONE))
            message = Message(
                room,
                bytes(host.key),
                host.key[:8],
                seq + 1,
                before,
                number,
                number,
                Body(sentence(self.dice)),
            )
            message = sign_message(message, host.seal)
            chains[host.key] = seq + 1, link_of(digest_of(message))
            said.append(message)
        return said

    # -- members

    def enter(self, member: Member, host: Host) -> None:
        """It is here again, or for the first time."""
        now = self.world.now
        member.host, member.since, member.looking = host, now, False
        member.came.clear()
        room = member.room
        assert room is not None
        room.entered(now)
        near: list[PeerRecord] = [one.record for one in host.links if one.alive][:5]
        self.world.act(host, host.member.topics.enter(TOPIC, near, now))
        self._plan(member)

    def leave(self, member: Member) -> None:
        """It crashes."""
        host = member.host
        assert host is not None
        self.gone.setdefault(member.key, []).append((member.since, self.world.now))
        member.host = None
        self.world.crash(host)

    def say(self, member: Member, text: str) -> None:
        room, host = member.room, member.host
        assert room is not None and host is not None
        try:
            message, effects = room.say(Body(text), self.world.now)
        except UsageError:
            return
        id = effects[0].id  # type: ignore[union-attr]
        self.said.append((self.world.now, id, message.author))
        self._do(member, effects)

    def _told(self, host: Host, event: object) -> None:
        if not isinstance(event, Heard):
            return
        member = self.members.get(host.key)
        if member is None or member.host is not host or member.room is None:
            return
        try:
            effects = member.room.heard(event.author, decoded(event.body), self.world.now)  # type: ignore[arg-type]
        except PeerError:
            raise RuntimeError("a member said what no member would") from None
        self._do(member, effects)

    def _do(self, member: Member, effects: Iterable[Effect], by_stream: bool = False) -> None:
        for effect in effects:
            match effect:
                case Keep(id, message, new, _):
                    if new or id not in member.kept:
                        member.kept[id] = message
                    if new:
                        member.came[id] = self.world.now
                        if isinstance(message.body, Body) and by_stream:
                            member.cost[1] += len(message.body.text.encode())
                            member.cost[2] += 1
                case Tell(said):
                    self._tell(member, encode(said))
                case Look():
                    self._look(member)
                case Strip(ids) | Forget(ids):
                    for id in ids:
                        member.kept.pop(id, None)
                case _:
                    pass
        self._plan(member)

    def _tell(self, member: Member, body: bytes) -> None:
        host = member.host
        assert host is not None
        self.news_bytes += len(body)
        try:
            self.world.act(host, host.member.topics.say(TOPIC, body, self.world.now))
        except UsageError:
            return

    def _plan(self, member: Member) -> None:
        room, host = member.room, member.host
        if room is None or host is None:
            return
        due = max(room.next_tick(), self.world.now + 0.01)
        if due < member.wakes:
            member.wakes = due
            self.world.at(due, lambda: self._tick(member, host, due))

    def _tick(self, member: Member, host: Host, due: float) -> None:
        if member.wakes != due:
            return
        member.wakes = float("inf")
        if member.host is not host or member.room is None:
            self._plan(member)
            return
        self._do(member, member.room.tick(self.world.now))

    # -- catching up, over a stream

    def _look(self, member: Member) -> None:
        host, room = member.host, member.room
        assert host is not None and room is not None
        near = [self.members[peer] for peer in host.member.topics.neighbours(TOPIC) if peer in self.members]
        if not near or member.looking:
            room.pacing.failed(self.world.now)
            return
        member.looking = True
        self.looks += 1
        other = self.dice.choice(near)
        self._ask(member, host, other, exchange.Asking(room))

    def _ask(self, member: Member, host: Host, other: Member, asking: exchange.Asking) -> None:
        room = member.room
        assert room is not None
        loaded = {id: member.kept[id] for id in asking.load.ids if id in member.kept}
        body = frame(asking.frame(loaded))
        self._count(member, len(body))
        self._later(host, other.host, lambda: self._asked(member, host, other, asking, body))

    def _asked(self, member: Member, host: Host, other: Member, asking: exchange.Asking, body: bytes) -> None:
        if member.host is not host or member.room is None:
            return
        if other.host is None or other.room is None or not other.host.alive:
            self.world.at(self.world.now + DIAL_FAILS, lambda: self._failed(member, host))
            return
        effects, said = exchange.heard(other.room, asks.decode(body[4:]), self.world.now)
        self._do(other, effects, by_stream=True)
        if asking.load.runs:  # something for the one who is asked
            self._count(other, len(body))
        loaded = {id: other.kept[id] for id in said.load.ids if id in other.kept}
        answer = frame(exchange.answered(other.room, said, loaded, self.world.now))
        self._count(member, len(answer))
        self._later(host, other.host, lambda: self._answered(member, host, other, asking, answer))

    def _answered(
        self, member: Member, host: Host, other: Member, asking: exchange.Asking, body: bytes
    ) -> None:
        room = member.room
        if member.host is not host or room is None:
            return
        self._do(member, asking.took(replies.decode(body[4:]), self.world.now), by_stream=True)
        if not asking.over:
            self._ask(member, host, other, asking)
            return
        member.looking = False
        room.pacing.done(asking.differed, self.world.now)
        if member.missed and asking.complete:
            self.caught.append((member.missed, *member.cost))
            member.missed = 0
        self._plan(member)

    def _failed(self, member: Member, host: Host) -> None:
        if member.host is host and member.room is not None:
            member.looking = False
            member.room.pacing.failed(self.world.now)
            self._plan(member)

    def _later(self, one: Host, other: Host | None, then: Callable[[], None]) -> None:
        delay = self.world.delay(one, other) if other is not None else DIAL_FAILS
        while self.dice.random() < self.world.delays.loss:
            delay += RESEND
        self.world.at(self.world.now + delay, then)

    def _count(self, member: Member, size: int) -> None:
        self.look_bytes += size
        if member.missed:
            member.cost[0] += size

    # -- numbers

    def delivered(self, within: float) -> tuple[int, int]:
        """Pairs of a message and a member who was there from when it was said until then, and how many of these had it."""
        pairs = had = 0
        for at, id, author in self.said:
            if at + within > self.world.now:
                continue
            for member in self.members.values():
                if member.host is None or member.since > at or member.key == author:
                    continue
                pairs += 1
                had += member.came.get(id, float("inf")) <= at + within
        return had, pairs


@lru_cache(4096)
def decoded(body: bytes) -> object:
    return news.decode(body)


def copied(log: Log) -> Log:
    """Another that says the same: what they hold is shared, as long as nobody takes anything back."""
    other = Log(log.room)
    other.ids, other.entries = list(log.ids), dict(log.entries)
    other.chains = {chain: dict(part) for chain, part in log.chains.items()}
    other.ends, other.highest = dict(log.ends), log.highest
    other.of_author, other._minutes = log.of_author.copy(), log._minutes.copy()
    return other


def rooms(scenario: Scenario, seed: int) -> dict[str, float]:
    """All enter, some come back after an absence, members speak, members come and go; then it is counted."""
    hall = Hall(scenario, seed)
    world, dice = hall.world, hall.dice
    hosts = world.living()
    speakers = dice.sample(hosts, len(hosts))
    weights = list(accumulate((rank + 1) ** -ZIPF for rank in range(len(speakers))))
    away = set(dice.sample(hosts, AWAY))
    past = hall.remember(speakers, weights, away)
    by_id = {message_id(message): message for message in past}
    logs: dict[int, Log] = {}
    bodies: dict[int, dict[bytes, Message]] = {}
    for number, host in enumerate(hosts):
        missed = MISSED[number % len(MISSED)] if host in away else 0
        member = hall.members[host.key] = Member(host.key, missed=missed)
        begun = world.now + (ENTERING * number / len(hosts))
        member.room = Room(
            host.key,
            hall.founding,
            host.seal,
            random.Random(dice.random()),
            world.wall,
            begun,
            epoch=host.key[:8],
        )
        if missed not in logs:
            known = past[: PAST - missed]
            logs[missed] = Log(member.room.id)
            logs[missed].load(known, member.room.acts.state)
            bodies[missed] = {id: message for id, message in by_id.items() if id in logs[missed].entries}
        member.room.log, member.room.complete_to = copied(logs[missed]), None
        member.kept = ChainMap({}, bodies[missed])
        member.room.present.told(len(hosts), world.now)
        if host not in away:  # they were in the room for long, and said so some time ago
            member.room.present.due = begun + dice.uniform(0.0, EVERY)
            world.at(begun, _entering(hall, member, host))
    world.run(world.now + ENTERING + SETTLED)
    for number, host in enumerate(sorted(away, key=lambda one: one.number)):
        world.at(world.now + COME_BACK * number, _entering(hall, hall.members[host.key], host))
    _churn(hall, scenario, world)
    looked, bytes_before, began = hall.looks, hall.look_bytes, world.now
    ranked = [hall.members[host.key] for host in speakers]
    ends = world.now + scenario.seconds
    while world.now < ends:
        there = [
            member for member in dice.choices(ranked, cum_weights=weights, k=40) if member.host is not None
        ]
        hall.say(there[0], sentence(dice))
        world.run(world.now + dice.uniform(0.5, 1.5) * SAYS_EVERY)
    world.run(ends + max(IN_TIME))
    numbers: dict[str, float] = {}
    for within in IN_TIME:
        had, pairs = hall.delivered(within)
        numbers[f"delivered_{within:.0f}s"] = had / max(1, pairs)
    numbers["pairs"] = float(pairs)
    for missed in sorted(set(MISSED)):
        costs = [(size - texts) * 100.0 / came for count, size, texts, came in hall.caught if count == missed]
        numbers[f"beyond_{missed}"] = sum(costs) / max(1, len(costs))
    total = sum(came for *_, came in hall.caught)
    numbers["beyond"] = sum(size - texts for _, size, texts, _ in hall.caught) * 100.0 / max(1, total)
    numbers["caught_up"] = len(hall.caught) / AWAY
    minutes = (world.now - began) / 60 * len(world.living())
    numbers["looks_a_minute"] = (hall.looks - looked) / minutes
    numbers["look_bytes"] = (hall.look_bytes - bytes_before) / max(1, hall.looks - looked)
    return numbers


def _entering(hall: Hall, member: Member, host: Host) -> Callable[[], None]:
    def enter() -> None:
        if host.alive:
            hall.enter(member, host)

    return enter


def _churn(hall: Hall, scenario: Scenario, world: World) -> None:
    """Members crash after a stay, and come back with what they remember after a while; supernodes are replaced at once."""
    dice = hall.dice

    def stay(member: Member) -> None:
        world.at(world.now + dice.expovariate(1 / scenario.stay), lambda: go(member))

    def go(member: Member) -> None:
        host = member.host
        if host is None:
            return
        wish = "on" if host.index else "off"
        hall.leave(member)
        world.at(world.now + dice.expovariate(1 / 30.0), lambda: back(member, wish))

    def back(member: Member, wish: str) -> None:
        host = world.add(key=member.key, nat="public" if wish == "on" else None, wish=wish, uptime=LONG)  # type: ignore[arg-type]
        world.at(world.now + 2.0, lambda: arrive(member, host))

    def arrive(member: Member, host: Host) -> None:
        if host.alive:
            hall.enter(member, host)
            stay(member)

    for member in hall.members.values():
        stay(member)
