"""Links: BitTorrent magnet URIs (BEP 9 and BEP 52) with servent contacts in `x.sv`.

A link to the canonical collection of one content says its size in `xl` and its pieces root in `x.pr`, too: with them nobody has
to be asked what is in it, and networks can be asked who has the content. Links of BitTorrent's own world (version 1 or both
versions, trackers, peers, web seeds) are read and written as well; what is malformed in those extras is left out.
"""

from __future__ import annotations

from base64 import b32decode
from binascii import Error as Undecodable
from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlsplit

from servent.blobs.canonical import canon, parts_of
from servent.blobs.info import Collection
from servent.blobs.listing import is_v1
from servent.errors import UsageError

MAX_LINK_CHARACTERS = 16 * 1024
MAX_CONTACTS = 8
MAX_CONTACT_CHARACTERS = 1024
MAX_NAME_CHARACTERS = 255
MAX_TRACKERS = 32
MAX_WEB_SEEDS = 32
MAX_URL_CHARACTERS = 512
MAX_PEERS = 32
_MULTIHASH = "1220"  # SHA-256, 32 bytes
_ADVICE = (
    "A link begins with magnet:?xt=urn:btmh:1220 and 64 hex digits; `servent send PATH` makes one. One of BitTorrent's version 1 begins"
    " with magnet:?xt=urn:btih: and 40 hex digits, or 32 letters and digits."
)


class Magnet(NamedTuple):
    """What a link says.

    Attributes:
        infohash: 32 bytes; 20 where it names version 1 alone.
        name: what to call it until the collection itself is known; None when the link has no name.
        contacts: servent tickets of peers that may have it, unread.
        content: pieces root and size, where the link is to one content.
        v1: 20 bytes where it names version 1 as well: a hybrid.
        trackers, web_seeds: URLs; `peers`: "ip:port" of BitTorrent peers.
    """

    infohash: bytes
    name: str | None = None
    contacts: tuple[str, ...] = ()
    content: tuple[bytes, int] | None = None
    v1: bytes | None = None
    trackers: tuple[str, ...] = ()
    peers: tuple[str, ...] = ()
    web_seeds: tuple[str, ...] = ()

    @property
    def of_torrent(self) -> bool:
        """Whether it says something that only BitTorrent understands."""
        theirs = self.v1 or self.trackers or self.peers or self.web_seeds
        return is_v1(self.infohash) or bool(theirs)

    @property
    def foreign(self) -> bool:
        """Whether BitTorrent's world is asked for it, too: the link is of there, or at least names nobody of ours."""
        return self.of_torrent or not (self.contacts or self.content)


def magnet(collection: Collection, contacts: Iterable[str] = ()) -> str:
    """The link to `collection`, naming up to 8 contacts."""
    return encode(Magnet(collection.infohash, collection.name, tuple(contacts), parts_of(collection.info)))


def with_more(link: Magnet, more: Magnet) -> Magnet:
    """`link`, and what `more`, which names the same, says of BitTorrent's world; the newest stay where there are too many."""
    return link._replace(
        v1=link.v1 or (more.v1 if not is_v1(link.infohash) else None),
        trackers=_joined(link.trackers, more.trackers, MAX_TRACKERS),
        peers=_joined(link.peers, more.peers, MAX_PEERS),
        web_seeds=_joined(link.web_seeds, more.web_seeds, MAX_WEB_SEEDS),
    )


def _joined(old: Sequence[str], new: Sequence[str], most: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*old, *new]))[-most:]


def encode(link: Magnet) -> str:
    """One line of ASCII."""
    topics = [] if is_v1(link.infohash) else [f"urn:btmh:{_MULTIHASH}{link.infohash.hex()}"]
    old = link.infohash if is_v1(link.infohash) else link.v1
    topics += [f"urn:btih:{old.hex()}"] if old is not None else []
    parts = ["magnet:?xt=" + "&xt=".join(topics)]
    if link.name:
        parts.append(f"dn={quote(link.name[:MAX_NAME_CHARACTERS], safe='')}")
    if link.content is not None:
        root, size = link.content
        parts += [f"xl={size}", f"x.pr={root.hex()}"]
    parts += [f"tr={quote(url, safe='')}" for url in link.trackers[:MAX_TRACKERS]]
    parts += [f"ws={quote(url, safe='')}" for url in link.web_seeds[:MAX_WEB_SEEDS]]
    parts += [f"x.pe={quote(peer, safe=':[]')}" for peer in link.peers[:MAX_PEERS]]
    parts += [f"x.sv={quote(contact, safe=':')}" for contact in link.contacts[:MAX_CONTACTS]]
    return "&".join(parts)


