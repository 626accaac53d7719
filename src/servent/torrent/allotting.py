"""How the node's limits are shared between its own transfers and BitTorrent's. Pure."""

from __future__ import annotations

GROWTH = 1.25  # what our own transfers may have beyond what they use now
FLOOR = 0.05  # of the limit that they may always have, so that they can begin


def allotted(limit: float | None, ours: float) -> float | None:
    """Bytes per second that BitTorrent may have now; None for no limit.

    Our own transfers take the rest, since what BitTorrent moves is counted against the limit. Who wants nothing leaves all to
    the other; when both want all there is, each gets half after some rounds.

    Args:
        limit: of everything together.
        ours: what our own transfers move now.
    """
    if limit is None:
        return None
    return max(limit / 2, limit * (1 - FLOOR) - GROWTH * ours)
