"""The one kind of request that `websockets` cannot read for us, since it brings a body: PUT and GET of `/pkarr/<key>`. Pure.

A connection whose first bytes are such a request never reaches the WebSocket; all others go there untouched.
"""

from __future__ import annotations

from dataclasses import dataclass

from servent.identity import KEY_BYTES, PeerId, z32_decode
from servent.net import pkarr
from servent.net.relay.pkarr_store import PkarrStore, PutAnswer

HEAD_MOST = 4096  # bytes of request line and headers
BODY_MOST = pkarr.ITEM_MOST
_STARTS = (b"PUT /pkarr/", b"GET /pkarr/")
_REASONS = {
    200: "OK", 204: "No Content", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 409: "Conflict",
    411: "Length Required", 413: "Content Too Large", 429: "Too Many Requests", 431: "Headers Too Large",
}  # fmt: skip
_PUT: dict[PutAnswer, int] = {
    "stored": 204, "older": 409, "forged": 400, "malformed": 400, "too large": 413, "too many": 429,
    "not allowed": 403,
}  # fmt: skip


def begins(data: bytes) -> bool | None:
    """Whether a connection that began with `data` is ours; None: too little came to tell."""
    if any(data.startswith(start) for start in _STARTS):
        return True
    return None if any(start.startswith(data) for start in _STARTS) else False


class PkarrRequest:
    """Collects one request and answers it.

    Args:
        store: keeps the items.
        address: the client's IP address.
    """

    def __init__(self, store: PkarrStore, address: str) -> None:
        self._store, self._address = store, address
        self._data = b""
        self._asked: _Asked | None = None

    def receive(self, data: bytes, now: float, date: str) -> bytes | None:
        """The whole answer, after which the connection is closed; None while parts of the request are missing."""
        self._data += data
        if self._asked is None:
            end = self._data.find(b"\r\n\r\n")
            if end < 0 and len(self._data) <= HEAD_MOST:
                return None
            try:
                self._asked = _head(self._data[: end if end >= 0 else None])
            except _Wrong as wrong:
                return answer(wrong.status, date)
            self._data = self._data[end + 4 :]
        asked = self._asked
        if not asked.put:
            found = self._store.get(asked.key, self._address, now)
            if isinstance(found, str):
                return answer(429, date)
            return answer(404, date) if found is None else answer(200, date, found)
        if len(self._data) < asked.length:
            return None
        said = self._store.put(asked.key, self._data[: asked.length], self._address, now)
        return answer(_PUT[said], date)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the head of a request says."""

    put: bool
    key: PeerId
    length: int


class _Wrong(Exception):
    """A request that is answered with `status`."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _head(head: bytes) -> _Asked:
    """Raises _Wrong."""
    if len(head) > HEAD_MOST:
        raise _Wrong(431)
    first, *lines = head.decode("latin-1").split("\r\n")
    method, _, rest = first.partition(" ")
    path, _, version = rest.partition(" ")
    if not version.startswith("HTTP/1."):
        raise _Wrong(400)
    name = path.partition("?")[0].removeprefix("/pkarr/")
    try:
        key = PeerId(z32_decode(name, KEY_BYTES))
    except ValueError:
        raise _Wrong(404) from None
    if method != "PUT":
        return _Asked(False, key, 0)
    fields = [line.partition(":")[::2] for line in lines]
    lengths = [said.strip() for what, said in fields if what.strip().lower() == "content-length"]
    if any(what.strip().lower() == "transfer-encoding" for what, _ in fields) or len(lengths) != 1:
        raise _Wrong(411)
    if not (lengths[0].isascii() and lengths[0].isdigit()):
        raise _Wrong(400)
    if len(lengths[0]) > 6 or int(lengths[0]) > BODY_MOST:
        raise _Wrong(413)
    return _Asked(True, key, int(lengths[0]))


def answer(status: int, date: str, body: bytes = b"") -> bytes:
    """One whole HTTP/1.1 answer."""
    head = [
        f"HTTP/1.1 {status} {_REASONS[status]}",
        "Connection: close",
        "Cache-Control: no-store",
        f"Date: {date}",
    ]
    if status == 200:
        head.append("Content-Type: application/pkarr.org/relays#payload")
    if status != 204:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join(head).encode("ascii") + b"\r\n\r\n" + body
