"""What batches ask of the other parts of the room."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from servent.grid.coordinator_views import Added, BatchLook, Final, Piece, UnitLook
from servent.grid.manifests import App, Content

if TYPE_CHECKING:
    import sqlite3


class Coordinating(Protocol):
    """What is asked of `coordinator_service.Coordinator`."""

    async def add_units(
        self,
        project: bytes,
        app: bytes,
        batch: int,
        pieces: Sequence[Piece],
        *,
        priority: int = 0,
        deadline: float = 86400.0,
        expires: float | None = None,
        budget: int | None = None,
        along: Callable[[sqlite3.Connection, Sequence[Added]], None] | None = None,
    ) -> list[Added]: ...

    async def cancel(self, *, batch: int | None = None, units: Sequence[int] = ()) -> int: ...

    async def change(
        self,
        batch: int,
        *,
        priority: int | None = None,
        deadline: float | None = None,
        paused: bool | None = None,
    ) -> BatchLook: ...

    def on_final(self, callback: Callable[[Sequence[Final]], None]) -> None: ...
    async def finals(self, after: int = 0, limit: int = 1000, *, batch: int | None = None) -> list[Final]: ...
    async def forget(self, units: Sequence[int]) -> int: ...
    async def results(self, units: Sequence[int]) -> dict[int, Final]: ...
    async def some_units(self, project: bytes, units: Sequence[int]) -> dict[int, UnitLook]: ...
    def batch(self, batch: int) -> BatchLook: ...


class Keeping(Protocol):
    """What is asked of `contents_service.Contents`."""

    async def publish_many(
        self, what: Sequence[tuple[bytes | Path, str]], *, project: bytes = b"", move: bool = False
    ) -> list[Content]: ...

    async def drop(self, contents: Iterable[Content], *, project: bytes = b"") -> None: ...
    def path(self, content: Content) -> Path | None: ...
    def release(self, keep: str) -> None: ...


class Apps(Protocol):
    """What is asked of `projects_service.Projects`."""

    def app_manifest(self, key: bytes, app: str) -> tuple[bytes, App]: ...
    def name_of(self, key: bytes) -> str: ...
