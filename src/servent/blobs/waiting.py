"""Why a download waits for its turn, in a sentence. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from servent.blobs.slots import about
from servent.blobs.turns import LOOKERS, PLACES, Turns


def reason(place: int | None, turns: Turns, now: float, etas: Sequence[float]) -> str:
    """What the row says.

    Args:
        etas: seconds until the running ones are complete, soonest first, of those that can tell.
    """
    active = turns.active(now)
    if place is not None and active + place < turns.most_active:
        looking = turns.looking(now)
        if looking < LOOKERS:
            return "starting"
        return f"waits for its turn: {looking} downloads are looking for peers, and no more do at once"
    run = "1 download runs" if active == 1 else f"{active} downloads run"
    words = f"waits for its turn: {run}, you allow {turns.most_active}"
    if place is None:
        return f"{words}; more than {PLACES} before it"
    ahead = f"; {place} before it" if place else "; it is next"
    if place < len(etas) and len(etas) >= active > 0:
        ahead += f", {about(etas[place])}"
    return words + ahead
