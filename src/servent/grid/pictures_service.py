"""What units show to whoever looks at this machine's work. While nobody does, no unit is asked for anything."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from msgspec import Struct

from servent.errors import BadMessage, NotFound
from servent.grid.held import Held
from servent.grid.pictures import Picture, read_picture
from servent.grid.sandbox.seam import Sandbox

log = logging.getLogger("servent.grid")

LINGER = 3.0  # s after the last question about a core, until nobody is taken to look at it any more


class Looked(Struct, frozen=True):
    """The newest picture of the unit on a core, None where it has shown none yet, or none since the one that was known. `serial` counts up with each of them."""

    unit: str
    serial: int
    picture: Picture | None


class Pictures:
    """Of all cores. On the loop.

    Args:
        running: what is computed now, `slot` by `slot`.
    """

    def __init__(self, slots: Sandbox, running: Callable[[], Sequence[Held]]) -> None:
        self._slots, self._running = slots, running
        self._clock = asyncio.get_running_loop().time
        self._seen: dict[int, _Seen] = {}  # by core

    def look(self, core: int, after: int = 0) -> Looked:
        """What a core shows; asked again and again by who looks at it. `after`: the serial that is known.

        Raises NotFound where nothing runs there.
        """
        held = next((one for one in self._running() if one.slot == core), None)
        if held is None:
            raise NotFound(
                f"nothing runs on core {core + 1} now", advice="`servent grid status` shows what does."
            )
        seen = self._seen.get(core)
        if seen is None or seen.held is not held or seen.job != held.job:
            if seen is not None:
                self._slots.watch(seen.job, None)
            serial = seen.serial if seen is not None else 0
            seen = self._seen[core] = _Seen(held, serial)
        if not seen.watched:
            seen.watched = True
            self._slots.watch(held.job, lambda said: self._came(seen, said))
        seen.until = self._clock() + LINGER
        fresh = seen.picture if seen.serial != after else None
        return Looked(held.task.unit.hex()[:16], seen.serial, fresh)

    def _came(self, seen: _Seen, said: bytes) -> None:
        if self._clock() > seen.until:
            seen.watched = False
            seen.picture = None
            self._slots.watch(seen.job, None)
            return
        try:
            seen.picture = read_picture(said)
        except BadMessage as wrong:
            if str(wrong) != seen.trouble:
                seen.trouble = str(wrong)
                log.info("unit %s shows no picture: %s", seen.held.task.unit.hex()[:16], wrong)
            return
        seen.serial += 1


class _Seen:
    """A core that is looked at, and the unit that it was on then."""

    def __init__(self, held: Held, serial: int) -> None:
        self.held, self.job, self.serial = held, held.job, serial
        self.until = 0.0
        self.watched = False
        self.picture: Picture | None = None
        self.trouble = ""
