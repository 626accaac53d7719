"""Results that are states of molecular dynamics with frames of a trajectory: where in the bytes what stands, read strictly. Pure.

The format is that of `examples/grid/molecules.c`, whatever app writes it. A result may come from a stranger: nothing that its head says is believed
before it fits its size and itself.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

from msgspec import Struct

from servent.errors import BadMessage

MAGIC = b"servent molecules 1\n"
ATOMS_MOST = 16_384
FRAME_HEAD = struct.Struct("<dd")  # potential and kinetic energy
_HEAD = struct.Struct("<20sIQIIdddIId")
HEAD_BYTES = _HEAD.size
STEP_MOST = 2**53  # beyond it a page cannot count


class Head(Struct, frozen=True):
    """What is said of a state. `step`: done since the first generation began, `steps` of them in this one; a frame is taken where `step` is a multiple of `every`.

    Reduced units: `box` and `cutoff` in sigma, `dt` and times in tau, `began` (the energy then) in epsilon.
    """

    atoms: int
    step: int
    steps: int
    every: int
    box: float
    cutoff: float
    dt: float
    frames: int
    began: float

    @property
    def first(self) -> int:
        """The step of the first frame."""
        return ((self.step - self.steps) // self.every + 1) * self.every

    @property
    def frame_bytes(self) -> int:
        return FRAME_HEAD.size + 6 * self.atoms

    def at(self, frame: int) -> int:
        """Where a frame begins."""
        return HEAD_BYTES + 48 * self.atoms + frame * self.frame_bytes


def read_head(data: bytes, size: int) -> Head:
    """Of a result of so many bytes; `data`: its first ones, `HEAD_BYTES` at least. Raises BadMessage."""
    if len(data) < HEAD_BYTES:
        raise BadMessage("a trajectory is shorter than its head")
    magic, atoms, step, steps, every, box, cutoff, dt, frames, zero, began = _HEAD.unpack_from(data)
    if magic != MAGIC or zero:
        raise BadMessage("this is no trajectory")
    if not 1 <= atoms <= ATOMS_MOST or not 0 < steps <= step <= STEP_MOST or not every:
        raise BadMessage("a trajectory with impossible counts")
    if not all(map(math.isfinite, (box, cutoff, dt, began))) or box <= 0 or dt <= 0:
        raise BadMessage("a trajectory with impossible measures")
    head = Head(atoms, step, steps, every, box, cutoff, dt, frames, began)
    if frames != step // every - (step - steps) // every or size != head.at(frames):
        raise BadMessage("a trajectory whose frames do not fit its length")
    return head


def read_energies(data: bytes) -> tuple[float, float]:
    """Potential and kinetic energy at the beginning of a frame. Raises BadMessage: not finite."""
    if len(data) < FRAME_HEAD.size:
        raise BadMessage("a trajectory broke off")
    potential, kinetic = FRAME_HEAD.unpack_from(data)
    if not (math.isfinite(potential) and math.isfinite(kinetic)):
        raise BadMessage("a trajectory whose energy is no number")
    return potential, kinetic


def thinned(count: int, most: int) -> Iterator[int]:
    """At most `most` of `count` places, evenly, the last one always."""
    every = max(1, math.ceil(count / most)) if most else 1
    return iter(range((count - 1) % every, count, every))
