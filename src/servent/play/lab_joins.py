"""Those who come into a match that runs, on the simulated network: back to their seats, or to free ones. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from servent.codec import canonical
from servent.play import joining, lab
from servent.play.engine import Engine
from servent.play.games import Game
from servent.play.joining import Guest, Host
from servent.play.lab import BEGIN, NEVER, TAG, Bot, Match, Outcome, Weather
from servent.play.model import Event
from servent.play.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

EVERY = 0.05  # s between two looks at what there is to send on a stream
LINE = 125_000  # bytes in a second of a stream: a line of 1 Mbit/s
WORK = 60  # frames that a guest steps at each look: twenty times real speed
COMES, LOOKS, HOSTS, TO_GUEST, TO_HOST = -2, -3, -4, -5, -6


class Comes(Struct, frozen=True):
    """Somebody comes into `seat` by way of `host`, `at` seconds after frame 0; at `gives_up` it is gone again."""

    seat: int
    at: float
    host: int
    gives_up: float = NEVER


class Stream:
    """A reliable stream over a line that loses: what is lost comes a round trip later, and all behind it as well."""

    def __init__(self, weather: Weather, dice: Random) -> None:
        self._weather, self._dice = weather, dice
        self._free = 0.0

    def arrives(self, size: int, now: float) -> float:
        """When so many bytes that are written now are there."""
        weather, dice = self._weather, self._dice
        self._free = max(self._free, now) + size / LINE
        at = self._free + weather.rtt / 2
        while dice.random() < weather.loss:
            at += weather.rtt + 0.025
        self._free = max(self._free, at - weather.rtt / 2)
        return at


class Joined(Struct, kw_only=True):
    """How one of them fared: seconds from its coming to its session and to its first frame; bytes it was sent."""

    seat: int
    session: float = NEVER
    plays: float = NEVER
    bytes_in: int = 0


class _Coming:
    def __init__(self, comes: Comes, guest: Guest, match: Match, dice: Random) -> None:
        self.comes, self.guest = comes, guest
        self.host: Host | None = None
        self.to_guest, self.to_host = Stream(match.weather, dice), Stream(match.weather, dice)
        self.joined = Joined(seat=comes.seat)
        self.begun = False


class Table(lab.Table):
    """A match into which people come."""

    def __init__(self, match: Match, dice: Random, game: Game, bot: Bot, comes: Sequence[Comes]) -> None:
        super().__init__(match, dice, game, bot)
        self._game, self._comes = game, {one.seat: one for one in comes}
        self._seed = 0  # of the guest's own beginning, which the host's state replaces
        self._comings: dict[int, _Coming] = {}
        for player in self._players:
            player.recent = Recent(match.settings)

    @property
    def joined(self) -> list[Joined]:
        return [coming.joined for coming in self._comings.values()]

    def _begin(self) -> None:
        for one in self._comes.values():
            self._at(BEGIN + one.at, one.seat, COMES, b"")

    def _other(self, now: float, seat: int, sender: int, data: bytes) -> None:
        if sender == COMES:
            engine = Engine(self._game, self._match.settings.players, self._seed)
            comes = self._comes[seat]
            guest = Guest(engine, self._match.settings, seat)
            coming = self._comings[seat] = _Coming(comes, guest, self._match, self._dice)
            self._at(now + self._match.weather.rtt / 2, seat, HOSTS, b"")
            self._at(now, seat, LOOKS, b"")
            return
        coming = self._comings[seat]
        if now >= BEGIN + coming.comes.gives_up:
            if coming.host is not None:
                coming.host.stop()
            return
        if sender == LOOKS:
            self._looks(coming, now)
        elif sender == HOSTS:
            self._hosts(coming, now)
        elif sender == TO_GUEST:
            coming.joined.bytes_in += len(data)
            coming.guest.receive(joining.read(data))
        elif coming.host is not None:
            coming.host.receive(joining.read(data))

    def _hosts(self, coming: _Coming, now: float) -> None:
        host = self._players[coming.comes.host]
        if coming.host is None:
            assert host.recent is not None
            coming.host = Host(host.session, host.recent, coming.comes.seat)
        for message in coming.host.send():
            data = canonical(message)
            self._at(coming.to_guest.arrives(len(data), now), coming.comes.seat, TO_GUEST, data)
        if not coming.host.done:
            self._at(now + EVERY, coming.comes.seat, HOSTS, b"")

    def _looks(self, coming: _Coming, now: float) -> None:
        guest, seat = coming.guest, coming.comes.seat
        guest.work(WORK)
        for message in guest.send():
            data = canonical(message)
            self._at(coming.to_host.arrives(len(data), now), seat, TO_HOST, data)
        if guest.seated and not coming.begun:
            self._sits(coming, now)
        if coming.begun:
            guest.tell(self._players[seat].session)
        self._at(now + EVERY, seat, LOOKS, b"")

    def _sits(self, coming: _Coming, now: float) -> None:
        guest, match, seat = coming.guest, self._match, coming.comes.seat
        coming.begun = True
        player = lab._Player(seat, match, guest.engine, self._dice, True)
        player.recent = Recent(match.settings)
        player.session = guest.session(TAG, player.clock.here(now), match.timing)
        player.began, player.until, player.came = now, NEVER, True
        self._players[seat] = player
        coming.joined.session = now - BEGIN - coming.comes.at
        self._at(now, seat, -1, b"")

    def _happened(self, player: lab._Player, events: Sequence[Event], now: float) -> None:
        for coming in self._comings.values():
            if coming.host is not None and player.seat == coming.comes.host:
                for event in events:
                    coming.host.happened(event)

    def _tick(self, player: lab._Player, now: float) -> None:
        super()._tick(player, now)
        coming = self._comings.get(player.seat)
        if coming is None or coming.joined.plays < NEVER or coming.guest.entry is None:
            return
        if player.session.frame > coming.guest.entry.at:
            coming.joined.plays = now - BEGIN - coming.comes.at


def play(
    match: Match, dice: Random, game: Game, comes: Sequence[Comes], bot: Bot | None = None
) -> tuple[Outcome, list[Joined]]:
    """As `lab.play`, with people who come. All final inputs and states of those who are there at the end are compared."""
    table = Table(match, dice, game, bot or lab.people(), comes)
    return table.play(), table.joined
