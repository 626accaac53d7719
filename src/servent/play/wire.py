"""The datagrams of a match, strictly: a fixed head, then only the sections that its flags name. Pure.

All numbers are little-endian. A packet carries every input of its sender that its receiver has not acknowledged, so that one
that arrives makes up for all that were lost before. Inputs are told as they change: a bit for each frame that differs from
the one before (the first: from zeros), then the new values; wider ones with a bit for each byte that is another. There is one
form for each run of inputs, and anything else is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from msgspec import Struct

from servent.errors import BadMessage
from servent.play.model import MAX_DELAY, MAX_WINDOW, Settings

MAX_PACKET = 1162  # bytes; what iroh takes at first, before it knows the path
MAX_RUN = 2 * MAX_WINDOW + 2 * MAX_DELAY + 2  # frames; nobody can be further ahead of what another holds
OWN_ROOM = 640  # bytes for one's own inputs; the rest is for those of others
MAX_FRAME = 1 << 31  # 400 days at 60 fps

WIDE, CLOCK, CHECK, DEAF, ROWS, GOSSIP, MARKS = 1, 2, 4, 8, 16, 32, 64
PROBE = 128

_HEAD = struct.Struct("<4sBHIh")  # tag, flags, number, frame, lead
_CLOCK = struct.Struct("<HHH")
_CHECK = struct.Struct("<IQ")
_PROBE = struct.Struct("<4sBqqI")  # tag, flags, clock, echo, held back
_NARROW, _BROAD = struct.Struct("<bB"), struct.Struct("<iB")
_U32 = struct.Struct("<I")

TICKS = 10_000  # of a stamp in a second; 16 bits of it turn over in 6.5 s
LEAD = 256  # parts of a frame
MOST_MARKS = 8  # in one packet; seats come back one at a time


class Run(Struct, frozen=True, gc=False):
    """What `player` did in the frames from `start` on. `marks`: in some of these frames it asked a seat back: frame and seat."""

    player: int
    start: int
    values: list[bytes]
    marks: tuple[tuple[int, int], ...] = ()


class Row(Struct, frozen=True, gc=False):
    """What `owner` said of those without whom it plays on: `dropped` has their bits, `last` the last frame it holds of each, in order."""

    owner: int
    dropped: int
    last: tuple[int, ...]


class Packet(Struct, gc=False):
    """One datagram of a running match.

    Attributes:
        number: counts the packets to this receiver, modulo 65,536.
        frame: how many frames its sender has stepped.
        lead: frames by which its sender believes the receiver to be ahead, measured at the last packet that came.
        have: for each player but the sender, the last frame of which the sender holds the input; -1 for none.
        runs: first the sender's own inputs, then what it passes on.
        clock: the sender's stamp, the receiver's that came last, and how long ago that was; each in 1/10,000 s, 16 bits.
        check: a frame and the checksum of its state.
        deaf: bits of the players of whom the sender hears nothing directly.
        rows: see `servent.play.roll`.
    """

    number: int
    frame: int
    lead: float
    have: Sequence[int]
    runs: list[Run]
    clock: tuple[int, int, int] | None = None
    check: tuple[int, int] | None = None
    deaf: int = 0
    rows: tuple[Row, ...] = ()


class Probe(Struct, frozen=True, gc=False):
    """Before the start: the sender's clock, the receiver's that came last, and how long ago that was; microseconds.

    `held` is 2^32 - 1 where none came yet.
    """

    clock: int
    echo: int
    held: int


def pack_run(values: Sequence[bytes], size: int) -> bytes:
    """`values`, each of `size` bytes, as a mask of changes and what they changed to."""
    mask, bit, last, changes = 0, 1, bytes(size), []
    for value in values:
        if value != last:
            mask |= bit
            changes.append(value if size == 1 else _change(last, value))
            last = value
        bit <<= 1
    return mask.to_bytes((len(values) + 7) >> 3, "little") + b"".join(changes)


def _change(last: bytes, value: bytes) -> bytes:
    mask = 0
    for index, byte in enumerate(value):
        if byte != last[index]:
            mask |= 1 << index
    new = bytes(byte for index, byte in enumerate(value) if mask >> index & 1)
    return mask.to_bytes((len(value) + 7) >> 3, "little") + new


def unpack_run(data: bytes, at: int, count: int, size: int) -> tuple[list[bytes], int]:
    """The `count` values that stand at `at`, and where they end.

    Raises:
        BadMessage: cut off, or not as `pack_run` writes them.
    """
    end = at + ((count + 7) >> 3)
    mask = int.from_bytes(data[at:end], "little")
    if end > len(data) or mask >> count:
        raise BadMessage("a run of inputs has a wrong mask")
    value: bytes = bytes(size)
    values: list[bytes] = []
    done = 0
    while mask:  # from one change to the next: most frames are like the one before
        frame = (mask & -mask).bit_length() - 1
        mask &= mask - 1
        if size == 1:
            new = data[end : end + 1]
            end += 1
        else:
            new, end = _changed(data, end, value)
        if len(new) != size or new == value:
            raise BadMessage("a run of inputs changes nothing, or ends early")
        values += [value] * (frame - done)
        value, done = new, frame
    values += [value] * (count - done)
    return values, end


def _changed(data: bytes, at: int, last: bytes) -> tuple[bytes, int]:
    size = len(last)
    end = at + ((size + 7) >> 3)
    mask = int.from_bytes(data[at:end], "little")
    if end > len(data) or mask >> size or mask.bit_count() > len(data) - end:
        raise BadMessage("an input has a wrong mask")
    new = bytearray(last)
    for index in range(size):
        if mask >> index & 1:
            if data[end] == new[index]:
                raise BadMessage("an input changes nothing")
            new[index] = data[end]
            end += 1
    return bytes(new), end


class Wire:
    """Writes and reads the datagrams of one match.

    Args:
        tag: of the match, 4 bytes (`servent.play.model.tag_of`).
    """

    def __init__(self, settings: Settings, tag: bytes) -> None:
        if len(tag) != 4:
            raise ValueError("a tag has 4 bytes")
        self._tag, self._players, self._size = tag, settings.players, settings.input_bytes
        self._narrow = struct.Struct(f"<{self._players - 1}b")
        self._broad = struct.Struct(f"<{self._players - 1}i")
        self.most_own = min(MAX_RUN, OWN_ROOM * 8 // (8 * self.widest + 1))  # inputs in one packet

    @property
    def widest(self) -> int:
        """Most bytes that one input takes."""
        return self._size + ((self._size + 7) >> 3 if self._size > 1 else 0)

    def probe(self, probe: Probe) -> bytes:
        return _PROBE.pack(self._tag, PROBE, probe.clock, probe.echo, probe.held)

    def encode(self, packet: Packet) -> bytes:
        """`packet` in bytes. Runs that have no room in a datagram are left out, the last ones first."""
        frame, size, runs = packet.frame, self._size, packet.runs
        flags = GOSSIP if len(runs) > 1 else 0
        if packet.clock:
            flags |= CLOCK
        if packet.check:
            flags |= CHECK
        if packet.deaf:
            flags |= DEAF
        if packet.rows:
            flags |= ROWS
        if any(run.marks for run in runs):
            flags |= MARKS
        deltas = [last - frame for last in packet.have]
        lead = min(max(round(packet.lead * LEAD), -32768), 32767)
        try:
            have, shape = self._narrow.pack(*deltas), _NARROW
            heads = [shape.pack(run.start - frame, len(run.values)) for run in runs]
        except struct.error:
            flags |= WIDE
            have, shape = self._broad.pack(*deltas), _BROAD
            heads = [shape.pack(run.start - frame, len(run.values)) for run in runs]
        parts = [_HEAD.pack(self._tag, flags, packet.number & 0xFFFF, frame, lead), have]
        if packet.clock:
            parts.append(_CLOCK.pack(*packet.clock))
        if packet.check:
            parts.append(_CHECK.pack(*packet.check))
        if packet.deaf:
            parts.append(bytes((packet.deaf,)))
        if packet.rows:
            parts.append(bytes((len(packet.rows),)))
            for row in packet.rows:
                parts.append(bytes((row.owner, row.dropped)))
                parts.extend(_U32.pack(last + 1) for last in row.last)
        parts += (heads[0], pack_run(runs[0].values, size))
        if flags & GOSSIP:
            room = MAX_PACKET - 1 - sum(map(len, parts)) - (1 + 3 * MOST_MARKS if flags & MARKS else 0)
            passed: list[bytes] = []
            for head, run in zip(heads[1:], runs[1:], strict=True):
                one = bytes((run.player,)) + head + pack_run(run.values, size)
                room -= len(one)
                if room < 0:
                    break
                passed.append(one)
            if passed:
                parts.append(bytes((len(passed),)))
                parts += passed
            else:
                flags &= ~GOSSIP
            runs = runs[: 1 + len(passed)]
        if flags & MARKS:
            marks = [bytes((run.player, at - run.start, seat)) for run in runs for at, seat in run.marks][
                :MOST_MARKS
            ]
            if marks:
                parts += (bytes((len(marks),)), *marks)
            else:
                flags &= ~MARKS
        parts[0] = _HEAD.pack(self._tag, flags, packet.number & 0xFFFF, frame, lead)
        return b"".join(parts)

    def decode(self, sender: int, data: bytes) -> Packet | Probe:
        """What `sender` sent.

        Raises:
            BadMessage: of another match, too long, cut off, out of its limits, or with something behind it.
        """
        if not _HEAD.size <= len(data) <= MAX_PACKET:
            raise BadMessage(f"a packet of {len(data)} bytes")
        tag, flags, number, frame, lead = _HEAD.unpack_from(data)
        if tag != self._tag:
            raise BadMessage("a packet of another match")
        if flags & PROBE:
            if flags != PROBE or len(data) != _PROBE.size:
                raise BadMessage("a probe of another form")
            return Probe(*_PROBE.unpack(data)[2:])
        if frame >= MAX_FRAME:
            raise BadMessage("a packet from the end of time")
        try:
            return self._sections(sender, data, flags, number, frame, lead)
        except (struct.error, IndexError) as wrong:
            raise BadMessage("a packet ends in the middle") from wrong

    def _sections(self, sender: int, data: bytes, flags: int, number: int, frame: int, lead: int) -> Packet:
        at = _HEAD.size
        shape = self._broad if flags & WIDE else self._narrow
        have = [frame + delta for delta in shape.unpack_from(data, at)]
        if have and not -1 <= min(have) <= max(have) < MAX_FRAME:
            raise BadMessage("an acknowledgement of a frame that is none")
        at += shape.size
        packet = Packet(number, frame, lead / LEAD, have, [])
        if flags & CLOCK:
            packet.clock = _CLOCK.unpack_from(data, at)
            at += _CLOCK.size
        if flags & CHECK:
            packet.check = _CHECK.unpack_from(data, at)
            at += _CHECK.size
        if flags & DEAF:
            packet.deaf = data[at]
            at += 1
            if not packet.deaf or packet.deaf >> self._players:
                raise BadMessage("deaf to players that are none")
        if flags & ROWS:
            packet.rows, at = self._rows(data, at)
        run, at = self._run(sender, data, at, flags, frame)
        packet.runs.append(run)
        if flags & GOSSIP:
            count, at, seen = data[at], at + 1, {sender}
            if not 0 < count < self._players:
                raise BadMessage("inputs of more players than there are")
            for _ in range(count):
                player = data[at]
                if player >= self._players or player in seen:
                    raise BadMessage("inputs of a player who is none, or who was named before")
                seen.add(player)
                run, at = self._run(player, data, at + 1, flags, frame)
                packet.runs.append(run)
        if flags & MARKS:
            at = self._marks(packet, data, at)
        if at != len(data):
            raise BadMessage(f"{len(data) - at} bytes behind a packet")
        return packet

    def _run(self, player: int, data: bytes, at: int, flags: int, frame: int) -> tuple[Run, int]:
        head = _BROAD if flags & WIDE else _NARROW
        delta, count = head.unpack_from(data, at)
        start = frame + delta
        if not 0 <= start < MAX_FRAME or count > MAX_RUN:
            raise BadMessage("inputs before the beginning, or too many")
        values, at = unpack_run(data, at + head.size, count, self._size)
        return Run(player, start, values), at

    def _marks(self, packet: Packet, data: bytes, at: int) -> int:
        """In the order of the runs and of their frames, each of them once."""
        count, at = data[at], at + 1
        order = {run.player: index for index, run in enumerate(packet.runs)}
        if not 0 < count <= MOST_MARKS:
            raise BadMessage("too many seats asked back, or none")
        last = (-1, -1)
        for _ in range(count):
            player, offset, seat = data[at], data[at + 1], data[at + 2]
            at += 3
            place = (order.get(player, -1), offset)
            if place <= last or place[0] < 0 or seat >= self._players:
                raise BadMessage("a seat that is none is asked back, or by nobody, or out of order")
            last, run = place, packet.runs[place[0]]
            if offset >= len(run.values):
                raise BadMessage("a seat is asked back in a frame that is not told")
            packet.runs[place[0]] = Run(
                run.player, run.start, run.values, (*run.marks, (run.start + offset, seat))
            )
        return at

    def _rows(self, data: bytes, at: int) -> tuple[tuple[Row, ...], int]:
        count, at = data[at], at + 1
        if not 0 < count <= self._players:
            raise BadMessage("rows of more players than there are")
        rows: list[Row] = []
        for _ in range(count):
            owner, dropped = data[at], data[at + 1]
            at += 2
            if owner >= self._players or (rows and owner <= rows[-1].owner):
                raise BadMessage("a row of a player who is none, or who was named before")
            if not dropped or dropped >> self._players:
                raise BadMessage("a row that drops players who are none")
            last = []
            for _ in range(dropped.bit_count()):
                (value,) = _U32.unpack_from(data, at)
                if value > MAX_FRAME:
                    raise BadMessage("a row of a frame that is none")
                last.append(value - 1)
                at += 4
            rows.append(Row(owner, dropped, tuple(last)))
        return tuple(rows), at
