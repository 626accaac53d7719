"""Another link to what is fetched already: what it says more is the transfer's, too. Pure."""

from __future__ import annotations

from servent.blobs.listing import is_v1
from servent.blobs.magnet import MAX_LINK_CHARACTERS, Magnet, encode, parse_magnet, with_more
from servent.blobs.rows import Row


def is_hybrid(row: Row, link: Magnet) -> bool:
    """Whether `link` names, as BitTorrent's version 1 alone, the hybrid that `row` fetches as version 2."""
    old = link.infohash
    return is_v1(old) and old.hex() in row.link.lower() and parse_magnet(row.link).v1 == old


def learn(row: Row, more: Magnet) -> bool:
    """Put what `more` says of BitTorrent's world into the row's link; whether there is something to tell it.

    Who fetches in private asks nobody there. A link that would be too long stays as it is.
    """
    if not more.of_torrent or row.only or row.preview:
        return False
    known = parse_magnet(row.link) if row.link else Magnet(row.infohash, contacts=tuple(row.contacts))
    text = encode(with_more(known, more))
    row.link = text if len(text) <= MAX_LINK_CHARACTERS else row.link
    return True