def parse_magnet(text: str) -> Magnet:
    """Read a link, or a bare infohash of 64 hex digits.

    Raises:
        UsageError: neither of them.
    """
    text = text.strip()
    if len(text) > MAX_LINK_CHARACTERS:
        raise UsageError(f"a link of {len(text)} characters is too long", advice=_ADVICE)
    bare = _infohash(text)
    if bare is not None:
        return Magnet(bare)
    scheme, _, query = text.partition("?")
    if scheme.lower() != "magnet:":
        raise UsageError(f"{text[:70]!r} is no magnet link", advice=_ADVICE)
    try:
        fields = parse_qsl(query, max_num_fields=200, errors="strict")
    except (ValueError, UnicodeDecodeError) as wrong:
        raise UsageError(f"a damaged link: {wrong}", advice=_ADVICE) from wrong
    topics = [value.lower() for key, value in fields if key.lower() == "xt" or key.lower().startswith("xt.")]
    new = {_infohash(topic.removeprefix("urn:btmh:")) for topic in topics if topic.startswith("urn:btmh:")}
    old = {
        _old_infohash(topic.removeprefix("urn:btih:")) for topic in topics if topic.startswith("urn:btih:")
    }
    if len(new) > 1 or len(old) > 1 or not (new | old) or None in new | old:
        if len(new) > 1 or len(old) > 1:
            raise UsageError("the link names more than one content", advice=_ADVICE)
        what = (
            "an infohash that is damaged: too long or short, or of other letters"
            if new | old
            else "no content"
        )
        raise UsageError(f"the link names {what}", advice=_ADVICE)
    name = next((value for key, value in fields if key.lower() == "dn"), None)
    contacts = [
        value for key, value in fields if key.lower() == "x.sv" and len(value) <= MAX_CONTACT_CHARACTERS
    ]
    v1 = old.pop() if old else None
    infohash = new.pop() if new else v1
    assert infohash is not None
    return Magnet(
        infohash,
        name[:MAX_NAME_CHARACTERS] if name else None,
        tuple(contacts[:MAX_CONTACTS]),
        _content(infohash, dict(reversed(fields))),
        v1 if v1 != infohash else None,
        _urls(fields, "tr", ("http", "https", "udp"), MAX_TRACKERS),
        tuple(_each(fields, "x.pe", _is_peer, MAX_PEERS)),
        _urls(fields, "ws", ("http", "https"), MAX_WEB_SEEDS),
    )


Fields = Sequence[tuple[str, str]]


def _each(fields: Fields, key: str, fits: Callable[[str], bool], most: int) -> list[str]:
    """Values of `key` and `key.1` and so on that fit, each once."""
    values = [value for name, value in fields if name.lower() == key or name.lower().startswith(f"{key}.")]
    return [value for value in dict.fromkeys(values) if fits(value)][:most]


def _urls(fields: Fields, key: str, schemes: Sequence[str], most: int) -> tuple[str, ...]:
    return tuple(_each(fields, key, lambda url: _is_url(url, schemes), most))


def _is_url(text: str, schemes: Sequence[str]) -> bool:
    if not 0 < len(text) <= MAX_URL_CHARACTERS or not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        return False


def _is_peer(text: str) -> bool:
    """An address with a port. Names are left out: to look one up would tell a server of somebody's choice who we are."""
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or len(port) > 5 or not 0 < int(port) < 65536:
        return False
    if host.startswith("[") != host.endswith("]") or (":" in host) != host.startswith("["):
        return False
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return False
    return not (address.is_multicast or address.is_unspecified) and "%" not in host


def _old_infohash(text: str) -> bytes | None:
    """20 bytes from 40 hex digits, or from 32 letters in base 32."""
    if not text.isascii() or not text.isalnum():
        return None
    try:
        found = bytes.fromhex(text) if len(text) == 40 else b32decode(text.upper())
    except (ValueError, Undecodable):
        return None
    return found if len(found) == 20 else None


def _content(infohash: bytes, fields: dict[str, str]) -> tuple[bytes, int] | None:
    """What the link says of its content, if that is true."""
    size, root = fields.get("xl", ""), _infohash(fields.get("x.pr", ""))
    if root is None or not (size.isascii() and size.isdigit() and len(size) < 20):
        return None
    try:
        return (root, int(size)) if canon(root, int(size)) == infohash else None
    except ValueError:  # no size a file can have
        return None


def _infohash(text: str) -> bytes | None:
    """32 bytes from 64 hex digits, with or without the multihash prefix."""
    digits = text[len(_MULTIHASH) :] if len(text) == 68 and text.startswith(_MULTIHASH) else text
    if len(digits) != 64 or not digits.isascii() or not digits.isalnum():
        return None
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return None
