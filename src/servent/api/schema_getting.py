"""The stable surface, what is about getting: from a hit to a transfer, the queue, history, the first run."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from servent.api.schema import FilePatterns, PathText, ShortName
from servent.api.schema_share import Content, Kind, Page, PeerPath


class NewGet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fetch what a search or a listing showed.

    Either one content (`content`, `size_bytes`, `name`, and `peers` who have it), or a folder of a peer (`peer`,
    `path`) with its structure. `preview`: to look at; it goes to the cache, comes in order, and leaves by itself.
    `files`: of a folder only what matches one of these patterns; empty for all.
    """

    content: Content | None = None
    size_bytes: Annotated[int, Meta(ge=0, le=2**53)] = 0
    name: Annotated[str, Meta(max_length=255)] = ""
    peers: Annotated[list[ShortName], Meta(max_length=100)] = []
    peer: ShortName | None = None
    path: PeerPath = ""
    to: PathText | None = None
    preview: bool = False
    priority: Literal["low", "normal", "high"] = "normal"
    paused: bool = False
    files: FilePatterns = []


class TransferChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only what is given changes. `place`: 0 is the front of the queue. `to`: move what is complete, too."""

    priority: Literal["low", "normal", "high"] | None = None
    place: Annotated[int, Meta(ge=0, le=10**6)] | None = None
    foreground: bool | None = None
    in_order: bool | None = None
    to: PathText | None = None
    name: Annotated[str, Meta(min_length=1, max_length=255)] | None = None


class TransferFile(Struct, frozen=True, kw_only=True):
    index: int
    path: str
    size_bytes: int
    done_bytes: int = 0
    wanted: bool = True
    kind: Kind = "other"


class FileChoice(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which files of a collection to fetch; the others are left out, or stop.

    `wanted`: by index, null for all; of those only what matches one of the patterns in `files`, if there are any.
    """

    wanted: Annotated[list[Annotated[int, Meta(ge=0, le=10**7)]], Meta(max_length=100_000)] | None = None
    files: FilePatterns = []


class ManyTransfers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One action for many. `ids` empty: for all it fits."""

    action: Literal["pause", "resume", "cancel", "verify", "remove", "clear-ended"]
    ids: Annotated[list[ShortName], Meta(max_length=15_000)] = []


class ManyDone(Struct, frozen=True, kw_only=True):
    done: int = 0
    failed: list[str] = []


class HistoryQuery(Page, frozen=True, kw_only=True):
    q: Annotated[str, Meta(max_length=200)] = ""
    direction: Literal["down", "up", ""] = ""


class HistoryEntry(Struct, frozen=True, kw_only=True):
    """A transfer that ended. For "up": to one peer."""

    id: str
    direction: Literal["down", "up"]
    name: str
    state: str
    size_bytes: int = 0
    moved_bytes: int = 0
    link: str = ""
    path: str | None = None
    peers: list[str] = []
    started: float | None = None
    finished: float | None = None
    error: str = ""


class History(Struct, frozen=True, kw_only=True):
    entries: list[HistoryEntry] = []
    total: int = 0


class ScheduleRule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits for part of the week, local time. `days`: 0 Monday to 6. `begin` after `end` goes over midnight."""

    days: Annotated[list[Annotated[int, Meta(ge=0, le=6)]], Meta(min_length=1, max_length=7)] = field(
        default_factory=lambda: list(range(7))
    )
    begin: Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    end: Annotated[str, Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    up_bytes_per_s: Annotated[int, Meta(ge=1024, le=2**50)] | None = None
    down_bytes_per_s: Annotated[int, Meta(ge=1024, le=2**50)] | None = None
    pause: bool = False


class PeerLimit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    peer: ShortName
    up_bytes_per_s: Annotated[int, Meta(ge=1024, le=2**50)] | None = None
    down_bytes_per_s: Annotated[int, Meta(ge=1024, le=2**50)] | None = None


class Queue(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How transfers share this machine and its line.

    `most_active`: downloads that move at once. `polite`: background transfers keep the added delay of the line to
    `target_ms`. `on_complete`: a program run after each download, see `docs/settings.md`. `now` is a sentence
    about what holds at this moment (read only). `alternative`: the second set of limits holds in place of the usual
    ones and of the schedule's, until it is switched off; switched by hand, for "not so fast for a while".
    """

    most_active: Annotated[int, Meta(ge=1, le=1000)] = 5
    schedule: Annotated[list[ScheduleRule], Meta(max_length=50)] = []
    peers: Annotated[list[PeerLimit], Meta(max_length=1000)] = []
    polite: bool = True
    target_ms: Annotated[int, Meta(ge=5, le=500)] = 20
    on_complete: Annotated[str, Meta(max_length=1000)] = ""
    now: str = ""
    alternative: bool = False
    alternative_up_bytes_per_s: Annotated[int, Meta(ge=1024, le=2**50)] | None = 500_000
    alternative_down_bytes_per_s: Annotated[int, Meta(ge=1024, le=2**50)] | None = 2_000_000


# first run


class Setup(Struct, frozen=True, kw_only=True):
    """For the first-run wizard. `folder` is a suggestion."""

    done: bool
    name: str
    folder: str
    downloads: str


class SetupDone(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """End the wizard. What is None stays as it is."""

    name: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
