"""A volunteer that cheats: the usual program, but what its sandbox gives is changed before it is returned. For the demo and for tests.

Started as `python -m servent.testing.cheating …`, with the arguments of `servent`. Every result it returns is wrong, and each in its own way.
"""

from __future__ import annotations

import hashlib
import runpy
import sys
from collections.abc import Callable

from msgspec import structs

from servent.grid import service
from servent.grid.sandbox.jobs import Ended, Job, Moving, Saved
from servent.grid.sandbox.slots_service import Slots


class Cheating(Slots):
    """Runs every job as it should be, and says that something else came of it."""

    async def run(
        self,
        job: Job,
        on_moving: Callable[[Moving], None] | None = None,
        on_saved: Callable[[Saved], None] | None = None,
    ) -> Ended:
        """As `Slots.run`, with a wrong result."""
        ended = await super().run(job, on_moving, on_saved)
        if ended.outcome != "done" or ended.suspended or ended.output_path:
            return ended
        output = ended.output + b"7"
        return structs.replace(ended, output=output, digest=hashlib.sha256(output).digest(), size=len(output))


def main() -> None:
    """Run `servent` with the arguments of the command line, cheating."""
    vars(service)["Slots"] = Cheating
    sys.argv[0] = "servent"
    runpy.run_module("servent", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
