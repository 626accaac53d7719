"""When games are no longer the same: what there is to know about it, and the way back. Pure.

Inputs are the same at all; only states differ. So whoever is in the minority takes a state of the majority, steps what was
done since, and is where the others are: nobody waits, and nothing has to be agreed on. Of as many on each side, the side with
the lowest seat is right; of two players, seat 0.

A *bundle* is one player's side of it: its state of the frame, the inputs of the last ten seconds, and its versions. Two of
them name the first field that differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from servent.codec import Decoder, Hash, canonical
from servent.errors import BadMessage, UsageError
from servent.play.engine import Engine
from servent.play.feeds import Frames, batch, unfolded
from servent.play.joining import Place, read
from servent.play.model import Advance, Confirmed, Desync, Settings
from servent.play.recent import Recent
from servent.play.session import Session
from servent.play.snapshots import AnyFrame, Gathering, Offer, Piece, Snapshot
from servent.play.states import MOST_STATE, Difference, State, difference, pack, unpack

MOST_BUNDLE = MOST_STATE + 2 * 1024 * 1024  # bytes
MOST_TIMES = 3  # resyncs within `WITHIN` s; a game that parts at once again is not to be helped
WITHIN = 60.0

Line = Annotated[str, Meta(max_length=200)]


class Bundle(Struct, frozen=True):
    """What one player knows of a desync.

    Attributes:
        frame: the first whose checksums differ. `state`: its canonical bytes.
        code: SHA-256 of the game's file. `versions`: of Python, servent, the system; for people.
        inputs: the last ten seconds up to the moment of writing, in batches.
    """

    game: Line
    version: Annotated[int, Meta(ge=0, lt=2**31)]
    code: Hash
    seat: Place
    frame: AnyFrame
    state: Annotated[bytes, Meta(max_length=MOST_STATE)]
    versions: Annotated[dict[Line, Line], Meta(max_length=32)]
    inputs: Annotated[tuple[Frames, ...], Meta(max_length=8)] = ()

    def write(self) -> bytes:
        return canonical(self)

    def confirmed(self, settings: Settings) -> list[Confirmed]:
        """The inputs. Raises BadMessage: not of a match with these settings."""
        return [one for frames in self.inputs for one in unfolded(frames, settings)]


_bundles: Decoder[Bundle] = Decoder(Bundle, MOST_BUNDLE)


def read_bundle(data: bytes) -> Bundle:
    """A bundle from anywhere. Raises BadMessage; its state and inputs are still to be unpacked."""
    return _bundles.decode(data)


def bundle(
    desync: Desync, engine: Engine, recent: Recent, me: int, code: bytes, versions: Mapping[str, str]
) -> Bundle:
    """Our side of `desync`.

    Raises:
        UsageError: the state of its frame is forgotten; they are kept for some seconds.
    """
    state = recent.state(desync.frame)
    if state is None:
        raise UsageError(f"the state of frame {desync.frame} is forgotten")
    game = engine.game
    frames = recent.last()
    inputs = tuple(
        batch(frames[at : at + 600], recent.next, game.input_bytes) for at in range(0, len(frames), 600)
    )
    packed = pack(state, floats=game.floats)
    return Bundle(game.id, game.version, code, me, desync.frame, packed, dict(versions), inputs[-8:])


def apart(ours: Bundle, theirs: Bundle, *, floats: bool = False) -> list[str]:
    """In words: other code, other versions, and the first field that differs.

    Raises:
        BadMessage: theirs is of another frame or another game, or its state is none.
    """
    if (ours.game, ours.frame) != (theirs.game, theirs.frame):
        raise BadMessage("two bundles that are not of the same frame")
    found = []
    if (ours.version, ours.code) != (theirs.version, theirs.code):
        found.append("the game's code is not the same")
    for name in sorted(ours.versions.keys() | theirs.versions.keys()):
        one, other = ours.versions.get(name, "unknown"), theirs.versions.get(name, "unknown")
        if one != other:
            found.append(f"{name}: {one} ≠ {other}")
    field: Difference | None = difference(
        unpack(ours.state, floats=floats), unpack(theirs.state, floats=floats)
    )
    if field is not None:
        found.append(f"at frame {ours.frame}: {field}")
    return found


def source(sums: Mapping[int, int], me: int) -> int | None:
    """Whose state counts, by the checksums that all told for one frame; None: ours does."""
    sides: dict[int, list[int]] = {}
    for seat in sorted(sums):
        sides.setdefault(sums[seat], []).append(seat)
    best = max(sides.values(), key=lambda side: (len(side), -side[0]))
    return None if me in best else best[0]


class Resync:
    """Our way back, if it is ours to go.

    Call `look` after each turn; where it names a seat, ask that one for its snapshot (`answer`), and give `receive` what comes.
    """

    def __init__(self, session: Session, engine: Engine, recent: Recent) -> None:
        self._session, self._engine, self._recent = session, engine, recent
        self._frame: int | None = None
        self._from: int | None = None
        self._gathering: Gathering | None = None
        self._times: list[float] = []
        self.hopeless = False

    def happened(self, desync: Desync) -> None:
        """The session told of it."""
        if self._frame is None:
            self._frame = desync.frame

    def look(self, now: float) -> int | None:
        """Whom to ask now; once for each desync. None: nobody, or not all have told their checksums yet."""
        if self._frame is None or self._from is not None:
            return None
        sums = self._session.sums(self._frame)
        if sums is None:
            return None
        seat = source(sums, self._session.me)
        if seat is None:
            self._frame = None
            return None
        self._times = [at for at in self._times if now - at < WITHIN]
        if len(self._times) >= MOST_TIMES:
            self.hopeless, self._frame = True, None
            return None
        self._times.append(now)
        self._from = seat
        return seat

    def receive(self, seat: int, data: bytes) -> bool:
        """A message of the snapshot came from `seat`. Returns whether we are back with the others.

        Raises:
            BadMessage: it was not asked, or this is no snapshot that fits.
            UsageError: the state is too old to be stepped up to now; ask again.
        """
        message = read(data)
        if seat != self._from:
            raise BadMessage("a snapshot that nobody asked for")
        if isinstance(message, Offer) and self._gathering is None:
            self._gathering = Gathering(message)
            return False
        if not isinstance(message, Piece) or self._gathering is None:
            raise BadMessage("no piece of a snapshot")
        self._gathering.add(message)
        if not self._gathering.whole:
            return False
        gathering = self._gathering
        self.give_up()
        self._put(gathering.state(floats=self._engine.game.floats), gathering.offer.frame)
        return True

    def give_up(self) -> None:
        """What was asked for does not come; the next checksum tells whether it is still needed."""
        self._frame = self._from = self._gathering = None

    def _put(self, state: State, frame: int) -> None:
        engine, recent = self._engine, self._recent
        frames = recent.since(frame)
        if frames is None:
            raise UsageError("a snapshot that is too old, or of a frame that is still to come")
        recent.drop()
        engine.put(state, frame)
        engine.carry_out([Advance(one.frame, one.inputs, one.gone, again=True) for one in frames])
        engine.carry_out(self._session.again_from(recent.next))


def answer(recent: Recent, *, floats: bool = False) -> list[bytes]:
    """What is sent to somebody who asks for a state: our newest that is final. Nothing, if we have none."""
    frame = recent.newest
    if frame is None:
        return []
    return Snapshot(recent.state(frame), frame, floats=floats).written()
