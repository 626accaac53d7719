"""One Config out of every room's settings, read from `config.toml` in the data directory.

Order of precedence: command line, then the file, then defaults. `api.settings` changes the file.
An error names the file, the key and the remedy; an unknown key is an error, since a misspelt limit that
is silently ignored costs more than a start that fails.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from servent.codec import plainly
from servent.errors import UsageError, WorldError
from servent.torrent.views import BOOTSTRAP, ProxyKind

PUBLIC_RELAYS = "public"  # in place of a URL: iroh's own default relays

Port = Annotated[int, Meta(ge=0, le=65535)]  # 0: any free one
Rate = Annotated[int, Meta(ge=0)]  # bytes per second; 0: no limit


class NodeSettings(Struct, forbid_unknown_fields=True):
    """`name`: what others see, default your login name. `download_dir`: where `get` puts things.

    `wizard`: the page begins with the three steps of the first run; going through them turns it off.
    """

    name: Annotated[str, Meta(max_length=64)] = ""
    download_dir: str = ""
    wizard: bool = True


class NetSettings(Struct, forbid_unknown_fields=True):
    """`bind`: "ip:port" to listen on, empty for any. `lan`: find peers on the local network.

    `relays`: URLs of relays that introduce peers behind routers to each other, and carry their encrypted
    packets when no direct path opens; "public" stands for the public relays that the iroh project runs,
    an empty list for none. `connect_timeout`: seconds to look for a path.
    """

    bind: list[str] = field(default_factory=list)
    relays: list[Annotated[str, Meta(max_length=256)]] = field(default_factory=lambda: [PUBLIC_RELAYS])
    lan: bool = True
    connect_timeout: Annotated[float, Meta(ge=1, le=120)] = 15.0


Wish = Literal["auto", "on", "off"]


class RendezvousSettings(Struct, forbid_unknown_fields=True):
    """Ways to be found, and to find others, by the key alone; `docs/security.md` says what each tells whom.

    `dht`: the Mainline DHT, "on", "off", or "auto": on while the public relays are, too (it needs the extra `torrent`).
    `relays`: the relays of `net.relays` and our own, which keep signed records. `servers`: pkarr servers of others, URLs.
    `show`: what is told there of us: "addresses" and relay, the "relay" alone, or "nothing".
    """

    dht: Wish = "auto"
    relays: bool = True
    servers: Annotated[
        list[Annotated[str, Meta(max_length=256, pattern="^https?://[^ /]+(/[^ ]*)?$")]], Meta(max_length=8)
    ] = field(default_factory=list)
    show: Literal["addresses", "relay", "nothing"] = "addresses"


class RoleSettings(Struct, forbid_unknown_fields=True):
    """What this node does for others: each "on", "off", or "auto": where it is needed and this machine is fit for it.

    `index`: keep the index of a network for others, as a supernode. `relay`: introduce peers behind routers to each
    other and carry their encrypted packets ("auto" is "off": it needs an open port); see `relay.port`. `observer`: tell
    peers where they are seen, and dial back those who want to know. `store`, `compute`: not carried by this version.
    """

    index: Wish = "auto"
    relay: Wish = "auto"
    observer: Wish = "auto"
    store: Wish = "auto"
    compute: Wish = "auto"


class RelayRoleSettings(Struct, forbid_unknown_fields=True):
    """How the relay role is carried (`roles.relay`): listening `hosts` and `port`, `public_url` others reach it at.

    `open_to`: "everyone", or "known" for only those who are let in here.
    """

    hosts: list[str] = field(default_factory=lambda: ["0.0.0.0", "::"])
    port: Port = 7443
    public_url: str = ""
    open_to: Annotated[str, Meta(pattern="^(everyone|known)$")] = "everyone"


class BlobsSettings(Struct, forbid_unknown_fields=True):
    """Rates in bytes per second, 0 for no limit; `upload_slots`: peers served at once.

    `up_bytes_per_s`, `down_bytes_per_s`: for everything together. `per_peer_up_bytes_per_s`,
    `per_peer_down_bytes_per_s`: for each peer. `preview_cache_bytes`: of all previews together, on the disk.
    `bulk`: offer the TCP lane; `bulk_port`: its port, 0 for any. `polite`: background transfers keep the delay they add
    to the line at `target_ms`.
    """

    up_bytes_per_s: Rate = 0
    down_bytes_per_s: Rate = 0
    per_peer_up_bytes_per_s: Rate = 0
    per_peer_down_bytes_per_s: Rate = 0
    upload_slots: Annotated[int, Meta(ge=1, le=256)] = 8
    bulk: bool = True
    polite: bool = True
    target_ms: Annotated[int, Meta(ge=5, le=500)] = 20
    bulk_port: Port = 0
    preview_cache_bytes: Annotated[int, Meta(ge=0, le=2**53)] = 2_000_000_000


_DAY = "(mon|tue|wed|thu|fri|sat|sun)"
_TIME = "([01][0-9]|2[0-4]):[0-5][0-9]"
RuleText = Annotated[
    str,
    Meta(
        pattern=f"^(daily|weekdays|weekend|{_DAY}(,{_DAY})*) {_TIME}-{_TIME}( up=[0-9]+| down=[0-9]+| pause)+$"
    ),
]
HoursText = Annotated[str, Meta(pattern=f"^(daily|weekdays|weekend|{_DAY}(,{_DAY})*) {_TIME}-{_TIME}$")]
PeerText = Annotated[str, Meta(pattern="^[0-9a-z]{52,64}( up=[0-9]+| down=[0-9]+)+$")]


class QueueSettings(Struct, forbid_unknown_fields=True):
    """`most_active`: downloads that move at once. `on_complete`: a command after each download, without a shell.

    `schedule`: limits for parts of the week. `peers`: limits of single peers. `alternative`:
    `alternative_up_bytes_per_s` and `alternative_down_bytes_per_s` hold in place of the usual rates and the schedule.
    """

    most_active: Annotated[int, Meta(ge=1, le=1000)] = 5
    schedule: Annotated[list[RuleText], Meta(max_length=50)] = field(default_factory=list)
    peers: Annotated[list[PeerText], Meta(max_length=1000)] = field(default_factory=list)
    on_complete: Annotated[str, Meta(max_length=1000)] = ""
    alternative: bool = False
    alternative_up_bytes_per_s: Rate = 500_000
    alternative_down_bytes_per_s: Rate = 2_000_000


class ShareSettings(Struct, forbid_unknown_fields=True):
    """`compare`: peers get a sample of what they may see here, so that what others like can be recommended to them."""

    compare: bool = True


class TorrentSettings(Struct, forbid_unknown_fields=True):
    """The BitTorrent door and its DHT (the extra `torrent`). `enabled`: fetch from BitTorrent peers, and seed to them what you say.

    `hosts`: addresses to listen on, empty: those of `net.bind`, else all. `port`: TCP and UDP, 0 for any. `map_ports`: ask
    the router to open it. `connections`: BitTorrent peers at once. `dht_nodes`: "host:port" where the DHT is entered.
    `dht_private`: its nodes may share a block of addresses, as yours do and an attacker's would. `dht_serve`: answer
    others there, "auto" after half an hour where we are reached from outside. `proxy`: "none",
    "socks5" or "i2p" at `proxy_host` and `proxy_port`, with `proxy_user` and the first line of `proxy_password_file`.
    `seed_ratio`, `seed_hours`: what was fetched is seeded until that much of it was given back, or for so long; 0 for no limit.
    """

    enabled: bool = True
    hosts: Annotated[list[Annotated[str, Meta(max_length=64)]], Meta(max_length=16)] = field(
        default_factory=list
    )
    port: Port = 0
    map_ports: bool = True
    connections: Annotated[int, Meta(ge=2, le=10_000)] = 200
    dht_nodes: Annotated[list[Annotated[str, Meta(max_length=256)]], Meta(max_length=64)] = field(
        default_factory=lambda: list(BOOTSTRAP)
    )
    dht_private: bool = False
    dht_serve: Wish = "auto"
    proxy: ProxyKind = "none"
    proxy_host: Annotated[str, Meta(max_length=256)] = ""
    proxy_port: Port = 0
    proxy_user: Annotated[str, Meta(max_length=256)] = ""
    proxy_password_file: Annotated[str, Meta(max_length=4096)] = ""
    seed_ratio: Annotated[float, Meta(ge=0, le=1000)] = 1.0
    seed_hours: Annotated[float, Meta(ge=0, le=100_000)] = 48.0


class TalkSettings(Struct, forbid_unknown_fields=True):
    """`messages_from`: "friends", or "network": members of your networks may write to you as well.

    `keep_days`: after so many days what was said is forgotten here, 0 for never.
    """

    messages_from: Literal["friends", "network"] = "friends"
    keep_days: Annotated[int, Meta(ge=0, le=36500)] = 0


class GridSettings(Struct, forbid_unknown_fields=True):
    """What this machine lends. `lend`: compute for the projects it joined. `preset`: "quiet", "when-idle", "everything", or "own" for what the other keys say.

    `cores`: lent, 0 for all but one; `cpu_percent` of each. `idle_minutes` without anybody at keyboard or mouse before it begins, 0 for always.
    `on_battery`: also then. `hours`: parts of the week, as "weekdays 22:00-07:00"; empty for always. `memory_percent` of what the machine has;
    `disk_bytes` for modules, inputs and checkpoints; `transfer_bytes_per_day` up and down, 0 for no limit. `exclusive`: names of programs; while one runs, nothing is computed.
    `fetch_ahead_minutes`: so much work is kept in store for each core.
    """

    lend: bool = False
    preset: Literal["quiet", "when-idle", "everything", "own"] = "when-idle"
    cores: Annotated[int, Meta(ge=0, le=4096)] = 0
    cpu_percent: Annotated[int, Meta(ge=1, le=100)] = 100
    idle_minutes: Annotated[float, Meta(ge=0, le=1440)] = 3.0
    on_battery: bool = False
    hours: Annotated[list[HoursText], Meta(max_length=50)] = field(default_factory=list)
    memory_percent: Annotated[int, Meta(ge=1, le=100)] = 50
    disk_bytes: Annotated[int, Meta(ge=0, le=2**53)] = 10_000_000_000
    transfer_bytes_per_day: Annotated[int, Meta(ge=0, le=2**53)] = 0
    exclusive: Annotated[list[Annotated[str, Meta(min_length=1, max_length=128)]], Meta(max_length=100)] = (
        field(default_factory=list)
    )
    fetch_ahead_minutes: Annotated[float, Meta(ge=0, le=1440)] = 10.0


class ClusterSettings(Struct, forbid_unknown_fields=True):
    """Dask among friends (the extra `dask`); what this machine lends there, the section `grid` says. `retire_minutes`: a pause freezes workers at once; after so long they hand over what they hold, and end."""

    retire_minutes: Annotated[float, Meta(ge=0, le=10_080)] = 10.0


class ApiSettings(Struct, forbid_unknown_fields=True):
    """`port` of the local API on 127.0.0.1; the next free one is taken when it is in use."""

    port: Port = 7700


class WebSettings(Struct, forbid_unknown_fields=True):
    """`enabled`: start the page beside the node. `port` of the page on 127.0.0.1, 0 for any, and then the same one again."""

    enabled: bool = True
    port: Port = 0


class Config(Struct, forbid_unknown_fields=True):
    """Everything a node can be told. Each section belongs to one room."""

    node: NodeSettings = field(default_factory=NodeSettings)
    net: NetSettings = field(default_factory=NetSettings)
    rendezvous: RendezvousSettings = field(default_factory=RendezvousSettings)
    roles: RoleSettings = field(default_factory=RoleSettings)
    relay: RelayRoleSettings = field(default_factory=RelayRoleSettings)
    blobs: BlobsSettings = field(default_factory=BlobsSettings)
    queue: QueueSettings = field(default_factory=QueueSettings)
    share: ShareSettings = field(default_factory=ShareSettings)
    torrent: TorrentSettings = field(default_factory=TorrentSettings)
    talk: TalkSettings = field(default_factory=TalkSettings)
    grid: GridSettings = field(default_factory=GridSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    api: ApiSettings = field(default_factory=ApiSettings)
    web: WebSettings = field(default_factory=WebSettings)


FILE_NAME = "config.toml"

RENAMED = {"relay.enabled": "roles.relay"}  # settings of earlier versions, which are still read

# What `servent up --mode` stands for: wishes for roles. Whether a node is a supernode in a given network follows from that
# network's own mode as well (`overlay.topology`).
PRESETS: Mapping[str, Mapping[str, Wish]] = {
    "server": {"index": "on", "observer": "on"},
    "hybrid": {"index": "auto", "observer": "auto"},
    "p2p": {"index": "on", "observer": "auto"},
}


def uses_dht(config: Config) -> bool:
    """Whether the Mainline DHT is wanted: who keeps to relays of their own, or to none, is not shown to strangers unasked."""
    wish = config.rendezvous.dht
    return wish == "on" or (wish == "auto" and PUBLIC_RELAYS in config.net.relays)


def default_download_dir() -> Path:
    from platformdirs import user_downloads_path

    return user_downloads_path() / "servent"


def use_preset(config: Config, mode: str) -> None:
    """Wish for the roles of a mode: "server", "hybrid" or "p2p".

    Raises:
        UsageError: there is no such mode.
    """
    preset = PRESETS.get(mode)
    if preset is None:
        raise UsageError(f"there is no mode {mode!r}", advice=f"Modes are {', '.join(PRESETS)}.")
    for role, wish in preset.items():
        setattr(config.roles, role, wish)


def moved(values: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of a file of an earlier version, as this one has them: `relay.enabled` is `roles.relay` now."""
    tables = dict(values)
    relay = tables.get("relay")
    if not isinstance(relay, Mapping) or "enabled" not in relay:
        return tables
    tables["relay"] = {name: value for name, value in relay.items() if name != "enabled"}
    roles = tables.get("roles", {})
    if isinstance(roles, Mapping) and "relay" not in roles:
        tables["roles"] = {**roles, "relay": "on" if relay["enabled"] is True else "off"}
    return tables


