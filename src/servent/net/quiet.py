"""Says a thing that happens often only now and then, with how often it happened. A core."""

from __future__ import annotations

MOST_KINDS = 256  # beyond, kinds share one line: a peer must not grow our memory by being inventive


class Quiet:
    """Decides which of many equal log lines is written.

    Args:
        every: at most one line per kind in this many seconds.
    """

    def __init__(self, every: float = 10.0) -> None:
        self._every = every
        self._kinds: dict[str, tuple[float, int]] = {}  # kind -> (silent until, kept back since)

    def note(self, kind: str, now: float) -> int:
        """How many happenings the line to write now stands for; 0 when nothing is to be written."""
        if kind not in self._kinds and len(self._kinds) >= MOST_KINDS:
            self._kinds = {k: held for k, held in self._kinds.items() if held[0] > now or held[1]}
            if len(self._kinds) >= MOST_KINDS:
                kind = "other"
        until, held = self._kinds.get(kind, (now, 0))
        if now < until:
            self._kinds[kind] = (until, held + 1)
            return 0
        self._kinds[kind] = (now + self._every, 0)
        return held + 1


def others(times: int) -> str:
    """What to add to a line that stands for `times` happenings."""
    return f" (and {times - 1} more like it)" if times > 1 else ""
