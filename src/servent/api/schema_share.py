"""The stable surface, what is about sharing: library, search, browse, wishes, feeds, codes, safety.

The same rules as in `schema`. `content` is a blob's name everywhere: its BEP 52 pieces root, 64 hex digits.
A peer is named by its id, in requests also by petname, name or short id; "me" is this node.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from servent.api.schema import PathText, ShortName

Audience = Literal["nobody", "friends", "network", "peers"]  # "peers": those named, and nobody else
Kind = Literal["audio", "video", "image", "document", "archive", "program", "other"]
Pattern = Annotated[str, Meta(min_length=1, max_length=256)]
Content = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
QueryText = Annotated[str, Meta(min_length=1, max_length=500)]
PeerPath = Annotated[str, Meta(max_length=4096)]  # "/"-separated, below what they share; "" is the top
Tag = str | int | float
MOST_PAGE = 1000


class Page(Struct, frozen=True, kw_only=True):
    """Which rows of a long list."""

    offset: Annotated[int, Meta(ge=0, le=10**9)] = 0
    limit: Annotated[int, Meta(ge=1, le=MOST_PAGE)] = 200


# library


class NewFolder(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A folder to share. `confirm`: share it although it holds what people rarely mean to share (409 says what)."""

    path: PathText
    name: Annotated[str, Meta(max_length=255)] = ""
    audience: Audience = "network"
    peers: Annotated[list[ShortName], Meta(max_length=1000)] = []
    include: Annotated[list[Pattern], Meta(max_length=100)] = []
    exclude: Annotated[list[Pattern], Meta(max_length=100)] = []
    hidden: bool = False
    confirm: bool = False


class FolderChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only what is given changes."""

    name: Annotated[str, Meta(max_length=255)] | None = None
    audience: Audience | None = None
    peers: Annotated[list[ShortName], Meta(max_length=1000)] | None = None
    include: Annotated[list[Pattern], Meta(max_length=100)] | None = None
    exclude: Annotated[list[Pattern], Meta(max_length=100)] | None = None
    hidden: bool | None = None
    confirm: bool = False


class Folder(Struct, frozen=True, kw_only=True):
    """A shared folder. `name` is what others see in place of `path`. `reason` is a sentence unless it is quiet.

    `hashed_*` of `files`, `size_bytes`: how far it can be found and fetched already.
    """

    id: str
    path: str
    name: str
    audience: Audience
    peers: list[str] = []
    include: list[str] = []
    exclude: list[str] = []
    hidden: bool = False
    state: Literal["scanning", "hashing", "watching", "paused", "failed"]
    reason: str = ""
    files: int = 0
    size_bytes: int = 0
    hashed_files: int = 0
    hashed_bytes: int = 0
    rate_bytes_per_s: float = 0.0
    eta_s: float | None = None
    skipped: int = 0
    skipped_why: list[str] = []
    scanned: float | None = None


class Library(Struct, frozen=True, kw_only=True):
    folders: int = 0
    files: int = 0
    size_bytes: int = 0
    hashed_files: int = 0
    hashed_bytes: int = 0
    kinds: dict[str, int] = {}
    state: Literal["empty", "scanning", "hashing", "ready", "paused"] = "empty"
    reason: str = ""


# search and browse


class HitSource(Struct, frozen=True, kw_only=True):
    """One place where a hit is. `path`: "/"-separated below what they share. `free`: an upload slot is free.

    `network`: the name of the one it was found in, "" for who was asked directly. `reachable`: whether it can be
    connected to now, None when that is not known.
    """

    peer: str
    name: str = ""
    path: str = ""
    mine: bool = False
    friend: bool = False
    free: bool = False
    queue: int = 0
    modified: float | None = None
    network: str = ""
    reachable: bool | None = None


class Hit(Struct, frozen=True, kw_only=True):
    """One content, folded from all who have it. The same `content` again replaces the earlier hit.

    `tags`: artist, album, title, track, year, genre, duration_s, bitrate_kbps, width, height, …; what files say
    of themselves, never verified.
    """

    content: str
    name: str
    kind: Kind
    size_bytes: int
    ext: str = ""
    tags: dict[str, Tag] = {}
    sources: list[HitSource] = []
    score: float = 0.0
    here: bool = False
    blocked: str = ""


class SearchQuery(Struct, frozen=True, kw_only=True):
    """`scope`: own library, others, all of them, or only what the supernodes of networks know.

    `network`: of others, only members of this one. `wait`: seconds for peers to answer.
    """

    q: QueryText
    scope: Literal["all", "library", "peers", "networks"] = "all"
    peer: Annotated[str, Meta(max_length=64)] = ""
    network: Annotated[str, Meta(max_length=64)] = ""
    limit: Annotated[int, Meta(ge=1, le=5000)] = 500
    wait: Annotated[float, Meta(ge=0.1, le=60)] = 8.0


class SearchEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the answer to `/search` (NDJSON): hits as they come, who was asked and has answered, the end.

    "network" says how far the search through the networks is: `asked` and `answered` count supernodes then, `messages`
    what it cost so far; `sampled`: there is more than anyone keeps; `over`: that was all of this network.
    `kind` "done" is always last; `more`: there was more than `limit`, narrow the query.
    """

    kind: Literal["hit", "peer", "network", "done"]
    hit: Hit | None = None
    peer: str = ""
    name: str = ""
    hits: int = 0
    asked: int = 0
    answered: int = 0
    more: bool = False
    took_ms: float = 0.0
    reason: str = ""
    network: str = ""
    messages: int = 0
    sampled: bool = False
    over: bool = False