def parse(values: Mapping[str, Any], where: str) -> Config:
    """Turn the tables of a TOML file into a Config.

    Raises:
        UsageError: an unknown key or a value out of range; names `where` and the key.
    """
    try:
        return msgspec.convert(moved(values), Config)
    except msgspec.ValidationError as wrong:
        raise UsageError(
            f"{where}: {plainly(wrong)}",
            advice="`servent config get` lists every key with its value and meaning.",
        ) from wrong


def load(data_dir: Path) -> Config:
    """Read `data_dir`/config.toml; defaults where there is none.

    Raises:
        UsageError: not TOML, or see `parse`.
        WorldError: the file cannot be read.
    """
    path = data_dir / FILE_NAME
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Config()
    except (OSError, UnicodeDecodeError) as error:
        raise WorldError(
            f"{path} cannot be read: {error}", advice="Check its owner and permissions."
        ) from error
    try:
        return parse(tomllib.loads(text), str(path))
    except tomllib.TOMLDecodeError as wrong:
        raise UsageError(f"{path}: {wrong}", advice="`servent config edit` opens it.") from wrong


def walk(config: Config) -> Iterator[tuple[str, Any]]:
    """Every setting as ("section.key", value), in the order of the file."""
    for section in config.__struct_fields__:
        part = getattr(config, section)
        for name in part.__struct_fields__:
            yield f"{section}.{name}", getattr(part, name)


def meanings() -> dict[str, str]:
    """What each section's docstring says, for `servent config get` and the documentation."""
    sections = msgspec.structs.fields(Config)
    return {part.name: (part.type.__doc__ or "").strip() for part in sections}
