"""The session's settings out of the node's configuration."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from servent.errors import UsageError, WorldError
from servent.torrent.handle import endpoint_of
from servent.torrent.views import Proxy, ProxyKind, Serve, SessionSettings

PASSWORD_VARIABLE = "SERVENT_TORRENT_PROXY_PASSWORD"
PASSWORD_MOST = 1024  # bytes of the file


class Wanted(Protocol):
    """The section `[torrent]` of the configuration."""

    enabled: bool
    hosts: list[str]
    port: int
    map_ports: bool
    connections: int
    dht_nodes: list[str]
    dht_private: bool
    dht_serve: Serve
    proxy: ProxyKind
    proxy_host: str
    proxy_port: int
    proxy_user: str
    proxy_password_file: str


def settings_of(
    wanted: Wanted, *, bind: Sequence[str], lan: bool, dht: bool, upload_slots: int = 8
) -> SessionSettings:
    """What the node wants.

    Args:
        bind: "ip:port" of the node's own endpoint: where no hosts are named, we listen on the same addresses.
        lan: whether the local network may be told of our torrents.
        dht: whether the DHT is wanted.

    Raises:
        UsageError: a proxy without host or port, or a node of the DHT without a port.
        WorldError: the password's file cannot be read.
    """
    for node in wanted.dht_nodes:
        try:
            endpoint_of(node)
        except ValueError as wrong:
            raise UsageError(
                f"torrent.dht_nodes: {node[:80]!r}: {wrong}", advice="Write them as host:port."
            ) from wrong
    return SessionSettings(
        listen=tuple(wanted.hosts) or tuple(dict.fromkeys(one.rpartition(":")[0] for one in bind)),
        port=wanted.port,
        dht=dht,
        dht_nodes=tuple(wanted.dht_nodes),
        dht_private=wanted.dht_private,
        dht_serve=wanted.dht_serve,
        door=wanted.enabled,
        local=lan,
        map_ports=wanted.map_ports,
        proxy=_proxy(wanted),
        connections=wanted.connections,
        upload_slots=upload_slots,
    )


def _proxy(wanted: Wanted) -> Proxy | None:
    if wanted.proxy == "none":
        return None
    if not wanted.proxy_host or not wanted.proxy_port:
        raise UsageError(
            f"torrent.proxy is {wanted.proxy}, and nothing says where it is",
            advice="Set torrent.proxy_host and torrent.proxy_port.",
        )
    return Proxy(wanted.proxy, wanted.proxy_host, wanted.proxy_port, wanted.proxy_user, _password(wanted))


def _password(wanted: Wanted) -> str:
    """Out of the environment, else out of the file; the first line."""
    given = os.environ.get(PASSWORD_VARIABLE)
    if given is not None or not wanted.proxy_password_file:
        return given or ""
    path = Path(wanted.proxy_password_file).expanduser()
    try:
        with path.open("rb") as file:
            lines = file.read(PASSWORD_MOST).decode().splitlines()
    except (OSError, UnicodeDecodeError) as wrong:
        raise WorldError(
            f"the proxy's password cannot be read: {path}", advice="Check torrent.proxy_password_file."
        ) from wrong
    return lines[0].strip() if lines else ""
