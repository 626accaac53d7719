"""How a process of a cluster is written: `servent://<process>.<node>.<cluster>/<listener>@<ip:port>,…;<relay>`. A core.

Dask compares addresses as text, shows them to people and hands them from one process to another, so one is made once, when a process begins
to listen, and holds all that others need to dial it: its key, the node that vouches for it, and where it was then. All but the key are
hints: the key is proven by TLS, the node by a pass. `servent://lab` is a cluster by its name, that is, its scheduler, wherever it is now.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from servent.cluster.model import ADDRESS_LENGTH
from servent.cluster.rosters import ID_BYTES
from servent.errors import UsageError
from servent.identity import PeerId, z32_decode, z32_encode
from servent.net.links import PeerAddress

PREFIX = "servent://"
MOST_HINTS = 6  # "ip:port" in one address
LISTENERS = 2**16
_KEY = "[a-z1-9]{52}"
_FULL = re.compile(
    rf"(?P<process>{_KEY})\.(?P<node>{_KEY})\.(?P<cluster>[a-z1-9]{{26}})(?:/(?P<listener>[0-9]{{1,5}}))?"
    r"(?:@(?P<hints>[^;]*))?(?:;(?P<relay>.*))?"
)
_NAME = re.compile(r"[^\s/@;,:]{1,64}")


@dataclass(frozen=True, slots=True)
class Place:
    """A listener of a process.

    Attributes:
        process, node: keys. cluster: its id, 16 bytes.
        listener: which of the process's; it has one, as a rule, and that is 0.
        hints: "ip:port", best first. relay: URL, or None.
    """

    process: PeerId
    node: PeerId
    cluster: bytes
    listener: int = 0
    hints: tuple[str, ...] = ()
    relay: str | None = None

    @property
    def where(self) -> PeerAddress:
        """To be dialed with `net.links.Endpoint.connect`."""
        return PeerAddress(self.process, self.relay, self.hints)

    def __str__(self) -> str:
        """The whole address. Hints that do not fit are left out."""
        text = f"{PREFIX}{self.process}.{self.node}.{z32_encode(self.cluster)}/{self.listener}"
        relay = ";" + quote(self.relay, safe="") if self.relay else ""
        hints = ""
        for hint in self.hints[:MOST_HINTS]:
            more = f"{hints},{hint}" if hints else f"@{hint}"
            if len(text) + len(more) + len(relay) <= ADDRESS_LENGTH:
                hints = more
        return text + hints + relay


def parse(text: str) -> Place | str:
    """What an address says, with or without "servent://": a place, or the name of a cluster.

    Raises:
        UsageError: neither.
    """
    loc = text.removeprefix(PREFIX)
    if len(loc) <= ADDRESS_LENGTH and (found := _FULL.fullmatch(loc)):
        try:
            relay = unquote(found["relay"]) if found["relay"] else None
            return Place(
                PeerId.parse(found["process"]),
                PeerId.parse(found["node"]),
                z32_decode(found["cluster"], ID_BYTES),
                _listener(found["listener"]),
                tuple(hint for hint in (found["hints"] or "").split(",") if hint)[:MOST_HINTS],
                relay,
            )
        except ValueError as wrong:
            raise UsageError(f"{text[:200]!r} is no address in a cluster: {wrong}") from wrong
    if _NAME.fullmatch(loc):
        return loc
    raise UsageError(
        f"{text[:200]!r} is no address in a cluster",
        advice="`servent://NAME` with the name of a cluster that `servent grid cluster ls` shows.",
    )


def _listener(text: str | None) -> int:
    number = int(text or 0)
    if number >= LISTENERS:
        raise ValueError(f"there is no listener {number}")
    return number
