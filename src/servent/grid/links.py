"""A project's link: `servent-project:…`, one line that says which project, who coordinates it, and where they may be. Pure.

Its letters are z-base-32 of version 1, MessagePack, and 4 bytes of SHA-256 against slips of the pen, as in a ticket (`net.ticket`). It carries no
secret but, where it was made for one, an invitation. What the project is and may, its signed manifest says: the coordinator sends that.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from typing import Annotated

from msgspec import Meta, Struct

from servent.codec import Decoder, Key, canonical
from servent.errors import BadMessage, UsageError
from servent.identity import Z32, PeerId, z32_decode, z32_encode
from servent.net import ticket
from servent.net.links import PeerAddress
from servent.trust.naming import MAX_NAME, clean_name

SCHEME = "servent-project:"
MAX_LINK = 2048  # characters
MOST_COORDINATORS = 8  # as in a manifest
VERSION = 1
_CHECK_BYTES = 4


@dataclass(frozen=True, slots=True)
class ProjectLink:
    """What leads to a project. `repr` shows no invitation.

    Attributes:
        key: the project's, 32 bytes.
        name: what it calls itself; nothing proves it before its manifest is here.
        coordinators: who hands out its work, and where they were when the link was made; the first is asked first.
        invitation: lets somebody in where a project is for the invited; see `coordinator_service`.
    """

    key: bytes
    name: str
    coordinators: tuple[PeerAddress, ...]
    invitation: bytes = field(default=b"", repr=False)


class _Packed(Struct, frozen=True, array_like=True):
    key: Key
    name: Annotated[str, Meta(max_length=MAX_NAME)]
    coordinators: Annotated[
        list[Annotated[bytes, Meta(max_length=ticket.MAX_TICKET)]],
        Meta(min_length=1, max_length=MOST_COORDINATORS),
    ]
    invitation: Annotated[bytes, Meta(max_length=512)] = b""


_decoder: Decoder[_Packed] = Decoder(_Packed, MAX_LINK)


def encode(link: ProjectLink) -> str:
    """One line of at most 2048 characters; addresses that do not fit are left out, those of the last coordinators first.

    Raises:
        UsageError: an address or a relay's URL is none, or there is no coordinator.
    """
    if not link.coordinators:
        raise UsageError("a project's link needs a coordinator")
    coordinators = list(link.coordinators[:MOST_COORDINATORS])
    while True:
        text = _encode(link, coordinators)
        if len(text) <= MAX_LINK:
            return text
        last = max((n for n, one in enumerate(coordinators) if one.addresses), default=None)
        if last is not None:
            one = coordinators[last]
            coordinators[last] = PeerAddress(one.peer, one.relay, one.addresses[:-1])
        elif len(coordinators) > 1:
            coordinators.pop()
        else:
            raise UsageError("the project's link is too long", advice="Use a shorter relay URL.")


def _encode(link: ProjectLink, coordinators: list[PeerAddress]) -> str:
    packed = _Packed(
        link.key,
        clean_name(link.name) or "a project",
        [ticket.pack_address(one) for one in coordinators],
        link.invitation,
    )
    raw = bytes((VERSION,)) + canonical(packed)
    return SCHEME + z32_encode(raw + _check(raw))


def decode(text: str) -> ProjectLink:
    """Read a link as a person pasted it: white space, line breaks and upper case do not matter.

    Raises:
        UsageError: no link, cut off, mistyped, or of a newer version: it says which.
    """
    if len(text) > 4 * MAX_LINK:
        raise UsageError(
            "this is too long for a project's link", advice=f"It is one line that starts with {SCHEME}"
        )
    letters = re.sub(r"[\s\u00ad\u200b-\u200d\u2060\ufeff]+", "", text).strip("<>\"'`").lower()
    if not letters.startswith(SCHEME):
        raise UsageError("this is no project's link", advice=f"It is one line that starts with {SCHEME}")
    letters = letters.removeprefix(SCHEME).removeprefix("//").rstrip("/.,;")
    if len(letters) > MAX_LINK:
        raise UsageError("this is too long for a project's link", advice="Copy the link alone.")
    raw = _unpack_letters(letters)
    try:
        packed = _decoder.decode(raw[1:-_CHECK_BYTES])
        coordinators = tuple(ticket.unpack_address(one) for one in packed.coordinators)
    except BadMessage as wrong:
        raise UsageError(
            "this link makes no sense though it arrived whole",
            advice="It was not made by servent, or by a newer one.",
        ) from wrong
    return ProjectLink(packed.key, clean_name(packed.name) or "a project", coordinators, packed.invitation)


def without_invitation(text: str) -> str:
    """The link for whoever may look but not join: what let us in is like a password. What is no link stays as it is."""
    if not is_link(text):
        return text
    try:
        link = decode(text)
        return encode(replace(link, invitation=b"")) if link.invitation else text
    except UsageError:
        return ""


def is_link(text: str) -> bool:
    """Whether `text` means to be a project's link, whole or not."""
    return text.lstrip().lower().startswith(SCHEME)


def key_of(text: str) -> bytes | None:
    """The project's key that `text` is, in letters, or the key of the link that it is; None: it is neither.

    Raises:
        UsageError: a link that is damaged.
    """
    if is_link(text):
        return decode(text).key
    try:
        return bytes(PeerId.parse(text.strip()))
    except UsageError:
        return None


def _check(raw: bytes) -> bytes:
    return hashlib.sha256(b"servent/project" + raw).digest()[:_CHECK_BYTES]


def _unpack_letters(letters: str) -> bytes:
    damaged = f"Copy the whole line again, from {SCHEME} to its end."
    stray = next((letter for letter in letters if letter not in Z32), None)
    if stray is not None:
        raise UsageError(f"a project's link has no {stray!r} in it", advice=damaged)
    try:
        raw = z32_decode(letters, len(letters) * 5 // 8)
    except ValueError as wrong:
        raise UsageError("this project's link is cut off or mistyped", advice=damaged) from wrong
    if len(raw) <= 1 + _CHECK_BYTES or _check(raw[:-_CHECK_BYTES]) != raw[-_CHECK_BYTES:]:
        raise UsageError("this project's link is cut off or mistyped", advice=damaged)
    if raw[0] != VERSION:
        raise UsageError(
            f"this project's link has version {raw[0]}, known here is {VERSION}",
            advice="Update servent, or ask for theirs.",
        )
    return raw
