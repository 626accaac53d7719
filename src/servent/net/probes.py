"""Asks the machine and the relays what `doctor` wants to know. No packet goes to anyone else."""

from __future__ import annotations

import asyncio
import email.utils
import socket
import ssl
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from servent.net.doctor import Probes, RelayProbe

PROBE_TIME = 3.0  # s for each relay, all at once
_ANSWER_BYTES = 8192


async def probe(relays: Sequence[str]) -> Probes:
    """Takes at most PROBE_TIME s; never raises."""
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_relay(url), name=f"probe {url}") for url in relays[:8]]
    return Probes(
        udp=_udp(),
        ipv4_route=_route(socket.AF_INET, "192.0.2.1"),
        ipv6_route=_route(socket.AF_INET6, "2001:db8::1"),
        relays=tuple(task.result() for task in asked),
    )


def _udp() -> str:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind(("0.0.0.0", 0))
    except OSError as wrong:
        return wrong.strerror or str(wrong)
    return ""


def _route(family: int, address: str) -> bool:
    """Whether the machine knows a way to the internet; connecting a UDP socket sends nothing."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.connect((address, 9))
            return not str(one.getsockname()[0]).startswith("fe80")
    except OSError:
        return False


async def _relay(url: str) -> RelayProbe:
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        context = ssl.create_default_context() if secure else None
        async with asyncio.timeout(PROBE_TIME):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                name = parts.netloc.rpartition("@")[2]
                writer.write(f"GET /ping HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
                head = await reader.read(_ANSWER_BYTES)
            finally:
                writer.close()
    except TimeoutError:
        return RelayProbe(url, None, f"no answer in {PROBE_TIME:.0f} s")
    except ssl.SSLError as wrong:
        return RelayProbe(url, None, f"its certificate is not accepted ({wrong.reason})")
    except (OSError, ValueError) as wrong:
        return RelayProbe(url, None, getattr(wrong, "strerror", None) or str(wrong))
    took = clock() - began
    lines = head.decode("latin-1").split("\r\n")
    if not lines[0].startswith("HTTP/1.") or lines[0].split(" ")[1:2] != ["200"]:
        return RelayProbe(url, None, f"it is no relay: it says {lines[0][:60]!r}")
    return RelayProbe(url, took, clock_off=_clock_off(lines))


def _clock_off(lines: Sequence[str]) -> float | None:
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "date":
            try:
                return email.utils.parsedate_to_datetime(value.strip()).timestamp() - time.time()
            except ValueError:
                return None
    return None
