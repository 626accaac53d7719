"""IP addresses with ports: "192.0.2.1:443" and "[2001:db8::1]:443"; and those of this machine."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable, Iterator, Sequence

import psutil

from servent.errors import UsageError

ADDRESSES_MOST = 16  # what links.PeerAddress carries
TELL_MOST = 4  # addresses that are told others who pass them on

LOOKED_FOR = 0.5  # s that a look at the interfaces holds, for all endpoints of this process together

Host = ipaddress.IPv4Address | ipaddress.IPv6Address


def parse_address(text: str) -> tuple[Host, int]:
    """ "192.0.2.1:443" or "[2001:db8::1]:443".

    Raises:
        UsageError: neither.
    """
    host, _, port = text.rpartition(":")
    try:
        if not (port.isascii() and port.isdigit() and int(port) < 65536):
            raise ValueError(port)
        if host.startswith("[") and host.endswith("]"):
            return ipaddress.IPv6Address(host[1:-1]), int(port)
        return ipaddress.IPv4Address(host), int(port)
    except ValueError:
        raise UsageError(f"{text[:70]!r} is no address like 192.0.2.1:443 or [2001:db8::1]:443") from None


def join_address(host: Host, port: int) -> str:
    return f"{host}:{port}" if host.version == 4 else f"[{host}]:{port}"


def good_addresses(addresses: Iterable[str]) -> Iterator[tuple[Host, int]]:
    """Those that parse and can be dialed; an address from outside is a hint, never an error."""
    for text in list(addresses)[:ADDRESSES_MOST]:
        try:
            host, port = parse_address(text)
        except UsageError:
            continue
        if port and not host.is_unspecified and not host.is_multicast:
            yield host, port


def only_loopback(addresses: Iterable[str]) -> bool:
    """Whether all of them are of this very computer."""
    return all(text.startswith(("127.", "[::1]", "localhost")) for text in addresses)


_looked: tuple[float, list[Host]] | None = None  # when, and what was found


def hosts_here() -> list[Host]:
    """This machine's addresses, those of the wider world first, the loopback only where there is no other.

    At most `LOOKED_FOR` s old. A look takes 0.3 ms, and every endpoint wants one each second.
    """
    global _looked
    now = time.monotonic()
    if _looked is None or now - _looked[0] >= LOOKED_FOR:
        _looked = now, _interfaces()
    return list(_looked[1])


def _interfaces() -> list[Host]:
    found: list[Host] = []
    states = psutil.net_if_stats()
    for name, addresses in psutil.net_if_addrs().items():
        if name in states and not states[name].isup:
            continue
        for known in addresses:
            try:
                host = ipaddress.ip_address(known.address)
            except ValueError:
                continue
            if not host.is_link_local:
                found.append(host)
    outer = [host for host in found if not host.is_loopback]
    return sorted(outer, key=lambda host: not host.is_global) or found


def best_addresses(addresses: Sequence[str], most: int = TELL_MOST) -> tuple[str, ...]:
    """Those to tell others: of the wide world where we have some, else of the local network, else of this computer."""
    ranked: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for text in addresses:
        host = text.rpartition(":")[0].strip("[]")
        try:
            ip = ipaddress.ip_address(host)
        except ValueError:
            continue
        if 3 <= len(text) <= 64:
            ranked[0 if ip.is_global else 2 if ip.is_loopback else 1].append(text)
    return tuple(next((found for found in ranked.values() if found), [])[:most])
