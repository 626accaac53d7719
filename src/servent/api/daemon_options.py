"""What `servent up` may be told."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct


class Options(Struct, kw_only=True):
    """What the command line says; None where it says nothing and the file decides."""

    data_dir: Path
    api_port: int | None = None
    web: bool | None = None
    open_page: bool = False
    json: bool = False
    verbose: bool = False
    name: str | None = None
    download_dir: str | None = None
    relays: list[str] | None = None
    bind: list[str] | None = None
    bulk_port: int | None = None
    lan: bool | None = None
    dht: bool | None = None
    torrent: bool | None = None
    relay_server: bool | None = None
    relay_port: int | None = None
    relay_url: str | None = None
    mode: str | None = None