class BrowseQuery(Page, frozen=True, kw_only=True):
    """`sort` is done by whom is browsed; folders come first."""

    path: PeerPath = ""
    sort: Literal["name", "size", "modified"] = "name"
    down: bool = False
    filter: Annotated[str, Meta(max_length=200)] = ""


class Entry(Struct, frozen=True, kw_only=True):
    """A row of a listing. For a folder `files` and `size_bytes` count everything below. `here`: we have it.

    `blocked`: why search and recommendations do not show it, as a sentence; "" when nothing speaks against it.
    """

    name: str
    folder: bool = False
    size_bytes: int = 0
    files: int = 0
    content: str = ""
    kind: Kind = "other"
    tags: dict[str, Tag] = {}
    modified: float | None = None
    here: bool = False
    blocked: str = ""


class Listing(Struct, frozen=True, kw_only=True):
    """A part of one folder. `total` rows are there in all; `partial`: they are still hashing."""

    peer: str
    name: str = ""
    path: str = ""
    entries: list[Entry] = []
    offset: int = 0
    total: int = 0
    files: int = 0
    size_bytes: int = 0
    partial: bool = False


class Recommendation(Struct, frozen=True, kw_only=True):
    """Something we have not that peers have who share much of what we have. `because` is a sentence."""

    hit: Hit
    because: str
    score: float = 0.0


# wishes


