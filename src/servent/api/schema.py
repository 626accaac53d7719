"""The stable surface: what the API takes and gives, as Structs. Fields are only ever added, with a default.

Units: bytes, bytes per second, milliseconds where a name says `_ms`; durations and times else are float
seconds, times of day are Unix time. Ids of peers are 52 characters of z-base-32, ids of shares and
collections 64 hex digits (BEP 52 infohash).
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from servent.api.schema_doctor import Way

API = "/api/v1"
API_VERSION = 1

Text = Annotated[str, Meta(min_length=1, max_length=2048)]
ShortName = Annotated[str, Meta(min_length=1, max_length=64)]
Link = Annotated[str, Meta(min_length=1, max_length=16384)]
PathText = Annotated[str, Meta(min_length=1, max_length=4096)]
FilePatterns = Annotated[list[Annotated[str, Meta(min_length=1, max_length=255)]], Meta(max_length=100)]
Rate = Annotated[int, Meta(ge=1024, le=2**50)]  # bytes per second
Lifetime = Annotated[float, Meta(gt=0, le=10 * 365 * 86400.0)]

PathKind = Literal["direct", "relayed"]
Scope = Literal["read", "control", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "control", "admin")  # each includes the ones before it
Topic = Literal[
    "status",
    "reach",
    "peers",
    "transfers",
    "shares",
    "networks",
    "shape",
    "folders",
    "wishes",
    "feeds",
    "codes",
    "friends",
    "conversations",
    "rooms",
    "messages",
    "presence",
    "notices",
    "talk",
    "torrents",
    "lending",
    "joined",
    "projects",
    "batches",
    "clusters",
    "log",
    "resync",
]
TOPICS: tuple[Topic, ...] = (
    "status", "reach", "peers", "transfers", "shares", "networks", "shape", "folders", "wishes", "feeds", "codes",
    "friends", "conversations", "rooms", "messages", "presence", "notices", "talk", "torrents",
    "lending", "joined", "projects", "batches", "clusters", "log",
)  # fmt: skip
PRIVATE: frozenset[str] = frozenset({"codes", "conversations", "messages", "notices"})  # not for `read`
TransferState = Literal[
    "connecting", "metadata", "queued", "active", "paused", "checking", "complete", "failed", "cancelled"
]
ENDED: frozenset[str] = frozenset({"complete", "failed", "cancelled"})


class Problem(Struct, frozen=True, kw_only=True):
    """Every answer that is no success (RFC 9457, application/problem+json).

    `type` is one of `usage`, `confirm`, `not-found`, `refused`, `unreachable`, `world`, `peer`, `timeout`,
    `unauthorized`, `bug`, each as `urn:servent:<word>`; `advice` is the next step for the person.
    """

    type: str
    title: str
    status: int
    detail: str = ""
    advice: str = ""


class Ping(Struct, frozen=True):
    """The only answer without a token."""

    version: str
    api: int = API_VERSION


class Health(Struct, frozen=True, kw_only=True):
    """`ok` while the node works; `loop_lag_ms` is how late its event loop ran during the last second."""

    ok: bool
    version: str
    uptime: float
    loop_lag_ms: float = 0.0


class ReachStatus(Struct, frozen=True, kw_only=True):
    """How others reach this node. `nat`: public, easy, symmetric, udp-blocked or unknown."""

    summary: str
    nat: str = "unknown"
    ipv4: bool = False
    ipv6: bool = False
    addresses: list[str] = []
    observed: list[str] = []
    relay: str | None = None
    relayed_because: str | None = None
    remedies: list[str] = []


class PeerCounts(Struct, frozen=True, kw_only=True):
    total: int = 0
    direct: int = 0
    relayed: int = 0


class TransferCounts(Struct, frozen=True, kw_only=True):
    active: int = 0
    waiting: int = 0
    done: int = 0


class Status(Struct, frozen=True, kw_only=True):
    """One glance at the node."""

    id: str
    short_id: str
    name: str
    version: str
    uptime: float
    data_dir: str
    download_dir: str
    api_url: str
    web_url: str | None = None
    pid: int = 0
    networks: list[str] = []
    reach: ReachStatus
    peers: PeerCounts
    transfers: TransferCounts
    up_bytes_per_s: float = 0.0
    down_bytes_per_s: float = 0.0
    loop_lag_ms: float = 0.0
    memory_bytes: int = 0


class NodeId(Struct, frozen=True, kw_only=True):
    """Who this node is. `uri` is what the QR codes hold: the id alone, no secret."""

    id: str
    short_id: str
    name: str
    uri: str
    qr_svg: str = ""
    qr_text: str = ""


class Passphrase(Struct, frozen=True):
    passphrase: Annotated[str, Meta(min_length=8, max_length=1024)]


class Backup(Struct, frozen=True):
    """The node's key, sealed with the passphrase; text armor to keep in a safe place."""

    backup: str


class TicketRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`once`: good for one person. `lifetime` in seconds, None for the node's default."""

    once: bool = False
    lifetime: Lifetime | None = None


class Ticket(Struct, frozen=True, kw_only=True):
    """A `servent:` URI that lets whoever holds it connect. `expires` is Unix time."""

    ticket: str
    expires: float | None = None
    qr_svg: str = ""
    qr_text: str = ""


class JoinRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    ticket: Text


class Joined(Struct, frozen=True, kw_only=True):
    """`kind`: "contact" or "network". `connected` is False when they could not be reached yet."""

    kind: Literal["contact", "network"]
    peer: str | None = None
    network: str | None = None
    connected: bool = False
    reason: str = ""


class Peer(Struct, frozen=True, kw_only=True):
    """Someone else's node. `reason` says why it is relayed, or why it is not connected."""

    id: str
    short_id: str
    name: str = ""
    petname: str | None = None
    path: PathKind | None = None
    rtt_ms: float | None = None
    address: str | None = None
    networks: list[str] = []
    friend: bool = False
    blocked: bool = False
    connected: bool = False
    since: float | None = None
    sent_bytes: int = 0
    received_bytes: int = 0
    up_bytes_per_s: float = 0.0
    down_bytes_per_s: float = 0.0
    software: str = ""
    reason: str = ""


class PeerChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Only what is given changes; an empty petname removes it."""

    petname: Annotated[str, Meta(max_length=64)] | None = None
    friend: bool | None = None
    blocked: bool | None = None


class PingQuery(Struct, frozen=True, kw_only=True):
    count: Annotated[int, Meta(ge=1, le=100)] = 4


class PingResult(Struct, frozen=True, kw_only=True):
    id: str
    name: str = ""
    rtts_ms: list[float] = []
    lost: int = 0
    path: PathKind | None = None
    address: str | None = None


Audience = Literal["nobody", "friends", "network", "everyone"]


class Grant(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may use one service of this node."""

    service: ShortName
    audience: Audience
    peers: list[ShortName] = []


class GrantQuery(Struct, frozen=True, kw_only=True):
    service: ShortName


