"""What of the configuration clusters go by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class Settings(Protocol):
    """The section `cluster` of the configuration; see `config.ClusterSettings`. Read again each time."""

    retire_minutes: float


@dataclass
class Defaults:
    """The same where nothing is configured."""

    retire_minutes: float = 10.0