class NewWish(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A query that keeps watching. `auto`: fetch what matches, at most `max_bytes` for one and `most` in all."""

    q: QueryText
    auto: bool = False
    max_bytes: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    most: Annotated[int, Meta(ge=1, le=10_000)] = 10
    peers: Annotated[list[ShortName], Meta(max_length=100)] = []
    to: PathText | None = None


class WishChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    q: QueryText | None = None
    auto: bool | None = None
    max_bytes: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    most: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    peers: Annotated[list[ShortName], Meta(max_length=100)] | None = None
    to: PathText | None = None
    paused: bool | None = None
    seen: bool | None = None


class Wish(Struct, frozen=True, kw_only=True):
    """`new`: matches nobody has looked at. `reason` says what it waits for, or why it does not fetch."""

    id: str
    q: str
    auto: bool = False
    max_bytes: int | None = None
    most: int = 10
    peers: list[str] = []
    to: str | None = None
    paused: bool = False
    matches: int = 0
    new: int = 0
    fetched: int = 0
    created: float = 0.0
    last_match: float | None = None
    last_asked: float | None = None
    reason: str = ""


class WishMatch(Struct, frozen=True, kw_only=True):
    hit: Hit
    found: float
    seen: bool = False
    transfer: str = ""


# feeds


class NewFeed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name of ours for the newest version of a file or folder. `watch`: publish a version when it changes."""

    name: ShortName
    path: PathText
    watch: bool = True


class FollowRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`auto`: fetch each new version; else only tell. `keep`: how many old versions stay on disk."""

    link: Annotated[str, Meta(min_length=1, max_length=16384)]
    to: PathText | None = None
    auto: bool = True
    keep: Annotated[int, Meta(ge=0, le=100)] = 0


class FeedChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    auto: bool | None = None
    watch: bool | None = None
    paused: bool | None = None
    keep: Annotated[int, Meta(ge=0, le=100)] | None = None


class FeedVersion(Struct, frozen=True, kw_only=True):
    sequence: int
    published: float
    infohash: str
    size_bytes: int = 0
    files: int = 0
    note: str = ""


class Feed(Struct, frozen=True, kw_only=True):
    """Ours (`mine`) or followed. `sequence`: the newest known; `have`: the newest that is here, 0 for none.

    `transfer`: the one that fetches, "" while none does. `reason` is a sentence unless all is well.
    """

    id: str
    name: str
    mine: bool
    publisher: str
    publisher_name: str = ""
    link: str = ""
    path: str | None = None
    state: Literal["publishing", "published", "waiting", "fetching", "current", "paused", "failed"]
    reason: str = ""
    auto: bool = True
    watch: bool = True
    keep: int = 0
    sequence: int = 0
    have: int = 0
    size_bytes: int = 0
    files: int = 0
    updated: float | None = None
    checked: float | None = None
    transfer: str = ""
    followers: int = 0
    versions: list[FeedVersion] = []


# codes


class NewCode(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Offer `path` to whoever says the code. `contact`: both become contacts. `lifetime` in seconds."""

    path: PathText
    contact: bool = False
    lifetime: Annotated[float, Meta(ge=10, le=7 * 86400)] = 3600.0


class ReceiveRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`contact`: keep the sender as a contact, if the sender keeps us."""

    code: Annotated[str, Meta(min_length=3, max_length=200)]
    to: PathText | None = None
    contact: bool = True


class CodeText(Struct, frozen=True, kw_only=True):
    """As much of a code as was typed."""

    text: Annotated[str, Meta(max_length=200)] = ""


class Code(Struct, frozen=True, kw_only=True):
    """A hand-over by spoken code. `code` is shown to its maker only. `reason` is always a sentence."""

    id: str
    sending: bool
    code: str = ""
    state: Literal["preparing", "waiting", "meeting", "moving", "done", "failed", "cancelled"]
    reason: str = ""
    name: str = ""
    size_bytes: int = 0
    files: int = 0
    transfer: str = ""
    peer: str = ""
    peer_name: str = ""
    expires: float | None = None
    started: float = 0.0
    path: str | None = None


# safety


class NewBlock(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Never show, fetch or serve one content (`content`, for people `name`), or anything with a peer (`peer`)."""

    content: Content | None = None
    peer: ShortName | None = None
    name: Annotated[str, Meta(max_length=255)] = ""
    note: Annotated[str, Meta(max_length=500)] = ""


class Block(Struct, frozen=True, kw_only=True):
    id: str
    content: str = ""
    peer: str = ""
    name: str = ""
    note: str = ""
    since: float = 0.0


class NewReport(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Say that something is bad: blocked here, and the admins of the networks shared with its holder are told."""

    content: Content | None = None
    peer: ShortName | None = None
    name: Annotated[str, Meta(max_length=255)] = ""
    reason: Literal["malware", "illegal", "mislabelled", "spam", "abuse", "other"] = "other"
    note: Annotated[str, Meta(max_length=500)] = ""


class Report(Struct, frozen=True, kw_only=True):
    """Made by us, or received as the admin of a network (`by` then names who made it)."""

    id: str
    content: str = ""
    peer: str = ""
    name: str = ""
    reason: str = "other"
    note: str = ""
    by: str = ""
    mine: bool = True
    told: int = 0
    time: float = 0.0


class Filters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is never shown in hits, matches and recommendations; browsing shows it greyed."""

    words: Annotated[list[Pattern], Meta(max_length=1000)] = []
    exts: Annotated[list[Annotated[str, Meta(min_length=1, max_length=16)]], Meta(max_length=200)] = []
    kinds: Annotated[list[Kind], Meta(max_length=7)] = []
    max_bytes: Annotated[int, Meta(ge=1, le=2**53)] | None = None
    min_bytes: Annotated[int, Meta(ge=1, le=2**53)] | None = None
