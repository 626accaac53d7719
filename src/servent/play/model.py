"""What a session is told and what it asks for, as plain data. Pure.

An *input* is `input_bytes` bytes for each player and frame. The *state* of frame F is what the inputs of frames 0 to F-1
made of the beginning; it belongs to the engine, and the session never sees it. A session returns requests, to be carried
out in the order given; events are news for people.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from servent.codec import Hash, Key, canonical

MAX_PLAYERS = 8  # a full mesh; above it one peer would have to forward
MAX_INPUT_BYTES = 32  # with 16 frames in flight a packet stays below one datagram
MAX_DELAY = 12  # frames; lockstep over 300 ms needs 10 and some for jitter
MAX_WINDOW = 32  # frames

Mode = Literal["rollback", "lockstep", "turns", "authority"]
"""How players are kept together. `rollback` and `lockstep` are frames of a `Session`; in `turns` players act one after
the other; in `authority` one simulates and tells the others the state."""


class Settings(Struct, frozen=True, kw_only=True):
    """Of one match; the same at all its players.

    Attributes:
        players: seats, numbered from 0.
        input_bytes: of one player's input in one frame.
        mode: `rollback`, or `lockstep`, which waits for all inputs of a frame in place of predicting.
        fps: frames in a second.
        window: frames that may be predicted, 8 as in GGPO; with `lockstep` none.
        delay: frames between pressing and acting with which each player begins.
        auto_delay: each player's delay follows the measured links.
        held: which bits of an input are expected to stay as they were (a key that is down); the others are expected to be 0
            (an event of one frame). Empty: all stay.
        check_every: frames between two checksums.
        free: bits of seats that nobody has at the start, for those who come later.
        keep: seconds for which a seat is kept for its player who is gone; then it is free.
    """

    players: Annotated[int, Meta(ge=1, le=MAX_PLAYERS)]
    input_bytes: Annotated[int, Meta(ge=1, le=MAX_INPUT_BYTES)] = 1
    mode: Literal["rollback", "lockstep"] = "rollback"
    fps: Annotated[int, Meta(ge=1, le=240)] = 60
    window: Annotated[int, Meta(ge=1, le=MAX_WINDOW)] = 8
    delay: Annotated[int, Meta(ge=0, le=MAX_DELAY)] = 0
    auto_delay: bool = False
    held: Annotated[bytes, Meta(max_length=MAX_INPUT_BYTES)] = b""
    check_every: Annotated[int, Meta(ge=1, le=3600)] = 60
    free: Annotated[int, Meta(ge=0, lt=1 << MAX_PLAYERS)] = 0
    keep: Annotated[int, Meta(ge=0, le=3600)] = 60

    @property
    def predicted(self) -> int:
        """Frames that may be predicted, 0 in lockstep."""
        return self.window if self.mode == "rollback" else 0


class Timing(Struct, frozen=True, kw_only=True):
    """Seconds, and what the clocks are held together by.

    Attributes:
        probe_every: before the start, and as long as nothing is played (8 probes in 0.4 s find the clock to about 1 ms).
        resend_every: who was dropped and still speaks is told so this often; to all others a packet goes with each tick,
            also while we wait, for a burst of lost packets makes GGPO's 0.2 long.
        hear_after: a player of whom nothing came directly for so long is said not to be heard.
        freeze_after: then people are told that the match waits for somebody; GGPO 0.75.
        gone_after: without a sign by any path a player is gone; GGPO 5, but 5 s of darkness are to be outlived.
        quarrel_after: who says that somebody is gone whom the others hear is given so long to be right.
        return_within: who comes back and says nothing at its frame is waited for no longer than this.
        slew: share of the period by which a tick is longer for each frame that we are ahead, at most `slew_most`;
            shorter by at most `slew_least`.
        means: packets over which the lead is averaged; GGRS 30, GGPO 40.
    """

    probe_every: float = 0.05
    resend_every: float = 0.1
    hear_after: float = 1.0
    freeze_after: float = 0.75
    gone_after: float = 6.0
    quarrel_after: float = 2.0
    return_within: float = 1.5
    slew: float = 0.02
    slew_most: float = 0.05
    slew_least: float = 0.01
    means: int = 30


class Save(Struct, frozen=True, gc=False):
    """Keep a copy of the state, which is that of `frame`. Only the last `window + 2` frames are ever loaded, or checked."""

    frame: int


class Load(Struct, frozen=True, gc=False):
    """Make the state that was last saved for `frame` the current one again."""

    frame: int


class Advance(Struct, frozen=True, gc=False):
    """Step the current state, which is that of `frame`, by these inputs, one for each player.

    `gone`: bit p is set where player p no longer plays in this frame; its input is zeros. `again`: the frame was stepped
    before with inputs that turned out otherwise: no sounds and no drawing for it.
    """

    frame: int
    inputs: tuple[bytes, ...]
    gone: int = 0
    again: bool = False


class Check(Struct, frozen=True, gc=False):
    """Tell `Session.checked` the checksum of the state saved for `frame`; it is final at all players."""

    frame: int


class Confirmed(Struct, frozen=True, gc=False):
    """What all players did in a frame, once and for all: what a replay or a spectator needs. Each frame once, in order."""

    frame: int
    inputs: tuple[bytes, ...]
    gone: int = 0


Request = Save | Load | Advance | Check | Confirmed


class Heard(Struct, frozen=True):
    """The first packet of a player came."""

    player: int


class Frozen(Struct, frozen=True):
    """The match waits for `player`, of whom nothing comes; at `until` it goes on without. Time as in `tick`."""

    player: int
    until: float


class Resumed(Struct, frozen=True):
    """A player who was frozen is back."""

    player: int


class Gone(Struct, frozen=True):
    """`player` plays no more: its last input is that of `frame`, for everybody."""

    player: int
    frame: int


class Back(Struct, frozen=True):
    """`player` plays again, or for the first time: from `frame` on, for everybody."""

    player: int
    frame: int


class Desync(Struct, frozen=True):
    """The state of `frame` differs from the one of `player`. Checksums are unsigned, of 64 bits."""

    player: int
    frame: int
    mine: int
    theirs: int


class Contradicted(Struct, frozen=True):
    """`by` told of `player` another input for `frame` than came from that player itself. One of the two lied."""

    player: int
    by: int
    frame: int


Event = Heard | Frozen | Resumed | Gone | Back | Desync | Contradicted


class Entry(Struct, frozen=True):
    """Where somebody begins who comes into a match that runs.

    Attributes:
        frame: the state that it has; all inputs before are known. `inputs`: what was done in the frame before.
        at: its first frame.
        away: who does not play at `frame`, and the last frame of each; oneself is not named.
    """

    frame: int
    inputs: tuple[bytes, ...]
    at: int
    away: tuple[tuple[int, int], ...] = ()


def tag_of(settings: Settings, match: bytes, seats: Sequence[Key], game: Hash) -> bytes:
    """Four bytes that begin each packet of a match: whoever means another one, other seats or another game, is not understood.

    Args:
        match: drawn by chance for each match. `seats`: the players' keys in their order. `game`: SHA-256 of its code.
    """
    return hashlib.sha256(canonical((settings, match, list(seats), game))).digest()[:4]
