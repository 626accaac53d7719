"""Batches: work that is submitted at once, and its results, each collected exactly once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from servent.grid import project_views as views


class Batches:
    """Owns the batches of all own projects; their numbers are unique in this node."""

    async def submit(
        self,
        project: bytes,
        app: str,
        *,
        paths: Sequence[Path] = (),
        items: Sequence[bytes] = (),
        args: Sequence[str] = (),
        title: str = "",
        priority: int = 0,
        deadline: float = 86400.0,
        expires: float | None = None,
        operations: float | None = None,
        repeat: int = 1,
        again: bool = False,
        budget: float | None = None,
        checks: Sequence[tuple[bytes, bytes]] = (),
        to: Path | None = None,
    ) -> views.Batch:
        """Returns once everything is stored, and inputs are hashed. See `api.schema_grid.NewBatch`; `operations` in FLOP, `budget` in cobblestones.

        Raises:
            NotFound: no such app, or path. UsageError: nothing to compute, or more than may be.
        """
        raise NotImplementedError

    def all(self, project: bytes | None = None) -> list[views.Batch]:
        """The newest first."""
        raise NotImplementedError

    def view(self, batch: int) -> views.Batch:
        """Raises NotFound."""
        raise NotImplementedError

    async def change(
        self,
        batch: int,
        *,
        priority: int | None = None,
        deadline: float | None = None,
        paused: bool | None = None,
    ) -> views.Batch:
        raise NotImplementedError

    async def cancel(self, batch: int) -> views.Batch:
        """What is done stays; nothing more of it is computed."""
        raise NotImplementedError

    async def forget(self, batch: int) -> None:
        """A batch that is over, with its results that lie in the node. Raises UsageError: it is not over."""
        raise NotImplementedError

    async def results(self, batch: int, after: int = 0, limit: int = 100, wait: float = 0.0) -> views.Results:
        """In the order in which they came; `wait`: seconds to wait for one more where there is none."""
        raise NotImplementedError

    async def output(self, batch: int, number: int) -> bytes:
        """The result of a unit. Raises NotFound: there is none (yet)."""
        raise NotImplementedError

    async def collect(self, batch: int, to: Path) -> list[Path]:
        """Write all results that are there as files into a folder, with `results.jsonl`. The files."""
        raise NotImplementedError

    def watch(self, batch: int) -> AsyncIterator[views.UnitResult]:
        """Results as they come, until the batch is over."""
        raise NotImplementedError
