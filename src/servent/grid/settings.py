"""What of the configuration the grid goes by: the policy of a volunteer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

Preset = Literal["quiet", "when-idle", "everything", "own"]


class Settings(Protocol):
    """The section `grid` of the configuration; see `config.GridSettings`. Read again each time."""

    lend: bool
    preset: Preset
    cores: int
    cpu_percent: int
    idle_minutes: float
    on_battery: bool
    hours: list[str]
    memory_percent: int
    disk_bytes: int
    transfer_bytes_per_day: int
    exclusive: list[str]
    fetch_ahead_minutes: float


@dataclass
class Defaults:
    """The same where nothing is configured. `cores` 0: all but one (of one, that one)."""

    lend: bool = False
    preset: Preset = "when-idle"
    cores: int = 0
    cpu_percent: int = 100
    idle_minutes: float = 3.0
    on_battery: bool = False
    hours: list[str] = field(default_factory=list)
    memory_percent: int = 50
    disk_bytes: int = 10_000_000_000
    transfer_bytes_per_day: int = 0
    exclusive: list[str] = field(default_factory=list)
    fetch_ahead_minutes: float = 10.0
