"""What of the configuration talk goes by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

From = Literal["friends", "network"]


class Settings(Protocol):
    """The section `talk` of the configuration; see `config.TalkSettings`. Read again each time."""

    messages_from: From
    keep_days: int


@dataclass
class Defaults:
    """The same where nothing is configured."""

    messages_from: From = "friends"
    keep_days: int = 0