class NewShare(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`path` on the node's machine, absolute. `wait`: answer when the link is there."""

    path: PathText
    wait: bool = False


class Share(Struct, frozen=True, kw_only=True):
    """A folder or file offered to others. `link` is "" while it is still being hashed."""

    id: str
    name: str
    path: str
    state: Literal["hashing", "ready", "failed"]
    link: str = ""
    infohash: str = ""
    size_bytes: int = 0
    files: int = 0
    progress: float = 0.0
    reason: str = ""
    uploaded_bytes: int = 0


class NewDownload(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`to`: folder on the node's machine, absolute; None for the node's download folder.

    `files`: only files inside that match one of these patterns; empty for all.
    """

    link: Link
    to: PathText | None = None
    files: FilePatterns = []


class Source(Struct, frozen=True, kw_only=True):
    """One peer of a transfer. `position`: place in its queue, 1 is next; `bytes`: what it gave or got so far."""

    peer: str
    name: str = ""
    path: PathKind | None = None
    lane: Literal["tcp", "quic"] | None = None
    rate_bytes_per_s: float = 0.0
    state: str = ""
    position: int | None = None
    reason: str = ""
    bytes: int = 0


class Transfer(Struct, frozen=True, kw_only=True):
    """`reason` is always a sentence while nothing moves; `advice` the next step after a failure.

    `checking`: share of a check of what is on disk that is done, None while there is none. `place`: in the queue
    of downloads that wait for their turn, 0 is next. `wanted_files`: how many of `files`, None for all.
    `content`: the name of the content it fetches, "" when it is a collection.
    """

    id: str
    direction: Literal["down", "up"]
    name: str
    state: TransferState
    link: str = ""
    infohash: str = ""
    peers: int = 0
    reason: str = ""
    size_bytes: int = 0
    done_bytes: int = 0
    rate_bytes_per_s: float = 0.0
    eta_s: float | None = None
    files: int = 0
    sources: list[Source] = []
    started: float | None = None
    finished: float | None = None
    path: str | None = None
    error: str | None = None
    advice: str | None = None
    checking: float | None = None
    priority: Literal["low", "normal", "high"] = "normal"
    place: int | None = None
    foreground: bool = False
    in_order: bool = False
    wanted_files: int | None = None
    preview: bool = False
    content: str = ""


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """None: no limit."""

    up_bytes_per_s: Rate | None = None
    down_bytes_per_s: Rate | None = None
    per_peer_up_bytes_per_s: Rate | None = None
    per_peer_down_bytes_per_s: Rate | None = None
    upload_slots: Annotated[int, Meta(ge=1, le=1000)] | None = None


class Check(Struct, frozen=True, kw_only=True):
    name: str
    title: str
    outcome: Literal["pass", "warn", "fail", "skip"]
    detail: str = ""
    remedy: str = ""


class PeerWhy(Struct, frozen=True, kw_only=True):
    """Why a peer is direct, relayed or away; `remedy` says what would help, if anything is needed."""

    id: str
    name: str = ""
    path: PathKind | None = None
    address: str | None = None
    rtt_ms: float | None = None
    why: str = ""
    remedy: str = ""


RoleName = Literal["index", "relay", "observer", "store", "compute"]
RoleWish = Literal["auto", "on", "off"]
NetworkMode = Literal["server", "hybrid", "p2p"]


class Role(Struct, frozen=True, kw_only=True):
    """One thing this node may do for others. `wish`: what was set here; `active`: done now; `why`: a sentence."""

    name: RoleName
    wish: RoleWish = "auto"
    active: bool = False
    why: str = ""


class NetworkRole(Struct, frozen=True, kw_only=True):
    """What this node is in one network: a supernode (`index`) or a leaf, and why, as a sentence."""

    network: str
    mode: NetworkMode
    index: bool = False
    why: str = ""


class Doctor(Struct, frozen=True, kw_only=True):
    checks: list[Check]
    peers: list[PeerWhy] = []
    networks: list[NetworkRole] = []
    roles: list[Role] = []
    ways: list[Way] = []


class Setting(Struct, frozen=True, kw_only=True):
    """One setting. `source`: default, file, environment or flag; `restart`: takes effect at the next start."""

    key: str
    value: str | int | float | bool | list[str] | None
    default: str | int | float | bool | list[str] | None = None
    source: str = "default"
    help: str = ""
    restart: bool = True


class Config(Struct, frozen=True, kw_only=True):
    path: str
    settings: list[Setting]


class ConfigChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys as `config get` prints them ("network.relays"); null returns a setting to its default."""

    values: Annotated[
        dict[ShortName, str | int | float | bool | list[str] | None], Meta(min_length=1, max_length=100)
    ]


class LoginLink(Struct, frozen=True):
    """Opens the page once; worth nothing after `lifetime` seconds or the first use."""

    url: str
    lifetime: float


class NewToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: ShortName
    scope: Scope = "read"


class Token(Struct, frozen=True, kw_only=True):
    """`token` is shown once, when it is made."""

    name: str
    scope: Scope
    token: str = ""
    created: float = 0.0


class Done(Struct, frozen=True):
    done: bool = True


class EventQuery(Struct, frozen=True, kw_only=True):
    """`topics`: comma-separated; all when missing. `since`: last `seq` seen."""

    topics: Annotated[str, Meta(max_length=400)] = ""
    since: Annotated[int, Meta(ge=0)] | None = None


class Table(Struct, frozen=True, kw_only=True):
    """Data of `peers`, `transfers`, `shares`, `networks`: all rows when `full`, else rows that changed."""

    full: bool
    items: list[dict[str, object]]
    gone: list[str] = []


class LogLine(Struct, frozen=True, kw_only=True):
    time: float
    level: str
    logger: str
    text: str


class Event(Struct, frozen=True, kw_only=True):
    """One message of `/events`.

    `data` is a Status (topic `status`), a ReachStatus (`reach`), a Shaping (`shape`), a MyPresence (`presence`), TalkSums
    (`talk`), a Message (`messages`), a Notice (`notices`), a LogLine (`log`) or a Table. The first
    messages after connecting hold everything (`full`). `resync` says that messages were lost; full tables follow.
    """

    seq: int
    topic: Topic
    data: dict[str, object] = {}


class ApiFile(Struct, frozen=True, kw_only=True):
    """`api.json` in the data directory while the node runs: where it is."""

    url: str
    pid: int
    version: str
    id: str
    web_url: str | None = None
    started: float = 0.0
