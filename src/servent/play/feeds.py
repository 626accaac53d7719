"""Final inputs on their way to those who do not play: batches of frames, in order, strictly read. Pure.

Eight players press for about 100 bytes a second. A batch stands for itself: it has no memory of the one before, so one that
was kept can be handed to anybody who has the state of its first frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from servent.codec import Decoder, canonical
from servent.errors import BadMessage
from servent.play.model import MAX_INPUT_BYTES, MAX_PLAYERS, Confirmed, Settings
from servent.play.snapshots import AnyFrame
from servent.play.wire import pack_run, unpack_run

MOST = 600  # frames in one batch
MOST_COLUMN = MOST // 8 + MOST * (MAX_INPUT_BYTES + 4)  # bytes of one player's inputs, all of which change

Count = Annotated[int, Meta(ge=1, le=MOST)]
Column = Annotated[bytes, Meta(max_length=MOST_COLUMN)]


class Frames(Struct, frozen=True, tag="frames"):
    """The final inputs of `count` frames from `first` on.

    Attributes:
        newest: how many frames its sender knows, or will show: who is behind may hurry.
        columns: for each player its inputs, as in a packet. `gone`: from which of these frames on which players were away
            (offset and bits), as it changes; at the first: from nobody.
    """

    first: AnyFrame
    count: Count
    newest: AnyFrame
    columns: Annotated[tuple[Column, ...], Meta(min_length=1, max_length=MAX_PLAYERS)]
    gone: Annotated[
        tuple[tuple[Annotated[int, Meta(ge=0, lt=MOST)], Annotated[int, Meta(ge=0, lt=256)]], ...],
        Meta(max_length=128),
    ] = ()


MOST_FRAMES_BYTES = MAX_PLAYERS * (MOST_COLUMN + 8) + 1024
_frames: Decoder[Frames] = Decoder(Frames, MOST_FRAMES_BYTES)


def batch(frames: Sequence[Confirmed], newest: int, size: int) -> Frames:
    """`frames`, 1 to 600 in a row, as one message. `size`: bytes of an input."""
    columns = tuple(
        pack_run([one.inputs[player] for one in frames], size) for player in range(len(frames[0].inputs))
    )
    gone, last = [], 0
    for offset, one in enumerate(frames):
        if one.gone != last:
            gone.append((offset, one.gone))
            last = one.gone
    return Frames(frames[0].frame, len(frames), newest, columns, tuple(gone))


def write(frames: Frames) -> bytes:
    return canonical(frames)


def read(data: bytes, settings: Settings) -> list[Confirmed]:
    """The frames of a batch in bytes. Raises BadMessage as `unfolded`."""
    return unfolded(_frames.decode(data), settings)


def unfolded(frames: Frames, settings: Settings) -> list[Confirmed]:
    """The frames of a batch.

    Raises:
        BadMessage: not of this match's shape, or a run of inputs is not as it would have been written.
    """
    if len(frames.columns) != settings.players or frames.newest < frames.first + frames.count:
        raise BadMessage("frames of another match, or more than there are")
    columns = []
    for column in frames.columns:
        values, end = unpack_run(column, 0, frames.count, settings.input_bytes)
        if end != len(column):
            raise BadMessage("bytes behind a player's inputs")
        columns.append(values)
    masks, at, last = {}, -1, 0
    for offset, mask in frames.gone:
        if not at < offset < frames.count or mask >> settings.players or mask == last:
            raise BadMessage("players go and come out of order")
        masks[offset], at, last = mask, offset, mask
    found, gone = [], 0
    for offset, inputs in enumerate(zip(*columns, strict=True)):
        gone = masks.get(offset, gone)
        found.append(Confirmed(frames.first + offset, inputs, gone))
    return found
