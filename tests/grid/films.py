"""Results as `molecules.c` writes them, made up: a crystal that melts, without a force in it."""

from __future__ import annotations

import math
import random
import struct
from functools import lru_cache

MAGIC = b"servent molecules 1\n"
HEAD = struct.Struct("<20sIQIIdddIId")


def generation(
    number: int, *, atoms: int = 32, steps: int = 100, every: int = 10, side: float = 6.0
) -> bytes:
    """Generation `number` of a chain of such."""
    last = steps * (number + 1)
    places = range((last - steps) // every + 1, last // every + 1)
    frames = b"".join(_frame(atoms, place) for place in places)
    state = struct.pack(f"<{6 * atoms}d", *([0.5] * (6 * atoms)))
    head = HEAD.pack(MAGIC, atoms, last, steps, every, side, 2.5, 0.004, len(places), 0, -4.0 * atoms)
    return head + state + frames


def energies(atoms: int, place: int) -> tuple[float, float]:
    """Potential and kinetic: half of the motion goes into melting, with a tremble; the sum stays."""
    kinetic = atoms * 1.5 * (0.72 + 0.72 * math.exp(-place / 9) + 0.02 * math.sin(place * 1.7))
    return -4.0 * atoms - kinetic, kinetic


@lru_cache(maxsize=256)
def _frame(atoms: int, place: int) -> bytes:
    side = math.ceil(atoms ** (1 / 3))
    spread = 65536 / side * 0.45 * (1 - math.exp(-place / 40))
    said = []
    for atom in range(atoms):
        dice = random.Random(atom)
        turn = [dice.uniform(0, 6.28) for _ in range(3)]
        speed = [dice.uniform(0.05, 0.35) for _ in range(3)]
        at = (atom % side, atom // side % side, atom // side // side)
        for k in range(3):
            wobble = spread * (
                math.sin(turn[k] + speed[k] * place) + 2.5 * math.sin(turn[k - 1] + speed[k] * place / 7)
            )
            said.append(round((at[k] + 0.5) * 65536 / side + wobble) & 65535)
    return struct.pack("<dd", *energies(atoms, place)) + struct.pack(f"<{3 * atoms}H", *said)
