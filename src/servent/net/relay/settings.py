"""What an operator can set of a relay, and the view of what it is doing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from msgspec import Meta, Struct

Port = Annotated[int, Meta(ge=0, le=65535)]
Positive = Annotated[int, Meta(gt=0)]


class RelaySettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits of one relay. Durations in seconds."""

    hosts: tuple[str, ...] = ("0.0.0.0", "::")
    port: Port = 3340
    """0 picks a free one. Networks that let out nothing but the web reach a relay on 443 or 80 only."""
    public_urls: tuple[str, ...] = ()
    """How clients reach it, when that differs from the addresses it is bound to (DNS name, proxy)."""
    certificate: str | None = None
    certificate_key: str | None = None
    """PEM files; with them it speaks https. iroh checks certificates against the public authorities."""

    clients: Positive = 1000
    """At once, those still proving their key included. About 100 kB of memory each when busy."""
    clients_per_address: Positive = 64
    """At once from one IPv4 address or IPv6 /64: an office or a carrier's NAT can share one address."""
    queue_packets: Positive = 512
    """Waiting for one client that reads slowly; what comes on top is dropped (iroh-relay's own number)."""
    queue_bytes: Positive = 2 * 1024 * 1024
    """The same in bytes: 512 batches of 64 KiB would be 32 MiB for one client."""
    rate_bytes_per_s: Positive | None = 25_000_000
    """What one client may send on average; faster ones are read more slowly. None: no limit."""
    burst_bytes: Positive = 4 * 1024 * 1024
    handshake_time: float = 10.0
    """From the TCP connection to the proven key (iroh-relay allows 30)."""
    write_time: float = 5.0
    """A client whose socket takes nothing for so long is dropped."""
    records: Annotated[int, Meta(ge=0, le=1_000_000)] = 20_000
    """Signed records (`/pkarr/<key>`) kept at once for those who want to be found; about 1 kB each."""
    ping_every: float = 15.0
    """Silence after which the relay asks whether a client is still there (iroh-relay's PING_INTERVAL)."""
    ping_time: float = 5.0
    """How long that client has to answer."""


@dataclass(frozen=True, slots=True)
class RelayView:
    """One moment of a relay; the counters only grow."""

    clients: int = 0
    connections: int = 0
    queued_bytes: int = 0
    accepted: int = 0
    datagrams: int = 0
    bytes_relayed: int = 0
    dropped_full: int = 0
    dropped_unknown: int = 0
    bytes_per_s: float = 0.0
    refused: dict[str, int] = field(default_factory=dict)
    """Connections refused or ended by us, by reason."""
