"""A provider over HTTP: signed records at our relays, at the relay where a peer was last, and at pkarr servers of others.

`PUT` and `GET <server>/pkarr/<key>`, as pkarr's relays and iroh's DNS servers answer them. One connection for each
request, limited in time and size; no redirect is followed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from servent.errors import BadMessage
from servent.identity import Identity, PeerId
from servent.net import pkarr
from servent.net.peers import Peers
from servent.net.rendezvous import Found
from servent.net.rendezvous_service import Rendezvous

log = logging.getLogger("servent.net")

ASK_TIME = 4.0  # s for one server
ANSWER_BYTES = 8192  # head and body
PLACES_MOST = 8  # servers asked for one key
NOT_THERE = 3600.0  # s that a server is left alone which knows nothing of pkarr


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said. `status` 0: nothing, `body` says why."""

    status: int
    body: bytes = b""


class PkarrHttp:
    """See `servent.net.rendezvous.Provider`.

    Args:
        name: for logs and the doctor.
        places: base URLs to publish at, now.
        also: base URLs that are asked for a key besides.
    """

    head_start = 0.0

    def __init__(
        self,
        name: str,
        places: Callable[[], Sequence[str]],
        also: Callable[[PeerId], Sequence[str]] = lambda key: (),
        *,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.name, self._places, self._also, self._wall = name, places, also, wall
        self._clock = asyncio.get_running_loop().time
        self._no_pkarr: dict[str, float] = {}  # servers that said so, until when; our own only
        self._context: ssl.SSLContext | None = None

    async def publish(self, identity: Identity, value: bytes, salt: bytes = b"") -> int:
        """Salted items cannot be kept over HTTP: 0 for them."""
        if salt:
            return 0
        async with asyncio.TaskGroup() as tasks:
            putting = [
                tasks.create_task(self._put(base, identity, value), name=f"publish at {base}")
                for base in self._now(self._places())
            ]
        return sum(task.result() for task in putting)

    async def resolve(self, key: PeerId, salt: bytes = b"") -> AsyncIterator[Found]:
        if salt:
            return
        bases = self._now([*self._places(), *self._also(key)])
        answers: asyncio.Queue[Found | None] = asyncio.Queue()

        async def one(base: str) -> None:
            answers.put_nowait(await self._get(base, key))

        best = -1
        asking = asyncio.TaskGroup()
        async with asking:
            tasks = [asking.create_task(one(base), name=f"ask {base}") for base in bases]
            try:
                for _ in tasks:
                    found = await answers.get()
                    if found is not None and found.seq > best:
                        best = found.seq
                        yield found
            finally:
                for task in tasks:
                    task.cancel()

    def _now(self, bases: Sequence[str]) -> list[str]:
        now = self._clock()
        once = dict.fromkeys(base.rstrip("/").removesuffix("/pkarr") for base in bases)
        return [base for base in once if self._no_pkarr.get(base, 0.0) <= now][:PLACES_MOST]

    async def _put(self, base: str, identity: Identity, value: bytes) -> bool:
        seq = int(self._wall() * 1e6)
        for _ in range(2):
            said = await self._ask("PUT", base, identity.peer, pkarr.close_item(identity, seq, value))
            if 200 <= said.status < 300:
                return True
            if said.status in (409, 412):  # a clock of ours was ahead once, or another of us writes there
                kept = await self._get(base, identity.peer)
                if kept is not None and kept.value == value:
                    return True
                if kept is not None and kept.seq < pkarr.SEQ_MOST:
                    seq = max(seq, kept.seq + 1)
                    continue
            break
        if said.status in (404, 405, 426, 501):
            self._no_pkarr[base] = self._clock() + NOT_THERE
        log.debug("%s did not take a record: %s", base, said.status or said.body.decode())
        return False

    async def _get(self, base: str, key: PeerId) -> Found | None:
        said = await self._ask("GET", base, key)
        if said.status != 200:
            return None
        try:
            return pkarr.open_item(key, said.body)
        except BadMessage as wrong:
            log.info("%s has a bad record: %s", base, wrong)
            return None

    async def _ask(self, method: str, base: str, key: PeerId, body: bytes = b"") -> Answer:
        try:
            parts = urlsplit(f"{base}/pkarr/{key}")
            secure = parts.scheme == "https"
            if parts.scheme not in ("http", "https") or not parts.hostname:
                return Answer(0, b"no http(s) URL")
            port = parts.port or (443 if secure else 80)
            if secure and self._context is None:
                self._context = await asyncio.to_thread(ssl.create_default_context)
            async with asyncio.timeout(ASK_TIME):
                reader, writer = await asyncio.open_connection(
                    parts.hostname.rstrip("."),
                    port,
                    ssl=self._context if secure else None,
                    limit=ANSWER_BYTES,
                )
                try:
                    head = [f"{method} {parts.path} HTTP/1.1", f"Host: {parts.netloc.rpartition('@')[2]}"]
                    head += ["Connection: close", "Accept: */*"]
                    if method == "PUT":
                        head += [f"Content-Length: {len(body)}", "Content-Type: application/octet-stream"]
                    writer.write("\r\n".join(head).encode("ascii") + b"\r\n\r\n" + body)
                    return await _answer(reader)
                finally:
                    writer.close()
        except TimeoutError:
            return Answer(0, b"no answer in time")
        except (OSError, ValueError, BadMessage) as wrong:  # ssl's errors are OSErrors, Unicode's ValueErrors
            return Answer(0, str(wrong).encode("utf-8", "replace")[:200])


def use_http(
    rendezvous: Rendezvous,
    peers: Peers,
    relays: Sequence[str] | None,
    servers: Sequence[str],
    foreign: Sequence[str],
) -> None:
    """Publish at, and ask, these relays and pkarr servers from now on.

    Args:
        relays: those in use, a list that may change; the relay where a peer was last is asked besides. None: neither.
        foreign: relays that keep no records.
    """
    without = {url.rstrip("/") for url in foreign}

    def left_word(key: PeerId) -> list[str]:
        relay = peers.addresses(key).relay
        return [relay] if relay is not None and relay.rstrip("/") not in without else []

    if relays is not None:
        rendezvous.add_provider(PkarrHttp("relays", lambda: relays, left_word))
    if servers:
        rendezvous.add_provider(PkarrHttp("servers", lambda: servers))


async def _answer(reader: asyncio.StreamReader) -> Answer:
    """What the other side says, at most ANSWER_BYTES; raises BadMessage."""
    data = b""
    while len(data) < ANSWER_BYTES:
        more = await reader.read(ANSWER_BYTES - len(data))
        if not more:
            return parse_answer(data, ended=True)
        data += more
        with contextlib.suppress(BadMessage):
            return parse_answer(data)
    raise BadMessage(f"an answer of more than {ANSWER_BYTES} bytes")


def parse_answer(data: bytes, *, ended: bool = False) -> Answer:
    """An HTTP/1 answer, whole. `ended`: nothing follows, so that one without a length is whole as well.

    Raises:
        BadMessage: it is none, or not whole.
    """
    head, end, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if not end or not words[0].startswith("HTTP/1.") or len(words) < 2 or not _digits(words[1], 3):
        raise BadMessage("no HTTP answer")
    status = int(words[1])
    headers = {
        what.strip().lower(): said.strip() for what, _, said in (line.partition(":") for line in lines)
    }
    if status in (204, 304):
        return Answer(status)
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return Answer(status, _chunks(body))
    length = headers.get("content-length", str(len(body)) if ended else "")
    if not _digits(length, 6) or len(body) < int(length):
        raise BadMessage("an HTTP answer that is cut off")
    return Answer(status, body[: int(length)])


def _chunks(body: bytes) -> bytes:
    whole = b""
    while True:
        line, end, body = body.partition(b"\r\n")
        size = line.split(b";", 1)[0].strip()
        if not end or not 0 < len(size) <= 4 or size.strip(b"0123456789abcdefABCDEF"):
            raise BadMessage("an HTTP answer with a broken chunk")
        many = int(size, 16)
        if not many:
            return whole
        if len(body) < many + 2:
            raise BadMessage("an HTTP answer that is cut off")
        whole, body = whole + body[:many], body[many + 2 :]


def _digits(text: str, most: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= most
