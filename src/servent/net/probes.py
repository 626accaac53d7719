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

PROBE_TIME = 2.0  # s for each relay, all at once; and for looking up a name
RELAYS_MOST = 8
_ANSWER_BYTES = 8192


async def probe(relays: Sequence[str], public: Sequence[str] = ()) -> Probes:
    """Takes little more than PROBE_TIME s; never raises.

    Args:
        relays: URLs to ask.
        public: URLs of public relays that may be used; of these only a name is looked up.
    """
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_relay(url), name=f"probe {url}") for url in relays[:RELAYS_MOST]]
        looked = tasks.create_task(_resolves(public[0]), name="probe names") if public else None
    found = [task.result() for task in asked]
    refused = [why for _, why in found if why]
    return Probes(
        udp=_udp() or (refused[0] if refused else ""),
        ipv4_route=_route(socket.AF_INET, "192.0.2.1"),
        ipv6_route=_route(socket.AF_INET6, "2001:db8::1"),
        relays=tuple(answer for answer, _ in found),
        public_relays=None if looked is None else looked.result(),
    )


def _udp() -> str:
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
            one.bind(("0.0.0.0", 0))
    except OSError as wrong:
        return wrong.strerror or str(wrong)
    return ""


def _send(where: tuple[str, int]) -> str:
    """Why one empty UDP packet cannot be sent there, empty when it can: this computer's firewall says no at once."""
    family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.setblocking(False)
            one.sendto(b"", where)
    except PermissionError as wrong:
        return wrong.strerror or str(wrong)
    except OSError:  # a full buffer, no route: other checks tell
        return ""
    return ""


def _route(family: int, address: str) -> bool:
    """Whether the machine knows a way to the internet; connecting a UDP socket sends nothing."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as one:
            one.connect((address, 9))
            return not str(one.getsockname()[0]).startswith(("fe80", "fc", "fd"))
    except OSError:
        return False


async def _resolves(url: str) -> bool:
    try:
        async with asyncio.timeout(PROBE_TIME):
            host = urlsplit(url).hostname
            await asyncio.get_running_loop().getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except (OSError, ValueError):
        return False
    return True


async def _relay(url: str) -> tuple[RelayProbe, str]:
    """Its answer, and why this computer may not send UDP to it, empty when it may."""
    clock = asyncio.get_running_loop().time
    udp = ""
    try:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        context = await asyncio.to_thread(ssl.create_default_context) if secure else None
        began = clock()
        async with asyncio.timeout(PROBE_TIME):
            reader, writer = await asyncio.open_connection(parts.hostname or "", port, ssl=context)
            try:
                udp = _send(writer.get_extra_info("peername")[:2])
                name = parts.netloc.rpartition("@")[2]
                writer.write(f"GET /ping HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
                head = await reader.read(_ANSWER_BYTES)
            finally:
                writer.close()
    except TimeoutError:
        return RelayProbe(url, None, f"no answer in {PROBE_TIME:.0f} s"), udp
    except ssl.SSLError as wrong:
        return RelayProbe(url, None, f"its certificate is not accepted ({wrong.reason})"), udp
    except socket.gaierror:
        return RelayProbe(url, None, "its name cannot be looked up"), udp
    except (OSError, ValueError) as wrong:
        return RelayProbe(url, None, _words(wrong)), udp
    took = clock() - began
    lines = head.decode("latin-1").split("\r\n")
    if not lines[0].startswith("HTTP/1.") or lines[0].split(" ")[1:2] != ["200"]:
        return RelayProbe(url, None, f"it is no relay: it says {lines[0][:60]!r}"), udp
    return RelayProbe(url, took, clock_off=_clock_off(lines)), udp


def _words(wrong: OSError | ValueError) -> str:
    """asyncio packs what several addresses said into one long line."""
    if isinstance(wrong, ConnectionRefusedError):
        return "connection refused, so nothing listens there"
    return getattr(wrong, "strerror", None) or str(wrong)


def _clock_off(lines: Sequence[str]) -> float | None:
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "date":
            try:
                return email.utils.parsedate_to_datetime(value.strip()).timestamp() - time.time()
            except ValueError:
                return None
    return None
