"""Breaks the TCP connections to our relays, so that iroh makes new ones at once.

After a silent change of the way out (a router that dialed in again) the TCP connection to the relay is dead, and
iroh notices after up to 20 s: it pings every 15 s and waits 5. Until then everybody who would reach us through
the relay talks to a wall, and so does every new connection of ours. iroh has no call for this, but the sockets
are our process's own. On systems that do not tell a process its sockets (Windows) nothing happens, and 20 s it is.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

import psutil

log = logging.getLogger("servent.net.fresh")

_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def break_relay_links(urls: Iterable[str]) -> int:
    """Shut down our TCP connections to these relays; returns how many there were.

    A relay named by host name is recognized by its port alone. Takes a few milliseconds; call it in a thread when
    thousands of sockets are open.
    """
    wanted = [place for url in urls if (place := _place(url)) is not None]
    done = 0
    for connection in psutil.Process().net_connections("tcp"):
        there = connection.raddr
        if not there or connection.fd < 0 or connection.status != psutil.CONN_ESTABLISHED:
            continue
        if not any(there.port == port and host in (None, _plain(there.ip)) for host, port in wanted):
            continue
        with contextlib.suppress(OSError):  # closed since we looked
            same = socket.socket(fileno=os.dup(connection.fd))
            with same:
                same.shutdown(socket.SHUT_RDWR)
                done += 1
    log.info("broke %d connections to relays", done)
    return done


def _place(url: str) -> tuple[str | None, int] | None:
    """IP address (None for a name) and port of a relay."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    try:
        return _plain(parts.hostname or ""), port
    except ValueError:
        return None, port


def _plain(text: str) -> str:
    """One spelling per address: IPv4 inside IPv6 is IPv4."""
    ip = ip_address(text.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    return str(mapped or ip)
