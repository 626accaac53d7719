"""Replays: all that was pressed in a match, chained and signed by its seats; about 1 kB a minute. Pure.

Blocks of 60 frames are chained by SHA-256 from the header on, so one signature at the end vouches for everything before it. A
*seal* is a seat's signature under so many frames and the checksum of the state after them: who steps the game again and
comes to that state has proved the result, without having been there.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from hashlib import sha256
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from servent.codec import Decoder, Hash, Key, Signature, canonical
from servent.errors import BadMessage, UsageError
from servent.identity import PeerId
from servent.play.model import MAX_INPUT_BYTES, MAX_PLAYERS, Confirmed

BLOCK = 60  # frames that are hashed together: a second of most games
MOST_FRAMES = 1_000_000  # over four hours at 60 a second
MOST_BYTES = 8 * 1024 * 1024  # of a file
MOST_COLUMNS = (
    32 * 1024 * 1024
)  # of what a file's inputs unfold to; eight people who press without a pause for two hours
HEADS_KEPT = 64  # ends of blocks for which a seal may still come: a minute
MAGIC = b"servent replay 1\n"
_BEGINS, _SEALS = b"servent/play/replay/1", b"servent/play/seal/1"

Unsigned = Annotated[int, Meta(ge=0)]  # below 2^64: MessagePack has none above
Frames = Annotated[int, Meta(ge=0, le=MOST_FRAMES)]
Seat = Annotated[int, Meta(ge=0, lt=MAX_PLAYERS)]
Word = Annotated[str, Meta(min_length=1, max_length=40)]


class Header(Struct, frozen=True):
    """What a match began with.

    Attributes:
        code: SHA-256 of the game's file. `match`: drawn by chance for each match.
        seats: the players' keys. `names`: what they called themselves; nobody vouches for them.
        began: seconds since 1970, as whoever recorded it saw them.
    """

    game: Word
    version: Annotated[int, Meta(ge=1, lt=2**31)]
    code: Hash
    match: Annotated[bytes, Meta(min_length=16, max_length=16)]
    seats: Annotated[tuple[Key, ...], Meta(min_length=1, max_length=MAX_PLAYERS)]
    names: Annotated[tuple[Word, ...], Meta(min_length=1, max_length=MAX_PLAYERS)]
    seed: Unsigned
    choices: Annotated[dict[Word, Annotated[int, Meta(ge=-(2**31), lt=2**31)]], Meta(max_length=64)]
    input_bytes: Annotated[int, Meta(ge=1, le=MAX_INPUT_BYTES)]
    fps: Annotated[int, Meta(ge=1, le=240)]
    began: Unsigned


class Seal(Struct, frozen=True):
    """`seat` saw `frames` frames, and a state of checksum `sum` after them. Signed is `promise` of it."""

    seat: Seat
    frames: Frames
    sum: Unsigned
    signature: Signature


class _Stored(Struct, frozen=True):
    header: Header
    frames: Frames
    inputs: Annotated[bytes, Meta(max_length=MOST_BYTES)]
    gone: Annotated[tuple[tuple[Frames, Annotated[int, Meta(ge=0, lt=256)]], ...], Meta(max_length=256)]
    seals: Annotated[tuple[Seal, ...], Meta(max_length=MAX_PLAYERS)]


_decoder: Decoder[_Stored] = Decoder(_Stored, MOST_BYTES)


def promise(head: bytes, frames: int, sum: int) -> bytes:
    """What a seat signs: that after `frames` frames, whose chain ends in `head`, the state had this checksum."""
    return _SEALS + canonical((head, frames, sum))


class Chain:
    """The hash over a header and all frames so far."""

    def __init__(self, header: Header) -> None:
        self._head = sha256(_BEGINS + canonical(header)).digest()
        self._block = bytearray()
        self.frames = 0

    def add(self, one: Confirmed) -> None:
        self._block.append(one.gone)
        self._block += b"".join(one.inputs)
        self.frames += 1
        if self.frames % BLOCK == 0:
            self._head = self.head
            self._block.clear()

    @property
    def head(self) -> bytes:
        """32 bytes that stand for everything up to the last frame added."""
        return sha256(self._head + self._block).digest() if self._block else self._head


class Recorder:
    """Writes down a match as it is confirmed, and gathers the seals of its seats."""

    def __init__(self, header: Header) -> None:
        self.header = header
        seats = range(len(header.seats))
        self._chain = Chain(header)
        self._last = [bytes(header.input_bytes) for _ in seats]
        self._gaps = [bytearray() for _ in seats]
        self._values = [bytearray() for _ in seats]
        self._since = [0 for _ in seats]
        self._gone: list[tuple[int, int]] = []
        self._heads: dict[int, bytes] = {0: self._chain.head}
        self._seals: dict[int, Seal] = {}

    @property
    def frames(self) -> int:
        return self._chain.frames

    def add(self, one: Confirmed) -> None:
        """The next frame.

        Raises:
            UsageError: not the next one, inputs of another shape, or the match is too long to be recorded.
        """
        size = self.header.input_bytes
        if one.frame != self.frames or self.frames >= MOST_FRAMES:
            raise UsageError(f"frame {one.frame} where {self.frames} of at most {MOST_FRAMES} belongs")
        if len(one.inputs) != len(self._last) or any(len(given) != size for given in one.inputs):
            raise UsageError(f"inputs of frame {one.frame} are not {len(self._last)} times {size} bytes")
        for seat, given in enumerate(one.inputs):
            last = self._last[seat]
            if given != last:
                _write(one.frame - self._since[seat], self._gaps[seat])
                self._values[seat] += bytes(a ^ b for a, b in zip(given, last, strict=True))
                self._last[seat], self._since[seat] = given, one.frame
        if one.gone != (self._gone[-1][1] if self._gone else 0):
            self._gone.append((one.frame, one.gone))
        self._chain.add(one)
        if self.frames % BLOCK == 0:
            self._heads[self.frames] = self._chain.head
            if len(self._heads) > HEADS_KEPT:
                del self._heads[next(iter(self._heads))]

    def promise(self, sum: int, frames: int | None = None) -> bytes:
        """What our seat is to sign, for all frames or the first `frames` of them: the end of a block of the last minute.

        Raises:
            UsageError: `frames` is no such end.
        """
        head = self._head(self.frames if frames is None else frames)
        if head is None:
            raise UsageError(f"{frames} frames are no end of a block of the last minute")
        return promise(head, self.frames if frames is None else frames, sum)

    def seal(self, seal: Seal) -> bool:
        """Take a seal of any seat in; the one with most frames counts.

        Returns:
            Whether its signature holds for what was recorded here. For frames that are still to come, or long past: no.
        """
        head = self._head(seal.frames)
        if seal.seat >= len(self.header.seats) or head is None:
            return False
        if not PeerId(self.header.seats[seal.seat]).verify(
            seal.signature, promise(head, seal.frames, seal.sum)
        ):
            return False
        held = self._seals.get(seal.seat)
        if held is None or held.frames <= seal.frames:
            self._seals[seal.seat] = seal
        return True

    def write(self) -> bytes:
        """The file as it is now: about 1 kB for each minute of two people."""
        pairs = zip(self._gaps, self._values, strict=True)
        columns = b"".join(len(part).to_bytes(4, "big") + part for pair in pairs for part in pair)
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        seals = tuple(self._seals[seat] for seat in sorted(self._seals))
        stored = _Stored(
            self.header, self.frames, packer.compress(columns) + packer.flush(), tuple(self._gone), seals
        )
        return MAGIC + canonical(stored)

    def _head(self, frames: int) -> bytes | None:
        return self._chain.head if frames == self.frames else self._heads.get(frames)


class Replay:
    """A file that was read: well formed, but nothing in it is believed before `standing` and `playback.played` have said so."""

    def __init__(
        self,
        header: Header,
        frames: int,
        changes: list[list[tuple[int, bytes]]],
        gone: tuple[tuple[int, int], ...],
        seals: tuple[Seal, ...],
    ) -> None:
        self.header, self.frames, self.seals, self.gone = header, frames, seals, gone
        self._changes = changes

    @classmethod
    def read(cls, data: bytes) -> Replay:
        """Decode a file from anywhere.

        Raises:
            BadMessage: no replay, or one beyond the limits above.
        """
        if not data.startswith(MAGIC):
            raise BadMessage("no replay of servent's, or of another version")
        stored = _decoder.decode(memoryview(data)[len(MAGIC) :])
        header, seats = stored.header, len(stored.header.seats)
        if len(header.names) != seats:
            raise BadMessage(f"{len(header.names)} names for {seats} seats in a replay")
        at = -1
        for frame, mask in stored.gone:
            if not at < frame < stored.frames or mask >> seats:
                raise BadMessage("players leave a replay out of order")
            at = frame
        seats_sealed = [seal.seat for seal in stored.seals]
        if seats_sealed != sorted(set(seats_sealed)) or any(seat >= seats for seat in seats_sealed):
            raise BadMessage("the seals of a replay are not one for each seat")
        if any(seal.frames > stored.frames for seal in stored.seals):
            raise BadMessage("a seal of a replay is for more frames than there are")
        changes = _columns(stored.inputs, header, stored.frames)
        return cls(header, stored.frames, changes, stored.gone, stored.seals)

    def confirmed(self) -> Iterator[Confirmed]:
        """All frames from the first on."""
        nothing = bytes(self.header.input_bytes)
        current = [nothing] * len(self.header.seats)
        due: dict[int, list[tuple[int, bytes]]] = {}
        for seat, changes in enumerate(self._changes):
            for frame, value in changes:
                due.setdefault(frame, []).append((seat, value))
        leaving = dict(self.gone)
        gone, inputs = 0, tuple(current)
        for frame in range(self.frames):
            if frame in due:
                for seat, value in due[frame]:
                    current[seat] = value
                inputs = tuple(current)
            gone = leaving.get(frame, gone)
            yield Confirmed(frame, inputs, gone)

    def standing(self) -> Standing:
        """What the signatures say of it. Costs a hash of each frame and a signature for each seat."""
        wanted = {seal.frames for seal in self.seals}
        chain = Chain(self.header)
        heads = {0: chain.head} if 0 in wanted else {}
        for one in self.confirmed():
            chain.add(one)
            if chain.frames in wanted:
                heads[chain.frames] = chain.head
        good = {
            seal.seat: seal
            for seal in self.seals
            if PeerId(self.header.seats[seal.seat]).verify(
                seal.signature, promise(heads[seal.frames], seal.frames, seal.sum)
            )
        }
        return Standing(self._word(good), good)

    def _word(self, good: dict[int, Seal]) -> Literal["agreed", "left", "disputed", "unsigned"]:
        if not good:
            return "unsigned"
        last = [seal for seal in good.values() if seal.frames == self.frames]
        if not last or len({seal.sum for seal in last}) > 1:
            return "disputed"
        if len(last) == len(self.header.seats):
            return "agreed"
        for seat in set(range(len(self.header.seats))) - {seal.seat for seal in last}:
            left = next((frame for frame, mask in reversed(self.gone) if not mask >> seat & 1), -1)
            since = next((frame for frame, mask in self.gone if frame > left and mask >> seat & 1), None)
            if since is None:
                return "disputed"
            if seat not in good or good[seat].frames < since - 2 * BLOCK:
                return "disputed"
        return "left"


class Standing(NamedTuple):
    """`word`: "agreed": all seats signed the end; "left": all who stayed did, and the others what was before they left;
    "disputed": somebody signed something else, or nothing; "unsigned": nobody signed. `seals`: those that hold, by seat."""

    word: Literal["agreed", "left", "disputed", "unsigned"]
    seals: dict[int, Seal]


def _write(number: int, out: bytearray) -> None:
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


def _columns(packed: bytes, header: Header, frames: int) -> list[list[tuple[int, bytes]]]:
    """For each seat the frames in which its input changed, and to what."""
    unpacker = zlib.decompressobj(-15)
    try:
        data = unpacker.decompress(packed, MOST_COLUMNS)
    except zlib.error as wrong:
        raise BadMessage(f"the inputs of a replay do not unfold: {wrong}") from wrong
    if not unpacker.eof or unpacker.unused_data or unpacker.unconsumed_tail:
        raise BadMessage("the inputs of a replay end too early, too late or never")
    at, parts = 0, []
    for _ in range(2 * len(header.seats)):
        size = int.from_bytes(data[at : at + 4], "big")
        parts.append(data[at + 4 : at + 4 + size])
        at += 4 + size
        if at > len(data):
            raise BadMessage("the inputs of a replay promise more than there is")
    if at != len(data):
        raise BadMessage("bytes behind the inputs of a replay")
    return [
        _changes(parts[2 * seat], parts[2 * seat + 1], header.input_bytes, frames)
        for seat in range(len(header.seats))
    ]


def _changes(gaps: bytes, values: bytes, size: int, frames: int) -> list[tuple[int, bytes]]:
    found: list[tuple[int, bytes]] = []
    frame, last, number, shift = 0, bytes(size), 0, 0
    for byte in gaps:
        number |= (byte & 127) << shift
        shift += 7
        if byte & 128:
            if shift > 21:
                raise BadMessage("too big a step in a replay")
            continue
        frame += number
        at = len(found) * size
        change = values[at : at + size]
        if frame >= frames or (found and not number) or len(change) < size or not any(change):
            raise BadMessage("the inputs of a replay are not in order")
        last = bytes(a ^ b for a, b in zip(last, change, strict=True))
        found.append((frame, last))
        number = shift = 0
    if shift or len(values) != len(found) * size:
        raise BadMessage("the inputs of a replay are not in order")
    return found
