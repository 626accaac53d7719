"""The .torrent file (BEP 3, 12, 19, 52): read from anybody, or written for what is shared here. Pure.

Size first, then one strict decode: what is read encodes back to the same bytes, every piece layer leads to its root,
and the two halves of a hybrid say the same. Names in it are as they were shared; `names.unique_paths` comes before a disk.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha1, sha256
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from servent.blobs import bencode, info, infov1, names
from servent.blobs.info import Collection
from servent.blobs.infov1 import Plain
from servent.errors import BadMessage

Version = Literal["v1", "v2", "hybrid"]

MAX_TORRENT_BYTES = 16 * 1024 * 1024
MOST_TRACKERS, MOST_WEB_SEEDS = 64, 64  # kept of a file; the rest is left out
MAX_URL = 2048  # characters
MAX_TEXT = 4096  # bytes of a comment
TRACKER_SCHEMES = ("http", "https", "udp")
WEB_SEED_SCHEMES = ("http", "https")


class Metafile(NamedTuple):
    """What a .torrent says.

    Attributes:
        info: the encoded info dictionary, as it was.
        v1: its SHA-1, 20 bytes, where it has a version 1 half; else None.
        v2: its SHA-256, 32 bytes, where it has a version 2 half; else None.
        collection: the version 2 half with all piece layers, None for v1.
        plain: the version 1 half, None for v2.
        trackers: URLs by tier.
        private: it asks for its trackers alone: no DHT, no exchange of peers.
    """

    info: bytes
    v1: bytes | None
    v2: bytes | None
    collection: Collection | None
    plain: Plain | None
    trackers: tuple[tuple[str, ...], ...] = ()
    web_seeds: tuple[str, ...] = ()
    comment: str = ""
    created_by: str = ""
    private: bool = False

    @property
    def version(self) -> Version:
        return "hybrid" if self.v1 and self.v2 else "v2" if self.v2 else "v1"

    @property
    def name(self) -> str:
        if self.collection is not None:
            return self.collection.name
        assert self.plain is not None
        return self.plain.name

    @property
    def size(self) -> int:
        """Bytes of all files, without what fills gaps between them."""
        if self.collection is not None:
            return self.collection.size
        assert self.plain is not None
        return self.plain.size

    @property
    def id(self) -> str:
        """Its infohash in hex: the one of version 2 where it has one."""
        found = self.v2 or self.v1
        assert found is not None
        return found.hex()


def decode(data: bytes) -> Metafile:
    """Read a .torrent that came from anybody.

    Raises:
        BadMessage: too long, not canonical bencode, no torrent, over a limit, or its parts contradict each other.
    """
    if len(data) > MAX_TORRENT_BYTES:
        raise BadMessage(f"a .torrent of {len(data)} bytes, over the limit of {MAX_TORRENT_BYTES}")
    reader = bencode.Reader(data)
    content: bytes | None = None
    rest: dict[bytes, bencode.Value] = {}
    reader.take(b"d")
    key: bytes | None = None
    while not reader.taken(ord("e")):
        key = reader.key(key)
        start = reader.at
        value = reader.value(1)
        if key == b"info":
            if not isinstance(value, dict):
                raise BadMessage("a .torrent whose `info` is no dictionary")
            content = data[start : reader.at]
            made = value
        elif key in _READ:
            rest[key] = value
    reader.end()
    if content is None:
        raise BadMessage("a .torrent without `info`")
    v2 = b"meta version" in made or b"file tree" in made
    v1 = b"pieces" in made or not v2
    plain = infov1.read(made) if v1 else None
    collection = None
    if v2:
        collection = info.parse(content, sha256(content).digest())
        _learn(collection, rest.get(b"piece layers", {}))
        if plain is not None:
            infov1.agree(plain, collection)
    return Metafile(
        content,
        sha1(content, usedforsecurity=False).digest() if v1 else None,
        collection.infohash if collection is not None else None,
        collection,
        plain,
        _trackers(rest),
        _urls(rest.get(b"url-list", []), WEB_SEED_SCHEMES, MOST_WEB_SEEDS),
        _text(rest.get(b"comment", b"")),
        _text(rest.get(b"created by", b"")),
        made.get(b"private") == 1,
    )


def of(collection: Collection) -> Metafile:
    """The same of a collection of ours, whose layers are known. Reads the whole info dictionary when it is a hybrid's."""
    content = collection.info
    plain = None
    if b"6:pieces" in content:
        made = bencode.decode(content, info.MAX_INFO_BYTES)
        if isinstance(made, dict) and b"pieces" in made:
            plain = infov1.read(made)
    v1 = sha1(content, usedforsecurity=False).digest() if plain is not None else None
    return Metafile(content, v1, collection.infohash, collection, plain)


