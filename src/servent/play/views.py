"""How a session looks from outside. Pure."""

from __future__ import annotations

from msgspec import Struct


class Seat(Struct, frozen=True, kw_only=True):
    """What is known of one other player. Seconds; `loss` 0.0 to 1.0; `ahead` in frames that we are ahead of it.

    `one_way`: half of the round trip, its 95th percentile. `refused`: packets that were none. `waits`: ticks at which its
    inputs were missing. `agreed`: the last frame whose checksum was the same.
    """

    player: int
    heard: bool
    deaf: bool
    gone: bool
    rtt: float | None
    jitter: float
    one_way: float | None
    loss: float
    ahead: float | None
    refused: int
    waits: int
    agreed: int


class View(Struct, frozen=True, kw_only=True):
    """A session, to be looked at.

    `frame`: frames stepped. `confirmed`: the last that is final. `stalls`: ticks without a step. `again`: frames stepped
    more than once. `depths[n]`: rollbacks of n frames. `slew`: share by which our ticks are longer now.
    """

    frame: int
    confirmed: int
    delay: int
    stalls: int
    again: int
    depths: tuple[int, ...]
    slew: float
    out: bool
    seats: tuple[Seat, ...]
