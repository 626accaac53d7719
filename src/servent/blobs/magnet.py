"""Links: BitTorrent v2 magnet URIs (BEP 9 and BEP 52) with servent contacts in `x.sv`.

A link to the canonical collection of one content says its size in `xl` and its pieces root in `x.pr`, too: with them nobody has
to be asked what is in it, and networks can be asked who has the content.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import parse_qsl, quote

from servent.blobs.canonical import canon, parts_of
from servent.blobs.info import Collection
from servent.errors import UsageError

MAX_LINK_CHARACTERS = 16 * 1024
MAX_CONTACTS = 8
MAX_CONTACT_CHARACTERS = 1024
MAX_NAME_CHARACTERS = 255
_MULTIHASH = "1220"  # SHA-256, 32 bytes
_ADVICE = "A link begins with magnet:?xt=urn:btmh:1220 and 64 hex digits; `servent send PATH` makes one."


class Magnet(NamedTuple):
    """What a link says.

    Attributes:
        infohash: 32 bytes.
        name: what to call it until the collection itself is known; None when the link has no name.
        contacts: servent tickets of peers that may have it, unread.
        content: pieces root and size, where the link is to one content.
    """

    infohash: bytes
    name: str | None = None
    contacts: tuple[str, ...] = ()
    content: tuple[bytes, int] | None = None


def magnet(collection: Collection, contacts: Iterable[str] = ()) -> str:
    """The link to `collection`, naming up to 8 contacts."""
    return encode(Magnet(collection.infohash, collection.name, tuple(contacts), parts_of(collection.info)))


def encode(link: Magnet) -> str:
    """One line of ASCII."""
    parts = [f"magnet:?xt=urn:btmh:{_MULTIHASH}{link.infohash.hex()}"]
    if link.name:
        parts.append(f"dn={quote(link.name[:MAX_NAME_CHARACTERS], safe='')}")
    if link.content is not None:
        root, size = link.content
        parts += [f"xl={size}", f"x.pr={root.hex()}"]
    parts += [f"x.sv={quote(contact, safe=':')}" for contact in link.contacts[:MAX_CONTACTS]]
    return "&".join(parts)


def parse_magnet(text: str) -> Magnet:
    """Read a link, or a bare infohash of 64 hex digits.

    Raises:
        UsageError: neither of them, or a BitTorrent v1 link.
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
    hashes = {_infohash(topic.removeprefix("urn:btmh:")) for topic in topics if topic.startswith("urn:btmh:")}
    if len(hashes) != 1 or None in hashes:
        if any(topic.startswith("urn:btih:") for topic in topics) and not hashes:
            raise UsageError(
                "a BitTorrent version 1 link (urn:btih)",
                advice="servent fetches version 2 links (urn:btmh:1220…).",
            )
        raise UsageError("the link names no content, or more than one", advice=_ADVICE)
    name = next((value for key, value in fields if key.lower() == "dn"), None)
    contacts = [
        value for key, value in fields if key.lower() == "x.sv" and len(value) <= MAX_CONTACT_CHARACTERS
    ]
    infohash = hashes.pop()
    assert infohash is not None
    content = _content(infohash, dict(reversed(fields)))
    return Magnet(
        infohash, name[:MAX_NAME_CHARACTERS] if name else None, tuple(contacts[:MAX_CONTACTS]), content
    )


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