_READ = frozenset((b"announce", b"announce-list", b"comment", b"created by", b"piece layers", b"url-list"))


def _learn(collection: Collection, layers: bencode.Value) -> None:
    if not isinstance(layers, dict):
        raise BadMessage("a .torrent whose `piece layers` is no dictionary")
    for root, layer in layers.items():
        if not isinstance(layer, bytes):
            raise BadMessage("a piece layer that is no string")
        if collection.layer_bytes(root) == 0:
            raise BadMessage("a piece layer of no file in it")
        collection.learn(root, layer)
    if missing := collection.missing_layers():
        raise BadMessage(f"a .torrent that lacks {len(missing)} of its piece layers")


def _trackers(rest: Mapping[bytes, bencode.Value]) -> tuple[tuple[str, ...], ...]:
    tiers = rest.get(b"announce-list")
    if not isinstance(tiers, list) or not tiers:
        tiers = [[rest.get(b"announce", b"")]]
    found: list[tuple[str, ...]] = []
    seen: set[str] = set()
    for tier in tiers:
        known = _urls(tier if isinstance(tier, list) else [tier], TRACKER_SCHEMES, MOST_TRACKERS - len(seen))
        fresh = tuple(url for url in known if url not in seen)
        seen.update(fresh)
        if fresh:
            found.append(fresh)
    return tuple(found)


def _urls(value: bencode.Value, schemes: Sequence[str], most: int) -> tuple[str, ...]:
    """URLs of these schemes, each once; what is none is left out."""
    wanted = value if isinstance(value, list) else [value]
    found: dict[str, None] = {}
    for one in wanted:
        if len(found) >= most:
            break
        if isinstance(one, bytes) and (url := usable_url(one.decode("utf-8", "replace"), schemes)):
            found[url] = None
    return tuple(found)


def usable_url(text: str, schemes: Sequence[str]) -> str:
    """`text` when it is a URL of one of these schemes with a host and no secret in it, else ""."""
    if not 0 < len(text) <= MAX_URL or not text.isascii() or not text.isprintable() or " " in text:
        return ""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in schemes or not parts.hostname or parts.username is not None or port == 0:
        return ""
    return text


def _text(value: bencode.Value) -> str:
    return value[:MAX_TEXT].decode("utf-8", "replace") if isinstance(value, bytes) else ""


def encode(
    content: bytes,
    layers: Mapping[bytes, bytes],
    *,
    trackers: Iterable[Sequence[str]] = (),
    web_seeds: Sequence[str] = (),
    comment: str = "",
    created_by: str = "",
    created: int | None = None,
) -> bytes:
    """A .torrent around the info dictionary `content`.

    Args:
        layers: piece layers by root; none for version 1.
        trackers: URLs by tier.
        created: seconds since 1970, None to leave it out.
    """
    tiers = [[url.encode() for url in tier] for tier in trackers if tier]
    out = [b"d"]

    def put(key: bytes, value: bencode.Value) -> None:
        out.append(bencode.string(key) + bencode.encode(value))

    if tiers:
        put(b"announce", tiers[0][0])
        if len(tiers) > 1 or len(tiers[0]) > 1:
            put(b"announce-list", [list(tier) for tier in tiers])
    if comment:
        put(b"comment", comment.encode())
    if created_by:
        put(b"created by", created_by.encode())
    if created is not None:
        put(b"creation date", created)
    out.append(b"4:info" + content)
    if layers or b"12:meta versioni2e" in content:
        put(b"piece layers", dict(layers))
    if web_seeds:
        put(b"url-list", [url.encode() for url in web_seeds])
    out.append(b"e")
    return b"".join(out)


def safe_paths(metafile: Metafile) -> list[names.Path]:
    """Where each real file goes, below the download folder: as `names.safe_paths`, for version 1 as well."""
    if metafile.collection is not None:
        return names.safe_paths(metafile.collection)
    assert metafile.plain is not None
    return infov1.safe_paths(metafile.plain)
