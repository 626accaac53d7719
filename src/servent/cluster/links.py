"""A cluster's link: `servent-cluster:…`, one line that says which cluster, whose, and where its owner may be. Pure.

It is no key: who may join stands on the owner's list. Letters and check as in a project's link.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta, Struct

from servent.cluster.rosters import ClusterId
from servent.codec import Decoder, canonical
from servent.errors import BadMessage, UsageError
from servent.identity import Z32, z32_decode, z32_encode
from servent.net import ticket
from servent.net.links import PeerAddress
from servent.trust.naming import MAX_NAME, clean_name

SCHEME = "servent-cluster:"
MAX_LINK = 1500  # characters
VERSION = 1
_CHECK_BYTES = 4
_DAMAGED = f"Copy the whole line again, from {SCHEME} to its end."


@dataclass(frozen=True, slots=True)
class ClusterLink:
    """`owner`: whose it is, and where they were when the link was made."""

    cluster: bytes
    name: str
    owner: PeerAddress


class _Packed(Struct, frozen=True, array_like=True):
    cluster: ClusterId
    name: Annotated[str, Meta(max_length=MAX_NAME)]
    owner: Annotated[bytes, Meta(max_length=ticket.MAX_TICKET)]


_decoder: Decoder[_Packed] = Decoder(_Packed, MAX_LINK)


def encode(link: ClusterLink) -> str:
    """One line; addresses that do not fit are left out. Raises UsageError where an address is none."""
    owner = link.owner
    while True:
        packed = _Packed(link.cluster, clean_name(link.name) or "a cluster", ticket.pack_address(owner))
        raw = bytes((VERSION,)) + canonical(packed)
        text = SCHEME + z32_encode(raw + _check(raw))
        if len(text) <= MAX_LINK or not owner.addresses:
            return text
        owner = PeerAddress(owner.peer, owner.relay, owner.addresses[:-1])


def decode(text: str) -> ClusterLink:
    """Read a link as a person pasted it. Raises UsageError: no link, cut off, mistyped, or of a newer version."""
    letters = (
        re.sub(r"[\s\u00ad\u200b-\u200d\u2060\ufeff]+", "", text[: 4 * MAX_LINK]).strip("<>\"'`").lower()
    )
    if not letters.startswith(SCHEME) or len(letters) > MAX_LINK + len(SCHEME):
        raise UsageError("this is no cluster's link", advice=f"It is one line that starts with {SCHEME}")
    letters = letters.removeprefix(SCHEME).rstrip("/.,;")
    if any(letter not in Z32 for letter in letters):
        raise UsageError("this cluster's link is mistyped", advice=_DAMAGED)
    try:
        raw = z32_decode(letters, len(letters) * 5 // 8)
    except ValueError as wrong:
        raise UsageError("this cluster's link is cut off or mistyped", advice=_DAMAGED) from wrong
    if len(raw) <= 1 + _CHECK_BYTES or _check(raw[:-_CHECK_BYTES]) != raw[-_CHECK_BYTES:]:
        raise UsageError("this cluster's link is cut off or mistyped", advice=_DAMAGED)
    if raw[0] != VERSION:
        raise UsageError(
            f"this cluster's link has version {raw[0]}, known here is {VERSION}",
            advice="Update servent, or ask for theirs.",
        )
    try:
        packed = _decoder.decode(raw[1:-_CHECK_BYTES])
        owner = ticket.unpack_address(packed.owner)
    except BadMessage as wrong:
        raise UsageError(
            "this link makes no sense though it arrived whole",
            advice="It was not made by servent, or by a newer one.",
        ) from wrong
    return ClusterLink(packed.cluster, clean_name(packed.name) or "a cluster", owner)


def one_word(name: str) -> str:
    """What somebody calls their cluster, as it may stand in an address, and in a line of Python or for a shell that people copy."""
    return re.sub(r"[^\w.+-]+", "-", clean_name(name))[:50].strip("-.+") or "cluster"


def is_link(text: str) -> bool:
    """Whether `text` means to be a cluster's link, whole or not."""
    return text.lstrip().lower().startswith(SCHEME)


def _check(raw: bytes) -> bytes:
    return hashlib.sha256(b"servent/cluster" + raw).digest()[:_CHECK_BYTES]
