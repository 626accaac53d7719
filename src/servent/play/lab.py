"""Whole matches on a simulated bad network, in virtual time: the same seed, the same match. Pure.

Each direction of each link has its own delay, jitter, loss and times of darkness; each player its own clock, which starts
elsewhere and runs a little fast or slow, and a timer that is late now and then.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from math import log
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from servent.play.engine import Engine
from servent.play.games import Choices, Game
from servent.play.model import Confirmed, Desync, Entry, Event, Request, Settings, Timing
from servent.play.recent import Recent
from servent.play.session import Session
from servent.play.states import State
from servent.play.views import View

if TYPE_CHECKING:
    from random import Random

Bot = Callable[[State, int, "Random"], bytes]
Meddle = Callable[[int, int, bytes, "Random"], list[bytes]]
T = TypeVar("T")

BEGIN = 1.0  # s for probes; then frame 0
NEVER = float("inf")
TAG = b"lab."  # of all matches here
LINGER = 20  # packets of somebody who leaves


class Weather(Struct, frozen=True, kw_only=True):
    """What a network does to packets, in each direction.

    Attributes:
        rtt: seconds there and back, without jitter.
        jitter: mean of what comes on top, one way; few packets take much longer (the gamma distribution of shape 2).
        loss: share of packets that never come. `burst`: how many of them in a row, in the mean.
        again: share that come twice. `late`: share that take up to 50 ms more, and so come out of order.
    """

    rtt: float = 0.0
    jitter: float = 0.003
    loss: float = 0.0
    burst: float = 1.0
    again: float = 0.0
    late: float = 0.0


class Dark(Struct, frozen=True):
    """Nothing passes from `start` to `end` (seconds after frame 0) between two players, or around one if `other` is None."""

    start: float
    end: float
    one: int
    other: int | None = None
    both_ways: bool = True

    def covers(self, sender: int, receiver: int, at: float) -> bool:
        if not self.start <= at < self.end:
            return False
        if self.other is None:
            return self.one in (sender, receiver)
        if (sender, receiver) == (self.one, self.other):
            return True
        return self.both_ways and (receiver, sender) == (self.one, self.other)


class Match(Struct, frozen=True, kw_only=True):
    """What is played, and where.

    Attributes:
        duration: seconds.
        weather: of all links, or of some: `links` by sender and receiver.
        drift: clocks run up to this share fast or slow. `noise`: mean lateness of timers, seconds.
        apart: players begin up to so many seconds late.
        stops: when players fall silent for good, by seat; `leaves`: when they say goodbye.
    """

    settings: Settings
    duration: float = 60.0
    weather: Weather = Weather()
    links: dict[tuple[int, int], Weather] = {}
    dark: tuple[Dark, ...] = ()
    drift: float = 0.0
    noise: float = 0.0008
    apart: float = 0.0
    stops: dict[int, float] = {}
    leaves: dict[int, float] = {}
    timing: Timing = Timing()


class Played(Struct, kw_only=True):
    """How one player fared: rates in a second of its match, depths in frames, bytes of payload."""

    player: int
    seconds: float
    fps: float
    stalls: float
    rollbacks: float
    depth: float
    deeper: tuple[float, ...]
    again: float
    bytes_out: float
    packets_out: float
    largest: int
    longest_stall: int
    delay: int
    view: View
    events: list[tuple[float, Event]]


class Outcome(Struct, kw_only=True):
    """How a match went.

    Attributes:
        asymmetry: by how many frames the deepest mean rollback of a player is above the least.
        checked: checksums of final states that were compared here, between all players.
        differ: frames whose final states or inputs were not the same for all.
        desyncs: players who were told of one.
        final: all final frames of the first player who stayed, if they were compared.
    """

    players: list[Played]
    asymmetry: float
    checked: int
    differ: list[int]
    desyncs: int
    final: list[Confirmed]

    @property
    def fps(self) -> float:
        """Of the slowest player; seats that nobody had are none."""
        return min(player.fps for player in self.players if player.view.frame)


class _Link:
    """One direction."""

    def __init__(self, weather: Weather, dice: Random) -> None:
        self._weather, self._dice = weather, dice
        self._bad = False

    def arrivals(self, now: float) -> list[float]:
        """When a packet that leaves now comes; nothing: never."""
        weather, dice = self._weather, self._dice
        if weather.loss and self._lost():
            return []
        times = [now + self._delay()]
        if weather.again and dice.random() < weather.again:
            times.append(now + self._delay())
        return times

    def _lost(self) -> bool:
        """Gilbert's model: bursts with a mean length, and `loss` of all packets in them."""
        weather, dice = self._weather, self._dice
        if weather.burst <= 1:
            return dice.random() < weather.loss
        end = 1 / weather.burst
        begin = end * weather.loss / (1 - weather.loss)
        self._bad = dice.random() >= end if self._bad else dice.random() < begin
        return self._bad

    def _delay(self) -> float:
        weather, dice = self._weather, self._dice
        delay = weather.rtt / 2
        if weather.jitter:
            delay -= weather.jitter / 2 * log((1 - dice.random()) * (1 - dice.random()))
        if weather.late and dice.random() < weather.late:
            delay += dice.random() * 0.05
        return delay


