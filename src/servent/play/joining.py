"""Into a match that runs: back to one's seat, or for the first time to a free one. Pure.

One of those who play is the *host* of one who comes, the *guest*. On a stream that keeps its order the host sends a state of a
second ago and all that was final since, and goes on sending. The guest steps; once it is less than half a second behind, it
says so, and the host marks the seat (`servent.play.returns`). When all know the frame of the return, the host names it, and
the guest's session begins: first it follows, from that frame on it plays. Nobody else does anything for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from servent.codec import Decoder, Key
from servent.errors import BadMessage, UsageError
from servent.play.engine import Engine
from servent.play.feeds import MOST, MOST_FRAMES_BYTES, Frames, batch, unfolded
from servent.play.model import (
    MAX_INPUT_BYTES,
    MAX_PLAYERS,
    Advance,
    Back,
    Confirmed,
    Entry,
    Event,
    Gone,
    Settings,
    Timing,
)
from servent.play.recent import Recent
from servent.play.session import Session
from servent.play.snapshots import AnyFrame, Gathering, Offer, Piece, Snapshot
from servent.play.wire import MAX_FRAME

Place = Annotated[int, Meta(ge=0, lt=MAX_PLAYERS)]
Last = Annotated[int, Meta(ge=-1, lt=MAX_FRAME)]
Pressed = Annotated[bytes, Meta(min_length=1, max_length=MAX_INPUT_BYTES)]
MOST_AHEAD = 10  # s from what a guest has to its first frame
MOST_WAITING = (
    20 * MOST
)  # frames that a guest holds before it steps them; a host sends no more than `Recent` has


class Ready(Struct, frozen=True, tag="ready"):
    """Guest to host: I have stepped `frame` frames, and am nearly there. Answered by `Seated`."""

    frame: AnyFrame


class Seated(Struct, frozen=True, tag="seated"):
    """Host to guest: you play from `at` on. It stands behind the frames up to `frame`; the rest is as in `Entry`."""

    frame: AnyFrame
    inputs: Annotated[tuple[Pressed, ...], Meta(min_length=1, max_length=MAX_PLAYERS)]
    at: AnyFrame
    away: Annotated[tuple[tuple[Place, Last], ...], Meta(max_length=MAX_PLAYERS)] = ()


Message = Offer | Piece | Frames | Ready | Seated
_messages: Decoder[Message] = Decoder(Message, MOST_FRAMES_BYTES)


def read(data: bytes) -> Message:
    """One message of either side. Raises BadMessage."""
    return _messages.decode(data)


class Seats:
    """Whose seats they are: kept for their players for `Settings.keep` seconds after they are gone, then free.

    Args:
        keys: of the players in their seats; None where nobody sits.
    """

    def __init__(self, settings: Settings, keys: Sequence[Key | None]) -> None:
        self._keep = settings.keep
        self._keys = list(keys)
        self._left: dict[int, float] = {}

    def happened(self, event: Event, now: float) -> None:
        """Read an event of the session."""
        if isinstance(event, Gone):
            self._left[event.player] = now
        elif isinstance(event, Back):
            self._left.pop(event.player, None)

    def free(self, now: float) -> list[int]:
        """Seats that anybody may have."""
        return [
            seat
            for seat, key in enumerate(self._keys)
            if key is None or (seat in self._left and now - self._left[seat] >= self._keep)
        ]

    def seat(self, key: Key, now: float) -> int | None:
        """The seat that `key` may come into: its own, if it left it, else the first free one; None: there is none."""
        for seat in self._left:
            if self._keys[seat] == key:
                return seat
        if key in self._keys:
            return None  # it plays
        return next(iter(self.free(now)), None)

    def sits(self, seat: int, key: Key) -> None:
        """`key` has the seat from now on."""
        self._keys[seat] = key


class Host:
    """Brings one guest into `seat`. Takes nothing from the match: no step waits for it.

    Args:
        recent: what our side remembers; it is given all `Confirmed` and the states of all `Check`s.
    """

    def __init__(self, session: Session, recent: Recent, seat: int, *, floats: bool = False) -> None:
        self._session, self._recent, self._seat, self._floats = session, recent, seat, floats
        self._next: int | None = None
        self._last: Confirmed | None = None
        self._at: int | None = None
        self._named = False

    @property
    def done(self) -> bool:
        """Whether the guest has all that was before its first frame."""
        return self._named and self._at is not None and self._next is not None and self._next >= self._at

    def receive(self, message: Message) -> None:
        """The guest says that it is nearly there.

        Raises:
            BadMessage: it says what a guest does not say.
        """
        if not isinstance(message, Ready):
            raise BadMessage("a guest sends what only a host does")
        if self._at is None:
            self._session.welcome(self._seat)

    def happened(self, event: Event) -> None:
        """Read an event of the session."""
        if isinstance(event, Back) and event.player == self._seat:
            self._at = event.frame

    def stop(self) -> None:
        """The guest has gone: it is welcome no more."""
        self._session.welcome(None)

    def send(self) -> list[Message]:
        """What goes to the guest now: call it some ten times a second, and when something `happened`.

        Raises:
            NotPlain: the game's state has no bytes.
            UsageError: the guest was left so far behind that what it needs is forgotten; it may begin anew.
        """
        found: list[Message] = []
        if self._next is None:
            frame = self._recent.newest
            if frame is None:
                return []
            found += Snapshot(self._recent.state(frame), frame, floats=self._floats).messages()
            self._next = frame
        frames = self._recent.since(self._next)
        if frames is None:
            raise UsageError("the match has gone on for too long without its guest")
        if self._at is not None and self._named:
            frames = [one for one in frames if one.frame < self._at]
        size = self._session.settings.input_bytes
        for begin in range(0, len(frames), MOST):
            found.append(batch(frames[begin : begin + MOST], self._recent.next, size))
        if frames:
            self._last, self._next = frames[-1], frames[-1].frame + 1
        if self._at is not None and not self._named and self._last is not None:
            entry = self._session.entry(self._seat, self._at, self._last)
            found.append(Seated(entry.frame, entry.inputs, entry.at, entry.away))
            self._named = True
        return found


class Guest:
    """Comes into `seat`. Give it what the host sends, let it `work`, and send what it says.

    Args:
        engine: its state is put in place of the beginning.
    """

    def __init__(self, engine: Engine, settings: Settings, seat: int) -> None:
        self.engine, self.settings, self.seat = engine, settings, seat
        self.entry: Entry | None = None
        self._gathering: Gathering | None = None
        self._waiting: deque[Confirmed] = deque()
        self._after: list[Confirmed] = []
        self._next: int | None = None
        self._newest = 0
        self._said = False

    @property
    def seated(self) -> bool:
        """Whether its session can begin."""
        return self.entry is not None and not self._waiting

    def receive(self, message: Message) -> None:
        """Something came from the host.

        Raises:
            BadMessage: not in its order, not of this match, or no state.
        """
        match message:
            case Offer() if self._gathering is None:
                self._gathering = Gathering(message)
            case Piece() if self._gathering is not None and self._next is None:
                self._gathering.add(message)
                if self._gathering.whole:
                    self._next = self._gathering.offer.frame
                    self.engine.put(self._gathering.state(floats=self.engine.game.floats), self._next)
            case Frames() if self._next is not None and message.first == self._next:
                self._frames(message)
            case Seated() if self._next is not None and self.entry is None:
                self._seated(message)
            case _:
                raise BadMessage("a host sends what it should not, or not now")

    def _frames(self, message: Frames) -> None:
        if len(self._waiting) + len(self._after) > MOST_WAITING:
            raise BadMessage("more frames of a match than it can have had")
        found = unfolded(message, self.settings)
        self._next = message.first + message.count
        self._newest = message.newest
        if self.entry is None:
            self._waiting += found
        else:
            self._after += found

    def _seated(self, message: Seated) -> None:
        settings = self.settings
        away = [player for player, _ in message.away]
        if (
            message.frame != self._next
            or not message.frame <= message.at <= message.frame + MOST_AHEAD * settings.fps
            or len(message.inputs) != settings.players
            or any(len(one) != settings.input_bytes for one in message.inputs)
            or away != sorted(set(away))
            or any(player >= settings.players or player == self.seat for player in away)
            or any(last >= message.frame for _, last in message.away)
        ):
            raise BadMessage("a host names a seat that cannot be")
        self.entry = Entry(message.frame, message.inputs, message.at, message.away)

    def work(self, most: int = MOST) -> list[Confirmed]:
        """Step at most so many frames. Returns them: for one's own `Recent` or recorder."""
        done: list[Confirmed] = []
        while self._waiting and len(done) < most:
            one = self._waiting.popleft()
            self.engine.carry_out([Advance(one.frame, one.inputs, one.gone)])
            done.append(one)
        return done

    def send(self) -> list[Message]:
        """What is to be said to the host."""
        if self._said or self._next is None or self._newest == 0:
            return []
        if self._newest - self.engine.frame > self.settings.fps // 2:
            return []
        self._said = True
        return [Ready(self.engine.frame)]

    def session(self, tag: bytes, now: float, timing: Timing | None = None) -> Session:
        """The session of this seat, once it is `seated`. What comes from the host later is for `tell`."""
        if self.entry is None or self._waiting:
            raise UsageError("the seat is not ours yet")
        return Session(self.settings, self.seat, tag, now, timing, self.entry)

    def tell(self, session: Session) -> None:
        """Give the session what came from the host since it began."""
        for one in self._after:
            session.learn(one)
        self._after.clear()
