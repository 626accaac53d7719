"""The stable surface, what is about looking at units while they compute. The same rules as in `schema_grid`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct


class PictureQuery(Struct, frozen=True, kw_only=True):
    """`after`: the serial of the picture that is known; only another one is sent."""

    after: Annotated[int, Meta(ge=0, le=2**53)] = 0


class Axis(Struct, frozen=True, kw_only=True):
    """A side of a picture: what it is, with its unit, and what its first and its last place stand for."""

    label: str = ""
    low: float = 0.0
    high: float = 1.0


class Picture(Struct, frozen=True, kw_only=True):
    """What a unit shows. `words`: a line about it, by the app; `data` as base64.

    "heat": `height` rows of `width` bytes, the first row at `y.low`, the first byte of each at `x.low`; 0 stands for `z.low`, 255 for `z.high`.
    "points": `width` points in a box of the sides `x`, `y`, `z`: three coordinates of each as little-endian uint16, 0 to 65535 from side to side, then a byte for the kind of each, below 16.
    """

    kind: Literal["heat", "points"]
    width: int
    height: int
    words: str = ""
    x: Axis = Axis()
    y: Axis = Axis()
    z: Axis = Axis()
    data: bytes = b""


class SlotPicture(Struct, frozen=True, kw_only=True):
    """The newest picture of the unit on a core; `picture` None where there is none but the one that is known. `serial` is another with each. `unit` "" where nothing runs there now."""

    number: int
    unit: str = ""
    serial: int = 0
    picture: Picture | None = None
