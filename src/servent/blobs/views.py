"""Frozen pictures of shares and transfers, for the API. Times are wall clock, rates bytes per second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from servent.blobs import magnet
from servent.blobs.canonical import content_of, parts_of
from servent.blobs.lanes_pace import Rates
from servent.blobs.rows import Priority, Row, State
from servent.errors import UsageError
from servent.identity import PeerId
from servent.limits import RateMeter

ShareState = Literal["hashing", "ready", "failed"]


class Settings(Protocol):
    """The section `blobs` of the configuration; rates in bytes per second, 0 for no limit."""

    up_bytes_per_s: int
    down_bytes_per_s: int
    per_peer_up_bytes_per_s: int
    per_peer_down_bytes_per_s: int
    upload_slots: int
    bulk: bool
    bulk_port: int
    polite: bool
    target_ms: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Rates in bytes per second, None for no limit, and how many peers are served at once."""

    up_bytes_per_s: float | None = None
    down_bytes_per_s: float | None = None
    per_peer_up_bytes_per_s: float | None = None
    per_peer_down_bytes_per_s: float | None = None
    upload_slots: int = 8

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        return cls(
            settings.up_bytes_per_s or None,
            settings.down_bytes_per_s or None,
            settings.per_peer_up_bytes_per_s or None,
            settings.per_peer_down_bytes_per_s or None,
            settings.upload_slots,
        )

    def rates(self) -> Rates:
        return Rates(
            self.up_bytes_per_s,
            self.down_bytes_per_s,
            self.per_peer_up_bytes_per_s,
            self.per_peer_down_bytes_per_s,
        )

    def check(self) -> None:
        """Raises UsageError."""
        rates = (
            self.up_bytes_per_s,
            self.down_bytes_per_s,
            self.per_peer_up_bytes_per_s,
            self.per_peer_down_bytes_per_s,
        )
        if any(rate is not None and rate <= 0 for rate in rates):
            raise UsageError("a rate is above zero", advice="Leave a limit out to have none.")
        if self.upload_slots < 1:
            raise UsageError("there is at least one upload slot")


@dataclass(frozen=True, slots=True)
class ShareView:
    """Something this node offers, or is hashing. `progress` runs from 0.0 to 1.0; `skipped`: (path, why)."""

    id: str
    infohash: bytes | None
    name: str
    path: str
    state: ShareState
    size_bytes: int = 0
    files: int = 0
    progress: float = 0.0
    reason: str = ""
    uploaded_bytes: int = 0
    skipped: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SourceView:
    """One peer of a transfer. `position`: place in its queue, 1 is next."""

    peer: PeerId
    name: str
    path: str | None
    lane: str | None
    rate_bytes_per_s: float
    state: str
    reason: str
    position: int | None
    bytes: int


@dataclass(frozen=True, slots=True)
class TransferView:
    """One transfer. `reason` is a sentence whenever nothing moves; `checking` the share of a check that is done.

    `content`: the pieces root in hex of the content it fetches; "" for a collection.
    """

    id: str
    direction: Literal["down", "up"]
    infohash: bytes
    name: str
    link: str
    state: State
    reason: str
    size_bytes: int
    done_bytes: int
    rate_bytes_per_s: float
    eta: float | None
    files: int
    sources: tuple[SourceView, ...]
    started: float | None = None
    finished: float | None = None
    path: str | None = None
    error: str | None = None
    advice: str | None = None
    checking: float | None = None
    priority: Priority = "normal"
    place: int | None = None
    foreground: bool = False
    in_order: bool = False
    wanted_files: int | None = None
    preview: bool = False
    content: str = ""


class _Source(Protocol):
    state: str
    reason: str
    position: int | None
    received_bytes: int
    meter: RateMeter

    @property
    def peer(self) -> PeerId: ...
    @property
    def lane_kind(self) -> str: ...


class _Download(Protocol):
    meter: RateMeter
    checking: float | None

    @property
    def current(self) -> Sequence[_Source]: ...


class _Holding(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def collection(self) -> _Named: ...


class _Named(Protocol):
    infohash: bytes
    info: bytes
    name: str
    size: int

    @property
    def files(self) -> tuple[object, ...]: ...


class _Upload(Protocol):
    peer: PeerId
    slot: bool
    reason: str
    position: int | None
    lane: str
    sent_bytes: int
    meter: RateMeter

    @property
    def holding(self) -> _Holding: ...


Name = Callable[[PeerId], str]
PathOf = Callable[[PeerId], str | None]


def link_of(infohash: bytes, name: str = "", info: bytes | None = None) -> str:
    """A link that anybody can follow who is connected to somebody who has it."""
    return magnet.encode(magnet.Magnet(infohash, name or None, (), parts_of(info)))


def download_view(
    row: Row,
    download: _Download | None,
    now: float,
    name: Name,
    path: PathOf,
    place: int | None = None,
    reason: str | None = None,
) -> TransferView:
    """A download; `download` is None while it does not run, `place` where it waits for its turn."""
    rate = download.meter.rate(now) if download is not None else 0.0
    left = row.size_bytes - row.done_bytes
    sources = [
        SourceView(
            source.peer,
            name(source.peer),
            path(source.peer),
            source.lane_kind or None,
            source.meter.rate(now),
            source.state,
            source.reason,
            source.position,
            source.received_bytes,
        )
        for source in (download.current if download is not None else ())
    ]
    return TransferView(
        row.id,
        "down",
        row.infohash,
        row.name,
        row.link or link_of(row.infohash, row.name, row.info),
        row.state,
        row.reason if reason is None else reason,
        row.size_bytes,
        row.done_bytes,
        rate,
        left / rate if rate > 1 and left > 0 else None,
        row.files,
        tuple(sources),
        row.started,
        row.finished,
        row.path,
        row.error,
        row.advice,
        download.checking if download is not None else None,
        row.priority,
        place,
        row.foreground,
        row.in_order,
        len(row.wanted) if row.wanted is not None else None,
        row.preview,
        content_of(row.info),
    )


@dataclass(frozen=True, slots=True)
class Sums:
    """All transfers in five numbers; rates in bytes per second."""

    down_bytes_per_s: float
    up_bytes_per_s: float
    active: int
    waiting: int
    done: int


def upload_id(upload: _Upload) -> str:
    return f"up-{upload.peer.short}-{upload.holding.collection.infohash.hex()[:8]}"


def upload_view(upload: _Upload, now: float, name: Name, path: PathOf) -> TransferView:
    """One peer fetching one collection from us."""
    collection = upload.holding.collection
    rate = upload.meter.rate(now)
    state: State = "active" if upload.slot else "queued"
    reason = "" if upload.slot and rate > 0 else upload.reason or "they ask for nothing now"
    who = SourceView(
        upload.peer,
        name(upload.peer),
        path(upload.peer),
        upload.lane or None,
        rate,
        state,
        reason,
        upload.position,
        upload.sent_bytes,
    )
    return TransferView(
        upload_id(upload),
        "up",
        collection.infohash,
        upload.holding.name,
        link_of(collection.infohash, upload.holding.name, collection.info),
        state,
        reason,
        collection.size,
        upload.sent_bytes,
        rate,
        None,
        len(collection.files),
        (who,),
    )