class _Clock:
    """A player's own time."""

    def __init__(self, dice: Random, drift: float) -> None:
        self._rate = 1 + dice.uniform(-drift, drift)
        self._offset = dice.uniform(-1000, 1000)

    def here(self, now: float) -> float:
        return self._offset + now * self._rate

    def there(self, at: float) -> float:
        return (at - self._offset) / self._rate


class _Player:
    def __init__(self, seat: int, match: Match, engine: Engine, dice: Random, compare: bool) -> None:
        self.seat, self.clock, settings = seat, _Clock(dice, match.drift), match.settings
        free = settings.free >> seat & 1  # nobody, who never does anything
        entry = Entry(0, (bytes(settings.input_bytes),) * settings.players, 0) if free else None
        self.session = Session(settings, seat, TAG, self.clock.here(0.0), match.timing, entry)
        self.recent: Recent | None = None
        self.sums: dict[int, int] = {}
        self.final: dict[int, Confirmed] = {}
        self.engine, self._compare = engine, compare
        self.events: list[tuple[float, Event]] = []
        self.began = BEGIN + dice.uniform(0, match.apart)
        self.bytes_out = self.packets_out = self.largest = 0
        self.stalled = self.longest = 0
        self.leaving = 0
        self.until = NEVER if not free else -1.0
        self.came = False  # into the match while it ran

    def carry_out(self, requests: Sequence[Request]) -> None:
        for frame, checksum in self.engine.carry_out(requests):
            self.sums[frame] = checksum
            self.session.checked(frame, checksum)
            if self.recent is not None:
                self.recent.keep(frame, self.engine.saved(frame))
        if self._compare:
            for one in requests:
                if isinstance(one, Confirmed):
                    self.final[one.frame] = one
                    if self.recent is not None:
                        self.recent.add(one)


def people(keys: int = 4, changes: float = 6.7) -> Bot:
    """Somebody at a keyboard who presses or lets go of a key so many times a second, in a game of 60 fps."""

    held: dict[int, int] = {}

    def press(state: State, seat: int, dice: Random) -> bytes:
        if dice.random() < changes / 60:
            held[seat] = held.get(seat, 0) ^ 1 << dice.randrange(keys)
        return bytes((held.get(seat, 0),))

    return press


def play(
    match: Match,
    dice: Random,
    game: Game,
    bot: Bot | None = None,
    *,
    choices: Choices | None = None,
    compare: bool = True,
    meddle: Meddle | None = None,
) -> Outcome:
    """Play `match` to its end.

    Args:
        bot: what a seat does, from the state that its player sees; without: `people`.
        compare: whether all final inputs are compared, beside the checksums; costs memory.
        meddle: what becomes of a packet from one seat to another, for tests of liars.

    Raises:
        UsageError: the game is not for so many, or not with these settings.
    """
    return Table(match, dice, game, bot or people(), choices, compare, meddle).play()


