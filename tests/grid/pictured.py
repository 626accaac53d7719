"""Pictures as modules say them."""

from __future__ import annotations

import struct

from servent.grid.pictures import HEAT, Axis

AXES = (Axis("frequency, Hz", -4882.5, 4882.5), Axis("time, s", 0.0, 107.375), Axis("power", 0.0, 25.0))


def said(
    magic: bytes = HEAT,
    width: int = 3,
    height: int = 2,
    words: bytes = b"drift 1.5 Hz/s",
    axes: tuple[Axis, ...] = AXES,
    data: bytes = bytes(range(6)),
) -> bytes:
    sides = b"".join(struct.pack("<24sff", axis.label.encode(), axis.low, axis.high) for axis in axes)
    return struct.pack("<16sII104s", magic, width, height, words) + sides + data
