"""The picture that a unit may show while it computes: read strictly from what a foreign module says. Pure.

Little-endian, as `struct servent_picture` of servent.h has it: 224 bytes of head, then the data. What does not keep to that is no picture; nothing else comes of it.
"""

from __future__ import annotations

import math
import struct
from typing import Literal

from msgspec import Struct

from servent.errors import BadMessage

PICTURE_BYTES = 64 * 1024  # with its head
PICTURES_EVERY = 0.2  # s between two of one unit, at least
POINT_BYTES = 7  # three coordinates of two bytes, and a kind
MOST_KINDS = 16
HEAT, POINTS = b"servent heat 1\0\0", b"servent points 1"
_HEAD = struct.Struct("<16sII104s")
_AXIS = struct.Struct("<24sff")
_SHOWN = 1e30  # beyond it a number is no label

PictureKind = Literal["heat", "points"]


class Axis(Struct, frozen=True):
    """A side of a picture: what it is, with its unit, and what its first and its last place stand for."""

    label: str
    low: float
    high: float


class Picture(Struct, frozen=True):
    """`words`: one line about it.

    "heat": `data` has `height` rows of `width` bytes, the first row at `y.low`, the first byte of each at `x.low`; 0 stands for `z.low`, 255 for `z.high`.
    "points": `width` points in a box whose sides are `x`, `y` and `z`: three coordinates of each as uint16 (0 to 65535 from one side to the other), and behind them all a byte
    for the kind of each, below 16; `height` is 1.
    """

    kind: PictureKind
    width: int
    height: int
    words: str
    x: Axis
    y: Axis
    z: Axis
    data: bytes


def read_picture(said: bytes) -> Picture:
    """Raises BadMessage for all that is no picture, in words that can be printed."""
    if not _HEAD.size + 3 * _AXIS.size < len(said) <= PICTURE_BYTES:
        raise BadMessage(f"a picture of {len(said)} bytes; it has 225 to {PICTURE_BYTES}")
    magic, width, height, words = _HEAD.unpack_from(said)
    data = said[_HEAD.size + 3 * _AXIS.size :]
    kind: PictureKind
    if magic == HEAT:
        kind, size = "heat", width * height
    elif magic == POINTS:
        kind, size = "points", width * POINT_BYTES
    else:
        raise BadMessage("a picture of no known kind")
    if not size or size != len(data):
        raise BadMessage("a picture of another size than it says")
    if kind == "points" and (height != 1 or max(data[6 * width :]) >= MOST_KINDS):
        raise BadMessage(f"points of more than {MOST_KINDS} kinds, or in more than one row")
    x, y, z = (_axis(said, _HEAD.size + number * _AXIS.size) for number in range(3))
    return Picture(kind, width, height, _text(words), x, y, z, data)


def _axis(said: bytes, at: int) -> Axis:
    label, low, high = _AXIS.unpack_from(said, at)
    if not (abs(low) <= _SHOWN and abs(high) <= _SHOWN and low != high) or math.isnan(low + high):
        raise BadMessage("a side of a picture that goes from nowhere to nowhere")
    return Axis(_text(label), low, high)


def _text(field: bytes) -> str:
    """Up to the first zero; what stands behind it means nothing, since C leaves there what it likes."""
    try:
        text = field.split(b"\0", 1)[0].decode()
    except UnicodeDecodeError:
        raise BadMessage("words in a picture that are no UTF-8") from None
    if not text.isprintable():
        raise BadMessage("words in a picture that cannot be printed")
    return text