class Table:
    """One match, while it is played; see `play`."""

    def __init__(
        self,
        match: Match,
        dice: Random,
        game: Game,
        bot: Bot,
        choices: Choices | None = None,
        compare: bool = True,
        meddle: Meddle | None = None,
    ) -> None:
        seats = match.settings.players
        self._match, self._dice, self._bot, self._meddle = match, dice, bot, meddle
        seed = dice.getrandbits(64)
        self._players = [
            _Player(seat, match, Engine(game, seats, seed, choices), dice, compare) for seat in range(seats)
        ]
        self._links = {
            (one, other): _Link(match.links.get((one, other), match.weather), dice)
            for one in range(seats)
            for other in range(seats)
            if one != other
        }
        self._heap: list[tuple[float, int, int, int, bytes]] = []
        self._count = 0
        self._end = BEGIN + match.duration

    def play(self) -> Outcome:
        for player in self._players:
            self._at(0.0, player.seat, -1, b"")
        heap, players = self._heap, self._players
        waiting = {player.seat for player in players}
        self._begin()
        while heap:
            now, _, seat, sender, data = heapq.heappop(heap)
            if now > self._end:
                break
            if sender < -1:
                self._other(now, seat, sender, data)
                continue
            player = players[seat]
            if now > player.until:
                continue
            if sender >= 0:
                player.session.receive(sender, data, player.clock.here(now))
                continue
            if seat in waiting and now >= player.began - 2 * player.session.timing.probe_every:
                waiting.discard(seat)
                player.session.begin(player.clock.here(player.began))
            self._tick(player, now)
        return self._outcome()

    def _begin(self) -> None:
        """For more than there is here: what else is to happen, and when, by `_at` with a sender below -1."""

    def _other(self, now: float, seat: int, sender: int, data: bytes) -> None:
        """It does."""

    def _happened(self, player: _Player, events: Sequence[Event], now: float) -> None:
        """A player was told."""

    def _at(self, when: float, seat: int, sender: int, data: bytes) -> None:
        self._count += 1
        heapq.heappush(self._heap, (when, self._count, seat, sender, data))

    def _tick(self, player: _Player, now: float) -> None:
        session, here, match = player.session, player.clock.here(now), self._match
        if match.stops and not player.came and now >= BEGIN + match.stops.get(player.seat, NEVER):
            player.until = now
            return
        if (
            match.leaves
            and not player.leaving
            and not player.came
            and now >= BEGIN + match.leaves.get(player.seat, NEVER)
        ):
            player.leaving = 1
            session.leave()
        frame = session.frame
        value = self._bot(player.engine.state, player.seat, self._dice)
        player.carry_out(session.tick(here, value))
        if events := session.events():
            player.events += [(now - BEGIN, event) for event in events]
            self._happened(player, events, now)
        if session.frame == frame and now > player.began:
            player.stalled += 1
            player.longest = max(player.longest, player.stalled)
        else:
            player.stalled = 0
        self._send(player, now, here)
        if player.leaving:
            player.leaving += 1
            if player.leaving > LINGER:
                player.until = now
                return
        late = -match.noise * log(1 - self._dice.random())
        due = max(player.clock.there(session.next_tick()), now)
        if session.frame == 0 and now < player.began:
            due = min(due, player.began)
        self._at(due + late, player.seat, -1, b"")

    def _send(self, player: _Player, now: float, here: float) -> None:
        meddle, since = self._meddle, now - BEGIN
        dark = [one for one in self._match.dark if one.start <= since < one.end]
        for receiver, data in player.session.send(here):
            player.packets_out += 1
            player.bytes_out += len(data)
            player.largest = max(player.largest, len(data))
            if dark and any(one.covers(player.seat, receiver, since) for one in dark):
                continue
            arrivals = self._links[player.seat, receiver].arrivals
            for one in (data,) if meddle is None else meddle(player.seat, receiver, data, self._dice):
                for when in arrivals(now):
                    self._at(when, receiver, player.seat, one)

    def _outcome(self) -> Outcome:
        played = [self._played(player) for player in self._players]
        stayed = [player for player in self._players if player.until == NEVER and not player.session.out]
        checked, differ = _differing([player.sums for player in stayed])
        differ += _differing([player.final for player in stayed])[1]
        depths = [player.depth for player in played if player.player in {one.seat for one in stayed}]
        return Outcome(
            players=played,
            asymmetry=max(depths, default=0.0) - min(depths, default=0.0),
            checked=checked,
            differ=sorted(set(differ)),
            final=list(stayed[0].final.values()) if stayed else [],
            desyncs=sum(isinstance(event, Desync) for player in played for _, event in player.events),
        )

    def _played(self, player: _Player) -> Played:
        view = player.session.view()
        seconds = max(min(self._end, player.until) - player.began, 1e-9)
        times = sum(view.depths)
        frames = sum(depth * count for depth, count in enumerate(view.depths))
        return Played(
            player=player.seat,
            seconds=seconds,
            fps=view.frame / seconds,
            stalls=view.stalls / seconds,
            rollbacks=times / seconds,
            depth=frames / times if times else 0.0,
            deeper=tuple(sum(view.depths[depth + 1 :]) / seconds for depth in range(len(view.depths))),
            again=view.again / max(view.frame, 1),
            bytes_out=player.bytes_out / seconds,
            packets_out=player.packets_out / seconds,
            largest=player.largest,
            longest_stall=player.longest,
            delay=view.delay,
            view=view,
            events=player.events,
        )


def _differing(found: Sequence[dict[int, T]]) -> tuple[int, list[int]]:
    """How many keys all of them have, and those at which they are not the same."""
    if len(found) < 2:
        return 0, []
    common = set(found[0]).intersection(*found[1:])
    return len(common), [key for key in common if any(one[key] != found[0][key] for one in found[1:])]
