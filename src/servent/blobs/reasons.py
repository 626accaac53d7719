"""What a download does, or why it waits, in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from servent.blobs.rows import State

if TYPE_CHECKING:
    from servent.blobs.pick import Swarm
    from servent.blobs.source_service import Source
    from servent.net.views import PeerView


def why_nobody(
    sources: Sequence[Source], views: Callable[[], Sequence[PeerView]], ask_at: Collection[float], now: float
) -> str:
    """Who was asked, who is away, and when somebody is asked again.

    Args:
        ask_at: when those who had nothing are asked again.
    """
    asking = sum(source.state == "connecting" and source.session.connected for source in sources)
    if asking:
        return "asking the connected peers"
    away = next((source for source in sources if not source.session.connected), None)
    if away is not None:
        for view in views():
            if view.id == away.peer:
                return f"{view.petname or view.name or away.peer.short} is away: {view.reason}"
    if not ask_at:
        return "no peer is connected; going on as soon as one is"
    soon = max(0.0, min(ask_at) - now)
    return f"none of {len(ask_at)} connected peers offers it; asking again in {soon:.0f} s"


def what_happens(
    sources: Sequence[Source], swarm: Swarm | None, *, described: bool
) -> tuple[State, str] | None:
    """Its state and why; None when it has no source.

    Args:
        described: its list of files is known.
    """
    if any(source.in_swarm and any(lane.busy for lane in source.lanes) for source in sources):
        return "active", ""
    if queued := [source for source in sources if source.state == "queued"]:
        best = min(queued, key=lambda source: source.position or 1 << 20)
        return "queued", f"{best.peer.short}: {best.reason}"
    if any(source.state == "active" for source in sources):
        if swarm is not None and not swarm.available():
            return "active", "waiting for pieces that no connected peer has yet"
        return "active", "waiting for the next bytes"
    if not described and any(source.state == "offering" for source in sources):
        return "metadata", "getting the list of files"
    return None
