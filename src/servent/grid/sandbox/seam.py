"""What the volunteer's side asks of the sandbox, so that tests can put another in its place. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from servent.grid.sandbox.jobs import Ended, Job, Moving, Saved


class Sandbox(Protocol):
    """What is asked of `sandbox.slots_service.Slots`."""

    def number(self) -> int: ...

    async def run(
        self,
        job: Job,
        on_moving: Callable[[Moving], None] | None = None,
        on_saved: Callable[[Saved], None] | None = None,
    ) -> Ended: ...

    def watch(self, number: int, on_picture: Callable[[bytes], None] | None) -> None: ...

    def suspend(self, number: int) -> None: ...

    async def suspend_all(self) -> None: ...

    def resize(self, cores: int) -> None: ...

    def pace(self, percent: int) -> None: ...

    async def measure(self) -> float: ...
